//! Errors of an embedded server.

use std::fmt::Display;

use tempfile::TempDir;

use common::hinted::{self, Hinted, Mistake};
use server::StartError;

/// Why a server does not start, or does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandtableError {
    /// The server does not start: a mistake in a script or a fault, a port or a folder in use.
    #[error("{0}")]
    Start(String),
    /// The server refused a control call.
    #[error("{}", refused(message, hint))]
    Refused {
        /// HTTP status of the answer.
        status: u16,
        message: String,
        hint: String,
    },
    /// The server gave no answer, or none that can be read.
    #[error("no answer from {url}: {reason}")]
    Silent { url: String, reason: String },
}

/// Whoever uses the library prints its errors by `Display`: here it has to say all.
fn refused(message: &str, hint: &str) -> String {
    hinted::told(&Mistake::new(message).with_hint(hint.to_owned()))
}

impl SandtableError {
    /// Names scripts and faults given as text as such, not as the files they were put into.
    pub(super) fn start(error: &StartError, folder: Option<&TempDir>) -> Self {
        let text = hinted::told(error);
        Self::Start(match folder {
            Some(folder) => text.replace(&format!("{}/", folder.path().display()), ""),
            None => text,
        })
    }

    pub(super) fn setup(error: &dyn Hinted) -> Self {
        Self::Start(hinted::told(error))
    }

    pub(super) fn thread(reason: &dyn Display) -> Self {
        Self::Start(format!("the server's thread does not run: {reason}"))
    }

    pub(super) fn silent(url: &str, reason: &dyn Display) -> Self {
        Self::Silent {
            url: url.to_owned(),
            reason: reason.to_string(),
        }
    }
}
