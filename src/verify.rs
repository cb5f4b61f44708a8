//! What a workspace's client did, as far as a verdict needs it. It outlives the journal's entries.
//!
//! Everything is bounded (`limits::VERIFY_*`) and what does not fit is counted. A request that nothing
//! is to be said of costs two loads and no lock.

mod chains;
mod memory;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::fault::Struck;
use crate::journal::Entry;
use crate::limits;
use crate::lint::{Level, Lint};
use crate::model::script::Near;
use chains::Chains;
use memory::Memory;

/// What one request brought to light.
#[derive(Debug, Default)]
pub struct Facts {
    pub lints: Vec<Lint>,
    pub miss: Option<Miss>,
    /// Files that came out of it.
    pub outputs: Vec<Output>,
    /// It ended in `pause_turn`: the ids of its calls.
    pub paused: Option<Vec<String>>,
    /// The faults that met it.
    pub(crate) struck: Vec<Struck>,
}

/// A turn that no script answered as it should.
#[derive(Debug, Clone)]
pub enum Miss {
    Unmatched {
        message: String,
        nearest: Vec<Near>,
    },
    /// A rule matched and could not go on, such as with an `expect` that did not hold.
    Failed {
        message: String,
    },
}

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub file_id: String,
    pub filename: String,
}

/// The end of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub entry: &'a Entry,
    pub started: Instant,
    /// The workspace's.
    pub clock: &'a Clock,
    /// The client went before the answer was complete.
    pub left: bool,
}

/// The records of one workspace.
#[derive(Debug, Default)]
pub struct Watch {
    state: Mutex<State>,
    /// Requests that a fault made fail and nobody has sent again.
    open_chains: AtomicUsize,
    /// Files that nobody has fetched.
    outputs: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    lints: Vec<(String, Lint)>,
    lints_dropped: u64,
    /// Among those that were dropped.
    dropped_errors: u64,
    misses: Vec<(String, Miss)>,
    misses_dropped: u64,
    chains: Chains,
    memory: Memory,
}

/// What `verify` says of one workspace, but for scripts and unused faults.
#[derive(Debug, Default)]
pub struct Findings {
    pub unmatched: Vec<Value>,
    pub failed: Vec<Value>,
    pub faults: Vec<Value>,
    pub lints: Vec<Value>,
    pub errors: u64,
    pub warnings: u64,
    /// Counts of what was not kept, by list; empty if all was.
    pub dropped: Vec<(&'static str, u64)>,
}

impl Watch {
    /// Takes note of an exchange that is over.
    pub fn note(&self, seen: Seen<'_>, facts: Facts) {
        let quiet = facts.lints.is_empty()
            && facts.miss.is_none()
            && facts.outputs.is_empty()
            && facts.paused.is_none()
            && facts.struck.is_empty();
        if quiet
            && self.open_chains.load(Ordering::Relaxed) == 0
            && self.outputs.load(Ordering::Relaxed) == 0
        {
            return;
        }
        let answered = seen.entry.status < 400;
        let id = &seen.entry.id;
        let mut state = self.lock();
        if answered && let Some(file) = fetched(seen.entry) {
            state.memory.handled(file);
        }
        state.chains.note(seen, &facts.struck);
        state.keep(id, facts, answered);
        self.count(&state);
    }

    /// Takes note of an item of a batch.
    pub fn note_item(&self, id: &str, facts: Facts, answered: bool) {
        let mut state = self.lock();
        state.keep(id, facts, answered);
        self.count(&state);
    }

    /// Calls of these ids ran in the container.
    pub fn ran<'a>(&self, container: &str, calls: impl IntoIterator<Item = &'a str>) {
        self.lock().memory.ran(container, calls);
    }

    /// The container that one of these calls ran in, the newest first.
    pub fn container_of<'a>(&self, calls: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let state = self.lock();
        calls
            .into_iter()
            .find_map(|call| state.memory.container_of(call).map(str::to_owned))
    }

    /// A request goes on after a pause with these calls in it.
    pub fn goes_on(&self, calls: &[&str]) {
        self.lock().memory.goes_on(calls);
    }

    /// A request hands these files on.
    pub fn hands_on(&self, file_id: &str) {
        if self.outputs.load(Ordering::Relaxed) > 0 {
            let mut state = self.lock();
            state.memory.handled(file_id);
            self.count(&state);
        }
    }

    /// All there is to say, in the order it happened.
    pub fn findings(&self, workspace: &str) -> Findings {
        let state = self.lock();
        let mut found = Findings::default();
        for (id, miss) in &state.misses {
            match miss {
                Miss::Unmatched { message, nearest } => found.unmatched.push(json!({
                    "workspace": workspace, "request_id": id, "message": message, "nearest": nearest,
                })),
                Miss::Failed { message } => found.failed.push(json!({
                    "workspace": workspace, "request_id": id, "message": message,
                })),
            }
        }
        found.faults = state.chains.list(workspace);
        found.errors = state.dropped_errors;
        found.warnings = state.lints_dropped - state.dropped_errors;
        let late = state.memory.late_lints();
        for (id, lint) in state.lints.iter().chain(&late) {
            match lint.rule.level {
                Level::Error => found.errors += 1,
                Level::Warning => found.warnings += 1,
            }
            let mut value = json!({ "workspace": workspace, "request_id": id });
            if let (Some(all), Ok(Value::Object(said))) =
                (value.as_object_mut(), serde_json::to_value(lint))
            {
                all.extend(said);
            }
            found.lints.push(value);
        }
        let dropped = [
            ("lints", state.lints_dropped),
            ("unmatched", state.misses_dropped),
            ("faults", state.chains.dropped()),
            ("outputs", state.memory.dropped()),
        ];
        found.dropped = dropped
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        found
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut state = self.lock();
        *state = State::default();
        self.count(&state);
    }

    fn count(&self, state: &State) {
        self.open_chains
            .store(state.chains.open(), Ordering::Relaxed);
        self.outputs
            .store(state.memory.outputs(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, id: &str, facts: Facts, answered: bool) {
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
        // Of an answer that was an error the client learned nothing of these.
        if answered {
            self.memory.made(id, facts.outputs);
            if let Some(calls) = facts.paused {
                self.memory.paused(id, calls);
            }
        }
    }
}

/// The file that this request downloads, or deletes.
fn fetched(entry: &Entry) -> Option<&str> {
    let file = entry.path.strip_prefix("/v1/files/")?;
    match (entry.method.as_str(), file.split_once('/')) {
        ("GET", Some((id, "content"))) => Some(id),
        ("DELETE", None) => Some(file),
        _ => None,
    }
}
