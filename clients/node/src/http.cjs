// Control calls: JSON over HTTP.
"use strict";

const http = require("node:http");
const { RefusedError, SandtableError, SilentError } = require("./errors.cjs");

// As they were when this module was loaded, also where a test puts others in their place: a fake clock
// or a recorder of requests is not meant for us.
const request = http.request;
const { setTimeout, clearTimeout } = globalThis;

const TIMEOUT_MS = 60_000;

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

  /** The answer of `/_sandtable/<path>`; `body` is text as it stands, or something to be JSON. */
  async call(method, path, body, query = {}) {
    const url = new URL(`${this.url}/_sandtable/${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) url.searchParams.set(name, String(value));
    }
    const data = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const headers = { "content-type": "application/json" };
    if (this.key) headers["x-api-key"] = this.key;
    if (this.token) headers["x-sandtable-token"] = this.token;
    if (data !== undefined) headers["content-length"] = String(Buffer.byteLength(data));
    const { status, text } = await this.#send(url, { method, headers }, data);
    return this.#read(status, text);
  }

  #send(url, options, data) {
    return new Promise((resolve, reject) => {
      const silent = (error) => reject(new SilentError(`no answer from ${this.url}: ${error.message || error.code}`));
      const sent = request(url, { ...options, agent: false }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", silent);
        response.on("end", () => {
          clearTimeout(timer);
          resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString("utf8") });
        });
      });
      const timer = setTimeout(() => sent.destroy(new Error(`none within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
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
