//! Turns that go on in a later request: client tools, mixed groups, pauses, and the loop limit.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, then};
use crate::harness::sse::events_of;
use crate::harness::transcript::Transcript;
use crate::harness::{Processes, TestServer};

fn with_client_tool(mut body: Value) -> Value {
    let tool = json!({"name": "lookup", "input_schema": {"type": "object"}});
    match body["tools"].as_array_mut() {
        Some(tools) => tools.push(tool),
        None => body["tools"] = json!([tool]),
    }
    body
}

fn answer_to(message: &Value, text: &str) -> Value {
    let blocks = message["content"].as_array().expect("content");
    let results = blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| json!({"type": "tool_result", "tool_use_id": block["id"], "content": text}));
    Value::Array(results.collect())
}

#[tokio::test]
async fn a_script_goes_on_after_the_result_of_a_client_tool() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"tool_use": {"name": "lookup", "input": {"key": "a"}}},
            {"text": "It is ${{ last.stdout }}."},
        ]))
        .await;
    let body = with_client_tool(prompt("what is a?"));
    let mut transcript = Transcript::default();
    let first = transcript
        .exchange(&server, &server.messages(&body))
        .await
        .json();
    let body = then(body, &first, &answer_to(&first, "42"));
    transcript
        .exchange(&server, &server.messages(&streamed(body)))
        .await;
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn a_server_call_beside_a_client_call_waits_and_its_result_opens_the_next_answer() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([
            {"parallel": [
                {"bash": "echo from the sandbox"},
                {"tool_use": {"name": "lookup", "input": {"key": "a"}}},
            ]},
            {"text": "${{ results | map(attribute='stdout') | join(' and ') }}"},
        ]))
        .await;
    let body = with_client_tool(code_prompt("both"));
    let mut transcript = Transcript::default();
    let first = transcript
        .exchange(&server, &server.messages(&body))
        .await
        .json();
    assert_eq!(first["stop_reason"], "tool_use");
    let mut body = then(body, &first, &answer_to(&first, "the client"));
    body["container"] = first["container"]["id"].clone();
    let second = transcript
        .exchange(&server, &server.messages(&streamed(body.clone())))
        .await;
    let events = events_of([second.body.as_slice()]);
    let start = &events[1].1["content_block"];
    assert_eq!(start["type"], "bash_code_execution_tool_result");
    assert_eq!(start["tool_use_id"], first["content"][0]["id"]);
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn a_server_call_with_a_scripted_error_keeps_it_over_the_continuation() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([
            {"parallel": [
                {"bash": "echo ran", "tool_error": "too_many_requests"},
                {"tool_use": {"name": "lookup", "input": {}}},
            ]},
            {"text": "done"},
        ]))
        .await;
    let body = with_client_tool(code_prompt("both"));
    let first = server.message(&body).await;
    let body = then(body, &first, &answer_to(&first, "ok"));
    let second = server.message(&body).await;
    assert_eq!(
        second["content"][0]["content"]["error_code"],
        "too_many_requests"
    );
}

#[tokio::test]
async fn a_pause_goes_on_with_what_is_new_alone() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([
            {"bash": "echo before > note"},
            "pause_turn",
            {"bash": "cat note"},
            {"text": "Done."},
        ]))
        .await;
    let body = code_prompt("long work");
    let mut transcript = Transcript::default();
    let first = transcript
        .exchange(&server, &server.messages(&body))
        .await
        .json();
    assert_eq!(first["stop_reason"], "pause_turn");
    let mut body = then(body, &first, &Value::Null);
    body["container"] = first["container"]["id"].clone();
    let second = transcript
        .exchange(&server, &server.messages(&body))
        .await
        .json();
    assert_eq!(second["content"][1]["content"]["stdout"], "before\n");
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn the_eleventh_round_of_calls_is_left_for_the_next_request() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let mut steps: Vec<_> = (1..=12)
        .map(|round| json!({"bash": format!("echo {round}")}))
        .collect();
    steps.push(json!({"text": "All twelve."}));
    server.steps(&Value::Array(steps)).await;
    let body = code_prompt("twelve");
    let first = server.message(&body).await;
    let count = |message: &Value, kind: &str| {
        let blocks = message["content"].as_array().expect("content");
        blocks.iter().filter(|block| block["type"] == kind).count()
    };
    assert_eq!(first["stop_reason"], "pause_turn");
    assert_eq!(count(&first, "server_tool_use"), 11);
    assert_eq!(count(&first, "bash_code_execution_tool_result"), 10);
    assert_eq!(
        first["usage"]["server_tool_use"]["code_execution_requests"],
        10
    );

    let mut body = then(body, &first, &Value::Null);
    body["container"] = first["container"]["id"].clone();
    let second = server.message(&body).await;
    assert_eq!(
        second["content"][0]["tool_use_id"],
        first["content"][20]["id"]
    );
    assert_eq!(second["content"][0]["content"]["stdout"], "11\n");
    assert_eq!(count(&second, "server_tool_use"), 1);
    assert_eq!(second["content"][3]["text"], "All twelve.");
    assert_eq!(second["stop_reason"], "end_turn");
    assert_ne!(second["id"], first["id"]);
}

#[tokio::test]
async fn a_history_comes_back_with_nulls_and_extra_keys_and_is_taken() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"thinking": "hm"}, {"bash": "echo 1"}, {"text": "One."}]))
        .await;
    let body = code_prompt("one");
    let mut first = server.message(&body).await;
    for block in first["content"].as_array_mut().expect("content") {
        for key in ["citations", "caller", "cache_control", "my_own_note"] {
            if block.get(key).is_none() {
                block[key] = Value::Null;
            }
        }
    }
    let mut body = then(body, &first, &json!("again"));
    body["container"] = json!({"id": first["container"]["id"], "skills": null});
    let second = server.message(&body).await;
    assert_eq!(second["container"]["id"], first["container"]["id"]);
}
