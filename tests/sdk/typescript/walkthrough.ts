// A CSV is uploaded, analyzed, its chart downloaded, its container used again; files are listed and deleted.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import Anthropic, { toFile } from "@anthropic-ai/sdk";
import { bytesOf, client, CODE, control, isPng, MODEL, outputIds, rejects, results, said, SALES, user } from "./support.js";

await writeFile("sales.csv", SALES);
const uploaded = await client.beta.files.upload({ file: createReadStream("sales.csv") });
assert.match(uploaded.id, /^file_/);
assert.equal(uploaded.filename, "sales.csv");
// What this SDK sends for a stream.
assert.equal(uploaded.mime_type, "application/octet-stream");
assert.equal(uploaded.size_bytes, SALES.length);
assert.equal(uploaded.downloadable, false);

const first = await client.beta.messages.create({
  model: MODEL,
  betas: ["files-api-2025-04-14"],
  max_tokens: 4096,
  messages: [
    user([
      { type: "text", text: "Read sales.csv, show the revenue by region, and save a bar chart as chart.png." },
      { type: "container_upload", file_id: uploaded.id },
    ]),
  ],
  tools: [CODE],
});
assert.equal(first.stop_reason, "end_turn");
assert.match(said(first), /harbor: 450[^]*valley: 450[^]*ridge: 300/);
assert.equal((first.usage.server_tool_use as any).code_execution_requests, results(first).length);

const [chart, ...others] = outputIds(first);
assert.deepEqual(others, []);
const metadata = await client.beta.files.retrieveMetadata(chart);
assert.equal(metadata.filename, "chart.png");
assert.equal(metadata.downloadable, true);
await writeFile(metadata.filename, await bytesOf(client.beta.files.download(chart)));
const png = await readFile("chart.png");
assert.ok(isPng(png) && png.length === metadata.size_bytes);

const second = await client.beta.messages.create({
  model: MODEL,
  max_tokens: 2048,
  container: first.container!.id,
  messages: [user("Now compute revenue per unit by product and save it as summary.csv.")],
  tools: [CODE],
});
assert.equal(second.container!.id, first.container!.id);
const [summary] = outputIds(second);
assert.match((await bytesOf(client.files.download(summary))).toString(), /kettle,12,300,25\.0/);

// What is refused.
const document = { type: "document", source: { type: "file", file_id: uploaded.id } };
const ask = (content: any, options: object = {}) =>
  client.messages.create({ model: MODEL, max_tokens: 64, messages: [user(content)], tools: [CODE], ...options });
let error = await rejects(Anthropic.BadRequestError, ask([document, { type: "text", text: "What is in it?" }]));
assert.equal(error.status, 400);
assert.equal(error.type, "invalid_request_error");
error = await rejects(Anthropic.BadRequestError, client.files.download(uploaded.id));
assert.equal(error.error.error.details.error_code, "file_not_downloadable");
await control("POST", "clock", { advance: "30d" });
const late = await ask("```bash\nls\n```", { container: first.container!.id });
assert.equal(results(late)[0].error_code, "container_expired");
assert.equal(late.container ?? null, null);
await rejects(Anthropic.NotFoundError, ask("Hello", { container: "container_01AAAAAAAAAAAAAAAAAAAAAA" }));

// Pages and parallel uploads.
for (const id of [uploaded.id, chart, summary]) {
  assert.equal((await client.beta.files.delete(id)).type, "file_deleted");
}
const made = await Promise.all(
  Array.from({ length: 7 }, async (_, index) =>
    client.files.upload({ file: await toFile(Buffer.alloc(index), `part-${index}.txt`, { type: "text/plain" }) }),
  ),
);
const listed: string[] = [];
for await (const file of client.files.list({ limit: 3 })) listed.push(file.id);
assert.deepEqual(listed.sort(), made.map((file) => file.id).sort());
const chosen = await client.files.list({ ids: [made[2].id, made[4].id] });
assert.deepEqual(chosen.data.map((file) => file.size_bytes).sort(), [2, 4]);
const noise = Buffer.alloc(5 << 20, 7);
assert.equal((await client.files.upload({ file: await toFile(noise, "noise.bin") })).size_bytes, noise.length);
await client.files.delete(made[0].id);
await rejects(Anthropic.NotFoundError, client.files.retrieveMetadata(made[0].id));
