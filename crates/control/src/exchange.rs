//! The journal.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::micros;
use crate::words::words;

/// A request and its answer, as the journal has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// The request id, `req_…`.
    pub id: String,
    /// When the request came, on the workspace's clock.
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub at: DateTime<Utc>,
    pub method: String,
    pub path: String,
    /// Without the question mark; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    pub status: u16,
    /// From the request's head to the last byte of the answer, on the real clock.
    pub duration_ms: f64,
    /// The workspace's id, `wrkspc_…`.
    pub workspace: String,
    /// Only of an item of a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchItem>,
    /// Names in lower case; without keys and other secrets.
    #[schemars(with = "BTreeMap<String, String>")]
    pub request_headers: Map<String, Value>,
    /// JSON as such, other text as a string, null if there was none, else `size_bytes` and perhaps `sha256`.
    pub request_body: Value,
    /// Names in lower case; without secrets.
    #[schemars(with = "BTreeMap<String, String>")]
    pub response_headers: Map<String, Value>,
    /// As the request's body; a stream as the text of its events.
    pub response_body: Value,
    /// Where a turn's answers came from, `unmatched` where from nowhere; absent where there was no turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Mistakes that the real service might have objected to.
    pub lints: Vec<Lint>,
    /// The client went before the answer was complete; absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_left: bool,
    /// The connection was closed before the answer was complete, by a fault, by a service that is recorded, or because sandtable
    /// failed; absent if not. The status is 444 if not even the head was sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broke: bool,
}

/// Which item of a batch an exchange is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchItem {
    /// `msgbatch_…`.
    pub id: String,
    pub custom_id: String,
}

words! {
    /// How bad a mistake is.
    LintLevel {
        /// The test setup, or something that may be meant so.
        Warning = "warning",
        /// The client loses something, or would be refused.
        Error = "error",
    }
}

/// A mistake of the client's that the real service punishes silently; `sandtable docs verify` lists the codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lint {
    /// Stays the same, such as `inert_container_upload`.
    pub code: String,
    pub level: LintLevel,
    pub message: String,
    pub hint: String,
}

/// A part of the journal, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalPage {
    pub data: Vec<Exchange>,
    /// Where the next page starts, if there may be one.
    pub next_cursor: Option<u64>,
}

/// The exchanges since an earlier page, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalGrowth {
    pub data: Vec<Exchange>,
    /// The value of `after` for the next request; also of an empty page.
    pub next_after: u64,
    /// How many that came since are kept no more.
    pub dropped: u64,
    /// Requests that are not over, and so not in the journal yet; what outlives its client's connection counts.
    #[serde(default)]
    pub open_requests: u64,
}
