//! All that a workspace holds, put in place of what it held before: wholly or not at all.

mod fill;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{ToSql, Transaction, TransactionBehavior, params};

use super::batches::{BatchRow, ItemOutcome};
use super::containers::{ContainerRow, MountedFile};
use super::files::NewFile;
use super::skills::MountedSkill;
use super::workspaces::{Cleared, clear};
use super::{Store, StoreError};
use common::clock;
use fill::Filling;

/// The contents of a workspace. Lists are in the order in which their entries were made.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    pub clock: clock::State,
    pub files: Vec<KeptFile>,
    pub skills: Vec<KeptSkill>,
    pub containers: Vec<KeptContainer>,
    pub batches: Vec<KeptBatch>,
}

/// A file and its bytes.
#[derive(Debug, Clone)]
pub struct KeptFile {
    pub file: NewFile,
    pub content: Bytes,
}

/// A container and what lies in it.
#[derive(Debug, Clone)]
pub struct KeptContainer {
    pub row: ContainerRow,
    pub uploads: Vec<MountedFile>,
    pub skills: Vec<MountedSkill>,
    /// Put into its sandbox when that is first started.
    pub tree: Vec<TreeEntry>,
}

/// Where the files of a container lie, as every sandbox names it: the files of calls, the working
/// directory, and the temporary files.
pub const PLACES: [&str; 3] = ["/files", "/home/user", "/tmp"];

/// Something in a container's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Absolute, and any bytes, as file systems have it.
    pub path: Vec<u8>,
    pub kind: TreeKind,
    /// Permission bits.
    pub mode: u32,
    /// Of a file; of a link, where it leads.
    pub content: Bytes,
}

/// The type of an entry. Nothing else is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    File,
    Directory,
    Symlink,
}

impl TreeKind {
    /// `file`, `directory`, or `symlink`.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn of(name: &str) -> Option<Self> {
        [Self::File, Self::Directory, Self::Symlink]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl ToSql for TreeKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for TreeKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::of(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

/// A skill with all its versions.
#[derive(Debug, Clone)]
pub struct KeptSkill {
    pub id: String,
    pub name: String,
    pub display_name: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub versions: Vec<KeptVersion>,
}

/// A version of a skill.
#[derive(Debug, Clone)]
pub struct KeptVersion {
    pub id: String,
    pub epoch_us: i64,
    pub directory: String,
    pub description: String,
    pub created_at: DateTime<Utc>,
    pub files: Vec<(String, Bytes)>,
}

/// A batch with its items. The row's number is not kept.
#[derive(Debug, Clone)]
pub struct KeptBatch {
    pub row: BatchRow,
    pub items: Vec<KeptItem>,
}

/// An item of a batch, run or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptItem {
    pub custom_id: String,
    /// JSON; empty where it has an outcome.
    pub params: Vec<u8>,
    pub outcome: Option<ItemOutcome>,
    /// JSON.
    pub result: Option<Vec<u8>>,
}

impl Store {
    /// Replaces all that a workspace holds, its clock included. A mistake, or a kill at any moment,
    /// leaves what was there before.
    pub async fn restore_workspace(
        &self,
        workspace: &str,
        contents: Contents,
    ) -> Result<Cleared, StoreError> {
        let id = workspace.to_owned();
        let (blobs, cleared) = self
            .write_with_blobs(move |db, filling| {
                let cleared = clear(db, &id)?;
                filling.fill(db, &id, contents)?;
                Ok(cleared)
            })
            .await?;
        self.remove_blobs(blobs).await?;
        Ok(cleared)
    }

    /// The files that wait to be put into a container, by path.
    pub async fn container_tree(
        &self,
        workspace: &str,
        container: &str,
    ) -> Result<Vec<TreeEntry>, StoreError> {
        let (workspace, container) = (workspace.to_owned(), container.to_owned());
        self.scan(move |db| {
            db.prepare_cached(
                "SELECT path, kind, mode, content FROM container_trees
                 WHERE workspace = ?1 AND container = ?2 ORDER BY path",
            )
            .and_then(|mut query| {
                query
                    .query_map([workspace, container], |row| {
                        Ok(TreeEntry {
                            path: row.get(0)?,
                            kind: row.get(1)?,
                            mode: row.get(2)?,
                            content: row.get::<_, Vec<u8>>(3)?.into(),
                        })
                    })?
                    .collect()
            })
            .map_err(StoreError::sql("read the files of a container"))
        })
        .await
    }

    /// Keeps the files of a container that sleeps, in the place of what was kept before.
    pub async fn keep_container_tree(
        &self,
        workspace: &str,
        container: &str,
        tree: Vec<TreeEntry>,
    ) -> Result<(), StoreError> {
        let (workspace, container) = (workspace.to_owned(), container.to_owned());
        let sql = || StoreError::sql("keep the files of a container");
        self.write(move |db| {
            let both = params![workspace, container];
            db.execute(
                "DELETE FROM container_trees WHERE workspace = ?1 AND container = ?2",
                both,
            )
            .map_err(sql())?;
            fill::add_tree(db, &workspace, &container, tree)?;
            db.execute(
                "UPDATE containers SET tree_waits = 1 WHERE workspace = ?1 AND id = ?2",
                both,
            )
            .map(|_| ())
            .map_err(sql())
        })
        .await
    }

    /// The files that waited are in the container; here they `stay` where nobody else keeps them.
    pub async fn container_tree_placed(
        &self,
        workspace: &str,
        container: &str,
        stay: bool,
    ) -> Result<(), StoreError> {
        let (workspace, container) = (workspace.to_owned(), container.to_owned());
        let sql = || StoreError::sql("note the files of a container");
        self.write(move |db| {
            let both = params![workspace, container];
            db.execute(
                "UPDATE containers SET tree_waits = 0 WHERE workspace = ?1 AND id = ?2",
                both,
            )
            .map_err(sql())?;
            if stay {
                return Ok(());
            }
            db.execute(
                "DELETE FROM container_trees WHERE workspace = ?1 AND container = ?2",
                both,
            )
            .map(|_| ())
            .map_err(sql())
        })
        .await
    }

    /// Every item of a batch, in order.
    pub async fn batch_items(&self, batch: i64) -> Result<Vec<KeptItem>, StoreError> {
        self.scan(move |db| {
            db.prepare_cached(
                "SELECT custom_id, params, outcome, result FROM batch_items
                 WHERE batch = ?1 ORDER BY position",
            )
            .and_then(|mut query| {
                query
                    .query_map([batch], |row| {
                        Ok(KeptItem {
                            custom_id: row.get(0)?,
                            params: row.get(1)?,
                            outcome: row.get(2)?,
                            result: row.get(3)?,
                        })
                    })?
                    .collect()
            })
            .map_err(StoreError::sql("read the items of a batch"))
        })
        .await
    }

    /// A write that makes blobs as well: they are there before the commit, and go if there is none.
    pub(super) async fn write_with_blobs<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Filling) -> Result<T, StoreError> + Send + 'static,
    {
        let sql = || StoreError::sql("commit");
        let mut filling = Filling::new(Arc::clone(&self.0.blobs), self.0.options.quota_bytes);
        self.0
            .writer
            .call(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(TransactionBehavior::Immediate)
                    .map_err(sql())?;
                let value = write(&transaction, &mut filling)?;
                transaction.commit().map_err(sql())?;
                filling.keep();
                Ok(value)
            })
            .await
    }
}
