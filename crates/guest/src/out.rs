//! Frames on their way to the host.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};

use guest_proto::{Answer, AnswerBody, ErrorKind, encode};

/// While this much waits, no file is read on and no request is taken.
const HIGH_BYTES: usize = 512 * 1024;

/// The queue in front of the channel.
#[derive(Debug, Default)]
pub(crate) struct Out {
    frames: VecDeque<Vec<u8>>,
    written: usize,
    bytes: usize,
}

impl Out {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= HIGH_BYTES
    }

    /// Queues an answer. One that fits into no frame becomes an error: the host must not wait forever.
    pub(crate) fn answer(&mut self, call: u64, body: AnswerBody, payload: &[u8]) {
        let frame = encode(&Answer { call, body }, payload).or_else(|error| {
            let body = AnswerBody::Error {
                kind: ErrorKind::Invalid,
                message: error.to_string(),
            };
            encode(&Answer { call, body }, &[])
        });
        if let Ok(frame) = frame {
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    pub(crate) fn error(&mut self, call: u64, kind: ErrorKind, message: impl Into<String>) {
        let message = message.into();
        self.answer(call, AnswerBody::Error { kind, message }, &[]);
    }

    /// Drops what waits: nobody is there to hear it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Drops what waits, half a frame included, and starts a new stream with a mark.
    pub(crate) fn restart(&mut self, mark: &[u8]) {
        self.frames.clear();
        self.frames.push_back(mark.to_vec());
        self.written = 0;
        self.bytes = mark.len();
    }

    /// Writes what the channel takes without waiting.
    pub(crate) fn write(&mut self, channel: &mut File) -> io::Result<()> {
        while let Some(frame) = self.frames.front() {
            match channel.write(&frame[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    self.written += bytes;
                    self.bytes -= bytes;
                    if self.written == frame.len() {
                        self.frames.pop_front();
                        self.written = 0;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
