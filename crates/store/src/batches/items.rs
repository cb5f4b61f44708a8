//! The items of batches: what is to be run, and what came of it.

use bytes::Bytes;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, ToSql, params};

use crate::{Store, StoreError};

wire::words! {
    /// How an item ended.
    pub ItemOutcome {
        Succeeded "succeeded",
        Errored "errored",
        Canceled "canceled",
        Expired "expired",
    }
}

impl ToSql for ItemOutcome {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for ItemOutcome {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_name(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

/// An item to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    pub position: i64,
    pub custom_id: String,
    /// JSON.
    pub params: Vec<u8>,
}

/// An item to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRow {
    pub position: i64,
    pub custom_id: String,
    /// JSON.
    pub params: Vec<u8>,
}

/// The result of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    pub position: i64,
    pub custom_id: String,
    /// `succeeded`, `errored`, `canceled`, or `expired`.
    pub outcome: String,
    /// JSON: the message or the error; `None` where nothing was run.
    pub result: Option<Vec<u8>>,
}

impl Store {
    /// Adds items to a batch that receives them. `false` if it is gone.
    pub async fn add_batch_items(
        &self,
        batch: i64,
        items: Vec<NewItem>,
    ) -> Result<bool, StoreError> {
        let sql = || StoreError::sql("add items to a batch");
        self.write(move |db| {
            let is_there: bool = db
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM batches WHERE n = ?1)")
                .and_then(|mut query| query.query_row([batch], |row| row.get(0)))
                .map_err(sql())?;
            if !is_there {
                return Ok(false);
            }
            let mut insert = db
                .prepare_cached(
                    "INSERT INTO batch_items (batch, position, custom_id, params)
                     VALUES (?1, ?2, ?3, ?4)",
                )
                .map_err(sql())?;
            for item in items {
                insert
                    .execute(params![batch, item.position, item.custom_id, item.params])
                    .map_err(sql())?;
            }
            Ok(true)
        })
        .await
    }

    /// The first item behind `after` that has no outcome.
    pub async fn next_batch_item(
        &self,
        batch: i64,
        after: i64,
    ) -> Result<Option<ItemRow>, StoreError> {
        self.scan(move |db| {
            db.prepare_cached(
                "SELECT position, custom_id, params FROM batch_items
                 WHERE batch = ?1 AND position > ?2 AND outcome IS NULL ORDER BY position LIMIT 1",
            )
            .and_then(|mut query| {
                query
                    .query_row([batch, after], |row| {
                        Ok(ItemRow {
                            position: row.get(0)?,
                            custom_id: row.get(1)?,
                            params: row.get(2)?,
                        })
                    })
                    .optional()
            })
            .map_err(StoreError::sql("find an item to run"))
        })
        .await
    }

    /// Keeps what came of an item.
    pub async fn finish_batch_item(
        &self,
        batch: i64,
        position: i64,
        outcome: ItemOutcome,
        result: Bytes,
    ) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute(
                "UPDATE batch_items SET outcome = ?3, result = ?4, params = x''
                 WHERE batch = ?1 AND position = ?2",
                params![batch, position, outcome, result.as_ref()],
            )
            .map(|_| ())
            .map_err(StoreError::sql("keep the result of an item"))
        })
        .await
    }

    /// At most `limit` results behind `after`, in the order of the items.
    pub async fn batch_results(
        &self,
        batch: i64,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ResultRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.scan(move |db| {
            db.prepare_cached(
                "SELECT position, custom_id, outcome, result FROM batch_items
                 WHERE batch = ?1 AND position > ?2 AND outcome IS NOT NULL
                 ORDER BY position LIMIT ?3",
            )
            .and_then(|mut query| {
                query
                    .query_map([batch, after, limit], |row| {
                        Ok(ResultRow {
                            position: row.get(0)?,
                            custom_id: row.get(1)?,
                            outcome: row.get(2)?,
                            result: row.get(3)?,
                        })
                    })?
                    .collect()
            })
            .map_err(StoreError::sql("read the results of a batch"))
        })
        .await
    }

    /// Forgets the items of a batch whose results are no longer to be had.
    pub async fn forget_batch_items(&self, batch: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute("DELETE FROM batch_items WHERE batch = ?1", [batch])
                .map(|_| ())
                .map_err(StoreError::sql("forget the results of a batch"))
        })
        .await
    }
}
