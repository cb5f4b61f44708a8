//! Mounted recordings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An order to mount a cassette.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Below the server's `--cassette-dir`, which itself is `.`.
    pub path: PathBuf,
    /// `none`, `once`, `new`, or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// How fast streams are given: `none` (at once), `recorded`, or a factor of the recorded times, such as `0.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<String>,
    /// Where missing exchanges are recorded from; only the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// JSON paths that may differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}

/// The mounted cassettes, if there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mounted {
    pub mounted: bool,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanges: Option<u64>,
    /// The names of those that were not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Vec<String>>,
    /// The recording under way, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
}

/// A recording under way: its file and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    pub path: PathBuf,
    pub exchanges: u64,
    /// Exchanges that could not be written, or that the service never answered, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingExchanges>,
    pub upstream: String,
}

/// A recording that has ended: its file and its exchanges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    pub path: PathBuf,
    pub exchanges: u64,
    /// Exchanges that could not be written, or that the service never answered, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingExchanges>,
}

/// How many exchanges are not in the file, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingExchanges {
    pub exchanges: u64,
    pub reason: Option<String>,
}

/// The answer to an unmount: the recording until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unmounted {
    pub recorded: Option<Recorded>,
}
