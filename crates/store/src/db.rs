//! Connections: one thread that writes, and what it takes to read beside it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::lock::DirLock;
use super::migrate::Owner;
use super::{Store, StoreError};

/// How long a statement waits for another connection. Writers never meet: there is one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Page cache of one connection, in KiB, as the negative number `SQLite` wants.
const CACHE_KIB: i64 = -1024;

/// A connection that reads.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let sql = || StoreError::sql("open the database");
    let connection = Connection::open(path).map_err(sql())?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sql())?;
    connection
        .pragma_update(None, "cache_size", CACHE_KIB)
        .map_err(sql())?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The connection that writes, with the schema up to date, and whether it has made the database. That at `path` is the data
/// directory's, `dir`, or a copy of it.
pub(super) fn connect_writer(path: &Path, dir: &Path) -> Result<(Connection, bool), StoreError> {
    let sql = || StoreError::sql("open the database");
    let is_new = std::fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let mut connection = connect(path)?;
    if !is_new {
        match super::migrate::owner(&connection)? {
            Owner::Ours => {}
            // Until the first checkpoint all that it knows is in its `-wal`.
            Owner::Nobody => super::directory::lies_alone(dir)?,
            Owner::Another => {
                return Err(StoreError::ForeignDatabase {
                    path: path.to_owned(),
                });
            }
        }
    }
    let synchronous = |connection: &Connection, level: &str| {
        connection
            .pragma_update(None, "synchronous", level)
            .map_err(sql())
    };
    // A new database has nothing to lose, and waiting for the disk is most of a server's start.
    synchronous(&connection, if is_new { "OFF" } else { "NORMAL" })?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .map_err(sql())?;
    connection
        .pragma_update(None, "foreign_keys", true)
        .map_err(sql())?;
    if is_new {
        super::migrate::begin(&mut connection)?;
    }
    super::migrate::run(&mut connection)?;
    // Under WAL a commit survives the death of the process; a power cut may lose the last ones, and
    // never the database.
    synchronous(&connection, "NORMAL")?;
    Ok((connection, is_new))
}

/// Opens a copy of a data directory's database as [`connect_writer`] would, and reads all of it.
pub(super) fn examine(dir: &Path) -> Result<(), StoreError> {
    let io = || StoreError::io("copy the database to look at it");
    let aside = common::private::temp_dir("sandtable-look-").map_err(io())?;
    for end in ["", "-wal"] {
        let name = format!("{}{end}", Store::DATABASE_FILE);
        match std::fs::copy(dir.join(&name), aside.path().join(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io()(error)),
            _ => {}
        }
    }
    let copy = aside.path().join(Store::DATABASE_FILE);
    let path = dir.join(Store::DATABASE_FILE);
    let looked = connect_writer(&copy, dir).and_then(|(connection, _)| {
        super::recover::examine(&connection, dir)?;
        connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
            .map_err(StoreError::sql("read the database"))
    });
    match looked {
        Ok(said) if said == "ok" => Ok(()),
        Ok(said) => Err(StoreError::Damaged {
            path,
            cause: said.into(),
        }),
        Err(StoreError::ForeignDatabase { .. }) => Err(StoreError::ForeignDatabase { path }),
        Err(error) => Err(error.on(&path)),
    }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The thread that alone writes. It ends, and gives up the directory's lock, when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    /// The database's file.
    path: PathBuf,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Whether it was ever asked to write.
    asked: AtomicBool,
}

impl Writer {
    pub(super) fn start(mut connection: Connection, lock: DirLock) -> Result<Self, StoreError> {
        let path = PathBuf::from(connection.path().unwrap_or_default());
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                for job in queue {
                    job(&mut connection);
                }
                drop(connection);
                drop(lock);
            })
            .map_err(StoreError::io("start the writer thread"))?;
        Ok(Self {
            path,
            jobs: Some(jobs),
            thread: Some(thread),
            asked: AtomicBool::new(false),
        })
    }

    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Runs `job` on the writer's thread. It runs even if the caller stops waiting.
    pub(super) async fn call<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.asked.store(true, Ordering::Relaxed);
        let (answer, done) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The caller may have gone; what it asked for is done all the same.
            drop(answer.send(job(connection)));
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).map_err(|_| StoreError::Closed)?;
        let answer = done.await.map_err(|_| StoreError::Closed)?;
        answer.map_err(|error| error.on(&self.path))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

impl Store {
    /// A read of a few microseconds, made at once.
    #[expect(
        clippy::unused_async,
        reason = "callers need not know which reads are made at once"
    )]
    pub(super) async fn look_up<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lookups = self.0.lookups.lock();
        read(&lookups.unwrap_or_else(PoisonError::into_inner))
            .map_err(|error| error.on(&self.0.writer.path))
    }

    /// A longer read, made on the blocking pool.
    pub(super) async fn scan<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let scans = Arc::clone(&self.0.scans);
        let path = self.0.writer.path.clone();
        tokio::task::spawn_blocking(move || {
            let mut scans = scans.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = match &mut *scans {
                Some(connection) => Ok(connection),
                none => connect(&path).map(|connection| none.insert(connection)),
            };
            connection.and_then(read).map_err(|error| error.on(&path))
        })
        .await
        .map_err(|_| StoreError::Closed)?
    }

    /// A write, made by the writer's thread in a transaction of its own.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let sql = || StoreError::sql("commit");
        self.0
            .writer
            .call(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                    .map_err(sql())?;
                let value = write(&transaction)?;
                transaction.commit().map_err(sql())?;
                Ok(value)
            })
            .await
    }
}
