//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::response::IntoResponse;

use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::{Exchange, Outcome, Pairs};
use crate::api::paging::{self, IdPage};
use engine::models::catalog;

const STAGES: [&str; 3] = ["active", "deprecated", "retired"];

/// Lists the models, newest first; retired ones only where they are asked for.
pub(super) fn list(exchange: &Exchange) -> Outcome {
    let pairs = exchange.query()?;
    let page = IdPage::parse(&pairs)?;
    let stages = stages(&pairs)?;
    let now = exchange.caller.workspace.clock.now();
    let listed: Vec<_> = catalog::all()
        .iter()
        .filter(|model| stages.contains(&model.lifecycle(now)))
        .collect();
    let (models, has_more) = page.cut("Model", &listed, |model| &model.id, None)?;
    let data: Vec<_> = models.iter().map(|model| model.to_wire(now)).collect();
    Ok(Json(paging::id_page(&data, has_more)).into_response())
}

fn stages(pairs: &Pairs) -> ApiResult<Vec<&str>> {
    let asked: Vec<&str> = pairs
        .iter()
        .filter(|(name, _)| name == "lifecycle[]" || name == "lifecycle")
        .map(|(_, value)| value.as_str())
        .collect();
    if let Some(position) = asked.iter().position(|stage| !STAGES.contains(stage)) {
        return Err(ApiError::invalid(format!(
            "lifecycle.{position}: Input should be 'active', 'deprecated' or 'retired'"
        )));
    }
    if asked.len() > STAGES.len() {
        return Err(ApiError::invalid(format!(
            "lifecycle: List should have at most {} items after validation, not {}",
            STAGES.len(),
            asked.len()
        )));
    }
    Ok(if asked.is_empty() {
        STAGES[..2].to_vec()
    } else {
        asked
    })
}

/// One model, by its id or an alias.
pub(super) fn one(exchange: &Exchange, name: &str) -> Outcome {
    let model = catalog::find(name)
        // Parity: recorded for Messages and count_tokens (F140).
        .ok_or_else(|| ApiError::not_found(format!("model: {name}")))?;
    Ok(Json(model.to_wire(exchange.caller.workspace.clock.now())).into_response())
}
