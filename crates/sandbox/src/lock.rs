//! The lock on a data directory, by which a server that lives is told from one that is gone.

use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use common::private;

pub(super) const LOCK_FILE: &str = "sandboxes.lock";

/// A data directory that is held until drop; the kernel lets go of it whatever ends the server.
#[derive(Debug)]
pub(super) struct DataLock {
    /// Its real path.
    pub(super) folder: PathBuf,
    /// The server that held it first.
    pub(super) first_server: String,
    /// What is noted in it, line by line.
    pub(super) notes: Vec<String>,
    /// Locked; closing it lets go.
    file: File,
}

impl DataLock {
    /// Takes the lock; fails with `WouldBlock` if another server has it.
    pub(super) fn take(server: &str, folder: &Path) -> io::Result<Self> {
        let folder = std::fs::canonicalize(folder)?;
        let mut file = private::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(LOCK_FILE))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if text.is_empty() {
            file.write_all(server.as_bytes())?;
            server.clone_into(&mut text);
        }
        let mut lines = text.lines().map(str::to_owned);
        Ok(Self {
            folder,
            first_server: lines.next().unwrap_or_default(),
            notes: lines.collect(),
            file,
        })
    }

    /// Notes a line for good: one that a kill cuts off ends where the next begins.
    pub(super) fn note(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(format!("\n{line}").as_bytes())
    }

    /// About the file: it is made with the directory's first server, and stays.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }
}

/// Not by closing it alone: a program that is just being started may hold a copy for a moment.
impl Drop for DataLock {
    fn drop(&mut self) {
        self.file.unlock().ok();
    }
}

/// Whether nobody holds the lock of a data directory, or the directory is gone.
pub(super) fn is_abandoned(folder: &Path) -> bool {
    match File::open(folder.join(LOCK_FILE)) {
        Ok(lock) => {
            let is_free = lock.try_lock().is_ok();
            lock.unlock().ok();
            is_free
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}
