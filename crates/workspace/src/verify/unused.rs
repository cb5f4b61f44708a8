//! The steps of scripts, the faults, and the recordings of the server's files that nobody has used.

use std::collections::HashSet;

use serde_json::Value;

use control_api::{UnusedStep, UnusedWhy};

/// The steps that every list has. A rule that never answered stands for all its steps.
pub fn steps_unused_by_all(lists: &[&[UnusedStep]]) -> Vec<UnusedStep> {
    unused_by_all(lists, covers_step)
}

/// The faults that every list has.
pub fn faults_unused_by_all(lists: &[&[Value]]) -> Vec<Value> {
    unused_by_all(lists, |a, b| a["id"] == b["id"])
}

/// The recorded exchanges that every list has.
pub fn recordings_unused_by_all(lists: &[&[Value]]) -> Vec<Value> {
    let Some((first, others)) = lists.split_first() else {
        return Vec::new();
    };
    let mut common = first.to_vec();
    for list in others {
        // A suite may have thousands of recordings and of tests.
        let names: HashSet<&Value> = list.iter().map(|item| &item["recording"]).collect();
        common.retain(|item| names.contains(&item["recording"]));
    }
    common
}

fn unused_by_all<T: Clone>(lists: &[&[T]], covers: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut common: Vec<T> = Vec::new();
    for item in lists.iter().copied().flatten() {
        let everywhere = lists
            .iter()
            .all(|list| list.iter().any(|other| covers(other, item)));
        let listed = common.iter().any(|known| covers(known, item));
        if everywhere && !listed {
            common.push(item.clone());
        }
    }
    common
}

/// Whether `a` says at least what `b` says.
fn covers_step(a: &UnusedStep, b: &UnusedStep) -> bool {
    // Lines move when a file is edited; names need not be one rule's alone.
    let of_rule = a.file == b.file && (&a.rule, a.nth) == (&b.rule, b.nth);
    of_rule && (a.why == UnusedWhy::NeverAnswered || (a.line, &a.step) == (b.line, &b.step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_api::RuleLayer;

    #[test]
    fn rules_of_one_name_are_told_apart() {
        let never = |line, nth| UnusedStep {
            workspace: None,
            rule: "x".to_owned(),
            nth,
            file: "a.yaml".to_owned(),
            line,
            step: None,
            why: UnusedWhy::NeverAnswered,
            layer: RuleLayer::Base,
            label: None,
        };
        let (first, second) = ([never(1, 0)], [never(4, 1)]);
        assert_eq!(steps_unused_by_all(&[&first, &second]), []);
        let both = [never(1, 0), never(4, 1)];
        assert_eq!(steps_unused_by_all(&[&both, &second]), second);
        assert_eq!(steps_unused_by_all(&[&both, &both]), both);
        // The file was edited: the rule is still the first of its name.
        assert_eq!(steps_unused_by_all(&[&first, &[never(2, 0)]]), first);
    }
}
