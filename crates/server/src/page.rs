//! The inspector's shell and its files, as they were built into the program. What the page shows it asks
//! of `/_sandtable` like any other client; nothing here knows a workspace.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::app::App;
use common::ids::hex;

/// Where the page is.
pub(crate) const HOME: &str = "/_sandtable/";

/// Scripts, styles, images, and connections of our own alone; nothing inline, nothing that is made from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// The folder `page/dist` is built from `page/src`; a test compares the two.
const ASSETS: &[Asset] = &[
    Asset {
        name: "app.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../../page/dist/app.js"),
    },
    Asset {
        name: "app.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("../../../page/dist/app.css"),
    },
    Asset {
        name: "icon.svg",
        kind: "image/svg+xml",
        bytes: include_bytes!("../../../page/dist/icon.svg"),
    },
];

const SHELL: &str = include_str!("../../../page/shell.html");

/// The page and its files. They hold no secret, so they need no control token; the calls behind them do.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(
            "/_sandtable",
            get(async || Redirect::permanent(HOME).into_response()),
        )
        .route(HOME, get(shell))
        .route("/_sandtable/assets/{name}", get(asset))
}

/// Leads a browser that opens the server's address to the page; everybody else goes on to the API.
pub(crate) async fn lead(request: Request, next: Next) -> Response {
    let is_home = request.uri().path() == "/" && *request.method() == Method::GET;
    if is_home && wants_html(request.headers()) {
        return Redirect::temporary(HOME).into_response();
    }
    next.run(request).await
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

async fn shell(State(app): State<App>, headers: HeaderMap) -> Response {
    let needs_token = app.config.control_token.is_some();
    let html = SHELL
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{backend}}", app.containers.backend().name())
        .replace("{{token}}", if needs_token { "needed" } else { "none" });
    send("text/html; charset=utf-8", html.into_bytes(), &headers)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => send(asset.kind, asset.bytes, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The bytes, or 304 if the browser has them. It asks each time: another version may be behind the port.
fn send(kind: &'static str, bytes: impl Into<Body> + AsRef<[u8]>, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", &hex(&Sha256::digest(bytes.as_ref()))[..32]);
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        bytes.into().into_response()
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !known {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

const FIXED: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-cache"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

#[cfg(test)]
mod tests;
