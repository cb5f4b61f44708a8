// The service through the official SDK.

import Anthropic, { APIConnectionError, APIError, toFile } from "@anthropic-ai/sdk";

const TIMEOUT_MS = 1000 * Number(process.env.TIMEOUT_SECONDS ?? "60");
/** Later, the same request may be answered; of all others it would be refused again. */
const PASSING = [408, 409, 429, 500, 502, 503, 504, 529];
const PASSING_TYPES = ["api_error", "overloaded_error", "rate_limit_error", "timeout_error"];

/** There is nothing more to be done, and why. */
export class GaveUp extends Error {}

/** A request that came to nothing. */
export class Failure extends Error {
  /** None where no answer came. */
  status?: number;
  /** It may go well later. */
  passing = false;
  /** Its work may have been done all the same. */
  done = false;
  inStream = false;
  /** As long the service asks to wait. */
  waitSeconds?: number;

  constructor(message: string, more: Partial<Failure> = {}) {
    super(message);
    Object.assign(this, more);
  }
}

export class Service {
  readonly client: Anthropic;

  constructor(fetch: typeof globalThis.fetch = globalThis.fetch) {
    // The SDK would send an upload again without a look at what became of the first, so it is not to retry.
    this.client = new Anthropic({ maxRetries: 0, timeout: TIMEOUT_MS, fetch: impatient(fetch) });
  }

  upload(name: string, data: Uint8Array): Promise<string> {
    return failures(async () => (await this.client.beta.files.upload({ file: await toFile(data, name, { type: "text/csv" }) })).id);
  }

  find(name: string): Promise<string | undefined> {
    return failures(async () => {
      for await (const file of this.client.beta.files.list({ limit: 100 })) if (file.filename === name) return file.id;
      return undefined;
    });
  }

  metadata(id: string): Promise<any> {
    return failures(() => this.client.beta.files.retrieveMetadata(id));
  }

  download(id: string): Promise<Uint8Array> {
    return failures(async () => new Uint8Array(await (await this.client.beta.files.download(id)).arrayBuffer()));
  }

  delete(id: string): Promise<unknown> {
    return failures(() => this.client.beta.files.delete(id));
  }

  async turn(body: any): Promise<any> {
    let began = false;
    let called = false;
    try {
      return await failures(async () => {
        const stream = this.client.beta.messages.stream(body);
        for await (const event of stream) {
          began = true;
          if (event.type === "content_block_start" && event.content_block.type === "server_tool_use") called = true;
        }
        return stream.finalMessage();
      });
    } catch (problem) {
      if (problem instanceof Failure) {
        problem.inStream = began;
        problem.done ||= called;
      }
      throw problem;
    }
  }
}

/** Whatever the SDK throws, as a `Failure`. */
async function failures<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error: any) {
    if (error instanceof APIConnectionError) {
      const connected = codeOf(error) !== "ECONNREFUSED";
      throw new Failure(`no answer: ${error.message}`, { passing: true, done: connected });
    }
    // An error of the service has a type, in the stream as well; what broke off has none.
    if (error instanceof APIError && (error.status !== undefined || error.type)) {
      const { status, type } = error;
      const passing = PASSING.includes(status as number) || PASSING_TYPES.includes(type as string);
      throw new Failure(`${status ?? "in the stream"} ${type ?? ""}: ${error.message}`, { status, passing, waitSeconds: retryAfter(error.headers) });
    }
    throw new Failure(`the answer broke off: ${error?.name}: ${error?.message}`, { passing: true, done: true });
  }
}

function codeOf(error: any): string | undefined {
  for (let cause = error; cause; cause = cause.cause) if (cause.code) return cause.code;
  return undefined;
}

function retryAfter(headers?: Headers): number | undefined {
  const milliseconds = headers?.get("retry-after-ms");
  const text = headers?.get("retry-after");
  const seconds = milliseconds ? Number(milliseconds) / 1000 : text ? Number(text) : NaN;
  if (!Number.isNaN(seconds)) return Math.max(0, seconds);
  const date = text ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}

/** The SDK's time-out ends with the headers: this ends an answer that falls silent. Pings are no silence. */
function impatient(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (url, init) => {
    const response = await fetch(url, init);
    return response.body ? new Response(watched(response.body), response) : response;
  };
}

function watched(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      let timer: NodeJS.Timeout | undefined;
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no byte came for ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
      });
      try {
        const { done, value } = await Promise.race([reader.read(), silence]);
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        reader.cancel(error).catch(() => undefined);
        controller.error(error);
      } finally {
        clearTimeout(timer);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
