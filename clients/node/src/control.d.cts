// What control calls answer. Made by clients/generate.py from docs/openapi.json; do not edit.

/** A request, or one of its repetitions. */
export interface Attempt {
  request_id: string;
  /** null where the connection was closed. */
  status: number | null;
  /** The ids of the faults that met it. */
  faults: Array<number>;
  /** The ids of what it made. */
  made?: Array<string>;
  client_left?: boolean;
  /** After the one before, on the real clock. */
  after_ms?: number;
  /** The same on the workspace's. */
  after_virtual_ms?: number;
  by?: RetriedBy;
}

/** Which item of a batch an exchange is. */
export interface BatchItem {
  /** `msgbatch_…`. */
  id: string;
  custom_id: string;
}

/** Whose limits are the server's again. */
export interface ClearedRates {
  /** How many workspaces. */
  workspaces: number;
}

/** Changes of the clock, applied in this order. At least one of them. */
export interface ClockChange {
  /** `30d`, `12h`, `5m`, `90s`, `1h30m`, or ISO 8601. */
  advance?: string;
  /** A later time, up to 9999-01-01. */
  set?: string;
  /** Whether it stands still. */
  freeze?: boolean;
}

/** The clock was moved, stopped, or let go on. */
export interface ClockMoved {
  now: string;
  frozen: boolean;
}

/** The workspace's time. */
export interface ClockState {
  now: string;
  /** It stands still. */
  frozen: boolean;
}

/** A container of the workspace. */
export interface Container {
  /** `container_…`. */
  id: string;
  /** The workspace's name. */
  workspace: string;
  state: ContainerState;
  created_at: string;
  last_used_at: string;
  /** As the API says it. */
  expires_at: string;
  /** After this it is expired, however it is used. */
  ends_at: string;
  /** Whether its files can be had. */
  files: Readable;
  /** Whether code in it waits for the client's tools. */
  pending: boolean;
}

/** One container's time. */
export interface ContainerCost {
  id: string;
  seconds: number;
  sessions: Array<ContainerSession>;
}

/** The state of a container after it was ended. */
export interface ContainerEnded {
  id: string;
  state: ContainerState;
}

/** Something became of a container. */
export interface ContainerEvent {
  /** Its id. */
  container: string;
}

/** Something in a container's file system. */
export interface ContainerFile {
  /** As text: bytes that are no UTF-8 show as U+FFFD. */
  path: string;
  kind: FileKind;
  size_bytes: number;
  /** Octal, such as `0644`. */
  mode: string;
  /** On the machine's clock; absent of files that no sandbox has yet. */
  modified_at?: string;
  /** Where a link leads. */
  target?: string;
  /** Of a file: where its bytes are to be had, the exact path, percent-encoded. */
  href?: string;
}

/** A container's files, by path. */
export interface ContainerFiles {
  data: Array<ContainerFile>;
  /** There are more than were asked for. */
  more: boolean;
}

/** A time a container was awake. */
export interface ContainerSession {
  from: string;
  to: string;
  /** Billed: whole seconds, at least the minimum; 0 where all of its uses were free. */
  seconds: number;
}

/** Time of containers, against the free hours. */
export interface ContainerTime {
  seconds: number;
  hours: number;
  free_hours: number;
  free_hours_left: number;
  charged_hours: number;
  usd: number;
}

/** A turn's time on a container. */
export interface ContainerUse {
  id: string;
  from: string;
  to: string;
  free: boolean;
  /** The cost of it by itself, with the minimum, beyond the free hours. */
  usd_beyond_free_hours: number;
}

/** The surface of the service, and what of it answers have shown; `sandtable docs coverage` has the rules. */
export interface Coverage {
  /** `met` of `of`, in whole tenths. */
  percent: number;
  /** Of what counts, what was met. */
  met: number;
  /** The number of items that count: those that a client can meet with the features that it uses. */
  of: number;
  /** Features of which nothing was met; what needs them does not count. */
  not_used: Array<string>;
  areas: Array<CoverageArea>;
}

/** A part of the surface, such as `stop reasons`. */
export interface CoverageArea {
  name: string;
  /** All there are, met or not. */
  items: Array<CoverageItem>;
}

/** Something that can be met. */
export interface CoverageItem {
  /** The service's word where it has one, such as `pause_turn`. */
  name: string;
  /** How often it was met. */
  count: number;
  /** Whether it is among what counts. */
  counts: boolean;
  /** The feature without which it cannot be met, and that is not used. */
  needs?: string;
  /** The way to meet it; absent for an item that was met. */
  show?: CoverageShow;
}

/** The way to an item that was not met: a fault, or a step of a script or a request in words. */
export interface CoverageShow {
  fault?: Record<string, any>;
  step?: string;
}

/** Something about a place in a script. */
export interface Diagnostic {
  file: string;
  /** From 1; 0 is the text as a whole. */
  line: number;
  column: number;
  message: string;
  hint?: string;
}

/** So many events are missing here. */
export interface Dropped {
  dropped: number;
}

/** Objects that were made more than once, because an answer was lost. */
export interface Duplicated {
  workspace?: string;
  /** Method and path. */
  request: string;
  request_ids: Array<string>;
  ids: Array<string>;
  label?: string;
}

/** Why a run proves nothing. */
export interface Empty {
  message: string;
  hint: string;
}

/** A request and its answer, as the journal has them. */
export interface Exchange {
  /** The request id, `req_…`. */
  id: string;
  /** When the request came, on the workspace's clock. */
  at: string;
  method: string;
  path: string;
  /** Without the question mark; absent where there was none. */
  query?: string;
  status: number;
  /** From the request's head to the last byte of the answer, on the real clock. */
  duration_ms: number;
  /** The workspace's id, `wrkspc_…`. */
  workspace: string;
  /** Only of an item of a batch. */
  batch?: BatchItem;
  /** Names in lower case; without keys and other secrets. */
  request_headers: Record<string, string>;
  /** JSON as such, other text as a string, null if there was none, else `size_bytes` and perhaps `sha256`. */
  request_body: any;
  /** Names in lower case; without secrets. */
  response_headers: Record<string, string>;
  /** As the request's body; a stream as the text of its events. */
  response_body: any;
  /** Where a turn's answers came from, `unmatched` where from nowhere; absent where there was no turn. */
  source?: string;
  /** Mistakes that the real service might have objected to. */
  lints: Array<Lint>;
  /** The client went before the answer was complete; absent if not. */
  client_left?: boolean;
  /** The connection was closed before the answer was complete, by a fault, by a service that is recorded, or because sandtable failed; absent if not. The status is 444 if not even the head was sent. */
  broke?: boolean;
}

/** The first clause of a rule that does not hold. */
export interface FailedClause {
  clause: string;
  line: number;
  wants: string;
  got: string;
}

/** A turn that broke off, or a request at which sandtable itself failed. */
export interface FailedTurn {
  workspace?: string;
  request_id: string;
  message: string;
  label?: string;
}

/** A fault met a request. */
export interface FaultFired {
  id: number;
  layer: FaultLayer;
  /** As it was given. */
  fault: any;
}

/** A fault that met a request. */
export interface FaultGiven {
  id: number;
  layer: FaultLayer;
  /** As it was given. */
  fault: Record<string, any>;
}

/** A fault and what became of it. */
export interface FaultState {
  id: number;
  layer: FaultLayer;
  /** As it was given; `sandtable docs faults` has the words. */
  fault: Record<string, any>;
  /** Occasions that fitted. */
  matched: number;
  fired: number;
  /** How often it still fires; null for ever. */
  left: number | null;
  /** Why it cannot fire as things are. */
  note?: string;
}

/** The client's reaction to a request that a fault met; `sandtable docs verify` lists the outcomes. */
export interface FaultedRequest {
  workspace?: string;
  /** Method and path. */
  request: string;
  faults: Array<FaultGiven>;
  attempts: Array<Attempt>;
  retries: number;
  /** null where the connection was closed. */
  last_status: number | null;
  outcome: Outcome;
  attempts_dropped?: number;
  idempotency_key?: string;
  label?: string;
}

/** An order to fork a workspace. */
export interface Fork {
  /** The new workspace's API key; one is made if there is none. */
  key?: string | null;
}

/** A workspace that holds what another does. */
export interface Forked {
  /** Its name. */
  workspace: string;
  /** Its API key. */
  key: string;
  files: number;
  skills: number;
  containers: number;
  batches: number;
}

/** A mistake, and the request that made it. */
export interface FoundLint {
  workspace?: string;
  request_id: string;
  code: string;
  level: LintLevel;
  message: string;
  hint: string;
  label?: string;
}

/** The server runs. */
export interface Health {
  /** `ok`. */
  status: string;
  version: string;
  /** The backend that runs code: `docker`, `local`, or `none`. */
  backend: string;
  /** The isolation of sandboxes: `docker`, `namespaces`, `landlock`, or `none`. */
  isolation: string;
  /** Isolation that would be better, and why it does not run. */
  passed_over: Array<PassedOver>;
  /** The profile of quirks. */
  profile: string;
}

/** The exchanges since an earlier page, oldest first. */
export interface JournalGrowth {
  data: Array<Exchange>;
  /** The value of `after` for the next request; also of an empty page. */
  next_after: number;
  /** How many that came since are kept no more. */
  dropped: number;
  /** Requests that are not over, and so not in the journal yet; what outlives its client's connection counts. */
  open_requests: number;
}

/** A part of the journal, newest first. */
export interface JournalPage {
  data: Array<Exchange>;
  /** Where the next page starts, if there may be one. */
  next_cursor: number | null;
}

/** A file of the workspace. */
export interface KeptFile {
  /** `file_…`. */
  id: string;
  filename: string;
  mime_type: string;
  size_bytes: number;
  created_at: string;
  /** Code made it: what clients upload they cannot download. */
  downloadable: boolean;
}

/** Whom a workspace's key is handed to. */
export interface Label {
  /** Such as the name of a test. */
  label: string;
}

/** A workspace has a name. */
export interface Labelled {
  workspace: string;
  label: string;
}

/** A mistake of the client's that the real service punishes silently; `sandtable docs verify` lists the codes. */
export interface Lint {
  /** Stays the same, such as `inert_container_upload`. */
  code: string;
  level: LintLevel;
  message: string;
  hint: string;
}

/** Rules were put in place. */
export interface Loaded {
  /** Rules of the workspace now, without those of files. */
  rules: number;
}

/** Where a stream stood at a moment. */
export interface Mark {
  /** So many bytes of the body were out. */
  end_bytes: number;
  /** So long after the request came. */
  ms: number;
}

/** Why a turn was not answered as a rule says. */
export interface Miss {
  message: string;
  /** The rules that came nearest; none of a turn that broke off. */
  nearest: Array<Near>;
}

/** How many exchanges are not in the file, and why. */
export interface MissingExchanges {
  exchanges: number;
  reason: string | null;
}

/** An order to mount a cassette. */
export interface Mount {
  /** Below the server's `--cassette-dir`, which itself is `.`. */
  path: string;
  /** `none`, `once`, `new`, or `all`. */
  mode?: string | null;
  /** How fast streams are given: `none` (at once), `recorded`, or a factor of the recorded times, such as `0.5`. */
  pace?: string | null;
  /** Where missing exchanges are recorded from; only the server's own. */
  upstream?: string | null;
  /** JSON paths that may differ. */
  ignore?: Array<string>;
}

/** The mounted cassettes, if there are any. */
export interface Mounted {
  mounted: boolean;
  /** How many there are. */
  exchanges?: number;
  /** The names of those that were not given. */
  unused?: Array<string>;
  /** The recording under way, if there is one. */
  recording?: Recording;
}

/** A rule that almost matched: `held` of its `clauses` hold. */
export interface Near {
  rule: string;
  file: string;
  line: number;
  held: number;
  clauses: number;
  /** The first clause that does not hold; absent if its `times` are used up. */
  failed?: FailedClause;
  used_up?: TimesUsed;
}

/** A better way to confine sandboxes that does not work here. */
export interface PassedOver {
  /** `docker` or `namespaces`. */
  name: string;
  reason: string;
}

/** One row. */
export interface QuirkState {
  value: string;
  /** The values it may have. */
  values: Array<string>;
}

/** Every row as it holds for the workspace's requests. */
export interface Quirks {
  profile: string;
  /** By name. */
  quirks: Record<string, QuirkState>;
}

/** Whether what the server is for can be had at once. */
export interface Ready {
  /** `ok`, or `not_ready`. */
  status: string;
  backend: string;
  /** A container could be had. */
  sandboxes: boolean;
  /** Why not, and what that means for the scripts. */
  reason: string | null;
}

/** A recording that has ended: its file and its exchanges. */
export interface Recorded {
  path: string;
  exchanges: number;
  /** Exchanges that could not be written, or that the service never answered, if any. */
  missing?: MissingExchanges;
}

/** A recording under way: its file and its source. */
export interface Recording {
  path: string;
  exchanges: number;
  /** Exchanges that could not be written, or that the service never answered, if any. */
  missing?: MissingExchanges;
  upstream: string;
}

/** An error: its message, and a hint. */
export interface Refusal {
  message: string;
  hint: string;
}

/** A refused call. */
export interface Refused {
  error: Refusal;
}

/** A request has come, or a batch's item is carried out. */
export interface RequestBegun {
  request_id: string;
  method: string;
  path: string;
  /** Which item of a batch it is; absent of requests. */
  batch?: BatchItem;
}

/** API requests since the last reset, or over all resets if all workspaces are judged. */
export interface RequestCounts {
  /** Answered by a rule, a recording, a fault, or otherwise as asked. */
  answered: number;
  /** Refused as wrong. */
  refused: number;
}

/** Its answer is complete, its client has left, or its connection broke. */
export interface RequestEnded {
  request_id: string;
  method: string;
  path: string;
  /** Which item of a batch it is; absent of requests. */
  batch?: BatchItem;
  status: number;
  /** On the real clock. */
  duration_ms: number;
  /** Where a turn's answer came from. */
  source: string | null;
  lints: Array<Lint>;
  client_left: boolean;
  /** The connection was closed before the answer was complete; absent if not. */
  broke?: boolean;
}

/** The numbers of objects that a reset took. */
export interface Reset {
  workspaces: number;
  containers: number;
}

/** The numbers of objects that a state brought. */
export interface Restored {
  files: number;
  skills: number;
  containers: number;
  batches: number;
}

/** A rule of a script and how often it was used. */
export interface RuleState {
  name: string;
  /** The file that has the rule, and its place there. */
  file: string;
  line: number;
  column: number;
  /** How often it may answer; absent if without end. */
  times?: number;
  /** How often it answered. */
  used: number;
  layer: RuleLayer;
  /** In the order of the text. */
  steps: Array<StepState>;
}

/** The result of checking a script that was not loaded. */
export interface ScriptCheck {
  /** It would be loaded. */
  ok: boolean;
  /** How many rules it has; none if it has errors. */
  rules: number;
  errors: Array<Diagnostic>;
  warnings: Array<Diagnostic>;
}

/** All rules in the order they are tried. */
export interface ScriptList {
  data: Array<RuleState>;
  /** The texts of the workspace's own. */
  sources: Array<string>;
}

/** Web searches. */
export interface Searches {
  requests: number;
  usd: number;
}

/** A call has changed how the workspace answers. */
export interface SetupChanged {
  what: SetupPart;
}

/** A step of a rule that ran. */
export interface StepRan {
  step: string;
  line: number;
}

/** A step of a rule. */
export interface StepState {
  /** Its key, such as `bash`. */
  step: string;
  line: number;
  column: number;
  /** At least once. */
  ran: boolean;
  /** It lies in a branch of an `if`: that it did not run is no finding. */
  conditional: boolean;
}

/** A part of the journal without bodies. */
export interface Timeline {
  data: Array<TimelineRow>;
  /** How many requests the journal holds. */
  kept: number;
}

/** A request in a line. */
export interface TimelineRow {
  /** Its number, which only grows. */
  n: number;
  id: string;
  at: string;
  method: string;
  path: string;
  status: number;
  /** From the request's head to the last byte of the answer, on the real clock. */
  ms: number;
  source: string | null;
  /** How many. */
  lints: number;
  /** The client went before the answer was complete. */
  left: boolean;
  /** The connection was closed before that. */
  broke: boolean;
  /** Its stream ended with an error. */
  failed: boolean;
  /** No rule and no recording fits it. */
  missed: boolean;
  /** `msgbatch_…`, of an item. */
  batch: string | null;
  /** How many faults met it. */
  faults: number;
  stream: boolean;
  model: string | null;
  /** The beginning of the newest text of the user. */
  said: string | null;
  /** How many messages the user has sent by now. */
  turn: number;
  /** The same for all turns of a conversation. */
  thread: string | null;
}

/** How often a rule has answered, and may. */
export interface TimesUsed {
  used: number;
  times: number;
}

/** Tokens of all turns. */
export interface TokenSums {
  input_tokens: number;
  output_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  usd: number;
  /** Models without a price: their tokens cost nothing here. */
  unpriced?: Array<string>;
}

/** One turn, or where several models took part, what one of them did. */
export interface TurnCost {
  message_id: string;
  at: string;
  model: string;
  batch: boolean;
  input_tokens: number;
  output_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  web_search_requests: number;
  /** Of tokens and searches; null where the model has no price. */
  usd: number | null;
  container: ContainerUse | null;
}

/** A request with all that is known of it. */
export interface TurnShown {
  entry: Exchange;
  /** Of a stream: bytes that were out, and milliseconds since the request came. */
  marks: Array<Mark>;
  /** The faults that met it. */
  faults: Array<FaultGiven>;
  /** The rule that answered. */
  rule: RuleState | null;
  /** Its steps that ran for this request. */
  steps: Array<StepRan>;
  /** Why no rule answered, or why the rule could not go on. */
  miss: Miss | null;
  /** Findings that only the end of the run could show. */
  findings: Array<FoundLint>;
}

/** A workspace without a label that made requests, where others have one. */
export interface Unclaimed {
  workspace: string;
  /** The end of its key, if it may be told. */
  key: string | null;
  requests: number;
  first_request_id: string | null;
  level: LintLevel;
}

/** A turn that nothing answered. */
export interface Unmatched {
  workspace?: string;
  request_id: string;
  message: string;
  nearest: Array<Near>;
  label?: string;
}

/** The answer to an unmount: the recording until then. */
export interface Unmounted {
  recorded: Recorded | null;
}

/** A fault that fired less often than it may. */
export interface UnusedFault {
  workspace?: string;
  id: number;
  layer: FaultLayer;
  fault: Record<string, any>;
  matched: number;
  fired: number;
  /** null for ever. */
  left: number | null;
  /** Why it cannot fire as things are. */
  note?: string;
  /** Of one that came in the header of a request: the first request that brought it. */
  request_id?: string;
  label?: string;
}

/** A recorded exchange that nothing asked for. */
export interface UnusedRecording {
  workspace?: string;
  /** `NAME #3`. */
  recording: string;
  /** `POST /v1/messages`; null of an answer that was recorded alone. */
  request: string | null;
  label?: string;
}

/** A step that nothing reached, or, without `step`, a rule. */
export interface UnusedStep {
  workspace?: string;
  rule: string;
  file: string;
  line: number;
  /** Its key, such as `bash`; null if it is about the rule as a whole. */
  step: string | null;
  why: UnusedWhy;
  layer: RuleLayer;
  label?: string;
}

/** The cost that a month of the workspace would have on the service; `sandtable docs usage` has the rules. */
export interface Usage {
  /** `2026-11`. */
  month: string;
  /** All of it, in dollars. */
  usd: number;
  container_time: ContainerTime;
  tokens: TokenSums;
  web_searches: Searches;
  /** Oldest first. */
  containers: Array<ContainerCost>;
  /** Oldest first. */
  turns: Array<TurnCost>;
  /** Older containers and turns are in the sums alone. */
  summed_up: boolean;
}

/** The result of a verification. */
export interface Verdict {
  /** Nothing is wrong. */
  ok: boolean;
  /** Turns that no rule or recording answered. */
  unmatched: Array<Unmatched>;
  /** Turns that broke off because a rule expected something else, and requests at which sandtable itself failed. */
  failed: Array<FailedTurn>;
  /** Steps of rules that nothing reached. */
  unused_steps: Array<UnusedStep>;
  /** Faults that never fired. */
  unused_faults: Array<UnusedFault>;
  /** Exchanges of the mounted cassettes that nothing asked for. */
  unused_recordings: Array<UnusedRecording>;
  /** Objects that were made more than once, because an answer was lost and the request sent again. */
  duplicated: Array<Duplicated>;
  /** The client's reaction to each fault. */
  faults: Array<FaultedRequest>;
  /** Mistakes that the real service would not have told. */
  lints: Array<FoundLint>;
  /** Workspaces without a label that made requests, where others have one. Only over all workspaces. */
  unclaimed: Array<Unclaimed>;
  /** Why the run proves nothing, if that is asked. */
  empty: Array<Empty>;
  /** How many requests there were. */
  requests: RequestCounts;
  /** How many findings were not kept, by list. */
  dropped: Record<string, number>;
  /** The part of the service that was met, if that is asked. */
  coverage?: Coverage;
}

/** How a wait ended. */
export interface Waited {
  /** It is so; false after the time-out. */
  met: boolean;
  /** How many requests are there, or events came; of a container's state 1 or 0. */
  count: number;
  /** On the real clock. */
  waited_ms: number;
}

/** A workspace of the server. */
export interface WorkspaceState {
  /** Its name, as `?workspace=NAME` takes it. */
  name: string;
  /** Its id, as events and exchanges have it. */
  id: string;
  /** Whom its key was handed to. */
  label?: string;
  /** The end of its key, if it is long enough to tell. */
  key?: string;
  now: string;
  /** Its clock stands still. */
  frozen: boolean;
  requests: RequestCounts;
}

/** Whether anything runs in a container. */
export type ContainerState = "awake" | "asleep" | "expired";

/** The source of a fault. */
export type FaultLayer = "workspace" | "file" | "request";

/** The type of a file at a path. */
export type FileKind = "file" | "directory" | "symlink";

/** How bad a mistake is. */
export type LintLevel = "warning" | "error";

/** How a request that a fault met came out. */
export type Outcome = "recovered" | "gave_up" | "failed" | "answered" | "duplicated";

/** Whether a container's files can be had. */
export type Readable = "readable" | "asleep" | "none";

/** The sender of a repeated request. */
export type RetriedBy = "sdk" | "client";

/** The source of a rule. */
export type RuleLayer = "workspace" | "base";

/** What a call can change. */
export type SetupPart = "scripts" | "faults" | "all";

/** How something was not used. */
export type UnusedWhy = "never_answered" | { times_left: TimesUsed } | "never_ran";
