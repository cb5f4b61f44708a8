//! Tools that the request does not declare one by one: members of toolsets, and what its messages add.

use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::server::{prompt, streamed};
use crate::harness::sse::{events_of, fold};

/// The calls of an answer, plain and streamed.
async fn call(server: &TestServer, body: &Value) -> Value {
    let plain = server.message(body).await;
    let request = server.messages(&streamed(body.clone()));
    let response = server.send(&request).await;
    let folded = fold(&events_of([response.body.as_slice()]));
    assert_eq!(plain["content"][0]["name"], folded["content"][0]["name"]);
    assert_eq!(
        plain["content"][0]["toolset_name"],
        folded["content"][0]["toolset_name"]
    );
    plain["content"][0].clone()
}

#[tokio::test]
async fn a_call_of_a_toolsets_member_names_the_toolset() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"tool_use": {"name": "left_click", "input": {"coordinate": [1, 1]}}}]))
        .await;
    let mut body = prompt("go");
    body["model"] = "claude-opus-5".into();
    let computer = json!({"type": "computer_toolset_20260801"});
    let browser = json!({"type": "browser_toolset_20260801"});
    let own = json!({"name": "left_click", "input_schema": {"type": "object"}});
    for (tools, named) in [
        (json!([computer]), json!("computer")),
        (json!([browser]), json!("browser")),
        // What the client declares by itself is its own.
        (json!([computer, own]), Value::Null),
        (json!([own]), Value::Null),
    ] {
        body["tools"] = tools;
        let called = call(&server, &body).await;
        assert_eq!(called["name"], "left_click");
        assert_eq!(called["toolset_name"], named, "{}", body["tools"]);
        assert_eq!(called.get("toolset_name").is_some(), !named.is_null());
    }
}

#[tokio::test]
async fn a_rule_knows_the_tools_that_messages_add_and_take_away() {
    let server = TestServer::start().await;
    server
        .rules(&json!([
            {"when": {"tools": "other"}, "then": [{"text": "other"}]},
            {"when": {"tools": "weather"}, "then": [{"text": "weather"}]},
            {"then": [{"text": "none"}]},
        ]))
        .await;
    let reference = |name: &str| json!({"type": "tool_reference", "name": name});
    let other = json!({"name": "other", "input_schema": {"type": "object"}});
    let defined = json!({"type": "tool_definition", "definition": other});
    let add = |tool: &Value| json!({"type": "tool_addition", "tool": tool});
    let remove = |name: &str| json!({"type": "tool_removal", "tool": reference(name)});
    for (changes, said) in [
        (json!([{"type": "text", "text": "Be brief."}]), "weather"),
        (json!([add(&defined)]), "other"),
        (json!([remove("weather")]), "none"),
        (json!([add(&defined), remove("other")]), "weather"),
        (
            json!([remove("weather"), add(&reference("weather"))]),
            "weather",
        ),
    ] {
        let mut body = prompt("go");
        body["model"] = "claude-opus-5".into();
        body["tools"] = json!([{"name": "weather", "input_schema": {"type": "object"}}]);
        let messages = body["messages"].as_array_mut().expect("messages");
        messages.push(json!({"role": "system", "content": changes}));
        let request = server
            .messages(&body)
            .header("anthropic-beta", "mid-conversation-tool-changes-2026-07-01");
        let response = server.send(&request).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.json()["content"][0]["text"], said, "{changes}");
    }
}
