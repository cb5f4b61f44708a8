// Finding the server's program.
"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { NotFoundError } = require("./errors.cjs");

const PACKAGE = path.dirname(__dirname);
const NAMES = process.platform === "win32" ? ["sandtable.exe"] : ["sandtable"];

/**
 * The program: what SANDTABLE_BIN names, else `sandtable` on PATH, else the one inside this package, else
 * one built by Cargo from the checkout around this package or around `near` (the present directory).
 */
function findBinary(near = process.cwd(), around = PACKAGE) {
  const named = process.env.SANDTABLE_BIN;
  if (named) {
    if (isFile(named)) return path.resolve(named);
    throw new NotFoundError(`SANDTABLE_BIN names \`${named}\`, which is no file`);
  }
  const found = onPath(NAMES) ?? firstFile(path.join(around, "bin"), NAMES);
  if (found) return found;
  for (const start of [around, path.resolve(near)]) {
    const root = checkout(start);
    if (root) return build(root);
  }
  throw new NotFoundError(
    "there is no `sandtable` program\n" +
      "  hint: set SANDTABLE_BIN to it, put it on PATH, install a package that holds it, or work inside a checkout",
  );
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function firstFile(folder, names) {
  return names.map((name) => path.join(folder, name)).find(isFile);
}

function onPath(names) {
  for (const folder of (process.env.PATH ?? "").split(path.delimiter)) {
    const file = folder && firstFile(folder, names);
    if (file) return file;
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
