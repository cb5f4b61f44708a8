//! The journal as a list that grows: entries by their numbers.

use std::sync::Arc;

use super::kept::View;
use super::{Entry, Journal};

/// Which end of the journal is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Entries with a higher number, oldest first.
    After(u64),
    /// Entries with a lower number, newest first.
    Before(u64),
}

/// Where a stream stood at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// So many bytes of the body were out.
    pub end_bytes: u32,
    /// So long after the request came.
    pub after_us: u32,
}

impl Journal {
    /// At most `limit` entries with their numbers, which only grow.
    pub fn part(&self, part: Part, limit: usize) -> Vec<(u64, Arc<Entry>)> {
        let kept = self.lock();
        let pair = |entry: View<'_>| (entry.number(), Arc::new(entry.entry()));
        match part {
            Part::After(number) => {
                let start = kept.before(number.saturating_add(1));
                kept.range(start..kept.len())
                    .take(limit)
                    .map(pair)
                    .collect()
            }
            Part::Before(number) => {
                let end = kept.before(number);
                kept.range(0..end).rev().take(limit).map(pair).collect()
            }
        }
    }
    /// How many entries are kept.
    pub fn kept(&self) -> usize {
        self.lock().len()
    }
}
