//! Rows in `SQLite`, bytes in a directory.
//!
//! Acknowledged writes survive a kill at any moment: a blob is whole under its final name before its row is committed,
//! and the row before the answer. Ids are looked up together with a workspace, so another workspace's id is not found.
//! Nothing here knows HTTP.

mod batches;
mod blobs;
mod containers;
mod contents;
mod db;
mod directory;
mod error;
mod files;
mod lock;
mod migrate;
mod recover;
mod skills;
mod threads;
mod workspaces;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

pub use batches::{BatchRow, BatchState, ItemOutcome, ItemRow, NewBatch, NewItem, ResultRow};
pub use blobs::{BlobWriter, TempBlob};
pub use containers::{ContainerRow, ContainerState, MountedFile};
pub use contents::{
    Contents, KeptBatch, KeptContainer, KeptFile, KeptItem, KeptSkill, KeptVersion, PLACES,
    TreeEntry, TreeKind,
};
pub use error::StoreError;
pub use files::{FileQuery, FileRow, NewFile, Page, Position, Select, Start};
pub use skills::{MountedSkill, NewSkill, NewSkillVersion, SkillRow, SkillVersionRow};
pub use threads::{NewThreadTurn, Thread, ThreadRow};
pub use workspaces::{Cleared, NewWorkspace, WorkspaceRow};

use blobs::BlobDir;
use db::Writer;

/// A cheap handle to the store.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

/// The limits of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of files one workspace may hold.
    pub quota_bytes: u64,
    /// Most workspaces.
    pub max_workspaces: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quota_bytes: common::limits::STORAGE_QUOTA_BYTES,
            max_workspaces: common::limits::MAX_WORKSPACES,
        }
    }
}

#[derive(Debug)]
struct Inner {
    options: Options,
    /// Whether this store has made its database.
    begins_empty: bool,
    blobs: Arc<BlobDir>,
    /// For reads of a few microseconds, made where they are asked for.
    lookups: Mutex<Connection>,
    /// For lists, made on the blocking pool, so that they hold up no lookup; opened by the first of them.
    scans: Arc<Mutex<Option<Connection>>>,
    /// Ends last: the directory's lock goes with it.
    writer: Writer,
}

impl Store {
    /// Locked in the directory for as long as a store is open there.
    pub const LOCK_FILE: &str = lock::FILE;
    /// Holds the rows.
    pub const DATABASE_FILE: &str = "sandtable.db";
    /// Lies in a data directory that ends with its server, from before the store is made in it.
    pub const TEMPORARY_MARK: &str = "sandtable-temporary";

    /// Opens the store in `dir`, made if it is not there, with the documented limits. A folder that holds
    /// anything but a store is refused.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, Options::default())
    }

    /// Opens the store in `dir` with limits of the caller's.
    pub fn open_with(dir: &Path, options: Options) -> Result<Self, StoreError> {
        directory::claim(dir)?;
        let lock = lock::DirLock::take(dir).map_err(|error| error.on(dir))?;
        let path: PathBuf = dir.join(Self::DATABASE_FILE);
        let connected = db::connect_writer(&path, dir).map_err(|error| error.on(&path));
        let (mut connection, begins_empty) = connected?;
        recover::examine(&connection, dir).map_err(|error| error.on(&path))?;
        // Not before the database has proved to be one of ours.
        let blobs = BlobDir::open(dir)?;
        recover::run(&mut connection, &blobs).map_err(|error| error.on(&path))?;
        Ok(Self(Arc::new(Inner {
            options,
            begins_empty,
            blobs: Arc::new(blobs),
            lookups: Mutex::new(db::connect(&path).map_err(|error| error.on(&path))?),
            scans: Arc::default(),
            writer: Writer::start(connection, lock)?,
        })))
    }

    /// Whether it has no rows for sure, so that a start need not look for any: a look opens another connection.
    fn is_untouched(&self) -> bool {
        self.0.begins_empty && !self.0.writer.was_asked()
    }

    /// Checks whether the store in `dir` can be opened, without a change to anything there: a database is
    /// looked at as a copy.
    pub fn examine(dir: &Path) -> Result<(), StoreError> {
        let is_there = directory::examine(dir)?;
        lock::examine(dir)?;
        if is_there {
            db::examine(dir)?;
        }
        Ok(())
    }

    /// A new temporary blob to write into; it is removed if it is dropped before it becomes a file.
    #[expect(
        clippy::unused_async,
        reason = "callers need not know that nothing touches the disk yet"
    )]
    pub async fn begin_blob(&self) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter::new(&self.0.blobs))
    }

    /// A temporary blob of the same bytes, for a file of another name. They are kept once where the file
    /// system of the data directory can do that.
    pub async fn twin(&self, blob: &TempBlob) -> Result<TempBlob, StoreError> {
        let (blobs, blob) = (Arc::clone(&self.0.blobs), blob.clone());
        tokio::task::spawn_blocking(move || blobs.twin(&blob))
            .await
            .unwrap_or_else(|error| {
                Err(StoreError::io("copy a blob")(std::io::Error::other(error)))
            })
    }
}

/// A time as the database keeps it.
fn micros(time: chrono::DateTime<chrono::Utc>) -> i64 {
    time.timestamp_micros()
}

/// The inverse of [`micros`]; a time out of range becomes the nearest one.
fn from_micros(us: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(us).unwrap_or(if us < 0 {
        chrono::DateTime::<chrono::Utc>::MIN_UTC
    } else {
        chrono::DateTime::<chrono::Utc>::MAX_UTC
    })
}
