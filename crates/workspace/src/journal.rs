//! The journal: a workspace's requests and responses, in memory and bounded by bytes.
//!
//! Noting an exchange costs a lock and a copy: bodies are kept as the bytes they were, and read only when somebody
//! lists them. Keys are never kept. Nothing here knows HTTP's types.

mod body;
mod headers;
mod kept;
mod names;
mod part;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::lint::Lint;
use common::limits;
use kept::{Kept, View};

pub use body::Body;
pub use control_api::BatchItem;
pub use headers::Headers;
pub use part::{Mark, Part};

/// The size of an entry beside its texts, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// One exchange.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// The request id, `req_…`.
    pub id: String,
    /// When the request came, on the workspace's clock.
    pub at: DateTime<Utc>,
    pub method: Cow<'static, str>,
    pub path: String,
    /// Without the question mark; absent where there was none.
    pub query: Option<String>,
    pub status: u16,
    /// The same in real time: the clocks of two workspaces cannot be compared.
    pub started: Option<Instant>,
    /// From the request's head to the last byte of the answer, on the real clock.
    pub duration: Duration,
    /// The workspace's id.
    pub workspace: String,
    /// Which item of a batch it is; absent of requests.
    pub batch: Option<BatchItem>,
    pub request_headers: Headers,
    pub request_body: Body,
    /// The answer's, without those that are secret.
    pub response_headers: Headers,
    /// A stream as the text of its events.
    pub response_body: Body,
    /// Where a turn's answers came from, `unmatched` where from nowhere; absent where there was no turn.
    pub source: Option<String>,
    /// Findings about the request that the real service punishes silently, or would refuse.
    pub lints: Vec<Lint>,
    /// How its answer ended. Of one of which not even the head was sent the status is one of [`UNSENT`].
    pub ended: Ended,
    /// No rule and no recording fits it.
    pub missed: bool,
    /// When which part of a stream was out, the first [`limits::JOURNAL_MARKS`].
    pub marks: Vec<Mark>,
    /// The faults that met it, as the verdict tells them.
    pub fired: Vec<control_api::FaultGiven>,
    /// The steps of the script that answered, with their lines.
    pub steps: Vec<(&'static str, u64)>,
}

impl Entry {
    /// As control calls tell it; without `bodies` they are told by their lengths.
    pub fn told(&self, bodies: bool) -> control_api::Exchange {
        let micros = u32::try_from(self.duration.as_micros()).unwrap_or(u32::MAX);
        let body = |body: &Body| {
            if bodies {
                body.value()
            } else {
                body.without_content().value()
            }
        };
        control_api::Exchange {
            id: self.id.clone(),
            at: self.at,
            method: self.method.clone().into_owned(),
            path: self.path.clone(),
            query: self.query.clone(),
            status: self.status,
            duration_ms: f64::from(micros) / 1000.0,
            workspace: self.workspace.clone(),
            batch: self.batch.clone(),
            request_headers: self.request_headers.joined(),
            request_body: body(&self.request_body),
            response_headers: self.response_headers.joined(),
            response_body: body(&self.response_body),
            source: self.source.clone(),
            lints: self.lints.iter().map(Lint::told).collect(),
            client_left: self.ended == Ended::ClientLeft,
            broke: self.ended == Ended::Broke,
        }
    }

    /// Whether its answer is a stream of events.
    pub fn is_stream(&self) -> bool {
        let kind = self.response_headers.get("content-type");
        kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The type of the error that ended its stream.
    pub fn stream_error(&self) -> Option<String> {
        let Body::Bytes(stream) = &self.response_body else {
            return None;
        };
        if !self.is_stream() || is_complete(stream) {
            return None;
        }
        let last = wire::sse::Decoder::default().push(stream).pop()?;
        let event: Value = serde_json::from_str(&last.data).ok()?;
        let kind = event["error"]["type"].as_str().unwrap_or("error");
        (event["type"] == "error").then(|| kind.to_owned())
    }

    fn cost_bytes(&self) -> usize {
        let texts = [&self.id, &self.path, &self.workspace];
        let optional = [&self.query, &self.source].into_iter().flatten();
        let item = self.batch.as_ref();
        ENTRY_OVERHEAD_BYTES
            + self.method.len()
            + item.map_or(0, |item| item.id.len() + item.custom_id.len())
            + texts
                .into_iter()
                .chain(optional)
                .map(String::len)
                .sum::<usize>()
            + self.lints.iter().map(Lint::cost_bytes).sum::<usize>()
            + self.marks.len() * size_of::<Mark>()
            + self.steps.len() * size_of::<(&str, u64)>()
            + self.fired.len() * ENTRY_OVERHEAD_BYTES
            + self.request_headers.cost_bytes()
            + self.response_headers.cost_bytes()
            + self.request_body.cost_bytes()
            + self.response_body.cost_bytes()
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ended {
    /// With its last byte.
    #[default]
    Whole,
    /// The client went before that.
    ClientLeft,
    /// The connection was closed before that.
    Broke,
}

impl Ended {
    /// The status of an answer that ended so before its head was sent.
    pub fn unsent(self) -> u16 {
        let [left, broke] = UNSENT;
        match self {
            Self::Whole | Self::ClientLeft => left,
            Self::Broke => broke,
        }
    }
}

/// The statuses of entries without an answer, as nginx writes them: the client left, the connection was closed.
pub const UNSENT: [u16; 2] = [499, 444];

/// Whether a stream's last event is the one that ends it.
pub fn is_complete(stream: &[u8]) -> bool {
    const LAST: &[u8] = b"event: message_stop\n";
    let tail = &stream[stream.len().saturating_sub(128)..];
    tail.windows(LAST.len()).any(|window| window == LAST)
}

/// Which statuses to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// `404`.
    Is(u16),
    /// `4xx`.
    Class(u16),
}

impl StatusFilter {
    fn admits(self, status: u16) -> bool {
        match self {
            Self::Is(wanted) => status == wanted,
            Self::Class(hundreds) => status / 100 == hundreds,
        }
    }
}

/// Neither a status nor a class of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a status such as `404` nor a class such as `4xx`")]
pub struct StatusFilterError(String);

impl std::str::FromStr for StatusFilter {
    type Err = StatusFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let class = text.strip_suffix("xx").and_then(|digit| digit.parse().ok());
        match (class, text.parse()) {
            (Some(hundreds @ 1..=5), _) => Ok(Self::Class(hundreds)),
            (None, Ok(status @ 100..=599)) => Ok(Self::Is(status)),
            _ => Err(StatusFilterError(text.to_owned())),
        }
    }
}

/// From where on to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Requests of this time of the workspace's clock or later.
    Time(DateTime<Utc>),
    /// Requests that ended after the request of this id.
    Request(String),
}

/// Which entries to list.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The prefix of the path.
    pub path: Option<String>,
    pub status: Option<StatusFilter>,
    pub method: Option<String>,
    /// The request id; of a batch's item also `msgbatch_…/custom_id`, as findings have it.
    pub id: Option<String>,
    pub since: Option<Since>,
    pub limit: usize,
    /// [`Page::next_cursor`] of the page before.
    pub cursor: Option<u64>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            path: None,
            status: None,
            method: None,
            id: None,
            since: None,
            limit: limits::LIST_LIMIT_DEFAULT,
            cursor: None,
        }
    }
}

/// A part of the journal, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    pub entries: Vec<Arc<Entry>>,
    /// Where the next page starts, if there may be one.
    pub next_cursor: Option<u64>,
}

/// The entries since an earlier part, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Growth {
    pub entries: Vec<Arc<Entry>>,
    /// Where the next part begins.
    pub next_after: u64,
    /// How many in between are kept no more.
    pub dropped: u64,
}

/// The journal of one workspace. Clones share it.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit_bytes: usize,
    kept: Mutex<Kept>,
}

impl Filter {
    fn admits(&self, entry: View<'_>) -> bool {
        let Self {
            path,
            status,
            method,
            id,
            since,
            limit: _,
            cursor: _,
        } = self;
        path.as_ref()
            .is_none_or(|path| entry.path().starts_with(path.as_bytes()))
            && status.is_none_or(|status| status.admits(entry.status()))
            && method
                .as_ref()
                .is_none_or(|method| entry.method().eq_ignore_ascii_case(method.as_bytes()))
            && id.as_ref().is_none_or(|id| entry.has_id(id))
            && match since {
                Some(Since::Time(time)) => entry.at() >= *time,
                Some(Since::Request(_)) | None => true,
            }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::with_limit(limits::JOURNAL_BYTES)
    }
}

impl Journal {
    /// A journal that keeps at most this many bytes.
    pub fn with_limit(limit_bytes: usize) -> Self {
        Self(Arc::new(Inner {
            limit_bytes,
            kept: Mutex::default(),
        }))
    }

    /// Notes an exchange, and gives it as it is kept; the oldest make room for it. A body that would take more than a quarter of
    /// the journal is noted by its length alone, and an entry that is still too large not at all.
    pub fn push(&self, mut entry: Entry) -> Entry {
        let limit_bytes = self.0.limit_bytes;
        for body in [&mut entry.request_body, &mut entry.response_body] {
            if body.cost_bytes() > limit_bytes / 4 {
                *body = body.without_content();
            }
        }
        let cost_bytes = entry.cost_bytes();
        if cost_bytes <= limit_bytes {
            let mut kept = self.lock();
            kept.push(&entry, cost_bytes);
            kept.shrink_to(limit_bytes);
        }
        entry
    }

    /// The entries since `after`, which is a [`Growth::next_after`], or 0.
    pub fn growth(&self, filter: &Filter, after: u64) -> Growth {
        let kept = self.lock();
        // One of another server would wait for what is long there.
        let after = after.min(kept.next_number);
        let mut growth = Growth {
            next_after: kept.next_number,
            dropped: kept.first_number().saturating_sub(after),
            ..Growth::default()
        };
        let newer = kept.range(kept.before(after)..kept.len());
        for entry in newer.filter(|entry| filter.admits(*entry)) {
            if growth.entries.len() == filter.limit {
                growth.next_after = entry.number();
                break;
            }
            growth.entries.push(Arc::new(entry.entry()));
        }
        growth
    }

    /// How many that are kept are wanted.
    pub fn count(&self, filter: &Filter) -> usize {
        let kept = self.lock();
        let entries = kept.range(0..kept.len());
        entries.filter(|entry| filter.admits(*entry)).count()
    }

    /// The size of all entries, in bytes.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The exchange of a request, if it is kept.
    pub fn find(&self, id: &str) -> Option<Arc<Entry>> {
        let filter = Filter {
            id: Some(id.to_owned()),
            limit: 1,
            ..Filter::default()
        };
        self.list(&filter).entries.pop()
    }

    /// A part of the journal, newest first.
    pub fn list(&self, filter: &Filter) -> Page {
        let kept = self.lock();
        let end = filter
            .cursor
            .map_or(kept.len(), |cursor| kept.before(cursor));
        let start = kept.after(filter).min(end);
        let mut matching = kept
            .range(start..end)
            .rev()
            .filter(|entry| filter.admits(*entry));
        let mut page = Page::default();
        let mut last = None;
        for entry in matching.by_ref().take(filter.limit) {
            last = Some(entry.number());
            page.entries.push(Arc::new(entry.entry()));
        }
        page.next_cursor = last.filter(|_| matching.next().is_some());
        page
    }

    /// All that is kept and wanted, oldest first, with bodies and headers: what exports are made of.
    pub fn export(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        let kept = self.lock();
        let wanted = kept.range(kept.after(filter)..kept.len());
        wanted
            .filter(|entry| filter.admits(*entry))
            .map(|entry| Arc::new(entry.entry()))
            .collect()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        // Given back to the allocator when the lock is free again.
        let all = self.lock().clear();
        drop(all);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
