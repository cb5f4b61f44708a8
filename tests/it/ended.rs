//! How an answer ended: whatever comes out of the journal, counters, and coverage says whether it was whole.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::harness::server::{prompt, streamed};
use crate::harness::{Request, TestServer};

async fn talking() -> TestServer {
    let server = TestServer::start().await;
    server
        .steps(&json!([{ "text": "Hello, dear friend of mine." }]))
        .await;
    server
}

/// Sends what is not to be answered whole, and gives the bytes that came.
async fn lost(server: &TestServer, request: &Request) -> String {
    let mut connection = server.connect().await;
    connection.send(request).await;
    let mut seen = Vec::new();
    // A reset is an error here.
    connection.stream.read_to_end(&mut seen).await.ok();
    String::from_utf8_lossy(&seen).into_owned()
}

fn with(request: Request, fault: &Value) -> Request {
    request.header("x-sandtable-fault", &fault.to_string())
}

async fn get(server: &TestServer, path: &str) -> String {
    let request = server.request("GET", &format!("/_sandtable/{path}"));
    let answer = server.send(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

/// Bodies and the faults that break their answers, each with the status that was sent, or stands for none.
fn breaks() -> [(Value, Value, u16); 7] {
    let cut = json!({"at": "stream", "after_events": 3, "do": "cut"});
    let work = json!({"at": "wire", "do": "reset", "after_bytes": 0, "after_work": true});
    [
        (prompt("a"), json!({"at": "http", "do": "cut"}), 444),
        (
            streamed(prompt("b")),
            json!({"at": "stream", "after_events": 0, "do": "cut"}),
            444,
        ),
        (prompt("c"), json!({"at": "wire", "do": "reset"}), 200),
        (prompt("d"), cut.clone(), 200),
        (streamed(prompt("e")), cut, 200),
        (
            streamed(prompt("f")),
            json!({"at": "wire", "do": "reset", "after_events": 2}),
            200,
        ),
        (streamed(prompt("g")), work, 200),
    ]
}

#[tokio::test]
async fn an_answer_that_broke_off_is_exported_as_one_and_breaks_off_again_in_replay() {
    for (body, fault, status) in breaks() {
        let server = talking().await;
        lost(&server, &with(server.messages(&body), &fault)).await;
        let entry = &server.journal().await[0];
        let told = (&entry["broke"], &entry["status"]);
        assert_eq!(told, (&json!(true), &json!(status)), "{fault} {entry}");
        let har: Value = serde_json::from_str(&get(&server, "journal?format=har").await).unwrap();
        assert_eq!(har["log"]["entries"][0]["_broke"], true, "{har}");
        let draft = get(&server, "journal?format=script").await;
        let comment = "# Not the whole answer: its connection was closed.";
        assert!(draft.contains(comment), "{fault} {draft}");
        let cassette = get(&server, "journal?format=cassette").await;
        let why = "ended: \"broke: the connection was closed\"";
        assert!(cassette.contains(why), "{fault} {cassette}");
        let player = TestServer::start().await;
        let mount = player
            .request("PUT", "/_sandtable/cassettes")
            .body(cassette.clone());
        assert_eq!(player.send(&mount).await.status, 200, "{cassette}");
        let seen = lost(&player, &player.messages(&body)).await;
        assert!(!seen.ends_with("0\r\n\r\n"), "{fault} {seen}");
        assert!(!seen.contains("content-length"), "{fault} {seen}");
        assert_eq!(seen.is_empty(), status == 444, "{fault} {seen}");
        let again = &player.journal().await[0];
        assert_eq!(again["broke"], true, "{fault} {again}");
        assert_eq!(again["response_body"], entry["response_body"], "{fault}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_slow_answer_has_not_had_it() {
    let server = talking().await;
    let hang = json!({"at": "wire", "do": "hang", "after_bytes": 50});
    let mut connection = server.connect().await;
    connection
        .send(&with(server.messages(&prompt("a")), &hang))
        .await;
    connection.read_head().await;
    drop(connection);
    let journal = loop {
        let journal = server.journal().await;
        if !journal.is_empty() {
            break journal;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(journal[0]["client_left"], true, "{}", journal[0]);
    let draft = get(&server, "journal?format=script").await;
    assert!(draft.contains("its client left"), "{draft}");
}

#[tokio::test]
async fn counters_and_whoever_waits_take_no_broken_answer_for_a_good_one() {
    let server = talking().await;
    let (body, fault, _) = &breaks()[0];
    lost(&server, &with(server.messages(body), fault)).await;
    let metrics = get(&server, "metrics").await;
    let line =
        "sandtable_requests_total{method=\"POST\",route=\"/v1/messages\",status=\"broke\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    let waited = get(&server, "wait?requests=1&status=200&timeout=1s").await;
    assert!(waited.contains("\"met\":false"), "{waited}");
    let broken = get(&server, "page/timeline").await;
    assert!(broken.contains("\"broke\":true"), "{broken}");
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let attempt = &verdict["faults"][0]["attempts"][0];
    assert_eq!(attempt["status"], Value::Null, "{verdict}");
}

#[tokio::test]
async fn a_stream_that_ends_with_an_error_is_an_error() {
    let server = talking().await;
    let fault = json!({"at": "stream", "after_events": 4, "type": "overloaded_error"});
    let request = with(server.messages(&streamed(prompt("a"))), &fault);
    assert_eq!(server.send(&request).await.status, 200);
    server.message(&prompt("b")).await;
    let rows: Value = serde_json::from_str(&get(&server, "page/timeline").await).unwrap();
    let failed: Vec<&Value> = rows["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["failed"])
        .collect();
    assert_eq!(failed, [false, true], "{rows}");
    let draft = get(&server, "journal?format=script").await;
    let comment = "# Not the whole answer: its stream ended with the error `overloaded_error`.";
    assert_eq!(draft.matches("# Not the whole").count(), 1, "{draft}");
    assert!(draft.contains(comment), "{draft}");
}

#[tokio::test]
async fn coverage_counts_what_was_sent_of_an_answer() {
    let counts = async |server: &TestServer, area: &str| -> Vec<String> {
        let verdict = server
            .control("GET", "verify?coverage=1", &Value::Null)
            .await;
        let areas = verdict["coverage"]["areas"].as_array().unwrap();
        let area = areas.iter().find(|it| it["name"] == area).unwrap();
        let met = area["items"].as_array().unwrap().iter();
        met.filter(|item| item["count"] != 0)
            .map(|item| format!("{} {}", item["name"].as_str().unwrap(), item["count"]))
            .collect()
    };
    for (body, fault, status) in breaks() {
        let server = talking().await;
        lost(&server, &with(server.messages(&body), &fault)).await;
        let entry = &server.journal().await[0];
        let sent = entry["response_body"].as_str().unwrap_or_default();
        let events = counts(&server, "events").await;
        let total: usize = events
            .iter()
            .filter_map(|item| item.rsplit(' ').next()?.parse::<usize>().ok())
            .sum();
        assert_eq!(total, sent.matches("event: ").count(), "{fault} {events:?}");
        assert_eq!(counts(&server, "stop reasons").await, [""; 0], "{fault}");
        let statuses = counts(&server, "HTTP statuses").await;
        assert_eq!(statuses.is_empty(), status == 444, "{fault} {statuses:?}");
    }
    // A fault that lets all of it come takes nothing away.
    let server = talking().await;
    let pings = json!({"at": "wire", "do": "pings", "after_events": 4, "count": 3});
    server
        .send(&with(server.messages(&streamed(prompt("a"))), &pings))
        .await;
    let slow = json!({"at": "wire", "do": "split", "bytes": 100});
    server
        .send(&with(server.messages(&prompt("a")), &slow))
        .await;
    assert_eq!(counts(&server, "stop reasons").await, ["end_turn 2"]);
    assert_eq!(
        counts(&server, "kinds of answers").await,
        ["plain 1", "streaming 1"]
    );
    assert!(
        counts(&server, "events")
            .await
            .contains(&"ping 4".to_owned())
    );
}
