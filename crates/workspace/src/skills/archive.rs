//! Skills as zip archives, on their way in and out.

use std::collections::HashSet;
use std::io::{Cursor, Read, Write};

use wire::refusal::Invalid;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use common::limits;

/// A path and its content.
pub type File = (String, Vec<u8>);

/// Whether these are the bytes of an archive.
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// The files of an archive; no more than a skill may hold is unpacked.
pub fn unpack(bytes: &[u8]) -> Result<Vec<File>, Invalid> {
    let broken = |error: &dyn std::fmt::Display| {
        Invalid::new(format!("The zip file of the skill cannot be read: {error}"))
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
    if archive.len() > limits::MAX_SKILL_FILES {
        return Err(Invalid::new(format!(
            "A skill holds at most {} files",
            limits::MAX_SKILL_FILES
        )));
    }
    // A reader of archives has the last of several entries of one name; a client that made them meant something else.
    if let Some(path) = doubled(bytes, archive.central_directory_start()) {
        return Err(super::two_files(&path));
    }
    let mut files = Vec::new();
    let mut room = limits::MAX_SKILL_BYTES;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let path = entry.name().map_err(|error| broken(&error))?.into_owned();
        // What file managers add.
        if entry.is_dir() || path.starts_with("__MACOSX/") || path.ends_with(".DS_Store") {
            continue;
        }
        if entry.is_symlink() {
            return Err(Invalid::new(format!("A skill holds no links: `{path}`")));
        }
        let mut content = Vec::new();
        entry
            .take(room as u64 + 1)
            .read_to_end(&mut content)
            .map_err(|error| broken(&error))?;
        room = room
            .checked_sub(content.len())
            .ok_or_else(super::too_large)?;
        files.push((path, content));
    }
    Ok(files)
}

/// A name that two entries of the central directory have, which begins at `start`.
fn doubled(bytes: &[u8], start: u64) -> Option<String> {
    const SIGNATURE: &[u8] = b"PK\x01\x02";
    const HEADER_BYTES: usize = 46;
    let mut rest = bytes.get(usize::try_from(start).ok()?..)?;
    let mut seen = HashSet::new();
    while rest.starts_with(SIGNATURE) {
        let length = |at: usize| {
            let bytes = rest.get(at..at + 2)?.try_into().ok()?;
            Some(usize::from(u16::from_le_bytes(bytes)))
        };
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let name = rest.get(HEADER_BYTES..HEADER_BYTES + name)?;
        if !seen.insert(name) {
            return Some(String::from_utf8_lossy(name).into_owned());
        }
        rest = rest.get(HEADER_BYTES + name.len() + extra + comment..)?;
    }
    None
}

/// An archive with the files below one directory.
pub fn pack<'a>(
    directory: &str,
    files: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> std::io::Result<Vec<u8>> {
    // The default time is the same in every run.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        let mode = if content.starts_with(b"#!") {
            0o755
        } else {
            0o644
        };
        archive.start_file(
            format!("{directory}/{path}"),
            options.unix_permissions(mode),
        )?;
        archive.write_all(content)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_nothing_else_is_taken() {
        let files = [
            ("SKILL.md", &b"text"[..]),
            ("scripts/a.py", b"#!/usr/bin/python3"),
        ];
        let bytes = pack("my-skill", files.into_iter()).unwrap();
        assert!(is_zip(&bytes));
        let unpacked = unpack(&bytes).unwrap();
        assert_eq!(unpacked[1].0, "my-skill/scripts/a.py");
        assert_eq!(unpacked[1].1, files[1].1);
        assert!(unpack(&bytes[..bytes.len() / 2]).is_err());
        assert!(unpack(b"PK\x03\x04 and nothing more").is_err());
    }

    #[test]
    fn two_entries_of_one_name_are_refused() {
        let files = [("SKILL.md", &b"one"[..]), ("SKILL.mb", b"two")];
        let mut bytes = pack("my-skill", files.into_iter()).unwrap();
        assert_eq!(unpack(&bytes).unwrap().len(), 2);
        let other = |bytes: &[u8]| bytes.windows(8).position(|name| name == b"SKILL.mb");
        while let Some(at) = other(&bytes) {
            bytes[at..at + 8].copy_from_slice(b"SKILL.md");
        }
        let error = unpack(&bytes).unwrap_err().to_string();
        assert_eq!(
            error,
            "The skill has two files of the name `my-skill/SKILL.md`"
        );
    }

    #[test]
    fn an_archive_that_unfolds_to_more_than_a_skill_holds_is_refused() {
        let zeros = vec![0; limits::MAX_SKILL_BYTES + 1];
        let bytes = pack("big", [("SKILL.md", &zeros[..])].into_iter()).unwrap();
        assert!(bytes.len() < 1024 * 1024);
        assert_eq!(unpack(&bytes).unwrap_err(), super::super::too_large());
    }
}
