//! The checks of answers, one fact each.

pub(super) mod answers;
pub(super) mod batches;
pub(super) mod code;
pub(super) mod errors;
pub(super) mod files;
pub(super) mod skills;
pub(super) mod streams;
pub(super) mod threads;

use serde_json::Value;

use super::{Scene, Seen};

/// Holds if both are the same.
fn same(expected: &str, got: &str) -> Seen {
    if expected == got {
        return Seen::Holds;
    }
    differs(expected, got)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "whatever has a text is taken, borrowed or not"
)]
fn differs(expected: impl ToString, got: impl ToString) -> Seen {
    Seen::Differs {
        expected: expected.to_string(),
        got: got.to_string(),
    }
}

fn holds_if(holds: bool, expected: &str, got: impl ToString) -> Seen {
    if holds {
        Seen::Holds
    } else {
        differs(expected, got)
    }
}

/// The names of an object's members, in their order.
fn names(value: &Value) -> Vec<&str> {
    let members = value.as_object();
    members
        .map(|members| members.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// Holds if the members are these, in this order; those with a `?` may be missing.
fn members(value: &Value, wanted: &[&str]) -> Seen {
    let got = names(value);
    let mut rest = got.iter().peekable();
    for name in wanted {
        let plain = name.trim_end_matches('?');
        if rest.peek().is_some_and(|next| **next == plain) {
            rest.next();
        } else if plain == *name {
            return differs(wanted.join(", "), got.join(", "));
        }
    }
    holds_if(rest.next().is_none(), &wanted.join(", "), got.join(", "))
}

/// The newest answer if its status is this one; else what is to be said.
fn with_status<'a>(scene: &'a Scene<'_>, status: u16) -> Result<&'a super::Heard, Seen> {
    let heard = scene.last();
    if heard.status == status {
        return Ok(heard);
    }
    let said = heard.json();
    let message = said["error"]["message"].as_str().unwrap_or_default();
    Err(differs(
        format!("status {status}"),
        format!("status {}: {message}", heard.status),
    ))
}

/// The newest answer if it is good. One that is not lies at who asks (no credit, no such model), and shows nothing.
fn good<'a>(scene: &'a Scene<'_>) -> Result<&'a super::Heard, Seen> {
    let heard = scene.last();
    if heard.status == 200 {
        return Ok(heard);
    }
    let said = heard.json();
    let message = said["error"]["message"].as_str().unwrap_or_default();
    Err(Seen::Open(format!(
        "the answer is {}: {message}",
        heard.status
    )))
}

/// A check of the newest answer, which has to be good.
macro_rules! of_good {
    ($scene:ident) => {
        match $crate::conform::checks::good($scene) {
            Ok(heard) => heard,
            Err(seen) => return seen,
        }
    };
}

/// The same of one with this status.
macro_rules! of_status {
    ($scene:ident, $status:expr) => {
        match $crate::conform::checks::with_status($scene, $status) {
            Ok(heard) => heard,
            Err(seen) => return seen,
        }
    };
}

use of_good;
use of_status;
