//! Message threads of recorded answers: a request that goes on from one leaves out what its server has (F017). The
//! answer is found without it; who looks at the client reads the whole conversation.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value, json};

use crate::{Request, Response, message};
use common::limits;

/// The conversations that answers ended, by the answer's id: the newest [`limits::REPLAY_THREAD_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Threads {
    ended: HashMap<String, Map<String, Value>>,
    answers: VecDeque<(String, usize)>,
    bytes: usize,
}

impl Threads {
    /// The body of a request of a thread with what the thread has; `None` of any other, and if it goes on from an
    /// unknown answer.
    pub(super) fn whole(&self, request: &Request) -> Option<Map<String, Value>> {
        if request.path.trim_end_matches('/') != "/v1/messages" {
            return None;
        }
        let body = request.body.json()?;
        let thread = body["thread"].as_object()?;
        let mut whole = match thread.get("previous_message_id").and_then(Value::as_str) {
            Some(answer) => self.ended.get(answer)?.clone(),
            None => Map::new(),
        };
        for (name, value) in body.as_object()? {
            match (name.as_str(), whole.get_mut(name)) {
                ("thread", _) => {}
                ("messages", Some(Value::Array(before))) => {
                    before.extend(value.as_array().into_iter().flatten().cloned());
                }
                _ => {
                    whole.insert(name.clone(), value.clone());
                }
            }
        }
        Some(whole)
    }

    /// What `whole` says was answered.
    pub(super) fn answered(&mut self, mut whole: Map<String, Value>, response: &Response) {
        let answer = if response.is_stream() {
            let text = response.body.text();
            text.and_then(|text| message::folded(&text).ok())
        } else {
            response.body.json().map(Cow::into_owned)
        };
        let (Some(answer), Some(Value::Array(messages))) = (answer, whole.get_mut("messages"))
        else {
            return;
        };
        let (Some(id), Some(content)) = (answer["id"].as_str(), answer["content"].as_array())
        else {
            return;
        };
        // One that says nothing is none to those that come after it.
        if !content.is_empty() {
            messages.push(json!({"role": "assistant", "content": content}));
        }
        let bytes = serde_json::to_string(&whole).map_or(0, |text| text.len());
        if self.ended.insert(id.to_owned(), whole).is_some() {
            return;
        }
        self.answers.push_back((id.to_owned(), bytes));
        self.bytes += bytes;
        while self.bytes > limits::REPLAY_THREAD_BYTES
            && let Some((oldest, bytes)) = self.answers.pop_front()
        {
            self.ended.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}
