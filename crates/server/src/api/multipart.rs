//! `multipart/form-data`, taken apart as it arrives.
//!
//! A push parser without I/O: bytes in, events out. The content of a part leaves it as slices of
//! what came in, so that a large upload is not copied, and nothing else is kept beyond
//! [`MAX_HEAD_BYTES`]. It knows nothing of any endpoint.

mod content;
mod header;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::Finder;

pub(crate) use content::{Content, content_of};
pub(crate) use header::{PartHead, boundary};

/// Longest head of a part, and longest text before the first part.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Why a body is not what it says. The texts go to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MultipartError {
    #[error("the multipart body has no part: the boundary of the content type was not found")]
    NoBoundary,
    #[error("the multipart body ends before its closing boundary")]
    Truncated,
    #[error("the headers of a multipart part are longer than 16 KiB")]
    HeadTooLong,
    #[error("a multipart part has malformed headers")]
    BadHead,
    #[error("the headers of a multipart part are not UTF-8: file names are sent in it")]
    NotUtf8,
    #[error("the `filename*` of a multipart part is not `UTF-8''` and a percent-encoded name")]
    BadName,
    #[error("a multipart part has no `content-disposition: form-data` with a `name`")]
    NoName,
}

/// A parser's event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A part begins.
    Part(PartHead),
    /// More of its content, never empty.
    Data(Bytes),
    /// It is complete.
    PartEnd,
    /// The closing boundary was read; what follows does not count.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Head,
    Content,
    /// The delimiter after the content was read.
    PartEnd,
    End,
}

/// Takes a body apart, however it is cut into chunks.
#[derive(Debug)]
pub(crate) struct Parser {
    /// `\r\n--boundary`.
    delimiter: Finder<'static>,
    state: State,
    /// Bytes that came in and were not looked at yet.
    input: Bytes,
    /// A head that is not complete, or the end of the last chunk that may begin a delimiter.
    held: BytesMut,
    preamble_bytes: usize,
}

impl Parser {
    pub(crate) fn new(boundary: &str) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Self {
            delimiter: Finder::new(&delimiter).into_owned(),
            state: State::Preamble,
            input: Bytes::new(),
            // The first boundary needs no line break before it.
            held: BytesMut::from(&b"\r\n"[..]),
            preamble_bytes: 0,
        }
    }

    /// Takes the next chunk, once [`Self::next`] has asked for it.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.input.is_empty(), "the last chunk is used up");
        self.input = chunk;
    }

    /// Whether the body may end here.
    pub(crate) fn finish(&self) -> Result<(), MultipartError> {
        match self.state {
            State::End => Ok(()),
            State::Preamble => Err(MultipartError::NoBoundary),
            State::Head | State::Content | State::PartEnd => Err(MultipartError::Truncated),
        }
    }

    /// The next event; `None` asks for more input.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, MultipartError> {
        loop {
            match self.state {
                State::Preamble => {
                    let (skipped, delimited) = self.until_delimiter();
                    self.preamble_bytes += skipped.len();
                    if self.preamble_bytes > MAX_HEAD_BYTES {
                        return Err(MultipartError::NoBoundary);
                    }
                    if delimited {
                        self.state = State::Head;
                    } else if self.input.is_empty() {
                        return Ok(None);
                    }
                }
                State::Head => return self.head(),
                State::Content => {
                    let (data, delimited) = self.until_delimiter();
                    if delimited {
                        self.state = State::PartEnd;
                    }
                    if !data.is_empty() {
                        return Ok(Some(Event::Data(data)));
                    }
                    if !delimited && self.input.is_empty() {
                        return Ok(None);
                    }
                }
                State::PartEnd => {
                    self.state = State::Head;
                    return Ok(Some(Event::PartEnd));
                }
                State::End => {
                    self.input.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// Takes what is certainly not part of a delimiter, and the delimiter behind it if there is one.
    /// Empty and without a delimiter while there is input: call again.
    fn until_delimiter(&mut self) -> (Bytes, bool) {
        let length = self.delimiter.needle().len();
        if self.held.is_empty() {
            if let Some(at) = self.delimiter.find(&self.input) {
                let data = self.input.split_to(at);
                self.input.advance(length);
                return (data, true);
            }
            let tail = self.delimiter_start(&self.input);
            let data = self.input.split_to(tail);
            self.held.extend_from_slice(&self.input);
            self.input.clear();
            return (data, false);
        }
        // The last chunk ended in what may begin a delimiter: look at the seam alone.
        let from_held = self.held.len();
        let seam = self.input.len().min(length);
        self.held.extend_from_slice(&self.input[..seam]);
        match self.delimiter.find(&self.held) {
            Some(at) if at < from_held => {
                self.input.advance(at + length - from_held);
                self.held.truncate(at);
                (self.held.split().freeze(), true)
            }
            _ => {
                let tail = self.delimiter_start(&self.held);
                if tail < from_held {
                    // All of the input fitted into the seam, and it may still begin there.
                    self.input.clear();
                    (self.held.split_to(tail).freeze(), false)
                } else {
                    self.held.truncate(from_held);
                    (self.held.split().freeze(), false)
                }
            }
        }
    }

    /// Where the longest end of `bytes` starts that a delimiter may begin with.
    fn delimiter_start(&self, bytes: &[u8]) -> usize {
        let needle = self.delimiter.needle();
        let first = bytes.len().saturating_sub(needle.len() - 1);
        (first..bytes.len())
            .find(|&at| needle.starts_with(&bytes[at..]))
            .unwrap_or(bytes.len())
    }

    /// Reads on behind a boundary: the closing dashes, or padding, line break, and headers.
    fn head(&mut self) -> Result<Option<Event>, MultipartError> {
        let seen = self.held.len().saturating_sub(3);
        let before = self.held.len();
        let take = self.input.len().min(MAX_HEAD_BYTES + 4 - before);
        self.held.extend_from_slice(&self.input[..take]);
        if self.held.starts_with(b"--") {
            self.held.clear();
            self.input.clear();
            self.state = State::End;
            return Ok(Some(Event::End));
        }
        if let Some(at) = memchr::memmem::find(&self.held[seen..], b"\r\n\r\n") {
            let end = seen + at + 4;
            self.input.advance(end - before);
            let head = PartHead::parse(&self.held[..end])?;
            self.held.clear();
            self.state = State::Content;
            return Ok(Some(Event::Part(head)));
        }
        self.input.advance(take);
        if self.held.len() >= MAX_HEAD_BYTES {
            return Err(MultipartError::HeadTooLong);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
