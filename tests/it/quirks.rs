//! Each row of `docs/QUIRKS.md` with both of its values on the wire.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, then, with_tool};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Processes, Response, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

/// Sends with `quirk` for this request alone.
async fn with(server: &TestServer, quirk: &str, body: &Value) -> Response {
    let request = server.messages(body).header("x-sandtable-quirk", quirk);
    server.send(&request).await
}

/// The messages that two values of a row give.
async fn both(server: &TestServer, name: &str, values: [&str; 2], body: &Value) -> [Value; 2] {
    let mut messages = Vec::new();
    for value in values {
        let response = with(server, &format!("{name}={value}"), body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        messages.push(response.json());
    }
    messages.try_into().expect("two values give two messages")
}

fn result(message: &Value) -> &Value {
    let blocks = message["content"].as_array().expect("content");
    let block = blocks.iter().find(|block| block["tool_use_id"].is_string());
    &block.expect("a result")["content"]
}

fn naming(container: &Value, text: &str) -> Value {
    let mut body = code_prompt(text);
    body["container"] = container.clone();
    body
}

#[tokio::test]
async fn container_expires_at_is_an_hour_from_the_last_use_or_thirty_days_from_the_first() {
    let server = running(json!([{"bash": "true"}])).await;
    let [rolling, hard] = both(
        &server,
        "container-expires-at",
        ["rolling", "hard"],
        &code_prompt("go"),
    )
    .await;
    assert_eq!(
        rolling["container"]["expires_at"],
        "2030-01-02T04:04:05.000000Z"
    );
    assert_eq!(
        hard["container"]["expires_at"],
        "2030-02-01T03:04:05.000000Z"
    );
}

#[tokio::test]
async fn container_idle_ends_a_container_that_is_not_used() {
    let server = running(json!([{"bash": "true"}])).await;
    let first = server.message(&code_prompt("go")).await;
    let again = naming(&first["container"]["id"], "again");
    server.advance("269s").await;
    let message = with(&server, "container-idle=270s", &again).await.json();
    assert_eq!(result(&message)["return_code"], 0);
    server.advance("270s").await;
    let message = with(&server, "container-idle=none", &again).await.json();
    assert_eq!(result(&message)["return_code"], 0);
    server.advance("270s").await;
    let message = with(&server, "container-idle=270s", &again).await.json();
    assert_eq!(result(&message)["error_code"], "container_expired");
}

#[tokio::test]
async fn expired_container_fails_its_calls_or_the_request() {
    let server = running(json!([{"bash": "true"}])).await;
    let first = server.message(&code_prompt("go")).await;
    let id = first["container"]["id"].as_str().unwrap();
    let body = naming(&first["container"]["id"], "again");
    server
        .control("POST", &format!("containers/{id}/expire"), &Value::Null)
        .await;
    let tool_error = with(&server, "expired-container=tool-error", &body)
        .await
        .json();
    assert_eq!(result(&tool_error)["error_code"], "container_expired");
    assert_eq!(tool_error.get("container"), None);
    let server_error = with(&server, "expired-container=server-error", &body).await;
    assert_eq!(server_error.status, 500);
    assert_eq!(
        server_error.json()["error"],
        json!({"type": "api_error", "message": "Internal server error"})
    );
    // By the beginning of the text clients of today know that they have to go on without it (F061).
    for body in [body.clone(), streamed(body.clone())] {
        let not_found = with(&server, "expired-container=not-found", &body).await;
        assert_eq!(not_found.status, 404);
        let error = not_found.json()["error"].clone();
        assert_eq!(error["type"], "not_found_error");
        let message = error["message"].as_str().expect("a message");
        assert!(message.starts_with("Container not found"), "{message}");
    }
    let request_error = with(&server, "expired-container=request-error", &streamed(body)).await;
    assert_eq!(
        (request_error.status, request_error.message()),
        (400, format!("container: `{id}` has expired"))
    );
}

#[tokio::test]
async fn unknown_container_is_not_found_or_like_an_expired_one() {
    let server = running(json!([{"bash": "true"}])).await;
    let body = naming(&json!("container_01nothing"), "again");
    let missing = with(&server, "unknown-container=not-found", &body).await;
    assert_eq!(
        (missing.status, missing.message().as_str()),
        (404, "Container `container_01nothing` not found.")
    );
    let expired = with(&server, "unknown-container=as-expired", &body)
        .await
        .json();
    assert_eq!(result(&expired)["error_code"], "container_expired");
    assert_eq!(with(&server, "profile=observed", &body).await.status, 500);
}

#[tokio::test]
async fn code_execution_counter_is_there_or_not() {
    let server = running(json!([{"bash": "true"}])).await;
    let [counted, absent] = both(
        &server,
        "code-execution-counter",
        ["counted", "absent"],
        &code_prompt("go"),
    )
    .await;
    assert_eq!(
        counted["usage"]["server_tool_use"]["code_execution_requests"],
        1
    );
    assert_eq!(
        absent["usage"]["server_tool_use"],
        json!({"web_search_requests": 0, "web_fetch_requests": 0})
    );
}

#[tokio::test]
async fn editor_missing_string_and_directory_view_have_the_documented_or_the_seen_code() {
    let server = running(json!([
        {"bash": "mkdir -p folder; echo a > a.txt"},
        {"str_replace": {"path": "a.txt", "old_str": "b", "new_str": "c"}},
        {"view": {"path": "folder"}},
    ]))
    .await;
    let results = |message: &Value| -> Vec<Value> {
        let blocks = message["content"].as_array().unwrap().iter();
        let blocks =
            blocks.filter(|block| block["type"] == "text_editor_code_execution_tool_result");
        blocks.map(|block| block["content"].clone()).collect()
    };
    let documented = results(&server.message(&code_prompt("go")).await);
    assert_eq!(documented[0]["error_code"], "string_not_found");
    assert!(documented[0]["error_message"].is_string());
    assert_eq!(documented[1]["error_code"], "invalid_tool_input");
    let quirks = "editor-missing-string=unavailable, editor-directory-view=unavailable";
    let observed = results(&with(&server, quirks, &code_prompt("go")).await.json());
    assert_eq!(observed[0]["error_code"], "unavailable");
    assert!(observed[0]["error_message"].is_string());
    assert_eq!(
        observed[1]["error_message"],
        "Tool response parsing error for view: Failed to parse tool response as JSON: unexpected character: line 1 column 1 (char 0)"
    );
}

#[tokio::test]
async fn legacy_stdout_newline_is_kept_or_stripped_under_20250522_alone() {
    let server = running(json!([{"python": "print(37170)"}])).await;
    let legacy = with_tool(prompt("go"), "code_execution_20250522");
    let [kept, stripped] = both(
        &server,
        "legacy-stdout-newline",
        ["kept", "stripped"],
        &legacy,
    )
    .await;
    assert_eq!(result(&kept)["stdout"], "37170\n");
    assert_eq!(result(&stripped)["stdout"], "37170");
    server.steps(&json!([{"bash": "echo 37170"}])).await;
    let bash = with(
        &server,
        "legacy-stdout-newline=stripped",
        &code_prompt("go"),
    )
    .await
    .json();
    assert_eq!(result(&bash)["stdout"], "37170\n");
}

#[tokio::test]
async fn server_caller_is_absent_or_direct() {
    let server = running(json!([{"bash": "true"}])).await;
    let [absent, direct] = both(
        &server,
        "server-caller",
        ["absent", "direct"],
        &code_prompt("go"),
    )
    .await;
    assert_eq!(absent["content"][0].get("caller"), None);
    assert_eq!(direct["content"][0]["caller"], json!({"type": "direct"}));
    // Either goes back as it came.
    for message in [absent, direct] {
        server
            .message(&then(code_prompt("go"), &message, &json!("on")))
            .await;
    }
}

#[tokio::test]
async fn pause_container_is_sent_or_omitted_while_code_waits_for_the_client() {
    let server = running(json!([
        {"parallel": [{"bash": "true"}, {"tool_use": {"name": "lookup", "input": {}}}]},
    ]))
    .await;
    let mut body = code_prompt("go");
    let lookup = json!({"name": "lookup", "input_schema": {"type": "object"}});
    body["tools"].as_array_mut().unwrap().push(lookup);
    for body in [body.clone(), streamed(body)] {
        let sent = with(&server, "pause-container=sent", &body).await;
        assert!(
            sent.text().contains(r#""container":{"id":"#),
            "{}",
            sent.text()
        );
        let omitted = with(&server, "pause-container=omit", &body).await;
        assert!(
            !omitted.text().contains("\"container\""),
            "{}",
            omitted.text()
        );
    }
}

#[tokio::test]
async fn editor_keys_are_snake_or_camel_case_and_go_back_as_they_came() {
    let server = running(json!([
        {"create": {"path": "a.txt", "file_text": "a\n"}},
        {"view": {"path": "a.txt"}},
        {"str_replace": {"path": "a.txt", "old_str": "a", "new_str": "b"}},
    ]))
    .await;
    let body = code_prompt("go");
    let [snake, camel] = both(&server, "editor-keys", ["snake_case", "camelCase"], &body).await;
    assert_eq!(snake["content"][3]["content"]["num_lines"], 2);
    assert_eq!(
        [1, 3, 5].map(|index| camel["content"][index]["content"].clone()),
        [
            json!({"type": "text_editor_code_execution_result", "is_file_update": false}),
            json!({"type": "text_editor_code_execution_result", "file_type": "text", "content": "a\n",
                   "numLines": 2, "startLine": 1, "totalLines": 2}),
            json!({"type": "text_editor_code_execution_result", "oldStart": 1, "oldLines": 1,
                   "newStart": 1, "newLines": 1, "lines": ["-a", "+b"]}),
        ]
    );
    server.message(&then(body, &camel, &json!("on"))).await;
}

#[tokio::test]
async fn upload_scope_is_the_newest_turn_or_every_turn() {
    let server = running(json!([{"bash": "cat data.csv 2>/dev/null || echo none"}])).await;
    let file = server.upload("data.csv", "text/csv", "a,b").await;
    let mut body = code_prompt("old");
    body["messages"] = json!([
        {"role": "user", "content": [{"type": "container_upload", "file_id": file}, {"type": "text", "text": "old"}]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "new"},
    ]);
    let [newest, all] = both(&server, "upload-scope", ["newest", "all"], &body).await;
    assert_eq!(result(&newest)["stdout"], "none\n");
    assert_eq!(result(&all)["stdout"], "a,b");
    with(&server, "upload-scope=newest-silently", &body).await;
    let journal = server.journal().await;
    assert!(
        !journal[0]["lints"].to_string().contains("inert"),
        "{}",
        journal[0]
    );
    assert!(
        journal[2]["lints"].to_string().contains("inert"),
        "{}",
        journal[2]
    );
}

#[tokio::test]
async fn capture_workdir_brings_files_back_only_if_the_output_directory_is_empty() {
    let server = running(json!([{"bash": "echo x > \"it's mine.txt\"; echo y > .hidden"}])).await;
    let [never, captured] = both(
        &server,
        "capture-workdir",
        ["never", "when-output-dir-empty"],
        &code_prompt("go"),
    )
    .await;
    assert_eq!(result(&never)["content"], json!([]));
    let file = result(&captured)["content"][0]["file_id"].as_str().unwrap();
    let file = server
        .send(&server.request("GET", &format!("/v1/files/{file}")))
        .await;
    assert_eq!(file.json()["filename"], "it's mine.txt");
    // The same container, nothing new.
    server.steps(&json!([{"bash": "true"}])).await;
    let body = naming(&captured["container"]["id"], "again");
    let again = with(&server, "capture-workdir=when-output-dir-empty", &body)
        .await
        .json();
    assert_eq!(result(&again)["content"], json!([]));
    server
        .steps(&json!([{"bash": "echo a > a.txt; echo b > $OUTPUT_DIR/b.txt"}]))
        .await;
    let both = with(
        &server,
        "capture-workdir=when-output-dir-empty",
        &code_prompt("go"),
    )
    .await
    .json();
    assert_eq!(result(&both)["content"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn era_beta_2025_wants_its_headers_and_has_the_old_shapes() {
    let server = running(json!([{"bash": "echo hi"}])).await;
    server
        .control("PUT", "quirks", &json!({"era": "beta-2025"}))
        .await;
    let refused = server.send(&server.messages(&code_prompt("go"))).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.message(),
        "tools.0: Input tag 'code_execution_20250825' found using 'type' does not match any of the expected tags: \
         'bash_20250124', 'custom', 'text_editor_20250124', 'text_editor_20250429', 'text_editor_20250728', 'web_search_20250305'"
    );
    let files = server.request("GET", "/v1/files");
    let refused = server.send(&files).await;
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (
            400,
            "anthropic-beta: this endpoint requires the `files-api-2025-04-14` beta header"
        )
    );
    let skills = server.send(&server.request("GET", "/v1/skills")).await;
    assert_eq!(skills.status, 400);
    let with_beta = files.header("anthropic-beta", "files-api-2025-04-14");
    assert_eq!(server.send(&with_beta).await.json()["has_more"], false);
    let version = server
        .messages(&prompt("hi"))
        .without("anthropic-version")
        .header("anthropic-version", "2026-10-21");
    assert_eq!(server.send(&version).await.status, 400);

    let beta = |body: &Value| {
        server
            .messages(body)
            .header("anthropic-beta", "code-execution-2025-08-25")
    };
    let plain = server.send(&beta(&code_prompt("go"))).await;
    let old = plain.text();
    assert!(old.starts_with(r#"{"id":"msg_"#), "{old}");
    for later in ["stop_details", "inference_geo", "output_tokens_details"] {
        assert!(!old.contains(later), "{later}: {old}");
    }
    let stream = server.send(&beta(&streamed(code_prompt("go")))).await;
    assert!(!stream.text().contains("stop_details"), "{}", stream.text());
    let folded = fold(&events_of([stream.body.as_slice()]));
    assert_eq!(result(&folded), result(&plain.json()));

    server.control("DELETE", "quirks", &Value::Null).await;
    let current = server.send(&server.messages(&code_prompt("go"))).await;
    assert!(
        current.text().starts_with(r#"{"model":"#),
        "{}",
        current.text()
    );
}

#[tokio::test]
async fn the_profile_is_the_servers_then_the_workspaces_then_the_requests() {
    let server = TestServer::with(|config| {
        let layer = workspace::quirks::Layer::from_text("profile=observed, era=beta-2025");
        config.quirks = config.quirks.with(&layer.unwrap());
    })
    .await;
    let health = server.control("GET", "health", &Value::Null).await;
    assert_eq!(health["profile"], "observed");
    let shown = server.control("GET", "quirks", &Value::Null).await;
    assert_eq!(shown["quirks"]["era"]["value"], "beta-2025");
    assert_eq!(
        shown["quirks"]["expired-container"]["value"],
        "server-error"
    );
    let files = server.request("GET", "/v1/files");
    assert_eq!(server.send(&files).await.status, 400);
    let now = files.clone().header("x-sandtable-quirk", "era=current");
    assert_eq!(server.send(&now).await.status, 200);
    let set = server
        .control(
            "PUT",
            "quirks",
            &json!({"profile": "documented", "free-with-web": "any"}),
        )
        .await;
    assert_eq!(
        (&set["profile"], &set["quirks"]["free-with-web"]["value"]),
        (&json!("documented"), &json!("any"))
    );
    assert_eq!(server.send(&files).await.status, 200);
    let other = files
        .clone()
        .without("x-api-key")
        .header("x-api-key", "another");
    assert_eq!(server.send(&other).await.status, 400, "another workspace");
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(server.send(&files).await.status, 400);
}

#[tokio::test]
async fn an_unknown_quirk_changes_nothing_and_lists_what_there_is() {
    let server = TestServer::start().await;
    for body in [
        json!({"eras": "current"}),
        json!({"profile": "observed", "era": "1999"}),
        json!([]),
    ] {
        let request = server.request("PUT", "/_sandtable/quirks").json(&body);
        let response = server.send(&request).await;
        assert_eq!(response.status, 400);
        assert!(response.json()["error"]["hint"].is_string());
    }
    let shown = server.control("GET", "quirks", &Value::Null).await;
    assert_eq!(shown["profile"], "documented");
    let response = with(&server, "era=1999", &prompt("hi")).await;
    assert_eq!(
        (response.status, response.message().as_str()),
        (
            400,
            "x-sandtable-quirk: `1999` is no value of `era` (hint: one of current, beta-2025)"
        )
    );
}

#[test]
fn the_page_has_every_row_with_every_value_and_both_profiles() {
    let page = include_str!("../../docs/QUIRKS.md");
    let documented = workspace::quirks::Quirks::of(workspace::quirks::Profile::Documented).rows();
    let observed = workspace::quirks::Quirks::of(workspace::quirks::Profile::Observed).rows();
    for ((name, documented, values), (_, observed, _)) in documented.into_iter().zip(observed) {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let line = line.unwrap_or_else(|| panic!("no row for {name}"));
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(
            (cells[2], cells[3]),
            (&*format!("`{documented}`"), &*format!("`{observed}`")),
            "{name}"
        );
        for value in values.iter().filter(|value| !value.starts_with('<')) {
            assert!(line.contains(&format!("`{value}`")), "{name}: {value}");
        }
    }
}

#[tokio::test]
async fn what_lets_more_pass_refuses_nothing_else() {
    let aliases = vec![(
        "code_execution_20991231".to_owned(),
        "code_execution_20250825".to_owned(),
    )];
    let server = TestServer::with(|config| config.tool_aliases = aliases).await;
    server.steps(&json!([{"text": "ok"}])).await;
    let plain = TestServer::start().await;
    plain.steps(&json!([{"text": "ok"}])).await;
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        for body in [
            json!([]),
            json!("x"),
            json!(5),
            json!({"model": "claude-opus-4-6", "max_tokens": 5}),
            json!({"model": "claude-opus-4-6", "messages": 7, "tools": 7}),
            json!({"model": "claude-opus-4-6", "messages": ["x", {"content": ["y"]}], "tools": ["z"]}),
            prompt("hi"),
        ] {
            let told = async |server: &TestServer, quirk: Option<&str>| {
                let mut request = server.request("POST", path).json(&body);
                if let Some(quirk) = quirk {
                    request = request.header("x-sandtable-quirk", quirk);
                }
                let response = server.send(&request).await;
                match response.status {
                    200 => "200".to_owned(),
                    status => format!("{status} {}", response.message()),
                }
            };
            let wanted = told(&plain, None).await;
            assert_eq!(told(&server, None).await, wanted, "{path} {body}");
            let quirk = Some("weak-refusals=taken");
            assert_eq!(told(&plain, quirk).await, wanted, "{path} {body}");
        }
    }
}

#[tokio::test]
async fn server_tools_are_counted_or_refused() {
    let server = running(json!([{"text": "x"}])).await;
    let mut body = code_prompt("go");
    body.as_object_mut().expect("a body").remove("max_tokens");
    let count = async |value: &str| {
        let request = server
            .request("POST", "/v1/messages/count_tokens")
            .json(&body)
            .header("x-sandtable-quirk", &format!("count-server-tools={value}"));
        server.send(&request).await
    };
    let taken = count("taken").await;
    assert!(taken.json()["input_tokens"].as_u64() > Some(0));
    let refused = count("refused").await;
    assert_eq!(refused.status, 400);
    let text = refused.text();
    assert!(
        text.contains(
            "Server tools are not supported in the count_tokens endpoint: code_execution_"
        ),
        "{text}"
    );
}
