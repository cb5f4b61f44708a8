//! Cassettes: recorded exchanges with the service, whoever recorded them, and how they are kept.
//!
//! This crate knows HTTP's shapes as text alone. The proxy that records and the player that answers are in `api`,
//! because they carry requests and answers.

use std::borrow::Cow;

use serde_json::Value;

pub mod body;
pub mod canon;
mod deck;
mod file;
pub mod form;
mod frames;
pub mod idents;
pub mod import;
pub mod message;
mod miss;
mod player;
mod redact;
mod spoil;
mod tape;
mod upstream;
mod yaml;

pub use body::{Blob, Body, Part};
pub use deck::{Deck, DeckError, Mode, Mounts, Pace, Plan, Recorder, WordError, Written};
pub use file::{CassetteError, Indexing, Timing, Writer, load, load_all, parse, text};
pub use frames::{data as data_of_frame, split as split_frames};
pub use idents::rename as rename_ids;
pub use player::{Miss, Named, Played, Player, Translation};
pub use redact::{Redactor, is_long_enough};
pub use spoil::fail_calls;
pub use tape::{JsonPathError, Tape, json_path};
pub use upstream::{Answer, OtherCoding, Pieces, Sent, Upstream, UpstreamError};
pub use yaml::to_yaml;

/// The version of the format; a reader refuses a newer one.
pub const VERSION: u64 = 1;

/// One recorded run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cassette {
    /// Its name: that of its file without the extension.
    pub name: String,
    pub about: About,
    /// In the order in which the requests were sent.
    pub exchanges: Vec<Exchange>,
}

/// Where a cassette comes from, and how it is to be matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// When it was recorded, RFC 3339.
    pub recorded_at: Option<String>,
    /// The host that answered.
    pub upstream: Option<String>,
    /// JSON paths that do not count when requests are compared.
    pub ignore: Vec<String>,
    /// Regular expressions of what the user keeps out of recordings.
    pub redact: Vec<String>,
    /// Notes on what an import lacks and what it replaced.
    pub notes: Vec<String>,
}

/// A request and its answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exchange {
    /// Absent where only an answer was recorded.
    pub request: Option<Request>,
    pub response: Response,
    /// Kept in a file of its own.
    pub timing: Option<Timing>,
}

/// A recorded request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
    /// Names in lower case; only what tells one request from another.
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

/// A recorded response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    /// 0 where no answer came at all.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub end: End,
}

/// How an answer ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum End {
    /// It is whole.
    #[default]
    Complete,
    /// The client left before it was.
    ClientLeft,
    /// The connection to the service broke, or none came about: why.
    UpstreamBroke(String),
}

impl Exchange {
    /// Whether the service has said anything.
    pub(crate) fn is_answered(&self) -> bool {
        self.response.status != 0
    }
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The blocks of a message, in a stream as they began.
    pub fn blocks(&self) -> Vec<Value> {
        match self.body.text() {
            Some(text) if self.is_stream() => frames::split(&text)
                .filter_map(frames::data)
                .filter_map(|mut data| Some(data.get_mut("content_block")?.take()))
                .collect(),
            _ => {
                let message = self.body.json().map(Cow::into_owned).unwrap_or_default();
                message["content"].as_array().cloned().unwrap_or_default()
            }
        }
    }

    /// Why a message ended.
    pub fn stop_reason(&self) -> Option<String> {
        let text = self.body.text()?;
        let mut values = if self.is_stream() {
            frames::split(&text)
                .filter_map(frames::data)
                .filter_map(|mut data| Some(data.pointer_mut("/delta/stop_reason")?.take()))
                .collect()
        } else {
            let message = self.body.json()?;
            vec![message["stop_reason"].clone()]
        };
        values.retain(Value::is_string);
        values.pop()?.as_str().map(str::to_owned)
    }

    /// The id of what the answer is: a message, a file, a batch.
    pub fn id(&self) -> Option<String> {
        let id = if self.is_stream() {
            let text = self.body.text()?;
            let mut events = frames::split(&text).filter_map(frames::data);
            events.find_map(|mut data| Some(data.pointer_mut("/message/id")?.take()))?
        } else {
            self.body.json()?["id"].clone()
        };
        id.as_str().map(str::to_owned)
    }

    /// The id of a message's container.
    pub fn container(&self) -> Option<String> {
        let text = self.body.text()?;
        if self.is_stream() {
            frames::split(&text)
                .filter_map(frames::data)
                .find_map(|data| match &data["message"]["container"]["id"] {
                    Value::Null => data["delta"]["container"]["id"].as_str().map(str::to_owned),
                    id => id.as_str().map(str::to_owned),
                })
        } else {
            let message = self.body.json()?;
            message["container"]["id"].as_str().map(str::to_owned)
        }
    }

    /// Whether the body is a stream of events.
    pub fn is_stream(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    }
}

/// Whether an answer can have this status: what is below 200 is said before it.
fn is_status(status: u16) -> bool {
    (200..=999).contains(&status)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
