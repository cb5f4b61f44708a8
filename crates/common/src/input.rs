//! Files that a user names: only regular ones are read, and only up to a size.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Reads the regular file `path`, of `max_bytes` at most. A pipe, device, socket, or folder is an error at
/// once: opening never waits for somebody who writes.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    // A file that grows meanwhile, or that says it is empty as those of /proc do, is bounded as well.
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(refusal(format!(
            "it is too large: {max_bytes} bytes are the most"
        )));
    }
    Ok(bytes)
}

/// As [`read`], for text in UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    let bytes = read(path, max_bytes)?;
    String::from_utf8(bytes).map_err(|_| refusal("it is not UTF-8".to_owned()))
}

/// Opens the regular file `path`; anything else is an error at once.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // Looked at before it is opened, too: to open a device may do something.
        let kind = std::fs::metadata(path)?.file_type();
        regular(kind)?;
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn regular(kind: std::fs::FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "a folder"
    } else {
        "a pipe, device, or socket"
    };
    Err(refusal(format!("it is {what}, not a file")))
}

/// Files that were named: perhaps more than once, by themselves, with their folder, or through a link.
#[derive(Debug, Default)]
pub struct Named(HashSet<PathBuf>);

impl Named {
    /// Whether the file was not named before. One that is not there is new each time, for reading it tells.
    pub fn is_new(&mut self, path: &Path) -> bool {
        path.canonicalize()
            .map_or(true, |real| self.is_new_real(real))
    }

    /// The same of a path without links: asks the system nothing.
    pub fn is_new_real(&mut self, real: PathBuf) -> bool {
        self.0.insert(real)
    }
}

fn refusal(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [&*pipe, &*socket, &*link, Path::new("/dev/zero")] {
            let error = read(path, 10).unwrap_err().to_string();
            assert!(
                error.contains("pipe, device, or socket"),
                "{path:?}: {error}"
            );
        }
        let error = read(folder.path(), 10).unwrap_err().to_string();
        assert!(error.contains("a folder"), "{error}");
    }

    #[test]
    fn a_file_is_new_once_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let link = folder.path().join("link");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut named = Named::default();
        assert!(named.is_new(&file));
        for again in [&file, &link, &folder.path().join(".").join("file")] {
            assert!(!named.is_new(again), "{}", again.display());
        }
        let gone = folder.path().join("gone");
        assert!(named.is_new(&gone) && named.is_new(&gone));
    }

    #[test]
    fn a_file_is_read_up_to_its_most_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"0123456789");
        let error = read(&path, 9).unwrap_err().to_string();
        assert!(error.contains("9 bytes are the most"), "{error}");
        std::fs::write(&path, [0xff]).unwrap();
        assert!(
            read_text(&path, 9)
                .unwrap_err()
                .to_string()
                .contains("UTF-8")
        );
    }
}
