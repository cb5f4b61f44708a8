//! Entries as they are kept: texts one after the other in pieces of memory that are used again, and beside them what is
//! of a fixed size. An entry of a plain message is some thirty allocations of all sizes; kept as they came, among those
//! of the requests meanwhile, they take twice their bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use control_api::{BatchItem, FaultGiven};

use super::names::{self, Names};
use super::{Body, Ended, Entry, Filter, Headers, Mark, Since};
use crate::lint::Lint;

/// How much is asked of the allocator at once.
const PIECE_BYTES: usize = 64 * 1024;
/// A larger body stays what it is: it is not copied when entries are listed.
const LARGE_BODY_BYTES: usize = 4 * 1024;

/// For how many entries room is made at once.
const GROWTH_SLOTS: usize = 1024;

/// The texts of an entry, in this order.
const TEXTS: usize = 10;
/// Where among them the values of the request's headers and those of the answer's are.
const HEADERS: [usize; 2] = [6, 7];

/// All entries, oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    slots: VecDeque<Slot>,
    pieces: VecDeque<Piece>,
    names: Names,
    /// The number of the first of `pieces`.
    first_piece: u64,
    /// The last piece that was emptied.
    spare: Vec<u8>,
    pub(super) bytes: usize,
    /// Numbers are not used again after a clear, so that old cursors stay harmless.
    pub(super) next_number: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// How many entries begin in it.
    entries: usize,
}

/// An entry without its texts.
#[derive(Debug)]
struct Slot {
    number: u64,
    cost_bytes: usize,
    piece: u64,
    start: u32,
    /// Where each text ends, from `start` on; one that is absent ends where it begins, and `absent` has its bit.
    ends: [u32; TEXTS],
    absent: u16,
    status: u16,
    ended: Ended,
    missed: bool,
    at: DateTime<Utc>,
    started: Option<Instant>,
    duration: Duration,
    steps: Steps,
    /// Of the headers.
    names: Arc<str>,
    rare: Option<Box<Rare>>,
}

/// The steps of a script that answered, and their lines: most answers have one.
#[derive(Debug)]
enum Steps {
    None,
    One([(&'static str, u64); 1]),
    Many(Box<[(&'static str, u64)]>),
}

impl Steps {
    fn of(steps: &[(&'static str, u64)]) -> Self {
        match steps {
            [] => Self::None,
            [one] => Self::One([*one]),
            many => Self::Many(many.into()),
        }
    }

    fn all(&self) -> &[(&'static str, u64)] {
        match self {
            Self::None => &[],
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}

/// The members that few entries have.
#[derive(Debug, Default)]
struct Rare {
    batch: Option<BatchItem>,
    lints: Vec<Lint>,
    marks: Vec<Mark>,
    fired: Vec<FaultGiven>,
    /// Those that are not among the texts: large, or not kept.
    request_body: Option<Body>,
    response_body: Option<Body>,
}

/// An entry where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    slot: &'a Slot,
    text: &'a [u8],
}

impl Kept {
    /// Adds an entry as the newest.
    pub(super) fn push(&mut self, entry: &Entry, cost_bytes: usize) {
        let bodies = [&entry.request_body, &entry.response_body].map(|body| match body {
            Body::Empty => (None, None),
            Body::Bytes(bytes) if bytes.len() <= LARGE_BODY_BYTES => (Some(bytes.as_ref()), None),
            Body::Bytes(_) | Body::Omitted { .. } => (None, Some(body.clone())),
        });
        let [(request_text, request_body), (response_text, response_body)] = bodies;
        let headers = [&entry.request_headers, &entry.response_headers].map(Headers::text);
        let texts: [Option<&[u8]>; TEXTS] = [
            Some(entry.id.as_bytes()),
            Some(entry.method.as_bytes()),
            Some(entry.path.as_bytes()),
            entry.query.as_deref().map(str::as_bytes),
            Some(entry.workspace.as_bytes()),
            entry.source.as_deref().map(str::as_bytes),
            // Their names are kept elsewhere.
            Some(headers[0].as_bytes()),
            Some(headers[1].as_bytes()),
            request_text,
            response_text,
        ];
        let length = texts.iter().flatten().map(|text| text.len()).sum();
        let names = &mut self.names;
        let piece = last_with_room(&mut self.pieces, &mut self.spare, length);
        let start = piece.bytes.len();
        piece.entries += 1;
        let mut ends = [0; TEXTS];
        let mut absent = 0;
        for (at, text) in texts.into_iter().enumerate() {
            let of_headers = HEADERS.iter().position(|place| *place == at);
            match (text, of_headers) {
                (Some(_), Some(which)) => names.take(headers[which], &mut piece.bytes),
                (Some(text), None) => piece.bytes.extend_from_slice(text),
                (None, _) => absent |= 1 << at,
            }
            ends[at] = narrow(piece.bytes.len() - start);
        }
        let rare = Rare {
            batch: entry.batch.clone(),
            lints: entry.lints.clone(),
            marks: entry.marks.clone(),
            fired: entry.fired.clone(),
            request_body,
            response_body,
        };
        let slot = Slot {
            number: self.next_number,
            cost_bytes,
            piece: self.first_piece + self.pieces.len() as u64 - 1,
            start: narrow(start),
            ends,
            absent,
            status: entry.status,
            ended: entry.ended,
            missed: entry.missed,
            at: entry.at,
            started: entry.started,
            duration: entry.duration,
            steps: Steps::of(&entry.steps),
            names: self.names.taken(),
            rare: (!rare.is_empty()).then(|| Box::new(rare)),
        };
        if self.slots.len() == self.slots.capacity() {
            // Doubled it would have room for thousands that never come.
            self.slots.reserve_exact(GROWTH_SLOTS);
        }
        self.slots.push_back(slot);
        self.next_number += 1;
        self.bytes += cost_bytes;
    }

    /// Takes the oldest entries away until what is left costs `limit_bytes` at most.
    pub(super) fn shrink_to(&mut self, limit_bytes: usize) {
        while self.bytes > limit_bytes
            && let Some(oldest) = self.slots.pop_front()
        {
            self.bytes -= oldest.cost_bytes;
            if let Some(piece) = self.pieces.front_mut() {
                piece.entries -= 1;
            }
            while self.pieces.len() > 1
                && let Some(piece) = self.pieces.pop_front_if(|piece| piece.entries == 0)
            {
                self.first_piece += 1;
                if piece.bytes.capacity() == PIECE_BYTES {
                    self.spare = piece.bytes;
                }
            }
        }
    }

    /// Forgets all entries; what they took is given back when the value that is returned is dropped.
    pub(super) fn clear(&mut self) -> Self {
        let next_number = self.next_number;
        let all = std::mem::take(self);
        self.next_number = next_number;
        all
    }

    /// The capacity of the pieces, full or not, in bytes.
    #[cfg(test)]
    pub(super) fn room_bytes(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| piece.bytes.capacity());
        pieces.sum::<usize>() + self.spare.capacity()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The number of the oldest, or of the next one if there is none.
    pub(super) fn first_number(&self) -> u64 {
        self.slots
            .front()
            .map_or(self.next_number, |slot| slot.number)
    }

    /// How many are older than `number`.
    pub(super) fn before(&self, number: u64) -> usize {
        self.slots.partition_point(|slot| slot.number < number)
    }

    /// Those at these places.
    pub(super) fn range(
        &self,
        places: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = View<'_>> + ExactSizeIterator {
        self.slots.range(places).map(|slot| self.view(slot))
    }

    fn view<'a>(&'a self, slot: &'a Slot) -> View<'a> {
        let piece = usize::try_from(slot.piece - self.first_piece)
            .ok()
            .and_then(|at| self.pieces.get(at));
        let start = slot.start as usize;
        let length = slot.ends[TEXTS - 1] as usize;
        View {
            slot,
            text: piece.map_or(&[], |piece| &piece.bytes[start..start + length]),
        }
    }

    /// The place behind the request that the filter names; the first, if it is kept no more.
    pub(super) fn after(&self, filter: &Filter) -> usize {
        let Some(Since::Request(id)) = &filter.since else {
            return 0;
        };
        let known = self
            .range(0..self.len())
            .position(|entry| entry.id() == id.as_bytes());
        known.map_or(0, |at| at + 1)
    }
}

impl Rare {
    fn is_empty(&self) -> bool {
        let Self {
            batch,
            lints,
            marks,
            fired,
            request_body,
            response_body,
        } = self;
        batch.is_none()
            && lints.is_empty()
            && marks.is_empty()
            && fired.is_empty()
            && request_body.is_none()
            && response_body.is_none()
    }
}

impl<'a> View<'a> {
    pub(super) fn number(self) -> u64 {
        self.slot.number
    }

    pub(super) fn status(self) -> u16 {
        self.slot.status
    }

    pub(super) fn at(self) -> DateTime<Utc> {
        self.slot.at
    }

    pub(super) fn id(self) -> &'a [u8] {
        self.text(0).unwrap_or_default()
    }

    pub(super) fn method(self) -> &'a [u8] {
        self.text(1).unwrap_or_default()
    }

    pub(super) fn path(self) -> &'a [u8] {
        self.text(2).unwrap_or_default()
    }

    /// Whether it goes by this id: its own, or that of findings for a batch's item.
    pub(super) fn has_id(self, id: &str) -> bool {
        let Some((batch, custom_id)) = id.split_once('/') else {
            return self.id() == id.as_bytes();
        };
        let rare = self.slot.rare.as_deref();
        let item = rare.and_then(|rare| rare.batch.as_ref());
        item.is_some_and(|item| item.id == batch && item.custom_id == custom_id)
    }

    fn text(self, at: usize) -> Option<&'a [u8]> {
        let start = if at == 0 { 0 } else { self.slot.ends[at - 1] };
        let present = self.slot.absent & (1 << at) == 0;
        present.then(|| &self.text[start as usize..self.slot.ends[at] as usize])
    }

    /// As it came.
    pub(super) fn entry(self) -> Entry {
        let text = |at| self.text(at).map(owned);
        let slot = self.slot;
        let rare = slot.rare.as_deref();
        let headers = |which: usize| {
            let values = text(HEADERS[which]).unwrap_or_default();
            Headers::of_text(names::joined(&slot.names, which, &values))
        };
        let body = |at: usize, other: Option<&Body>| match (other, self.text(at)) {
            (Some(body), _) => body.clone(),
            (None, Some(text)) => Bytes::copy_from_slice(text).into(),
            (None, None) => Body::Empty,
        };
        Entry {
            id: text(0).unwrap_or_default(),
            at: slot.at,
            method: text(1).unwrap_or_default().into(),
            path: text(2).unwrap_or_default(),
            query: text(3),
            status: slot.status,
            started: slot.started,
            duration: slot.duration,
            workspace: text(4).unwrap_or_default(),
            batch: rare.and_then(|rare| rare.batch.clone()),
            request_headers: headers(0),
            request_body: body(8, rare.and_then(|rare| rare.request_body.as_ref())),
            response_headers: headers(1),
            response_body: body(9, rare.and_then(|rare| rare.response_body.as_ref())),
            source: text(5),
            lints: rare.map_or_else(Vec::new, |rare| rare.lints.clone()),
            ended: slot.ended,
            missed: slot.missed,
            marks: rare.map_or_else(Vec::new, |rare| rare.marks.clone()),
            fired: rare.map_or_else(Vec::new, |rare| rare.fired.clone()),
            steps: slot.steps.all().to_vec(),
        }
    }
}

/// A piece with so much room, the last.
fn last_with_room<'a>(
    pieces: &'a mut VecDeque<Piece>,
    spare: &mut Vec<u8>,
    length: usize,
) -> &'a mut Piece {
    let fits = pieces
        .back()
        .is_some_and(|piece| piece.bytes.capacity() - piece.bytes.len() >= length);
    if !fits {
        let mut bytes = std::mem::take(spare);
        bytes.clear();
        bytes.reserve_exact(length.max(PIECE_BYTES));
        pieces.push_back(Piece { bytes, entries: 0 });
    }
    let last = pieces.len() - 1;
    &mut pieces[last]
}

/// A text that came as one.
fn owned(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Nothing that is kept is larger than the journal, which has some megabytes.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
