//! Cells: what the host asks of them, and what becomes of the interpreter.

use guest_proto::CodeAnswer;

use super::{Daemon, owners};
use crate::repl::{Around, Job, Repl};
use crate::sys::{Ended, Poll};

impl Daemon {
    pub(super) fn cell(&mut self, job: Job) {
        self.with_repl(|repl, around| repl.run(job, around));
    }

    pub(super) fn go_on(&mut self, call: u64, tag: &str, answers: &[CodeAnswer], texts: &[u8]) {
        self.with_repl(|repl, around| repl.go_on(call, tag, answers, texts, around));
    }

    pub(super) fn read_cells(&mut self, poll: &Poll) {
        if self.repl.is_idle() {
            return;
        }
        self.with_repl(|repl, around| repl.read(poll, around));
    }

    pub(super) fn interpreter_ended(&mut self, ended: Ended) {
        self.with_repl(|repl, around| {
            repl.ended(ended.pid, ended.return_code, around);
        });
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
        };
        work(&mut self.repl, &mut around);
    }
}
