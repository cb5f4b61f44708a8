//! Which workspaces a control call acts on, and who may make one.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ControlError;
use crate::api::key;
use crate::app::App;
use workspace::Workspace;

/// The workspaces a call acts on: one, or all with `?workspace=*`.
#[derive(Debug)]
pub(super) struct Targets(pub(super) Vec<Arc<Workspace>>);

/// The one workspace a call acts on.
#[derive(Debug)]
pub(super) struct Target(pub(super) Arc<Workspace>);

impl FromRequestParts<App> for Targets {
    type Rejection = ControlError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ControlError> {
        let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri).ok();
        match query
            .as_ref()
            .and_then(|query| query.get("workspace"))
            .map(String::as_str)
        {
            Some("*") => return Ok(Self(app.workspaces.all())),
            Some(name) => {
                let found = app.workspaces.named(name);
                return found.map(|workspace| Self(vec![workspace])).ok_or_else(|| {
                    ControlError::new(
                        StatusCode::NOT_FOUND,
                        format!("no workspace `{name}`"),
                        format!("there are: {}", names(app)),
                    )
                });
            }
            None => {}
        }
        // A control token is no API key.
        let own =
            key(&parts.headers).filter(|key| Some(*key) != app.config.control_token.as_deref());
        if let Some(key) = own {
            return Ok(Self(vec![of_key(app, key, parts).await?]));
        }
        let mut all = app.workspaces.all();
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(Self(vec![only])),
            (None, _) => Err(ControlError::bad(
                "no API key was sent, and there is no workspace yet",
                "send the key your client uses in `x-api-key`; commands take it with `--key`",
            )),
            (Some(_), false) => Err(ControlError::bad(
                "no API key was sent, and there are several workspaces",
                format!(
                    "send the key in `x-api-key` (`--key` of a command), or add `?workspace=NAME`: {}",
                    names(app)
                ),
            )),
        }
    }
}

/// Calls that wait for what a workspace will do.
const WAITING: [&str; 2] = ["/_sandtable/wait", "/_sandtable/events"];

/// The workspace of a key. Who only looks makes none: it would be one of several for those who send no key.
async fn of_key(app: &App, key: &str, parts: &Parts) -> Result<Arc<Workspace>, ControlError> {
    let only_looks = parts.method == Method::GET && !WAITING.contains(&parts.uri.path());
    // What `--state` gives to a new one is in the store.
    if !only_looks || app.workspaces.state().is_some() {
        let made = app.workspace_of_key(key).await;
        return made.map_err(|error| ControlError::internal(&error));
    }
    let known = app.workspaces.known_of_key(key).await?;
    Ok(known.unwrap_or_else(|| Arc::new(app.workspaces.untouched())))
}

impl FromRequestParts<App> for Target {
    type Rejection = ControlError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ControlError> {
        let Targets(mut targets) = Targets::from_request_parts(parts, app).await?;
        match (targets.pop(), targets.is_empty()) {
            (Some(only), true) => Ok(Self(only)),
            _ => Err(ControlError::bad(
                "this call acts on one workspace",
                "name it: `?workspace=NAME`",
            )),
        }
    }
}

fn names(app: &App) -> String {
    let mut names: Vec<_> = app
        .workspaces
        .all()
        .iter()
        .map(|workspace| workspace.name.clone())
        .collect();
    names.truncate(20);
    names.join(", ")
}

/// With `--control-token`, calls must carry it in `x-sandtable-token` or as a bearer token.
pub(super) async fn check_token(State(app): State<App>, request: Request, next: Next) -> Response {
    if let Some(token) = &app.config.control_token {
        let headers = request.headers();
        let own = headers
            .get("x-sandtable-token")
            .and_then(|value| value.to_str().ok());
        if own
            .or_else(|| key(headers))
            .is_none_or(|sent| !same(sent, token))
        {
            return ControlError::new(
                StatusCode::UNAUTHORIZED,
                "the control token is missing or wrong",
                "send it in the header `x-sandtable-token`, or with `--control-token` of a command",
            )
            .into_response();
        }
    }
    next.run(request).await
}

/// Compares in a time that does not tell how much was right.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |acc, (x, y)| acc | (x ^ y))
            == 0
}
