//! Mounted recordings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An order to mount a cassette.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Below the server's `--cassette-dir`.
    pub path: PathBuf,
    /// `none`, `once`, `new`, or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// How fast streams are given: `at-once`, or as they were recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<String>,
    /// Where missing exchanges are recorded from; only the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// JSON paths that may differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}

/// What is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mounted {
    pub mounted: bool,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanges: Option<u64>,
    /// The names of those that were not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Vec<String>>,
    /// Where it records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
}

/// What is recorded, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    pub path: PathBuf,
    pub exchanges: u64,
    /// What could not be written, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingExchanges>,
    pub upstream: String,
}

/// What was recorded, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    pub path: PathBuf,
    pub exchanges: u64,
    /// What could not be written, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingExchanges>,
}

/// How many exchanges could not be written, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingExchanges {
    pub exchanges: u64,
    pub reason: Option<String>,
}

/// What was recorded until the cassette was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unmounted {
    pub recorded: Option<Recorded>,
}
