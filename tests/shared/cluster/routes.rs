//! The routes of the API, and their answers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::{Value, json};

use super::state::{Refusal, selects};
use super::{Inner, exec};

type Params = Query<HashMap<String, String>>;

/// An idle watch hears a bookmark so often.
const BOOKMARKS: Duration = Duration::from_millis(200);

pub(super) fn router(inner: Arc<Inner>) -> Router {
    let many = "/api/v1/namespaces/{namespace}/{resource}";
    let one = "/api/v1/namespaces/{namespace}/{resource}/{name}";
    let extended = "/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/{namespace}/{resource}";
    let extended_one = format!("{extended}/{{name}}");
    let policies = "/apis/networking.k8s.io/v1/namespaces/{namespace}/{resource}";
    let installed = middleware::from_fn_with_state(Arc::clone(&inner), is_installed);
    let extensions = Router::new()
        .route(extended, get(list).post(create).delete(delete_all))
        .route(&extended_one, get(read).delete(delete))
        .layer(installed);
    Router::new()
        .merge(extensions)
        .route(many, get(list).post(create).delete(delete_all))
        .route(one, get(read).delete(delete).patch(patch))
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}/exec",
            get(enter),
        )
        .route(policies, get(list).post(create))
        .with_state(inner)
}

/// As of a group that nobody has registered.
async fn is_installed(
    State(inner): State<Arc<Inner>>,
    request: Request,
    next: middleware::Next,
) -> Response {
    if inner.extended.load(Ordering::Relaxed) {
        return next.run(request).await;
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    answer(code, &body)
}

fn answer(code: u16, body: &Value) -> Response {
    let code = StatusCode::from_u16(code).unwrap();
    (
        code,
        [("content-type", "application/json")],
        body.to_string(),
    )
        .into_response()
}

/// Counts a call, lets it wait, and refuses it where the test says so.
async fn admit(inner: &Inner, verb: &str, resource: &str) -> Option<Response> {
    let what = format!("{verb} {resource}");
    *inner.calls.lock().unwrap().entry(what.clone()).or_default() += 1;
    let latency = inner.latency_ms.load(Ordering::Relaxed);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let refusal = inner.state.lock().unwrap().refusal(&what)?;
    Some(match refusal {
        Refusal::Status {
            code,
            reason,
            message,
        } => status(code, reason, &message),
        Refusal::Lost => return None,
        Refusal::TooMany { retry_after } => (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", retry_after)],
            "Too many requests, please try again later.\n",
        )
            .into_response(),
    })
}

async fn list(
    State(inner): State<Arc<Inner>>,
    Path((_, resource)): Path<(String, String)>,
    Query(params): Params,
) -> Response {
    if params
        .get("watch")
        .is_some_and(|watch| watch == "true" || watch == "1")
    {
        return watch(inner, resource, params).await;
    }
    if let Some(refused) = admit(&inner, "list", &resource).await {
        return refused;
    }
    let selector = params.get("labelSelector").cloned().unwrap_or_default();
    let name = params
        .get("fieldSelector")
        .and_then(|field| field.strip_prefix("metadata.name="));
    let state = inner.state.lock().unwrap();
    let items: Vec<&Value> = state
        .all(&resource)
        .filter(|object| selects(&selector, object))
        .filter(|object| name.is_none_or(|name| object["metadata"]["name"] == name))
        .collect();
    answer(
        200,
        &json!({
            "kind": "List", "apiVersion": "v1", "items": items,
            "metadata": { "resourceVersion": state.version().to_string() },
        }),
    )
}

async fn watch(inner: Arc<Inner>, resource: String, params: HashMap<String, String>) -> Response {
    if let Some(refused) = admit(&inner, "watch", &resource).await {
        return refused;
    }
    let selector = params.get("labelSelector").cloned().unwrap_or_default();
    let from = params
        .get("resourceVersion")
        .and_then(|from| from.parse().ok());
    let changes = inner.changed.subscribe();
    let begin = (inner, changes, from.unwrap_or(0_u64), (resource, selector));
    let events = stream::unfold(begin, async |(inner, mut changes, from, what)| {
        loop {
            changes.borrow_and_update();
            let (lines, version) = news(&inner, from, &what);
            if !lines.is_empty() {
                let next = (inner, changes, version, what);
                return Some((Ok::<_, Infallible>(Bytes::from(lines)), next));
            }
            let quiet = tokio::time::timeout(BOOKMARKS, changes.changed()).await;
            if quiet.is_err() {
                let version = inner.state.lock().unwrap().version();
                let is_pod = what.0 == "pods";
                let mark = json!({ "type": "BOOKMARK", "object": {
                    "kind": if is_pod { "Pod" } else { "SandboxClaim" }, "apiVersion": "v1",
                    "metadata": { "resourceVersion": version.to_string() },
                    "spec": { "containers": [] },
                }});
                let next = (inner, changes, version.max(from), what);
                return Some((Ok(Bytes::from(format!("{mark}\n"))), next));
            }
        }
    });
    Body::from_stream(events).into_response()
}

/// Lines for what has happened since a version.
fn news(inner: &Inner, from: u64, (what, selector): &(String, String)) -> (String, u64) {
    let state = inner.state.lock().unwrap();
    if from < state.oldest {
        let gone = json!({ "type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("too old resource version: {from} ({})", state.oldest),
            "reason": "Expired", "code": 410,
        }});
        return (format!("{gone}\n"), state.version());
    }
    let later = state
        .events
        .iter()
        .rev()
        .take_while(|(version, ..)| *version > from);
    let mut lines: Vec<String> = later
        .filter(|(_, resource, _, object)| resource == what && selects(selector, object))
        .map(|(_, _, kind, object)| format!("{}\n", json!({ "type": kind, "object": object })))
        .collect();
    lines.reverse();
    (lines.concat(), state.version())
}

async fn create(
    State(inner): State<Arc<Inner>>,
    Path((namespace, resource)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let is_lost = {
        let state = inner.state.lock().unwrap();
        state.loses(&format!("create {resource}"))
    };
    if let Some(refused) = admit(&inner, "create", &resource).await {
        return refused;
    }
    // What is begun is done, also if nobody waits for the answer.
    let made = tokio::spawn(async move {
        let mut held = inner.held.subscribe();
        let is_let_go = |held: &Option<String>| held.as_ref() != Some(&resource);
        held.wait_for(is_let_go).await.unwrap();
        drop(held);
        make(&inner, &namespace, &resource, &body, is_lost)
    });
    made.await.unwrap()
}

fn make(
    inner: &Arc<Inner>,
    namespace: &str,
    resource: &str,
    body: &[u8],
    is_lost: bool,
) -> Response {
    let mut object: Value = serde_json::from_slice(body).unwrap();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    if inner.state.lock().unwrap().get(resource, &name).is_some() {
        let message = format!("{resource} \"{name}\" already exists");
        return status(409, "AlreadyExists", &message);
    }
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
    if resource == "pods" {
        object["status"] = json!({ "phase": "Pending" });
    }
    let object = inner.put(resource, object, "ADDED");
    if resource == "pods" {
        let (inner, pod) = (Arc::clone(inner), object.clone());
        tokio::spawn(async move { super::node::Node::run(&inner, pod).await });
    }
    if resource == super::pools::CLAIMS {
        tokio::spawn(Arc::clone(inner).attend(name));
    }
    if is_lost {
        return status(
            504,
            "Timeout",
            "the server was unable to return a response in time",
        );
    }
    answer(201, &object)
}

async fn read(
    State(inner): State<Arc<Inner>>,
    Path((_, resource, name)): Path<(String, String, String)>,
) -> Response {
    if let Some(refused) = admit(&inner, "get", &resource).await {
        return refused;
    }
    match inner.state.lock().unwrap().get(&resource, &name) {
        Some(object) => answer(200, object),
        None => status(404, "NotFound", &format!("{resource} \"{name}\" not found")),
    }
}

async fn patch(
    State(inner): State<Arc<Inner>>,
    Path((_, resource, name)): Path<(String, String, String)>,
    body: Bytes,
) -> Response {
    if let Some(refused) = admit(&inner, "patch", &resource).await {
        return refused;
    }
    let patch: Value = serde_json::from_slice(&body).unwrap();
    let changed = inner.change(&resource, &name, |object| {
        for part in ["labels", "annotations"] {
            for (key, value) in patch["metadata"][part].as_object().into_iter().flatten() {
                object["metadata"][part][key] = value.clone();
            }
        }
    });
    match changed {
        Some(object) => answer(200, &object),
        None => status(404, "NotFound", &format!("{resource} \"{name}\" not found")),
    }
}

async fn delete(
    State(inner): State<Arc<Inner>>,
    Path((_, resource, name)): Path<(String, String, String)>,
) -> Response {
    if let Some(refused) = admit(&inner, "delete", &resource).await {
        return refused;
    }
    let deleted = if resource == "pods" {
        inner.delete_pod(&name)
    } else {
        inner.node.forget_claim(&name);
        inner.remove(&resource, &name)
    };
    match deleted {
        Some(object) => answer(200, &object),
        None => status(404, "NotFound", &format!("{resource} \"{name}\" not found")),
    }
}

async fn delete_all(
    State(inner): State<Arc<Inner>>,
    Path((_, resource)): Path<(String, String)>,
    Query(params): Params,
) -> Response {
    if let Some(refused) = admit(&inner, "deletecollection", &resource).await {
        return refused;
    }
    let selector = params.get("labelSelector").cloned().unwrap_or_default();
    let names: Vec<String> = {
        let state = inner.state.lock().unwrap();
        let chosen = state.all(&resource).filter(|pod| selects(&selector, pod));
        chosen
            .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
            .collect()
    };
    for name in names {
        if resource == "pods" {
            inner.delete_pod(&name);
        } else {
            inner.remove(&resource, &name);
        }
    }
    answer(
        200,
        &json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": [] }),
    )
}

async fn enter(
    State(inner): State<Arc<Inner>>,
    Path((_, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    if let Some(refused) = admit(&inner, "create", "pods/exec").await {
        return refused;
    }
    let running = {
        let state = inner.state.lock().unwrap();
        let pod = state.get("pods", &name);
        pod.map(|pod| pod["status"]["phase"] == "Running")
    };
    match running {
        None => status(404, "NotFound", &format!("pods \"{name}\" not found")),
        Some(false) => status(
            400,
            "BadRequest",
            &format!("cannot exec into a container in a completed pod; current phase of {name}"),
        ),
        Some(true) => exec::enter(&inner, &name, request),
    }
}
