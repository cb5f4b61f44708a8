//! Legal conversations that nobody wrote: a client must neither crash on them nor misread them.

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::SweepError;
use super::baseline::Baseline;
use super::catalogue::{Cell, Expect, Group, Less};
use super::effects::message;
use super::outcome::{Finding, Outcome, fell};
use super::process::End;
use super::run::Run;
use crate::generate::{self, Case, gist};

/// The name that stands for a request in cells.
const NAME: &str = "fuzz";

/// Runs that a smaller conversation may cost.
const MOST_RUNS: usize = 200;

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

/// The conversation of an id such as `fuzz/7-12`, or of a tape such as `fuzz/3.0.7`.
pub(super) fn named(id: &str) -> Option<Cell> {
    match numbers(id) {
        Some((seed, index)) => Some(cell(seed, index)),
        None => case_of(id).map(small),
    }
}

/// The seed and the number of an id such as `fuzz/7-12`.
fn numbers(id: &str) -> Option<(u64, u64)> {
    let (seed, index) = id.strip_prefix("fuzz/")?.split_once('-')?;
    Some((seed.parse().ok()?, index.parse().ok()?))
}

fn case_of(id: &str) -> Option<Case> {
    if let Some((seed, index)) = numbers(id) {
        return Some(generate::case(seed, index));
    }
    let words = id.strip_prefix("fuzz/")?;
    if !words.contains('.') {
        return None;
    }
    let tape: Option<Vec<u32>> = words.split('.').map(|number| number.parse().ok()).collect();
    Some(generate::from_tape(&tape?))
}

fn cell(seed: u64, index: u64) -> Cell {
    let says = format!("a legal conversation, number {index} of seed {seed}");
    let id = format!("{NAME}/{seed}-{index}");
    of_case(id, says, generate::case(seed, index))
}

/// A conversation by its tape.
fn small(case: Case) -> Cell {
    let mut numbers: Vec<String> = case.tape.iter().map(u32::to_string).collect();
    // With a dot it is told from a seed, and what is missing is zero.
    while numbers.len() < 2 {
        numbers.push("0".to_owned());
    }
    let numbers = numbers.join(".");
    let says = "a small legal conversation".to_owned();
    of_case(format!("{NAME}/{numbers}"), says, case)
}

fn of_case(id: String, says: String, case: Case) -> Cell {
    Cell {
        id,
        request: NAME.to_owned(),
        kind: NAME.to_owned(),
        group: Group::Fuzz,
        says,
        faults: case.faults,
        script: Some(case.script),
        expect: LEGAL,
    }
}

/// The smallest conversation found with which a client still fails, and after how many runs; `None` if every smaller
/// one does well. `fails` plays one; so many are played at a time.
pub(super) async fn smallest<F: Future<Output = Result<bool, SweepError>>>(
    id: &str,
    jobs: usize,
    fails: impl Fn(Cell) -> F,
) -> Result<Option<(Cell, usize)>, SweepError> {
    let Some(mut least) = case_of(id) else {
        return Ok(None);
    };
    let (mut runs, mut found) = (0, false);
    'smaller: while runs < MOST_RUNS {
        let known = least.tape.clone();
        let cases = generate::smaller(&known).map(|tape| generate::from_tape(&tape));
        let cases = cases.filter(|case| (case.tape.len(), &case.tape) < (known.len(), &known));
        let played = stream::iter(cases.take(MOST_RUNS - runs))
            .map(|case| {
                let played = fails(small(case.clone()));
                async move { Ok::<_, SweepError>(played.await?.then_some(case)) }
            })
            .buffered(jobs.max(1));
        tokio::pin!(played);
        while let Some(case) = played.next().await {
            runs += 1;
            if let Some(case) = case? {
                (least, found) = (case, true);
                continue 'smaller;
            }
        }
        break;
    }
    Ok(found.then(|| (small(least), runs)))
}

/// The findings of such a run.
pub(super) fn judge(run: &Run, id: &str, baseline: &Baseline) -> Vec<Finding> {
    let mut findings: Vec<Finding> = fell(run, &baseline.run).into_iter().collect();
    for wrong in echoes(run) {
        findings.push(Finding {
            outcome: Outcome::Mistaken,
            bad: true,
            says: format!("sent back what was never said: {wrong}"),
        });
    }
    let case = case_of(id);
    if let Some(missed) = case.as_ref().and_then(|case| missed(run, case, baseline)) {
        findings.push(Finding {
            outcome: Outcome::Mistaken,
            bad: true,
            says: format!(
                "did not print the text of the last answer, which is {:?}",
                gist(missed)
            ),
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

/// The differences between later requests and the answers that they repeat.
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
        let small = small(generate::from_tape(&[3, 0, 7]));
        assert_eq!(named(&small.id).as_ref(), Some(&small));
        assert_eq!(named("fuzz/x.1"), None);
    }

    #[tokio::test]
    async fn of_a_failing_conversation_the_smallest_is_found_and_named_so_that_it_plays_again() {
        let breaks = |cell: &Cell| cell.script.as_deref().is_some_and(|it| it.contains('😀'));
        let first = cells(2, 100).into_iter().find(breaks).unwrap();
        let fails = async |cell: Cell| Ok(breaks(&cell));
        let found = smallest(&first.id, 4, |cell| fails(cell)).await.unwrap();
        let (small, runs) = found.unwrap();
        assert!(breaks(&small) && runs <= MOST_RUNS);
        let length = |cell: &Cell| cell.script.as_ref().unwrap().len();
        assert!(
            length(&small) < length(&first).min(400),
            "{:?}",
            small.script
        );
        assert_eq!(named(&small.id), Some(small));
        let none = smallest(&first.id, 4, async |_| Ok(false)).await.unwrap();
        assert!(none.is_none());
    }
}
