//! The report as a page of its own: no script, nothing from elsewhere, every cell opens.

use std::fmt::Write as _;

use super::super::catalogue::Group;
use super::{CellReport, Report};
use common::xml::escaped;

const WRITES: &str = "a String takes every write";

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .6rem;border:1px solid #ccc;text-align:left;vertical-align:top}\
a.c{display:inline-block;width:1.2em;text-align:center;text-decoration:none;font-family:monospace;color:#000;background:#bfe5c3}\
a.s{background:#f5e3a1}a.n{background:#ddd}a.b{background:#c62828;color:#fff}pre{overflow:auto;background:#f4f4f4;padding:.6rem;white-space:pre-wrap}\
details{border:1px solid #ccc;border-radius:4px;margin:.4rem 0;padding:.3rem .7rem}details.b{border-left:6px solid #c62828}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}pre{background:#262626}td,th,details{border-color:#555}}";

/// All of it.
pub(super) fn page(report: &Report) -> String {
    let mut out = String::new();
    let word = if report.ok { "ok" } else { "NOT ok" };
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>sandtable sweep: {word}</title><style>{STYLE}</style></head><body>\n<h1>sandtable sweep: {word}</h1>\n\
         <p><code>{}</code></p>\n",
        escaped(&report.command.join(" "))
    )
    .expect(WRITES);
    summary(report, &mut out);
    matrix(report, &mut out);
    for (title, bad) in [("Bad", true), ("As it should be", false)] {
        let cells: Vec<&CellReport> = report.cells.iter().filter(|cell| cell.bad == bad).collect();
        if !cells.is_empty() {
            writeln!(out, "<h2>{title} ({})</h2>", cells.len()).expect(WRITES);
        }
        for cell in cells {
            opened(cell, &mut out);
        }
    }
    out.push_str("</body></html>\n");
    out
}

fn summary(report: &Report, out: &mut String) {
    let baseline = &report.baseline;
    let counts = report
        .counts
        .iter()
        .map(|(name, count)| format!("{count} {}", name.replace('_', " ")));
    write!(
        out,
        "<p>{} runs in {:.0} s: {}. {} not run.{} Without faults: {:.1} s.</p>\n<ul>",
        report.cells.len(),
        report.seconds,
        counts.collect::<Vec<_>>().join(", "),
        report.left_out,
        if report.interrupted {
            " Stopped before its end."
        } else {
            ""
        },
        baseline.seconds
    )
    .expect(WRITES);
    for difference in &baseline.differences {
        write!(
            out,
            "<li>not the same each time: {}</li>",
            escaped(difference)
        )
        .expect(WRITES);
    }
    for finding in &baseline.findings {
        write!(
            out,
            "<li>{} without any fault: {}</li>",
            finding.outcome.name(),
            escaped(&finding.says)
        )
        .expect(WRITES);
    }
    out.push_str("</ul>\n");
}

fn matrix(report: &Report, out: &mut String) {
    out.push_str("<table><tr><th></th>");
    for group in Group::ALL {
        write!(out, "<th>{}</th>", group.name()).expect(WRITES);
    }
    out.push_str("</tr>\n");
    for request in &report.requests {
        write!(out, "<tr><td>{}</td>", escaped(&request.title)).expect(WRITES);
        for group in Group::ALL {
            out.push_str("<td>");
            for cell in report.at(&request.name, group) {
                letter(cell, out);
            }
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn letter(cell: &CellReport, out: &mut String) {
    let class = match (cell.bad, cell.outcome.letter(false)) {
        (true, _) => "b",
        (false, 'g' | 'd') => "s",
        (false, '-') => "n",
        (false, _) => "",
    };
    write!(
        out,
        "<a class=\"c {class}\" href=\"#{anchor}\" title=\"{id}: {}, {:.1} s\">{}</a>",
        cell.outcome.name(),
        cell.seconds,
        cell.outcome.letter(cell.bad),
        anchor = anchor(cell),
        id = escaped(&cell.id),
    )
    .expect(WRITES);
}

/// A cell that opens: findings, the wire, what the client printed, and how to repeat it.
fn opened(cell: &CellReport, out: &mut String) {
    let class = if cell.bad { " class=\"b\"" } else { "" };
    write!(
        out,
        "<details id=\"{anchor}\"{class}><summary><b>{}</b> {id}{}: {} ({:.1} s)</summary>\n<ul>",
        cell.outcome.name(),
        if cell.bad && !cell.new {
            " (known)"
        } else {
            ""
        },
        escaped(&cell.sentence()),
        cell.seconds,
        anchor = anchor(cell),
        id = escaped(&cell.id),
    )
    .expect(WRITES);
    for finding in &cell.findings {
        write!(
            out,
            "<li>{}: {}</li>",
            finding.outcome.name(),
            escaped(&finding.says)
        )
        .expect(WRITES);
    }
    out.push_str("</ul>\n<table><tr><th>request</th><th>status</th><th>ms</th><th></th></tr>");
    for seen in &cell.wire {
        let mut marks = Vec::new();
        if seen.struck {
            marks.push("the fault met it");
        }
        if seen.client_left {
            marks.push("the client left");
        }
        write!(
            out,
            "<tr><td title=\"{}\">{} {}</td><td>{}</td><td>{:.1}</td><td>{}</td></tr>",
            escaped(&seen.request_id),
            escaped(&seen.method),
            escaped(&seen.path),
            seen.status,
            seen.duration_ms,
            marks.join(", ")
        )
        .expect(WRITES);
    }
    out.push_str("</table>\n");
    for (title, text) in [
        (
            "faults",
            cell.faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        ),
        ("stderr of the client", cell.stderr.clone()),
        ("alone", cell.repeat.clone()),
        (
            "the smallest that fails so",
            cell.smallest
                .as_ref()
                .map_or_else(String::new, |it| it.repeat.clone()),
        ),
    ] {
        if !text.is_empty() {
            write!(out, "<p>{title}</p><pre>{}</pre>", lines(&text)).expect(WRITES);
        }
    }
    out.push_str("</details>\n");
}

/// The cell's id as a place in the page: a `#` would end it.
fn anchor(cell: &CellReport) -> String {
    escaped(&cell.id.replace('#', "-"))
}

/// Escaped, with line breaks as they are: between tags they need no character of their own.
fn lines(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}
