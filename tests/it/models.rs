//! `/v1/models` and `count_tokens`.

use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::server::{code_prompt, prompt};
use crate::harness::transcript::golden;

async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let response = server.send(&server.request("GET", path)).await;
    (response.status, response.json())
}

fn ids(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().expect("a page");
    data.iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn models_are_told_by_id_and_alias_and_unknown_ones_are_not_found() {
    let server = TestServer::start().await;
    golden!(
        &server,
        server.request("GET", "/v1/models?limit=1&after_id=claude-sonnet-5"),
        server.request("GET", "/v1/models/claude-haiku-4-5?beta=true"),
        server.request("GET", "/v1/models/claude-does-not-exist"),
    );
}

#[tokio::test]
async fn retired_models_are_listed_only_where_they_are_asked_for() {
    let server = TestServer::start().await;
    let (_, usual) = get(&server, "/v1/models?limit=1000").await;
    let stages: Vec<_> = usual["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["lifecycle"].as_str().unwrap())
        .collect();
    assert!(stages.contains(&"active"));
    assert!(!stages.contains(&"retired"));
    // Its day has come by the workspace's clock.
    let (_, opus) = get(&server, "/v1/models/claude-opus-4-5").await;
    assert_eq!(opus["lifecycle"], "retired");
    assert_eq!(opus["retires_at"], "2027-01-22T00:00:00Z");
    assert!(!ids(&usual).contains(&"claude-opus-4-5-20251101"));
    let path = "/v1/models?lifecycle%5B%5D=retired&lifecycle%5B%5D=deprecated&limit=1000";
    let (_, old) = get(&server, path).await;
    assert!(ids(&old).contains(&"claude-opus-4-20250514"));
    assert!(ids(&old).contains(&"claude-opus-4-5-20251101"));
    assert!(!ids(&old).contains(&"claude-opus-5"));
}

#[tokio::test]
async fn the_list_is_walked_to_its_end_and_past_it() {
    let server = TestServer::start().await;
    let (_, all) = get(&server, "/v1/models?limit=1000").await;
    let mut seen = Vec::new();
    let mut path = "/v1/models?limit=4".to_owned();
    loop {
        let (_, page) = get(&server, &path).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let last = page["last_id"].as_str().unwrap();
        path = format!("/v1/models?limit=4&after_id={last}");
        if page["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(seen, ids(&all));
    let (_, past) = get(&server, &path).await;
    let empty = json!({"data": [], "has_more": false, "first_id": null, "last_id": null});
    assert_eq!(past, empty);
}

#[tokio::test]
async fn wrong_parameters_of_the_list_are_named() {
    let server = TestServer::start().await;
    for (query, text) in [
        (
            "limit=0",
            "limit: Input should be greater than or equal to 1",
        ),
        (
            "limit=1001",
            "limit: Input should be less than or equal to 1000",
        ),
        (
            "lifecycle[]=dead",
            "lifecycle.0: Input should be 'active', 'deprecated' or 'retired'",
        ),
        (
            "after_id=a&before_id=b",
            "before_id: Cannot be combined with `after_id`",
        ),
        ("after_id=a", "after_id: Model `a` not found."),
        ("before_id=a", "before_id: Model `a` not found."),
    ] {
        let (status, body) = get(&server, &format!("/v1/models?{query}")).await;
        assert_eq!((status, &body["error"]["message"]), (400, &json!(text)));
    }
}

fn without_max_tokens(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("max_tokens");
    body
}

#[tokio::test]
async fn tokens_are_counted_as_a_message_counts_them() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "Hello."}])).await;
    for mut body in [prompt("How long is this?"), code_prompt("And with a tool?")] {
        body["system"] = json!("Be brief.");
        let message = server.message(&body).await;
        let count = without_max_tokens(body);
        let request = server
            .request("POST", "/v1/messages/count_tokens")
            .json(&count);
        let counted = server.send(&request).await;
        assert_eq!(counted.status, 200, "{}", counted.text());
        let expected = json!({"input_tokens": message["usage"]["input_tokens"]});
        assert_eq!(counted.json(), expected);
    }
}

#[tokio::test]
async fn counting_refuses_what_a_message_would_refuse_and_changes_nothing() {
    let server = TestServer::start().await;
    let before = server.state().await;
    let good = without_max_tokens(prompt("hi"));
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let upload =
        json!([{"role": "user", "content": [{"type": "container_upload", "file_id": "file_x"}]}]);
    let tool = json!([{"type": "code_execution_20250825", "name": "code_execution"}]);
    let mut unknown_file = with("messages", upload);
    unknown_file["tools"] = tool;
    for (body, status, text) in [
        (
            with("max_tokens", json!(16)),
            400,
            "max_tokens: Extra inputs are not permitted",
        ),
        (
            with("stream", json!(true)),
            400,
            "stream: Extra inputs are not permitted",
        ),
        (
            with("container", json!("container_1")),
            400,
            "container: Extra inputs are not permitted",
        ),
        (
            with("messages", json!([])),
            400,
            "messages: at least one message is required",
        ),
        (unknown_file, 404, "File `file_x` not found."),
    ] {
        let request = server
            .request("POST", "/v1/messages/count_tokens")
            .json(&body);
        let response = server.send(&request).await;
        let answer: Value = response.json();
        assert_eq!(
            (response.status, &answer["error"]["message"]),
            (status, &json!(text))
        );
    }
    let strict = server
        .request("POST", "/v1/messages/count_tokens")
        .without("anthropic-version")
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "token-counting-2024-11-01")
        .json(&with("temperature", json!(1)));
    assert_eq!(server.send(&strict).await.status, 400);
    assert_eq!(server.state().await, before);
}
