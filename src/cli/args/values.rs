//! Values of flags that say more than a word.

use clap::ValueEnum;

use crate::quirks::{Layer, Profile, QuirkError};

pub(super) fn profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|error| with_hint(&error))
}

pub(super) fn quirk(text: &str) -> Result<(String, String), String> {
    let layer = Layer::from_text(text).map_err(|error| with_hint(&error))?;
    let mut rows = layer.rows();
    match (layer.profile(), rows.next(), rows.next()) {
        (None, Some((name, value)), None) => Ok((name.to_owned(), value.to_owned())),
        (Some(_), _, _) => Err("the profile has a flag of its own: --profile".to_owned()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(super) fn with_hint(error: &QuirkError) -> String {
    format!("{error}: {}", error.hint)
}

/// A JSON path, as it was typed.
pub(super) fn json_path(text: &str) -> Result<String, String> {
    crate::cassette::json_path(text).map(|_| text.to_owned())
}

pub(super) fn alias(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => {
            Ok((from.to_owned(), to.to_owned()))
        }
        _ => Err("expected TYPE=TYPE".to_owned()),
    }
}

/// A port. For a Service called `sandtable` Kubernetes sets the flag's variable to an address, in every pod beside it.
pub(super) fn port(text: &str) -> Result<u16, String> {
    if text.starts_with("tcp://") || text.starts_with("udp://") {
        return Err("Kubernetes sets SANDTABLE_PORT to this beside a Service called `sandtable`: the pod needs `enableServiceLinks: false`".to_owned());
    }
    let number: i64 = text.parse().map_err(|error| format!("{error}"))?;
    u16::try_from(number).map_err(|_| format!("{number} is not in 0..=65535"))
}

/// Values of `--on-unmatched`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum UnmatchedArg {
    /// A 400 that names the nearest rules.
    #[default]
    Fail,
    /// The direct model: it runs the fenced blocks of the user's text.
    Direct,
}

/// The URL of a collector.
pub(super) fn collector(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(text.to_owned()),
        _ => Err("such as http://127.0.0.1:4318".to_owned()),
    }
}
