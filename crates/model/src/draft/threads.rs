//! What message threads keep: a request that goes on from one says only what is new.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Answer;

/// The conversations of message threads, by the answer that they have come to.
#[derive(Default)]
pub(super) struct Threads(HashMap<String, Map<String, Value>>);

impl Threads {
    /// Puts what a thread keeps into a request that goes on from one: rules are asked with all of it.
    pub(super) fn make_whole(&mut self, request: &mut Value, answer: &Answer) {
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
