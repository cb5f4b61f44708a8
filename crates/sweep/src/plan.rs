//! Which cells are played, and in which order.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::catalogue::Cell;
use super::{Options, SweepError, fuzz};
use common::bounded;

/// Pairs without a budget.
const PAIRS: usize = 100;

/// How much is played at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    Runs(usize),
    Time(Duration),
}

/// When no more is begun.
pub(super) fn deadline(budget: Option<Budget>, began: Instant) -> Option<Instant> {
    match budget {
        Some(Budget::Time(time)) => Some(began + time),
        Some(Budget::Runs(_)) | None => None,
    }
}

/// The budget of single faults: half of it where pairs come as well.
pub(super) fn share(options: &Options) -> Option<Budget> {
    let half = options.pairs;
    options.budget.map(|budget| match budget {
        Budget::Runs(runs) if half => Budget::Runs(runs.div_ceil(2)),
        Budget::Time(time) if half => Budget::Time(time / 2),
        Budget::Runs(_) | Budget::Time(_) => budget,
    })
}

/// Those that are wanted, in the order of the catalogue, or sampled where there is a budget.
pub(super) fn choose(all: &[Cell], options: &Options) -> Result<Vec<Cell>, SweepError> {
    if !options.only.is_empty() {
        let mut known = all.to_vec();
        // Recordings answer nothing that nobody wrote.
        if !options.is_replay {
            known.extend(fuzz::cells(options.seed, options.fuzz));
        }
        let mut chosen: Vec<Cell> = Vec::new();
        for id in &options.only {
            for cell in named(&known, id)? {
                if !chosen.contains(&cell) {
                    chosen.push(cell);
                }
            }
        }
        return Ok(chosen);
    }
    match share(options) {
        None => Ok(all.to_vec()),
        Some(Budget::Runs(runs)) => Ok(spread(all, options.seed).into_iter().take(runs).collect()),
        Some(Budget::Time(_)) => Ok(spread(all, options.seed)),
    }
}

/// The cell of an id, both of a pair, or all of a request.
fn named(all: &[Cell], id: &str) -> Result<Vec<Cell>, SweepError> {
    let unknown = |part: &str| {
        let request = part.split('/').next().unwrap_or_default();
        let near = all.iter().filter(|cell| cell.request == request);
        let mut near: Vec<&str> = near.map(|cell| &*cell.id).collect();
        if near.is_empty() {
            near = all.iter().map(|cell| &*cell.request).collect();
            near.dedup();
        }
        near.truncate(60);
        SweepError::Unknown {
            id: part.to_owned(),
            hint: format!("there are {}", near.join(", ")),
        }
    };
    if let Some((first, second)) = id.split_once('+') {
        let one = |part: &str| {
            let found = all.iter().find(|cell| cell.id == part);
            found.ok_or_else(|| unknown(part))
        };
        return Ok(vec![one(first)?.and(one(second)?)]);
    }
    if let Some(cell) = fuzz::named(id) {
        return Ok(vec![cell]);
    }
    let pattern = bounded::glob(id).ok();
    let found: Vec<Cell> = all
        .iter()
        .filter(|cell| {
            cell.id == id
                || cell.request == id
                || pattern
                    .as_ref()
                    .is_some_and(|pattern| pattern.matches(&cell.id))
        })
        .cloned()
        .collect();
    if found.is_empty() {
        Err(unknown(id))
    } else {
        Ok(found)
    }
}

/// A number for a text that is the same in every sweep with this seed.
fn luck(seed: u64, text: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(text);
    hash.finalize().into()
}

/// In an order in which every kind of fault and every request comes early: the kinds take turns, and each time another
/// request is met.
fn spread(all: &[Cell], seed: u64) -> Vec<Cell> {
    let mut kinds: BTreeMap<[u8; 32], Vec<&Cell>> = BTreeMap::new();
    for cell in all {
        kinds.entry(luck(seed, &cell.kind)).or_default().push(cell);
    }
    for cells in kinds.values_mut() {
        cells.sort_by_key(|cell| luck(seed, &cell.id));
    }
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order = Vec::new();
    while order.len() < all.len() {
        for cells in kinds.values_mut() {
            // The request that was met least so far.
            let least = (0..cells.len())
                .min_by_key(|at| met.get(&*cells[*at].request).copied().unwrap_or(0));
            if let Some(at) = least {
                let cell = cells.remove(at);
                *met.entry(&cell.request).or_default() += 1;
                order.push(cell.clone());
            }
        }
    }
    order
}

/// Two faults in one run, of those that each came out well alone.
pub(super) fn pairs(
    all: &[Cell],
    good: &HashSet<String>,
    options: &Options,
    played: usize,
) -> Vec<Cell> {
    let singles: Vec<&Cell> = all.iter().filter(|cell| good.contains(&cell.id)).collect();
    let wanted = match options.budget {
        Some(Budget::Runs(runs)) => runs.saturating_sub(played),
        Some(Budget::Time(_)) | None => PAIRS,
    };
    let order = spread(
        &singles
            .iter()
            .map(|cell| (*cell).clone())
            .collect::<Vec<_>>(),
        options.seed,
    );
    let mut pairs: Vec<Cell> = Vec::new();
    let mut seen = HashSet::new();
    // Each is paired with one that is drawn for it, round after round.
    for round in 0_u64.. {
        let before = pairs.len();
        for one in &order {
            if pairs.len() == wanted {
                return pairs;
            }
            let other = order.iter().min_by_key(|other| {
                luck(
                    options.seed ^ round.wrapping_add(1),
                    &format!("{}+{}", one.id, other.id),
                )
            });
            let Some(other) = other.filter(|other| other.id != one.id) else {
                continue;
            };
            let (first, second) = if one.id < other.id {
                (one, other)
            } else {
                (other, one)
            };
            if seen.insert((first.id.clone(), second.id.clone())) {
                pairs.push(first.and(second));
            }
        }
        if pairs.len() == before {
            break;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Expect, Group, Less};

    fn cell(request: &str, kind: &str) -> Cell {
        let expect = Expect {
            notices: true,
            may_give_up: false,
            less: Less::Nothing,
            wait: None,
            extra: Duration::ZERO,
            forgives: &[],
        };
        Cell {
            id: format!("{request}/{kind}"),
            request: request.into(),
            kind: kind.into(),
            group: Group::Http,
            says: kind.into(),
            faults: vec![serde_json::json!({"at": kind})],
            script: None,
            expect,
        }
    }

    fn all() -> Vec<Cell> {
        let requests = ["files#1", "messages#1", "messages#2"];
        let kinds = ["cut", "reset", "http-529", "http-500"];
        requests
            .iter()
            .flat_map(|request| kinds.map(|kind| cell(request, kind)))
            .collect()
    }

    #[test]
    fn a_budget_reaches_every_kind_and_every_request_and_follows_the_seed() {
        let options = |seed| Options {
            budget: Some(Budget::Runs(4)),
            seed,
            ..Options::default()
        };
        let chosen = choose(&all(), &options(1)).unwrap();
        let kinds: HashSet<_> = chosen.iter().map(|cell| &cell.kind).collect();
        let requests: HashSet<_> = chosen.iter().map(|cell| &cell.request).collect();
        assert_eq!((kinds.len(), requests.len()), (4, 3));
        assert_eq!(chosen, choose(&all(), &options(1)).unwrap());
        assert!((2..20).any(|seed| choose(&all(), &options(seed)).unwrap() != chosen));
    }

    #[test]
    fn cells_are_named_by_id_by_request_by_pattern_and_as_pairs() {
        let only = |ids: &[&str]| {
            let only = ids.iter().map(|id| (*id).to_owned()).collect();
            choose(
                &all(),
                &Options {
                    only,
                    ..Options::default()
                },
            )
        };
        assert_eq!(only(&["files#1/cut"]).unwrap().len(), 1);
        assert_eq!(only(&["files#1"]).unwrap().len(), 4);
        assert_eq!(only(&["*/http-*"]).unwrap().len(), 6);
        let pair = only(&["files#1/cut+messages#2/reset"]).unwrap();
        assert_eq!(pair[0].faults.len(), 2);
        let error = common::hinted::told(&only(&["files#1/cur"]).unwrap_err());
        assert!(error.contains("files#1/cut"), "{error}");
    }

    #[test]
    fn conversations_that_nobody_wrote_are_named_as_other_cells_are() {
        let only = |id: &str, fuzz| {
            let options = Options {
                only: vec![id.to_owned()],
                fuzz,
                seed: 3,
                ..Options::default()
            };
            choose(&all(), &options)
        };
        for id in ["fuzz", "fuzz/*", "fuzz/3-*"] {
            let ids: Vec<_> = only(id, 2)
                .unwrap()
                .into_iter()
                .map(|cell| cell.id)
                .collect();
            assert_eq!(ids, ["fuzz/3-0", "fuzz/3-1"], "{id}");
        }
        assert!(only("fuzz/*", 0).is_err());
        let error = common::hinted::told(&only("fuzz/4-*", 2).unwrap_err());
        assert!(error.contains("there are fuzz/3-0, fuzz/3-1"), "{error}");
    }

    #[test]
    fn pairs_are_of_good_cells_and_no_two_are_the_same() {
        let good: HashSet<String> = all()
            .iter()
            .filter(|cell| cell.kind != "cut")
            .map(|cell| cell.id.clone())
            .collect();
        let options = Options {
            budget: Some(Budget::Runs(20)),
            ..Options::default()
        };
        let pairs = pairs(&all(), &good, &options, 8);
        assert_eq!(pairs.len(), 12);
        let ids: HashSet<_> = pairs.iter().map(|pair| &pair.id).collect();
        assert_eq!(ids.len(), 12);
        assert!(pairs.iter().all(|pair| !pair.kind.contains("cut")));
    }
}
