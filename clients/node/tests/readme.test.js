// Every snippet of the README runs, and the package it tells how to make works where there is nothing else.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Server, findBinary } from "sandtable";
import { PACKAGE, folder, jest, node, project, run, vitest, write } from "./support.js";

const README = fs.readFileSync(path.join(PACKAGE, "README.md"), "utf8");
const snippets = (language) =>
  [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map((match) => match[1]);
const [inVitest, vitestConfig, inJest, jestConfig, byHand, ...more] = snippets("js");
const [install, bundle, ...others] = snippets("sh");

test("there are as many snippets as are run here", () => {
  assert.deepEqual([more, others], [[], []]);
  assert.equal(README.match(/^```/gm).length, 2 * 7);
});

test("the tests of the README pass in vitest", async (t) => {
  const server = await Server.start();
  const { backend } = await server.workspace().call("GET", "health");
  await server.stop();
  if (backend === "none") return t.skip("there are no sandboxes");
  const files = { "package.json": '{ "type": "module" }', "one.test.js": inVitest, "vitest.config.js": vitestConfig };
  const { code, said } = await vitest(project(t, files));
  assert.equal(code, 0, said);
  assert.match(said, /3 passed/);
});

test("the test of the README passes in jest", async (t) => {
  const files = { "package.json": "{}", "one.test.js": inJest, "jest.config.js": jestConfig };
  const { code, said } = await jest(project(t, files));
  assert.equal(code, 0, said);
  assert.match(said, /1 passed/);
});

test("the program of the README runs", async (t) => {
  const { code, said } = await node(["main.mjs"], { cwd: project(t, { "main.mjs": byHand }) });
  assert.equal(code, 0, said);
  assert.match(said, /^http:\/\/127\.0\.0\.1:\d+ 0 30\n$/);
});

/** A checkout whose server is built, and a project in it that has nothing installed. */
function checkout(t) {
  const root = folder(t);
  const own = path.join(root, "clients/node");
  for (const part of ["package.json", "src", "scripts", "README.md"]) {
    fs.cpSync(path.join(PACKAGE, part), path.join(own, part), { recursive: true });
  }
  write(root, { "package.json": '{ "name": "user", "type": "module" }', "shims/cargo": "#!/bin/sh\nexit 0\n" });
  fs.chmodSync(path.join(root, "shims/cargo"), 0o755);
  fs.mkdirSync(path.join(root, "target/release"), { recursive: true });
  fs.symlinkSync(findBinary(), path.join(root, "target/release/sandtable"));
  return root;
}

const shell = async (commands, cwd) => {
  const env = {
    PATH: `${path.join(cwd, "shims")}:${process.env.PATH}`,
    // The packages of development are not a user's business; nothing is fetched.
    npm_config_offline: "true",
    npm_config_cache: path.join(cwd, "cache"),
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
  };
  const { code, said } = await run("bash", ["-euc", commands], { cwd, env });
  assert.equal(code, 0, said);
};

test("the package is installed from a checkout", async (t) => {
  const root = checkout(t);
  await shell(install, root);
  assert.ok(fs.existsSync(path.join(root, "node_modules/sandtable/src/index.js")));
});

test("a package that holds the program needs nothing else", async (t) => {
  const root = checkout(t);
  await shell(bundle, root);
  for (const gone of ["clients", "target", "shims"]) fs.rmSync(path.join(root, gone), { recursive: true });
  const program = path.join(root, "node_modules/sandtable/bin/sandtable");
  write(root, {
    "main.js": `
      import fs from "node:fs";
      import { Server } from "sandtable";
      const server = await Server.start({ backend: "none" });
      console.log(await server.workspace().clock.now() instanceof Date, fs.readFileSync(\`/proc/\${server.pid}/cmdline\`, "utf8").split("\\0")[0]);
      await server.stop();`,
  });
  const bare = { PATH: "", SANDTABLE_BIN: undefined, CARGO_TARGET_DIR: undefined };
  const { code, said } = await node(["main.js"], { cwd: root, env: bare });
  assert.equal(code, 0, said);
  assert.equal(said, `true ${program}\n`);
});

test("a bundle that is not there is refused", async (t) => {
  const own = path.join(checkout(t), "clients/node");
  const { code, said } = await run("npm", ["pack", "--offline"], { cwd: own, env: { SANDTABLE_BUNDLE: "/nowhere/sandtable" } });
  assert.notEqual(code, 0);
  assert.match(said, /SANDTABLE_BUNDLE names `\/nowhere\/sandtable`, which is no file/);
});
