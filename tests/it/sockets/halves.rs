//! Clients that close their sending side when they have said everything, and read.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::streams::eventually;
use crate::harness::server::{prompt, streamed};
use crate::harness::{Connection, Request, TestServer};

/// Sends a request and closes the sending side.
async fn half_closed(server: &TestServer, request: &Request) -> Connection {
    let mut connection = server.connect().await;
    connection.send(request).await;
    connection.stream.shutdown().await.unwrap();
    connection
}

/// The status of the answer, after which the server closes its side; 0 if there is none.
async fn status(server: &TestServer, request: &Request) -> u16 {
    let mut connection = half_closed(server, request).await;
    let answer = connection.try_read().await;
    assert!(connection.is_closed().await);
    answer.map_or(0, |answer| answer.status)
}

fn upload(server: &TestServer, bytes: usize) -> Request {
    let content = "x".repeat(bytes);
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{bytes}\"\r\n\r\n{content}\r\n--b--\r\n"
    );
    server
        .request("POST", "/v1/files")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body)
}

#[tokio::test]
async fn a_client_that_has_said_everything_is_answered_whatever_it_closes() {
    let server = TestServer::start().await;
    let file = server.upload("a.csv", "text/csv", "a").await;
    let batch = json!({"requests": [{"custom_id": "a", "params": prompt("hi")}]});
    let count = json!({"model": "claude-opus-5", "messages": prompt("hi")["messages"]});
    let get = |path: &str| server.request("GET", path);
    let post = |path: &str, body: &Value| server.request("POST", path).json(body);
    let requests = [
        get("/v1/models"),
        get("/v1/files"),
        get(&format!("/v1/files/{file}")),
        post("/v1/messages/count_tokens", &count),
        post("/v1/messages/batches", &batch),
        upload(&server, 3),
        upload(&server, 1000),
        upload(&server, 1_000_000),
        get("/_sandtable/journal"),
        get("/_sandtable/metrics"),
        get("/_sandtable/state"),
        post("/_sandtable/faults", &json!([])),
        server.request("DELETE", &format!("/v1/files/{file}")),
    ];
    for request in &requests {
        for _ in 0..3 {
            let status = status(&server, request).await;
            let is_gone = status == 404 && request.method == "DELETE";
            assert!(status == 200 || is_gone, "{} {status}", request.path);
        }
    }
    let left = server.journal().await;
    let left = left.iter().filter(|entry| entry["client_left"] == true);
    assert_eq!(left.count(), 0);
    let files = server.send(&get("/v1/files")).await.json();
    assert_eq!(files["data"].as_array().unwrap().len(), 9, "{files}");
}

#[tokio::test]
async fn a_large_answer_comes_whole_to_a_client_that_reads_alone() {
    let server = TestServer::start().await;
    // More than sockets hold.
    for n in 0..4 {
        let mut request = upload(&server, 4_000_000);
        write!(request.path, "?{n}").unwrap();
        assert_eq!(server.send(&request).await.status, 200);
    }
    let state = server.request("GET", "/_sandtable/state");
    let mut connection = half_closed(&server, &state).await;
    let answer = connection.read().await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 16_000_000, "{}", answer.body.len());
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_refused_and_not_waited_for() {
    let server = TestServer::start().await;
    for mut request in [
        upload(&server, 1000),
        server.messages(&prompt("hi")),
        server
            .request("POST", "/_sandtable/faults")
            .json(&json!([])),
    ] {
        let length = request.body.len();
        request.body.truncate(length - 1);
        let request = request.header("content-length", &length.to_string());
        assert_eq!(status(&server, &request).await, 400, "{}", request.path);
    }
}

#[tokio::test]
async fn a_turn_and_whatever_has_no_end_are_over_when_the_client_sends_no_more() {
    let server = TestServer::start().await;
    server.thaw().await;
    server
        .steps(&json!([{"text": "first"}, {"delay": "1h"}]))
        .await;
    let endless = |request: Request| {
        let fault = json!({"at": "http", "do": "stall"}).to_string();
        request.header("x-sandtable-fault", &fault)
    };
    let long = |request: Request| {
        let fault = json!({"at": "http", "do": "stall", "for_ms": 3_600_000}).to_string();
        request.header("x-sandtable-fault", &fault)
    };
    let late = json!({"at": "wire", "do": "hang", "after_bytes": 3}).to_string();
    for (request, in_journal) in [
        (server.messages(&prompt("hi")), true),
        (server.messages(&streamed(prompt("hi"))), true),
        (endless(upload(&server, 3)), true),
        (long(server.request("GET", "/v1/models")), true),
        (
            server
                .request("GET", "/v1/models")
                .header("x-sandtable-fault", &late),
            true,
        ),
        (server.request("GET", "/_sandtable/events"), false),
        (
            server.request("GET", "/_sandtable/wait?requests=99&timeout=300s"),
            false,
        ),
    ] {
        server.control("DELETE", "journal", &Value::Null).await;
        let mut connection = half_closed(&server, &request).await;
        assert!(connection.is_closed().await, "{}", request.path);
        if in_journal {
            eventually(&request.path, async || {
                let journal = server.journal().await;
                journal.iter().any(|entry| entry["client_left"] == true)
            })
            .await;
        }
    }
}
