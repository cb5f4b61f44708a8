//! Golden transcripts of turns that fail: by the script's will, by a script that does not fit, and in
//! the middle of a stream.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed};
use crate::harness::sse::events_of;
use crate::harness::transcript::golden;
use crate::harness::{Canned, Processes, TestServer, canned::Reply};

#[tokio::test]
async fn an_error_before_the_first_event_is_an_http_error_in_both_forms() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"http_error": {"status": 429, "headers": {"retry-after": "7", "x-should-retry": "false"}}}]))
        .await;
    golden!(
        &server,
        server.messages(&prompt("hi")),
        server.messages(&streamed(prompt("hi"))),
    );
}

#[tokio::test]
async fn an_error_after_events_breaks_the_stream_off_and_is_the_status_of_a_plain_answer() {
    let server = TestServer::start().await;
    let text = "one two three four five six seven";
    server
        .steps(&json!([{"if": "true", "then": [{"http_error": {"status": 529, "after_events": 4}}]}, {"text": text}]))
        .await;
    golden!(
        &server,
        server.messages(&prompt("hi")),
        server.messages(&streamed(prompt("hi"))),
    );
}

#[tokio::test]
async fn an_error_after_more_events_than_there_are_comes_before_the_end() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"text": "a b c"}, {"http_error": {"status": 500, "after_events": 1000}}]))
        .await;
    let response = server.send(&server.messages(&streamed(prompt("hi")))).await;
    let events = events_of([response.body.as_slice()]);
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "error"
        ]
    );
    assert_eq!(
        events[5].1["error"],
        json!({"details": null, "type": "api_error", "message": "Internal server error"})
    );
}

#[tokio::test]
async fn an_unmatched_turn_names_the_nearest_rule_and_asks_not_to_be_retried() {
    let server = TestServer::start().await;
    server
        .script("- name: revenue\n  when:\n    user: { contains: revenue }\n  then:\n    - text: Here.\n")
        .await;
    golden!(
        &server,
        server.messages(&prompt("profit")),
        server.messages(&streamed(prompt("profit"))),
    );
}

#[tokio::test]
async fn a_failed_expectation_names_file_line_and_what_came() {
    let canned = Canned::new([Reply::Ran {
        stdout: String::new(),
        stderr: "no such file\n".to_owned(),
        return_code: 1,
        files: Vec::new(),
    }]);
    let server = TestServer::on(Arc::new(canned.clone())).await;
    server
        .script("- name: strict\n  then:\n    - bash: cat x\n      expect: { return_code: 0 }\n    - text: never\n")
        .await;
    golden!(&server, server.messages(&code_prompt("go")));
}

#[tokio::test]
async fn a_failed_expectation_in_a_stream_is_its_last_event() {
    let server = TestServer::on(Arc::new(Canned::new([Reply::stdout("x")]))).await;
    server
        .script("- name: strict\n  then:\n    - bash: cat x\n      expect: { stdout: y }\n    - text: never\n")
        .await;
    let response = server
        .send(&server.messages(&streamed(code_prompt("go"))))
        .await;
    assert_eq!(response.status, 200);
    let events = events_of([response.body.as_slice()]);
    let (name, last) = events.last().expect("events");
    assert_eq!(name, "error");
    assert_eq!(last["error"]["type"], "invalid_request_error");
    let message = last["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("request body:4") && message.contains("rule `strict`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_model_that_calls_a_tool_nobody_declared_is_a_mistake_of_the_script() {
    let server = TestServer::start().await;
    server.steps(&json!([{"bash": "ls"}])).await;
    let response = server.send(&server.messages(&prompt("no tools"))).await;
    assert_eq!(response.status, 400);
    assert!(
        response.message().contains("code execution"),
        "{}",
        response.message()
    );
}

#[tokio::test]
async fn a_call_over_its_time_says_so_and_a_dead_sandbox_is_unavailable() {
    let canned = Canned::new([
        Reply::Ended(guest_proto::Outcome::TimedOut {}),
        Reply::Ended(guest_proto::Outcome::CouldNotStart {
            message: "no bash".to_owned(),
        }),
        Reply::Dies,
        Reply::stdout("alive\n"),
    ]);
    let server = TestServer::on(Arc::new(canned)).await;
    server
        .steps(&json!([{"bash": "a"}, {"bash": "b"}, {"bash": "c"}, {"bash": "d"}]))
        .await;
    let message = server.message(&code_prompt("go")).await;
    let codes: Vec<&Value> = [1, 3, 5]
        .map(|at| &message["content"][at]["content"]["error_code"])
        .to_vec();
    assert_eq!(
        codes,
        ["execution_time_exceeded", "unavailable", "unavailable"]
    );
    assert_eq!(message["content"][7]["content"]["stdout"], "alive\n");
}

#[tokio::test]
async fn a_command_with_a_nul_byte_is_no_input_of_its_tool() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "echo a\0b"}])).await;
    let answer = server.message(&code_prompt("go")).await;
    let code = &answer["content"][1]["content"]["error_code"];
    assert_eq!(code, "invalid_tool_input", "{answer}");
}
