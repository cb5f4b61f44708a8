//! The recorded Messages exchanges, as the importer gives them.

use std::path::Path;

use cassette::{self, Cassette, import};
use serde_json::{Value, json};

use crate::harness::sse::{Event, events_of, fold_loosely};

/// One recorded Messages exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The file, and the number in it.
    pub(super) name: String,
    /// Only the answer was recorded where it is absent.
    pub(super) request: Option<Value>,
    pub(super) status: u64,
    /// Names of the answer's headers.
    pub(super) headers: Vec<String>,
    pub(super) answer: Answer,
}

/// A recorded answer.
#[derive(Debug)]
pub(super) enum Answer {
    Message {
        body: Value,
        /// The recorder sorted the keys.
        sorted: bool,
    },
    Stream {
        events: Vec<Event>,
        /// As it came, where the recorder kept it.
        text: Option<String>,
    },
}

impl Answer {
    /// The message, put together if it was streamed.
    pub(super) fn message(&self) -> Value {
        match self {
            Self::Message { body, .. } => body.clone(),
            Self::Stream { events, .. } => fold_loosely(events),
        }
    }

    fn of_text(text: &str, sorted: bool, verbatim: bool) -> Self {
        if text.starts_with("event: ") {
            return Self::Stream {
                events: events_of([text.as_bytes()]),
                text: verbatim.then(|| text.to_owned()),
            };
        }
        let body = serde_json::from_str(text).expect("a JSON body");
        Self::Message { body, sorted }
    }
}

impl Exchange {
    /// The recorded request, without the container it names; where there is none, one that fits.
    pub(super) fn request_body(&self) -> Value {
        if let Some(request) = &self.request {
            let mut request = request.clone();
            request
                .as_object_mut()
                .expect("an object")
                .remove("container");
            return request;
        }
        let message = self.answer.message();
        json!({
            "model": message["model"],
            "max_tokens": 4096,
            "stream": matches!(self.answer, Answer::Stream { .. }),
            "messages": [{"role": "user", "content": "hi"}],
            "tools": if message.to_string().contains("web_fetch") {
                json!([
                    {"type": "code_execution_20260120", "name": "code_execution"},
                    {"type": "web_fetch_20260209", "name": "web_fetch"},
                ])
            } else {
                json!([{"type": "code_execution_20250825", "name": "code_execution"}])
            },
        })
    }

    /// Whether it goes on in the container of `first`.
    pub(super) fn names_container_of(&self, first: &Self) -> bool {
        let named = self.request.as_ref().map(|body| &body["container"]);
        named.is_some_and(|id| id.is_string() && *id == first.answer.message()["container"]["id"])
    }
}

/// Every cassette below `folder` with its file's name, by that.
pub(super) fn import_all(folder: &Path) -> Vec<(String, Cassette)> {
    let files = import::find(folder).unwrap();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let cassette = import::import_file(path).unwrap_or_else(|error| panic!("{error}"));
        (name, cassette)
    };
    let mut all: Vec<_> = files.iter().map(read).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Every exchange with `/v1/messages` below `folder`, by name.
pub(super) fn read_all(folder: &Path) -> Vec<Exchange> {
    let all = import_all(folder);
    let exchanges = all.iter().flat_map(|(name, cassette)| {
        let numbered = (1..).zip(&cassette.exchanges);
        numbered.filter_map(move |(number, it)| of_messages(name, cassette, number, it))
    });
    exchanges.collect()
}

fn of_messages(
    name: &str,
    cassette: &Cassette,
    number: usize,
    it: &cassette::Exchange,
) -> Option<Exchange> {
    let other = |request: &cassette::Request| request.path != "/v1/messages";
    if it.request.as_ref().is_some_and(other) {
        return None;
    }
    let lacks = |what: &str| cassette.about.notes.iter().any(|note| note.contains(what));
    let text = it.response.body.text().expect("a body of text");
    let answer = Answer::of_text(
        &text,
        lacks("kept JSON bodies parsed"),
        !lacks("lines were put back"),
    );
    let name = match &it.request {
        Some(_) => format!("{name} #{number}"),
        None if answer.message()["type"] == "message" => name.to_owned(),
        None => return None,
    };
    let request = it.request.as_ref();
    Some(Exchange {
        name,
        request: request.map(|request| request.body.json().expect("a JSON body").into_owned()),
        status: u64::from(it.response.status),
        headers: header_names(cassette, number, it),
        answer,
    })
}

/// Names of the answer's headers, from the notes where their values were not kept.
fn header_names(cassette: &Cassette, number: usize, it: &cassette::Exchange) -> Vec<String> {
    let notes = &cassette.about.notes;
    if notes
        .iter()
        .any(|note| note.contains("kept JSON bodies parsed"))
    {
        // pydantic-ai's recorder drops most of them.
        return Vec::new();
    }
    let noted = notes.iter().find_map(|note| {
        let (whose, list) = note.split_once("of the answer's headers only the names were kept")?;
        let numbers = whose
            .trim_start_matches("exchanges ")
            .trim_start_matches("exchange ");
        let mut numbers = numbers.trim_end_matches(": ").split(", ");
        let meant = whose.is_empty() || numbers.any(|it| it == number.to_string());
        let (_, list) = list.split_once(": ")?;
        meant.then(|| list.split(", ").map(str::to_owned).collect())
    });
    let kept = || it.response.headers.iter().map(|(name, _)| name.clone());
    match noted {
        Some(names) => names,
        None if it.request.is_some() => kept().collect(),
        None => Vec::new(),
    }
}
