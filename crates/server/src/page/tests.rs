//! The page's files as a browser gets them, through the whole router.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::ASSETS;
use crate::app::App;
use crate::config::Config;
use store::Store;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

async fn get(config: Config, path: &str, headers: &[(&str, &str)]) -> Answer {
    let dir = TempDir::new().unwrap();
    let app = App::for_store_with(Store::open(dir.path()).unwrap(), config);
    let mut request = Request::builder().method(Method::GET).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:4010");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let router = crate::router(&app);
    let request = request.body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer {
        status,
        headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[tokio::test]
async fn a_browser_is_led_to_the_page_and_everybody_else_to_the_api() {
    let led = get(Config::default(), "/", &[BROWSER]).await;
    assert_eq!(led.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(led.header("location"), "/_sandtable/");
    let api = get(Config::default(), "/", &[("accept", "application/json")]).await;
    assert_eq!(api.status, StatusCode::UNAUTHORIZED);
    let short = get(Config::default(), "/_sandtable", &[BROWSER]).await;
    assert_eq!(short.header("location"), "/_sandtable/");
}

#[tokio::test]
async fn the_shell_has_nothing_inline_and_a_policy_that_forbids_it() {
    let shell = get(Config::default(), "/_sandtable/", &[BROWSER]).await;
    assert_eq!(shell.status, StatusCode::OK);
    assert_eq!(shell.header("content-type"), "text/html; charset=utf-8");
    let policy = shell.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(shell.header("x-content-type-options"), "nosniff");
    assert_eq!(shell.header("referrer-policy"), "no-referrer");
    assert!(!shell.text.contains("{{") && !shell.text.contains("style=\""));
    assert!(!shell.text.contains("<style") && !shell.text.contains("://"));
    assert!(shell.text.contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(shell.text.matches("<script").count(), 1);
}

#[tokio::test]
async fn every_file_has_its_type_and_is_sent_once() {
    for asset in ASSETS {
        let path = format!("/_sandtable/assets/{}", asset.name);
        let first = get(Config::default(), &path, &[]).await;
        assert_eq!(first.status, StatusCode::OK, "{path}");
        assert_eq!(first.header("content-type"), asset.kind);
        assert!(!first.text.is_empty());
        let tag = first.header("etag").to_owned();
        let again = get(Config::default(), &path, &[("if-none-match", &tag)]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
        assert!(again.text.is_empty());
        let other = get(Config::default(), &path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status, StatusCode::OK);
    }
    let missing = get(Config::default(), "/_sandtable/assets/..%2fshell.html", &[]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_is_guarded_as_the_api_is() {
    for path in ["/", "/_sandtable/", "/_sandtable/assets/app.js"] {
        let rebound = get(
            Config::default(),
            path,
            &[BROWSER, ("host", "evil.example")],
        )
        .await;
        assert_eq!(rebound.status, StatusCode::FORBIDDEN, "{path}");
        let foreign = [BROWSER, ("origin", "http://evil.example")];
        let foreign = get(Config::default(), path, &foreign).await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn with_a_token_the_page_opens_and_its_calls_need_it() {
    let config = || Config {
        control_token: Some("secret".to_owned()),
        ..Config::default()
    };
    let shell = get(config(), "/_sandtable/", &[BROWSER]).await;
    assert_eq!(shell.status, StatusCode::OK);
    assert!(!shell.text.contains("secret"));
    for call in [
        "workspaces",
        "page/timeline",
        "page/turns/x",
        "page/files/x",
        "scripts",
    ] {
        let path = format!("/_sandtable/{call}");
        let refused = get(config(), &path, &[]).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{call}");
        // Never in a query.
        let query = format!("{path}?token=secret");
        let query = get(config(), &query, &[]).await;
        assert_eq!(query.status, StatusCode::UNAUTHORIZED, "{call}");
    }
    let header = [("x-sandtable-token", "secret")];
    let told = get(config(), "/_sandtable/workspaces", &header).await;
    assert_eq!(told.status, StatusCode::OK);
}
