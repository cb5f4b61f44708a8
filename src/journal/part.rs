//! The journal as a list that grows: entries by their numbers.

use std::sync::Arc;

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
        let all = &kept.entries;
        let pair = |numbered: &super::Numbered| (numbered.number, Arc::clone(&numbered.entry));
        match part {
            Part::After(number) => {
                let start = all.partition_point(|entry| entry.number <= number);
                all.range(start..).take(limit).map(pair).collect()
            }
            Part::Before(number) => {
                let end = all.partition_point(|entry| entry.number < number);
                all.range(..end).rev().take(limit).map(pair).collect()
            }
        }
    }

    /// How many entries are kept.
    pub fn kept(&self) -> usize {
        self.lock().entries.len()
    }
}
