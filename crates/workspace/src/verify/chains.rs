//! Retries after lost answers: a request that a fault met, or whose client left before its answer, the requests
//! that repeat it, and what each of them has made.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use control_api::{Duplicated, FaultGiven, FaultedRequest, Outcome, RetriedBy};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::threads::{self, Said, Threads};
use super::{Made, Seen};
use crate::fault::Fired;
use crate::journal::{Body, Ended, Entry};
use common::limits;

/// The header in which the official SDKs count their retries.
const RETRY_COUNT: &str = "x-stainless-retry-count";

/// The header that tells a server that two requests are one. No SDK sends it by itself, and the service documents
/// none.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// All of a workspace, oldest first.
#[derive(Debug, Default)]
pub(super) struct Chains {
    all: Vec<Chain>,
    threads: Threads,
    dropped: u64,
}

/// A request and its repetitions.
#[derive(Debug)]
struct Chain {
    method: String,
    path: String,
    query: Option<String>,
    body: Likeness,
    /// Of a request that names a thread.
    said: Option<Said>,
    idempotency_key: Option<String>,
    /// Of what the attempts made, what the client has taken back since.
    removed: Vec<String>,
    attempts: Vec<Attempt>,
    attempts_dropped: u64,
    /// The last attempt failed by a fault, or its client left.
    open: bool,
    /// The last attempt was refused for its thread: another may do without.
    refused: bool,
    last_left: bool,
    last_status: Option<u16>,
    ended: Instant,
    ended_at: DateTime<Utc>,
}

/// The hash and length of a request's body. Of one that was not read, such as of a large upload that a fault
/// refused, it is the length alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Likeness {
    sha256: Option<[u8; 32]>,
    bytes: u64,
}

#[derive(Debug)]
struct Attempt {
    request_id: String,
    /// `None`: the connection was closed instead of an answer.
    status: Option<u16>,
    left: bool,
    faults: Vec<FaultGiven>,
    after: Option<(Duration, TimeDelta)>,
    by_sdk: bool,
    /// Read late: a handler whose client has left may still be at it.
    made: Made,
}

/// That a request is another's, sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeats {
    /// The status of the answer to that one; `None` for no answer.
    pub(super) last_status: Option<u16>,
}

impl Chains {
    /// Takes note of a request, and says whether it repeats another.
    pub(super) fn note(&mut self, seen: Seen<'_>, fired: &[Fired]) -> Option<Repeats> {
        let is_thread = threads::is_in_one(seen.entry);
        // Any request may be one of a thread that comes again without it.
        let said = (is_thread || self.all.iter().any(|it| it.goes_on() && it.said.is_some()))
            .then(|| self.threads.said(seen.entry))
            .flatten();
        let known = self.find(seen, said);
        let said = said.filter(|_| is_thread);
        if let Some(said) = said
            && seen.is_heard(fired)
        {
            self.threads.answered(seen.entry, said);
        }
        if fired.is_empty() && known.is_none() && !seen.is_lost_creation() {
            return None;
        }
        let lost = known.map(|at| Repeats {
            last_status: self.all[at].last_status,
        });
        let Seen {
            entry,
            started,
            clock,
            made,
        } = seen;
        let left = seen.left();
        let ended_at = clock.now();
        let is_whole = entry.ended == Ended::Whole;
        let mut attempt = Attempt {
            request_id: entry.id.clone(),
            status: is_whole.then_some(entry.status),
            left,
            faults: fired.iter().map(Fired::describe).collect(),
            after: None,
            by_sdk: is_sdk_retry(entry),
            made: made.clone(),
        };
        let at = if let Some(at) = known {
            let chain = &self.all[at];
            let real = started.saturating_duration_since(chain.ended);
            attempt.after = Some((real, (entry.at - chain.ended_at).max(TimeDelta::zero())));
            if chain.body.sha256.is_none() {
                self.all[at].body = Likeness::of(seen);
            }
            at
        } else {
            if self.all.len() >= limits::VERIFY_CHAINS {
                self.dropped += 1;
                return lost;
            }
            self.all.push(Chain::of(seen, said, ended_at));
            self.all.len() - 1
        };
        let chain = &mut self.all[at];
        chain.open = !is_whole || fired.iter().any(Fired::fails);
        chain.refused = is_thread && threads::is_refused(entry);
        chain.last_left = left;
        chain.last_status = attempt.status;
        chain.ended = started + entry.duration;
        chain.ended_at = ended_at;
        if chain.attempts.len() < limits::VERIFY_ATTEMPTS {
            chain.attempts.push(attempt);
        } else {
            chain.attempts_dropped += 1;
        }
        lost
    }

    /// The oldest request that failed and that this one repeats; in which all this is `said`.
    fn find(&self, seen: Seen<'_>, said: Option<Said>) -> Option<usize> {
        let entry = seen.entry;
        self.all.iter().position(|chain| {
            chain.goes_on()
                && chain.method == entry.method
                && chain.path == entry.path
                && chain.query == entry.query
                // Equal requests may run beside each other. That one has left may be seen late.
                && (chain.last_left || chain.ended <= seen.started || is_sdk_retry(entry))
                && (chain.body.fits(seen) || said.is_some() && chain.said == said)
        })
    }

    pub(super) fn open(&self) -> usize {
        self.all.iter().filter(|chain| chain.goes_on()).count()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Those that were repeated: what they made may be taken back.
    pub(super) fn repeated(&self) -> usize {
        let chains = self.all.iter();
        chains.filter(|chain| chain.attempts.len() > 1).count()
    }

    /// The client has deleted or cancelled what has this id.
    pub(super) fn removed(&mut self, id: &str) {
        for chain in self.all.iter_mut().filter(|chain| chain.attempts.len() > 1) {
            chain.removed.push(id.to_owned());
        }
    }

    /// A client that leaves by itself is no news, unless it made something twice by that.
    pub(super) fn list(&self, workspace: &str) -> Vec<Value> {
        self.all
            .iter()
            .filter(|chain| chain.was_struck() || chain.is_duplicated())
            .map(|chain| chain.describe(workspace))
            .collect()
    }

    /// The resources that were made more than once, and are still there.
    pub(super) fn duplicated(&self, workspace: &str) -> Vec<Value> {
        let chains = self.all.iter().filter(|chain| chain.is_duplicated());
        chains
            .map(|chain| chain.describe_duplicates(workspace))
            .collect()
    }
}

impl Chain {
    fn of(seen: Seen<'_>, said: Option<Said>, ended_at: DateTime<Utc>) -> Self {
        let entry = seen.entry;
        let idempotency_key = entry.request_headers.get(IDEMPOTENCY_KEY);
        Self {
            method: entry.method.clone().into_owned(),
            path: entry.path.clone(),
            query: entry.query.clone(),
            body: Likeness::of(seen),
            said,
            idempotency_key: idempotency_key.map(str::to_owned),
            removed: Vec::new(),
            attempts: Vec::new(),
            attempts_dropped: 0,
            open: false,
            refused: false,
            last_left: false,
            last_status: None,
            ended: seen.started,
            ended_at,
        }
    }

    /// Whether what comes next may be an attempt of the same.
    fn goes_on(&self) -> bool {
        self.open || self.refused
    }

    fn was_struck(&self) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|attempt| !attempt.faults.is_empty())
    }

    /// The attempts that made something that is still there, and what.
    fn makers(&self) -> Vec<(&Attempt, Vec<String>)> {
        let attempts = self.attempts.iter().map(|attempt| {
            let mut ids = attempt.made.ids();
            ids.retain(|id| !self.removed.iter().any(|gone| covers(gone, id)));
            (attempt, ids)
        });
        attempts.filter(|(_, ids)| !ids.is_empty()).collect()
    }

    fn is_duplicated(&self) -> bool {
        self.attempts.len() > 1 && self.makers().len() > 1
    }

    fn describe_duplicates(&self, workspace: &str) -> Value {
        let makers = self.makers();
        let requests = makers.iter().map(|(attempt, _)| attempt.request_id.clone());
        json!(Duplicated {
            workspace: Some(workspace.to_owned()),
            request: format!("{} {}", self.method, self.path),
            request_ids: requests.collect(),
            ids: makers.iter().flat_map(|(_, ids)| ids.clone()).collect(),
            label: None,
        })
    }

    /// How it came out.
    fn outcome(&self) -> Outcome {
        match (self.open, self.last_status) {
            _ if self.is_duplicated() => Outcome::Duplicated,
            (true, _) => Outcome::GaveUp,
            (false, Some(400..) | None) => Outcome::Failed,
            _ if self.attempts.len() > 1 => Outcome::Recovered,
            _ => Outcome::Answered,
        }
    }

    fn describe(&self, workspace: &str) -> Value {
        let mut faults: Vec<FaultGiven> = Vec::new();
        for fault in self.attempts.iter().flat_map(|attempt| &attempt.faults) {
            if !faults.contains(fault) {
                faults.push(fault.clone());
            }
        }
        json!(FaultedRequest {
            workspace: Some(workspace.to_owned()),
            request: format!("{} {}", self.method, self.path),
            faults,
            attempts: self.attempts.iter().map(Attempt::describe).collect(),
            retries: self.attempts.len() as u64 - 1 + self.attempts_dropped,
            last_status: self.last_status,
            outcome: self.outcome(),
            attempts_dropped: (self.attempts_dropped > 0).then_some(self.attempts_dropped),
            idempotency_key: self.idempotency_key.clone(),
            label: None,
        })
    }
}

impl Attempt {
    fn describe(&self) -> control_api::Attempt {
        let real_ms = |real: Duration| {
            let micros = u32::try_from(real.as_micros()).unwrap_or(u32::MAX);
            f64::from(micros) / 1000.0
        };
        let by = if self.by_sdk {
            RetriedBy::Sdk
        } else {
            RetriedBy::Client
        };
        control_api::Attempt {
            request_id: self.request_id.clone(),
            status: self.status,
            faults: self.faults.iter().map(|fault| fault.id).collect(),
            made: self.made.ids(),
            client_left: self.left,
            after_ms: self.after.map(|(real, _)| real_ms(real)),
            after_virtual_ms: self
                .after
                .map(|(_, on_the_clock)| on_the_clock.num_milliseconds()),
            by: self.after.map(|_| by),
        }
    }
}

impl Likeness {
    fn of(Seen { entry, made, .. }: Seen<'_>) -> Self {
        let sha256 = match &entry.request_body {
            Body::Bytes(bytes) => Some(asked(entry, bytes)),
            Body::Empty | Body::Omitted { .. } => made.content(),
        };
        Self {
            sha256,
            bytes: length(entry),
        }
    }

    fn fits(self, seen: Seen<'_>) -> bool {
        let other = Self::of(seen);
        match (self.sha256, other.sha256) {
            (Some(before), Some(now)) => before == now,
            _ => self.bytes == other.bytes,
        }
    }
}

/// The hash of what is asked. How a message's answer travels is no part of it: who lost a stream may ask again without.
fn asked(entry: &Entry, body: &[u8]) -> [u8; 32] {
    if entry.path == "/v1/messages"
        && let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(body)
    {
        members.shift_remove("stream");
        return Sha256::digest(Value::Object(members).to_string()).into();
    }
    Sha256::digest(body).into()
}

/// Whether what has the id goes with what `gone` names: a version with its skill.
fn covers(gone: &str, id: &str) -> bool {
    id.strip_prefix(gone)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The length of the request's body by its `content-length`; 0 without one.
fn length(entry: &Entry) -> u64 {
    let said = entry.request_headers.get("content-length");
    said.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn is_sdk_retry(entry: &Entry) -> bool {
    let count = entry.request_headers.get(RETRY_COUNT);
    count.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0))
}
