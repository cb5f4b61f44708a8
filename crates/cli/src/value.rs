//! Why a flag does not take a value.

use std::num::ParseIntError;

use workspace::quirks::QuirkError;

/// Why a flag does not take a value. clap puts the text behind the flag and the value.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum ValueError {
    /// The value that would be right.
    #[error("{0}")]
    Expected(&'static str),
    /// clap has no line for a hint.
    #[error("{0}: {hint}", hint = .0.hint)]
    Quirk(#[from] QuirkError),
    #[error(transparent)]
    Number(#[from] ParseIntError),
    #[error("{0} is not in 0..=65535")]
    Port(i64),
    #[error(transparent)]
    Pattern(regex::Error),
    #[error("no tool has the type `{given}`: {hint}")]
    NoTool { given: String, hint: String },
}
