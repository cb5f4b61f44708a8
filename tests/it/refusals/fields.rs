//! Every field of a request: missing, of every wrong type, out of range, and unknown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::refused;
use crate::harness::TestServer;
use crate::harness::server::prompt;

/// One value of each JSON type, to be put where another is expected.
fn samples() -> [(&'static str, Value); 6] {
    [
        ("bool", json!(true)),
        ("int", json!(7)),
        ("float", json!(1.5)),
        ("string", json!("some words")),
        ("list", json!([1])),
        ("object", json!({"a": 1})),
    ]
}

/// A request in which every field that is checked is present and right.
fn whole() -> Value {
    json!({
        "model": "claude-opus-4-6",
        "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "ls"}},
                {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content":
                    {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []}},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "ok"}], "is_error": false},
            ]},
        ],
        "tools": [
            {"type": "code_execution_20250825", "name": "code_execution"},
            {"name": "f", "description": "does", "input_schema": {"type": "object"}, "allowed_callers": ["direct"],
             "defer_loading": false},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "container": null,
        "stream": false,
        "stop_sequences": ["end"],
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "temperature": 1.0,
        "top_p": 0.5,
        "top_k": 5,
    })
}

/// Where a field is, what it may be, and the path that a fault there is reported under.
struct Field {
    pointer: &'static str,
    takes: &'static [&'static str],
    path: &'static str,
    required: bool,
}

const fn field(
    pointer: &'static str,
    takes: &'static [&'static str],
    path: &'static str,
    required: bool,
) -> Field {
    Field {
        pointer,
        takes,
        path,
        required,
    }
}

const FIELDS: &[Field] = &[
    field("/model", &["string"], "model", true),
    field("/max_tokens", &["int"], "max_tokens", true),
    field("/messages", &[], "messages", true),
    field("/messages/0", &[], "messages.0", false),
    field("/messages/0/role", &[], "messages.0.role", true),
    field(
        "/messages/0/content",
        &["string"],
        "messages.0.content",
        true,
    ),
    field("/messages/0/content/0", &[], "messages.0.content.0", false),
    field(
        "/messages/0/content/0/type",
        &[],
        "messages.0.content.0",
        true,
    ),
    field(
        "/messages/0/content/0/text",
        &["string"],
        "messages.0.content.0.text.text",
        true,
    ),
    field(
        "/messages/0/content/1/source",
        &[],
        "messages.0.content.1.image.source",
        true,
    ),
    field(
        "/messages/0/content/1/source/type",
        &[],
        "messages.0.content.1.image.source",
        true,
    ),
    field(
        "/messages/0/content/1/source/media_type",
        &["string"],
        "messages.0.content.1.image.source.base64.media_type",
        true,
    ),
    field(
        "/messages/0/content/1/source/data",
        &["string"],
        "messages.0.content.1.image.source.base64.data",
        true,
    ),
    field(
        "/messages/0/content/2/source",
        &[],
        "messages.0.content.2.document.source",
        true,
    ),
    field(
        "/messages/0/content/2/source/data",
        &["string"],
        "messages.0.content.2.document.source.text.data",
        true,
    ),
    field(
        "/messages/1/content/0/thinking",
        &["string"],
        "messages.1.content.0.thinking.thinking",
        true,
    ),
    field(
        "/messages/1/content/0/signature",
        &["string"],
        "messages.1.content.0.thinking.signature",
        true,
    ),
    field(
        "/messages/1/content/1/data",
        &["string"],
        "messages.1.content.1.redacted_thinking.data",
        true,
    ),
    field(
        "/messages/1/content/2/id",
        &["string"],
        "messages.1.content.2.server_tool_use.id",
        true,
    ),
    field(
        "/messages/1/content/2/name",
        &["string"],
        "messages.1.content.2.server_tool_use.name",
        true,
    ),
    field(
        "/messages/1/content/2/input",
        &["object"],
        "messages.1.content.2.server_tool_use.input",
        true,
    ),
    field(
        "/messages/1/content/3/tool_use_id",
        &["string"],
        "messages.1.content.3.bash_code_execution_tool_result.tool_use_id",
        true,
    ),
    field(
        "/messages/1/content/3/content",
        &[],
        "messages.1.content.3.bash_code_execution_tool_result.content",
        true,
    ),
    field(
        "/messages/1/content/3/content/type",
        &[],
        "messages.1.content.3.bash_code_execution_tool_result.content.RequestBash",
        true,
    ),
    field(
        "/messages/1/content/3/content/stdout",
        &["string"],
        "messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.stdout",
        true,
    ),
    field(
        "/messages/1/content/3/content/return_code",
        &["int"],
        "messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.return_code",
        true,
    ),
    field(
        "/messages/1/content/3/content/content",
        &[],
        "messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.content",
        true,
    ),
    field(
        "/messages/1/content/4/id",
        &["string"],
        "messages.1.content.4.tool_use.id",
        true,
    ),
    field(
        "/messages/1/content/4/name",
        &["string"],
        "messages.1.content.4.tool_use.name",
        true,
    ),
    field(
        "/messages/1/content/4/input",
        &["object"],
        "messages.1.content.4.tool_use.input",
        true,
    ),
    field(
        "/messages/2/content/0/tool_use_id",
        &["string"],
        "messages.2.content.0.tool_result.tool_use_id",
        true,
    ),
    field(
        "/messages/2/content/0/content",
        &["string"],
        "messages.2.content.0.tool_result.content",
        false,
    ),
    field(
        "/messages/2/content/0/content/0",
        &[],
        "messages.2.content.0.tool_result.content.0",
        false,
    ),
    field(
        "/messages/2/content/0/is_error",
        &["bool"],
        "messages.2.content.0.tool_result.is_error",
        false,
    ),
    field("/system", &["string"], "system", false),
    field("/system/0", &[], "system.0", false),
    field("/system/0/text", &["string"], "system.0.text.text", true),
    field("/tools", &[], "tools", false),
    field("/tools/0", &[], "tools.0", false),
    field("/tools/0/type", &[], "tools.0", false),
    field(
        "/tools/0/name",
        &[],
        "tools.0.code_execution_20250825.name",
        true,
    ),
    field("/tools/1/name", &["string"], "tools.1.custom.name", true),
    field(
        "/tools/1/description",
        &["string"],
        "tools.1.custom.description",
        false,
    ),
    field(
        "/tools/1/input_schema",
        &[],
        "tools.1.custom.input_schema",
        true,
    ),
    field(
        "/tools/1/input_schema/type",
        &[],
        "tools.1.custom.input_schema.type",
        true,
    ),
    field(
        "/tools/1/allowed_callers",
        &[],
        "tools.1.custom.allowed_callers",
        false,
    ),
    field(
        "/tools/1/defer_loading",
        &["bool"],
        "tools.1.custom.defer_loading",
        false,
    ),
    field("/tool_choice", &[], "tool_choice", false),
    field("/tool_choice/type", &[], "tool_choice", true),
    field(
        "/tool_choice/disable_parallel_tool_use",
        &["bool"],
        "tool_choice.auto.disable_parallel_tool_use",
        false,
    ),
    field("/thinking", &[], "thinking", false),
    field("/thinking/type", &[], "thinking", true),
    field(
        "/thinking/budget_tokens",
        &[],
        "thinking.enabled.budget_tokens",
        true,
    ),
    field("/container", &["string"], "container", false),
    field("/stream", &["bool"], "stream", false),
    field("/stop_sequences", &[], "stop_sequences", false),
    field("/stop_sequences/0", &["string"], "stop_sequences.0", false),
    field("/metadata", &["object"], "metadata", false),
    field("/metadata/user_id", &["string"], "metadata.user_id", false),
    field("/service_tier", &[], "service_tier", false),
    field("/temperature", &["int", "float"], "temperature", false),
    field("/top_p", &["int", "float"], "top_p", false),
    field("/top_k", &["int"], "top_k", false),
];

/// Each generated request, with what the answer must name.
fn cases() -> Vec<(String, Value, &'static str)> {
    let mut cases = Vec::new();
    for field in FIELDS {
        for (kind, sample) in samples() {
            if field.takes.contains(&kind) {
                continue;
            }
            let mut body = whole();
            *body.pointer_mut(field.pointer).expect("the field is there") = sample;
            cases.push((format!("{} is a {kind}", field.pointer), body, field.path));
        }
        if field.required {
            let mut body = whole();
            let (parent, key) = field.pointer.rsplit_once('/').expect("a pointer");
            let parent = body.pointer_mut(parent).expect("the parent is there");
            parent.as_object_mut().expect("an object").remove(key);
            cases.push((format!("{} is missing", field.pointer), body, field.path));
        }
    }
    cases
}

#[tokio::test]
async fn the_whole_request_is_taken() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    server.message(&whole()).await;
}

#[tokio::test]
async fn every_wrong_type_and_every_missing_field_is_refused_with_its_path_and_changes_nothing() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    server.upload("a.txt", "text/plain", "a").await;
    let before = server.state().await;
    let cases = cases();
    assert!(cases.len() >= 150, "{}", cases.len());
    let mut connection = server.connect().await;
    for (what, body, path) in &cases {
        connection.send(&server.messages(body)).await;
        let response = connection.read().await;
        let text = response.text();
        assert_eq!(response.status, 400, "{what}: {text}");
        assert_eq!(
            response.json()["error"]["type"],
            "invalid_request_error",
            "{what}: {text}"
        );
        let message = response.message();
        assert!(message.starts_with(path), "{what}: {message}");
        assert!(message.contains(": "), "{what}: {message}");
    }
    assert_eq!(server.state().await, before);
}

#[tokio::test]
async fn values_out_of_range_are_refused_with_the_bound() {
    let server = TestServer::start().await;
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
        ("/service_tier", json!("gold")),
        ("/temperature", json!(-0.1)),
        ("/temperature", json!(1.1)),
        ("/top_p", json!(2)),
        ("/top_k", json!(-1)),
    ] {
        let mut body = whole();
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

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let server = TestServer::start().await;
    for (kind, sample) in samples().into_iter().filter(|(kind, _)| *kind != "object") {
        let (status, _, message) = refused(&server, &server.messages(&sample)).await;
        assert_eq!(status, 400, "{kind}");
        assert_eq!(
            message, "Input should be a valid dictionary or object to extract fields from",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn the_newest_version_refuses_what_it_dropped() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let plain = prompt("hi");
    let with = |key: &str, value: Value| {
        let mut body = plain.clone();
        body[key] = value;
        body
    };
    let mut texts = String::new();
    for body in [
        with("temperature", json!(1.0)),
        with("top_p", json!(0.5)),
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
            json!([{"role": "user", "content": [{"type": "text", "text": "a", "citations": [{"type": "char_location"}]}]}]),
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
