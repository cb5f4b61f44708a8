// Keeps tests and the real service apart: the environment leads to sandtable, and what reaches for the real
// service all the same is stopped and remembered.
"use strict";

const { randomUUID } = require("node:crypto");
const net = require("node:net");
const path = require("node:path");
const { SandtableError } = require("./errors.cjs");
const { Relay } = require("./relay.cjs");

/** On what is there once in a process, also where each test file has modules, globals, and an environment of its own. */
const SEAL = Symbol.for("sandtable.seal");
/** Says to the workers of a run that the environment they inherit is sealed. */
const RELAY_URL = "SANDTABLE_RELAY_URL";

/** What official clients, and others that are used beside them, take a token, a profile, or an address from. */
const EMPTIED = [
  "ANTHROPIC_AUTH_TOKEN",
  "ANTHROPIC_CUSTOM_HEADERS",
  "ANTHROPIC_PROFILE",
  "ANTHROPIC_IDENTITY_TOKEN",
  "ANTHROPIC_IDENTITY_TOKEN_FILE",
  "ANTHROPIC_FEDERATION_RULE_ID",
  "ANTHROPIC_ORGANIZATION_ID",
  "ANTHROPIC_SERVICE_ACCOUNT_ID",
  "ANTHROPIC_WORKSPACE_ID",
  "ANTHROPIC_SCOPE",
  "ANTHROPIC_ENVIRONMENT_KEY",
  "ANTHROPIC_WORK_SECRET",
  "ANTHROPIC_API_URL",
  "ANTHROPIC_API_BASE",
];
/** Past a proxy of the machine: calls to the machine itself, and those that are to be stopped here. */
const LOCAL = "127.0.0.1,localhost";
const DIRECT = `${LOCAL},anthropic.com,.anthropic.com`;
const PROXIES = ["NO_PROXY", "no_proxy"];
/** There is no such folder: profiles of the user's own hold tokens. */
const NO_PROFILES = path.join(__dirname, "no-profiles");

class Seal {
  #key;
  #real;
  #past;
  #reached = [];
  #fallback;

  constructor(env) {
    this.relay = new Relay();
    this.runKey = `sk-ant-test-run-${randomUUID()}`;
    const inherited = env[RELAY_URL] !== undefined && env[RELAY_URL] === env.ANTHROPIC_BASE_URL;
    this.#key = inherited ? undefined : env.ANTHROPIC_API_KEY || undefined;
    this.#real = inherited ? undefined : addressOf(env.ANTHROPIC_BASE_URL);
    if (sameAddress(this.#real, addressOf(env.SANDTABLE_URL))) this.#real = undefined;
    this.#past = pastProxies(env);
  }

  /** The user's own key, for recordings alone. */
  get key() {
    return this.#key;
  }

  /** What a worker has to be handed, because the environment it inherits no longer has it. */
  get secrets() {
    return { key: this.#key, real: this.#real, past: this.#past };
  }

  set secrets({ key, real, past }) {
    this.#key ??= key;
    this.#real ??= real;
    this.#past = past;
  }

  /** Variables that a server needs otherwise than the tests: one that records asks the real service through a proxy. */
  get ofServers() {
    return Object.fromEntries(PROXIES.map((name) => [name, joined(this.#past[name], LOCAL)]));
  }

  /** The variables that lead to sandtable; those that are undefined must not be there. */
  variables(env) {
    const hosts = pastProxies(env);
    const past = (name) => (hosts[name]?.includes(DIRECT) ? hosts[name] : joined(hosts[name], DIRECT, this.#real?.host));
    return {
      ...Object.fromEntries(EMPTIED.map((name) => [name, undefined])),
      ANTHROPIC_BASE_URL: this.relay.url,
      ANTHROPIC_API_KEY: this.runKey,
      ANTHROPIC_CONFIG_DIR: NO_PROFILES,
      [RELAY_URL]: this.relay.url,
      ...Object.fromEntries(PROXIES.map((name) => [name, past(name)])),
    };
  }

  /** Where requests go while a test runs, a `{ url, key }`; `undefined` when it is over. */
  lead(target) {
    this.relay.tell({ current: target, fallback: this.#fallback });
  }

  /** Where requests go while no test runs. */
  fallBack(url) {
    if (!url || this.#fallback?.url === url) return;
    this.#fallback = { url, key: this.runKey };
    this.relay.tell({ fallback: this.#fallback });
  }

  /** The place that a connection is meant for if it may not be made. */
  forbidden(options) {
    const address = { host: plain(String(options.host ?? "localhost")), port: Number(options.port) };
    const isReal = address.host === "anthropic.com" || address.host.endsWith(".anthropic.com");
    if (!isReal && !sameAddress(this.#real, address)) return undefined;
    const place = `${address.host}:${address.port}`;
    this.#reached.push(place);
    return place;
  }

  /** Fails the test that reached for the real service: clients swallow errors, and try again. */
  check() {
    const places = new Set(this.#reached);
    this.#reached = [];
    if (places.size > 0) throw new SandtableError(complaint([...places].join(", ")));
  }
}

function complaint(places) {
  return (
    `sandtable: this reached for ${places}, not for sandtable, and was stopped\n` +
    "  hint: leave the client's base URL to ANTHROPIC_BASE_URL, and have `sandtable/vitest/env` or `sandtable/jest/env`" +
    " among the setup files, so that it is set before the client is made"
  );
}

const plain = (host) => {
  const bare = host.replace(/^\[|\]$/g, "").replace(/\.$/, "").toLowerCase();
  return bare === "localhost" || bare === "::1" ? "127.0.0.1" : bare;
};

function addressOf(url) {
  try {
    const { hostname, port, protocol } = new URL(url);
    return { host: plain(hostname), port: Number(port || (protocol === "http:" ? 80 : 443)) };
  } catch {
    return undefined;
  }
}

const sameAddress = (one, other) =>
  one !== undefined && other !== undefined && one.host === other.host && one.port === other.port;

/** The hosts that are asked past a proxy. Who finds one of the names does not look for the other. */
function pastProxies(env) {
  const only = env.NO_PROXY ?? env.no_proxy;
  return Object.fromEntries(PROXIES.map((name) => [name, env[name] ?? only]));
}

const joined = (...hosts) => hosts.filter(Boolean).join(",");

/** The options of a call of `Socket.connect`, however they were given. */
function optionsOf([first, second]) {
  if (Array.isArray(first)) return first[0];
  if (typeof first === "object" && first !== null) return first;
  if (typeof first === "number" || /^\d+$/.test(String(first))) {
    return { port: first, host: typeof second === "string" ? second : undefined };
  }
  return { path: first };
}

/** Every connection of the process comes through here, whatever library makes it. */
function watch(seal) {
  const connect = net.Socket.prototype.connect;
  function guarded(...args) {
    const options = optionsOf(args);
    // A path is that of a socket in the file system.
    const place = options?.path ? undefined : seal.forbidden(options ?? {});
    if (place === undefined) return connect.apply(this, args);
    process.nextTick(() => this.destroy(new SandtableError(complaint(place))));
    return this;
  }
  guarded[SEAL] = seal;
  net.Socket.prototype.connect = guarded;
}

/** Sets or deletes variables, and returns what they were. */
function setEnvironment(variables) {
  const before = {};
  for (const [name, value] of Object.entries(variables)) {
    before[name] = process.env[name];
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  return before;
}

/** The seal of this process, if it has one. */
const present = () => net.Socket.prototype.connect[SEAL];

/** Variables that a server of this process needs otherwise than its tests. */
const ofServers = () => present()?.ofServers ?? {};

/** The seal of this process; from the first call on the environment leads to sandtable. */
function sealed() {
  let seal = present();
  if (seal === undefined) {
    seal = new Seal(process.env);
    watch(seal);
  }
  if (process.env.ANTHROPIC_BASE_URL !== seal.relay.url) setEnvironment(seal.variables(process.env));
  seal.fallBack(process.env.SANDTABLE_URL ?? process.env.SANDTABLE_RUN_URL);
  return seal;
}

module.exports = { ofServers, sealed, setEnvironment };
