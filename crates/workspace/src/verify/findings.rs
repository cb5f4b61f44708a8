//! The findings about one workspace, since its last reset or over all before it.

use std::collections::BTreeMap;

use control_api::UnusedStep;
use serde_json::Value;

use super::unused;
use crate::coverage::Counts;
use common::limits;

/// The parts of a verdict that one workspace answers for.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pub unmatched: Vec<Value>,
    pub failed: Vec<Value>,
    pub faults: Vec<Value>,
    pub duplicated: Vec<Value>,
    pub lints: Vec<Value>,
    /// Of its own scripts and faults.
    pub unused_steps: Vec<Value>,
    pub unused_faults: Vec<Value>,
    pub unused_recordings: Vec<Value>,
    /// Of what files give to all.
    pub shared_steps: Vec<UnusedStep>,
    pub shared_faults: Vec<Value>,
    pub shared_recordings: Vec<Value>,
    /// Some turn looked for a rule.
    pub asked_scripts: bool,
    /// Cassettes answered, if not all the time.
    pub had_recordings: bool,
    pub errors: u64,
    pub warnings: u64,
    pub requests: Requests,
    /// The counts of the service's parts that were met.
    pub coverage: Counts,
    /// Counts of what was not kept, by list; empty if all was.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// API requests, batches' items apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// By the service, a script, a recording, or a fault.
    pub answered: u64,
    pub refused: u64,
    /// The first one's id.
    pub first: Option<String>,
}

impl Requests {
    pub fn all(&self) -> u64 {
        self.answered + self.refused
    }
}

impl Findings {
    /// Adds what came later, up to [`limits::VERIFY_ARCHIVED`] in each list.
    pub fn absorb(&mut self, later: Self) {
        if self.requests.all() == 0 && later.requests.first.is_some() {
            self.requests.first.clone_from(&later.requests.first);
        }
        self.requests.answered += later.requests.answered;
        self.requests.refused += later.requests.refused;
        self.coverage.add(&later.coverage);
        self.asked_scripts |= later.asked_scripts;
        self.had_recordings |= later.had_recordings;
        self.errors += later.errors;
        self.warnings += later.warnings;
        for (list, count) in later.dropped {
            *self.dropped.entry(list).or_default() += count;
        }
        let dropped = &mut self.dropped;
        let mut add = |name: &'static str, kept: &mut Vec<Value>, more: Vec<Value>| {
            let room = limits::VERIFY_ARCHIVED.saturating_sub(kept.len());
            if more.len() > room {
                *dropped.entry(name).or_default() += (more.len() - room) as u64;
            }
            kept.extend(more.into_iter().take(room));
        };
        add("unmatched", &mut self.unmatched, later.unmatched);
        add("failed", &mut self.failed, later.failed);
        add("faults", &mut self.faults, later.faults);
        add("duplicated", &mut self.duplicated, later.duplicated);
        add("lints", &mut self.lints, later.lints);
        add("unused_steps", &mut self.unused_steps, later.unused_steps);
        add(
            "unused_faults",
            &mut self.unused_faults,
            later.unused_faults,
        );
        add(
            "unused_recordings",
            &mut self.unused_recordings,
            later.unused_recordings,
        );
        self.shared_steps = unused::steps_unused_by_all(&[&self.shared_steps, &later.shared_steps]);
        self.shared_faults =
            unused::faults_unused_by_all(&[&self.shared_faults, &later.shared_faults]);
        self.shared_recordings =
            unused::recordings_unused_by_all(&[&self.shared_recordings, &later.shared_recordings]);
    }

    /// Every finding says whose it is, beside the workspace.
    pub fn label(&mut self, label: &str) {
        let lists = [
            &mut self.unmatched,
            &mut self.failed,
            &mut self.faults,
            &mut self.duplicated,
            &mut self.lints,
            &mut self.unused_steps,
            &mut self.unused_faults,
            &mut self.unused_recordings,
        ];
        for finding in lists.into_iter().flatten() {
            if let Value::Object(members) = finding {
                members.insert("label".to_owned(), label.into());
            }
        }
    }
}
