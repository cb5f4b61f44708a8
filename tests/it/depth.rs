//! JSON as deep as the door takes: whatever is wrapped around it can still be read.

use std::process::Stdio;
use std::sync::Arc;

use common::json;
use common::limits::{CODE_ARGS_DEPTH, JSON_DEPTH};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::harness::server::{prompt, then, with_tool};
use crate::harness::{Processes, Request, TestServer};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

/// A request of so many levels: a history in which a tool was called with much.
pub(crate) fn deep(levels: usize) -> Value {
    // The request, its messages, one of them, its content, and a block.
    let input = nested(levels - 5);
    let mut body = prompt("hi");
    body["tools"] = json!([
        {"name": "t", "input_schema": {"type": "object"}},
        {"type": "code_execution_20250825", "name": "code_execution"},
    ]);
    let called =
        json!({"content": [{"type": "tool_use", "id": "toolu_1", "name": "t", "input": input}]});
    let result = json!([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}]);
    let body = then(body, &called, &result);
    assert_eq!(json::levels(&body), levels);
    body
}

fn batch(server: &TestServer, levels: usize) -> Request {
    // The batch, its list, and an item.
    let params = deep(levels - 3);
    let items = (0..6).map(|n| json!({"custom_id": format!("i{n}"), "params": params}));
    let body = json!({"requests": items.collect::<Value>()});
    server.request("POST", "/v1/messages/batches").json(&body)
}

#[tokio::test]
async fn a_request_is_as_deep_as_the_limit_says_and_no_deeper() {
    let server = TestServer::start().await;
    for (levels, status) in [(JSON_DEPTH, 200), (JSON_DEPTH + 1, 400)] {
        for request in [server.messages(&deep(levels)), batch(&server, levels)] {
            let answer = server.send(&request).await;
            assert_eq!(answer.status, status, "{levels}: {}", answer.text());
            let is_told = answer
                .text()
                .contains("Recursion limit reached: line 1 column ");
            assert_eq!(is_told, status == 400, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn an_entry_of_the_journal_is_read_by_those_who_look_on() {
    let server = TestServer::start().await;
    let mut tail = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["tail", "--key", "sk-ant-test", "--url"])
        .arg(format!("http://{}", server.address))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(tail.stderr.take().unwrap()).lines();
    let ready = said.next_line().await.unwrap().unwrap();
    assert!(ready.starts_with("listening to"), "{ready}");
    let mut shown = BufReader::new(tail.stdout.take().unwrap()).lines();
    for levels in [JSON_DEPTH, JSON_DEPTH - 1, JSON_DEPTH] {
        server.message(&deep(levels)).await;
        let turn = loop {
            match shown.next_line().await.unwrap() {
                Some(line) if line.contains("POST /v1/messages") => break line,
                Some(_) => {}
                None => panic!("{:?}", said.next_line().await),
            }
        };
        assert!(turn.contains("  200  "), "{turn}");
    }
}

#[tokio::test]
async fn a_state_with_items_that_wait_is_put_back_and_forked() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "sleep 600"}])).await;
    let made = server.send(&batch(&server, JSON_DEPTH)).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let read = |text: &str| json::wrapped::<Value>(text.as_bytes()).unwrap();
    let written = server
        .send(&server.request("GET", "/_sandtable/state"))
        .await;
    let params = read(written.text())["batches"][0]["items"][5]["params"].take();
    assert_eq!(json::levels(&params), JSON_DEPTH - 3);
    let put = |key: &str, state: &str| {
        let request = server.request("PUT", "/_sandtable/state");
        let request = request.without("x-api-key").header("x-api-key", key);
        request
            .header("content-type", "application/json")
            .body(state)
    };
    let answer = server.send(&put("other", written.text())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let fork = server.request("POST", "/_sandtable/state/fork");
    let answer = server.send(&fork).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    // What no request could have brought is told with its place.
    let mut state = read(written.text());
    state["batches"][0]["items"][5]["params"] = deep(JSON_DEPTH + 1);
    let answer = server.send(&put("third", &state.to_string())).await;
    assert_eq!(answer.status, 400);
    let place = "batches[0].items[5].params: it is nested too deep";
    assert!(answer.text().contains(place), "{}", answer.text());
    let endless = format!("{{\"files\": {}", "[".repeat(9 * 1024 * 1024));
    let answer = server.send(&put("third", &endless)).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("the state is not JSON: "),
        "{}",
        answer.text()
    );
    server.stop().await;
}

/// What code calls a tool with comes back with the history, or the conversation ends there.
#[tokio::test]
async fn the_deepest_arguments_of_code_come_back_in_a_history() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let code =
        format!("v = 1\nfor i in range({CODE_ARGS_DEPTH}): v = {{'a': v}}\nprint(await t(v))");
    server
        .steps(&json!([{"python": code}, {"text": "done"}]))
        .await;
    let mut body = with_tool(prompt("go"), "code_execution_20260120");
    let caller = ["code_execution_20260120"];
    let tool = json!({"name": "t", "input_schema": {"type": "object"}, "allowed_callers": caller});
    body["tools"].as_array_mut().unwrap().push(tool);
    let message = server.message(&body).await;
    let calls = message["content"].as_array().unwrap();
    let call = calls
        .iter()
        .find(|block| block["type"] == "tool_use")
        .unwrap();
    assert_eq!(json::levels(&call["input"]), CODE_ARGS_DEPTH);
    let result = json!([{"type": "tool_result", "tool_use_id": call["id"], "content": "r"}]);
    let mut body = then(body, &message, &result);
    body["container"] = message["container"]["id"].clone();
    let message = server.message(&body).await;
    assert_eq!(message["stop_reason"], "end_turn", "{message}");
}
