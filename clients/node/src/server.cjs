// A server of one's own: found, started, and ended with this process.
"use strict";

const { spawn } = require("node:child_process");
const { randomUUID } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { findBinary } = require("./binary.cjs");
const { NotFoundError, SandtableError } = require("./errors.cjs");
const { ControlClient } = require("./http.cjs");
const { ofServers } = require("./seal.cjs");
const { Workspace, rulesPath, rulesText, timeText } = require("./workspace.cjs");

// A test's fake clock is not meant for us.
const { setTimeout, clearTimeout } = globalThis;

const STOP_MS = 30_000;
const LOG_TAIL = 4000;

/**
 * A sandtable server on a free port of this machine. It ends with `stop()`, with `await using`, when the
 * process exits, and, because it watches a pipe to the process, when that is killed.
 */
class Server {
  #url;
  #token;
  #child;
  #ended;
  #folder;
  #onExit;

  /** Starts a server; it answers when this resolves. */
  static async start(options = {}) {
    const server = new Server();
    try {
      await server.#start(options);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** A server that somebody else starts and stops. */
  static async connect(url, { controlToken } = {}) {
    const server = new Server();
    const client = new ControlClient(url, undefined, controlToken);
    await client.call("GET", "health");
    server.#url = client.url;
    server.#token = controlToken;
    return server;
  }

  get baseUrl() {
    if (this.#url === undefined) throw new SandtableError("the server does not run\n  hint: `await Server.start()`");
    return this.#url;
  }

  get pid() {
    return this.#child?.pid;
  }

  workspace(apiKey) {
    return new Workspace(this.baseUrl, apiKey ?? `sk-ant-${randomUUID()}`, this.#token);
  }

  log() {
    const file = this.#folder && path.join(this.#folder, "log");
    return file && fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  }

  async #start(options) {
    const { binary = findBinary(), args = [], env = {}, startTimeoutMs = 60_000 } = options;
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sandtable-"));
    this.#folder = folder;
    this.#onExit = () => fs.rmSync(folder, { recursive: true, force: true });
    process.on("exit", this.#onExit);
    const flags = [...given(options, folder), ...args];
    this.#url = await this.#launch(binary, flags, env, startTimeoutMs);
    await new ControlClient(this.#url).call("GET", "health");
  }

  async #launch(binary, flags, env, startTimeoutMs) {
    const log = fs.openSync(path.join(this.#folder, "log"), "w");
    // Standard input is never written to: it ends when this process does. A session of its own keeps
    // Ctrl-C for the tests, which may still need the server to clear up.
    const child = spawn(binary, ["--port", "0", "--stop-at-eof", ...flags], {
      stdio: ["pipe", "pipe", log],
      env: { ...process.env, ...ofServers(), ...env },
      detached: true,
    });
    fs.closeSync(log);
    child.stdin?.on("error", () => {});
    let timer;
    this.#ended = new Promise((resolve) => {
      child.once("exit", resolve);
      child.once("error", resolve);
    });
    const url = await new Promise((resolve, reject) => {
      timer = setTimeout(
        () => reject(new SandtableError(`the server is not up after ${startTimeoutMs} ms; its log:\n${this.#tail()}`)),
        startTimeoutMs,
      );
      child.once("error", (error) => reject(new NotFoundError(`\`${binary}\` cannot be started: ${error.message}`)));
      child.once("exit", () => reject(new SandtableError(`the server does not start:\n${this.#tail()}`)));
      this.#child = child.pid === undefined ? undefined : child;
      let said = "";
      child.stdout?.setEncoding("utf8").on("data", (text) => {
        said += text;
        const found = /^ *listening +(\S+)$/m.exec(said);
        // The last line may still be in pieces.
        if (found && said.indexOf("\n", found.index) >= 0) resolve(found[1]);
      });
    }).finally(() => clearTimeout(timer));
    // A program that forgets to stop the server can still end, and the server then does.
    child.unref();
    child.stdin.unref();
    child.stdout.unref();
    return url;
  }

  #tail() {
    return this.log().slice(-LOG_TAIL).trim();
  }

  async stop() {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) {
      this.#url = undefined;
      child.ref();
      child.stdin.end();
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await this.#ended;
      clearTimeout(timer);
    }
    if (this.#onExit) {
      process.off("exit", this.#onExit);
      this.#onExit();
      this.#onExit = this.#folder = undefined;
    }
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.stop();
  }
}

/** The options as flags; what is no file is put into one. */
function given({ scripts = [], faults = [], seed, frozenAt, backend, dataDir, quirks = {}, cassetteDir, upstream }, folder) {
  const flags = [];
  scripts.forEach((rules, index) => {
    let file = rulesPath(rules);
    if (file === undefined) {
      file = path.join(folder, `script-${index + 1}.yaml`);
      fs.writeFileSync(file, rulesText(rules));
    }
    flags.push("--script", file);
  });
  if (faults.length > 0) {
    const file = path.join(folder, "faults.json");
    fs.writeFileSync(file, JSON.stringify(faults));
    flags.push("--faults", file);
  }
  const single = {
    "--seed": seed,
    "--frozen-at": frozenAt === undefined ? undefined : timeText(frozenAt),
    "--backend": backend,
    "--data-dir": dataDir,
    "--cassette-dir": cassetteDir,
    "--upstream": upstream,
  };
  for (const [flag, value] of Object.entries(single)) {
    if (value !== undefined) flags.push(flag, String(value));
  }
  for (const [name, value] of Object.entries(quirks)) {
    flags.push(...(name === "profile" ? ["--profile", value] : ["--quirk", `${name}=${value}`]));
  }
  return flags;
}

module.exports = { Server };
