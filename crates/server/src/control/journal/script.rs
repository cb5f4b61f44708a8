//! The journal as rules of a script: each turn's matches its request, and says what was answered.

use std::sync::Arc;

use serde_json::Value;

use cassette::message;
use model::draft::{self, Answer};
use workspace::journal::Entry;

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
        body if entry.status >= 400 => Answer::Error {
            status: entry.status,
            body,
        },
        _ if entry.status != 200 => Answer::Other,
        Value::String(events) => message::folded(&events).map_or(Answer::Other, Answer::Message),
        body => Answer::Message(body),
    };
    Some((told.request_body, answer))
}
