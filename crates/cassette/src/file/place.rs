//! Rules of writing: nothing but a cassette and what lies beside it is replaced or removed, and all of it is its
//! owner's alone.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::CassetteError;
use common::private;

/// Whether there is a file that is `ours`; an error where another is.
pub(super) fn is_there(
    path: &Path,
    kind: &'static str,
    ours: impl Fn(&[u8]) -> bool,
) -> Result<bool, CassetteError> {
    let foreign = || CassetteError::Foreign {
        path: path.to_owned(),
        kind,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(failed(path, source)),
        // A device would be replaced by a file.
        Ok(found) if !found.is_file() => return Err(foreign()),
        Ok(_) => {}
    }
    match private::may_replace(path, ours) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(foreign()),
        Err(source) => Err(failed(path, source)),
        Ok(()) => Ok(true),
    }
}

/// Whether a text begins as every cassette does, comments apart.
pub(super) fn starts_as_cassette(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#") && *line != b"---");
    first.is_some_and(|line| line.starts_with(b"cassette:"))
}

/// Bodies of a recording before belong to nothing any more. What is not called by its digest stays, and what is ours.
pub(super) fn remove_bodies(folder: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut all = true;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_digest =
            |name: &&str| name.len() == 64 && name.bytes().all(|c| c.is_ascii_hexdigit());
        let digest = name.to_str().filter(is_digest);
        if digest.is_some_and(|digest| !is_ours(digest)) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        } else {
            all = false;
        }
    }
    if all { fs::remove_dir(folder) } else { Ok(()) }
}

/// A body under its digest; one that is there has the same bytes, or is not whole.
pub(super) fn put_body(path: &Path, bytes: &mut dyn io::Read) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::copy(bytes, &mut file)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), CassetteError> {
    // Not in place of a link, but where it leads.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        // Its owner's alone, as a temporary file is.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(&place).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| failed(path, source))
}

pub(super) fn failed(path: &Path, source: std::io::Error) -> CassetteError {
    CassetteError::Write {
        path: path.to_owned(),
        source,
    }
}
