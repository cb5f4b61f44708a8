// The types, as the compiler of a user sees them.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Server } from "sandtable";
import { MODULES, ask, folder, node, project } from "./support.js";

const user = (runner) => `
import { Server, Workspace, RefusedError } from "sandtable";
import { useSandtable } from "sandtable/${runner}";

const sandtable = useSandtable({ frozen: new Date(), seed: 7, cassette: { name: "x", mode: "once" }, verify: "warning" });

export async function user(workspace: Workspace): Promise<number> {
  const now: Date = await workspace.clock.advance("30d");
  const states: string[] = (await sandtable.containers.list()).map((each) => each.state);
  const usd: number = (await workspace.usage()).usd;
  await workspace.faults.overloaded({ times: 2, afterEvents: 3 });
  await using server = await Server.start({ backend: "none", scripts: [{ then: [{ text: "x" }] }] });
  const wrong: number = workspace.baseUrl;
  await workspace.clock.advnace("30d");
  useSandtable({ scirpt: "" });
  const [entry] = await workspace.journal.entries();
  const code: string = entry.lints[0].code;
  const text: string = entry.lints[0];
  useSandtable({ verify: "strict" });
  return code.length + now.getTime() + usd + states.length + server.baseUrl.length;
}
export const status = (error: RefusedError): number => error.status;
`;

const options = { strict: true, noEmit: true, module: "nodenext", target: "es2022", lib: ["esnext"], types: [] };

test("modules of both kinds are checked", async (t) => {
  const root = project(t, {
    "package.json": "{}",
    "tsconfig.json": JSON.stringify({ compilerOptions: { ...options, skipLibCheck: false }, include: ["*.mts", "*.cts"] }),
    "vitest.mts": user("vitest"),
    "jest.mts": user("jest"),
    "jest.cts": user("jest"),
  });
  const { said } = await node([path.join(MODULES, "typescript/bin/tsc"), "-p", root], { cwd: root });
  const errors = [...said.matchAll(/^(\S+)\((\d+),\d+\): error/gm)].map((match) => `${match[1]}:${match[2]}`);
  const expected = ["jest.cts", "jest.mts", "vitest.mts"].flatMap((file) => [13, 14, 15, 18, 19].map((line) => `${file}:${line}`));
  assert.deepEqual(errors.sort(), expected, said);
});

const RULES = `
- name: paused
  when: { user: pausing }
  then: [{ text: wait }, pause_turn]
- name: expects
  when: { user: expects }
  times: 2
  then: [{ bash: date }, { text: never }]
- when: { user: lunch }
  then: [{ text: Soup. }]
- name: unasked
  when: { user: unasked }
  times: 1
  then: [{ text: nobody }]
`;

/** A workspace in which everything has happened that a plain server can tell of. */
async function busy(server) {
  const workspace = server.workspace();
  await workspace.label("one.test.js > it");
  await workspace.scripts.put(RULES);
  await workspace.faults.add([
    { at: "http", path: "/v1/messages", status: 529, headers: { "retry-after-ms": "1" } },
    { at: "http", path: "/v1/skills", status: 500 },
    { at: "http", path: "/v1/models", status: 500, times: "always" },
  ]);
  const client = new Anthropic({ ...workspace.options, maxRetries: 1 });
  await ask(client, "lunch");
  await ask(client, "pausing");
  for (const prompt of ["nobody", "expects"]) await assert.rejects(ask(client, prompt), Anthropic.BadRequestError);
  const body = { model: "claude-opus-4-6", max_tokens: 64, messages: [{ role: "user", content: "lunch" }] };
  const headers = { "anthropic-version": "2020-01-01", "anthropic-beta": "nope" };
  await client.messages.create(body, { query: { a: "b" }, headers });
  await workspace.faults.cut();
  await workspace.faults.cut();
  await assert.rejects(ask(client, "lunch"), Anthropic.APIConnectionError);
  await workspace.faults.add({ at: "wire", do: "reset", path: "/v1/files", after_bytes: 0 });
  const upload = async () => client.beta.files.upload({ file: await Anthropic.toFile(Buffer.from("one"), "a.txt") });
  await assert.rejects(upload());
  await upload();
  const { id } = await client.messages.batches.create({ requests: [{ custom_id: "one", params: body }] });
  const deadline = Date.now() + 30_000;
  while ((await client.messages.batches.retrieve(id)).processing_status !== "ended") assert.ok(Date.now() < deadline);
  if ((await workspace.call("GET", "health")).backend !== "none") {
    await workspace.scripts.add({ when: { user: "code" }, then: [{ bash: "echo 1 > $OUTPUT_DIR/a" }, { text: "done" }] });
    await ask(client, "code", { tools: [{ type: "code_execution_20250825", name: "code_execution" }] });
  }
  return workspace;
}

/** Verdicts on whole runs: one that nobody asked anything, and one in which somebody is no test. */
async function judged(server) {
  const run = (more) => server.workspace().call("GET", "verify", undefined, { workspace: "*", ...more });
  const empty = await run({ empty: "bad" });
  await server.workspace().label("one.test.js > it");
  await new Anthropic(server.workspace().options).models.list();
  const unclaimed = await run();
  assert.ok(empty.empty.length > 0 && unclaimed.unclaimed.length > 0);
  assert.deepEqual(unclaimed.requests, { answered: 1, refused: 0 });
  return [empty, unclaimed];
}

const CASSETTE = `
cassette: 1
exchanges:
- request: { method: GET, path: /v1/models }
  response: &response { status: 200, headers: { content-type: application/json }, body: { json: { data: [] } } }
- response: *response
`;

/** The verdict on a workspace whose cassette nobody asked. */
async function unasked(server, file) {
  fs.writeFileSync(file, CASSETTE);
  const workspace = server.workspace();
  await workspace.label("one.test.js > it");
  await workspace.cassettes.mount(file);
  const verdict = await workspace.verify();
  assert.deepEqual(verdict.unused_recordings.map((each) => each.request), ["GET /v1/models", null]);
  return verdict;
}

test("every answer of a real server has the shape that its type says", async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  const service = await Server.start({ backend: "none" });
  t.after(() => service.stop());
  const workspace = await busy(server);
  const cassetteDir = folder(t);
  const recording = await Server.start({ backend: "none", cassetteDir, upstream: service.baseUrl });
  t.after(() => recording.stop());
  const { cassettes } = recording.workspace();
  const file = path.join(cassetteDir, "one.yaml");
  const mounted = [await cassettes.state(), await cassettes.mount(file, { mode: "once", upstream: service.baseUrl })];
  const unused = await unasked(recording, path.join(cassetteDir, "unasked.yaml"));
  const verdict = await workspace.verify();
  for (const name of ["unmatched", "failed", "unused_steps", "unused_faults", "faults", "lints", "duplicated"]) {
    assert.equal(verdict[name][0]?.label, "one.test.js > it", name);
  }
  const answers = [
    ["RuleState[]", await workspace.scripts.list()],
    ["FaultState[]", await workspace.faults.list()],
    ["Exchange[]", await workspace.journal.entries()],
    ["Container[]", await workspace.containers.list()],
    ["Usage", await workspace.usage()],
    ["Verdict[]", [verdict, await workspace.call("GET", "verify", undefined, { workspace: "*" }), ...(await judged(service)), unused]],
    ["Mounted[]", mounted],
    ["Awaited<ReturnType<Cassettes[\"unmount\"]>>[]", [await cassettes.unmount(), await cassettes.unmount()]],
  ];
  // Literals, so that the compiler refuses members that a type does not know.
  const lines = answers.map(([type, value], at) => `export const answer${at}: ${type} = ${JSON.stringify(value)};`);
  const names = "Cassettes, Container, Exchange, FaultState, Mounted, RuleState, Usage, Verdict";
  const root = project(t, {
    "package.json": "{}",
    "tsconfig.json": JSON.stringify({ compilerOptions: options, include: ["*.mts"] }),
    "answers.mts": `import type { ${names} } from "sandtable";\n${lines.join("\n")}\n`,
  });
  const { code, said } = await node([path.join(MODULES, "typescript/bin/tsc"), "-p", root], { cwd: root });
  assert.equal(code, 0, said);
});
