//! Flags of the commands that tell what files have in them.

use std::path::PathBuf;

use clap::Args;
use regex::Regex;

use crate::value::ValueError;

/// Flags of `coverage`.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// What `--coverage` of `run` and `verify` has written, of runs or shards that belong together.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Exit with 3 if less was met, in percent of what the tests could have met.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) min: Option<f64>,
    /// Write a badge.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) badge: Option<PathBuf>,
    /// Write what the files have together.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn percent(text: &str) -> Result<f64, ValueError> {
    let number = text.trim_end_matches('%').parse::<f64>().ok();
    let percent = number.filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or(ValueError::Expected("a number from 0 to 100"))
}

/// Flags of `replay --live`.
#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    /// Run the recorded calls again in real sandboxes and tell every difference; exit code 1 if
    /// there is one.
    #[arg(long)]
    pub(crate) live: bool,
    /// Numbers with a fraction may differ by so much, relative to the larger one; 0 compares digits.
    #[arg(long, value_name = "NUMBER", default_value_t = live::TOLERANCE, value_parser = share, requires = "live")]
    pub(crate) tolerance: f64,
    /// So large a share of an image's pixels may differ.
    #[arg(long, value_name = "SHARE", default_value_t = live::PIXELS, value_parser = share, requires = "live")]
    pub(crate) pixels: f64,
    /// What matches this regular expression changes from run to run; may be given again.
    #[arg(long, value_name = "REGEX", requires = "live")]
    pub(crate) volatile: Vec<Regex>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as `JUnit` XML.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub(crate) junit: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, ValueError> {
    match text.parse() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err(ValueError::Expected("expected a number from 0 to 1")),
    }
}
