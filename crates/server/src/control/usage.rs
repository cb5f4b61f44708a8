//! `/_sandtable/usage`: what a month of the workspace would have cost.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Query, State};
use control_api::Usage;

use super::error::ControlError;
use super::target::Target;
use crate::app::App;
use workspace::billing::Month;

/// `?month=2026-11`; the month of the workspace's clock without it.
pub(super) async fn show(
    State(app): State<App>,
    Target(workspace): Target,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Usage>, ControlError> {
    let month = match query.get("month") {
        Some(text) => text.parse().map_err(|error| {
            ControlError::bad(
                format!("month: {error}"),
                "leave it out for the present one",
            )
        })?,
        None => Month::of(workspace.clock.now()),
    };
    Ok(Json(workspace.ledger.report(month, &app.config.prices)))
}
