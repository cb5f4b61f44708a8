// A workspace as a test sees it: its clock, scripts, faults, journal, containers, and cost.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { fileURLToPath } = require("node:url");
const { RefusedError, SandtableError } = require("./errors.cjs");
const { ControlClient } = require("./http.cjs");

const MAX_LABEL_CHARS = 1000;

/** All that belongs to one API key. Nothing crosses workspaces: a key for each test keeps tests apart. */
class Workspace {
  #client;
  #entrance;

  constructor(url, apiKey, controlToken) {
    this.#client = new ControlClient(url, apiKey, controlToken);
    this.baseUrl = this.#client.url;
    this.apiKey = apiKey;
    this.clock = new Clock(this.#client);
    this.scripts = new Scripts(this.#client);
    this.faults = new Faults(this.#client);
    this.journal = new Journal(this.#client);
    this.containers = new Containers(this.#client);
    this.cassettes = new Cassettes(this.#client);
  }

  get options() {
    return { baseURL: this.baseUrl, apiKey: this.apiKey };
  }

  get env() {
    return { ANTHROPIC_BASE_URL: this.#entrance ?? this.baseUrl, ANTHROPIC_API_KEY: this.apiKey };
  }

  /** Programs enter by another URL; with a key, all clients do, and do not get to know the workspace's own. */
  enteredBy(url, key) {
    this.#entrance = url;
    if (key !== undefined) [this.baseUrl, this.apiKey] = [url, key];
    return this;
  }

  usage(month) {
    return this.#client.call("GET", "usage", undefined, { month });
  }

  verify({ lints } = {}) {
    return this.#client.call("GET", "verify", undefined, { lints });
  }

  async label(name) {
    try {
      await this.#client.call("PUT", "label", { label: [...name].slice(0, MAX_LABEL_CHARS).join("") });
    } catch (error) {
      // Older servers do not know it.
      if (!(error instanceof RefusedError && [404, 405].includes(error.status))) throw error;
    }
  }

  async fork() {
    const { key } = await this.#client.call("POST", "state/fork");
    return new Workspace(this.#client.url, key, this.#client.token);
  }

  async wait({ timeout = "30s", ...condition } = {}) {
    return (await this.#client.call("GET", "wait", undefined, { ...condition, timeout })).met;
  }

  async reset() {
    await this.#client.call("POST", "reset");
  }

  call(method, path, body, query) {
    return this.#client.call(method, path, body, query, { whatever: true });
  }
}

class Clock {
  #client;

  constructor(client) {
    this.#client = client;
  }

  async state() {
    return state(await this.#client.call("GET", "clock"));
  }

  async now() {
    return (await this.state()).now;
  }

  advance(span) {
    return this.#change({ advance: typeof span === "number" ? `${Math.round(span)}ms` : span });
  }

  set(time) {
    return this.#change({ set: timeText(time) });
  }

  async freeze(at) {
    // One after the other: in one call the clock would run on between the two.
    const now = await this.#change({ freeze: true });
    return at === undefined ? now : this.set(at);
  }

  thaw() {
    return this.#change({ freeze: false });
  }

  async #change(change) {
    return state(await this.#client.call("POST", "clock", change)).now;
  }
}

function state({ now, frozen }) {
  return { now: new Date(now), frozen };
}

function timeText(time) {
  return typeof time === "string" ? time : time.toISOString();
}

class Scripts {
  #client;

  constructor(client) {
    this.#client = client;
  }

  async put(rules) {
    await this.#client.call("PUT", "scripts", rulesText(rules), rulesName(rules));
  }

  async add(rules) {
    await this.#client.call("POST", "scripts", rulesText(rules), rulesName(rules));
  }

  async list() {
    return (await this.#client.call("GET", "scripts")).data;
  }

  async clear() {
    await this.#client.call("DELETE", "scripts");
  }
}

/** The path of a file of rules, or undefined if they are something else; relative to `folder`. */
function rulesPath(rules, folder = process.cwd()) {
  if (rules instanceof URL) return fileURLToPath(rules);
  const isPath = typeof rules === "string" && !rules.includes("\n") && /\.(ya?ml|json)$/.test(rules);
  return isPath ? path.resolve(folder, rules) : undefined;
}

/** The file that messages name. */
function rulesName(rules) {
  const file = rulesPath(rules);
  if (file === undefined) return {};
  const name = path.relative(process.cwd(), file);
  return { name: name.startsWith("..") ? file : name };
}

function rulesText(rules, folder) {
  const file = rulesPath(rules, folder);
  if (file !== undefined) return fs.readFileSync(file, "utf8");
  if (typeof rules === "string") return rules;
  // One rule alone is a list of one.
  return JSON.stringify(!Array.isArray(rules) && "then" in rules ? [rules] : rules);
}

class Faults {
  #client;

  constructor(client) {
    this.#client = client;
  }

  async add(fault) {
    return (await this.#client.call("POST", "faults", fault)).data;
  }

  async list() {
    return (await this.#client.call("GET", "faults")).data;
  }

  async clear() {
    await this.#client.call("DELETE", "faults");
  }

  overloaded(options) {
    return this.#one({ type: "overloaded_error" }, options);
  }

  serverError(options) {
    return this.#one({ type: "api_error" }, options);
  }

  rateLimited({ retryAfter, headers = {}, ...options } = {}) {
    if (retryAfter !== undefined) {
      const [name, value] = Number.isInteger(retryAfter)
        ? ["retry-after", retryAfter]
        : ["retry-after-ms", Math.round(retryAfter * 1000)];
      const isGiven = Object.keys(headers).some((other) => other.toLowerCase() === name);
      headers = isGiven ? headers : { [name]: String(value), ...headers };
    }
    return this.#one({ type: "rate_limit_error", headers }, options);
  }

  cut(options) {
    return this.#one({ do: "cut" }, options);
  }

  stall(options) {
    return this.#one({ do: "stall" }, options);
  }

  delay(delayMs, options) {
    return this.#one({ delay_ms: delayMs }, options);
  }

  toolError(errorCode = "unavailable", options = {}) {
    return this.#first({ at: "tool", error_code: errorCode, ...options });
  }

  killSandbox(options = {}) {
    return this.#first({ at: "tool", do: "kill_sandbox", ...options });
  }

  exhaustMemory(options = {}) {
    return this.#first({ at: "tool", do: "exhaust_memory", ...options });
  }

  fillDisk(options = {}) {
    return this.#first({ at: "tool", do: "fill_disk", ...options });
  }

  engineUnreachable(options = {}) {
    return this.#first({ at: "tool", do: "engine_unreachable", ...options });
  }

  advance(by, options = {}) {
    return this.#first({ at: "http", do: "advance", by, ...options });
  }

  deleteFile(options = {}) {
    return this.#first({ at: "http", do: "delete_file", ...options });
  }

  pause({ afterBlocks = 1, ...options } = {}) {
    return this.#first({ at: "turn", do: "pause_turn", after_blocks: afterBlocks, ...options });
  }

  stop(stopReason, { afterBlocks, ...options } = {}) {
    const place = afterBlocks === undefined ? {} : { after_blocks: afterBlocks };
    return this.#first({ at: "turn", do: "stop", stop_reason: stopReason, ...place, ...options });
  }

  expireContainer(options = {}) {
    return this.#first({ at: "turn", do: "expire_container", ...options });
  }

  slow(bytesPerSecond, options) {
    return this.#wire("slow", { bytes_per_second: bytesPerSecond }, options);
  }

  split(bytes, options) {
    return this.#wire("split", { bytes }, options);
  }

  merge(options) {
    return this.#wire("merge", {}, options);
  }

  hang(options) {
    return this.#wire("hang", {}, options);
  }

  reset(options) {
    return this.#wire("reset", {}, options);
  }

  malformed(options) {
    return this.#wire("malformed", { after_events: 1 }, options);
  }

  unknownEvent(options) {
    return this.#wire("unknown_event", { after_events: 1 }, options);
  }

  pings(count = 2, options = {}) {
    return this.#wire("pings", { count, after_events: 1 }, options);
  }

  deltas(chars = 1, options = {}) {
    return this.#wire("deltas", { chars }, options);
  }

  unknownMembers(options) {
    return this.#wire("unknown_members", {}, options);
  }

  pace(tokensPerSecond, options) {
    return this.#wire("pace", { tokens_per_second: tokensPerSecond }, options);
  }

  #wire(act, members, { afterEvents, afterBytes, afterWork, ...options } = {}) {
    const place = {};
    if (afterEvents !== undefined) place.after_events = afterEvents;
    if (afterBytes !== undefined) place.after_bytes = afterBytes;
    if (afterWork !== undefined) place.after_work = afterWork;
    return this.#first({ at: "wire", do: act, ...members, ...place, ...options });
  }

  #one(act, { afterEvents, ...options } = {}) {
    const place =
      afterEvents === undefined ? { at: "http", path: "/v1/messages" } : { at: "stream", after_events: afterEvents };
    return this.#first({ ...place, ...act, ...options });
  }

  async #first(fault) {
    return (await this.add(fault))[0];
  }
}

class Journal {
  #client;

  constructor(client) {
    this.#client = client;
  }

  async entries({ path, status } = {}) {
    const found = [];
    let cursor;
    do {
      const page = await this.#client.call("GET", "journal", undefined, { limit: 1000, path, status, cursor });
      found.push(...page.data);
      cursor = page.next_cursor;
    } while (cursor !== null && cursor !== undefined);
    return found.reverse();
  }

  async clear() {
    await this.#client.call("DELETE", "journal");
  }
}

class Containers {
  #client;

  constructor(client) {
    this.#client = client;
  }

  async list() {
    return (await this.#client.call("GET", "containers")).data;
  }

  async files(id, under) {
    const query = { under, wake: true, limit: 10_000 };
    const found = await this.#client.call("GET", `containers/${encodeURIComponent(id)}/files`, undefined, query);
    if (found.more) throw new SandtableError("there are more files than a list has\n  hint: name a folder with `under`");
    return found.data;
  }

  async expire(id) {
    await this.#client.call("POST", `containers/${encodeURIComponent(id)}/expire`);
  }

  async sleep(id) {
    await this.#client.call("POST", `containers/${encodeURIComponent(id)}/sleep`);
  }
}

class Cassettes {
  #client;

  constructor(client) {
    this.#client = client;
  }

  mount(file, { mode = "none", upstream = null, ignore = [] } = {}) {
    const paths = [ignore].flat();
    // Older servers do not know it.
    const more = paths.length > 0 ? { ignore: paths } : {};
    return this.#client.call("PUT", "cassettes", { path: path.resolve(file), mode, upstream, ...more });
  }

  state() {
    return this.#client.call("GET", "cassettes");
  }

  unmount() {
    return this.#client.call("DELETE", "cassettes");
  }
}

module.exports = { Workspace, rulesPath, rulesText, timeText };
