// The same conversation as one writes it on the first day, with the official SDK.

import { createReadStream, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), "agent-"));

function ask(messages: any[], container?: string): Promise<any> {
  return client.beta.messages
    .stream({
      model: "claude-opus-4-6",
      max_tokens: 2048,
      messages,
      tools: [{ type: "code_execution_20250825", name: "code_execution" }],
      container,
    })
    .finalMessage();
}

const file = await client.beta.files.upload({ file: createReadStream("sales.csv") });
const messages: any[] = [
  {
    role: "user",
    content: [
      { type: "text", text: "Write the totals by region to $OUTPUT_DIR/totals.csv, and a chart to $OUTPUT_DIR/chart.txt." },
      { type: "container_upload", file_id: file.id },
    ],
  },
];
const answer = await ask(messages);
const made: string[] = [];
for (const block of answer.content) {
  if (block.type === "bash_code_execution_tool_result" && block.content.type === "bash_code_execution_result") {
    made.push(...block.content.content.map((output: any) => output.file_id));
  }
}
for (const id of made) {
  const { filename } = await client.beta.files.retrieveMetadata(id);
  const response = await client.beta.files.download(id);
  writeFileSync(join(folder, filename), Buffer.from(await response.arrayBuffer()));
  console.log(filename);
}

messages.push({ role: "assistant", content: answer.content });
messages.push({ role: "user", content: "And which product sold best?" });
console.log((await ask(messages, answer.container.id)).content.at(-1).text);

for (const id of [file.id, ...made]) await client.beta.files.delete(id);
