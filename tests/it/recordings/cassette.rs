//! Reading the recordings, in the formats of their projects.

use std::fs;
use std::path::Path;

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

    fn of_text(text: &str) -> Self {
        if text.starts_with("event: ") {
            return Self::Stream {
                events: events_of([text.as_bytes()]),
                text: Some(text.to_owned()),
            };
        }
        let body = serde_json::from_str(text).expect("a JSON body");
        Self::Message {
            body,
            sorted: false,
        }
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

/// Every exchange with `/v1/messages` below `folder`, by name.
pub(super) fn read_all(folder: &Path) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for project in fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for file in fs::read_dir(project.path()).unwrap().flatten() {
            let path = file.path();
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            exchanges.extend(read(&name, &text));
        }
    }
    exchanges.sort_by(|a, b| a.name.cmp(&b.name));
    exchanges
}

fn read(name: &str, text: &str) -> Vec<Exchange> {
    if name.ends_with(".chunks.txt") {
        return vec![of_chunks(name, text)];
    }
    if name.ends_with(".decoded.json") {
        let exchanges: Vec<Value> = serde_json::from_str(text).unwrap();
        return (1..)
            .zip(exchanges)
            .filter_map(|(number, it)| of_decoded(name, number, &it))
            .collect();
    }
    if Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let body: Value = serde_json::from_str(text).unwrap();
        let is_message = body["type"] == "message";
        let exchange = Exchange {
            name: name.to_owned(),
            request: None,
            status: 200,
            headers: Vec::new(),
            answer: Answer::Message {
                body,
                sorted: false,
            },
        };
        return is_message.then_some(exchange).into_iter().collect();
    }
    let cassette: Value =
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let list = [&cassette["interactions"], &cassette["http_interactions"]];
    let list = list
        .iter()
        .find_map(|list| list.as_array())
        .expect("a cassette");
    (1..)
        .zip(list)
        .filter_map(|(number, it)| of_cassette(name, number, it))
        .collect()
}

/// One SSE payload a line.
fn of_chunks(name: &str, text: &str) -> Exchange {
    let events: Vec<Event> = text
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            (event["type"].as_str().unwrap().to_owned(), event)
        })
        .collect();
    Exchange {
        name: name.to_owned(),
        request: None,
        status: 200,
        headers: Vec::new(),
        answer: Answer::Stream { events, text: None },
    }
}

fn is_messages(uri: &Value) -> bool {
    let uri = uri.as_str().unwrap_or_default();
    uri.split('?')
        .next()
        .is_some_and(|path| path.ends_with("/v1/messages"))
}

fn of_decoded(name: &str, number: usize, it: &Value) -> Option<Exchange> {
    is_messages(&it["uri"]).then(|| Exchange {
        name: format!("{name} #{number}"),
        request: Some(serde_json::from_str(it["request_body"].as_str().unwrap()).unwrap()),
        status: it["status"].as_u64().unwrap(),
        headers: it["response_header_names"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect(),
        answer: Answer::of_text(it["response_body"].as_str().unwrap()),
    })
}

fn of_cassette(name: &str, number: usize, it: &Value) -> Option<Exchange> {
    let (request, response) = (&it["request"], &it["response"]);
    if !is_messages(&request["uri"]) {
        return None;
    }
    let parsed = |part: &Value| part.get("parsed_body").cloned();
    let body = |part: &Value| part["body"]["string"].as_str().map(str::to_owned);
    let status = [&response["status"], &response["status"]["code"]]
        .iter()
        .find_map(|status| status.as_u64())
        .expect("a status");
    let answer = match parsed(response) {
        Some(body) => Answer::Message { body, sorted: true },
        None => Answer::of_text(&body(response).expect("a body")),
    };
    Some(Exchange {
        name: format!("{name} #{number}"),
        request: parsed(request).or_else(|| {
            body(request).map(|text| serde_json::from_str(&text).expect("a JSON body"))
        }),
        status,
        // pydantic-ai's recorder drops most of them.
        headers: match request.get("parsed_body") {
            Some(_) => Vec::new(),
            None => response["headers"]
                .as_object()
                .into_iter()
                .flat_map(|headers| headers.keys().cloned())
                .collect(),
        },
        answer,
    })
}
