//! `/_sandtable/rate-limits`: what a minute allows, for the workspace.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use control_api::{ClearedRates, List};

use super::body::{Sent, json};
use super::error::ControlError;
use super::target::{Claims, Target};
use crate::app::App;
use workspace::rate::RateLimit;

const HINT: &str = r#"such as [{"model":"claude-sonnet","requests":50,"input_tokens":30000,"output_tokens":8000}]"#;

/// The limits in force.
pub(super) async fn show(Target(workspace): Target) -> Json<List<RateLimit>> {
    let data = workspace.rates.limits().to_vec();
    Json(List { data })
}

/// Puts others in their place; the buckets are full again.
pub(super) async fn replace(
    State(app): State<App>,
    claims: Claims,
    Sent(body): Sent,
) -> Result<Json<List<RateLimit>>, ControlError> {
    let value = json(&body, HINT)?;
    // Lists would be taken for the members in their order.
    let mut items = value.as_array().into_iter().flatten();
    if let Some(at) = items.position(|limit| !limit.is_object()) {
        let message = format!("rate limit {at}: it must be an object");
        return Err(ControlError::bad(message, HINT));
    }
    let limits: Vec<RateLimit> = serde_json::from_value(value)
        .map_err(|error| ControlError::bad(format!("rate limits: {error}"), HINT))?;
    for (at, limit) in limits.iter().enumerate() {
        limit
            .check(&limits[..at])
            .map_err(|error| ControlError::bad(format!("rate limit {at}: {error}"), HINT))?;
    }
    let limits: Arc<[RateLimit]> = limits.into();
    for workspace in claims.made(&app).await? {
        workspace.rates.set(Arc::clone(&limits));
    }
    let data = limits.to_vec();
    Ok(Json(List { data }))
}

/// Back to what the server's flags say.
pub(super) async fn clear(
    State(app): State<App>,
    claims: Claims,
) -> Result<Json<ClearedRates>, ControlError> {
    let workspaces = claims.made(&app).await?;
    for workspace in &workspaces {
        workspace.rates.reset();
    }
    let workspaces = workspaces.len() as u64;
    Ok(Json(ClearedRates { workspaces }))
}
