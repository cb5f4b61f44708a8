//! Sandboxes that run already, for containers that have none yet: those that wait. How one is started, given to a
//! container, and ended is its backend's.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Launched, Limits};
use common::clock::Clock;
use common::limits::{CONTAINER_LIFE_DAYS, WARM_LIFE};

/// How long a write to a warm sandbox may take before it counts as dead.
const MARK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long whoever takes one has the machine before another is made in its place, which takes an engine a tenth of a
/// second of processor time: enough for a first call.
const RESPITE: Duration = Duration::from_millis(50);

/// How long the one who fills the pool may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The sandboxes that wait.
#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: Mutex<VecDeque<Warm>>,
    wanted: watch::Sender<usize>,
    pub(super) changed: Notify,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Warm {
    pub(super) name: String,
    pub(super) limits: Limits,
    pub(super) launched: Launched,
    since: Instant,
}

impl Pool {
    pub(super) fn waiting(&self) -> MutexGuard<'_, VecDeque<Warm>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task that fills the pool.
    pub(super) fn keeper(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are to wait; 0 ends it.
    pub(super) fn want(&self, count: usize) {
        self.wanted.send_replace(count);
    }

    pub(super) fn is_wanted(&self) -> bool {
        *self.wanted.borrow() > 0
    }

    /// Waits until none is wanted any more.
    #[cfg(feature = "kubernetes")]
    pub(super) async fn unwanted(&self) {
        let mut wanted = self.wanted.subscribe();
        drop(wanted.wait_for(|count| *count == 0).await);
    }

    /// Waits until one was taken, or is no longer wanted, and a moment more.
    pub(super) async fn taken(&self) {
        self.changed.notified().await;
        tokio::time::sleep(RESPITE).await;
    }

    /// How many are missing.
    pub(super) fn lacks(&self) -> usize {
        let wanted = *self.wanted.borrow();
        wanted.saturating_sub(self.waiting().len())
    }

    /// Starts no more. The task that fills the pool is waited for: aborted, a start under way would leave a sandbox.
    pub(super) async fn end(&self) {
        self.want(0);
        self.changed.notify_one();
        let keeper = self.keeper().take();
        if let Some(mut keeper) = keeper
            && tokio::time::timeout(STOP_TIMEOUT, &mut keeper)
                .await
                .is_err()
        {
            keeper.abort();
        }
    }

    /// Gives those that wait a sign of life; those that are dead or old wait no more, and are to be ended.
    pub(super) async fn tend(&self) -> Vec<Warm> {
        let mut condemned = Vec::new();
        let count = self.waiting().len();
        for _ in 0..count {
            let Some(mut warm) = self.waiting().pop_front() else {
                break;
            };
            if warm.is_young() && warm.is_reachable().await {
                self.waiting().push_back(warm);
            } else {
                condemned.push(warm);
            }
        }
        condemned
    }

    /// One with these limits, which waits no more.
    pub(super) fn take(&self, limits: Limits) -> Option<Warm> {
        let mut waiting = self.waiting();
        let fits = |warm: &Warm| warm.limits == limits && warm.is_young();
        let place = waiting.iter().position(fits)?;
        waiting.remove(place)
    }
}

impl Warm {
    /// One that waits from now on.
    pub(super) fn new(name: String, limits: Limits, launched: Launched) -> Self {
        Self {
            name,
            limits,
            launched,
            since: Instant::now(),
        }
    }

    /// Later than the end of any container that it may be given to.
    pub(super) fn expires_at() -> DateTime<Utc> {
        Clock::default().now() + chrono::TimeDelta::days(CONTAINER_LIFE_DAYS) + WARM_LIFE
    }

    fn is_young(&self) -> bool {
        self.since.elapsed() < WARM_LIFE
    }

    /// A mark, and nothing behind it, is a sign of life to a guest with a lease.
    async fn is_reachable(&mut self) -> bool {
        let Some(lease) = self.launched.lease else {
            return true;
        };
        let writer = &mut self.launched.channel.writer;
        let mark = lease.token.mark();
        let write = async {
            writer.write_all(&mark).await?;
            writer.flush().await
        };
        matches!(tokio::time::timeout(MARK_TIMEOUT, write).await, Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn another_is_made_only_after_who_took_one_has_had_a_moment() {
        let pool = Pool::default();
        let mut taken = pin!(pool.taken());
        let soon = RESPITE / 2;
        assert!(
            tokio::time::timeout(RESPITE * 10, taken.as_mut())
                .await
                .is_err()
        );
        pool.changed.notify_one();
        assert!(tokio::time::timeout(soon, taken.as_mut()).await.is_err());
        assert!(tokio::time::timeout(RESPITE, taken).await.is_ok());
    }
}
