//! Server-sent events: how the service frames them, and a decoder for what comes back.

use serde::Serialize;

use crate::event::StreamEvent;

/// Longest run of spaces before the last brace (F020).
pub const MAX_PADDING: usize = 15;

/// Appends one event as the service frames it: the name, one line of JSON, an empty line.
/// `padding` (0 to [`MAX_PADDING`]) spaces stand before the last `}`; a ping never has any.
pub fn write_event(out: &mut Vec<u8>, event: &StreamEvent, padding: usize) {
    write_as(out, event, event, padding);
}

/// The same with another `data`, an object.
pub fn write_as(out: &mut Vec<u8>, event: &StreamEvent, data: &impl Serialize, padding: usize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.name().as_bytes());
    out.extend_from_slice(b"\ndata: ");
    if *event == StreamEvent::Ping {
        // Parity: always exactly this (F020).
        out.extend_from_slice(br#"{"type": "ping"}"#);
    } else {
        serde_json::to_writer(&mut *out, data)
            .expect("events serialise: no maps with other keys than strings");
        if padding > 0 {
            let brace = out.pop();
            debug_assert_eq!(brace, Some(b'}'));
            out.resize(out.len() + padding.min(MAX_PADDING), b' ');
            out.push(b'}');
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// One decoded frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// The `event:` field; empty if there was none.
    pub event: String,
    /// The `data:` lines, joined with newlines.
    pub data: String,
}

/// An incremental decoder: bytes in any split, frames out.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    frame: Frame,
    has_data: bool,
    after_cr: bool,
}

impl Decoder {
    /// Takes the next bytes and returns the frames they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for &byte in bytes {
            let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if was_cr => {}
                b'\n' | b'\r' => {
                    if let Some(frame) = self.end_line() {
                        frames.push(frame);
                    }
                }
                other => self.line.push(other),
            }
        }
        frames
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            let complete = std::mem::take(&mut self.has_data) || !frame.event.is_empty();
            return complete.then_some(frame);
        }
        let text = String::from_utf8_lossy(&line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.frame.event),
            "data" => {
                if self.has_data {
                    self.frame.data.push('\n');
                }
                self.has_data = true;
                self.frame.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_padded_before_its_last_brace_and_a_ping_never_is() {
        let mut out = Vec::new();
        write_event(&mut out, &StreamEvent::ContentBlockStop { index: 0 }, 3);
        write_event(&mut out, &StreamEvent::Ping, 9);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0   }\n\n\
             event: ping\ndata: {\"type\": \"ping\"}\n\n"
        );
    }

    proptest! {
        #[test]
        fn decoding_does_not_depend_on_the_split(
            frames in proptest::collection::vec(("[a-z_]{1,12}", "[ -~]{0,40}"), 0..6),
            cuts in proptest::collection::vec(0usize..400, 0..8),
            crlf: bool,
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let text = frames.iter().map(|(event, data)| format!("event: {event}{end}data: {data}{end}{end}")).collect::<Vec<_>>().concat();
            let expected: Vec<_> = frames.iter().map(|(event, data)| Frame { event: event.clone(), data: data.clone() }).collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut decoder = Decoder::default();
            let (mut start, mut got) = (0, Vec::new());
            for cut in cuts {
                got.extend(decoder.push(&text.as_bytes()[start..cut]));
                start = cut;
            }
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            Decoder::default().push(&bytes);
        }
    }
}
