//! The report in a terminal: a table with a letter for each run, then each bad one with what repeats it.

use std::fmt::Write as _;

use super::catalogue::Group;
use super::outcome::Outcome;
use super::report::{CellReport, Report};
use common::terminal;

const WRITES: &str = "a String takes every write";
/// Lines of a client's stderr below a bad cell.
const SHOWN_LINES: usize = 3;
/// Pieces of what was on the wire.
const SHOWN_WIRE: usize = 12;

impl Report {
    /// The table and what is bad, for a terminal.
    pub fn to_text(&self, colour: bool) -> String {
        let mut out = String::new();
        head(self, &mut out);
        matrix(self, colour, &mut out);
        bad(self, &mut out);
        end(self, &mut out);
        out
    }
}

/// A text of several lines in one.
fn in_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    terminal::line(&words.join(" ")).into_owned()
}

fn head(report: &Report, out: &mut String) {
    let baseline = &report.baseline;
    writeln!(
        out,
        "sandtable sweep: {} requests, {:.1} s without faults",
        report.requests.len(),
        baseline.seconds
    )
    .expect(WRITES);
    for difference in &baseline.differences {
        writeln!(out, "  not the same each time: {}", in_line(difference)).expect(WRITES);
    }
    for finding in &baseline.findings {
        writeln!(
            out,
            "  {} without any fault: {}",
            finding.outcome.name(),
            in_line(&finding.says)
        )
        .expect(WRITES);
    }
}

fn matrix(report: &Report, colour: bool, out: &mut String) {
    if report.cells.is_empty() {
        return;
    }
    let title_width = report
        .requests
        .iter()
        .map(|request| request.title.chars().count())
        .max()
        .unwrap_or(0);
    let groups: Vec<(Group, usize)> = Group::ALL
        .into_iter()
        .filter_map(|group| {
            let widths = report
                .requests
                .iter()
                .map(|request| report.at(&request.name, group).count());
            let width = widths.max().unwrap_or(0);
            (width > 0).then(|| (group, width.max(group.name().len())))
        })
        .collect();
    write!(out, "\n  {:title_width$}", "").expect(WRITES);
    for (group, width) in &groups {
        write!(out, "  {:width$}", group.name()).expect(WRITES);
    }
    out.push_str("  seconds\n");
    for request in &report.requests {
        let pad = title_width - request.title.chars().count();
        write!(out, "  {}{:pad$}", request.title, "").expect(WRITES);
        let mut seconds = 0.0;
        for (group, width) in &groups {
            out.push_str("  ");
            let mut used = 0;
            for cell in report.at(&request.name, *group) {
                letter(cell, colour, out);
                seconds += cell.seconds;
                used += 1;
            }
            write!(out, "{:1$}", "", width - used).expect(WRITES);
        }
        writeln!(out, "  {seconds:7.1}").expect(WRITES);
    }
    let fuzz: Vec<&CellReport> = report
        .cells
        .iter()
        .filter(|cell| cell.group == Group::Fuzz)
        .collect();
    let pairs: Vec<&CellReport> = report.cells.iter().filter(|cell| cell.is_pair()).collect();
    for (name, cells) in [("pairs", pairs), ("fuzz", fuzz)] {
        if !cells.is_empty() {
            write!(out, "  {name}  ").expect(WRITES);
            let mut seconds = 0.0;
            for cell in cells {
                letter(cell, colour, out);
                seconds += cell.seconds;
            }
            writeln!(out, "  {seconds:.1} s").expect(WRITES);
        }
    }
    out.push_str(
        "\n  . unharmed  r recovered  g gave up  d degraded  m mistaken  t retried wrong  c crashed  h hung  l lost\n  \
         x duplicated  k leaked  - the fault had no occasion; a capital letter is bad, and told below\n",
    );
}

fn letter(cell: &CellReport, colour: bool, out: &mut String) {
    let letter = cell.outcome.letter(cell.bad);
    if !colour {
        out.push(letter);
        return;
    }
    let code = match (cell.bad, cell.outcome) {
        (true, _) => 31,
        (false, Outcome::GaveUp | Outcome::Degraded) => 33,
        (false, Outcome::NotMet) => 90,
        (false, _) => 32,
    };
    write!(out, "\u{1b}[{code}m{letter}\u{1b}[0m").expect(WRITES);
}

fn bad(report: &Report, out: &mut String) {
    for cell in report.cells.iter().filter(|cell| cell.bad) {
        let known = if cell.new { "" } else { " (known)" };
        writeln!(
            out,
            "\n{}{known} {} ({:.1} s)",
            cell.outcome.name(),
            in_line(&cell.sentence()),
            cell.seconds
        )
        .expect(WRITES);
        for more in cell.findings.iter().skip(1).filter(|finding| finding.bad) {
            writeln!(
                out,
                "  and {}: {}",
                more.outcome.name(),
                in_line(&more.says)
            )
            .expect(WRITES);
        }
        let wire: Vec<String> = cell.wire_line().split(", ").map(str::to_owned).collect();
        let more = wire.len().saturating_sub(SHOWN_WIRE);
        let mut shown = wire[..wire.len() - more].join(", ");
        if more > 0 {
            write!(shown, ", and {more} more").expect(WRITES);
        }
        writeln!(out, "  on the wire: {}", terminal::line(&shown)).expect(WRITES);
        let lines: Vec<&str> = cell
            .stderr
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
            writeln!(out, "  | {}", terminal::line(line)).expect(WRITES);
        }
        writeln!(out, "  {}", terminal::line(&cell.repeat)).expect(WRITES);
        if let Some(smallest) = &cell.smallest {
            let line = terminal::line(&smallest.repeat);
            writeln!(
                out,
                "  the smallest found in {} runs:\n  {line}",
                smallest.runs
            )
            .expect(WRITES);
        }
    }
}

fn end(report: &Report, out: &mut String) {
    let bad = report.cells.iter().filter(|cell| cell.bad).count();
    let new = report.cells.iter().filter(|cell| cell.new).count();
    let counts: Vec<String> = Outcome::ALL
        .iter()
        .filter_map(|outcome| {
            let count = report.counts.get(outcome.name())?;
            Some(format!("{count} {}", outcome.name().replace('_', " ")))
        })
        .collect();
    let word = if report.ok { "ok" } else { "NOT ok" };
    write!(
        out,
        "\nsandtable sweep: {word}, {} runs in {:.0} s",
        report.cells.len(),
        report.seconds
    )
    .expect(WRITES);
    if !counts.is_empty() {
        write!(out, ": {}", counts.join(", ")).expect(WRITES);
    }
    if bad > 0 {
        write!(out, "; {bad} bad").expect(WRITES);
    }
    if new != bad {
        write!(out, ", {new} of them new").expect(WRITES);
    }
    if report.left_out > 0 {
        write!(out, "; {} not run", report.left_out).expect(WRITES);
    }
    if report.interrupted {
        out.push_str("; stopped before its end");
    }
    out.push('\n');
}
