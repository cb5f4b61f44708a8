//! The inspector's own calls beside the others, in the shapes that it draws; they change with it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::micros;
use crate::exchange::Exchange;
use crate::faults::FaultGiven;
use crate::scripts::RuleState;
use crate::verdict::{FoundLint, Near};

/// A part of the journal without bodies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    pub data: Vec<TimelineRow>,
    /// How many requests the journal holds.
    pub kept: u64,
}

/// A request in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineRow {
    /// Its number, which only grows.
    pub n: u64,
    pub id: String,
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub at: DateTime<Utc>,
    pub method: String,
    pub path: String,
    pub status: u16,
    /// From the request's head to the last byte of the answer, on the real clock.
    pub ms: f64,
    pub source: Option<String>,
    /// How many.
    pub lints: u64,
    /// The client went before the answer was complete.
    pub left: bool,
    /// The connection was closed before that.
    pub broke: bool,
    /// Its stream ended with an error.
    pub failed: bool,
    /// No rule and no recording fits it.
    pub missed: bool,
    /// `msgbatch_…`, of an item.
    pub batch: Option<String>,
    /// How many faults met it.
    pub faults: u64,
    pub stream: bool,
    pub model: Option<String>,
    /// The beginning of the newest text of the user.
    pub said: Option<String>,
    /// How many messages the user has sent by now.
    pub turn: u64,
    /// The same for all turns of a conversation.
    pub thread: Option<String>,
}

/// A request with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TurnShown {
    pub entry: Exchange,
    /// Of a stream: bytes that were out, and milliseconds since the request came.
    pub marks: Vec<Mark>,
    /// The faults that met it.
    pub faults: Vec<FaultGiven>,
    /// The rule that answered.
    pub rule: Option<RuleState>,
    /// Its steps that ran for this request.
    pub steps: Vec<StepRan>,
    /// Why no rule answered, or why the rule could not go on.
    pub miss: Option<Miss>,
    /// Findings that only the end of the run could show.
    pub findings: Vec<FoundLint>,
}

/// Where a stream stood at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// So many bytes of the body were out.
    pub end_bytes: u64,
    /// So long after the request came.
    pub ms: f64,
}

/// A step of a rule that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepRan {
    pub step: String,
    pub line: u64,
}

/// Why a turn was not answered as a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Miss {
    pub message: String,
    /// The rules that came nearest; none of a turn that broke off.
    #[serde(default)]
    pub nearest: Vec<Near>,
}
