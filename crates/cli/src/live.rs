//! `sandtable replay --live`: recorded calls run again, differences told and written down.

use std::path::PathBuf;

use super::args::LiveArgs;
use super::output::{self, Form, OutputError};
use cassette::{self, CassetteError};
use common::hinted::Hinted;
use live::{self, Options, Report};
use server::StartError;
use server::config::Config;

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
    let cassettes = cassette::load_all(paths, cassette::Indexing::Used)?;
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
