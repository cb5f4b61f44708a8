//! The results, fact by fact, for people, for programs, and for CI.

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::json;

use super::{HEADING, Seen, Service};
use common::junit::{self, Case, CaseResult, Suite};

/// All cases.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The URL of the service that was asked.
    pub upstream: String,
    pub cases: Vec<CaseReport>,
    /// The cost of the answers by their own usage, in dollars.
    pub usd: f64,
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    pub case: String,
    pub checks: Vec<CheckReport>,
}

/// One fact in one answer.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    pub fact: String,
    /// The text of the fact.
    pub says: String,
    /// Method and path; empty where nothing was sent.
    pub request: String,
    #[serde(flatten)]
    pub result: CheckResult,
}

/// The result of the check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CheckResult {
    Holds,
    Differs {
        expected: String,
        got: String,
    },
    /// There was nothing to see.
    Open {
        reason: String,
    },
}

/// Longest text of an answer that is told.
const TOLD_CHARS: usize = 400;

impl CheckReport {
    pub(super) fn of(fact: &str, says: &str, request: &str, seen: Seen, service: &Service) -> Self {
        let short = |text: &str| {
            let text = service.discreet(text);
            match text.char_indices().nth(TOLD_CHARS) {
                Some((at, _)) => format!("{}…", &text[..at]),
                None => text,
            }
        };
        Self {
            fact: fact.to_owned(),
            says: says.to_owned(),
            request: request.to_owned(),
            result: match seen {
                Seen::Holds => CheckResult::Holds,
                Seen::Differs { expected, got } => CheckResult::Differs {
                    expected,
                    got: short(&got),
                },
                Seen::Open(reason) => CheckResult::Open {
                    reason: short(&reason),
                },
            },
        }
    }
}

impl Report {
    fn checks(&self) -> impl Iterator<Item = &CheckReport> {
        self.cases.iter().flat_map(|case| &case.checks)
    }

    /// Checks that hold, that do not, and that saw nothing.
    pub fn counts(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for check in self.checks() {
            match check.result {
                CheckResult::Holds => counts.0 += 1,
                CheckResult::Differs { .. } => counts.1 += 1,
                CheckResult::Open { .. } => counts.2 += 1,
            }
        }
        counts
    }

    /// 1 if a fact does not hold, or none was seen; else 0.
    pub fn exit_code(&self) -> u8 {
        let (holds, differs, _) = self.counts();
        u8::from(differs > 0 || holds == 0)
    }

    /// Everything, as JSON.
    pub fn to_json(&self) -> String {
        let (holds, differs, open) = self.counts();
        let value = json!({
            "holds": holds,
            "differs": differs,
            "open": open,
            "upstream": self.upstream,
            "usd": self.usd,
            "cases": self.cases,
        });
        serde_json::to_string_pretty(&value).expect("a report is plain JSON") + "\n"
    }

    /// A table of facts, to be shown to others.
    pub fn to_markdown(&self) -> String {
        let (holds, differs, open) = self.counts();
        let mut text = format!(
            "{HEADING}{}`\n\n{holds} facts hold, {differs} differ, {open} were not seen.\n\n\
             | Fact | It says | Case | Result | Expected | Got |\n|---|---|---|---|---|---|\n",
            self.upstream
        );
        for case in &self.cases {
            for check in &case.checks {
                let (result, expected, got) = check.result.words();
                let cells = [&check.fact, &check.says, &case.case, result, expected, got].map(cell);
                writeln!(text, "| {} |", cells.join(" | ")).expect("a String takes every write");
            }
        }
        text
    }

    /// A suite for each case and a case for each fact.
    pub fn to_junit(&self) -> String {
        let suites: Vec<Suite> = self.cases.iter().map(suite).collect();
        junit::written(&suites)
    }
}

fn suite(case: &CaseReport) -> Suite {
    let checks = case.checks.iter().map(|check| {
        let result = match &check.result {
            CheckResult::Holds => CaseResult::Passed,
            CheckResult::Differs { expected, got } => CaseResult::Failed {
                message: expected.clone(),
                kind: None,
                text: got.clone(),
            },
            CheckResult::Open { reason } => CaseResult::Skipped {
                message: reason.clone(),
            },
        };
        let called = format!("{} {}", check.fact, check.request);
        Case::new(&case.case, &called, result)
    });
    Suite::new(&case.case, checks)
}

impl CheckResult {
    fn words(&self) -> (&str, &str, &str) {
        match self {
            Self::Holds => ("holds", "", ""),
            Self::Differs { expected, got } => ("differs", expected, got),
            Self::Open { reason } => ("not seen", "", reason),
        }
    }
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace("\\|", "|")
        .replace('|', "\\|")
        .replace(['\n', '\r'], " ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{}", case.case)?;
            for check in &case.checks {
                let (result, expected, got) = check.result.words();
                writeln!(f, "  {result:<9} {}  {}", check.fact, check.request)?;
                match check.result {
                    CheckResult::Holds => {}
                    CheckResult::Differs { .. } => {
                        writeln!(
                            f,
                            "            expected {expected}\n            got      {got}"
                        )?;
                        writeln!(f, "            {}: {}", check.fact, check.says)?;
                    }
                    CheckResult::Open { .. } => writeln!(f, "            {got}")?,
                }
            }
        }
        let (holds, differs, open) = self.counts();
        writeln!(
            f,
            "{}: {holds} hold, {differs} differ, {open} not seen; {:.4} USD by their usage",
            self.upstream, self.usd
        )
    }
}
