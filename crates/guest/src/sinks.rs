//! The pipes of calls that are over, kept open for background processes that still write to them.
//!
//! Closing them would end such a process with SIGPIPE at its next line of output.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::sys::Poll;

/// More pipes than this are not kept; the oldest is closed.
const MAX_SINKS: usize = 128;
/// How often they are emptied: often enough to write on, too rarely to keep the guest busy.
const INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(crate) struct Sinks {
    pipes: VecDeque<File>,
    next: Option<Instant>,
    places: Vec<usize>,
}

impl Sinks {
    pub(crate) fn keep(&mut self, pipe: File) {
        if self.pipes.len() == MAX_SINKS {
            self.pipes.pop_front();
        }
        self.pipes.push_back(pipe);
    }

    /// Adds the pipes to a poll, or says when to do so.
    pub(crate) fn watch(&mut self, poll: &mut Poll, now: Instant) -> Option<Instant> {
        self.places.clear();
        if self.pipes.is_empty() {
            return None;
        }
        if let Some(next) = self.next.filter(|next| *next > now) {
            return Some(next);
        }
        self.places
            .extend(self.pipes.iter().map(|pipe| poll.readable(pipe)));
        None
    }

    /// Throws away what came.
    pub(crate) fn empty(&mut self, poll: &Poll, scratch: &mut [u8]) {
        let mut places = std::mem::take(&mut self.places).into_iter();
        let mut any = false;
        self.pipes.retain_mut(|pipe| {
            if !places.next().is_some_and(|place| poll.is_ready(place)) {
                return true;
            }
            any = true;
            match pipe.read(scratch) {
                Ok(bytes) => bytes > 0,
                Err(error) => matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ),
            }
        });
        if any {
            self.next = Some(Instant::now() + INTERVAL);
        }
    }
}
