//! A layer of faults with its counts: which one fires on an occasion.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control_api::{FaultGiven, FaultLayer, FaultState};
use serde_json::Value;

use super::{Act, Fault, FaultError, HttpAct, Occasion, StreamAct, WireAct};
use common::ids::Ids;
use common::limits;

/// The faults of a workspace, or of one request.
#[derive(Debug, Default)]
pub struct Faults {
    base: Arc<[Fault]>,
    dice: Dice,
    state: Mutex<State>,
}

/// Where a `probability` gets its luck: with a seed, the same in every run.
#[derive(Debug, Default)]
pub struct Dice {
    seed: Option<u64>,
    scope: String,
}

#[derive(Debug, Default)]
pub(super) struct State {
    last_id: u64,
    /// Asked before `base`.
    pub(super) own: Vec<Entry>,
    base: Vec<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    pub(super) fault: Arc<Fault>,
    matched: u64,
    fired: u64,
}

/// A fault that fires.
#[derive(Debug, Clone)]
pub struct Fired {
    pub fault: Arc<Fault>,
    id: u64,
    layer: FaultLayer,
}

impl Fired {
    /// The same, of a request's own.
    #[must_use]
    pub fn of_request(self) -> Self {
        Self {
            layer: FaultLayer::Request,
            ..self
        }
    }

    /// Whether the client gets no good answer from it.
    pub fn fails(&self) -> bool {
        match &self.fault.act {
            Act::Http(act) => match act {
                HttpAct::Error { .. } | HttpAct::Cut | HttpAct::Wait(None) => true,
                // The request goes on, perhaps to another answer.
                HttpAct::Wait(Some(_)) | HttpAct::Advance(_) | HttpAct::DeleteFile => false,
            },
            Act::Stream { act, .. } => !matches!(act, StreamAct::Wait(Some(_))),
            Act::Wire(act) => matches!(
                act,
                WireAct::Hang(_)
                    | WireAct::Reset(_)
                    | WireAct::Lost { .. }
                    | WireAct::Malformed { .. }
            ),
            // The client is told, in a whole answer.
            Act::Tool(_) | Act::Turn(_) => false,
        }
    }

    /// Whether the request is not carried out for it.
    pub(crate) fn forestalls(&self) -> bool {
        matches!(self.fault.act, Act::Http(_)) && self.fails()
    }

    /// Which one it is.
    pub fn describe(&self) -> FaultGiven {
        FaultGiven {
            id: self.id,
            layer: self.layer,
            fault: self.fault.given.clone(),
        }
    }
}

impl Dice {
    /// `scope` keeps workspaces and requests apart.
    pub fn new(seed: Option<u64>, scope: &str) -> Self {
        Self {
            seed,
            scope: scope.to_owned(),
        }
    }

    /// From 0 to 1, for the `nth` occasion of a fault.
    fn throw(&self, fault: u64, nth: u64) -> f64 {
        let scope: [&[u8]; 4] = [
            b"fault",
            self.scope.as_bytes(),
            &fault.to_le_bytes(),
            &nth.to_le_bytes(),
        ];
        let hex = Ids::new(self.seed, &scope).next_hex16();
        let number = u32::from_str_radix(&hex[..8], 16).expect("these are hexadecimal digits");
        f64::from(number) / (f64::from(u32::MAX) + 1.0)
    }
}

impl Faults {
    /// The faults of a file under none of one's own.
    pub fn new(base: Arc<[Fault]>, dice: Dice) -> Self {
        let faults = Self {
            base,
            dice,
            state: Mutex::default(),
        };
        faults.reset();
        faults
    }

    /// Adds faults after one's own, all or none, and returns how they are listed.
    pub fn add(&self, faults: Vec<Fault>) -> Result<Vec<FaultState>, FaultError> {
        let mut state = self.lock();
        if state.own.len() + faults.len() > limits::MAX_FAULTS {
            return Err(FaultError {
                message: format!("a workspace takes {} faults", limits::MAX_FAULTS),
                hint: "`DELETE /_sandtable/faults` forgets them".to_owned(),
            });
        }
        let first = state.own.len();
        for fault in faults {
            state.last_id += 1;
            let entry = Entry::new(state.last_id, fault);
            state.own.push(entry);
        }
        Ok(state.own[first..]
            .iter()
            .map(|entry| entry.describe(FaultLayer::Workspace))
            .collect())
    }

    /// Every fault with its counts, in the order they are asked.
    pub fn list(&self) -> Vec<FaultState> {
        let state = self.lock();
        let own = state
            .own
            .iter()
            .map(|entry| entry.describe(FaultLayer::Workspace));
        own.chain(
            state
                .base
                .iter()
                .map(|entry| entry.describe(FaultLayer::File)),
        )
        .collect()
    }

    /// One's own, as they were given.
    pub fn own(&self) -> Vec<Value> {
        let state = self.lock();
        let given = state.own.iter().map(|entry| entry.fault.given.clone());
        given.collect()
    }

    /// Those that never fired, or not as often as they may.
    pub fn unused(&self) -> Vec<FaultState> {
        let state = self.lock();
        let layers = [
            (FaultLayer::Workspace, &state.own),
            (FaultLayer::File, &state.base),
        ];
        layers
            .into_iter()
            .flat_map(|(layer, entries)| {
                let unused = entries.iter().filter(|entry| entry.is_unused());
                unused.map(move |entry| entry.describe(layer))
            })
            .collect()
    }

    /// Forgets one's own; those of a file stay, with their counts.
    pub fn clear(&self) {
        self.lock().own.clear();
    }

    /// Back to those of a file, unused.
    pub fn reset(&self) {
        let mut state = self.lock();
        *state = State::default();
        for fault in self.base.iter() {
            state.last_id += 1;
            let entry = Entry::new(state.last_id, fault.clone());
            state.base.push(entry);
        }
    }

    /// The fault that fires on `occasion`; counts it. Every fault that fits counts the occasion, and the
    /// first that is due fires.
    pub fn fire(&self, occasion: Occasion<'_>) -> Option<Fired> {
        self.meet(occasion, true)
    }

    /// Counts an occasion on which a fault of a layer above has fired.
    pub(crate) fn pass(&self, occasion: Occasion<'_>) {
        self.meet(occasion, false);
    }

    fn meet(&self, occasion: Occasion<'_>, may_fire: bool) -> Option<Fired> {
        let mut state = self.lock();
        if state.own.is_empty() && state.base.is_empty() {
            return None;
        }
        let State { own, base, .. } = &mut *state;
        let mut fired = None;
        let layers = [(FaultLayer::Workspace, own), (FaultLayer::File, base)];
        let entries = layers
            .into_iter()
            .flat_map(|(layer, entries)| entries.iter_mut().map(move |entry| (layer, entry)));
        for (layer, entry) in entries {
            if entry.fault.fits(occasion) {
                entry.matched += 1;
                if may_fire && fired.is_none() && entry.is_due(&self.dice) {
                    entry.fired += 1;
                    fired = Some(Fired {
                        fault: Arc::clone(&entry.fault),
                        id: entry.id,
                        layer,
                    });
                }
            }
        }
        fired
    }

    /// Whether a fault of requests to this path wants to know their bodies.
    pub fn asks_for_body(&self, method: &str, path: &str) -> bool {
        let state = self.lock();
        let mut entries = state.own.iter().chain(&state.base);
        entries.any(|entry| entry.fault.asks_for_body() && entry.fault.may_fit(method, path))
    }

    /// Whether there are any that change how the bytes of answers travel.
    pub fn are_of_wires(&self) -> bool {
        let state = self.lock();
        let mut entries = state.own.iter().chain(&state.base);
        entries.any(|entry| matches!(entry.fault.act, Act::Wire(_)))
    }

    /// Whether the model that was asked must be known once there is an answer: by faults of its bytes, and by whoever
    /// says which faults the request was meant for.
    pub fn ask_for_model(&self) -> bool {
        let state = self.lock();
        let mut entries = state.own.iter().chain(&state.base);
        entries.any(|entry| entry.fault.is_of_a_model())
    }

    /// Whether any of them is of turns as a whole.
    pub fn has_turn_faults(&self) -> bool {
        let state = self.lock();
        let mut entries = state.own.iter().chain(&state.base);
        entries.any(|entry| entry.fault.needs_a_turn())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn may_fit(&self, method: &str, path: &str) -> bool {
        let mut any_model = self.clone();
        any_model.select.model = None;
        any_model.fits(Occasion::Http {
            method,
            path,
            model: None,
            names_file: true,
        })
    }
}

impl Entry {
    fn new(id: u64, fault: Fault) -> Self {
        Self {
            id,
            fault: Arc::new(fault),
            matched: 0,
            fired: 0,
        }
    }

    fn is_due(&self, dice: &Dice) -> bool {
        let select = &self.fault.select;
        self.matched >= select.nth
            && select.times.is_none_or(|times| self.fired < times)
            && select
                .probability
                .is_none_or(|probability| dice.throw(self.id, self.matched) < probability)
    }

    pub(super) fn is_unused(&self) -> bool {
        let select = &self.fault.select;
        match (select.times, select.probability) {
            // Luck decided, and it had its occasions.
            (_, Some(_)) => self.matched == 0,
            (Some(times), None) => self.fired < times,
            (None, None) => self.fired == 0,
        }
    }

    pub(super) fn describe(&self, layer: FaultLayer) -> FaultState {
        // null: for ever.
        let left = self.fault.select.times.map(|times| times - self.fired);
        FaultState {
            id: self.id,
            layer,
            fault: self.fault.given.clone(),
            matched: self.matched,
            fired: self.fired,
            left,
            note: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fault::parse;

    const OCCASION: Occasion<'_> = Occasion::Http {
        method: "POST",
        path: "/v1/messages",
        model: Some("claude-opus-5"),
        names_file: false,
    };

    fn faults(value: &Value, seed: u64) -> Faults {
        let faults = Faults::new(Arc::default(), Dice::new(Some(seed), "test"));
        faults.add(parse(value).unwrap()).unwrap();
        faults
    }

    fn fires(faults: &Faults, occasions: usize) -> Vec<bool> {
        (0..occasions)
            .map(|_| faults.fire(OCCASION).is_some())
            .collect()
    }

    #[test]
    fn a_fault_fires_once_unless_it_says_otherwise() {
        let once = faults(&json!({"at": "http", "status": 500}), 1);
        assert_eq!(fires(&once, 3), [true, false, false]);
        let twice = faults(
            &json!({"at": "http", "status": 500, "nth": 2, "times": 2}),
            1,
        );
        assert_eq!(fires(&twice, 4), [false, true, true, false]);
        for always in [json!(0), json!("always")] {
            let always = faults(&json!({"at": "http", "status": 500, "times": always}), 1);
            assert_eq!(fires(&always, 3), [true; 3]);
            assert_eq!(always.list()[0].left, None);
        }
    }

    #[test]
    fn the_first_that_is_due_fires_and_every_fitting_one_counts() {
        let two = faults(
            &json!([{"at": "http", "status": 500}, {"at": "http", "status": 529, "nth": 2}]),
            1,
        );
        assert_eq!(fires(&two, 3), [true, true, false]);
        let list = two.list();
        assert_eq!((list[1].matched, list[1].fired), (3, 1));
        assert_eq!(list[1].left, Some(0));
    }

    #[test]
    fn an_occasion_that_a_layer_above_has_taken_counts() {
        let second = faults(&json!({"at": "http", "status": 500, "nth": 2}), 1);
        second.pass(OCCASION);
        assert_eq!(second.list()[0].matched, 1);
        assert_eq!(fires(&second, 2), [true, false]);
    }

    #[test]
    fn the_wire_of_a_model_is_that_of_requests_for_it() {
        let slow = json!({"at": "wire", "do": "merge", "model": "claude-haiku-*", "times": 0});
        let slow = faults(&slow, 1);
        assert!(slow.ask_for_model());
        let meets = |model| {
            let occasion = Occasion::Wire {
                method: "POST",
                path: "/v1/messages",
                model,
                stream: true,
            };
            slow.fire(occasion).is_some()
        };
        let models = [Some("claude-haiku-4-5"), Some("claude-opus-4-6"), None];
        assert_eq!(models.map(meets), [true, false, false]);
    }

    #[test]
    fn code_that_goes_on_is_not_made_greedy() {
        let greedy = faults(&json!({"at": "tool", "do": "exhaust_memory"}), 1);
        let meets = |goes_on| {
            let occasion = Occasion::Tool {
                model: "claude-opus-4-6",
                tool: model::ServerTool::Python,
                goes_on,
            };
            greedy.fire(occasion).is_some()
        };
        assert_eq!([true, false].map(meets), [false, true]);
    }

    #[test]
    fn luck_is_the_same_with_the_same_seed() {
        let spec = json!({"at": "http", "status": 500, "probability": 0.3});
        let first = fires(&faults(&spec, 7), 200);
        assert_eq!(first, fires(&faults(&spec, 7), 200));
        assert_ne!(first, fires(&faults(&spec, 8), 200));
        let hits = first.iter().filter(|hit| **hit).count();
        assert!((40..80).contains(&hits), "{hits} of 200");
    }

    #[test]
    fn a_reset_returns_to_the_file_unused() {
        let base: Arc<[Fault]> = parse(&json!({"at": "http", "status": 500})).unwrap().into();
        let faults = Faults::new(base, Dice::default());
        faults
            .add(parse(&json!({"at": "stream", "do": "cut"})).unwrap())
            .unwrap();
        assert_eq!(fires(&faults, 2), [true, false]);
        faults.clear();
        assert_eq!((faults.list().len(), faults.list()[0].left), (1, Some(0)));
        faults.reset();
        assert_eq!(fires(&faults, 2), [true, false]);
    }
}
