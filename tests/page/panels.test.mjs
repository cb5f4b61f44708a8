// Each panel does what it says, against a real server with real containers.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { bash, clipboard, close, open, serve } from "./harness.mjs";

const RULES = `- name: lunch
  when: { user: { contains: lunch } }
  then:
    - text: Let me look.
    - bash: echo soup; echo careful >&2
      expect: { return_code: 0 }
    - text: "It is \${{ last.stdout | trim }}."
- name: supper
  when: { user: { contains: supper }, tools: code_execution }
  then:
    - text: Later.
`;

const PLOT = `import base64, csv, os
out = os.environ["OUTPUT_DIR"]
png = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFUlEQVR4nGNcFeXDwMDAxMDAwMDAAAANHwEHJs8yHwAAAABJRU5ErkJggg=="
open(out + "/dot.png", "wb").write(base64.b64decode(png))
with open(out + "/sales.csv", "w") as f:
    csv.writer(f).writerows([["month", "sales"], ["Jan", 12], ["Feb", 19]])
print("done")`;

let server;
let page;
before(async () => {
  server = await serve();
  page = await open(server.url);
  await page.goto(`${server.url}/`);
});
after(async () => {
  const { wrong } = page;
  await close();
  await server.stop();
  assert.deepEqual(wrong, [], "nothing went wrong on the page");
});

const panel = (name) => page.locator("#nav").getByRole("link", { name, exact: true }).click();
const row = (text) => page.getByRole("option").filter({ hasText: text }).first();
const detail = () => page.locator(".detail");

test("the server's address leads a browser to the page, which says how to begin", async () => {
  assert.equal(new URL(page.url()).pathname, "/_sandtable/");
  await page.getByText("Waiting for the first request").waitFor();
  assert.match(await page.locator(".welcome pre").innerText(), new RegExp(`ANTHROPIC_BASE_URL=${server.url}`));
});

test("a request appears as it is made", async () => {
  await server.ask(bash("echo first; echo second >&2; exit 3"));
  await row("echo first").waitFor();
  await row("echo first").click();
  await detail().getByText("exit 3", { exact: true }).waitFor();
  assert.equal((await detail().locator(".out.stdout pre").innerText()).trim(), "first");
  assert.equal((await detail().locator(".out.stderr pre").innerText()).trim(), "second");
});

test("a click opens the row that the pointer went down on, whatever comes above it meanwhile", async () => {
  const box = await row("echo first").boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await row("echo first").click();
  await server.ask("one that comes first");
  await row("one that comes first").click();
  await page.mouse.move(x, y + box.height);
  await page.mouse.down();
  await server.ask("one that comes meanwhile");
  await row("one that comes meanwhile").waitFor();
  await page.mouse.up();
  const chosen = page.locator('.vrow[aria-selected="true"]');
  await chosen.filter({ hasText: "echo first" }).waitFor();
  await detail().getByText("exit 3", { exact: true }).waitFor();
  // A drag over rows opens none.
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x, y + 2 * box.height);
  await page.mouse.up();
  assert.match(await chosen.innerText(), /echo first/);
});

test("a streamed turn shows its blocks, events with times, cost, rule, and steps", async () => {
  await server.control("PUT", "scripts", RULES);
  await server.ask("What is for lunch?", { stream: true });
  await row("What is for lunch?").click();
  await detail().getByText("It is soup.", { exact: true }).waitFor();
  const facts = await detail().locator(".facts").innerText();
  for (const wanted of [/lunch request body:1/, /text:4, bash:5, text:7/, /\d+ in, \d+ out/, /\$0\.\d+/, /claude-opus-4-6/, /end_turn/]) assert.match(facts, wanted);
  assert.equal(await detail().locator("pre .t-v, pre .t-k, pre .t-s").count() > 0, true, "the command is coloured");
  assert.equal((await detail().locator(".events li").count()) > 10, true);
  const times = await detail().locator(".events .at").allInnerTexts();
  assert.ok(times.every((time) => /^[\d.]+ (ms|s)$/.test(time)), String(times));
  assert.equal(await detail().locator(".axis rect").count(), times.length);
});

test("output files are shown as pictures and tables", async () => {
  await server.control("DELETE", "scripts");
  await server.ask(`\`\`\`python\n${PLOT}\n\`\`\``);
  await row("import base64").click();
  const picture = detail().locator("img.picture");
  await picture.waitFor();
  assert.equal(await picture.evaluate(async (image) => (await image.decode(), image.naturalWidth)), 2);
  await detail().locator("table").waitFor();
  assert.equal(await detail().locator("table").innerText(), "month\tsales\nJan\t12\nFeb\t19");
  const [saved] = await Promise.all([page.waitForEvent("download"), detail().locator(".file").filter({ hasText: "sales.csv" }).getByRole("button", { name: "Download" }).click()]);
  assert.equal(saved.suggestedFilename(), "sales.csv");
});

test("a request is copied as curl, cassette, and script rule, and each of them works", async () => {
  await row("echo first").click();
  await detail().getByText("exit 3", { exact: true }).waitFor();
  const take = async (name) => {
    await detail().getByRole("button", { name }).click();
    // The note of the copy before may still be there.
    await page.locator(".note.shown").filter({ hasText: name.slice("Copy as ".length) }).filter({ hasText: "copied" }).waitFor();
    return clipboard(page);
  };
  const command = await take("Copy as curl");
  const answer = JSON.parse(execFileSync("bash", ["-c", command], { env: { ...process.env, ANTHROPIC_API_KEY: "sk-ant-other" } }));
  assert.equal(answer.content[1].content.return_code, 3);
  assert.match(await take("Copy as cassette"), /^sandtable_cassette: |^# |cassette/m);
  const rule = await take("Copy as script rule");
  assert.match(rule, /- bash: .*\n? *.*echo first; echo second >&2; exit 3/);
  await server.control("PUT", "scripts", rule);
  const again = await server.ask(bash("echo first; echo second >&2; exit 3"));
  assert.equal(again.content.find((block) => block.type.endsWith("result")).content.stdout, "first\n");
});

test("why a turn did not match is three clicks away", async () => {
  await server.control("PUT", "scripts", RULES);
  await server.ask("What is for dinner?");
  await panel("Requests");
  await row("What is for dinner?").click();
  const why = detail().getByRole("region", { name: "Why it failed" });
  await why.waitFor();
  const text = await why.innerText();
  for (const wanted of ["No rule matched", "lunch", "text containing `lunch`", "What is for dinner?", "request body:2", "supper", "1 of 2 clauses hold"]) assert.ok(text.includes(wanted), `${wanted} in ${text}`);
});

test("a recording that does not fit is told with its differences", async () => {
  await panel("Requests");
  await row("What is for lunch?").click();
  await detail().locator(".facts").getByText("lunch", { exact: true }).waitFor();
  await detail().getByRole("button", { name: "Copy as cassette" }).click();
  await page.locator(".note.shown").filter({ hasText: "Cassette copied" }).waitFor();
  const mounted = await server.call("PUT", "/_sandtable/cassettes", await clipboard(page), { "content-type": "application/yaml" });
  assert.equal(mounted.error, undefined);
  await server.ask("What is for lunch?", { stream: true, max_tokens: 77 });
  await page.locator(".vrow").filter({ hasText: "What is for lunch?" }).filter({ hasText: "400" }).first().click();
  const why = detail().getByRole("region", { name: "Why it failed" });
  await why.getByText("No recording matched").waitFor();
  assert.match(await why.locator(".clause").innerText(), /body\.max_tokens\s+recorded\s+2048\s+sent\s+77/);
  await server.control("DELETE", "cassettes");
});

test("a conversation's turns stand together", async () => {
  const history = [{ role: "user", content: "first lunch" }, { role: "assistant", content: "Soup." }, { role: "user", content: "second lunch" }];
  await server.ask("first lunch");
  await server.ask(undefined, { messages: history });
  await row("second lunch").waitFor();
  await page.getByRole("button", { name: "Conversations" }).click();
  const head = page.locator(".vrow.head").filter({ hasText: "second lunch" });
  await head.waitFor();
  assert.match(await head.innerText(), /2 turns/);
  await page.getByRole("button", { name: "Conversations" }).click();
});

test("the filter finds by words and by kind", async () => {
  await page.locator("#filter").fill("dinner");
  await page.waitForFunction(() => document.querySelectorAll(".vrow").length === 1);
  await page.locator("#filter").fill("");
  // What no rule answers, and what no recording does.
  await page.getByLabel("Kind of request").selectOption("unmatched");
  await page.waitForFunction(() => document.querySelectorAll(".vrow").length === 2);
  const unmatched = await page.locator(".vrow").allInnerTexts();
  assert.match(unmatched[0], /lunch[^]*no answer/);
  assert.match(unmatched[1], /dinner[^]*no answer/);
  await page.getByLabel("Kind of request").selectOption("all");
});

test("containers show their state, sleep, and expire", async () => {
  const { container } = await server.ask("lunch once more");
  await panel("Containers");
  const card = page.locator(".card").filter({ hasText: container.id });
  await card.click();
  await detail().getByRole("heading", { name: container.id }).waitFor();
  await detail().getByRole("button", { name: "Sleep" }).click();
  await card.filter({ hasText: "asleep" }).waitFor();
  await detail().locator(".s-asleep").waitFor();
  await detail().getByRole("button", { name: "Expire" }).click();
  await card.filter({ hasText: "expired" }).waitFor();
  const listed = (await server.control("GET", "containers")).data.find((one) => one.id === container.id);
  assert.equal(listed.state, "expired");
});

test("a container's files are listed, looked into, and read again after it slept", async () => {
  const { container } = await server.ask("lunch in a box");
  const listed = await server.control("GET", `containers/${container.id}/files`);
  await page.goto(`${server.url}/_sandtable/#/containers/${container.id}`);
  if (/no control call/.test(listed.error?.message ?? "")) {
    await detail().getByText("This server does not list the files of containers.").waitFor();
    return;
  }
  await server.control("PUT", "scripts", `- then: [{ bash: "echo 'a,b\\n1,2' > /tmp/t.csv; echo hi > /tmp/note.txt" }]`);
  await server.ask("make files", { container: container.id });
  await page.reload();
  const note = detail().locator(".file").filter({ hasText: "/tmp/note.txt" });
  await note.getByRole("button", { name: "Preview" }).click();
  await note.getByText("hi", { exact: true }).waitFor();
  await detail().getByRole("button", { name: "Sleep" }).click();
  await detail().getByRole("button", { name: "Wake it and read" }).click();
  await note.waitFor();
  await server.control("PUT", "scripts", RULES);
});

test("the clock moves by a day and thirty, freezes, and takes containers with it", async () => {
  await server.ask("a last lunch");
  await panel("Clock");
  const before = Date.parse((await server.control("GET", "clock")).now);
  await page.getByRole("button", { name: "+ 1 day" }).click();
  await page.getByText(/1 d ahead|24 h|23 h/).waitFor();
  await page.getByRole("button", { name: "+ 30 days" }).click();
  await page.getByText(/31 d ahead|30 d 23 h/).waitFor();
  await page.getByRole("button", { name: "Freeze" }).click();
  await page.locator(".clock.frozen").waitFor();
  const clock = await server.control("GET", "clock");
  assert.equal(clock.frozen, true);
  assert.ok(Date.parse(clock.now) - before >= 31 * 86_400_000);
  await page.getByRole("button", { name: "Let it run" }).click();
  await page.locator(".clock:not(.frozen)").waitFor();
  await panel("Containers");
  await page.locator(".s-expired").first().waitFor();
  // What was known before is shown until the new list is there.
  await page.locator(".card .s-awake").first().waitFor({ state: "detached" });
});

test("a fault of the catalogue is aimed and seen to fire", async () => {
  await panel("Faults");
  await page.getByRole("button", { name: /^Rate limited/ }).click();
  await page.getByLabel("Times").fill("2");
  await page.getByRole("button", { name: "Set the fault" }).click();
  const fault = page.locator(".fault").filter({ hasText: "429" });
  await fault.filter({ hasText: "2 times left" }).waitFor();
  await server.ask("lunch");
  await fault.filter({ hasText: "fired 1×" }).waitFor();
  await page.locator("#fault").fill('{"at": "nowhere"}');
  await page.getByRole("button", { name: "Set the fault" }).click();
  await page.locator(".note[data-kind=bad]").filter({ hasText: /nowhere/ }).waitFor();
  await page.getByRole("button", { name: "Clear all" }).click();
  await page.getByText("None is set.").waitFor();
});

test("every fault of the catalogue is one that the server takes", async () => {
  const picks = page.locator(".pick");
  for (let at = 0; at < (await picks.count()); at += 1) {
    await picks.nth(at).click();
    const answer = await server.control("POST", "faults", await page.locator("#fault").inputValue());
    assert.ok(answer.data, JSON.stringify(answer));
  }
  await server.control("DELETE", "faults");
});

test("a script's mistake is told in its place, and a good one loads and is counted", async () => {
  await panel("Scripts");
  const editor = page.locator("#script");
  await page.waitForFunction(() => document.querySelector("#script")?.value.includes("lunch"));
  await editor.fill("- name: tea\n  than:\n    - text: hi\n");
  await page.locator(".mistake").filter({ hasText: "did you mean `then`?" }).waitFor();
  assert.ok((await page.locator(".gutter .wrong").allInnerTexts()).includes("2"));
  assert.equal(await page.getByRole("button", { name: "Load" }).isDisabled(), true);
  await page.getByRole("button", { name: "Go to line 2" }).first().click();
  assert.equal(await editor.evaluate((area) => area.selectionStart), "- name: tea\n  ".length);
  await editor.fill("- name: tea\n  when: { user: tea }\n  then:\n    - text: Tea.\n    - pause_turn\n    - text: More.\n");
  await page.getByText("No mistake, 1 rule.").waitFor();
  await page.getByRole("button", { name: "Load" }).click();
  const rule = page.locator(".rule").filter({ hasText: "tea" });
  await rule.filter({ hasText: "0/3 steps" }).waitFor();
  await server.ask("tea");
  await rule.filter({ hasText: "1×" }).filter({ hasText: "2/3 steps" }).waitFor();
});

test("the verdict is live", async () => {
  await server.call("POST", "/_sandtable/reset");
  await panel("Verdict");
  await page.locator(".verdict.ok").waitFor();
  await server.control("PUT", "scripts", RULES);
  await server.ask("breakfast");
  await page.locator(".verdict.bad").waitFor();
  await page.locator(".findings").filter({ hasText: "Unmatched turns" }).locator("a").first().click();
  await detail().getByText("No rule matched").waitFor();
});

test("what is heard takes nothing away: text, folds, the keyboard's place, a click under way", async () => {
  const other = (key, content) => server.call("POST", "/v1/messages",
    { model: "claude-opus-4-6", max_tokens: 64, messages: [{ role: "user", content }] }, { "x-api-key": key });
  await server.control("PUT", "scripts", "- name: soup\n  when: { user: { contains: soup } }\n  then: [{ text: Soup. }]\n- name: run\n  when: { user: { contains: run } }\n  then: [{ bash: date }, { text: Done. }]\n");
  await server.ask("run");
  await panel("Scripts");
  const editor = page.locator("#script");
  await page.waitForFunction(() => document.querySelector("#script")?.value.includes("soup"));
  const draft = "- name: never loaded\n  then: [{ text: kept }]\n";
  await editor.fill(draft);
  const soup = page.locator(".rule").filter({ hasText: "soup" });
  await server.ask("soup");
  await soup.filter({ hasText: "1×" }).waitFor();
  await soup.locator("summary").click();
  await soup.locator("summary").focus();
  // A workspace that is new draws everything anew.
  await other("sk-ant-page-another", "hello");
  await server.ask("soup");
  await soup.filter({ hasText: "2×" }).waitFor();
  assert.equal(await editor.inputValue(), draft);
  assert.equal(await soup.evaluate((part) => part.open), false);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "SUMMARY");
  // By name: the list grows, and is in another order then.
  const choose = (which) => page.getByLabel("Workspace").selectOption(which);
  const mine = await page.getByLabel("Workspace").inputValue();
  const names = () => page.getByLabel("Workspace").locator("option").evaluateAll((options) => options.map((option) => option.value));
  await choose((await names()).find((name) => name !== mine));
  await page.waitForFunction(() => document.querySelector("#script")?.value === "");
  await choose(mine);
  await page.waitForFunction((text) => document.querySelector("#script")?.value === text, draft);
  await page.getByRole("button", { name: "Revert" }).click();

  await panel("Containers");
  const card = page.locator(".card").first();
  const chosen = await card.locator("code").innerText();
  await card.hover();
  await page.mouse.down();
  await server.ask("run");
  // Longer than the list waits before it is drawn anew.
  await page.waitForTimeout(600);
  await page.mouse.up();
  await detail().getByRole("heading", { name: chosen }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".card").length >= 2);
  await panel("Requests");
});

test("workspaces are told apart", async () => {
  const headers = { "x-api-key": "sk-ant-of-somebody-else-wxyz" };
  await server.call("GET", "/v1/models", undefined, headers);
  const select = page.getByLabel("Workspace");
  await panel("Requests");
  await page.waitForFunction(() => document.querySelector(".workspaces")?.options.length >= 2);
  await select.selectOption({ label: "key …wxyz" });
  await row("GET /v1/models").waitFor();
  assert.equal(await page.locator(".vrow").filter({ hasText: "breakfast" }).count(), 0);
});

test("all of it goes by keys", async () => {
  await page.getByLabel("Workspace").selectOption({ index: 0 });
  await page.locator("#main").focus();
  for (const [key, title] of [["2", "Containers"], ["3", "Scripts"], ["4", "Faults"], ["5", "Clock"], ["6", "Verdict"], ["1", "Requests"]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((wanted) => document.title.startsWith(wanted), title);
  }
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("next, previous request").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".vrow").first().waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.locator('.vrow[aria-selected="true"]').waitFor();
  await detail().locator(".turnhead").waitFor();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "filter");
});
