//! Calls that are over: what they have left is theirs, and not that of a call which is ended later.

use std::collections::{HashSet, VecDeque};

use super::{Owner, Process, Root, now};

/// Calls that are remembered; of more the oldest are forgotten.
const MAX_PAST: usize = 512;

/// The last calls that are over, but for those of which nobody was left.
#[derive(Debug, Default)]
pub(crate) struct Past {
    calls: VecDeque<Over>,
    /// Who was there when last no call was under way: starts are told in hundredths of a second, too coarse for what
    /// began just before the next call.
    left: HashSet<Root>,
}

#[derive(Debug)]
struct Over {
    root: Root,
    output_dir: String,
    /// Its span of time, in clock ticks since boot.
    begun: u64,
    ended: u64,
}

impl Past {
    /// Remembers a call that ends now.
    pub(crate) fn add(&mut self, owner: &Owner, begun: u64) {
        if self.calls.len() >= MAX_PAST {
            self.calls.pop_front();
        }
        self.calls.push_back(Over {
            root: owner.root,
            output_dir: owner.output_dir.clone(),
            begun,
            ended: now(),
        });
    }

    /// The first processes whose sessions are there still. The number of a session is not given away while
    /// anybody is in it, so that one who was in it before its call's end vouches for those who came later: a
    /// program that comes by the number of a session long gone does not pass for it.
    pub(super) fn sessions(&self, processes: &[Process]) -> Vec<Root> {
        let mut sessions = Vec::new();
        for over in &self.calls {
            if !sessions.contains(&over.root)
                && processes.iter().any(|process| over.has_in_session(process))
            {
                sessions.push(over.root);
            }
        }
        sessions
    }

    /// Whether a call had this output directory when a process began that says it is of that call. The
    /// word of one that began later is worth nothing: it may be anybody's.
    pub(super) fn knows(&self, output_dir: &str, started: u64) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|over| over.covers(started) && over.output_dir == output_dir)
    }

    /// Notes who is left while no call is under way, and forgets the calls of which none of them can be.
    pub(super) fn take_stock(&mut self, processes: &[Process]) {
        self.calls.retain(|over| {
            let mut left = processes.iter();
            left.any(|process| over.has_in_session(process) || over.covers(process.started))
        });
        self.left = processes.iter().map(Process::id).collect();
    }

    /// Whether a process was there when last no call was under way.
    pub(super) fn has_left(&self, process: &Process) -> bool {
        self.left.contains(&process.id())
    }

    #[cfg(test)]
    pub(super) fn of(owner: &Owner, begun: u64, ended: u64) -> Self {
        let mut past = Self::default();
        past.add(owner, begun);
        past.calls[0].ended = ended;
        past
    }
}

impl Over {
    fn covers(&self, started: u64) -> bool {
        (self.begun..=self.ended).contains(&started)
    }

    fn has_in_session(&self, process: &Process) -> bool {
        process.session == self.root.pid
            && (self.root.started..=self.ended).contains(&process.started)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{owner, process};
    use super::*;

    const A: i32 = 900_000_010;

    #[test]
    fn a_session_is_vouched_for_by_who_was_in_it_before_the_end() {
        let past = Past::of(&owner(A, 100), 100, 120);
        let first = process(A + 1, 1, A, 110);
        let later = process(A + 2, 1, A, 130);
        assert_eq!(past.sessions(&[first, later]), [owner(A, 100).root]);
        assert_eq!(past.sessions(&[later]), []);
    }

    #[test]
    fn calls_are_forgotten_of_which_nobody_is_left_and_the_oldest() {
        let mut past = Past::of(&owner(A, 100), 100, 120);
        past.take_stock(&[process(A + 1, 1, A + 1, 115)]);
        assert_eq!(past.calls.len(), 1);
        past.take_stock(&[process(A + 1, 1, A + 1, 121)]);
        assert_eq!(past.calls.len(), 0);
        for pid in 1..=i32::try_from(MAX_PAST).unwrap() + 1 {
            past.add(&owner(pid, 100), 100);
        }
        assert_eq!(past.calls.len(), MAX_PAST);
        assert_eq!(past.calls[0].root.pid, 2);
    }
}
