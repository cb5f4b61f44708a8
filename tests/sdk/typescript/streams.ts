// Streams: what the SDK gathers is the plain answer; they arrive while code runs; they may break off.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { client, CODE, rejects, requests, results, said, script, user } from "./support.js";

await script(`
- name: a bit of everything
  when: { user: everything }
  then:
    - thinking: First a file, then its length.
    - text: I'll make a file.
    - create: { path: a.txt, file_text: "one\\n\\"two\\"\\ttab \\\\ ü\\n" }
    - parallel:
        - bash: wc -l < a.txt
        - bash: 'cp a.txt "$OUTPUT_DIR/copy.txt"; exit 3'
    - text: "Lines: \${{ results[1].stdout | trim }}."
- name: slow
  when: { user: slow }
  then:
    - text: Wait.
    - bash: sleep 2
    - text: Ready.
- name: breaks off
  when: { user: breaks }
  then:
    - http_error: { status: 529, after_events: 5 }
    - text: This goes on for a while, and then it does not go on any longer.
`);

// A model that thinks by itself.
const THINKS = "claude-opus-5";
const options = (text: string) => ({ model: THINKS, max_tokens: 1024, messages: [user(text)], tools: [CODE] });

/** A message without what differs from one request to the next, and without what a stream's end leaves out. */
function shape(message: any): any {
  const numbers = new Map<string, string>();
  const plain = (value: any): any => {
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value === "string" && /^(msg|container|srvtoolu|file)_/.test(value)) {
      if (!numbers.has(value)) numbers.set(value, `${value.split("_")[0]}_${numbers.size}`);
      return numbers.get(value);
    }
    if (value === null || typeof value !== "object") return value;
    const kept = Object.keys(value).filter((key) => value[key] != null && !["expires_at", "parsed_output"].includes(key));
    return Object.fromEntries(kept.sort().map((key) => [key, plain(value[key])]));
  };
  const { cache_creation, service_tier, inference_geo, ...usage } = message.usage;
  return plain({ ...message, usage });
}

const plain = await client.messages.create(options("everything"));
assert.equal(said(plain), "I'll make a file.\nLines: 2.");
assert.equal(results(plain)[2].return_code, 3);
for (const namespace of [client.messages, client.beta.messages]) {
  const gathered = await namespace.stream(options("everything")).finalMessage();
  assert.deepEqual(shape(gathered), shape(plain));
}

// Raw events: contiguous indices, the container at the end alone.
const events: any[] = [];
for await (const event of await client.messages.create({ ...options("everything"), stream: true })) events.push(event);
const starts = events.filter((event) => event.type === "content_block_start");
assert.deepEqual(starts.map((event) => event.index), starts.map((_, index) => index));
assert.equal(events[0].message.container, undefined);
assert.match(events.find((event) => event.type === "message_delta").delta.container.id, /^container_/);
assert.equal(events.at(-1).type, "message_stop");

// The first words are there while the code still runs.
const slow = client.messages.stream(options("slow"));
let began = 0;
slow.on("text", () => (began ||= Date.now()));
assert.equal(said(await slow.finalMessage()), "Wait.\nReady.");
assert.ok(Date.now() - began > 1500, "the first text came together with the end");

// An error after the stream has begun: no status, a type, no second try.
const before = (await requests()).length;
const error = await rejects(Anthropic.APIError, client.messages.stream(options("breaks")).finalMessage());
assert.equal(error.status, undefined);
assert.equal(error.type, "overloaded_error");
assert.equal((await requests()).length, before + 1);

// A client that leaves early harms nobody.
const left = client.messages.stream(options("slow"));
await left.emitted("streamEvent");
left.abort();
await rejects(Anthropic.APIUserAbortError, left.done());
assert.equal(said(await client.messages.create(options("everything"))), said(plain));
