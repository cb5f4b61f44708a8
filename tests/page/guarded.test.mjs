// The token, the policy, and what hostile clients and programs put on the page.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, open, serve } from "./harness.mjs";

after(close);

test("the token comes in the fragment, leaves the address, and is in no URL", async () => {
  const server = await serve("--control-token", "s3cret-token");
  try {
    const page = await open(server.url);
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`${server.url}/_sandtable/#token=s3cret-token`);
    await page.getByText("Waiting for the first request").waitFor();
    assert.ok(!page.url().includes("s3cret"), page.url());
    assert.ok(asked.length > 3 && !asked.some((url) => url.includes("s3cret")), String(asked));
    assert.equal(await page.evaluate(() => localStorage.getItem("sandtable.token")), null);
    await page.reload();
    await page.getByText("Waiting for the first request").waitFor();
    const other = await open(server.url);
    await other.goto(`${server.url}/_sandtable/`);
    await other.getByLabel("Token").fill("wrong");
    await other.getByRole("button", { name: "Open" }).click();
    await other.getByLabel("Token").fill("s3cret-token");
    await other.getByRole("button", { name: "Open" }).click();
    await other.getByText("Waiting for the first request").waitFor();
    assert.deepEqual([...page.wrong, ...other.wrong], []);
  } finally {
    await server.stop();
  }
});

test("a token with a percent sign opens the page, escaped or not", async () => {
  const server = await serve("--control-token", "a%b");
  try {
    for (const token of ["a%b", "a%25b"]) {
      const page = await open(server.url);
      await page.goto(`${server.url}/_sandtable/#token=${token}`);
      await page.getByText("Waiting for the first request").waitFor();
      assert.deepEqual(page.wrong, []);
    }
  } finally {
    await server.stop();
  }
});

test("a refused token is said, and the answer takes nothing away that was typed meanwhile", async () => {
  const server = await serve("--control-token", "s3cret-token");
  try {
    const page = await open(server.url);
    let listeners = 0;
    page.on("request", (request) => { if (request.url().includes("/events")) listeners += 1; });
    let answer;
    const slow = new Promise((done) => { answer = done; });
    await page.goto(`${server.url}/_sandtable/`);
    const token = page.getByLabel("Token");
    await token.fill("wrong");
    await page.route("**/_sandtable/workspaces*", async (route) => { await slow; await route.continue(); }, { times: 1 });
    await page.getByRole("button", { name: "Open" }).click();
    await token.fill("s3cret");
    answer();
    await page.getByRole("alert").getByText("does not take this token").waitFor();
    assert.equal(await token.inputValue(), "s3cret");
    await token.pressSequentially("-token");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByText("Waiting for the first request").waitFor();
    await page.goto(`${server.url}/_sandtable/#token=s3cret-token`);
    await page.locator('.live[data-state="on"]').waitFor();
    assert.equal(listeners, 1);
    assert.deepEqual(page.wrong, []);
  } finally {
    await server.stop();
  }
});

// The service takes no file of a name with markup or control characters; a container may hold any.
const NAMES = ["\u202egnp.exe.txt", "b\u200bc &lt;b&gt;.csv", "'onerror=alert(1) x='.md"];
const WILD = ["/tmp/<img src=x onerror=alert(1)>.csv", "/tmp/javascript:alert(1).txt", "/tmp/\"><script>alert(2)</script>", "/tmp/\u202egnp.exe", "/tmp/a\u0007b"];

const CODE = `import json, os
out = os.environ["OUTPUT_DIR"]
for name in json.loads(${JSON.stringify(JSON.stringify(NAMES))}):
    open(out + "/" + name, "w").write("<script>alert(3)</script>,<b>bold</b>\\n1,2\\n")
open(out + "/page.png", "w").write("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(4)'/>")
open(out + "/line.txt", "w").write("x" * 3_900_000)
open(out + "/longer.txt", "w").write("y" * 10_000_000)
print("<script>alert(5)</script><img src=x onerror=alert(6)>")
print("z" * 900_000)`;

async function inert(page) {
  assert.equal(await page.evaluate(() => document.scripts.length), 1);
  assert.equal(await page.evaluate(() => document.querySelectorAll("[onerror], [onload], iframe, object, embed, a[href^='javascript']").length), 0);
}

// A container's list of files with names and addresses that no server of ours gives.
async function wild(page, server) {
  const { id } = (await server.control("GET", "containers")).data[0];
  const hrefs = ["javascript:alert(9)", "https://elsewhere.example/x", "//elsewhere.example/x", "/_sandtable/reset", "/v1/files"];
  const data = WILD.map((path, at) => ({ path, kind: "file", size_bytes: 1, href: hrefs[at] }));
  await page.route("**/files?limit=*", (route) => route.fulfill({ json: { data, more: false } }));
  await page.goto(`${server.url}/_sandtable/#/containers/${id}`);
  await page.waitForFunction((count) => document.querySelectorAll(".file").length === count, data.length);
  const names = await page.locator(".file bdi.name").allInnerTexts();
  assert.deepEqual(names, [...WILD.slice(0, 3), "/tmp/⟨U+202E⟩gnp.exe", "/tmp/a⟨U+0007⟩b"]);
  // Only an address below ours is ever asked, and only to read.
  assert.equal(await page.locator(".file").getByRole("button", { name: "Preview" }).count(), 1);
}

test("hostile names and outputs are inert, and long lines do not stop the page", async () => {
  const server = await serve();
  try {
    const page = await open(server.url);
    const elsewhere = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(server.url) && !request.url().startsWith("blob:")) elsewhere.push(request.url());
    });
    await page.goto(`${server.url}/_sandtable/`);
    const long = "w".repeat(1_500_000);
    await server.ask(`\`\`\`python\n${CODE}\n\`\`\``);
    await server.ask(`<script>alert(7)</script>[x](javascript:alert(8)) \u202e ${long}`);
    const row = (text) => page.getByRole("option").filter({ hasText: text }).first();
    // A row that comes above moves the others away from under the pointer.
    await row("alert(7)").waitFor();
    await row("import json").click();
    const detail = page.locator(".detail");
    const files = detail.locator(".file");
    await page.waitForFunction((count) => document.querySelectorAll(".file").length === count, NAMES.length + 3);
    const names = await files.locator("bdi.name").allInnerTexts();
    for (const wanted of ["⟨U+202E⟩gnp.exe.txt", "b⟨U+200B⟩c &lt;b&gt;.csv", "'onerror=alert(1) x='.md"]) assert.ok(names.includes(wanted), String(names));
    for (const name of ["&lt;b&gt;", "page.png", "line.txt", "longer.txt"]) {
      const file = files.filter({ hasText: name });
      const preview = file.getByRole("button", { name: "Preview" });
      if ((await preview.getAttribute("aria-expanded")) === "false") await preview.click();
      await file.locator(".preview > *").first().waitFor();
    }
    assert.match(await files.filter({ hasText: "longer.txt" }).innerText(), /10 MB: too large to show here/);
    await row("alert(7)").click();
    await detail.locator(".foot").first().waitFor();
    const began = Date.now();
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    assert.ok(Date.now() - began < 2000, "the page answers");
    assert.ok((await page.evaluate(() => document.body.innerText.length)) < 200_000);
    await inert(page);
    await wild(page, server);
    await inert(page);
    assert.deepEqual(elsewhere, [], "nothing is asked of anybody else");
    assert.deepEqual(page.wrong, []);
  } finally {
    await server.stop();
  }
});
