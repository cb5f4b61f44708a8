//! A panic while a request is served: here that of its body, which is as good as any.

use axum::body::Body;
use axum::http::Request;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::Server;
use crate::config::Config;

const KEY: &str = "sk-ant-test-0123456789";

async fn broken(server: &Server, path: &str) -> (u16, Value) {
    let body = stream::once(async {
        assert!(KEY.is_empty(), "the key {KEY} is in it");
        std::io::Result::Ok("")
    });
    let request = Request::post(path)
        .header("host", "localhost:4010")
        .header("x-api-key", KEY)
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .body(Body::from_stream(body));
    let answer = server.router.clone().oneshot(request.unwrap());
    let answer = answer.await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn a_panic_is_a_500_in_the_journal_and_a_bad_verdict_and_no_client_that_left() {
    let server = Server::start(Config::default());
    let (status, said) = broken(&server, "/v1/messages").await;
    assert_eq!(status, 500);
    let error = json!({"type": "api_error", "message": "Internal server error"});
    assert_eq!((&said["type"], &said["error"]), (&json!("error"), &error));
    let (_, journal) = server.get(KEY, "/_sandtable/journal").await;
    let entry = &journal["data"][0];
    assert_eq!(
        (&entry["status"], &entry["id"]),
        (&json!(500), &said["request_id"])
    );
    assert_eq!(
        (&entry["client_left"], &entry["broke"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(entry["response_body"], said);
    let (_, verdict) = server.get(KEY, "/_sandtable/verify").await;
    assert_eq!(verdict["ok"], false);
    let failed = &verdict["failed"][0];
    assert_eq!(failed["request_id"], said["request_id"]);
    let message = "sandtable itself failed: the key [redacted] is in it";
    assert_eq!(failed["message"], message);
}

#[tokio::test]
async fn a_panic_in_a_control_call_is_told_in_its_form() {
    let server = Server::start(Config::default());
    let (status, said) = broken(&server, "/_sandtable/faults").await;
    assert_eq!(status, 500);
    assert_eq!(said["error"]["message"], "the call failed inside sandtable");
}
