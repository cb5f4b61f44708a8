//! A call that waits, as the warden sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::sys::{self, Notification};

/// A call under way, and the way to answer it.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    pub(super) listener: &'a OwnedFd,
    pub(super) call: Notification,
}

/// The verdict on a call.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The kernel does it as it stands.
    GoOn,
    /// The warden has done it, or refuses it.
    Answer(i64),
    Refuse(i32),
    /// It was answered, or begins anew with other arguments.
    Settled,
}

impl Waiting<'_> {
    pub(super) fn thread(&self) -> i32 {
        self.call.pid.cast_signed()
    }

    pub(super) fn argument(&self, place: usize) -> u64 {
        self.call.data.arguments[place]
    }

    /// An argument that the kernel takes as an `int`.
    #[expect(clippy::cast_possible_truncation, reason = "as the kernel does")]
    pub(super) fn int(&self, place: usize) -> i32 {
        (self.argument(place) as u32).cast_signed()
    }

    /// Whether it still waits; what was looked up by its number before is right only then.
    pub(super) fn is_valid(&self) -> bool {
        sys::is_valid(self.listener, self.call.id)
    }

    /// Answers with a copy of a descriptor.
    pub(super) fn hand_over(&self, file: &impl AsFd, close_on_exec: bool) -> io::Result<()> {
        sys::hand_over(self.listener, self.call.id, file, close_on_exec)
    }

    /// Puts a copy of a descriptor in the place of one the caller has.
    pub(super) fn put_at(&self, file: &impl AsFd, number: u32, close: bool) -> io::Result<()> {
        sys::put_at(self.listener, self.call.id, file, number, close)
    }

    pub(super) fn settle(&self, verdict: &Verdict) -> io::Result<()> {
        let id = self.call.id;
        let settled = match verdict {
            Verdict::GoOn => sys::go_on(self.listener, id),
            Verdict::Answer(value) => sys::answer(self.listener, id, Ok(*value)),
            Verdict::Refuse(errno) => sys::answer(self.listener, id, Err(*errno)),
            Verdict::Settled => Ok(()),
        };
        match settled {
            // Killed, or interrupted by a signal, meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result,
        }
    }
}

/// The number of an error, for a caller who gets nothing else.
pub(super) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
