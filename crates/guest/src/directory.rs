//! Directories held open, so that no link user code puts in the way leads the guest elsewhere.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// The permissions that an owner needs to use a directory.
const USABLE: u32 = 0o700;
/// How deep a directory that is in the way is emptied, and for how long: both are user code's choice.
const DEPTH: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(1);
/// How often something is put in a place where user code puts something else each time.
const TRIES: usize = 8;

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
        Self::open(path).map(Self::usable)
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
        let mut entered = self.enter(name);
        for _ in 0..TRIES {
            match &entered {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)) => {
                    note_repair();
                    drop(self.clear(name));
                }
                _ => break,
            }
            match fs::create_dir(self.entry(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => entered = self.enter(name),
            }
        }
        entered.map(Self::usable)
    }

    /// Takes away whatever has this name here.
    pub(crate) fn clear(&self, name: &str) -> io::Result<()> {
        clear_away(&self.entry(name))
    }

    /// This directory, opened up if its owner has closed it; fails only where the next step will say so.
    pub(crate) fn usable(self) -> Self {
        make_usable(&self.path());
        self
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

/// Puts a file in its place, whatever is there and whoever puts something else there meanwhile.
pub(crate) fn put_in_place(file: &Path, place: &Path) -> io::Result<()> {
    let mut placed = fs::rename(file, place);
    for _ in 0..TRIES {
        match &placed {
            Err(error) if error.raw_os_error() == Some(libc::EISDIR) => {}
            _ => break,
        }
        // In one step, so that nobody comes between; what was there has the file's old name then.
        if renameat_with(CWD, file, CWD, place, RenameFlags::EXCHANGE).is_ok() {
            drop(clear_away(file));
            return Ok(());
        }
        // It is gone by now, or the file system cannot exchange.
        drop(clear_away(place));
        placed = fs::rename(file, place);
    }
    placed
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn put(folder: &Path, text: &str) -> io::Result<()> {
        let file = unguessable_beside(&folder.join("place"))?;
        fs::write(&file, text)?;
        put_in_place(&file, &folder.join("place"))
    }

    #[test]
    fn a_file_is_put_in_its_place_whatever_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        fs::write(folder.path().join("else"), "else").unwrap();
        let others: [&dyn Fn(); 5] = [
            &|| {},
            &|| fs::write(&place, "other").unwrap(),
            &|| symlink("else", &place).unwrap(),
            &|| symlink("/etc", &place).unwrap(),
            &|| fs::create_dir_all(place.join("x/y")).unwrap(),
        ];
        for (number, other) in others.iter().enumerate() {
            clear_away(&place).unwrap();
            other();
            put(folder.path(), &format!("{number}")).unwrap();
            let about = fs::symlink_metadata(&place).unwrap();
            assert!(about.is_file(), "{number}: {about:?}");
            assert_eq!(fs::read_to_string(&place).unwrap(), format!("{number}"));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{number}");
        }
        assert_eq!(
            fs::read_to_string(folder.path().join("else")).unwrap(),
            "else"
        );
    }

    #[test]
    fn a_file_is_put_where_a_program_makes_directories_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let (place, over) = (folder.path().join("place"), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        drop(fs::remove_file(&place));
                        drop(fs::create_dir_all(place.join("x/y")));
                    }
                });
            }
            let put: Vec<_> = (0..500).map(|_| put(folder.path(), "file")).collect();
            over.store(true, Ordering::Relaxed);
            for put in put {
                put.unwrap();
            }
        });
    }
}
