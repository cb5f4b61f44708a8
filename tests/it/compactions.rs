//! Requests for a compaction alone, as the tool runners of the SDKs make them.

use serde_json::{Value, json};

use crate::harness::server::{kinds, prompt, streamed, then};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Request, TestServer};

fn asked(server: &TestServer, body: &Value) -> Request {
    server
        .messages(body)
        .header("anthropic-beta", "compact-2026-09-04")
}

async fn answer(server: &TestServer, body: &Value) -> Value {
    let response = server.send(&asked(server, body)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// The compaction of a conversation, the same plain and streamed.
async fn compacted(server: &TestServer, body: &Value) -> Value {
    let mut body = body.clone();
    body["compaction"] = json!({"type": "summarize"});
    let plain = answer(server, &body).await;
    assert_eq!(kinds(&plain), ["compaction"]);
    assert_eq!(plain["stop_reason"], "compaction");
    let response = server.send(&asked(server, &streamed(body))).await;
    let folded = fold(&events_of([response.body.as_slice()]));
    let content = |message: &Value| message["content"][0]["content"].clone();
    assert_eq!(content(&plain), content(&folded));
    plain
}

#[tokio::test]
async fn a_tool_loop_goes_on_behind_a_compaction() {
    for (compaction, summary) in [
        (None, "sandtable's stand-in for a summary of 3 messages."),
        (Some("They talked."), "They talked."),
    ] {
        let server = TestServer::start().await;
        let mut steps = vec![json!({"tool_use": {"name": "f", "input": {}}})];
        steps.extend(compaction.map(|text| json!({"compaction": text})));
        steps.push(json!({"text": "${{ last.stdout }} degrees"}));
        server.steps(&Value::Array(steps)).await;
        let mut body = prompt("weather");
        body["model"] = "claude-opus-5".into();
        body["tools"] = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        let called = answer(&server, &body).await;
        let id = &called["content"][0]["id"];
        let result = json!([{"type": "tool_result", "tool_use_id": id, "content": "12"}]);
        let asked = then(body.clone(), &called, &result);

        let said = compacted(&server, &asked).await;
        assert_eq!(said["content"][0]["content"], summary);
        // What is sent has the compaction in place of all before it.
        body["messages"] = json!([{"role": "assistant", "content": said["content"]}]);
        let last = answer(&server, &body).await;
        assert_eq!(last["content"][0]["text"], "12 degrees");
        // A client that drops the compaction goes on as well.
        if compaction.is_none() {
            assert_eq!(answer(&server, &asked).await["content"], last["content"]);
        }
        let verdict = server.control("GET", "verify", &Value::Null).await;
        assert_eq!(verdict["ok"], true, "{verdict}");
    }
}
