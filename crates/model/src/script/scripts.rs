//! The scripts of one workspace over those given by file.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, RwLock};

use control_api::{Loaded, RuleState, ScriptCheck, UnusedStep};

use super::base::Base;
use super::park::{Parked, Parking, Place};
use super::parse;
use super::rule::Rule;
use super::run::Run;
use super::unmatched::{self, Near};
use super::usage::{self, Counted, LayerName, Usage, counted, info};
use crate::{Model, ModelError, TurnRequest, history};
use common::document::Diagnostic;
use common::limits::TURN_ROUNDS;

/// The scripts of one workspace. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Scripts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    base: Arc<Base>,
    own: RwLock<Arc<[Counted]>>,
    /// The texts that these came from, in the same order.
    sources: RwLock<Vec<Source>>,
    /// The base layer's rules with this workspace's counts, and the generation they belong to.
    beneath: RwLock<(u64, Arc<[Counted]>)>,
    parked: Parking,
    /// Some turn looked for a rule here, since the last reset.
    asked: AtomicBool,
}

/// A text of rules.
#[derive(Debug)]
struct Source {
    text: String,
    /// What stands for its file's name.
    origin: String,
    /// How many it has.
    rules: usize,
}

impl Source {
    fn new(text: &str, origin: &str, rules: usize) -> Self {
        Self {
            text: text.to_owned(),
            origin: origin.to_owned(),
            rules,
        }
    }
}

/// Why one text does not take the place of another.
#[derive(Debug)]
pub enum NotReplaced {
    /// There are only so many.
    Missing(usize),
    Wrong(Vec<Diagnostic>),
}

fn loaded(rules: usize) -> Loaded {
    Loaded {
        rules: rules as u64,
    }
}

/// The diagnostics of rules that are not loaded. `origin` stands where a file name would.
pub fn examine(source: &str, origin: &str) -> ScriptCheck {
    let told = |all: &[Diagnostic]| all.iter().map(Diagnostic::told).collect();
    match parse::rules_and_warnings(source, origin, None) {
        Ok((rules, warnings)) => ScriptCheck {
            ok: true,
            rules: rules.len() as u64,
            errors: Vec::new(),
            warnings: told(&warnings),
        },
        Err(mistakes) => ScriptCheck {
            ok: false,
            rules: 0,
            errors: told(&mistakes),
            warnings: Vec::new(),
        },
    }
}

impl Scripts {
    /// A workspace without scripts of its own, over `base`.
    pub fn new(base: Arc<Base>) -> Self {
        Self(Arc::new(Inner {
            base,
            ..Inner::default()
        }))
    }

    /// Replaces the workspace's own rules. A mistake changes nothing. `origin` stands where a file
    /// name would.
    pub fn replace(&self, source: &str, origin: &str) -> Result<Loaded, Vec<Diagnostic>> {
        let rules = parse::rules(source, origin)?;
        let mut own = write(&self.0.own);
        *own = counted(&rules);
        *write(&self.0.sources) = vec![Source::new(source, origin, rules.len())];
        Ok(loaded(rules.len()))
    }

    /// Replaces one of the workspace's texts, counted from 1; the rules of the others keep their counts. A mistake changes
    /// nothing. Without an `origin` it keeps that of the text before.
    pub fn replace_one(
        &self,
        number: usize,
        source: &str,
        origin: Option<&str>,
    ) -> Result<Loaded, NotReplaced> {
        let place = |sources: &[Source]| {
            let at = number.checked_sub(1).filter(|at| *at < sources.len());
            at.ok_or(NotReplaced::Missing(sources.len()))
        };
        let origin = {
            let sources = read(&self.0.sources);
            origin
                .unwrap_or(&sources[place(&sources)?].origin)
                .to_owned()
        };
        let rules = parse::rules(source, &origin).map_err(NotReplaced::Wrong)?;
        let mut own = write(&self.0.own);
        let mut sources = write(&self.0.sources);
        let at = place(&sources)?;
        let begin: usize = sources[..at].iter().map(|source| source.rules).sum();
        let end = begin + sources[at].rules;
        let parts = [&own[..begin], &counted(&rules), &own[end..]];
        *own = parts.concat().into();
        sources[at] = Source::new(source, &origin, rules.len());
        Ok(loaded(own.len()))
    }

    /// Adds rules after the workspace's own, which keep their counts. A mistake changes nothing.
    pub fn add(&self, source: &str, origin: &str) -> Result<Loaded, Vec<Diagnostic>> {
        let rules = parse::rules(source, origin)?;
        let mut own = write(&self.0.own);
        *own = own
            .iter()
            .cloned()
            .chain(counted(&rules).iter().cloned())
            .collect();
        write(&self.0.sources).push(Source::new(source, origin, rules.len()));
        Ok(loaded(own.len()))
    }

    /// Every rule in the order of matching.
    pub fn list(&self) -> Vec<RuleState> {
        self.layers()
            .into_iter()
            .flat_map(|(name, rules)| {
                rules
                    .iter()
                    .map(|rule| info(rule, name))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The steps that no request reached.
    pub fn unused_steps(&self) -> Vec<UnusedStep> {
        let mut unused = Vec::new();
        for (name, rules) in &self.layers() {
            let mut named: HashMap<(&str, &str), u64> = HashMap::new();
            for counted in rules.iter() {
                let (rule, _) = counted;
                let nth = named.entry((&rule.file, &rule.name)).or_default();
                unused.extend(usage::unused(counted, *name, *nth));
                *nth += 1;
            }
        }
        unused
    }

    /// How many steps of all rules run something in a sandbox.
    pub fn sandboxed_steps(&self) -> usize {
        let layers = self.layers();
        let rules = layers.iter().flat_map(|(_, rules)| rules.iter());
        rules.map(|(rule, _)| rule.sandboxed_steps()).sum()
    }

    /// Whether a turn has looked for a rule since the last reset.
    pub fn were_asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// The texts of the workspace's own rules, as they were given.
    pub fn sources(&self) -> Vec<String> {
        let sources = read(&self.0.sources);
        sources.iter().map(|source| source.text.clone()).collect()
    }

    /// Why no rule matched, if that is what `error` says: the nearest rules.
    pub fn nearest(&self, request: &TurnRequest, error: &ModelError) -> Option<Vec<Near>> {
        let layers = self.layers();
        let rules = layers.iter().flat_map(|(_, rules)| rules.iter());
        unmatched::is_one(error).then(|| unmatched::nearest(request, rules).0)
    }

    /// Drops the workspace's own rules. Turns under way go on.
    pub fn clear(&self) {
        let mut own = write(&self.0.own);
        *own = Arc::default();
        write(&self.0.sources).clear();
    }

    /// Back to the base layer with fresh counts; turns that wait are forgotten.
    pub fn reset(&self) {
        self.clear();
        *write(&self.0.beneath) = (0, Arc::default());
        *self.parked() = Parked::default();
        self.0.asked.store(false, Ordering::Relaxed);
    }

    /// Whether there is no rule, neither the workspace's own nor the base layer's.
    pub fn is_empty(&self) -> bool {
        read(&self.0.own).is_empty() && self.0.base.is_empty()
    }

    /// The model of the first rule that matches; for a continuation that is not known here, the place
    /// that the history leads to.
    pub fn start(&self, request: &TurnRequest) -> Result<Box<dyn Model>, ModelError> {
        self.0.asked.store(true, Ordering::Relaxed);
        let layers = self.layers();
        let continues = is_continuation(request);
        if continues && let Some(run) = self.continue_unknown(request, &layers)? {
            return Ok(Box::new(run));
        }
        // A rule that has said its last word must not begin again in the same turn.
        let is_fresh =
            |counted: &Counted| !continues || self.fits_afresh(counted, request).unwrap_or(false);
        if let Some(run) = self.first(&layers, request, is_fresh) {
            return Ok(Box::new(run));
        }
        let rules = layers.iter().flat_map(|(_, rules)| rules.iter());
        Err(unmatched::error(request, rules))
    }

    /// The model of a turn that ended here in client calls or a pause, if `request` continues one; of a request for a
    /// compaction alone always one, which says nothing else.
    pub fn resume(&self, request: &TurnRequest) -> Result<Option<Box<dyn Model>>, ModelError> {
        if request.body["compaction"].is_object() {
            return self.compact(request).map(Some);
        }
        if !is_continuation(request) {
            return Ok(None);
        }
        let Some(mut place) = self.waiting_place(request)? else {
            return Ok(None);
        };
        let interrupted = std::mem::take(&mut place.interrupted);
        let run = Run::new(place, request, self.parking());
        // Another rule may have been written for the client's answer.
        let over = run.is_done() && !interrupted && self.has_other_rule(request);
        Ok((!over).then(|| Box::new(run) as Box<dyn Model>))
    }

    /// The run that waits for what `request` brings.
    pub(super) fn waiting(&self, request: &TurnRequest) -> Result<Option<Run>, ModelError> {
        let place = self.waiting_place(request)?;
        Ok(place.map(|place| Run::new(place, request, self.parking())))
    }

    fn waiting_place(&self, request: &TurnRequest) -> Result<Option<Place>, ModelError> {
        let place = if request.answered.is_empty() {
            let behind = history::compacted_in(&request.body);
            let keys = history::pause_keys(&request.body, &request.user_text);
            self.parked().find(behind.iter().chain(&keys))
        } else {
            self.parked().find(request.answered.iter())
        };
        if let Some(place) = &place {
            guard(&place.rule, request)?;
        }
        Ok(place.map(Arc::unwrap_or_clone))
    }

    /// The run of the first rule that matches and would begin as is wanted.
    pub(super) fn first_that_begins(
        &self,
        request: &TurnRequest,
        as_wanted: impl Fn(&Run) -> bool,
    ) -> Option<Run> {
        let is_wanted = |(rule, _): &Counted| as_wanted(&self.tried(rule, request));
        self.first(&self.layers(), request, is_wanted)
    }

    fn first(
        &self,
        layers: &[(LayerName, Arc<[Counted]>)],
        request: &TurnRequest,
        is_wanted: impl Fn(&Counted) -> bool,
    ) -> Option<Run> {
        let mut rules = layers.iter().flat_map(|(_, rules)| rules.iter());
        let (rule, usage) = rules.find(|counted| {
            let (rule, usage) = counted;
            rule.matches(request) && is_wanted(counted) && usage.claim(rule.times)
        })?;
        let place = Place::start(Arc::clone(rule), Arc::clone(usage));
        Some(Run::begin(place, request, self.parking()))
    }

    /// Keeps in mind an answer that paused without a place to go on from.
    pub(crate) fn keep_pause(&self, key: String) {
        self.parked().pause(key);
    }

    /// Whether `request` goes on from an answer that paused, with a place to go on from or without.
    pub fn knows_pause(&self, request: &TurnRequest) -> bool {
        if !request.resumes_pause {
            return false;
        }
        let behind = history::compacted_in(&request.body);
        let keys = history::pause_keys(&request.body, &request.user_text);
        let parked = self.parked();
        // The calls behind the two endings may be older than the last answer.
        let endings = behind.iter().chain(keys.iter().take(2));
        parked.has_paused(&keys) || parked.find(endings).is_some()
    }

    /// Whether a run waits for the answer to this call.
    pub fn knows(&self, call: &str) -> bool {
        self.parked()
            .find(std::iter::once(&call.to_owned()))
            .is_some()
    }

    /// Where its runs leave their places.
    pub(super) fn parking(&self) -> Parking {
        self.0.parked.clone()
    }

    fn has_other_rule(&self, request: &TurnRequest) -> bool {
        let layers = self.layers();
        layers
            .iter()
            .flat_map(|(_, rules)| rules.iter())
            .any(|counted| self.fits_afresh(counted, request).unwrap_or(false))
    }

    /// Whether the rule matches without having said already what the history holds. `Err`: it has said it, and
    /// a result there is not as it expects.
    fn fits_afresh(
        &self,
        (rule, usage): &Counted,
        request: &TurnRequest,
    ) -> Result<bool, ModelError> {
        if !rule.matches(request) {
            return Ok(false);
        }
        let spent = rule.times.is_some_and(|times| usage.used() >= times);
        // Texts that a client may have changed are known by the calls between them; where there is none, a rule with
        // other texts has not said these.
        let exact = !history::has_calls(&request.body);
        let said = self.tried(rule, request).skip_history(request, exact)?;
        Ok(!said && !spent)
    }

    /// A run that is tried: what it does counts only once it is chosen.
    fn tried(&self, rule: &Arc<Rule>, request: &TurnRequest) -> Run {
        let place = Place::start(Arc::clone(rule), Usage::of(rule));
        Run::begin(place, request, self.parking())
    }

    /// The turn began on another server, or its place is forgotten: the first rule that would have
    /// said what the history holds goes on after it. That is no new answer of the rule. `Err`: nobody can have
    /// said it but a rule that a result there fails.
    fn continue_unknown(
        &self,
        request: &TurnRequest,
        layers: &[(LayerName, Arc<[Counted]>)],
    ) -> Result<Option<Run>, ModelError> {
        let candidates: Vec<&Counted> = layers
            .iter()
            .flat_map(|(_, rules)| rules.iter())
            .filter(|(rule, _)| rule.matches(request))
            .collect();
        if let Some((rule, _)) = candidates.first() {
            guard(rule, request)?;
        }
        let mut done = None;
        for exact in [true, false] {
            for (rule, usage) in &candidates {
                let mut run = self.tried(rule, request);
                if !run.skip_history(request, exact).unwrap_or(false) {
                    continue;
                }
                if !run.is_done() {
                    return Ok(Some(run.gone_on(usage)));
                }
                done.get_or_insert((run, usage));
            }
            if done.is_some() && !history::has_calls(&request.body) {
                break;
            }
        }
        for counted in &candidates {
            match self.fits_afresh(counted, request) {
                Ok(false) => {}
                Ok(true) => return Ok(None),
                Err(_) if done.is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done.map(|(run, usage)| run.gone_on(usage)))
    }

    fn layers(&self) -> [(LayerName, Arc<[Counted]>); 2] {
        let own = Arc::clone(&read(&self.0.own));
        [
            (LayerName::Workspace, own),
            (LayerName::Base, self.beneath()),
        ]
    }

    /// The base layer with this workspace's counts, begun afresh whenever the base changes.
    fn beneath(&self) -> Arc<[Counted]> {
        let generation = self.0.base.generation();
        {
            let beneath = read(&self.0.beneath);
            if beneath.0 == generation {
                return Arc::clone(&beneath.1);
            }
        }
        let mut beneath = write(&self.0.beneath);
        let (generation, rules) = self.0.base.rules();
        if beneath.0 != generation {
            *beneath = (generation, counted(&rules));
        }
        Arc::clone(&beneath.1)
    }

    fn parked(&self) -> MutexGuard<'_, Parked> {
        self.0.parked.lock()
    }
}

fn is_continuation(request: &TurnRequest) -> bool {
    request.resumes_pause || !request.answered.is_empty()
}

/// A rule that never ends: its answers make the client ask again and again.
fn guard(rule: &Rule, request: &TurnRequest) -> Result<(), ModelError> {
    let rounds = history::rounds(&request.body);
    if rounds <= TURN_ROUNDS {
        return Ok(());
    }
    Err(ModelError::new(format!(
        "{}: rule `{}` does not end: this turn has {rounds} answers already, the most is \
             {TURN_ROUNDS}",
        rule.place(),
        rule.name
    )))
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
