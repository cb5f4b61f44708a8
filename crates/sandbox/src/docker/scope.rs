//! What a data directory's sandboxes are called on the engine.
//!
//! The name is chosen once and noted in the directory, which so may be moved, and its machine be called otherwise. A copy
//! has the note as well: it gets a name of its own, and no sandbox belongs to two directories. From a directory that is
//! there no more its copy takes each sandbox over when it needs it, by renaming it; the engine does that once.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::lock::{DataLock, LOCK_FILE};
use common::ids::hex;

/// The names of a data directory's sandboxes.
#[derive(Debug)]
pub(super) struct Scope {
    /// Part of each name, and nobody else's.
    pub(super) name: String,
    /// Where the directories were that it is a copy of.
    former: Vec<Place>,
    lock: PathBuf,
}

/// A line of the note: a directory, and where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    scope: String,
    /// When its lock was made: a copy's was made later.
    made: String,
    path: String,
}

impl Scope {
    /// The one that is noted, unless the directory is a copy; `machine` and the path make a new one differ from all others.
    pub(super) fn of(lock: &mut DataLock, server: &str, machine: &str) -> io::Result<Self> {
        let made = made(&lock.metadata()?);
        let own = lock.folder.join(LOCK_FILE);
        let notes = lock.notes.iter();
        let places: Vec<Place> = notes
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let name = match places.last() {
            None => digest(&lock.first_server, machine, &lock.folder),
            // A snapshot of a file system is as old as what it is of.
            Some(last) if last.made == made && !last.is_there_beside(&own) => last.scope.clone(),
            Some(_) => digest(server, machine, &lock.folder),
        };
        let here = Place {
            scope: name.clone(),
            made,
            path: lock.folder.to_string_lossy().into_owned(),
        };
        if places.last() != Some(&here) {
            lock.note(&serde_json::to_string(&here)?)?;
        }
        let former = places.into_iter().filter(|place| place.scope != name);
        Ok(Self {
            former: former.collect(),
            name,
            lock: own,
        })
    }

    /// Scopes whose sandboxes it may take over, the latest first.
    pub(super) fn inherited(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for place in self.former.iter().rev() {
            let name = &*place.scope;
            let is_owned = self.originals().any(|(owned, _)| owned == name);
            if !is_owned && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The directories that it is a copy of and that are still there: their scopes and places.
    pub(super) fn originals(&self) -> impl Iterator<Item = (&str, &str)> {
        let there = self.former.iter().rev();
        there
            .filter(|place| place.is_there_beside(&self.lock))
            .map(|place| (&*place.scope, &*place.path))
    }
}

impl Place {
    /// Whether the directory lies there still, and is not the one whose lock is `own`. What cannot be looked at may.
    fn is_there_beside(&self, own: &Path) -> bool {
        let lock = Path::new(&self.path).join(LOCK_FILE);
        match fs::metadata(&lock) {
            Ok(about) => made(&about) == self.made && !is_same(&lock, own),
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
}

/// Whether two paths lead to one file, through links and mounts.
#[cfg(unix)]
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path| fs::metadata(path).map(|about: Metadata| (about.dev(), about.ino()));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(not(unix))]
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path);
    matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}

/// When a file was made, in nanoseconds; not every file system knows.
fn made(about: &Metadata) -> String {
    let since = |made: std::time::SystemTime| made.duration_since(UNIX_EPOCH).ok();
    match about.created().ok().and_then(since) {
        Some(since) => since.as_nanos().to_string(),
        None => number(about),
    }
}

#[cfg(unix)]
fn number(about: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt as _;
    format!("number {}", about.ino())
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> String {
    "unknown".to_owned()
}

/// Ids may come from a seed, and so may be the same in two servers; a directory at one place, first used
/// by one server, is there once.
fn digest(server: &str, machine: &str, data_dir: &Path) -> String {
    let mut digest = Sha256::new();
    for part in [
        server.as_bytes(),
        machine.as_bytes(),
        data_dir.as_os_str().as_encoded_bytes(),
    ] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The scope that a server finds in a folder, and what it may take over.
    fn found(folder: &Path, server: &str, machine: &str) -> (String, Vec<String>) {
        let mut lock = DataLock::take(server, folder).unwrap();
        let scope = Scope::of(&mut lock, server, machine).unwrap();
        let inherited = scope.inherited().into_iter().map(str::to_owned).collect();
        (scope.name, inherited)
    }

    fn copy(from: &Path, to: &Path) {
        let copied = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(copied.unwrap().success());
    }

    #[test]
    fn a_directory_that_is_moved_to_a_machine_of_another_name_keeps_its_sandboxes() {
        let base = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| base.path().join(name));
        fs::create_dir(&first).unwrap();
        let made = found(&first, "a", "home");
        fs::rename(&first, &second).unwrap();
        assert_eq!(found(&second, "b", "work"), made);
        fs::rename(&second, &first).unwrap();
        assert_eq!(found(&first, "c", "home"), made);
        assert_eq!(made.1, [""; 0]);
    }

    #[test]
    fn a_directory_of_an_earlier_version_keeps_what_its_place_and_its_machine_made_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK_FILE), "first").unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        let before = digest("first", "home", &real);
        assert_eq!(found(folder.path(), "a", "home"), (before.clone(), vec![]));
        assert_eq!(found(folder.path(), "b", "work"), (before, vec![]));
        // A word that a kill has cut off.
        let lock = folder.path().join(LOCK_FILE);
        let text = fs::read_to_string(&lock).unwrap() + "\n{\"scope\":\"ab";
        fs::write(&lock, text).unwrap();
        assert_eq!(found(folder.path(), "c", "work").1, [""; 0]);
    }

    #[test]
    fn of_a_directory_and_its_copies_each_has_names_of_its_own() {
        let base = tempfile::tempdir().unwrap();
        let [original, second, third] = ["a", "b", "c"].map(|name| base.path().join(name));
        fs::create_dir(&original).unwrap();
        let (first, _) = found(&original, "s1", "home");
        copy(&original, &second);
        copy(&original, &third);
        let (of_second, inherited) = found(&second, "s2", "home");
        let (of_third, _) = found(&third, "s3", "home");
        assert!(first != of_second && of_second != of_third && of_third != first);
        assert_eq!(inherited, [""; 0], "the original is there");
        assert_eq!(found(&second, "s4", "home").0, of_second);
        assert_eq!(found(&original, "s5", "home"), (first.clone(), vec![]));
        fs::remove_dir_all(&original).unwrap();
        assert_eq!(found(&second, "s6", "home"), (of_second, vec![first]));
    }

    #[test]
    fn a_backup_in_the_place_of_the_directory_takes_over_from_it() {
        let base = tempfile::tempdir().unwrap();
        let [data, backup] = ["data", "backup"].map(|name| base.path().join(name));
        fs::create_dir(&data).unwrap();
        let (first, _) = found(&data, "s1", "home");
        copy(&data, &backup);
        fs::remove_dir_all(&data).unwrap();
        copy(&backup, &data);
        let (again, inherited) = found(&data, "s2", "home");
        assert_ne!(again, first);
        assert_eq!(inherited, [first]);
    }
}
