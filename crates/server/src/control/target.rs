//! Which workspaces a control call acts on, and who may make one.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use super::error::ControlError;
use crate::api::{INVALID_KEY, keys};
use crate::app::App;
use workspace::Workspace;

const HINT: &str = "send the key your client uses in `x-api-key`; commands take it with `--key`";

/// The workspaces a call looks at: one, or all with `?workspace=*`. For a new key none is made.
#[derive(Debug)]
pub(super) struct Targets(pub(super) Vec<Arc<Workspace>>);

/// The one workspace a call looks at.
#[derive(Debug)]
pub(super) struct Target(pub(super) Arc<Workspace>);

/// The workspaces a call changes: one, or all with `?workspace=*`. That of a new key is there once the call is known to be
/// carried out: what is refused changes nothing.
#[derive(Debug)]
pub(super) struct Claims {
    known: Vec<Arc<Workspace>>,
    new_key: Option<String>,
}

/// The one workspace a call changes.
#[derive(Debug)]
pub(super) struct Claim(Claims);

impl Claims {
    /// Where there is no workspace yet, one to see on whether the call is refused.
    pub(super) fn trial(&self, app: &App) -> Option<Workspace> {
        let is_there = !self.known.is_empty();
        (!is_there).then(|| app.workspaces.untouched())
    }

    /// The workspaces, that of a new key made.
    pub(super) async fn made(self, app: &App) -> Result<Vec<Arc<Workspace>>, ControlError> {
        let Some(key) = self.new_key else {
            return Ok(self.known);
        };
        let made = app.workspace_of_key(&key).await;
        let made = made.map_err(|error| ControlError::of_key(app, error))?;
        Ok(vec![made])
    }
}

impl Claim {
    /// The workspace, unless its key is new.
    pub(super) fn known(&self) -> Option<&Arc<Workspace>> {
        self.0.known.first()
    }

    /// The time of the workspace.
    pub(super) fn now(&self, app: &App) -> DateTime<Utc> {
        self.known().map_or_else(
            || app.workspaces.untouched().clock.now(),
            |known| known.clock.now(),
        )
    }

    /// The workspace, that of a new key made.
    pub(super) async fn made(self, app: &App) -> Result<Arc<Workspace>, ControlError> {
        one(self.0.made(app).await?)
    }

    /// The key that has no workspace yet.
    pub(super) fn new_key(&self) -> Option<&str> {
        self.0.new_key.as_deref()
    }
}

fn one(mut workspaces: Vec<Arc<Workspace>>) -> Result<Arc<Workspace>, ControlError> {
    match (workspaces.pop(), workspaces.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) | (None, _) => Err(of_one()),
    }
}

fn of_one() -> ControlError {
    ControlError::bad(
        "this call acts on one workspace",
        "name it: `?workspace=NAME`",
    )
}

/// The key that a call brings. One that cannot have a workspace is not the same as none, with which the call would act on
/// another's.
fn own_key<'a>(headers: &'a HeaderMap, app: &App) -> Result<Option<&'a str>, ControlError> {
    for name in [HeaderName::from_static("x-api-key"), header::AUTHORIZATION] {
        let mut values = headers.get_all(&name).iter();
        if values.any(|value| value.to_str().is_err()) {
            return Err(ControlError::bad(
                format!("the header `{name}` is not ASCII text, so no workspace has its key"),
                HINT,
            ));
        }
    }
    // A control token is no API key.
    let token = app.config.control_token.as_deref();
    let mut sent = keys(headers).filter(|key| Some(*key) != token).peekable();
    let is_sent = sent.peek().is_some();
    // Whether a key is wrong, a recording says where there is one.
    let own = sent.find(|key| *key != INVALID_KEY || app.cassettes.is_some());
    if own.is_none() && is_sent {
        return Err(ControlError::bad(
            format!(
                "every request with the key `{INVALID_KEY}` is refused, so it has no workspace"
            ),
            HINT,
        ));
    }
    Ok(own)
}

/// Refuses `?workspace=*`, also where there is one workspace.
fn not_all(parts: &Parts) -> Result<(), ControlError> {
    if named(parts).is_some_and(|name| name == "*") {
        return Err(of_one());
    }
    Ok(())
}

/// What `?workspace=` says.
fn named(parts: &Parts) -> Option<String> {
    let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri);
    query.ok()?.0.remove("workspace")
}

impl FromRequestParts<App> for Claims {
    type Rejection = ControlError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ControlError> {
        let known = |known| Self {
            known,
            new_key: None,
        };
        match named(parts).as_deref() {
            Some("*") => return Ok(known(app.workspaces.all())),
            Some(name) => {
                let found = app.workspaces.named(name);
                return found
                    .map(|workspace| known(vec![workspace]))
                    .ok_or_else(|| {
                        ControlError::new(
                            StatusCode::NOT_FOUND,
                            format!("no workspace `{name}`"),
                            match names(app) {
                                none if none.is_empty() => {
                                    "there is none yet: the first request of a key makes one"
                                        .to_owned()
                                }
                                names => format!("there are: {names}"),
                            },
                        )
                    });
            }
            None => {}
        }
        let own = own_key(&parts.headers, app)?;
        if let Some(key) = own {
            return Ok(match app.workspaces.known_of_key(key).await? {
                Some(workspace) => known(vec![workspace]),
                None => Self {
                    known: Vec::new(),
                    new_key: Some(key.to_owned()),
                },
            });
        }
        let mut all = app.workspaces.all();
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(known(vec![only])),
            (None, _) => Err(ControlError::bad(
                "no API key was sent, and there is no workspace yet",
                HINT,
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

impl FromRequestParts<App> for Claim {
    type Rejection = ControlError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ControlError> {
        not_all(parts)?;
        let claims = Claims::from_request_parts(parts, app).await?;
        if claims.new_key.is_none() {
            let known = one(claims.known)?;
            let known = vec![known];
            return Ok(Self(Claims {
                known,
                new_key: None,
            }));
        }
        Ok(Self(claims))
    }
}

/// Whether a call looks at what lies in the store: there is what `--state` gives to a new workspace.
fn looks_into_the_store(path: &str) -> bool {
    let of_ours = path.strip_prefix("/_sandtable/").unwrap_or_default();
    let begins = |with| of_ours.starts_with(with);
    matches!(of_ours, "state" | "files") || begins("containers") || begins("page/files/")
}

impl FromRequestParts<App> for Targets {
    type Rejection = ControlError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ControlError> {
        let claims = Claims::from_request_parts(parts, app).await?;
        // Who only looks makes none: it would be one of several for those who send no key.
        let needs_none =
            app.workspaces.state().is_none() || !looks_into_the_store(parts.uri.path());
        if claims.new_key.is_some() && needs_none {
            return Ok(Self(vec![Arc::new(app.workspaces.untouched())]));
        }
        Ok(Self(claims.made(app).await?))
    }
}

impl FromRequestParts<App> for Target {
    type Rejection = ControlError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ControlError> {
        not_all(parts)?;
        let Targets(targets) = Targets::from_request_parts(parts, app).await?;
        Ok(Self(one(targets)?))
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
        // Beside it a call may carry the key of its workspace.
        let is_sent = match own {
            Some(own) => same(own, token),
            None => keys(headers).any(|sent| same(sent, token)),
        };
        if !is_sent {
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
