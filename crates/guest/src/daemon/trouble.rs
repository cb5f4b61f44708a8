//! Processes and files that earlier calls have left, where they keep later ones from working.
//!
//! Code may leave processes, and they may send signals to all that have their uid. Whoever stands in the
//! way of a call is ended: first what belongs to no call, then the interpreter if it runs no cell, and
//! before a program has begun, in the end, everybody else.
//!
//! What a call may have done to itself is an accident the first time, and nobody is ended for it: the guest
//! undoes it, or puts out a decoy, and looks whether it happens again.

use std::thread;
use std::time::{Duration, Instant};

use guest_proto::{ErrorKind, Settings};

use super::{Daemon, owners};
use crate::child::{End, LAST_SIGNAL, Look};
use crate::decoy;
use crate::directory;
use crate::environment::make_parents;
use crate::exec::{self, Job, Refusal, Run};
use crate::files::Failure;
use crate::sys;
use crate::tree::{self, FAREWELL, Hampered, Killed, Owner, Trial};

/// The weight of the signs in calls in a row after which what is left of others is the reason.
const MAX_STRIKES: u32 = 4;
const HINT: u32 = 1;
const SIGNAL: u32 = 2;
/// From one look whether something happens again to the next.
const STEP: Duration = Duration::from_millis(5);
/// Starts of one program, or looks at one that is held before it runs, after which other calls go.
const PATIENCE: u32 = 4;
/// How long a program waits for a process that the kernel still counts.
const MOMENT: Duration = Duration::from_millis(100);

/// The processes that may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spared {
    Calls,
    CallsUnderWay,
    Nobody,
}

/// The news of children.
#[derive(Debug, Default)]
struct News {
    unborn: Vec<u64>,
    /// Whether a call has met something that others may have done.
    is_sign: bool,
    decoy_struck: bool,
}

impl Daemon {
    /// Takes note of what has become of children, and does what follows from it.
    pub(super) fn reap(&mut self) {
        let mut news = News::default();
        self.hear_of_children(&mut news);
        self.act_on(news);
    }

    fn hear_of_children(&mut self, news: &mut News) {
        while let Ok(Some((pid, change))) = sys::reap() {
            if decoy::is_decoy(pid) {
                decoy::lose(change);
                news.decoy_struck = true;
                continue;
            }
            let run = self
                .runs
                .iter_mut()
                .find(|(_, run)| run.pid() == pid && run.is_under_way());
            let end = if let Some((call, run)) = run {
                let end = run.changed(change);
                news.unborn
                    .extend((end == Some(End::Unborn)).then_some(*call));
                end
            } else {
                let (is_ours, end) = self.interpreter_changed(pid, change);
                // One of those that were left is gone: was it the last?
                self.rested &= is_ours;
                end
            };
            news.is_sign |= self.count(end);
        }
    }

    fn act_on(&mut self, mut news: News) {
        if news.is_sign && self.strikes < MAX_STRIKES && self.is_decoy_struck(&mut news) {
            self.strikes += MAX_STRIKES;
        }
        if news.decoy_struck {
            self.rested = false;
            if self.is_at_rest() {
                self.clear_way();
            }
        }
        if self.strikes >= MAX_STRIKES {
            self.strikes = 0;
            self.end_suspects();
        }
        for call in news.unborn {
            self.start_again(call);
        }
    }

    /// Weighs the end of a call; whether it is a sign of others.
    fn count(&mut self, end: Option<End>) -> bool {
        let weight = match end {
            None | Some(End::Unborn) => return false,
            Some(End::Own) => {
                self.strikes = 0;
                return false;
            }
            Some(End::Hint) => HINT,
            Some(End::Signal) => SIGNAL,
            Some(End::Blow) => MAX_STRIKES,
        };
        self.strikes += weight;
        true
    }

    /// Whether somebody strikes a decoy, as a call was struck.
    fn is_decoy_struck(&mut self, news: &mut News) -> bool {
        if sys::is_init() && !news.decoy_struck && tree::has_strangers(self.repl.owner()) {
            decoy::put_out();
            let trial = Trial::begin(self.repl.owner());
            while decoy::is_out() && trial.goes_on(self.repl.owner()) {
                thread::sleep(STEP);
                self.hear_of_children(news);
            }
        }
        news.decoy_struck
    }

    /// Takes note of what had kept a call from getting on that was ended for its time.
    pub(super) fn note_hampered(&mut self, hampered: Hampered) {
        match hampered {
            Hampered::No => {}
            Hampered::Stopped => {
                let is_sign = self.count(Some(End::Signal));
                self.act_on(News {
                    is_sign,
                    ..News::default()
                });
            }
            Hampered::Traced => {
                self.end_strangers(Spared::Calls);
            }
        }
    }

    /// Whether no call is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.runs.is_empty() && !self.repl.is_busy()
    }

    fn start_again(&mut self, call: u64) {
        let starts = self
            .runs
            .get_mut(&call)
            .map_or(0, |run| run.child().starts());
        if starts > PATIENCE {
            self.end_strangers(Spared::Nobody);
        } else {
            self.clear_way();
        }
        if let (Some(run), Some(settings)) = (self.runs.get_mut(&call), &self.settings) {
            run.start_again(settings);
        }
    }

    /// Sees to the programs that others hold.
    pub(super) fn look_after(&mut self) {
        let now = Instant::now();
        let looks: Vec<(u64, Look, bool)> = self
            .runs
            .iter_mut()
            .filter(|(_, run)| run.is_under_way())
            .filter_map(|(call, run)| {
                let child = run.child();
                child.look(now).map(|look| (*call, look, child.runs()))
            })
            .collect();
        for (call, look, runs) in looks {
            let goes_on = match look {
                Look::Free => false,
                Look::Held { before } if runs => self.free(before),
                Look::Held { before } if before < PATIENCE => {
                    self.clear_way();
                    true
                }
                Look::Held { .. } => {
                    self.end_strangers(Spared::Nobody);
                    true
                }
            };
            let freed = self.freed.filter(|freed| look.is_aftermath_of(*freed, now));
            if let Some(run) = self.runs.get_mut(&call)
                // What began later, nobody but itself has stopped.
                && (goes_on || freed.is_some_and(|freed| run.child().since() < freed + LAST_SIGNAL))
            {
                tree::go_on(run.owner());
            }
        }
    }

    /// Ends who may hold a program that runs; `false` if it can only be itself, and then it stays so.
    fn free(&mut self, before: u32) -> bool {
        self.end_strangers(Spared::Calls) != Killed::Nobody
            || (self.repl.has_idle_interpreter()
                && (before == 0 || self.end_strangers(Spared::CallsUnderWay) != Killed::Nobody))
    }

    /// Ends what is in the way of a call that has done nothing yet; `false` if there is nobody.
    pub(super) fn clear_way(&mut self) -> bool {
        self.end_strangers(Spared::Calls) != Killed::Nobody
            || self.end_strangers(Spared::CallsUnderWay) != Killed::Nobody
    }

    /// Ends what earlier calls have left that may have done harm; `false` if there is nobody.
    fn end_suspects(&mut self) -> bool {
        self.end_strangers(Spared::Calls) != Killed::Nobody
            // An interpreter that has nothing beside itself is hardly to blame.
            || (tree::has_strangers(self.repl.owner())
                && self.end_strangers(Spared::CallsUnderWay) != Killed::Nobody)
    }

    /// Puts directories in place; if somebody undoes that, who may have done it is ended, and they are put in
    /// place once more. `None` without settings.
    pub(super) fn secure<T>(&mut self, put_in_place: impl Fn(&Settings) -> T) -> Option<T> {
        let before = directory::repairs();
        let mut done = put_in_place(self.settings.as_ref()?);
        let is_undone = self.is_undone(directory::repairs() != before, |settings| {
            done = put_in_place(settings);
        });
        if is_undone {
            self.end_suspects();
            return self.settings.as_ref().map(put_in_place);
        }
        Some(done)
    }

    /// Whether it is no accident that directories needed repair: they need it again at once, or did when they were
    /// last looked at.
    fn is_undone(&mut self, repaired: bool, mut put_in_place: impl FnMut(&Settings)) -> bool {
        let comes_back = std::mem::replace(&mut self.repaired, repaired) && repaired;
        let Some(settings) = self.settings.as_ref().filter(|_| repaired) else {
            return false;
        };
        let mut is_undone = comes_back;
        let trial = Trial::begin(self.repl.owner());
        while !is_undone && trial.goes_on(self.repl.owner()) {
            thread::sleep(STEP);
            let before = directory::repairs();
            put_in_place(settings);
            is_undone = directory::repairs() != before;
        }
        // Whoever it was is ended now.
        self.repaired = !is_undone;
        is_undone
    }

    /// Ends what earlier calls have left, where it is so much that a program could hardly start others.
    pub(super) fn make_room(&mut self) {
        let most = self.settings.as_ref().map_or(0, |it| it.max_processes);
        if most > 0
            && self.is_at_rest()
            && self.has_left
            && tree::strangers(self.repl.owner()) > most / 2
        {
            self.end_strangers(Spared::Calls);
        }
    }

    /// Starts a program where there is no process left, while no other call is under way. `None` without settings.
    pub(super) fn start_in_a_crowd(&mut self, job: &Job<'_>) -> Option<Result<Run, Refusal>> {
        let mut started = self.start_within(MOMENT, job)?;
        if started.as_ref().is_err_and(Refusal::is_crowd) {
            // What calls that are over have left must not keep the next one out.
            self.kill_all_others();
            started = self.start_within(FAREWELL, job)?;
        }
        Some(started)
    }

    /// The kernel counts a process for a moment after its end, and until it was heard of.
    fn start_within(&mut self, patience: Duration, job: &Job<'_>) -> Option<Result<Run, Refusal>> {
        let end = Instant::now() + patience;
        loop {
            let started = exec::start(self.settings.as_ref()?, job);
            if !started.as_ref().is_err_and(Refusal::is_crowd) || Instant::now() >= end {
                return Some(started);
            }
            thread::sleep(Duration::from_millis(2));
            self.hear_of_children(&mut News::default());
        }
    }

    fn end_strangers(&mut self, spared: Spared) -> Killed {
        let mut kept: Vec<Owner> = match spared {
            Spared::Nobody => Vec::new(),
            Spared::Calls | Spared::CallsUnderWay => owners(&self.runs),
        };
        let is_kept = match spared {
            Spared::Calls => true,
            Spared::CallsUnderWay => self.repl.is_busy(),
            Spared::Nobody => false,
        };
        kept.extend(self.repl.owner().filter(|_| is_kept).cloned());
        let killed = tree::kill_strangers(&kept);
        if killed != Killed::Nobody {
            if !is_kept {
                self.repl.lose_interpreter();
            }
            let now = Instant::now();
            self.freed = Some(now);
            for run in self.runs.values_mut() {
                run.child().look_by(now + 2 * LAST_SIGNAL);
            }
        }
        if killed == Killed::Outrun {
            // A fork bomb that outruns the scans takes the programs of other calls with it.
            self.kill_all_others();
        }
        killed
    }

    /// Kills every process of the sandbox but the guest.
    pub(super) fn kill_all_others(&mut self) {
        sys::kill_all_others();
        self.repl.lose_interpreter();
    }

    /// Does something with files, again if there was somebody who may have been in its way.
    pub(super) fn insist<T>(
        &mut self,
        work: impl Fn(&Settings) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(settings) = &self.settings else {
            return Err(Failure::invalid("the first request must be hello"));
        };
        let before = directory::repairs();
        match work(settings) {
            Err(failure) if failure.kind == ErrorKind::Io && self.clear_way() => {
                match &self.settings {
                    Some(settings) => work(settings),
                    None => Err(failure),
                }
            }
            result => {
                let look = |settings: &Settings| drop(make_parents(settings));
                if self.is_undone(directory::repairs() != before, look) {
                    self.end_suspects();
                }
                result
            }
        }
    }

    /// While no call is under way, something left of earlier ones is watched by a decoy.
    pub(super) fn mind_decoy(&mut self) {
        if !sys::is_init() {
            return;
        }
        let at_rest = self.is_at_rest();
        if at_rest && !self.rested {
            self.has_left = tree::take_stock(self.repl.owner(), &mut self.past);
            if self.has_left {
                decoy::put_out();
            } else {
                decoy::take_in();
            }
        }
        self.rested = at_rest;
    }
}
