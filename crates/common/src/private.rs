//! Files and folders that are their owner's alone, whatever the umask; and files that replace only what
//! is of their own kind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

#[cfg(unix)]
const FOLDER: u32 = 0o700;
#[cfg(unix)]
const FILE: u32 = 0o600;
/// Rights of anybody but the owner.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Where this user's programs keep what they can make again, if it is known.
pub fn user_cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(variable("HOME")?.join(".cache")))
        .filter(|path| path.is_absolute())
}

/// Makes a folder and those above it that are missing; one that is there stays as it is.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(FOLDER);
    }
    builder.recursive(true).create(path)
}

/// Options whose new files are private, and that go through no link.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(FILE).custom_flags(libc::O_NOFOLLOW);
    }
    options
}

/// A new file; there must be none.
pub fn create_new(path: &Path) -> io::Result<File> {
    options().write(true).create_new(true).open(path)
}

/// A new folder in that of the system, removed when it is dropped.
pub fn temp_dir(prefix: &str) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(FOLDER));
    }
    builder.tempdir()
}

/// The path itself, or the nearest folder above it that is there.
fn nearest(path: &Path) -> Option<PathBuf> {
    let here = |path: &Path| {
        if path.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            path.to_owned()
        }
    };
    path.ancestors()
        .map(here)
        // A link that leads nowhere is there, and nothing can be made in its place.
        .find(|path| fs::symlink_metadata(path).is_ok())
}

/// The error with which a file in a folder, or below the nearest one that is there, could not be made. What
/// is made to see it has no name.
pub fn may_add_to(folder: &Path) -> io::Result<()> {
    let there = nearest(folder).unwrap_or_else(|| folder.to_owned());
    if fs::metadata(&there)?.is_dir() {
        return tempfile::tempfile_in(there).map(drop);
    }
    // As the system has it where a folder is to be made.
    #[cfg(unix)]
    return Err(io::Error::from_raw_os_error(if there == folder {
        libc::EEXIST
    } else {
        libc::ENOTDIR
    }));
    #[cfg(not(unix))]
    Err(io::ErrorKind::NotADirectory.into())
}

/// Whether it is this user's. A link is not followed: another could put one in its place meanwhile.
#[cfg(unix)]
pub fn is_own(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::symlink_metadata(path)?.uid() == own_user()?)
}

/// Where there are no owners, it is everybody's.
#[cfg(not(unix))]
pub fn is_own(_: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(unix)]
fn own_user() -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt as _;
    // A file that is made now says whom this process is.
    Ok(tempfile::tempfile()?.metadata()?.uid())
}

/// The error with which [`tighten`] would be refused.
#[cfg(unix)]
pub fn may_tighten(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let found = fs::metadata(path)?;
    if found.permissions().mode() & OTHERS == 0 {
        return Ok(());
    }
    let own = own_user()?;
    if own == 0 || found.uid() == own {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(libc::EPERM))
}

/// Where there are no modes, nothing is refused.
#[cfg(not(unix))]
pub fn may_tighten(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes everybody else's rights from a file or folder; the mode it had, if that was wider.
#[cfg(unix)]
pub fn tighten(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))?;
    Ok(Some(mode))
}

/// Where there are no modes, there is nothing to take.
#[cfg(not(unix))]
pub fn tighten(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Whether a text may be written to `path`: there is nothing, nothing in it, what is `ours`, or what is
/// no file at all, such as `/dev/stdout`. Else the error is `AlreadyExists`.
pub fn may_replace(path: &Path, ours: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() || found.len() == 0 => return Ok(()),
        Ok(_) => {}
    }
    if ours(&fs::read(path)?) {
        return Ok(());
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Writes a text where [`may_replace`] allows it.
pub fn replace(path: &Path, text: &[u8], ours: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    may_replace(path, ours)?;
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(FILE);
    }
    // A link that is there is followed: what it leads to was looked at.
    let mut file = options.write(true).create(true).truncate(true).open(path)?;
    if file.metadata()?.is_file() {
        tighten(path)?;
    }
    file.write_all(text)
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_text_replaces_its_own_kind_alone_and_becomes_private() {
        let folder = temp_dir("sandtable-test-").unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        let path = folder.path().join("report.json");
        let ours = |old: &[u8]| old.starts_with(b"{");
        replace(&path, b"{1}", ours).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        replace(&path, b"{2}", ours).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), mode(&path)),
            (b"{2}".as_slice(), 0o600)
        );

        fs::write(&path, "notes").unwrap();
        let refused = replace(&path, b"{3}", ours).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"notes");
        // A link to somebody's file is no way around.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(replace(&link, b"{4}", ours).is_err());
        replace(Path::new("/dev/null"), b"{5}", ours).unwrap();
        assert_ne!(mode(Path::new("/dev/null")), 0o600);
    }
}
