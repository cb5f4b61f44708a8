//! What a drafted rule does not have of an answer, in words.

use serde_json::Value;

use super::steps::{call, is_from_code};

/// Blocks that are what the calls of the rule come to when it runs.
const RESULTS: [&str; 3] = [
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "text_editor_code_execution_tool_result",
];

/// What stands beside the content, and is not what a step says.
const BESIDE: [&str; 2] = ["stop_details", "context_management"];

/// Whether a block becomes a step, or comes of one.
pub(super) fn is_said(block: &Value) -> bool {
    match block["type"].as_str().unwrap_or_default() {
        "text" | "thinking" | "tool_use" => true,
        "server_tool_use" => is_from_code(block) || call(block).is_some(),
        kind => RESULTS.contains(&kind),
    }
}

/// Whether a block is a call that code has made, or what a call has come to.
pub(super) fn is_of_code(block: &Value) -> bool {
    let kind = block["type"].as_str().unwrap_or_default();
    RESULTS.contains(&kind) || is_from_code(block)
}

/// What is left out, each kind once.
pub(super) fn left_out(message: &Value) -> Vec<String> {
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut note = |what: String| match found.iter_mut().find(|(known, _)| *known == what) {
        Some((_, count)) => *count += 1,
        None => found.push((what, 1)),
    };
    for block in message["content"].as_array().into_iter().flatten() {
        let kind = block["type"].as_str().unwrap_or_default();
        let cited = block["citations"].as_array();
        if kind == "text" && cited.is_some_and(|list| !list.is_empty()) {
            note("citations of a text".to_owned());
        }
        if is_said(block) {
            continue;
        }
        note(match block["name"].as_str() {
            Some(name) if kind == "server_tool_use" => format!("a call of {}", quoted(name)),
            _ => quoted(kind),
        });
    }
    for name in BESIDE {
        let is_there = match &message[name] {
            Value::Null => false,
            Value::Object(members) => members.values().any(|member| {
                !member.is_null() && member.as_array().is_none_or(|it| !it.is_empty())
            }),
            _ => true,
        };
        if is_there {
            note(quoted(name));
        }
    }
    let told = |(what, count): (String, usize)| match count {
        1 => what,
        _ => format!("{count} {what}"),
    };
    found.into_iter().map(told).collect()
}

/// A name that others have given; a line stays one.
fn quoted(name: &str) -> String {
    format!("`{}`", name.escape_debug())
}
