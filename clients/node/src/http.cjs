// Control calls: JSON over HTTP.
"use strict";

const http = require("node:http");
const { RefusedError, SandtableError, SilentError } = require("./errors.cjs");

// As they were when this module was loaded, also where a test puts others in their place: a fake clock
// or a recorder of requests is not meant for us.
const request = http.request;
const { setTimeout, clearTimeout } = globalThis;

const TIMEOUT_MS = 60_000;
// `wait` answers within its own time, which the server limits to 5 minutes.
const WAIT_TIMEOUT_MS = 360_000;

const TEXTS = ["text/plain", "application/yaml"];

/** Speaks to one server as one workspace. */
class ControlClient {
  constructor(url, key, token) {
    let parts;
    try {
      parts = new URL(url);
    } catch {
      parts = undefined;
    }
    if (parts?.protocol !== "http:") {
      throw new SandtableError(`\`${url}\` is no server's URL\n  hint: such as http://127.0.0.1:4010`);
    }
    this.url = url.replace(/\/+$/, "");
    this.key = key;
    this.token = token;
  }

  /**
   * The answer of `/_sandtable/<path>`, which is JSON unless it may be `whatever` it is; `body` is text or bytes as
   * they stand, or something to be JSON.
   */
  async call(method, path, body, query = {}, { whatever = false } = {}) {
    const url = new URL(`${this.url}/_sandtable/${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) url.searchParams.set(name, String(value));
    }
    const isGiven = body === undefined || typeof body === "string" || body instanceof Uint8Array;
    const data = isGiven ? body : JSON.stringify(body);
    const headers = isGiven ? {} : { "content-type": "application/json" };
    if (this.key) headers["x-api-key"] = this.key;
    if (this.token) headers["x-sandtable-token"] = this.token;
    if (data !== undefined) headers["content-length"] = String(Buffer.byteLength(data));
    const timeoutMs = path === "wait" ? WAIT_TIMEOUT_MS : TIMEOUT_MS;
    const { status, bytes, sent } = await this.#send(url, { method, headers }, data, timeoutMs);
    if (whatever && status < 400) {
      // What lies in a container is given as it is.
      if (sent["content-disposition"]?.startsWith("attachment")) return bytes;
      if (TEXTS.some((kind) => sent["content-type"]?.startsWith(kind))) return bytes.toString("utf8");
    }
    return this.#read(status, bytes.toString("utf8"));
  }

  #send(url, options, data, timeoutMs) {
    return new Promise((resolve, reject) => {
      const silent = (error) => reject(new SilentError(`no answer from ${this.url}: ${error.message || error.code}`));
      const sent = request(url, { ...options, agent: false }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", silent);
        response.on("end", () => {
          clearTimeout(timer);
          resolve({ status: response.statusCode, bytes: Buffer.concat(chunks), sent: response.headers });
        });
      });
      const timer = setTimeout(() => sent.destroy(new Error(`none within ${timeoutMs} ms`)), timeoutMs);
      sent.on("error", (error) => {
        clearTimeout(timer);
        silent(error);
      });
      sent.end(data);
    });
  }

  #read(status, text) {
    let value;
    try {
      value = text === "" ? undefined : JSON.parse(text);
    } catch {
      throw new SilentError(`${this.url} is no sandtable server: it answers ${status} without JSON`);
    }
    if (status < 400) return value;
    const error = value?.error;
    if (typeof error?.message !== "string") {
      throw new SilentError(`${this.url} is no sandtable server: it answers ${status}`);
    }
    throw new RefusedError(status, error.message, error.hint ?? "");
  }
}

module.exports = { ControlClient };
