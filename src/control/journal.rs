//! `/_sandtable/journal`: what the workspace asked and was answered, newest first.

use std::collections::HashMap;

use axum::Json;
use axum::extract::Query;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::ControlError;
use super::target::{Target, Targets};
use crate::journal::{Entry, Filter};
use crate::limits;

const HINT: &str = "the filters are `path`, `status` (404 or 4xx), `limit`, and `cursor`";

/// A page of the journal.
pub(super) async fn list(
    Target(workspace): Target,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, ControlError> {
    let page = workspace.journal.list(&filter(&query)?);
    Ok(Json(
        json!({ "data": page.entries.iter().map(AsRef::as_ref).collect::<Vec<&Entry>>(), "next_cursor": page.next_cursor }),
    ))
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
            "workspace" => {}
            _ => return Err(bad()),
        }
    }
    Ok(filter)
}
