// A workspace and the official SDK: what a user's test does.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { RefusedError, Server } from "sandtable";
import { CODE, HELLO, ask, folder } from "./support.js";

let server;
let workspace;
let client;

before(async () => (server = await Server.start()));
after(() => server.stop());
beforeEach(() => {
  workspace = server.workspace();
  client = new Anthropic({ ...workspace.options, maxRetries: 0, timeout: 2000 });
});

const hello = () => ask(client, "hello");

test("a script answers and the journal has it", async () => {
  await workspace.scripts.put(HELLO);
  assert.equal((await hello()).content[0].text, "Hello from a script.");
  await assert.rejects(ask(client, "good bye"), Anthropic.BadRequestError);
  const [first, second, ...rest] = await workspace.journal.entries();
  assert.deepEqual([first.status, second.status, rest], [200, 400, []]);
  assert.equal(first.request_body.messages[0].content, "hello");
  assert.equal(first.response_body.content[0].text, "Hello from a script.");
  assert.deepEqual(await workspace.journal.entries({ path: "/v1/mess", status: "4xx" }), [second]);
  assert.deepEqual((await workspace.scripts.list()).map(({ name, used }) => [name, used]), [["rule at line 1", 1]]);
  await workspace.journal.clear();
  assert.deepEqual(await workspace.journal.entries(), []);
});

test("any control call can be made", async () => {
  await workspace.scripts.put(HELLO);
  await hello();
  assert.match(await workspace.call("GET", "metrics"), /sandtable_requests_total/);
  const cassette = await workspace.call("GET", "journal", undefined, { format: "cassette" });
  assert.match(cassette, /^cassette:/);
  assert.equal((await workspace.call("PUT", "cassettes", cassette)).exchanges, 1);
  await assert.rejects(workspace.wait(), /it is not said what is waited for/);
});

test("the journal is read to its end", async () => {
  for (let number = 0; number < 1005; number += 1) {
    await fetch(`${workspace.baseUrl}/v1/files/none`, {
      headers: { "x-api-key": workspace.apiKey, "anthropic-version": "2023-06-01" },
    });
  }
  assert.equal((await workspace.journal.entries()).length, 1005);
});

test("rules are texts, files, and objects", async (t) => {
  const file = path.join(folder(t), "rules.yaml");
  fs.writeFileSync(file, HELLO);
  for (const rules of [HELLO, file, new URL(`file://${file}`)]) {
    await workspace.scripts.put(rules);
    assert.equal((await hello()).content[0].text, "Hello from a script.");
  }
  await workspace.scripts.put({ when: { user: "one" }, then: [{ text: "1" }] });
  await workspace.scripts.add([{ when: { user: "two" }, then: [{ text: "2" }] }]);
  assert.equal((await ask(client, "one")).content[0].text + (await ask(client, "two")).content[0].text, "12");
  await workspace.scripts.clear();
  assert.deepEqual(await workspace.scripts.list(), []);
});

test("a mistake says where, and how to do better", async () => {
  await assert.rejects(workspace.scripts.put("- than: []"), (error) => {
    assert.ok(error instanceof RefusedError && error.status === 400 && error.hint.includes("sandtable docs scripts"));
    assert.match(error.message, /request body:1:3: .*\n.*did you mean `then`\?/);
    return true;
  });
  await assert.rejects(workspace.clock.advance("a while"), /`a while` is no span of time/);
});

test("the clock is moved and stopped", async () => {
  const { clock } = workspace;
  assert.equal((await clock.state()).frozen, false);
  const stood = (await clock.freeze()).getTime();
  assert.equal((await clock.advance("30d")).getTime() - stood, 30 * 86_400_000);
  assert.equal((await clock.advance(250.4)).getTime() - stood, 30 * 86_400_000 + 250);
  assert.deepEqual(await clock.set(new Date("2040-01-02T03:04:05Z")), await clock.now());
  assert.equal((await clock.freeze("2041-01-01T00:00:00Z")).toISOString(), "2041-01-01T00:00:00.000Z");
  await assert.rejects(clock.set("2040-01-01T00:00:00Z"), /only goes forward/);
  await clock.thaw();
  assert.equal((await clock.state()).frozen, false);
  await workspace.reset();
  assert.ok((await clock.now()).getFullYear() < 2040);
});

test("each shorthand of a fault is met by the client", async () => {
  await workspace.scripts.put(HELLO);
  const { faults } = workspace;
  const cases = [
    [await faults.overloaded(), Anthropic.APIError, 529],
    [await faults.serverError(), Anthropic.InternalServerError, 500],
    [await faults.rateLimited({ retryAfter: 7 }), Anthropic.RateLimitError, 429, ["retry-after", "7"]],
    [await faults.rateLimited({ retryAfter: 0.25 }), Anthropic.RateLimitError, 429, ["retry-after-ms", "250"]],
    [await faults.cut(), Anthropic.APIConnectionError],
    [await faults.stall(), Anthropic.APIConnectionTimeoutError],
  ];
  for (const [fault, kind, status, header] of cases) {
    assert.equal(fault.left, 1);
    await assert.rejects(hello(), (error) => {
      assert.ok(error instanceof kind, `${error} is no ${kind.name}`);
      assert.equal(error.status, status);
      if (header) assert.equal(error.headers.get(header[0]), header[1]);
      return true;
    });
  }
  await faults.delay(300);
  await hello();
  assert.ok((await workspace.journal.entries()).at(-1).duration_ms >= 300);
  assert.deepEqual((await faults.list()).map((fault) => fault.fired), [1, 1, 1, 1, 1, 1, 1]);
  await faults.clear();
  await faults.add([{ at: "http", status: 403 }, { at: "http", status: 404, times: "always" }]);
  assert.deepEqual((await faults.list()).map((fault) => fault.left), [1, null]);
});

test("a verdict names what was left over and what was not answered", async () => {
  assert.equal((await workspace.verify()).ok, true);
  await workspace.scripts.put(HELLO);
  await workspace.faults.add({ at: "http", path: "/v1/files", status: 500 });
  await assert.rejects(ask(client, "good bye"), Anthropic.BadRequestError);
  const verdict = await workspace.verify();
  const { ok, unmatched, unused_steps, unused_faults, failed } = verdict;
  assert.deepEqual([ok, unmatched.length, unused_steps.length, unused_faults.length, failed], [false, 1, 1, 1, []]);
  await hello();
  assert.deepEqual((await workspace.verify()).unused_steps, []);
});

test("a stream breaks where it is told to", async () => {
  await workspace.scripts.put(HELLO);
  const drain = async () => {
    for await (const _ of await ask(client, "hello", { stream: true }));
  };
  await workspace.faults.overloaded({ afterEvents: 3 });
  await assert.rejects(drain(), /overloaded_error/);
  await workspace.faults.cut({ afterEvents: 2 });
  await assert.rejects(drain());
  const [broken] = await workspace.journal.entries();
  assert.match(broken.response_body, /event: error\ndata: .*overloaded_error/);
});

describe("with sandboxes", () => {
  test("code really runs, and a month later its container is gone", async (t) => {
    if ((await workspace.call("GET", "health")).backend === "none") return t.skip("the server has no sandboxes");
    const slow = new Anthropic({ ...workspace.options, maxRetries: 0 });
    const prompt = "```bash\necho $((6 * 7)); echo done > $OUTPUT_DIR/note.txt\n```";
    const first = await slow.beta.messages.create({
      model: "claude-opus-4-6",
      max_tokens: 1024,
      tools: [CODE],
      messages: [{ role: "user", content: prompt }],
    });
    const result = first.content[1].content;
    assert.equal(result.stdout, "42\n");
    assert.equal(await (await slow.beta.files.download(result.content[0].file_id)).text(), "done\n");
    const [container] = await workspace.containers.list();
    assert.deepEqual([container.id, container.state], [first.container.id, "awake"]);
    await workspace.containers.sleep(container.id);
    assert.equal((await workspace.containers.list())[0].state, "asleep");
    await workspace.faults.toolError("too_many_requests");
    const failed = await ask(slow, prompt, { tools: [CODE], container: container.id });
    assert.equal(failed.content[1].content.error_code, "too_many_requests");

    await workspace.clock.advance("31d");
    assert.equal((await workspace.containers.list())[0].state, "expired");
    const again = (await ask(slow, prompt, { tools: [CODE] })).container.id;
    await workspace.containers.expire(again);
    const states = Object.fromEntries((await workspace.containers.list()).map((each) => [each.id, each.state]));
    assert.equal(states[again], "expired");
    const usage = await workspace.usage(container.created_at.slice(0, 7));
    assert.ok(usage.container_time.seconds >= 300);
  });
});

test("workspaces do not see each other", async () => {
  const other = server.workspace();
  await other.scripts.put(HELLO);
  await other.faults.overloaded();
  await other.clock.advance("365d");
  assert.deepEqual([await workspace.scripts.list(), await workspace.faults.list()], [[], []]);
  assert.ok((await other.clock.now()) - (await workspace.clock.now()) > 364 * 86_400_000);
});

test("a wait ends when it is so, and a fork goes its own way", async () => {
  await workspace.scripts.put(HELLO);
  assert.equal(await workspace.wait({ requests: 1, timeout: "20ms" }), false);
  await hello();
  assert.equal(await workspace.wait({ requests: 1, path: "/v1/messages", status: "2xx" }), true);
  await assert.rejects(workspace.wait({ event: "boom" }), RefusedError);
  const fork = await workspace.fork();
  const other = new Anthropic({ ...fork.options, maxRetries: 0 });
  assert.equal((await ask(other, "hello")).content[0].text, "Hello from a script.");
  await fork.scripts.clear();
  assert.deepEqual([(await workspace.scripts.list()).length, (await fork.scripts.list()).length], [1, 0]);
});
