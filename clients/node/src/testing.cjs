// What the helpers for vitest and jest share: servers, and a workspace for each test.
"use strict";

const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { SandtableError } = require("./errors.cjs");
const { sealed, setEnvironment } = require("./seal.cjs");
const { Server } = require("./server.cjs");
const { rulesPath, timeText } = require("./workspace.cjs");

/** Set by the setup modules for the test files of their run. */
const RUN_URL = "SANDTABLE_RUN_URL";
const OPTIONS = ["script", "frozen", "seed", "faults", "quirks", "verify", "cassette", "backend"];
const CASSETTE_WORDS = ["name", "mode", "upstream", "ignore"];
const MODES = ["none", "once", "new", "all"];
const LEVELS = ["off", "error", "warning"];

/** The servers of this test file, started when a test first needs one. */
class Servers {
  #running = new Map();

  get(wishes) {
    const shared = process.env.SANDTABLE_URL ?? process.env[RUN_URL];
    const own = Object.values(wishes).some((wish) => wish !== undefined);
    const key = JSON.stringify(wishes);
    if (!this.#running.has(key)) {
      const start = () => {
        if (!own && shared) return Server.connect(shared, { controlToken: process.env.SANDTABLE_CONTROL_TOKEN });
        return Server.start(wishes);
      };
      this.#running.set(key, start());
    }
    return this.#running.get(key);
  }

  async stop() {
    const servers = [...this.#running.values()];
    this.#running.clear();
    // One that did not start has been complained about.
    await Promise.all(servers.map((server) => server.then((each) => each.stop()).catch(() => {})));
  }
}

/**
 * Registers the hooks of one `useSandtable` with `runner` (`beforeEach`, `afterEach`, `afterAll`, and
 * `current()`, which gives the name and file of the test that runs) and returns a stand-in for the
 * workspace of the test that runs.
 */
function hooks(runner, options = {}) {
  for (const name of Object.keys(options)) {
    if (!OPTIONS.includes(name)) {
      throw new SandtableError(`useSandtable has no option \`${name}\`\n  hint: there are: ${OPTIONS.join(", ")}`);
    }
  }
  const level = levelOf(options);
  const servers = new Servers();
  const seal = sealed();
  let workspace;
  let kept = {};

  runner.beforeEach(async () => {
    const test = runner.current();
    const folder = path.dirname(test.file);
    const cassette = cassetteOf(options, test, folder);
    let target;
    [workspace, target] = await make(servers, options, test, cassette, seal);
    kept = setEnvironment({ ...seal.variables(process.env), ...workspace.env });
    // What somebody else may have left is not this test's.
    await workspace.reset();
    await workspace.label(`${path.relative(process.cwd(), test.file)} > ${test.name}`);
    await setUp(workspace, options, folder);
    if (cassette) {
      if (cassette.mode !== "none") fs.mkdirSync(path.dirname(cassette.file), { recursive: true });
      await workspace.cassettes.mount(cassette.file, cassette);
    }
    seal.lead(target);
  });

  runner.afterEach(async () => {
    const used = workspace;
    workspace = undefined;
    setEnvironment(kept);
    seal.lead(undefined);
    if (!used) return;
    try {
      if (options.cassette) await used.cassettes.unmount();
      if (level) await verify(used, level);
    } finally {
      await used.reset();
    }
    seal.check();
  });

  runner.afterAll(() => servers.stop());

  return new Proxy(Object.create(null), {
    get(_, name) {
      // Printers and promises look at names of their own.
      if (typeof name === "symbol" || name === "then" || name === "toJSON") return undefined;
      if (!workspace) {
        throw new SandtableError("there is a workspace only while a test runs\n  hint: use it inside `test` or `beforeEach`");
      }
      const value = workspace[name];
      return typeof value === "function" ? value.bind(workspace) : value;
    },
  });
}

/** The mildest lint that makes the verdict bad; undefined if there is to be no verdict. */
function levelOf({ verify: given = false }) {
  if (typeof given === "boolean") return given ? "error" : undefined;
  if (LEVELS.includes(given)) return given;
  throw new SandtableError(`verify is true, false, or one of ${LEVELS.join(", ")}, not \`${given}\``);
}

/** The test's workspace, and where the relay leads while it runs. */
async function make(servers, { seed, frozen, backend }, test, cassette, seal) {
  const at = typeof frozen === "string" || frozen instanceof Date ? frozen : undefined;
  // The server's own clocks are not earlier than this machine's.
  const past = at !== undefined && new Date(at).getTime() <= Date.now() ? timeText(at) : undefined;
  const upstream = cassette?.upstream ?? undefined;
  const cassetteDir = cassette && path.dirname(test.file);
  const server = await servers.get({ seed, frozenAt: past, backend, cassetteDir, upstream });
  // The same in every run, because with a seed ids follow from it.
  const name = `${path.relative(process.cwd(), test.file)}\0${test.name}`;
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 24);
  // On somebody else's server others may run the same tests.
  const shared = process.env.SANDTABLE_URL !== undefined && server.pid === undefined;
  const key = `sk-ant-test-${digest}${shared ? `-${process.pid}` : ""}`;
  const url = server.baseUrl;
  // The real service has to be asked with the user's own key, which only the relay gets to know.
  if (upstream && seal.key) {
    return [server.workspace(seal.key).enteredBy(seal.relay.url, key), { url, key: seal.key }];
  }
  return [server.workspace(key).enteredBy(seal.relay.url), { url, key }];
}

async function setUp(workspace, { frozen, quirks, script, faults }, folder) {
  if (frozen === true) await workspace.clock.freeze();
  else if (frozen && !(await workspace.clock.state()).frozen) await workspace.clock.freeze(frozen);
  if (quirks) await workspace.call("PUT", "quirks", quirks);
  if (script !== undefined) await workspace.scripts.put(rulesPath(script, folder) ?? script);
  if (faults) await workspace.faults.add(faults);
}

function cassetteOf({ cassette }, test, folder) {
  if (!cassette) return undefined;
  const given = typeof cassette === "string" ? { name: cassette } : cassette === true ? {} : cassette;
  const unknown = Object.keys(given).find((word) => !CASSETTE_WORDS.includes(word));
  if (unknown !== undefined) {
    throw new SandtableError(`a cassette has no \`${unknown}\`\n  hint: there are: ${CASSETTE_WORDS.join(", ")}`);
  }
  const name = given.name ?? test.name.replace(/[^\w.[\]-]+/g, "-");
  const mode = process.env.SANDTABLE_CASSETTE_MODE || given.mode || "none";
  if (!MODES.includes(mode)) {
    throw new SandtableError(`a cassette's mode is one of ${MODES.join(", ")}, not \`${mode}\``);
  }
  const file = path.join(folder, "sandtable_cassettes", /\.ya?ml$/.test(name) ? name : `${name}.yaml`);
  const upstream = mode === "none" ? null : (given.upstream ?? process.env.SANDTABLE_UPSTREAM ?? null);
  return { file, mode, upstream, ignore: given.ignore };
}

const UNUSED = ["unused_steps", "unused_faults", "unused_recordings"];
const WRONG = ["unmatched", "failed", ...UNUSED, "duplicated", "empty", "lints", "unclaimed"];

async function verify(workspace, level) {
  const verdict = await workspace.verify({ lints: level });
  if (verdict.ok) return;
  const lines = WRONG.flatMap((part) => (verdict[part] ?? []).map((each) => `  ${part}: ${JSON.stringify(each)}`));
  const dropped = Object.entries(verdict.dropped ?? {}).map(([list, count]) => `  ${list}: ${count} more, not kept`);
  lines.push(...dropped);
  throw new SandtableError(`sandtable verify: not ok\n${lines.join("\n")}`);
}

/** Starts the server of a run, for its test files to find, and seals the environment that they inherit. */
async function startRun() {
  if (process.env.SANDTABLE_URL) {
    sealed();
    return { stop: async () => {} };
  }
  const server = await Server.start();
  process.env[RUN_URL] = server.baseUrl;
  sealed();
  return server;
}

/**
 * Seals the environment of a test file before its modules are imported; `hooks` has the runner's `afterEach` and
 * `afterAll`, if they are there by then, and `secrets` what `startRun`'s process has taken out of the environment.
 */
function sealFile(hooks, secrets) {
  const seal = sealed();
  if (secrets) seal.secrets = secrets;
  hooks.afterEach?.(() => seal.check());
  hooks.afterAll?.(() => seal.check());
}

module.exports = { hooks, sealFile, sealed, startRun };
