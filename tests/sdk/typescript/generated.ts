// Generated conversations, plain and streamed: the SDK reads each without an error and to the same messages.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";

import { control, script, user } from "./support.ts";

const PLACE = { type: "object", properties: { place: { type: "string" } }, required: ["place"] };
const REQUEST: any = {
  model: "claude-opus-5-5",
  max_tokens: 4096,
  betas: [
    "advisor-tool-2026-03-01",
    "mcp-client-2025-11-20",
    "compact-2026-01-12",
    "server-side-fallback-2026-07-01",
    "context-management-2025-06-27",
  ],
  stop_sequences: ["END"],
  thinking: { type: "adaptive", display: "summarized" },
  mcp_servers: [{ type: "url", url: "https://echo.example/mcp", name: "echo" }],
  tools: [
    { type: "code_execution_20260120", name: "code_execution" },
    { type: "web_search_20250305", name: "web_search" },
    { type: "web_fetch_20250910", name: "web_fetch" },
    { type: "tool_search_tool_regex_20251119", name: "tool_search_tool_regex" },
    { name: "later", defer_loading: true, input_schema: PLACE },
    { name: "weather", input_schema: PLACE },
    { type: "advisor_20260301", name: "advisor", model: "claude-fable-5" },
    { type: "mcp_toolset", mcp_server_name: "echo" },
  ],
  context_management: { edits: [{ type: "clear_tool_uses_20250919" }, { type: "compact_20260112" }] },
  fallbacks: [{ model: "claude-opus-4-8" }],
};
const ID = /(msg|toolu|srvtoolu|mcptoolu|file|container)_01[1-9A-HJ-NP-Za-km-z]{22}/g;
const api = new Anthropic({ maxRetries: 0 });

type Way = (messages: any[]) => Promise<any>;
const create: Way = (messages) => api.beta.messages.create({ ...REQUEST, messages });
const stream: Way = (messages) => api.beta.messages.stream({ ...REQUEST, messages }).finalMessage();

/** All answers of one conversation, pauses gone on with and calls answered. */
async function converse(way: Way): Promise<any[]> {
  let messages: any[] = [user("go")];
  const answers: any[] = [];
  for (;;) {
    const answer = await way(messages);
    answers.push(answer);
    let back: any[] = [];
    if (answer.stop_reason === "tool_use") {
      const calls = answer.content.filter((block: any) => block.type === "tool_use");
      back = [user(calls.map((call: any) => ({ type: "tool_result", tool_use_id: call.id, content: "done" })))];
    } else if (answer.stop_reason !== "pause_turn") {
      return answers;
    }
    messages = [...messages, { role: "assistant", content: answer.content }, ...back];
  }
}

/** The answers as JSON, with ids by their order, and without what no client knows. */
function told(answers: any[]): string {
  const ids = new Map<string, string>();
  return JSON.stringify(answers.map(known)).replace(ID, (id, kind) => {
    if (!ids.has(id)) ids.set(id, `${kind}_${ids.size}`);
    return ids.get(id)!;
  });
}

function known(value: any): any {
  if (Array.isArray(value)) return value.map(known);
  if (value === null || typeof value !== "object") return value;
  const members = Object.keys(value)
    .filter((key) => !["sandtable_unknown", "expires_at", "parsed_output"].includes(key) && value[key] != null)
    .sort()
    .map((key) => [key, known(value[key])]);
  return Object.fromEntries(members);
}

await control("POST", "clock", { freeze: true });
const cases = JSON.parse(readFileSync("given.json", "utf8"));
assert.equal(cases.length, 200);
for (const [number, each] of cases.entries()) {
  await script(each.script);
  const came: any[][] = [];
  for (const way of [create, stream]) {
    await control("DELETE", "faults");
    await control("POST", "faults", each.faults);
    try {
      came.push(await converse(way));
    } catch (error) {
      throw new Error(`case ${number}, ${came.length}: ${error}\n${JSON.stringify(each)}`, { cause: error });
    }
  }
  assert.equal(told(came[1]), told(came[0]), `case ${number}: ${JSON.stringify(each.faults)}`);
  const last = came[1].at(-1);
  const texts = last.content.filter((block: any) => block.type === "text").map((block: any) => block.text);
  if (each.ends_well) {
    assert.ok(["end_turn", "stop_sequence"].includes(last.stop_reason), `case ${number}: ${last.stop_reason}`);
    if (each.says !== "") assert.equal(texts.at(-1), each.says, `case ${number}`);
  }
}
