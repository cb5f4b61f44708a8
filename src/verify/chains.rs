//! What clients do about faults: a request that a fault met, and the requests that repeat it.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Seen;
use crate::fault::Struck;
use crate::journal::{Body, Entry};
use crate::limits;

/// The header in which the official SDKs count their retries.
const RETRY_COUNT: &str = "x-stainless-retry-count";

/// All of a workspace, oldest first.
#[derive(Debug, Default)]
pub(super) struct Chains {
    all: Vec<Chain>,
    dropped: u64,
}

/// A request and its repetitions.
#[derive(Debug)]
struct Chain {
    method: String,
    path: String,
    query: Option<String>,
    body: Likeness,
    attempts: Vec<Attempt>,
    attempts_dropped: u64,
    /// The last attempt failed by a fault, or its client left.
    open: bool,
    last_left: bool,
    last_status: Option<u16>,
    ended: Instant,
    ended_at: DateTime<Utc>,
}

/// What is known of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Digest([u8; 32]),
    /// Of a body that is not kept: an upload is sent with another boundary each time, of the same length.
    Length(u64),
}

#[derive(Debug)]
struct Attempt {
    request_id: String,
    /// `None`: the connection was closed instead of an answer.
    status: Option<u16>,
    left: bool,
    faults: Vec<Value>,
    after: Option<(Duration, TimeDelta)>,
    by_sdk: bool,
}

impl Chains {
    pub(super) fn note(&mut self, seen: Seen<'_>, struck: &[Struck]) {
        let known = self.find(seen);
        if struck.is_empty() && known.is_none() {
            return;
        }
        let Seen {
            entry,
            started,
            clock,
            left,
        } = seen;
        let ended_at = clock.now();
        let cut = struck.iter().any(Struck::cuts);
        let mut attempt = Attempt {
            request_id: entry.id.clone(),
            status: (!cut && !left).then_some(entry.status),
            left,
            faults: struck.iter().map(Struck::describe).collect(),
            after: None,
            by_sdk: is_sdk_retry(entry),
        };
        let at = if let Some(at) = known {
            let chain = &self.all[at];
            let real = started.saturating_duration_since(chain.ended);
            attempt.after = Some((real, (entry.at - chain.ended_at).max(TimeDelta::zero())));
            at
        } else {
            if self.all.len() >= limits::VERIFY_CHAINS {
                self.dropped += 1;
                return;
            }
            self.all.push(Chain::of(entry, started, ended_at));
            self.all.len() - 1
        };
        let chain = &mut self.all[at];
        chain.open = left || struck.iter().any(Struck::fails);
        chain.last_left = left;
        chain.last_status = attempt.status;
        chain.ended = started + entry.duration;
        chain.ended_at = ended_at;
        if chain.attempts.len() < limits::VERIFY_ATTEMPTS {
            chain.attempts.push(attempt);
        } else {
            chain.attempts_dropped += 1;
        }
    }

    /// The oldest request that failed and that this one repeats.
    fn find(&self, seen: Seen<'_>) -> Option<usize> {
        let entry = seen.entry;
        self.all.iter().position(|chain| {
            chain.open
                && chain.method == entry.method
                && chain.path == entry.path
                && chain.query == entry.query
                // Equal requests may run beside each other. That one has left may be seen late.
                && (chain.last_left || chain.ended <= seen.started || is_sdk_retry(entry))
                && chain.body.fits(entry)
        })
    }

    pub(super) fn open(&self) -> usize {
        self.all.iter().filter(|chain| chain.open).count()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn list(&self, workspace: &str) -> Vec<Value> {
        self.all
            .iter()
            .map(|chain| chain.describe(workspace))
            .collect()
    }
}

impl Chain {
    fn of(entry: &Entry, ended: Instant, ended_at: DateTime<Utc>) -> Self {
        Self {
            method: entry.method.clone(),
            path: entry.path.clone(),
            query: entry.query.clone(),
            body: Likeness::of(entry),
            attempts: Vec::new(),
            attempts_dropped: 0,
            open: false,
            last_left: false,
            last_status: None,
            ended,
            ended_at,
        }
    }

    /// How it came out.
    fn outcome(&self) -> &'static str {
        match (self.open, self.last_status) {
            (true, _) => "gave_up",
            (false, Some(400..) | None) => "failed",
            _ if self.attempts.len() > 1 => "recovered",
            _ => "answered",
        }
    }

    fn describe(&self, workspace: &str) -> Value {
        let mut faults: Vec<Value> = Vec::new();
        for fault in self.attempts.iter().flat_map(|attempt| &attempt.faults) {
            if !faults.contains(fault) {
                faults.push(fault.clone());
            }
        }
        let attempts: Vec<Value> = self.attempts.iter().map(Attempt::describe).collect();
        let mut value = json!({
            "workspace": workspace,
            "request": format!("{} {}", self.method, self.path),
            "faults": faults,
            "attempts": attempts,
            "retries": self.attempts.len() as u64 - 1 + self.attempts_dropped,
            "last_status": self.last_status,
            "outcome": self.outcome(),
        });
        if self.attempts_dropped > 0 {
            value["attempts_dropped"] = self.attempts_dropped.into();
        }
        value
    }
}

impl Attempt {
    fn describe(&self) -> Value {
        let faults: Vec<&Value> = self.faults.iter().map(|fault| &fault["id"]).collect();
        let mut value = json!({
            "request_id": self.request_id,
            "status": self.status,
            "faults": faults,
        });
        if self.left {
            value["client_left"] = true.into();
        }
        if let Some((real, on_the_clock)) = self.after {
            let micros = u32::try_from(real.as_micros()).unwrap_or(u32::MAX);
            value["after_ms"] = (f64::from(micros) / 1000.0).into();
            value["after_virtual_ms"] = on_the_clock.num_milliseconds().into();
            value["by"] = if self.by_sdk { "sdk" } else { "client" }.into();
        }
        value
    }
}

impl Likeness {
    fn of(entry: &Entry) -> Self {
        match &entry.request_body {
            Body::Bytes(bytes) => Self::Digest(Sha256::digest(bytes).into()),
            Body::Empty | Body::Omitted { .. } => Self::Length(length(entry)),
        }
    }

    fn fits(self, entry: &Entry) -> bool {
        match self {
            Self::Digest(_) => self == Self::of(entry),
            Self::Length(bytes) => bytes == length(entry),
        }
    }
}

/// What the request's head says of its body.
fn length(entry: &Entry) -> u64 {
    let said = entry.request_headers.get("content-length");
    said.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn is_sdk_retry(entry: &Entry) -> bool {
    let count = entry.request_headers.get(RETRY_COUNT);
    count.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0))
}
