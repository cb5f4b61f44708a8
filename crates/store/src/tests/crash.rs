//! The state of a store after a kill, and two servers on one directory.

use super::*;
use common::hinted;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let dir = TempDir::new().unwrap();
    let clock = common::clock::State {
        offset: TimeDelta::days(40) + TimeDelta::microseconds(7),
        frozen_at: Some(at(5)),
    };
    let (file, row) = {
        let store = open(dir.path()).await;
        let mut new = new_file(WORKSPACE, "file_1", 1);
        new.expires_at = Some(at(7200));
        new.container_id = Some("container_1".into());
        let blob = blob(&store, b"content").await;
        let file = store.insert_file(new, blob).await.unwrap();
        store
            .insert_container(container("container_1"))
            .await
            .unwrap();
        let clocks = vec![(WORKSPACE.to_owned(), clock)];
        store.save_clocks(clocks).await.unwrap();
        (file, container("container_1"))
    };
    let store = Store::open(dir.path()).unwrap();
    let found = store.file(WORKSPACE, &"file_1".into()).await.unwrap();
    assert_eq!(found.as_ref(), Some(&file));
    assert_eq!(read(&store, &file).await, b"content");
    let found = store.container(WORKSPACE, "container_1").await.unwrap();
    assert_eq!(found, Some(row));
    let known = store
        .workspace_for_key(&[1; 32], new_workspace("wrkspc_new"))
        .await
        .unwrap();
    assert_eq!((known.id.as_str(), known.clock), (WORKSPACE, clock));
}

/// The directory as a kill leaves it: copied while the store is open.
fn killed(dir: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let copied = TempDir::new().unwrap();
    copy(dir, copied.path());
    copied
}

#[tokio::test]
async fn after_a_kill_acknowledged_files_stay_and_half_ones_go() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let kept = add(&store, WORKSPACE, "file_1", 0).await;
    // An upload in the middle, one that is whole and has no row, and a stray file of someone else's.
    let mut half = store.begin_blob().await.unwrap();
    for _ in 0..2 {
        half.write(&vec![0; 600_000]).await.unwrap();
    }
    let whole = blob(&store, b"whole").await;
    let dir = killed(dir.path());
    let orphan = dir.path().join("blobs/ff/00000000000000ff");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"no row").unwrap();
    let stray = dir.path().join("blobs/ff/README");
    fs::write(&stray, b"not ours").unwrap();

    let store = Store::open(dir.path()).unwrap();
    assert_eq!(read(&store, &kept).await, b"file_1");
    assert!(!orphan.exists());
    assert!(stray.exists());
    assert_eq!(on_disk(dir.path()), (0, 2));
    drop((half, whole));
}

#[tokio::test]
async fn files_that_have_lost_their_bytes_stay_and_so_does_what_may_be_theirs() {
    let dir = TempDir::new().unwrap();
    {
        let store = open(dir.path()).await;
        add(&store, WORKSPACE, "file_1", 0).await;
        add(&store, WORKSPACE, "file_22", 0).await;
    }
    let bytes = dir.path().join("blobs/01/0000000000000001");
    let aside = dir.path().join("blobs/ff/00000000000000ff");
    fs::create_dir_all(aside.parent().unwrap()).unwrap();
    fs::rename(&bytes, &aside).unwrap();
    {
        let store = Store::open(dir.path()).unwrap();
        let row = store.file(WORKSPACE, &"file_1".into()).await.unwrap();
        let error = store.open_blob(&row.unwrap()).await.unwrap_err();
        assert!(matches!(error, StoreError::BlobLost { .. }), "{error}");
        assert!(error.public().unwrap().0.contains("`file_1`"));
    }
    fs::rename(&aside, &bytes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    for id in ["file_1", "file_22"] {
        let row = store.file(WORKSPACE, &id.into()).await.unwrap().unwrap();
        assert_eq!(read(&store, &row).await, id.as_bytes());
    }
    fs::remove_file(&bytes).unwrap();
    assert!(
        store
            .delete_file(WORKSPACE, &"file_1".into())
            .await
            .unwrap()
    );
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 7);
}

#[tokio::test]
async fn a_store_whose_bytes_are_away_is_refused_until_they_are_back() {
    use common::hinted::Hinted as _;

    let dir = TempDir::new().unwrap();
    let (blobs, away) = (dir.path().join("blobs"), dir.path().join("away"));
    // Without a file nothing is missed.
    drop(open(dir.path()).await);
    fs::remove_dir_all(&blobs).unwrap();
    let kept = add(&open(dir.path()).await, WORKSPACE, "file_1", 0).await;
    fs::rename(&blobs, &away).unwrap();
    let refused = |why: &str| {
        for error in [
            Store::open(dir.path()).unwrap_err(),
            Store::examine(dir.path()).unwrap_err(),
        ] {
            assert!(
                matches!(error, StoreError::Bereft { files: 1, .. }),
                "{why}: {error}"
            );
            assert!(error.hint().is_some(), "{error}");
        }
    };
    refused("none is there, and none is made");
    refused("still");
    std::os::unix::fs::symlink("not-mounted", &blobs).unwrap();
    refused("a link to nothing");
    fs::remove_file(&blobs).unwrap();
    fs::write(&blobs, "a file").unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains(blobs.to_str().unwrap()));
    assert!(error.hint().is_some(), "{error}");
    fs::remove_file(&blobs).unwrap();
    // An empty one goes on without them.
    fs::create_dir(&blobs).unwrap();
    drop(Store::open(dir.path()).unwrap());
    fs::remove_dir_all(&blobs).unwrap();
    fs::rename(&away, &blobs).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(read(&store, &kept).await, b"file_1");
}

#[tokio::test]
async fn a_folder_that_is_removed_under_the_store_is_told() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    fs::remove_dir_all(dir.path()).unwrap();
    let mut writer = store.begin_blob().await.unwrap();
    writer.write(b"bytes").await.unwrap();
    let error = writer.finish().await.unwrap_err();
    let (told, _) = error.public().unwrap();
    assert!(told.contains(dir.path().to_str().unwrap()), "{told}");
}

#[tokio::test]
async fn bytes_of_another_length_are_not_served() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let row = add(&store, WORKSPACE, "file_1", 0).await;
    fs::write(dir.path().join("blobs/01/0000000000000001"), b"xx").unwrap();
    assert!(matches!(
        store.open_blob(&row).await,
        Err(StoreError::BlobDamaged {
            found: 2,
            expected: 6,
            ..
        })
    ));
}

#[tokio::test]
async fn a_second_server_on_the_directory_is_told_who_has_it() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let error = Store::open(dir.path()).unwrap_err();
    let text = hinted::told(&error);
    assert!(matches!(error, StoreError::Locked { .. }), "{text}");
    assert!(
        text.contains(&format!(
            "process {} is using it\n  hint: ",
            std::process::id()
        )),
        "{text}"
    );
    // The refusal harmed nothing, and the directory is free once the first is gone.
    add(&store, WORKSPACE, "file_1", 0).await;
    drop(store);
    drop(Store::open(dir.path()).unwrap());
}

#[tokio::test]
async fn a_store_of_a_later_version_is_left_alone() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()).await);
    let path = dir.path().join("sandtable.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::TooNew {
            found: 99,
            known: 6
        })
    ));
}

/// Set in the process that [`a_server_killed_while_it_stores_loses_nothing_it_acknowledged`] starts.
const DIR_TO_FILL: &str = "SANDTABLE_TEST_DIR_TO_FILL";

/// The body of the killed process; as a test of its own it has nothing to do.
#[tokio::test]
async fn a_process_that_stores_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR_TO_FILL) else {
        return;
    };
    let store = open(Path::new(&dir)).await;
    for n in 0.. {
        let id = format!("file_{n}");
        let content = vec![u8::try_from(n % 251).unwrap(); 700_000];
        let blob = blob(&store, &content).await;
        let file = new_file(WORKSPACE, &id, 0);
        store.insert_file(file, blob).await.unwrap();
        println!("\nstored {n}");
        if n % 3 == 2 {
            assert!(store.delete_file(WORKSPACE, &id.into()).await.unwrap());
            println!("\ndeleted {n}");
        }
    }
}

#[tokio::test]
async fn a_server_killed_while_it_stores_loses_nothing_it_acknowledged() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    for kill_after in [1, 4, 9] {
        let dir = TempDir::new().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("tests::crash::a_process_that_stores_until_it_is_killed")
            .env(DIR_TO_FILL, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        // What it says until it is dead: it goes on in the meantime.
        while let Some(Ok(line)) = lines.next() {
            if let Some((verb @ ("stored" | "deleted"), n)) = line.split_once(' ') {
                acknowledged.push((verb.to_owned(), n.parse::<usize>().unwrap()));
            }
            if acknowledged.len() == kill_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= kill_after);

        let store = Store::open(dir.path()).unwrap();
        for (verb, n) in &acknowledged {
            let found = store
                .file(WORKSPACE, &format!("file_{n}").into())
                .await
                .unwrap();
            if verb == "deleted" {
                assert_eq!(found, None, "{n} of {acknowledged:?}");
            } else if n % 3 != 2 {
                let found = found.unwrap();
                let content = read(&store, &found).await;
                assert_eq!(content.len(), 700_000);
                assert!(content.iter().all(|byte| usize::from(*byte) == n % 251));
            }
        }
        let select = Select::Page {
            limit: 1000,
            from: Start::Newest,
        };
        let query = FileQuery { select, now: at(0) };
        let rows = store.files(WORKSPACE, query).await.unwrap().rows.len();
        assert_eq!(on_disk(dir.path()), (0, rows));
    }
}

#[tokio::test]
async fn a_damaged_page_is_told_with_the_file_by_every_read() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()).await);
    let path = dir.path().join(Store::DATABASE_FILE);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let (page, bytes): (u32, u32) = connection
        .query_row(
            "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'containers'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    drop(connection);
    let mut database = fs::read(&path).unwrap();
    let page = usize::try_from(page).unwrap();
    let bytes = usize::try_from(bytes).unwrap();
    database[(page - 1) * bytes..page * bytes].fill(0xff);
    fs::write(&path, database).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let looked_up = store.container(WORKSPACE, "container_1").await;
    let listed = store.containers(WORKSPACE).await;
    for error in [looked_up.unwrap_err(), listed.unwrap_err()] {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(Store::DATABASE_FILE), "{error}");
    }
}

#[test]
fn a_lock_that_cannot_be_taken_is_told_with_its_path_and_a_hint() {
    use common::hinted::Hinted as _;

    let dir = TempDir::new().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let lock = dir.path().join(Store::LOCK_FILE);
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(
        error.to_string().contains(lock.to_str().unwrap()),
        "{error}"
    );
    assert!(error.hint().is_some(), "{error}");
}
