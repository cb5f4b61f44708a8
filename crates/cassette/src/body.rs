//! Bodies of recorded requests and answers.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::PathBuf;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use common::limits::MAX_BATCH_BODY_BYTES;

/// The body of a request or an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Compact JSON: written out again without spaces it is what was sent.
    Json(Value),
    /// Text as it was sent, a stream of events too.
    Text(String),
    /// Anything else.
    Bytes(Bytes),
    /// Bytes in a file beside the cassette.
    Blob(Blob),
    /// The parts of a `multipart/form-data` body.
    Form(Vec<Part>),
    /// There was something that was not kept: why.
    Missing(String),
}

/// A body in a file of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of its bytes, in hexadecimal; the file's name.
    pub sha256: String,
    pub size_bytes: u64,
    /// The folder it lies in.
    pub folder: PathBuf,
}

/// One part of a form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    pub filename: Option<String>,
    pub content_type: Option<String>,
    /// Any kind but a form.
    pub body: Body,
}

/// Longest body kept within the cassette's own file, unless it is JSON or a stream of events.
pub(super) const INLINE_BYTES: usize = 16 * 1024;

impl Body {
    /// A body as it came: JSON if it can be written again byte for byte, text if it is text.
    pub fn of(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::of_text(text),
            Err(_) => Self::Bytes(bytes),
        }
    }

    fn of_text(text: &str) -> Self {
        if text.starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str::<Value>(text)
            && serde_json::to_string(&value).is_ok_and(|again| again == text)
        {
            return Self::Json(value);
        }
        Self::Text(text.to_owned())
    }

    /// The bytes that were sent; `None` for a form and for what was not kept.
    pub fn bytes(&self) -> std::io::Result<Option<Bytes>> {
        Ok(Some(match self {
            Self::Empty => Bytes::new(),
            Self::Json(value) => Bytes::from(value.to_string()),
            Self::Text(text) => Bytes::from(text.clone()),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Blob(blob) => Bytes::from(std::fs::read(blob.path())?),
            Self::Form(_) | Self::Missing(_) => return Ok(None),
        }))
    }

    /// The body as JSON, if it is some, of any size and however it is laid out.
    pub fn json(&self) -> Option<Cow<'_, Value>> {
        match self {
            Self::Json(value) => Some(Cow::Borrowed(value)),
            Self::Text(text) => serde_json::from_str(text).ok().map(Cow::Owned),
            Self::Blob(blob) => blob.json().map(Cow::Owned),
            Self::Empty | Self::Bytes(_) | Self::Form(_) | Self::Missing(_) => None,
        }
    }

    /// The text of the body, if it is some and lies within the cassette.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Json(value) => Some(Cow::Owned(value.to_string())),
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Empty | Self::Bytes(_) | Self::Blob(_) | Self::Form(_) | Self::Missing(_) => None,
        }
    }
}

impl Blob {
    /// Its JSON: an object or a list, as every body of the API is.
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.json_bytes()?).ok()
    }

    /// Its text, if it is JSON, or lines of it as a batch's results are.
    pub(super) fn json_text(&self) -> Option<String> {
        let text = String::from_utf8(self.json_bytes()?).ok()?;
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<IgnoredAny>();
        values.all(|value| value.is_ok()).then_some(text)
    }

    /// Its bytes, if they begin as an object or a list does.
    fn json_bytes(&self) -> Option<Vec<u8>> {
        let mut file = std::fs::File::open(self.path()).ok()?;
        let mut begin = [0; 64];
        let read = file.read(&mut begin).ok()?;
        let first = begin[..read].trim_ascii_start().first()?;
        if !matches!(first, b'{' | b'[') || self.size_bytes > MAX_BATCH_BODY_BYTES as u64 {
            return None;
        }
        std::fs::read(self.path()).ok()
    }

    /// Its SHA-256 as bytes; `None` where its name is none.
    pub fn digest(&self) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        for (at, byte) in digest.iter_mut().enumerate() {
            let pair = self.sha256.get(2 * at..2 * at + 2)?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(digest)
    }

    /// Where its bytes are.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.sha256)
    }
}
