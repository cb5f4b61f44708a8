// Client tools: answered by hand, mixed with server tools, and by the SDK's own runner.

import assert from "node:assert/strict";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { client, CODE, kinds, MODEL, requests, results, said, script, user } from "./support.js";

await script(`
- name: weather
  when: { tools: get_weather, user: { regex: 'weather in (?P<city>\\w+)' } }
  then:
    - text: I'll ask.
    - tool_use: { name: get_weather, input: { city: "\${{ captures.city }}" } }
      capture: { degrees: '-?\\d+' }
    - bash: 'echo "\${{ captures.degrees }} * 2" | bc > twice.txt; cat twice.txt'
    - tool_use: { name: get_weather, input: { city: Elsewhere } }
    - text: "Twice as warm: \${{ results[1].stdout | trim }}. Elsewhere: \${{ last.stdout }}"
- name: mixed
  when: { tools: get_weather, user: mixed }
  then:
    - parallel:
        - bash: echo from the server
        - tool_use: { name: get_weather, input: { city: Oslo } }
    - text: "\${{ results[0].stdout | trim }}, \${{ results[1].stdout }}"
- name: pauses
  when: { user: pauses }
  then:
    - bash: echo kept > half.txt
    - pause_turn
    - bash: cat half.txt
    - text: Second half.
`);

const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
} as const;
const weatherOf = (city: string) => (city === "Oslo" ? "-4 degrees" : "9 degrees");
const tools = [CODE, { name: "get_weather", description: "The weather of a city.", input_schema: schema }] as any[];
const end = "Twice as warm: -8. Elsewhere: 9 degrees";

/** The loop that clients write. */
async function byHand(text: string): Promise<any[]> {
  const messages: any[] = [user(text)];
  const seen: any[] = [];
  let container: string | undefined;
  for (;;) {
    const message = await client.messages.create({ model: MODEL, max_tokens: 1024, messages, tools, container });
    seen.push(message);
    messages.push({ role: "assistant", content: message.content });
    container = message.container?.id ?? container;
    if (message.stop_reason === "tool_use") {
      const calls = message.content.filter((block) => block.type === "tool_use");
      const answer = ({ id, input }: any) => ({ type: "tool_result", tool_use_id: id, content: weatherOf(input.city) });
      messages.push(user(calls.map(answer)));
    } else if (message.stop_reason !== "pause_turn") {
      return seen;
    }
  }
}

const weather = await byHand("How is the weather in Oslo?");
assert.deepEqual(weather.map(kinds), [
  ["text", "tool_use"],
  ["server_tool_use", "bash_code_execution_tool_result", "tool_use"],
  ["text"],
]);
assert.equal(said(weather[2]), end);
const [asked, answered] = await byHand("mixed");
assert.deepEqual(kinds(asked), ["server_tool_use", "tool_use"]);
assert.deepEqual(kinds(answered), ["bash_code_execution_tool_result", "text"]);
assert.equal(said(answered), "from the server, -4 degrees");
const pauses = await byHand("pauses");
assert.deepEqual(pauses.map((message) => message.stop_reason), ["pause_turn", "end_turn"]);
assert.equal(results(pauses[1])[0].stdout, "kept\n");

// The runner sends a thread: later requests bring what is new alone, and none is refused.
const runner = (text: string, options: object = {}) =>
  client.beta.messages.toolRunner({
    model: MODEL,
    max_tokens: 1024,
    messages: [user(text)],
    tools: [
      CODE,
      betaTool({
        name: "get_weather",
        description: "The weather of a city.",
        inputSchema: schema,
        run: ({ city }) => weatherOf(city),
      }),
    ],
    ...options,
  });
const before = (await requests()).length;
assert.equal(said(await runner("How is the weather in Oslo?").runUntilDone()), end);
const entries = (await requests()).slice(before);
assert.deepEqual(entries.map((entry) => entry.status), [200, 200, 200]);
assert.deepEqual(entries.map((entry) => entry.request_body.thread.type), ["create", "continue", "continue"]);
assert.deepEqual(entries.map((entry) => entry.request_body.messages.length), [1, 1, 1]);
assert.ok(entries.slice(1).every(({ request_body: body }) => body.tools === undefined));
assert.equal(said(await runner("mixed").runUntilDone()), "from the server, -4 degrees");
assert.equal(said(await runner("pauses").runUntilDone()), "Second half.");
let last: any;
for await (const stream of runner("How is the weather in Oslo?", { stream: true })) {
  last = await (stream as any).finalMessage();
}
assert.equal(said(last), end);
