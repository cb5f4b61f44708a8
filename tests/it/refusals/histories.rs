//! Requests whose parts are right and do not fit together: histories, files, models, tools.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::refused;
use crate::harness::TestServer;
use crate::harness::server::{code_prompt, prompt};

fn call(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {}})
}

fn server_call(name: &str) -> Value {
    json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": {}})
}

fn answer(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "ok"})
}

fn result(kind: &str, id: &str) -> Value {
    let content = json!({"type": format!("{kind}_error"), "error_code": "unavailable"});
    json!({"type": kind, "tool_use_id": id, "content": content})
}

/// user, assistant, user.
#[expect(
    clippy::needless_pass_by_value,
    reason = "reads best with the values in place"
)]
fn history(assistant: Value, user: Value) -> Value {
    json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": assistant},
        {"role": "user", "content": user},
    ])
}

#[tokio::test]
async fn histories_that_do_not_fit_together_are_refused_with_the_services_words() {
    let server = TestServer::start().await;
    let by_code = |source: &str| {
        let mut call = call("toolu_1");
        call["caller"] = json!({"type": "code_execution_20260120", "tool_id": source});
        call
    };
    let failed =
        json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "", "is_error": true});
    let cases = [
        (
            "a client call is not answered",
            history(json!([call("toolu_1")]), json!("go on")),
        ),
        (
            "one of two is not answered",
            history(
                json!([call("toolu_1"), call("toolu_2")]),
                json!([answer("toolu_2")]),
            ),
        ),
        (
            "an answer after text",
            history(
                json!([call("toolu_1")]),
                json!([{"type": "text", "text": "a"}, answer("toolu_1")]),
            ),
        ),
        (
            "an unanswered call is the last message",
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": [call("toolu_1")]}]),
        ),
        (
            "an answer to nothing",
            history(json!("a"), json!([answer("toolu_9")])),
        ),
        (
            "an answer to a server call",
            history(
                json!([server_call("bash_code_execution")]),
                json!([answer("srvtoolu_1")]),
            ),
        ),
        (
            "an error without a text",
            history(json!([call("toolu_1")]), json!([failed])),
        ),
        (
            "a server call without a result, then text",
            history(json!([server_call("bash_code_execution")]), json!("go on")),
        ),
        (
            "a server call whose tool is not declared",
            history(
                json!([server_call("web_fetch"), call("toolu_1")]),
                json!([answer("toolu_1")]),
            ),
        ),
        (
            "a result without its call",
            history(
                json!([result("bash_code_execution_tool_result", "srvtoolu_9")]),
                json!("go on"),
            ),
        ),
        (
            "a result of another tool",
            history(
                json!([
                    server_call("bash_code_execution"),
                    result("text_editor_code_execution_tool_result", "srvtoolu_1")
                ]),
                json!("go on"),
            ),
        ),
        (
            "a call of code that is not there",
            history(json!([by_code("srvtoolu_9")]), json!([answer("toolu_1")])),
        ),
        (
            "a call of code that waits, without its container",
            history(
                json!([server_call("code_execution"), by_code("srvtoolu_1")]),
                json!([answer("toolu_1")]),
            ),
        ),
        (
            "a prefill",
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "I"}]),
        ),
        (
            "a turn that is over",
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": [
                server_call("bash_code_execution"), result("bash_code_execution_tool_result", "srvtoolu_1"),
                {"type": "text", "text": "Done."},
            ]}]),
        ),
        (
            "a server call of the user",
            json!([{"role": "user", "content": [server_call("bash_code_execution")]}]),
        ),
        ("an empty message", history(json!([]), json!("go on"))),
        (
            "an empty text",
            history(json!("a"), json!([{"type": "text", "text": ""}])),
        ),
    ];
    let mut texts = String::new();
    for (what, messages) in cases {
        let mut body = code_prompt("");
        body["messages"] = messages;
        body["tools"]
            .as_array_mut()
            .expect("tools")
            .push(json!({"name": "f", "input_schema": {"type": "object"},
                         "allowed_callers": ["direct", "code_execution_20260120"]}));
        let (status, kind, message) = refused(&server, &server.messages(&body)).await;
        writeln!(texts, "{what}\n  {status} {kind}: {message}").unwrap();
    }
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn files_of_the_wrong_kind_in_the_wrong_place_or_unknown_are_refused() {
    let server = TestServer::start().await;
    let csv = server.upload("data.csv", "text/csv", "a,b\n").await;
    let text = server.upload("notes.txt", "text/plain", "hi").await;
    let bitmap = server.upload("a.bmp", "image/bmp", "BM").await;
    let unknown = "file_01AAAAAAAAAAAAAAAAAAAAAA";
    let block =
        |kind: &str, id: &str| json!({"type": kind, "source": {"type": "file", "file_id": id}});
    let upload = |id: &str| json!({"type": "container_upload", "file_id": id});
    let user = |block: Value| json!([{"role": "user", "content": [block]}]);
    let with_tool = |messages: Value| {
        let mut body = code_prompt("");
        body["messages"] = messages;
        body
    };
    let mut without_tool = prompt("");
    without_tool["messages"] = user(upload(&csv));
    let cases = [
        (
            "a CSV as a document",
            with_tool(user(block("document", &csv))),
        ),
        ("a text as an image", with_tool(user(block("image", &text)))),
        (
            "an image of another kind",
            with_tool(user(block("image", &bitmap))),
        ),
        (
            "an unknown document",
            with_tool(user(block("document", unknown))),
        ),
        ("an unknown upload", with_tool(user(upload(unknown)))),
        ("an upload without the tool", without_tool),
    ];
    let before = server.state().await;
    let mut texts = String::new();
    for (what, body) in cases {
        let (status, kind, message) = refused(&server, &server.messages(&body)).await;
        writeln!(texts, "{what}\n  {status} {kind}: {message}").unwrap();
    }
    insta::assert_snapshot!(texts);
    assert_eq!(server.state().await, before);
    server.steps(&json!([{"text": "ok"}])).await;
    // A media type may have parameters, and letters of either case.
    for (kind, name, media_type) in [
        ("document", "a", "text/plain"),
        ("document", "a", "text/plain; charset=utf-8"),
        ("document", "a", "TEXT/PLAIN"),
        ("document", "a", "application/PDF"),
        ("image", "a", "IMAGE/PNG"),
        // No media type, but a range of them: the name decides.
        ("image", "a.webp", "image/*"),
    ] {
        let file = server.upload(name, media_type, "hi").await;
        server.message(&with_tool(user(block(kind, &file)))).await;
    }
    // The SDKs' types have it in answers, which come back.
    let answered = with_tool(json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [upload(unknown)]},
        {"role": "user", "content": "b"},
    ]));
    server.message(&answered).await;
}

#[tokio::test]
async fn another_workspaces_file_is_as_unknown_as_one_that_never_was() {
    let server = TestServer::start().await;
    let own = server.upload("data.csv", "text/csv", "a,b\n").await;
    let mut body = code_prompt("");
    body["messages"] =
        json!([{"role": "user", "content": [{"type": "container_upload", "file_id": own}]}]);
    let theirs = server
        .messages(&body)
        .without("x-api-key")
        .header("x-api-key", "sk-ant-other");
    let (status, kind, message) = refused(&server, &theirs).await;
    assert_eq!((status, kind.as_str()), (404, "not_found_error"));
    assert_eq!(message, format!("File `{own}` not found."));
}

#[tokio::test]
async fn an_expired_file_says_so() {
    let server = TestServer::start().await;
    let body = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\na\r\n--b\r\n\
                content-disposition: form-data; name=\"expires_in_seconds\"\r\n\r\n3600\r\n--b--\r\n";
    let upload = server
        .request("POST", "/v1/files")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body);
    let file = server.send(&upload).await.json()["id"].clone();
    server.advance("1h").await;
    let mut body = code_prompt("");
    body["messages"] =
        json!([{"role": "user", "content": [{"type": "container_upload", "file_id": file}]}]);
    let response = server.send(&server.messages(&body)).await;
    assert_eq!(response.status, 404);
    assert_eq!(
        response.json()["error"]["details"]["error_code"],
        "file_expired"
    );
}

#[tokio::test]
async fn what_a_model_does_not_know_is_refused_in_the_services_words() {
    let server = TestServer::start().await;
    let with = |model: &str, key: &str, value: Value| {
        let mut body = prompt("hi");
        body["model"] = json!(model);
        body[key] = value;
        body
    };
    let deferred =
        json!([{"name": "f", "input_schema": {"type": "object"}, "defer_loading": true}]);
    let web = json!([
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "web_fetch_20260209", "name": "web_fetch"},
    ]);
    let mut texts = String::new();
    for body in [
        with(
            "claude-opus-4-7",
            "thinking",
            json!({"type": "enabled", "budget_tokens": 1024}),
        ),
        with("claude-sonnet-4-5", "thinking", json!({"type": "adaptive"})),
        with("claude-opus-5", "tools", deferred),
        with("claude-opus-5", "tools", web),
        with("claude-opus-5", "tool_choice", json!({"type": "any"})),
    ] {
        let mut body = body;
        body["max_tokens"] = json!(4096);
        let (status, kind, message) = refused(&server, &server.messages(&body)).await;
        writeln!(texts, "{status} {kind}: {message}").unwrap();
    }
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn a_pause_replay_is_no_prefill_and_older_models_take_one() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut body = prompt("");
    body["messages"] =
        json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "I"}]);
    body["model"] = json!("claude-sonnet-4-5");
    server.message(&body).await;
}
