//! `GET` and `POST /_sandtable/clock`.

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use control_api::ClockState;
use serde_json::Value;

use super::body::{Sent, json};
use super::error::ControlError;
use super::target::{Claims, Target};
use crate::app::{App, MoveError};
use common::clock::{self, BackwardsError, Change, Clock, span};

/// The workspace's time.
pub(super) async fn show(Target(workspace): Target) -> Json<ClockState> {
    Json(describe(&workspace.clock))
}

/// Advances, sets, freezes, or thaws; several in one call are done in this order.
pub(super) async fn change(
    State(app): State<App>,
    claims: Claims,
    Sent(body): Sent,
) -> Result<Json<Option<ClockState>>, ControlError> {
    let change = parse(&body)?;
    if let Some(trial) = claims.trial(&app) {
        check(trial.clock.state(), change)?;
    }
    let workspaces = claims.made(&app).await?;
    // A change that one of them refuses is none for the others.
    for workspace in &workspaces {
        check(workspace.clock.state(), change)?;
    }
    let moved = app.move_clocks(&workspaces, change).await;
    moved.map_err(|error| match error {
        MoveError::Backwards(error) => backwards(error),
        MoveError::Store(error) => error.into(),
    })?;
    let last = workspaces.last();
    Ok(Json(last.map(|workspace| describe(&workspace.clock))))
}

fn check(state: clock::State, change: Change) -> Result<(), ControlError> {
    if state.goes_past_the_end(change) {
        return Err(ControlError::bad(
            format!(
                "the clock goes to {} and no further",
                clock::rfc3339_micros(clock::LAST)
            ),
            "`POST /_sandtable/reset` goes back to the present",
        ));
    }
    state.after(change).map(|_| ()).map_err(backwards)
}

fn describe(clock: &Clock) -> ClockState {
    ClockState {
        now: clock.now(),
        frozen: clock.is_frozen(),
    }
}

const HINT: &str = r#"send {"advance":"30d"} (also 90s, 5m, 12h), {"freeze":true}, or {"set":"2026-01-04T20:47:05Z"}"#;

fn parse(body: &[u8]) -> Result<Change, ControlError> {
    let bad = |message: String| ControlError::bad(message, HINT);
    let value = json(body, HINT)?;
    let members = value.as_object().filter(|members| !members.is_empty());
    let members =
        members.ok_or_else(|| bad("the body must be an object with members".to_owned()))?;
    let mut change = Change::default();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("advance", Value::String(text)) => {
                change.advance =
                    Some(span(text).ok_or_else(|| bad(format!("`{text}` is no span of time")))?);
            }
            ("set", Value::String(text)) => {
                let time = DateTime::parse_from_rfc3339(text)
                    .map_err(|error| bad(format!("`{text}` is no RFC 3339 time: {error}")))?;
                change.set = Some(time.to_utc());
            }
            ("freeze", Value::Bool(freeze)) => change.freeze = Some(*freeze),
            ("advance" | "set" | "freeze", _) => {
                return Err(bad(format!("`{name}` has a wrong type")));
            }
            _ => return Err(bad(format!("`{name}` is unknown"))),
        }
    }
    Ok(change)
}

fn backwards(error: BackwardsError) -> ControlError {
    ControlError::bad(
        error.to_string(),
        "`POST /_sandtable/reset` goes back to the present",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_member_is_refused() {
        assert!(parse(br#"{"advanec":"1d"}"#).is_err());
        assert!(parse(b"{}").is_err());
        assert_eq!(parse(br#"{"freeze":true}"#).unwrap().freeze, Some(true));
    }
}
