//! `/_sandtable/journal`: what the workspace asked and was answered, newest first, or as an export.

mod cassette;
mod har;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::DateTime;
use serde_json::json;

use super::error::ControlError;
use super::target::Targets;
use crate::journal::{Entry, Filter, Since};
use crate::limits;
use crate::work;
use crate::workspace::Workspace;

const HINT: &str = "the filters are `path`, `method`, `status` (404 or 4xx), `id`, `since` (a request id or a time), `limit`, `cursor`, and `format` (har, cassette)";

/// A page of the journal; with `?format=har` all of it, and with `?workspace=*` that of all.
pub(super) async fn list(
    Targets(workspaces): Targets,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, ControlError> {
    let filter = filter(&query)?;
    if let Some(format) = query.get("format") {
        return work::apart(|| export(&workspaces, &filter, format));
    }
    let [workspace] = workspaces.as_slice() else {
        return Err(ControlError::bad(
            "a page is of one workspace",
            "name it: `?workspace=NAME`, or export all with `format=har` or `format=cassette`",
        ));
    };
    work::apart(|| {
        let page = workspace.journal.list(&filter);
        Ok(Json(
            json!({ "data": page.entries.iter().map(AsRef::as_ref).collect::<Vec<&Entry>>(), "next_cursor": page.next_cursor }),
        )
        .into_response())
    })
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
pub(super) async fn clear(Targets(workspaces): Targets) -> StatusCode {
    for workspace in workspaces {
        workspace.journal.clear();
    }
    StatusCode::NO_CONTENT
}

fn filter(query: &HashMap<String, String>) -> Result<Filter, ControlError> {
    let mut filter = Filter::default();
    for (name, value) in query {
        let bad = || ControlError::bad(format!("`{name}={value}` is no filter"), HINT);
        match name.as_str() {
            "path" => filter.path = Some(value.clone()),
            "status" => filter.status = Some(value.parse().map_err(|_| bad())?),
            "limit" => {
                let limit: usize = value.parse().map_err(|_| bad())?;
                if !(1..=limits::LIST_LIMIT_MAX).contains(&limit) {
                    return Err(bad());
                }
                filter.limit = limit;
            }
            "cursor" => filter.cursor = Some(value.parse().map_err(|_| bad())?),
            "method" => filter.method = Some(value.clone()),
            "id" => filter.id = Some(value.clone()),
            "since" if value.starts_with("req_") => {
                filter.since = Some(Since::Request(value.clone()));
            }
            "since" => {
                let time = DateTime::parse_from_rfc3339(value).map_err(|_| bad())?;
                filter.since = Some(Since::Time(time.to_utc()));
            }
            "format" if value == "har" || value == "cassette" => {}
            "workspace" => {}
            _ => return Err(bad()),
        }
    }
    Ok(filter)
}
