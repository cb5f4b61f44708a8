//! `sandtable replay --live`: recorded calls run again, differences told and written down.

use std::path::PathBuf;

use super::value::ValueError;
use clap::Args;
use regex::Regex;

use super::output::{self, Form, OutputError};
use crate::cassette::{self, CassetteError};
use crate::config::Config;
use crate::hinted::Hinted;
use crate::live::{self, Options, Report};
use crate::server::StartError;

/// Flags of `replay --live`.
#[derive(Debug, Args)]
pub(super) struct LiveArgs {
    /// Run the recorded calls again in real sandboxes and tell every difference; exit code 1 if
    /// there is one.
    #[arg(long)]
    pub(super) live: bool,
    /// Numbers with a fraction may differ by so much, relative to the larger one; 0 compares digits.
    #[arg(long, value_name = "NUMBER", default_value_t = live::TOLERANCE, value_parser = share, requires = "live")]
    pub(super) tolerance: f64,
    /// So large a share of an image's pixels may differ.
    #[arg(long, value_name = "SHARE", default_value_t = live::PIXELS, value_parser = share, requires = "live")]
    pub(super) pixels: f64,
    /// What matches this regular expression changes from run to run; may be given again.
    #[arg(long, value_name = "REGEX", requires = "live")]
    pub(super) volatile: Vec<Regex>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub(super) json: Option<PathBuf>,
    /// Write the report as `JUnit` XML.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub(super) junit: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, ValueError> {
    match text.parse() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err(ValueError::Expected("expected a number from 0 to 1")),
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum LiveError {
    #[error(transparent)]
    Cassette(#[from] CassetteError),
    #[error(transparent)]
    Start(#[from] StartError),
    /// Found before the work.
    #[error(transparent)]
    Refused(OutputError),
    /// A report could not be written after the work.
    #[error(transparent)]
    Write(OutputError),
}

impl Hinted for LiveError {
    fn inner(&self) -> Option<&dyn Hinted> {
        Some(match self {
            Self::Cassette(error) => error,
            Self::Start(error) => error,
            Self::Refused(error) | Self::Write(error) => error,
        })
    }
}

impl LiveError {
    /// 2 for what the user can correct in paths and files, else 1.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Cassette(_) | Self::Refused(_) => 2,
            Self::Start(error) => error.exit_code(),
            Self::Write(_) => 1,
        }
    }
}

/// Runs the cassettes of `paths`, and writes the reports that were asked for.
pub(super) async fn run(
    paths: &[PathBuf],
    args: &LiveArgs,
    config: Config,
) -> Result<Report, LiveError> {
    output::check(args.json.as_deref(), args.junit.as_deref()).map_err(LiveError::Refused)?;
    let mut cassettes = Vec::new();
    for path in paths {
        cassettes.extend(cassette::load_all(path, cassette::Indexing::Used)?);
    }
    let config = Config {
        port: 0,
        scripts: Vec::new(),
        ..config
    };
    let options = Options {
        tolerance: args.tolerance,
        pixels: args.pixels,
        volatile: args.volatile.clone(),
    };
    let report = live::replay(&cassettes, config, &options).await?;
    if let Some(path) = &args.json {
        output::write(path, Form::Json, &report.to_json()).map_err(LiveError::Write)?;
    }
    if let Some(path) = &args.junit {
        output::write(path, Form::Junit, &report.to_junit()).map_err(LiveError::Write)?;
    }
    Ok(report)
}
