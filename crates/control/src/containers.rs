//! Containers and their files.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::{micros, micros_if_known};
use crate::words::words;

words! {
    /// Whether anything runs in a container.
    ContainerState {
        /// Its sandbox runs.
        Awake = "awake",
        /// Its files stay, and the next use starts it.
        Asleep = "asleep",
        /// It is over.
        Expired = "expired",
    }
}

words! {
    /// Whether a container's files can be had.
    Readable {
        /// At once.
        Readable = "readable",
        /// It has to be woken for them.
        Asleep = "asleep",
        /// There are none: nothing ever ran, or it is over.
        None = "none",
    }
}

words! {
    /// The type of a file at a path.
    FileKind {
        File = "file",
        Directory = "directory",
        Symlink = "symlink",
    }
}

/// A container of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// `container_…`.
    pub id: String,
    /// The workspace's name.
    pub workspace: String,
    pub state: ContainerState,
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub last_used_at: DateTime<Utc>,
    /// As the API says it.
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub expires_at: DateTime<Utc>,
    /// After this it is expired, however it is used.
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub ends_at: DateTime<Utc>,
    /// Whether its files can be had.
    pub files: Readable,
    /// Whether code in it waits for the client's tools.
    pub pending: bool,
}

/// The state of a container after it was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerEnded {
    pub id: String,
    pub state: ContainerState,
}

/// Something in a container's file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerFile {
    /// As text: bytes that are no UTF-8 show as U+FFFD.
    pub path: String,
    pub kind: FileKind,
    pub size_bytes: u64,
    /// Octal, such as `0644`.
    pub mode: String,
    /// On the machine's clock; absent of files that no sandbox has yet.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "micros_if_known"
    )]
    #[schemars(with = "DateTime<Utc>")]
    pub modified_at: Option<DateTime<Utc>>,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of a file: where its bytes are to be had, the exact path, percent-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
}

/// A container's files, by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerFiles {
    pub data: Vec<ContainerFile>,
    /// There are more than were asked for.
    pub more: bool,
}
