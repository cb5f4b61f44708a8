// What the service refuses: the error class, the status, the text, and whether the SDK tries again.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { client, MODEL, rejects, requests, said, script, user } from "./support.js";

const ask = (text: string, options: object = {}, api: Anthropic = client): any =>
  api.messages.create({ model: MODEL, max_tokens: 64, messages: [user(text)], ...options });

let error = await rejects(Anthropic.AuthenticationError, ask("Hello", {}, new Anthropic({ apiKey: "sk-ant-invalid" })));
assert.equal(error.type, "authentication_error");
error = await rejects(Anthropic.NotFoundError, client.files.retrieveMetadata("file_01nope"));
assert.match(error.message, /File `file_01nope` not found\./);
assert.match(error.requestID, /^req_/);
await rejects(Anthropic.NotFoundError, client.get("/v1/nothing"));
error = await rejects(Anthropic.APIError, ask("x".repeat(33 << 20)));
assert.equal(error.status, 413);
error = await rejects(Anthropic.BadRequestError, ask("Hello", { tools: [{ name: "get_weather" }] }));
assert.match(error.message, /tools\.0\.custom\.input_schema/);
error = await rejects(Anthropic.BadRequestError, ask("Hello", { messages: [] }));
assert.match(error.message, /messages/);

await script(`
- name: greeting
  when: { user: { contains: Good morning } }
  then:
    - text: Good morning.
- name: too many
  when: { user: limited }
  times: 2
  then:
    - http_error: { status: 429, headers: { retry-after: "0.01" } }
- name: enough
  when: { user: limited }
  then:
    - text: Now it is your turn.
- name: down
  when: { user: down }
  then:
    - http_error: 529
`);
// A turn that no rule knows fails at once, and says which rule was near.
let before = (await requests()).length;
error = await rejects(Anthropic.BadRequestError, ask("Hello"));
assert.match(error.message, /greeting[^]*Good morning/);
assert.equal(error.headers.get("x-should-retry"), "false");
assert.equal((await requests()).length, before + 1);

before += 1;
assert.equal(said(await ask("limited")), "Now it is your turn.");
const tries = (await requests()).slice(before);
assert.deepEqual(tries.map((entry) => entry.status), [429, 429, 200]);
assert.deepEqual(tries.map((entry) => entry.request_headers["x-stainless-retry-count"]), ["0", "1", "2"]);
error = await rejects(Anthropic.InternalServerError, ask("down", {}, new Anthropic({ maxRetries: 0 })));
assert.equal(error.status, 529);
assert.equal(error.type, "overloaded_error");

const { data, response, request_id } = await ask("Good morning!").withResponse();
assert.equal(request_id, response.headers.get("request-id"));
assert.equal(data._request_id, request_id);
assert.equal((await requests()).at(-1).id, request_id);
