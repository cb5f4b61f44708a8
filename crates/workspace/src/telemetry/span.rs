//! The spans of a request, named as the semantic conventions for generative AI name them.

use std::time::{Duration, Instant};

use super::{CallDone, CallOutcome, Done, TurnDone};
use crate::journal::{Ended, UNSENT};
use common::clock::Clock;
use common::ids::Ids;

/// The error of a connection that was closed before the answer was complete.
const BROKE: &str = "broke";

/// A span that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) trace_id: [u8; 16],
    pub(super) own_id: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) begun_nanos: u64,
    pub(super) ended_nanos: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// The error: an HTTP status, the type of an error in a stream, the code of a tool's error, or [`BROKE`].
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Internal,
    Server,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    Number(u64),
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Where a trace is that a client has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parent {
    trace_id: [u8; 16],
    own_id: [u8; 8],
}

/// The `traceparent` of W3C: `00-` 32 digits `-` 16 digits `-` 2 digits.
fn parent(header: &str) -> Option<Parent> {
    let mut parts = header.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let known = version.len() == 2 && version != "ff";
    let parent = Parent {
        trace_id: from_hex(trace)?,
        own_id: from_hex(span)?,
    };
    (known && parent.trace_id != [0; 16] && parent.own_id != [0; 8]).then_some(parent)
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// The real time, for an instant of this process.
struct Times {
    now: Instant,
    now_nanos: u64,
}

impl Times {
    fn now() -> Self {
        let real = Clock::default().now().timestamp_nanos_opt().unwrap_or(0);
        Self {
            now: Instant::now(),
            now_nanos: u64::try_from(real).unwrap_or(0),
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let ago = self.now.saturating_duration_since(at);
        self.now_nanos.saturating_sub(nanos(ago))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A request's span, or an item's, its turn's below it, and below that those of its calls.
pub(super) fn of(done: &Done<'_>) -> Vec<Span> {
    let (times, ids) = (Times::now(), Ids::random());
    let asked = done.traceparent.and_then(parent);
    let new_id = || ids.next_u64().max(1).to_be_bytes();
    let trace_id = asked.map_or_else(
        || {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&new_id());
            id[8..].copy_from_slice(&new_id());
            id
        },
        |asked| asked.trace_id,
    );
    let begun_nanos = times.nanos(done.started);
    let status = u64::from(done.status);
    let mut attributes = match done.item {
        None => vec![
            ("http.request.method", text(done.method)),
            ("url.path", text(done.path)),
        ],
        Some(item) => vec![
            ("sandtable.batch_id", text(&item.id)),
            ("sandtable.custom_id", text(&item.custom_id)),
            ("sandtable.status", Value::Number(status)),
        ],
    };
    if done.item.is_none() && (done.ended == Ended::Whole || !UNSENT.contains(&done.status)) {
        attributes.push(("http.response.status_code", Value::Number(status)));
    }
    attributes.push(("sandtable.request_id", text(done.request_id)));
    let workspace = done.workspace.map(text);
    attributes.extend(workspace.map(|id| ("sandtable.workspace", id)));
    match done.ended {
        Ended::Whole => {}
        Ended::ClientLeft => attributes.push(("sandtable.client_left", Value::Flag(true))),
        Ended::Broke => attributes.push(("sandtable.broke", Value::Flag(true))),
    }
    let broke = (done.ended == Ended::Broke).then(|| BROKE.to_owned());
    let error = broke.or_else(|| (done.status >= 500).then(|| done.status.to_string()));
    if let Some(error) = &error {
        attributes.push(("error.type", text(error)));
    }
    let request = Span {
        trace_id,
        own_id: new_id(),
        parent: asked.map(|asked| asked.own_id),
        name: match done.item {
            None => format!("{} {}", super::method(done.method), super::route(done.path)),
            Some(_) => "batch item".to_owned(),
        },
        kind: match done.item {
            None => Kind::Server,
            Some(_) => Kind::Internal,
        },
        begun_nanos,
        ended_nanos: begun_nanos + nanos(done.duration),
        attributes,
        error,
    };
    let mut spans = vec![request];
    if let Some(turn) = done.turn
        && let Some(model) = &turn.model
    {
        let turn_span = turn_of(done, turn, model, &spans[0], new_id());
        let calls = turn.calls.iter();
        let calls = calls.map(|call| call_of(call, &turn_span, &times, new_id()));
        let calls: Vec<Span> = calls.collect();
        spans.push(turn_span);
        spans.extend(calls);
    }
    spans
}

fn turn_of(done: &Done<'_>, turn: &TurnDone, model: &str, request: &Span, own_id: [u8; 8]) -> Span {
    let mut attributes = vec![
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.provider.name", text("anthropic")),
        ("gen_ai.request.model", text(model)),
        ("gen_ai.response.model", text(model)),
    ];
    if let Some((input, output)) = turn.tokens {
        attributes.push(("gen_ai.usage.input_tokens", Value::Number(input)));
        attributes.push(("gen_ai.usage.output_tokens", Value::Number(output)));
    }
    if let Some(source) = done.source {
        attributes.push(("sandtable.source", text(source)));
    }
    let of_stream = done
        .error
        .map(str::to_owned)
        .or_else(|| request.error.clone());
    let failed = of_stream.or_else(|| (done.status >= 400).then(|| done.status.to_string()));
    if let Some(error) = &failed {
        attributes.push(("error.type", text(error)));
    }
    Span {
        own_id,
        parent: Some(request.own_id),
        name: format!("chat {model}"),
        kind: Kind::Internal,
        attributes,
        error: failed,
        ..request.clone()
    }
}

fn call_of(call: &CallDone, turn: &Span, times: &Times, own_id: [u8; 8]) -> Span {
    let mut attributes = vec![
        ("gen_ai.operation.name", text("execute_tool")),
        ("gen_ai.tool.name", text(call.tool)),
        ("gen_ai.tool.call.id", text(&call.id)),
        ("gen_ai.tool.type", text("extension")),
    ];
    let error = match &call.outcome {
        CallOutcome::Failed(code) => Some(code.clone()),
        CallOutcome::Done | CallOutcome::Waits => None,
    };
    if let Some(code) = &error {
        attributes.push(("error.type", text(code)));
    }
    let begun_nanos = times.nanos(call.begun);
    Span {
        own_id,
        parent: Some(turn.own_id),
        name: format!("execute_tool {}", call.tool),
        begun_nanos,
        ended_nanos: begun_nanos + nanos(call.took),
        attributes,
        error,
        ..turn.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_of_the_client_s_goes_on_and_nonsense_begins_a_new_one() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let found = parent(header).unwrap();
        assert_eq!(found.trace_id[0], 0x0a);
        assert_eq!(found.own_id[7], 0x31);
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-éaf7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(parent(wrong), None, "{wrong}");
        }
    }
}
