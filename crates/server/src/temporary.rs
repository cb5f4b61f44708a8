//! Data directories that end with their server, and those of servers that were killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use common::private;
use sandbox::remove_tree;
use store::{Options, Store};

/// The prefix of their names.
pub(super) const PREFIX: &str = "sandtable-";
/// How often a new directory is made if another server takes it for abandoned, between its making and
/// its lock.
const TRIES: usize = 3;

/// Deleted when it is dropped, whatever code has made in it.
#[derive(Debug)]
pub(super) struct Temporary(PathBuf);

impl Temporary {
    fn new() -> io::Result<Self> {
        Ok(Self(private::temp_dir(PREFIX)?.keep()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "a temporary directory may be left");
        }
    }
}

/// A new directory and the store in it.
pub(super) fn open(options: Options) -> Result<(Temporary, Store), super::StartError> {
    let mut tries = 1;
    loop {
        let dir = Temporary::new().map_err(super::StartError::Temporary)?;
        private::create_new(&dir.path().join(Store::TEMPORARY_MARK))
            .map_err(super::StartError::Temporary)?;
        match Store::open_with(dir.path(), options) {
            Ok(store) => return Ok((dir, store)),
            Err(error) if tries == TRIES => return Err(error.into()),
            Err(_) => tries += 1,
        }
    }
}

/// Takes the mark from a directory that is to be kept from now on.
pub(super) fn keep(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(Store::TEMPORARY_MARK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the directories whose servers are gone: whose lock is there and nobody holds it.
pub(super) fn clear_up(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if ours && is_dir {
            match remove_if_abandoned(&entry.path()) {
                Ok(true) => tracing::info!(
                    path = %entry.path().display(),
                    "removed the temporary data of a server that is gone"
                ),
                Ok(false) => {}
                Err(error) => tracing::debug!(
                    path = %entry.path().display(), %error,
                    "a temporary directory was not looked at"
                ),
            }
        }
    }
}

fn remove_if_abandoned(dir: &Path) -> io::Result<bool> {
    // Without the first it is a `--data-dir`, or somebody else's.
    let marks = [
        Store::TEMPORARY_MARK,
        Store::LOCK_FILE,
        Store::DATABASE_FILE,
    ];
    if !marks.iter().all(|mark| dir.join(mark).exists()) || !private::is_own(dir)? {
        return Ok(false);
    }
    // Held meanwhile, so that no server begins in what is half gone.
    let lock = File::open(dir.join(Store::LOCK_FILE))?;
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    // The marks last: what cannot be removed now is found again.
    for entry in dir.read_dir()? {
        let entry = entry?;
        if marks.iter().any(|mark| entry.file_name() == *mark) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    remove_tree(dir)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_server_holds_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let temporary = |name: &str| {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join(Store::TEMPORARY_MARK), "").unwrap();
            Store::open(&at(name)).unwrap()
        };
        let living = temporary("sandtable-living");
        drop(temporary("sandtable-gone"));
        // One of a user who likes the name, and one that a user has taken over.
        drop(Store::open(&at("sandtable-data")).unwrap());
        drop(temporary("sandtable-kept"));
        keep(&at("sandtable-kept")).unwrap();
        drop(Store::open(&at("kept-data")).unwrap());
        std::fs::create_dir(at("sandtable-somebody-elses")).unwrap();
        std::fs::write(at("sandtable-file"), "").unwrap();
        clear_up(folder.path());
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        let expected = [
            "kept-data",
            "sandtable-data",
            "sandtable-file",
            "sandtable-kept",
            "sandtable-living",
            "sandtable-somebody-elses",
        ];
        assert_eq!(left, expected);
        drop(living);
    }

    #[test]
    fn a_temporary_directory_goes_with_its_server() {
        let (temporary, store) = open(Options::default()).unwrap();
        let path = temporary.path().to_owned();
        fs::create_dir_all(path.join("sandboxes/a/b")).unwrap();
        drop(store);
        drop(temporary);
        assert!(!path.exists());
    }
}
