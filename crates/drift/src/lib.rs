//! Drift: recorded requests sent again to who is there now, and what of the answers' shape is other than it was.
//!
//! The comparison is of what the service decides (statuses, members, types, words, the order of events), not of
//! what a model or the hour decides (ids, times, texts, counters, how many blocks). Nothing here reads the
//! environment or prints.

mod age;
pub mod conform;
mod cost;
mod heard;
mod names;
mod report;
mod run;
mod send;
mod shape;
mod stream;

use cassette::{Cassette, Exchange};
use common::hinted::Mistake;
use workspace::billing::Prices;

pub use age::{Age, Limits};
pub use cost::Costs;
pub use report::{CassetteReport, ExchangeReport, Outcome, Report};
pub use run::run;
pub use send::{Service, ServiceError};

/// The cassettes, or exchanges of them, that are to be sent.
#[derive(Debug)]
pub struct Plan {
    cassettes: Vec<Cassette>,
    only: Vec<String>,
    /// Of the recordings, in the order of the cassettes.
    pub ages: Vec<Age>,
    pub costs: Costs,
}

impl Plan {
    /// Looks at cassettes. `only` names some of them, as `sales`, or exchanges, as `sales #3`; without any, all are meant.
    pub fn of(
        cassettes: Vec<Cassette>,
        only: Vec<String>,
        prices: &Prices,
        limits: Limits,
    ) -> Result<Self, Mistake> {
        let ages = cassettes
            .iter()
            .map(|cassette| Age::of(cassette, limits))
            .collect();
        let mut plan = Self {
            cassettes,
            only,
            ages,
            costs: Costs::default(),
        };
        if let Some(name) = plan.only.iter().find(|name| !plan.knows(name)) {
            let text = format!("no cassette or exchange is called `{name}`");
            let hint = "such as `sales`, or `sales #3` for its third exchange";
            return Err(Mistake::new(text).with_hint(hint));
        }
        let meant = plan
            .cassettes
            .iter()
            .flat_map(|cassette| plan.meant(cassette));
        plan.costs = Costs::of(meant.map(|(_, exchange)| exchange), prices);
        Ok(plan)
    }

    fn knows(&self, name: &str) -> bool {
        self.cassettes.iter().any(|cassette| {
            cassette.name == name
                || (1..=cassette.exchanges.len()).any(|number| named(cassette, number) == name)
        })
    }

    /// The exchanges of a cassette that are meant, with their numbers from 1.
    fn meant<'a>(&'a self, cassette: &'a Cassette) -> impl Iterator<Item = (usize, &'a Exchange)> {
        (1..).zip(&cassette.exchanges).filter(|(number, _)| {
            let is = |name: &String| *name == cassette.name || *name == named(cassette, *number);
            self.only.is_empty() || self.only.iter().any(is)
        })
    }
}

fn named(cassette: &Cassette, number: usize) -> String {
    format!("{} #{number}", cassette.name)
}

#[cfg(test)]
mod tests;
