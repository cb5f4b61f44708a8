//! Generated conversations on the server: every request is answered, and plain answers are folds of streams.

use serde_json::{Value, json};
use sweep::generate::{self, Case};

use crate::harness::server::{code_prompt, prompt, streamed, then, with_tool};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Request, TestServer};

const SEED: u64 = 28;
/// Enough for every step there is; each case is a conversation or two.
const CASES: u64 = 40;
const MOST_ANSWERS: usize = 80;

/// A request that asks for all the service can do.
fn everything() -> Value {
    let mut body = code_prompt("go");
    let tools = body["tools"].as_array_mut().expect("tools");
    tools.extend([
        json!({"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}),
        json!({"name": "g", "input_schema": {"type": "object"}, "defer_loading": true}),
        json!({"type": "web_search_20250305", "name": "web_search"}),
        json!({"type": "web_fetch_20250910", "name": "web_fetch"}),
        json!({"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}),
        json!({"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5"}),
        json!({"type": "mcp_toolset", "mcp_server_name": "m"}),
    ]);
    body["mcp_servers"] = json!([{"type": "url", "url": "https://m.example/", "name": "m"}]);
    body["fallbacks"] = json!([{"model": "claude-opus-4-8"}]);
    body["context_management"] = json!({"edits": [{"type": "compact_20260112"}]});
    body["thinking"] = json!({"type": "adaptive"});
    body["stop_sequences"] = json!(["END"]);
    body
}

fn asked(server: &TestServer, body: &Value) -> Request {
    let betas = "advisor-tool-2026-03-01, mcp-client-2025-11-20, compact-2026-01-12";
    server.messages(body).header("anthropic-beta", betas)
}

/// The next request of a conversation; `None` if it is over.
fn next(body: Value, answer: &Value) -> Option<Value> {
    match answer["stop_reason"].as_str() {
        Some("pause_turn") => Some(then(body, answer, &Value::Null)),
        Some("tool_use") => {
            let blocks = answer["content"].as_array().expect("content");
            let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
            let results: Vec<Value> = calls
                .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "done"}))
                .collect();
            Some(then(body, answer, &json!(results)))
        }
        _ => None,
    }
}

/// Asks until the conversation is over; the answers as they came.
async fn converse(server: &TestServer, case: &Case, mut body: Value, stream: bool) -> Vec<String> {
    server.control("POST", "reset", &Value::Null).await;
    server.freeze().await;
    server.script(&case.script).await;
    let mut answers = Vec::new();
    loop {
        let sent = if stream {
            streamed(body.clone())
        } else {
            body.clone()
        };
        let response = server.send(&asked(server, &sent)).await;
        assert_eq!(response.status, 200, "{}\n{}", response.text(), case.script);
        let answer = if stream {
            fold(&events_of([response.body.as_slice()])).to_string()
        } else {
            response.text().to_owned()
        };
        let message: Value = serde_json::from_str(&answer).unwrap();
        answers.push(answer);
        assert!(answers.len() < MOST_ANSWERS, "{}", case.script);
        match next(body, &message) {
            Some(more) => body = more,
            None => return answers,
        }
    }
}

#[tokio::test]
async fn every_generated_answer_is_the_fold_of_its_stream() {
    let (plain, stream) = tokio::join!(TestServer::start(), TestServer::start());
    for index in 0..CASES {
        let case = generate::case(SEED, index);
        let (plainly, streaming) = tokio::join!(
            converse(&plain, &case, everything(), false),
            converse(&stream, &case, everything(), true),
        );
        assert_eq!(plainly, streaming, "case {index}\n{}", case.script);
        let last: Value = serde_json::from_str(plainly.last().unwrap()).unwrap();
        let good = ["end_turn", "stop_sequence"].contains(&last["stop_reason"].as_str().unwrap());
        assert_eq!(good, case.ends_well, "case {index}: {last}");
        let texts = last["content"].as_array().unwrap().iter();
        let text = texts.rev().find_map(|block| block["text"].as_str());
        if !case.says.is_empty() {
            assert_eq!(text, Some(&*case.says), "case {index}");
            assert_eq!(case.missed_in(&case.says), None);
        }
    }
}

#[tokio::test]
async fn a_client_without_tools_or_with_an_old_one_is_answered_as_well() {
    let server = TestServer::start().await;
    for index in 0..CASES {
        let case = generate::case(SEED, index);
        for body in [
            prompt("go"),
            with_tool(prompt("go"), "code_execution_20250522"),
            with_tool(prompt("go"), "code_execution_20260120"),
        ] {
            let answers = converse(&server, &case, body, false).await;
            let last: Value = serde_json::from_str(answers.last().unwrap()).unwrap();
            let said = last["content"].to_string();
            let quoted = serde_json::to_string(&case.says).unwrap();
            assert!(
                said.contains(quoted.trim_matches('"')),
                "case {index}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn the_faults_of_a_case_leave_an_answer_what_it_is() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"text": "Ein Wörtchen: 😀, und noch eins."}]))
        .await;
    let usual = server.message(&prompt("go")).await["content"].clone();
    for seed in 0..60 {
        let faults = generate::faults(seed);
        server.control("DELETE", "faults", &Value::Null).await;
        server
            .control("POST", "faults", &Value::from(faults.clone()))
            .await;
        for _ in 0..=faults.len() {
            let response = server.send(&server.messages(&streamed(prompt("go")))).await;
            let mut events = events_of([response.body.as_slice()]);
            events.retain(|(name, _)| name != "sandtable_unknown");
            let message = crate::harness::sse::fold_loosely(&events);
            assert_eq!(message["content"], usual, "{faults:?}");
            let plain = server.message(&prompt("go")).await;
            assert_eq!(plain["content"], usual, "{faults:?}");
        }
    }
}

#[tokio::test]
async fn a_step_calls_whichever_tool_the_client_has() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"tool_use": {"any": 1}}, {"text": "done"}]))
        .await;
    let body = everything();
    let answer = server.send(&asked(&server, &body)).await.json();
    let call = &answer["content"][0];
    assert_eq!(call["name"], "g", "{answer}");
    let answer = server.message(&prompt("go")).await;
    assert_eq!(answer["content"][0]["text"], "done");
}
