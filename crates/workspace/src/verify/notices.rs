//! Clients that were told in an answer that their container has expired, and what they do about it.

use std::collections::VecDeque;

use common::limits;

/// The notice that an answer with `container_expired` in it leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub container: String,
    /// The calls that came to nothing.
    pub calls: Vec<String>,
    /// The SHA-256 of what the user had asked last.
    pub question: [u8; 32],
}

/// The newest [`limits::VERIFY_MEMORY`] of each.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Nobody has asked again yet. By the request that was told.
    open: VecDeque<(String, Told)>,
    /// All that were told, answered or not.
    over: VecDeque<Told>,
}

impl Notices {
    pub(super) fn told(&mut self, request: &str, told: Told) {
        self.open.push_back((request.to_owned(), told.clone()));
        self.over.push_back(told);
        if self.open.len() > limits::VERIFY_MEMORY {
            self.open.pop_front();
        }
        if self.over.len() > limits::VERIFY_MEMORY {
            self.over.pop_front();
        }
    }

    /// The question is asked again, without any of these containers: which ones had been over then.
    pub(super) fn asked_again(&mut self, question: &[u8; 32], named: Option<&str>) -> Vec<String> {
        if self.over.is_empty() || named.is_some_and(|named| self.is_over(named)) {
            return Vec::new();
        }
        self.open.retain(|(_, told)| told.question != *question);
        let over = self.over.iter().rev();
        over.filter(|told| told.question == *question)
            .map(|told| told.container.clone())
            .collect()
    }

    /// Code has run in a conversation with these calls.
    pub(super) fn goes_on(&mut self, calls: &[&str]) {
        self.open
            .retain(|(_, told)| !told.calls.iter().any(|id| calls.contains(&id.as_str())));
    }

    pub(super) fn is_over(&self, container: &str) -> bool {
        self.over.iter().any(|told| told.container == container)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &(String, Told)> {
        self.open.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.over.is_empty()
    }
}
