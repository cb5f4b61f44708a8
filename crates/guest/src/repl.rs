//! The cells of a container: one interpreter runs them, one after the other, and keeps what they set.
//!
//! A cell may call tools. The interpreter says so when it has nothing else to do; the cell then stands
//! still, its time too, until the host hands it the answers, over as many streams as it takes.

mod cell;
mod interpreter;

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use guest_proto::{
    AnswerBody, CodeAnswer, ErrorKind, ExecDone, Outcome, Settings, WaitingCell, is_call_tag,
};

use crate::child::{End, LAST_SIGNAL, Look};
use crate::ended::Ended;
use crate::exec::could_not_start;
use crate::out::Out;
use crate::sinks::Sinks;
use crate::sys::{Change, Poll};
use crate::tree::{self, Hampered, Killed, Owner, Past};
pub(crate) use cell::Job;
use cell::{Cell, Stop};
use interpreter::{Interpreter, Said};

/// Cells that wait for their turn; more are refused.
const MAX_QUEUED: usize = 256;
/// Results that are kept for a host that asks again: so many, and so many bytes.
const MAX_FINISHED: usize = 16;
const MAX_FINISHED_BYTES: usize = 16 * 1024 * 1024;

/// The one interpreter, what it runs, and what is to be run.
#[derive(Debug, Default)]
pub(crate) struct Repl {
    interpreter: Option<Interpreter>,
    current: Option<Cell>,
    queue: VecDeque<Job>,
    finished: VecDeque<Finished>,
    /// When somebody was ended who held the interpreter.
    freed: Option<Instant>,
}

#[derive(Debug)]
struct Finished {
    tag: String,
    output_dir: String,
    done: ExecDone,
    payload: Vec<u8>,
    state_lost: bool,
}

/// The parts of the guest that it lends to the interpreter.
pub(crate) struct Around<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) out: &'a mut Out,
    pub(crate) sinks: &'a mut Sinks,
    pub(crate) scratch: &'a mut [u8],
    /// The calls that are no cells.
    pub(crate) others: &'a [Owner],
    /// The calls that are over, cells too.
    pub(crate) past: &'a mut Past,
}

impl Repl {
    /// Whether a cell is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// Whether there is an interpreter that runs no cell.
    pub(crate) fn has_idle_interpreter(&self) -> bool {
        self.interpreter.is_some() && !self.is_busy()
    }

    /// Whether there is nothing to look after.
    pub(crate) fn is_idle(&self) -> bool {
        self.interpreter.is_none() && self.queue.is_empty()
    }

    /// The interpreter, as far as its processes go.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        self.interpreter.as_ref().map(Interpreter::owner)
    }

    /// Queues a cell.
    pub(crate) fn run(&mut self, job: Job, around: &mut Around<'_>) {
        let refusal = if !is_call_tag(&job.tag) {
            Some((ErrorKind::Invalid, "the cell's name is no call's"))
        } else if self.knows(&job.tag) {
            Some((ErrorKind::Invalid, "there is a cell of this name"))
        } else if self.queue.len() >= MAX_QUEUED {
            Some((ErrorKind::Busy, "too many cells at once in this sandbox"))
        } else {
            None
        };
        if let Some((kind, message)) = refusal {
            around.out.error(job.asker, kind, message);
            return;
        }
        // With seeded ids a name comes again after a restart.
        self.finished.retain(|finished| finished.tag != job.tag);
        self.queue.push_back(job);
        self.advance(around);
    }

    fn knows(&self, tag: &str) -> bool {
        self.current.as_ref().is_some_and(|cell| cell.tag == tag)
            || self.queue.iter().any(|job| job.tag == tag)
    }

    /// Hands the answers to the cell; `asker` waits for its next stop.
    pub(crate) fn go_on(
        &mut self,
        asker: u64,
        tag: &str,
        answers: &[CodeAnswer],
        texts: &[u8],
        around: &mut Around<'_>,
    ) {
        if let Some(finished) = self.finished.iter().find(|finished| finished.tag == tag) {
            finished.tell(asker, around.out);
            return;
        }
        let (Some(cell), Some(interpreter)) = (
            self.current.as_mut().filter(|cell| cell.tag == tag),
            self.interpreter.as_mut(),
        ) else {
            let message = "there is no such cell";
            around.out.error(asker, ErrorKind::NotFound, message);
            return;
        };
        let Some(fresh) = cell.take_answers(answers, texts) else {
            let message = "the answers do not fit their texts";
            around.out.error(asker, ErrorKind::Invalid, message);
            return;
        };
        if let Some(former) = cell.asker.replace(asker) {
            let message = "the cell was asked for again";
            around.out.error(former, ErrorKind::Busy, message);
        }
        if fresh.is_empty() {
            // Asked again by who has missed where it stands.
            cell.tell_if_waiting(around.out);
        } else {
            interpreter.answer(&fresh);
        }
    }

    /// Nobody waits for this call any more. A cell that its client knows goes on, for at most its time:
    /// the client may ask again.
    pub(crate) fn forget(&mut self, call: u64, others: &[Owner], past: &Past) {
        self.queue.retain(|job| job.asker != call);
        if let Some(cell) = &mut self.current
            && cell.asker == Some(call)
        {
            cell.asker = None;
            if !cell.is_known {
                self.kill(Outcome::Cancelled {}, others, past);
            }
        }
    }

    /// Ends a cell, wherever it is.
    pub(crate) fn end_cell(&mut self, tag: &str, others: &[Owner], past: &Past) {
        self.queue.retain(|job| job.tag != tag);
        self.finished.retain(|finished| finished.tag != tag);
        if self.current.as_ref().is_some_and(|cell| cell.tag == tag) {
            self.kill(Outcome::Cancelled {}, others, past);
        }
    }

    /// The stream on which cells were asked for is over.
    pub(crate) fn lose_askers(&mut self) {
        self.queue.clear();
        if let Some(cell) = &mut self.current {
            cell.asker = None;
        }
    }

    /// The cell that stands still, for a new host.
    pub(crate) fn waiting(&self) -> Option<WaitingCell> {
        let cell = self.current.as_ref().filter(|cell| cell.is_waiting())?;
        Some(WaitingCell {
            tag: cell.tag.clone(),
            calls: cell.open_calls(),
        })
    }

    /// Ends the cell that no client can know of.
    pub(crate) fn release(&mut self, others: &[Owner], past: &Past) {
        if self
            .current
            .as_ref()
            .is_some_and(|cell| cell.asker.is_none() && !cell.is_known)
        {
            self.kill(Outcome::Cancelled {}, others, past);
        }
    }

    /// The interpreter was killed, though its end was not heard of yet: it gets no more cells.
    pub(crate) fn lose_interpreter(&mut self) {
        if let Some(interpreter) = &mut self.interpreter {
            interpreter.expect_end();
        }
    }

    /// The disk is full: the cell fails, and with it the interpreter.
    pub(crate) fn fail_for_disk(&mut self, remark: &str, others: &[Owner], past: &Past) {
        if let Some(cell) = &mut self.current {
            cell.remark.get_or_insert_with(|| remark.to_owned());
        }
        self.kill(Outcome::Exited {}, others, past);
    }

    fn kill(&mut self, outcome: Outcome, others: &[Owner], past: &Past) {
        if let Some(cell) = &mut self.current {
            cell.ending.get_or_insert(outcome);
        }
        if let Some(interpreter) = &mut self.interpreter {
            interpreter.kill(others, past);
        }
    }

    pub(crate) fn watch(&mut self, poll: &mut Poll) {
        if let Some(interpreter) = &mut self.interpreter {
            interpreter.watch(poll);
        }
    }

    /// When the cell's time is up, or the interpreter is to be looked at.
    pub(crate) fn next_look(&mut self) -> Option<Instant> {
        let deadline = self.current.as_ref().and_then(Cell::deadline);
        let is_under_way = self.runs_code();
        let interpreter = self.interpreter.as_mut().filter(|_| is_under_way);
        let held = interpreter.map(|interpreter| interpreter.child().next_look());
        [deadline, held].into_iter().flatten().min()
    }

    /// Takes in what the interpreter has said and written. Answers what had kept a cell from getting on
    /// that has run out of time.
    pub(crate) fn read(&mut self, poll: &Poll, around: &mut Around<'_>) -> Hampered {
        let Some(interpreter) = &mut self.interpreter else {
            return Hampered::No;
        };
        let most = around.settings.max_code_args_bytes;
        let said = interpreter.read(poll, around.scratch, most);
        for said in said {
            match said {
                Said::Calls(calls) => {
                    let Some(cell) = &mut self.current else {
                        continue;
                    };
                    match cell.take_calls(calls, around.settings) {
                        Ok(()) => cell.tell_if_waiting(around.out),
                        Err(reason) => {
                            self.break_off(&reason.to_string(), around.others, around.past);
                            return Hampered::No;
                        }
                    }
                }
                Said::Done(code) => {
                    if let Some(cell) = self.current.take() {
                        self.finish(cell, code, around);
                        if !self.queue.is_empty() {
                            // The next begins at once, and what this one has left is none of it.
                            tree::take_stock(self.owner(), around.past);
                        }
                    }
                }
                // A cell under way ends with its process, which has its time.
                Said::Gone if self.runs_code() => {}
                Said::Gone => {
                    if let Some(interpreter) = &self.interpreter {
                        interpreter.end();
                    }
                }
                Said::Nonsense(reason) => {
                    self.break_off(&reason, around.others, around.past);
                    return Hampered::No;
                }
            }
        }
        let mut hampered = Hampered::No;
        if let Some(cell) = &self.current
            && cell.is_overdue(Instant::now())
        {
            hampered = self.owner().map_or(Hampered::No, tree::hampered);
            self.kill(Outcome::TimedOut {}, around.others, around.past);
        }
        self.look(around);
        self.advance(around);
        hampered
    }

    /// The interpreter does not keep to its words: it ends, as code in it may have wanted.
    fn break_off(&mut self, reason: &str, others: &[Owner], past: &Past) {
        if let Some(cell) = &mut self.current {
            let remark = format!("sandtable: the interpreter was ended: {reason}");
            cell.remark.get_or_insert(remark);
        }
        self.kill(Outcome::Exited {}, others, past);
    }

    /// A process was stopped or has ended; `false` if it is not the interpreter. Says why a cell ended
    /// with it.
    pub(crate) fn changed(
        &mut self,
        pid: i32,
        change: Change,
        around: &mut Around<'_>,
    ) -> (bool, Option<End>) {
        let Some(interpreter) = self
            .interpreter
            .as_mut()
            .filter(|interpreter| interpreter.owner().root.pid == pid)
        else {
            return (false, None);
        };
        let Change::Ended { return_code, .. } = change else {
            interpreter.child().was_stopped();
            return (true, None);
        };
        let end = interpreter.ended(change);
        let is_wanted = self
            .current
            .as_ref()
            .is_some_and(|cell| cell.ending.is_none());
        if end == End::Unborn && is_wanted {
            // Nobody of ours runs in it yet, so that all but the other calls are in its way.
            tree::kill_strangers(around.others);
            if interpreter.start_again(around.settings).is_ok() {
                return (true, None);
            }
        }
        if let Some(cell) = self.current.take() {
            self.finish(cell, return_code, around);
        }
        if let Some(interpreter) = self.interpreter.take() {
            interpreter.close(around.sinks, around.scratch);
        }
        self.advance(around);
        (true, is_wanted.then_some(end))
    }

    /// Sees to an interpreter that others hold while a cell is under way.
    fn look(&mut self, around: &Around<'_>) {
        let is_under_way = self.runs_code();
        let Some(interpreter) = self.interpreter.as_mut().filter(|_| is_under_way) else {
            return;
        };
        let now = Instant::now();
        let Some(look) = interpreter.child().look(now) else {
            return;
        };
        let since = interpreter.cell_since();
        let own = interpreter.owner();
        let others = around.others;
        let kept: Vec<Owner> = others.iter().chain([own]).cloned().collect();
        if look != Look::Free
            && (tree::kill_strangers(&kept) != Killed::Nobody
                || tree::kill_former(own, others, since, around.past) != Killed::Nobody)
        {
            self.freed = Some(now);
            interpreter.child().look_by(now + 2 * LAST_SIGNAL);
        }
        let own = interpreter.owner();
        if self
            .freed
            .is_some_and(|freed| look.is_aftermath_of(freed, now))
        {
            tree::go_on(own);
        }
    }

    /// Whether a cell is under way and does not wait for its host.
    fn runs_code(&self) -> bool {
        self.current.as_ref().is_some_and(|cell| !cell.is_waiting())
    }

    fn finish(&mut self, cell: Cell, return_code: i32, around: &mut Around<'_>) {
        let Some(interpreter) = &mut self.interpreter else {
            return;
        };
        let (owner, since) = (interpreter.owner(), interpreter.cell_since());
        around.past.add(owner, since);
        let (stdout, stderr) = interpreter.cut_output(around.settings, around.scratch);
        let failure = interpreter.child().failure().map(str::to_owned);
        let ended = Ended {
            ending: cell.ending,
            return_code,
            remark: cell.remark,
            stdout,
            stderr,
        };
        let (done, payload) = match failure {
            Some(message) => (could_not_start(message), Vec::new()),
            None => ended.answer(&cell.places, around.settings),
        };
        let finished = Finished {
            tag: cell.tag,
            output_dir: cell.places.output_tag().to_owned(),
            done,
            payload,
            state_lost: cell.state_lost,
        };
        if let Some(asker) = cell.asker {
            finished.tell(asker, around.out);
        }
        if cell.is_known {
            self.keep(finished);
        }
    }

    fn keep(&mut self, finished: Finished) {
        self.finished.push_back(finished);
        let mut bytes: usize = self.finished.iter().map(|one| one.payload.len()).sum();
        while self.finished.len() > MAX_FINISHED
            || (self.finished.len() > 1 && bytes > MAX_FINISHED_BYTES)
        {
            bytes -= self
                .finished
                .pop_front()
                .map_or(0, |oldest| oldest.payload.len());
        }
    }

    /// Begins the next cell, if none is under way.
    fn advance(&mut self, around: &mut Around<'_>) {
        while self.current.is_none()
            && self
                .interpreter
                .as_ref()
                .is_none_or(|interpreter| !interpreter.is_ending())
            && let Some(job) = self.queue.pop_front()
        {
            self.begin(job, around);
        }
    }

    fn begin(&mut self, job: Job, around: &mut Around<'_>) {
        let asker = job.asker;
        let mut state_lost = false;
        let begun = job.prepare(around.settings).and_then(|()| {
            let interpreter = match &mut self.interpreter {
                Some(interpreter) => interpreter,
                none => {
                    let root = Path::new(&around.settings.files_root);
                    state_lost = interpreter::note_start(root);
                    none.insert(Interpreter::start(around.settings, &job.places)?)
                }
            };
            interpreter.begin(&job, around.settings, around.scratch);
            // Who held an earlier cell is gone.
            self.freed = None;
            Ok(())
        });
        match begun {
            Ok(()) => self.current = Some(Cell::new(job, state_lost)),
            Err(error) => {
                let finished = Finished {
                    tag: job.tag,
                    output_dir: job.places.output_tag().to_owned(),
                    done: could_not_start(error.to_string()),
                    payload: Vec::new(),
                    state_lost,
                };
                finished.tell(asker, around.out);
            }
        }
    }
}

impl Finished {
    fn tell(&self, asker: u64, out: &mut Out) {
        let body = AnswerBody::CellDone {
            done: self.done.clone(),
            output_dir: self.output_dir.clone(),
            state_lost: self.state_lost,
        };
        out.answer(asker, body, &self.payload);
    }
}

impl Cell {
    /// Answers who waits, if the cell stands still.
    fn tell_if_waiting(&mut self, out: &mut Out) {
        if let Stop::Here(calls) = self.stop()
            && let Some(asker) = self.asker.take()
        {
            self.is_known = true;
            out.answer(asker, AnswerBody::CellWaits { calls }, &[]);
        }
    }
}
