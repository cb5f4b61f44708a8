//! The report of a sweep: a value that is JSON as it stands, and ways to show it.

mod html;
mod junit;
mod sarif;

pub use sarif::SARIF_DRIVER;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::baseline::Baseline;
use super::catalogue::{self, Cell, Group};
use super::effects::scrubbed;
use super::outcome::{self, Finding, Outcome};
use super::process::End;
use super::run::Run;
use super::secrets::Secrets;
use super::{Options, fuzz};

/// So much of what a client printed is in a report.
const SHOWN_OUTPUT_BYTES: usize = 16 * 1024;
/// The id of what is wrong without a fault.
const BASELINE: &str = "baseline";

/// A sweep that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Nothing is bad that was not bad before.
    pub ok: bool,
    /// Of this form; another one gets another number.
    pub sweep: u32,
    pub command: Vec<String>,
    pub requests: Vec<RequestReport>,
    pub baseline: BaselineReport,
    pub cells: Vec<CellReport>,
    /// Cells by outcome.
    pub counts: BTreeMap<String, usize>,
    /// Cells that were not played.
    pub left_out: usize,
    /// It was stopped before its end.
    pub interrupted: bool,
    pub seconds: f64,
    /// The command line but for what chooses cells.
    pub repeat: String,
}

/// A request of the run without faults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestReport {
    pub name: String,
    pub title: String,
}

/// The runs without faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineReport {
    pub seconds: f64,
    /// The differences between two of them.
    pub differences: Vec<String>,
    pub findings: Vec<Finding>,
}

/// A run with faults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellReport {
    pub id: String,
    pub request: String,
    pub kind: String,
    pub group: Group,
    pub says: String,
    pub faults: Vec<Value>,
    pub outcome: Outcome,
    pub bad: bool,
    /// Bad, and not so in the report of before.
    pub new: bool,
    /// The worst first.
    pub findings: Vec<Finding>,
    pub end: End,
    pub seconds: f64,
    /// The requests as the server saw them.
    pub wire: Vec<WireReport>,
    pub stderr: String,
    /// The command that runs it alone.
    pub repeat: String,
    /// Of a conversation that nobody wrote: the smallest that fails in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<Smallest>,
}

/// A smaller case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smallest {
    /// How many runs it took to find.
    pub runs: usize,
    /// The command that runs it alone.
    pub repeat: String,
}

/// A request of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireReport {
    pub request_id: String,
    pub method: String,
    pub path: String,
    pub status: u16,
    pub duration_ms: f64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_left: bool,
    /// A fault of the cell met it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub struck: bool,
}

impl Report {
    pub(super) fn new(options: &Options, baseline: &Baseline, left_out: usize) -> Self {
        let requests = baseline.requests.iter().map(|request| RequestReport {
            name: request.name.clone(),
            title: request.title.clone(),
        });
        Self {
            requests: requests.collect(),
            baseline: BaselineReport {
                seconds: baseline.run.took.as_secs_f64(),
                differences: baseline.differences.clone(),
                findings: outcome::of_baseline(&baseline.run),
            },
            left_out,
            ..Self::empty(options)
        }
    }

    fn empty(options: &Options) -> Self {
        Self {
            ok: true,
            sweep: 1,
            command: options.command.clone(),
            requests: Vec::new(),
            baseline: BaselineReport::default(),
            cells: Vec::new(),
            counts: BTreeMap::new(),
            left_out: 0,
            interrupted: false,
            seconds: 0.0,
            repeat: options.repeat.clone(),
        }
    }

    /// Of a sweep that was stopped before it knew anything.
    pub(super) fn interrupted(options: &Options) -> Self {
        let mut report = Self {
            interrupted: true,
            ..Self::empty(options)
        };
        report.hide(Secrets::known());
        report
    }

    /// Those that came out well, and met their fault.
    pub(super) fn good_ids(&self) -> HashSet<String> {
        let good = self
            .cells
            .iter()
            .filter(|cell| !cell.bad && cell.outcome != Outcome::NotMet);
        good.map(|cell| cell.id.clone()).collect()
    }

    pub(super) fn close(&mut self, took: Duration) {
        self.seconds = took.as_secs_f64();
        self.counts.clear();
        for cell in &self.cells {
            *self
                .counts
                .entry(cell.outcome.name().to_owned())
                .or_default() += 1;
        }
        self.ok = !self.cells.iter().any(|cell| cell.new)
            && !self.baseline.findings.iter().any(|finding| finding.bad);
        self.hide(Secrets::known());
    }

    /// Takes secrets out of all that is shown: clients name files and paths after them, and command lines hold some.
    fn hide(&mut self, secrets: &Secrets) {
        let hide = |text: &mut String| *text = secrets.hidden(text);
        let Self {
            command,
            requests,
            baseline,
            cells,
            repeat,
            ..
        } = self;
        command.iter_mut().chain([repeat]).for_each(hide);
        for RequestReport { name, title } in requests {
            [name, title].into_iter().for_each(hide);
        }
        baseline.differences.iter_mut().for_each(hide);
        let findings = baseline.findings.iter_mut();
        findings.for_each(|finding| hide(&mut finding.says));
        for cell in cells {
            cell.texts().into_iter().for_each(hide);
            let faults = std::mem::take(&mut cell.faults).into_iter();
            cell.faults = faults.map(|fault| secrets.hidden_in(fault)).collect();
        }
    }

    /// Takes what was bad in an earlier report for known.
    pub fn compare(&mut self, old: &Self) {
        let known = super::known_bad(old);
        for cell in &mut self.cells {
            cell.new = cell.bad && !known.contains(&(cell.id.clone(), cell.outcome));
        }
        let findings = &self.baseline.findings;
        let fresh = findings
            .iter()
            .any(|finding| finding.bad && !old.baseline.findings.contains(finding));
        self.ok = !fresh && !self.cells.iter().any(|cell| cell.new);
    }

    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    pub fn to_html(&self) -> String {
        html::page(self)
    }

    pub fn to_junit(&self) -> String {
        junit::suites(self)
    }

    pub fn to_sarif(&self) -> String {
        sarif::log(self)
    }

    /// Cells of a request in a column.
    pub(super) fn at<'a>(
        &'a self,
        request: &'a str,
        group: Group,
    ) -> impl Iterator<Item = &'a CellReport> {
        let cells = self.cells.iter();
        cells.filter(move |cell| cell.request == request && cell.group == group && !cell.is_pair())
    }
}

impl CellReport {
    pub(super) fn of(cell: &Cell, run: &Run, baseline: &Baseline, options: &Options) -> Self {
        let findings = if cell.group == Group::Fuzz {
            fuzz::judge(run, &cell.id, baseline)
        } else {
            outcome::judge(run, cell.expect, baseline)
        };
        let first = findings.first();
        let (outcome, bad) =
            first.map_or((Outcome::NotMet, false), |first| (first.outcome, first.bad));
        let wire = run.exchanges.iter().map(|exchange| WireReport {
            request_id: exchange.id.clone(),
            method: exchange.method.clone(),
            path: exchange.path.clone(),
            status: exchange.status,
            duration_ms: exchange.duration_ms,
            client_left: exchange.client_left,
            struck: !outcome::struck(run, exchange).is_empty(),
        });
        // Before anything is cut: half a secret is found no more.
        let secrets = Secrets::known();
        let hidden = findings.iter().map(|finding| Finding {
            says: scrubbed(&secrets.hidden(&finding.says)),
            ..finding.clone()
        });
        Self {
            id: cell.id.clone(),
            request: cell.request.clone(),
            kind: cell.kind.clone(),
            group: cell.group,
            says: cell.says.clone(),
            faults: cell.faults.clone(),
            outcome,
            bad,
            new: bad,
            findings: hidden.collect(),
            end: run.end,
            seconds: run.took.as_secs_f64(),
            wire: wire.collect(),
            stderr: tail(&secrets.hidden(&run.stderr)),
            repeat: options.alone(&cell.id),
            smallest: None,
        }
    }

    /// Every text that is not a word of ours.
    fn texts(&mut self) -> Vec<&mut String> {
        let Self {
            id,
            request,
            says,
            findings,
            wire,
            stderr,
            repeat,
            smallest,
            ..
        } = self;
        let mut texts = vec![id, request, says, stderr, repeat];
        texts.extend(findings.iter_mut().map(|finding| &mut finding.says));
        texts.extend(smallest.iter_mut().map(|smallest| &mut smallest.repeat));
        for WireReport { method, path, .. } in wire {
            texts.extend([method, path]);
        }
        texts
    }

    pub(super) fn is_pair(&self) -> bool {
        self.id.contains('+')
    }

    /// The fault and the outcome, in a sentence.
    pub(super) fn sentence(&self) -> String {
        let first = self.findings.first().map_or("", |finding| &*finding.says);
        format!("{} meets {}: the client {first}", self.request, self.says)
    }

    /// The shortest line that shows what went wrong.
    pub(super) fn alone(&self) -> &str {
        let smallest = self.smallest.as_ref();
        smallest.map_or(&self.repeat, |smallest| &smallest.repeat)
    }

    /// The requests on the wire, in a line.
    pub(super) fn wire_line(&self) -> String {
        let told = self.wire.iter().map(|seen| {
            let mark = if seen.struck { "!" } else { "" };
            let left = if seen.client_left { " left" } else { "" };
            format!(
                "{} {} {}{left}{mark}",
                seen.method,
                scrubbed(&seen.path),
                seen.status
            )
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

/// The end of a text.
fn tail(text: &str) -> String {
    let mut from = text.len().saturating_sub(SHOWN_OUTPUT_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

/// The kinds and their descriptions, for lists of rules.
fn kinds() -> Vec<(String, String)> {
    catalogue::kinds()
}

#[cfg(test)]
mod tests;
