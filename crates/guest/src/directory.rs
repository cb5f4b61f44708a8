//! Directories held open, so that no link user code puts in the way leads the guest elsewhere.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The permissions that an owner needs to use a directory.
const USABLE: u32 = 0o700;
/// How deep a directory that is in the way is emptied, and for how long: both are user code's choice.
const DEPTH: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(1);

/// See [`repairs`].
static REPAIRS: AtomicU32 = AtomicU32::new(0);

/// How often a directory was found closed, or something else in its place.
pub(crate) fn repairs() -> u32 {
    REPAIRS.load(Ordering::Relaxed)
}

fn note_repair() {
    REPAIRS.fetch_add(1, Ordering::Relaxed);
}

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
                note_repair();
                self.clear(name)?;
                fs::create_dir(&entry)?;
                self.enter(name)?
            }
            result => result?,
        };
        directory.make_usable();
        Ok(directory)
    }

    /// Takes away whatever has this name here.
    pub(crate) fn clear(&self, name: &str) -> io::Result<()> {
        clear_away(&self.entry(name))
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
        if fs::set_permissions(path, open).is_ok() {
            note_repair();
        }
    }
}

/// Takes away whatever is at a place that is the guest's to use. A directory is moved aside at once,
/// whatever user code has made of it; how much of it can be deleted is no concern of the place.
pub(crate) fn clear_away(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EISDIR) => move_aside(path),
        Err(error) => Err(error),
    }
}

fn move_aside(path: &Path) -> io::Result<()> {
    let aside = unguessable_beside(path)?;
    fs::rename(path, &aside)?;
    // What is too deep, or too much, stays out of the way.
    if let Ok(directory) = Directory::open(&aside) {
        empty(&directory, DEPTH, Instant::now() + PATIENCE);
    }
    drop(fs::remove_dir(&aside));
    Ok(())
}

/// A name beside `path` that nobody can have taken.
pub(crate) fn unguessable_beside(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let name = format!(".sandtable-{:016x}", u64::from_le_bytes(random));
    Ok(path.with_file_name(name))
}

/// Deletes what is in a directory, as far as there is time.
fn empty(directory: &Directory, depth: u32, until: Instant) {
    let open = Permissions::from_mode(USABLE);
    drop(fs::set_permissions(directory.path(), open));
    let Ok(entries) = fs::read_dir(directory.path()) else {
        return;
    };
    for entry in entries.flatten() {
        if Instant::now() >= until {
            return;
        }
        let path = directory.path().join(entry.file_name());
        if fs::remove_file(&path).is_ok() {
            continue;
        }
        if let (1.., Ok(inner)) = (depth, Directory::open(&path)) {
            empty(&inner, depth - 1, until);
        }
        drop(fs::remove_dir(&path));
    }
}
