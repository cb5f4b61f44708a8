//! What is asked of a control call in its query.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Query, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use control_api::openapi::{Call, calls};

use super::error::ControlError;
use common::document::{did_you_mean, list};

/// Every call may name its workspace: clients of ours do so always.
const WORKSPACE: &str = "workspace";

/// Refuses parameters that a call does not have, before anything is done.
pub(super) async fn check(path: MatchedPath, request: Request, next: Next) -> Response {
    let query = Query::<HashMap<String, String>>::try_from_uri(request.uri());
    if let (Ok(Query(query)), Some(call)) = (query, call(path.as_str(), request.method()))
        && let Err(error) = only(&query, call)
    {
        return error.into_response();
    }
    next.run(request).await
}

/// The description of a call.
fn call(path: &str, method: &Method) -> Option<&'static Call> {
    static CALLS: LazyLock<Vec<Call>> = LazyLock::new(calls);
    // As axum writes what may have slashes.
    let path = path.replace("{*", "{");
    let method = match *method {
        Method::HEAD => "get".to_owned(),
        _ => method.as_str().to_ascii_lowercase(),
    };
    CALLS
        .iter()
        .find(|call| call.path == path && call.method == method)
}

fn only(query: &HashMap<String, String>, call: &Call) -> Result<(), ControlError> {
    let in_path = |name: &str| call.path.contains(&format!("{{{name}}}"));
    let names = call.parameters.iter().map(|parameter| parameter.name);
    let known: Vec<&str> = names.filter(|name| !in_path(name)).collect();
    let is_known = |name: &str| name == WORKSPACE || known.contains(&name);
    let Some(other) = query.keys().find(|name| !is_known(name)) else {
        return Ok(());
    };
    let all = known.iter().copied().chain([WORKSPACE]);
    let hint = did_you_mean(other, all, || match known.as_slice() {
        [] => "it has none but `workspace`".to_owned(),
        known => format!("there are {}", list(known)),
    });
    Err(ControlError::bad(
        format!("`{other}` is no parameter of this call"),
        hint,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_the_path_of_its_route() {
        for (path, method, id) in [
            ("/_sandtable/journal", Method::HEAD, Some("journal")),
            ("/_sandtable/journal", Method::DELETE, Some("clear_journal")),
            (
                "/_sandtable/containers/{id}/files/{*path}",
                Method::GET,
                Some("container_file"),
            ),
            ("/_sandtable/journal", Method::PUT, None),
        ] {
            assert_eq!(
                call(path, &method).map(|call| call.id),
                id,
                "{method} {path}"
            );
        }
    }
}
