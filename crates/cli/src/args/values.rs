//! Values of flags that say more than a word.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::value::ValueError;
use cassette::{JsonPathError, Redactor};
use common::document::did_you_mean;
use wire::request::TOOL_TAGS;
use workspace::quirks::{Layer, Profile};

pub(super) fn profile(text: &str) -> Result<Profile, ValueError> {
    Ok(text.parse()?)
}

pub(super) fn quirk(text: &str) -> Result<(String, String), ValueError> {
    let layer = Layer::from_text(text)?;
    let mut rows = layer.rows();
    match (layer.profile(), rows.next(), rows.next()) {
        (None, Some((name, value)), None) => Ok((name.to_owned(), value.to_owned())),
        (Some(_), _, _) => Err(ValueError::Expected(
            "the profile has a flag of its own: --profile",
        )),
        _ => Err(ValueError::Expected("expected NAME=VALUE")),
    }
}

/// A path, or the empty text, which means none.
pub(super) fn path_or_none() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// A JSON path, as it was typed.
pub(super) fn json_path(text: &str) -> Result<String, JsonPathError> {
    cassette::json_path(text).map(|_| text.to_owned())
}

/// A regular expression, as it was typed.
pub(super) fn pattern(text: &str) -> Result<String, ValueError> {
    let text = text.to_owned();
    match Redactor::default().with_patterns([&text]) {
        Ok(_) => Ok(text),
        Err(error) => Err(ValueError::Pattern(error.source)),
    }
}

/// Any type of a tool, and that which it is taken for.
pub(super) fn alias(text: &str) -> Result<(String, String), ValueError> {
    let (from, to) = match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => (from, to),
        _ => return Err(ValueError::Expected("expected TYPE=TYPE")),
    };
    // Some types stand without their date, too.
    let is_known = |tag: &&str| {
        *tag == to
            || tag
                .rsplit_once('_')
                .is_some_and(|(undated, _)| undated == to)
    };
    if !TOOL_TAGS.iter().any(is_known) {
        return Err(ValueError::NoTool {
            given: to.to_owned(),
            hint: did_you_mean(to, TOOL_TAGS.iter().copied(), || {
                "such as `code_execution_20250825`".to_owned()
            }),
        });
    }
    Ok((from.to_owned(), to.to_owned()))
}

/// A time, as the API writes it.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, ValueError> {
    let time = text.parse();
    time.map_err(|_| ValueError::Expected("expected a time such as 2026-01-04T20:47:05Z"))
}

/// A number of bytes.
pub(super) fn bytes(text: &str) -> Result<u64, ValueError> {
    let bytes = text.parse();
    bytes.map_err(|_| ValueError::Expected("expected bytes as a number such as 5000000000"))
}

/// A port. For a Service called `sandtable` Kubernetes sets the flag's variable to an address, in every pod beside it.
pub(super) fn port(text: &str) -> Result<u16, ValueError> {
    if text.starts_with("tcp://") || text.starts_with("udp://") {
        return Err(ValueError::Expected(
            "Kubernetes sets SANDTABLE_PORT to this beside a Service called `sandtable`: the pod needs `enableServiceLinks: false`",
        ));
    }
    let number: i64 = text.parse()?;
    u16::try_from(number).map_err(|_| ValueError::Port(number))
}

/// Values of `--on-unmatched`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnmatchedArg {
    /// A 400 that names the nearest rules.
    #[default]
    Fail,
    /// The direct model: it runs the fenced blocks of the user's text.
    Direct,
}

/// Why a text is no collector's URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectorError {
    #[error(transparent)]
    Uri(#[from] http::uri::InvalidUri),
    #[error("such as http://127.0.0.1:4318")]
    NoUrl,
}

/// The URL of a collector.
pub(super) fn collector(text: &str) -> Result<String, CollectorError> {
    let uri: http::Uri = text.parse()?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(text.to_owned()),
        _ => Err(CollectorError::NoUrl),
    }
}

/// Values of `--log-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
