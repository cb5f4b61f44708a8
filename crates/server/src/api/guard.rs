//! Access control of the whole server: the `Host` must be a name of ours, a browser's `Origin` must be allowed.
//! Keeps web pages on the same machine from driving it (DNS rebinding, cross-site requests).

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use control_api::{Refusal, Refused};

use crate::api::error::{ApiError, RequestId};
use crate::api::record::{REQUESTS, millis, name};
use crate::api::shaped::Connection;
use crate::app::App;
use crate::config::Host;
use crate::page::HOME;
use common::ids::{Ids, Kind};

/// Runs before everything else, on both surfaces.
pub(super) async fn guard<F: Future<Output = Response>>(
    app: &App,
    connection: Option<Connection>,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let began = Instant::now();
    if let Some(connection) = &connection {
        connection.begin(ends_with_client(&request));
    }
    let about = About::of(&request);
    // Over a connection, that is: what calls the router itself has no use for it.
    let must_name = connection.is_some() && request.version() >= Version::HTTP_11;
    if let Err(error) = check_host(app, request.headers(), must_name) {
        return about.log(about.refuse(error), began);
    }
    let origin = match check_origin(app, &request) {
        Ok(origin) => origin,
        Err(error) => return about.log(about.refuse(error), began),
    };
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (&origin, preflight) {
        (Some(_), true) => preflight_answer(request.headers()),
        _ => next(request).await,
    };
    let is_logged = response.extensions_mut().remove::<Logged>().is_some();
    if (about.is_ours && !is_logged) || preflight {
        response = about.log(response, began);
    }
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("request-id, retry-after, retry-after-ms, x-should-retry"),
        );
    }
    response
}

/// Whether a request is given up when its client sends no more: what may take long and is for this client alone. All
/// others are carried out and answered, for a client that has said everything may close its sending side and read.
fn ends_with_client(request: &Request) -> bool {
    match request.uri().path() {
        "/v1/messages" => request.method() == Method::POST,
        path => matches!(path, "/_sandtable/wait" | "/_sandtable/events"),
    }
}

/// Marks an answer that the log has a line of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged;

/// Why a request goes no further.
enum Denial {
    Host(&'static str),
    Access { message: String, hint: String },
}

/// The log's fields for a request that has no workspace.
struct About {
    method: Method,
    uri: Uri,
    /// Of `/_sandtable`, or a health check: asked often, and by the user's own tools. Paths that nobody knows are the
    /// API's to answer, which logs them itself.
    is_ours: bool,
}

impl About {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            is_ours: !request.uri().path().starts_with("/v1/"),
        }
    }

    /// The refusal, in the form of the surface that was asked.
    fn refuse(&self, denial: Denial) -> Response {
        let path = self.uri.path();
        if path == "/_sandtable" || path.starts_with("/_sandtable/") {
            let (status, message, hint) = match denial {
                Denial::Host(message) => (
                    StatusCode::BAD_REQUEST,
                    message.to_owned(),
                    "send the header `host` once".to_owned(),
                ),
                Denial::Access { message, hint } => (StatusCode::FORBIDDEN, message, hint),
            };
            let error = Refusal { message, hint };
            return (status, Json(Refused { error })).into_response();
        }
        let error = match denial {
            Denial::Host(message) => ApiError::invalid(message),
            Denial::Access { message, hint } => ApiError::new(
                StatusCode::FORBIDDEN,
                "permission_error",
                format!("{message}; {hint}"),
            ),
        };
        let id = RequestId(Arc::from(&*Ids::random().next_text(Kind::Request)));
        let (mut response, _) = error.answer(Some(&id.0));
        name(response.headers_mut(), &id);
        response
    }

    fn log(&self, response: Response, began: Instant) -> Response {
        let Self { method, uri, .. } = self;
        let path = uri.path();
        let status = response.status().as_u16();
        let ms = millis(began.elapsed());
        if self.is_ours && status < 400 {
            tracing::debug!(target: REQUESTS, %method, path, status, ms, "answered");
        } else {
            tracing::info!(target: REQUESTS, %method, path, status, ms, "answered");
        }
        response
    }
}

fn check_host(app: &App, headers: &HeaderMap, must_name: bool) -> Result<(), Denial> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let text = match (hosts.next(), hosts.next()) {
        (None, _) if must_name => {
            return Err(Denial::Host(
                "host: Field required, HTTP/1.1 requests name their host",
            ));
        }
        // HTTP/1.0 has none; no browser speaks it.
        (None, _) => return Ok(()),
        (Some(host), None) => host.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => return Err(Denial::Host("host: Only one is permitted")),
    };
    let name = host_name(text);
    let ours = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|own| name.eq_ignore_ascii_case(own))
        || name.to_ascii_lowercase().ends_with(".localhost")
        || is_bound(app.config.host, &name.to_ascii_lowercase())
        || app
            .config
            .allow_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(name));
    if ours {
        return Ok(());
    }
    let hint = match text.parse::<Ipv6Addr>() {
        Ok(address) => format!("an IPv6 address stands in brackets: `[{address}]`"),
        Err(_) => format!("start sandtable with `--allow-host {name}`"),
    };
    Err(Denial::Access {
        message: format!("the Host `{text}` is not allowed"),
        hint,
    })
}

/// Whether `name` is the address that is listened on. A page that rebinds a name of its own never
/// sends an address.
fn is_bound(bound: Host, name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match (bound, bare.parse::<IpAddr>()) {
        (Host::Address(bound), Ok(named)) => bound.is_unspecified() || bound == named,
        _ => false,
    }
}

/// `Host` without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The origin to be echoed, if the request has one that is allowed and is not our own.
fn check_origin(app: &App, request: &Request) -> Result<Option<HeaderValue>, Denial> {
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN) else {
        let says = |name, word: &[u8]| {
            let value = headers.get(name);
            value.is_some_and(|value: &HeaderValue| value.as_bytes() == word)
        };
        // A link on a page that is allowed may lead to the inspector, whose shell holds nothing.
        let leads_to_page = !app.config.allow_origins.is_empty()
            && request.uri().path() == HOME
            && says("sec-fetch-mode", b"navigate");
        // A browser that sends no Origin still says that it comes from elsewhere. What a page that is allowed asks for has one.
        if says("sec-fetch-site", b"cross-site") && !leads_to_page {
            return Err(Denial::Access {
                message: "cross-site requests are not allowed".to_owned(),
                hint: "see `--allow-origin`; a page that it allows asks with CORS".to_owned(),
            });
        }
        return Ok(None);
    };
    let text = origin.to_str().unwrap_or_default();
    let own = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    // A page of the same name at the other scheme's port is not ours; to a server at a usual port its request looks the
    // same, but the browser says where it comes from.
    let comes_from_here = headers
        .get("sec-fetch-site")
        .is_none_or(|site| site.as_bytes() == b"same-origin");
    if comes_from_here && own.is_some_and(|host| is_own(text, host)) {
        return Ok(None);
    }
    if app
        .config
        .allow_origins
        .iter()
        .any(|allowed| allowed == text)
    {
        return Ok(Some(origin.clone()));
    }
    Err(Denial::Access {
        message: format!("the Origin `{text}` is not allowed"),
        hint: format!("start sandtable with `--allow-origin {text}`"),
    })
}

/// Whether an origin is that of our own page, which is where the request was sent: at its own scheme, for something in
/// front of us may speak TLS.
fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, own)) = origin.split_once("://") else {
        return false;
    };
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |text: &str| {
        text.strip_suffix(usual)
            .unwrap_or(text)
            .to_ascii_lowercase()
    };
    bare(own) == bare(host)
}

fn preflight_answer(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let answer = response.headers_mut();
    answer.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, DELETE"),
    );
    if let Some(asked) = asked {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_ours_only_if_it_is_bound() {
        let all = Host::Address("0.0.0.0".parse().unwrap());
        let one = Host::Address("192.168.1.5".parse().unwrap());
        assert!(is_bound(all, "192.168.1.7") && is_bound(all, "[fe80::1]"));
        assert!(is_bound(one, "192.168.1.5") && !is_bound(one, "192.168.1.7"));
        assert!(!is_bound(all, "rebound.example") && !is_bound(Host::Loopback, "192.168.1.5"));
    }

    #[test]
    fn our_own_page_is_where_the_request_was_sent_at_either_scheme() {
        for (origin, host, is) in [
            ("http://localhost:4010", "localhost:4010", true),
            ("https://localhost:4010", "localhost:4010", true),
            ("https://my.proxy", "my.proxy", true),
            ("https://my.proxy", "my.proxy:443", true),
            ("https://my.proxy", "My.Proxy", true),
            ("http://my.proxy", "my.proxy:80", true),
            ("http://[::1]:80", "[::1]", true),
            ("https://my.proxy", "my.proxy:80", false),
            ("http://my.proxy", "my.proxy:443", false),
            ("https://my.proxy:80", "my.proxy", false),
            ("https://my.proxy", "my.proxy:4010", false),
            ("https://my.proxy:8443", "my.proxy", false),
            ("https://other.proxy", "my.proxy", false),
            ("https://my.proxy.example", "my.proxy", false),
            ("https://[::1]", "[::1:443]", false),
            ("ftp://my.proxy", "my.proxy", false),
            ("//my.proxy", "my.proxy", false),
            ("my.proxy", "my.proxy", false),
            ("null", "null", false),
        ] {
            assert_eq!(is_own(origin, host), is, "{origin} at {host}");
        }
    }

    #[test]
    fn the_port_is_cut_off_and_ipv6_stays_whole() {
        assert_eq!(host_name("localhost:4010"), "localhost");
        assert_eq!(host_name("[::1]:4010"), "[::1]");
        assert_eq!(host_name("[::1]"), "[::1]");
        assert_eq!(host_name("example"), "example");
    }
}
