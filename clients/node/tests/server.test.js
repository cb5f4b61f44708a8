// Finding, starting, and ending the server.
import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import * as sandtable from "sandtable";
import { HELLO, PACKAGE, folder, isUp, node, project, untilDown, write } from "./support.js";

const { NotFoundError, SandtableError, Server, SilentError } = sandtable;

test("import and require give the same classes", () => {
  const required = createRequire(import.meta.url)("sandtable");
  assert.deepEqual(Object.keys(required).sort(), Object.keys(sandtable).sort());
  assert.equal(required.Server, Server);
});

test("a server runs until it is stopped", async () => {
  const server = await Server.start({ backend: "none" });
  const { baseUrl, pid } = server;
  assert.equal((await server.workspace().call("GET", "health")).status, "ok");
  await server.stop();
  assert.equal(await isUp(baseUrl), false);
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  assert.throws(() => server.workspace(), /does not run/);
  await server.stop();
});

test("what a server is given lies under every workspace", async (t) => {
  const file = path.join(folder(t), "rules.yaml");
  fs.writeFileSync(file, "- name: of a file\n  when: { user: x }\n  then: [{ text: x }]\n");
  const fault = { at: "http", path: "/v1/files", status: 500 };
  const server = await Server.start({
    scripts: [HELLO, file, new URL(`file://${file}`), [{ name: "object", then: [{ text: "y" }] }]],
    faults: [fault],
    seed: 7,
    frozenAt: new Date("2026-01-04T20:47:05Z"),
    backend: "none",
    quirks: { profile: "observed" },
    args: ["--rate-limit", "requests=5"],
  });
  t.after(() => server.stop());
  for (const workspace of [server.workspace(), server.workspace()]) {
    const rules = await workspace.scripts.list();
    // A file that is named twice is read once.
    assert.deepEqual(rules.map((rule) => rule.name), ["rule at line 1", "of a file", "object"]);
    assert.deepEqual((await workspace.faults.list()).map((each) => each.fault), [fault]);
    assert.deepEqual(await workspace.clock.state(), { now: new Date("2026-01-04T20:47:05Z"), frozen: true });
    assert.equal((await workspace.call("GET", "quirks")).profile, "observed");
    assert.equal((await workspace.call("GET", "rate-limits")).data[0].requests, 5);
  }
});

test("what is wrong with the flags or scripts is told", async () => {
  const told = (options, kind, message) =>
    assert.rejects(Server.start(options), (error) => error instanceof kind && message.test(error.message));
  await told({ scripts: ["- than: []"], backend: "none" }, SandtableError, /script-1\.yaml:1:3: .*\n.*did you mean `then`/);
  await told({ args: ["--nonsense"] }, SandtableError, /unexpected argument '--nonsense'/);
  await told({ binary: "/nowhere/sandtable" }, NotFoundError, /cannot be started/);
});

test("a server that never speaks is given up and ended", async (t) => {
  const mute = program(path.join(folder(t), "mute"), "#!/bin/sh\necho of no use >&2\nexec cat\n");
  await assert.rejects(Server.start({ binary: mute, startTimeoutMs: 500 }), /not up after 500 ms; its log:\nof no use/);
});

test("somebody else's server is used and left alone", async (t) => {
  const owner = await Server.start({ backend: "none", args: ["--control-token", "secret"] });
  t.after(() => owner.stop());
  const guest = await Server.connect(`${owner.baseUrl}/`, { controlToken: "secret" });
  assert.ok(await guest.workspace().clock.now());
  assert.equal(guest.pid, undefined);
  await guest.stop();
  assert.equal(await isUp(owner.baseUrl), true);
  await assert.rejects((await Server.connect(owner.baseUrl)).workspace().reset(), /control token is missing/);
  const url = owner.baseUrl;
  await owner.stop();
  await assert.rejects(Server.connect(url), SilentError);
  await assert.rejects(Server.connect("localhost:4010"), /is no server's URL/);
});

for (const end of [
  "",
  "process.exit(0)",
  "throw new Error()",
  "process.kill(process.pid, 'SIGKILL')",
  "process.abort()",
]) {
  test(`the server ends with its process: ${end || "no more to do"}`, async (t) => {
    const root = project(t, {
      "main.mjs": `
        import { Server } from "sandtable";
        const server = await Server.start({ backend: "none" });
        console.log(server.baseUrl, server.pid);
        ${end}`,
    });
    const { said } = await node(["main.mjs"], { cwd: root });
    const [, url, pid] = /(http:\S+) (\d+)/.exec(said);
    await untilDown(url);
    const deadline = Date.now() + 30_000;
    while (fs.existsSync(`/proc/${pid}/cmdline`) && fs.readFileSync(`/proc/${pid}/cmdline`).length > 0) {
      assert.ok(Date.now() < deadline, "the process is still there");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
}

function program(file, text) {
  write("/", { [file]: text });
  fs.chmodSync(file, 0o755);
  return file;
}

test("the program is found in this order", async (t) => {
  const root = folder(t);
  write(root, { "package/src/binary.cjs": fs.readFileSync(path.join(PACKAGE, "src/binary.cjs"), "utf8") });
  write(root, { "package/src/errors.cjs": fs.readFileSync(path.join(PACKAGE, "src/errors.cjs"), "utf8") });
  const find = async (env = {}, cwd = root) => {
    const code = `console.log(require(${JSON.stringify(path.join(root, "package/src/binary.cjs"))}).findBinary())`;
    const bare = { PATH: path.join(root, "path"), SANDTABLE_BIN: undefined, CARGO_TARGET_DIR: undefined, ...env };
    return (await node(["-e", code], { cwd, env: bare })).said.trim();
  };
  assert.match(await find(), /hint: set SANDTABLE_BIN/);

  write(root, { "Cargo.toml": '[package]\nname = "sandtable"\n', "deep/down/file": "" });
  assert.match(await find(), /no `cargo`/);
  program(path.join(root, "path/cargo"), "#!/bin/sh\necho error: no linker >&2\nexit 101\n");
  assert.match(await find(), /build --release .*` failed in `.*`:\nerror: no linker/);
  const cargo = '#!/bin/sh\necho "$@" > said\n/bin/mkdir -p target/release\necho > target/release/sandtable\n';
  program(path.join(root, "path/cargo"), cargo);
  assert.equal(await find({}, path.join(root, "deep/down")), path.join(root, "target/release/sandtable"));
  assert.match(fs.readFileSync(path.join(root, "said"), "utf8"), /^build --release/);

  const bundled = program(path.join(root, "package/bin/sandtable"), "");
  assert.equal(await find(), bundled);
  const onPath = program(path.join(root, "path/sandtable"), "");
  assert.equal(await find(), onPath);
  // Commands that look for the program themselves are passed over, also the one of this package itself.
  const python = "#!/usr/bin/python3\nfrom sandtable.command import main\nmain()\n";
  for (const text of [python, fs.readFileSync(path.join(PACKAGE, "src/command.cjs"), "utf8")]) {
    program(onPath, text);
    assert.equal(await find(), bundled);
  }
  const ofPlatform = `package/node_modules/@sandtable/${process.platform}-${process.arch}`;
  write(root, { [`${ofPlatform}/package.json`]: "{}" });
  const there = program(path.join(root, ofPlatform, "bin/sandtable"), "");
  fs.rmSync(bundled);
  assert.equal(await find(), there);
  const named = program(path.join(root, "named"), "");
  assert.equal(await find({ SANDTABLE_BIN: named }), named);
  assert.match(await find({ SANDTABLE_BIN: root }), /no file/);
});
