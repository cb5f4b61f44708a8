//! `/_sandtable/scripts`: replace, add, list, and clear the workspace's own rules.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use control_api::{Loaded, ScriptCheck, ScriptList, SetupPart};
use serde::Deserialize;

use super::body::Sent;
use super::error::ControlError;
use super::target::{Claims, Target};
use crate::app::{App, tell_setup};
use common::work;
use model::script::{self, Diagnostic, NotReplaced};
use workspace::Workspace;

/// The name in messages of a script that came with a call, and without one of its own.
const ORIGIN: &str = "request body";

/// The query of a call that brings a script.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    /// The file that the text is of, for messages.
    name: Option<String>,
    /// Which one of the workspace's texts it replaces, from 1; all without it.
    source: Option<String>,
}

impl Named {
    fn origin(&self) -> &str {
        self.file().unwrap_or(ORIGIN)
    }

    fn file(&self) -> Option<&str> {
        let name = self.name.as_deref();
        name.filter(|name| !name.is_empty())
    }

    fn number(&self) -> Result<Option<usize>, ControlError> {
        let number = self.source.as_deref().map(|text| {
            text.parse().map_err(|_| {
                let message = format!("`source={text}` is not understood");
                ControlError::bad(
                    message,
                    "a number from 1, as the list has them in `sources`",
                )
            })
        });
        number.transpose()
    }
}

/// All rules, in the order they are tried, with how often each was used.
pub(super) async fn list(Target(workspace): Target) -> Json<ScriptList> {
    Json(ScriptList {
        data: workspace.scripts.list(),
        sources: workspace.scripts.sources(),
    })
}

/// Replaces the workspace's rules, or with `?source=2` those of one text; the ones given by file stay below them.
pub(super) async fn replace(
    State(app): State<App>,
    claims: Claims,
    Query(named): Query<Named>,
    Sent(body): Sent,
) -> Result<Json<Option<Loaded>>, ControlError> {
    let (script, origin) = (text(&body)?, named.origin());
    let number = named.number()?;
    let mut loaded = None;
    for workspace in fit(&app, claims, (script, origin)).await? {
        let scripts = &workspace.scripts;
        let replaced = work::apart(|| match number {
            Some(number) => scripts
                .replace_one(number, script, named.file())
                .map_err(not_replaced),
            None => scripts
                .replace(script, origin)
                .map_err(|faults| bad(&faults)),
        });
        loaded = Some(replaced?);
        tell_setup(&workspace, SetupPart::Scripts);
    }
    Ok(Json(loaded))
}

/// Adds rules after the workspace's own.
pub(super) async fn add(
    State(app): State<App>,
    claims: Claims,
    Query(named): Query<Named>,
    Sent(body): Sent,
) -> Result<Json<Option<Loaded>>, ControlError> {
    let (script, origin) = (text(&body)?, named.origin());
    let mut loaded = None;
    for workspace in fit(&app, claims, (script, origin)).await? {
        let added = work::apart(|| workspace.scripts.add(script, origin));
        loaded = Some(added.map_err(|faults| bad(&faults))?);
        tell_setup(&workspace, SetupPart::Scripts);
    }
    Ok(Json(loaded))
}

/// Says what is wrong with rules, and loads nothing.
pub(super) async fn check(
    Target(_): Target,
    Query(named): Query<Named>,
    Sent(body): Sent,
) -> Result<Json<ScriptCheck>, ControlError> {
    let script = text(&body)?;
    Ok(Json(work::apart(|| {
        script::examine(script, named.origin())
    })))
}

/// Forgets the workspace's rules.
pub(super) async fn clear(
    State(app): State<App>,
    claims: Claims,
) -> Result<StatusCode, ControlError> {
    for workspace in claims.made(&app).await? {
        workspace.scripts.clear();
        tell_setup(&workspace, SetupPart::Scripts);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The workspaces that are to have the script, which is looked at first where none is there to refuse it.
async fn fit(
    app: &App,
    claims: Claims,
    (script, origin): (&str, &str),
) -> Result<Vec<Arc<Workspace>>, ControlError> {
    if let Some(trial) = claims.trial(app) {
        work::apart(|| trial.scripts.replace(script, origin)).map_err(|faults| bad(&faults))?;
    }
    claims.made(app).await
}

fn text(body: &[u8]) -> Result<&str, ControlError> {
    std::str::from_utf8(body).map_err(|error| {
        ControlError::bad(
            format!("the script is not UTF-8: {error}"),
            "send it as UTF-8",
        )
    })
}

fn not_replaced(why: NotReplaced) -> ControlError {
    match why {
        NotReplaced::Wrong(faults) => bad(&faults),
        NotReplaced::Missing(count) => ControlError::bad(
            format!("there is no such text: the workspace has {count}"),
            "`GET /_sandtable/scripts` has them as `sources`; without `source` all are replaced",
        ),
    }
}

fn bad(faults: &[Diagnostic]) -> ControlError {
    ControlError::bad(
        common::hinted::told_all(faults),
        "`sandtable docs scripts` has an example of every step",
    )
}
