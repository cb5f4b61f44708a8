// The types of the package. What control calls answer is in control.d.cts, which is made from their description.

import type {
  Container,
  ContainerFile,
  ContainerState,
  Exchange,
  FailedTurn,
  FaultState,
  Mounted,
  RuleState,
  Unmounted,
  Usage,
  Verdict,
} from "./control.cjs";

export type * from "./control.cjs";

/** Whose a finding is. */
export type OfWorkspace = Pick<FailedTurn, "workspace" | "label">;

export interface ServerOptions {
  /** The program; `findBinary()` if not given. */
  binary?: string;
  /** Under every workspace. */
  scripts?: Rules[];
  /** Under every workspace. */
  faults?: Fault[];
  /** Makes ids and random choices the same in every run. */
  seed?: number;
  /** Every clock begins at this time and stands still. */
  frozenAt?: string | Date;
  backend?: Backend;
  /** Keeps files, containers, batches, and skills over restarts. */
  dataDir?: string;
  quirks?: Record<string, string>;
  /** Workspaces may mount cassettes below this folder. */
  cassetteDir?: string;
  /** Where cassettes may be recorded from. */
  upstream?: string;
  /** Further flags of the program. */
  args?: string[];
  /** Further variables of its environment. */
  env?: Record<string, string>;
  startTimeoutMs?: number;
}

export type Backend = "auto" | "docker" | "local" | "none";

/**
 * A server on a free port of this machine. It ends with `stop()`, with `await using`, when the process
 * exits, and when the process is killed.
 */
export class Server {
  private constructor();
  /** Starts a server; it answers when this resolves. */
  static start(options?: ServerOptions): Promise<Server>;
  /** A server that somebody else starts and stops. */
  static connect(url: string, options?: { controlToken?: string }): Promise<Server>;
  /** The base URL for clients. */
  readonly baseUrl: string;
  /** The process, if it is ours and runs. */
  readonly pid: number | undefined;
  /** The workspace of a key; one that nobody else has if there is none. */
  workspace(apiKey?: string): Workspace;
  /** What the server has logged. */
  log(): string;
  /** Ends the server and its sandboxes; leaves somebody else's alone. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** All that belongs to one API key. Nothing crosses workspaces. */
export class Workspace {
  constructor(url: string, apiKey: string, controlToken?: string);
  /** The base URL for clients. */
  readonly baseUrl: string;
  /** The API key for clients. */
  readonly apiKey: string;
  /** For the official client: `new Anthropic(workspace.options)`. */
  readonly options: { baseURL: string; apiKey: string };
  /** What a program needs in its environment to use this workspace. */
  readonly env: { ANTHROPIC_BASE_URL: string; ANTHROPIC_API_KEY: string };
  readonly clock: Clock;
  readonly scripts: Scripts;
  readonly faults: Faults;
  readonly journal: Journal;
  readonly containers: Containers;
  readonly cassettes: Cassettes;
  /** What a month (`2026-11`; that of the clock) of turns would have cost. */
  usage(month?: string): Promise<Usage>;
  /** Whether all that was scripted was used, and all that was asked was answered; `lints` is the mildest that is bad. */
  verify(options?: { lints?: LintLevel }): Promise<Verdict>;
  /** Says whom the workspace was given to, such as a test: findings bear its name. Older servers do not know it. */
  label(name: string): Promise<void>;
  /** A workspace of a new key that holds what this one does, containers with their files included. */
  fork(): Promise<Workspace>;
  /** Waits until something is so; false if it is not in time. */
  wait(until: Until & { timeout?: string }): Promise<boolean>;
  /** Forgets all: files, containers, batches, skills, scripts, faults, clock, journal, cost. */
  reset(): Promise<void>;
  /**
   * Any other control call: the path below `/_sandtable/`; the body is text, bytes, or something to be JSON. What is
   * answered is JSON, a text such as that of metrics or a cassette, or the bytes of a container's file.
   */
  call(method: string, path: string, body?: unknown, query?: Record<string, unknown>): Promise<any>;
}

/** The workspace's time. It goes forward only; a reset brings it back. */
export interface Clock {
  state(): Promise<{ now: Date; frozen: boolean }>;
  now(): Promise<Date>;
  /** Lets time pass: milliseconds, or `30d`, `12h`, `5m`, `90s`, `1h30m`; gives the new time. */
  advance(span: string | number): Promise<Date>;
  /** Goes forward to a time. */
  set(time: string | Date): Promise<Date>;
  /** Stops the clock where it is, or at a later time. */
  freeze(at?: string | Date): Promise<Date>;
  /** Lets it run on. */
  thaw(): Promise<Date>;
}

/** Rules: a YAML or JSON text, the path or URL of a file, or objects. `sandtable docs scripts` has the language. */
export type Rules = string | FileUrl | Rule | Rule[] | { rules: Rule[] };

/** As much of a `URL` as is needed, for projects without the types of Node or a browser. */
export interface FileUrl {
  readonly href: string;
  readonly protocol: string;
}

export interface Rule {
  name?: string;
  when?: Record<string, unknown>;
  times?: number;
  then: Array<string | Record<string, unknown>>;
  web?: unknown[];
}

export interface Scripts {
  /** Replaces the workspace's rules. */
  put(rules: Rules): Promise<void>;
  /** Adds rules after those the workspace has. */
  add(rules: Rules): Promise<void>;
  /** All rules in the order they are tried, with how often each was used. */
  list(): Promise<RuleState[]>;
  /** Forgets the workspace's rules. */
  clear(): Promise<void>;
}

/** `sandtable docs faults` has the words. */
export interface Fault {
  at: "http" | "stream" | "tool" | "turn" | "wire";
  [member: string]: unknown;
}

/** Which occasions a fault fits. */
export interface Select {
  times?: number | "always";
  nth?: number;
  probability?: number;
  path?: string;
  method?: string;
  model?: string;
  name?: string;
  message?: string;
  headers?: Record<string, string>;
  [member: string]: unknown;
}

export interface StreamSelect extends Select {
  /** In the stream, after so many events, instead of the whole answer. */
  afterEvents?: number;
}

export interface Faults {
  /** Adds a fault, or a list. */
  add(fault: Fault | Fault[]): Promise<FaultState[]>;
  list(): Promise<FaultState[]>;
  clear(): Promise<void>;
  /** 529 `overloaded_error` instead of a Messages answer, or in its stream. */
  overloaded(options?: StreamSelect): Promise<FaultState>;
  /** 500 `api_error`, or in the stream. */
  serverError(options?: StreamSelect): Promise<FaultState>;
  /** 429 `rate_limit_error`; `retryAfter` in seconds. */
  rateLimited(options?: Select & { retryAfter?: number }): Promise<FaultState>;
  /** The connection closes: without an answer, or in the stream. */
  cut(options?: StreamSelect): Promise<FaultState>;
  /** Silence until the client leaves, or for `for_ms`. */
  stall(options?: StreamSelect & { for_ms?: number }): Promise<FaultState>;
  /** The answer is late. */
  delay(delayMs: number, options?: StreamSelect): Promise<FaultState>;
  /** A server tool call gets this error as its result. */
  toolError(errorCode?: string, options?: Select & { tool?: string }): Promise<FaultState>;
  /** The sandbox is killed while a call runs; its files stay. */
  killSandbox(options?: Select & { tool?: string }): Promise<FaultState>;
  /** A call takes memory until it is killed. */
  exhaustMemory(options?: Select & { tool?: string }): Promise<FaultState>;
  /** The disk is full while a call runs. */
  fillDisk(options?: Select & { tool?: string }): Promise<FaultState>;
  /** Nothing can run a call. */
  engineUnreachable(options?: Select & { tool?: string }): Promise<FaultState>;
  /** The clock moves by a span such as `30d` before a request is handled. */
  advance(by: string, options?: Select): Promise<FaultState>;
  /** The file that a request names is gone. */
  deleteFile(options?: Select): Promise<FaultState>;
  /** A turn ends with `pause_turn` after so many blocks, or `inside` its so manieth call. */
  pause(options?: Select & { afterBlocks?: number; inside?: boolean }): Promise<FaultState>;
  /** A turn ends with `refusal`, `max_tokens`, or `model_context_window_exceeded`. */
  stop(stopReason: string, options?: Select & { afterBlocks?: number }): Promise<FaultState>;
  /** The container that a turn names has expired. */
  expireContainer(options?: Select): Promise<FaultState>;
  /** An answer comes no faster. */
  slow(bytesPerSecond: number, options?: Select): Promise<FaultState>;
  /** An answer comes in writes of so many bytes. */
  split(bytes: number, options?: Select): Promise<FaultState>;
  /** All of a stream comes in one piece. */
  merge(options?: Select): Promise<FaultState>;
  /** Silence in an answer; with `afterWork` all of its work is done first. */
  hang(options?: WireSelect): Promise<FaultState>;
  /** The connection is reset in an answer; with `afterWork` all of its work is done first. */
  reset(options?: WireSelect): Promise<FaultState>;
  /** An event that is no JSON comes in between. */
  malformed(options?: StreamSelect): Promise<FaultState>;
  /** An event that no client knows comes in between. */
  unknownEvent(options?: StreamSelect): Promise<FaultState>;
  /** Pings come in a row. */
  pings(count?: number, options?: StreamSelect): Promise<FaultState>;
  /** Texts and inputs come in deltas of so many characters. */
  deltas(chars?: number, options?: Select): Promise<FaultState>;
  /** What is no block has members that no client knows. */
  unknownMembers(options?: Select): Promise<FaultState>;
  /** Text comes as fast as a model writes. */
  pace(tokensPerSecond: number, options?: Select): Promise<FaultState>;
}

/** Where in an answer it breaks: one of the two, or at its beginning. */
export type WireSelect = Select & { afterEvents?: number; afterBytes?: number; afterWork?: boolean };

export interface Journal {
  /** What the workspace was asked and answered, oldest first; `path` is how it starts, `status` 404 or "4xx". */
  entries(filter?: { path?: string; status?: number | string }): Promise<Exchange[]>;
  clear(): Promise<void>;
}

/** The mildest lint that makes a verdict bad. */
export type LintLevel = "off" | "error" | "warning";

/** What is waited for: requests in the journal, events from now on, or a container's state. */
export type Until =
  | { requests: number; path?: string; method?: string; status?: number | string }
  | { event: string; count?: number }
  | { container: string; state: ContainerState };

export interface Containers {
  /** Its files below `/files`, `/home/user`, and `/tmp`, or below `under`. One that sleeps is woken. */
  files(id: string, under?: string): Promise<ContainerFile[]>;
  /** All of them, newest first. */
  list(): Promise<Container[]>;
  /** Ends one now, as if its 30 days were over. */
  expire(id: string): Promise<void>;
  /** Ends its processes; its files stay, and the next use starts it again. */
  sleep(id: string): Promise<void>;
}

export type CassetteMode = "none" | "once" | "new" | "all";

/** Recorded exchanges that answer the workspace's requests. */
export interface Cassettes {
  /**
   * Lets a cassette answer that lies below the server's `cassetteDir`; to record, `upstream` is the server's, too. What
   * the JSON paths of `ignore` name may differ from what was recorded.
   */
  mount(
    file: string,
    options?: { mode?: CassetteMode; upstream?: string | null; ignore?: string | string[] },
  ): Promise<Mounted>;
  /** What is mounted, and which of its exchanges were not used. */
  state(): Promise<Mounted>;
  /** Lets the cassette go, and says what was recorded. */
  unmount(): Promise<Unmounted>;
}

/** What a test's workspace is set up with. */
export interface UseOptions {
  /** A text, the name of a file beside the test, or objects. */
  script?: Rules;
  /** `true`: the clock stands still; a time: it stands still there, also in the past. */
  frozen?: boolean | string | Date;
  /** Makes ids and random choices the same in every run. */
  seed?: number;
  faults?: Fault | Fault[];
  quirks?: Record<string, string>;
  /**
   * `true`, or the mildest lint that is bad (`"error"` is what `true` means): the test fails if a step, a fault, or a recorded
   * exchange was left over, a request was not answered, or the client made a mistake.
   */
  verify?: boolean | LintLevel;
  /** Lets `sandtable_cassettes/NAME.yaml` beside the test answer. */
  cassette?: boolean | string | { name?: string; mode?: CassetteMode; upstream?: string; ignore?: string | string[] };
  backend?: Backend;
}

/** Any error of this package. */
export class SandtableError extends Error {}
/** There is no `sandtable` program, or it cannot be built or started. */
export class NotFoundError extends SandtableError {}
/** The server gives no answer, or none that can be read. */
export class SilentError extends SandtableError {}
/** The server refused a call, and says how to do better. */
export class RefusedError extends SandtableError {
  readonly status: number;
  readonly reason: string;
  readonly hint: string;
}

/**
 * The program: what SANDTABLE_BIN names, else `sandtable` on PATH, else the one inside this package, else
 * one built by Cargo from the checkout around this package or around `near` (the present directory).
 */
export function findBinary(near?: string): string;
