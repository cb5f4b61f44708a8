//! The control calls through the whole router, guard included, without a socket.

#[path = "../../../../tests/openapi.rs"]
mod openapi;

mod asked;
mod events;
mod failed;
mod files;
mod journal;
mod kept;
mod keys;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::app::App;
use crate::config::Config;
use store::{Options, Store};

pub(super) struct Server {
    router: Router,
    app: App,
    dir: TempDir,
}

impl Server {
    pub(super) fn start(config: Config) -> Self {
        Self::start_with(config, Options::default())
    }

    pub(super) fn start_with(config: Config, options: Options) -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open_with(dir.path(), options).unwrap();
        let app = App::for_store_with(store, config);
        let router = crate::router(&app);
        Self { router, app, dir }
    }

    pub(super) async fn send(
        &self,
        key: Option<&str>,
        method: Method,
        path: &str,
        body: &str,
    ) -> (StatusCode, Value) {
        let name = method.to_string();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:4010")
            .header("anthropic-version", "2023-06-01")
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        openapi::check(&name, path, status.as_u16(), &bytes);
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub(super) async fn post(&self, key: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Some(key), Method::POST, path, &body.to_string())
            .await
    }

    pub(super) async fn put(&self, key: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Some(key), Method::PUT, path, &body.to_string())
            .await
    }

    pub(super) async fn get(&self, key: &str, path: &str) -> (StatusCode, Value) {
        self.send(Some(key), Method::GET, path, "").await
    }
}

#[tokio::test]
async fn a_clock_belongs_to_its_key_and_only_goes_forward() {
    let server = Server::start(Config::default());
    let (_, frozen) = server
        .post("a", "/_sandtable/clock", &json!({"freeze": true}))
        .await;
    assert_eq!(frozen["frozen"], true);
    let (_, set) = server
        .post(
            "a",
            "/_sandtable/clock",
            &json!({"set": "2100-01-01T00:00:00Z"}),
        )
        .await;
    assert_eq!(set["now"], "2100-01-01T00:00:00.000000Z");
    let (_, later) = server
        .post("a", "/_sandtable/clock", &json!({"advance": "30d"}))
        .await;
    assert_eq!(later["now"], "2100-01-31T00:00:00.000000Z");
    let (status, error) = server
        .post(
            "a",
            "/_sandtable/clock",
            &json!({"set": "2000-01-01T00:00:00Z"}),
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("only goes forward"),
        "{error}"
    );
    let (_, other) = server.get("b", "/_sandtable/clock").await;
    assert_eq!(other["frozen"], false);
    assert!(other["now"].as_str().unwrap() < "2100", "{other}");
}

#[tokio::test]
async fn a_reset_brings_the_clock_back_and_forgets_scripts_and_journal() {
    let server = Server::start(Config::default());
    server
        .post(
            "a",
            "/_sandtable/clock",
            &json!({"set": "2100-01-01T00:00:00Z"}),
        )
        .await;
    let rule = json!([{"name": "r", "then": [{"text": "hi"}]}]);
    let (status, answer) = server.put("a", "/_sandtable/scripts", &rule).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    // A refused request is an exchange, too.
    server.post("a", "/v1/messages", &json!({})).await;
    assert_eq!(
        server.get("a", "/_sandtable/scripts").await.1["data"][0]["name"],
        "r"
    );
    server.post("a", "/_sandtable/reset", &Value::Null).await;
    assert_eq!(
        server.get("a", "/_sandtable/scripts").await.1["data"],
        json!([])
    );
    assert_eq!(
        server.get("a", "/_sandtable/journal").await.1["data"],
        json!([])
    );
    assert!(
        server.get("a", "/_sandtable/clock").await.1["now"]
            .as_str()
            .unwrap()
            < "2100"
    );
}

#[tokio::test]
async fn a_bad_script_is_located_and_the_rules_stay_as_they_were() {
    let server = Server::start(Config::default());
    let good = "- name: good\n  then:\n    - text: hi\n";
    server
        .send(Some("a"), Method::PUT, "/_sandtable/scripts", good)
        .await;
    let bad = "- name: bad\n  than:\n    - text: hi\n";
    let (status, error) = server
        .send(Some("a"), Method::PUT, "/_sandtable/scripts", bad)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("request body:2:3") && message.contains("did you mean `then`?"),
        "{message}"
    );
    assert_eq!(
        server.get("a", "/_sandtable/scripts").await.1["data"][0]["name"],
        "good"
    );
}

#[tokio::test]
async fn a_call_without_a_key_means_the_only_workspace_or_is_told_which_there_are() {
    let server = Server::start(Config::default());
    let (status, error) = server
        .send(None, Method::GET, "/_sandtable/clock", "")
        .await;
    assert_eq!(
        (status, error["error"]["message"].as_str()),
        (
            StatusCode::BAD_REQUEST,
            Some("no API key was sent, and there is no workspace yet"),
        )
    );
    server
        .post("a", "/_sandtable/clock", &json!({"freeze": true}))
        .await;
    assert_eq!(
        server
            .send(None, Method::GET, "/_sandtable/clock", "")
            .await
            .1["frozen"],
        true
    );
    // Who only looks makes none.
    server.get("b", "/_sandtable/clock").await;
    server
        .post("b", "/_sandtable/clock", &json!({"freeze": true}))
        .await;
    let (status, error) = server
        .send(None, Method::GET, "/_sandtable/clock", "")
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let name = &server.app.workspaces.all()[0].name;
    assert!(
        error["error"]["hint"]
            .as_str()
            .unwrap()
            .contains(name.as_str()),
        "{error}"
    );
    let named = format!("/_sandtable/clock?workspace={name}");
    assert_eq!(
        server.send(None, Method::GET, &named, "").await.0,
        StatusCode::OK
    );
    let (status, _) = server
        .send(None, Method::GET, "/_sandtable/clock?workspace=none", "")
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_control_token_guards_everything_but_health() {
    let config = Config {
        control_token: Some("secret".to_owned()),
        ..Config::default()
    };
    let server = Server::start(config);
    assert_eq!(
        server.get("a", "/_sandtable/clock").await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        server.get("a", "/_sandtable/health").await.0,
        StatusCode::OK
    );
    assert_eq!(
        server.post("a", "/_sandtable/reset", &Value::Null).await.0,
        StatusCode::UNAUTHORIZED
    );
    for (name, token, status) in [
        ("x-sandtable-token", "secret", StatusCode::OK),
        ("authorization", "Bearer secret", StatusCode::OK),
        ("authorization", "Bearer another", StatusCode::UNAUTHORIZED),
    ] {
        let request = Request::builder()
            .uri("/_sandtable/clock")
            .header("host", "localhost")
            .header("x-api-key", "a")
            .header(name, token)
            .body(Body::empty())
            .unwrap();
        let answer = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {token}");
    }
}

#[tokio::test]
async fn a_compressed_body_of_a_control_call_is_refused() {
    let server = Server::start(Config::default());
    for (body, status) in [("{}", StatusCode::BAD_REQUEST), ("", StatusCode::OK)] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/_sandtable/reset")
            .header("host", "localhost")
            .header("x-api-key", "a")
            .header("content-encoding", "gzip")
            .body(Body::from(body))
            .unwrap();
        let answer = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
    }
}

#[tokio::test]
async fn the_journal_lists_what_was_asked_without_the_key() {
    let server = Server::start(Config::default());
    server
        .post("sk-very-secret", "/v1/messages", &json!({"model": "m"}))
        .await;
    let (_, journal) = server
        .get("sk-very-secret", "/_sandtable/journal?status=4xx")
        .await;
    assert_eq!(journal["data"][0]["path"], "/v1/messages");
    assert_eq!(journal["data"][0]["status"], 400);
    assert!(!journal.to_string().contains("very-secret"), "{journal}");
    let (status, _) = server
        .get("sk-very-secret", "/_sandtable/journal?stauts=4xx")
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_unknown_call_says_so_in_the_control_shape() {
    let server = Server::start(Config::default());
    let (status, error) = server.get("a", "/_sandtable/clok").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        error["error"]["message"],
        "no control call `/_sandtable/clok`"
    );
}

#[tokio::test]
async fn every_refusal_has_the_control_shape() {
    let server = Server::start(Config::default());
    let large = " ".repeat(common::limits::MAX_CONTROL_BODY_BYTES + 1);
    for (method, path, body, status, message, hint) in [
        (
            Method::PATCH,
            "/_sandtable/clock",
            "",
            405,
            "`/_sandtable/clock` does not take PATCH",
            "openapi.json` says which",
        ),
        (
            Method::POST,
            "/_sandtable/",
            "",
            405,
            "does not take POST",
            "openapi.json",
        ),
        (
            Method::PUT,
            "/_sandtable/scripts",
            &large,
            413,
            "the body is larger than 8 MiB",
            "send it in parts",
        ),
        (
            Method::POST,
            "/_sandtable/faults",
            &large,
            413,
            "8 MiB",
            "parts",
        ),
        (
            Method::POST,
            "/_sandtable/clock",
            &large,
            413,
            "8 MiB",
            "parts",
        ),
        (
            Method::PUT,
            "/_sandtable/label",
            &large,
            413,
            "8 MiB",
            "parts",
        ),
        (
            Method::GET,
            "/_sandtable/journal/%ff",
            "",
            400,
            "UTF-8",
            "calls",
        ),
        (
            Method::GET,
            "/_sandtable/assets/none",
            "",
            404,
            "Not Found",
            "calls",
        ),
    ] {
        let (found, error) = server.send(Some("a"), method, path, body).await;
        let word = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
        assert_eq!(found.as_u16(), status, "{path}: {error}");
        assert!(word("message").contains(message), "{path}: {error}");
        assert!(word("hint").contains(hint), "{path}: {error}");
    }
}

#[tokio::test]
async fn a_script_may_be_as_large_as_a_file() {
    let server = Server::start(Config::default());
    let mut script = "- name: r\n  then:\n    - text: hi\n".to_owned();
    while script.len() + 1001 <= common::limits::MAX_SCRIPT_BYTES {
        script.push('#');
        script.push_str(&"-".repeat(999));
        script.push('\n');
    }
    for path in ["/_sandtable/scripts", "/_sandtable/scripts/check"] {
        let (status, answer) = server.send(Some("a"), Method::POST, path, &script).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_script_that_is_not_utf_8_is_refused_in_the_control_shape() {
    let server = Server::start(Config::default());
    for path in ["/_sandtable/scripts", "/_sandtable/scripts/check"] {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("x-api-key", "a")
            .body(Body::from(&b"- name: \xff"[..]))
            .unwrap();
        let response = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let error: Value = serde_json::from_slice(&bytes).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("the script is not UTF-8"), "{error}");
    }
}

#[tokio::test]
async fn the_guard_refuses_in_the_words_of_the_surface_that_is_asked() {
    let server = Server::start(Config::default());
    for (name, value, wanted) in [
        ("host", "evil.example", "--allow-host evil.example"),
        (
            "origin",
            "https://evil.example",
            "--allow-origin https://evil.example",
        ),
        ("sec-fetch-site", "cross-site", "--allow-origin"),
    ] {
        for path in ["/_sandtable/clock", "/v1/models"] {
            let mut request = Request::get(path).header("host", "localhost");
            if name == "host" {
                request.headers_mut().unwrap().clear();
            }
            let request = request.header(name, value).body(Body::empty()).unwrap();
            let response = server.router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let error: Value = serde_json::from_slice(&bytes).unwrap();
            let place = if path.starts_with("/v1/") {
                assert_eq!(error["error"]["type"], "permission_error");
                "message"
            } else {
                openapi::check("GET", path, 403, &bytes);
                "hint"
            };
            let told = error["error"][place].as_str().unwrap();
            assert!(told.contains(wanted), "{error}");
        }
    }
}

#[tokio::test]
async fn an_allowed_origin_lets_no_other_site_in() {
    let server = Server::start(Config {
        allow_origins: vec!["http://localhost:5173".to_owned()],
        ..Config::default()
    });
    let ask = |path: &str, headers: [(&'static str, &'static str); 2]| {
        let mut request = Request::get(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::empty()).unwrap();
        let router = server.router.clone();
        async move { router.oneshot(request).await.unwrap().status() }
    };
    let site = ("sec-fetch-site", "cross-site");
    let image = ask(
        "/_sandtable/workspaces",
        [site, ("sec-fetch-mode", "no-cors")],
    );
    assert_eq!(image.await, StatusCode::FORBIDDEN);
    let link = ask(
        "/_sandtable/workspaces",
        [site, ("sec-fetch-mode", "navigate")],
    );
    assert_eq!(link.await, StatusCode::FORBIDDEN);
    let page = ask("/_sandtable/", [site, ("sec-fetch-mode", "navigate")]);
    assert_eq!(page.await, StatusCode::OK);
    let origin = ask(
        "/_sandtable/workspaces",
        [site, ("origin", "http://localhost:5173")],
    );
    assert_eq!(origin.await, StatusCode::OK);
}

#[tokio::test]
async fn a_refused_clock_call_changes_nothing() {
    let server = Server::start(Config::default());
    server
        .post(
            "a",
            "/_sandtable/clock",
            &json!({"freeze": true, "set": "2100-01-01T00:00:00Z"}),
        )
        .await;
    server
        .post("b", "/_sandtable/clock", &json!({"freeze": true}))
        .await;
    let half = json!({"advance": "1d", "set": "2050-01-01T00:00:00Z", "freeze": false});
    for path in ["/_sandtable/clock", "/_sandtable/clock?workspace=*"] {
        let before = server.get("b", "/_sandtable/clock").await;
        let (status, error) = server.post("a", path, &half).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");
        let now = server.get("a", "/_sandtable/clock").await.1;
        assert_eq!(
            now,
            json!({"now": "2100-01-01T00:00:00.000000Z", "frozen": true}),
            "{path}"
        );
        assert_eq!(server.get("b", "/_sandtable/clock").await, before, "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_key_counts_as_a_request() {
    let server = Server::start(Config::default());
    server.send(None, Method::GET, "/v1/models", "").await;
    let gauges = workspace::telemetry::Gauges::default();
    let text = server.app.containers.telemetry().text(&gauges);
    let line = "sandtable_requests_total{method=\"GET\",route=\"/v1/models\",status=\"4xx\"} 1";
    assert!(text.contains(line), "{text}");
}
