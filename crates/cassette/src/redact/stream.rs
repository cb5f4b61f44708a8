//! Secrets in a stream of events, which may be cut anywhere between two deltas.

use std::collections::HashMap;

use serde_json::Value;

use super::{REDACTED, Redactor, base64};
use crate::frames;

/// Where a delta keeps its piece of a text.
const PIECES: [&str; 4] = ["text", "partial_json", "thinking", "signature"];

/// The text of a stream without secrets. Frames that have none stay as they are, byte for byte.
pub(super) fn redact(redactor: &Redactor, text: &str) -> String {
    let mut frames: Vec<Frame<'_>> = frames::split(text).map(Frame::of).collect();
    across_deltas(redactor, &mut frames);
    frames
        .into_iter()
        .map(|frame| frame.written(redactor))
        .collect()
}

/// One event.
struct Frame<'a> {
    text: &'a str,
    /// Its `data`, where that is JSON.
    data: Option<Value>,
    changed: bool,
}

impl<'a> Frame<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            data: frames::data(text),
            changed: false,
        }
    }

    /// The text this frame adds to a block: the block's number and the piece's name.
    fn piece(&self) -> Option<(u64, &'static str, &str)> {
        let data = self.data.as_ref()?;
        let index = data["index"].as_u64()?;
        PIECES.iter().find_map(|name| {
            let text = data["delta"][name].as_str()?;
            Some((index, *name, text))
        })
    }

    fn written(self, redactor: &Redactor) -> String {
        let changed = self.data.and_then(|data| {
            let clean = redactor.json(data.clone());
            (self.changed || clean != data).then_some(clean)
        });
        let text = match &changed {
            Some(data) => frames::with_data(self.text, data),
            None => self.text.into(),
        };
        // A secret may stand outside of the data, in a comment or a name of an event.
        redactor.text(&text).into_owned()
    }
}

/// The text that the deltas of a block make together.
#[derive(Default)]
struct Together {
    text: String,
    /// Which frame has a piece, and where in the text it begins.
    starts: Vec<(usize, usize)>,
}

/// Finds secrets in the texts that the deltas of a block make together.
fn across_deltas(redactor: &Redactor, frames: &mut [Frame<'_>]) {
    let mut texts: HashMap<(u64, &'static str), Together> = HashMap::new();
    for (at, frame) in frames.iter().enumerate() {
        if let Some((index, name, piece)) = frame.piece() {
            let together = texts.entry((index, name)).or_default();
            together.starts.push((at, together.text.len()));
            together.text.push_str(piece);
        }
    }
    for ((_, name), Together { text, starts }) in texts {
        let Some(pieces) = clean_pieces(redactor, &text, &starts) else {
            continue;
        };
        for ((at, _), piece) in starts.iter().zip(pieces) {
            let frame = &mut frames[*at];
            if let Some(data) = &mut frame.data
                && data["delta"][name] != piece
            {
                data["delta"][name] = Value::String(piece);
                frame.changed = true;
            }
        }
    }
}

/// The pieces of a text without secrets, as many as there were; `None` if it has none.
fn clean_pieces(redactor: &Redactor, text: &str, starts: &[(usize, usize)]) -> Option<Vec<String>> {
    let ends = starts.iter().skip(1).map(|(_, from)| *from);
    let ranges = starts
        .iter()
        .map(|(_, from)| *from)
        .zip(ends.chain([text.len()]));
    // A signature is base64 only as a whole.
    if let Some(clean) = base64::redact(redactor, text) {
        if clean.len() == text.len() {
            let pieces = ranges.map(|(from, to)| clean[from..to].to_owned());
            return Some(pieces.collect());
        }
        let mut pieces = vec![String::new(); starts.len()];
        pieces[0] = clean;
        return Some(pieces);
    }
    let spans = redactor.spans(text.as_bytes());
    if spans.is_empty() {
        return None;
    }
    let piece = |(from, to): (usize, usize)| {
        let mut piece = String::new();
        let mut read = from;
        for (start, end) in spans
            .iter()
            .filter(|(start, end)| *start < to && *end > from)
        {
            piece.push_str(&text[read..*start.max(&read)]);
            // What stands for a secret stands where it began.
            if *start >= from {
                piece.push_str(REDACTED);
            }
            read = to.min(*end);
        }
        piece.push_str(&text[read..to]);
        piece
    };
    Some(ranges.map(piece).collect())
}
