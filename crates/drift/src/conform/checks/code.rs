//! Answers that have run code.

use serde_json::Value;

use super::{differs, holds_if, members, of_good};
use crate::conform::{Scene, Seen};

/// Minutes a container lives on after its last use, and how far clocks and slow answers may be apart from it.
const LIFE_MINUTES: i64 = 60;
const SLACK_MINUTES: i64 = 5;

pub(in crate::conform) fn calls_bash(scene: &Scene<'_>) -> Seen {
    let message = of_good!(scene).json();
    let Some(call) = block(&message, "server_tool_use") else {
        return Seen::Open("the model called no tool".to_owned());
    };
    let name = call["name"].as_str().unwrap_or_default();
    let known = ["bash_code_execution", "text_editor_code_execution"];
    if !known.contains(&name) {
        return differs(known.join(" or "), name);
    }
    let result = format!("{name}_tool_result");
    let Some(result) = block(&message, &result) else {
        return differs(format!("a block {result}"), kinds(&message));
    };
    if result["content"]["type"] == "bash_code_execution_result" {
        return members(
            &result["content"],
            &["type", "stdout", "stderr", "return_code", "content"],
        );
    }
    Seen::Open(format!("the call ended with {}", result["content"]))
}

pub(in crate::conform) fn no_caller(scene: &Scene<'_>) -> Seen {
    let message = of_good!(scene).json();
    match block(&message, "server_tool_use") {
        None => Seen::Open("the model called no tool".to_owned()),
        Some(call) => holds_if(call.get("caller").is_none(), "no `caller`", &call["caller"]),
    }
}

pub(in crate::conform) fn container_expires(scene: &Scene<'_>) -> Seen {
    let heard = of_good!(scene);
    let container = &heard.json()["container"];
    let Some(end) = container["expires_at"].as_str() else {
        return no_container(container);
    };
    let Ok(end) = chrono::DateTime::parse_from_rfc3339(end) else {
        return differs("a time in RFC 3339", end);
    };
    let date = heard
        .header("date")
        .and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
    let Some(date) = date else {
        return Seen::Open("the answer has no date to count from".to_owned());
    };
    let minutes = (end - date).num_minutes();
    let near = (minutes - LIFE_MINUTES).abs() <= SLACK_MINUTES;
    holds_if(
        near,
        "an hour after the answer",
        format!("{minutes} minutes after it"),
    )
}

pub(in crate::conform) fn no_skills(scene: &Scene<'_>) -> Seen {
    let message = of_good!(scene).json();
    let container = &message["container"];
    if !container.is_object() {
        return no_container(container);
    }
    members(container, &["id", "expires_at"])
}

pub(in crate::conform) fn container_is_used_again(scene: &Scene<'_>) -> Seen {
    let message = of_good!(scene).json();
    let (first, again) = (
        &scene.json(0)["container"]["id"],
        &message["container"]["id"],
    );
    if !again.is_string() {
        return no_container(&message["container"]);
    }
    holds_if(
        first == again,
        "the container that the request names",
        again,
    )
}

/// The first file that code has made.
pub(in crate::conform) fn output(message: &Value) -> Option<String> {
    let mut blocks = message["content"].as_array()?.iter();
    let files = |block: &Value| {
        block["content"]["content"][0]["file_id"]
            .as_str()
            .map(str::to_owned)
    };
    blocks.find_map(files)
}

fn no_container(got: &Value) -> Seen {
    Seen::Open(format!("no code was run: the container is {got}"))
}

fn block<'v>(message: &'v Value, kind: &str) -> Option<&'v Value> {
    message["content"]
        .as_array()?
        .iter()
        .find(|block| block["type"] == kind)
}

fn kinds(message: &Value) -> String {
    let blocks = message["content"].as_array().into_iter().flatten();
    let kinds: Vec<&str> = blocks.filter_map(|block| block["type"].as_str()).collect();
    kinds.join(", ")
}
