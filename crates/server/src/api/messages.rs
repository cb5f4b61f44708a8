//! `POST /v1/messages`, plain and streamed.

mod plain;
mod rates;
mod stream;
mod threads;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use wire::block::Message;
use wire::request::MessagesRequest;

use crate::api::era;
use crate::api::error::ApiError;
use crate::api::exchange::{Exchange, Noted, Outcome};
use crate::api::faults::may_change;
use crate::api::json;
use crate::api::turn::{decode, refused};
use crate::app::App;
use common::limits;
use engine::{self, Report, TurnError, TurnInput};
use plain::Plain;
use threads::Thread;
use workspace::coverage::Mode;
use workspace::lint::{Lint, UNCOUNTED_TOOLS};
use workspace::quirks::{CountServerTools, Era};
use workspace::rate::Standing;

/// Carries out a turn.
pub(super) async fn create(exchange: &mut Exchange) -> Outcome {
    let body = json::read(exchange, limits::MAX_MESSAGES_BODY_BYTES).await?;
    let report = Arc::new(Mutex::new(Report::default()));
    exchange.noted.report = Some(Arc::clone(&report));
    turn(exchange, body, report).await
}

async fn turn(exchange: &mut Exchange, mut body: Value, report: Arc<Mutex<Report>>) -> Outcome {
    let Exchange {
        app, caller, noted, ..
    } = exchange;
    let thread = threads::open(app, caller, &mut body).await?;
    if body["stream"] == true {
        json::shrink(&mut body);
    }
    noted.as_sent = may_change(caller);
    let caller = caller.clone();
    let mut input = decode(app, caller, body, report, MessagesRequest::decode)?;
    let standing = rates::admit(&mut input)?;
    if input.request.stream {
        let workspace = Arc::clone(&input.workspace);
        let mut response = stream::answer(app.clone(), input, thread, noted.as_sent).await?;
        rates::add(response.headers_mut(), workspace.clock.now(), standing);
        Ok(response)
    } else {
        plain_answer(app, &input, (thread, standing), noted).await
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The buffer into which a thread writes answers, one behind the other, in bytes; it is used again when they are sent.
const ROOM_BYTES: usize = 16 * 1024;
/// Of a longer answer a client that reads slowly would hold more than its own.
const SMALL_BYTES: usize = 4 * 1024;

/// A message as it is sent and kept.
fn written(message: &Message) -> serde_json::Result<Bytes> {
    thread_local! {
        static ROOM: RefCell<(Vec<u8>, BytesMut)> = RefCell::default();
    }
    ROOM.with_borrow_mut(|(text, room)| {
        text.clear();
        serde_json::to_writer(&mut *text, message)?;
        if text.len() > SMALL_BYTES {
            return Ok(Bytes::copy_from_slice(&std::mem::take(text)));
        }
        if room.capacity() < text.len() {
            // Takes the whole of it back if nobody reads of it any more.
            room.reserve(ROOM_BYTES);
        }
        room.extend_from_slice(text);
        Ok(room.split().freeze())
    })
}

async fn plain_answer(
    app: &App,
    input: &TurnInput,
    (thread, standing): (Option<Thread>, Option<Standing>),
    noted: &mut Noted,
) -> Outcome {
    let mut plain = Plain::default();
    let done = threads::run(&app.engine, input, thread, &mut plain).await;
    let message = plain.finish().await;
    if matches!(done, Err(TurnError::Cut)) {
        let mut response = plain::cut(message.as_ref());
        let now = input.workspace.clock.now();
        rates::add(response.headers_mut(), now, standing);
        return Ok(response);
    }
    done.map_err(refused)?;
    let message = message.ok_or_else(|| ApiError::internal(&"a turn ended without a message"))?;
    if !noted.as_sent {
        let coverage = &input.workspace.watch.coverage;
        coverage.mode(Mode::Plain);
        coverage.message(&message);
    }
    let bytes = if input.quirks.era == Era::Beta2025 {
        let mut message =
            serde_json::to_value(&message).map_err(|error| ApiError::internal(&error))?;
        era::age(&mut message);
        Bytes::from(message.to_string())
    } else {
        written(&message).map_err(|error| ApiError::internal(&error))?
    };
    noted.response = Some(bytes.clone());
    let mut response = Response::new(Body::from(bytes));
    *response.headers_mut() = rates::head(&JSON, input.workspace.clock.now(), standing);
    Ok(response)
}

/// How the betas that manage the context begin.
const MANAGES: [&str; 2] = ["compact-", "context-management-"];

/// Refuses what a message may have, and the service does not count (F253).
fn check_counted(input: &TurnInput, lints: &mut Vec<Lint>) -> Result<(), TurnError> {
    if let Err(refused) = engine::validate::counted_tools(&input.request) {
        match input.quirks.count_server_tools {
            CountServerTools::Refused => return Err(refused.into()),
            CountServerTools::Taken => {
                lints.push(Lint::new(&UNCOUNTED_TOOLS, refused.to_string()));
            }
        }
    }
    Ok(engine::validate::counted_files(&input.request)?)
}

/// Counts the tokens of a request that is not carried out.
pub(super) async fn count_tokens(exchange: &mut Exchange) -> Outcome {
    let body = json::read(exchange, limits::MAX_MESSAGES_BODY_BYTES).await?;
    let Exchange {
        app, caller, noted, ..
    } = exchange;
    let mut betas = caller.betas.0.iter();
    let context = betas.any(|beta| MANAGES.iter().any(|begin| beta.starts_with(begin)))
        && body.get("context_management").is_some_and(Value::is_object);
    threads::refuse(&body)?;
    let (caller, report) = (caller.clone(), Arc::default());
    let input = decode(app, caller, body, report, MessagesRequest::decode_count)?;
    check_counted(&input, &mut noted.lints).map_err(refused)?;
    let tokens = engine::count_tokens(&app.engine, &input)
        .await
        .map_err(refused)?;
    let mut answer = json!({ "input_tokens": tokens });
    if context {
        // Nothing is ever cleared.
        answer["context_management"] = json!({ "original_input_tokens": tokens });
    }
    Ok(axum::Json(answer).into_response())
}
