// One call of the SDK for each job on stdin, as it comes: what came of it, as JSON, for `scripts/sdks.py`.

import { readFileSync } from "node:fs";
import Anthropic, { toFile } from "@anthropic-ai/sdk";

const params = (job: any) => ({
  model: "claude-opus-4-6",
  max_tokens: 1024,
  tools: [{ type: "code_execution_20250825", name: "code_execution" } as const],
  messages: [{ role: "user" as const, content: job.prompt }],
});

/** How the answer ended, and the errors of its calls. */
const told = (message: any) => [message.stop_reason, ...message.content.flatMap((block: any) => block.content?.error_code ?? [])];

const calls: Record<string, (client: Anthropic, job: any) => Promise<string[]>> = {
  plain: async (client, job) => told(await client.beta.messages.create(params(job))),
  stream: async (client, job) => told(await client.beta.messages.stream(params(job)).finalMessage()),
  upload: async (client) => {
    await client.beta.files.upload({ file: await toFile(Buffer.from("a,b\n1,2\n"), "a.csv", { type: "text/csv" }) });
    return [];
  },
  download: async (client, job) => {
    const data = await (await client.beta.files.download(job.file_id)).arrayBuffer();
    return data.byteLength === job.size ? [] : ["short"];
  },
  batch: async (client, job) => {
    await client.beta.messages.batches.create({ requests: [{ custom_id: "a", params: params(job) }] });
    return [];
  },
};

async function run(job: any): Promise<any> {
  const client = new Anthropic({ apiKey: job.key, timeout: 1000 * job.timeout, logLevel: "off" });
  const limit = new Promise<any>((resolve) => setTimeout(() => resolve({ id: job.id, endless: true }), 1000 * job.limit));
  const call = calls[job.call](client, job).then(
    (said) => ({ id: job.id, said }),
    (error) => ({ id: job.id, raised: error.constructor.name }),
  );
  return Promise.race([call, limit]);
}

const jobs = readFileSync(0, "utf8").trim().split("\n").map((line) => JSON.parse(line));
for (const result of await Promise.all(jobs.map(run))) console.log(JSON.stringify(result));
process.exit(0);
