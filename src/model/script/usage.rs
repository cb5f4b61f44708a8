//! How often rules answered and which of their steps ran, for one workspace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;

use super::rule::{OpKind, Rule};

/// Counts of one rule in one workspace.
#[derive(Debug)]
pub(super) struct Usage {
    used: AtomicU64,
    ran: Box<[AtomicBool]>,
}

/// A rule beside its counts.
pub(super) type Counted = (Arc<Rule>, Arc<Usage>);

/// Where a rule came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerName {
    /// Given to one workspace by the control API.
    Workspace,
    /// Given by file, under every workspace.
    Base,
}

/// A rule as the control API lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleInfo {
    pub name: String,
    pub file: String,
    pub line: u64,
    /// How often it may answer; absent if without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How often it answered.
    pub used: u64,
    pub layer: LayerName,
}

/// A step that never ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnusedStep {
    pub rule: String,
    pub file: String,
    pub line: u64,
    /// The step's key, such as `bash`.
    pub step: &'static str,
    pub layer: LayerName,
}

impl Usage {
    pub(super) fn of(rule: &Rule) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
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
pub(super) fn info((rule, usage): &Counted, layer: LayerName) -> RuleInfo {
    RuleInfo {
        name: rule.name.clone(),
        file: rule.file.to_string(),
        line: rule.at.line,
        times: rule.times,
        used: usage.used(),
        layer,
    }
}

/// The steps of a rule that never ran.
pub(super) fn unused((rule, usage): &Counted, layer: LayerName) -> Vec<UnusedStep> {
    rule.ops
        .iter()
        .zip(&usage.ran)
        .filter(|(op, ran)| !matches!(op.kind, OpKind::Jump(_)) && !ran.load(Ordering::Relaxed))
        .map(|(op, _)| UnusedStep {
            rule: rule.name.clone(),
            file: rule.file.to_string(),
            line: op.at.line,
            step: op.key,
            layer,
        })
        .collect()
}
