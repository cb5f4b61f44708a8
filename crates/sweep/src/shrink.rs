//! The smallest list of faults that still fails: delta debugging.

use std::time::Duration;

use serde_json::{Value, json};

use super::baseline::Baseline;
use super::catalogue::{Expect, Less};
use super::outcome::{self, Outcome};
use super::secrets::Secrets;
use super::{Options, Place, SweepError};

/// The faults that are left, and how many runs it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    pub faults: Vec<Value>,
    pub runs: usize,
    /// The outcome of the command with them.
    pub how: &'static str,
    pub says: String,
}

/// The expectation of a client with faults that nobody has judged.
const ANY: Expect = Expect {
    notices: true,
    may_give_up: true,
    less: Less::Nothing,
    wait: None,
    extra: Duration::ZERO,
    forgives: &[],
};

/// Runs the command without faults, with all, and with fewer and fewer, as long as the same becomes of it.
pub async fn shrink(
    place: &Place<'_>,
    options: &Options,
    faults: Vec<Value>,
) -> Result<Shrunk, SweepError> {
    let baseline = Baseline::new(vec![
        place
            .run(
                "shrink-baseline",
                &[],
                None,
                options.limit.unwrap_or(super::run::BASELINE_LIMIT),
            )
            .await?,
    ])?;
    let limit = options.limit.unwrap_or_else(|| baseline.limit());
    let mut number = 0;
    let mut become_of = async |faults: &[Value]| -> Result<(Outcome, String), SweepError> {
        number += 1;
        let run = place
            .run(&format!("shrink-{number}"), faults, None, limit)
            .await?;
        let first = outcome::judge(&run, ANY, &baseline).into_iter().next();
        Ok(first.map_or((Outcome::NotMet, String::new()), |first| {
            let says = Secrets::known().hidden(&first.says);
            (first.outcome, says)
        }))
    };
    let (how, says) = become_of(&faults).await?;
    if matches!(
        how,
        Outcome::Unharmed | Outcome::Recovered | Outcome::NotMet
    ) {
        return Err(SweepError::Survived(says));
    }
    let (faults, runs) = least(faults, async |fewer: &[Value]| {
        Ok(become_of(fewer).await?.0 == how)
    })
    .await?;
    Ok(Shrunk {
        faults,
        runs: runs + 1,
        how: how.name(),
        says,
    })
}

/// Numbers of faults that may be smaller without being another fault, and the least they may be.
const NUMBERS: &[(&str, u64)] = &[
    ("times", 1),
    ("count", 1),
    ("for_ms", 1),
    ("delay_ms", 1),
    ("after_events", 1),
    ("after_blocks", 1),
    ("after_bytes", 0),
];

/// Takes faults away, and makes numbers smaller, as long as `fails` says that the run still fails.
async fn least(
    faults: Vec<Value>,
    mut fails: impl AsyncFnMut(&[Value]) -> Result<bool, SweepError>,
) -> Result<(Vec<Value>, usize), SweepError> {
    let mut runs = 0;
    let mut kept = faults;
    let mut parts = 2;
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let mut smaller = None;
        for at in (0..kept.len()).step_by(size) {
            let mut rest = kept.clone();
            rest.drain(at..(at + size).min(kept.len()));
            runs += 1;
            if !rest.is_empty() && fails(&rest).await? {
                smaller = Some(rest);
                break;
            }
        }
        match smaller {
            Some(rest) => {
                kept = rest;
                parts = 2.max(parts - 1);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(kept.len()),
        }
    }
    for at in 0..kept.len() {
        for (name, least) in NUMBERS {
            let Some(number) = kept[at][*name].as_u64() else {
                continue;
            };
            let (mut low, mut high) = ((*least).min(number), number);
            while low < high {
                let middle = low + (high - low) / 2;
                let mut tried = kept.clone();
                tried[at][*name] = json!(middle);
                runs += 1;
                if fails(&tried).await? {
                    (kept, high) = (tried, middle);
                } else {
                    low = middle + 1;
                }
            }
        }
    }
    Ok((kept, runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_of_many_faults_are_found_with_their_smallest_numbers() {
        let faults: Vec<Value> = (0..23).map(|n| json!({"name": n, "times": 12})).collect();
        let has = |faults: &[Value], name: u64| {
            faults
                .iter()
                .any(|fault| fault["name"] == name && fault["times"].as_u64() >= Some(3))
        };
        let (kept, runs) = least(faults, async |faults: &[Value]| {
            Ok(has(faults, 4) && has(faults, 17))
        })
        .await
        .unwrap();
        let names: Vec<_> = kept
            .iter()
            .map(|fault| fault["name"].as_u64().unwrap())
            .collect();
        assert_eq!(names, [4, 17]);
        assert!(kept.iter().all(|fault| fault["times"] == 3), "{kept:?}");
        assert!(runs < 80, "{runs}");
    }

    #[tokio::test]
    async fn one_that_fails_alone_is_left_alone() {
        let faults = vec![json!({"at": "http", "status": 529})];
        let shrunk = least(faults.clone(), async |_: &[Value]| Ok(true))
            .await
            .unwrap();
        assert_eq!(shrunk, (faults, 0));
    }
}
