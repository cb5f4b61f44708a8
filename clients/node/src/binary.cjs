// Finding the server's program.
"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");
const { NotFoundError } = require("./errors.cjs");

const PACKAGE = path.dirname(__dirname);
const NAMES = process.platform === "win32" ? ["sandtable.exe"] : ["sandtable"];

// What the commands of this package and of the one for Python have in them: they look for the program themselves.
const LAUNCHER = /sandtable[./\\](src[/\\])?command/;
// They are smaller by far than the program, which is not read to tell them apart.
const LAUNCHER_MAX_BYTES = 1_000_000;

/**
 * The program: what SANDTABLE_BIN names, else `sandtable` on PATH, else the one inside this package or in the
 * package of this platform, else one built by Cargo from the checkout around this package or around `near` (the
 * present directory).
 */
function findBinary(near = process.cwd(), around = PACKAGE) {
  const named = process.env.SANDTABLE_BIN;
  if (named) {
    if (isFile(named)) return path.resolve(named);
    throw new NotFoundError(`SANDTABLE_BIN names \`${named}\`, which is no file`);
  }
  const found = onPath(NAMES, isProgram) ?? firstFile(path.join(around, "bin"), NAMES) ?? ofThisPlatform(around);
  if (found) return found;
  for (const start of [around, path.resolve(near)]) {
    const root = checkout(start);
    if (root) return build(root);
  }
  throw new NotFoundError(
    "there is no `sandtable` program\n" +
      "  hint: set SANDTABLE_BIN to it, put it on PATH, install a package that holds it (with optional dependencies),\n" +
      "        or work inside a checkout\n" +
      "  hint: on macOS, on Windows, and where no package holds it, run the server in its image:\n" +
      "        docker run -p 127.0.0.1:4010:4010 sandtable:full\n" +
      "        and tell clients ANTHROPIC_BASE_URL=http://127.0.0.1:4010, and vitest and jest SANDTABLE_URL=http://127.0.0.1:4010",
  );
}

/** The program of the optional dependency that npm installs for this system alone. */
function ofThisPlatform(around) {
  const name = `@sandtable/${process.platform}-${process.arch}/package.json`;
  let manifest;
  try {
    manifest = createRequire(path.join(around, "package.json")).resolve(name);
  } catch {
    return;
  }
  return firstFile(path.join(path.dirname(manifest), "bin"), NAMES);
}

/** Whether it is the server's program, and not a command that looks for it. */
function isProgram(file) {
  return fs.statSync(file).size >= LAUNCHER_MAX_BYTES || !LAUNCHER.test(fs.readFileSync(file, "latin1"));
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function firstFile(folder, names) {
  return names.map((name) => path.join(folder, name)).find(isFile);
}

function onPath(names, isMeant = () => true) {
  for (const folder of (process.env.PATH ?? "").split(path.delimiter)) {
    const file = folder && firstFile(folder, names);
    if (file && isMeant(file)) return file;
  }
}

function checkout(start) {
  for (let folder = start; ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, "Cargo.toml");
    if (isFile(manifest) && /^name = "sandtable"$/m.test(fs.readFileSync(manifest, "utf8"))) return folder;
    if (folder === path.dirname(folder)) return;
  }
}

/** Builds the program, which takes minutes the first time and a moment later on. */
function build(root) {
  const cargo = onPath(process.platform === "win32" ? ["cargo.exe"] : ["cargo"]);
  if (!cargo) {
    throw new NotFoundError(
      `\`sandtable\` is not built, and there is no \`cargo\` to build it in \`${root}\`\n` +
        "  hint: install Rust, or set SANDTABLE_BIN to the program",
    );
  }
  const command = ["build", "--release", "--locked", "--bin", "sandtable"];
  const done = spawnSync(cargo, command, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (done.status !== 0) {
    const said = `${done.stdout ?? ""}${done.stderr ?? ""}${done.error ?? ""}`;
    throw new NotFoundError(`\`cargo ${command.join(" ")}\` failed in \`${root}\`:\n${said.slice(-4000)}`);
  }
  const folder = path.resolve(root, process.env.CARGO_TARGET_DIR || "target", "release");
  const file = firstFile(folder, NAMES);
  if (file) return file;
  throw new NotFoundError(`Cargo built \`sandtable\`, but it is not in \`${folder}\``);
}

module.exports = { findBinary };
