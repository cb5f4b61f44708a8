//! Live replay: recorded tool calls run again in real sandboxes, and every difference is told.
//!
//! A server of this program runs what the recorded answers called, in the recorded order and in the
//! containers that belong together; the model's words are not sent.

mod client;
mod compare;
mod files;
mod gather;
mod obstacle;
mod report;
mod run;
mod text;

use regex::Regex;

use cassette::Cassette;
use server::config::Config;
use server::{Server, StartError};

pub use report::{CallReport, CassetteReport, Difference, Outcome, Report};

/// Numbers that differ by less are the same, relative to the larger one.
pub const TOLERANCE: f64 = 1e-9;
/// Share of an image's pixels that may differ.
pub const PIXELS: f64 = 0.01;

/// Options of the comparison.
#[derive(Debug, Clone)]
pub struct Options {
    /// Numbers with a fraction may differ by so much, relative to the larger one; 0 compares digits.
    pub tolerance: f64,
    /// So large a share of an image's pixels may differ.
    pub pixels: f64,
    /// Further patterns of what changes from run to run.
    pub volatile: Vec<Regex>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tolerance: TOLERANCE,
            pixels: PIXELS,
            volatile: Vec::new(),
        }
    }
}

/// Runs the calls of every cassette on a server of its own.
pub async fn replay(
    cassettes: &[Cassette],
    config: Config,
    options: &Options,
) -> Result<Report, StartError> {
    let server = Server::start(config).await?;
    // Where nothing runs code, every call would seem to differ.
    let report = match server.chosen().backend.ready().await {
        Ok(()) => Ok(on(&server, cassettes, options).await),
        Err(error) => Err(error.into()),
    };
    server.stop().await;
    report
}

/// Runs the calls of every cassette on a server that is there, each in a workspace of its own.
pub async fn on(server: &Server, cassettes: &[Cassette], options: &Options) -> Report {
    let mut report = Report::default();
    for (number, cassette) in (1..).zip(cassettes) {
        let client = client::Client::new(server.url(), format!("sk-ant-live-{number}"));
        report
            .cassettes
            .push(run::cassette(&client, cassette, options).await);
    }
    report
}
