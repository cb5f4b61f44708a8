//! The end of an installation before its time: what runs for it is killed when its server stops, or is killed.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::local::sys;

/// Shared by who installs and who may end that.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// A program runs, and leads a group of this number.
    Runs(Pid),
    Over,
}

impl Stop {
    /// Kills what runs, with its children, and lets nothing else begin.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        if let State::Runs(group) = std::mem::replace(&mut *state, State::Over) {
            // It may have ended of itself.
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(*self.lock(), State::Over)
    }

    /// Starts a program that ends with this thread.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut state = self.lock();
        if matches!(*state, State::Over) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let child = sys::dying_with_thread(command.process_group(0)).spawn()?;
        *state = State::Runs(Pid::from_child(&child));
        Ok(child)
    }

    /// Waits for a program's end.
    pub(super) fn wait(&self, mut child: Child) -> io::Result<ExitStatus> {
        // Its status stays there until nobody sends it a signal any more: from then on its number may be another's.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::process::waitid(WaitId::Pid(Pid::from_child(&child)), ended).ok();
        let mut state = self.lock();
        if matches!(*state, State::Runs(_)) {
            *state = State::Idle;
        }
        drop(state);
        child.wait()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
