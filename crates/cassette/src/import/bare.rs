//! Bodies without their exchange: a JSON answer, a stream, and the payloads of a stream, one a line.

use bytes::Bytes;
use serde_json::Value;

use super::{Draft, Wrong};
use crate::player::Loose;
use crate::{Body, Exchange, Response};
use common::json;

const NO_REQUEST: &str =
    "only the answer was recorded: there is no request, and its content type follows from the body";

/// The content type of an answer with this body.
pub(super) fn content_type(body: &Body) -> &'static str {
    match body {
        Body::Text(text) if text.starts_with("event:") || text.starts_with("data:") => {
            "text/event-stream; charset=utf-8"
        }
        Body::Text(text) if text.starts_with(['{', '[']) => "application/json",
        Body::Json(_) => "application/json",
        Body::Empty | Body::Text(_) => "text/plain",
        Body::Bytes(_) | Body::Blob(_) | Body::Form(_) | Body::Missing(_) => {
            "application/octet-stream"
        }
    }
}

fn draft(status: u16, kind: &str, body: Body) -> Draft {
    let mut draft = Draft::default();
    draft.notes.general(NO_REQUEST);
    draft.exchanges.push(Exchange {
        request: None,
        response: Response {
            status,
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            body,
            ..Response::default()
        },
        timing: None,
    });
    draft
}

/// A JSON answer.
pub(super) fn of_json(text: &str, value: &Value) -> Result<Draft, Wrong> {
    if let Some(list) = value.as_array() {
        // The payloads of a stream as a list.
        if let Some(lines) = payloads(list.iter().map(Value::to_string)) {
            let mut draft = draft(200, "text/event-stream; charset=utf-8", Body::Text(lines));
            draft
                .notes
                .general("the stream's payloads were a list of JSON: their padding is gone");
            return Ok(draft);
        }
        return Err(Wrong::new(
            "it is a list of JSON, but of nothing that is known",
        ));
    }
    let compact = without_spaces(text);
    if is_result(value) {
        return Ok(results(compact));
    }
    let mut draft = draft(
        status_of(value),
        "application/json",
        Body::of(Bytes::from(compact.clone())),
    );
    let answer = draft.exchanges.first();
    if answer.is_none_or(|exchange| Loose::of(&exchange.response).is_none()) {
        return Err(Wrong::new(
            "it is JSON, but neither an answer of the API nor a known recording",
        ));
    }
    // A line feed at the end is no indent.
    if compact != text.trim() {
        draft
            .notes
            .general("the body was indented; it is written compact, as the service sends it");
    }
    if value["type"] == "error" {
        draft
            .notes
            .general("the status was not recorded; it is the usual one of the error's type");
    }
    Ok(draft)
}

/// Whether it is what came of one item of a batch.
fn is_result(line: &Value) -> bool {
    line["custom_id"].is_string() && line["result"].is_object()
}

/// The results of a batch, one a line.
fn results(lines: String) -> Draft {
    draft(200, "application/x-jsonl", Body::Text(lines))
}

fn status_of(value: &Value) -> u16 {
    if value["error"].is_null() {
        return 200;
    }
    match value["error"]["type"].as_str().unwrap_or_default() {
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" | "forbidden" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 400,
    }
}

/// A stream as it came.
pub(super) fn of_stream(text: &str) -> Result<Draft, Wrong> {
    let lines = || text.lines().map(|line| line.trim_end_matches('\r'));
    let data: Vec<&str> = lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .filter(|data| *data != "[DONE]")
        .collect();
    if data.is_empty() {
        return Err(Wrong::new(
            "it begins like a stream, and no `data:` is in it",
        ));
    }
    let kind = "text/event-stream; charset=utf-8";
    if lines().any(|line| line.starts_with("event:")) {
        return Ok(draft(200, kind, Body::Text(text.to_owned())));
    }
    let stream = payloads(data.into_iter().map(str::to_owned))
        .ok_or_else(|| Wrong::new("its `data:` lines are no events of the API"))?;
    let mut draft = draft(200, kind, Body::Text(stream));
    draft
        .notes
        .general("the stream's `event:` lines were put back from the types of its payloads");
    Ok(draft)
}

/// Lines of JSON: the payloads of a stream, or the results of a batch.
pub(super) fn of_lines(text: &str) -> Option<Draft> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.len() < 2 {
        return None;
    }
    let mut values = Vec::with_capacity(lines.len());
    for line in &lines {
        values.push(json::wrapped_text::<Value>(line).ok()?);
    }
    if values.iter().all(is_result) {
        return Some(results(text.to_owned()));
    }
    let stream = payloads(
        lines
            .into_iter()
            .map(|line| line.trim_end_matches('\r').to_owned()),
    )?;
    let mut draft = draft(200, "text/event-stream; charset=utf-8", Body::Text(stream));
    draft
        .notes
        .general("the stream's `event:` lines were put back from the types of its payloads");
    Some(draft)
}

/// A stream of these payloads; `None` if one has no type.
fn payloads(payloads: impl Iterator<Item = String>) -> Option<String> {
    const EVENTS: [&str; 8] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ];
    let mut stream = String::new();
    for payload in payloads {
        let value: Value = serde_json::from_str(&payload).ok()?;
        let kind = value["type"].as_str()?;
        if !EVENTS.contains(&kind) {
            return None;
        }
        stream.push_str("event: ");
        stream.push_str(kind);
        stream.push_str("\ndata: ");
        stream.push_str(&payload);
        stream.push_str("\n\n");
    }
    (!stream.is_empty()).then_some(stream)
}

/// JSON without the spaces between its tokens; nothing else changes, numbers and escapes neither.
fn without_spaces(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if quoted {
            compact.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
        } else if !c.is_ascii_whitespace() {
            quoted = c == '"';
            compact.push(c);
        }
    }
    compact
}
