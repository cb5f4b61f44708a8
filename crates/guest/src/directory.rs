//! Directories held open, so that no link user code puts in the way leads the guest elsewhere.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What its owner needs to use a directory.
const USABLE: u32 = 0o700;

/// A directory, wherever it is moved to.
#[derive(Debug)]
pub(crate) struct Directory(File);

impl Directory {
    /// Opens one by its path; only the last part may be no link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(path)
            .map(Self)
    }

    /// As [`Self::open`]; made if it is missing.
    pub(crate) fn own(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let directory = Self::open(path)?;
        directory.make_usable();
        Ok(directory)
    }

    /// Its path, valid while this lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// The path of an entry, valid while this lives. The entry itself may be a link.
    pub(crate) fn entry(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Opens a directory in this one.
    pub(crate) fn enter(&self, name: &str) -> io::Result<Self> {
        Self::open(&self.entry(name))
    }

    /// Opens a directory in this one that is there for the guest: whatever else is in its place goes.
    pub(crate) fn enter_own(&self, name: &str) -> io::Result<Self> {
        let entry = self.entry(name);
        let directory = match self.enter(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&entry)?;
                self.enter(name)?
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)) => {
                fs::remove_file(&entry)?;
                fs::create_dir(&entry)?;
                self.enter(name)?
            }
            result => result?,
        };
        directory.make_usable();
        Ok(directory)
    }

    /// Opens it up if its owner has closed it; fails only where the next step will say so.
    fn make_usable(&self) {
        make_usable(&self.path());
    }
}

/// Opens up a directory that its owner has closed.
pub(crate) fn make_usable(path: &Path) {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & USABLE != USABLE
    {
        let open = Permissions::from_mode(metadata.permissions().mode() | USABLE);
        drop(fs::set_permissions(path, open));
    }
}
