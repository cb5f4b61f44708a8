//! Flags of `sweep`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::value::ValueError;
use clap::{Args, Subcommand};

use super::ServeArgs;
use common::clock;
use sweep::Budget;

/// Flags of `sweep`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct SweepArgs {
    #[command(subcommand)]
    pub shrink: Option<SweepCommand>,
    #[command(flatten)]
    pub how: SweepHow,
    /// Play a sample: so many runs, such as 50, or for so long, such as 2m. --seed draws another one.
    #[arg(long, value_name = "RUNS|TIME", value_parser = budget)]
    pub budget: Option<Budget>,
    /// Play two faults in one run as well, of those that each came out well; 100 pairs, or what --budget leaves.
    #[arg(long)]
    pub pairs: bool,
    /// Play so many legal conversations that nobody wrote, each in place of the script; --seed draws others.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub fuzz: u64,
    /// Play this alone: a cell such as `messages#2/cut@last`, a request, or a pattern with `*`; may be given again.
    #[arg(long, value_name = "CELL")]
    pub only: Vec<String>,
    /// A report in JSON of before: what was bad then is no failure now.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the report as a page for browsers.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the report as XML for CI servers, as `JUnit` does.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as SARIF, for code hosts.
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// Write what of the service the runs have met, added to what the file has already.
    #[arg(long, value_name = "FILE", env = "SANDTABLE_COVERAGE")]
    pub coverage: Option<PathBuf>,
    #[command(flatten)]
    pub serve: ServeArgs,
    /// The command and its arguments, behind `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How runs are made.
#[derive(Debug, Args)]
pub(crate) struct SweepHow {
    /// Runs at a time [default: twice as many as there are cores: a client that waits needs none].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=256))]
    pub jobs: Option<u64>,
    /// What a run may take, such as 30s [default: ten times the run without faults, and at least 10s].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub limit: Option<Duration>,
    /// Run every call of every run, also one that has run twice in a container with the same past.
    #[arg(long)]
    pub(crate) fresh_sandboxes: bool,
}

/// Commands of `sweep`.
#[derive(Debug, Subcommand)]
pub(crate) enum SweepCommand {
    /// Find the smallest list of faults, of those in --faults, with which the command still fails.
    Shrink(Box<ShrinkArgs>),
}

/// Flags of `sweep shrink`.
#[derive(Debug, Args)]
pub(crate) struct ShrinkArgs {
    #[command(flatten)]
    pub how: SweepHow,
    #[command(flatten)]
    pub serve: ServeArgs,
    /// The command and its arguments, behind `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

fn budget(text: &str) -> Result<Budget, ValueError> {
    match text.parse::<usize>() {
        Ok(0) => Err(ValueError::Expected("at least 1")),
        Ok(runs) => Ok(Budget::Runs(runs)),
        Err(_) => time(text).map(Budget::Time).map_err(|_| {
            ValueError::Expected("a number of runs, such as 50, or a time, such as 2m")
        }),
    }
}

fn time(text: &str) -> Result<Duration, ValueError> {
    let span = clock::span(text).and_then(|span| span.to_std().ok());
    span.filter(|span| !span.is_zero())
        .ok_or(ValueError::Expected(
            "a time above 0, such as 500ms, 30s, 2m, or 1h30m",
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_of_runs_or_a_time() {
        assert_eq!(budget("50"), Ok(Budget::Runs(50)));
        assert_eq!(budget("2m"), Ok(Budget::Time(Duration::from_mins(2))));
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("1h30m"), Ok(Duration::from_mins(90)));
        for wrong in ["", "0", "0s", "-1", "2 m", "s", "99999999999999999999h"] {
            assert!(budget(wrong).is_err(), "{wrong}");
        }
    }
}
