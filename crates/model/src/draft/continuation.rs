//! Which request goes on from which answer.

use serde_json::Value;

use super::{Answer, text};

/// What an answer waits for: the results of the client's calls, or, where it paused, itself.
pub(super) fn awaited(answer: &Answer) -> impl Iterator<Item = String> {
    let keys = match answer {
        Answer::Message(message) => match message["stop_reason"].as_str() {
            Some("tool_use") => ids(&message["content"], "tool_use", "id"),
            Some("pause_turn") => of_pause(&message["content"]),
            Some(_) | None => Vec::new(),
        },
        Answer::Part { .. } | Answer::Error { .. } | Answer::Other => Vec::new(),
    };
    keys.into_iter()
}

/// What a request brings of it; nothing if it is a question.
pub(super) fn brought(request: &Value) -> Vec<String> {
    let messages = request["messages"].as_array();
    let Some(last) = messages.and_then(|messages| messages.last()) else {
        return Vec::new();
    };
    let content = &last["content"];
    match last["role"].as_str() {
        Some("user") if text(content).is_empty() => ids(content, "tool_result", "tool_use_id"),
        Some("assistant") => of_pause(content),
        Some(_) | None => Vec::new(),
    }
}

/// A pause is known by its calls, and without any by its text.
fn of_pause(content: &Value) -> Vec<String> {
    let calls = ids(content, "server_tool_use", "id");
    if calls.is_empty() {
        return vec![format!("said: {}", text(content))];
    }
    calls
}

fn ids(content: &Value, kind: &str, name: &str) -> Vec<String> {
    let blocks = content.as_array().into_iter().flatten();
    let blocks = blocks.filter(|block| block["type"] == kind);
    blocks
        .filter_map(|block| block[name].as_str().map(str::to_owned))
        .collect()
}
