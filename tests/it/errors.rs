//! `docs/ERRORS.md`, row by row: every error by itself, by script, and by fault, plain and streamed.
//! The page is the table of this test, so that the two cannot part.

mod causes;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, with_tool};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Canned, Response, TestServer};

const PAGE: &str = include_str!("../../docs/ERRORS.md");

/// The rows of the table under a heading, cell by cell.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, section) = PAGE
        .split_once(&format!("## {heading}\n"))
        .expect("the heading is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with("| "));
    let rows = lines.skip(1).map(|line| {
        let line = line.trim_start_matches("| ").trim_end_matches(" |");
        line.split(" | ").map(str::to_owned).collect()
    });
    rows.collect()
}

/// The text in a cell's backticks; empty where it has none.
fn code(cell: &str) -> &str {
    match cell.strip_prefix("``") {
        Some(rest) => rest.strip_suffix("``").expect("closed backticks"),
        None => cell.split('`').nth(1).unwrap_or_default(),
    }
}

fn parsed(cell: &str) -> Value {
    serde_json::from_str(code(cell)).unwrap_or_else(|error| panic!("{error}: {cell}"))
}

/// The natural cause of a row by its name; `None` where the row says why there is none.
fn cause(cell: &str) -> Option<&str> {
    match cell.strip_prefix("none: ") {
        Some(why) => {
            assert!(!why.is_empty(), "a reason is missing");
            None
        }
        None => Some(code(cell)),
    }
}

/// A step that calls a tool, and a request that declares it.
fn call(tool: &str) -> (Value, Value) {
    match tool {
        "bash_code_execution" => (json!({"bash": "true"}), code_prompt("go")),
        "text_editor_code_execution" => (json!({"view": "a.txt"}), code_prompt("go")),
        "web_search" => (
            json!({"web_search": {"query": "sand", "results": []}}),
            web_prompt(tool, "web_search_20250305"),
        ),
        "web_fetch" => (
            json!({"web_fetch": {"url": "https://example.com/a", "text": "sand"}}),
            web_prompt(tool, "web_fetch_20250910"),
        ),
        "tool_search_tool_regex" => (
            json!({"tool_search": {"pattern": "sand"}}),
            search_prompt("regex"),
        ),
        "tool_search_tool_bm25" => (
            json!({"tool_search": {"query": "sand"}}),
            search_prompt("bm25"),
        ),
        "advisor" => (json!({"advisor": "Dig."}), advisor_prompt()),
        _ => (
            json!({"python": "1"}),
            with_tool(prompt("go"), "code_execution_20250522"),
        ),
    }
}

fn search_prompt(variant: &str) -> Value {
    let name = format!("tool_search_tool_{variant}");
    let mut body = web_prompt(&name, &format!("{name}_20251119"));
    let found = json!({"name": "dig", "description": "In sand", "defer_loading": true,
        "input_schema": {"type": "object"}});
    body["tools"].as_array_mut().unwrap().push(found);
    body
}

fn advisor_prompt() -> Value {
    let mut body = web_prompt("advisor", "advisor_20260301");
    body["tools"][0]["model"] = json!("claude-fable-5");
    body
}

/// The beta that brings every tool of this page.
pub(crate) fn with_betas(request: crate::harness::Request) -> crate::harness::Request {
    request.header("anthropic-beta", "advisor-tool-2026-03-01")
}

fn web_prompt(name: &str, kind: &str) -> Value {
    let mut body = prompt("go");
    body["tools"] = json!([{"type": kind, "name": name}]);
    body
}

/// The error that a message holds, and that the same request gives in a stream.
async fn results(server: &TestServer, body: &Value) -> [Value; 2] {
    let plain = server.send(&with_betas(server.messages(body))).await;
    assert_eq!(plain.status, 200, "{}", plain.text());
    let plain = plain.json();
    let request = with_betas(server.messages(&streamed(body.clone())));
    let response = server.send(&request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let events = events_of([response.body.as_slice()]);
    let whole = events.iter().any(|(name, event)| {
        name == "content_block_start" && event["content_block"]["content"]["error_code"].is_string()
    });
    assert!(
        whole,
        "the block of the error comes whole: {}",
        response.text()
    );
    [failed(&plain), failed(&fold(&events))]
}

/// The last result that is an error, with its block's type.
fn failed(message: &Value) -> Value {
    let blocks = message["content"].as_array().expect("content").iter();
    let mut blocks = blocks.filter(|block| block["content"]["error_code"].is_string());
    let block = blocks.next_back();
    let block = block.unwrap_or_else(|| panic!("no error in {message}"));
    let mut content = block["content"].clone();
    let kind = content["type"].as_str().expect("a type").to_owned();
    assert_eq!(block["type"], kind.trim_end_matches("_error"));
    if kind.starts_with("text_editor") || kind.starts_with("tool_search") {
        let text = content
            .as_object_mut()
            .expect("an object")
            .remove("error_message");
        assert!(text.is_some_and(|text| text.is_string() || text.is_null()));
    }
    content
}

#[tokio::test]
async fn every_code_of_a_tool_comes_by_script_and_by_fault() {
    let rows = rows("Errors of a server tool");
    assert_eq!(
        rows.len(),
        49,
        "codes and tools of F044, F049, F050, F200, F202"
    );
    let server = TestServer::on(Arc::new(Canned::new([]))).await;
    for row in &rows {
        let [error, tool, _, script, fault, seen] = row.as_slice() else {
            panic!("not six cells: {row:?}");
        };
        let expected = json!({"type": code(seen), "error_code": code(error)});
        let (step, body) = call(code(tool));
        let mut failing = step.clone();
        let (key, value) = code(script).split_once(": ").expect("a key and its value");
        failing[key] = json!(value);
        server.steps(&json!([failing])).await;
        for result in results(&server, &body).await {
            assert_eq!(result, expected, "by script: {row:?}");
        }
        server.steps(&json!([step])).await;
        let mut fault = parsed(fault);
        fault["times"] = json!(2);
        server.control("POST", "faults", &fault).await;
        for result in results(&server, &body).await {
            assert_eq!(result, expected, "by fault: {row:?}");
        }
        server.control("DELETE", "faults", &Value::Null).await;
    }
}

#[tokio::test]
async fn every_code_of_a_tool_with_a_natural_cause_comes_by_itself() {
    for row in rows("Errors of a server tool") {
        let Some(cause) = cause(&row[2]) else {
            continue;
        };
        let expected = json!({"type": code(&row[5]), "error_code": code(&row[0])});
        for result in Box::pin(causes::tool(cause, code(&row[1]))).await {
            assert_eq!(result, expected, "{row:?}");
        }
    }
}

/// The same of an answer of the edge, which has no envelope.
fn by_edge(response: &Response) -> (u16, Value, Value) {
    let body = response.json();
    let keys = |value: &Value| value.as_object().map(|it| it.keys().cloned().collect());
    assert_eq!(keys(&body), Some(vec!["error".to_owned()]), "{body}");
    assert_eq!(response.header("x-should-retry"), None);
    (response.status, body["error"]["type"].clone(), Value::Null)
}

/// The status, type, and code of an error, as a row has them; checks the rest of the envelope.
fn envelope(response: &Response) -> (u16, Value, Value) {
    let body = response.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["request_id"].as_str(), response.header("request-id"));
    assert!(body["error"]["message"].is_string(), "{body}");
    let error = &body["error"];
    let code = error["details"]["error_code"].clone();
    assert_eq!(error.get("details").is_some(), code.is_string(), "{body}");
    (response.status, error["type"].clone(), code)
}

#[tokio::test]
async fn every_error_of_a_request_comes_by_script_and_by_fault() {
    let rows = rows("Errors of a request");
    assert!(rows.len() >= 35, "{}", rows.len());
    let server = TestServer::start().await;
    for row in &rows {
        let [status, kind, error, _, script, fault] = row.as_slice() else {
            panic!("not six cells: {row:?}");
        };
        let details = match code(error) {
            "" => Value::Null,
            code => json!(code),
        };
        let expected = (status.parse().unwrap(), json!(code(kind)), details.clone());
        let mut early = vec![parsed(fault)];
        server.steps(&json!([{"text": "Hello."}])).await;
        let mut late = early[0].clone();
        late["at"] = json!("stream");
        late["after_events"] = json!(2);
        for fault in &mut early {
            fault["times"] = json!(2);
        }
        server.control("POST", "faults", &json!(early)).await;
        for body in [prompt("go"), streamed(prompt("go"))] {
            let response = server.send(&server.messages(&body)).await;
            assert_eq!(envelope(&response), expected, "by fault: {row:?}");
        }
        server.control("DELETE", "faults", &Value::Null).await;
        server.control("POST", "faults", &late).await;
        let response = server.send(&server.messages(&streamed(prompt("go")))).await;
        assert_eq!(response.status, 200, "{row:?}");
        let events = events_of([response.body.as_slice()]);
        let (name, event) = events.last().expect("an event");
        assert_eq!((name.as_str(), events.len()), ("error", 3), "{row:?}");
        let keys: Vec<_> = event["error"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["details", "type", "message"], "{row:?}");
        assert_eq!(event["error"]["type"], code(kind), "{row:?}");
        assert_eq!(event["error"]["details"]["error_code"], details, "{row:?}");
        server.control("DELETE", "faults", &Value::Null).await;
        if script == "–" {
            assert!(
                details.is_string(),
                "only codes are beyond a script: {row:?}"
            );
            continue;
        }
        server.steps(&json!([{"http_error": parsed(script)}])).await;
        for body in [prompt("go"), streamed(prompt("go"))] {
            let response = server.send(&server.messages(&body)).await;
            assert_eq!(envelope(&response), expected, "by script: {row:?}");
        }
    }
}

#[tokio::test]
async fn every_error_of_a_request_with_a_natural_cause_comes_by_itself() {
    for row in rows("Errors of a request") {
        let Some(cause) = cause(&row[3]) else {
            continue;
        };
        let details = match code(&row[2]) {
            "" => Value::Null,
            code => json!(code),
        };
        let expected = (row[0].parse().unwrap(), json!(code(&row[1])), details);
        for response in causes::request(cause).await {
            // The edge refuses a body that is too large (F135).
            let found = if row[0] == "413" {
                by_edge(&response)
            } else {
                envelope(&response)
            };
            assert_eq!(found, expected, "{row:?}");
        }
    }
}

#[tokio::test]
async fn every_rule_refuses_what_breaks_it_plain_and_streamed() {
    let server = TestServer::start().await;
    let mut base = with_tool(prompt("go"), "code_execution_20260120");
    let query = json!({"name": "query", "input_schema": {"type": "object"},
                       "allowed_callers": ["code_execution_20260120"]});
    base["tools"].as_array_mut().unwrap().push(query);
    for row in rows("Rules of programmatic calls, skills, and batches") {
        let mut body = base.clone();
        for (key, value) in parsed(&row[0]).as_object().unwrap() {
            body[key] = value.clone();
        }
        for body in [body.clone(), streamed(body)] {
            let response = server.send(&server.messages(&body)).await;
            let expected = (400, json!("invalid_request_error"), Value::Null);
            assert_eq!(envelope(&response), expected, "{row:?}");
            let message = response.message();
            assert!(message.starts_with(code(&row[1])), "{row:?}: {message}");
        }
    }
}
