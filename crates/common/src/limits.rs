//! Every limit of the emulated service and of ours: a name, a unit, one home.

use std::time::Duration;

use chrono::TimeDelta;

/// Largest body of `/v1/messages` (F143).
pub const MAX_MESSAGES_BODY_BYTES: usize = 32 * 1024 * 1024;
/// How deep the JSON of a request may be nested: what `serde_json` takes of itself.
pub const JSON_DEPTH: usize = 127;
/// How deep JSON may be that has such requests in it: states, journals, cassettes.
pub const WRAPPED_JSON_DEPTH: usize = 192;
/// Stack for reading a cassette that deep: without optimisation its YAML takes 25 kB for each level.
pub const CASSETTE_STACK_BYTES: usize = 8 * 1024 * 1024;
/// How deep the arguments of a call from code may be: they come back within a request, whose history, or whose batch,
/// lies around them. The guest has the same.
pub const CODE_ARGS_DEPTH: usize = JSON_DEPTH - 16;
/// Largest body of `/v1/messages/batches` (F143).
pub const MAX_BATCH_BODY_BYTES: usize = 256 * 1024 * 1024;
/// Most requests in one batch (F110).
pub const MAX_BATCH_REQUESTS: usize = 100_000;
/// Longest `custom_id` of a request in a batch, in characters.
pub const MAX_CUSTOM_ID_CHARS: usize = 64;
/// Life of a batch on the virtual clock: what was not begun by then expires.
pub const BATCH_LIFE_HOURS: i64 = 24;
/// How long the results of a batch are kept after its creation, on the virtual clock.
pub const BATCH_RESULT_DAYS: i64 = 29;
/// Items of batches that run at the same time, of all batches of a server together.
pub const BATCH_CONCURRENT_ITEMS: usize = 4;
/// Server tool iterations in one turn of a batch before `pause_turn`: more than elsewhere.
pub const BATCH_TURN_ITERATIONS: u32 = 100;
/// Blocks with a `cache_control` in one request.
pub const MAX_CACHE_MARKS: usize = 4;
/// Levels of a JSON schema that are looked at.
pub const MAX_SCHEMA_DEPTH: usize = 64;
/// Strict tools of a request (F244).
pub const MAX_STRICT_TOOLS: usize = 20;
/// Properties that may be left out, of all schemas that answers must follow to the letter (F244).
pub const MAX_STRICT_OPTIONAL: usize = 24;
/// Schemas of several types among them (F244).
pub const MAX_STRICT_UNIONS: usize = 16;
/// Images of a request beyond which each must be smaller (F209).
pub const MANY_IMAGES: usize = 20;
/// Pixels of the longer side of an image (F209).
pub const MAX_IMAGE_SIDE: u32 = 8000;
/// The same where a request has many.
pub const MAX_IMAGE_SIDE_OF_MANY: u32 = 2000;
/// Pages of all PDFs of a request (F210).
pub const MAX_PDF_PAGES: u64 = 600;
/// The same for models whose context is not a million tokens.
pub const MAX_PDF_PAGES_OF_SHORT_CONTEXT: u64 = 100;
/// Bytes of packed objects that are unpacked to count the pages of a PDF.
pub const MAX_PDF_INFLATED_BYTES: u64 = 64 * 1024 * 1024;
/// Packed streams that are looked at for it.
pub const MAX_PDF_STREAMS: usize = 10_000;
/// Nodes of page trees that are looked at for it.
pub const MAX_PDF_NODES: usize = 10_000;
/// Characters of a pattern that searches for tools (document, 2026-09).
pub const MAX_TOOL_SEARCH_CHARS: usize = 200;
/// Bytes that such a pattern may compile to.
pub const TOOL_SEARCH_REGEX_BYTES: usize = 1024 * 1024;
/// Tools that one search finds, where it does not say how many (document: three to five).
pub const TOOL_SEARCH_RESULTS: usize = 5;
/// How often a batch looks whether it has expired, and tries again what the store did not do.
pub const BATCH_LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Cells of a container of which is remembered what they have called on the web: as many as the guest
/// keeps results of.
pub const KEPT_WEB_CELLS: usize = 16;
/// Longest URL that `web_fetch` takes, in characters.
pub const MAX_FETCH_URL_CHARS: usize = 250;
/// Base64 of an inline image; the decoder looks at it (F146).
pub use wire::request::MAX_IMAGE_BASE64_BYTES;
/// Messages of a request; the decoder counts them (F241).
pub use wire::request::MAX_MESSAGES;
/// Largest skill, uncompressed, all files together (F100).
pub const MAX_SKILL_BYTES: usize = 30 * 1024 * 1024;
/// Most files in a skill.
pub const MAX_SKILL_FILES: usize = 10_000;
/// Longest `name` of a skill, in characters.
pub const MAX_SKILL_NAME_CHARS: usize = 64;
/// Longest `description` of a skill, in characters.
pub const MAX_SKILL_DESCRIPTION_CHARS: usize = 1024;
/// Longest `display_name` of a skill, in characters.
pub const MAX_SKILL_DISPLAY_NAME_CHARS: usize = 255;
/// Most skills in one Messages request, and with the beta header.
pub const MAX_REQUEST_SKILLS: usize = 20;
/// See [`MAX_REQUEST_SKILLS`].
pub const MAX_REQUEST_SKILLS_BETA: usize = 8;
/// Largest `limit` of a list of skills with the beta header.
pub const SKILL_LIST_LIMIT_BETA: usize = 100;
/// Largest script, file of faults, or file of prices that is read.
pub const MAX_INPUT_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Largest upload to `/v1/files` (F081).
pub const MAX_UPLOAD_BYTES: u64 = 500 * 1024 * 1024;
/// Largest file that comes back from `$OUTPUT_DIR`; above it a call answers `output_file_too_large`.
pub const MAX_OUTPUT_FILE_BYTES: u64 = 500 * 1024 * 1024;
/// Most files one call hands back from `$OUTPUT_DIR`, by name; the others stay in the container.
pub const MAX_OUTPUT_FILES: usize = 1000;
/// Most bytes that the `result` of one step of a script may hold, all texts and its files together; a file
/// that is given by its path counts as one of a sandbox.
pub const RESULT_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes that one call may write to stdout, and again to stderr, before the middle is dropped.
pub const MAX_STREAM_BYTES: usize = 1024 * 1024;
/// Wall clock of one bash or editor call.
pub const BASH_TIMEOUT: Duration = Duration::from_mins(5);
/// Wall clock of one Python cell, without the time it waits for a client's tool.
pub const CELL_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a cell waits for those before it in its container; then it gets `too_many_requests`.
pub const CELL_QUEUE_TIMEOUT: Duration = Duration::from_mins(5);
/// How long a call from code waits for the client, on the virtual clock (F060).
pub const CODE_CALL_SECONDS: i64 = 270;
/// How far `expires_at` lies behind the last use while such a call waits (F052).
pub const CONTAINER_PENDING_MINUTES: i64 = 5;
/// How long after its last request a message thread can be continued, on the virtual clock (F017).
pub const THREAD_MINUTES: i64 = 5;
/// How long after its last use a thread is kept.
pub const THREAD_KEPT_MINUTES: i64 = 60;
/// Calls from the code of one cell that wait at once.
pub const MAX_CODE_CALLS: usize = 64;
/// Most bytes that the arguments of all these may come to.
pub const MAX_CODE_ARGS_BYTES: usize = 1024 * 1024;
/// Life of a container from its creation, on the virtual clock.
pub const CONTAINER_LIFE_DAYS: i64 = 30;
/// How far `expires_at` lies behind the last use of a container, on the virtual clock.
pub const CONTAINER_ROLLING_MINUTES: i64 = 60;
/// A container that was not used for so long falls asleep, on the wall clock or the virtual one.
pub const CONTAINER_IDLE: Duration = Duration::from_mins(5);
/// How long a Docker sandbox of a kept data directory outlives its server, to be taken up by the next.
pub const SANDBOX_LEASE: Duration = Duration::from_mins(1);
/// How long a failed installation of the documented libraries is not tried again by servers.
pub const LIBRARIES_RETRY: Duration = Duration::from_hours(6);
/// How often a server looks whether another process has installed them.
pub const LIBRARIES_LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a program that ends waits for work that serves nobody any more.
pub const RUNTIME_END: Duration = Duration::from_secs(2);
/// How long a sandbox is kept warm before a new one takes its place.
pub const WARM_LIFE: Duration = Duration::from_hours(24);
/// Most sandboxes that are kept warm.
pub const MAX_WARM: usize = 64;
/// How often containers are looked over for sleep.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// Every so many of these rounds, for the end of their 30 days. A moved clock looks at once.
pub const EXPIRY_ROUNDS: u64 = 120;
/// Memory of a sandbox.
pub const SANDBOX_MEMORY_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// Disk of a sandbox.
pub const SANDBOX_DISK_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// Processes and threads in a sandbox.
pub const SANDBOX_PIDS: i64 = 512;
/// Pseudo terminals of a sandbox at once; the kernel has 4,096 for the whole machine.
pub const SANDBOX_TERMINALS: u32 = 64;
/// Most bytes that one call hands back from `$OUTPUT_DIR`, all files together: as many as the container's
/// disk may hold, so that files which take no room there (sparse, or blocks that are shared) cannot fill the
/// server's.
pub const MAX_OUTPUT_BYTES: u64 = SANDBOX_DISK_BYTES;
/// Pods made at the same time; further ones wait.
pub const CONCURRENT_POD_STARTS: usize = 32;
/// Wait for a pod to run: a cluster may have to start a node, and that to pull an image.
pub const POD_START_TIMEOUT: Duration = Duration::from_mins(2);
/// A pod of a temporary server that ended so long ago belongs to no server that lives.
pub const POD_ENDED_LIFE: Duration = Duration::from_hours(24);
/// Sandboxes started at the same time; further starts wait.
pub const CONCURRENT_STARTS: usize = 8;
/// Steps of one turn before the loop guard ends it.
pub const TURN_STEPS: u32 = 10_000;
/// Silence in a stream after which a `ping` is sent.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Workspaces (distinct keys) one server takes.
pub const MAX_WORKSPACES: usize = 10_000;
/// Conversations and uploads of one workspace whose repetitions are counted, with a seed.
pub const SEEDED_SCOPES: usize = 65_536;
/// Bytes of requests and answers the journal of one workspace keeps.
pub const JOURNAL_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of conversations in message threads that one workspace's replay keeps, the oldest making room.
pub const REPLAY_THREAD_BYTES: usize = 8 * 1024 * 1024;
/// Steps of a script that the journal keeps with an answer.
pub const JOURNAL_STEPS: usize = 200;
/// Moments of a stream that the journal keeps with an answer.
pub const JOURNAL_MARKS: usize = 2000;
/// Lints of one workspace that `verify` keeps in full; the others are counted.
pub const VERIFY_LINTS: usize = 1000;
/// Unmatched and failed turns of one workspace that `verify` keeps in full; the others are counted.
pub const VERIFY_MISSES: usize = 200;
/// Requests met by a fault whose retries `verify` follows, for one workspace; the others are counted.
pub const VERIFY_CHAINS: usize = 500;
/// Attempts of one such request that are kept; the others are counted.
pub const VERIFY_ATTEMPTS: usize = 50;
/// Faults that requests of one workspace have brought along whose fate `verify` knows; the others are counted.
pub const VERIFY_BROUGHT: usize = 500;
/// Output files, pauses, and calls of one workspace that `verify` remembers, the oldest making room.
pub const VERIFY_MEMORY: usize = 4096;
/// Findings of one workspace from before its resets, in each list; the others are counted.
pub const VERIFY_ARCHIVED: usize = 1000;
/// Of what a client prints in a run of a sweep, the first and the last.
pub const SWEEP_OUTPUT_BYTES: usize = 64 * 1024;
/// Of a text that a finding of a sweep quotes, the beginning.
pub const SWEEP_QUOTED_CHARS: usize = 80;
/// Calls whose results a server keeps for containers with the same past.
pub const REUSED_CALLS: usize = 4096;
/// Files of such a call; what leaves more runs each time.
pub const REUSED_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Longest key that a fork may be given, in bytes: what clients and proxies take for a header's value.
pub const MAX_KEY_BYTES: usize = 4096;
/// Characters of a workspace's label.
pub const MAX_LABEL_CHARS: usize = 1000;
/// Largest body that is read for the journal and `verify` though a fault answers the request.
pub const FAULTED_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Events that wait for a slow reader of `GET /_sandtable/events`.
pub const EVENT_QUEUE: usize = 1024;
/// Readers of events at a time.
pub const EVENT_READERS: usize = 64;
/// Silence in the stream of events after which a comment is sent.
pub const EVENT_PING_INTERVAL: Duration = Duration::from_secs(15);
/// Most of a refused body that is read and thrown away.
pub const LINGER_BYTES: u64 = 64 * 1024 * 1024;
/// How long a refused body is read and thrown away.
pub const LINGER_TIME: Duration = Duration::from_secs(10);
/// Longest `timeout` of `GET /_sandtable/wait`, and the one without it.
pub const WAIT_MAX: Duration = Duration::from_mins(5);
/// See [`WAIT_MAX`].
pub const WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// How often a wait looks at what is told to nobody, such as a sandbox that has died, or an item of a batch.
pub const WAIT_LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of the list of a container's files.
pub const CONTAINER_LIST_BYTES: u64 = 16 * 1024 * 1024;
/// Default and largest `limit` of such a list.
pub const CONTAINER_LIST_DEFAULT: usize = 1000;
/// See [`CONTAINER_LIST_DEFAULT`].
pub const CONTAINER_LIST_MAX: usize = 10_000;
/// Largest file that the control API reads from a container.
pub const CONTAINER_FILE_BYTES: u64 = 512 * 1024 * 1024;
/// Default and largest `limit` of a list, and the smallest is 1 (F120).
pub const LIST_LIMIT_DEFAULT: usize = 20;
/// See [`LIST_LIMIT_DEFAULT`].
pub const LIST_LIMIT_MAX: usize = 1000;
/// Most `ids[]` in one list of files (F082).
pub const LIST_IDS_MAX: usize = 100;
/// Wait for an engine to say that it is there.
pub const ENGINE_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The same where each request connects with SSH first.
pub const ENGINE_SSH_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Wait for an engine's answer to a look-up.
pub const ENGINE_CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Wait for an engine to create, start, kill, or delete a container.
pub const ENGINE_CHANGE_TIMEOUT: Duration = Duration::from_mins(1);
/// Silence of an engine while it pulls an image, after which the pull counts as failed.
pub const ENGINE_PULL_SILENCE: Duration = Duration::from_mins(1);
/// Longest build of the sandbox image.
pub const IMAGE_BUILD_TIMEOUT: Duration = Duration::from_hours(1);
/// `/dev/shm` of a sandbox.
pub const SANDBOX_SHM_BYTES: i64 = 64 * 1024 * 1024;
/// Bytes of files one workspace may hold (F081).
pub const STORAGE_QUOTA_BYTES: u64 = 1024 * 1024 * 1024 * 1024;
/// Most bytes that a multipart body may hold beside the file's own: boundaries, part headers, other parts.
pub const MULTIPART_OVERHEAD_BYTES: u64 = 64 * 1024;
/// Shortest and longest `expires_in_seconds` of an upload (F081).
pub const FILE_LIFE_MIN_SECONDS: i64 = 3600;
/// See [`FILE_LIFE_MIN_SECONDS`].
pub const FILE_LIFE_MAX_SECONDS: i64 = 7_776_000;
/// How long the metadata of an expired file stays readable, on the virtual clock (F083).
pub const EXPIRED_METADATA_DAYS: i64 = 30;
/// Longest name of a file, in characters (F081).
pub const MAX_FILENAME_CHARS: usize = 255;
/// Longest name of a file or a folder in a container, in bytes; the guest has the same.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest path that a program can name, in bytes, with the zero at its end.
pub const MAX_PATH_BYTES: usize = 4096;
/// Longest media type of a file, in characters (F081).
pub const MAX_MIME_TYPE_CHARS: usize = 255;
/// Places at which turns of one workspace wait for a continuation; the oldest go first.
pub const PARKED_PLACES: usize = 1024;
/// Bytes of results that these places keep.
pub const PARKED_BYTES: usize = 8 * 1024 * 1024;
/// Answers in one turn before the loop guard takes a script for endless.
pub const TURN_ROUNDS: usize = 200;
/// Largest script, as a file and in a control call.
pub const MAX_SCRIPT_BYTES: usize = 8 * 1024 * 1024;
/// Largest body of a control call; a cassette and a state may be larger.
pub const MAX_CONTROL_BODY_BYTES: usize = MAX_SCRIPT_BYTES;
/// Largest cassette, as a file and in a control call.
pub const MAX_CASSETTE_BYTES: usize = 256 * 1024 * 1024;
/// Largest document of a workspace's state, coming or going. It is held in memory, about three times.
pub const MAX_STATE_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of a container's files that are exported before it sleeps, where its backend does not keep them; with
/// more it stays awake.
pub const MAX_HOME_BYTES: u64 = 512 * 1024 * 1024;
/// Largest such document in YAML, which is slower to read.
pub const MAX_STATE_YAML_BYTES: usize = 8 * 1024 * 1024;
/// How long the files of one container may take on their way into a state, or out of it.
pub const STATE_TREE_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest id in an imported state, in characters.
pub const MAX_ID_CHARS: usize = 128;
/// Faults that one workspace, or one request, takes.
pub const MAX_FAULTS: usize = 1000;
/// Containers, and turns, that a ledger keeps one by one; older ones are summed up by month.
pub const LEDGER_ENTRIES: usize = 10_000;
/// Least time that a container's session is billed (F180).
pub const BILLING_MINIMUM_SECONDS: u64 = 300;
/// Uses of a container that lie no further apart belong to one session (F181).
pub const BILLING_SESSION_GAP: TimeDelta = TimeDelta::minutes(5);
/// Container time that costs nothing, for each organization and month (F180).
pub const BILLING_FREE_SECONDS: u64 = 1550 * 3600;
/// Connections that wait to be accepted; the kernel may hold fewer.
pub const LISTEN_BACKLOG: u32 = 4096;
/// Bytes that one template may make, everything in between included.
pub const TEMPLATE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that one template may look at: a filter reads all of what it is given, each time.
pub const TEMPLATE_READ_BYTES: u64 = 256 * 1024 * 1024;
/// How deep a value in a template may be nested; a request is not nested deeper.
pub const TEMPLATE_DEPTH: usize = 160;
/// Most operators between `${{` and `}}`, and most `elif` in a template.
pub const TEMPLATE_OPERATORS: usize = 200;
/// Text, or JSON, up to this size is gone through where it comes; above it nobody else waits for that.
pub const WORK_IN_PLACE_BYTES: usize = 64 * 1024;
/// Most `*` in a glob: each may be one level deeper on the stack, and one way more through the text.
pub const GLOB_STARS: usize = 32;
/// How deep brackets and parentheses of a `JSONPath` may be nested: what is nested is read twice at each level.
pub const JSON_PATH_DEPTH: usize = 8;
/// The longest `JSONPath`.
pub const JSON_PATH_BYTES: usize = 4096;
/// Most `..` in one `JSONPath` of a script: each goes through all that the one before has found.
pub const JSON_PATH_DESCENTS: usize = 3;
/// Values that one `JSONPath` may look at in a request, those that it comes by more than once included.
pub const JSON_PATH_VISITS: u64 = 20_000_000;
/// Size of one compiled regular expression.
pub const REGEX_BYTES: usize = 1024 * 1024;
/// Mistakes of one script that are told; of the others only how many there are.
pub const SCRIPT_MISTAKES_TOLD: usize = 1000;
/// Names among which that which was meant is looked for, or that are told in its place.
pub const SCRIPT_NAMES_TOLD: usize = 100;
/// Regular expressions in one script.
pub const SCRIPT_REGEXES: usize = 1000;
/// How long the head of a request may take, from its first byte or the beginning of the connection.
pub const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long the body of a request may stay silent.
pub const BODY_SILENCE: Duration = Duration::from_mins(1);

/// How long calls may take: what a server may be given other values for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// In place of [`BASH_TIMEOUT`].
    pub call: Duration,
    /// In place of [`CELL_TIMEOUT`].
    pub cell: Duration,
    /// In place of [`CELL_QUEUE_TIMEOUT`].
    pub cell_queue: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            call: BASH_TIMEOUT,
            cell: CELL_TIMEOUT,
            cell_queue: CELL_QUEUE_TIMEOUT,
        }
    }
}
