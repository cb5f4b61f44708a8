//! Lists of files: their order and their cursors.

use proptest::prelude::*;

use super::*;

async fn list(store: &Store, select: Select, now: DateTime<Utc>) -> (Vec<String>, bool) {
    let page = store
        .files(WORKSPACE, FileQuery { select, now })
        .await
        .unwrap();
    let ids = page
        .rows
        .into_iter()
        .map(|row| row.id.into_string())
        .collect();
    (ids, page.has_more)
}

fn page(limit: usize, from: Start) -> Select {
    Select::Page { limit, from }
}

#[tokio::test]
async fn the_newest_come_first_and_equal_times_keep_their_order() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    for (id, seconds) in [("file_b", 1), ("file_a", 1), ("file_old", 0), ("file_c", 1)] {
        add(&store, WORKSPACE, id, seconds).await;
    }
    let (ids, has_more) = list(&store, page(10, Start::Newest), at(2)).await;
    assert_eq!(ids, ["file_c", "file_a", "file_b", "file_old"]);
    assert!(!has_more);
    let some = ["file_old", "file_none", "file_c"].map(Into::into);
    let (ids, _) = list(&store, Select::Ids(some.to_vec()), at(2)).await;
    assert_eq!(ids, ["file_c", "file_old"]);
}

#[tokio::test]
async fn a_cursor_stays_good_when_its_file_is_deleted_and_new_ones_come() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    for n in 0..6 {
        add(&store, WORKSPACE, &format!("file_{n}"), 0).await;
    }
    let cursor = store
        .file(WORKSPACE, &"file_4".into())
        .await
        .unwrap()
        .unwrap();
    store
        .delete_file(WORKSPACE, &"file_4".into())
        .await
        .unwrap();
    add(&store, WORKSPACE, "file_6", 0).await;
    for from in [
        Start::Position(cursor.position()),
        Start::AfterId("file_4".into()),
    ] {
        let (ids, has_more) = list(&store, page(2, from), at(0)).await;
        assert_eq!(
            (ids, has_more),
            (vec!["file_3".into(), "file_2".into()], true)
        );
    }
    let from = Start::BeforeId("file_4".into());
    let (ids, has_more) = list(&store, page(1, from), at(0)).await;
    assert_eq!((ids, has_more), (vec!["file_5".into()], true));
}

#[tokio::test]
async fn a_cursor_of_another_workspace_is_an_unknown_one() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    add(&store, OTHER, "file_1", 0).await;
    store.delete_file(OTHER, &"file_1".into()).await.unwrap();
    add(&store, OTHER, "file_2", 0).await;
    for id in ["file_1", "file_2", "file_none"] {
        let query = FileQuery {
            select: page(1, Start::AfterId(id.into())),
            now: at(0),
        };
        let refused = store.files(WORKSPACE, query).await;
        assert!(
            matches!(refused, Err(StoreError::UnknownCursor { .. })),
            "{id}"
        );
    }
}

#[tokio::test]
async fn an_expired_file_is_listed_for_thirty_days_and_then_swept() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let mut new = new_file(WORKSPACE, "file_1", 0);
    new.expires_at = Some(at(3600));
    let blob = blob(&store, b"x").await;
    let row = store.insert_file(new, blob).await.unwrap();
    assert!(!row.is_expired(at(3599)) && row.is_expired(at(3600)));
    let gone = at(3600) + TimeDelta::days(30);
    let last = gone - TimeDelta::microseconds(1);
    for (now, expected) in [(at(3600), 1), (last, 1), (gone, 0)] {
        assert_eq!(row.is_gone(now), expected == 0);
        let (ids, _) = list(&store, page(10, Start::Newest), now).await;
        assert_eq!(ids.len(), expected);
        let (ids, _) = list(&store, Select::Ids(vec!["file_1".into()]), now).await;
        assert_eq!(ids.len(), expected);
    }
    store.sweep_files(WORKSPACE, last).await.unwrap();
    assert_eq!(on_disk(dir.path()), (0, 1));
    store.sweep_files(WORKSPACE, gone).await.unwrap();
    assert_eq!(on_disk(dir.path()), (0, 0));
    assert_eq!(store.used_bytes(WORKSPACE, at(0)).await.unwrap(), 0);
}

#[tokio::test]
async fn ten_thousand_deleted_cursors_are_remembered_and_no_more() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    store
        .write(|db| {
            let mut insert = db
                .prepare(
                    "INSERT INTO files (workspace, id, ordinal, filename, mime_type, size_bytes,
                                        downloadable, created_at_us)
                     VALUES ('wrkspc_a', ?1, ?2, 'a', 'b', 0, 0, 0)",
                )
                .unwrap();
            for n in 0..10_001 {
                insert
                    .execute(rusqlite::params![format!("file_{n}"), n])
                    .unwrap();
            }
            db.execute("DELETE FROM files", []).unwrap();
            Ok(())
        })
        .await
        .unwrap();
    let after = |id: &str| FileQuery {
        select: page(1, Start::AfterId(id.into())),
        now: at(0),
    };
    let forgotten = store.files(WORKSPACE, after("file_0")).await;
    assert!(matches!(forgotten, Err(StoreError::UnknownCursor { .. })));
    store.files(WORKSPACE, after("file_1")).await.unwrap();
}

/// Walks the whole list in pages of `limit`, each starting where `next` says.
async fn walk(store: &Store, limit: usize, next: impl Fn(&FileRow) -> Start) -> Vec<String> {
    let (mut ids, mut from) = (Vec::new(), Start::Newest);
    loop {
        let query = FileQuery {
            select: page(limit, from),
            now: at(0),
        };
        let page = store.files(WORKSPACE, query).await.unwrap();
        assert!(page.rows.len() <= limit);
        let last = page.rows.last().cloned();
        ids.extend(page.rows.into_iter().map(|row| row.id.into_string()));
        match last.filter(|_| page.has_more) {
            Some(last) => from = next(&last),
            None => return ids,
        }
    }
}

/// The same from the oldest file to the newest.
async fn walk_back(store: &Store, limit: usize, oldest: &str) -> Vec<String> {
    let (mut ids, mut from) = (vec![oldest.to_owned()], oldest.to_owned());
    loop {
        let (mut page, has_more) =
            list(store, page(limit, Start::BeforeId(from.into())), at(0)).await;
        let first = page.first().cloned();
        page.append(&mut ids);
        ids = page;
        match first.filter(|_| has_more) {
            Some(first) => from = first,
            None => return ids,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_of_any_size_are_the_whole_list(
        times in prop::collection::vec(0_i64..4, 1..30),
        limit in 1_usize..12,
    ) {
        let dir = TempDir::new().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = open(dir.path()).await;
            for (n, seconds) in times.iter().enumerate() {
                add(&store, WORKSPACE, &format!("file_{n}"), *seconds).await;
                add(&store, OTHER, &format!("file_other{n}"), *seconds).await;
            }
            let mut whole: Vec<(i64, usize)> =
                times.iter().enumerate().map(|(n, s)| (*s, n)).collect();
            whole.sort_unstable_by(|a, b| b.cmp(a));
            let whole: Vec<String> = whole.iter().map(|(_, n)| format!("file_{n}")).collect();
            let by_place = walk(&store, limit, |row| Start::Position(row.position())).await;
            prop_assert_eq!(&by_place, &whole);
            let by_id = walk(&store, limit, |row| Start::AfterId(row.id.clone())).await;
            prop_assert_eq!(&by_id, &whole);
            let back = walk_back(&store, limit, whole.last().unwrap()).await;
            prop_assert_eq!(&back, &whole);
            Ok(())
        })?;
    }
}
