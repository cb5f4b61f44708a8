// Nothing reaches the real service from a test, whenever and however its client was made.
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { Server } from "sandtable";
import { jest, project, vitest } from "./support.js";

const REAL = "sk-ant-real-of-the-user";

/** Stands where the environment says that the real service is, and counts who comes. */
async function trap(t) {
  const arrivals = [];
  const requests = [];
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    arrivals.push(socket.remotePort);
    socket.once("data", (data) => {
      requests.push(String(data));
      socket.end("HTTP/1.1 418 Trap\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { arrivals, requests, url: `http://127.0.0.1:${server.address().port}` };
}

const environment = (url) => ({
  SANDTABLE_BACKEND: "none",
  ANTHROPIC_BASE_URL: url,
  ANTHROPIC_API_KEY: REAL,
  ANTHROPIC_AUTH_TOKEN: "real-token",
  ANTHROPIC_CUSTOM_HEADERS: "authorization: Bearer real-header",
  ANTHROPIC_PROFILE: "real-profile",
  HTTPS_PROXY: url,
  HTTP_PROXY: url,
  SANDTABLE_URL: undefined,
});

/** A module of the user's that makes clients when it is imported. */
const APP = `
import Anthropic from "@anthropic-ai/sdk";
import { anthropic } from "@ai-sdk/anthropic";

export const KEY = process.env.ANTHROPIC_API_KEY;
export const client = new Anthropic({ maxRetries: 0 });
export const question = (prompt) => ({
  model: "claude-opus-4-6", max_tokens: 64, messages: [{ role: "user", content: prompt }],
});
export const ask = async (client, prompt = "hello") => (await client.messages.create(question(prompt))).content[0].text;
const model = anthropic("claude-opus-4-6");
let one;
export const kept = () => (one ??= new Anthropic({ maxRetries: 0 }));
export const askModel = async () => {
  const prompt = [{ role: "user", content: [{ type: "text", text: "hello" }] }];
  return (await model.doGenerate({ prompt })).content[0].text;
};
`;

const TESTS = `
import { execFileSync } from "node:child_process";
import Anthropic from "@anthropic-ai/sdk";
import { KEY, ask, askModel, client, kept, question } from "./app.js";

describe("with a workspace", () => {
  const sandtable = useSandtable();

  test.each(["one", "two"])("each test has its own answer: %s", async (text) => {
    await sandtable.scripts.put([{ then: [{ text }] }]);
    // Of the module, of the first test, of now, and of every mixture.
    const clients = [client, kept(), new Anthropic(), new Anthropic({ apiKey: KEY }), new Anthropic({ apiKey: "real-and-given" })];
    for (const each of clients) expect(await ask(each)).toBe(text);
    expect(await askModel()).toBe(text);
    const stream = client.messages.stream(question("x"));
    expect((await stream.finalMessage()).content[0].text).toBe(text);
    const entries = await sandtable.journal.entries();
    expect(entries.map((entry) => [entry.path, entry.status])).toEqual(Array(7).fill(["/v1/messages", 200]));
    expect(JSON.stringify(entries)).not.toContain("real");
  });

  test("a program that the test waits for leads to the same place", async () => {
    await sandtable.scripts.put("- then: [{ text: of a program }]");
    const program = 'import Anthropic from "@anthropic-ai/sdk";'
      + 'const made = await new Anthropic().messages.create(' + JSON.stringify(question("x")) + ');'
      + 'console.log(made.content[0].text);';
    const options = { env: process.env, encoding: "utf8", timeout: 30000 };
    expect(execFileSync(process.execPath, ["--input-type=module", "-e", program], options)).toBe("of a program\\n");
  });

  test("a broken answer is broken on the way, too", async () => {
    await sandtable.scripts.put("- then: [{ text: hi }]");
    await sandtable.faults.cut();
    await expect(ask(client)).rejects.toThrow(/Connection error/);
    await sandtable.faults.cut({ afterEvents: 2 });
    await expect(client.messages.stream(question("x")).finalMessage()).rejects.toThrow();
  });
});

describe("on another server", () => {
  useSandtable({ seed: 7, script: "- then: [{ text: seeded }]" });
  test("it is that one", async () => expect(await ask(client)).toBe("seeded"));
});

test("nothing in the environment is real", () => {
  const found = Object.entries(process.env).filter(([name]) => name.startsWith("ANTHROPIC"));
  expect(JSON.stringify(found)).not.toContain("real");
  expect(JSON.stringify(found)).not.toContain("TRAP");
});
`;

const heads = {
  vitest: `import { describe, expect, test } from "vitest";
    import { useSandtable } from "sandtable/vitest";`,
  jest: `import { describe, expect, jest, test } from "@jest/globals";
    import { useSandtable } from "sandtable/jest";
    jest.setTimeout(60000);`,
};
const esm = { NODE_OPTIONS: "--experimental-vm-modules --no-warnings" };

/** How a user may set sandtable up: each must do alone. */
const setups = {
  "vitest with globalSetup": ["vitest", { globalSetup: ["sandtable/vitest/setup"] }],
  "vitest with setupFiles": ["vitest", { setupFiles: ["sandtable/vitest/env"] }],
  "vitest with threads and both": [
    "vitest",
    { pool: "threads", globalSetup: ["sandtable/vitest/setup"], setupFiles: ["sandtable/vitest/env"] },
  ],
  "jest with globalSetup": ["jest", { globalSetup: "sandtable/jest/setup", globalTeardown: "sandtable/jest/teardown" }],
  "jest with setupFilesAfterEnv": ["jest", { setupFilesAfterEnv: ["sandtable/jest/env"] }],
  "jest with setupFiles": ["jest", { setupFiles: ["sandtable/jest/env"] }],
};

function run(t, [runner, config], files, env) {
  const own = { "package.json": JSON.stringify({ type: "module", ...(runner === "jest" ? { jest: config } : {}) }), "app.js": APP, ...files };
  if (runner === "vitest") own["vitest.config.js"] = `export default { test: ${JSON.stringify(config)} };`;
  const root = project(t, own);
  const start = (more = {}) =>
    runner === "vitest" ? vitest(root, [], { env: { ...env, ...more } }) : jest(root, [], { env: { ...env, ...esm, ...more } });
  return { root, start };
}

for (const [name, setup] of Object.entries(setups)) {
  test(`clients of modules lead to the running test's workspace: ${name}`, async (t) => {
    const { arrivals, url } = await trap(t);
    const text = heads[setup[0]] + TESTS.replace("TRAP", url);
    // Two files: what is there once in a process is there for the second, too.
    const { start } = run(t, setup, { "one.test.js": text, "two.test.js": text }, environment(url));
    const { code, said } = await start();
    assert.equal(code, 0, said);
    assert.match(said, /12 passed/);
    assert.deepEqual(arrivals, []);
  });
}

const REACHES = `
import https from "node:https";
import Anthropic from "@anthropic-ai/sdk";
import { ask } from "./app.js";

const swallowed = (baseURL) => ask(new Anthropic({ baseURL, maxRetries: 0 })).catch(() => {});

test("loud", () => ask(new Anthropic({ baseURL: "https://api.anthropic.com", maxRetries: 0 })));
test("swallowed", () => swallowed("https://api.anthropic.com"));
test("where the environment led", () => swallowed("TRAP"));
test("without the SDK", () => new Promise((resolve) => https.get("https://API.anthropic.com./v1/models").on("error", resolve)));
test("elsewhere", () => new Promise((resolve) => https.get("https://127.0.0.1:9/").on("error", resolve)));
`;

for (const name of ["vitest with globalSetup", "vitest with setupFiles", "jest with globalSetup", "jest with setupFilesAfterEnv"]) {
  test(`what still reaches for the real service fails its test: ${name}`, async (t) => {
    const { arrivals, url } = await trap(t);
    const text = heads[setups[name][0]] + REACHES.replace("TRAP", url);
    const { start } = run(t, setups[name], { "one.test.js": text }, environment(url));
    const { code, said } = await start();
    assert.equal(code, 1, said);
    assert.match(said, /4 failed/);
    assert.match(said, /1 passed/);
    assert.match(said, /this reached for api\.anthropic\.com:443, not for sandtable/);
    assert.ok(said.includes(`reached for ${url.slice("http://".length)}`), said);
    assert.deepEqual(arrivals, []);
    assert.ok(!said.includes(REAL), said);
  });
}

const EARLY = {
  vitest: `import { ask, askModel, client } from "./app.js"; ${heads.vitest}`,
  // In ES modules jest loads what is CommonJS first, and the client is in time.
  jest: `const Anthropic = require("@anthropic-ai/sdk").default;
    const { anthropic } = require("@ai-sdk/anthropic");
    const client = new Anthropic({ maxRetries: 0 });
    const model = anthropic("claude-opus-4-6");
    const { useSandtable } = require("sandtable/jest");
    const ask = () => client.models.list();
    const askModel = () => model.doGenerate({ prompt: [{ role: "user", content: [{ type: "text", text: "x" }] }] });`,
};

for (const [runner, head] of Object.entries(EARLY)) {
  test(`a client that was made before anything was set up is stopped, and says what to do: ${runner}`, async (t) => {
    const { arrivals, url } = await trap(t);
    const text = `${head}
      useSandtable();
      test("one", () => ask(client).catch(() => {}));
      test("two", () => askModel().catch(() => {}));`;
    const type = runner === "jest" ? "commonjs" : "module";
    const { start } = run(t, [runner, {}], { "package.json": JSON.stringify({ type }), "one.test.js": text }, environment(url));
    const { code, said } = await start();
    assert.equal(code, 1, said);
    assert.match(said, /2 failed/);
    assert.match(said, /hint: .*`sandtable\/vitest\/env` or `sandtable\/jest\/env`/);
    assert.deepEqual(arrivals, []);
  });
}

for (const [name, setup] of Object.entries(setups)) {
  test(`a recording asks the service with the real key that no client knows: ${name}`, async (t) => {
    const { arrivals, url } = await trap(t);
    const service = await Server.start({ scripts: ["- then: [{ text: recorded }]"], backend: "none" });
    t.after(() => service.stop());
    const text = `${heads[setup[0]]}
      import Anthropic from "@anthropic-ai/sdk";
      import { ask, askModel, client } from "./app.js";
      describe("recorded", () => {
        const sandtable = useSandtable({ cassette: "one" });
        test("it", async () => {
          for (const each of [client, new Anthropic(), new Anthropic(sandtable.options)]) expect(await ask(each)).toBe("recorded");
          expect(await askModel()).toBe("recorded");
          expect(JSON.stringify([sandtable.apiKey, sandtable.env, process.env.ANTHROPIC_API_KEY])).not.toContain("real");
        });
      });
      describe("plain", () => {
        useSandtable({ script: "- then: [{ text: scripted }]" });
        test("it", async () => expect(await ask(client)).toBe("scripted"));
      });`;
    const env = { ...environment(url), SANDTABLE_UPSTREAM: service.baseUrl };
    const { root, start } = run(t, setup, { "one.test.js": text }, env);
    const recorded = await start({ SANDTABLE_CASSETTE_MODE: "all" });
    assert.equal(recorded.code, 0, recorded.said);
    const asked = await service.workspace(REAL).journal.entries();
    assert.deepEqual(asked.map((entry) => entry.status), [200, 200, 200, 200]);
    assert.ok(!fs.readFileSync(path.join(root, "sandtable_cassettes/one.yaml"), "utf8").includes(REAL));
    const replayed = await start();
    assert.equal(replayed.code, 0, replayed.said);
    assert.deepEqual(arrivals, []);
  });
}

// With a worker that is handed what its environment no longer has, and with one that seals itself.
for (const name of ["vitest with globalSetup", "jest with setupFilesAfterEnv"]) {
  const setup = setups[name];
  test(`a recording goes through the machine's proxy: ${name}`, async (t) => {
    const { requests, url } = await trap(t);
    const text = `${heads[setup[0]]}
      import fs from "node:fs";
      import Anthropic from "@anthropic-ai/sdk";
      import { Server } from "sandtable";
      import { ask, client } from "./app.js";
      const REAL = "http://api.anthropic.com";
      describe("recorded", () => {
        useSandtable({ cassette: { name: "one", mode: "all", upstream: REAL } });
        test("it", () => expect(ask(client)).rejects.toThrow(/418/));
      });
      test("by a server of its own", async () => {
        const cassetteDir = fs.mkdtempSync("cassettes-");
        const server = await Server.start({ backend: "none", cassetteDir, upstream: REAL });
        const workspace = server.workspace();
        await workspace.cassettes.mount(cassetteDir + "/two.yaml", { mode: "all", upstream: REAL });
        await expect(ask(new Anthropic({ ...workspace.options, maxRetries: 0 }))).rejects.toThrow(/418/);
        await server.stop();
      });
      test("what went past the proxy still does", () => {
        for (const name of ["NO_PROXY", "no_proxy"]) expect(process.env[name].split(",")[0]).toBe("intranet.example");
      });`;
    const env = { ...environment(url), NO_PROXY: undefined, no_proxy: "intranet.example" };
    const { start } = run(t, setup, { "one.test.js": text }, env);
    const { code, said } = await start();
    assert.equal(code, 0, said);
    assert.equal(requests.length, 2);
    for (const request of requests) assert.match(request, /http:\/\/api\.anthropic\.com\/v1\/messages/);
    assert.equal(requests.filter((request) => request.includes(REAL)).length, 1);
  });
}
