//! Pods that run already, for containers that have none yet.
//!
//! A warm pod has no label of a container; given to one, it gets it, with one call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::backend::KubernetesBackend;
use super::names::{EXPIRES, SANDBOX, expiry, label};
use crate::clock::Clock;
use crate::limits::{CONTAINER_LIFE_DAYS, SANDBOX_LEASE, WARM_LIFE};
use crate::sandbox::{Launched, Limits, SandboxError, SandboxSpec};

/// How long a write to a warm sandbox may take before it counts as dead.
const MARK_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: Mutex<VecDeque<Warm>>,
    wanted: AtomicUsize,
    changed: Notify,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Warm {
    name: String,
    limits: Limits,
    launched: Launched,
    since: Instant,
}

impl Pool {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Warm>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lacks(&self) -> usize {
        let wanted = self.wanted.load(Ordering::Relaxed);
        wanted.saturating_sub(self.waiting().len())
    }
}

impl KubernetesBackend {
    /// Keeps so many pods warm, from now until the end of the server.
    pub fn keep_warm(self: &Arc<Self>, count: usize, limits: Limits) {
        self.warm.wanted.store(count, Ordering::Relaxed);
        let backend = Arc::clone(self);
        let keeper = tokio::spawn(async move { backend.fill(limits).await });
        let former = self
            .warm
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(keeper);
        if let Some(former) = former {
            former.abort();
        }
    }

    /// How many pods wait now.
    pub fn warm_count(&self) -> usize {
        self.warm.waiting().len()
    }

    async fn fill(&self, limits: Limits) {
        loop {
            let starts = (0..self.warm.lacks()).map(|_| self.start_warm(limits));
            for started in futures_util::future::join_all(starts).await {
                match started {
                    Ok(warm) => self.warm.waiting().push_back(warm),
                    // The next container starts a sandbox itself and says what is wrong.
                    Err(error) => tracing::debug!(%error, "no sandbox is kept warm"),
                }
            }
            tokio::select! {
                () = self.warm.changed.notified() => {}
                () = tokio::time::sleep(SANDBOX_LEASE / 4) => self.tend().await,
            }
        }
    }

    async fn start_warm(&self, limits: Limits) -> Result<Warm, SandboxError> {
        let _turn = self
            .starts
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let name = self.mould.owner.new_name("warm-");
        let days = chrono::TimeDelta::days(CONTAINER_LIFE_DAYS);
        let spec = SandboxSpec {
            sandbox_id: name.as_str().into(),
            // Until it is given to a container.
            expires_at: Clock::default().now() + days + WARM_LIFE,
            limits,
        };
        Ok(Warm {
            launched: self.start(&spec, &name, true).await?,
            name,
            limits,
            since: Instant::now(),
        })
    }

    /// Gives the waiting pods a sign of life, and ends those that are dead or old.
    async fn tend(&self) {
        for _ in 0..self.warm_count() {
            let Some(mut warm) = self.warm.waiting().pop_front() else {
                return;
            };
            if warm.since.elapsed() < WARM_LIFE && warm.is_reachable().await {
                self.warm.waiting().push_back(warm);
            } else {
                self.abandon_pod(&warm.name);
            }
        }
    }

    /// A warm pod with the container's label; `None` if there is none.
    pub(super) async fn take_warm(&self, spec: &SandboxSpec) -> Option<Launched> {
        let warm = {
            let mut waiting = self.warm.waiting();
            let place = waiting
                .iter()
                .position(|warm| warm.limits == spec.limits && warm.since.elapsed() < WARM_LIFE)?;
            waiting.remove(place)?
        };
        self.warm.changed.notify_one();
        let label = json!({ "metadata": {
            "labels": { SANDBOX: label(&spec.sandbox_id) },
            "annotations": { EXPIRES: expiry(spec.expires_at)[EXPIRES] },
        }});
        let params = PatchParams::default();
        let patch = Patch::Merge(&label);
        let patched = self.cluster.pods.patch(&warm.name, &params, &patch);
        match self.cluster.ask("take a warm pod", patched).await {
            Ok(_) => {
                self.pods.give(&warm.name, &spec.sandbox_id);
                Some(warm.launched)
            }
            Err(error) => {
                tracing::debug!(%error, "a warm pod is of no use");
                self.abandon_pod(&warm.name);
                None
            }
        }
    }

    /// Starts no more.
    pub(super) fn close_pool(&self) {
        self.warm.wanted.store(0, Ordering::Relaxed);
        let keeper = self.warm.keeper.lock();
        if let Some(keeper) = keeper.unwrap_or_else(PoisonError::into_inner).take() {
            keeper.abort();
        }
        self.warm.waiting().clear();
    }
}

impl Warm {
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
