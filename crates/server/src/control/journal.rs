//! `/_sandtable/journal`: what the workspace asked and was answered, newest first, or as an export.

mod cassette;
mod har;
mod script;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::DateTime;
use control_api::{Exchange, JournalGrowth, JournalPage};

use super::error::ControlError;
use super::target::{Claims, Target, Targets};
use crate::app::App;
use common::document::did_you_mean;
use common::limits;
use common::work;
use workspace::Workspace;
use workspace::fault::METHODS;
use workspace::journal::{Entry, Filter, Since};

const HINT: &str = "the filters are `path`, `method`, `status` (404 or 4xx), `id`, `since` (a request id or a time), `limit`, `cursor`, `after`, `bodies`, and `format` (har, cassette, script)";

/// A page of the journal; with `?format=har` all of it, and with `?workspace=*` that of all.
pub(super) async fn list(
    Targets(workspaces): Targets,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, ControlError> {
    let filter = filter(&query)?;
    let bodies = bodies(&query)?;
    if let (Some(format), None) = (query.get("format"), query.get("after")) {
        let of_page = ["limit", "cursor", "bodies"];
        if let Some(other) = of_page.into_iter().find(|name| query.contains_key(*name)) {
            return Err(ControlError::bad(
                format!("`format` does not go with `{other}`: an export has all, with bodies"),
                "`path`, `method`, `status`, `id`, and `since` say what of it",
            ));
        }
        return work::apart(|| export(&workspaces, &filter, format));
    }
    // Of all there is no page, also where there is one workspace.
    let is_of_all = query.get("workspace").is_some_and(|name| name == "*");
    let ([workspace], false) = (workspaces.as_slice(), is_of_all) else {
        return Err(ControlError::bad(
            "a page is of one workspace",
            "name it: `?workspace=NAME`, or export all with `format=har`, `cassette`, or `script`",
        ));
    };
    let told = |entries: &[Arc<Entry>]| entries.iter().map(|entry| entry.told(bodies)).collect();
    if let Some(after) = after(&query)? {
        return work::apart(|| {
            // Before the journal is looked at: what ends in between is in it.
            let open_requests = workspace.open.count();
            let growth = workspace.journal.growth(&filter, after);
            Ok(Json(JournalGrowth {
                data: told(&growth.entries),
                next_after: growth.next_after,
                dropped: growth.dropped,
                open_requests,
            })
            .into_response())
        });
    }
    work::apart(|| {
        let page = workspace.journal.list(&filter);
        Ok(Json(JournalPage {
            data: told(&page.entries),
            next_cursor: page.next_cursor,
        })
        .into_response())
    })
}

fn bodies(query: &HashMap<String, String>) -> Result<bool, ControlError> {
    match query.get("bodies").map(String::as_str) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(ControlError::bad(
            format!("`bodies={other}` is no filter"),
            HINT,
        )),
    }
}

/// Where a page of what has come since begins.
fn after(query: &HashMap<String, String>) -> Result<Option<u64>, ControlError> {
    let Some(text) = query.get("after") else {
        return Ok(None);
    };
    let bad = |message: String| {
        ControlError::bad(
            message,
            "`after` is 0, or `next_after` of the page before; it goes with `limit`, `path`, `method`, `status`, and `id`",
        )
    };
    if let Some(other) = ["since", "cursor", "format"]
        .into_iter()
        .find(|name| query.contains_key(*name))
    {
        return Err(bad(format!("`after` does not go with `{other}`")));
    }
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| bad(format!("`after={text}` is no number")))
}

/// One exchange with its bodies.
pub(super) async fn one(
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Json<Exchange>, ControlError> {
    let entry = workspace.journal.find(&id).ok_or_else(|| {
        ControlError::new(
            StatusCode::NOT_FOUND,
            format!("no exchange `{id}` in this workspace's journal"),
            "the oldest make room for new ones; `GET /_sandtable/journal` lists those that are kept",
        )
    })?;
    Ok(Json(work::apart(|| entry.told(true))))
}

fn export(
    workspaces: &[Arc<Workspace>],
    filter: &Filter,
    format: &str,
) -> Result<Response, ControlError> {
    let entries = oldest_first(workspaces, filter);
    if format == "cassette" {
        let text = cassette::text(&entries).map_err(|error| ControlError::internal(&error))?;
        return Ok(([(header::CONTENT_TYPE, "application/yaml")], text).into_response());
    }
    if format == "script" {
        let text = script::text(&entries);
        if text.is_empty() {
            return Err(ControlError::bad(
                "there is no request for a message among what was asked for",
                "rules are drafted from `POST /v1/messages`; `GET /_sandtable/journal` lists what there is",
            ));
        }
        return Ok(([(header::CONTENT_TYPE, "application/yaml")], text).into_response());
    }
    Ok(Json(har::archive(entries.iter().map(AsRef::as_ref))).into_response())
}

/// All that is wanted, with bodies and headers, oldest first: where every export begins.
pub(super) fn oldest_first(workspaces: &[Arc<Workspace>], filter: &Filter) -> Vec<Arc<Entry>> {
    let mut all: Vec<Arc<Entry>> = workspaces
        .iter()
        .flat_map(|workspace| workspace.journal.export(filter))
        .collect();
    if workspaces.len() > 1 {
        all.sort_by_key(|entry| entry.started);
    }
    all
}

/// Forgets it.
pub(super) async fn clear(
    State(app): State<App>,
    claims: Claims,
) -> Result<StatusCode, ControlError> {
    for workspace in claims.made(&app).await? {
        workspace.journal.clear();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What a path of a request can begin with; each begins with nothing.
pub(super) fn path(text: &str) -> Result<String, ControlError> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(ControlError::bad(
        format!("no path begins with `{text}`"),
        "it begins with `/`, such as /v1/messages",
    ))
}

/// The method of requests.
pub(super) fn method(text: &str) -> Result<String, ControlError> {
    let method = text.to_ascii_uppercase();
    if METHODS.contains(&&*method) {
        return Ok(method);
    }
    let hint = did_you_mean(&method, METHODS.iter().copied(), || {
        format!("one of {}", METHODS.join(", "))
    });
    Err(ControlError::bad(format!("no method `{text}`"), hint))
}

fn filter(query: &HashMap<String, String>) -> Result<Filter, ControlError> {
    let mut filter = Filter::default();
    for (name, value) in query {
        let bad = || ControlError::bad(format!("`{name}={value}` is no filter"), HINT);
        match name.as_str() {
            "path" => filter.path = Some(path(value)?),
            "status" => filter.status = Some(value.parse().map_err(|_| bad())?),
            "limit" => {
                let limit = value.parse().ok();
                let range = 1..=limits::LIST_LIMIT_MAX;
                filter.limit = limit.filter(|limit| range.contains(limit)).ok_or_else(|| {
                    let most = limits::LIST_LIMIT_MAX;
                    ControlError::bad(
                        format!("`limit={value}` is no number of entries"),
                        format!("a number from 1 to {most}"),
                    )
                })?;
            }
            "cursor" => filter.cursor = Some(value.parse().map_err(|_| bad())?),
            "method" => filter.method = Some(method(value)?),
            "id" => filter.id = Some(value.clone()),
            "since" if value.starts_with("req_") => {
                filter.since = Some(Since::Request(value.clone()));
            }
            "since" => {
                let time = DateTime::parse_from_rfc3339(value).map_err(|_| bad())?;
                filter.since = Some(Since::Time(time.to_utc()));
            }
            "after" | "bodies" | "workspace" => {}
            "format" if matches!(value.as_str(), "har" | "cassette" | "script") => {}
            _ => return Err(bad()),
        }
    }
    Ok(filter)
}
