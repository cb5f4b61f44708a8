//! Requests that cassettes answer, or that are passed on and recorded.
//!
//! Everything below `/v1` goes this way while cassettes are mounted: no handler of the emulated service
//! sees it, and no sandbox runs. HTTP faults come before it; faults of streams and of tools, and
//! containers that are over on the workspace's clock, change what was recorded.

mod given;
mod intake;
mod kept;
mod made;
mod outgoing;
mod proxy;

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;

use crate::api::error::ApiError;
use crate::api::exchange::{Exchange, Outcome};
use crate::api::key::keys;
use cassette::{Deck, Miss, Player};
use common::hinted;
use engine::{self, Report};
use intake::Intake;
use workspace::telemetry::{Origin, TurnDone, UNMATCHED};
use workspace::verify::{self, Facts};

/// What helps where a body is compressed.
const UNCOMPRESSED: &str = "send requests uncompressed; what is compressed can neither be compared nor searched for secrets";

/// Answers a request from what is mounted.
pub(super) async fn answer(
    (deck, player): (Arc<Deck>, Arc<Player>),
    exchange: &mut Exchange,
    facts: &mut Facts,
) -> Outcome {
    let body = exchange.take_body().map_err(|error| {
        if deck.recorder().is_none() {
            facts.miss = Some(verify::Miss::Unmatched {
                message: "the body of the request is compressed".to_owned(),
                nearest: Vec::new(),
            });
        }
        error.with_hint(UNCOMPRESSED)
    })?;
    let intake = Intake::read(&exchange.head, body).await?;
    let redactor = deck.redactor(keys(exchange.headers()));
    let asked = redactor
        .request(intake.request.clone())
        .map_err(|error| ApiError::internal(&error))?;
    exchange.noted.request = intake.raw();
    if let Some(content) = intake.content() {
        exchange.caller.made.says(content);
    }
    let workspace = &exchange.caller.workspace;
    // Without a seed nothing follows from what was sent.
    let scope = workspace
        .seed
        .and_then(|_| asked.body.text())
        .unwrap_or_default();
    let ids = workspace.ids(&[b"replay", asked.path.as_bytes(), scope.as_bytes()]);
    // What a thread's request leaves out is the client's all the same.
    let whole = player.whole(&asked);
    let meant = whole.as_ref().unwrap_or(&asked);
    let turn = given::turn(meant);
    if let Some(turn) = &turn {
        engine::heard(&workspace.watch, turn);
        if workspace.watch.has_unread() {
            let files = engine::handed_on(turn).map(str::to_owned);
            facts.handed_on.extend(files);
        }
    }
    let (source, origin, outcome) = match player.play(&asked, workspace.clock.now(), &ids) {
        Ok(played) => (
            format!("cassette {}", played.name),
            Origin::Cassette,
            given::response(exchange, &deck, (meant, turn.as_ref()), played, facts).await,
        ),
        Err(miss) => match deck.recorder() {
            None => {
                facts.miss = Some(unmatched(&miss));
                let refused = Err(refused(&miss));
                (UNMATCHED.to_owned(), Origin::Unmatched, refused)
            }
            Some(recorder) => {
                let source = format!("upstream {}", recorder.upstream.url());
                let with = (intake, player.translation(&asked));
                let passed = proxy::pass_on(Arc::clone(&deck), redactor, exchange, with);
                (source, Origin::Upstream, passed.await)
            }
        },
    };
    exchange.noted.report = Some(Arc::new(Mutex::new(Report {
        source: Some(source),
        done: TurnDone {
            origin: Some(origin),
            model: turn.map(|turn| turn.model),
            ..TurnDone::default()
        },
        ..Report::default()
    })));
    outcome
}

/// As the verdict has it.
fn unmatched(miss: &Miss) -> verify::Miss {
    verify::Miss::Unmatched {
        message: miss.message.clone(),
        nearest: Vec::new(),
    }
}

/// Nothing on the tape fits. Never answered by guessing.
fn refused(miss: &Miss) -> ApiError {
    ApiError::invalid(hinted::in_line(miss))
}

/// The 502 for a client whose recorded service did not answer: the same when it is replayed, where nobody knows its URL.
fn unreachable(why: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "api_error",
        format!("sandtable: the recorded service did not answer: {why}"),
    )
}
