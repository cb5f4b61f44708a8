//! The server itself, its workspaces, and how it refuses.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::micros;
use crate::verdict::RequestCounts;

/// The server runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
    pub version: String,
    /// The backend that runs code: `docker`, `local`, or `none`.
    pub backend: String,
    /// The isolation of sandboxes: `docker`, `namespaces`, `landlock`, or `none`.
    pub isolation: String,
    /// Isolation that would be better, and why it does not run.
    pub passed_over: Vec<PassedOver>,
    /// The profile of quirks.
    pub profile: String,
}

/// A better way to confine sandboxes that does not work here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PassedOver {
    /// `docker` or `namespaces`.
    pub name: String,
    pub reason: String,
}

/// Whether what the server is for can be had at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// `ok`, or `not_ready`.
    pub status: String,
    pub backend: String,
    /// A container could be had.
    pub sandboxes: bool,
    /// Why not, and what that means for the scripts.
    pub reason: Option<String>,
}

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    pub error: Refusal,
}

/// An error: its message, and a hint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    pub message: String,
    pub hint: String,
}

/// Whom a workspace's key is handed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Such as the name of a test.
    pub label: String,
}

/// A workspace has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Labelled {
    pub workspace: String,
    pub label: String,
}

/// A workspace of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceState {
    /// Its name, as `?workspace=NAME` takes it.
    pub name: String,
    /// Its id, as events and exchanges have it.
    pub id: String,
    /// Whom its key was handed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The end of its key, if it is long enough to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub now: DateTime<Utc>,
    /// Its clock stands still.
    pub frozen: bool,
    pub requests: RequestCounts,
}
