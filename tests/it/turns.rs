//! Rules of a turn: pauses whose content the client edits, client tools of the service's own kinds, thoughts,
//! the limits of models, and what a newer version forbids.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, kinds, prompt, streamed, then};
use crate::harness::transcript::Transcript;
use crate::harness::{Processes, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

/// The text of a 400.
async fn refusal(server: &TestServer, body: &Value) -> String {
    let response = server.send(&server.messages(body)).await;
    assert_eq!(response.status, 400, "{}", response.text());
    response.message()
}

/// Ten calls, and an eleventh that waits for the continuation.
async fn paused() -> (TestServer, Value, Value) {
    let mut steps: Vec<_> = (1..=11)
        .map(|round| json!({"bash": format!("echo {round}")}))
        .collect();
    steps.push(json!({"text": "The last said ${{ last.stdout }}"}));
    let server = running(Value::Array(steps)).await;
    let body = code_prompt("eleven");
    let first = server.message(&body).await;
    assert_eq!(first["stop_reason"], "pause_turn");
    (server, body, first)
}

#[tokio::test]
async fn a_client_may_change_the_call_that_a_pause_has_left() {
    let (server, body, mut first) = paused().await;
    first["content"][20]["input"]["command"] = json!("echo changed");
    let mut body = then(body, &first, &Value::Null);
    body["container"] = first["container"]["id"].clone();
    let second = server.message(&body).await;
    assert_eq!(second["content"][0]["content"]["stdout"], "changed\n");
    assert_eq!(second["content"][1]["text"], "The last said changed\n");
}

#[tokio::test]
async fn a_client_may_take_the_waiting_call_away_and_say_something_else() {
    let (server, body, mut first) = paused().await;
    // With the call still there, only results may follow.
    let cut_short = then(body.clone(), &first, &json!("stop it"));
    let text = refusal(&server, &cut_short).await;
    let id = first["content"][20]["id"].as_str().expect("an id");
    assert_eq!(
        text,
        format!(
            "messages.1: `bash_code_execution` tool use with id `{id}` was found without a corresponding \
             `bash_code_execution_tool_result` block"
        )
    );
    first["content"].as_array_mut().expect("content").pop();
    // It goes on without the call.
    let second = server
        .message(&then(body.clone(), &first, &Value::Null))
        .await;
    assert_eq!(kinds(&second), ["text"]);
    assert_eq!(second["content"][0]["text"], "The last said 10\n");
    // Or takes up what the user says.
    server
        .steps(&json!([{"text": "I heard ${{ request.messages[-1].content }}."}]))
        .await;
    let third = server
        .message(&then(body, &first, &json!("something else")))
        .await;
    assert_eq!(third["content"][0]["text"], "I heard something else.");
}

#[tokio::test]
async fn the_clients_own_bash_stands_beside_code_execution() {
    let server = running(json!([
        {"parallel": [
            {"tool_use": {"name": "bash", "input": {"command": "uname"}}},
            {"bash": "echo sandbox"},
            {"tool_use": {"name": "str_replace_based_edit_tool", "input": {"command": "view", "path": "/"}}},
            {"view": "missing.txt"},
        ]},
        {"text": "${{ results[0].stdout }} ${{ results[1].stdout }} ${{ results[2].stdout }} ${{ results[3].error_code }}"},
    ]))
    .await;
    let mut body = code_prompt("both");
    let own = json!([
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    ]);
    body["tools"]
        .as_array_mut()
        .expect("tools")
        .extend(own.as_array().expect("tools").clone());
    let mut transcript = Transcript::default();
    let first = transcript
        .exchange(&server, &server.messages(&body))
        .await
        .json();
    assert_eq!(first["stop_reason"], "tool_use");
    let answer = |at: usize, text: &str| json!({"type": "tool_result", "tool_use_id": first["content"][at]["id"], "content": text});
    let answers = json!([answer(0, "client"), answer(2, "a directory")]);
    let mut body = then(body, &first, &answers);
    body["container"] = first["container"]["id"].clone();
    transcript
        .exchange(&server, &server.messages(&streamed(body)))
        .await;
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn thoughts_of_the_newest_answer_come_back_as_they_were() {
    let server = running(json!([{"thinking": "two and two"}, {"text": "Four."}])).await;
    let body = prompt("sum");
    let first = server.message(&body).await;
    let mut next = then(body.clone(), &first, &json!("again"));
    let second = server.message(&next).await;
    assert_eq!(second["content"][1]["text"], "Four.");
    next["messages"][1]["content"][0]["thinking"] = json!("two and three");
    assert_eq!(
        refusal(&server, &next).await,
        "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be \
         modified. These blocks must remain as they were in the original response."
    );
    // An older answer is nobody's business, and a foreign signature cannot be checked.
    let older = then(next.clone(), &second, &json!("and again"));
    server.message(&older).await;
    next["messages"][1]["content"][0]["signature"] =
        json!("EqQBfromelsewhereCkYIBhgCKkDVwfyh0mWSkEWlgBkoNbPbHYCUC");
    server.message(&next).await;
}

#[tokio::test]
async fn thoughts_of_the_newest_answer_keep_their_places() {
    let steps = json!([{"thinking": "one"}, {"text": "1"}, {"thinking": "two"}, {"text": "2"}]);
    let server = running(steps).await;
    let body = prompt("sum");
    let first = server.message(&body).await;
    let next = then(body, &first, &json!("again"));
    let second = server.message(&next).await;
    let moved = |content: [usize; 4]| {
        let mut next = next.clone();
        let said = content.map(|at| first["content"][at].clone());
        next["messages"][1]["content"] = json!(said);
        next
    };
    // Without their texts, they are known by their signatures.
    let mut blank = moved([2, 1, 0, 3]);
    for at in [0, 2] {
        blank["messages"][1]["content"][at]["thinking"] = json!("");
    }
    for bad in [moved([2, 1, 0, 3]), moved([2, 0, 1, 3]), blank] {
        assert!(refusal(&server, &bad).await.starts_with(
            "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest"
        ));
    }
    // An older answer is nobody's business.
    let older = then(moved([2, 1, 0, 3]), &second, &json!("and again"));
    server.message(&older).await;
}

#[tokio::test]
async fn omitted_thoughts_are_a_signature_alone_and_may_come_back() {
    let server = running(json!([{"thinking": "two and two"}, {"text": "Four."}])).await;
    let mut body = prompt("sum");
    body["thinking"] = json!({"type": "adaptive", "display": "omitted"});
    let first = server.message(&body).await;
    assert_eq!(first["content"][0]["thinking"], "");
    let signature = first["content"][0]["signature"].as_str().expect("a text");
    assert!(signature.len() > 80, "{signature}");
    server
        .message(&then(body.clone(), &first, &json!("on")))
        .await;
    body["thinking"]["display"] = json!("loud");
    assert_eq!(
        refusal(&server, &body).await,
        "thinking.adaptive.display: Input should be 'omitted' or 'summarized'"
    );
}

#[tokio::test]
async fn what_is_over_the_limits_of_a_model_is_refused_in_the_services_words() {
    let server = running(json!([{"text": "no"}])).await;
    let cases = [
        (
            json!({"model": "claude-opus-4-5", "max_tokens": 128_001}),
            "max_tokens: 128001 > 64000, which is the maximum allowed number of output tokens for claude-opus-4-5-20251101",
        ),
        (
            json!({"model": "claude-sonnet-4-6", "output_config": {"effort": "xhigh"}}),
            "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
        ),
        (
            json!({"model": "claude-haiku-4-5", "output_config": {"effort": "low"}}),
            "This model does not support the effort parameter.",
        ),
        (
            json!({"output_config": {"effort": "huge"}}),
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        ),
        (
            json!({"model": "claude-haiku-4-5", "system": "x".repeat(800_000)}),
            "prompt is too long: 200002 tokens > 200000 maximum",
        ),
    ];
    for (change, expected) in cases {
        let mut body = prompt("hi");
        for (key, value) in change.as_object().expect("a map") {
            body[key] = value.clone();
        }
        assert_eq!(refusal(&server, &body).await, expected);
    }
    // Bytes are no text.
    let image = json!({"type": "base64", "media_type": "image/png", "data": format!("iVBORw0KGgoA{}", "A".repeat(800_000))});
    let mut body = prompt("hi");
    body["model"] = json!("claude-haiku-4-5");
    body["messages"][0]["content"] = json!([{"type": "image", "source": image}]);
    server.message(&body).await;
    // A model that nobody knows has no limits, and counting no answer to limit.
    let mut body = prompt("hi");
    body["model"] = json!("claude-of-my-own");
    body["max_tokens"] = json!(1_000_000);
    body["system"] = json!("x".repeat(800_000));
    server.message(&body).await;
    body["model"] = json!("claude-haiku-4-5");
    body.as_object_mut().expect("a map").remove("max_tokens");
    let count = server
        .request("POST", "/v1/messages/count_tokens")
        .header("content-type", "application/json")
        .body(body.to_string());
    let counted = server.send(&count).await.json();
    assert_eq!(counted["input_tokens"], 200_002);
}

#[tokio::test]
async fn a_reference_to_a_tool_that_is_not_declared_is_refused() {
    let server = running(json!([{"tool_use": "find"}, {"text": "Found."}])).await;
    let mut body = prompt("find");
    body["tools"] = json!([{"name": "find", "input_schema": {"type": "object"}}]);
    let first = server.message(&body).await;
    let result = |name: &str| {
        let found = json!([{"type": "tool_reference", "tool_name": name}]);
        json!([{"type": "tool_result", "tool_use_id": first["content"][0]["id"], "content": found}])
    };
    let lost = then(body.clone(), &first, &result("lookup_documents"));
    assert_eq!(
        refusal(&server, &lost).await,
        "Tool reference 'lookup_documents' not found in available tools"
    );
    let second = server.message(&then(body, &first, &result("find"))).await;
    assert_eq!(second["content"][0]["text"], "Found.");
}

#[tokio::test]
async fn the_newer_version_takes_no_citations_of_users_and_no_documents_of_assistants() {
    let server = running(json!([{"text": "Read."}])).await;
    let place = json!({"type": "char_location", "cited_text": "a", "document_index": 0, "document_title": null,
                       "start_char_index": 0, "end_char_index": 1});
    let cited = json!({"type": "text", "text": "a", "citations": [place]});
    let plain = json!({"type": "text", "text": "a", "citations": []});
    let found = |text: &Value| {
        json!({"type": "search_result", "source": "s", "title": "t", "content": [text],
               "citations": {"enabled": true}})
    };
    let page = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}});
    let fetch = json!([
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_fetch", "input": {"url": "https://a.example"}},
        {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1",
         "content": {"type": "web_fetch_result", "url": "https://a.example", "content": page}},
    ]);
    let ask = |content: Value| json!([{"role": "user", "content": content}]);
    let answered = |content: Value| {
        json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": content},
               {"role": "user", "content": "b"}])
    };
    let cases = [
        (
            ask(json!([plain, cited])),
            Some(
                "messages.0.content.1.text.citations: `citations` are not permitted in `user` messages",
            ),
        ),
        (
            ask(json!([found(&cited)])),
            Some(
                "messages.0.content.0.search_result.content: `citations` are not permitted in `user` messages",
            ),
        ),
        (
            answered(json!([page])),
            Some(
                "messages.1.content.0: `document` blocks are not permitted in `assistant` messages",
            ),
        ),
        (ask(json!([found(&plain), plain, page])), None),
        (answered(json!([cited])), None),
        (answered(fetch), None),
    ];
    for (messages, expected) in cases {
        let mut body = prompt("");
        body["messages"] = messages;
        let old = server.send(&server.messages(&body)).await;
        assert_eq!(old.status, 200, "{}", old.json());
        let newer = server
            .request("POST", "/v1/messages")
            .without("anthropic-version")
            .header("anthropic-version", "2026-10-21")
            .header("content-type", "application/json")
            .body(body.to_string());
        let json = server.send(&newer).await.json();
        assert_eq!(json["error"]["message"].as_str(), expected, "{json}");
    }
}
