//! The journal as rules of a script: each turn's matches its request, and says what was answered.

use std::sync::Arc;

use serde_json::Value;

use cassette::message;
use model::draft::{self, Answer};
use workspace::journal::{Ended, Entry, UNSENT};

/// Rules as YAML, one for each request for a message; what is no such request is left out.
pub(super) fn text(entries: &[Arc<Entry>]) -> String {
    draft::script(entries.iter().filter_map(|entry| turn(entry)))
}

fn turn(entry: &Entry) -> Option<(Value, Answer)> {
    if entry.method != "POST" || entry.path != "/v1/messages" {
        return None;
    }
    let told = entry.told(true);
    let answer = match told.response_body {
        body if entry.status >= 400 && !UNSENT.contains(&entry.status) => Answer::Error {
            status: entry.status,
            body,
        },
        _ if entry.status != 200 && entry.ended == Ended::Whole => Answer::Other,
        Value::String(events) => match message::folded(&events) {
            Ok(message) => said(entry, message),
            Err(_) => Answer::Other,
        },
        body => said(entry, body),
    };
    Some((told.request_body, answer))
}

/// What was said, with the reason if it is not all.
fn said(entry: &Entry, message: Value) -> Answer {
    let why = match (entry.ended, entry.stream_error()) {
        (_, Some(kind)) => format!("its stream ended with the error `{kind}`"),
        (Ended::ClientLeft, None) => "its client left".to_owned(),
        (Ended::Broke, None) => "its connection was closed".to_owned(),
        (Ended::Whole, None) if message["stop_reason"].is_null() => {
            "it has no `stop_reason`".to_owned()
        }
        (Ended::Whole, None) => return Answer::Message(message),
    };
    Answer::Part { message, why }
}
