//! Faults of the wire: bytes that come late, in odd pieces, or not at all, and a model's pace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::harness::server::{code_prompt, prompt, streamed};
use crate::harness::sse::events_of;
use crate::harness::{Processes, Request, Response, TestServer};

/// The time without bytes after which a connection counts as silent.
const SILENCE: Duration = Duration::from_millis(400);
const TEXT: &str = "one two three four five six seven eight nine ten eleven twelve";

async fn talking() -> TestServer {
    let server = TestServer::start().await;
    server.steps(&json!([{ "text": TEXT }])).await;
    server
}

fn stream(server: &TestServer, fault: &Value) -> Request {
    server
        .messages(&streamed(prompt("hi")))
        .header("x-sandtable-fault", &fault.to_string())
}

async fn calm(server: &TestServer) -> Response {
    server.send(&server.messages(&streamed(prompt("hi")))).await
}

fn text_of(response: &Response) -> String {
    let events = events_of([response.body.as_slice()]);
    let pieces = events
        .iter()
        .filter_map(|(_, data)| data["delta"]["text"].as_str());
    pieces.collect()
}

#[tokio::test]
async fn bytes_in_odd_pieces_are_the_same_bytes() {
    let server = talking().await;
    for fault in [
        json!({"at": "wire", "do": "split", "bytes": 7}),
        json!({"at": "wire", "do": "merge"}),
    ] {
        let answer = server.send(&stream(&server, &fault)).await;
        assert_eq!(text_of(&answer), TEXT, "{fault}");
        match fault["do"].as_str() {
            Some("split") => {
                assert!(answer.chunks.len() >= answer.body.len() / 7);
                assert!(answer.chunks.iter().all(|(_, piece)| piece.len() <= 7));
            }
            _ => assert_eq!(answer.chunks.len(), 1),
        }
    }
}

#[tokio::test]
async fn the_model_that_is_asked_selects() {
    let server = talking().await;
    for (model, is_split) in [("claude-haiku-*", false), ("claude-opus-*", true)] {
        let fault = json!({"at": "wire", "do": "split", "bytes": 7, "model": model});
        let answer = server.send(&stream(&server, &fault)).await;
        let split = answer.chunks.iter().all(|(_, piece)| piece.len() <= 7);
        assert_eq!(split, is_split, "{model}");
    }
}

#[tokio::test]
async fn events_are_put_in_between_and_the_rest_stays() {
    let server = talking().await;
    let names = |answer: &Response| -> Vec<String> {
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("event: "));
        lines.map(str::to_owned).collect()
    };
    let usual = names(&calm(&server).await);
    let unknown = json!({"at": "wire", "do": "unknown_event", "after_events": 2});
    let answer = names(&server.send(&stream(&server, &unknown)).await);
    assert_eq!(answer[2], "sandtable_unknown");
    assert_eq!(answer.len(), usual.len() + 1);

    let pings = json!({"at": "wire", "do": "pings", "after_events": 4, "count": 3});
    let answer = names(&server.send(&stream(&server, &pings)).await);
    assert_eq!(answer[4..7], ["ping", "ping", "ping"]);
    assert_eq!(answer.len(), usual.len() + 3);

    let malformed = json!({"at": "wire", "do": "malformed", "after_events": 3});
    let answer = server.send(&stream(&server, &malformed)).await;
    let broken: Vec<bool> = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<Value>(data).is_err())
        .collect();
    assert_eq!(broken.iter().filter(|broken| **broken).count(), 1);
    assert!(broken[3]);
}

/// The bytes until the connection ends or is silent, and how it ended.
async fn until_end(
    server: &TestServer,
    request: &Request,
) -> (Vec<u8>, Option<std::io::Result<()>>) {
    let mut connection = server.connect().await;
    connection.send(request).await;
    let mut seen = Vec::new();
    loop {
        let read = connection.stream.read_buf(&mut seen);
        match tokio::time::timeout(SILENCE, read).await {
            Ok(Ok(0)) => return (seen, Some(Ok(()))),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return (seen, Some(Err(error))),
            Err(_) => return (seen, None),
        }
    }
}

#[tokio::test]
async fn a_reset_is_one_for_the_client_and_a_hang_is_silence() {
    let server = talking().await;
    let reset = json!({"at": "wire", "do": "reset", "after_events": 3});
    let (seen, end) = until_end(&server, &stream(&server, &reset)).await;
    let error = end.expect("an end").expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(String::from_utf8_lossy(&seen).matches("event: ").count(), 3);

    let hang = json!({"at": "wire", "do": "hang", "after_bytes": 100});
    let (seen, end) = until_end(&server, &stream(&server, &hang)).await;
    assert!(end.is_none(), "{end:?}");
    assert!(String::from_utf8_lossy(&seen).contains("message_start"));

    let files = server.request("GET", "/v1/files").header(
        "x-sandtable-fault",
        &json!({"at": "wire", "do": "reset"}).to_string(),
    );
    let (_, end) = until_end(&server, &files).await;
    assert!(matches!(end, Some(Err(_))), "{end:?}");
    assert_eq!(calm(&server).await.status, 200);
}

#[tokio::test]
async fn a_lost_stream_takes_its_turn_with_it_unless_the_work_is_to_be_done() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{ "text": "First." }, { "bash": "echo 1 > $OUTPUT_DIR/one.txt" }, { "text": "Done." }]))
        .await;
    let files = async || {
        let list = server
            .send(&server.request("GET", "/v1/files"))
            .await
            .json();
        list["data"].as_array().unwrap().len()
    };
    let lose = async |fault: Value| {
        let request = server.messages(&streamed(code_prompt("go")));
        let request = request.header("x-sandtable-fault", &fault.to_string());
        let (seen, end) = until_end(&server, &request).await;
        assert!(matches!(end, Some(Err(_))), "{end:?}");
        String::from_utf8_lossy(&seen).matches("event: ").count()
    };
    let seen = lose(json!({"at": "wire", "do": "reset", "after_events": 2})).await;
    assert_eq!((seen, files().await), (2, 0));
    let from_the_first_byte =
        json!({"at": "wire", "do": "reset", "after_bytes": 0, "after_work": true});
    assert_eq!((lose(from_the_first_byte).await, files().await), (0, 1));
    let later = json!({"at": "wire", "do": "reset", "after_events": 2, "after_work": true});
    assert_eq!((lose(later).await, files().await), (2, 2));
    let hang = json!({"at": "wire", "do": "hang", "after_work": true});
    let request = server.messages(&streamed(code_prompt("go")));
    let mut connection = server.connect().await;
    connection
        .send(&request.header("x-sandtable-fault", &hang.to_string()))
        .await;
    while files().await < 3 {}
    let mut seen = Vec::new();
    let more = tokio::time::timeout(SILENCE, connection.stream.read_to_end(&mut seen)).await;
    assert!(more.is_err(), "the connection stays open");
    assert!(!String::from_utf8_lossy(&seen).contains("event: "));
}

#[tokio::test]
async fn a_slow_body_takes_its_time() {
    let server = talking().await;
    server.thaw().await;
    let length = calm(&server).await.body.len();
    let rate = length * 2;
    let slow = json!({"at": "wire", "do": "slow", "bytes_per_second": rate});
    let started = Instant::now();
    let answer = server.send(&stream(&server, &slow)).await;
    assert!(
        started.elapsed() >= Duration::from_millis(400),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(text_of(&answer), TEXT);
}

#[tokio::test]
async fn a_pace_is_kept_on_a_running_clock_and_costs_nothing_on_a_frozen_one() {
    let server = talking().await;
    let pace =
        json!({"at": "wire", "do": "pace", "ttft_ms": 300, "tokens_per_second": 50, "jitter": 0.2});
    let took = |answer: &Response| {
        let mut deltas = answer
            .chunks
            .iter()
            .filter(|(_, piece)| String::from_utf8_lossy(piece).contains("text_delta"));
        let first = deltas.next().unwrap().0;
        (first, deltas.next_back().map_or(first, |(at, _)| *at))
    };
    let started = Instant::now();
    server.send(&stream(&server, &pace)).await;
    assert!(started.elapsed() < Duration::from_millis(240), "frozen");
    server.thaw().await;
    let (first, last) = took(&server.send(&stream(&server, &pace)).await);
    assert!(first >= Duration::from_millis(200), "{first:?}");
    assert!(
        last >= first + Duration::from_millis(100),
        "{first:?} {last:?}"
    );
}

#[tokio::test]
async fn delays_cost_nothing_while_the_clock_stands_still() {
    let server = talking().await;
    let started = Instant::now();
    for fault in [
        json!({"at": "http", "delay_ms": 60_000}),
        json!({"at": "stream", "delay_ms": 60_000}),
        json!({"at": "stream", "do": "stall", "for_ms": 60_000}),
        json!({"at": "wire", "do": "slow", "bytes_per_second": 1}),
    ] {
        let answer = server.send(&stream(&server, &fault)).await;
        assert_eq!(text_of(&answer), TEXT, "{fault}");
    }
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn deltas_are_cut_between_any_two_characters() {
    let server = talking().await;
    let cut = json!({"at": "wire", "do": "deltas", "chars": 1});
    let answer = server.send(&stream(&server, &cut)).await;
    assert_eq!(text_of(&answer), TEXT);
    let events = events_of([answer.body.as_slice()]);
    let pieces = events
        .iter()
        .filter_map(|(_, data)| data["delta"]["text"].as_str());
    assert_eq!(pieces.count(), TEXT.len());
}

#[tokio::test]
async fn members_that_no_client_knows_stand_everywhere_but_in_blocks_and_files() {
    let server = talking().await;
    let fault = json!({"at": "wire", "do": "unknown_members", "times": "always"});
    server.control("POST", "faults", &fault).await;
    let unknown = "sandtable_unknown";
    let message = server.message(&prompt("hi")).await;
    assert!(message[unknown].is_object() && message["usage"][unknown].is_object());
    assert_eq!(message["content"], json!([{"type": "text", "text": TEXT}]));
    let events = events_of([calm(&server).await.body.as_slice()]);
    for (name, data) in events {
        assert!(data[unknown].is_object(), "{name}");
        assert_eq!(data["content_block"].get(unknown), None);
    }
    let refused = server
        .send(&server.request("GET", "/v1/files/file_none"))
        .await
        .json();
    assert!(refused["error"][unknown].is_object(), "{refused}");
}

#[tokio::test]
async fn a_wire_fault_with_a_mistake_is_refused() {
    let server = talking().await;
    for (fault, told) in [
        (json!({"at": "wire"}), "needs a `do`"),
        (json!({"at": "wire", "do": "explode"}), "`do`"),
        (
            json!({"at": "wire", "do": "merge", "bytes": 3}),
            "`bytes` does not go with",
        ),
        (json!({"at": "wire", "do": "split", "bytes": 0}), "`bytes`"),
        (json!({"at": "wire", "do": "split"}), "needs `bytes`"),
        (json!({"at": "wire", "do": "deltas"}), "needs `chars`"),
        (
            json!({"at": "wire", "do": "reset", "after_bytes": 1, "after_events": 1}),
            "two places",
        ),
        (json!({"at": "wire", "do": "pace"}), "needs `ttft_ms`"),
        (
            json!({"at": "wire", "do": "pace", "ttft_ms": 1, "jitter": 2}),
            "`jitter`",
        ),
        (
            json!({"at": "wire", "do": "merge", "status": 500}),
            "`status`",
        ),
    ] {
        let request = server.request("POST", "/_sandtable/faults").json(&fault);
        let answer = server.send(&request).await;
        assert_eq!(answer.status, 400, "{fault}");
        assert!(answer.message().contains(told), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_has_no_body_is_no_occasion_for_a_fault_of_the_wire() {
    let server = TestServer::start().await;
    let fault = json!({"at": "wire", "do": "reset", "after_bytes": 0});
    server.control("POST", "faults", &fault).await;
    let mut connection = server.connect().await;
    let head = server.request("HEAD", "/v1/models");
    connection.send(&head).await;
    let head = connection.read_head().await.expect("an answer");
    assert_eq!(head.status, 200);
    let verdict = server.control("GET", "verify", &Value::Null).await;
    assert_eq!(verdict["unused_faults"].as_array().map(Vec::len), Some(1));
}
