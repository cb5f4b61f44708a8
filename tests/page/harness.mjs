// A real server, a real browser, and requests as an SDK makes them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
export const shots = process.env.SANDTABLE_PAGE_SHOTS ?? join(root, "target/page");
mkdirSync(shots, { recursive: true });

function program() {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const found = process.env.SANDTABLE_BINARY ?? join(target, "debug/sandtable");
  assert.ok(existsSync(found), `${found} is not there: cargo build`);
  return found;
}

// Starts a server on a free port, and ends it with `stop`.
export async function serve(...flags) {
  // What the caller's shell says to a server of its own is not for this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SANDTABLE_")));
  const child = spawn(program(), ["serve", "--port", "0", ...flags], { stdio: ["ignore", "pipe", "pipe"], env });
  let text = "";
  const url = await new Promise((done, failed) => {
    const read = (bytes) => {
      text += bytes;
      const found = /listening (http:\/\/127\.0\.0\.1:\d+)/.exec(text);
      if (found) done(found[1]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", () => failed(new Error(`the server ended: ${text}`)));
  });
  const stop = () => new Promise((done) => {
    child.on("exit", done);
    child.kill("SIGTERM");
  });
  return { url, stop, ...client(url) };
}

const TOOLS = [{ type: "code_execution_20250825", name: "code_execution" }];

function client(url) {
  const key = "sk-ant-page-tests";
  const call = async (method, path, body, more = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { "x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json", ...more },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  };
  return {
    call,
    control: (method, path, body) => call(method, `/_sandtable/${path}`, body),
    // One turn; `content` is a text or blocks, or with `messages` a whole history.
    ask: (content, more = {}) =>
      call("POST", "/v1/messages", { model: "claude-opus-4-6", max_tokens: 2048, messages: [{ role: "user", content }], tools: TOOLS, ...more },
        { "anthropic-beta": "code-execution-2025-08-25,files-api-2025-04-14" }),
  };
}

export const bash = (command) => `\`\`\`bash\n${command}\n\`\`\``;

let browser;
export async function open(url, options = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--force-prefers-reduced-motion"],
  });
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, reducedMotion: "reduce", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  const page = await context.newPage();
  // Whatever the page does wrong, a breach of its own policy included, ends up here.
  page.wrong = [];
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) page.wrong.push(message.text());
  });
  page.on("dialog", (dialog) => {
    page.wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return page;
}

export async function close() {
  await browser?.close();
  browser = undefined;
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// No finding of axe at levels A and AA, contrast included.
export async function accessible(page, what) {
  // Not as an element: the page's policy would not have it.
  await page.evaluate(axeSource);
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
  const told = found.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(told, [], what);
}

export const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

export const clipboard = (page) => page.evaluate(() => navigator.clipboard.readText());
