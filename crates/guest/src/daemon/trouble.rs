//! Processes and files that earlier calls have left, where they keep later ones from working.
//!
//! Code may leave processes, and they may send signals to all that have their uid. Whoever stands in the
//! way of a call is ended: first what belongs to no call, then the interpreter if it runs no cell, and
//! before a program has begun, in the end, everybody else.

use std::time::Instant;

use guest_proto::{ErrorKind, Settings};

use super::{Daemon, owners};
use crate::child::{AFTERMATH, End, Look};
use crate::decoy;
use crate::directory;
use crate::files::Failure;
use crate::sys;
use crate::tree::{self, Killed, Owner};

/// Calls in a row that were ended by signals, after which what is left of others is the reason.
const MAX_STRIKES: u32 = 2;
/// Starts of one program, or looks at one that is held before it runs, after which other calls go.
const PATIENCE: u32 = 4;

/// The processes that may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spared {
    Calls,
    CallsUnderWay,
    Nobody,
}

impl Daemon {
    /// Takes note of what has become of children.
    pub(super) fn reap(&mut self) {
        let mut unborn = Vec::new();
        let mut decoy_struck = false;
        while let Ok(Some((pid, change))) = sys::reap() {
            if decoy::is_decoy(pid) {
                decoy::lose(change);
                decoy_struck = true;
                continue;
            }
            let run = self
                .runs
                .iter_mut()
                .find(|(_, run)| run.pid() == pid && run.is_under_way());
            let end = if let Some((call, run)) = run {
                let end = run.changed(change);
                unborn.extend((end == Some(End::Unborn)).then_some(*call));
                end
            } else {
                let (is_ours, end) = self.interpreter_changed(pid, change);
                // One of those that were left is gone: was it the last?
                self.rested &= is_ours;
                end
            };
            self.count(end);
        }
        if decoy_struck {
            self.rested = false;
            if self.is_at_rest() {
                self.clear_way();
            }
        }
        if self.strikes >= MAX_STRIKES {
            self.strikes = 0;
            self.end_suspects();
        }
        for call in unborn {
            self.start_again(call);
        }
    }

    fn count(&mut self, end: Option<End>) {
        self.strikes = match end {
            None | Some(End::Unborn) => self.strikes,
            Some(End::Own) => 0,
            Some(End::Signal) => self.strikes + 1,
            Some(End::Blow) => self.strikes + MAX_STRIKES,
        };
    }

    /// Whether no call is under way.
    fn is_at_rest(&self) -> bool {
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
            let is_aftermath = self.freed.is_some_and(|freed| now < freed + AFTERMATH);
            if (goes_on || is_aftermath)
                && let Some(run) = self.runs.get(&call)
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

    /// Puts directories in place; if that needed repair, what may do the damage again is ended, and they are put in
    /// place once more. `None` without settings.
    pub(super) fn secure<T>(&mut self, put_in_place: impl Fn(&Settings) -> T) -> Option<T> {
        let before = directory::repairs();
        let done = put_in_place(self.settings.as_ref()?);
        if directory::repairs() == before {
            return Some(done);
        }
        self.end_suspects();
        self.settings.as_ref().map(put_in_place)
    }

    /// Ends what earlier calls have left, where it is so much that a program could hardly start others.
    pub(super) fn make_room(&mut self) {
        let most = self.settings.as_ref().map_or(0, |it| it.max_processes);
        if most > 0
            && self.is_at_rest()
            && decoy::is_out()
            && tree::strangers(self.repl.owner()) > most / 2
        {
            self.end_strangers(Spared::Calls);
        }
    }

    /// Ends what earlier calls have left, because one of theirs was hampered to its end.
    pub(super) fn end_left(&mut self) {
        self.end_strangers(Spared::Calls);
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
            self.freed = Some(Instant::now());
        }
        if killed == Killed::Outrun {
            // A fork bomb that outruns the scans takes the programs of other calls with it.
            sys::kill_all_others();
        }
        killed
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
                if directory::repairs() != before {
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
            if tree::has_strangers(self.repl.owner()) {
                decoy::put_out();
            } else {
                decoy::take_in();
            }
        }
        self.rested = at_rest;
    }
}
