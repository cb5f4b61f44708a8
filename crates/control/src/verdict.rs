//! The verdict on a run.
//!
//! A finding says its `workspace`, which is absent of what files give to all, and its `label` if there is one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::coverage::Coverage;
use crate::exchange::LintLevel;
use crate::faults::{FaultGiven, FaultLayer};
use crate::scripts::{RuleLayer, UnusedWhy};
use crate::words::words;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Nothing is wrong.
    pub ok: bool,
    /// Turns that no rule or recording answered.
    pub unmatched: Vec<Unmatched>,
    /// Turns that broke off because a rule expected something else, and requests at which sandtable itself failed.
    pub failed: Vec<FailedTurn>,
    /// Steps of rules that nothing reached.
    pub unused_steps: Vec<UnusedStep>,
    /// Faults that never fired.
    pub unused_faults: Vec<UnusedFault>,
    /// Exchanges of the mounted cassettes that nothing asked for.
    pub unused_recordings: Vec<UnusedRecording>,
    /// Objects that were made more than once, because an answer was lost and the request sent again.
    pub duplicated: Vec<Duplicated>,
    /// The client's reaction to each fault.
    pub faults: Vec<FaultedRequest>,
    /// Mistakes that the real service would not have told.
    pub lints: Vec<FoundLint>,
    /// Workspaces without a label that made requests, where others have one. Only over all workspaces.
    pub unclaimed: Vec<Unclaimed>,
    /// Why the run proves nothing, if that is asked.
    pub empty: Vec<Empty>,
    /// How many requests there were.
    pub requests: RequestCounts,
    /// How many findings were not kept, by list.
    pub dropped: BTreeMap<String, u64>,
    /// The part of the service that was met, if that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// API requests since the last reset, or over all resets if all workspaces are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestCounts {
    /// Answered by a rule, a recording, a fault, or otherwise as asked.
    pub answered: u64,
    /// Refused as wrong.
    pub refused: u64,
}

/// A turn that nothing answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unmatched {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    pub request_id: String,
    pub message: String,
    pub nearest: Vec<Near>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A turn that broke off, or a request at which sandtable itself failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedTurn {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    pub request_id: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A rule that almost matched: `held` of its `clauses` hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Near {
    pub rule: String,
    pub file: String,
    pub line: u64,
    pub held: usize,
    pub clauses: usize,
    /// The first clause that does not hold; absent if its `times` are used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedClause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_up: Option<TimesUsed>,
}

/// How often a rule has answered, and may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimesUsed {
    pub used: u64,
    pub times: u64,
}

/// The first clause of a rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedClause {
    pub clause: String,
    pub line: u64,
    pub wants: String,
    pub got: String,
}

/// A step that nothing reached, or, without `step`, a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnusedStep {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    pub rule: String,
    /// How many rules of its file before it have the same name.
    #[serde(skip)]
    pub nth: u64,
    pub file: String,
    pub line: u64,
    /// Its key, such as `bash`; null if it is about the rule as a whole.
    pub step: Option<String>,
    pub why: UnusedWhy,
    pub layer: RuleLayer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A fault that fired less often than it may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnusedFault {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    pub id: u64,
    pub layer: FaultLayer,
    #[schemars(with = "Map<String, Value>")]
    pub fault: Value,
    pub matched: u64,
    pub fired: u64,
    /// null for ever.
    pub left: Option<u64>,
    /// Why it cannot fire as things are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Of one that came in the header of a request: the first request that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A recorded exchange that nothing asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnusedRecording {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// `NAME #3`.
    pub recording: String,
    /// `POST /v1/messages`; null of an answer that was recorded alone.
    pub request: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

words! {
    /// How a request that a fault met came out.
    Outcome {
        Recovered = "recovered",
        GaveUp = "gave_up",
        Failed = "failed",
        Answered = "answered",
        Duplicated = "duplicated",
    }
}

words! {
    /// The sender of a repeated request.
    RetriedBy {
        Sdk = "sdk",
        Client = "client",
    }
}

/// The client's reaction to a request that a fault met; `sandtable docs verify` lists the outcomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultedRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Method and path.
    pub request: String,
    pub faults: Vec<FaultGiven>,
    pub attempts: Vec<Attempt>,
    pub retries: u64,
    /// null where the connection was closed.
    pub last_status: Option<u16>,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_dropped: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A request, or one of its repetitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    pub request_id: String,
    /// null where the connection was closed.
    pub status: Option<u16>,
    /// The ids of the faults that met it.
    pub faults: Vec<u64>,
    /// The ids of what it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_left: bool,
    /// After the one before, on the real clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<f64>,
    /// The same on the workspace's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_virtual_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<RetriedBy>,
}

/// Objects that were made more than once, because an answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Duplicated {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Method and path.
    pub request: String,
    pub request_ids: Vec<String>,
    pub ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A mistake, and the request that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundLint {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    pub request_id: String,
    pub code: String,
    pub level: LintLevel,
    pub message: String,
    pub hint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A workspace without a label that made requests, where others have one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unclaimed {
    pub workspace: String,
    /// The end of its key, if it may be told.
    pub key: Option<String>,
    pub requests: u64,
    pub first_request_id: Option<String>,
    pub level: LintLevel,
}

/// Why a run proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {
    pub message: String,
    pub hint: String,
}
