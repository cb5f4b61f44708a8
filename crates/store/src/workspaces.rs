//! Workspaces, the keys that lead to them, and their clocks.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{Contents, Store, StoreError, from_micros, micros};
use common::clock;

/// One workspace as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// `wrkspc_…`.
    pub id: String,
    /// Unique; the id where nobody named it.
    pub name: String,
    /// To build its clock from.
    pub clock: clock::State,
    /// On its own clock.
    pub created_at: DateTime<Utc>,
}

/// A workspace to make if the key is new.
#[derive(Debug, Clone)]
pub struct NewWorkspace {
    pub id: String,
    /// If there is a workspace of this name already, the key leads to that one.
    pub name: String,
    pub created_at: DateTime<Utc>,
    /// Where its clock begins.
    pub clock: clock::State,
}

/// The work that a reset leaves to be done outside the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// The sandboxes of the containers that were there: they must go.
    pub containers: Vec<String>,
}

const COLUMNS: &str = "w.id, w.name, w.clock_offset_us, w.clock_frozen_at_us, w.created_at_us";

fn read_row(row: &Row<'_>) -> rusqlite::Result<WorkspaceRow> {
    Ok(WorkspaceRow {
        id: row.get(0)?,
        name: row.get(1)?,
        clock: clock::State {
            offset: TimeDelta::microseconds(row.get(2)?),
            frozen_at: row.get::<_, Option<i64>>(3)?.map(from_micros),
        },
        created_at: from_micros(row.get(4)?),
    })
}

fn by_key(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<WorkspaceRow>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM workspace_keys k JOIN workspaces w ON w.id = k.workspace
             WHERE k.hash = ?1"
        ))?
        .query_row([hash], read_row)
        .optional()
}

impl Store {
    /// The workspace that a key leads to; made, or joined by its name, if the key is new. Keys are
    /// known by their SHA-256 alone.
    pub async fn workspace_for_key(
        &self,
        key_hash: &[u8; 32],
        new: NewWorkspace,
    ) -> Result<WorkspaceRow, StoreError> {
        self.workspace_for_key_with(key_hash, new, || None).await
    }

    /// The same; a workspace that is made holds `contents` from its first moment on.
    pub async fn workspace_for_key_with(
        &self,
        key_hash: &[u8; 32],
        new: NewWorkspace,
        contents: impl FnOnce() -> Option<Contents> + Send,
    ) -> Result<WorkspaceRow, StoreError> {
        let sql = || StoreError::sql("find a key's workspace");
        if let Some(row) = self
            .look_up(|db| by_key(db, key_hash).map_err(sql()))
            .await?
        {
            return Ok(row);
        }
        let (hash, limit) = (*key_hash, self.0.options.max_workspaces);
        let contents = contents();
        self.write_with_blobs(move |db, blobs| {
            // Another request may have been first.
            if let Some(row) = by_key(db, &hash).map_err(sql())? {
                return Ok(row);
            }
            let by_name = db
                .query_row(
                    &format!("SELECT {COLUMNS} FROM workspaces w WHERE w.name = ?1"),
                    [&new.name],
                    read_row,
                )
                .optional()
                .map_err(sql())?;
            let row = match (by_name, contents) {
                (Some(row), _) => row,
                (None, None) => make(db, new, limit)?,
                (None, Some(contents)) => {
                    let row = made_with(make(db, new, limit)?, &contents);
                    blobs.fill(db, &row.id, contents)?;
                    row
                }
            };
            lead(db, &hash, &row.id)?;
            Ok(row)
        })
        .await
    }

    /// Makes the workspace of a key that has none, with `contents` from its first moment on: all of it or nothing. `None` where
    /// the key has one.
    pub async fn make_workspace(
        &self,
        key_hash: &[u8; 32],
        new: NewWorkspace,
        contents: Contents,
    ) -> Result<Option<WorkspaceRow>, StoreError> {
        let (hash, limit) = (*key_hash, self.0.options.max_workspaces);
        self.write_with_blobs(move |db, blobs| {
            let known = by_key(db, &hash).map_err(StoreError::sql("find a key's workspace"))?;
            if known.is_some() {
                return Ok(None);
            }
            let row = made_with(make(db, new, limit)?, &contents);
            blobs.fill(db, &row.id, contents)?;
            lead(db, &hash, &row.id)?;
            Ok(Some(row))
        })
        .await
    }

    /// The workspace of a key, if it has one.
    pub async fn known_workspace(
        &self,
        key_hash: &[u8; 32],
    ) -> Result<Option<WorkspaceRow>, StoreError> {
        let sql = || StoreError::sql("find a key's workspace");
        self.look_up(|db| by_key(db, key_hash).map_err(sql())).await
    }

    /// Every workspace, the oldest first.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        let sql = || StoreError::sql("list workspaces");
        if self.is_untouched() {
            return Ok(Vec::new());
        }
        self.scan(move |db| {
            db.prepare(&format!(
                "SELECT {COLUMNS} FROM workspaces w ORDER BY w.created_at_us, w.id"
            ))
            .map_err(sql())?
            .query_map([], read_row)
            .map_err(sql())?
            .collect::<Result<_, _>>()
            .map_err(sql())
        })
        .await
    }

    /// Keeps clocks of workspaces over a restart, all or none.
    pub async fn save_clocks(&self, clocks: Vec<(String, clock::State)>) -> Result<(), StoreError> {
        self.write(move |db| {
            clocks
                .iter()
                .try_for_each(|(workspace, state)| keep_clock(db, workspace, *state))
        })
        .await
    }
}

/// A shift of more than 290,000 years does not fit; the dates end before it.
fn offset_us(state: clock::State) -> i64 {
    state.offset.num_microseconds().unwrap_or(i64::MAX)
}

pub(super) fn keep_clock(
    db: &Transaction<'_>,
    workspace: &str,
    state: clock::State,
) -> Result<(), StoreError> {
    let changed = db
        .execute(
            "UPDATE workspaces SET clock_offset_us = ?2, clock_frozen_at_us = ?3 WHERE id = ?1",
            params![workspace, offset_us(state), state.frozen_at.map(micros)],
        )
        .map_err(StoreError::sql("keep a clock"))?;
    match changed {
        0 => Err(StoreError::UnknownWorkspace {
            id: workspace.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Removes the rows; the blobs are to be removed once that is committed.
pub(super) fn clear(
    db: &Transaction<'_>,
    workspace: &str,
) -> Result<(Vec<i64>, Cleared), StoreError> {
    let sql = || StoreError::sql("clear a workspace");
    let containers = db
        .prepare("SELECT sandbox FROM containers WHERE workspace = ?1 ORDER BY created_at_us, id")
        .and_then(|mut query| {
            query
                .query_map([workspace], |row| row.get(0))?
                .collect::<Result<_, _>>()
        })
        .map_err(sql())?;
    let blobs = db
        .prepare("SELECT blob FROM files WHERE workspace = ?1")
        .and_then(|mut query| {
            query
                .query_map([workspace], |row| row.get(0))?
                .collect::<Result<_, _>>()
        })
        .map_err(sql())?;
    for statement in [
        "DELETE FROM batches WHERE workspace = ?1",
        "DELETE FROM deleted_batches WHERE workspace = ?1",
        "DELETE FROM threads WHERE workspace = ?1",
        "DELETE FROM skills WHERE workspace = ?1",
        "DELETE FROM containers WHERE workspace = ?1",
        "DELETE FROM files WHERE workspace = ?1",
        "DELETE FROM deleted_files WHERE workspace = ?1",
        "UPDATE workspaces SET files_made = 0 WHERE id = ?1",
    ] {
        db.execute(statement, [workspace]).map_err(sql())?;
    }
    Ok((blobs, Cleared { containers }))
}

fn make(db: &Connection, new: NewWorkspace, limit: usize) -> Result<WorkspaceRow, StoreError> {
    let sql = || StoreError::sql("add a workspace");
    let count: i64 = db
        .query_row("SELECT count(*) FROM workspaces", [], |row| row.get(0))
        .map_err(sql())?;
    if usize::try_from(count).is_ok_and(|count| count >= limit) {
        return Err(StoreError::WorkspacesFull { limit });
    }
    db.execute(
        "INSERT INTO workspaces (id, name, created_at_us, clock_offset_us, clock_frozen_at_us)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            new.id,
            new.name,
            micros(new.created_at),
            offset_us(new.clock),
            new.clock.frozen_at.map(micros),
        ],
    )
    .map_err(sql())?;
    Ok(WorkspaceRow {
        id: new.id,
        name: new.name,
        clock: new.clock,
        created_at: from_micros(micros(new.created_at)),
    })
}

/// The row of a workspace that is filled with these contents, whose clock it gets.
fn made_with(row: WorkspaceRow, contents: &Contents) -> WorkspaceRow {
    let clock = contents.clock;
    WorkspaceRow { clock, ..row }
}

/// Lets a key lead to a workspace.
fn lead(db: &Connection, hash: &[u8; 32], workspace: &str) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO workspace_keys (hash, workspace) VALUES (?1, ?2)",
        params![hash, workspace],
    )
    .map(|_| ())
    .map_err(StoreError::sql("add a key"))
}
