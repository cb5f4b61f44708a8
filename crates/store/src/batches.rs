//! Message batches and their items.

mod items;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, ToSql, params};

use super::files::is_unique_violation;
use super::{Store, StoreError, from_micros, micros};
use common::limits;

pub use items::{ItemOutcome, ItemRow, NewItem, ResultRow};

/// Where a batch is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchState {
    /// Its items are being written; nobody sees it.
    Receiving,
    InProgress,
    /// Items under way run to their end, and no more are begun.
    Canceling,
    Ended,
}

impl BatchState {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::InProgress => "in_progress",
            Self::Canceling => "canceling",
            Self::Ended => "ended",
        }
    }
}

impl ToSql for BatchState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for BatchState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        [
            Self::Receiving,
            Self::InProgress,
            Self::Canceling,
            Self::Ended,
        ]
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or(FromSqlError::InvalidType)
    }
}

/// One batch as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// `msgbatch_…`.
    pub id: String,
    pub workspace: String,
    pub state: BatchState,
    /// `anthropic-version` of the request that made it.
    pub version: String,
    /// The betas of that request, separated by commas.
    pub betas: String,
    /// The quirks of that request, as [`NewBatch::quirks`] had them.
    pub quirks: String,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub cancel_initiated_at: Option<DateTime<Utc>>,
    pub total: u64,
    /// The four are 0 until the batch has ended.
    pub succeeded: u64,
    pub errored: u64,
    pub canceled: u64,
    pub expired: u64,
    /// Names it in the store.
    pub n: i64,
}

/// A place in the list of batches, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchPosition {
    created_at_us: i64,
    n: i64,
}

impl BatchRow {
    /// Its place in the list.
    pub fn position(&self) -> BatchPosition {
        BatchPosition {
            created_at_us: micros(self.created_at),
            n: self.n,
        }
    }

    /// When what has not been begun expires.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.created_at + TimeDelta::hours(limits::BATCH_LIFE_HOURS)
    }

    /// When its results are no longer to be had.
    pub fn archived_at(&self) -> DateTime<Utc> {
        self.created_at + TimeDelta::days(limits::BATCH_RESULT_DAYS)
    }

    /// Whether its results are no longer to be had. A batch that has not ended keeps what it is about.
    pub fn is_archived(&self, now: DateTime<Utc>) -> bool {
        self.state == BatchState::Ended && self.archived_at() <= now
    }
}

/// A batch to add.
#[derive(Debug, Clone)]
pub struct NewBatch {
    pub id: String,
    pub workspace: String,
    pub version: String,
    pub betas: String,
    /// `NAME=VALUE`, separated by commas.
    pub quirks: String,
    pub created_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, workspace, state, version, betas, created_at_us, ended_at_us, \
                       cancel_initiated_at_us, total, succeeded, errored, canceled, expired, n, quirks";

fn read_row(row: &Row<'_>) -> rusqlite::Result<BatchRow> {
    let count = |index| -> rusqlite::Result<u64> {
        let count: i64 = row.get(index)?;
        Ok(u64::try_from(count).unwrap_or(0))
    };
    Ok(BatchRow {
        id: row.get(0)?,
        workspace: row.get(1)?,
        state: row.get(2)?,
        version: row.get(3)?,
        betas: row.get(4)?,
        created_at: from_micros(row.get(5)?),
        ended_at: row.get::<_, Option<i64>>(6)?.map(from_micros),
        cancel_initiated_at: row.get::<_, Option<i64>>(7)?.map(from_micros),
        total: count(8)?,
        succeeded: count(9)?,
        errored: count(10)?,
        canceled: count(11)?,
        expired: count(12)?,
        n: row.get(13)?,
        quirks: row.get(14)?,
    })
}

impl Store {
    /// Adds a batch that receives its items; its number. [`StoreError::IdTaken`] if the workspace has
    /// one of this id.
    pub async fn begin_batch(&self, new: NewBatch) -> Result<i64, StoreError> {
        self.write(move |db| {
            db.execute(
                "INSERT INTO batches (id, workspace, state, version, betas, created_at_us, quirks)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    new.id,
                    new.workspace,
                    BatchState::Receiving,
                    new.version,
                    new.betas,
                    micros(new.created_at),
                    new.quirks,
                ],
            )
            .map_err(|source| match source {
                error if is_unique_violation(&error) => StoreError::IdTaken { id: new.id },
                source => StoreError::sql("add a batch")(source),
            })?;
            Ok(db.last_insert_rowid())
        })
        .await
    }

    /// All items are there: from now on the batch is acknowledged. `None` if it is gone.
    pub async fn start_batch(&self, n: i64) -> Result<Option<BatchRow>, StoreError> {
        self.write(move |db| {
            db.query_row(
                &format!(
                    "UPDATE batches SET state = 'in_progress',
                            total = (SELECT count(*) FROM batch_items WHERE batch = ?1)
                     WHERE n = ?1 RETURNING {COLUMNS}"
                ),
                [n],
                read_row,
            )
            .optional()
            .map_err(StoreError::sql("start a batch"))
        })
        .await
    }

    /// Forgets a batch, whatever its state. `false` if it is gone.
    pub async fn drop_batch(&self, n: i64) -> Result<bool, StoreError> {
        self.write(move |db| {
            db.execute("DELETE FROM batches WHERE n = ?1", [n])
                .map(|deleted| deleted > 0)
                .map_err(StoreError::sql("remove a batch"))
        })
        .await
    }

    /// One batch of the workspace.
    pub async fn batch(&self, workspace: &str, id: &str) -> Result<Option<BatchRow>, StoreError> {
        self.look_up(|db| {
            db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM batches
                 WHERE workspace = ?1 AND id = ?2 AND state <> 'receiving'"
            ))
            .and_then(|mut query| query.query_row([workspace, id], read_row).optional())
            .map_err(StoreError::sql("find a batch"))
        })
        .await
    }

    /// Where a batch is in its life; `None` if it is gone.
    pub async fn batch_state(&self, n: i64) -> Result<Option<BatchState>, StoreError> {
        self.look_up(|db| {
            db.prepare_cached("SELECT state FROM batches WHERE n = ?1")
                .and_then(|mut query| query.query_row([n], |row| row.get(0)).optional())
                .map_err(StoreError::sql("look after a batch"))
        })
        .await
    }

    /// The workspace's batches, the newest first.
    pub async fn batches(&self, workspace: &str) -> Result<Vec<BatchRow>, StoreError> {
        let workspace = workspace.to_owned();
        self.scan(move |db| {
            db.prepare(&format!(
                "SELECT {COLUMNS} FROM batches WHERE workspace = ?1 AND state <> 'receiving'
                 ORDER BY created_at_us DESC, n DESC"
            ))
            .and_then(|mut query| query.query_map([workspace], read_row)?.collect())
            .map_err(StoreError::sql("list batches"))
        })
        .await
    }

    /// Where a batch of the workspace stood in the list before it was deleted.
    pub async fn deleted_batch(
        &self,
        workspace: &str,
        id: &str,
    ) -> Result<Option<BatchPosition>, StoreError> {
        self.look_up(|db| {
            db.prepare_cached(
                "SELECT created_at_us, batch FROM deleted_batches WHERE workspace = ?1 AND id = ?2",
            )
            .and_then(|mut query| {
                query
                    .query_row([workspace, id], |row| {
                        Ok(BatchPosition {
                            created_at_us: row.get(0)?,
                            n: row.get(1)?,
                        })
                    })
                    .optional()
            })
            .map_err(StoreError::sql("find a cursor's batch"))
        })
        .await
    }

    /// Every batch that has not ended, the oldest first.
    pub async fn unfinished_batches(&self) -> Result<Vec<BatchRow>, StoreError> {
        if self.is_untouched() {
            return Ok(Vec::new());
        }
        self.scan(move |db| {
            db.prepare(&format!(
                "SELECT {COLUMNS} FROM batches WHERE state IN ('in_progress', 'canceling') ORDER BY n"
            ))
            .and_then(|mut query| query.query_map([], read_row)?.collect())
            .map_err(StoreError::sql("list unfinished batches"))
        })
        .await
    }

    /// Notes that a batch is to be canceled, if it is in progress; the batch as it is then.
    pub async fn cancel_batch(
        &self,
        n: i64,
        now: DateTime<Utc>,
    ) -> Result<Option<BatchRow>, StoreError> {
        let sql = || StoreError::sql("cancel a batch");
        self.write(move |db| {
            db.execute(
                "UPDATE batches SET state = 'canceling', cancel_initiated_at_us = ?2
                 WHERE n = ?1 AND state = 'in_progress'",
                params![n, micros(now)],
            )
            .map_err(sql())?;
            db.query_row(
                &format!("SELECT {COLUMNS} FROM batches WHERE n = ?1"),
                [n],
                read_row,
            )
            .optional()
            .map_err(sql())
        })
        .await
    }

    /// Ends a batch: what has no outcome gets `rest`, and everything is counted.
    pub async fn end_batch(
        &self,
        n: i64,
        now: DateTime<Utc>,
        rest: ItemOutcome,
    ) -> Result<(), StoreError> {
        let sql = || StoreError::sql("end a batch");
        self.write(move |db| {
            db.execute(
                "UPDATE batch_items SET outcome = ?2, params = x'' WHERE batch = ?1 AND outcome IS NULL",
                params![n, rest],
            )
            .map_err(sql())?;
            let count = |outcome: ItemOutcome| -> Result<i64, StoreError> {
                db.query_row(
                    "SELECT count(*) FROM batch_items WHERE batch = ?1 AND outcome = ?2",
                    params![n, outcome],
                    |row| row.get(0),
                )
                .map_err(sql())
            };
            let counts = params![
                n,
                micros(now),
                count(ItemOutcome::Succeeded)?,
                count(ItemOutcome::Errored)?,
                count(ItemOutcome::Canceled)?,
                count(ItemOutcome::Expired)?,
            ];
            db.execute(
                "UPDATE batches SET state = 'ended', ended_at_us = ?2, succeeded = ?3, errored = ?4,
                        canceled = ?5, expired = ?6 WHERE n = ?1",
                counts,
            )
            .map(|_| ())
            .map_err(sql())
        })
        .await
    }
}
