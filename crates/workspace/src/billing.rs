//! Cost estimate of the workspace's turns: container time, tokens, web searches (F180).
//!
//! The ledger takes notes while turns run and does its sums when it is asked. It is kept in memory: the
//! oldest containers and requests are folded into their month's sums, so that it stays bounded.

mod prices;
mod report;
mod row;
mod sums;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use common::limits;

pub use prices::{Price, Prices};
use row::Row;
use sums::Sums;

/// The usage of one turn, as far as one model has answered it.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn<'a> {
    /// `msg_…`.
    pub message_id: &'a str,
    pub at: DateTime<Utc>,
    pub model: &'a str,
    pub tokens: Tokens,
    pub web_searches: u64,
    /// Of a batch: tokens are half the price.
    pub batch: bool,
    pub container: Option<ContainerUse>,
}

/// For how many turns room is made at once.
const GROWTH_ROWS: usize = 1024;

/// Tokens of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_write: u64,
    pub cache_read: u64,
}

impl Tokens {
    /// Both together. A script sets any number, so the sum may be the largest.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        Self {
            input: self.input.saturating_add(more.input),
            output: self.output.saturating_add(more.output),
            cache_write: self.cache_write.saturating_add(more.cache_write),
            cache_read: self.cache_read.saturating_add(more.cache_read),
        }
    }
}

/// A turn's time on a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUse {
    pub id: String,
    /// The first call, or the moment at which files or skills were put in place.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Not charged: a web tool of 2026-02-09 or later is in the request.
    pub free: bool,
}

/// The time a container was awake, as far as it is billed: the uses that follow one another closely.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// From the first use that is charged to the end of the last.
    charged: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Session {
    fn new(used: &ContainerUse) -> Self {
        Self {
            from: used.from,
            to: used.to,
            charged: (!used.free).then_some((used.from, used.to)),
        }
    }

    /// Whether the container cannot have been reclaimed in between.
    fn takes(&self, used: &ContainerUse) -> bool {
        used.from <= self.to + limits::BILLING_SESSION_GAP
    }

    fn add(&mut self, used: &ContainerUse) {
        self.from = self.from.min(used.from);
        self.to = self.to.max(used.to);
        if !used.free {
            let (from, to) = self.charged.unwrap_or((used.from, used.to));
            self.charged = Some((from.min(used.from), to.max(used.to)));
        }
    }

    fn billable_seconds(&self) -> u64 {
        self.charged.map_or(0, |(from, to)| billable(to - from))
    }

    fn month(&self) -> Month {
        Month::of(self.charged.map_or(self.from, |(from, _)| from))
    }
}

/// Seconds that are billed for so long a use: whole ones, and at least five minutes.
fn billable(span: TimeDelta) -> u64 {
    let seconds = (span + TimeDelta::seconds(1) - TimeDelta::nanoseconds(1)).num_seconds();
    u64::try_from(seconds)
        .unwrap_or(0)
        .max(limits::BILLING_MINIMUM_SECONDS)
}

/// A calendar month, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u32,
}

impl Month {
    /// The month of a time.
    pub fn of(at: DateTime<Utc>) -> Self {
        Self {
            year: at.year(),
            month: at.month(),
        }
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// Not a month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no month such as `2026-11`")]
pub struct MonthError(String);

impl std::str::FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let are_digits =
            |part: &str, count| part.len() == count && part.bytes().all(|c| c.is_ascii_digit());
        text.split_once('-')
            .filter(|(year, month)| are_digits(year, 4) && are_digits(month, 2))
            .and_then(|(year, month)| Some((year.parse().ok()?, month.parse().ok()?)))
            .filter(|(year, month)| *year >= 1000 && (1..=12).contains(month))
            .map(|(year, month)| Self { year, month })
            .ok_or_else(|| MonthError(text.to_owned()))
    }
}

/// The ledger of one workspace, which is its own organization.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Oldest first.
    turns: VecDeque<Row>,
    sessions: HashMap<String, Vec<Session>>,
    /// In the order of their first use.
    containers: VecDeque<String>,
    /// Sums by month of the usage that is not kept one by one any more.
    folded: BTreeMap<Month, Sums>,
}

impl Ledger {
    /// Notes a turn, whatever became of it.
    pub fn note(&self, turn: Turn<'_>) {
        let mut kept = self.lock();
        if let Some(used) = &turn.container {
            kept.note_use(used);
        }
        let row = Row::of(turn, kept.turns.back());
        if kept.turns.len() == kept.turns.capacity() {
            // Doubled it would have room for a half more than there ever are.
            kept.turns.reserve_exact(GROWTH_ROWS);
        }
        kept.turns.push_back(row);
        kept.fold();
    }

    /// The usage and cost of a month so far.
    pub fn report(&self, month: Month, prices: &Prices) -> control_api::Usage {
        let kept = self.lock();
        let folded = kept.folded.get(&month).cloned().unwrap_or_default();
        let containers = kept.containers.iter().filter_map(|id| {
            let sessions: Vec<&Session> = kept.sessions[id]
                .iter()
                .filter(|session| session.month() == month)
                .collect();
            (!sessions.is_empty()).then_some((id.as_str(), sessions))
        });
        let turns = kept.turns.iter();
        let turns = turns.filter(|turn| Month::of(turn.at) == month);
        report::report(month, folded, containers, turns, prices)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn note_use(&mut self, used: &ContainerUse) {
        let Some(sessions) = self.sessions.get_mut(&used.id) else {
            self.containers.push_back(used.id.clone());
            self.sessions
                .insert(used.id.clone(), vec![Session::new(used)]);
            return;
        };
        match sessions.last_mut() {
            Some(last) if last.takes(used) => last.add(used),
            _ => sessions.push(Session::new(used)),
        }
    }

    fn fold(&mut self) {
        while self.turns.len() > limits::LEDGER_ENTRIES {
            if let Some(turn) = self.turns.pop_front() {
                self.sums(Month::of(turn.at)).add_turn(&turn);
            }
        }
        while self.containers.len() > limits::LEDGER_ENTRIES {
            let oldest = self.containers.pop_front();
            let sessions = oldest.and_then(|id| self.sessions.remove(&id));
            for session in sessions.into_iter().flatten() {
                self.sums(session.month())
                    .add_seconds(session.billable_seconds());
            }
        }
    }

    fn sums(&mut self, month: Month) -> &mut Sums {
        self.folded.entry(month).or_default()
    }
}

#[cfg(test)]
mod tests;
