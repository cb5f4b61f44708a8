//! Streams: broken, or on their way otherwise.

use serde_json::{Value, json};

use super::{Expect, GIVE_UP, Group, NOTHING, Places, RECOVER, Row, if_repeatable};
use crate::baseline::Request;

fn in_turn(request: &Request, more: Value) -> Value {
    with(json!({"at": "stream", "nth": request.turn}), more)
}

fn on_the_wire(request: &Request, more: Value) -> Value {
    with(
        json!({"at": "wire", "method": request.method, "path": request.pattern, "nth": request.nth_stream}),
        more,
    )
}

fn with(mut fault: Value, more: Value) -> Value {
    if let (Value::Object(fault), Value::Object(more)) = (&mut fault, more) {
        fault.extend(more);
    }
    fault
}

/// The service says that it failed: before the first call nothing has run, and asking again is safe.
fn told(request: &Request, at: u64) -> Expect {
    match request.first_call {
        Some(call) if at > call => GIVE_UP,
        _ => RECOVER,
    }
}

const fn broken(id: &'static str, says: &'static str, fault: fn(&Request, u64) -> Value) -> Row {
    Row {
        id,
        group: Group::Stream,
        says,
        fits: |request| request.events > 0,
        fault,
        places: Places::Events,
        expect: |request, _| if_repeatable(request),
    }
}

const fn harmless(id: &'static str, says: &'static str, fault: fn(&Request, u64) -> Value) -> Row {
    Row {
        group: Group::Wire,
        places: Places::Middle,
        expect: |_, _| NOTHING,
        ..broken(id, says, fault)
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        expect: told,
        ..broken("overloaded", "an `overloaded_error`", |request, at| {
            in_turn(
                request,
                json!({"after_events": at, "type": "overloaded_error"}),
            )
        })
    },
    broken("cut", "the end of the connection", |request, at| {
        in_turn(request, json!({"after_events": at, "do": "cut"}))
    }),
    broken("reset", "a reset connection", |request, at| {
        on_the_wire(request, json!({"after_events": at, "do": "reset"}))
    }),
    broken("malformed", "an event that is no JSON", |request, at| {
        on_the_wire(request, json!({"after_events": at, "do": "malformed"}))
    }),
    Row {
        places: Places::Middle,
        ..broken("hang", "silence in mid-stream, for ever", |request, at| {
            on_the_wire(request, json!({"after_events": at, "do": "hang"}))
        })
    },
    Row {
        group: Group::Wire,
        expect: |_, _| NOTHING,
        ..broken("stall", "silence for 30 s", |request, at| {
            in_turn(
                request,
                json!({"after_events": at, "do": "stall", "for_ms": 30_000}),
            )
        })
    },
    Row {
        places: Places::Events,
        ..harmless(
            "unknown_event",
            "an event that no client knows",
            |request, at| on_the_wire(request, json!({"after_events": at, "do": "unknown_event"})),
        )
    },
    harmless("pings", "three pings in a row", |request, at| {
        on_the_wire(
            request,
            json!({"after_events": at, "do": "pings", "count": 3}),
        )
    }),
    Row {
        places: Places::Once,
        ..harmless("merge", "all events in one piece", |request, _| {
            on_the_wire(request, json!({"do": "merge"}))
        })
    },
];
