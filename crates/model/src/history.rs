//! The history of the turn so far, from a request's messages.
//!
//! A turn begins with the newest user message that has text. All that the assistant wrote since then
//! belongs to it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{CallResult, OutputFile};

/// One block that the assistant wrote in this turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Text(&'a str),
    Thinking,
    Call { id: &'a str, name: &'a str },
}

/// The assistant's messages of this turn.
fn turn(body: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let start = messages
        .iter()
        .rposition(|message| message["role"] == "user" && has_text(&message["content"]))
        .map_or(0, |index| index + 1);
    messages[start..]
        .iter()
        .filter(|message| message["role"] == "assistant")
}

fn has_text(content: &Value) -> bool {
    match content {
        Value::String(text) => !text.is_empty(),
        Value::Array(blocks) => blocks.iter().any(|block| block["type"] == "text"),
        _ => false,
    }
}

/// How often the assistant has answered in this turn.
pub(super) fn rounds(body: &Value) -> usize {
    turn(body).count()
}

/// Whether the assistant has called anything in this turn.
pub(super) fn has_calls(body: &Value) -> bool {
    let mut messages = turn(body);
    messages.any(|message| {
        let seen = seen_in(&message["content"]);
        seen.iter().any(|block| matches!(block, Seen::Call { .. }))
    })
}

/// The blocks that the assistant wrote in this turn.
pub(super) fn seen(body: &Value) -> Vec<Seen<'_>> {
    turn(body)
        .flat_map(|message| seen_in(&message["content"]))
        .collect()
}

fn seen_in(content: &Value) -> Vec<Seen<'_>> {
    match content {
        Value::String(text) => vec![Seen::Text(text)],
        Value::Array(blocks) => blocks.iter().filter_map(seen_block).collect(),
        _ => Vec::new(),
    }
}

fn seen_block(block: &Value) -> Option<Seen<'_>> {
    // Code made this call, not the model.
    if block["caller"]["tool_id"].is_string() {
        return None;
    }
    match block["type"].as_str()? {
        "text" => block["text"].as_str().map(Seen::Text),
        "thinking" | "redacted_thinking" => Some(Seen::Thinking),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => Some(Seen::Call {
            id: block["id"].as_str()?,
            name: block["name"].as_str()?,
        }),
        _ => None,
    }
}

/// The keys under which a run that paused may have been kept, the surest first: how the last
/// assistant message ends, how all of them end, then the calls, newest first.
pub(super) fn pause_keys(body: &Value, user_text: &str) -> Vec<String> {
    let mut messages: Vec<Vec<Seen<'_>>> = turn(body)
        .rev()
        .map(|message| seen_in(&message["content"]))
        .collect();
    let Some(last) = messages.first().cloned() else {
        return Vec::new();
    };
    messages.reverse();
    let all = messages.concat();
    let mut keys = vec![ending(&last, user_text), ending(&all, user_text)];
    keys.extend(all.iter().rev().filter_map(|seen| match seen {
        Seen::Call { id, .. } => Some((*id).to_owned()),
        Seen::Text(_) | Seen::Thinking => None,
    }));
    keys
}

/// Begins signatures, as recorded.
const SIGNED: &str = "EqQB";
const MESSAGE: &str = "sandtable:";

/// The signature of a compaction that came in this message: what continues the conversation has it in place of all before
/// it, and leads back to the message by it.
pub fn compaction_signature(message_id: &str) -> String {
    format!(
        "{SIGNED}{}",
        STANDARD.encode(format!("{MESSAGE}{message_id}"))
    )
}

/// The id of the message with the compaction that the newest assistant message holds, if it came from here.
pub(super) fn compacted_in(body: &Value) -> Option<String> {
    let message = turn(body).next_back()?;
    let mut blocks = message["content"].as_array()?.iter().rev();
    let block = blocks.find(|block| block["type"] == "compaction")?;
    let signed = block["signature"].as_str()?.strip_prefix(SIGNED)?;
    let text = String::from_utf8(STANDARD.decode(signed).ok()?).ok()?;
    text.strip_prefix(MESSAGE).map(str::to_owned)
}

fn ending(seen: &[Seen<'_>], user_text: &str) -> String {
    let mut id = "";
    let mut trail = String::new();
    for block in seen {
        match block {
            Seen::Call { id: newer, .. } => {
                id = newer;
                trail.clear();
            }
            Seen::Text(text) => trail.push_str(text),
            Seen::Thinking => {}
        }
    }
    pause_key(id, &trail, user_text)
}

/// The key of a paused run: the last call's id and the text after it. Whitespace is left out, since
/// clients trim.
pub(super) fn pause_key(last_id: &str, trail: &str, user_text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    user_text.hash(&mut hasher);
    for word in trail.split_whitespace() {
        word.hash(&mut hasher);
    }
    format!("pause {last_id} {:016x}", hasher.finish())
}

/// Every result in the messages, of client tools and of server tools, by the call's id.
pub(super) fn results(body: &Value) -> HashMap<&str, CallResult> {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut results = HashMap::new();
    for block in messages
        .iter()
        .filter_map(|message| message["content"].as_array())
        .flatten()
    {
        let kind = block["type"].as_str().unwrap_or_default();
        match kind {
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                if let (Some(id), Some(name)) = (block["id"].as_str(), block["name"].as_str()) {
                    names.insert(id, name);
                }
            }
            _ if kind.ends_with("tool_result") => {
                let Some(id) = block["tool_use_id"].as_str() else {
                    continue;
                };
                let name = names.get(id).copied().unwrap_or_default();
                let result = match kind {
                    "tool_result" | "mcp_tool_result" => client_result(id, name, block),
                    _ => server_result(id, name, &block["content"]),
                };
                results.insert(id, result);
            }
            _ => {}
        }
    }
    results
}

fn client_result(id: &str, name: &str, block: &Value) -> CallResult {
    let content = &block["content"];
    let stdout = match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|b| b["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    };
    let is_error = block["is_error"].as_bool().unwrap_or(false);
    CallResult {
        id: id.to_owned(),
        name: name.to_owned(),
        stdout,
        stderr: String::new(),
        return_code: None,
        error_code: is_error.then(|| "is_error".to_owned()),
        content: content.clone(),
        files: Vec::new(),
    }
}

fn server_result(id: &str, name: &str, content: &Value) -> CallResult {
    let text = |key: &str| content[key].as_str().unwrap_or_default().to_owned();
    let files = content["content"].as_array().map_or(&[][..], Vec::as_slice);
    CallResult {
        id: id.to_owned(),
        name: name.to_owned(),
        stdout: match content["type"].as_str() {
            Some("tool_search_tool_search_result") => names_found(content),
            Some("advisor_result") => text("text"),
            _ => text("stdout"),
        },
        stderr: text("stderr"),
        return_code: content["return_code"].as_i64(),
        error_code: content["error_code"].as_str().map(ToOwned::to_owned),
        content: content.clone(),
        files: files
            .iter()
            .filter_map(|file| {
                Some(OutputFile {
                    file_id: file["file_id"].as_str()?.into(),
                    // The messages name no more than the id.
                    filename: String::new(),
                    size_bytes: 0,
                })
            })
            .collect(),
    }
}

/// The tools that a search has found, one a line.
fn names_found(content: &Value) -> String {
    let found = content["tool_references"].as_array().into_iter().flatten();
    let names: Vec<&str> = found
        .filter_map(|reference| reference["tool_name"].as_str())
        .collect();
    names.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_turn_begins_after_the_newest_user_text() {
        let body = json!({"messages": [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "old"},
            {"role": "user", "content": [{"type": "text", "text": "second"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}]},
        ]});
        let expected = [
            Seen::Text("a"),
            Seen::Call {
                id: "toolu_1",
                name: "t",
            },
        ];
        assert_eq!(seen(&body), expected);
        assert_eq!(rounds(&body), 1);
        assert_eq!(results(&body)["toolu_1"].stdout, "r");
        assert_eq!(results(&body)["toolu_1"].name, "t");
    }

    #[test]
    fn a_pause_is_known_again_with_nulls_extra_keys_and_trimmed_text() {
        let body = |content: Value| {
            json!({"messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": content},
            ]})
        };
        let key = pause_key("srvtoolu_1", "Working on it.\n", "go");
        let sent = body(json!([
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution",
             "input": {}, "caller": null},
            {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1",
             "content": {"type": "bash_code_execution_result", "stdout": "x"}},
            {"type": "text", "text": "Working on it.", "citations": null},
        ]));
        assert_eq!(pause_keys(&sent, "go")[0], key);
        assert!(pause_keys(&sent, "go").contains(&"srvtoolu_1".to_owned()));
        assert_eq!(
            pause_keys(&body(json!("Hm.")), "go")[0],
            pause_key("", "Hm.", "go")
        );
    }
}
