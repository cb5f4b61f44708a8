//! Web pages on the same machine: names that are not ours, origins that are not allowed, preflights.

use crate::harness::server::prompt;
use crate::harness::transcript::golden;
use crate::harness::{Request, Response, TestServer};
use serde_json::json;

async fn status(server: &TestServer, request: &Request) -> u16 {
    let response: Response = server.send(request).await;
    if response.status == 403 {
        let error = &response.json()["error"];
        let is_of_the_api = error["type"] == "permission_error";
        // Control calls have a form of their own.
        assert!(is_of_the_api || error["hint"].is_string(), "{error}");
    }
    response.status
}

#[tokio::test]
async fn only_names_of_ours_are_answered_on_both_surfaces() {
    let server =
        TestServer::with(|config| config.allow_hosts = vec!["sandtable.test".to_owned()]).await;
    let port = server.address.port();
    for host in [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "[::1]",
        "tests.localhost",
        "sandtable.test",
        "Sandtable.Test",
    ] {
        for host in [
            host.to_owned(),
            format!("{host}:{port}"),
            format!("{host}:80"),
        ] {
            let request = server.request("GET", "/v1/files").header("host", &host);
            assert_eq!(status(&server, &request).await, 200, "{host}");
        }
    }
    for host in [
        "rebound.example",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.nip.io",
        "10.0.0.1",
        "[::2]",
        "localhost:80:80",
        "user@localhost",
        "",
        "0.0.0.0",
        "sandtable.test.evil.example",
        "2130706433",
    ] {
        for (method, path) in [
            ("GET", "/v1/files"),
            ("POST", "/v1/messages"),
            ("POST", "/_sandtable/reset"),
            ("GET", "/_sandtable/health"),
            ("OPTIONS", "/v1/messages"),
        ] {
            let request = server.request(method, path).header("host", host);
            assert_eq!(
                status(&server, &request).await,
                403,
                "{method} {path} at {host:?}"
            );
        }
    }
    let twice = server
        .request("GET", "/v1/files")
        .header("host", "localhost")
        .header("host", "rebound.example");
    let elsewhere = server
        .request("GET", "/v1/files")
        .header("host", "rebound.example");
    for (request, expected) in [(twice, 400), (elsewhere, 403)] {
        let answer = server.send(&request).await;
        assert_eq!(answer.status, expected);
        let id = answer.header("request-id").expect("an id");
        assert!(id.starts_with("req_"), "{id}");
        assert_eq!(answer.json()["request_id"], id);
    }
    let bare = server.request("GET", "/v1/files").header("host", "::1");
    let message = server.send(&bare).await.message();
    assert!(
        message.ends_with("stands in brackets: `[::1]`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_refused_host_has_changed_nothing() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "kept"}])).await;
    let rebound = server
        .request("POST", "/_sandtable/reset")
        .header("host", "rebound.example");
    assert_eq!(status(&server, &rebound).await, 403);
    assert_eq!(
        server.message(&prompt("hi")).await["content"][0]["text"],
        "kept"
    );
}

#[tokio::test]
async fn other_pages_are_refused_and_our_own_is_not() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let message = server.messages(&prompt("hi"));
    for origin in [
        "https://evil.example",
        "http://localhost:1",
        "null",
        "file://",
        "http://localhost.evil.example",
    ] {
        let request = message.clone().header("origin", origin);
        assert_eq!(status(&server, &request).await, 403, "{origin}");
        let control = server
            .request("POST", "/_sandtable/reset")
            .header("origin", origin);
        assert_eq!(status(&server, &control).await, 403, "{origin}");
    }
    let own = message
        .clone()
        .header("origin", &format!("http://{}", server.address));
    assert_eq!(status(&server, &own).await, 200);
    let image = server
        .request("GET", "/_sandtable/health")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(status(&server, &image).await, 403);
    // Node's fetch says how it fetches, and nothing of sites.
    let node = message.header("sec-fetch-mode", "cors");
    assert_eq!(status(&server, &node).await, 200);
}

#[tokio::test]
async fn our_own_page_is_ours_behind_a_proxy_with_tls() {
    let server =
        TestServer::with(|config| config.allow_hosts = vec!["sandtable.test".to_owned()]).await;
    let reset = |host: &str, origin: &str| {
        server
            .request("POST", "/_sandtable/reset")
            .header("host", host)
            .header("origin", origin)
    };
    for (host, origin, expected) in [
        ("sandtable.test", "https://sandtable.test", 200),
        ("sandtable.test:443", "https://sandtable.test", 200),
        ("sandtable.test:8443", "https://sandtable.test:8443", 200),
        ("localhost:4010", "https://localhost:4010", 200),
        ("sandtable.test", "https://sandtable.test:8443", 403),
        ("sandtable.test:4010", "https://sandtable.test", 403),
        ("sandtable.test", "https://localhost", 403),
        ("sandtable.test", "https://evil.example", 403),
        ("sandtable.test", "null", 403),
        // A name that leads here and is not ours.
        ("rebound.example", "https://rebound.example", 403),
    ] {
        let request = reset(host, origin);
        assert_eq!(status(&server, &request).await, expected, "{origin}");
        // A page of the same name at the other usual port.
        for site in ["same-site", "cross-site", "none"] {
            let elsewhere = request.clone().header("sec-fetch-site", site);
            assert_eq!(status(&server, &elsewhere).await, 403, "{origin}, {site}");
        }
        let here = request.header("sec-fetch-site", "same-origin");
        assert_eq!(status(&server, &here).await, expected, "{origin}");
    }
}

#[tokio::test]
async fn an_allowed_origin_may_ask_and_read() {
    let server =
        TestServer::with(|config| config.allow_origins = vec!["https://app.example".to_owned()])
            .await;
    server.steps(&json!([{"text": "ok"}])).await;
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/v1/messages")
            .header("host", "localhost")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,x-api-key,anthropic-version",
            )
    };
    let message = server
        .messages(&prompt("hi"))
        .header("host", "localhost")
        .header("origin", "https://app.example");
    golden!(
        &server,
        preflight("https://app.example"),
        message,
        preflight("https://other.example")
    );
    for (method, path) in [("GET", "/v1/nonsense"), ("POST", "/v1/messages")] {
        let failing = server
            .request(method, path)
            .header("origin", "https://app.example");
        let response = server.send(&failing).await;
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some("https://app.example"),
            "errors can be read"
        );
    }
    let nowhere = server
        .request("OPTIONS", "/v1/messages")
        .header("origin", "https://app.example");
    assert_eq!(server.send(&nowhere).await.status, 405, "not a preflight");
}
