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
    Body as Recorded, Deck, End, Miss, Named, Pace, Played, Request, Response, Timing,
    data_of_frame, fail_calls, split_frames,
};
use engine::over::Over;
use engine::{self, over};
use model::ServerTool;
use workspace::coverage::ContainerMet;
use workspace::fault::{Act, Occasion, StreamAct, ToolAct};
use workspace::journal::UNSENT;
use workspace::verify::{Facts, Output};

/// Headers of a recording that belong to the connection it was made over, or to nobody.
const NOT_GIVEN: [&str; 8] = [
    "alt-svc",
    "connection",
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

/// The answer to `asked`, which has its whole conversation, with the turn that it asks for.
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
        return Err(super::unreachable(why));
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
        if bytes.is_empty() && UNSENT.contains(&response.status) {
            // Not even its head was sent.
            return Ok(cut::response(bytes, "application/json"));
        }
        steps.push(Step::Cut);
    }
    if let Some(Act::Stream { after_events, act }) = act {
        let instead = if response.is_stream() {
            disturb(&mut steps, after_events, &act)
        } else {
            disturbed_plain(caller, &bytes, after_events, &act).await
        };
        if let Some(answer) = instead {
            return answer;
        }
    }
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK);
    // What breaks off is noted as it passes by, and so is what may be left.
    let comes_whole = matches!(&steps[..], [] | [Step::Send(_)]);
    noted.passes = !comes_whole && asked.method != "HEAD";
    noted.response = comes_whole.then(|| bytes.clone());
    let mut answer = if let [] | [Step::Send(_)] = &steps[..] {
        let whole = steps.into_iter().find_map(|step| match step {
            Step::Send(bytes) => Some(bytes),
            Step::Flush | Step::Wait(_) | Step::Hang | Step::Cut => None,
        });
        let whole = whole.unwrap_or_default();
        if let Some(ran) = ran {
            ran.sees_events(&whole);
        }
        (status, Body::from(whole)).into_response()
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
    let kept = response.headers.iter().chain(volatile);
    // Text is not compressed, whatever its header says. A length is known, but that of an answer to HEAD.
    let is_packed = matches!(response.body, Recorded::Bytes(_) | Recorded::Blob(_));
    let is_head = asked.method == "HEAD";
    *answer.headers_mut() = headers(kept.filter(|(name, _)| match &**name {
        "content-encoding" => is_packed,
        "content-length" => is_head,
        _ => true,
    }));
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
    // What a file says may be more than a span can hold.
    let seconds = Duration::from_millis(span_ms).as_secs_f64() * factor;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
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
    let occasion = Occasion::Tool {
        model,
        tool,
        goes_on: false,
    };
    let act = fire(caller, occasion, facts)?;
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
        let calls = blocks.iter().filter(|block| is_call_of_model(block));
        let ids = calls.filter_map(|block| block["id"].as_str().map(str::to_owned));
        let before = turn.into_iter().flat_map(engine::calls_so_far);
        facts.paused = Some(before.map(str::to_owned).chain(ids).collect());
    }
}

/// As [`engine::calls_so_far`] has it.
fn is_call_of_model(block: &serde_json::Value) -> bool {
    let kind = block["type"].as_str();
    matches!(kind, Some("tool_use" | "server_tool_use" | "mcp_tool_use"))
        && block["caller"]["tool_id"].is_null()
}

/// Puts a fault into a stream after so many events; what comes before all of them is an answer of its own.
fn disturb(steps: &mut Vec<Step>, after_events: Option<u32>, act: &StreamAct) -> Option<Outcome> {
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
        return None;
    };
    let at = place(steps, usize::try_from(after).unwrap_or(usize::MAX));
    let is_first = steps[..at]
        .iter()
        .all(|step| !matches!(step, Step::Send(_)));
    match act {
        StreamAct::Wait(span) => steps.insert(at, wait(span)),
        StreamAct::Cut if is_first => {
            return Some(Ok(cut::response(Bytes::new(), "text/event-stream")));
        }
        StreamAct::Error(error) if is_first => return Some(Err(error.clone().into())),
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
    None
}

/// Where so many events are out, or all before `message_delta`: of a stream that breaks off, all that there are.
fn place(steps: &[Step], after: usize) -> usize {
    let is_last = |event: &Bytes| {
        let text = String::from_utf8_lossy(event);
        data_of_frame(&text).is_some_and(|data| data["type"] == "message_delta")
    };
    let mut events = 0;
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Send(event) if events == after || is_last(event) => return at,
            Step::Send(_) => events += 1,
            Step::Cut => return at,
            Step::Flush | Step::Wait(_) | Step::Hang => {}
        }
    }
    steps.len()
}

/// The effect of a stream's fault on an answer that is no stream.
async fn disturbed_plain(
    caller: &Caller,
    bytes: &Bytes,
    after_events: Option<u32>,
    act: &StreamAct,
) -> Option<Outcome> {
    match act {
        StreamAct::Error(error) => Some(Err(error.clone().into())),
        StreamAct::Cut => Some(Ok(cut::response(
            bytes.slice(..bytes.len() / 2),
            "application/json",
        ))),
        StreamAct::Wait(Some(span)) => {
            let pauses = match after_events {
                Some(_) => 1,
                None => engine::events_of(&serde_json::from_slice(bytes).unwrap_or_default()),
            };
            if !caller.workspace.clock.is_frozen() {
                tokio::time::sleep(span.saturating_mul(pauses)).await;
            }
            None
        }
        StreamAct::Wait(None) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = [
        "message_start",
        "ping",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];

    fn event(name: &str) -> Bytes {
        format!("event: {name}\ndata: {{\"type\":\"{name}\"}}\n\n").into()
    }

    fn steps() -> Vec<Step> {
        NAMES.iter().map(|name| Step::Send(event(name))).collect()
    }

    fn error() -> StreamAct {
        let faults = workspace::fault::parse(&serde_json::json!({"at": "stream", "status": 529}));
        match faults.unwrap().remove(0).act {
            Act::Stream { act, .. } => act,
            Act::Http(_) | Act::Tool(_) | Act::Turn(_) | Act::Wire(_) => unreachable!(),
        }
    }

    #[test]
    fn a_fault_before_the_first_event_is_an_answer_of_its_own() {
        let answer = disturb(&mut steps(), Some(0), &error()).unwrap();
        assert_eq!(answer.unwrap_err().status().as_u16(), 529);
        assert!(disturb(&mut steps(), Some(0), &StreamAct::Cut).is_some());
        // Its pace comes before its events.
        let mut paced = steps();
        paced.insert(0, Step::Wait(Duration::ZERO));
        assert!(disturb(&mut paced, Some(0), &error()).is_some());
    }

    #[test]
    fn a_fault_beyond_an_answer_comes_before_its_message_delta() {
        for (after, sent) in [(1, 1), (3, 3), (4, 3), (300, 3)] {
            let mut cut = steps();
            assert!(disturb(&mut cut, Some(after), &StreamAct::Cut).is_none());
            assert_eq!(cut.len(), sent + 1, "{after}");
            assert!(matches!(cut[sent], Step::Cut), "{after}");
        }
        let mut broken = steps();
        broken.truncate(2);
        broken.push(Step::Cut);
        assert!(disturb(&mut broken, Some(300), &error()).is_none());
        assert!(matches!(&broken[..], [_, _, Step::Send(_)]));
    }
}
