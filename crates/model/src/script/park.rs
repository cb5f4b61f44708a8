//! Where turns go on: the places of runs that ended in client calls or a pause.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rule::Rule;
use super::usage::Usage;
use crate::CallResult;
use common::limits::{PARKED_BYTES, PARKED_PLACES};

/// The place of a run. Taken up again as often as a client repeats its request.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) rule: Arc<Rule>,
    pub(super) usage: Arc<Usage>,
    /// Whether the rule is of the tour.
    pub(super) shipped: bool,
    /// Whether its last answer ended where it did not mean it to.
    pub(super) interrupted: bool,
    /// The next instruction.
    pub(super) next: usize,
    /// The instruction whose calls have no results yet, and their ids in the order of the calls.
    pub(super) pending: Option<(usize, Vec<String>)>,
    pub(super) captures: BTreeMap<String, String>,
    pub(super) results: Vec<Arc<CallResult>>,
    /// The last call of the turn so far, and the text after it.
    pub(super) last_id: String,
    pub(super) trail: String,
}

impl Place {
    /// A place at the beginning of a rule.
    pub(super) fn start(rule: Arc<Rule>, usage: Arc<Usage>) -> Self {
        Self {
            rule,
            usage,
            shipped: false,
            interrupted: false,
            next: 0,
            pending: None,
            captures: BTreeMap::new(),
            results: Vec::new(),
            last_id: String::new(),
            trail: String::new(),
        }
    }

    fn size_bytes(&self) -> usize {
        let captures: usize = self.captures.values().map(String::len).sum();
        let results: usize = self
            .results
            .iter()
            // `content` repeats stdout and stderr.
            .map(|result| 256 + 2 * (result.stdout.len() + result.stderr.len()))
            .sum();
        512 + captures + results + self.trail.len()
    }
}

/// The places of one workspace; the oldest go when there are too many.
#[derive(Debug, Default)]
pub(super) struct Parked {
    by_key: HashMap<String, Arc<Place>>,
    oldest_first: VecDeque<Entry>,
    bytes: usize,
    /// Keys of pauses without a place, oldest first.
    pauses: VecDeque<String>,
}

#[derive(Debug)]
struct Entry {
    keys: Vec<String>,
    place: Arc<Place>,
    bytes: usize,
}

/// The parking place of a workspace, for its scripts and for their runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Parking(Arc<Mutex<Parked>>);

impl Parking {
    pub(super) fn lock(&self) -> MutexGuard<'_, Parked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the place of a run under `keys`.
    pub(super) fn keep(&self, keys: Vec<String>, place: Place) {
        self.lock().insert(keys, place);
    }
}

impl Parked {
    /// Keeps `place` under each of `keys`.
    pub(super) fn insert(&mut self, keys: Vec<String>, place: Place) {
        let place = Arc::new(place);
        let bytes = place.size_bytes() + keys.iter().map(String::len).sum::<usize>();
        for key in &keys {
            self.by_key.insert(key.clone(), Arc::clone(&place));
        }
        self.bytes += bytes;
        self.oldest_first.push_back(Entry { keys, place, bytes });
        // The newest stays, however large it is.
        while self.oldest_first.len() > 1
            && (self.oldest_first.len() > PARKED_PLACES || self.bytes > PARKED_BYTES)
        {
            let Some(oldest) = self.oldest_first.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes;
            for key in oldest.keys {
                if self
                    .by_key
                    .get(&key)
                    .is_some_and(|place| Arc::ptr_eq(place, &oldest.place))
                {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    /// Keeps in mind that an answer paused.
    pub(super) fn pause(&mut self, key: String) {
        self.pauses.push_back(key);
        if self.pauses.len() > PARKED_PLACES {
            self.pauses.pop_front();
        }
    }

    /// Whether an answer paused under one of these keys.
    pub(super) fn has_paused(&self, keys: &[String]) -> bool {
        self.pauses.iter().any(|key| keys.contains(key))
    }

    /// The place under the first of `keys` that is known.
    pub(super) fn find<'k>(
        &self,
        mut keys: impl Iterator<Item = &'k String>,
    ) -> Option<Arc<Place>> {
        keys.find_map(|key| self.by_key.get(key)).cloned()
    }
}
