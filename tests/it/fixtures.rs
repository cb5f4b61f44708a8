//! The shapes under `fixtures/wire`: the server emits each answer and takes each request.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use wire::request::MessagesRequest;

use crate::harness::server::prompt;
use crate::harness::sse::{events_of, fold};
use crate::harness::{Canned, Request, TestServer};
use crate::recordings::{script, shape};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire")
}

/// The fixtures whose names begin and end so, with their texts.
fn fixtures(begin: &str, end: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(begin) && name.ends_with(end))
        .map(|name| {
            let text = fs::read_to_string(folder().join(&name)).unwrap();
            (name, text)
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{begin}*{end}");
    found
}

/// The answer of a scripted server that emits the content of `message`.
async fn emitted(message: &Value, stream: bool) -> String {
    let played = script::of(message);
    let script = played.script();
    let server = TestServer::on(Arc::new(Canned::new(played.replies))).await;
    server.rules(&script).await;
    let is_python = message["content"]
        .to_string()
        .contains("\"code_execution\"");
    let tool = if is_python {
        "code_execution_20250522"
    } else {
        "code_execution_20250825"
    };
    let mut body = prompt("go");
    body["model"] = message["model"].clone();
    body["stream"] = json!(stream);
    body["tools"] = json!([{"type": tool, "name": "code_execution"}]);
    let blocks = message["content"].as_array().expect("content");
    let by_code: BTreeSet<&str> = blocks
        .iter()
        .filter(|block| block["caller"]["tool_id"].is_string())
        .filter_map(|block| block["name"].as_str())
        .collect();
    if !by_code.is_empty() {
        let version = "code_execution_20260120";
        body["tools"][0]["type"] = json!(version);
        let tools = body["tools"].as_array_mut().expect("tools");
        tools.extend(by_code.into_iter().map(
            |name| json!({"name": name, "input_schema": {"type": "object"}, "allowed_callers": [version]}),
        ));
    }
    // The fixtures are older than 2026-09-15 (F019).
    let request = server
        .messages(&body)
        .header("x-sandtable-quirk", "no-container=absent");
    let response = server.send(&request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.text().to_owned()
}

#[tokio::test]
async fn every_message_is_emitted_in_its_shape() {
    for (name, text) in fixtures("message-", ".json") {
        let theirs: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(theirs.to_string(), text.trim_end(), "{name} is compact");
        let ours: Value = serde_json::from_str(&emitted(&theirs, false).await).unwrap();
        assert_eq!(
            shape::of_messages(&theirs, &ours, false),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn every_stream_is_emitted_in_its_shape() {
    for (name, text) in fixtures("stream-", ".sse") {
        let theirs = events_of([text.as_bytes()]);
        if name == "stream-error.sse" {
            let server = TestServer::start().await;
            let steps =
                json!([{"text": "Four and"}, {"http_error": {"status": 529, "after_events": 0}}]);
            server.steps(&steps).await;
            let mut body = prompt("go");
            body["stream"] = json!(true);
            let ours = server.send(&server.messages(&body)).await;
            let ours = events_of([ours.body.as_slice()]);
            assert_eq!(theirs.last(), ours.last(), "{name}");
            continue;
        }
        let ours = emitted(&fold(&theirs), true).await;
        let ours = events_of([ours.as_bytes()]);
        assert_eq!(
            shape::of_streams(&theirs, &ours),
            Vec::<String>::new(),
            "{name}"
        );
        let pings = |events: &[(String, Value)]| -> Vec<usize> {
            (0..events.len())
                .filter(|at| events[*at].0 == "ping")
                .collect()
        };
        assert_eq!(pings(&theirs), pings(&ours), "{name}");
    }
}

#[test]
fn every_request_is_taken() {
    for (name, text) in fixtures("request-", ".json") {
        let body: Value = serde_json::from_str(&text).unwrap();
        let request =
            MessagesRequest::decode(&body, false).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        engine::validate::history(&request).unwrap_or_else(|text| panic!("{name}: {text}"));
        engine::validate::tools(&request).unwrap_or_else(|text| panic!("{name}: {text}"));
    }
}

/// A request that is answered with the fixture's error.
fn provoke(server: &TestServer, name: &str) -> Request {
    let with = |messages: Value| {
        let mut body = prompt("");
        body["messages"] = messages;
        server.messages(&body)
    };
    let user = json!({"role": "user", "content": "hi"});
    match name {
        "error-invalid-request.json" => {
            with(json!([{"role": "user", "content": [{"type": "container_upload"}]}]))
        }
        "error-authentication.json" => server
            .messages(&prompt("hi"))
            .without("x-api-key")
            .header("x-api-key", "sk-ant-invalid"),
        "error-prefill.json" => with(json!([user, {"role": "assistant", "content": "I"}])),
        "error-unanswered-call.json" => {
            let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
            with(json!([user, {"role": "assistant", "content": [call]}, user]))
        }
        "error-overloaded.json" => server.messages(&prompt("hi")),
        "error-details.json" => {
            let mut body = prompt("hi");
            body["thread"] = json!({"type": "create"});
            body["fallbacks"] = json!([{"model": "claude-sonnet-5"}]);
            server
                .messages(&body)
                .header("anthropic-beta", "message-threads-2026-08-12")
        }
        other => panic!("nothing provokes {other}"),
    }
}

#[tokio::test]
async fn every_error_is_answered_in_its_shape() {
    for (name, text) in fixtures("error-", ".json") {
        let server = TestServer::start().await;
        server.steps(&json!([{"http_error": 529}])).await;
        let theirs: Value = serde_json::from_str(&text).unwrap();
        let ours = server.send(&provoke(&server, &name)).await.json();
        assert_eq!(
            shape::of_messages(&theirs, &ours, false),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn every_fixture_names_its_date_and_its_source() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let named: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let cells: Vec<&str> = row
                .trim_end_matches('|')
                .split('|')
                .map(str::trim)
                .collect();
            let [name, date, source] = cells.as_slice() else {
                panic!("three columns: {row}")
            };
            let date_like = date.len() >= 7 && date.starts_with("20") && date.as_bytes()[4] == b'-';
            assert!(date_like && !source.is_empty(), "{row}");
            name.trim_end_matches('`').to_owned()
        })
        .collect();
    let present: BTreeSet<String> = fixtures("", "")
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name != "README.md")
        .collect();
    assert_eq!(named, present);
}
