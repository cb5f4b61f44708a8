// A base URL that stays the same for a whole process, whatever server and workspace the running test has.
"use strict";

const { Worker, receiveMessageOnPort, MessageChannel } = require("node:worker_threads");
const path = require("node:path");
const { SandtableError } = require("./errors.cjs");

const START_MS = 30_000;
const TOLD = 0;

/**
 * The relay's thread, and what it is told. It has a thread of its own, so that a test which waits for a program
 * (`spawnSync`) does not keep that program waiting. Everything is settled when a call returns.
 */
class Relay {
  #worker;
  #counter = new Int32Array(new SharedArrayBuffer(4));
  #sent = 0;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#worker = new Worker(path.join(__dirname, "relay-worker.cjs"), {
      workerData: { counter: this.#counter, port: port2 },
      transferList: [port2],
      // Nothing of the tests' own flags, and no key of anybody.
      execArgv: [],
      env: {},
    });
    this.#worker.unref();
    this.#wait(0);
    this.url = receiveMessageOnPort(port1)?.message;
    port1.close();
    if (!this.url) throw new SandtableError("the relay does not start");
  }

  /**
   * What the relay does from now on: `current` is where requests go, `fallback` where they go if there is none;
   * either is a `{ url, key }`.
   */
  tell({ current, fallback }) {
    this.#sent += 1;
    this.#worker.postMessage({ current, fallback });
    this.#wait(this.#sent);
  }

  close() {
    return this.#worker.terminate();
  }

  #wait(seen) {
    const outcome = Atomics.wait(this.#counter, TOLD, seen, START_MS);
    if (outcome === "timed-out") throw new SandtableError("the relay does not answer");
  }
}

module.exports = { Relay };
