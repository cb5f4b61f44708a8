//! The report as XML for CI servers, as of `JUnit`: a case for each run.

use std::fmt::Write as _;

use super::{BASELINE, Report};
use crate::xml::escaped;

const WRITES: &str = "a String takes every write";

/// A suite; what is known to be bad is skipped.
pub(super) fn suites(report: &Report) -> String {
    let mut cases = String::new();
    let bad: Vec<String> = report
        .baseline
        .findings
        .iter()
        .filter(|finding| finding.bad)
        .map(|finding| format!("{}: {}", finding.outcome.name(), finding.says))
        .collect();
    case(
        &mut cases,
        BASELINE,
        BASELINE,
        report.baseline.seconds,
        (!bad.is_empty()).then(|| Failure {
            kind: BASELINE,
            message: &bad[0],
            text: bad.join("\n"),
        }),
    );
    let (mut failures, mut skipped) = (usize::from(!bad.is_empty()), 0);
    for cell in &report.cells {
        let sentence = cell.sentence();
        let failure = cell.new.then(|| Failure {
            kind: cell.outcome.name(),
            message: &sentence,
            text: format!(
                "{sentence}\non the wire: {}\n{}\n{}",
                cell.wire_line(),
                cell.stderr,
                cell.alone()
            ),
        });
        failures += usize::from(cell.new);
        if cell.bad && !cell.new {
            skipped += 1;
            writeln!(
                cases,
                "    <testcase classname=\"sandtable.sweep.{}\" name=\"{}\" time=\"{:.3}\"><skipped message=\"known: {}\"/></testcase>",
                escaped(&cell.request), escaped(&cell.id), cell.seconds, escaped(&sentence)
            )
            .expect(WRITES);
        } else {
            case(&mut cases, &cell.request, &cell.id, cell.seconds, failure);
        }
    }
    let tests = report.cells.len() + 1;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{tests}\" failures=\"{failures}\">\n  \
         <testsuite name=\"sandtable sweep\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\">\n{cases}  \
         </testsuite>\n</testsuites>\n",
        report.seconds
    )
}

struct Failure<'a> {
    kind: &'a str,
    message: &'a str,
    text: String,
}

fn case(out: &mut String, class: &str, name: &str, seconds: f64, failure: Option<Failure<'_>>) {
    write!(
        out,
        "    <testcase classname=\"sandtable.sweep.{}\" name=\"{}\" time=\"{seconds:.3}\"",
        escaped(class),
        escaped(name)
    )
    .expect(WRITES);
    match failure {
        None => out.push_str("/>\n"),
        Some(Failure {
            kind,
            message,
            text,
        }) => writeln!(
            out,
            ">\n      <failure message=\"{}\" type=\"{kind}\">{}</failure>\n    </testcase>",
            escaped(message),
            escaped(&text)
        )
        .expect(WRITES),
    }
}
