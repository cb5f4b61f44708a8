//! Request bodies: chunked, too large, cut short, and what becomes of the connection after them.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::harness::server::{prompt, streamed};
use crate::harness::{Response, TestServer};

const LIMIT: usize = 32 * 1024 * 1024;

async fn saying_ok() -> TestServer {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    server
}

/// A body of this many bytes that would be right if it were not too large.
fn body_of(bytes: usize) -> Vec<u8> {
    // No model that has a limit of its own takes so much.
    let mut empty = prompt("");
    empty["model"] = "claude-without-limits".into();
    let empty = empty.to_string();
    let at = empty.find("\"content\":\"").expect("the content") + "\"content\":\"".len();
    let mut body = empty.into_bytes();
    let filling = vec![b'x'; bytes - body.len()];
    body.splice(at..at, filling);
    assert_eq!(body.len(), bytes);
    body
}

#[tokio::test]
async fn a_chunked_body_in_odd_pieces_is_read_whole() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    let request = server
        .request("POST", "/v1/messages")
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked");
    connection
        .write(request.head(server.address).as_bytes())
        .await;
    for piece in prompt("größer 😀").to_string().into_bytes().chunks(7) {
        connection
            .write(format!("{:x}\r\n", piece.len()).as_bytes())
            .await;
        connection.write(piece).await;
        connection.write(b"\r\n").await;
    }
    connection.write(b"0\r\n\r\n").await;
    assert_eq!(connection.read().await.status, 200);
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_taken() {
    let server = saying_ok().await;
    let request = server
        .request("POST", "/v1/messages")
        .header("content-type", "application/json")
        .body(body_of(LIMIT));
    let response = server.send(&request).await;
    assert_eq!(response.status, 200, "{}", response.text());
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_is_read() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    let head = server
        .request("POST", "/v1/messages")
        .header("content-type", "application/json")
        .header("content-length", &(LIMIT + 1).to_string())
        .head(server.address);
    connection.write(head.as_bytes()).await;
    let response = connection.read().await;
    assert_eq!(response.status, 413);
    // F135
    assert_eq!(
        response.text(),
        r#"{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#
    );
}

#[tokio::test]
async fn a_client_that_sends_all_of_a_body_that_is_too_large_gets_the_answer_and_no_reset() {
    let server = saying_ok().await;
    for chunked in [false, true] {
        let mut connection = server.connect().await;
        let request = server
            .request("POST", "/v1/messages")
            .header("content-type", "application/json");
        let body = body_of(LIMIT + 1);
        if chunked {
            let head = request
                .header("transfer-encoding", "chunked")
                .head(server.address);
            connection.write(head.as_bytes()).await;
            connection
                .write(format!("{:x}\r\n", body.len()).as_bytes())
                .await;
            connection.write(&body).await;
            connection.write(b"\r\n0\r\n\r\n").await;
        } else {
            connection.send(&request.body(body)).await;
        }
        // Like a client that only now begins to read.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(connection.read().await.status, 413, "chunked: {chunked}");
    }
}

#[tokio::test]
async fn a_large_body_without_a_key_gets_its_answer_too() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    let request = server
        .request("POST", "/v1/messages")
        .without("x-api-key")
        .header("content-type", "application/json")
        .body(body_of(8 * 1024 * 1024));
    connection.send(&request).await;
    assert_eq!(connection.read().await.status, 401);
}

#[tokio::test]
async fn a_body_shorter_than_announced_changes_nothing_and_hurts_no_one() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    let body = prompt("hi").to_string();
    let head = server
        .request("POST", "/v1/messages")
        .header("content-type", "application/json")
        .header("content-length", &(body.len() + 10).to_string())
        .head(server.address);
    connection.write(head.as_bytes()).await;
    connection.write(body.as_bytes()).await;
    connection.stream.shutdown().await.unwrap();
    let answer = connection.try_read().await;
    assert!(answer.is_none_or(|response| response.status == 400));
    server.message(&prompt("hi")).await;
}

#[tokio::test]
async fn what_follows_a_body_is_the_next_request() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    let body = prompt("hi").to_string();
    let request = server
        .request("POST", "/v1/messages")
        .header("content-type", "application/json");
    let head = request.head(server.address).replace(
        "content-length: 0",
        &format!("content-length: {}", body.len()),
    );
    // Two at once, and the first body is cut short by its own announcement.
    let short = head.replace(
        &format!("content-length: {}", body.len()),
        "content-length: 2",
    );
    connection
        .write(format!("{short}{{}}{head}{body}").as_bytes())
        .await;
    assert_eq!(connection.read().await.status, 400);
    assert_eq!(connection.read().await.status, 200);
}

#[tokio::test]
async fn contradictory_lengths_are_refused() {
    let server = saying_ok().await;
    for extra in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: -1\r\n",
        "content-length: x\r\n",
    ] {
        let mut connection = server.connect().await;
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: k\r\n{extra}\r\n{{}}"
        );
        connection.write(head.as_bytes()).await;
        let response = connection.read().await;
        assert_eq!(response.status, 400, "{extra}");
    }
}

#[tokio::test]
async fn a_connection_stays_open_over_errors_and_streams() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    let good = server.messages(&prompt("hi"));
    let stream = server.messages(&streamed(prompt("hi")));
    let bad = server.messages(&json!({}));
    let unknown = server.request("GET", "/v1/nonsense");
    let keyless = good.clone().without("x-api-key");
    let no_json = server
        .request("POST", "/v1/messages")
        .header("content-type", "application/json")
        .body("{");
    let steps = [
        (&good, 200),
        (&bad, 400),
        (&stream, 200),
        (&unknown, 404),
        (&keyless, 401),
        (&no_json, 400),
        (&good, 200),
    ];
    for (request, status) in steps {
        connection.send(request).await;
        let response = connection.read().await;
        assert_eq!(response.status, status, "{}", response.text());
        assert_ne!(response.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn a_connection_stays_open_when_a_small_body_comes_later_than_its_refusal() {
    let server = saying_ok().await;
    for refused in [
        server.request("POST", "/v1/messages").without("x-api-key"),
        server
            .request("POST", "/v1/messages")
            .header("x-sandtable-fault", r#"{"at":"http","status":529}"#),
    ] {
        let mut connection = server.connect().await;
        let refused = refused.header("content-length", "21");
        let head = refused.head(server.address);
        connection.write(head.as_bytes()).await;
        let refusal = connection.read().await;
        assert!(refusal.status >= 400, "{}", refusal.text());
        connection.write(b"{\"what came\": \"late\"}").await;
        connection.send(&server.request("GET", "/v1/models")).await;
        assert_eq!(connection.read().await.status, 200);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = saying_ok().await;
    for body in [prompt("hi"), streamed(prompt("hi"))] {
        let mut connection = server.connect().await;
        let body = body.to_string();
        let request = format!(
            "POST /v1/messages HTTP/1.0\r\nx-api-key: sk-ant-test\r\nanthropic-version: 2023-06-01\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write(request.as_bytes()).await;
        let response = connection.read().await;
        assert_eq!(response.status, 200);
        assert_eq!(response.version, "HTTP/1.0");
        assert_eq!(response.header("transfer-encoding"), None);
        assert!(
            response.text().contains("\"text\":\"ok\"") || response.text().contains("message_stop")
        );
        assert!(connection.is_closed().await);
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_or_refused() {
    let server = saying_ok().await;
    let body = prompt("hi").to_string();
    let head = |length: usize| {
        server
            .request("POST", "/v1/messages")
            .header("content-type", "application/json")
            .header("expect", "100-continue")
            .header("content-length", &length.to_string())
            .head(server.address)
    };
    let mut connection = server.connect().await;
    connection.write(head(body.len()).as_bytes()).await;
    assert_eq!(connection.read_head().await.expect("a head").status, 100);
    connection.write(body.as_bytes()).await;
    assert_eq!(connection.read().await.status, 200);

    let mut connection = server.connect().await;
    connection.write(head(LIMIT + 1).as_bytes()).await;
    assert_eq!(connection.read_head().await.expect("a head").status, 413);
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_waited_for_no_longer() {
    let server = saying_ok().await;
    let mut half = server.connect().await;
    half.write(b"POST /v1/messages HTTP/1.1\r\nhost: ").await;
    let mut silent = server.connect().await;
    tokio::time::pause();
    // The time for an answer in tests would be over before that for a head.
    while half.fill().await {}
    while silent.fill().await {}
    assert_eq!(half.pending() + &silent.pending(), "");
}

#[tokio::test]
async fn a_connection_may_rest_between_two_requests() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    let request = server.request("GET", "/v1/models");
    for _ in 0..2 {
        connection
            .write(request.head(server.address).as_bytes())
            .await;
        assert_eq!(connection.read().await.status, 200);
        tokio::time::pause();
        tokio::time::advance(Duration::from_hours(1)).await;
        tokio::time::resume();
    }
}

/// The answer to a request whose body says no more than this.
async fn silent(server: &TestServer, method: &str, path: &str, body: &str) -> Response {
    let kind = if body.starts_with("--b") {
        "multipart/form-data; boundary=b"
    } else {
        "application/json"
    };
    let request = server
        .request(method, path)
        .header("content-type", kind)
        .header("content-length", "9000")
        .body(body);
    let mut connection = server.connect().await;
    connection.send(&request).await;
    tokio::time::pause();
    connection.fill().await;
    tokio::time::resume();
    connection.read().await
}

#[tokio::test]
async fn a_body_that_stays_silent_is_a_timeout_wherever_it_was_sent() {
    const FILE: &str =
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\na";
    const SKILL: &str =
        "--b\r\ncontent-disposition: form-data; name=\"files[]\"; filename=\"a/SKILL.md\"\r\n\r\na";
    let server = saying_ok().await;
    let api = [
        ("/v1/messages", "{"),
        ("/v1/messages/count_tokens", "{"),
        ("/v1/messages/batches", "{"),
        ("/v1/files", FILE),
        ("/v1/skills", SKILL),
        // Nothing is missing but the end of the body.
        ("/v1/skills", &format!("{SKILL}\r\n--b--\r\n")),
    ];
    let refused = |answer: &Response| {
        let error = &answer.json()["error"];
        (answer.status, error["type"].clone(), answer.message())
    };
    let message = "The request body stayed silent for too long".to_owned();
    let expected = (408, json!("timeout_error"), message.clone());
    let all = async |server: &TestServer| {
        for (path, body) in api {
            let answer = silent(server, "POST", path, body).await;
            assert_eq!(refused(&answer), expected, "{path}");
        }
    };
    all(&server).await;
    let aimed = json!({"at": "http", "status": 529, "model": "nobody"});
    server.control("POST", "faults", &aimed).await;
    all(&server).await;
    for (method, name) in [
        ("POST", "clock"),
        ("POST", "faults"),
        ("PUT", "cassettes"),
        ("PUT", "label"),
        ("PUT", "quirks"),
        ("PUT", "rate-limits"),
        ("PUT", "scripts"),
        ("POST", "scripts"),
        ("POST", "scripts/check"),
        ("PUT", "state"),
        ("POST", "state/fork"),
    ] {
        let answer = silent(&server, method, &format!("/_sandtable/{name}"), "{").await;
        assert_eq!((answer.status, answer.message()), (408, message.clone()));
        assert_eq!(answer.json()["error"]["hint"], "send the call again");
    }
    let cassette = json!({"cassette": 1, "exchanges": []});
    server.control("PUT", "cassettes", &cassette).await;
    all(&server).await;
}

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let server = saying_ok().await;
    let mut connection = server.connect().await;
    connection
        .write(b"GET /v1/models HTTP/1.1\r\nx-api-key: key\r\n\r\n")
        .await;
    let answer = connection.read().await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("host")
    );
    let mut old = server.connect().await;
    old.write(
        b"GET /v1/models HTTP/1.0\r\nx-api-key: key\r\nanthropic-version: 2023-06-01\r\n\r\n",
    )
    .await;
    assert_eq!(old.read().await.status, 200);
}

#[tokio::test]
async fn who_waits_to_be_asked_for_a_body_is_told_that_nobody_asks() {
    let server = saying_ok().await;
    let message = server.messages(&prompt("hi"));
    let refused = message.clone().without("x-api-key");
    let unknown = server
        .request("POST", "/_sandtable/nothing")
        .json(&json!({}));
    let elsewhere = message.clone().header("host", "rebound.example");
    for (request, expected) in [(refused, 401), (unknown, 404), (elsewhere, 403)] {
        let request = request.header("expect", "100-continue");
        let mut connection = server.connect().await;
        let head = request.head(server.address);
        connection.write(head.as_bytes()).await;
        let answer = connection.read().await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("connection"), Some("close"));
        // At once: the body is not waited for.
        let closed = tokio::time::timeout(Duration::from_secs(5), connection.is_closed());
        assert_eq!(closed.await, Ok(true));
    }
    let asking = message.header("expect", "100-continue");
    let mut connection = server.connect().await;
    for _ in 0..2 {
        let head = asking.head(server.address);
        connection.write(head.as_bytes()).await;
        assert_eq!(connection.read_head().await.expect("a head").status, 100);
        connection.write(&asking.body).await;
        let answer = connection.read().await;
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
}
