//! Message threads: the conversations that the server holds for its clients.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError, from_micros, micros};
use common::limits;

/// A thread as it stands behind one of its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadRow {
    /// The thread's own number.
    pub n: i64,
    pub last_used_at: DateTime<Utc>,
    /// JSON object of what stays the same.
    pub fixed: String,
    /// The turns so far, each a JSON array of messages.
    pub turns: Vec<String>,
    /// Whether the answer was the newest: only that can be continued.
    pub is_newest: bool,
}

/// Which thread a turn is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thread {
    /// One that goes on.
    Known(i64),
    /// A new one, and the JSON object of what stays the same in it.
    New(String),
}

/// A turn to be kept: what it brought, and under which id its answer went out.
#[derive(Debug, Clone)]
pub struct NewThreadTurn {
    pub workspace: String,
    pub thread: Thread,
    /// `msg_…`.
    pub message: String,
    /// JSON array, the answer last.
    pub messages: String,
    pub now: DateTime<Utc>,
}

impl Store {
    /// The thread that an answer belongs to.
    pub async fn thread(
        &self,
        workspace: &str,
        message: &str,
    ) -> Result<Option<ThreadRow>, StoreError> {
        let (workspace, message) = (workspace.to_owned(), message.to_owned());
        self.scan(move |db| {
            let sql = || StoreError::sql("look up a thread");
            let found = db
                .query_row(
                    "SELECT n, last_used_us, fixed, ordinal FROM thread_turns JOIN threads ON n = thread
                     WHERE thread_turns.workspace = ?1 AND message = ?2",
                    params![workspace, message],
                    |row| {
                        let thread = ThreadRow {
                            n: row.get(0)?,
                            last_used_at: from_micros(row.get(1)?),
                            fixed: row.get(2)?,
                            turns: Vec::new(),
                            is_newest: false,
                        };
                        Ok((thread, row.get::<_, u32>(3)?))
                    },
                )
                .optional()
                .map_err(sql())?;
            let Some((mut thread, ordinal)) = found else {
                return Ok(None);
            };
            thread.turns = db
                .prepare_cached("SELECT messages FROM thread_turns WHERE thread = ?1 ORDER BY ordinal")
                .and_then(|mut query| {
                    query
                        .query_map([thread.n], |row| row.get(0))?
                        .collect::<Result<_, _>>()
                })
                .map_err(sql())?;
            thread.is_newest = ordinal as usize + 1 == thread.turns.len();
            Ok(Some(thread))
        })
        .await
    }

    /// Keeps a turn, and forgets the workspace's threads that were not used for an hour.
    pub async fn keep_thread_turn(&self, new: NewThreadTurn) -> Result<(), StoreError> {
        self.write(move |db| keep(db, &new).map_err(StoreError::sql("keep a turn of a thread")))
            .await
    }
}

fn keep(db: &Transaction<'_>, new: &NewThreadTurn) -> rusqlite::Result<()> {
    let over = new.now - TimeDelta::minutes(limits::THREAD_KEPT_MINUTES);
    db.execute(
        "DELETE FROM threads WHERE workspace = ?1 AND last_used_us < ?2",
        params![new.workspace, micros(over)],
    )?;
    let now = micros(new.now);
    let thread = match &new.thread {
        Thread::Known(thread) => {
            let used = db.execute(
                "UPDATE threads SET last_used_us = ?2 WHERE n = ?1",
                params![thread, now],
            )?;
            // A reset came between: nothing is left to go on with.
            if used == 0 {
                return Ok(());
            }
            *thread
        }
        Thread::New(fixed) => {
            db.execute(
                "INSERT INTO threads (workspace, last_used_us, fixed) VALUES (?1, ?2, ?3)",
                params![new.workspace, now, fixed],
            )?;
            db.last_insert_rowid()
        }
    };
    db.execute(
        "INSERT INTO thread_turns (workspace, message, thread, ordinal, messages)
         VALUES (?1, ?2, ?3, (SELECT count(*) FROM thread_turns WHERE thread = ?3), ?4)",
        params![new.workspace, new.message, thread, new.messages],
    )?;
    Ok(())
}
