//! A guest that outlives its server for a while: the marks of a new stream, and what the old one owes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use guest_proto::{
    EPOCH_SHIFT, ExecDone, FIRST_TOKEN, Finder, LEASE_VARIABLE, MARK_BYTES, RequestBody, Token,
    Unclaimed,
};

/// Answers kept for a server that may come back; beyond it the oldest go.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Lease {
    span: Duration,
    heard: Instant,
    marks: Marks,
    /// The number of the stream; 0 before the first.
    epoch: u32,
    /// Whether what comes is no frame: nothing counts until the next mark.
    lost: bool,
    kept: BTreeMap<u64, Kept>,
    kept_bytes: usize,
}

/// The mark that starts a stream.
#[derive(Debug)]
enum Marks {
    /// The mark of a token that is known.
    Known(Box<Finder>),
    /// Whatever mark the first stream begins with; what has come of it.
    First(Vec<u8>),
}

/// An answer that was not acknowledged.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) done: ExecDone,
    pub(crate) payload: Vec<u8>,
    output_dir: String,
}

impl Lease {
    /// The lease that the launcher gave, if it gave one.
    pub(crate) fn of_this_guest() -> Option<Self> {
        Self::parse(&std::env::var(LEASE_VARIABLE).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (span, token) = text.split_once(' ')?;
        let marks = match token {
            FIRST_TOKEN => Marks::First(Vec::new()),
            token => Marks::Known(Box::new(Finder::new(&Token::from_hex(token)?))),
        };
        Some(Self {
            span: Duration::from_millis(span.parse().ok()?),
            heard: Instant::now(),
            marks,
            epoch: 0,
            // The first stream starts with a mark, too.
            lost: true,
            kept: BTreeMap::new(),
            kept_bytes: 0,
        })
    }

    /// When the guest ends if it hears nothing more; never while it is nobody's.
    pub(crate) fn end(&self) -> Option<Instant> {
        match self.marks {
            Marks::Known(_) => Some(self.heard + self.span),
            Marks::First(_) => None,
        }
    }

    /// Takes note of bytes; answers where a new stream starts in them.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Option<usize> {
        self.heard = Instant::now();
        let start = self.marks.push(bytes);
        if start.is_some() {
            self.lost = false;
        }
        start
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    pub(crate) fn lose(&mut self) {
        self.lost = true;
        if let Marks::First(begun) = &mut self.marks {
            begun.clear();
        }
    }

    /// Whether a request is of this stream, or of the tail of an old one.
    pub(crate) fn is_of_this_stream(&self, call: u64, body: &RequestBody) -> bool {
        matches!(body, RequestBody::Resume { .. }) || call >> EPOCH_SHIFT == u64::from(self.epoch)
    }

    /// Starts the next stream and answers its number.
    pub(crate) fn next_epoch(&mut self) -> u32 {
        self.epoch += 1;
        self.epoch
    }

    /// Keeps an answer until it is acknowledged.
    pub(crate) fn keep(&mut self, call: u64, output_dir: &str, done: &ExecDone, payload: &[u8]) {
        let kept = Kept {
            done: done.clone(),
            payload: payload.to_vec(),
            output_dir: output_dir.to_owned(),
        };
        self.kept_bytes += kept.payload.len();
        self.kept.insert(call, kept);
        while self.kept_bytes > KEPT_BYTES
            && let Some((_, oldest)) = self.kept.pop_first()
        {
            self.kept_bytes -= oldest.payload.len();
        }
    }

    /// Takes an answer out.
    pub(crate) fn take(&mut self, call: u64) -> Option<Kept> {
        let kept = self.kept.remove(&call)?;
        self.kept_bytes -= kept.payload.len();
        Some(kept)
    }

    /// Whether a call is of an earlier stream.
    pub(crate) fn is_earlier(&self, call: u64) -> bool {
        call >> EPOCH_SHIFT < u64::from(self.epoch)
    }

    /// Forgets the answers of earlier streams.
    pub(crate) fn release(&mut self) {
        let first = u64::from(self.epoch) << EPOCH_SHIFT;
        self.kept = self.kept.split_off(&first);
        self.kept_bytes = self.kept.values().map(|kept| kept.payload.len()).sum();
    }

    /// The answers that nobody has claimed.
    pub(crate) fn unclaimed(&self) -> impl Iterator<Item = Unclaimed> {
        self.kept.iter().map(|(call, kept)| Unclaimed {
            call: *call,
            output_dir: kept.output_dir.clone(),
            done: true,
        })
    }
}

impl Marks {
    /// Takes the next bytes; answers where, in them, the last mark ends.
    fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let begun = match self {
            Self::Known(finder) => return finder.push(bytes),
            Self::First(begun) => begun,
        };
        let start = (MARK_BYTES - begun.len()).min(bytes.len());
        begun.extend(&bytes[..start]);
        // Who begins otherwise is not heard until it comes again.
        let token = Token::of_mark(begun.as_slice().try_into().ok()?)?;
        let mut finder = Finder::new(&token);
        let later = finder.push(&bytes[start..]).map(|end| start + end);
        *self = Self::Known(Box::new(finder));
        Some(later.unwrap_or(start))
    }
}

impl Kept {
    pub(crate) fn output_dir(&self) -> &str {
        &self.output_dir
    }
}
