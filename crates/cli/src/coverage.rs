//! Coverage of the service by tests: kept in a file over runs and shards, told, and held to a threshold.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use control_api::{Coverage, CoverageArea, CoverageItem, CoverageShow};
use serde_json::Value;

use super::args::CoverageArgs;
use super::output::{self, BADGE, Form, OutputError};
use super::{BAD, FAILURE, USAGE, ended, fail, print, print_as_it_is};
use common::hinted::{Hinted, Mistake};
use common::input;
use common::limits;
use workspace::coverage::merge_told;

/// Names in a summary.
const NAMED: usize = 8;
/// Of which it is said how to show them.
const SHOWN: usize = 3;
/// From here on a badge is green, and from there on yellow, in percent.
const GREEN: f64 = 80.0;
const YELLOW: f64 = 50.0;

/// Why there is no coverage to add to, or to tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum CoverageError {
    #[error("the server tells no coverage")]
    OldServer,
    #[error("cannot lock the folder of `{}`: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` tells no coverage: {source}", path.display())]
    Foreign {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error(transparent)]
    Write(#[from] OutputError),
}

impl Hinted for CoverageError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::OldServer => Some("it is older than this program".into()),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("`--coverage FILE` of `run` and `verify` writes it".into())
            }
            Self::Lock { .. } | Self::Read { .. } => None,
            Self::Foreign { .. } => {
                Some("`--coverage FILE` of `run` and `verify` writes such files".into())
            }
            Self::Write(error) => error.hint(),
        }
    }
}

/// Prints what the files have together, and holds it to the threshold.
pub(super) fn run(args: &CoverageArgs) -> ExitCode {
    let mut all = Vec::new();
    for path in &args.files {
        match read(path) {
            Ok(told) => all.push(told),
            Err(error) => return fail(USAGE, &error),
        }
    }
    let told = merge_told(&all);
    let printed = if args.json {
        print_as_it_is(&format!("{:#}\n", json(&told)))
    } else {
        print(&table(&told))
    };
    if let Err(error) = write_all(args, &told) {
        return fail(FAILURE, &error);
    }
    match args.min {
        Some(min) if told.percent < min => {
            let text = format!(
                "{}% of what the tests could meet was met, and {min}% is the least",
                told.percent
            );
            fail(BAD, &Mistake::new(text).with_hint(first_to_show(&told)))
        }
        Some(_) | None => ended(printed, 0),
    }
}

fn write_all(args: &CoverageArgs, told: &Coverage) -> Result<(), OutputError> {
    if let Some(path) = &args.out {
        write(path, told)?;
    }
    match &args.badge {
        Some(path) => output::write(path, Form::Badge, &badge(told.percent)),
        None => Ok(()),
    }
}

/// Adds what a verdict tells to what `path` has already; gives all of it.
pub(super) fn keep(path: &Path, verdict: &Value) -> Result<Coverage, CoverageError> {
    let new = of_verdict(verdict).ok_or(CoverageError::OldServer)?;
    // Held to the end of this: shards that end together add to the file one after the other.
    let _folder = locked_folder(path).map_err(|source| CoverageError::Lock {
        path: path.to_owned(),
        source,
    })?;
    let told = if path.exists() {
        merge_told(&[read(path)?, new])
    } else {
        new
    };
    write(path, &told)?;
    Ok(told)
}

/// The folder of a file, which nobody else has locked. The file itself is replaced, so that its lock would be lost.
fn locked_folder(path: &Path) -> io::Result<File> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    folder.lock()?;
    Ok(folder)
}

/// Says before the work begins that `path` could not be written after it, or one of the reports beside it.
pub(super) fn check(
    path: Option<&Path>,
    reports: &[(Option<&Path>, Form)],
) -> Result<(), CoverageError> {
    if let Some(path) = path.filter(|path| path.exists()) {
        read(path)?;
    }
    let all = [reports, &[(path, Form::Coverage)]].concat();
    Ok(output::check_each(&all)?)
}

/// The coverage in a verdict.
pub(super) fn of_verdict(verdict: &Value) -> Option<Coverage> {
    serde_json::from_value(verdict.get("coverage")?.clone()).ok()
}

fn read(path: &Path) -> Result<Coverage, CoverageError> {
    let bytes =
        input::read(path, limits::MAX_INPUT_FILE_BYTES).map_err(|source| CoverageError::Read {
            path: path.to_owned(),
            source,
        })?;
    serde_json::from_slice(&bytes).map_err(|source| CoverageError::Foreign {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, told: &Coverage) -> Result<(), OutputError> {
    output::write(path, Form::Coverage, &format!("{:#}\n", json(told)))
}

fn json(told: &Coverage) -> Value {
    serde_json::to_value(told).expect("names and numbers are JSON")
}

/// The items that count and were not met, something of each area before more of one; an error that a status stands
/// for is told once.
fn missed(told: &Coverage) -> Vec<(&CoverageArea, &CoverageItem)> {
    let mut missed: Vec<(&CoverageArea, &CoverageItem)> = Vec::new();
    for area in &told.areas {
        for item in &area.items {
            let again = missed.iter().any(|(_, other)| other.show == item.show);
            if item.counts && item.count == 0 && !again {
                missed.push((area, item));
            }
        }
    }
    let rank = |at: usize| {
        let area = &missed[at].0.name;
        missed[..at]
            .iter()
            .filter(|(other, _)| other.name == *area)
            .count()
    };
    let mut order: Vec<usize> = (0..missed.len()).collect();
    order.sort_by_key(|at| rank(*at));
    order.into_iter().map(|at| missed[at]).collect()
}

/// A name that says by itself what it is of.
fn label(area: &CoverageArea, item: &CoverageItem) -> String {
    let name = &item.name;
    match area.name.as_str() {
        "containers" => format!("a container: {name}"),
        "retries" => format!("a retry {name}"),
        "pauses" => format!("a pause {name}"),
        "results of batches" => format!("a batch's item: {name}"),
        "events" => format!("the event {name}"),
        _ => name.clone(),
    }
}

/// The items that tests never met, in a few lines; empty if they met them all.
pub(super) fn summary(told: &Coverage) -> String {
    let missed = missed(told);
    if missed.is_empty() {
        return String::new();
    }
    let names = missed.iter().take(NAMED);
    let names: Vec<String> = names.map(|(area, item)| label(area, item)).collect();
    let more = match missed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let mut out = format!(
        "your tests never saw: {}{more} ({}% of {} met)\n",
        names.join(", "),
        told.percent,
        told.of
    );
    for (area, item) in missed.iter().take(SHOWN) {
        if let Some(show) = &item.show {
            writeln!(out, "  {}: {}", label(area, item), shown(show))
                .expect("a String takes every write");
        }
    }
    out
}

fn first_to_show(told: &Coverage) -> String {
    let missed = missed(told);
    let first = missed
        .first()
        .and_then(|(area, item)| Some((label(area, item), item.show.as_ref()?)));
    first.map_or_else(String::new, |(label, show)| {
        format!("`{label}` is shown by {}", shown(show))
    })
}

fn shown(show: &CoverageShow) -> String {
    match (&show.fault, &show.step) {
        (Some(fault), _) => format!("the fault {fault}"),
        (None, Some(step)) if step.starts_with("- ") => format!("the step `{}`", &step[2..]),
        (None, step) => step.clone().unwrap_or_default(),
    }
}

/// Area by area: what was met with its counts, and what would show the rest.
fn table(told: &Coverage) -> String {
    let mut out = format!(
        "{}%: {} of {} that these tests could have met\n",
        told.percent, told.met, told.of
    );
    for area in &told.areas {
        let met = area.items.iter().filter(|item| item.count > 0);
        let met: Vec<String> = met
            .map(|item| format!("{} ({})", item.name, item.count))
            .collect();
        let mut lines = String::new();
        for item in area
            .items
            .iter()
            .filter(|item| item.counts && item.count == 0)
        {
            let show = item.show.as_ref().map(shown).unwrap_or_default();
            writeln!(lines, "  never {}: {show}", item.name).expect("a String takes every write");
        }
        if !met.is_empty() || !lines.is_empty() {
            let met = if met.is_empty() {
                "none".to_owned()
            } else {
                met.join(", ")
            };
            write!(out, "\n{}: {met}\n{lines}", area.name).expect("a String takes every write");
        }
    }
    if !told.not_used.is_empty() {
        write!(
            out,
            "\nnot used, and not counted: {}\n",
            told.not_used.join(", ")
        )
        .expect("a String takes every write");
    }
    out
}

fn badge(percent: f64) -> String {
    let color = match percent {
        percent if percent >= GREEN => "#2da44e",
        percent if percent >= YELLOW => "#bf8700",
        _ => "#cf222e",
    };
    let value = format!("{percent:.0}%");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"132\" height=\"20\" role=\"img\" {BADGE}{value}\">\
         <title>API coverage: {value}</title>\
         <rect width=\"132\" height=\"20\" rx=\"3\" fill=\"#444\"/>\
         <path d=\"M92 0h37a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-37z\" fill=\"{color}\"/>\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\" text-anchor=\"middle\">\
         <text x=\"46\" y=\"14\">API coverage</text><text x=\"112\" y=\"14\">{value}</text></g></svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_matters_first_and_says_how_to_show_it() {
        let text = summary(&merge_told(&[]));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with(
                "your tests never saw: end_turn, unavailable, a container: new, 200, a retry after 429, a pause continued in a call, "
            ),
            "{text}"
        );
        assert_eq!(lines.len(), 1 + SHOWN);
        assert_eq!(lines[3], "  a container: new: the step `bash: COMMAND`");
        let table = table(&merge_told(&[]));
        assert!(
            table.contains("\nnot used, and not counted: streaming, "),
            "{table}"
        );
        assert!(!table.contains("never web_search_tool_result"), "{table}");
    }

    #[test]
    fn a_badge_has_the_whole_percent_and_a_color() {
        assert!(badge(79.96).contains(">80%<") && badge(12.0).contains("#cf222e"));
    }
}
