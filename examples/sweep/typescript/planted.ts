// The careful agent with one bug: `planted.ts --bug NAME [FOLDER]`, or BUG=NAME. For tests of what finds bugs.

import { parseArgs } from "node:util";
import { Agent, main } from "./agent.ts";
import { Failure, Service } from "./service.ts";

/** Asks again in a new container, without the file. */
class NoReuploadAfterExpiry extends Agent {
  private asked = false;

  protected question(text: string, container: string | undefined, fileId: string): any[] {
    const content = super.question(text, container, fileId);
    const first = !this.asked;
    this.asked = true;
    return first ? content : content.slice(0, 1);
  }
}

/** Takes it that a call hands back one file. */
class FirstOutputOnly extends Agent {
  protected outputs(results: any[]): string[] {
    return super.outputs(results).slice(0, 1);
  }

  protected isWhole(results: any[], made: string[], outputs: number): boolean {
    return super.isWhole(results, made, Math.min(outputs, 1));
  }
}

/** Asks again after a refusal, and not after an error that comes in the stream. */
class NoRetryInStream extends Agent {
  protected mayTryAgain(failure: Failure, attempt: number, repeatable: boolean): boolean {
    return !failure.inStream && super.mayTryAgain(failure, attempt, repeatable);
  }
}

/** Sends an upload or a question again without a look whether the first arrived. */
class RetryDuplicates extends Agent {
  protected async upload(): Promise<string> {
    const id = await this.persist(() => this.service.upload(this.name, this.data));
    this.left.push(id);
    return id;
  }

  protected mayTryAgain(failure: Failure, attempt: number): boolean {
    return super.mayTryAgain(failure, attempt, true);
  }
}

/** Takes a pause for the end. */
class IgnoredPause extends Agent {
  protected paused(): boolean {
    return false;
  }

  protected isWhole(): boolean {
    return true;
  }
}

/** Goes on without a file that it could not fetch, as if nothing were missing. */
class SwallowedError extends Agent {
  protected async fetch(id: string, folder: string): Promise<void> {
    const attempts = this.attempts;
    this.attempts = 1;
    try {
      await super.fetch(id, folder);
    } catch (problem) {
      if (!(problem instanceof Failure)) throw problem;
    } finally {
      this.attempts = attempts;
    }
  }
}

/** Never has enough. */
class EndlessRetry extends Agent {
  protected attempts = Infinity;
}

/** Forgets its container when a turn has to be asked again. */
class LostContainer extends Agent {
  protected async once(body: any): Promise<any> {
    try {
      return await super.once(body);
    } catch (problem) {
      delete body.container;
      throw problem;
    }
  }
}

/** Logs the headers of what failed. */
class KeyInLog extends Agent {
  protected log(text: string): void {
    super.log(`${text} (sent with x-api-key: ${process.env.ANTHROPIC_API_KEY})`);
  }
}

/** Shows what is called as it comes, and takes each piece that arrives for whole events. */
const partialJson: typeof fetch = async (url, init) => {
  const response = await fetch(url, init);
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
  const text = new TextDecoder();
  const show = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      for (const line of text.decode(piece).split("\n")) {
        if (!line.startsWith("data: ")) continue;
        const event = JSON.parse(line.slice(6));
        if (event.content_block?.type === "server_tool_use") console.error(`agent: calls ${event.content_block.name}`);
      }
      controller.enqueue(piece);
    },
  });
  return new Response(response.body!.pipeThrough(show), response);
};

const AGENTS: Record<string, typeof Agent> = {
  no_reupload_after_expiry: NoReuploadAfterExpiry,
  first_output_only: FirstOutputOnly,
  no_retry_in_stream: NoRetryInStream,
  retry_duplicates: RetryDuplicates,
  ignored_pause: IgnoredPause,
  swallowed_error: SwallowedError,
  endless_retry: EndlessRetry,
  lost_container: LostContainer,
  partial_json: Agent, // the bug is in how the service is spoken to
  key_in_log: KeyInLog,
};

const { values, positionals } = parseArgs({ options: { bug: { type: "string", default: process.env.BUG } }, allowPositionals: true });
const Chosen = AGENTS[values.bug ?? ""];
if (!Chosen) {
  console.error(`which bug? Say --bug NAME, one of ${Object.keys(AGENTS).join(", ")}`);
  process.exit(2);
}
await main(new Chosen(new Service(values.bug === "partial_json" ? partialJson : fetch)), positionals[0]);
