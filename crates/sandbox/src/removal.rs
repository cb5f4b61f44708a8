//! Deletes folders in which code was at work, however deep, wide, or closed what it has made there is.

use std::io;
use std::path::Path;

/// Deletes a folder and all that is in it; one that is gone is no error. No link is followed.
///
/// Unlike [`std::fs::remove_dir_all`] it takes neither stack nor descriptors by depth.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return tree::remove(path);
    #[cfg(not(target_os = "linux"))]
    // There is no code below folders of the machine.
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
mod tree {
    use std::ffi::{CStr, CString};
    use std::fs::{self, Permissions};
    use std::io;
    use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
    use rustix::io::Errno;
    use rustix::path::Arg;

    /// The permissions that an owner needs to empty a folder.
    const USABLE: u32 = 0o700;
    /// So many names of a folder are kept at once.
    const BATCH: usize = 10_000;
    /// How often a folder is emptied that somebody fills again.
    const TRIES: usize = 8;

    pub(super) fn remove(path: &Path) -> io::Result<()> {
        let mut result = Ok(());
        for _ in 0..TRIES {
            result = match enter(CWD, path)? {
                Some(top) => Removal::new(top).run(),
                None => return Ok(()),
            };
            match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) if result.is_ok() => {
                    result = Err(Errno::NOTEMPTY.into());
                }
                Err(error) => return result.and(Err(error.into())),
            }
        }
        result
    }

    /// What lies deeper than in the folder itself is moved up into it, and is a folder like the others there.
    struct Removal {
        top: OwnedFd,
        /// The numbers of folders that were moved up and are to be emptied.
        waiting: Vec<u64>,
        last: u64,
        /// The first error: little is tried after it.
        failed: Option<io::Error>,
    }

    impl Removal {
        fn new(top: OwnedFd) -> Self {
            Self {
                top,
                waiting: Vec::new(),
                last: 0,
                failed: None,
            }
        }

        fn run(mut self) -> io::Result<()> {
            self.empty(None);
            self.failed.map_or(Ok(()), Err)
        }

        /// Deletes a folder in the top one.
        fn remove(&mut self, name: &str) {
            for _ in 0..TRIES {
                match enter(&self.top, name) {
                    Ok(Some(folder)) => self.empty(Some(&folder)),
                    Ok(None) => return,
                    Err(error) => return self.note(error),
                }
                match unlinkat(&self.top, name, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => return,
                    Err(Errno::NOTEMPTY | Errno::EXIST) if self.failed.is_none() => {}
                    Err(error) => return self.note(error.into()),
                }
            }
            self.note(Errno::NOTEMPTY.into());
        }

        /// Deletes the files in a folder and moves the others up; the top one if `None`.
        fn empty(&mut self, folder: Option<&OwnedFd>) {
            loop {
                let names = match names(folder.unwrap_or(&self.top)) {
                    Ok(names) => names,
                    Err(error) => return self.note(error),
                };
                let mut done = 0;
                for name in &names {
                    match self.take(folder, name) {
                        Ok(()) => done += 1,
                        Err(error) => self.note(error.into()),
                    }
                }
                // Of the top one what was moved up is there again.
                while folder.is_none()
                    && let Some(number) = self.waiting.pop()
                {
                    self.remove(&name_of(number));
                }
                if done == 0 || self.failed.is_some() {
                    return;
                }
            }
        }

        fn take(&mut self, folder: Option<&OwnedFd>, name: &CStr) -> Result<(), Errno> {
            let place = folder.unwrap_or(&self.top);
            match unlinkat(place, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::ISDIR) => {}
                Err(error) => return Err(error),
            }
            match unlinkat(place, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            let mut closed = false;
            loop {
                self.last += 1;
                match renameat(place, name, &self.top, name_of(self.last)) {
                    Ok(()) => {
                        self.waiting.push(self.last);
                        return Ok(());
                    }
                    Err(Errno::NOENT) => return Ok(()),
                    // Nobody moves a folder that is closed to him.
                    Err(Errno::ACCESS) if !closed => {
                        closed = true;
                        open_up(place, name)?;
                    }
                    // Something has the name, such as what an earlier removal has left.
                    Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                    Err(error) => return Err(error),
                }
            }
        }

        fn note(&mut self, error: io::Error) {
            self.failed.get_or_insert(error);
        }
    }

    fn name_of(number: u64) -> String {
        format!(".removed-{number}")
    }

    /// Some of the names in a folder; all if they are few.
    fn names(folder: &OwnedFd) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name.to_owned());
            }
            if names.len() == BATCH {
                break;
            }
        }
        Ok(names)
    }

    /// Opens a folder so that it can be emptied. Anything else in its place is deleted.
    fn enter(parent: impl AsFd, name: impl Arg + Copy) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(&parent, name, OFlags::RDONLY | flags, Mode::empty());
        let mut opened = open();
        if opened.as_ref().is_err_and(|error| *error == Errno::ACCESS) {
            open_up(&parent, name)?;
            opened = open();
        }
        match opened {
            Ok(folder) => {
                if fstat(&folder)?.st_mode & USABLE != USABLE {
                    // Whoever may not may still be root.
                    fchmod(&folder, Mode::from_raw_mode(USABLE)).ok();
                }
                Ok(Some(folder))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => match unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Gives its owner a folder back.
    fn open_up(parent: impl AsFd, name: impl Arg) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(parent, name, flags, Mode::empty())?;
        let place = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let opened = fs::set_permissions(place, Permissions::from_mode(USABLE));
        opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::ACCESS))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    use super::*;

    #[test]
    fn a_folder_is_deleted_however_deep_wide_and_closed_it_is_and_nothing_else() {
        // In memory, where there is such a place: disks may take milliseconds for a folder.
        let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let place = place.unwrap();
        let (folder, other) = (place.path().join("folder"), place.path().join("other"));
        fs::create_dir_all(folder.join("a/b/c")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "kept").unwrap();
        // Deeper than a stack is.
        let (mode, flags) = (Mode::RWXU, OFlags::PATH | OFlags::DIRECTORY);
        let mut below = openat(CWD, &folder, flags, Mode::empty()).unwrap();
        for _ in 0..20_000 {
            mkdirat(&below, "d", mode).unwrap();
            below = openat(&below, "d", flags, Mode::empty()).unwrap();
        }
        // Names that a removal that was cut short has left, or that code has chosen.
        fs::create_dir_all(folder.join(".removed-1/x/y")).unwrap();
        fs::write(folder.join(".removed-2"), "").unwrap();
        for number in 0..20_500 {
            fs::write(folder.join(format!("a/b/{number}")), "").unwrap();
        }
        for link in ["link", "a/link", "a/b/c/link"] {
            symlink(&other, folder.join(link)).unwrap();
        }
        for closed in ["a/b/c", "a/b", "a", ".removed-1/x"] {
            fs::set_permissions(folder.join(closed), Permissions::from_mode(0o000)).unwrap();
        }
        remove_tree(&folder).unwrap();
        remove_tree(&folder).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert_eq!(fs::read(other.join("kept")).unwrap(), b"kept");

        // In the place of a folder.
        symlink(&other, &folder).unwrap();
        remove_tree(&folder).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert_eq!(fs::read(other.join("kept")).unwrap(), b"kept");
    }
}
