//! Fixtures of aimock (`@copilotkit/aimock`): what is matched, and what is answered.
//!
//! A fixture is no recording. Its answer becomes the message that aimock would send to a client of this
//! API; its match becomes a request that has what it names, and nothing else.

use serde_json::{Map, Value, json};

use super::Draft;
use crate::{Body, Exchange, Request, Response};

/// The fixtures of a file, if it is one.
pub(super) fn fixtures(value: &Value) -> Option<&[Value]> {
    let list = match value.get("fixtures") {
        Some(list) => list.as_array()?,
        None => value.as_array()?,
    };
    let is_fixture = |it: &Value| it["match"].is_object() && it["response"].is_object();
    (!list.is_empty() && list.iter().all(is_fixture)).then_some(list)
}

/// Takes a file's fixtures.
pub(super) fn of_fixtures(list: &[Value]) -> Draft {
    let mut draft = Draft::default();
    draft.notes.general(
        "fixtures are no recordings: ids, the usage, and a model that is not named are placeholders, and there are no headers",
    );
    for (number, fixture) in (1..).zip(list) {
        let Some((status, mut headers, body)) = answer(&fixture["response"], number) else {
            draft.notes.general(format!(
                "fixture {number} is left out: its answer is none of the Messages API"
            ));
            continue;
        };
        let at = draft.exchanges.len();
        let matched = fixture["match"].as_object().cloned().unwrap_or_default();
        if let Some(endpoint) = matched.get("endpoint").and_then(Value::as_str)
            && endpoint != "chat"
        {
            draft.notes.general(format!(
                "fixture {number} is left out: it answers `{endpoint}`"
            ));
            continue;
        }
        let request = request(&matched);
        if request.is_some() {
            draft.notes.of(
                at,
                "the request has only what the fixture's `match` names, and its texts may be parts of longer ones",
            );
        } else {
            draft
                .notes
                .of(at, "the fixture matches any request: there is none");
        }
        let state = [
            "sequenceIndex",
            "turnIndex",
            "hasToolResult",
            "context",
            "responseFormat",
            "toolResultContains",
        ];
        for key in state.iter().filter(|key| matched.contains_key(**key)) {
            draft.notes.of(
                at,
                format!("`{key}` of the fixture's `match` has no place in a request"),
            );
        }
        if fixture["response"].get("webSearches").is_some() {
            draft
                .notes
                .of(at, "`webSearches` are left out: they have no results");
        }
        for key in [
            "latency",
            "truncateAfterChunks",
            "disconnectAfterMs",
            "streamingProfile",
            "chaos",
        ] {
            if fixture.get(key).is_some() {
                draft.notes.of(at, format!("`{key}` is left out"));
            }
        }
        headers.insert(
            0,
            ("content-type".to_owned(), "application/json".to_owned()),
        );
        draft.exchanges.push(Exchange {
            request,
            response: Response {
                status,
                headers,
                body: Body::Json(body),
                ..Response::default()
            },
            timing: None,
        });
    }
    draft
}

fn request(matched: &Map<String, Value>) -> Option<Request> {
    let text = |key: &str| matched.get(key).and_then(Value::as_str);
    let mut body = Map::new();
    if let Some(model) = text("model") {
        body.insert("model".to_owned(), json!(model));
    }
    let system = match matched.get("systemMessage") {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !system.is_empty() {
        let blocks: Vec<Value> = system
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        body.insert("system".to_owned(), json!(blocks));
    }
    let mut content = Vec::new();
    if let Some(id) = text("toolCallId") {
        content.push(json!({"type": "tool_result", "tool_use_id": id}));
    }
    if let Some(text) = text("userMessage") {
        content.push(json!({"type": "text", "text": text}));
    }
    if !content.is_empty() {
        body.insert(
            "messages".to_owned(),
            json!([{"role": "user", "content": content}]),
        );
    }
    if let Some(name) = text("toolName") {
        body.insert("tools".to_owned(), json!([{"name": name}]));
    }
    (!body.is_empty()).then(|| Request {
        method: "POST".to_owned(),
        path: "/v1/messages".to_owned(),
        body: Body::Json(Value::Object(body)),
        ..Request::default()
    })
}

/// Status, headers, and body.
type Answer = (u16, Vec<(String, String)>, Value);

/// `None` for what Messages does not answer.
fn answer(response: &Value, number: usize) -> Option<Answer> {
    if let Some(error) = response.get("error").filter(|error| error.is_object()) {
        let status = response["status"].as_u64().unwrap_or(500);
        let status = u16::try_from(status).unwrap_or(500);
        let kind = error["type"].as_str().unwrap_or("api_error");
        let body = json!({"type": "error", "error": {"type": kind, "message": error["message"]}});
        let wait = response["retryAfter"].as_u64();
        let headers = wait.map(|wait| ("retry-after".to_owned(), wait.to_string()));
        return Some((status, headers.into_iter().collect(), body));
    }
    let content = blocks(response, number)?;
    let calls = content.iter().any(|block| block["type"] == "tool_use");
    let reason = match response["finishReason"].as_str() {
        None if calls => "tool_use",
        None | Some("stop") => "end_turn",
        Some("tool_calls") => "tool_use",
        Some("length") => "max_tokens",
        Some(other) => other,
    };
    let usage = &response["usage"];
    let count = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| usage[*name].as_u64())
            .unwrap_or(0)
    };
    let model = response["model"].as_str().unwrap_or("aimock");
    let id = response["id"]
        .as_str()
        .map_or_else(|| format!("msg_fixture_{number}"), str::to_owned);
    let message = json!({
        "model": model,
        "id": id,
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": null,
        "usage": {
            "input_tokens": count(["input_tokens", "prompt_tokens"]),
            "output_tokens": count(["output_tokens", "completion_tokens"]),
        },
    });
    Some((200, Vec::new(), message))
}

fn blocks(response: &Value, number: usize) -> Option<Vec<Value>> {
    let mut blocks = Vec::new();
    if let Some(text) = response["reasoning"]
        .as_str()
        .filter(|text| !text.is_empty())
    {
        let signature = response["reasoningSignature"].as_str().unwrap_or_default();
        blocks.push(json!({"type": "thinking", "thinking": text, "signature": signature}));
    }
    for data in response["redactedThinking"]
        .as_array()
        .into_iter()
        .flatten()
    {
        blocks.push(json!({"type": "redacted_thinking", "data": data}));
    }
    let mut calls = 0;
    let mut call = |call: &Value| {
        calls += 1;
        let input = match &call["arguments"] {
            Value::String(text) => serde_json::from_str(text).ok()?,
            Value::Null => json!({}),
            input => input.clone(),
        };
        let id = call["id"]
            .as_str()
            .map_or_else(|| format!("toolu_fixture_{number}_{calls}"), str::to_owned);
        Some(json!({"type": "tool_use", "id": id, "name": call["name"].as_str()?, "input": input}))
    };
    let said = blocks.len();
    if let Some(list) = response["blocks"].as_array() {
        for block in list {
            blocks.push(match block["type"].as_str()? {
                "text" => json!({"type": "text", "text": block["text"].as_str()?}),
                "toolCall" => call(block)?,
                _ => return None,
            });
        }
    } else {
        match &response["content"] {
            Value::String(text) if !text.is_empty() => {
                blocks.push(json!({"type": "text", "text": text}));
            }
            content @ (Value::Object(_) | Value::Array(_)) => {
                blocks.push(json!({"type": "text", "text": content.to_string()}));
            }
            _ => {}
        }
        for tool in response["toolCalls"].as_array().into_iter().flatten() {
            blocks.push(call(tool)?);
        }
    }
    let known = ["content", "toolCalls", "blocks"];
    (blocks.len() > said || known.iter().any(|key| response.get(*key).is_some())).then_some(blocks)
}
