//! The answers to bad input: the service's status, type, and text with the path of the fault; and nothing changes.

mod fields;
mod histories;
mod lists;
mod quoted;
mod table;
mod transport;
mod uploads;

use serde_json::Value;

use crate::harness::{Request, TestServer};

/// Sends a request that must be refused: 4xx, the envelope, the request id in both places, no retry.
async fn refused(server: &TestServer, request: &Request) -> (u16, String, String) {
    let response = server.send(request).await;
    let text = response.text();
    assert!(
        (400..500).contains(&response.status),
        "{} {text}\n{} {}\n{}",
        response.status,
        request.method,
        request.path,
        String::from_utf8_lossy(&request.body)
    );
    let body: Value = response.json();
    assert_eq!(body["type"], "error", "{text}");
    assert_eq!(
        body["request_id"].as_str(),
        response.header("request-id"),
        "{text}"
    );
    assert_eq!(response.header("x-should-retry"), Some("false"), "{text}");
    assert_eq!(
        response.header("content-type"),
        Some("application/json"),
        "{text}"
    );
    let part = |name: &str| body["error"][name].as_str().expect("a text").to_owned();
    (response.status, part("type"), part("message"))
}
