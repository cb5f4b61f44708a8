// The AI SDK: what its functions make of texts, streams, tools, code, containers, and errors.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic, forwardAnthropicContainerIdFromLastStep } from "@ai-sdk/anthropic";
import { APICallError, RetryError, generateText, stepCountIs, streamText, tool, type ModelMessage } from "ai";
import { z } from "zod";
import { bytesOf, control, MODEL, rejects, requests } from "./support.js";

const api = new Anthropic();
// Its base URL has the version in it.
const provider = createAnthropic({ baseURL: `${process.env.ANTHROPIC_BASE_URL}/v1` });
const model = provider(MODEL);
const code = { code_execution: provider.tools.codeExecution_20250825() };
const weather = {
  get_weather: tool({
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `-4 degrees in ${city}`,
  }),
};

const asked = (...texts: Array<string | ModelMessage[]>): ModelMessage[] =>
  texts.flatMap((text) => (typeof text === "string" ? [{ role: "user", content: text } as const] : text));
const within = (id?: string) => (id === undefined ? {} : { providerOptions: { anthropic: { container: { id } } } });
const read = (messages: ModelMessage[], id?: string, more: object = {}) =>
  generateText({ model, messages, tools: code, ...within(id), ...more });

type Metadata = Awaited<ReturnType<typeof read>>["providerMetadata"];
const container = (metadata: Metadata): string | undefined => (metadata?.anthropic?.container as any)?.id;
/** What the code that ran has returned. */
const returned = (content: any[]): any[] =>
  content.filter((part) => part.type === "tool-result" && part.providerExecuted).map((part) => part.output);

// A text, plain and in pieces.
const greeting = await generateText({ model, prompt: "Greet me" });
assert.equal(greeting.text, "Hello from a script.");
assert.equal(greeting.finishReason, "stop");
assert.ok(greeting.usage.outputTokens! > 0);
const pieces: string[] = [];
for await (const piece of streamText({ model, prompt: "Greet me" }).textStream) pieces.push(piece);
assert.equal(pieces.join(""), greeting.text);
assert.ok(pieces.length > 1);

// A tool of the client's, by the library's own loop.
const loop = await generateText({
  model,
  prompt: "How is the weather in Oslo?",
  tools: weather,
  stopWhen: stepCountIs(3),
});
assert.equal(loop.text, "They say: -4 degrees in Oslo");
assert.deepEqual(loop.steps.map((step) => step.finishReason), ["tool-calls", "stop"]);

// Code runs, and its file comes back, plain and streamed.
const made = await generateText({ model, prompt: "Write a table", tools: code });
assert.equal(made.text, "I'll write it.It has 2 lines.");
const [result] = returned(made.content);
assert.equal(result.stdout, "2\n");
assert.equal(result.return_code, 0);
const [file] = result.content;
assert.equal((await bytesOf(api.beta.files.download(file.file_id))).toString(), "region,revenue\nharbor,450\n");
const streamed = streamText({ model, prompt: "Write a table", tools: code });
const parts = [];
for await (const part of streamed.fullStream) parts.push(part);
assert.equal(returned(parts)[0].stdout, "2\n");
assert.equal(parts.at(-1)!.type, "finish");
assert.notEqual(container(await streamed.providerMetadata), container(made.providerMetadata));

// The next question finds what the first left, if the client sends the container.
for (const kept of [made, { response: await streamed.response, providerMetadata: await streamed.providerMetadata }]) {
  const id = container(kept.providerMetadata);
  assert.match(id!, /^container_/);
  const found = await read(asked("Write a table", kept.response.messages, "Read the table"), id);
  assert.equal(found.text, "It says: region,revenue\nharbor,450");
  assert.equal(container(found.providerMetadata), id);
}
// Between the steps of one loop the library hands it on.
const both = await generateText({
  model,
  prompt: "Do both",
  tools: { ...code, ...weather },
  stopWhen: stepCountIs(5),
  prepareStep: forwardAnthropicContainerIdFromLastStep,
});
assert.equal(both.text, "Both: -4 degrees in Oslo, kept");

// The container is over: the code is told so, and a request without it gets a new one.
const gone = container(made.providerMetadata)!;
await control("POST", `containers/${gone}/expire`);
const late = await read(asked("Read the table"), gone);
assert.deepEqual(returned(late.content), [
  { type: "bash_code_execution_tool_result_error", error_code: "container_expired" },
]);
assert.equal(late.text, "The container is gone: container_expired");
assert.equal(container(late.providerMetadata), undefined);
const fresh = await read(asked("Read the table", late.response.messages, "Read the table"));
assert.match(fresh.text, /No such file/);
assert.notEqual(container(fresh.providerMetadata), gone);
await control("PUT", "quirks", { "expired-container": "server-error" });
let error = await rejects(APICallError, read(asked("Read the table"), gone, { maxRetries: 0 }));
assert.equal(error.statusCode, 500);
assert.equal(error.data.error.type, "api_error");

// Overloaded: in a stream for good, before it the library tries as often as it is told to.
await control("POST", "faults", { at: "stream", after_events: 4, type: "overloaded_error" });
const told: unknown[] = [];
const broken = streamText({ model, prompt: "Greet me", onError: ({ error }) => void told.push(error) });
const got: string[] = [];
for await (const piece of broken.textStream) got.push(piece);
assert.deepEqual(got, ["Hello from a"]);
assert.deepEqual(told, [{ type: "overloaded_error", message: "Overloaded" }]);
const busy = { at: "http", status: 529, headers: { "retry-after-ms": "1" } };
await control("POST", "faults", { ...busy, times: 2 });
assert.equal((await generateText({ model, prompt: "Greet me" })).text, greeting.text);
const statuses = (await requests()).slice(-3).map((entry) => entry.status);
assert.deepEqual(statuses, [529, 529, 200]);
await control("POST", "faults", { ...busy, times: 3 });
error = await rejects(RetryError, generateText({ model, prompt: "Greet me" }));
assert.equal(error.lastError.statusCode, 529);
assert.equal(error.lastError.message, "Overloaded");
