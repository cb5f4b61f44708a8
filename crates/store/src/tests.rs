//! The store with a real database in a temporary directory.

mod crash;
mod lists;

use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::*;

const WORKSPACE: &str = "wrkspc_a";
const OTHER: &str = "wrkspc_b";

/// A fixed time, plus seconds.
fn at(seconds: i64) -> DateTime<Utc> {
    from_micros(1_790_000_000_123_456) + TimeDelta::seconds(seconds)
}

/// A store with two workspaces.
async fn open(dir: &Path) -> Store {
    open_with(dir, Options::default()).await
}

async fn open_with(dir: &Path, options: Options) -> Store {
    let store = Store::open_with(dir, options).unwrap();
    for (n, id) in [(1, WORKSPACE), (2, OTHER)] {
        store
            .workspace_for_key(&[n; 32], new_workspace(id))
            .await
            .unwrap();
    }
    store
}

const FROZEN: common::clock::State = common::clock::State {
    offset: TimeDelta::zero(),
    frozen_at: Some(DateTime::UNIX_EPOCH),
};

fn new_workspace(id: &str) -> NewWorkspace {
    NewWorkspace {
        id: id.into(),
        name: id.to_owned(),
        created_at: at(0),
        clock: common::clock::State::default(),
    }
}

fn new_file(workspace: &str, id: &str, seconds: i64) -> NewFile {
    NewFile {
        id: id.into(),
        workspace: workspace.to_owned(),
        filename: "a.csv".to_owned(),
        mime_type: "text/csv".to_owned(),
        downloadable: false,
        created_at: at(seconds),
        expires_at: None,
        container_id: None,
    }
}

async fn blob(store: &Store, content: &[u8]) -> TempBlob {
    let mut writer = store.begin_blob().await.unwrap();
    writer.write(content).await.unwrap();
    writer.finish().await.unwrap()
}

async fn add(store: &Store, workspace: &str, id: &str, seconds: i64) -> FileRow {
    let blob = blob(store, id.as_bytes()).await;
    let file = new_file(workspace, id, seconds);
    store.insert_file(file, blob).await.unwrap()
}

async fn read(store: &Store, file: &FileRow) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut open = store.open_blob(file).await.unwrap();
    open.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Every file below `dir/sandtable-tmp` and `dir/blobs`.
fn on_disk(dir: &Path) -> (usize, usize) {
    fn count(dir: &Path) -> usize {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| if path.is_dir() { count(&path) } else { 1 })
            .sum()
    }
    (count(&dir.join("sandtable-tmp")), count(&dir.join("blobs")))
}

#[tokio::test]
async fn a_file_is_found_read_counted_and_deleted() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let added = add(&store, WORKSPACE, "file_1", 0).await;
    assert_eq!(added.size_bytes, 6);
    let found = store.file(WORKSPACE, &"file_1".into()).await.unwrap();
    assert_eq!(found.as_ref(), Some(&added));
    assert_eq!(read(&store, &added).await, b"file_1");
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 6);
    assert_eq!(on_disk(dir.path()), (0, 1));

    assert!(
        store
            .delete_file(WORKSPACE, &"file_1".into())
            .await
            .unwrap()
    );
    assert!(
        !store
            .delete_file(WORKSPACE, &"file_1".into())
            .await
            .unwrap()
    );
    assert_eq!(store.file(WORKSPACE, &"file_1".into()).await.unwrap(), None);
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 0);
    assert_eq!(on_disk(dir.path()), (0, 0));
    assert!(matches!(
        store.open_blob(&added).await,
        Err(StoreError::BlobGone { .. })
    ));
}

#[tokio::test]
async fn another_workspace_sees_nothing_and_may_use_the_same_ids() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    add(&store, WORKSPACE, "file_1", 0).await;
    assert_eq!(store.file(OTHER, &"file_1".into()).await.unwrap(), None);
    assert!(!store.delete_file(OTHER, &"file_1".into()).await.unwrap());
    let theirs = add(&store, OTHER, "file_1", 0).await;
    assert!(
        store
            .delete_file(WORKSPACE, &"file_1".into())
            .await
            .unwrap()
    );
    assert_eq!(read(&store, &theirs).await, b"file_1");
    assert_eq!(store.used_bytes(OTHER, at(0)).await.unwrap(), 6);
}

#[tokio::test]
async fn an_id_is_never_given_twice_and_the_blob_can_be_offered_again() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    add(&store, WORKSPACE, "file_1", 0).await;
    add(&store, WORKSPACE, "file_2", 0).await;
    store
        .delete_file(WORKSPACE, &"file_2".into())
        .await
        .unwrap();
    let blob = blob(&store, b"x").await;
    for taken in ["file_1", "file_2"] {
        let file = new_file(WORKSPACE, taken, 0);
        let refused = store.insert_file(file, blob.clone()).await;
        assert!(matches!(refused, Err(StoreError::IdTaken { id }) if id == taken));
    }
    let file = new_file(WORKSPACE, "file_3", 0);
    let row = store.insert_file(file, blob).await.unwrap();
    assert_eq!(read(&store, &row).await, b"x");
}

#[tokio::test]
async fn the_quota_is_reached_exactly_and_not_passed() {
    let dir = TempDir::new().unwrap();
    let options = Options {
        quota_bytes: 10,
        ..Options::default()
    };
    let store = open_with(dir.path(), options).await;
    let insert = async |id: &str, bytes: usize| {
        let blob = blob(&store, &vec![0; bytes]).await;
        store.insert_file(new_file(WORKSPACE, id, 0), blob).await
    };
    insert("file_1", 9).await.unwrap();
    assert!(matches!(
        insert("file_2", 2).await,
        Err(StoreError::QuotaExceeded {
            size_bytes: 2,
            used_bytes: 9,
            quota_bytes: 10
        })
    ));
    insert("file_3", 1).await.unwrap();
    insert("file_4", 0).await.unwrap();
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 10);
}

#[tokio::test]
async fn an_expired_file_takes_no_room_although_its_metadata_stay() {
    let dir = TempDir::new().unwrap();
    let options = Options {
        quota_bytes: 10,
        ..Options::default()
    };
    let store = open_with(dir.path(), options).await;
    let insert = async |id: &str, seconds: i64| {
        let file = NewFile {
            expires_at: Some(at(3600)),
            ..new_file(WORKSPACE, id, seconds)
        };
        let blob = blob(&store, &[0; 10]).await;
        store.insert_file(file, blob).await
    };
    insert("file_1", 0).await.unwrap();
    let early = insert("file_2", 3599).await;
    assert!(matches!(early, Err(StoreError::QuotaExceeded { .. })));
    for (seconds, used) in [(3599, 10), (3600, 0)] {
        let counted = store.used_bytes(WORKSPACE, at(seconds)).await.unwrap();
        assert_eq!(counted, used, "{seconds}");
    }
    insert("file_2", 3600).await.unwrap();
    let id = "file_1".into();
    assert!(store.file(WORKSPACE, &id).await.unwrap().is_some());
    store.delete_file(WORKSPACE, &id).await.unwrap();
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 10);
}

#[tokio::test]
async fn a_blob_in_many_pieces_is_whole_and_an_abandoned_one_is_gone() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let mut writer = store.begin_blob().await.unwrap();
    for piece in content.chunks(1013) {
        writer.write(piece).await.unwrap();
    }
    assert_eq!(writer.size_bytes(), 3_000_000);
    let blob = writer.finish().await.unwrap();
    let file = new_file(WORKSPACE, "file_1", 0);
    let row = store.insert_file(file, blob).await.unwrap();
    assert!(read(&store, &row).await == content);

    let mut abandoned = store.begin_blob().await.unwrap();
    for _ in 0..10 {
        abandoned.write(&vec![1; 300_000]).await.unwrap();
    }
    assert_eq!(on_disk(dir.path()).0, 1);
    abandoned.discard().await;
    assert_eq!(on_disk(dir.path()), (0, 1));
}

#[test]
fn a_blob_dropped_outside_the_runtime_is_removed_at_once() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let (store, whole) = runtime.block_on(async {
        let store = open(dir.path()).await;
        let whole = blob(&store, b"x").await;
        (store, whole)
    });
    assert_eq!(on_disk(dir.path()), (1, 0));
    drop(whole);
    assert_eq!(on_disk(dir.path()), (0, 0));
    drop(store);
}

#[tokio::test]
async fn keys_lead_to_their_workspaces_and_names_are_shared() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    // A known key keeps its workspace, whatever is offered.
    let row = store
        .workspace_for_key(&[1; 32], new_workspace("wrkspc_new"))
        .await
        .unwrap();
    assert_eq!((row.id.as_str(), row.created_at), (WORKSPACE, at(0)));
    // A new key joins by name.
    let joining = NewWorkspace {
        name: OTHER.to_owned(),
        ..new_workspace("wrkspc_new")
    };
    let row = store.workspace_for_key(&[3; 32], joining).await.unwrap();
    assert_eq!(row.id, OTHER);
    // What it begins with is kept.
    let frozen = NewWorkspace {
        clock: FROZEN,
        ..new_workspace("wrkspc_frozen")
    };
    for new in [frozen, new_workspace("wrkspc_new")] {
        let row = store.workspace_for_key(&[4; 32], new).await.unwrap();
        assert_eq!((row.id.as_str(), row.clock), ("wrkspc_frozen", FROZEN));
    }
    let ids: Vec<String> = store
        .workspaces()
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.id)
        .collect();
    assert_eq!(ids, [WORKSPACE, OTHER, "wrkspc_frozen"]);
}

#[tokio::test]
async fn a_workspace_of_a_state_is_made_whole_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let options = Options {
        quota_bytes: 6,
        ..Options::default()
    };
    let store = open_with(dir.path(), options).await;
    let contents = |content: &'static [u8]| Contents {
        files: vec![KeptFile {
            file: new_file("wrkspc_new", "a", 0),
            content: content.into(),
        }],
        ..Contents::default()
    };
    let make = |key, content| {
        let (store, new) = (store.clone(), new_workspace("wrkspc_new"));
        async move {
            store
                .make_workspace(&[key; 32], new, contents(content))
                .await
        }
    };
    let refused = make(3, b"1234567").await;
    assert!(
        matches!(refused, Err(StoreError::QuotaExceeded { .. })),
        "{refused:?}"
    );
    assert_eq!(store.known_workspace(&[3; 32]).await.unwrap(), None);
    assert_eq!(store.workspaces().await.unwrap().len(), 2);
    assert_eq!(make(1, b"1").await.unwrap(), None, "the key has one");
    let made = make(3, b"123456").await.unwrap();
    assert_eq!(made.unwrap().id, "wrkspc_new");
    assert_eq!(store.all_files("wrkspc_new").await.unwrap().len(), 1);
    assert_eq!(make(3, b"1").await.unwrap(), None);
}

#[tokio::test]
async fn many_first_requests_of_one_key_make_one_workspace() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let found = futures_util::future::join_all((0..20).map(|n| {
        let store = store.clone();
        async move {
            let new = new_workspace(&format!("wrkspc_{n}"));
            store.workspace_for_key(&[9; 32], new).await.unwrap().id
        }
    }))
    .await;
    assert!(found.iter().all(|id| *id == found[0]), "{found:?}");
    assert_eq!(store.workspaces().await.unwrap().len(), 3);
}

#[tokio::test]
async fn workspaces_are_capped_and_known_keys_still_pass() {
    let dir = TempDir::new().unwrap();
    let options = Options {
        max_workspaces: 2,
        ..Options::default()
    };
    let store = open_with(dir.path(), options).await;
    let third = store
        .workspace_for_key(&[3; 32], new_workspace("wrkspc_c"))
        .await;
    assert!(matches!(
        third,
        Err(StoreError::WorkspacesFull { limit: 2 })
    ));
    store
        .workspace_for_key(&[2; 32], new_workspace("wrkspc_c"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unknown_workspace_can_hold_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let blob = blob(&store, b"x").await;
    let refused = store
        .insert_file(new_file("wrkspc_no", "file_1", 0), blob)
        .await;
    assert!(matches!(refused, Err(StoreError::UnknownWorkspace { .. })));
    let refused = store
        .save_clocks(
            [WORKSPACE, "wrkspc_no"]
                .map(|id| (id.to_owned(), FROZEN))
                .into(),
        )
        .await;
    assert!(matches!(refused, Err(StoreError::UnknownWorkspace { .. })));
    // All or none.
    let rows = store.workspaces().await.unwrap();
    assert!(rows.iter().all(|row| row.clock != FROZEN), "{rows:?}");
    assert_eq!(store.used_bytes("wrkspc_no", at(0)).await.unwrap(), 0);
}

fn container(id: &str) -> ContainerRow {
    ContainerRow {
        id: id.into(),
        workspace: WORKSPACE.to_owned(),
        created_at: at(0),
        expires_at: at(3600),
        last_used_at: at(0),
        state: ContainerState::Awake,
        input_dir: "0123456789abcdef".to_owned(),
        sandbox: id.to_owned(),
        started: false,
        tree_waits: false,
    }
}

#[tokio::test]
async fn a_container_is_kept_used_and_removed() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let mut row = container("container_1");
    store.insert_container(row.clone()).await.unwrap();
    assert!(matches!(
        store.insert_container(row.clone()).await,
        Err(StoreError::IdTaken { .. })
    ));
    assert_eq!(store.container(OTHER, &row.id).await.unwrap(), None);

    (row.last_used_at, row.expires_at) = (at(60), at(3660));
    (row.state, row.started) = (ContainerState::Asleep, false);
    let touched = store.touch_container(WORKSPACE, &row.id, row.last_used_at, row.expires_at);
    assert!(touched.await.unwrap());
    let set = store.set_container_state(WORKSPACE, &row.id, row.state);
    assert!(set.await.unwrap());
    let found = store.container(WORKSPACE, &row.id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&row));
    assert_eq!(store.containers(WORKSPACE).await.unwrap(), [row.clone()]);
    assert!(store.containers(OTHER).await.unwrap().is_empty());

    let mount = |name: &str| MountedFile {
        file_id: "file_1".into(),
        filename: name.to_owned(),
        in_place: name == "b.csv",
    };
    for name in ["a.csv", "b.csv"] {
        let mounted = store.mount_file(WORKSPACE, &row.id, mount(name));
        mounted.await.unwrap();
    }
    let mounted = store.mounted_files(WORKSPACE, &row.id).await.unwrap();
    assert_eq!(mounted, [mount("b.csv")]);

    let newer = MountedFile {
        file_id: "file_0".into(),
        in_place: false,
        ..mount("b.csv")
    };
    let mounted = store.mount_file(WORKSPACE, &row.id, newer.clone());
    mounted.await.unwrap();
    for id in ["file_1", "file_0"] {
        let id = id.into();
        let placed = store.file_is_in_place(WORKSPACE, &row.id, &id);
        placed.await.unwrap();
    }
    let mounted = store.mounted_files(WORKSPACE, &row.id).await.unwrap();
    assert_eq!(
        mounted,
        [MountedFile {
            in_place: true,
            ..newer
        }]
    );

    let expire = store.set_container_state(WORKSPACE, &row.id, ContainerState::Expired);
    assert!(expire.await.unwrap());
    let wake = store.set_container_state(WORKSPACE, &row.id, ContainerState::Awake);
    assert!(!wake.await.unwrap(), "an expired container was woken");
}

#[tokio::test]
async fn a_reset_clears_one_workspace_and_lets_its_ids_come_again() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let first = add(&store, WORKSPACE, "file_1", 0).await;
    add(&store, OTHER, "file_1", 0).await;
    store
        .insert_container(container("container_2"))
        .await
        .unwrap();
    store
        .insert_container(container("container_1"))
        .await
        .unwrap();
    let cleared = store.restore_workspace(WORKSPACE, Contents::default());
    let cleared = cleared.await.unwrap();
    assert_eq!(cleared.containers, ["container_1", "container_2"]);
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 0);
    assert_eq!(on_disk(dir.path()), (0, 1));
    assert!(store.file(OTHER, &"file_1".into()).await.unwrap().is_some());
    let again = add(&store, WORKSPACE, "file_1", 0).await;
    assert_eq!(again.position(), first.position());
}

#[tokio::test]
async fn a_state_that_cannot_be_restored_changes_nothing_and_leaves_no_bytes() {
    let dir = TempDir::new().unwrap();
    let options = Options {
        quota_bytes: 6,
        ..Options::default()
    };
    let store = open_with(dir.path(), options).await;
    let before = add(&store, WORKSPACE, "file_1", 0).await;
    store
        .insert_container(container("container_1"))
        .await
        .unwrap();
    let kept = |id: &str, content: &'static [u8]| KeptFile {
        file: new_file(WORKSPACE, id, 0),
        content: content.into(),
    };
    for files in [
        vec![kept("a", b"1"), kept("a", b"2")],
        vec![kept("a", b"1"), kept("b", b"234567")],
    ] {
        let contents = Contents {
            files,
            ..Contents::default()
        };
        let refused = store.restore_workspace(WORKSPACE, contents).await;
        assert!(
            matches!(
                refused,
                Err(StoreError::IdTaken { .. } | StoreError::QuotaExceeded { .. })
            ),
            "{refused:?}"
        );
        let files = store.all_files(WORKSPACE).await.unwrap();
        assert_eq!(files, std::slice::from_ref(&before));
        assert_eq!(store.containers(WORKSPACE).await.unwrap().len(), 1);
        assert_eq!(on_disk(dir.path()), (0, 1));
    }
    let contents = Contents {
        files: vec![kept("file_1", b"123456")],
        ..Contents::default()
    };
    let cleared = store.restore_workspace(WORKSPACE, contents).await.unwrap();
    assert_eq!(cleared.containers, ["container_1"]);
    let row = store
        .file(WORKSPACE, &"file_1".into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read(&store, &row).await, b"123456");
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 6);
    assert_eq!(on_disk(dir.path()), (0, 1));
}

#[tokio::test]
async fn uploads_and_deletions_at_once_leave_what_was_not_deleted() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let id = format!("file_{n}");
                let row = add(&store, WORKSPACE, &id, 0).await;
                assert_eq!(read(&store, &row).await, id.as_bytes());
                if n % 2 == 0 {
                    assert!(store.delete_file(WORKSPACE, &id.into()).await.unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let select = Select::Page {
        limit: 100,
        from: Start::Newest,
    };
    let query = FileQuery { select, now: at(0) };
    let page = store.files(WORKSPACE, query).await.unwrap();
    assert_eq!(page.rows.len(), 25);
    let bytes: u64 = page.rows.iter().map(|row| row.size_bytes).sum();
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), bytes);
    assert_eq!(on_disk(dir.path()), (0, 25));
}

#[tokio::test]
async fn a_batch_that_goes_while_it_is_received_takes_no_more_items() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let batch = store.begin_batch(NewBatch {
        id: "msgbatch_1".to_owned(),
        workspace: WORKSPACE.to_owned(),
        version: String::new(),
        betas: String::new(),
        quirks: String::new(),
        created_at: at(0),
    });
    let batch = batch.await.unwrap();
    let items = |position| {
        vec![NewItem {
            position,
            custom_id: position.to_string(),
            params: b"{}".to_vec(),
        }]
    };
    assert!(store.add_batch_items(batch, items(0)).await.unwrap());
    let contents = Contents::default();
    store.restore_workspace(WORKSPACE, contents).await.unwrap();
    assert!(!store.add_batch_items(batch, items(1)).await.unwrap());
    assert_eq!(store.start_batch(batch).await.unwrap(), None);
}
