//! Legal conversations that nobody wrote: a client must neither crash on them nor misread them.

use serde_json::{Value, json};

use super::baseline::Baseline;
use super::catalogue::{Cell, Expect, Group, Less};
use super::effects::message;
use super::outcome::{Finding, Outcome, fell};
use super::process::End;
use super::run::Run;
use crate::generate::{self, Case};

/// The name that stands for a request in cells.
const NAME: &str = "fuzz";

/// All that can be asked of a client that meets words it was not written for: it may say that it does not like them.
const LEGAL: Expect = Expect {
    notices: false,
    may_give_up: true,
    less: Less::ForGood,
    wait: None,
    extra: std::time::Duration::ZERO,
    forgives: &[],
};

/// The first conversations of a seed.
pub(super) fn cells(seed: u64, count: u64) -> Vec<Cell> {
    (0..count).map(|index| cell(seed, index)).collect()
}

/// The conversation of an id such as `fuzz/7-12`.
pub(super) fn named(id: &str) -> Option<Cell> {
    let (seed, index) = numbers(id)?;
    Some(cell(seed, index))
}

fn numbers(id: &str) -> Option<(u64, u64)> {
    let (seed, index) = id.strip_prefix("fuzz/")?.split_once('-')?;
    Some((seed.parse().ok()?, index.parse().ok()?))
}

fn cell(seed: u64, index: u64) -> Cell {
    let case = generate::case(seed, index);
    Cell {
        id: format!("{NAME}/{seed}-{index}"),
        request: NAME.to_owned(),
        kind: NAME.to_owned(),
        group: Group::Fuzz,
        says: format!("a legal conversation, number {index} of seed {seed}"),
        faults: case.faults,
        script: Some(case.script),
        expect: LEGAL,
    }
}

/// What became of such a run.
pub(super) fn judge(run: &Run, id: &str, baseline: &Baseline) -> Vec<Finding> {
    let mut findings: Vec<Finding> = fell(run, &baseline.run).into_iter().collect();
    for wrong in echoes(run) {
        findings.push(Finding {
            outcome: Outcome::Mistaken,
            bad: true,
            says: format!("sent back what was never said: {wrong}"),
        });
    }
    let case = numbers(id).map(|(seed, index)| generate::case(seed, index));
    if let Some(missed) = case.as_ref().and_then(|case| missed(run, case, baseline)) {
        findings.push(Finding {
            outcome: Outcome::Mistaken,
            bad: true,
            says: format!("did not print the text of the last answer, which is {missed:?}"),
        });
    }
    if findings.is_empty() {
        let (outcome, says) = match run.end {
            End::Exited(0) => (Outcome::Unharmed, "read it right"),
            End::Exited(_) | End::Limit | End::Signal(_) => {
                (Outcome::GaveUp, "gave up with a message")
            }
        };
        let says = says.to_owned();
        findings.push(Finding {
            outcome,
            bad: false,
            says,
        });
    }
    findings
}

/// Of a client that prints its last answer without faults: what of this one it has not printed.
fn missed<'a>(run: &Run, case: &'a Case, baseline: &Baseline) -> Option<&'a str> {
    let last = baseline
        .run
        .exchanges
        .iter()
        .filter_map(|exchange| message(&exchange.response_body))
        .next_back()?;
    let text = last
        .blocks
        .iter()
        .rev()
        .find_map(|block| block["text"].as_str())?;
    let prints = !text.trim().is_empty() && baseline.run.stdout.contains(text.trim());
    if prints && run.end == End::Exited(0) && case.ends_well {
        case.missed_in(&run.stdout)
    } else {
        None
    }
}

/// What later requests say otherwise than the answers were.
fn echoes(run: &Run) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, exchange) in run.exchanges.iter().enumerate() {
        let Some(answer) = message(&exchange.response_body) else {
            continue;
        };
        let answer: Value = json!({"content": answer.blocks});
        for later in &run.exchanges[at + 1..] {
            wrong.extend(generate::echoed(&answer, &later.request_body));
        }
    }
    wrong.dedup();
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_found_again_by_its_id() {
        let all = cells(7, 3);
        assert_eq!(all[2].id, "fuzz/7-2");
        assert_eq!(named("fuzz/7-2").as_ref(), Some(&all[2]));
        assert_eq!(named("fuzz/7"), None);
        assert_eq!(named("files#1/7-2"), None);
    }
}
