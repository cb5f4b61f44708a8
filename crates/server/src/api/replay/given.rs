//! A recorded answer as it goes out: its headers, its pace, and what faults and the clock do to it.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::StreamExt as _;
use wire::ToolErrorCode;
use wire::event::StreamEvent;
use wire::request::MessagesRequest;
use wire::sse;

use super::made::{self, Ran};
use super::outgoing;
use crate::api::batches::base_url;
use crate::api::caller::Caller;
use crate::api::cut;
use crate::api::error::ApiError;
use crate::api::exchange::{Exchange, Noted, Outcome};
use crate::api::paced::{Paced, Step};
use cassette::{
    Body as Recorded, Deck, End, Miss, Named, Pace, Played, Request, Response, Timing, fail_calls,
    split_frames,
};
use engine::over::Over;
use engine::{self, over};
use model::ServerTool;
use workspace::coverage::ContainerMet;
use workspace::fault::{Act, Occasion, StreamAct, ToolAct};
use workspace::verify::{Facts, Output};

/// Headers of a recording that belong to the connection it was made over, or to nobody.
const NOT_GIVEN: [&str; 10] = [
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "set-cookie",
    "strict-transport-security",
    "trailer",
    "transfer-encoding",
];

/// The turn that a request asks for. A request of another time's shape is none of ours to read.
pub(super) fn turn(asked: &Request) -> Option<MessagesRequest> {
    if !is_turn(asked) {
        return None;
    }
    let body = asked.body.json()?;
    MessagesRequest::decode(&body, true).ok()
}

fn is_turn(asked: &Request) -> bool {
    asked.path.trim_end_matches('/') == "/v1/messages"
}

/// The answer to `asked`, with the turn that it asks for.
pub(super) async fn response(
    exchange: &mut Exchange,
    deck: &Deck,
    (asked, turn): (&Request, Option<&MessagesRequest>),
    mut played: Played,
    facts: &mut Facts,
) -> Outcome {
    let base_url = base_url(exchange.headers());
    let Exchange { caller, noted, .. } = exchange;
    if let Some(miss) = lacking(&played) {
        facts.miss = Some(super::unmatched(&miss));
        return Err(super::refused(&miss));
    }
    let named = played.container.take();
    note_container(caller, named.as_ref(), &played);
    if let Some(named) = named
        && is_over(caller, &named)
    {
        // Whether code in the container waits for what the request brings.
        let waits = turn.is_some_and(engine::code_waits);
        match over::outcome(&caller.quirks, &named.id, waits) {
            Over::Calls => fail_calls(&mut played.response, |_| {
                Some("container_expired".to_owned())
            }),
            Over::Refused(message) => return Err(ApiError::invalid(message)),
            Over::Failed(error) => return Err((*error).into()),
        }
    }
    let body = asked.body.json();
    let model = body.as_ref().and_then(|body| body["model"].as_str());
    let mut act = None;
    if let (true, Some(model)) = (is_turn(asked), model) {
        fail_calls(&mut played.response, |tool| {
            tool_fault(caller, model, tool, facts)
        });
        act = fire(caller, Occasion::Stream { model }, facts);
        note(caller, turn, &played, facts);
    }
    if let (End::UpstreamBroke(why), 0) = (&played.response.end, played.response.status) {
        return Err(super::unreachable(None, why));
    }
    let ran = note_made(caller, asked, &played.response, act.as_ref());
    let asked = (asked, base_url.as_str());
    sent(caller, noted, deck, asked, (&played, act, ran)).await
}

/// Notes what the answer has made; of a stream it is to be seen while it goes out, what a fault cuts off has not been.
fn note_made(
    caller: &Caller,
    asked: &Request,
    response: &Response,
    act: Option<&Act>,
) -> Option<Ran> {
    if !is_turn(asked) {
        made::note(&caller.made, asked, response);
        return None;
    }
    let ran = Ran::of(&caller.made, asked, response);
    if response.is_stream() {
        return Some(ran);
    }
    let blocks = response.blocks();
    if let Some(Act::Stream {
        after_events: Some(events),
        act: StreamAct::Cut | StreamAct::Error(_) | StreamAct::Wait(None),
    }) = act
    {
        ran.sees_until(&blocks, *events);
    } else {
        ran.sees(&blocks);
    }
    None
}

/// Why there is nothing to give, though it was recorded.
fn lacking(played: &Played) -> Option<Miss> {
    let name = &played.name;
    match &played.response.body {
        Recorded::Missing(why) => Some(Miss {
            message: format!("{name} has no body of this answer: {why}"),
            hint: "record it again".to_owned(),
        }),
        Recorded::Form(_) => Some(Miss {
            message: format!("{name} has no body of this answer: it is a form"),
            hint: "record it again".to_owned(),
        }),
        Recorded::Blob(blob) => {
            let error = std::fs::File::open(blob.path()).err()?;
            Some(Miss {
                message: format!(
                    "{name} has its answer in {}: {error}",
                    blob.path().display()
                ),
                hint: "put the file back beside the cassette, or record it again".to_owned(),
            })
        }
        Recorded::Empty | Recorded::Json(_) | Recorded::Text(_) | Recorded::Bytes(_) => None,
    }
}

/// Which way the turn has found its container.
fn note_container(caller: &Caller, named: Option<&Named>, played: &Played) {
    let met = match named {
        Some(named) if is_over(caller, named) => ContainerMet::Expired,
        Some(_) => ContainerMet::Reused,
        None if played.response.container().is_some() => ContainerMet::New,
        None => return,
    };
    caller.workspace.watch.coverage.container(met);
}

fn is_over(caller: &Caller, named: &Named) -> bool {
    let (now, idle) = (caller.workspace.clock.now(), caller.quirks.container_idle.0);
    over::is_over(named.made_at, named.last_used_at, now, idle)
}

async fn sent(
    caller: &Caller,
    noted: &mut Noted,
    deck: &Deck,
    (asked, base_url): (&Request, &str),
    (played, act, ran): (&Played, Option<Act>, Option<Ran>),
) -> Outcome {
    let response = &played.response;
    let bytes = response.body.bytes();
    let bytes =
        bytes.map_err(|error| ApiError::internal(&format!("a recorded body is gone: {error}")))?;
    let bytes = bytes.unwrap_or_default();
    let bytes = if outgoing::tells_of_batches(asked) {
        outgoing::with_results_at(base_url, bytes)
    } else {
        bytes
    };
    let pace = match deck.pace {
        Pace::Scaled(factor) => played.timing.as_ref().map(|timing| (timing, factor)),
        Pace::AtOnce => None,
    };
    if let Some((timing, factor)) = pace
        && !caller.workspace.clock.is_frozen()
    {
        tokio::time::sleep(scaled(timing.head_ms, factor)).await;
    }
    let mut steps = if response.is_stream() {
        frames(&bytes, pace)
    } else {
        vec![Step::Send(bytes.clone())]
    };
    if response.end != End::Complete {
        steps.push(Step::Cut);
    }
    if let Some(Act::Stream { after_events, act }) = act {
        if response.is_stream() {
            disturb(&mut steps, after_events, &act);
        } else if let Some(answer) = disturbed_plain(&bytes, &act).await {
            return answer;
        }
    }
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK);
    let mut answer = if steps.iter().all(|step| matches!(step, Step::Send(_))) && steps.len() <= 1 {
        if let Some(ran) = ran {
            ran.sees_events(&bytes);
        }
        (status, Body::from(bytes.clone())).into_response()
    } else {
        let pieces = Paced::new(caller.workspace.clock.clone(), steps);
        let pieces = pieces.inspect(move |piece| {
            if let (Some(ran), Ok(piece)) = (&ran, piece) {
                ran.sees_events(piece);
            }
        });
        (status, Body::from_stream(pieces)).into_response()
    };
    let volatile = played.timing.iter().flat_map(|timing| &timing.headers);
    *answer.headers_mut() = headers(response.headers.iter().chain(volatile));
    noted.response = Some(bytes);
    Ok(answer)
}

fn headers<'a>(recorded: impl Iterator<Item = &'a (String, String)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in recorded.filter(|(name, _)| !NOT_GIVEN.contains(&name.as_str())) {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

/// A stream event by event; with a pace, each when the piece came that completed it.
fn frames(bytes: &Bytes, pace: Option<(&Timing, f64)>) -> Vec<Step> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![Step::Send(bytes.clone())];
    };
    let mut steps = Vec::new();
    let (mut end, mut waited) = (0, 0);
    for frame in split_frames(text) {
        let start = end;
        end += frame.len();
        if let Some((timing, factor)) = pace {
            let due = due(timing, end);
            if due > waited {
                steps.push(Step::Wait(scaled(due - waited, factor)));
                waited = due;
            }
        }
        steps.push(Step::Send(bytes.slice(start..end)));
    }
    steps
}

/// When the `end`th byte of a body had come, in milliseconds after its head.
fn due(timing: &Timing, end: usize) -> u64 {
    let mut seen = 0;
    let mut last = 0;
    for (at, size) in &timing.chunks {
        seen += size;
        last = *at;
        if seen >= end {
            break;
        }
    }
    last
}

fn scaled(span_ms: u64, factor: f64) -> Duration {
    Duration::from_millis(span_ms).mul_f64(factor)
}

fn fire(caller: &Caller, occasion: Occasion<'_>, facts: &mut Facts) -> Option<Act> {
    let fired = caller.workspace.fire(caller.faults.as_deref(), occasion)?;
    let act = fired.fault.act.clone();
    facts.fired.push(fired);
    Some(act)
}

/// The error that a fault gives to a recorded call. What would happen to a sandbox cannot: there is none.
fn tool_fault(caller: &Caller, model: &str, tool: &str, facts: &mut Facts) -> Option<String> {
    let tool = ServerTool::from_name(tool)?;
    let act = fire(caller, Occasion::Tool { model, tool }, facts)?;
    let code = if let Act::Tool(ToolAct::Code { code, .. }) = act {
        code
    } else {
        ToolErrorCode::Unavailable
    };
    Some(code.name().to_owned())
}

/// Notes the facts about an answer that a verdict on the client needs: files to fetch, a pause to go on from, a
/// container that is over.
fn note(caller: &Caller, turn: Option<&MessagesRequest>, played: &Played, facts: &mut Facts) {
    let blocks = played.response.blocks();
    if let Some(turn) = turn {
        let container = played.response.container();
        let results: Vec<_> = blocks.iter().filter_map(made::code_result).collect();
        let watch = &caller.workspace.watch;
        facts.told = engine::recorded(watch, turn, container.as_deref(), &results);
    }
    for block in &blocks {
        let items = block["content"]["content"].as_array();
        facts
            .outputs
            .extend(items.into_iter().flatten().filter_map(|item| {
                Some(Output {
                    file_id: item["file_id"].as_str()?.into(),
                    filename: String::new(),
                })
            }));
    }
    if played.response.stop_reason().as_deref() == Some("pause_turn") {
        let calls = blocks
            .iter()
            .filter(|block| block["type"] == "server_tool_use");
        let ids = calls.filter_map(|block| block["id"].as_str().map(str::to_owned));
        let before = turn.into_iter().flat_map(engine::calls_so_far);
        facts.paused = Some(before.map(str::to_owned).chain(ids).collect());
    }
}

/// Puts a fault into a stream after so many events.
fn disturb(steps: &mut Vec<Step>, after_events: Option<u32>, act: &StreamAct) {
    let wait = |span: &Option<Duration>| match span {
        Some(span) => Step::Wait(*span),
        None => Step::Hang,
    };
    let Some(after) = after_events else {
        if let StreamAct::Wait(span) = act {
            let calm = std::mem::take(steps);
            for step in calm {
                if matches!(step, Step::Send(_)) {
                    steps.push(wait(span));
                }
                steps.push(step);
            }
        }
        return;
    };
    let after = usize::try_from(after).unwrap_or(usize::MAX);
    let at = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(step, Step::Send(_)))
        .nth(after)
        .map_or(steps.len(), |(at, _)| at);
    match act {
        StreamAct::Wait(span) => steps.insert(at, wait(span)),
        StreamAct::Cut => {
            steps.truncate(at);
            steps.push(Step::Cut);
        }
        StreamAct::Error(error) => {
            steps.truncate(at);
            let mut frame = Vec::new();
            let error = ApiError::from(error.clone()).stream_error();
            sse::write_event(&mut frame, &StreamEvent::Error { error }, 0);
            steps.push(Step::Send(Bytes::from(frame)));
        }
    }
}

/// The effect of a stream's fault on an answer that is no stream.
async fn disturbed_plain(bytes: &Bytes, act: &StreamAct) -> Option<Outcome> {
    match act {
        StreamAct::Error(error) => Some(Err(error.clone().into())),
        StreamAct::Cut => Some(Ok(cut::response(
            bytes.slice(..bytes.len() / 2),
            "application/json",
        ))),
        StreamAct::Wait(Some(span)) => {
            tokio::time::sleep(*span).await;
            None
        }
        StreamAct::Wait(None) => std::future::pending().await,
    }
}
