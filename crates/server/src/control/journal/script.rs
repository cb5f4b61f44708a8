//! The journal as rules of a script: each turn's matches its request, and says what was answered.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use cassette::message;
use model::draft::{self, Answer};
use workspace::journal::{Ended, Entry, UNSENT};

/// Rules as YAML, one for each request for a message; what is no such request is left out.
pub(super) fn text(entries: &[Arc<Entry>]) -> String {
    let mut threads = Threads::default();
    draft::script(entries.iter().filter_map(|entry| {
        let (mut request, answer) = turn(entry)?;
        threads.make_whole(&mut request, &answer);
        Some((request, answer))
    }))
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

/// The conversations of message threads, by the answer that they have come to.
#[derive(Default)]
struct Threads(HashMap<String, Map<String, Value>>);

impl Threads {
    /// Puts what a thread keeps into a request that goes on from one: rules are asked with all of it.
    fn make_whole(&mut self, request: &mut Value, answer: &Answer) {
        if request["thread"].is_null() {
            return;
        }
        let kept = request["thread"]["previous_message_id"]
            .as_str()
            .and_then(|answer| self.0.get(answer));
        if let (Some(kept), Some(members)) = (kept, request.as_object_mut()) {
            let sent = members.insert("messages".to_owned(), kept["messages"].clone());
            let messages = members.get_mut("messages").and_then(Value::as_array_mut);
            if let (Some(messages), Some(Value::Array(sent))) = (messages, sent) {
                messages.extend(sent);
            }
            if let Some(tools) = kept.get("tools") {
                members.insert("tools".to_owned(), tools.clone());
            }
        }
        if let Answer::Message(message) = answer
            && let Some(id) = message["id"].as_str()
            && let Some(messages) = request["messages"].as_array()
        {
            let mut kept = Map::new();
            let said = json!({"role": "assistant", "content": message["content"]});
            let messages = messages.iter().cloned().chain([said]).collect();
            kept.insert("messages".to_owned(), Value::Array(messages));
            if let Some(tools) = request.get("tools") {
                kept.insert("tools".to_owned(), tools.clone());
            }
            // Each answer is gone on from once.
            if let Some(before) = request["thread"]["previous_message_id"].as_str() {
                self.0.remove(before);
            }
            self.0.insert(id.to_owned(), kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_goes_on_from_a_thread_is_all_that_was_said() {
        let mut threads = Threads::default();
        let user = |text: &str| json!({"role": "user", "content": text});
        let answer = |id: &str| Answer::Message(json!({"id": id, "content": []}));
        let mut first =
            json!({"thread": {"type": "create"}, "tools": [1], "messages": [user("a")]});
        threads.make_whole(&mut first, &answer("msg_1"));
        for (before, id) in [("msg_1", "msg_2"), ("msg_2", "msg_3")] {
            let thread = json!({"type": "continue", "previous_message_id": before});
            let mut next = json!({"thread": thread, "messages": [user("b")]});
            threads.make_whole(&mut next, &answer(id));
            assert_eq!(next["tools"], json!([1]));
            let messages = next["messages"].as_array().unwrap();
            assert_eq!(messages.len(), if id == "msg_2" { 3 } else { 5 });
            assert_eq!(messages[0], user("a"));
            assert_eq!(messages.last(), Some(&user("b")));
        }
    }
}
