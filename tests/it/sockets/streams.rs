//! Streams over time: events leave at once, and a client that leaves ends its turn.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::harness::server::{code_prompt, prompt, streamed};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Processes, TestServer};

/// How long something that should happen may take.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_said_before_a_delay_arrives_before_it_ends() {
    let server = TestServer::start().await;
    server.thaw().await;
    server
        .steps(&json!([{"text": "now"}, {"delay": "600ms"}, {"text": "later"}]))
        .await;
    let mut connection = server.connect().await;
    connection
        .send(&server.messages(&streamed(prompt("hi"))))
        .await;
    let response = connection.read().await;
    let arrived = |text: &str| {
        let chunk = response
            .chunks
            .iter()
            .find(|(_, piece)| String::from_utf8_lossy(piece).contains(text));
        chunk.expect("it arrived").0
    };
    let (first, last) = (arrived("\"now\""), arrived("\"later\""));
    assert!(last >= Duration::from_millis(600), "{last:?}");
    assert!(
        last >= first + Duration::from_millis(500),
        "{first:?} then {last:?}"
    );
}

#[tokio::test]
async fn a_call_is_announced_before_it_is_run() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "until [ -e go ]; do sleep 0.02; done; echo went"}]))
        .await;
    let body = code_prompt("wait");
    let mut connection = server.connect().await;
    connection.send(&server.messages(&streamed(body))).await;
    let head = connection.read_head().await.expect("a head");
    assert_eq!(head.status, 200);
    let mut seen = String::new();
    while !seen.contains("go ]; do") && !seen.contains("content_block_stop") {
        assert!(connection.fill().await, "{seen}");
        seen = connection.pending();
    }
    assert!(!seen.contains("tool_result"), "{seen}");
    // Another request on the same container lets the first one go on: both run at the same time.
    // The announcement comes before the container: it is asked for until it is there.
    let id = loop {
        let containers = server.control("GET", "containers", &Value::Null).await;
        match &containers["data"][0]["id"] {
            Value::Null => tokio::task::yield_now().await,
            id => break id.clone(),
        }
    };
    server.steps(&json!([{"bash": "touch go"}])).await;
    let mut other = code_prompt("go");
    other["container"] = id;
    server.message(&other).await;
    while !seen.contains("message_stop") {
        assert!(connection.fill().await, "{seen}");
        seen = connection.pending();
    }
    assert!(seen.contains("went"), "{seen}");
}

#[tokio::test]
async fn small_events_arrive_one_by_one() {
    let server = TestServer::start().await;
    server.thaw().await;
    let steps: Vec<_> = (0..200)
        .flat_map(|n| {
            [
                json!({"text": format!("word {n}")}),
                json!({"delay": "2ms"}),
            ]
        })
        .collect();
    server.steps(&Value::Array(steps)).await;
    let mut connection = server.connect().await;
    connection
        .send(&server.messages(&streamed(prompt("hi"))))
        .await;
    let response = connection.read().await;
    // Held back until an acknowledgement comes, or until a buffer is full, they would come in clumps.
    let pauses = response
        .chunks
        .windows(2)
        .filter(|pair| pair[1].0 > pair[0].0 + Duration::from_micros(500))
        .count();
    assert!(pauses > 80, "{pauses} pauses between 200 words");
}

/// Waits until `ready` says so.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, mut ready: impl FnMut() -> F) {
    let wait = async {
        while !ready().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_its_turn_was_running() {
    for stream in [true, false] {
        let processes = Arc::new(Processes::new());
        let root = processes.root();
        let server = TestServer::on(processes).await;
        server
            .steps(&json!([{"bash": "echo $$ > pid; sleep 300; echo survived > survived"}]))
            .await;
        let mut body = code_prompt("leave");
        body["stream"] = json!(stream);
        let mut connection = server.connect().await;
        connection.send(&server.messages(&body)).await;
        let pid_file = || {
            let id = std::fs::read_dir(&root)
                .unwrap()
                .flatten()
                .find(|entry| entry.path().is_dir());
            id.map(|entry| entry.path().join("work/pid"))
        };
        let pid = || {
            pid_file()
                .and_then(|path| std::fs::read_to_string(path).ok())
                .filter(|text| text.ends_with('\n'))
        };
        eventually("the call starts", async || pid().is_some()).await;
        let pid = pid().expect("it is there").trim().to_owned();
        drop(connection);
        let process = format!("/proc/{pid}");
        eventually("the call is killed", async || {
            !std::path::Path::new(&process).exists()
        })
        .await;
        // The server goes on, with the same container.
        let id = server.control("GET", "containers", &Value::Null).await["data"][0]["id"].clone();
        server.steps(&json!([{"bash": "ls"}])).await;
        let mut body = code_prompt("after");
        body["container"] = id;
        let message = server.message(&body).await;
        assert_eq!(
            message["content"][1]["content"]["stdout"], "pid\n",
            "stream: {stream}"
        );
        if stream {
            let entries = server.journal().await;
            assert!(
                entries
                    .iter()
                    .any(|entry| entry["request_body"]["stream"] == true),
                "{entries:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_a_delay_ends_its_turn() {
    let server = TestServer::start().await;
    server.thaw().await;
    server
        .steps(&json!([{"text": "first"}, {"delay": "1h"}]))
        .await;
    let mut connection = server.connect().await;
    connection
        .send(&server.messages(&streamed(prompt("hi"))))
        .await;
    connection.read_head().await.expect("a head");
    drop(connection);
    // The journal learns of the stream when its body is dropped.
    eventually("the turn ends", async || {
        server
            .journal()
            .await
            .iter()
            .any(|entry| entry["path"] == "/v1/messages")
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_dawdles_gets_every_byte() {
    let server = TestServer::start().await;
    let words: Vec<String> = (0..60_000).map(|n| format!("word{n}")).collect();
    let text = words.join(" ");
    server.steps(&json!([{"text": text}])).await;
    let mut connection = server.connect().await;
    connection
        .send(&server.messages(&streamed(prompt("much"))))
        .await;
    let head = connection.read_head().await.expect("a head");
    assert_eq!(head.status, 200);
    // Nothing is read for a while: the socket's buffers fill up, and the server must wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut bytes = connection.pending().into_bytes();
    let mut buffer = vec![0; 8 * 1024];
    while !bytes.ends_with(b"0\r\n\r\n") {
        let read = connection.stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the stream ends early");
        bytes.extend_from_slice(&buffer[..read]);
    }
    let events = events_of([unchunked(&bytes).as_slice()]);
    assert_eq!(fold(&events)["content"][0]["text"], text);
}

/// The body behind a chunked coding.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .expect("a chunk line");
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}

#[tokio::test]
async fn many_streams_at_once_are_all_served_and_kept_apart() {
    let server = TestServer::start().await;
    server.thaw().await;
    server
        .steps(&json!([{"text": "You said: ${{ request.messages[0].content }}"}, {"delay": "50ms"}, {"text": "Bye."}]))
        .await;
    let all = (0..200).map(|number| {
        let server = &server;
        async move {
            let said = format!("number {number}");
            let response = server
                .send(&server.messages(&streamed(prompt(&said))))
                .await;
            let message = fold(&events_of([response.body.as_slice()]));
            assert_eq!(message["content"][0]["text"], format!("You said: {said}"));
            message["id"].to_string()
        }
    });
    let ids: std::collections::HashSet<String> = futures_util::future::join_all(all)
        .await
        .into_iter()
        .collect();
    assert_eq!(ids.len(), 200);
}
