//! Blocks of the service's own work, beside code and the web: by script, plain and streamed, and how they come back.

mod fallbacks;

use serde_json::{Value, json};

use crate::harness::server::{kinds, prompt, streamed};
use crate::harness::sse::{events_of, fold};
use crate::harness::transcript::Transcript;
use crate::harness::{Request, TestServer};

const BETAS: &str = "advisor-tool-2026-03-01, mcp-client-2025-11-20, compact-2026-01-12, \
    server-side-fallback-2026-07-01, context-management-2025-06-27, thinking-display-updates-2026-08-18";

fn asked(server: &TestServer, body: &Value) -> Request {
    server.messages(body).header("anthropic-beta", BETAS)
}

/// The answer, which is the same plain and streamed but for ids.
async fn answer(server: &TestServer, body: &Value) -> Value {
    let response = server.send(&asked(server, body)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let plain = response.json();
    let response = server.send(&asked(server, &streamed(body.clone()))).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let folded = fold(&events_of([response.body.as_slice()]));
    assert_eq!(
        nameless(&plain),
        nameless(&folded),
        "the fold of the stream"
    );
    plain
}

/// The same without ids, which differ by what the client has sent, and without what is sealed.
fn nameless(message: &Value) -> Value {
    let mut message = message.clone();
    hide(&mut message);
    message
}

/// A compaction's signature says in which message it came.
fn is_of_a_compaction(key: &str, value: &Value) -> bool {
    let ours = model::compaction_signature("");
    let ours = ours.trim_end_matches('=');
    key == "signature"
        && value
            .as_str()
            .is_some_and(|text| text.starts_with(&ours[..16]))
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter_mut() {
                let is_sealed = is_of_a_compaction(key, value);
                if key == "id" || key == "tool_use_id" || is_sealed {
                    *value = json!("ID");
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn refused(server: &TestServer, body: &Value) -> String {
    let response = server.send(&asked(server, body)).await;
    assert_eq!(response.status, 400, "{}", response.text());
    response.json()["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

/// A conversation that goes on: what was answered, and what the user says then.
fn with_more(body: &Value, more: &[(&str, Value)]) -> Value {
    let mut body = body.clone();
    let messages = body["messages"].as_array_mut().expect("messages");
    for (role, content) in more {
        messages.push(json!({"role": role, "content": content}));
    }
    body
}

fn deferred(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description, "defer_loading": true,
        "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}}})
}

fn with_search(variant: &str) -> Value {
    let mut body = prompt("weather?");
    body["tools"] = json!([
        {"type": format!("tool_search_tool_{variant}_20251119"), "name": format!("tool_search_tool_{variant}")},
        deferred("get_weather", "The weather of a place"),
        deferred("send_mail", "Sends a mail"),
    ]);
    body
}

fn with_advisor() -> Value {
    let mut body = prompt("how?");
    body["tools"] = json!([{"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5", "max_tokens": 1024}]);
    body
}

fn with_connector() -> Value {
    let mut body = prompt("echo hello");
    body["mcp_servers"] =
        json!([{"type": "url", "url": "https://echo.example/mcp", "name": "echo"}]);
    body["tools"] = json!([{"type": "mcp_toolset", "mcp_server_name": "echo"}]);
    body
}

fn with_compaction(pauses: bool) -> Value {
    let mut body = prompt("a long talk, which goes on and on and on, and on");
    body["context_management"] =
        json!({"edits": [{"type": "compact_20260112", "pause_after_compaction": pauses}]});
    body
}

async fn golden(server: &TestServer, body: &Value) -> String {
    let mut transcript = Transcript::default();
    transcript.exchange(server, &asked(server, body)).await;
    transcript
        .exchange(server, &asked(server, &streamed(body.clone())))
        .await;
    transcript.finish()
}

#[tokio::test]
async fn tools_are_searched_and_the_found_one_is_called() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"tool_search": {"pattern": "weather|forecast", "limit": 10}, "expect": {"stdout": "get_weather"}},
            {"text": "Found."},
            {"tool_use": {"name": "get_weather", "input": {"location": "Oslo"}}},
            {"text": "Rain."},
        ]))
        .await;
    let body = with_search("regex");
    let first = answer(&server, &body).await;
    assert_eq!(
        kinds(&first),
        [
            "server_tool_use",
            "tool_search_tool_result",
            "text",
            "tool_use"
        ]
    );
    assert_eq!(first["usage"]["server_tool_use"]["web_search_requests"], 0);
    let result = json!([{"type": "tool_result", "tool_use_id": first["content"][3]["id"], "content": "Rain."}]);
    let more = with_more(
        &body,
        &[("assistant", first["content"].clone()), ("user", result)],
    );
    assert_eq!(kinds(&answer(&server, &more).await), ["text"]);
    insta::assert_snapshot!(golden(&server, &body).await);
}

#[tokio::test]
async fn a_search_by_words_is_the_one_that_is_declared() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"tool_search": "what is the weather"}, {"text": "${{ last.stdout }}"}]))
        .await;
    let said = answer(&server, &with_search("bm25")).await;
    assert_eq!(said["content"][0]["name"], "tool_search_tool_bm25");
    assert_eq!(
        said["content"][0]["input"],
        json!({"query": "what is the weather"})
    );
    let found = json!({"type": "tool_search_tool_search_result",
        "tool_references": [{"type": "tool_reference", "tool_name": "get_weather"}]});
    assert_eq!(said["content"][1]["content"], found);
    assert_eq!(said["content"][2]["text"], "get_weather");
    // The SDKs' types have a name without a version, too.
    let mut short = with_search("bm25");
    short["tools"][0]["type"] = json!("tool_search_tool_bm25");
    assert_eq!(
        answer(&server, &short).await["content"][2]["text"],
        "get_weather"
    );
}

#[tokio::test]
async fn a_search_beside_a_client_call_comes_first_in_the_next_answer() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"parallel": [{"tool_search": "["}, {"tool_use": "send_mail"}]},
            {"text": "I made both calls."},
        ]))
        .await;
    let body = with_search("regex");
    let first = answer(&server, &body).await;
    assert_eq!(kinds(&first), ["server_tool_use", "tool_use"]);
    // Parity: the counters of server tools come with the result (F200).
    assert!(first["usage"].get("server_tool_use").is_none(), "{first}");
    let result = json!([{"type": "tool_result", "tool_use_id": first["content"][1]["id"], "content": "sent"}]);
    let more = with_more(
        &body,
        &[("assistant", first["content"].clone()), ("user", result)],
    );
    let second = answer(&server, &more).await;
    assert_eq!(kinds(&second), ["tool_search_tool_result", "text"]);
    assert_eq!(
        second["content"][0]["content"],
        json!({"type": "tool_search_tool_result_error", "error_code": "invalid_tool_input",
            "error_message": "Invalid regular expression pattern: missing ]: ["})
    );
}

#[tokio::test]
async fn the_advisor_says_what_the_script_says_and_is_told_as_a_sampling_of_its_own() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"text": "I ask."},
            {"advisor": "4.\n\nShip it."},
            {"text": "It is ${{ last.stdout }}"},
        ]))
        .await;
    let body = with_advisor();
    let said = answer(&server, &body).await;
    assert_eq!(
        said["content"][2]["content"],
        json!({"type": "advisor_result", "text": "4.\n\nShip it.", "stop_reason": "end_turn"})
    );
    let iterations = said["usage"]["iterations"].as_array().expect("iterations");
    let told: Vec<&str> = iterations
        .iter()
        .filter_map(|one| one["type"].as_str())
        .collect();
    assert_eq!(told, ["message", "advisor_message", "message"]);
    assert_eq!(iterations[1]["model"], "claude-fable-5");
    // The advisor's tokens are not the model's.
    let sum =
        |key: &str| iterations[0][key].as_u64().unwrap() + iterations[2][key].as_u64().unwrap();
    for key in ["input_tokens", "output_tokens"] {
        assert_eq!(said["usage"][key], sum(key), "{said}");
    }
    insta::assert_snapshot!(golden(&server, &body).await);
}

#[tokio::test]
async fn advice_may_be_sealed_or_fail_or_be_one_too_many() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"advisor": {"text": "secret", "redacted": true, "stop_reason": "max_tokens"}},
            {"advisor": "late", "tool_error": "overloaded", "expect": {"error_code": "overloaded"}},
            {"advisor": "once more"},
            {"text": "done"},
        ]))
        .await;
    let mut body = with_advisor();
    body["tools"][0]["max_uses"] = json!(2);
    let said = answer(&server, &body).await;
    let sealed = &said["content"][1]["content"];
    assert_eq!(sealed["type"], "advisor_redacted_result");
    assert_eq!(sealed["stop_reason"], "max_tokens");
    assert!(
        !sealed["encrypted_content"]
            .as_str()
            .unwrap()
            .contains("secret")
    );
    assert_eq!(
        said["content"][3]["content"],
        json!({"type": "advisor_tool_result_error", "error_code": "overloaded"})
    );
    assert_eq!(
        said["content"][5]["content"]["error_code"],
        "max_uses_exceeded"
    );
    let more = with_more(
        &body,
        &[
            ("assistant", said["content"].clone()),
            ("user", json!("and now?")),
        ],
    );
    assert_eq!(answer(&server, &more).await["stop_reason"], "end_turn");
    let mut changed = more;
    changed["messages"][1]["content"][1]["content"]["encrypted_content"] =
        json!("EqoBCioIc2FuZHRhYmxlAAAA");
    let said = refused(&server, &changed).await;
    assert!(
        said.contains("encrypted content must be sent back as it was received"),
        "{said}"
    );
}

#[tokio::test]
async fn a_connector_calls_a_tool_of_its_server() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"mcp_tool_use": {"server": "echo", "name": "echo", "input": {"message": "hello world"}, "text": "Tool echo: hello world"},
                "capture": {"heard": "echo: (.*)"}},
            {"mcp_tool_use": {"server": "echo", "name": "fail", "text": ["a", "b"], "is_error": true},
                "expect": {"error_code": "is_error"}},
            {"text": "${{ captures.heard }}"},
        ]))
        .await;
    let body = with_connector();
    let said = answer(&server, &body).await;
    assert_eq!(
        kinds(&said),
        [
            "mcp_tool_use",
            "mcp_tool_result",
            "mcp_tool_use",
            "mcp_tool_result",
            "text"
        ]
    );
    let id = said["content"][0]["id"].as_str().expect("an id");
    assert!(id.starts_with("mcptoolu_01") && id.len() == 33, "{id}");
    assert_eq!(said["content"][3]["is_error"], true);
    assert_eq!(said["content"][4]["text"], "hello world");
    let more = with_more(
        &body,
        &[
            ("assistant", said["content"].clone()),
            ("user", json!("again")),
        ],
    );
    assert_eq!(answer(&server, &more).await["stop_reason"], "end_turn");
    insta::assert_snapshot!(golden(&server, &body).await);
}

#[tokio::test]
async fn a_connectors_call_beside_one_of_the_client_is_answered_when_it_comes_back() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"parallel": [{"mcp_tool_use": {"server": "echo", "name": "echo", "text": "hi"}}, {"tool_use": "ask"}]},
            {"text": "${{ results[0].stdout }} ${{ results[1].stdout }}"},
        ]))
        .await;
    let mut body = with_connector();
    let tools = body["tools"].as_array_mut().expect("tools");
    tools.push(json!({"name": "ask", "input_schema": {"type": "object"}}));
    let first = answer(&server, &body).await;
    assert_eq!(kinds(&first), ["mcp_tool_use", "tool_use"]);
    let result = json!([{"type": "tool_result", "tool_use_id": first["content"][1]["id"], "content": "there"}]);
    let more = with_more(
        &body,
        &[("assistant", first["content"].clone()), ("user", result)],
    );
    let second = answer(&server, &more).await;
    assert_eq!(kinds(&second), ["mcp_tool_result", "text"]);
    assert_eq!(second["content"][1]["text"], "hi there");
}

#[tokio::test]
async fn a_listing_and_a_file_come_whole() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"mcp_tool_listing": {"server": "echo", "tools": [{"name": "say", "input_schema": {"type": "object"}}]}},
            {"container_upload": "file_011CNha8iCJcU1wXNR6q4V8w"},
            {"text": "ok"},
        ]))
        .await;
    let said = answer(&server, &with_connector()).await;
    let listing = json!({"type": "mcp_tool_listing", "mcp_server_name": "echo",
        "tools": [{"name": "say", "description": null, "input_schema": {"type": "object"}}]});
    assert_eq!(said["content"][0], listing);
    assert_eq!(
        said["content"][1],
        json!({"type": "container_upload", "file_id": "file_011CNha8iCJcU1wXNR6q4V8w"})
    );
}

#[tokio::test]
async fn a_compaction_comes_in_one_delta_and_its_tokens_are_told_apart() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"compaction": "The user greets."}, {"text": "Hello!"}]))
        .await;
    let body = with_compaction(false);
    let said = answer(&server, &body).await;
    assert_eq!(
        said["content"][0],
        json!({"type": "compaction", "content": "The user greets."})
    );
    assert_eq!(said["context_management"], json!({"applied_edits": []}));
    let iterations = said["usage"]["iterations"].as_array().expect("iterations");
    assert_eq!(iterations.len(), 2);
    assert_eq!(iterations[0]["type"], "compaction");
    assert_eq!(iterations[1]["type"], "message");
    assert_eq!(said["usage"]["input_tokens"], iterations[1]["input_tokens"]);
    assert_eq!(
        said["usage"]["output_tokens"],
        iterations[1]["output_tokens"]
    );
    insta::assert_snapshot!(golden(&server, &body).await);
}

#[tokio::test]
async fn a_compaction_that_ends_the_answer_is_its_only_sampling() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"compaction": "The user greets."}]))
        .await;
    let said = answer(&server, &with_compaction(true)).await;
    assert_eq!(said["stop_reason"], "compaction");
    let iterations = said["usage"]["iterations"].as_array().expect("iterations");
    assert_eq!(iterations.len(), 1);
    assert_eq!(iterations[0]["type"], "compaction");
    assert_eq!(said["usage"]["input_tokens"], 0);
}

#[tokio::test]
async fn what_was_compacted_is_no_longer_counted() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let body = with_compaction(false);
    let plain = answer(&server, &body).await;
    // Without a compaction there is one sampling, and it is told (F205).
    assert_eq!(
        plain["usage"]["iterations"].as_array().expect("one").len(),
        1
    );
    let long = "x".repeat(4000);
    let block = |content: Value| json!([{"type": "compaction", "content": content}, {"type": "text", "text": "a"}]);
    let talk = |content: Value| {
        let mut body = body.clone();
        body["messages"] = json!([
            {"role": "user", "content": long}, {"role": "assistant", "content": block(content)},
            {"role": "user", "content": "b"},
        ]);
        body
    };
    let stands = answer(&server, &talk(json!("It was long."))).await;
    assert!(
        stands["usage"]["input_tokens"].as_u64().unwrap() < 20,
        "{stands}"
    );
    // One that came to nothing is passed over.
    let void = answer(&server, &talk(Value::Null)).await;
    assert!(
        void["usage"]["input_tokens"].as_u64().unwrap() > 1000,
        "{void}"
    );
    let said = refused(&server, &talk(json!(""))).await;
    assert!(
        said.starts_with("messages.1.content.0.compaction.content: "),
        "{said}"
    );
}

#[tokio::test]
async fn an_answer_may_end_with_its_compaction_and_goes_on_when_it_comes_back() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"compaction": "Short."}, {"text": "And so on."}]))
        .await;
    let body = with_compaction(true);
    let first = answer(&server, &body).await;
    assert_eq!(first["stop_reason"], "compaction");
    assert_eq!(kinds(&first), ["compaction"]);
    let more = with_more(&body, &[("assistant", first["content"].clone())]);
    let second = answer(&server, &more).await;
    assert_eq!(second["content"][0]["text"], "And so on.");
    // One that asks for nothing else gets it signed, and alone.
    let mut alone = prompt("a talk");
    alone["compaction"] = json!({"type": "summarize"});
    let said = answer(&server, &alone).await;
    assert_eq!(said["stop_reason"], "compaction");
    assert!(said["content"][0]["signature"].is_string(), "{said}");
}

#[tokio::test]
async fn a_fallback_names_both_models_and_the_message_is_the_seconds() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"thinking": "Hm."}, {"fallback": {"category": "cyber"}}, {"text": "Around 1440."}]))
        .await;
    let mut body = prompt("who invented the press?");
    body["model"] = json!("claude-fable-5");
    body["fallbacks"] = json!([{"model": "claude-opus-4-8"}]);
    let said = answer(&server, &body).await;
    assert_eq!(said["model"], "claude-opus-4-8");
    assert_eq!(
        said["content"][1],
        json!({"type": "fallback", "from": {"model": "claude-fable-5"}, "to": {"model": "claude-opus-4-8"},
            "trigger": {"type": "refusal", "category": "cyber"}})
    );
    let iterations = &said["usage"]["iterations"];
    assert_eq!(iterations[0]["type"], "message");
    assert_eq!(iterations[0]["model"], "claude-fable-5");
    assert_eq!(iterations[1]["type"], "fallback_message");
    assert_eq!(iterations[1]["model"], "claude-opus-4-8");
    let more = with_more(
        &body,
        &[
            ("assistant", said["content"].clone()),
            ("user", json!("sure?")),
        ],
    );
    assert_eq!(answer(&server, &more).await["stop_reason"], "end_turn");
    insta::assert_snapshot!(golden(&server, &body).await);
}

#[tokio::test]
async fn what_was_cleared_is_told_in_the_body_and_after_the_usage() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"applied_edits": [{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 8, "cleared_input_tokens": 50000}]},
            {"text": "ok"},
        ]))
        .await;
    let mut body = prompt("go on");
    body["context_management"] = json!({"edits": [{"type": "clear_tool_uses_20250919"}]});
    let said = answer(&server, &body).await;
    assert_eq!(
        said["context_management"],
        json!({"applied_edits": [{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 8, "cleared_input_tokens": 50000}]})
    );
    assert!(said["usage"].get("iterations").is_none(), "{said}");
}

#[tokio::test]
async fn updates_show_how_the_work_goes_on_and_no_reasoning() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"thinking": "I reason."}, {"thinking": {"update": "I look."}}, {"text": "ok"}]))
        .await;
    for (display, shown) in [
        ("updates", ["", "I look."]),
        ("omitted", ["", ""]),
        ("summarized", ["I reason.", "I look."]),
    ] {
        let mut body = prompt("think");
        body["model"] = json!("claude-opus-5-5");
        body["thinking"] = json!({"type": "adaptive", "display": display});
        let said = answer(&server, &body).await;
        let thought = |at: usize| {
            said["content"][at]["thinking"]
                .as_str()
                .expect("a thought")
                .to_owned()
        };
        assert_eq!([thought(0), thought(1)], shown, "{display}");
        assert!(said["content"][0]["signature"].is_string());
    }
    // It came with a beta.
    let mut body = prompt("think");
    body["thinking"] = json!({"type": "adaptive", "display": "updates"});
    let response = server.send(&server.messages(&body)).await;
    let message = response.json()["error"]["message"].clone();
    assert_eq!(
        message,
        "thinking.adaptive.display: Input should be 'omitted' or 'summarized'"
    );
}

#[tokio::test]
async fn what_a_request_has_not_asked_for_fails_the_turn() {
    let server = TestServer::start().await;
    for (step, lacks) in [
        (
            json!({"tool_search": "a"}),
            "the model calls `tool_search_tool_regex`, but the request declares no such tool",
        ),
        (
            json!({"advisor": "a"}),
            "the model calls `advisor`, but the request declares no such tool",
        ),
        (
            json!({"mcp_tool_use": {"server": "s", "name": "n"}}),
            "asks the MCP server `s`",
        ),
        (
            json!({"mcp_tool_listing": {"server": "s", "tools": []}}),
            "asks the MCP server `s`",
        ),
        (json!({"compaction": "a"}), "an edit `compact_20260112`"),
        (json!({"fallback": "claude-opus-4-8"}), "`fallbacks`"),
        (json!({"applied_edits": []}), "`context_management`"),
        (json!({"tool_use": "web_search"}), "as a tool of the client"),
        (json!({"thinking": "Hm."}), "`thinking` of type `adaptive`"),
        (json!({"thinking": {"update": "a"}}), "`thinking` of type"),
        (json!({"redacted_thinking": "a"}), "`thinking` of type"),
    ] {
        server.steps(&json!([step])).await;
        let mut body = prompt("go");
        // It thinks only where it is asked to.
        body["model"] = json!("claude-opus-4-6");
        let said = refused(&server, &body).await;
        assert!(said.contains(lacks), "{step}: {said}");
        // With its place in the script.
        let key = step.as_object().and_then(|step| step.keys().next());
        let place = format!("`{}`: the model", key.expect("a key"));
        assert!(said.contains(&place), "{step}: {said}");
    }
}

#[tokio::test]
async fn wrong_blocks_and_members_are_refused_by_their_path() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let with_blocks = |body: Value, blocks: Value| {
        with_more(&body, &[("assistant", blocks), ("user", json!("and?"))])
    };
    let search = |content: Value| {
        json!([{"type": "server_tool_use", "id": "srvtoolu_1", "name": "tool_search_tool_regex", "input": {"pattern": "a"}},
            {"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_1", "content": content}])
    };
    let reference = |name: &str| json!({"type": "tool_search_tool_search_result", "tool_references": [{"type": "tool_reference", "tool_name": name}]});
    let mut none_for_echo = with_connector();
    none_for_echo["tools"] = json!([]);
    let mut wrong_edit = with_compaction(false);
    wrong_edit["context_management"]["edits"][0]["type"] = json!("forget");
    let mut named = with_search("regex");
    named["tools"][0]["name"] = json!("find");
    let cases = [
        (
            with_blocks(with_search("regex"), search(reference("lookup"))),
            "Tool reference 'lookup' not found in available tools",
        ),
        (
            with_blocks(with_search("regex"), search(json!({"type": "nonsense"}))),
            "messages.1.content.1.tool_search_tool_result.content.RequestToolSearchToolResultError.type: Input should be 'tool_search_tool_result_error'",
        ),
        (
            with_blocks(
                prompt("a"),
                json!([{"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "n", "server_name": "s"}]),
            ),
            "messages.1.content.0.mcp_tool_use.input: Field required",
        ),
        (
            with_blocks(
                prompt("a"),
                json!([{"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "content": []}]),
            ),
            "messages.1.content.0: unexpected `tool_use_id` found in `mcp_tool_result` blocks: mcptoolu_1. Each `mcp_tool_result` block must have a corresponding `mcp_tool_use` block before it.",
        ),
        (
            with_blocks(
                prompt("a"),
                json!([{"type": "fallback", "from": {"model": "a"}}]),
            ),
            "messages.1.content.0.fallback.to: Field required",
        ),
        (
            none_for_echo,
            "MCP server 'echo' is defined but not referenced by any `mcp_toolset` in `tools`.",
        ),
        (
            wrong_edit,
            "context_management.edits.0: Input tag 'forget' found using 'type' does not match any of the expected tags: 'clear_thinking_20251015', 'clear_tool_uses_20250919', 'compact_20260112'",
        ),
        (
            named,
            "tools.0.tool_search_tool_regex_20251119.name: Input should be 'tool_search_tool_regex'",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(refused(&server, &body).await, expected);
    }
    // The first version of connectors had no toolsets.
    let mut older = with_connector();
    older["tools"] = json!([]);
    let request = server
        .messages(&older)
        .header("anthropic-beta", "mcp-client-2025-04-04");
    assert_eq!(server.send(&request).await.status, 200);
}

/// A client may call its own tools as the service calls its.
#[tokio::test]
async fn a_client_tool_may_have_the_name_of_one_of_the_service() {
    let server = TestServer::start().await;
    for name in [
        "web_search",
        "web_fetch",
        "code_execution",
        "bash_code_execution",
        "advisor",
        "tool_search_tool_regex",
    ] {
        server
            .steps(&json!([{"tool_use": {"name": name, "input": {"q": 1}}}, {"text": "${{ last.stdout }}"}]))
            .await;
        let mut body = prompt("go");
        body["tools"] = json!([{"name": name, "input_schema": {"type": "object"}}]);
        let first = answer(&server, &body).await;
        assert_eq!(kinds(&first), ["tool_use"], "{name}");
        assert_eq!(first["content"][0]["name"], name);
        assert_eq!(first["stop_reason"], "tool_use");
        assert!(first["container"].is_null() && first["usage"].get("server_tool_use").is_none());
        let result = json!([{"type": "tool_result", "tool_use_id": first["content"][0]["id"], "content": "fine"}]);
        let more = with_more(
            &body,
            &[("assistant", first["content"].clone()), ("user", result)],
        );
        assert_eq!(
            answer(&server, &more).await["content"][0]["text"],
            "fine",
            "{name}"
        );
        // What the service has called before is not the client's to run.
        let call =
            json!([{"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": {}}]);
        let said = refused(&server, &with_more(&body, &[("assistant", call)])).await;
        assert!(said.contains("but no `"), "{said}");
    }
}

#[tokio::test]
async fn an_error_of_the_editor_says_what_the_script_says() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"view": "a.txt", "tool_error": {"code": "unavailable", "message": "Tool response parsing error for view: ${{ request.model }}"}},
            {"view": "a.txt", "tool_error": "file_not_found"},
            {"text": "ok"},
        ]))
        .await;
    let said = answer(&server, &crate::harness::server::code_prompt("go")).await;
    let error = |at: usize| said["content"][at]["content"].clone();
    assert_eq!(
        error(1),
        json!({"type": "text_editor_code_execution_tool_result_error", "error_code": "unavailable",
            "error_message": "Tool response parsing error for view: claude-opus-5"})
    );
    assert_eq!(error(3)["error_message"], Value::Null);
}
