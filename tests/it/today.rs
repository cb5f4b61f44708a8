//! The output of the service since the summer of 2026, and the quirks of older traffic (`docs/service`, facts of
//! 2026-08 to 2026-10). The recordings themselves are compared in `recordings`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, then};
use crate::harness::sse::{Event, events_of};
use crate::harness::{Processes, Response, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

async fn with(server: &TestServer, quirks: &str, body: &Value) -> Response {
    let mut request = server.messages(body);
    if !quirks.is_empty() {
        request = request.header("x-sandtable-quirk", quirks);
    }
    let response = server.send(&request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response
}

fn events(response: &Response) -> Vec<Event> {
    events_of([response.text().as_bytes()])
}

fn named<'a>(events: &'a [Event], name: &str) -> Vec<&'a Value> {
    let of_it = events.iter().filter(|(event, _)| event == name);
    of_it.map(|(_, data)| data).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// The key before `name` and the one after it.
fn around<'a>(value: &'a Value, name: &str) -> [&'a str; 2] {
    let keys = keys(value);
    let at = keys.iter().position(|key| *key == name);
    let at = at.unwrap_or_else(|| panic!("no `{name}` in {keys:?}"));
    [keys[at - 1], keys.get(at + 1).copied().unwrap_or_default()]
}

#[tokio::test]
async fn an_answer_without_code_has_a_null_for_its_container_at_its_places() {
    let server = running(json!([{"text": "Hello."}])).await;
    let plain = with(&server, "", &prompt("hi")).await.json();
    assert_eq!(plain["container"], Value::Null);
    assert_eq!(around(&plain, "container"), ["content", "stop_reason"]);
    let all = events(&with(&server, "", &streamed(prompt("hi"))).await);
    let start = &named(&all, "message_start")[0]["message"];
    assert_eq!(around(start, "container"), ["content", "stop_reason"]);
    let delta = &named(&all, "message_delta")[0]["delta"];
    assert_eq!(
        (delta.get("container"), keys(delta).last()),
        (Some(&Value::Null), Some(&"container"))
    );

    let older = with(&server, "no-container=absent", &prompt("hi")).await;
    assert!(!older.text().contains("container"), "{}", older.text());
    let older = with(&server, "no-container=absent", &streamed(prompt("hi"))).await;
    assert!(!older.text().contains("container"), "{}", older.text());

    // Recorded where code ran; of a request with its tool nobody knows yet whether it will.
    let server = running(json!([{"text": "Hello."}])).await;
    let all = events(&with(&server, "", &streamed(code_prompt("hi"))).await);
    let start = &named(&all, "message_start")[0]["message"];
    assert_eq!(start.get("container"), None);
    let delta = &named(&all, "message_delta")[0]["delta"];
    assert_eq!(delta.get("container"), Some(&Value::Null));

    // Where code ran there is one, whatever the quirk.
    let server = running(json!([{"bash": "true"}])).await;
    for quirks in ["", "no-container=absent"] {
        let ran = with(&server, quirks, &code_prompt("go")).await.json();
        assert!(ran["container"]["id"].is_string(), "{ran}");
    }
}

#[tokio::test]
async fn a_hidden_thought_is_one_empty_delta_before_its_signature() {
    let server = running(json!([{"thinking": "two and two"}, {"text": "Four."}])).await;
    let mut body = streamed(prompt("sum"));
    for (display, quirks, expected) in [
        ("omitted", "", vec!["thinking_delta", "signature_delta"]),
        (
            "omitted",
            "hidden-thinking=signature-alone",
            vec!["signature_delta"],
        ),
    ] {
        body["thinking"] = json!({"type": "adaptive", "display": display});
        let all = events(&with(&server, quirks, &body).await);
        let deltas: Vec<&Value> = named(&all, "content_block_delta")
            .into_iter()
            .filter(|data| data["index"] == 0)
            .map(|data| &data["delta"])
            .collect();
        let found: Vec<&str> = deltas
            .iter()
            .map(|delta| delta["type"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{quirks}");
        assert!(
            deltas
                .iter()
                .all(|delta| delta["thinking"].as_str().is_none_or(str::is_empty)),
            "nothing of the thought is told: {deltas:?}"
        );
    }
}

#[tokio::test]
async fn citations_of_documents_have_no_file_id_unless_a_script_says_so() {
    let page = json!({"type": "char_location", "cited_text": "rain", "document_index": 0,
                      "document_title": "Weather", "start_char_index": 0, "end_char_index": 4});
    let server = running(json!([{"text": "It rains.", "citations": [page]}])).await;
    let mut body = prompt("weather?");
    body["messages"][0]["content"] = json!([
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "rain"},
         "citations": {"enabled": true}},
        {"type": "text", "text": "weather?"},
    ]);
    let answer = with(&server, "", &body).await.json();
    let cited = &answer["content"][0]["citations"][0];
    assert_eq!(cited["type"], "char_location", "{answer}");
    assert_eq!(cited.get("file_id"), None);
    let stream = with(&server, "", &streamed(body)).await;
    assert!(stream.text().contains("citations_delta"));
    assert!(!stream.text().contains("file_id"), "{}", stream.text());
}

#[tokio::test]
async fn output_tokens_have_details_with_thinking_and_from_4_7_on() {
    let server = running(json!([{"text": "Four."}])).await;
    let details = async |model: &str, thinks: bool, quirks: &str| {
        let mut body = prompt("sum");
        body["model"] = json!(model);
        body["max_tokens"] = json!(2048);
        if thinks {
            body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
        }
        let answer = with(&server, quirks, &body).await.json();
        answer["usage"].get("output_tokens_details").cloned()
    };
    let none = Some(json!({"thinking_tokens": 0}));
    assert_eq!(details("claude-haiku-4-5", true, "").await, none);
    assert_eq!(details("claude-haiku-4-5", false, "").await, None);
    assert_eq!(
        details("claude-haiku-4-5", true, "thinking-details=by-model").await,
        None
    );
    assert_eq!(details("claude-opus-4-6", true, "").await, none);
    assert_eq!(details("claude-opus-4-7", false, "").await, none);
    assert_eq!(
        details("claude-opus-4-7", false, "thinking-details=by-model").await,
        none
    );
}

#[tokio::test]
async fn a_fetched_page_has_a_time_without_a_zone_a_null_title_and_the_asked_citations() {
    let server = TestServer::start().await;
    let rules = json!([{
        "web": [{"fetch": "https://a.example/*", "text": "Rain."}],
        "then": [{"web_fetch": "https://a.example/x"}, {"text": "Rain."}],
    }]);
    server.script(&rules.to_string()).await;
    let fetched = async |citations: Value, quirks: &str| {
        let mut body = prompt("see https://a.example/x");
        body["tools"] = json!([{"type": "web_fetch_20250910", "name": "web_fetch"}]);
        if !citations.is_null() {
            body["tools"][0]["citations"] = citations;
        }
        let answer = with(&server, quirks, &body).await.json();
        let blocks = answer["content"].as_array().unwrap();
        let result = blocks
            .iter()
            .find(|block| block["type"] == "web_fetch_tool_result");
        result.expect("a result")["content"].clone()
    };
    let page = fetched(json!({"enabled": false}), "").await;
    assert_eq!(page["retrieved_at"], "2030-01-02T03:04:05.000000", "{page}");
    assert_eq!(page["content"].get("title"), Some(&Value::Null));
    assert_eq!(page["content"]["citations"], json!({"enabled": false}));
    let page = fetched(json!({"enabled": true}), "").await;
    assert_eq!(page["content"]["citations"], json!({"enabled": true}));

    let older = "fetch-document=until-2026-05";
    let page = fetched(json!({"enabled": false}), older).await;
    assert_eq!(
        page["retrieved_at"], "2030-01-02T03:04:05.000000+00:00",
        "{page}"
    );
    assert_eq!(page["content"].get("title"), None);
    assert_eq!(page["content"].get("citations"), None);
    let page = fetched(json!({"enabled": true}), older).await;
    assert_eq!(page["content"]["citations"], json!({"enabled": true}));
}

#[tokio::test]
async fn an_upload_that_is_downloaded_in_the_beta_shape_is_refused_without_details() {
    let server = TestServer::start().await;
    let upload = server
        .request("POST", "/v1/files")
        .multipart(&[("file", Some("a.txt"), "x")]);
    let id = server.send(&upload).await.json()["id"].clone();
    let path = format!("/v1/files/{}/content", id.as_str().unwrap());
    let plain = server.request("GET", &path);
    let refused = server.send(&plain).await;
    assert_eq!(refused.status, 400);
    let beta = server
        .request("GET", &path)
        .header("anthropic-beta", "files-api-2025-04-14");
    let error = &server.send(&beta).await.json()["error"];
    assert_eq!(keys(error), ["type", "message"], "{error}");
}

#[tokio::test]
async fn diagnostics_are_null_where_they_are_asked_for() {
    let server = running(json!([{"text": "Hello."}])).await;
    let plain = with(&server, "", &prompt("hi")).await.json();
    assert_eq!(plain.get("diagnostics"), None);
    let mut body = prompt("hi");
    body["diagnostics"] = json!({"previous_message_id": null});
    let request = server
        .messages(&body)
        .header("anthropic-beta", "cache-diagnosis-2026-04-07");
    let asked = server.send(&request).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    assert_eq!(asked.json().get("diagnostics"), Some(&Value::Null));
}

#[tokio::test]
async fn a_turn_pauses_after_as_many_rounds_as_its_quirk_says() {
    let steps: Vec<Value> = (0..20)
        .map(|n| json!({"bash": format!("echo {n}")}))
        .collect();
    let server = running(json!(steps)).await;
    let results = |message: &Value| {
        let blocks = message["content"].as_array().unwrap().iter();
        blocks
            .filter(|block| block["tool_use_id"].is_string())
            .count()
    };
    for (quirks, expected) in [("", 10), ("turn-iterations=16", 16)] {
        server.control("POST", "reset", &Value::Null).await;
        server.steps(&json!(steps)).await;
        let paused = with(&server, quirks, &code_prompt("go")).await.json();
        assert_eq!(
            (results(&paused), &paused["stop_reason"]),
            (expected, &json!("pause_turn"))
        );
    }
}

#[tokio::test]
async fn a_system_message_goes_on_with_the_turn_that_it_interrupts() {
    let steps =
        json!([{"bash": "echo one"}, "pause_turn", {"bash": "echo two"}, {"text": "Done."}]);
    let server = running(steps).await;
    let first = with(&server, "", &code_prompt("go")).await.json();
    assert_eq!(first["stop_reason"], "pause_turn");
    let mut next = then(code_prompt("go"), &first, &Value::Null);
    let system = json!({"role": "system", "content": "Be brief."});
    next["messages"].as_array_mut().unwrap().push(system);
    next["container"] = first["container"]["id"].clone();
    let second = with(&server, "", &next).await.json();
    assert_eq!(
        second["content"][1]["content"]["stdout"], "two\n",
        "{second}"
    );
    assert_eq!(second["content"][2]["text"], "Done.");

    // After a client tool's result.
    let ask = json!({"tool_use": {"name": "weather", "input": {"city": "Oslo"}}});
    let server = running(json!([ask, {"text": "Cold."}])).await;
    let mut body = prompt("weather?");
    body["tools"] = json!([{"name": "weather", "input_schema": {"type": "object"}}]);
    let called = with(&server, "", &body).await.json();
    assert_eq!(called["stop_reason"], "tool_use", "{called}");
    let result = json!([{"type": "tool_result", "tool_use_id": called["content"][0]["id"], "content": "cold"}]);
    let mut next = then(body, &called, &result);
    let system = json!({"role": "system", "content": "Be brief."});
    next["messages"].as_array_mut().unwrap().push(system);
    let said = with(&server, "", &next).await.json();
    assert_eq!(said["content"][0]["text"], "Cold.", "{said}");
}

#[tokio::test]
async fn a_conversation_may_begin_with_an_assistant_message() {
    let server = running(json!([{"text": "Hello."}])).await;
    let mut body = prompt("hi");
    let first = json!({"role": "assistant", "content": "How can I help?"});
    body["messages"].as_array_mut().unwrap().insert(0, first);
    with(&server, "", &body).await;
}

/// Each row of the page is set by a test, as `name=…` or as `"name"`.
#[test]
fn every_quirk_has_a_test() {
    let page = include_str!("../../docs/QUIRKS.md");
    let tests = [
        include_str!("quirks.rs"),
        include_str!("refusals/quoted.rs"),
        include_str!("today.rs"),
    ]
    .concat();
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let named = tests.contains(&format!("{name}=")) || tests.contains(&format!("\"{name}\""));
        assert!(named, "no test sets the quirk `{name}`");
    }
}
