//! Refusals before anything is done, and answers that are lost after it is.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Expect, GIVE_UP, Group, NOTHING, Places, RECOVER, Row, if_repeatable};
use crate::baseline::Request;

/// Aimed at the request by its method, path, and number; with `more` in it.
fn aimed(at: &str, request: &Request, more: Value) -> Value {
    let mut fault =
        json!({"at": at, "method": request.method, "path": request.pattern, "nth": request.nth});
    if let (Value::Object(fault), Value::Object(more)) = (&mut fault, more) {
        fault.extend(more);
    }
    fault
}

/// A status with which the client need not wait.
fn status(request: &Request, status: u16) -> Value {
    let headers = json!({"retry-after-ms": "1", "retry-after": "0"});
    aimed(
        "http",
        request,
        json!({"status": status, "headers": headers}),
    )
}

/// Nothing of the answer arrives, and all of it was made.
fn after_work(request: &Request, act: &str) -> Value {
    let more = json!({"do": act, "after_bytes": 0, "after_work": true});
    aimed("wire", request, more)
}

const fn refusal(id: &'static str, says: &'static str, fault: fn(&Request, u64) -> Value) -> Row {
    Row {
        id,
        group: Group::Http,
        says,
        fits: |_| true,
        fault,
        places: Places::Once,
        expect: |_, _| RECOVER,
    }
}

const fn lost(id: &'static str, says: &'static str, fault: fn(&Request, u64) -> Value) -> Row {
    Row {
        group: Group::Lost,
        expect: |request, _| if_repeatable(request),
        ..refusal(id, says, fault)
    }
}

pub(super) const ROWS: &[Row] = &[
    refusal("http-408", "status 408", |request, _| status(request, 408)),
    refusal("http-429", "status 429", |request, _| status(request, 429)),
    refusal("http-500", "status 500", |request, _| status(request, 500)),
    refusal("http-502", "status 502", |request, _| status(request, 502)),
    refusal("http-503", "status 503", |request, _| status(request, 503)),
    refusal("http-504", "status 504", |request, _| status(request, 504)),
    refusal("http-529", "status 529", |request, _| status(request, 529)),
    Row {
        expect: |_, _| Expect {
            wait: Some(Duration::from_secs(1)),
            ..RECOVER
        },
        ..refusal(
            "429-retry-after",
            "status 429 with `retry-after: 1`",
            |request, _| {
                aimed(
                    "http",
                    request,
                    json!({"status": 429, "headers": {"retry-after": "1"}}),
                )
            },
        )
    },
    Row {
        // An endless retry has no end anywhere; one request of each kind shows it.
        fits: |request| request.method == "POST" && request.nth == 1,
        expect: |_, _| GIVE_UP,
        ..refusal("529-always", "status 529 for ever", |request, _| {
            let mut fault = status(request, 529);
            fault["times"] = json!("always");
            fault
        })
    },
    Row {
        expect: |_, _| GIVE_UP,
        ..refusal("http-401", "status 401", |request, _| status(request, 401))
    },
    Row {
        expect: |_, _| GIVE_UP,
        ..refusal("http-403", "the edge's 403", |request, _| {
            aimed("http", request, json!({"status": 403, "edge": true}))
        })
    },
    Row {
        fits: |request| request.names_file || request.pattern.contains('*'),
        expect: |_, _| GIVE_UP,
        ..refusal("http-404", "status 404", |request, _| status(request, 404))
    },
    Row {
        fits: |request| request.method == "POST",
        expect: |_, _| GIVE_UP,
        ..refusal("http-413", "the edge's 413", |request, _| {
            aimed("http", request, json!({"status": 413, "edge": true}))
        })
    },
    Row {
        expect: |_, _| NOTHING,
        ..refusal("late", "an answer that is 20 s late", |request, _| {
            aimed("http", request, json!({"do": "stall", "for_ms": 20_000}))
        })
    },
    // The client cannot tell these from an answer that is lost after the work.
    Row {
        expect: |request, _| if_repeatable(request),
        ..refusal(
            "cut-early",
            "a closed connection instead of an answer",
            |request, _| aimed("http", request, json!({"do": "cut"})),
        )
    },
    Row {
        expect: |request, _| if_repeatable(request),
        ..refusal("silence", "no answer, for ever", |request, _| {
            aimed("http", request, json!({"do": "stall"}))
        })
    },
    lost(
        "lost-reset",
        "a reset connection after the work is done",
        |request, _| after_work(request, "reset"),
    ),
    lost(
        "lost-hang",
        "silence after the work is done",
        |request, _| after_work(request, "hang"),
    ),
    Row {
        group: Group::Wire,
        expect: |_, _| NOTHING,
        ..refusal("split", "an answer in pieces of 7 bytes", |request, _| {
            aimed("wire", request, json!({"do": "split", "bytes": 7}))
        })
    },
    Row {
        group: Group::Wire,
        expect: |_, _| NOTHING,
        ..refusal("slow", "an answer at 20 kB a second", |request, _| {
            aimed(
                "wire",
                request,
                json!({"do": "slow", "bytes_per_second": 20_000}),
            )
        })
    },
    Row {
        fits: |request| request.is_turn() && request.events == 0,
        expect: |request, _| if_repeatable(request),
        ..lost(
            "cut-body",
            "a body that breaks off",
            |request, _| json!({"at": "stream", "nth": request.turn, "do": "cut"}),
        )
    },
];
