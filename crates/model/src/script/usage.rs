//! How often rules answered and which of their steps ran, for one workspace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use control_api::RuleLayer as LayerName;
use control_api::{RuleState, StepState, TimesUsed, UnusedStep, UnusedWhy as Why};

use super::rule::{OpKind, Rule};

/// Counts of one rule in one workspace.
#[derive(Debug)]
pub(super) struct Usage {
    used: AtomicU64,
    /// Whether it went on with a turn that another server began.
    went_on: AtomicBool,
    ran: Box<[AtomicBool]>,
}

/// A rule beside its counts.
pub(super) type Counted = (Arc<Rule>, Arc<Usage>);

impl Usage {
    pub(super) fn of(rule: &Rule) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            went_on: AtomicBool::new(false),
            ran: rule.ops.iter().map(|_| AtomicBool::new(false)).collect(),
        })
    }

    /// Counts one more answer, unless `times` is used up.
    pub(super) fn claim(&self, times: Option<u64>) -> bool {
        match times {
            None => {
                self.used.fetch_add(1, Ordering::Relaxed);
                true
            }
            Some(times) => self
                .used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                    (used < times).then_some(used + 1)
                })
                .is_ok(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// A turn that another server began goes on here: no new answer, but what was `tried` ran.
    pub(super) fn go_on(&self, tried: &Self) {
        self.went_on.store(true, Ordering::Relaxed);
        for (at, ran) in tried.ran.iter().enumerate() {
            if ran.load(Ordering::Relaxed) {
                self.mark(at);
            }
        }
    }

    /// The instruction ran.
    pub(super) fn mark(&self, op: usize) {
        // A load first: a shared line that is only read stays in every core's cache.
        if let Some(ran) = self.ran.get(op)
            && !ran.load(Ordering::Relaxed)
        {
            ran.store(true, Ordering::Relaxed);
        }
    }
}

/// The rules with fresh counts.
pub(super) fn counted(rules: &[Arc<Rule>]) -> Arc<[Counted]> {
    rules
        .iter()
        .map(|rule| (Arc::clone(rule), Usage::of(rule)))
        .collect()
}

/// A rule for the list.
pub(super) fn info((rule, usage): &Counted, layer: LayerName) -> RuleState {
    let conditional = in_branches(rule);
    let steps = rule.ops.iter().enumerate();
    let steps = steps
        .filter(|(_, op)| !matches!(op.kind, OpKind::Jump(_)))
        .map(|(at, op)| StepState {
            step: op.key.to_owned(),
            line: op.at.line,
            column: op.at.column,
            ran: usage.ran[at].load(Ordering::Relaxed),
            conditional: conditional[at],
        });
    RuleState {
        name: rule.name.clone(),
        file: rule.file.to_string(),
        line: rule.at.line,
        column: rule.at.column,
        times: rule.times,
        used: usage.used(),
        layer,
        steps: steps.collect(),
    }
}

/// The steps of a rule that were not used, or the rule itself. The steps of a branch that was not taken are no
/// matter: a condition is there for what may not come. `nth`: so many rules of the file before it have its name.
pub(super) fn unused((rule, usage): &Counted, layer: LayerName, nth: u64) -> Vec<UnusedStep> {
    let used = usage.used();
    let entry = |line, step: Option<&str>, why| UnusedStep {
        workspace: None,
        rule: rule.name.clone(),
        nth,
        file: rule.file.to_string(),
        line,
        step: step.map(str::to_owned),
        why,
        layer,
        label: None,
    };
    let ran = |op: usize| usage.ran[op].load(Ordering::Relaxed);
    let went_on = usage.went_on.load(Ordering::Relaxed);
    if used == 0 && !went_on {
        return vec![entry(rule.at.line, None, Why::NeverAnswered)];
    }
    let mut unused = Vec::new();
    // How often a rule answered elsewhere is not known here.
    if let Some(times) = rule.times.filter(|times| used < *times && !went_on) {
        unused.push(entry(
            rule.at.line,
            None,
            Why::TimesLeft(TimesUsed { used, times }),
        ));
    }
    let conditional = in_branches(rule);
    for (at, op) in rule.ops.iter().enumerate() {
        if !ran(at) && !conditional[at] && !matches!(op.kind, OpKind::Jump(_)) {
            unused.push(entry(op.at.line, Some(op.key), Why::NeverRan));
        }
    }
    unused
}

/// Which instructions lie in a branch of an `if`.
fn in_branches(rule: &Rule) -> Vec<bool> {
    let mut inside = vec![false; rule.ops.len()];
    for (at, op) in rule.ops.iter().enumerate() {
        let OpKind::Branch { otherwise, .. } = op.kind else {
            continue;
        };
        let jump = otherwise.checked_sub(1).map(|last| &rule.ops[last].kind);
        let end = match jump {
            Some(OpKind::Jump(end)) if otherwise - 1 > at => *end,
            _ => otherwise,
        };
        inside[at + 1..end].fill(true);
    }
    inside
}
