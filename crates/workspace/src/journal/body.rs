//! Bodies as they were, turned into something readable only when they are listed.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use common::ids::hex;

/// The body of a request or an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Body {
    /// There was none.
    #[default]
    Empty,
    /// All of it. Listed as JSON if it is JSON, else as text, else by length and digest.
    Bytes(Bytes),
    /// Not kept, because it was large or binary.
    Omitted {
        size_bytes: u64,
        /// SHA-256, where somebody had computed it.
        sha256: Option<[u8; 32]>,
    },
}

impl Body {
    pub(super) fn cost_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Empty | Self::Omitted { .. } => 0,
        }
    }

    pub(super) fn without_content(&self) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Omitted {
                size_bytes: bytes.len() as u64,
                sha256: None,
            },
            Self::Empty | Self::Omitted { .. } => self.clone(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Bytes(bytes)
        }
    }
}

impl Body {
    /// JSON as such, other text as a string, null if there was none, else its length and perhaps its digest.
    pub fn value(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Bytes(bytes) => {
                if let Ok(json) = serde_json::from_slice(bytes) {
                    json
                } else if let Ok(text) = std::str::from_utf8(bytes) {
                    text.into()
                } else {
                    binary(bytes.len() as u64, Some(Sha256::digest(bytes).into()))
                }
            }
            Self::Omitted { size_bytes, sha256 } => binary(*size_bytes, *sha256),
        }
    }
}

fn binary(size_bytes: u64, sha256: Option<[u8; 32]>) -> Value {
    let mut value = json!({ "size_bytes": size_bytes });
    if let Some(digest) = sha256 {
        value["sha256"] = hex(&digest).into();
    }
    value
}
