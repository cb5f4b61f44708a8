// The helpers under real vitest and real jest, in projects of users.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Server, findBinary } from "sandtable";
import { HELLO, MODULES, jest, project, run, vitest } from "./support.js";

const ESM = '{ "type": "module" }';

/** The same tests for every runner; `head` imports what they use. */
const body = `
const ask = async (prompt) => {
  const client = new Anthropic();
  const messages = [{ role: "user", content: prompt }];
  return client.messages.create({ model: "claude-opus-4-6", max_tokens: 1024, messages });
};
const seen = [];

describe("scripted", () => {
  const sandtable = useSandtable({
    script: "hello.yaml",
    faults: { at: "http", status: 529, headers: { "retry-after-ms": "1" } },
    quirks: { profile: "observed" },
  });

  test("a file beside the test answers after a fault", async () => {
    expect((await ask("hello")).content[0].text).toBe("Hello from a script.");
    const statuses = (await sandtable.journal.entries()).map((each) => each.status);
    expect(statuses).toEqual([529, 200]);
    expect((await sandtable.call("GET", "quirks")).profile).toBe("observed");
    seen.push(sandtable.apiKey);
  });

  test("each test has a workspace of its own", async () => {
    expect(await sandtable.journal.entries()).toEqual([]);
    expect(seen[0]).not.toBe(sandtable.apiKey);
    expect(process.env.ANTHROPIC_API_KEY).toBe(sandtable.apiKey);
    await sandtable.scripts.add({ then: [{ text: "another" }] });
  });
});

describe("in time", () => {
  const past = useSandtable({ frozen: "2026-01-04T20:47:05Z", seed: 7, script: [{ then: [{ text: "hi" }] }] });
  test("the past", async () => {
    expect(await past.clock.state()).toEqual({ now: new Date("2026-01-04T20:47:05Z"), frozen: true });
    const advanced = await past.clock.advance("30d");
    expect(advanced.toISOString()).toBe("2026-02-03T20:47:05.000Z");
    console.log("ID", (await ask("x")).id);
  });
});

describe("in the future", () => {
  const future = useSandtable({ frozen: new Date("2040-01-02T03:04:05Z") });
  test("a later time", async () => {
    expect((await future.clock.state()).now.toISOString()).toBe("2040-01-02T03:04:05.000Z");
    console.log("URL", future.baseUrl);
  });
});

test("outside of it nothing real is set", () => {
  expect(process.env.ANTHROPIC_BASE_URL).toMatch(/^http:\\/\\/127\\.0\\.0\\.1:/);
});

test("an unknown option is told", () => {
  expect(() => useSandtable({ scirpt: "" })).toThrow(/no option \`scirpt\`/);
});
`;

const heads = {
  vitest: `import { describe, expect, test } from "vitest";
    import Anthropic from "@anthropic-ai/sdk";
    import { useSandtable } from "sandtable/vitest";`,
  jestEsm: `import { describe, expect, jest, test } from "@jest/globals";
    import Anthropic from "@anthropic-ai/sdk";
    import { useSandtable } from "sandtable/jest";
    jest.setTimeout(30000);`,
  jestCjs: `const Anthropic = require("@anthropic-ai/sdk").default;
    const { useSandtable } = require("sandtable/jest");
    jest.setTimeout(30000);`,
};

const none = { env: { SANDTABLE_BACKEND: "none", ANTHROPIC_BASE_URL: undefined, ANTHROPIC_API_KEY: undefined } };
const esm = { env: { ...none.env, NODE_OPTIONS: "--experimental-vm-modules --no-warnings" } };
const found = (said, word) => new Set([...said.matchAll(new RegExp(`${word} (\\S+)`, "g"))].map((match) => match[1]));

test("vitest: a workspace for each test, a server for each file", async (t) => {
  const files = { "package.json": ESM, "hello.yaml": HELLO };
  const root = project(t, { ...files, "one.test.js": heads.vitest + body, "two.test.js": heads.vitest + body });
  const { code, said } = await vitest(root, [], none);
  assert.equal(code, 0, said);
  assert.match(said, /12 passed/);
  assert.equal(found(said, "URL").size, 2);
  const ids = found(said, "ID");
  assert.equal(ids.size, 2, "the file's name is part of the key");
  assert.deepEqual(found((await vitest(root, [], none)).said, "ID"), ids, "with a seed ids are the same in every run");
});

test("vitest: one server for a run with its setup", async (t) => {
  const root = project(t, {
    "package.json": ESM,
    "hello.yaml": HELLO,
    "vitest.config.js": `export default { test: { globalSetup: ["sandtable/vitest/setup"] } };`,
    "one.test.js": heads.vitest + body,
    "two.test.js": heads.vitest + body,
  });
  const { code, said } = await vitest(root, [], none);
  assert.equal(code, 0, said);
  assert.equal(found(said, "URL").size, 1);
});

test("jest with CommonJS", async (t) => {
  const root = project(t, { "package.json": "{}", "hello.yaml": HELLO, "one.test.js": heads.jestCjs + body });
  const { code, said } = await jest(root, [], none);
  assert.equal(code, 0, said);
  assert.match(said, /6 passed/);
});

test("jest with ES modules, and one server for a run with its setup", async (t) => {
  const config = {
    globalSetup: "sandtable/jest/setup",
    globalTeardown: "sandtable/jest/teardown",
  };
  const root = project(t, {
    "package.json": JSON.stringify({ type: "module", jest: config }),
    "hello.yaml": HELLO,
    "one.test.js": heads.jestEsm + body,
    "two.test.js": heads.jestEsm + body,
  });
  const { code, said } = await jest(root, [], esm);
  assert.equal(code, 0, said);
  assert.match(said, /12 passed/);
  assert.equal(found(said, "URL").size, 1);
});

test("a running server is used", async (t) => {
  const server = await Server.start({ backend: "none" });
  t.after(() => server.stop());
  const root = project(t, {
    "package.json": ESM,
    "one.test.js": `${heads.vitest}
      const sandtable = useSandtable();
      test("it is that one", () => expect(sandtable.baseUrl).toBe(process.env.SANDTABLE_URL));`,
  });
  const { code, said } = await vitest(root, [], { env: { ...none.env, SANDTABLE_URL: server.baseUrl } });
  assert.equal(code, 0, said);
  assert.ok(await server.workspace().clock.now());
});

test("a cassette is recorded once and replayed without its service", async (t) => {
  const service = await Server.start({ scripts: ["- then: [{ text: recorded }]"], backend: "none" });
  t.after(() => service.stop());
  const upstream = service.baseUrl;
  const file = (runner, extra = "") => `${runner}
    const ask = async (prompt) => {
      const messages = [{ role: "user", content: prompt }];
      return new Anthropic().messages.create({ model: "claude-opus-4-6", max_tokens: 64, messages });
    };
    describe("named", () => {
      useSandtable({ cassette: { name: "deep/hello", upstream: ${JSON.stringify(upstream)} } });
      test("it", async () => expect((await ask("hi")).content[0].text).toBe("recorded"));
    });
    describe("un named", () => {
      useSandtable({ cassette: true });
      test("it", async () => expect((await ask("a b")).content[0].text).toBe("recorded"));
    });`;
  const root = project(t, { "package.json": ESM, "one.test.js": file(heads.vitest) });
  const env = { ...none.env, SANDTABLE_UPSTREAM: upstream, ANTHROPIC_API_KEY: "sk-ant-of-the-user" };
  const recorded = await vitest(root, [], { env: { ...env, SANDTABLE_CASSETTE_MODE: "once" } });
  assert.equal(recorded.code, 0, recorded.said);
  assert.equal((await service.workspace("sk-ant-of-the-user").journal.entries()).length, 2);
  await service.stop();

  const cassettes = path.join(root, "sandtable_cassettes");
  const names = fs.readdirSync(cassettes, { recursive: true }).filter((name) => name.endsWith(".yaml")).sort();
  assert.deepEqual(names, ["deep/hello.yaml", "un-named-it.yaml"]);
  for (const name of names) {
    const text = fs.readFileSync(path.join(cassettes, name), "utf8");
    assert.ok(text.includes("recorded") && !text.includes("of-the-user"), text);
  }
  const replayed = await vitest(root, [], none);
  assert.equal(replayed.code, 0, replayed.said);

  fs.rmSync(path.join(root, "one.test.js"));
  fs.writeFileSync(path.join(root, "package.json"), "{}");
  fs.writeFileSync(path.join(root, "one.test.js"), file(heads.jestCjs));
  const inJest = await jest(root, [], none);
  assert.equal(inJest.code, 0, inJest.said);
  fs.writeFileSync(path.join(root, "one.test.js"), file(heads.jestCjs).replace('"hi"', '"something else"'));
  const missed = await jest(root, [], none);
  assert.equal(missed.code, 1);
  assert.match(missed.said, /no recorded exchange answers/);
});

test("what a cassette ignores may differ from a recording", async (t) => {
  const service = await Server.start({ scripts: ["- then: [{ text: recorded }]"], backend: "none" });
  t.after(() => service.stop());
  const ask = (name, options, { system = "of tomorrow", prompt = "hi" } = {}) => `
    describe(${JSON.stringify(name)}, () => {
      useSandtable({ cassette: ${JSON.stringify({ name: "one", ...options })} });
      const body = ${JSON.stringify({ system, max_tokens: 9, model: "m", messages: [{ role: "user", content: prompt }] })};
      test("it", async () => expect((await new Anthropic().messages.create(body)).content[0].text).toBe("recorded"));
    });`;
  const recording = ask("recorded", { mode: "all", upstream: service.baseUrl }, { system: "of today" });
  const root = project(t, { "package.json": ESM, "one.test.js": heads.vitest + recording });
  const recorded = await vitest(root, [], none);
  assert.equal(recorded.code, 0, recorded.said);
  const tests = [
    ask("a list", { ignore: ["$.system"] }),
    ask("one path", { ignore: "$.system" }),
    ask("nothing", {}),
    ask("something else", { ignore: "$.system" }, { prompt: "something else" }),
    ask("no path", { ignore: "system" }),
    ask("no such word", { ingore: "$.system" }),
  ];
  fs.writeFileSync(path.join(root, "one.test.js"), heads.vitest + tests.join(""));
  const { said } = await vitest(root, [], none);
  assert.match(said, /4 failed \| 2 passed/);
  for (const name of ["nothing", "something else", "no path", "no such word"]) {
    assert.ok(said.includes(`FAIL  one.test.js > ${name} > it`), said);
  }
  assert.match(said, /`system` is no JSON path/);
  assert.match(said, /a cassette has no `ingore`\n *hint: .*ignore/);
});

test("a test may have to leave nothing over", async (t) => {
  const root = project(t, {
    "package.json": ESM,
    "one.test.js": `${heads.vitest}
      useSandtable({ script: "- then: [{ text: hi }]", verify: true });
      const messages = [{ role: "user", content: "x" }];
      test("all used", () => new Anthropic().messages.create({ model: "claude-opus-4-6", max_tokens: 9, messages }));
      test("left over", () => {});`,
  });
  const { code, said } = await vitest(root, [], none);
  assert.equal(code, 1);
  assert.match(said, /1 failed \| 1 passed/);
  assert.match(said, /sandtable verify: not ok\n *unused_steps: \{/);
});

test("a verdict is as strict as the test says", async (t) => {
  const file = (level) => `${heads.vitest}
    const warned = () => new Anthropic().messages.create(
      { model: "claude-opus-4-6", max_tokens: 9, messages: [{ role: "user", content: "x" }] },
      { headers: { "anthropic-version": "2020-01-01" } },
    );
    describe(${JSON.stringify(String(level))}, () => {
      useSandtable({ verify: ${JSON.stringify(level)} });
      test("it", warned);
    });`;
  const levels = { true: true, false: false, error: "error", warning: "warning", off: "off", strict: "strict" };
  const files = Object.entries(levels).map(([name, level]) => [`${name}.test.js`, file(level)]);
  const { code, said } = await vitest(project(t, { "package.json": ESM, ...Object.fromEntries(files) }), [], none);
  assert.equal(code, 1);
  assert.match(said, /1 failed \| 4 passed/);
  assert.match(said, /FAIL {2}warning\.test\.js[^]*sandtable verify: not ok\n *lints: \{.*unknown_version/);
  assert.match(said, /FAIL {2}strict\.test\.js[^]*verify is true, false, or one of off, error, warning, not `strict`/);
});

test("a run that is judged is judged by its one server", async (t) => {
  const root = project(t, {
    "package.json": ESM,
    "vitest.config.js": `export default { test: { globalSetup: ["sandtable/vitest/setup"] } };`,
    "one.test.js": `${heads.vitest}
      describe("judged", () => {
        const sandtable = useSandtable({ script: "- then: [{ text: hi }]" });
        test("it", async () => {
          expect(sandtable.baseUrl).toBe(process.env.SANDTABLE_URL);
          await new Anthropic().messages.create({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "x" }] });
          await sandtable.faults.add({ at: "http", path: "/v1/files", status: 500 });
          const [unused] = (await sandtable.verify()).unused_faults;
          expect(unused.label).toBe("one.test.js > judged > it");
        });
      });`,
  });
  const report = path.join(root, "verdict.json");
  const args = ["run", "--backend", "none", "--json", report, "--"];
  const { said } = await run(findBinary(), [...args, process.execPath, path.join(MODULES, "vitest/vitest.mjs"), "run", "--root", root], {
    cwd: root,
    ...none,
  });
  assert.match(said, /1 passed/);
  const verdict = JSON.parse(fs.readFileSync(report, "utf8"));
  // The reset at the test's end has not made it forget.
  assert.deepEqual(verdict.unused_faults.map((unused) => unused.label), ["one.test.js > judged > it"]);
  assert.deepEqual(verdict.unclaimed, []);
});

test("fake timers of the test are left alone", async (t) => {
  const root = project(t, {
    "package.json": ESM,
    "one.test.js": `${heads.vitest}
      import { vi } from "vitest";
      const sandtable = useSandtable();
      test("time stands still here only", async () => {
        vi.useFakeTimers();
        expect(await sandtable.clock.now()).toBeInstanceOf(Date);
        await sandtable.clock.advance("1d");
      });`,
  });
  const { code, said } = await vitest(root, [], none);
  assert.equal(code, 0, said);
});

/** A client of the module, one of the test, and one of the options, on two servers. */
const batches = `
const atImport = new Anthropic({ maxRetries: 0 });
const params = { model: "claude-opus-4-6", max_tokens: 9, messages: [{ role: "user", content: "x" }] };
const said = async (client, sandtable) => {
  await sandtable.scripts.put("- then: [{ text: hi }]");
  let batch = await client.messages.batches.create({ requests: [{ custom_id: "a", params }] });
  while (batch.processing_status !== "ended") batch = await client.messages.batches.retrieve(batch.id);
  expect(batch.results_url.startsWith(client.baseURL)).toBe(true);
  const texts = [];
  for await (const each of await client.messages.batches.results(batch.id)) texts.push(each.result.message.content[0].text);
  return texts;
};
for (const options of [{}, { seed: 7 }]) {
  describe(JSON.stringify(options), () => {
    const sandtable = useSandtable(options);
    test("at import", async () => expect(await said(atImport, sandtable)).toEqual(["hi"]));
    test("in the test", async () => expect(await said(new Anthropic({ maxRetries: 0 }), sandtable)).toEqual(["hi"]));
    test("the options'", async () => expect(await said(new Anthropic({ ...sandtable.options }), sandtable)).toEqual(["hi"]));
  });
}
`;

test("a client made at import reads the results of its batches", async (t) => {
  const vitests = project(t, { "package.json": ESM, "one.test.js": heads.vitest + batches });
  const first = await vitest(vitests, [], none);
  assert.equal(first.code, 0, first.said);
  const jests = project(t, { "package.json": "{}", "one.test.js": heads.jestCjs + batches });
  const second = await jest(jests, [], none);
  assert.equal(second.code, 0, second.said);
});

test("a workspace outside of a test is refused", async (t) => {
  const root = project(t, {
    "package.json": ESM,
    "one.test.js": `${heads.vitest}
      const sandtable = useSandtable();
      console.log(sandtable.baseUrl);
      test("none", () => {});`,
  });
  const { code, said } = await vitest(root, [], none);
  assert.equal(code, 1);
  assert.match(said, /there is a workspace only while a test runs/);
  assert.ok(!fs.existsSync(path.join(root, "sandtable_cassettes")));
});
