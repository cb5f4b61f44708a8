//! A failure that is remembered: a file beside the libraries, so that not every start tries again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use common::limits::LIBRARIES_RETRY;
use common::private;

/// When an installation failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: DateTime<Utc>,
    pub reason: String,
}

impl Failure {
    /// From when on a server tries again.
    pub fn until(&self) -> DateTime<Utc> {
        self.at + LIBRARIES_RETRY
    }

    /// Whether it is too early to try again. A time to come is none.
    pub(super) fn holds(&self, now: DateTime<Utc>) -> bool {
        self.at <= now && now < self.until()
    }
}

fn path(folder: &Path) -> PathBuf {
    let mut path = folder.to_owned().into_os_string();
    path.push(".failed");
    path.into()
}

/// The remembered failure of the libraries that are to lie in `folder`.
pub(super) fn read(folder: &Path) -> Option<Failure> {
    serde_json::from_slice(&fs::read(path(folder)).ok()?).ok()
}

/// Remembers it.
pub(super) fn write(folder: &Path, failure: &Failure) -> io::Result<()> {
    let text = serde_json::to_vec(failure).map_err(io::Error::other)?;
    private::replace(&path(folder), &text, |_| true)
}

/// Forgets it.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_file(path(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
