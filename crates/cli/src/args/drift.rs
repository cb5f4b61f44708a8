//! Flags of `drift` and `conform`.

use std::path::PathBuf;

use super::ground::GroundArgs;
use crate::value::ValueError;
use chrono::TimeDelta;
use clap::Args;
use common::clock;

/// Flags of both.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// Send the requests: without it nothing is sent, and what they would cost is printed.
    #[arg(long)]
    pub yes: bool,
    /// Send nothing that might cost more than this in all, in dollars.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub budget: Option<f64>,
    /// Prices over the shipped ones (JSON).
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as `JUnit` XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Flags of `drift`.
#[derive(Debug, Args)]
pub(crate) struct DriftArgs {
    /// Who is asked: the service, or any other server; without it only the recordings' ages are looked at.
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Cassettes, or folders of them; several may follow.
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    pub cassette: Vec<PathBuf>,
    /// A cassette of these, as `sales`, or an exchange, as `sales #3`; may be given again.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Fail for recordings that are older, such as 90d.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub expire: Option<TimeDelta>,
    /// Tell of recordings that are older.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub(crate) expire_warn: Option<TimeDelta>,
    #[command(flatten)]
    pub send: SendArgs,
}

/// Flags of `conform`.
#[derive(Debug, Args)]
pub(crate) struct ConformArgs {
    /// Who is asked; a server of this program's own without it.
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// A case, as `messages/plain`, or a fact, as `F001`; may be given again.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Print the cases and the facts that they check, and send nothing.
    #[arg(long)]
    pub list: bool,
    /// The model that is asked.
    #[arg(long, value_name = "MODEL", default_value = drift::conform::MODEL)]
    pub(crate) model: String,
    /// Write the report as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    #[command(flatten)]
    pub send: SendArgs,
    /// What a server of this program's own runs code with.
    #[command(flatten)]
    pub ground: GroundArgs,
}

/// `90d`, or `12w`.
fn days(text: &str) -> Result<TimeDelta, ValueError> {
    let count = text.strip_suffix(['d', 'w']).unwrap_or_default();
    let is_one = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let span = clock::span(text).filter(|_| is_one);
    span.ok_or(ValueError::Expected(
        "expected days or weeks, such as 90d or 12w",
    ))
}

fn dollars(text: &str) -> Result<f64, ValueError> {
    match text.parse() {
        Ok(number) if number >= 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err(ValueError::Expected("expected an amount such as 0.50")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_days_or_weeks_and_budgets_are_no_less_than_nothing() {
        assert_eq!(days("90d"), Ok(TimeDelta::days(90)));
        assert_eq!(days("2w"), Ok(TimeDelta::days(14)));
        for wrong in [
            "90",
            "d",
            "-1d",
            "90m",
            "99999999999999999999d",
            "9223372036854775807w",
            "é",
        ] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
        assert_eq!(dollars("0.5"), Ok(0.5));
        for wrong in ["-1", "NaN", "inf", "1$"] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }
}
