//! Coverage: the part of the service that the tests have met. Each area by real turns, kept over resets, and complete.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use workspace::coverage::{Area, Coverage, report};

use crate::harness::server::{code_prompt, prompt, streamed, then};
use crate::harness::{Processes, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

async fn told(server: &TestServer, query: &str) -> Value {
    let verdict = server
        .control("GET", &format!("verify?coverage=1{query}"), &Value::Null)
        .await;
    verdict["coverage"].clone()
}

fn item<'a>(told: &'a Value, area: &str, name: &str) -> &'a Value {
    let areas = told["areas"].as_array().unwrap();
    let area = areas
        .iter()
        .find(|known| known["name"] == area)
        .expect(area);
    let items = area["items"].as_array().unwrap();
    items.iter().find(|item| item["name"] == name).expect(name)
}

/// `area/name` of everything that was met, with its count.
fn met(told: &Value, area: &str) -> Vec<(String, u64)> {
    let areas = told["areas"].as_array().unwrap();
    let area = areas
        .iter()
        .find(|known| known["name"] == area)
        .expect(area);
    let items = area["items"].as_array().unwrap().iter();
    let met = items.filter(|item| item["count"] != 0);
    met.map(|item| {
        (
            item["name"].as_str().unwrap().to_owned(),
            item["count"].as_u64().unwrap(),
        )
    })
    .collect()
}

fn pairs(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn a_turn_shows_its_blocks_its_end_its_container_and_its_tool() {
    let server = running(
        json!([{"text": "a"}, {"bash": "true"}, {"bash": "x", "tool_error": "unavailable"}]),
    )
    .await;
    let body = code_prompt("go");
    let answer = server.message(&body).await;
    let mut named = streamed(body);
    named["container"] = answer["container"]["id"].clone();
    server.send(&server.messages(&named)).await;
    let told = told(&server, "").await;
    assert_eq!(
        met(&told, "content blocks"),
        pairs(&[
            ("text", 2),
            ("server_tool_use", 4),
            ("bash_code_execution_tool_result", 4)
        ])
    );
    assert_eq!(met(&told, "stop reasons"), pairs(&[("end_turn", 2)]));
    assert_eq!(met(&told, "errors of tools"), pairs(&[("unavailable", 2)]));
    assert_eq!(
        met(&told, "containers"),
        pairs(&[("new", 1), ("reused", 1)])
    );
    assert_eq!(
        met(&told, "kinds of answers"),
        pairs(&[("plain", 1), ("streaming", 1)])
    );
    assert_eq!(
        met(&told, "tool versions"),
        pairs(&[("code_execution_20250825", 2)])
    );
    assert_eq!(met(&told, "endpoints"), pairs(&[("POST /v1/messages", 2)]));
    assert_eq!(met(&told, "HTTP statuses"), pairs(&[("200", 2)]));
    // Of the stream alone.
    let deltas = met(&told, "deltas");
    assert_eq!(
        deltas
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ["text_delta", "input_json_delta"]
    );
    assert_eq!(deltas[0].1, 1);
    assert_eq!(item(&told, "events", "message_stop")["count"], 1);
    let pause = item(&told, "stop reasons", "pause_turn");
    assert_eq!(
        (&pause["counts"], &pause["show"]["fault"]),
        (&json!(true), &json!({"at": "turn", "do": "pause_turn"}))
    );
    assert!(
        told["not_used"]
            .as_array()
            .unwrap()
            .contains(&json!("batches"))
    );
    let verdict = server.control("GET", "verify", &Value::Null).await;
    assert_eq!(verdict.get("coverage"), None);
}

#[tokio::test]
async fn faults_show_what_they_cause_and_a_retry_is_seen() {
    let server =
        running(json!([{"text": "one two three four five six seven"}, {"bash": "true"}])).await;
    let body = code_prompt("go");
    let faults = json!([
        {"at": "http", "status": 429, "path": "/v1/messages"},
        {"at": "http", "status": 529, "path": "/v1/messages", "nth": 2},
        {"at": "stream", "type": "overloaded_error", "after_events": 4, "nth": 1},
        {"at": "http", "status": 400, "error_code": "storage_quota_exceeded", "path": "/v1/files"},
    ]);
    server.control("POST", "faults", &faults).await;
    let request = server.messages(&streamed(body.clone()));
    for _ in 0..4 {
        server.send(&request).await;
    }
    server.send(&server.request("GET", "/v1/files")).await;
    let now = told(&server, "").await;
    assert_eq!(
        met(&now, "HTTP statuses"),
        pairs(&[("200", 2), ("400", 1), ("429", 1), ("529", 1)])
    );
    assert_eq!(
        met(&now, "retries"),
        pairs(&[
            ("after 429", 1),
            ("after 529", 1),
            ("after a lost answer", 1)
        ])
    );
    assert_eq!(
        met(&now, "error types"),
        pairs(&[
            ("invalid_request_error", 1),
            ("rate_limit_error", 1),
            ("overloaded_error", 2)
        ])
    );
    assert_eq!(
        met(&now, "error codes"),
        pairs(&[("storage_quota_exceeded", 1)])
    );
    assert_eq!(item(&now, "events", "error")["count"], 1);
}

#[tokio::test]
async fn pauses_are_met_and_continued_and_containers_are_over() {
    let server = running(json!([{"bash": "true"}, {"text": "b"}])).await;
    let body = code_prompt("go");
    server
        .control(
            "POST",
            "faults",
            &json!([
                {"at": "turn", "do": "pause_turn", "inside": true},
                {"at": "turn", "do": "expire_container", "nth": 2},
                {"at": "turn", "do": "stop", "stop_reason": "refusal", "nth": 2},
            ]),
        )
        .await;
    let paused = server.message(&body).await;
    let container = paused["container"]["id"].clone();
    let mut next = then(body.clone(), &paused, &Value::Null);
    next["container"] = container.clone();
    server.message(&next).await;
    let mut named = body;
    named["container"] = container;
    server.message(&named).await;
    named["container"] = json!("container_none");
    assert_eq!(server.send(&server.messages(&named)).await.status, 404);
    let told = told(&server, "").await;
    assert_eq!(
        met(&told, "pauses"),
        pairs(&[("continued", 1), ("continued in a call", 1)])
    );
    assert_eq!(
        met(&told, "containers"),
        pairs(&[("new", 1), ("reused", 1), ("expired", 1), ("missing", 1)])
    );
    assert_eq!(
        met(&told, "stop reasons"),
        pairs(&[("end_turn", 1), ("pause_turn", 1), ("refusal", 1)])
    );
}

#[tokio::test]
async fn results_of_batches_count_when_they_are_read() {
    let server = running(json!([{"text": "b"}])).await;
    server
        .rules(&json!([
            {"when": {"user": "good"}, "then": [{"text": "good"}]},
            {"when": {"user": "bad"}, "then": [{"http_error": 500}]},
        ]))
        .await;
    let items: Vec<_> = ["good", "bad"]
        .iter()
        .map(|id| json!({"custom_id": id, "params": prompt(id)}))
        .collect();
    let request = server
        .request("POST", "/v1/messages/batches")
        .json(&json!({ "requests": items }));
    let batch = server.send(&request).await.json();
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.send(&server.request("GET", &path)).await.json()["processing_status"] != "ended" {
        assert!(Instant::now() < deadline, "the batch does not end");
        tokio::task::yield_now().await;
    }
    assert_eq!(met(&told(&server, "").await, "results of batches"), []);
    server
        .send(&server.request("GET", &format!("{path}/results")))
        .await;
    let told = told(&server, "").await;
    assert_eq!(
        met(&told, "results of batches"),
        pairs(&[("succeeded", 1), ("errored", 1)])
    );
    assert!(
        !told["not_used"]
            .as_array()
            .unwrap()
            .contains(&json!("batches"))
    );
    assert_eq!(
        item(&told, "results of batches", "canceled")["counts"],
        true
    );
}

#[tokio::test]
async fn recorded_answers_count_like_others() {
    let server = TestServer::start().await;
    let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"container\":{\"id\":\"container_1\"}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"bash_code_execution_tool_result\",\"tool_use_id\":\"srvtoolu_1\",\"content\":{\"type\":\"bash_code_execution_tool_result_error\",\"error_code\":\"container_expired\"}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"of_tomorrow\"}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"pause_turn\"},\"usage\":{}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let cassette = json!({"cassette": 1, "exchanges": [{
        "request": {"method": "POST", "path": "/v1/messages", "body": {"json": streamed(prompt("go"))}},
        "response": {"status": 200, "headers": {"content-type": "text/event-stream"}, "body": {"stream": stream}}}]});
    let mount = server
        .request("PUT", "/_sandtable/cassettes")
        .body(cassette.to_string());
    assert_eq!(server.send(&mount).await.status, 200);
    server.send(&server.messages(&streamed(prompt("go")))).await;
    let told = told(&server, "").await;
    assert_eq!(met(&told, "stop reasons"), pairs(&[("pause_turn", 1)]));
    assert_eq!(
        met(&told, "errors of tools"),
        pairs(&[("container_expired", 1)])
    );
    assert_eq!(met(&told, "kinds of answers"), pairs(&[("streaming", 1)]));
    assert_eq!(met(&told, "containers"), pairs(&[("new", 1)]));
}

#[tokio::test]
async fn a_reset_forgets_for_the_workspace_and_keeps_for_the_run() {
    let server = running(json!([{"text": "a"}])).await;
    server.message(&prompt("go")).await;
    server.control("POST", "reset", &Value::Null).await;
    server.steps(&json!([{"text": "a"}])).await;
    assert_eq!(met(&told(&server, "").await, "stop reasons"), []);
    server.message(&prompt("go")).await;
    assert_eq!(
        met(&told(&server, "").await, "stop reasons"),
        pairs(&[("end_turn", 1)])
    );
    assert_eq!(
        met(&told(&server, "&workspace=*").await, "stop reasons"),
        pairs(&[("end_turn", 2)])
    );
}

#[tokio::test]
async fn a_word_that_is_no_answer_is_refused_with_a_hint() {
    let server = TestServer::start().await;
    let request = server.request("GET", "/_sandtable/verify?coverage=yes");
    let answer = server.send(&request).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.json()["error"]["hint"].is_string());
}

/// Every variant of these enums, by its own name, as it stands in the source.
fn variants(source: &str, name: &str) -> usize {
    let (_, body) = source.split_once(&format!("pub enum {name} {{")).unwrap();
    let body = body.split("\n}").next().unwrap();
    let is_variant = |line: &&str| {
        line.strip_prefix("    ")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    body.lines().filter(is_variant).count()
}

#[test]
fn the_list_has_every_variant_of_the_wire_and_every_row_and_route() {
    let told = report(&Coverage::default().counts());
    let names = |area: Area| -> BTreeSet<String> {
        let area = told.areas.iter().find(|known| known.name == area.name());
        let items = area.unwrap().items.iter();
        items.map(|item| item.name.clone()).collect()
    };
    let block = include_str!("../../crates/wire/src/block.rs");
    let event = include_str!("../../crates/wire/src/event.rs");
    // A text with citations is a text.
    assert_eq!(
        names(Area::Blocks).len(),
        variants(block, "ContentBlock") - 1
    );
    assert_eq!(names(Area::Deltas).len(), variants(event, "Delta"));
    assert_eq!(names(Area::Events).len(), variants(event, "StreamEvent"));
    let errors = names(Area::ToolErrors);
    assert!(
        wire::ToolErrorCode::NAMES
            .iter()
            .all(|code| errors.contains(*code))
    );
    let page = include_str!("../../docs/ERRORS.md");
    let (_, requests) = page.split_once("## Errors of a request\n").unwrap();
    let requests = requests.split("\n## ").next().unwrap();
    for row in requests
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
    {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        assert!(names(Area::Statuses).contains(cells[1]), "{row}");
        assert!(names(Area::ErrorTypes).contains(cells[2]), "{row}");
        assert!(
            cells[3] == "–" || names(Area::ErrorCodes).contains(cells[3]),
            "{row}"
        );
    }
    let endpoints = names(Area::Endpoints);
    let mut routed = 0;
    let path = format!(
        "{}/crates/server/src/api/routes.rs",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    // `(["files", id], GET | HEAD) => …`
    for arm in text.split("\n        ([").skip(1) {
        let (parts, rest) = arm.split_once("], ").unwrap();
        let segments = parts.split(", ").map(|part| match part.strip_prefix('"') {
            Some(fixed) => fixed.trim_end_matches('"'),
            None => "*",
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let (methods, _) = rest.split_once(')').unwrap();
        for method in methods.split(" | ").filter(|method| *method != "HEAD") {
            routed += 1;
            let name = format!("{method} /v1/{path}");
            assert!(endpoints.contains(&name), "{name}");
        }
    }
    assert_eq!(routed, endpoints.len());
}
