//! The journal as rules of a script: each turn's matches its request, and says what was answered.

use std::sync::Arc;

use serde_json::Value;

use cassette::message;
use model::draft;
use workspace::journal::Entry;

/// Rules as YAML, one for each request for a message; what is no such request is left out.
pub(super) fn text(entries: &[Arc<Entry>]) -> String {
    entries.iter().filter_map(|entry| rule(entry)).collect()
}

fn rule(entry: &Entry) -> Option<String> {
    if entry.method != "POST" || entry.path != "/v1/messages" {
        return None;
    }
    let told = entry.told(true);
    let answer = match told.response_body {
        _ if entry.status != 200 => None,
        Value::String(events) => message::folded(&events).ok(),
        body => Some(body),
    };
    draft::rule(&told.request_body, answer.as_ref()).ok()
}
