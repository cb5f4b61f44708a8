//! Requests that cassettes answer, or that are passed on and recorded.
//!
//! Everything below `/v1` goes this way while cassettes are mounted: no handler of the emulated service
//! sees it, and no sandbox runs. HTTP faults come before it; faults of streams and of tools, and
//! containers that are over on the workspace's clock, change what was recorded.

mod given;
mod intake;
mod kept;
mod proxy;

use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;
use crate::api::extract::Caller;
use crate::api::middleware::{self, Exchange};
use crate::cassette::{Deck, Miss, Player};
use crate::engine::{self, Report};
use crate::hinted;
use crate::verify::{self, Facts};
use intake::Intake;

/// Answers a request from what is mounted.
pub(super) async fn answer(
    (deck, player): (Arc<Deck>, Arc<Player>),
    caller: &Caller,
    request: Request,
    facts: &mut Facts,
) -> Response {
    let (parts, body) = request.into_parts();
    let intake = match Intake::read(&parts, body).await {
        Ok(intake) => intake,
        Err(error) => return error.into_response(),
    };
    let redactor = deck.redactor(middleware::keys(&parts.headers));
    let asked = match redactor.request(intake.request.clone()) {
        Ok(asked) => asked,
        Err(error) => return ApiError::internal(&error).into_response(),
    };
    let raw = intake.raw();
    let workspace = &caller.workspace;
    // Without a seed nothing follows from what was sent.
    let scope = workspace
        .seed
        .and_then(|_| asked.body.text())
        .unwrap_or_default();
    let ids = workspace.ids(&[b"replay", asked.path.as_bytes(), scope.as_bytes()]);
    let turn = given::turn(&asked);
    if let Some(turn) = &turn {
        engine::heard(&workspace.watch, turn);
    }
    let (source, mut response) = match player.play(&asked, workspace.clock.now(), &ids) {
        Ok(played) => (
            format!("cassette {}", played.name),
            given::response(caller, &deck, (&asked, turn.as_ref()), played, facts).await,
        ),
        Err(miss) => match deck.recorder() {
            None => {
                facts.miss = Some(verify::Miss::Unmatched {
                    message: miss.message.clone(),
                    nearest: Vec::new(),
                });
                ("unmatched".to_owned(), refused(&miss))
            }
            Some(recorder) => (
                format!("upstream {}", recorder.upstream.url()),
                proxy::pass_on(Arc::clone(&deck), redactor, &parts, intake).await,
            ),
        },
    };
    let mut exchange = response
        .extensions_mut()
        .remove::<Exchange>()
        .unwrap_or_default();
    exchange.request = raw;
    exchange.report = Some(Arc::new(Mutex::new(Report {
        source: Some(source),
        ..Report::default()
    })));
    response.extensions_mut().insert(exchange);
    response
}

/// Nothing on the tape fits. Never answered by guessing.
fn refused(miss: &Miss) -> Response {
    ApiError::invalid(hinted::in_line(miss)).into_response()
}

/// What a client gets where there was no answer.
fn unreachable(upstream: Option<&str>, why: &str) -> Response {
    let of = upstream.map_or_else(String::new, |url| format!(" at {url}"));
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "api_error",
        format!("sandtable: the recorded service{of} did not answer: {why}"),
    )
    .into_response()
}
