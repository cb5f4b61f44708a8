//! Bodies as they were, turned into something readable only when they are listed.

use bytes::Bytes;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::ids::hex;

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

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_none(),
            Self::Bytes(bytes) => {
                if let Ok(json) = serde_json::from_slice::<serde_json::Value>(bytes) {
                    json.serialize(serializer)
                } else if let Ok(text) = std::str::from_utf8(bytes) {
                    serializer.serialize_str(text)
                } else {
                    let digest = Sha256::digest(bytes).into();
                    binary(bytes.len() as u64, Some(digest), serializer)
                }
            }
            Self::Omitted { size_bytes, sha256 } => binary(*size_bytes, *sha256, serializer),
        }
    }
}

fn binary<S: Serializer>(
    size_bytes: u64,
    sha256: Option<[u8; 32]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let digest = sha256.map(|digest| hex(&digest));
    let mut map = serializer.serialize_struct("Binary", 2)?;
    map.serialize_field("size_bytes", &size_bytes)?;
    match digest {
        Some(digest) => map.serialize_field("sha256", &digest)?,
        None => map.skip_field("sha256")?,
    }
    map.end()
}
