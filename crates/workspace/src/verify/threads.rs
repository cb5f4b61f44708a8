//! What clients say in message threads: by it a request that goes on from a thread is known when it comes again with
//! the whole history, as the SDKs' runners send it where a thread is of no use.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::journal::{Body, Entry};
use cassette::message;
use common::limits;

/// The beta that requests with a thread name.
const BETA: &str = "message-threads-";

/// The model, and all messages of the user from the first. What the model said is left out: clients send it again in
/// words of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said([u8; 32]);

/// What was said before the newest [`limits::VERIFY_MEMORY`] answers.
#[derive(Debug, Default)]
pub(super) struct Threads {
    before: HashMap<String, Said>,
    answers: VecDeque<String>,
}

impl Threads {
    /// What is said up to the end of a request for a message; `None` if it goes on from an unknown answer.
    pub(super) fn said(&self, entry: &Entry) -> Option<Said> {
        if entry.method != "POST" || entry.path != "/v1/messages" {
            return None;
        }
        let body = json(&entry.request_body)?;
        let mut said = match body["thread"]["previous_message_id"].as_str() {
            Some(answer) => *self.before.get(answer)?,
            None => Said(Sha256::digest(body["model"].to_string()).into()),
        };
        let messages = body["messages"].as_array().into_iter().flatten();
        for message in messages.filter(|message| message["role"] == "user") {
            let mut content = message["content"].clone();
            forget_marks(&mut content);
            let hash = Sha256::new().chain_update(said.0);
            said = Said(hash.chain_update(content.to_string()).finalize().into());
        }
        Some(said)
    }

    /// A request of a thread was answered.
    pub(super) fn answered(&mut self, entry: &Entry, said: Said) {
        let Some(answer) = answer(entry) else {
            return;
        };
        if self.before.insert(answer.clone(), said).is_none() {
            self.answers.push_back(answer);
        }
        if self.answers.len() > limits::VERIFY_MEMORY
            && let Some(oldest) = self.answers.pop_front()
        {
            self.before.remove(&oldest);
        }
    }
}

/// Whether a request may belong to a thread.
pub(super) fn is_in_one(entry: &Entry) -> bool {
    let betas = entry.request_headers.get("anthropic-beta");
    betas.is_some_and(|betas| betas.contains(BETA))
}

/// Whether the answer is that a thread is not to be gone on with so.
pub(super) fn is_refused(entry: &Entry) -> bool {
    let code = |body: Value| {
        let code = body["error"]["details"]["error_code"].as_str();
        code.is_some_and(|code| code.starts_with("thread_"))
    };
    (400..500).contains(&entry.status) && json(&entry.response_body).is_some_and(code)
}

/// The id of the answer.
fn answer(entry: &Entry) -> Option<String> {
    let Body::Bytes(bytes) = &entry.response_body else {
        return None;
    };
    let text = std::str::from_utf8(bytes).ok()?;
    let message = serde_json::from_str(text).ok();
    let message: Value = message.or_else(|| message::folded(text).ok())?;
    message["id"].as_str().map(str::to_owned)
}

fn json(body: &Body) -> Option<Value> {
    match body {
        Body::Bytes(bytes) => serde_json::from_slice(bytes).ok(),
        Body::Empty | Body::Omitted { .. } => None,
    }
}

/// Where the cache is to be marked differs from request to request.
fn forget_marks(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.shift_remove("cache_control");
            members.values_mut().for_each(forget_marks);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_marks),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
