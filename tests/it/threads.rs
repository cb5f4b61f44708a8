//! Message threads: what a request may leave out because the server holds it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, kinds, prompt, streamed};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Processes, Request, Response, TestServer};

fn in_thread(server: &TestServer, body: &Value) -> Request {
    let request = server.messages(body);
    request.header("anthropic-beta", "message-threads-2026-08-12")
}

fn create(mut body: Value) -> Value {
    body["thread"] = json!({"type": "create"});
    body
}

/// `messages` alone, after `answer`.
fn go_on(answer: &Value, messages: &Value) -> Value {
    json!({"model": "claude-opus-4-6", "max_tokens": 1024, "messages": messages,
           "thread": {"type": "continue", "previous_message_id": answer["id"]}})
}

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

async fn answered(server: &TestServer, body: &Value) -> Value {
    let response = server.send(&in_thread(server, body)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    if body["stream"] == true {
        fold(&events_of([response.body.as_slice()]))
    } else {
        response.json()
    }
}

async fn refused(server: &TestServer, body: &Value) -> (u16, Value, String) {
    let response: Response = server.send(&in_thread(server, body)).await;
    let code = response.json()["error"]["details"]["error_code"].clone();
    (response.status, code, response.message())
}

/// Counts the messages that the model sees, and tells the first and the system prompt.
async fn telling(server: &TestServer) {
    server
        .steps(&json!([{"text":
            "${{ request.messages | length }} messages, system ${{ request.system | default('none') }}, ${{ request.tools | default([]) | length }} tools"}]))
        .await;
}

#[tokio::test]
async fn a_continued_request_is_the_whole_conversation_plain_and_streamed() {
    let server = TestServer::start().await;
    telling(&server).await;
    let mut first = create(prompt("one"));
    first["system"] = json!("be short");
    first["tools"] = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let said = |message: &Value| message["content"][0]["text"].as_str().unwrap().to_owned();
    let first = answered(&server, &first).await;
    assert_eq!(said(&first), "1 messages, system be short, 1 tools");
    let second = go_on(&first, &json!([user("two")]));
    let second = answered(&server, &streamed(second)).await;
    assert_eq!(said(&second), "3 messages, system be short, 1 tools");
    let third = answered(&server, &go_on(&second, &json!([user("three")]))).await;
    assert_eq!(said(&third), "5 messages, system be short, 1 tools");
    // The journal holds what was sent.
    let newest = &server.journal().await[0];
    assert_eq!(newest["request_body"]["messages"], json!([user("three")]));
}

#[tokio::test]
async fn every_turn_of_a_thread_may_have_a_mark_of_the_cache() {
    let server = TestServer::start().await;
    telling(&server).await;
    let marked = |ttl: &str| {
        let control = json!({"type": "ephemeral", "ttl": ttl});
        user(json!([{"type": "text", "text": "a", "cache_control": control}]))
    };
    let mut first = create(prompt("one"));
    first["messages"] = json!([marked("5m")]);
    let mut last = answered(&server, &first).await;
    for _ in 0..5 {
        last = answered(&server, &go_on(&last, &json!([marked("1h")]))).await;
    }
}

#[tokio::test]
async fn each_answer_is_continued_once_and_a_failed_request_leaves_it_free() {
    let server = TestServer::start().await;
    telling(&server).await;
    let first = answered(&server, &create(prompt("one"))).await;
    let second = go_on(&first, &json!([user("two")]));
    let fault = json!({"at": "stream", "after_events": 3, "type": "overloaded_error"});
    server.control("POST", "faults", &fault).await;
    let (status, ..) = refused(&server, &second).await;
    assert_eq!(status, 529);
    let answer = answered(&server, &second).await;
    let (status, code, message) = refused(&server, &second).await;
    assert_eq!((status, code), (400, json!("thread_already_continued")));
    assert!(message.contains("has already been continued"), "{message}");
    answered(&server, &go_on(&answer, &json!([user("three")]))).await;
}

#[tokio::test]
async fn a_thread_is_over_after_five_minutes_and_belongs_to_its_key() {
    let server = TestServer::start().await;
    telling(&server).await;
    server.freeze().await;
    let mut answer = answered(&server, &create(prompt("one"))).await;
    for _ in 0..3 {
        server.advance("299s").await;
        answer = answered(&server, &go_on(&answer, &json!([user("more")]))).await;
    }
    let body = go_on(&answer, &json!([user("more")]));
    let other = in_thread(&server, &body)
        .without("x-api-key")
        .header("x-api-key", "sk-ant-another");
    assert_eq!(server.send(&other).await.status, 404);
    let unknown = go_on(&json!({"id": "msg_1"}), &json!([user("more")]));
    for (body, wait) in [(&unknown, "1s"), (&body, "5m")] {
        server.advance(wait).await;
        let (status, code, _) = refused(&server, body).await;
        assert_eq!((status, code), (404, json!("thread_not_found")));
    }
    let plain = answered(&server, &prompt("no thread")).await;
    let (status, ..) = refused(&server, &go_on(&plain, &json!([user("more")]))).await;
    assert_eq!(status, 404, "an answer without a thread is none");
}

#[tokio::test]
async fn a_reset_forgets_threads() {
    let server = TestServer::start().await;
    let first = answered(&server, &create(prompt("one"))).await;
    server.control("POST", "reset", &Value::Null).await;
    let (status, code, _) = refused(&server, &go_on(&first, &json!([user("two")]))).await;
    assert_eq!((status, code), (404, json!("thread_not_found")));
}

#[tokio::test]
async fn a_later_request_repeats_and_changes_nothing_that_the_thread_keeps() {
    let server = TestServer::start().await;
    telling(&server).await;
    let mut first = create(prompt("one"));
    first["system"] = json!("be short");
    first["output_config"] = json!({"effort": "high"});
    let first = answered(&server, &first).await;
    let with = |changes: Value| {
        let mut body = go_on(&first, &json!([user("two")]));
        body["output_config"] = json!({"effort": "high"});
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    for (changes, names) in [
        (json!({"system": "be long"}), "differing field(s): system"),
        (json!({"tools": []}), "differing field(s): tools"),
        (
            json!({"output_config": null}),
            "differing field(s): output_config",
        ),
        (
            json!({"output_config": {"effort": "low"}, "system": "x"}),
            "differing field(s): system, output_config",
        ),
    ] {
        let (status, code, message) = refused(&server, &with(changes)).await;
        assert_eq!((status, code), (400, json!("thread_fingerprint_mismatch")));
        assert!(message.ends_with(names), "{message}");
    }
    let (status, code, message) = refused(&server, &with(json!({"system": "be short"}))).await;
    assert_eq!((status, code), (400, Value::Null));
    assert!(message.starts_with("system: not permitted"), "{message}");
    let model = with(json!({"model": "claude-sonnet-4-6", "max_tokens": 7}));
    answered(&server, &model).await;
}

#[tokio::test]
async fn a_thread_without_its_beta_or_of_another_shape_is_refused() {
    let server = TestServer::start().await;
    let response = server.send(&server.messages(&create(prompt("hi")))).await;
    assert_eq!(response.message(), "thread: Extra inputs are not permitted");
    for (thread, expected) in [
        (json!("create"), "thread: Input should be an object"),
        (json!({}), "thread.type: Field required"),
        (
            json!({"type": "resume"}),
            "thread: Input tag 'resume' found using 'type' does not match any of the expected tags: 'create', 'continue'",
        ),
        (
            json!({"type": "continue"}),
            "thread.continue.previous_message_id: Field required",
        ),
        (
            json!({"type": "continue", "previous_message_id": 1}),
            "thread.continue.previous_message_id: Input should be a valid string",
        ),
        (
            json!({"type": "create", "previous_message_id": "msg_1"}),
            "thread.create.previous_message_id: Extra inputs are not permitted",
        ),
    ] {
        let mut body = prompt("hi");
        body["thread"] = thread;
        let (status, code, message) = refused(&server, &body).await;
        assert_eq!(
            (status, code, message.as_str()),
            (400, Value::Null, expected)
        );
    }
    let mut counted = prompt("hi");
    counted.as_object_mut().unwrap().remove("max_tokens");
    let request = server
        .request("POST", "/v1/messages/count_tokens")
        .header("anthropic-beta", "message-threads-2026-08-12");
    let response = server.send(&request.json(&create(counted))).await;
    assert_eq!(response.message(), "thread: Extra inputs are not permitted");
}

#[tokio::test]
async fn a_pause_goes_on_without_a_message_and_in_its_container() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([
            {"bash": "echo kept > /tmp/sandtable-thread; echo one"}, "pause_turn",
            {"bash": "echo two"}, {"text": "${{ last.stdout }}"},
        ]))
        .await;
    let paused = answered(&server, &create(code_prompt("go"))).await;
    assert_eq!(paused["stop_reason"], "pause_turn");
    let mut rest = go_on(&paused, &json!([]));
    rest["container"] = paused["container"]["id"].clone();
    let rest = answered(&server, &streamed(rest)).await;
    assert_eq!(rest["container"]["id"], paused["container"]["id"]);
    assert_eq!(kinds(&rest).last(), Some(&"text"));
    assert_eq!(rest["content"][2]["text"], "two\n");
}

#[tokio::test]
async fn a_client_that_goes_on_without_its_thread_has_recovered() {
    let server = TestServer::start().await;
    telling(&server).await;
    let faults = json!([
        {"at": "http", "status": 400, "error_code": "thread_unsupported_request"},
        {"at": "http", "status": 404, "error_code": "thread_not_found", "nth": 4},
        {"at": "wire", "path": "/v1/messages", "do": "reset", "after_bytes": 0, "after_work": true, "nth": 6},
    ]);
    server.control("POST", "faults", &faults).await;
    let whole = |answers: &[&Value], prompts: &[&str]| {
        let mut body = prompt(prompts[0]);
        let mut messages = vec![user(prompts[0])];
        for (answer, prompt) in answers.iter().zip(&prompts[1..]) {
            messages.push(json!({"role": "assistant", "content": answer["content"]}));
            messages.push(user(*prompt));
        }
        body["messages"] = json!(messages);
        body
    };
    // Not at all.
    let first = create(whole(&[], &["one"]));
    assert_eq!(server.send(&in_thread(&server, &first)).await.status, 400);
    server.message(&whole(&[], &["one"])).await;
    // In its middle, and from there on in a new one.
    let begun = answered(&server, &create(whole(&[], &["two"]))).await;
    let next = go_on(&begun, &json!([user("more")]));
    assert_eq!(server.send(&in_thread(&server, &next)).await.status, 404);
    let again = create(whole(&[&begun], &["two", "more"]));
    let second = answered(&server, &again).await;
    // An answer that is lost after the work: the same request again is refused, for the thread has gone on.
    let last = go_on(&second, &json!([user("end")]));
    let mut connection = server.connect().await;
    connection.send(&in_thread(&server, &last)).await;
    assert!(connection.try_read().await.is_none());
    let (status, code, _) = refused(&server, &last).await;
    assert_eq!((status, code), (400, json!("thread_already_continued")));
    server
        .message(&whole(&[&begun, &second], &["two", "more", "end"]))
        .await;
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let told = verdict["faults"].as_array().unwrap().iter();
    let told: Vec<_> = told
        .map(|chain| json!([chain["outcome"], chain["retries"]]))
        .collect();
    let recovered = |retries: usize| json!(["recovered", retries]);
    assert_eq!(
        told,
        [recovered(1), recovered(1), recovered(2)],
        "{verdict}"
    );
}
