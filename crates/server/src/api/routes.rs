//! Every path under `/v1`, and the layers that a request goes through on its way to one.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use tracing::Instrument as _;

use crate::api::error::{ApiError, RequestId};
use crate::api::exchange::{Exchange, Outcome};
use crate::api::guard::{Logged, guard};
use crate::api::linger::{Foreign, Lingering};
use crate::api::record::{Arrived, Record};
use crate::api::shaped::Connection;
use crate::api::skills::versions;
use crate::api::{batches, faults, files, identify, json, messages, models, replay, skills};
use crate::app::App;
use crate::caught::caught;
use common::hinted::{self, Mistake};
use common::ids::Kind;
use workspace::Workspace;

/// Whether a path is of this surface, so that nobody else needs to be asked.
pub(crate) fn is_below(path: &str) -> bool {
    path.starts_with("/v1/")
}

/// A request of this surface alone, over a connection: what [`front`] is for those that a router has to tell apart.
pub(crate) async fn through<B: Foreign>(
    app: App,
    connection: Connection,
    request: http::Request<B>,
) -> Response {
    let wire = connection.clone();
    let request = lingering(request, &connection);
    let (method, path) = (request.method(), request.uri().path());
    let (allowed, is_head) = (allowed(path, method), *method == Method::HEAD);
    let (over, of) = (Some(connection.clone()), app.clone());
    let next = |request| answer_over(of, Some(connection), request);
    let mut response = guard(&app, over, request, next).await;
    tell_allowed(&mut response, allowed);
    tell_unasked(&mut response, &wire);
    if is_head {
        if let Some(bytes) = response.body().size_hint().exact() {
            let headers = response.headers_mut();
            headers
                .entry(header::CONTENT_LENGTH)
                .or_insert_with(|| bytes.into());
        }
        *response.body_mut() = Body::empty();
    }
    response
}

/// The layer over both surfaces: the guard, and the `Allow` header for a client with the wrong method.
pub(crate) async fn front(State(app): State<App>, request: Request, next: Next) -> Response {
    let allowed = allowed(request.uri().path(), request.method());
    let connection = Connection::of(&request);
    let wire = connection.clone().unwrap_or_default();
    let request = lingering(request, &wire);
    let mut response = guard(&app, connection, request, |request| next.run(request)).await;
    tell_allowed(&mut response, allowed);
    tell_unasked(&mut response, &wire);
    response
}

fn lingering<B: Foreign>(request: http::Request<B>, wire: &Connection) -> Request {
    let (head, body) = request.into_parts();
    let body = Lingering::wrap(body, &head.headers, wire.clone());
    Request::from_parts(head, body)
}

/// Ends the connection of a client that waits to be asked for its body and is answered without it: what it would send
/// next could be the body, or another request (RFC 9110, 10.1.1).
fn tell_unasked(response: &mut Response, wire: &Connection) {
    if wire.is_unasked() {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Sets the `Allow` header for a client with the wrong method, whoever answered it.
fn tell_allowed(response: &mut Response, allowed: Option<&'static str>) {
    if let Some(methods) = allowed {
        let headers = response.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
}

/// A request that no other surface knows.
pub(crate) async fn answer(State(app): State<App>, request: Request) -> Response {
    let connection = Connection::of(&request);
    let mut response = answer_over(app, connection, request).await;
    response.extensions_mut().insert(Logged);
    response
}

/// A request of the emulated surface: the layers, outermost first.
///
/// 1. The journal notes what comes, and at the end what goes ([`Record`]).
/// 2. The key says whose it is, its headers how it wants to be answered ([`identify`]).
/// 3. A fault may answer in the service's place ([`faults`]).
/// 4. Mounted cassettes answer in place of the handlers ([`replay`]).
/// 5. [`route`] finds the handler.
///
/// Behind them an error gets its envelope, the answer its ids, and a fault of the wire its way.
async fn answer_over(app: App, connection: Option<Connection>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let arrived = Arrived::now(&head);
    let workspace = match identify::workspace(&app, &head.headers).await {
        Ok(workspace) => workspace,
        Err(error) => return arrived.turned_away(&app, &error),
    };
    let id = RequestId(Arc::from(
        &*workspace.request_ids().next_text(Kind::Request),
    ));
    // At the level of errors, so that whatever is logged says whose it is.
    let span = tracing::error_span!("request", id = %id.0, workspace = %workspace.id);
    let begun = span.in_scope(|| Record::begin(Arc::clone(&workspace), arrived, &id));
    let work = async move {
        // Dropped with this future if the client leaves before there is an answer.
        let mut record = begun;
        let connection = connection.unwrap_or_default();
        let over = (app, connection.clone());
        let outcome = carry_out(over, workspace, &id, &mut record, (head, body)).await;
        let mut response = outcome.unwrap_or_else(|error| {
            let (response, body) = error.answer(Some(&id.0));
            record.noted.response = Some(body);
            response
        });
        record.answered(&mut response, &id);
        let response = record.keep_body(response);
        let response = faults::on_the_wire(&mut record, connection, response);
        record.close(response)
    };
    work.instrument(span).await
}

async fn carry_out(
    over: (App, Connection),
    workspace: Arc<Workspace>,
    id: &RequestId,
    record: &mut Record,
    (head, body): (Parts, Body),
) -> Outcome {
    let mounted = workspace.cassettes.get();
    let own = (record.made.clone(), record.redactor.clone());
    let caller = match &mounted {
        Some(_) => identify::lenient_caller(&workspace, id, &head, own),
        None => identify::caller(&over.0, &workspace, id, &head, own).map(|(caller, notes)| {
            record.facts.lints = notes;
            caller
        }),
    };
    let mut caller = match caller {
        Ok(caller) => caller,
        Err(error) => {
            record.noted.request = json::unseen(&head.headers, body).await;
            return Err(error);
        }
    };
    caller.open = record.open.clone();
    record.own.clone_from(&caller.faults);
    let mut exchange = Exchange::new(over, caller, (head, body));
    let work = async {
        match faults::apply(&mut exchange, &mut record.facts.fired).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => match mounted {
                Some(mounted) => {
                    Box::pin(replay::answer(mounted, &mut exchange, &mut record.facts)).await
                }
                None => route(&mut exchange).await,
            },
            Err(error) => Err(error),
        }
    };
    let outcome = caught(work).await.unwrap_or_else(|panicked| {
        record.facts.miss = Some(panicked.miss());
        Err(ApiError::internal(&panicked))
    });
    record.noted = exchange.noted;
    outcome
}

/// The parts of a path below `/v1/`, for [`route`] and [`allowed`] to compare.
fn segments(path: &str) -> Option<([&str; 5], usize)> {
    let mut segments = [""; 5];
    let mut count = 0;
    for segment in path.strip_prefix("/v1/")?.split('/') {
        if segment.is_empty() {
            return None;
        }
        *segments.get_mut(count)? = segment;
        count += 1;
    }
    Some((segments, count))
}

/// Carries a request out by its path and method.
pub(super) async fn route(exchange: &mut Exchange) -> Outcome {
    const HEAD: Method = Method::HEAD;
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const DELETE: Method = Method::DELETE;
    // Cheap clones: of what the connection has read, and of a number.
    let (uri, method) = (exchange.head.uri.clone(), exchange.head.method.clone());
    let Some((segments, count)) = segments(uri.path()) else {
        return Err(nowhere(uri.path()));
    };
    let x = exchange;
    match (&segments[..count], method) {
        (["messages"], POST) => messages::create(x).await,
        (["messages", "count_tokens"], POST) => Box::pin(messages::count_tokens(x)).await,

        (["messages", "batches"], GET | HEAD) => batches::list(x).await,
        (["messages", "batches"], POST) => Box::pin(batches::create(x)).await,
        (["messages", "batches", id], GET | HEAD) => batches::one(x, &text(id)).await,
        (["messages", "batches", id], DELETE) => batches::delete(x, &text(id)).await,
        (["messages", "batches", id, "cancel"], POST) => batches::cancel(x, &text(id)).await,
        (["messages", "batches", id, "results"], GET | HEAD) => {
            batches::results(x, &text(id)).await
        }

        (["models"], GET | HEAD) => models::list(x),
        (["models", id], GET | HEAD) => models::one(x, &text(id)),

        (["files"], GET | HEAD) => files::list(x).await,
        (["files"], POST) => Box::pin(files::upload(x)).await,
        (["files", id], GET | HEAD) => files::metadata(x, &text(id)).await,
        (["files", id], DELETE) => files::delete(x, &text(id)).await,
        (["files", id, "content"], GET | HEAD) => files::content(x, &text(id)).await,

        (["skills"], GET | HEAD) => skills::list(x).await,
        (["skills"], POST) => Box::pin(skills::create(x)).await,
        (["skills", id], GET | HEAD) => skills::one(x, &text(id)).await,
        (["skills", id], DELETE) => skills::delete(x, &text(id)).await,
        (["skills", id, "versions"], GET | HEAD) => versions::list(x, &text(id)).await,
        (["skills", id, "versions"], POST) => Box::pin(versions::create(x, &text(id))).await,
        (["skills", id, "versions", version], GET | HEAD) => {
            let (id, version) = (text(id), text(version));
            versions::one(x, (&id, &version)).await
        }
        (["skills", id, "versions", version], DELETE) => {
            let (id, version) = (text(id), text(version));
            versions::delete(x, (&id, &version)).await
        }
        (["skills", id, "versions", version, "content"], GET | HEAD) => {
            let (id, version) = (text(id), text(version));
            versions::content(x, (&id, &version)).await
        }

        (_, method) => Err(match allowed(uri.path(), &method) {
            Some(_) => ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request_error",
                "Method Not Allowed",
            ),
            None => nowhere(uri.path()),
        }),
    }
}

/// The methods of a path that has some, none of which is this one.
fn allowed(path: &str, method: &Method) -> Option<&'static str> {
    let (segments, count) = segments(path)?;
    let methods = match &segments[..count] {
        ["messages"] | ["messages", "count_tokens"] | ["messages", "batches", _, "cancel"] => {
            "POST"
        }
        ["messages", "batches"] => "POST,GET,HEAD",
        ["files" | "skills"] | ["skills", _, "versions"] => "GET,HEAD,POST",
        ["messages", "batches", _] | ["files" | "skills", _] | ["skills", _, "versions", _] => {
            "GET,HEAD,DELETE"
        }
        ["models"]
        | ["models", _]
        | ["messages", "batches", _, "results"]
        | ["files", _, "content"]
        | ["skills", _, "versions", _, "content"] => "GET,HEAD",
        _ => return None,
    };
    let is_one = methods.split(',').any(|one| one == method.as_str());
    (!is_one).then_some(methods)
}

/// A path that nothing is at. The service's message, and a hint if the client's base URL is wrong.
fn nowhere(path: &str) -> ApiError {
    ApiError::not_found(match misplaced(path) {
        None => "Not Found".to_owned(),
        Some(more) => hinted::told(
            &Mistake::new("Not Found").with_hint(format!("the API is under `/v1`: {more}")),
        ),
    })
}

/// What is wrong with the base URL of a client that asks for this path.
fn misplaced(path: &str) -> Option<String> {
    const FIRST: [&str; 4] = ["files", "messages", "models", "skills"];
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let at = parts.iter().position(|part| FIRST.contains(part))?;
    match &parts[..at] {
        // It is right, and the rest of the path is not.
        ["v1"] => None,
        [] => Some("this client needs a base URL that ends in it".to_owned()),
        ["v1", "v1"] => Some("this client puts it behind its base URL by itself".to_owned()),
        [before @ .., "v1"] => Some(format!(
            "leave `/{}` out of the client's base URL",
            before.join("/")
        )),
        _ => None,
    }
}

/// A part of a path, decoded. What cannot be read is the id of nothing.
fn text(part: &str) -> Cow<'_, str> {
    percent_decode_str(part).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_that_is_wrong_is_told() {
        assert!(misplaced("/messages").unwrap().contains("ends in it"));
        assert!(
            misplaced("/v1/v1/messages/batches")
                .unwrap()
                .contains("by itself")
        );
        assert!(
            misplaced("/anthropic/v1/files")
                .unwrap()
                .contains("`/anthropic`")
        );
        for path in [
            "/v1/messages/x/y",
            "/v2/messages",
            "/v1/unknown",
            "/",
            "/favicon.ico",
        ] {
            assert_eq!(misplaced(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_has_its_methods_and_no_empty_part() {
        assert_eq!(allowed("/v1/messages", &Method::POST), None);
        assert_eq!(allowed("/v1/messages", &Method::GET), Some("POST"));
        assert_eq!(
            allowed("/v1/messages/batches", &Method::PUT),
            Some("POST,GET,HEAD")
        );
        assert_eq!(allowed("/v1/files/file_1", &Method::HEAD), None);
        for path in [
            "/v1/messages/",
            "/v1//messages",
            "/v1/files//content",
            "/v1",
            "/v1/a/b/c/d/e/f",
            "/_sandtable/clock",
        ] {
            assert_eq!(allowed(path, &Method::PATCH), None, "{path}");
        }
    }

    #[test]
    fn parts_of_a_path_are_decoded_or_mean_nothing() {
        assert_eq!(text("a%20b"), "a b");
        assert_eq!(text("%ffx"), "\u{fffd}x");
    }
}
