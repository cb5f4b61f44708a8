//! The place of a skill: emptied before its files come, so that none of another version stays.

use std::fs;
use std::io;
use std::path::Path;

use guest_proto::{Settings, is_file_name};

use crate::directory::{self, Directory};
use crate::files::Failure;

/// How deep closed directories are opened up; what lies deeper may stay, out of the way.
const DEPTH: u32 = 64;

/// Takes away what lies in the place of the skill `name`.
///
/// It is moved aside at once, whatever user code has made of it; how much of that can be deleted, and
/// whether all of it, is no concern of the skill.
pub(crate) fn clear(settings: &Settings, call: u64, name: &str) -> Result<(), Failure> {
    if !is_file_name(name) {
        return Err(Failure::invalid(format!("`{name}` cannot name a skill")));
    }
    let aside = || -> io::Result<_> {
        let skills = Directory::own(Path::new(&settings.skills_root))?;
        let mut number = call;
        let aside = loop {
            let aside = skills.entry(&format!(".old-{number}"));
            match fs::symlink_metadata(&aside) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break aside,
                Err(error) => return Err(error),
                Ok(_) => number += 1,
            }
        };
        match fs::rename(skills.entry(name), &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result?,
        }
        match fs::symlink_metadata(&aside) {
            Ok(metadata) if metadata.is_dir() => {
                open_up(&Directory::open(&aside)?, DEPTH);
                drop(fs::remove_dir_all(&aside));
            }
            _ => drop(fs::remove_file(&aside)),
        }
        Ok(())
    };
    aside().map_err(|error| Failure::io("clearing", name, &error))
}

/// Lets what is in it be deleted.
fn open_up(directory: &Directory, depth: u32) {
    directory::make_usable(&directory.path());
    let Ok(entries) = fs::read_dir(directory.path()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let (1.., Some(name)) = (depth, name.to_str())
            && let Ok(inner) = directory.enter(name)
        {
            open_up(&inner, depth - 1);
        }
    }
}
