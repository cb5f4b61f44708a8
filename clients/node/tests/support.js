// What the tests share: sentences to servers, projects of users, and programs to run.
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { findBinary } from "sandtable";

export const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
export const MODULES = fs.realpathSync(path.join(PACKAGE, "node_modules"));
export const HELLO = "- when: { user: hello }\n  then: [{ text: Hello from a script. }]\n";
export const MODEL = "claude-opus-4-6";
export const CODE = { type: "code_execution_20250825", name: "code_execution" };

export const ask = (client, prompt, more = {}) =>
  client.messages.create({ model: MODEL, max_tokens: 1024, messages: [{ role: "user", content: prompt }], ...more });

/** A folder that is removed with the test. */
export function folder(t) {
  const made = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sandtable-test-")));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Writes files below a folder. */
export function write(root, files) {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(root, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
}

/** A user's project: these files, this package installed, and beside it whatever this package has. */
export function project(t, files) {
  const root = folder(t);
  const modules = path.join(root, "node_modules");
  fs.mkdirSync(modules);
  for (const name of fs.readdirSync(MODULES)) {
    if (!name.startsWith(".")) fs.symlinkSync(path.join(MODULES, name), path.join(modules, name));
  }
  const installed = path.join(modules, "sandtable");
  fs.mkdirSync(installed);
  for (const part of ["package.json", "src"]) fs.cpSync(path.join(PACKAGE, part), path.join(installed, part), { recursive: true });
  write(root, files);
  return root;
}

/** Runs a program to its end: exit code and what it said. */
export function run(command, args, { cwd, env = {}, ...more } = {}) {
  const own = { ...process.env, SANDTABLE_BIN: findBinary(), ...env };
  // Set by the runner of these very tests.
  delete own.NODE_TEST_CONTEXT;
  delete own.NODE_OPTIONS;
  delete own.FORCE_COLOR;
  own.NO_COLOR = "1";
  Object.assign(own, env);
  for (const [name, value] of Object.entries(own)) if (value === undefined) delete own[name];
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: own, stdio: ["ignore", "pipe", "pipe"], ...more });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, said }));
  });
}

export const node = (args, options) => run(process.execPath, args, options);

export const vitest = (cwd, args = [], options = {}) =>
  node([path.join(MODULES, "vitest/vitest.mjs"), "run", "--root", cwd, ...args], { cwd, ...options });

export const jest = (cwd, args = [], options = {}) =>
  node([path.join(MODULES, "jest/bin/jest.js"), "--rootDir", cwd, ...args], { cwd, ...options });

/** Whether something listens there. */
export function isUp(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect({ host: hostname, port: Number(port) });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** Waits until nothing listens there any more. */
export async function untilDown(url) {
  const deadline = Date.now() + 30_000;
  while (await isUp(url)) {
    if (Date.now() > deadline) throw new Error("the server is still up");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
