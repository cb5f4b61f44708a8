//! Frames: how a message becomes bytes, and bytes become frames again.
//!
//! A frame is a prelude of [`PRELUDE_BYTES`] (magic, generation, two zero bytes, header length, payload
//! length; little endian), then the header, then the payload. The prelude's shape never changes.

use std::error::Error;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::GENERATION;

/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"\xF5sbx";
/// Length of a frame's prelude.
pub const PRELUDE_BYTES: usize = 16;
/// Longest JSON header.
pub const MAX_HEADER_BYTES: usize = 4 * 1024 * 1024;
/// Longest payload.
pub const MAX_PAYLOAD_BYTES: usize = 72 * 1024 * 1024;

/// A buffer this big is given back once it is empty.
const KEEP_BUFFER_BYTES: usize = 1024 * 1024;

/// One frame as it came: the header still JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    header: Vec<u8>,
    /// The raw bytes after the header.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads the header as a message.
    pub fn header<H: DeserializeOwned>(&self) -> Result<H, DecodeError> {
        serde_json::from_slice(&self.header).map_err(|e| DecodeError::Header(e.to_string()))
    }
}

/// Why a message cannot become a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodeError {
    /// The message is no JSON (a map with keys that are not strings).
    Json(String),
    /// The header is longer than [`MAX_HEADER_BYTES`].
    HeaderTooLong(usize),
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`].
    PayloadTooLong(usize),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(reason) => write!(f, "message is not JSON: {reason}"),
            Self::HeaderTooLong(bytes) => write!(f, "header of {bytes} bytes is too long"),
            Self::PayloadTooLong(bytes) => write!(f, "payload of {bytes} bytes is too long"),
        }
    }
}

impl Error for EncodeError {}

/// Why bytes are not a frame. The stream is of no use after it.
///
/// There is no search for the next magic: a payload holds what user code wrote, and a frame found
/// inside one would be forged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The stream holds something that is no frame.
    Magic([u8; 4]),
    /// The other side speaks another generation.
    Generation(u16),
    /// Bytes that must be zero are not.
    Reserved(u16),
    /// A header longer than [`MAX_HEADER_BYTES`] is announced.
    HeaderTooLong(usize),
    /// A payload longer than [`MAX_PAYLOAD_BYTES`] is announced.
    PayloadTooLong(usize),
    /// The header is not the message that was expected.
    Header(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(bytes) => write!(f, "not a frame: starts with {bytes:02x?}"),
            Self::Generation(theirs) => write!(
                f,
                "protocol generation {theirs} where {GENERATION} is spoken here"
            ),
            Self::Reserved(bits) => write!(f, "unknown flags {bits:#06x} in a frame"),
            Self::HeaderTooLong(bytes) => write!(f, "header of {bytes} bytes announced"),
            Self::PayloadTooLong(bytes) => write!(f, "payload of {bytes} bytes announced"),
            Self::Header(reason) => write!(f, "unexpected header: {reason}"),
        }
    }
}

impl Error for DecodeError {}

/// Makes one frame.
pub fn encode<H: Serialize>(header: &H, payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; PRELUDE_BYTES];
    serde_json::to_writer(&mut bytes, header).map_err(|e| EncodeError::Json(e.to_string()))?;
    let header_bytes = bytes.len() - PRELUDE_BYTES;
    let header_length = u32::try_from(header_bytes)
        .ok()
        .filter(|_| header_bytes <= MAX_HEADER_BYTES)
        .ok_or(EncodeError::HeaderTooLong(header_bytes))?;
    let payload_length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_PAYLOAD_BYTES)
        .ok_or(EncodeError::PayloadTooLong(payload.len()))?;
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&GENERATION.to_le_bytes());
    bytes[8..12].copy_from_slice(&header_length.to_le_bytes());
    bytes[12..16].copy_from_slice(&payload_length.to_le_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Turns a byte stream, however it is cut, into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.start > 0 {
            // Cheap: what is left is at most a part of one frame, or frames about to be taken.
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next whole frame; `None` until more bytes come. An error stays.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.take_frame().inspect_err(|error| {
            self.failed = Some(error.clone());
            self.buffer = Vec::new();
            self.start = 0;
        })
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        let bytes = &self.buffer[self.start..];
        let magic_bytes = bytes.len().min(MAGIC.len());
        if bytes[..magic_bytes] != MAGIC[..magic_bytes] {
            let mut found = [0; 4];
            found[..magic_bytes].copy_from_slice(&bytes[..magic_bytes]);
            return Err(DecodeError::Magic(found));
        }
        let Some((prelude, rest)) = bytes.split_first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let generation = u16::from_le_bytes([prelude[4], prelude[5]]);
        if generation != GENERATION {
            return Err(DecodeError::Generation(generation));
        }
        let reserved = u16::from_le_bytes([prelude[6], prelude[7]]);
        if reserved != 0 {
            return Err(DecodeError::Reserved(reserved));
        }
        let header_bytes = length([prelude[8], prelude[9], prelude[10], prelude[11]]);
        if header_bytes > MAX_HEADER_BYTES {
            return Err(DecodeError::HeaderTooLong(header_bytes));
        }
        let payload_bytes = length([prelude[12], prelude[13], prelude[14], prelude[15]]);
        if payload_bytes > MAX_PAYLOAD_BYTES {
            return Err(DecodeError::PayloadTooLong(payload_bytes));
        }
        if rest.len() < header_bytes + payload_bytes {
            return Ok(None);
        }
        let frame = Frame {
            header: rest[..header_bytes].to_vec(),
            payload: rest[header_bytes..header_bytes + payload_bytes].to_vec(),
        };
        self.start += PRELUDE_BYTES + header_bytes + payload_bytes;
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            if self.buffer.capacity() > KEEP_BUFFER_BYTES {
                self.buffer = Vec::new();
            }
        }
        Ok(Some(frame))
    }
}

fn length(bytes: [u8; 4]) -> usize {
    // A 32-bit machine's `usize` holds it too; anything bigger is over the caps anyway.
    usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}
