//! The sums of a month.

use std::collections::BTreeMap;

use super::row::Row;
use super::{Prices, Tokens};

/// Sums that do not name who caused them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) container_seconds: u64,
    pub(super) turns: u64,
    pub(super) web_searches: u64,
    /// By model, and whether a batch's: prices may differ.
    tokens: BTreeMap<(String, bool), Tokens>,
}

impl Sums {
    pub(super) fn add_turn(&mut self, turn: &Row) {
        self.turns += 1;
        self.web_searches += turn.web_searches;
        let sums = self
            .tokens
            .entry((turn.model.to_string(), turn.batch))
            .or_default();
        *sums = sums.and(&turn.tokens);
    }

    pub(super) fn add_seconds(&mut self, seconds: u64) {
        self.container_seconds += seconds;
    }

    /// All tokens, whatever the model.
    pub(super) fn tokens(&self) -> Tokens {
        self.tokens
            .values()
            .fold(Tokens::default(), |all, more| all.and(more))
    }

    /// The cost of all tokens in dollars, and the models that have no price.
    pub(super) fn token_dollars(&self, prices: &Prices) -> (f64, Vec<String>) {
        let mut unpriced = Vec::new();
        let mut dollars = 0.0;
        for ((model, batch), tokens) in &self.tokens {
            match prices.dollars(model, tokens, *batch) {
                Some(more) => dollars += more,
                None if unpriced.contains(model) => {}
                None => unpriced.push(model.clone()),
            }
        }
        (dollars, unpriced)
    }
}
