#!/usr/bin/env node
// The command `sandtable` of this package: it runs the program. (`sandtable/src/command`: by this it is told from it.)
"use strict";

const { spawn } = require("node:child_process");
const { findBinary } = require("./binary.cjs");
const { NotFoundError } = require("./errors.cjs");

// A terminal sends the others to the program as well, and a second one ends it at once.
const FORWARDED = process.stdin.isTTY ? ["SIGTERM"] : ["SIGINT", "SIGTERM", "SIGHUP"];
const HEARD = ["SIGINT", "SIGTERM", "SIGHUP"];

function main() {
  let program;
  try {
    program = findBinary();
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    console.error(`sandtable: ${error.message}`);
    process.exitCode = 127;
    return;
  }
  const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
  child.on("error", (error) => {
    console.error(`sandtable: \`${program}\` cannot be started: ${error.message}`);
    process.exitCode = 126;
  });
  // This process outlives the program, whose end is its own.
  for (const signal of HEARD) process.on(signal, () => FORWARDED.includes(signal) && child.kill(signal));
  child.on("exit", (code, signal) => {
    if (!signal) return process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

main();
