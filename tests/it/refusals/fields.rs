//! Every field of a request: missing, of every wrong type, out of range, and unknown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::refused;
use super::table::{Case, MESSAGES, NOT_COUNTED, PIXEL, cases, samples, whole};
use crate::harness::server::prompt;
use crate::harness::{Request, TestServer};

/// Sends every case; each must be refused with the path of its fault. Where, what, and the answers,
/// one line for each field and answer.
pub(super) async fn answers(
    server: &TestServer,
    cases: &[Case],
    request: impl Fn(&Value) -> Request,
) -> String {
    let mut connection = server.connect().await;
    let mut lines: Vec<(String, Vec<&str>, String)> = Vec::new();
    for case in cases {
        let what = format!("{} {}", case.field, case.mutation);
        connection.send(&request(&case.body)).await;
        let response = connection.read().await;
        let text = response.text();
        assert_eq!(response.status, 400, "{what}: {text}");
        let kind = &response.json()["error"]["type"];
        assert_eq!(kind, "invalid_request_error", "{what}: {text}");
        let message = response.message();
        assert!(message.starts_with(case.path), "{what}: {message}");
        if case.mutation == "unknown member" {
            let known = message.ends_with("surprise: Extra inputs are not permitted");
            assert!(known, "{what}: {message}");
        } else if !case.field.eq("/") {
            assert!(message.contains(": "), "{what}: {message}");
        }
        let message: String = message.chars().take(200).collect();
        match lines.last_mut() {
            Some((field, mutations, last)) if *field == case.field && *last == message => {
                mutations.push(&case.mutation);
            }
            _ => lines.push((case.field.to_owned(), vec![&case.mutation], message)),
        }
    }
    let mut text = String::new();
    for (field, mutations, message) in lines {
        writeln!(text, "{field} = {}\n  {message}", mutations.join(", ")).unwrap();
    }
    text
}

#[tokio::test]
async fn the_whole_request_is_taken() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut body = whole();
    body["messages"][0]["content"][3]["file_id"] =
        json!(server.upload("a.txt", "text/plain", "a").await);
    // Each is right, and beside thinking and `temperature` they are refused.
    for name in ["top_p", "top_k"] {
        body.as_object_mut().expect("an object").remove(name);
    }
    server.message(&body).await;
    let count = server.request("POST", "/v1/messages/count_tokens");
    let answer = server.send(&count.json(&counted())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The same, as `count_tokens` takes it.
fn counted() -> Value {
    let mut body = whole();
    for name in NOT_COUNTED {
        body.as_object_mut().expect("an object").remove(name);
    }
    let content = body["messages"][0]["content"].as_array_mut();
    content.expect("blocks").pop();
    body
}

#[tokio::test]
async fn every_fault_of_every_field_is_refused_with_its_path_and_changes_nothing() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    server.upload("a.txt", "text/plain", "a").await;
    let before = server.state().await;
    let cases = cases(MESSAGES, &whole());
    assert!(cases.len() >= 500, "{}", cases.len());
    let texts = answers(&server, &cases, |body| server.messages(body)).await;
    assert_eq!(server.state().await, before);
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn counting_refuses_the_same_in_the_same_words_and_what_concerns_the_answer() {
    let server = TestServer::start().await;
    let before = server.state().await;
    let cases = cases(MESSAGES, &counted());
    assert!(cases.len() >= 300, "{}", cases.len());
    let count = |body: &Value| {
        server
            .request("POST", "/v1/messages/count_tokens")
            .json(body)
    };
    let counting = answers(&server, &cases, count).await;
    let mut wholes = cases;
    for case in &mut wholes {
        if case.body.is_object() {
            case.body["max_tokens"] = json!(4096);
        }
    }
    let answering = answers(&server, &wholes, |body| server.messages(body)).await;
    assert_eq!(counting, answering);
    for name in NOT_COUNTED {
        let mut body = counted();
        body[name] = whole()[name].clone();
        let (status, _, message) = refused(&server, &count(&body)).await;
        let expected = format!("{name}: Extra inputs are not permitted");
        assert_eq!((status, message), (400, expected));
    }
    assert_eq!(server.state().await, before);
}

#[tokio::test]
async fn values_out_of_range_are_refused_with_the_bound() {
    let server = TestServer::start().await;
    let file = server.upload("a.txt", "text/plain", "a").await;
    let before = server.state().await;
    let mut texts = String::new();
    for (pointer, value) in [
        ("/model", json!("")),
        ("/max_tokens", json!(-1)),
        ("/max_tokens", json!(1.0)),
        ("/max_tokens", json!(99_999_999_999_999_999_999_f64)),
        ("/messages", json!([])),
        ("/messages/0/role", json!("robot")),
        ("/messages/0/content", json!([])),
        ("/messages/0/content", json!("")),
        ("/messages/0/content/0/type", json!("video")),
        ("/messages/0/content/0/text", json!("")),
        ("/messages/0/content/1/source/type", json!("ftp")),
        (
            "/messages/0/content/1/source/media_type",
            json!("image/svg+xml"),
        ),
        (
            "/messages/0/content/1/source/media_type",
            json!("image/gif"),
        ),
        ("/messages/0/content/1/source/data", json!("aGk=")),
        ("/messages/0/content/1/source/data", json!("no base64")),
        (
            "/messages/0/content/2/source",
            json!({"type": "base64", "media_type": "text/csv", "data": "aGk="}),
        ),
        (
            "/messages/0/content/2/source",
            json!({"type": "base64", "media_type": "application/pdf", "data": "aGk="}),
        ),
        (
            "/messages/1/content/3/content/type",
            json!("code_execution_result"),
        ),
        ("/messages/1/content/3/content/return_code", json!("0")),
        ("/tools/0/type", json!("code_execution_20260104")),
        ("/tools/0/name", json!("python")),
        ("/tools/1/name", json!("has space")),
        ("/tools/1/name", json!("n".repeat(129))),
        ("/tools/1/name", json!("code_execution")),
        ("/tools/1/input_schema/type", json!("array")),
        ("/tools/1/allowed_callers", json!(["anyone"])),
        ("/tools/1/allowed_callers", json!([7])),
        ("/tool_choice/type", json!("maybe")),
        ("/tool_choice", json!({"type": "tool"})),
        ("/tool_choice", json!({"type": "tool", "name": "nobody"})),
        ("/thinking/type", json!("sometimes")),
        ("/thinking/budget_tokens", json!(1023)),
        ("/thinking/budget_tokens", json!(4096)),
        ("/container", json!({"id": 7})),
        ("/container", json!({"identity": "x"})),
        (
            "/container",
            json!({"skills": [{"type": "own", "skill_id": "x"}]}),
        ),
        ("/container", json!({"skills": [{"type": "custom"}]})),
        (
            "/container",
            json!({"skills": [{"type": "anthropic", "skill_id": "odt"}]}),
        ),
        ("/container/skills/0/version", json!("20200101")),
        (
            "/container/skills",
            json!([{"type": "anthropic", "skill_id": "xlsx", "extra": 1}]),
        ),
        ("/container/id", json!("container_1")),
        ("/container/id", json!("")),
        ("/messages/0/content/3/file_id", json!("")),
        ("/messages/0/content/3/file_id", json!("file_1")),
        (
            "/messages/0/content/0/cache_control/type",
            json!("permanent"),
        ),
        ("/messages/0/content/0/cache_control/ttl", json!("2h")),
        ("/messages/1/content/5/content/file_type", json!("video")),
        (
            "/messages/1/content/5/content/type",
            json!("text_editor_code_execution_insert_result"),
        ),
        ("/system/0/type", json!("image")),
        ("/tools/0/allowed_callers", json!(["model"])),
        ("/tools/1/name", json!("")),
        ("/stop_sequences/0", json!(null)),
        ("/inference_geo", json!(7)),
        ("/speed", json!("slow")),
        ("/output_config/effort", json!("most")),
        ("/output_config/format/type", json!("yaml")),
        ("/cache_control/type", json!("forever")),
        ("/service_tier", json!("gold")),
        ("/temperature", json!(-0.1)),
        ("/temperature", json!(1.1)),
        ("/top_p", json!(2)),
        ("/top_k", json!(-1)),
    ] {
        let mut body = whole();
        body["messages"][0]["content"][3]["file_id"] = json!(file);
        *body
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{pointer}")) = value.clone();
        let (status, kind, message) = refused(&server, &server.messages(&body)).await;
        let value = value.to_string();
        let value = if value.len() > 60 {
            "a long one".to_owned()
        } else {
            value
        };
        writeln!(texts, "{pointer} = {value}\n  {status} {kind}: {message}").unwrap();
    }
    assert_eq!(server.state().await, before);
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn an_unknown_field_is_refused_unless_a_beta_may_have_brought_it() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut body = prompt("hi");
    body["mcp_servers"] = json!([]);
    let request = server.messages(&body);
    let (status, _, message) = refused(&server, &request).await;
    assert_eq!(
        (status, message.as_str()),
        (400, "mcp_servers: Extra inputs are not permitted")
    );
    let with_beta = request.header("anthropic-beta", "mcp-client-2025-11-20");
    assert_eq!(server.send(&with_beta).await.status, 200);
}

/// Tools, blocks, and members that only the types of betas have.
#[tokio::test]
async fn with_a_beta_its_tools_blocks_and_members_are_taken() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut body = prompt("hi");
    body["tools"] = json!([
        {"type": "computer_20251124", "name": "computer", "display_width_px": 1, "display_height_px": 1},
        {"type": "mcp_toolset", "mcp_server_name": "docs"},
    ]);
    body["messages"] = json!([
        {"role": "user", "content": [{"type": "text", "text": "a", "surprise": 1}]},
        {"role": "assistant", "content": [
            {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "f", "server_name": "docs", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "content": "ok", "is_error": false},
            {"type": "text", "text": "b"},
        ]},
        {"role": "user", "content": "c"},
    ]);
    let request = server.messages(&body);
    assert_eq!(refused(&server, &request).await.0, 400);
    let with_beta = request.header("anthropic-beta", "mcp-client-2025-11-20");
    let answer = server.send(&with_beta).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_toolset_needs_no_name() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut body = prompt("hi");
    body["tools"] = json!([
        {"type": "computer_toolset_20260801", "configs": {}},
        {"type": "browser_toolset_20260801"},
    ]);
    server.message(&body).await;
    body["tools"][1]["name"] = json!("browser");
    let (_, _, message) = refused(&server, &server.messages(&body)).await;
    assert_eq!(
        message,
        "tools.1.browser_toolset_20260801.name: Extra inputs are not permitted"
    );
}

#[tokio::test]
async fn an_inline_pdf_and_every_kind_of_image_are_taken() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let image = |kind: &str, data: &str| {
        let source = json!({"type": "base64", "media_type": format!("image/{kind}"), "data": data});
        json!({"type": "image", "source": source})
    };
    let mut body = prompt("hi");
    body["messages"][0]["content"] = json!([
        image("png", PIXEL),
        image("jpeg", "/9j/4AA="),
        image("gif", "R0lGODlh"),
        image("webp", "UklGRgAAAABXRUJQ"),
        {"type": "document", "source":
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}},
        {"type": "text", "text": "hi"},
    ]);
    server.message(&body).await;
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let server = TestServer::start().await;
    for (kind, sample) in samples().into_iter().filter(|(kind, _)| *kind != "object") {
        let (status, _, message) = refused(&server, &server.messages(&sample)).await;
        assert_eq!(status, 400, "{kind}");
        assert_eq!(
            message, "Input does not match the expected shape.",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn the_newest_version_refuses_what_it_dropped() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut plain = prompt("hi");
    // Current models refuse `top_k` under every version.
    plain["model"] = json!("claude-of-tomorrow");
    let with = |key: &str, value: Value| {
        let mut body = plain.clone();
        body[key] = value;
        body
    };
    let mut texts = String::new();
    for body in [
        with("temperature", json!(1.0)),
        with("top_p", json!(1.0)),
        with("top_k", json!(5)),
        with(
            "messages",
            json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]},
            {"role": "user", "content": "b"}]),
        ),
        with(
            "messages",
            json!([{"role": "user", "content": [{"type": "text", "text": "a", "citations": [
                {"type": "char_location", "cited_text": "a", "document_index": 0, "document_title": null,
                 "start_char_index": 0, "end_char_index": 1}]}]}]),
        ),
    ] {
        let old = server.messages(&body);
        assert_eq!(server.send(&old).await.status, 200, "{body}");
        let new = old
            .without("anthropic-version")
            .header("anthropic-version", "2026-10-21");
        let (status, kind, message) = refused(&server, &new).await;
        writeln!(texts, "{status} {kind}: {message}").unwrap();
    }
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn an_item_of_a_batch_is_refused_in_the_words_of_messages() {
    let server = TestServer::start().await;
    let mut body = whole();
    // No batch takes it.
    body.as_object_mut().expect("an object").remove("speed");
    let mut cases = cases(MESSAGES, &body);
    cases.retain(|case| case.body.is_object());
    let items = cases.iter().enumerate();
    let items: Vec<Value> = items
        .map(|(n, case)| json!({"custom_id": n.to_string(), "params": case.body}))
        .collect();
    let path = "/v1/messages/batches";
    let request = server
        .request("POST", path)
        .json(&json!({"requests": items}));
    let mut batch = server.send(&request).await.json();
    let path = format!("{path}/{}", batch["id"].as_str().expect("an id"));
    while batch["processing_status"] != "ended" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        batch = server.send(&server.request("GET", &path)).await.json();
    }
    assert_eq!(batch["request_counts"]["errored"], cases.len(), "{batch}");
    let results = server.request("GET", &format!("{path}/results"));
    let results = server.send(&results).await;
    let mut connection = server.connect().await;
    for (case, line) in cases.iter().zip(results.text().lines()) {
        let result: Value = serde_json::from_str(line).expect("a line of JSON");
        connection.send(&server.messages(&case.body)).await;
        let plain = connection.read().await.json();
        let error = &result["result"]["error"]["error"];
        assert_eq!(*error, plain["error"], "{} {}", case.field, case.mutation);
    }
}
