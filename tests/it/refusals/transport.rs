//! Refusals before a body is looked at: keys, versions, betas, routes, methods, content types.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::refused;
use crate::harness::server::prompt;
use crate::harness::transcript::golden;
use crate::harness::{Request, TestServer};

#[tokio::test]
async fn a_missing_or_invalid_key_is_unauthenticated() {
    let server = TestServer::start().await;
    let valid = server.messages(&prompt("hi"));
    golden!(
        &server,
        valid.clone().without("x-api-key"),
        valid
            .clone()
            .without("x-api-key")
            .header("x-api-key", "sk-ant-invalid"),
    );
    for (name, value) in [("x-api-key", "schlüssel"), ("authorization", "Bearer ключ")] {
        let request = valid.clone().without("x-api-key").header(name, value);
        let expected = format!("{name}: the value is not ASCII text");
        assert_eq!(
            refused(&server, &request).await,
            (401, "authentication_error".to_owned(), expected)
        );
    }
    for nothing in [
        valid.clone().without("x-api-key").header("x-api-key", ""),
        valid
            .clone()
            .without("x-api-key")
            .header("authorization", "Basic abc"),
        valid
            .clone()
            .without("x-api-key")
            .header("authorization", "Bearer "),
        Request::new("GET", "/v1/files"),
        Request::new("GET", "/v1/nonsense"),
    ] {
        let (status, kind, _) = refused(&server, &nothing).await;
        assert_eq!(
            (status, kind.as_str()),
            (401, "authentication_error"),
            "{nothing:?}"
        );
    }
}

#[tokio::test]
async fn a_missing_version_is_refused_and_an_unknown_one_noted() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let bare = server.messages(&prompt("hi")).without("anthropic-version");
    let (status, _, message) = refused(&server, &bare).await;
    assert_eq!(
        (status, message.as_str()),
        (400, "anthropic-version: header is required")
    );
    let unknown = bare.header("anthropic-version", "2031-01-01").header(
        "anthropic-beta",
        "teleport-2031-01-01, files-api-2025-04-14",
    );
    assert_eq!(server.send(&unknown).await.status, 200);
    let lints = server.journal().await[0]["lints"].clone();
    let said = |at: usize| (lints[at]["code"].clone(), lints[at]["message"].clone());
    assert_eq!(
        [said(0), said(1)],
        [
            (
                json!("unknown_version"),
                json!("unknown version `2031-01-01`: the service refuses it")
            ),
            (
                json!("unknown_beta"),
                json!("unknown beta `teleport-2031-01-01`: the service refuses it")
            ),
        ]
    );
}

#[tokio::test]
async fn a_strict_server_refuses_unknown_versions_and_betas() {
    let server = TestServer::with(|config| config.strict_version = true).await;
    let valid = server.messages(&prompt("hi"));
    golden!(
        &server,
        valid
            .clone()
            .without("anthropic-version")
            .header("anthropic-version", "2023-06-01, 2023-06-01"),
        valid
            .header("anthropic-beta", "a-2031-01-01")
            .header("anthropic-beta", "b-2031-01-01, files-api-2025-04-14"),
    );
}

#[tokio::test]
async fn unknown_routes_and_methods_answer_in_the_envelope() {
    let server = TestServer::start().await;
    golden!(
        &server,
        server.request("GET", "/v1/nonsense"),
        server.request("GET", "/v1/messages"),
        server.request("POST", "/v1/messages/").json(&prompt("hi")),
    );
    for (method, path, status) in [
        ("DELETE", "/v1/messages", 405),
        ("PUT", "/v1/files", 405),
        ("PATCH", "/v1/files/file_1", 405),
        ("POST", "/v1/messages/msg_1", 404),
        ("GET", "/v1", 404),
        ("GET", "/", 404),
    ] {
        let (got, ..) = refused(&server, &server.request(method, path)).await;
        assert_eq!(got, status, "{method} {path}");
    }
}

#[tokio::test]
async fn a_query_does_not_matter() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut request = server.messages(&prompt("hi"));
    request.path = "/v1/messages?beta=true&x=%".to_owned();
    assert_eq!(server.send(&request).await.status, 200);
}

#[tokio::test]
async fn other_content_types_and_encodings_are_refused() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let body = prompt("hi").to_string();
    let with = |name: &str, value: &str| {
        server
            .request("POST", "/v1/messages")
            .header(name, value)
            .body(body.clone())
    };
    golden!(
        &server,
        server.request("POST", "/v1/messages").body(body.clone()),
        with("content-type", "text/plain"),
        with("content-type", "application/json").header("content-encoding", "gzip"),
    );
    for fine in [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.api+json",
    ] {
        assert_eq!(
            server.send(&with("content-type", fine)).await.status,
            200,
            "{fine}"
        );
    }
    let identity = with("content-type", "application/json").header("content-encoding", "identity");
    assert_eq!(server.send(&identity).await.status, 200);
}

#[tokio::test]
async fn a_coding_of_any_body_is_refused_in_whatever_header_it_is_said() {
    let server = TestServer::start().await;
    let skill = [(
        "files[]",
        Some("s/SKILL.md"),
        "---\nname: s\ndescription: d\n---\n",
    )];
    for request in [
        server.messages(&prompt("hi")),
        server
            .request("POST", "/v1/messages/count_tokens")
            .json(&prompt("hi")),
        server
            .request("POST", "/v1/messages/batches")
            .json(&json!({"requests": []})),
        server
            .request("POST", "/v1/files")
            .multipart(&[("file", Some("a.csv"), "a")]),
        server.request("POST", "/v1/skills").multipart(&skill),
    ] {
        for coding in ["br", "gzip"] {
            let request = request.clone().header("content-encoding", "identity");
            let request = request.header("content-encoding", coding);
            let answer = server.send(&request).await;
            assert_eq!(answer.status, 400, "{}", request.path);
            assert_eq!(
                answer.message(),
                format!("The content encoding `{coding}` is not supported")
            );
            let code = &answer.json()["error"]["details"]["error_code"];
            assert_eq!(code, "request_body_encoding_unsupported");
        }
    }
    // Nothing was kept, and where there is no body the header is about nothing.
    let files = server.request("GET", "/v1/files");
    let files = files.header("content-encoding", "gzip");
    assert_eq!(server.send(&files).await.json()["data"], json!([]));
}

#[tokio::test]
async fn texts_that_are_no_json_are_located() {
    let server = TestServer::start().await;
    let mut texts = String::new();
    for text in [
        "",
        " ",
        "{",
        "{\"model\": }",
        "not json",
        "{\"a\":\"line\nbreak\"}",
        "{} {}",
        "{\"a\":1,}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\x\"}",
        "{'a': 1}",
        "{\"a\": 01}",
        "{\"a\": 1e999}",
        "[1, 2",
        "{\"a\" 1}",
        "\u{feff}{}",
        "{\"a\": NaN}",
    ] {
        let request = server
            .request("POST", "/v1/messages")
            .header("content-type", "application/json")
            .body(text);
        let (status, _, message) = refused(&server, &request).await;
        writeln!(texts, "{text:?}\n  {status}: {message}").unwrap();
    }
    let deep = "[".repeat(100_000);
    let request = server
        .request("POST", "/v1/messages")
        .header("content-type", "application/json")
        .body(deep);
    refused(&server, &request).await;
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn a_refused_request_is_in_the_journal_and_an_unauthenticated_one_is_not() {
    let server = TestServer::start().await;
    let wrong = server.messages(&json!({}));
    refused(&server, &wrong).await;
    refused(&server, &wrong.clone().without("x-api-key")).await;
    let entries = server.journal().await;
    let messages: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["path"] == "/v1/messages")
        .collect();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["status"], 400);
}
