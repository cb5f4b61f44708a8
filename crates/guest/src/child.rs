//! A child on its way to its program, and held up on it or later by processes that earlier calls left.
//!
//! User code may stop, kill, or trace whatever has its uid. The guest therefore never waits for a child:
//! it looks, from time to time, whether one is held, and starts one again that never became its program.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::sys::{self, Change, ChildMemory, Poll, Program, Spawned, Status, Word};
use crate::tree::{self, Root};

/// Starts of one program before it counts as one that cannot run.
const MAX_STARTS: u32 = 8;
/// From a start to the first look whether it is held; each further one is twice as far, up to the last.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// A program that is killed so soon after its start has hardly asked for it.
const EARLY: Duration = Duration::from_secs(1);
/// The `oom_score_adj` that makes the kernel end it first where memory is short.
const PREY: &str = "1000";

/// A program that was started.
#[derive(Debug)]
pub(crate) struct Child {
    program: Rc<Program>,
    root: Root,
    /// Until it is known what became of its start.
    status: Option<Status>,
    /// Until it has left the guest's memory.
    memory: Option<ChildMemory>,
    place: Option<usize>,
    failure: Option<String>,
    runs: bool,
    starts: u32,
    since: Instant,
    next_look: Instant,
    pause: Duration,
    /// How often it was found held.
    held: u32,
}

/// Why a child has ended, as far as the guest can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It did what it was to do.
    Own,
    /// A signal that programs bring upon themselves, or a program of its own that was killed.
    Hint,
    /// A signal: a call may send it to itself.
    Signal,
    /// Killed, so early that it has hardly asked for it.
    Blow,
    /// It never became its program, and may be started again.
    Unborn,
}

/// The result of a look at a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Free,
    /// It stands still, as it was found so often before.
    Held {
        before: u32,
    },
}

/// For so long after somebody was ended who held up others, what is stopped goes on in the calls that had
/// begun: a last signal may have been on its way.
const AFTERMATH: Duration = Duration::from_millis(500);
/// The same for a call whose first process stands still.
const AFTERMATH_OF_THE_HELD: Duration = Duration::from_secs(2);
/// How long a signal may be on its way that was sent by who is ended.
pub(crate) const LAST_SIGNAL: Duration = Duration::from_millis(50);

impl Look {
    /// Whether what is stopped may be so by who was ended then.
    pub(crate) fn is_aftermath_of(self, freed: Instant, now: Instant) -> bool {
        let aftermath = match self {
            Self::Free => AFTERMATH,
            Self::Held { .. } => AFTERMATH_OF_THE_HELD,
        };
        now < freed + aftermath
    }
}

impl Child {
    /// Starts a program with these as its stdin, stdout, and stderr.
    pub(crate) fn start(program: Program, stdio: [&dyn AsRawFd; 3]) -> io::Result<Self> {
        let program = Rc::new(program);
        let Spawned {
            pid,
            status,
            memory,
        } = sys::spawn(&program, stdio)?;
        let now = Instant::now();
        Ok(Self {
            program,
            root: Root::of(pid),
            status: Some(status),
            memory: Some(memory),
            place: None,
            failure: None,
            runs: false,
            starts: 1,
            since: now,
            next_look: now + FIRST_LOOK,
            pause: FIRST_LOOK,
            held: 0,
        })
    }

    /// Starts it anew, after one that was [`End::Unborn`].
    pub(crate) fn start_again(&mut self, stdio: [&dyn AsRawFd; 3]) -> io::Result<()> {
        let Spawned {
            pid,
            status,
            memory,
        } = sys::spawn(&self.program, stdio)?;
        self.root = Root::of(pid);
        self.status = Some(status);
        self.memory = Some(memory);
        self.starts += 1;
        self.since = Instant::now();
        self.look_again(FIRST_LOOK);
        Ok(())
    }

    /// Its first process.
    pub(crate) fn root(&self) -> Root {
        self.root
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u32 {
        self.starts
    }

    /// Why it could not become its program.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub(crate) fn watch(&mut self, poll: &mut Poll) {
        self.place = self.status.as_ref().map(|status| poll.closed(status));
    }

    pub(crate) fn read(&mut self, poll: &Poll) {
        if self.place.take().is_some_and(|place| poll.is_ready(place)) {
            self.hear();
        }
    }

    /// Takes note of what it has said of its start.
    fn hear(&mut self) {
        match self.status.as_mut().map(Status::read) {
            None | Some(Word::Begins | Word::Disturbed) => return,
            Some(Word::Runs) => {
                self.runs = true;
                self.free_memory();
                // Not sooner: what is not dumpable has its files of `/proc` closed to the guest, too.
                // Best effort: some sandboxes mount `/proc` read-only.
                let score = format!("/proc/{}/oom_score_adj", self.root.pid);
                drop(std::fs::write(score, PREY));
            }
            Some(Word::Failed(error)) => {
                self.failure = Some(format!("starting `{}`: {error}", self.program.name()));
            }
        }
        self.status = None;
    }

    fn free_memory(&mut self) {
        if let Some(memory) = self.memory.take() {
            memory.release();
        }
    }

    /// Classifies its end; after this it is not looked at any more.
    pub(crate) fn ended(&mut self, change: Change) -> End {
        self.hear();
        let Change::Ended {
            return_code,
            by_signal,
        } = change
        else {
            return End::Own;
        };
        self.free_memory();
        if !self.runs && self.failure.is_none() {
            if self.starts < MAX_STARTS {
                return End::Unborn;
            }
            self.failure = Some(format!(
                "starting `{}`: other processes in the container keep it from running",
                self.program.name()
            ));
        }
        why(return_code - 128, by_signal, self.since.elapsed())
    }

    /// When it was started.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Has it looked at no later than then.
    pub(crate) fn look_by(&mut self, at: Instant) {
        self.next_look = self.next_look.min(at);
    }

    /// When to look again whether it is held.
    pub(crate) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Looks at once: the kernel says that it was stopped.
    pub(crate) fn was_stopped(&mut self) {
        self.next_look = Instant::now();
    }

    /// Looks whether it is held, if it is time to.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Look> {
        if now < self.next_look {
            return None;
        }
        if !tree::is_held(self.root) {
            self.look_again((self.pause * 2).min(LAST_LOOK));
            return Some(Look::Free);
        }
        self.look_again(FIRST_LOOK);
        self.held = self.held.saturating_add(1);
        Some(Look::Held {
            before: self.held - 1,
        })
    }

    fn look_again(&mut self, pause: Duration) {
        self.pause = pause;
        self.next_look = Instant::now() + pause;
    }

    /// Whether it has become its program.
    pub(crate) fn runs(&self) -> bool {
        self.runs
    }
}

/// Why a program has ended that had become one; a shell tells of a signal that ended what it ran.
fn why(signal: i32, by_signal: bool, age: Duration) -> End {
    match signal {
        libc::SIGKILL if by_signal && age < EARLY => End::Blow,
        libc::SIGKILL if !by_signal => End::Hint,
        _ if !by_signal => End::Own,
        _ if is_own_fault(signal) => End::Hint,
        _ => End::Signal,
    }
}

/// Signals that a program brings upon itself.
fn is_own_fault(signal: i32) -> bool {
    matches!(
        signal,
        libc::SIGABRT
            | libc::SIGBUS
            | libc::SIGFPE
            | libc::SIGILL
            | libc::SIGPIPE
            | libc::SIGSEGV
            | libc::SIGSYS
            | libc::SIGTRAP
            | libc::SIGXFSZ
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_may_have_done_to_itself_is_no_blow() {
        let long = EARLY * 2;
        let told = |signal, age| why(signal, false, age);
        let struck = |signal, age| why(signal, true, age);
        assert_eq!(struck(libc::SIGKILL, Duration::ZERO), End::Blow);
        assert_eq!(struck(libc::SIGKILL, long), End::Signal);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGALRM] {
            assert_eq!(struck(signal, Duration::ZERO), End::Signal);
            assert_eq!(told(signal, Duration::ZERO), End::Own);
        }
        assert_eq!(struck(libc::SIGSEGV, Duration::ZERO), End::Hint);
        assert_eq!(told(libc::SIGKILL, Duration::ZERO), End::Hint);
        assert_eq!(told(3 - 128, Duration::ZERO), End::Own);
    }
}
