//! The record of a workspace's client, as far as a verdict needs it. It outlives the journal's entries.
//!
//! Everything is bounded (`limits::VERIFY_*`) and what does not fit is counted. A request that nothing
//! is to be said of costs two loads and no lock.

mod brought;
mod chains;
mod findings;
mod made;
mod memory;
mod notices;
mod threads;
pub mod unused;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use control_api::{FailedTurn, FaultState, FoundLint, Near, Unmatched};
use serde::Deserialize;
use serde_json::json;

use crate::coverage::{Coverage, Retry};
use crate::fault::{Brought, Fired};
use crate::journal::{Body, Ended, Entry};
use crate::lint::{Level, Lint};
use crate::telemetry::UNMATCHED;
use brought::Headers;
use chains::Chains;
use common::clock::Clock;
use common::ids::FileId;
use common::limits;
pub use findings::{Findings, Requests};
pub use made::Made;
use memory::{Handling, Memory};
pub use notices::Told;

/// The findings of one request.
#[derive(Debug, Default)]
pub struct Facts {
    pub lints: Vec<Lint>,
    pub miss: Option<Miss>,
    /// Files that came out of it.
    pub outputs: Vec<Output>,
    /// Ids of files that it hands on, where some are not fetched yet.
    pub handed_on: Vec<String>,
    /// It ended in `pause_turn`: the ids of its calls.
    pub paused: Option<Vec<String>>,
    /// It said `container_expired`.
    pub told: Option<Told>,
    /// The faults that met it.
    pub fired: Vec<Fired>,
}

/// A turn that no script answered as it should.
#[derive(Debug, Clone)]
pub enum Miss {
    Unmatched {
        message: String,
        nearest: Vec<Near>,
    },
    /// A rule matched and could not go on, such as with an `expect` that did not hold; or a panic of ours.
    Failed {
        message: String,
    },
}

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub file_id: FileId,
    pub filename: String,
}

/// The end of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub entry: &'a Entry,
    pub started: Instant,
    /// The workspace's.
    pub clock: &'a Clock,
    pub made: &'a Made,
}

impl Seen<'_> {
    /// The client went before the answer was complete.
    fn left(&self) -> bool {
        self.entry.ended == Ended::ClientLeft
    }

    /// The client left before any of the answer was out, and what it asked for may be made all the same. Who
    /// leaves a stream in its middle has seen what it wanted.
    fn is_lost_creation(&self) -> bool {
        let Entry {
            method,
            path,
            status,
            ..
        } = self.entry;
        let makes = matches!(
            path.as_str(),
            "/v1/files" | "/v1/messages" | "/v1/messages/batches"
        ) || path.starts_with("/v1/skills");
        self.left() && method == "POST" && makes && *status >= 400
    }

    /// By anything else than a refusal.
    fn is_answered(&self, fired: &[Fired]) -> bool {
        let Entry { status, source, .. } = self.entry;
        *status < 400
            || self.entry.ended != Ended::Whole
            || source.as_deref().is_some_and(|source| source != UNMATCHED)
            || !fired.is_empty()
    }

    /// Whether the service did what the request asks for, be the answer lost or not.
    fn is_done(&self, fired: &[Fired]) -> bool {
        let is_refused = self.entry.status >= 400 && self.entry.ended != Ended::Broke;
        !is_refused && !fired.iter().any(Fired::forestalls)
    }

    /// Whether the client has learned what the answer says.
    fn is_heard(&self, fired: &[Fired]) -> bool {
        let is_whole = self.entry.ended == Ended::Whole;
        self.entry.status < 400 && is_whole && !fired.iter().any(Fired::fails)
    }
}

/// The records of one workspace.
#[derive(Debug, Default)]
pub struct Watch {
    state: Mutex<State>,
    /// The parts of the service that were met.
    pub coverage: Arc<Coverage>,
    answered: AtomicU64,
    refused: AtomicU64,
    /// Requests that a fault made fail and nobody has sent again.
    open_chains: AtomicUsize,
    /// Those that somebody has sent again.
    repeated: AtomicUsize,
    /// Files that nobody has fetched.
    outputs: AtomicUsize,
    /// Whether anybody was told that a container has expired.
    told: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// The first request.
    first: Option<String>,
    lints: Vec<(String, Lint)>,
    lints_dropped: u64,
    /// Among those that were dropped.
    dropped_errors: u64,
    misses: Vec<(String, Miss)>,
    misses_dropped: u64,
    chains: Chains,
    brought: Headers,
    memory: Memory,
}

impl Watch {
    /// Takes note of an exchange that is over.
    pub fn note(&self, seen: Seen<'_>, mut facts: Facts) {
        let count = if seen.is_answered(&facts.fired) {
            &self.answered
        } else {
            &self.refused
        };
        let others = self.answered.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed);
        count.fetch_add(1, Ordering::Relaxed);
        let id = &seen.entry.id;
        if others == 0 {
            self.lock().first.get_or_insert_with(|| id.clone());
        }
        let is_done = seen.is_done(&facts.fired);
        let handling = handling(seen.entry).filter(|(_, handling)| {
            let has_effect = match handling {
                Handling::Deletes => is_done,
                // Who leaves a download in its middle has seen what it wanted.
                Handling::Takes | Handling::LooksAt => {
                    is_done && !facts.fired.iter().any(Fired::fails)
                }
            };
            has_effect && self.has_unread()
        });
        let removed =
            removed(seen.entry).filter(|_| is_done && self.repeated.load(Ordering::Relaxed) > 0);
        let handed_on = if is_done {
            std::mem::take(&mut facts.handed_on)
        } else {
            Vec::new()
        };
        let quiet =
            facts.is_empty() && handed_on.is_empty() && handling.is_none() && removed.is_none();
        let quiet = quiet && !threads::is_in_one(seen.entry);
        if quiet && !seen.is_lost_creation() && self.open_chains.load(Ordering::Relaxed) == 0 {
            return;
        }
        let heard = seen.is_heard(&facts.fired);
        let mut state = self.lock();
        match handling {
            Some((Some(file), handling)) => state.memory.handled(handling, |id| *id == *file),
            Some((None, handling)) => {
                let shown = shown(seen.entry);
                state.memory.handled(handling, |id| {
                    shown.as_ref().is_none_or(|shown| shown.contains(&**id))
                });
            }
            None => {}
        }
        state.memory.handed_on(&handed_on);
        if let Some(removed) = removed {
            state.chains.removed(removed);
        }
        if let Some(repeats) = state.chains.note(seen, &facts.fired) {
            self.coverage.retry(Retry::after(repeats.last_status));
        }
        state.keep(id, facts, heard);
        self.count(&state);
    }

    /// Takes note of an item of a batch.
    pub fn note_item(&self, id: &str, facts: Facts, answered: bool) {
        let mut state = self.lock();
        if answered {
            state.memory.handed_on(&facts.handed_on);
        }
        state.keep(id, facts, answered);
        self.count(&state);
    }

    /// A request is over, or the batch that it made: what has become of the faults that it brought along.
    pub fn note_brought(&self, request: &str, brought: Vec<Brought>) {
        if !brought.is_empty() {
            self.lock().brought.note(request, brought);
        }
    }

    /// Faults that requests brought along and that fired in none of them, or less often than they may, each with the
    /// first of these requests.
    pub(crate) fn unused_brought(&self) -> Vec<(String, FaultState)> {
        let state = self.lock();
        let unused = state.brought.unused();
        unused
            .map(|(request, fault)| (request.to_owned(), fault.clone()))
            .collect()
    }

    /// Calls of these ids ran in the container.
    pub fn ran<'a>(&self, container: &str, calls: impl IntoIterator<Item = &'a str>) {
        self.lock().memory.ran(container, calls);
    }

    /// The containers that these calls ran in, each once, in the calls' order.
    pub fn containers_of<'a>(&self, calls: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        self.lock().memory.containers_of(calls)
    }

    /// A question comes, with this container named: the containers of which it was told that they are over
    /// when it came before.
    pub fn asks(&self, question: &[u8; 32], named: Option<&str>) -> Vec<String> {
        if self.told.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        self.lock().memory.notices.asked_again(question, named)
    }

    /// Code has run in a conversation that these calls are in.
    pub fn works_on(&self, calls: &[&str]) {
        if self.told.load(Ordering::Relaxed) > 0 {
            self.lock().memory.notices.goes_on(calls);
        }
    }

    /// Whether a client was told that this container has expired, be it so or not.
    pub fn is_told_over(&self, container: &str) -> bool {
        self.told.load(Ordering::Relaxed) > 0 && self.lock().memory.notices.is_over(container)
    }

    /// A request goes on after a pause with these calls in it.
    pub fn goes_on(&self, calls: &[&str]) {
        self.lock().memory.goes_on(calls);
    }

    /// Whether there are files that nobody has fetched.
    pub fn has_unread(&self) -> bool {
        self.outputs.load(Ordering::Relaxed) > 0
    }

    /// A request that is answered hands this file on.
    pub fn hands_on(&self, file_id: &str) {
        if self.has_unread() {
            let mut state = self.lock();
            state.memory.handled(Handling::Takes, |id| *id == *file_id);
            self.count(&state);
        }
    }

    /// All there is to say, in the order it happened.
    pub fn findings(&self, workspace: &str) -> Findings {
        let state = self.lock();
        let mut found = Findings {
            requests: Requests {
                answered: self.answered.load(Ordering::Relaxed),
                refused: self.refused.load(Ordering::Relaxed),
                first: state.first.clone(),
            },
            coverage: self.coverage.counts(),
            ..Findings::default()
        };
        for (id, miss) in &state.misses {
            match miss {
                Miss::Unmatched { message, nearest } => found.unmatched.push(json!(Unmatched {
                    workspace: Some(workspace.to_owned()),
                    request_id: id.clone(),
                    message: message.clone(),
                    nearest: nearest.clone(),
                    label: None,
                })),
                Miss::Failed { message } => found.failed.push(json!(FailedTurn {
                    workspace: Some(workspace.to_owned()),
                    request_id: id.clone(),
                    message: message.clone(),
                    label: None,
                })),
            }
        }
        found.faults = state.chains.list(workspace);
        found.duplicated = state.chains.duplicated(workspace);
        found.errors = state.dropped_errors;
        found.warnings = state.lints_dropped - state.dropped_errors;
        let late = state.memory.late_lints();
        for (id, lint) in state.lints.iter().chain(&late) {
            match lint.rule.level {
                Level::Error => found.errors += 1,
                Level::Warning => found.warnings += 1,
            }
            let control_api::Lint {
                code,
                level,
                message,
                hint,
            } = lint.told();
            found.lints.push(json!(FoundLint {
                workspace: Some(workspace.to_owned()),
                request_id: id.clone(),
                code,
                level,
                message,
                hint,
                label: None,
            }));
        }
        let dropped = [
            ("lints", state.lints_dropped),
            ("unmatched", state.misses_dropped),
            ("unused_faults", state.brought.dropped()),
            ("faults", state.chains.dropped()),
            ("outputs", state.memory.dropped()),
        ];
        found.dropped = dropped
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        found
    }

    /// How many requests were answered, and refused.
    pub fn requests(&self) -> control_api::RequestCounts {
        control_api::RequestCounts {
            answered: self.answered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut state = self.lock();
        *state = State::default();
        self.answered.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
        self.coverage.clear();
        self.count(&state);
    }

    fn count(&self, state: &State) {
        self.open_chains
            .store(state.chains.open(), Ordering::Relaxed);
        self.repeated
            .store(state.chains.repeated(), Ordering::Relaxed);
        self.outputs
            .store(state.memory.outputs(), Ordering::Relaxed);
        let told = usize::from(!state.memory.notices.is_empty());
        self.told.store(told, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, id: &str, facts: Facts, heard: bool) {
        for lint in facts.lints {
            if self.lints.len() < limits::VERIFY_LINTS {
                self.lints.push((id.to_owned(), lint));
            } else {
                self.lints_dropped += 1;
                self.dropped_errors += u64::from(lint.rule.level == Level::Error);
            }
        }
        if let Some(miss) = facts.miss {
            if self.misses.len() < limits::VERIFY_MISSES {
                self.misses.push((id.to_owned(), miss));
            } else {
                self.misses_dropped += 1;
            }
        }
        // Of an answer that was an error, or that was lost, the client learned nothing of these.
        if heard {
            self.memory.made(id, facts.outputs);
            if let Some(told) = facts.told {
                self.memory.told(id, told);
            }
            if let Some(calls) = facts.paused {
                self.memory.paused(id, calls);
            }
        }
    }
}

/// The files on a page of the list; `None` if the page was not kept.
fn shown(entry: &Entry) -> Option<HashSet<String>> {
    #[derive(Deserialize)]
    struct Page {
        data: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        id: String,
    }
    let Body::Bytes(page) = &entry.response_body else {
        return None;
    };
    let page: Page = serde_json::from_slice(page).ok()?;
    Some(page.data.into_iter().map(|file| file.id).collect())
}

/// The file that a request handles, `None` for those of a list, and how it handles it.
fn handling(entry: &Entry) -> Option<(Option<&str>, Handling)> {
    let rest = entry.path.strip_prefix("/v1/files")?;
    let (method, id) = (&*entry.method, rest.strip_prefix('/'));
    let handling = match (method, id.map(|id| id.split_once('/'))) {
        ("GET", None) => return Some((None, Handling::LooksAt)),
        ("GET", Some(Some((id, "content")))) => return Some((Some(id), Handling::Takes)),
        ("GET", Some(None)) => Handling::LooksAt,
        ("DELETE", Some(None)) => Handling::Deletes,
        _ => return None,
    };
    Some((id, handling))
}

/// The id of the file, batch, or skill that a request deletes or cancels.
fn removed(entry: &Entry) -> Option<&str> {
    const HOMES: &[&str] = &["/v1/files/", "/v1/messages/batches/", "/v1/skills/"];
    let id = HOMES
        .iter()
        .find_map(|home| entry.path.strip_prefix(home))?;
    match &*entry.method {
        "DELETE" => Some(id),
        "POST" => id.strip_suffix("/cancel"),
        _ => None,
    }
}

impl Facts {
    /// Whether nothing there is fits the request.
    pub fn are_of_a_miss(&self) -> bool {
        matches!(self.miss, Some(Miss::Unmatched { .. }))
    }

    /// Whether there is nothing to remember.
    fn is_empty(&self) -> bool {
        let Self {
            lints,
            miss,
            outputs,
            handed_on,
            paused,
            told,
            fired,
        } = self;
        lints.is_empty()
            && miss.is_none()
            && outputs.is_empty()
            && handed_on.is_empty()
            && paused.is_none()
            && told.is_none()
            && fired.is_empty()
    }
}
