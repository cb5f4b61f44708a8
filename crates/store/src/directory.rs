//! Which folder may become a data directory, and who may look into it.

use std::fs;
use std::io;
use std::path::Path;

use super::{Store, StoreError};
use common::private;

/// The directory that an empty file system has at its root.
const LOST_AND_FOUND: &str = "lost+found";

/// Makes the folder if it is missing, and the database's file in it if it is empty. What is there already
/// stays, and loses the rights of other users.
///
/// The database is the mark of a data directory: it is the first that is put there, so that a kill at any
/// moment leaves a folder that is taken up again.
pub(super) fn claim(dir: &Path) -> Result<(), StoreError> {
    private::create_dir_all(dir).map_err(prepare(dir))?;
    let database = dir.join(Store::DATABASE_FILE);
    if begins(dir)? {
        close(dir)?;
        match private::create_new(&database) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(prepare(&database)(error));
            }
            _ => {}
        }
    } else {
        close(dir)?;
        tell_owner(&database);
    }
    let beside = ["", "-wal", "-shm"].map(|end| format!("{}{end}", Store::DATABASE_FILE));
    for name in beside
        .iter()
        .map(String::as_str)
        .chain(["blobs", Store::LOCK_FILE])
    {
        let path = dir.join(name);
        match private::tighten(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(prepare(&path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn prepare(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Prepare { path, source }
}

/// Whether a store would begin in the folder, rather than be found there. One that holds anything else is
/// refused.
fn begins(dir: &Path) -> Result<bool, StoreError> {
    match fs::metadata(dir.join(Store::DATABASE_FILE)) {
        Ok(file) if file.len() > 0 => Ok(false),
        Ok(_) => lies_alone(dir).map(|()| true),
        Err(_) => match first_of_others(dir).map_err(prepare(dir))? {
            Some(found) => Err(StoreError::Foreign {
                dir: dir.to_owned(),
                found,
            }),
            None => Ok(true),
        },
    }
}

/// That nothing lies beside a database that knows nothing: it was never finished. Otherwise it has lost what it knew of the
/// bytes beside it, and to begin anew would take them for nobody's.
pub(super) fn lies_alone(dir: &Path) -> Result<(), StoreError> {
    match first_of_others(dir).map_err(prepare(dir))? {
        Some(found) => Err(StoreError::Lost {
            dir: dir.to_owned(),
            found,
        }),
        None => Ok(()),
    }
}

/// Checks a directory as [`claim`] does, without a change. Returns whether a store is there already.
pub(super) fn examine(dir: &Path) -> Result<bool, StoreError> {
    if !dir.is_dir() {
        // It would be made.
        private::may_add_to(dir).map_err(prepare(dir))?;
        return Ok(false);
    }
    let is_there = !begins(dir)?;
    private::may_tighten(dir).map_err(|source| StoreError::Open {
        dir: dir.to_owned(),
        source,
    })?;
    private::may_add_to(dir).map_err(prepare(dir))?;
    // The lock goes through no link.
    for (name, mut options) in [
        (Store::DATABASE_FILE, fs::File::options()),
        (Store::LOCK_FILE, private::options()),
    ] {
        let path = dir.join(name);
        match options.read(true).write(true).open(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(prepare(&path)(error));
            }
            _ => {}
        }
    }
    Ok(is_there)
}

/// Anything in a folder but what a data directory begins with: the database, not filled yet, the lock, and folders without a file.
fn first_of_others(dir: &Path) -> io::Result<Option<String>> {
    let has_database = dir.join(Store::DATABASE_FILE).exists();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_database = name
            .as_encoded_bytes()
            .starts_with(Store::DATABASE_FILE.as_bytes());
        let begins = [LOST_AND_FOUND, Store::TEMPORARY_MARK]
            .iter()
            .any(|known| name == *known)
            || (has_database
                && (is_database || name == Store::LOCK_FILE || holds_no_file(&entry)?));
        if !begins {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// Whether it is a folder with nothing but such folders in it: a power cut may keep those of a new store, and not its rows.
fn holds_no_file(entry: &fs::DirEntry) -> io::Result<bool> {
    if !entry.file_type()?.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(entry.path())? {
        if !holds_no_file(&entry?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Keeps other users out, and says so where they could come in.
fn close(dir: &Path) -> Result<(), StoreError> {
    match private::tighten(dir) {
        Ok(None) => Ok(()),
        Ok(Some(mode)) => {
            tracing::warn!(
                path = %dir.display(),
                "the data directory was open to other users (mode {mode:04o}); it is its owner's alone now"
            );
            Ok(())
        }
        Err(source) => Err(StoreError::Open {
            dir: dir.to_owned(),
            source,
        }),
    }
}

/// Says so where the store is another user's, as for root it may be: what is made in it now is not that user's.
fn tell_owner(database: &Path) {
    if private::is_own(database).is_ok_and(|is_own| !is_own) {
        tracing::warn!(
            path = %database.display(),
            hint = "run the server as the owner, or `chown -R` the folder afterwards",
            "the data directory belongs to another user, whose own server cannot use the files that this one makes there"
        );
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use common::hinted::Hinted as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// Every path below a folder with its content.
    fn all(dir: &Path) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(all(&path));
            } else {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_folder_of_somebody_elses_is_refused_and_stays_as_it_is() {
        for name in [
            "tmp/notes.md",
            "lock",
            "blobs/0a/000000000000000a",
            "sandboxes/x/y",
            "sandtable.db-wal",
            ".git",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "mine").unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            let before = all(folder.path());
            let error = Store::open(folder.path()).unwrap_err();
            assert!(
                matches!(error, StoreError::Foreign { .. }),
                "{name}: {error}"
            );
            assert!(error.hint().is_some(), "{error}");
            assert_eq!(all(folder.path()), before, "{name}");
            assert_eq!(mode(folder.path()), 0o755);
        }
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_told_with_its_path_and_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain");
        fs::write(&path, "mine").unwrap();
        for error in [
            Store::open(&path).unwrap_err(),
            Store::examine(&path).unwrap_err(),
        ] {
            assert!(
                error.to_string().contains(path.to_str().unwrap()),
                "{error}"
            );
            assert!(error.hint().unwrap().contains("--data-dir"), "{error}");
        }
    }

    #[test]
    fn a_database_of_somebody_elses_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Store::DATABASE_FILE);
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE mine (a)").unwrap();
        drop(connection);
        fs::create_dir(folder.path().join("blobs")).unwrap();
        let before = all(folder.path());
        let error = Store::open(folder.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::ForeignDatabase { .. }),
            "{error}"
        );
        let mut after = all(folder.path());
        after.retain(|(path, _)| !path.ends_with("/lock"));
        assert_eq!(after, before);

        fs::write(
            &path,
            "a text of mine that is no database, and long enough to be read as one",
        )
        .unwrap();
        assert!(Store::open(folder.path()).is_err());
        assert!(fs::read(&path).unwrap().starts_with(b"a text of mine"));
    }

    #[test]
    fn an_empty_database_does_not_make_orphans_of_the_blobs() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        let blob = folder.path().join("blobs/0a/000000000000000a");
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, "bytes").unwrap();
        for end in ["", "-wal", "-shm"] {
            fs::remove_file(folder.path().join(format!("sandtable.db{end}"))).ok();
        }
        fs::write(folder.path().join(Store::DATABASE_FILE), "").unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Lost { .. }), "{error}");
        assert_eq!(fs::read(&blob).unwrap(), b"bytes");
    }

    #[test]
    fn a_database_that_lost_its_wal_does_not_make_orphans_of_what_lies_beside_it() {
        for beside in ["blobs/0a/000000000000000a", "sandboxes/container_1/notes"] {
            let folder = tempfile::tempdir().unwrap();
            let database = folder.path().join(Store::DATABASE_FILE);
            // As a server leaves it that is killed before the first checkpoint.
            let killed = rusqlite::Connection::open(&database).unwrap();
            killed
                .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
                .unwrap();
            drop(killed);
            assert!(fs::metadata(&database).unwrap().len() > 0);
            fs::create_dir_all(folder.path().join("blobs/0b")).unwrap();
            Store::examine(folder.path()).unwrap();
            let path = folder.path().join(beside);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "bytes").unwrap();
            for error in [
                Store::open(folder.path()).unwrap_err(),
                Store::examine(folder.path()).unwrap_err(),
            ] {
                assert!(matches!(error, StoreError::Lost { .. }), "{error}");
                assert!(error.hint().unwrap().contains("sandtable.db-wal"));
            }
            assert_eq!(fs::read(&path).unwrap(), b"bytes");
            fs::remove_file(&path).unwrap();
            Store::open(folder.path()).unwrap();
        }
    }

    #[test]
    fn a_lock_of_somebody_elses_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        let lock = folder.path().join(Store::LOCK_FILE);
        fs::write(&lock, "a note about locks\n").unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::ForeignLock { .. }), "{error}");
        assert_eq!(fs::read(&lock).unwrap(), b"a note about locks\n");
    }

    #[tokio::test]
    async fn everything_in_a_data_directory_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("deep/data");
        let store = Store::open(&dir).unwrap();
        let mut blob = store.begin_blob().await.unwrap();
        blob.write(b"bytes").await.unwrap();
        let _whole = blob.finish().await.unwrap();
        let mut pending = vec![folder.path().join("deep")];
        let mut seen = Vec::new();
        while let Some(path) = pending.pop() {
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), wanted, "{}", path.display());
            if path.is_dir() {
                pending.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            } else {
                seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
        seen.sort();
        assert_eq!(
            seen,
            [
                "0",
                "lock",
                "sandtable.db",
                "sandtable.db-shm",
                "sandtable.db-wal"
            ]
        );
    }

    #[test]
    fn a_directory_of_an_earlier_version_opens_and_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        fs::create_dir(folder.path().join("tmp")).unwrap();
        fs::write(folder.path().join("tmp/0"), "half").unwrap();
        fs::write(folder.path().join("lock"), "4711\n").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["sandtable.db", "lock"] {
            let path = folder.path().join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        drop(Store::open(folder.path()).unwrap());
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.path().join("sandtable.db")), 0o600);
        assert_eq!(mode(&folder.path().join("lock")), 0o600);
        // It bears no mark of ours.
        assert_eq!(fs::read(folder.path().join("tmp/0")).unwrap(), b"half");
    }
}
