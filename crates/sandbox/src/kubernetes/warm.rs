//! Pods that run already, for containers that have none yet.
//!
//! A warm pod has no label of a container; given to one, it gets it, with one call.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::backend::KubernetesBackend;
use super::names::{EXPIRES, SANDBOX, expiry, label};
use crate::warm::Warm;
use crate::{Launched, Limits, SandboxError, SandboxSpec};
use common::limits::SANDBOX_LEASE;

impl KubernetesBackend {
    /// Keeps so many pods warm, from now until the end of the server.
    pub fn keep_warm(self: &Arc<Self>, count: usize, limits: Limits) {
        self.warm.want(count);
        let backend = Arc::clone(self);
        let keeper = tokio::spawn(async move { backend.fill(limits).await });
        if let Some(former) = self.warm.keeper().replace(keeper) {
            former.abort();
        }
    }

    /// How many pods wait now.
    pub fn warm_count(&self) -> usize {
        self.warm.waiting().len()
    }

    async fn fill(&self, limits: Limits) {
        while self.warm.is_wanted() {
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
        let _turn = self.turn().await;
        let name = self.mould.owner.new_name("warm-");
        let spec = SandboxSpec {
            sandbox_id: name.as_str().into(),
            // Until it is given to a container.
            expires_at: Warm::expires_at(),
            limits,
        };
        let launched = self.start(&spec, &name, true).await?;
        Ok(Warm::new(name, limits, launched))
    }

    /// Gives the waiting pods a sign of life, and ends those that are dead or old.
    async fn tend(&self) {
        for warm in self.warm.tend().await {
            self.abandon_pod(&warm.name);
        }
    }

    /// A warm pod with the container's label; `None` if there is none.
    pub(super) async fn take_warm(&self, spec: &SandboxSpec) -> Option<Launched> {
        let warm = self.warm.take(spec.limits)?;
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

    /// Starts no more, and returns when what was under way is over.
    pub(super) async fn close_pool(&self) {
        self.warm.end().await;
        // Their pods go with all others.
        self.warm.waiting().clear();
    }
}
