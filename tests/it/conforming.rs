//! This program asks itself for the facts, and a server that keeps other ones is found out.

use std::sync::Arc;

use drift::{Service, conform};
use serde_json::{Value, json};
use server::config::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use workspace::billing::Prices;

use crate::harness::canned::{Canned, Reply};
use crate::harness::{Request, TestServer};

async fn report_of(server: &TestServer, only: &[&str]) -> conform::Report {
    let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
    let cases = conform::cases(&only, conform::MODEL).unwrap();
    let url = format!("http://{}", server.address);
    let service = Service::new(&url, Some("sk-ant-test".to_owned())).unwrap();
    conform::run(&service, &cases, &Prices::default(), None).await
}

/// A server as strict as the service, whose sandboxes say what the cases' program prints, and whose clock is the
/// wall's.
async fn running() -> TestServer {
    let reply = Reply::Ran {
        stdout: "a: 1, b\n".to_owned(),
        stderr: String::new(),
        return_code: 0,
        files: vec![("conform.csv".to_owned(), "1\n".to_owned())],
    };
    let replies = vec![reply; 9];
    let strict = |config: &mut Config| {
        config.strict_betas = true;
        config.strict_models = true;
    };
    let server = TestServer::on_with(Arc::new(Canned::new(replies)), strict).await;
    server.control("POST", "reset", &Value::Null).await;
    server
}

#[tokio::test]
async fn every_fact_is_seen_and_holds_here() {
    let server = running().await;
    let report = report_of(&server, &[]).await;
    let open: Vec<&str> = report
        .cases
        .iter()
        .flat_map(|case| &case.checks)
        .filter(|check| matches!(check.result, conform::CheckResult::Open { .. }))
        .map(|check| check.fact.as_str())
        .collect();
    // Whether a batch of one still runs when it is looked at is its own affair.
    assert!(open.is_empty() || open == ["F112"], "{report}");
    let (holds, differs, _) = report.counts();
    assert_eq!(differs, 0, "{report}");
    assert!(holds > 40, "{report}");
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test]
async fn a_server_with_other_habits_is_told_by_the_fact() {
    for (quirks, only, fact) in [
        (json!({"no-container": "absent"}), "messages/plain", "F019"),
        (json!({"no-container": "absent"}), "messages/stream", "F019"),
        (json!({"server-caller": "direct"}), "code/plain", "F005"),
    ] {
        let server = running().await;
        server.control("PUT", "quirks", &quirks).await;
        let report = report_of(&server, &[only]).await;
        let told: Vec<&str> = report.cases[0]
            .checks
            .iter()
            .filter(|check| matches!(check.result, conform::CheckResult::Differs { .. }))
            .map(|check| check.fact.as_str())
            .collect();
        assert_eq!(told, [fact], "{report}");
        assert_eq!(report.exit_code(), 1);
        let markdown = report.to_markdown();
        assert!(
            markdown.contains(&format!("| {fact} | ")) && markdown.contains("| differs |"),
            "{markdown}"
        );
    }
}

#[tokio::test]
async fn what_nobody_could_see_is_open_and_neither_good_nor_bad() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"text": "I would rather not."}]))
        .await;
    let report = report_of(&server, &["code/plain"]).await;
    assert_eq!(report.counts(), (0, 0, 5), "{report}");
    assert_eq!(report.exit_code(), 1, "nothing was seen at all");

    let refuses = json!({"at": "http", "status": 529, "times": "always"});
    server.control("POST", "faults", &refuses).await;
    let report = report_of(&server, &["messages/plain"]).await;
    assert_eq!(report.counts(), (0, 0, 3), "{report}");
}

#[tokio::test]
async fn a_broken_answer_is_told_with_the_reason_and_without_the_key() {
    let server = TestServer::start().await;
    let cut = json!({"at": "wire", "do": "reset", "after_bytes": 40, "times": "always"});
    server.control("POST", "faults", &cut).await;
    let report = report_of(&server, &["messages/stream"]).await;
    assert_eq!(report.counts(), (0, 0, 3), "{report}");
    assert!(!report.to_json().contains("sk-ant-test"));
}

#[tokio::test]
async fn the_requests_of_the_cases_are_seen_by_the_server_as_they_are_told() {
    let server = running().await;
    let report = report_of(&server, &["messages/bearer"]).await;
    assert_eq!(report.counts(), (1, 0, 0), "{report}");
    let journal = server
        .send(&Request::new("GET", "/_sandtable/journal").header("x-api-key", "sk-ant-test"))
        .await;
    let entries = journal.json();
    assert_eq!(entries["data"][0]["path"], "/v1/messages", "{entries}");
}

/// Says the same to everybody, and has nothing to say.
async fn says(kind: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_with(stream, answer.clone()));
        }
    });
    url
}

/// Hears the request out: who is answered sooner may take it for a broken connection.
async fn answer_with(mut stream: TcpStream, answer: String) {
    let mut asked = Vec::new();
    while !is_whole(&asked) && matches!(stream.read_buf(&mut asked).await, Ok(1..)) {}
    stream.write_all(answer.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

#[tokio::test]
async fn every_check_but_those_of_what_is_missing_fails_where_nothing_is_said() {
    let event = "event: x\ndata: {\"type\":\"y\"}\n\n";
    for (kind, body) in [
        ("application/json", "{}"),
        ("text/event-stream", event),
        ("text/html", "<p>"),
    ] {
        let url = says(kind, body).await;
        let service = Service::new(&url, None).unwrap();
        let cases = conform::cases(&[], conform::MODEL).unwrap();
        let report = conform::run(&service, &cases, &Prices::default(), None).await;
        let checks = report.cases.iter().flat_map(|case| &case.checks);
        let mut held: Vec<&str> = checks
            .filter(|check| check.result == conform::CheckResult::Holds)
            .map(|check| check.fact.as_str())
            .collect();
        held.dedup();
        // No header about rate limits, and a key that is taken.
        let expected = |fact: &&str| ["F088", "F130"].contains(fact);
        assert!(held.iter().all(expected), "{body}: {report}");
        assert!(report.counts().1 > 15, "{body}: {report}");
    }
}
