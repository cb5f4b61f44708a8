//! `GET /_sandtable/events`: what is told, to whom, and what a slow reader loses.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::harness::http::Connection;
use crate::harness::server::{code_prompt, prompt};
use crate::harness::{Processes, TestServer};

/// After which a test takes it that nothing more comes.
const SILENCE: Duration = Duration::from_millis(300);

/// A reader that hears everything from now on.
async fn listen(server: &TestServer, query: &str) -> Connection {
    let mut connection = server.connect().await;
    let path = format!("/_sandtable/events{query}");
    connection.send(&server.request("GET", &path)).await;
    until(&mut connection, ": listening").await;
    connection
}

async fn until(connection: &mut Connection, text: &str) {
    while !connection.pending().contains(text) {
        assert!(connection.fill().await, "the stream ends without `{text}`");
    }
}

/// The events that came, by their `data:` lines.
fn events(connection: &Connection) -> Vec<Value> {
    let text = connection.pending();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

#[tokio::test]
async fn everything_is_told_in_the_order_it_happens() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "echo hi"}])).await;
    let mut reader = listen(&server, "").await;
    server
        .control("POST", "faults", &json!({"at": "http", "status": 529}))
        .await;
    server.send(&server.messages(&code_prompt("go"))).await;
    let message = server.message(&code_prompt("go")).await;
    let id = message["container"]["id"].as_str().unwrap();
    for verb in ["sleep", "expire"] {
        let path = format!("containers/{id}/{verb}");
        server.control("POST", &path, &Value::Null).await;
    }
    server.advance("5m").await;
    until(&mut reader, "event: clock_moved").await;
    let events = events(&reader);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "setup_changed",
            "request_begun",
            "fault_fired",
            "request_ended",
            "request_begun",
            "container_created",
            "container_woken",
            "request_ended",
            "container_slept",
            "container_expired",
            "clock_moved",
        ]
    );
    assert_eq!(events[0]["what"], "faults");
    assert_eq!(events[3]["status"], 529);
    assert_eq!(events[3]["request_id"], events[1]["request_id"]);
    assert_eq!(events[5]["container"], id);
    assert_eq!(events[10]["now"], "2030-01-02T03:09:05.000000Z");
    for event in &events {
        assert!(
            event["workspace"].as_str().unwrap().starts_with("wrkspc_"),
            "{event}"
        );
        assert!(
            event["at"].as_str().unwrap().starts_with("2030-01-02T03:0"),
            "{event}"
        );
    }
}

#[tokio::test]
async fn a_workspace_hears_of_itself_and_a_star_hears_all() {
    let server = TestServer::start().await;
    let mut own = listen(&server, "").await;
    let mut all = listen(&server, "?workspace=*").await;
    let theirs = server
        .messages(&prompt("theirs"))
        .without("x-api-key")
        .header("x-api-key", "b");
    server.send(&theirs).await;
    server.message(&prompt("own")).await;
    while events(&own).len() < 2 {
        assert!(own.fill().await);
    }
    while events(&all).len() < 4 {
        assert!(all.fill().await);
    }
    assert_eq!(events(&own)[0]["workspace"], events(&all)[2]["workspace"]);
    assert_ne!(events(&all)[0]["workspace"], events(&all)[2]["workspace"]);
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_is_told_what_it_lost() {
    let server = TestServer::start().await;
    let mut slow = listen(&server, "").await;
    // More than the sockets' buffers and the queue take together.
    let path = format!("/v1/files/{}", "x".repeat(6000));
    let mut connection = server.connect().await;
    let mut told = 0u64;
    for _ in 0..1700 {
        connection.send(&server.request("GET", &path)).await;
        assert_eq!(connection.read().await.status, 404);
        told += 2;
    }
    // Silence means that all is read: then one more event comes through.
    let mut text = Vec::new();
    while !ends_with_the_clock(&text) {
        let read = slow.stream.read_buf(&mut text);
        match tokio::time::timeout(SILENCE, read).await {
            Ok(read) => assert!(read.unwrap() > 0, "the stream ends"),
            Err(_) => server.advance("1s").await,
        }
    }
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let (mut heard, mut dropped) = (0, 0);
    for data in lines {
        let event: Value = serde_json::from_str(data).unwrap();
        match event["type"].as_str().unwrap() {
            "dropped" => dropped += event["dropped"].as_u64().unwrap(),
            "clock_moved" => {}
            _ => heard += 1,
        }
    }
    assert!(dropped > 0);
    assert_eq!(heard + dropped, told);
}

fn ends_with_the_clock(text: &[u8]) -> bool {
    let tail = &text[text.len().saturating_sub(400)..];
    String::from_utf8_lossy(tail).contains("event: clock_moved") && tail.ends_with(b"\n\n\r\n")
}
