// Requests and answers that no SDK of the service makes, and what others do while the page is open.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { clipboard, close, open, serve } from "./harness.mjs";

const OTHER = "sk-ant-other";
const EVENTS = [
  { type: "message_start", message: { model: "claude-opus-4-6", id: "msg_01", type: "message", role: "assistant", content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 3, output_tokens: 1 } } },
  { type: "content_block_start", index: 0, content_block: { type: "compaction", content: null } },
  { type: "content_block_delta", index: 0, delta: { type: "compaction_delta", content: "The user greets." } },
  { type: "content_block_stop", index: 0 },
  { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Hello from afar." } },
  { type: "content_block_stop", index: 1 },
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 3 } },
  { type: "message_stop" },
];

let server;
let page;
before(async () => {
  server = await serve("--backend", "none");
  page = await open(server.url);
  await page.goto(`${server.url}/`);
});
after(async () => {
  const { wrong } = page;
  await close();
  await server.stop();
  assert.deepEqual(wrong, [], "nothing went wrong on the page");
});

const detail = () => page.locator(".detail");
const panel = (name) => page.locator("#nav").getByRole("link", { name, exact: true }).click();
const newest = async (key) => (await server.call("GET", "/_sandtable/journal?limit=1", undefined, { "x-api-key": key })).data[0];

// What `fetch` refuses to send.
const raw = (method, path, headers, body) => new Promise((done, failed) => {
  const sent = request(server.url + path, { method, headers: { "x-api-key": "sk-ant-page-tests", "anthropic-version": "2023-06-01", ...headers } }, (answer) => answer.resume().on("end", done));
  sent.on("error", failed).end(body);
});

test("what is copied as curl is the request, and nothing in it means anything to curl or the shell", async () => {
  const json = { "content-type": "application/json" };
  const requests = [
    ["POST", "/v1/messages", json, "@/etc/hostname"],
    ["POST", "/v1/messages", {}, "no type, it's"],
    ["HEAD", "/v1/files", {}],
    ["GET", "/v1/models?x=[1]&y={a,b}", {}],
    ["GET", "/v1/models", json, '{"a":1}'],
    ["POST", "/v1/messages", json, '{"model":"claude-opus-4-6","max_tokens":9,"top_k":12345678901234567890,"messages":[{"role":"user","content":"$(id) \'`id`\' \\"top_k\\":1"}]}'],
    ["`id`", "/v1/models", {}],
  ];
  for (const [method, path, headers, body] of requests) {
    await raw(method, path, headers, body);
    const asked = await newest("sk-ant-page-tests");
    await page.goto(`${server.url}/_sandtable/#/requests/${asked.id}`);
    await detail().getByText(asked.id).waitFor();
    await page.evaluate(() => navigator.clipboard.writeText(""));
    await detail().getByRole("button", { name: "Copy as curl" }).click();
    let command = "";
    while (command === "") command = await clipboard(page);
    execFileSync("bash", ["-c", command], { env: { ...process.env, ANTHROPIC_API_KEY: OTHER }, timeout: 20_000 });
    const again = await newest(OTHER);
    const told = ({ method, path, query, request_body, request_headers }) => [method, path, query, request_body, request_headers["content-type"]];
    assert.deepEqual(told(again), told(asked), command);
    if (body?.includes("top_k")) {
      assert.ok(command.includes('"top_k":12345678901234567890,'), command);
      await detail().getByRole("button", { name: "Request: Raw" }).click();
      await detail().getByText("12345678901234567890").first().waitFor();
    }
  }
});

test("a stream is read however its lines end, with every kind of delta", async () => {
  for (const [ending, blank] of [["\r\n", " "], ["\n", ""], ["\r", " "]]) {
    const stream = EVENTS.map((event) => `event:${blank}${event.type}${ending}data:${blank}${JSON.stringify(event)}${ending}${ending}`).join("");
    const body = { model: "claude-opus-4-6", max_tokens: 500, messages: [{ role: "user", content: "from afar" }], stream: true };
    const exchange = {
      request: { method: "POST", path: "/v1/messages", headers: { "anthropic-version": "2023-06-01", "content-type": "application/json" }, body: { json: body } },
      response: { status: 200, headers: { "content-type": "text/event-stream; charset=utf-8" }, body: { stream } },
    };
    const cassette = JSON.stringify({ cassette: 1, exchanges: [exchange] });
    const mounted = await server.call("PUT", "/_sandtable/cassettes", cassette, { "content-type": "application/yaml" });
    assert.equal(mounted.error, undefined, JSON.stringify(mounted));
    await server.call("POST", "/v1/messages", body);
    const { id } = await newest("sk-ant-page-tests");
    await page.goto(`${server.url}/_sandtable/#/requests/${id}`);
    await detail().getByText(id).waitFor();
    await detail().getByText("Hello from afar.", { exact: true }).first().waitFor();
    assert.match(await detail().locator(".sides").innerText(), /The user greets\./);
    assert.equal(await detail().locator(".events li").count(), EVENTS.length);
    await server.control("DELETE", "cassettes");
  }
});

test("an item of a batch is not offered as a cassette, which would be empty", async () => {
  const params = { model: "claude-opus-4-6", max_tokens: 9, messages: [{ role: "user", content: "in a batch" }] };
  const batch = await server.call("POST", "/v1/messages/batches", { requests: [{ custom_id: "one", params }] });
  let item;
  while (!item) item = (await server.control("GET", "journal?limit=50")).data.find((entry) => entry.batch?.id === batch.id);
  await page.goto(`${server.url}/_sandtable/#/requests/${item.id}`);
  // What was open before had buttons, too.
  await detail().getByText(item.id, { exact: true }).waitFor();
  assert.equal(await detail().getByRole("button", { name: "Copy as cassette" }).count(), 0);
});

test("each of several texts of rules is edited in its place", async () => {
  await server.control("PUT", "scripts", "rules:\n- name: one\n  when: { user: uno }\n  then: [{ text: eins }]\n");
  await server.control("POST", "scripts", "- name: two\n  when: { user: dos }\n  then: [{ text: zwei }]\n");
  await server.control("POST", "scripts", JSON.stringify([{ name: "three", when: { user: "tres" }, then: [{ text: "drei" }] }]));
  await panel("Scripts");
  const editor = page.locator("#script");
  const choice = page.getByLabel("Text", { exact: true });
  await choice.waitFor();
  assert.match(await editor.inputValue(), /^rules:/);
  await editor.fill("rules: []\n# not loaded\n");
  await choice.selectOption({ index: 1 });
  assert.match(await editor.inputValue(), /^- name: two/);
  await editor.fill("- name: zwei\n  when: { user: dos }\n  then: [{ text: 2 }]\n");
  await page.getByText("No mistake, 1 rule.").waitFor();
  await page.getByRole("button", { name: "Load" }).click();
  await page.locator(".rule").filter({ hasText: "zwei" }).waitFor();
  const { data } = await server.control("GET", "scripts");
  assert.deepEqual(data.map((rule) => `${rule.name}:${rule.line}`), ["one:2", "zwei:1", "three:1"]);
  // What was typed elsewhere waits.
  await choice.selectOption({ index: 0 });
  assert.match(await editor.inputValue(), /not loaded/);
  await page.getByRole("button", { name: "Revert" }).click();
  // Nobody asks anything: what others set is shown all the same.
  await server.control("PUT", "scripts", "- name: alone\n  then: [{ text: hi }]\n");
  await choice.waitFor({ state: "hidden" });
  assert.match(await editor.inputValue(), /^- name: alone/);
});

test("an open container shows what becomes of it elsewhere", async () => {
  await server.control("PUT", "scripts", '- then: [{ bash: "true", result: { stdout: "", return_code: 0 } }, { text: done }]\n');
  const { container } = await server.ask("run it");
  await page.goto(`${server.url}/_sandtable/#/containers/${container.id}`);
  await detail().getByRole("button", { name: "Expire" }).waitFor();
  await server.control("POST", `containers/${container.id}/expire`, "");
  await detail().locator(".s-expired").waitFor();
  assert.equal(await detail().getByRole("button", { name: "Expire" }).isDisabled(), true);
});

test("faults that others set, and a reset, are shown as they happen", async () => {
  await panel("Faults");
  await server.control("POST", "faults", { at: "http", status: 529, name: "by others" });
  await page.locator(".fault").filter({ hasText: "by others" }).waitFor();
  await server.call("POST", "/_sandtable/reset");
  await page.getByText("None is set.").waitFor();
});
