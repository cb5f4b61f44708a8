// Summarizes reports in a batch, waits for it, and sends what failed once more.

import { setTimeout as wait } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";

const POLL_MS = 1000 * Number(process.env.POLL_SECONDS ?? 60);
const ROUNDS = 3;

const batches = new Anthropic().messages.batches;

const params = (name: string): any => ({
  model: "claude-opus-4-6",
  max_tokens: 1024,
  tools: [{ type: "code_execution_20250825", name: "code_execution" }],
  messages: [{ role: "user", content: `summarize ${name}` }],
});

/** The results of one batch; they come in any order. */
async function run(names: string[]): Promise<any[]> {
  let batch = await batches.create({ requests: names.map((name) => ({ custom_id: name, params: params(name) })) });
  while (batch.processing_status !== "ended") {
    await wait(POLL_MS);
    batch = await batches.retrieve(batch.id);
  }
  const lines: any[] = [];
  for await (const line of await batches.results(batch.id)) lines.push(line);
  return lines;
}

const text = (message: any) => message.content.map((block: any) => (block.type === "text" ? block.text : "")).join("");

let open = ["report-1", "report-2", "report-3"];
const done = new Map<string, string>();
for (let round = 0; round < ROUNDS && open.length > 0; round++) {
  if (round > 0) console.log("once more:", ...open);
  for (const { custom_id, result } of await run(open)) {
    if (result.type === "succeeded") done.set(custom_id, text(result.message));
    // It would be refused again.
    else if (result.error?.error?.type === "invalid_request_error") throw new Error(`${custom_id}: ${result.error.error.message}`);
  }
  open = open.filter((name) => !done.has(name));
}
for (const name of [...done.keys()].sort()) console.log(done.get(name));
process.exitCode = open.length > 0 ? 1 : 0;
