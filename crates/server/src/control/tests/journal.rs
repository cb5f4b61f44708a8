//! What the journal keeps of bodies, and what its cassettes give again.

use super::*;

impl Server {
    async fn said(&self, request: Request<Body>) -> String {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    async fn newest(&self) -> Value {
        let (_, journal) = self.get("a", "/_sandtable/journal?limit=1").await;
        journal["data"][0].clone()
    }

    async fn cassette(&self) -> String {
        let request = Request::get("/_sandtable/journal?format=cassette");
        let request = request.header("host", "localhost").header("x-api-key", "a");
        self.said(request.body(Body::empty()).unwrap()).await
    }
}

fn upload() -> Request<Body> {
    const FORM: &str = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n1,2\r\n--b--\r\n";
    Request::post("/v1/files")
        .header("host", "localhost")
        .header("x-api-key", "a")
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "multipart/form-data; boundary=b")
        .header("content-length", FORM.len())
        .body(Body::from(FORM))
        .unwrap()
}

#[tokio::test]
async fn every_json_answer_is_kept_whoever_gave_it() {
    let server = Server::start(Config::default());
    for path in [
        "/v1/models",
        "/v1/models/claude-opus-4-6",
        "/v1/files",
        "/v1/skills",
    ] {
        let (status, answer) = server.get("a", path).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(server.newest().await["response_body"], answer, "{path}");
    }
    let body = json!({"model": "claude-opus-4-6", "messages": [{"role": "user", "content": "hi"}]});
    let (_, counted) = server.post("a", "/v1/messages/count_tokens", &body).await;
    let newest = server.newest().await;
    assert_eq!(
        (&newest["request_body"], &newest["response_body"]),
        (&body, &counted)
    );
    server.send(Some("a"), Method::HEAD, "/v1/models", "").await;
    assert_eq!(server.newest().await["response_body"], Value::Null);
}

#[tokio::test]
async fn a_body_is_kept_whatever_is_wrong_with_it() {
    let server = Server::start(Config::default());
    server
        .send(Some("a"), Method::POST, "/v1/messages", "{bad")
        .await;
    assert_eq!(server.newest().await["request_body"], "{bad");
    let with = |name: &str, value: &str| {
        let request = Request::post("/v1/messages").header("host", "localhost");
        let request = request.header("x-api-key", "a").header(name, value);
        request.body(Body::from("{}")).unwrap()
    };
    let mut plain = with("content-type", "text/plain");
    let version = axum::http::HeaderValue::from_static("2023-06-01");
    plain.headers_mut().insert("anthropic-version", version);
    let unversioned = with("content-type", "application/json");
    for request in [plain, unversioned] {
        let said = server.said(request).await;
        assert!(said.contains("invalid_request_error"), "{said}");
        assert_eq!(server.newest().await["request_body"], json!({}), "{said}");
    }
    let mut large = upload();
    large.headers_mut().remove("anthropic-version");
    let length = large.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse::<u64>()
        .unwrap();
    server.said(large).await;
    assert_eq!(
        server.newest().await["request_body"],
        json!({"size_bytes": length})
    );
}

#[tokio::test]
async fn a_cassette_of_the_journal_gives_the_same_answers_again() {
    let server = Server::start(Config::default());
    let (_, model) = server.get("a", "/v1/models/claude-opus-4-6").await;
    let file: Value = serde_json::from_str(&server.said(upload()).await).unwrap();
    let newest = server.newest().await;
    assert_eq!(newest["request_body"]["size_bytes"], 3);
    assert_eq!(newest["response_body"], file);
    let text = server.cassette().await;
    let (status, mounted) = server
        .send(Some("b"), Method::PUT, "/_sandtable/cassettes", &text)
        .await;
    assert_eq!(
        (status, &mounted["exchanges"]),
        (StatusCode::OK, &json!(2)),
        "{mounted}"
    );
    assert_eq!(server.get("b", "/v1/models/claude-opus-4-6").await.1, model);
    let mut again = upload();
    let key = axum::http::HeaderValue::from_static("b");
    again.headers_mut().insert("x-api-key", key);
    let again: Value = serde_json::from_str(&server.said(again).await).unwrap();
    assert_eq!(again["filename"], "a.csv", "{again}");
}
