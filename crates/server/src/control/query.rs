//! What is asked of a control call in its query.

use std::collections::HashSet;
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

/// Refuses parameters that a call does not have, and those that are there twice, before anything is done.
pub(super) async fn check(path: MatchedPath, request: Request, next: Next) -> Response {
    let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
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

fn only(query: &[(String, String)], call: &Call) -> Result<(), ControlError> {
    let in_path = |name: &str| call.path.contains(&format!("{{{name}}}"));
    let names = call.parameters.iter().map(|parameter| parameter.name);
    let known: Vec<&str> = names.filter(|name| !in_path(name)).collect();
    let is_known = |name: &str| name == WORKSPACE || known.contains(&name);
    let mut names = query.iter().map(|(name, _)| name.as_str());
    let Some(other) = names.clone().find(|name| !is_known(name)) else {
        let mut seen = HashSet::new();
        return match names.find(|name| !seen.insert(*name)) {
            None => Ok(()),
            Some(twice) => Err(ControlError::bad(
                format!("`{twice}` is there twice"),
                "leave one of the two out",
            )),
        };
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
    fn a_parameter_is_one_of_the_call_s_and_there_once() {
        let journal = call("/_sandtable/journal", &Method::GET).unwrap();
        let told = |names: &[&str]| {
            let query = names
                .iter()
                .map(|name| ((*name).to_owned(), "1".to_owned()));
            only(&query.collect::<Vec<_>>(), journal).map_err(|error| format!("{error:?}"))
        };
        assert_eq!(told(&["limit", "workspace"]), Ok(()));
        assert!(
            told(&["limit", "id", "limit"])
                .is_err_and(|said| said.contains("`limit` is there twice"))
        );
        assert!(told(&["limitt"]).is_err_and(|said| said.contains("no parameter")));
    }

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
