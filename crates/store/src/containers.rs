//! Containers, and which uploads lie in them.

use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, ToSql, Transaction, params};

use common::ids::FileId;

use super::files::is_unique_violation;
use super::{Store, StoreError, from_micros, micros};

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// A sandbox runs behind it.
    Awake,
    /// Its files are kept; a sandbox is started when it is used.
    Asleep,
    /// Over. Its sandbox and files are gone or about to go.
    Expired,
}

impl ContainerState {
    /// `awake`, `asleep`, or `expired`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Asleep => "asleep",
            Self::Expired => "expired",
        }
    }
}

impl ToSql for ContainerState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for ContainerState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        [Self::Awake, Self::Asleep, Self::Expired]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or(FromSqlError::InvalidType)
    }
}

/// One container as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRow {
    /// `container_…`.
    pub id: String,
    pub workspace: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub state: ContainerState,
    /// The 16 hexadecimal digits in `/files/input/<16 hex>`.
    pub input_dir: String,
    /// The id of its sandbox in backends: the same for no two containers of a server.
    pub sandbox: String,
    /// Whether there may be a sandbox.
    pub started: bool,
    /// Whether files of an imported state are still to be put into it.
    pub tree_waits: bool,
}

/// An upload that belongs into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedFile {
    pub file_id: FileId,
    pub filename: String,
    /// Whether it lies there, or waits for the container to wake.
    pub in_place: bool,
}

const COLUMNS: &str = "id, workspace, created_at_us, expires_at_us, last_used_at_us, state, input_dir, sandbox, \
     started, tree_waits";

fn read_row(row: &Row<'_>) -> rusqlite::Result<ContainerRow> {
    Ok(ContainerRow {
        id: row.get(0)?,
        workspace: row.get(1)?,
        created_at: from_micros(row.get(2)?),
        expires_at: from_micros(row.get(3)?),
        last_used_at: from_micros(row.get(4)?),
        state: row.get(5)?,
        input_dir: row.get(6)?,
        sandbox: row.get(7)?,
        started: row.get(8)?,
        tree_waits: row.get(9)?,
    })
}

impl Store {
    /// Adds a container; [`StoreError::IdTaken`] if the workspace has one of this id.
    pub async fn insert_container(&self, row: ContainerRow) -> Result<(), StoreError> {
        self.write(move |db| insert(db, row)).await
    }

    /// One container of the workspace.
    pub async fn container(
        &self,
        workspace: &str,
        id: &str,
    ) -> Result<Option<ContainerRow>, StoreError> {
        self.look_up(|db| {
            db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM containers WHERE workspace = ?1 AND id = ?2"
            ))
            .and_then(|mut query| query.query_row([workspace, id], read_row).optional())
            .map_err(StoreError::sql("find a container"))
        })
        .await
    }

    /// The workspace's containers, the newest first.
    pub async fn containers(&self, workspace: &str) -> Result<Vec<ContainerRow>, StoreError> {
        let workspace = workspace.to_owned();
        self.scan(move |db| {
            db.prepare(&format!(
                "SELECT {COLUMNS} FROM containers WHERE workspace = ?1
                 ORDER BY created_at_us DESC, id"
            ))
            .and_then(|mut query| query.query_map([workspace], read_row)?.collect())
            .map_err(StoreError::sql("list containers"))
        })
        .await
    }

    /// Notes a use. `false` if the workspace has no such container.
    pub async fn touch_container(
        &self,
        workspace: &str,
        id: &str,
        last_used_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let (workspace, id) = (workspace.to_owned(), id.to_owned());
        self.write(move |db| {
            db.execute(
                "UPDATE containers SET last_used_at_us = ?3, expires_at_us = ?4
                 WHERE workspace = ?1 AND id = ?2",
                params![workspace, id, micros(last_used_at), micros(expires_at)],
            )
            .map(|changed| changed > 0)
            .map_err(StoreError::sql("note the use of a container"))
        })
        .await
    }

    /// Notes where a container is in its life. `false` if the workspace has no such container, or if
    /// it has expired: nothing wakes it again.
    pub async fn set_container_state(
        &self,
        workspace: &str,
        id: &str,
        state: ContainerState,
    ) -> Result<bool, StoreError> {
        let (workspace, id) = (workspace.to_owned(), id.to_owned());
        self.write(move |db| {
            db.execute(
                "UPDATE containers SET state = ?3, started = started OR ?3 = 'awake'
                 WHERE workspace = ?1 AND id = ?2 AND (state <> 'expired' OR ?3 = 'expired')",
                params![workspace, id, state],
            )
            .map(|changed| changed > 0)
            .map_err(StoreError::sql("note the state of a container"))
        })
        .await
    }

    /// Notes that an upload belongs into a container, in the place of another of its name; noting it again
    /// changes what is known of it.
    pub async fn mount_file(
        &self,
        workspace: &str,
        container: &str,
        file: MountedFile,
    ) -> Result<(), StoreError> {
        let (workspace, container) = (workspace.to_owned(), container.to_owned());
        self.write(move |db| mount(db, &workspace, &container, &file))
            .await
    }

    /// Notes that an upload lies in its place, unless another has taken that since.
    pub async fn file_is_in_place(
        &self,
        workspace: &str,
        container: &str,
        file_id: &FileId,
    ) -> Result<(), StoreError> {
        let (workspace, container) = (workspace.to_owned(), container.to_owned());
        let file_id = file_id.to_string();
        self.write(move |db| {
            db.execute(
                "UPDATE container_files SET in_place = 1
                 WHERE workspace = ?1 AND container = ?2 AND file_id = ?3",
                params![workspace, container, file_id],
            )
            .map(|_| ())
            .map_err(StoreError::sql("note an upload in its place"))
        })
        .await
    }

    /// The uploads that belong into a container: one for each name.
    pub async fn mounted_files(
        &self,
        workspace: &str,
        container: &str,
    ) -> Result<Vec<MountedFile>, StoreError> {
        self.look_up(|db| {
            db.prepare_cached(
                "SELECT file_id, filename, in_place FROM container_files
                 WHERE workspace = ?1 AND container = ?2 ORDER BY filename, file_id",
            )
            .and_then(|mut query| {
                query
                    .query_map([workspace, container], |row| {
                        Ok(MountedFile {
                            file_id: row.get::<_, String>(0)?.into(),
                            filename: row.get(1)?,
                            in_place: row.get(2)?,
                        })
                    })?
                    .collect()
            })
            .map_err(StoreError::sql("list the uploads of a container"))
        })
        .await
    }
}

pub(super) fn insert(db: &Transaction<'_>, row: ContainerRow) -> Result<(), StoreError> {
    db.execute(
        &format!(
            "INSERT INTO containers ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        ),
        params![
            row.id,
            row.workspace,
            micros(row.created_at),
            micros(row.expires_at),
            micros(row.last_used_at),
            row.state,
            row.input_dir,
            row.sandbox,
            row.started,
            row.tree_waits,
        ],
    )
    .map_err(|source| match source {
        error if is_unique_violation(&error) => StoreError::IdTaken { id: row.id },
        source => StoreError::sql("add a container")(source),
    })?;
    Ok(())
}

pub(super) fn mount(
    db: &Transaction<'_>,
    workspace: &str,
    container: &str,
    file: &MountedFile,
) -> Result<(), StoreError> {
    db.execute(
        "DELETE FROM container_files
         WHERE workspace = ?1 AND container = ?2 AND filename = ?3 AND file_id <> ?4",
        params![workspace, container, file.filename, &*file.file_id],
    )
    .map_err(StoreError::sql(
        "forget an upload whose place another takes",
    ))?;
    db.execute(
        "INSERT INTO container_files (workspace, container, file_id, filename, in_place)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET filename = excluded.filename, in_place = excluded.in_place",
        params![
            workspace,
            container,
            &*file.file_id,
            file.filename,
            file.in_place
        ],
    )
    .map(|_| ())
    .map_err(StoreError::sql("note an upload in a container"))
}
