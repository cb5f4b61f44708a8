//! Rate limits: who is refused, in which words, and when the next one is let in.

use serde_json::{Value, json};

use crate::harness::server::{prompt, streamed};
use crate::harness::{Response, TestServer};

async fn limited(limits: &Value) -> TestServer {
    let server = TestServer::start().await;
    server.freeze().await;
    server
        .steps(&json!([{"usage": {"input_tokens": 700, "output_tokens": 90}}, {"text": "Hello."}]))
        .await;
    server.control("PUT", "rate-limits", limits).await;
    server
}

async fn send(server: &TestServer) -> Response {
    server.send(&server.messages(&prompt("hi"))).await
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_until_the_clock_has_moved() {
    let server = limited(&json!([{"requests": 1}])).await;
    let first = send(&server).await;
    assert_eq!(first.status, 200);
    let header = |name: &str| first.header(&format!("anthropic-ratelimit-requests-{name}"));
    assert_eq!(
        (header("limit"), header("remaining")),
        (Some("1"), Some("0"))
    );
    let refused = send(&server).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("60"));
    assert_eq!(refused.header("x-should-retry"), Some("true"));
    let error = &refused.json()["error"];
    assert_eq!(error["type"], "rate_limit_error");
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.starts_with(
            "This request would exceed your organization's rate limit of 1 requests per minute (org: "
        ),
        "{message}"
    );
    let organization = first.header("anthropic-organization-id").expect("an id");
    assert!(message.contains(organization), "{message}");
    server.advance("60s").await;
    assert_eq!(send(&server).await.status, 200);
}

#[tokio::test]
async fn tokens_are_settled_by_what_the_turn_used() {
    let server = limited(&json!([{"input_tokens": 1000, "output_tokens": 100}])).await;
    let streamed = server.send(&server.messages(&streamed(prompt("hi")))).await;
    assert_eq!(streamed.status, 200);
    let second = send(&server).await;
    assert_eq!(
        second.header("anthropic-ratelimit-input-tokens-limit"),
        Some("1000")
    );
    // 10 of 100 output tokens were left, 700 and 90 more were used.
    let refused = send(&server).await;
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("of 1,000 input tokens per minute"));
    server.advance("30s").await;
    let refused = send(&server).await;
    assert!(
        refused.text().contains("of 100 output tokens per minute"),
        "{}",
        refused.text()
    );
    server.advance("30s").await;
    assert_eq!(send(&server).await.status, 200);
}

#[tokio::test]
async fn limits_can_be_given_at_the_start_shown_and_taken_back() {
    let server = TestServer::with(|config| {
        config.rates = vec!["requests=1,model=claude-opus".parse().expect("a limit")];
    })
    .await;
    server.steps(&json!([{"text": "Hello."}])).await;
    let shown = server.control("GET", "rate-limits", &Value::Null).await;
    assert_eq!(
        shown,
        json!({"data": [{"model": "claude-opus", "requests": 1}]})
    );
    server.freeze().await;
    let mut other = prompt("hi");
    other["model"] = "claude-haiku-4-5".into();
    let mut opus = prompt("hi");
    opus["model"] = "claude-opus-5".into();
    for (body, status) in [(&opus, 200), (&opus, 429), (&other, 200), (&other, 200)] {
        assert_eq!(server.send(&server.messages(body)).await.status, status);
    }
    server.control("PUT", "rate-limits", &json!([])).await;
    assert_eq!(server.send(&server.messages(&opus)).await.status, 200);
    server.control("DELETE", "rate-limits", &Value::Null).await;
    for status in [200, 429] {
        assert_eq!(server.send(&server.messages(&opus)).await.status, status);
    }
}

#[tokio::test]
async fn calls_of_the_files_api_have_a_limit_of_their_own() {
    let server = limited(&json!([{"files": 2}, {"requests": 1}])).await;
    let list = server.request("GET", "/v1/files");
    server.upload("a.txt", "text/plain", "a").await;
    assert_eq!(server.send(&list).await.status, 200);
    let refused = server.send(&list).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(refused.header("x-should-retry"), Some("true"));
    assert_eq!(refused.header("anthropic-ratelimit-requests-limit"), None);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    // Messages count for themselves, and so does another key.
    assert_eq!(send(&server).await.status, 200);
    let other = list
        .clone()
        .without("x-api-key")
        .header("x-api-key", "another");
    assert_eq!(server.send(&other).await.status, 200);
    server.advance("30s").await;
    assert_eq!(server.send(&list).await.status, 200);
}

#[tokio::test]
async fn limits_that_can_never_count_are_refused_and_change_nothing() {
    let server = limited(&json!([{"requests": 1}])).await;
    for (limits, at, word) in [
        (json!([{"requests": 2, "model": "claude-*"}]), 0, "`*`"),
        (
            json!([{"requests": 2}, {"output_tokens": 1}]),
            1,
            "the first that fits counts",
        ),
    ] {
        let request = server
            .request("PUT", "/_sandtable/rate-limits")
            .json(&limits);
        let refused = server.send(&request).await;
        assert_eq!(refused.status, 400, "{limits}");
        let text = refused.text();
        assert!(
            text.contains(&format!("rate limit {at}: ")) && text.contains(word),
            "{text}"
        );
    }
    let shown = server.control("GET", "rate-limits", &Value::Null).await;
    assert_eq!(shown, json!({"data": [{"requests": 1}]}));
}
