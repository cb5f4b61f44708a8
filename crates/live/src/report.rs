//! The report of a live run, for people, for programs, and for CI.

use std::fmt;

use serde::Serialize;

use common::junit::{self, Case, CaseResult, Suite};

/// All cassettes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub cassettes: Vec<CassetteReport>,
}

/// One cassette.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CassetteReport {
    pub name: String,
    /// In the order in which the calls were made.
    pub calls: Vec<CallReport>,
}

/// One recorded call.
#[derive(Debug, Clone, Serialize)]
pub struct CallReport {
    /// The exchange that made it, from 1.
    pub exchange: String,
    pub id: String,
    /// Such as `bash_code_execution`.
    pub tool: String,
    /// The first line of what was called.
    pub call: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It ran, and nothing differs.
    Same {
        /// The parts that could not be compared.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        unchecked: Vec<String>,
    },
    /// It ran, and something does.
    Different { differences: Vec<Difference> },
    /// The recording lacks what it needs.
    NotExecutable { reason: String },
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Such as `stdout, line 3`.
    pub what: String,
    pub recorded: String,
    pub live: String,
}

impl Report {
    /// Calls that ran and did not differ, that differ, and that could not be run.
    pub fn counts(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for call in self.cassettes.iter().flat_map(|it| &it.calls) {
            match call.outcome {
                Outcome::Same { .. } => counts.0 += 1,
                Outcome::Different { .. } => counts.1 += 1,
                Outcome::NotExecutable { .. } => counts.2 += 1,
            }
        }
        counts
    }

    /// 1 if something differs, or if there was no call at all, which proves nothing; else 0.
    pub fn exit_code(&self) -> u8 {
        let (same, different, not_executable) = self.counts();
        u8::from(different > 0 || same + not_executable == 0)
    }

    /// Everything, as JSON.
    pub fn to_json(&self) -> String {
        let (same, different, not_executable) = self.counts();
        let value = serde_json::json!({
            "same": same,
            "different": different,
            "not_executable": not_executable,
            "cassettes": self.cassettes,
        });
        serde_json::to_string_pretty(&value).expect("a report is plain JSON") + "\n"
    }

    /// A suite for each cassette and a case for each call.
    pub fn to_junit(&self) -> String {
        let suites: Vec<Suite> = self.cassettes.iter().map(suite).collect();
        junit::written(&suites)
    }
}

fn suite(cassette: &CassetteReport) -> Suite {
    let cases = cassette.calls.iter().map(|call| {
        let result = match &call.outcome {
            Outcome::Same { .. } => CaseResult::Passed,
            Outcome::Different { differences } => {
                let lines: Vec<String> = differences.iter().map(told).collect();
                CaseResult::Failed {
                    message: differences[0].what.clone(),
                    kind: None,
                    text: lines.join("\n"),
                }
            }
            Outcome::NotExecutable { reason } => CaseResult::Skipped {
                message: reason.clone(),
            },
        };
        let name = format!("{} {}: {}", call.exchange, call.tool, call.call);
        Case::new(&cassette.name, &name, result)
    });
    Suite::new(&cassette.name, cases)
}

fn told(difference: &Difference) -> String {
    format!(
        "{}\n  recorded: {}\n  live:     {}",
        difference.what, difference.recorded, difference.live
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cassette in &self.cassettes {
            if cassette.calls.is_empty() {
                writeln!(f, "{}: no calls", cassette.name)?;
                continue;
            }
            writeln!(f, "{}", cassette.name)?;
            for call in &cassette.calls {
                let place = format!("exchange {}, {}: {}", call.exchange, call.tool, call.call);
                match &call.outcome {
                    Outcome::Same { unchecked } => {
                        writeln!(f, "  same            {place}")?;
                        for what in unchecked {
                            writeln!(f, "                  not compared: {what}")?;
                        }
                    }
                    Outcome::Different { differences } => {
                        writeln!(f, "  different       {place}")?;
                        for difference in differences {
                            for line in told(difference).lines() {
                                writeln!(f, "                  {line}")?;
                            }
                        }
                    }
                    Outcome::NotExecutable { reason } => {
                        writeln!(f, "  not executable  {place}\n                  {reason}")?;
                    }
                }
            }
        }
        let (same, different, not_executable) = self.counts();
        writeln!(
            f,
            "{} executed: {same} the same, {different} different; {not_executable} not executable",
            same + different
        )
    }
}
