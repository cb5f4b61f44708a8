//! An answer, recorded or just heard, taken apart.

use bytes::Bytes;
use serde_json::Value;

use cassette::{End, Response};
use workspace::billing::Tokens;

/// Why a recorded answer cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordedError {
    #[error("the client left before the recorded answer was whole")]
    ClientLeft,
    #[error("the recorded answer broke off: {0}")]
    Broke(String),
    #[error(transparent)]
    Blob(#[from] std::io::Error),
    #[error("the recorded answer's body was not kept")]
    NotKept,
}

/// An answer that came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// Why it is not whole, if it is not.
    pub(super) broke: Option<String>,
}

/// The content of a body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Json(Value),
    /// One JSON value a line.
    Lines(Vec<Value>),
    /// Events: their names and data.
    Events(Vec<(String, Value)>),
    /// Anything else, by its size in bytes.
    Other(usize),
}

impl Heard {
    /// A recorded answer; why it cannot be compared otherwise.
    pub(super) fn recorded(response: &Response) -> Result<Self, RecordedError> {
        match &response.end {
            End::Complete => {}
            End::ClientLeft => return Err(RecordedError::ClientLeft),
            End::UpstreamBroke(why) => return Err(RecordedError::Broke(why.clone())),
        }
        let body = response.body.bytes()?;
        Ok(Self {
            status: response.status,
            headers: response.headers.clone(),
            body: body.ok_or(RecordedError::NotKept)?,
            broke: None,
        })
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The content type without its parameters.
    pub(super) fn media_type(&self) -> &str {
        let kind = self.header("content-type").unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim()
    }

    /// The body by what it is, whatever its content type says.
    pub(super) fn content(&self) -> Content {
        if self.media_type() == "text/event-stream" {
            return Content::Events(self.events());
        }
        if let Ok(value) = serde_json::from_slice(&self.body) {
            return Content::Json(value);
        }
        let lines: Option<Vec<Value>> = std::str::from_utf8(&self.body)
            .ok()
            .filter(|text| text.starts_with('{'))
            .and_then(|text| {
                text.lines()
                    .map(|line| serde_json::from_str(line).ok())
                    .collect()
            });
        lines.map_or(Content::Other(self.body.len()), Content::Lines)
    }

    /// The body as JSON; null if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Its events.
    pub(super) fn events(&self) -> Vec<(String, Value)> {
        let frames = wire::sse::Decoder::default().push(&self.body);
        let event = |frame: wire::sse::Frame| {
            let data = serde_json::from_str(&frame.data).unwrap_or(Value::String(frame.data));
            (frame.event, data)
        };
        frames.into_iter().map(event).collect()
    }

    /// The usage of a message, as it says itself.
    pub(super) fn usage(&self) -> Option<Tokens> {
        let told: Vec<Value> = match self.content() {
            Content::Json(message) => vec![message["usage"].clone()],
            Content::Events(events) => events
                .into_iter()
                .map(|(_, data)| match &data["message"]["usage"] {
                    Value::Null => data["usage"].clone(),
                    usage => usage.clone(),
                })
                .collect(),
            Content::Lines(_) | Content::Other(_) => Vec::new(),
        };
        // A later event replaces what it names.
        let last = |name: &str| told.iter().rev().find_map(|usage| usage[name].as_u64());
        Some(Tokens {
            input: last("input_tokens")?,
            output: last("output_tokens").unwrap_or(0),
            cache_write: last("cache_creation_input_tokens").unwrap_or(0),
            cache_read: last("cache_read_input_tokens").unwrap_or(0),
        })
    }
}
