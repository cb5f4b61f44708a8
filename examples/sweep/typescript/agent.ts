// An agent that asks two questions about a CSV file and brings home what was made. It survives what the service can do.

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, GaveUp, Service } from "./service.ts";

const TOTALS = "Write the totals by region to $OUTPUT_DIR/totals.csv, and a chart of them to $OUTPUT_DIR/chart.txt.";
const BEST = "And which product sold best?";
const OPTIONS = {
  model: "claude-opus-4-6",
  max_tokens: 2048,
  tools: [{ type: "code_execution_20250825", name: "code_execution" }],
};

const ATTEMPTS = 4;
const ASKS = 3;
const PAUSES = 8;
const RETRY_SECONDS = Number(process.env.RETRY_SECONDS ?? "0.5");
const LONGEST_WAIT_SECONDS = 30;

export class Agent {
  protected attempts = ATTEMPTS;
  private container?: string;
  private messages: any[] = [];
  private fileId = "";
  protected left: string[] = []; // ids of files to be deleted at the end
  protected name = "";
  protected data = new Uint8Array();

  constructor(protected readonly service: Service) {}

  // What is asked.

  async run(table: string, folder: string): Promise<void> {
    this.data = readFileSync(table);
    // The name follows from the content, so that an upload whose answer was lost can be found.
    this.name = `sales-${createHash("sha256").update(this.data).digest("hex").slice(0, 12)}.csv`;
    try {
      this.fileId = await this.upload();
      await this.ask(TOTALS, 2, folder);
      await this.ask(BEST, 0, folder);
    } catch (problem) {
      if (problem instanceof Failure || problem instanceof GaveUp) (await this.cleanUp()).forEach((text) => this.log(text));
      throw problem;
    }
    const problems = await this.cleanUp();
    if (problems.length) throw new GaveUp(problems.join("; "));
  }

  /** Asks until the answer is whole: what a call that failed has left is deleted, and the question asked again. */
  private async ask(question: string, outputs: number, folder: string): Promise<void> {
    let text = question;
    for (let ask = 0; ask < ASKS; ask++) {
      const { content, known } = await this.conversation(text);
      const results = resultsOf(content);
      const made = this.outputs(results);
      if (results.some((result) => result.error_code === "container_expired")) {
        // What was in the container is gone: the same question again, in a new one, and with the file.
        this.log("the container has expired");
        this.container = undefined;
      } else if (this.isWhole(results, made, outputs)) {
        this.messages = known;
        console.log(content.filter((block) => block.type === "text").map((block) => block.text).join("\n"));
        for (const id of made) await this.fetch(id, folder);
        return;
      } else {
        this.log(`not whole: ${problemOf(results)}`);
        this.messages = known;
        text = `That did not work, please try once more. ${question}`;
      }
      for (const id of made) {
        await this.delete(id);
        this.left.splice(this.left.indexOf(id), 1);
      }
    }
    throw new GaveUp(`no whole answer in ${ASKS} attempts`);
  }

  /** Sends a question, and goes on after pauses: the blocks of the answer, and the conversation with it. */
  private async conversation(text: string): Promise<{ content: any[]; known: any[] }> {
    const known: any[] = [...this.messages, { role: "user", content: this.question(text, this.container, this.fileId) }];
    const content: any[] = [];
    for (let pause = 0; pause < PAUSES; pause++) {
      const answer = await this.turn(known);
      content.push(...answer.content);
      this.left.push(...this.outputs(resultsOf(answer.content)));
      known.push({ role: "assistant", content: answer.content });
      this.container = answer.container?.id ?? this.container;
      if (!this.paused(answer)) {
        this.checkEnd(answer);
        return { content, known };
      }
    }
    throw new GaveUp(`the answer paused ${PAUSES} times`);
  }

  protected question(text: string, container: string | undefined, fileId: string): any[] {
    const content: any[] = [{ type: "text", text }];
    if (!container) content.push({ type: "container_upload", file_id: fileId });
    return content;
  }

  protected isWhole(results: any[], made: string[], outputs: number): boolean {
    return results.length > 0 && !failed(results.at(-1)) && made.length >= outputs;
  }

  protected paused(answer: any): boolean {
    return answer.stop_reason === "pause_turn";
  }

  private checkEnd(answer: any): void {
    if (!["end_turn", "pause_turn"].includes(answer.stop_reason)) {
      throw new GaveUp(`the answer ended with \`${answer.stop_reason}\` ${answer.stop_details?.explanation ?? ""}`.trimEnd());
    }
  }

  private async turn(messages: any[]): Promise<any> {
    const body: any = { ...OPTIONS, messages };
    if (this.container) body.container = this.container;
    try {
      return await this.persist(() => this.once(body), false);
    } catch (problem) {
      if (!(problem instanceof Failure) || problem.status !== 404 || this.container) throw problem;
    }
    // The file is gone: once more, with a new one.
    const old = this.fileId;
    this.fileId = await this.upload(true);
    for (const block of messages.at(-1).content) if (block.file_id === old) block.file_id = this.fileId;
    return this.persist(() => this.once(body), false);
  }

  protected once(body: any): Promise<any> {
    return this.service.turn(body);
  }

  // Files.

  protected async upload(lookFirst = false): Promise<string> {
    const id = await this.persist(async (attempt) => {
      const found = lookFirst || attempt > 1 ? await this.service.find(this.name) : undefined;
      return found ?? this.service.upload(this.name, this.data);
    });
    if (!this.left.includes(id)) this.left.push(id);
    return id;
  }

  /** Ids of the files that calls have handed back. */
  protected outputs(results: any[]): string[] {
    return results.flatMap((result) => (Array.isArray(result.content) ? result.content : [])).flatMap((item) => item.file_id ?? []);
  }

  protected async fetch(id: string, folder: string): Promise<void> {
    const described = await this.persist(() => this.service.metadata(id));
    const data = await this.persist(() => this.service.download(id));
    if (data.length !== described.size_bytes) {
      throw new GaveUp(`\`${described.filename}\` has ${data.length} bytes of ${described.size_bytes}`);
    }
    writeFileSync(join(folder, basename(described.filename)), data);
    console.log(`${described.filename} ${data.length} bytes`);
  }

  private async delete(id: string): Promise<void> {
    try {
      await this.persist(() => this.service.delete(id));
    } catch (problem) {
      if (!(problem instanceof Failure) || problem.status !== 404) throw problem; // 404: gone already
    }
  }

  /** Deletes whatever is left, and says what it could not. */
  private async cleanUp(): Promise<string[]> {
    const problems: string[] = [];
    for (const id of this.left) {
      try {
        await this.delete(id);
      } catch (problem) {
        if (!(problem instanceof Failure)) throw problem;
        problems.push(`could not delete ${id}: ${problem.message}`);
      }
    }
    return problems;
  }

  // What goes wrong.

  /** Calls until it goes well; what may have been done is done again only if that is harmless. */
  protected async persist<T>(call: (attempt: number) => Promise<T>, repeatable = true): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call(attempt);
      } catch (problem) {
        if (!(problem instanceof Failure) || !this.mayTryAgain(problem, attempt, repeatable)) throw problem;
        this.log(`attempt ${attempt} failed: ${problem.message}`);
        await sleep(1000 * waitSeconds(problem, attempt));
      }
    }
  }

  protected mayTryAgain(failure: Failure, attempt: number, repeatable: boolean): boolean {
    if (failure.done && !repeatable) {
      this.log("not asked again: what it runs may have run");
      return false;
    }
    const tooLong = (failure.waitSeconds ?? 0) > LONGEST_WAIT_SECONDS;
    return failure.passing && !tooLong && attempt < this.attempts;
  }

  protected log(text: string): void {
    console.error(`agent: ${text}`);
  }
}

function resultsOf(content: any[]): any[] {
  return content.filter((block) => block.type.endsWith("code_execution_tool_result")).map((block) => block.content);
}

function failed(result: any): boolean {
  return Boolean(result.error_code) || (result.return_code ?? 0) !== 0;
}

function problemOf(results: any[]): string {
  if (results.length === 0) return "nothing was run";
  const last = results.at(-1);
  return failed(last) ? `the last call ended with ${last.error_code ?? last.return_code}` : "an output is missing";
}

/** As the service asks; else twice as long each time, and never the same for all clients. */
function waitSeconds(failure: Failure, attempt: number): number {
  return failure.waitSeconds ?? RETRY_SECONDS * 2 ** (attempt - 1) * (0.75 + 0.25 * Math.random());
}

export async function main(agent: Agent, given?: string): Promise<void> {
  const folder = given ?? mkdtempSync(join(tmpdir(), "agent-"));
  mkdirSync(folder, { recursive: true });
  try {
    await agent.run("sales.csv", folder);
  } catch (problem) {
    if (!(problem instanceof Failure || problem instanceof GaveUp)) throw problem;
    console.error(`agent: gave up: ${problem.message}`);
    process.exitCode = 1;
  }
}
