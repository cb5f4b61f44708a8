//! The report of a run, for people, for programs, and for CI.

use std::fmt;

use serde::Serialize;
use serde_json::json;

use super::{Age, Costs, Plan};
use common::junit::{self, Case, CaseResult, Suite};
use live::Difference;

/// All cassettes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The URL of the service that was asked.
    pub upstream: String,
    /// Of the cassettes that say what else has expired, those that were not sent included.
    pub ages: Vec<Age>,
    pub cassettes: Vec<CassetteReport>,
    pub expected: Costs,
    /// The cost of the answers by their own usage, in dollars.
    pub usd: f64,
}

/// One cassette.
#[derive(Debug, Clone, Serialize)]
pub struct CassetteReport {
    #[serde(flatten)]
    pub age: Age,
    pub exchanges: Vec<ExchangeReport>,
}

/// One recorded exchange.
#[derive(Debug, Clone, Serialize)]
pub struct ExchangeReport {
    /// `#3`.
    pub exchange: String,
    /// Method and recorded path.
    pub request: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of an exchange.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Same,
    Different {
        differences: Vec<Difference>,
    },
    /// It was answered, and there is nothing whole to compare it with.
    NotCompared {
        reason: String,
    },
    NotSent {
        reason: String,
    },
}

impl Report {
    pub(super) fn new(upstream: &str, plan: &Plan) -> Self {
        Self {
            upstream: upstream.to_owned(),
            ages: plan.ages.clone(),
            expected: plan.costs.clone(),
            ..Self::default()
        }
    }

    /// Exchanges that are the same, that differ, and of which nothing is known.
    pub fn counts(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for exchange in self
            .cassettes
            .iter()
            .flat_map(|cassette| &cassette.exchanges)
        {
            match exchange.outcome {
                Outcome::Same => counts.0 += 1,
                Outcome::Different { .. } => counts.1 += 1,
                Outcome::NotCompared { .. } | Outcome::NotSent { .. } => counts.2 += 1,
            }
        }
        counts
    }

    /// 1 if something differs or has expired, or nothing at all was compared; else 0.
    pub fn exit_code(&self) -> u8 {
        let (same, different, _) = self.counts();
        let nothing = same + different == 0;
        u8::from(different > 0 || nothing || self.ages.iter().any(Age::is_expired))
    }

    /// Everything, as JSON.
    pub fn to_json(&self) -> String {
        let (same, different, unknown) = self.counts();
        let value = json!({
            "same": same,
            "different": different,
            "not_compared": unknown,
            "upstream": self.upstream,
            "expected": self.expected,
            "usd": self.usd,
            "ages": self.ages,
            "cassettes": self.cassettes,
        });
        serde_json::to_string_pretty(&value).expect("a report is plain JSON") + "\n"
    }

    /// A suite for each cassette and a case for each exchange.
    pub fn to_junit(&self) -> String {
        let suites: Vec<Suite> = self.cassettes.iter().map(suite).collect();
        junit::written(&suites)
    }
}

fn suite(cassette: &CassetteReport) -> Suite {
    let name = &cassette.age.cassette;
    let expired = cassette.age.told().filter(|_| cassette.age.is_expired());
    let age = expired.map(|told| {
        let result = CaseResult::Failed {
            message: told,
            kind: None,
            text: String::new(),
        };
        Case::new(name, "age", result)
    });
    let exchanges = cassette.exchanges.iter().map(|exchange| {
        let result = match &exchange.outcome {
            Outcome::Same => CaseResult::Passed,
            Outcome::Different { differences } => {
                let lines: Vec<String> = differences.iter().map(line).collect();
                CaseResult::Failed {
                    message: differences[0].what.clone(),
                    kind: None,
                    text: lines.join("\n"),
                }
            }
            Outcome::NotCompared { reason } | Outcome::NotSent { reason } => CaseResult::Skipped {
                message: reason.clone(),
            },
        };
        let called = format!("{} {}", exchange.exchange, exchange.request);
        Case::new(name, &called, result)
    });
    Suite::new(name, age.into_iter().chain(exchanges))
}

fn line(difference: &Difference) -> String {
    let Difference {
        what,
        recorded,
        live,
    } = difference;
    format!("{what}: recorded {recorded}, now {live}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cassette in &self.cassettes {
            writeln!(f, "{}", cassette.age.cassette)?;
            for exchange in &cassette.exchanges {
                let place = format!("{} {}", exchange.exchange, exchange.request);
                match &exchange.outcome {
                    Outcome::Same => writeln!(f, "  same          {place}")?,
                    Outcome::Different { differences } => {
                        writeln!(f, "  different     {place}")?;
                        for difference in differences {
                            writeln!(f, "                {}", line(difference))?;
                        }
                    }
                    Outcome::NotCompared { reason } => {
                        writeln!(f, "  not compared  {place}\n                {reason}")?;
                    }
                    Outcome::NotSent { reason } => {
                        writeln!(f, "  not sent      {place}\n                {reason}")?;
                    }
                }
            }
        }
        for told in self.ages.iter().filter_map(Age::told) {
            writeln!(f, "{told}")?;
        }
        let (same, different, unknown) = self.counts();
        writeln!(
            f,
            "{} compared with {}: {same} the same, {different} different; {unknown} not compared; {:.4} USD by their usage",
            same + different,
            self.upstream,
            self.usd
        )
    }
}
