//! Containers: made, used again, refused, and over.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, streamed};
use crate::harness::transcript::{Transcript, golden};
use crate::harness::{Processes, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

fn on(container: &Value) -> Value {
    let mut body = code_prompt("again");
    body["container"] = container.clone();
    body
}

#[tokio::test]
async fn a_named_container_keeps_its_files_and_each_use_moves_its_end() {
    let server = running(json!([{"bash": "cat number 2>/dev/null; echo 7 >> number"}])).await;
    let mut transcript = Transcript::default();
    let first = transcript
        .exchange(&server, &server.messages(&code_prompt("first")))
        .await
        .json();
    server.advance("10m").await;
    let second = transcript
        .exchange(&server, &server.messages(&on(&first["container"]["id"])))
        .await
        .json();
    assert_eq!(second["content"][1]["content"]["stdout"], "7\n");
    assert_eq!(
        first["container"]["expires_at"],
        "2030-01-02T04:04:05.000000Z"
    );
    assert_eq!(
        second["container"]["expires_at"],
        "2030-01-02T04:14:05.000000Z"
    );
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn without_a_name_each_request_has_a_container_of_its_own() {
    let server = running(json!([{"bash": "ls; touch here"}])).await;
    let first = server.message(&code_prompt("same")).await;
    let second = server.message(&code_prompt("same")).await;
    assert_ne!(first["container"]["id"], second["container"]["id"]);
    assert_eq!(second["content"][1]["content"]["stdout"], "");
}

#[tokio::test]
async fn a_container_lives_for_thirty_days_and_no_longer() {
    let server = running(json!([{"bash": "echo hi"}])).await;
    let first = server.message(&code_prompt("first")).await;
    server.advance("29d").await;
    let second = server.message(&on(&first["container"]["id"])).await;
    assert_eq!(second["content"][1]["content"]["stdout"], "hi\n");
    server.advance("1d").await;
    golden!(
        &server,
        server.messages(&on(&first["container"]["id"])),
        server.messages(&streamed(on(&first["container"]["id"]))),
    );
}

#[tokio::test]
async fn a_turn_that_never_notices_its_expired_container_is_noted() {
    let server = running(json!([{"bash": "echo hi"}])).await;
    let id = server.message(&code_prompt("first")).await["container"]["id"].clone();
    let path = format!("containers/{}/expire", id.as_str().expect("an id"));
    server.control("POST", &path, &Value::Null).await;
    server.steps(&json!([{"text": "No call."}])).await;
    let message = server.message(&on(&id)).await;
    assert_eq!(message["container"], Value::Null, "{message}");
    let journal = server.journal().await;
    assert_eq!(
        journal[0]["lints"][0]["message"],
        "container: it has expired, and no call noticed"
    );
}

#[tokio::test]
async fn an_unknown_container_is_not_found_and_neither_is_another_workspaces() {
    let server = running(json!([{"bash": "echo hi"}])).await;
    let own = server.message(&code_prompt("first")).await["container"]["id"].clone();
    let theirs = server
        .messages(&on(&own))
        .without("x-api-key")
        .header("x-api-key", "sk-ant-other");
    golden!(
        &server,
        server.messages(&on(&json!("container_01AAAAAAAAAAAAAAAAAAAAAA"))),
        server.messages(&streamed(on(
            &json!({"id": "container_01AAAAAAAAAAAAAAAAAAAAAA"})
        ))),
        theirs,
    );
}

#[tokio::test]
async fn a_sleeping_container_wakes_with_its_files() {
    let server = running(json!([{"bash": "cat note 2>/dev/null; echo kept > note"}])).await;
    let id = server.message(&code_prompt("first")).await["container"]["id"].clone();
    let path = format!("containers/{}/sleep", id.as_str().expect("an id"));
    server.control("POST", &path, &Value::Null).await;
    let message = server.message(&on(&id)).await;
    assert_eq!(message["content"][1]["content"]["stdout"], "kept\n");
}

#[tokio::test]
async fn a_container_without_an_id_is_a_new_one() {
    let server = running(json!([{"bash": "echo hi"}])).await;
    for empty in [Value::Null, json!({}), json!({"id": null, "skills": []})] {
        let message = server.message(&on(&empty)).await;
        assert!(message["container"]["id"].is_string(), "{empty}");
    }
}

#[tokio::test]
async fn uploads_of_earlier_turns_are_inert_and_noted() {
    let server = running(json!([{"bash": "ls"}])).await;
    let file = server.upload("data.csv", "text/csv", "a\n").await;
    let mut body = code_prompt("");
    body["messages"] = json!([
        {"role": "user", "content": [{"type": "container_upload", "file_id": file}, {"type": "text", "text": "one"}]},
        {"role": "assistant", "content": "Fine."},
        {"role": "user", "content": "two"},
    ]);
    let message = server.message(&body).await;
    assert_eq!(message["content"][1]["content"]["stdout"], "");
    let lint = server.journal().await[0]["lints"][0].to_string();
    assert!(
        lint.contains("messages.0.content.0") && lint.contains("inert"),
        "{lint}"
    );
}
