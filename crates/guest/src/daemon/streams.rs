//! One server after another: what a stream that is over has left.

use guest_proto::{AnswerBody, ErrorKind, GENERATION, Outcome, Settings, Token, Unclaimed};

use super::{Daemon, owners};

impl Daemon {
    /// A server comes, perhaps after another: what was half said is void, what runs goes on.
    pub(super) fn resume(&mut self, call: u64, settings: Settings, nonce: Token) {
        self.out.restart(&nonce.mark());
        self.puts.clear();
        self.gets.clear();
        self.repl.lose_askers();
        if !self.settle(call, settings) {
            return;
        }
        let Some(lease) = &mut self.lease else {
            self.out
                .error(call, ErrorKind::Invalid, "this guest has no lease");
            return;
        };
        let epoch = lease.next_epoch();
        let running = self.runs.iter().map(|(call, run)| Unclaimed {
            call: *call,
            output_dir: run.output_dir(),
            done: false,
        });
        let body = AnswerBody::Resumed {
            generation: GENERATION,
            init: crate::sys::is_init(),
            epoch,
            unclaimed: lease.unclaimed().chain(running).collect(),
            waiting: self.repl.waiting(),
        };
        self.out.answer(call, body, &[]);
    }

    pub(super) fn adopt(&mut self, call: u64, earlier: u64) {
        if let Some(run) = self.runs.remove(&earlier) {
            self.runs.insert(call, run);
            return;
        }
        match self.lease.as_mut().and_then(|lease| lease.take(earlier)) {
            Some(kept) => {
                let output_dir = kept.output_dir().to_owned();
                self.answer_exec(call, &output_dir, kept.done, &kept.payload);
            }
            None => self
                .out
                .error(call, ErrorKind::NotFound, "there is no such call"),
        }
    }

    pub(super) fn release(&mut self) {
        let Some(lease) = &mut self.lease else {
            return;
        };
        lease.release();
        let earlier: Vec<u64> = self
            .runs
            .keys()
            .copied()
            .filter(|call| lease.is_earlier(*call))
            .collect();
        for call in earlier {
            self.end(call, Outcome::Cancelled {});
        }
        self.repl.release(&owners(&self.runs), &self.past);
    }
}
