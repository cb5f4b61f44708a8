//! The report for CI servers: a case for each run.

use super::{BASELINE, Report};
use common::junit::{self, Case, CaseResult, Suite};

/// A suite; what is known to be bad is skipped.
pub(super) fn suites(report: &Report) -> String {
    let cells = report.cells.iter().map(|cell| {
        let sentence = cell.sentence();
        let result = if cell.new {
            CaseResult::Failed {
                kind: Some(cell.outcome.name().to_owned()),
                text: format!(
                    "{sentence}\non the wire: {}\n{}\n{}",
                    cell.wire_line(),
                    cell.stderr,
                    cell.alone()
                ),
                message: sentence,
            }
        } else if cell.bad {
            CaseResult::Skipped {
                message: format!("known: {sentence}"),
            }
        } else {
            CaseResult::Passed
        };
        case(&cell.request, &cell.id, cell.seconds, result)
    });
    let cases = std::iter::once(baseline(report)).chain(cells);
    junit::written(&[Suite::new("sandtable sweep", cases).took(report.seconds)])
}

fn baseline(report: &Report) -> Case {
    let bad: Vec<String> = report
        .baseline
        .findings
        .iter()
        .filter(|finding| finding.bad)
        .map(|finding| format!("{}: {}", finding.outcome.name(), finding.says))
        .collect();
    let result = match bad.first() {
        None => CaseResult::Passed,
        Some(first) => CaseResult::Failed {
            message: first.clone(),
            kind: Some(BASELINE.to_owned()),
            text: bad.join("\n"),
        },
    };
    case(BASELINE, BASELINE, report.baseline.seconds, result)
}

fn case(request: &str, name: &str, seconds: f64, result: CaseResult) -> Case {
    Case::new(&format!("sandtable.sweep.{request}"), name, result).took(seconds)
}
