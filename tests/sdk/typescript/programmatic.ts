// Tools that code awaits: by hand, and by the SDK's own runner, plain and as a stream.

import assert from "node:assert/strict";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { client, kinds, MODEL, said, script, user } from "./support.js";

await script(`
- name: revenue
  when: { user: revenue, tools: query_database }
  then:
    - python: |
        import asyncio, json
        rows = await asyncio.gather(query_database({"region": "harbor"}), query_database({"region": "valley"}))
        best = await query_database({"region": "ridge"}) if len(rows) == 2 else None
        print(sum(map(int, rows)), best)
      expect: { return_code: 0 }
    - python: print(len(rows))
    - text: "\${{ results[0].stdout | trim }}, \${{ last.stdout | trim }}"
`);

const CODE = { type: "code_execution_20260521", name: "code_execution" } as const;
const schema = {
  type: "object",
  properties: { region: { type: "string" } },
  required: ["region"],
  additionalProperties: false,
} as const;
const ROWS: Record<string, string> = { harbor: "450", valley: "500", ridge: "300" };
const QUERY = {
  name: "query_database",
  description: "The revenue of a region.",
  input_schema: schema,
  allowed_callers: ["code_execution_20260120"],
};
const END = "950 300, 2";

const messages: any[] = [user("revenue")];
const seen: any[] = [];
let container: string | undefined;
for (;;) {
  const message: any = await client.messages.create({
    model: MODEL,
    max_tokens: 1024,
    messages,
    tools: [CODE, QUERY] as any[],
    container,
  });
  seen.push(message);
  if (message.stop_reason !== "tool_use") break;
  container = message.container.id;
  const calls = message.content.filter((block: any) => block.type === "tool_use");
  const answer = ({ id, input }: any) => ({ type: "tool_result", tool_use_id: id, content: ROWS[input.region] });
  messages.push({ role: "assistant", content: message.content }, user(calls.map(answer)));
}
assert.deepEqual(seen.map(kinds), [
  ["server_tool_use", "tool_use", "tool_use"],
  ["tool_use"],
  ["code_execution_tool_result", "server_tool_use", "code_execution_tool_result", "text"],
]);
// Declared as 20260521, called as 20260120.
assert.deepEqual(seen[1].content[0].caller, { type: "code_execution_20260120", tool_id: seen[0].content[0].id });
assert.equal(said(seen[2]), END);

const runner = (options: object = {}) =>
  client.beta.messages.toolRunner({
    model: MODEL,
    max_tokens: 1024,
    messages: [user("revenue")],
    tools: [
      CODE,
      betaTool({
        name: "query_database",
        description: "The revenue of a region.",
        inputSchema: schema,
        allowed_callers: ["code_execution_20260120"],
        run: ({ region }) => ROWS[region],
      }),
    ],
    ...options,
  });
assert.equal(said(await runner().runUntilDone()), END);
let last: any;
for await (const stream of runner({ stream: true })) {
  last = await (stream as any).finalMessage();
}
assert.equal(said(last), END);
