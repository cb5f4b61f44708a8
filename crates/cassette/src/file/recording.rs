//! `NAME.recording`, beside a cassette for as long as somebody records into it: its lock keeps others from writing there,
//! and while an exchange is being added it holds the length of the cassette before that. Half an exchange that a killed
//! recorder has left lies behind that length: nobody reads it, and the next recorder takes it away.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::CassetteError;
use super::place::{failed, is_there};
use common::private;

/// The digits of a length: as many each time, so that none of a longer one stay behind a shorter one.
const DIGITS: usize = 20;

/// Held by who records.
#[derive(Debug)]
pub(super) struct Recording {
    path: PathBuf,
    file: File,
}

impl Recording {
    /// Takes the lock, and takes away what somebody who was killed has half written.
    pub(super) fn begin(cassette: &Path) -> Result<Self, CassetteError> {
        let path = recording(cassette);
        is_there(&path, "note of a recorder", |old| {
            old.is_empty() || length_in(old).is_some()
        })?;
        let failed_there = |source| failed(&path, source);
        let file = loop {
            let mut options = private::options();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(&path).map_err(failed_there)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(CassetteError::Recorded(cassette.to_owned()));
                }
                Err(TryLockError::Error(source)) => return Err(failed_there(source)),
            }
            // Whoever had it before may have removed it between the two steps.
            let place = |found: fs::Metadata| (found.dev(), found.ino());
            let own = file.metadata().map(place).map_err(failed_there)?;
            if fs::metadata(&path)
                .map(place)
                .is_ok_and(|there| there == own)
            {
                break file;
            }
        };
        if let Some(length) = whole(cassette) {
            let cut = File::options().write(true).open(cassette);
            match cut.and_then(|cassette| cassette.set_len(length)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(cassette, source));
                }
                _ => {}
            }
        }
        let recording = Self { path, file };
        recording
            .added()
            .map_err(|source| failed(&recording.path, source))?;
        Ok(recording)
    }

    /// An exchange is about to be added to a cassette of this length.
    pub(super) fn adding(&self, length: u64) -> io::Result<()> {
        let text = format!("{length:0DIGITS$}");
        self.file.write_all_at(text.as_bytes(), 0)
    }

    /// The cassette is whole, as long as it is.
    pub(super) fn added(&self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // One that stays harms nobody: it holds no length.
        fs::remove_file(&self.path).ok();
    }
}

/// How much of a cassette is whole, if that is not all of it.
pub(super) fn whole(cassette: &Path) -> Option<u64> {
    let length = length_in(&fs::read(recording(cassette)).ok()?)?;
    let is_longer = fs::metadata(cassette).is_ok_and(|found| found.len() > length);
    is_longer.then_some(length)
}

fn length_in(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok();
    text.filter(|text| text.len() == DIGITS)?.parse().ok()
}

fn recording(cassette: &Path) -> PathBuf {
    cassette.with_extension("recording")
}
