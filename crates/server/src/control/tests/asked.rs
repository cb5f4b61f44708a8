//! What calls are asked, in their queries and bodies, that they do not take.

use super::*;

#[tokio::test]
async fn a_parameter_that_a_call_does_not_have_is_refused() {
    let server = Server::start(Config::default());
    for (call, said) in [
        ("usage?mont=2026-11", "did you mean `month`?"),
        ("usage?month=26-11", "`26-11` is no month"),
        ("usage?month=2026-1", "`2026-1` is no month"),
        ("usage?month=2026-%2B1", "`2026-+1` is no month"),
        ("clock?at=x", "`at` is no parameter"),
        ("containers?state=awake", "`state` is no parameter"),
        ("journal?format=har&bodies=x", "`bodies=x` is no filter"),
        (
            "journal?format=har&bodies=false",
            "`format` does not go with `bodies`",
        ),
        (
            "journal?format=cassette&limit=1",
            "`format` does not go with `limit`",
        ),
    ] {
        let (status, error) = server.get("a", &format!("/_sandtable/{call}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{call}");
        assert!(error.to_string().contains(said), "{call}: {error}");
    }
    for (method, call) in [
        (Method::DELETE, "journal?path=/v1/files"),
        (Method::DELETE, "faults?id=1"),
        (Method::POST, "reset?workspce=a"),
        (Method::PUT, "scripts?name=a"),
        (Method::GET, "verify?strict=1"),
        (Method::GET, "containers/c/files/a?wake=true&of=b"),
        (Method::GET, "page/timeline?from=1"),
    ] {
        let path = format!("/_sandtable/{call}");
        let (status, _) = server.send(Some("a"), method, &path, "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{call}");
    }
    for call in [
        "usage?month=2026-11",
        "clock",
        "containers",
        "journal?format=har&status=4xx",
    ] {
        let (status, error) = server.get("a", &format!("/_sandtable/{call}")).await;
        assert_eq!(status, StatusCode::OK, "{call}: {error}");
    }
}

#[tokio::test]
async fn a_body_that_a_call_cannot_carry_out_is_refused() {
    let server = Server::start(Config::default());
    let key = |key: &str| json!({ "key": key });
    for (method, call, body, said) in [
        (
            Method::PUT,
            "rate-limits",
            json!([["claude", 50, 1, 1]]),
            "rate limit 0: it must be an object",
        ),
        (
            Method::PUT,
            "state",
            json!({"rate_limits": [[null, 5]]}),
            "rate_limits[0]: expected an object",
        ),
        (
            Method::POST,
            "state/fork",
            key("sk-ant-invalid"),
            "every request with the key",
        ),
        (
            Method::POST,
            "state/fork",
            key(&"k".repeat(4097)),
            "`key` has 4097 bytes",
        ),
        (
            Method::POST,
            "clock",
            json!({"set": "9999-12-31T23:59:59Z"}),
            "goes to 9999-01-01",
        ),
        (
            Method::POST,
            "clock",
            json!({"advance": "99999999999d"}),
            "goes to 9999-01-01",
        ),
    ] {
        let path = format!("/_sandtable/{call}");
        let (status, error) = server
            .send(Some("a"), method, &path, &body.to_string())
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{call}: {error}");
        assert!(error.to_string().contains(said), "{call}: {error}");
    }
    let yaml = "cassette: 1\nexchanges: []\n";
    let (_, answer) = server
        .send(Some("a"), Method::PUT, "/_sandtable/cassettes", yaml)
        .await;
    assert!(!answer.to_string().contains("not JSON"), "{answer}");
}
