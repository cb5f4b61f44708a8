//! One server per data directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::StoreError;
use common::private;

/// Its name.
pub(super) const FILE: &str = "lock";

/// Holds the directory until it is dropped; the system releases it if the process is killed.
#[derive(Debug)]
pub(super) struct DirLock {
    /// Open for as long as the lock is held.
    file: File,
}

impl DirLock {
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let io = || {
            let path = path.clone();
            move |source| StoreError::Prepare { path, source }
        };
        let mut file = private::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io())?;
        let locked = file.try_lock();
        taken(dir, &mut file, locked)?;
        file.set_len(0).map_err(io())?;
        file.rewind().map_err(io())?;
        writeln!(file, "{}", std::process::id()).map_err(io())?;
        Ok(Self { file })
    }
}

/// Not by closing it alone: a program that is just being started may hold a copy for a moment.
impl Drop for DirLock {
    fn drop(&mut self) {
        self.file.unlock().ok();
    }
}

/// Checks the lock as [`DirLock::take`] does, without a change.
pub(super) fn examine(dir: &Path) -> Result<(), StoreError> {
    let mut file = match File::open(dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            let path = dir.join(FILE);
            return Err(StoreError::Prepare { path, source });
        }
    };
    // For microseconds.
    let locked = file.try_lock_shared();
    let looked = taken(dir, &mut file, locked);
    file.unlock().ok();
    looked
}

/// That nobody else holds the lock, and that the file is one of ours.
fn taken(dir: &Path, file: &mut File, locked: Result<(), TryLockError>) -> Result<(), StoreError> {
    let io = || {
        |source| StoreError::Prepare {
            path: dir.join(FILE),
            source,
        }
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The owner may be about to write its id: the lock is what counts.
            file.read_to_string(&mut pid).map_err(io())?;
            let pid = match pid.trim() {
                "" => "unknown".to_owned(),
                pid => pid.to_owned(),
            };
            return Err(StoreError::Locked {
                dir: dir.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => return Err(io()(source)),
    }
    let mut owner = Vec::new();
    file.read_to_end(&mut owner).map_err(io())?;
    // A number and the end of a line; a file of that name with anything else is somebody's.
    if !owner
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'\n')
    {
        return Err(StoreError::ForeignLock {
            path: dir.join(FILE),
        });
    }
    Ok(())
}
