//! A process that does nothing: who sends it a signal sends signals to everybody.
//!
//! It lives while no call does and something is left of earlier ones. What strikes it then must be that,
//! and would strike the next call as well.

use std::sync::atomic::{AtomicI32, Ordering};

use crate::sys::{self, Change};

/// The decoy of this process; a guest has at most one.
static PID: AtomicI32 = AtomicI32::new(0);

/// Whether a process is the decoy.
pub(crate) fn is_decoy(pid: i32) -> bool {
    pid > 0 && PID.load(Ordering::Relaxed) == pid
}

/// Whether there is one.
pub(crate) fn is_out() -> bool {
    PID.load(Ordering::Relaxed) > 0
}

/// Puts one out, where there is a process for it.
pub(crate) fn put_out() {
    if !is_out()
        && let Ok(pid) = sys::decoy()
    {
        PID.store(pid, Ordering::Relaxed);
    }
}

/// It was stopped, or has ended.
pub(crate) fn lose(change: Change) {
    let pid = PID.swap(0, Ordering::Relaxed);
    if change == Change::Stopped {
        sys::kill(pid);
    }
}

/// Ends it; its end is no news then.
pub(crate) fn take_in() {
    let pid = PID.swap(0, Ordering::Relaxed);
    if pid > 0 {
        sys::kill(pid);
    }
}
