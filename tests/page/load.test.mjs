// Many requests, and many events: the page keeps answering and its memory stays bounded.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { close, open, serve } from "./harness.mjs";

let server;
before(async () => { server = await serve(); });
after(async () => {
  await close();
  await server.stop();
});

// How long a frame takes to come, at worst of several.
const slowest = (page) => page.evaluate(async () => {
  let worst = 0;
  for (let round = 0; round < 20; round += 1) {
    const began = performance.now();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    worst = Math.max(worst, performance.now() - began);
  }
  return worst;
});

test("five hundred real requests appear while they come, and only some are in the document", async () => {
  const page = await open(server.url);
  await page.goto(`${server.url}/_sandtable/`);
  await page.getByText("Waiting for the first request").waitFor();
  const one = async () => {
    for (let round = 0; round < 50; round += 1) await server.call("GET", "/v1/models?limit=1");
  };
  const all = Promise.all(Array.from({ length: 10 }, one));
  await page.locator(".vrow").first().waitFor();
  await all;
  await page.getByText("500 requests").waitFor();
  assert.ok((await page.locator(".vrow").count()) < 60);
  assert.equal(await page.locator(".vrow").first().getAttribute("aria-setsize"), "500");
  assert.deepEqual(page.wrong, []);
});

// The real server's page with an endless timeline and a stream of events that no test machine makes by itself.
function busy(behind) {
  const row = (n) => ({ n, id: `req_${n}`, at: "2030-01-02T03:04:05.000000Z", method: "POST", path: "/v1/messages", status: 200, ms: 3, source: "rule", lints: 0, left: false, batch: null, faults: 0, stream: false, model: "m", said: `question ${n}`, turn: 1, thread: `t${n % 5000}` });
  const state = { told: 0, until: 120_000 };
  const answer = (response, value) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  const front = http.createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/_sandtable/workspaces") return answer(response, { data: [{ name: "wrkspc_busy", id: "wrkspc_busy", now: "2030-01-02T03:04:05Z" }] });
    if (url.pathname === "/_sandtable/page/timeline") {
      const after = Number(url.searchParams.get("after") ?? "-1");
      const length = Math.max(0, Math.min(Number(url.searchParams.get("limit")), state.until - after - 1));
      const rows = Array.from({ length }, (_, at) => row(after + 1 + at));
      return answer(response, { data: url.searchParams.has("after") ? rows : rows.reverse(), kept: 1 });
    }
    if (url.pathname === "/_sandtable/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const frame = `event: request_ended\ndata: ${JSON.stringify({ type: "request_ended", workspace: "wrkspc_busy", request_id: "req_1", method: "POST", path: "/v1/messages", status: 200, duration_ms: 3, source: "rule", lints: [] })}\n\n`.repeat(200);
      // As many as are due by the clock, however late the timer comes.
      const began = Date.now();
      let sent = 0;
      const timer = setInterval(() => {
        for (const due = Date.now() - began; sent < due * 10 && response.writableLength < 8_000_000; sent += 200) response.write(frame);
        state.told = sent;
      }, 20);
      request.on("close", () => clearInterval(timer));
      return undefined;
    }
    const onward = http.request(behind + request.url, { method: request.method, headers: { ...request.headers, host: new URL(behind).host } }, (got) => {
      response.writeHead(got.statusCode, got.headers);
      got.pipe(response);
    });
    request.pipe(onward);
    return undefined;
  });
  return { front, state };
}

test("a hundred thousand rows and ten thousand events a second leave the page quick and bounded", async () => {
  const { front, state } = busy(server.url);
  await new Promise((done) => front.listen(0, "127.0.0.1", done));
  try {
    const url = `http://127.0.0.1:${front.address().port}`;
    const page = await open(url);
    await page.goto(`${url}/_sandtable/`);
    await page.locator(".vrow").filter({ hasText: "question 119999" }).waitFor({ timeout: 60_000 });
    await page.getByText("100,000 requests").waitFor();
    const told = state.told;
    const began = Date.now();
    const worst = await slowest(page);
    const list = page.getByRole("listbox");
    await list.focus();
    await page.keyboard.press("End");
    await page.waitForFunction(() => document.querySelector('.vrow[aria-posinset="100000"]'));
    await page.keyboard.press("Home");
    await page.waitForFunction(() => document.querySelector('.vrow[aria-posinset="1"][aria-selected="true"]'));
    await page.locator("#filter").fill("question 119999");
    await page.waitForFunction(() => document.querySelectorAll(".vrow").length === 1);
    await page.locator("#filter").fill("");
    await page.getByRole("button", { name: "Conversations" }).click();
    await page.locator(".vrow.head").first().waitFor();
    const rate = ((state.told - told) / (Date.now() - began)) * 1000;
    assert.ok(rate > 5000, `${rate} events a second came`);
    assert.ok(worst < 1000, `a frame took ${worst} ms`);
    assert.ok((await page.locator(".vrow").count()) < 60);
    const heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
    assert.ok(heap < 300_000_000, `${heap} bytes`);
    console.log(`# ${Math.round(rate)} events a second, slowest frame ${Math.round(worst)} ms, heap ${Math.round(heap / 1e6)} MB`);
  } finally {
    front.closeAllConnections();
    front.close();
  }
});
