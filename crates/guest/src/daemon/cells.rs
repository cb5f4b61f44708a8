//! Cells: what the host asks of them, and what becomes of the interpreter.

use guest_proto::CodeAnswer;

use super::{Daemon, owners};
use crate::child::End;
use crate::exec::make_places;
use crate::repl::{Around, Job, Repl};
use crate::sys::{Change, Poll};
use crate::tree::Hampered;

impl Daemon {
    pub(super) fn cell(&mut self, job: Job) {
        if !self.repl.is_busy() {
            self.make_room();
            // What cannot be done the cell says, which makes them when its turn comes.
            self.secure(|settings| make_places(settings, &job.places));
        }
        // At once: a short cell is over before the next look at who is left.
        self.rested = false;
        self.with_repl(|repl, around| repl.run(job, around));
    }

    pub(super) fn go_on(&mut self, call: u64, tag: &str, answers: &[CodeAnswer], texts: &[u8]) {
        self.with_repl(|repl, around| repl.go_on(call, tag, answers, texts, around));
    }

    pub(super) fn read_cells(&mut self, poll: &Poll) {
        if self.repl.is_idle() {
            return;
        }
        let mut hampered = Hampered::No;
        self.with_repl(|repl, around| hampered = repl.read(poll, around));
        self.note_hampered(hampered);
    }

    /// A process that runs no call was stopped or has ended; `false` if it is not the interpreter.
    pub(super) fn interpreter_changed(&mut self, pid: i32, change: Change) -> (bool, Option<End>) {
        let mut result = (false, None);
        self.with_repl(|repl, around| result = repl.changed(pid, change, around));
        result
    }

    /// Lends the interpreter what else there is. Without settings there is none.
    fn with_repl(&mut self, work: impl FnOnce(&mut Repl, &mut Around<'_>)) {
        let Some(settings) = &self.settings else {
            return;
        };
        let others = owners(&self.runs);
        let mut around = Around {
            settings,
            out: &mut self.out,
            sinks: &mut self.sinks,
            scratch: &mut self.scratch,
            others: &others,
            past: &mut self.past,
        };
        work(&mut self.repl, &mut around);
    }
}
