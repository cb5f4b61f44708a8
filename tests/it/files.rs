//! Files, as far as the server's flags and the clock bear on them; the rest is beside the handlers.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// Type and code of an error.
fn error(body: &Value) -> (&str, &str) {
    (
        body["error"]["type"].as_str().unwrap_or_default(),
        body["error"]["details"]["error_code"]
            .as_str()
            .unwrap_or_default(),
    )
}

fn upload(server: &TestServer, content: &str, expires: &str) -> crate::harness::Request {
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"expires_in_seconds\"\r\n\r\n{expires}\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{content}\r\n--b--\r\n"
    );
    server
        .request("POST", "/v1/files")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body)
}

#[tokio::test]
async fn a_workspace_holds_no_more_than_its_quota_and_a_deletion_makes_room() {
    let server = TestServer::with(|config| config.quota_bytes = 10).await;
    let id = server.upload("a.txt", "text/plain", "123456").await;
    let over = server.send(&upload(&server, "12345", "3600")).await;
    assert_eq!(over.status, 400);
    assert_eq!(
        error(&over.json()),
        ("invalid_request_error", "storage_quota_exceeded")
    );
    let path = format!("/v1/files/{id}");
    let deleted = server.send(&server.request("DELETE", &path)).await;
    assert_eq!(deleted.status, 200);
    assert_eq!(
        server
            .send(&upload(&server, "1234567890", "3600"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn an_expired_file_is_refused_by_messages_and_forgotten_after_thirty_days() {
    let server = TestServer::start().await;
    let file = server.send(&upload(&server, "text", "3600")).await.json();
    let mut body = crate::harness::server::code_prompt("go");
    body["messages"][0]["content"] = json!([
        {"type": "container_upload", "file_id": file["id"]},
        {"type": "text", "text": "go"},
    ]);
    assert_eq!(server.send(&server.messages(&body)).await.status, 200);
    server.advance("1h").await;
    let refused = server.send(&server.messages(&body)).await;
    assert_eq!(
        (refused.status, error(&refused.json())),
        (404, ("not_found_error", "file_expired"))
    );
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let listed = format!("/v1/files?ids%5B%5D={}", file["id"].as_str().unwrap());
    let count = async || {
        let page = server.send(&server.request("GET", &listed)).await.json();
        page["data"].as_array().unwrap().len()
    };
    for (span, status, shown) in [("0s", 200, 1), ("2591999s", 200, 1), ("1s", 404, 0)] {
        server.advance(span).await;
        let answer = server.send(&server.request("GET", &path)).await;
        assert_eq!(
            (answer.status, count().await),
            (status, shown),
            "after {span}"
        );
    }
    let gone = server.send(&server.messages(&body)).await;
    let id = file["id"].as_str().unwrap();
    assert_eq!(
        (gone.status, gone.message()),
        (404, format!("File `{id}` not found."))
    );
    assert_eq!(error(&gone.json()), ("not_found_error", ""));
}
