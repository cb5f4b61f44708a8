//! The stream to a guest that outlives it: its marks, its sign of life.

use std::time::{Duration, Instant};

use guest_proto::{Finder, Token};

use super::End;
use crate::GuestLease;

/// Most bytes of an older stream before the guest's mark: the largest frame, and all buffers on the way.
const MAX_SKIPPED_BYTES: usize = 2 * guest_proto::MAX_PAYLOAD_BYTES;

/// The state that a link to a guest with a lease has beyond another's.
pub(super) struct Marked {
    /// Goes before everything.
    pub(super) mark: Vec<u8>,
    pub(super) span: Duration,
    /// Until the guest's mark has come, what comes is of an older stream.
    finder: Option<Finder>,
    skipped_bytes: usize,
    heard: Instant,
}

impl Marked {
    /// A stream that waits for the mark of `nonce`.
    pub(super) fn new(lease: GuestLease, nonce: &Token) -> Self {
        Self {
            mark: lease.token.mark().to_vec(),
            span: lease.span,
            finder: Some(Finder::new(nonce)),
            skipped_bytes: 0,
            heard: Instant::now(),
        }
    }

    /// The part of these bytes that is of this stream.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], End> {
        self.heard = Instant::now();
        let Some(finder) = &mut self.finder else {
            return Ok(bytes);
        };
        if let Some(start) = finder.push(bytes) {
            self.finder = None;
            return Ok(&bytes[start..]);
        }
        self.skipped_bytes += bytes.len();
        if self.skipped_bytes > MAX_SKIPPED_BYTES {
            return Err(End::Protocol("no end of an older stream".to_owned()));
        }
        Ok(&[])
    }

    /// Whether the guest's mark has come.
    pub(super) fn has_begun(&self) -> bool {
        self.finder.is_none()
    }

    /// Whether the guest has said nothing for longer than it would wait itself.
    pub(super) fn is_silent(&self) -> bool {
        self.heard.elapsed() > self.span
    }
}
