//! Secrets in a stream of events, which may be cut anywhere between two deltas.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

use super::{Redactor, edited};
use crate::frames;

/// Where a delta keeps its piece of a text.
const PIECES: [&str; 4] = ["text", "partial_json", "thinking", "signature"];

/// The member without which an event adds to no text.
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"delta\""));

/// The text of a stream without secrets. Frames that have none stay as they are, byte for byte.
pub(super) fn redact<'a>(redactor: &Redactor, text: &'a str) -> Cow<'a, str> {
    // Nearly always nothing is found, and nothing but a look was needed.
    if redactor.is_clear(text.as_bytes()) && are_clear(redactor, text) == Some(true) {
        return text.into();
    }
    closely(redactor, text).into()
}

/// Whether the texts that the deltas make together surely have no secret; nothing in the stream is escaped. `None` where a
/// frame is not what deltas are in.
fn are_clear(redactor: &Redactor, text: &str) -> Option<bool> {
    let mut texts: Vec<(u64, usize, String)> = Vec::new();
    let frames = frames::split(text).filter(|frame| DELTA.find(frame.as_bytes()).is_some());
    for data in frames.filter_map(frames::data_of) {
        let event: Event<'_> = serde_json::from_str(data).ok()?;
        let (Some(index), Some(delta)) = (event.index, event.delta) else {
            continue;
        };
        for (name, piece) in delta.pieces().into_iter().enumerate() {
            let Some(piece) = piece else { continue };
            match texts.iter_mut().find(|of| (of.0, of.1) == (index, name)) {
                Some((_, _, all)) => all.push_str(piece),
                None => texts.push((index, name, piece.to_owned())),
            }
        }
    }
    Some(
        texts
            .iter()
            .all(|(_, _, all)| redactor.is_clear(all.as_bytes())),
    )
}

/// An event, as far as it may add to a block.
#[derive(Deserialize)]
struct Event<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    text: Option<&'a str>,
    partial_json: Option<&'a str>,
    thinking: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Delta<'a> {
    /// In the order of [`PIECES`].
    fn pieces(self) -> [Option<&'a str>; PIECES.len()] {
        [self.text, self.partial_json, self.thinking, self.signature]
    }
}

/// What [`redact`] does with a stream in which something may be.
pub(super) fn closely(redactor: &Redactor, text: &str) -> String {
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
    let edits = redactor.edits(text);
    if edits.is_empty() {
        return None;
    }
    let starts = starts.iter().map(|(_, from)| *from);
    let ends = starts.clone().skip(1).chain([text.len()]);
    let pieces = starts.zip(ends).map(|range| edited(text, range, &edits));
    Some(pieces.collect())
}
