//! What control calls answer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A clock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ClockState {
    pub now: DateTime<Utc>,
    /// It stands still.
    pub frozen: bool,
}

/// A rule and how often it was used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct RuleState {
    pub name: String,
    /// Where it was given, and its line there.
    pub file: String,
    pub line: u64,
    /// How often it may answer; `None` without end.
    pub times: Option<u64>,
    /// How often it answered.
    pub used: u64,
    /// `workspace` or `base`.
    pub layer: String,
}

/// A fault and what became of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct FaultState {
    pub id: u64,
    /// `workspace` or `file`.
    pub layer: String,
    /// As it was given.
    pub fault: Value,
    /// Occasions that fitted.
    pub matched: u64,
    pub fired: u64,
    /// How often it still fires; `None` for ever.
    pub left: Option<u64>,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Exchange {
    /// The request id, `req_…`.
    pub id: String,
    /// When the request came, on the workspace's clock.
    pub at: DateTime<Utc>,
    pub method: String,
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
    pub status: u16,
    /// From the request's head to the last byte of the answer, on the real clock.
    pub duration_ms: f64,
    /// The workspace's id, `wrkspc_…`.
    pub workspace: String,
    /// Names in lower case; without keys and other secrets.
    pub request_headers: Map<String, Value>,
    /// JSON as such, other text as a string, else `size_bytes` and `sha256`.
    pub request_body: Value,
    /// The answer's, without those that are secret.
    pub response_headers: Map<String, Value>,
    /// As the request's body; a stream as the text of its events.
    pub response_body: Value,
    /// Where a turn's answers came from.
    pub source: Option<String>,
    /// What the real service might have objected to.
    pub lints: Vec<Lint>,
    /// The client went before the answer was complete.
    #[serde(default)]
    pub client_left: bool,
    /// The batch whose item this is.
    #[serde(default)]
    pub batch: Option<BatchItem>,
}

/// A mistake of the client's that the real service punishes silently.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Lint {
    /// Stays the same, such as `inert_container_upload`.
    pub code: String,
    /// `error` or `warning`.
    pub level: String,
    pub message: String,
    pub hint: String,
}

/// An item of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct BatchItem {
    /// `msgbatch_…`.
    pub id: String,
    pub custom_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) data: Vec<Exchange>,
    pub(super) next_cursor: Option<u64>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Container {
    /// `container_…`.
    pub id: String,
    /// `awake`, `asleep`, or `expired`.
    pub state: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    /// As the API says it.
    pub expires_at: DateTime<Utc>,
    /// After this it is expired, however it is used.
    pub ends_at: DateTime<Utc>,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Nothing is wrong.
    pub ok: bool,
    /// Turns that no rule or recording answered.
    pub unmatched: Vec<Value>,
    /// Turns that broke off because a rule expected something else.
    pub failed: Vec<Value>,
    /// Steps of rules that nothing reached.
    pub unused_steps: Vec<Value>,
    /// Faults that never fired.
    pub unused_faults: Vec<Value>,
    /// Exchanges of the mounted cassettes that nothing asked for.
    pub unused_recordings: Vec<Value>,
    /// What was made more than once, because an answer was lost and the request sent again.
    pub duplicated: Vec<Value>,
    /// What the client did about each fault.
    pub faults: Vec<Value>,
    /// Mistakes that the real service would not have told.
    pub lints: Vec<Value>,
    /// Workspaces without a label that made requests, where others have one. Only over all workspaces.
    pub unclaimed: Vec<Value>,
    /// Why the run proves nothing, if that is asked.
    pub empty: Vec<Value>,
    /// How many requests there were.
    pub requests: RequestCounts,
    /// How many findings were not kept, by list.
    pub dropped: BTreeMap<String, u64>,
}

/// API requests since the last reset, or over all resets if all workspaces are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Answered by a rule, a recording, a fault, or otherwise as asked.
    pub answered: u64,
    /// Refused as wrong.
    pub refused: u64,
}
