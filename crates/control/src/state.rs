//! The whole of a workspace. The document itself is described in `sandtable docs state`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The numbers of objects that a state brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    pub files: u64,
    pub skills: u64,
    pub containers: u64,
    pub batches: u64,
}

/// The numbers of objects that a reset took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reset {
    pub workspaces: u64,
    pub containers: u64,
}

/// An order to fork a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The new workspace's API key; one is made if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A workspace that holds what another does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forked {
    /// Its name.
    pub workspace: String,
    /// Its API key.
    pub key: String,
    pub files: u64,
    pub skills: u64,
    pub containers: u64,
    pub batches: u64,
}
