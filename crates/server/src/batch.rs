//! The pool in which the items of all batches run: how many at once, and which batches are being run.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use common::limits;

/// The pool of the batches that run.
#[derive(Debug)]
pub struct Pool {
    /// One for each item that runs.
    pub(crate) permits: Arc<Semaphore>,
    running: Mutex<HashMap<i64, Running>>,
}

#[derive(Debug)]
struct Running {
    workspace: String,
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits::BATCH_CONCURRENT_ITEMS)),
            running: Mutex::default(),
        }
    }
}

impl Pool {
    /// Runs batch number `n` with what `run` makes of its alarm, unless it runs already.
    pub fn start<F>(self: &Arc<Self>, n: i64, workspace: String, run: impl FnOnce(Arc<Notify>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Held until the entry is there, which the task removes at its end.
        let mut running = self.lock();
        if running.contains_key(&n) {
            return;
        }
        let wake = Arc::new(Notify::new());
        let work = run(Arc::clone(&wake));
        let pool = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            work.await;
            if let Some(pool) = pool.upgrade() {
                pool.lock().remove(&n);
            }
        });
        running.insert(
            n,
            Running {
                workspace,
                wake,
                task,
            },
        );
    }

    /// Lets a batch look at once whether it is to go on.
    pub fn wake(&self, n: i64) {
        if let Some(running) = self.lock().get(&n) {
            running.wake.notify_one();
        }
    }

    /// Lets all batches of a workspace look at once whether they are to go on.
    pub fn wake_all(&self, workspace: &str) {
        for running in self.lock().values() {
            if running.workspace == workspace {
                running.wake.notify_one();
            }
        }
    }

    /// Ends the batches of a workspace, or all of them, where they are; returns when they have ended.
    pub async fn stop(&self, workspace: Option<&str>) {
        let stopped: Vec<_> = self
            .lock()
            .extract_if(|_, running| workspace.is_none_or(|id| running.workspace == id))
            .map(|(_, running)| running.task)
            .collect();
        for task in &stopped {
            task.abort();
        }
        for task in stopped {
            // An error says that it was cut short.
            task.await.ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
