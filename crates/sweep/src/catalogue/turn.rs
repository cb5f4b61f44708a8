//! Other answers of the model and the service: pauses, endings, and things that are gone.

use serde_json::{Value, json};

use super::{Expect, GIVE_UP, Group, Less, Places, RECOVER, Row};
use crate::baseline::Request;

/// Of turns that fit, this is the `nth`.
fn in_turn(nth: u64, more: Value) -> Value {
    with(json!({"at": "turn", "nth": nth}), more)
}

fn stop(request: &Request, reason: &str) -> Value {
    let more = json!({"do": "stop", "stop_reason": reason, "after_blocks": 1});
    in_turn(request.nth_stopped, more)
}

fn before(request: &Request, nth: u64, more: Value) -> Value {
    with(
        json!({"at": "http", "method": request.method, "path": request.pattern, "nth": nth}),
        more,
    )
}

fn with(mut fault: Value, more: Value) -> Value {
    if let (Value::Object(fault), Value::Object(more)) = (&mut fault, more) {
        fault.extend(more);
    }
    fault
}

/// The turn goes on if it is asked to.
const PAUSED: Expect = RECOVER;

/// The rest of the answer does not come.
const ENDED: Expect = Expect {
    less: Less::ForGood,
    ..GIVE_UP
};

/// All of it can be made again; the first that names it cannot know.
const GONE: Expect = Expect {
    forgives: &["expired_container_reused"],
    ..GIVE_UP
};

const fn row(id: &'static str, says: &'static str, fault: fn(&Request, u64) -> Value) -> Row {
    Row {
        id,
        group: Group::Turn,
        says,
        fits: |request| request.stop == "end_turn" || request.stop == "tool_use",
        fault,
        places: Places::Once,
        expect: |_, _| ENDED,
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        fits: |request| request.stop == "end_turn",
        places: Places::Blocks,
        expect: |_, _| PAUSED,
        ..row(
            "pause_turn",
            "`pause_turn` between two blocks",
            |request, at| {
                in_turn(
                    request.nth_ended,
                    json!({"do": "pause_turn", "after_blocks": at}),
                )
            },
        )
    },
    Row {
        fits: |request| request.stop == "end_turn" && !request.calls.is_empty(),
        expect: |_, _| PAUSED,
        ..row(
            "pause_inside",
            "`pause_turn` in the middle of a call",
            |request, _| {
                in_turn(
                    request.nth_ended,
                    json!({"do": "pause_turn", "inside": true}),
                )
            },
        )
    },
    row("refusal", "`refusal`", |request, _| {
        stop(request, "refusal")
    }),
    row("max_tokens", "`max_tokens`", |request, _| {
        stop(request, "max_tokens")
    }),
    row(
        "context_window",
        "`model_context_window_exceeded`",
        |request, _| stop(request, "model_context_window_exceeded"),
    ),
    Row {
        fits: |request| request.names_container,
        expect: |_, _| GONE,
        ..row(
            "expired_container",
            "a container that has expired",
            |request, _| in_turn(request.nth_container, json!({"do": "expire_container"})),
        )
    },
    Row {
        fits: |request| request.names_container || request.names_file,
        expect: |_, _| GONE,
        ..row("month_later", "a clock that is 31 days on", |request, _| {
            before(request, request.nth, json!({"do": "advance", "by": "31d"}))
        })
    },
    Row {
        fits: |request| request.names_file,
        expect: |_, _| Expect {
            less: Less::ForGood,
            ..GONE
        },
        ..row("missing_file", "a file that is gone", |request, _| {
            before(request, request.nth_file, json!({"do": "delete_file"}))
        })
    },
];
