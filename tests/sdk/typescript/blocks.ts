// What the service does itself beside code: every block by script, plain and streamed, through the SDK's types, and back.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { client, kinds, rejects, said, script, user } from "./support.js";

const MODEL = "claude-opus-5-5";
const betas = [
  "advisor-tool-2026-03-01",
  "mcp-client-2025-11-20",
  "compact-2026-01-12",
  "server-side-fallback-2026-07-01",
  "context-management-2025-06-27",
];
const SEARCH = { type: "tool_search_tool_bm25_20251119", name: "tool_search_tool_bm25" } as const;
const WEATHER = {
  name: "get_weather",
  description: "The weather of a place",
  defer_loading: true,
  input_schema: { type: "object" as const },
};

await script(`
- name: all
  when: { user: all }
  then:
    - compaction: They greet.
    - tool_search: what is the weather
    - advisor: Ship it.
    - mcp_tool_use: { server: echo, name: say, input: { message: hi }, text: "Tool echo: hi" }
    - fallback: claude-opus-4-8
    - applied_edits: [{ type: clear_thinking_20251015, cleared_thinking_turns: 1, cleared_input_tokens: 9 }]
    - text: "\${{ results[0].stdout }}"
- name: own
  when: { user: own }
  then:
    - tool_use: code_execution
    - text: "\${{ last.stdout }}"
`);

const request = (text: string, messages: any[] = [], options: object = {}): any => ({
  model: MODEL,
  max_tokens: 1024,
  messages: [user(text), ...messages],
  betas,
  mcp_servers: [{ type: "url", url: "https://echo.example/mcp", name: "echo" }],
  tools: [
    SEARCH,
    WEATHER,
    { type: "advisor_20260301", name: "advisor", model: "claude-fable-5" },
    // A tool of the client that is called like one of the service.
    { name: "code_execution", input_schema: { type: "object" } },
    { type: "mcp_toolset", mcp_server_name: "echo" },
  ],
  context_management: { edits: [{ type: "compact_20260112" }] },
  fallbacks: [{ model: "claude-opus-4-8" }],
  ...options,
});

const create = (text: string, messages: any[] = []): Promise<any> => client.beta.messages.create(request(text, messages));

async function stream(text: string, messages: any[] = []): Promise<any> {
  const events = client.beta.messages.stream(request(text, messages));
  const summaries: string[] = [];
  events.on("compaction", (content) => summaries.push(content));
  const message = await events.finalMessage();
  if (text === "all" && messages.length === 0) assert.deepEqual(summaries, ["They greet."]);
  return message;
}

for (const way of [create, stream]) {
  const answer = await way("all");
  assert.deepEqual(kinds(answer), [
    "compaction",
    "server_tool_use",
    "tool_search_tool_result",
    "server_tool_use",
    "advisor_tool_result",
    "mcp_tool_use",
    "mcp_tool_result",
    "fallback",
    "text",
  ]);
  const [compaction, search, found, , advice, call, heard, fallback] = answer.content;
  assert.equal(compaction.content, "They greet.");
  assert.deepEqual([search.name, search.input], ["tool_search_tool_bm25", { query: "what is the weather" }]);
  assert.equal(found.content.tool_references[0].tool_name, "get_weather");
  assert.deepEqual(advice.content, { type: "advisor_result", text: "Ship it." });
  assert.deepEqual([call.server_name, call.input], ["echo", { message: "hi" }]);
  assert.equal(heard.content[0].text, "Tool echo: hi");
  assert.deepEqual([fallback.from.model, fallback.to.model], [MODEL, "claude-opus-4-8"]);
  assert.equal(said(answer), "get_weather");
  assert.equal(answer.model, "claude-opus-4-8");
  assert.equal(answer.context_management.applied_edits[0].cleared_thinking_turns, 1);
  assert.equal(answer.usage.iterations.at(-1).type, "fallback_message");

  const history = [{ role: "assistant", content: answer.content }, user("own")];
  const first = await way("all", history);
  assert.deepEqual([kinds(first), first.content[0].name], [["tool_use"], "code_execution"]);
  const result = { type: "tool_result", tool_use_id: first.content[0].id, content: "ran" };
  const last = await way("all", [...history, { role: "assistant", content: first.content }, user([result])]);
  assert.equal(said(last), "ran");
}

const error = await rejects(
  Anthropic.BadRequestError,
  client.beta.messages.create(request("all", [], { tools: [SEARCH, WEATHER] })),
);
assert.match(error.message, /MCP server 'echo' is defined but not referenced by any `mcp_toolset` in `tools`\./);
