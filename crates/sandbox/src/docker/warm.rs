//! Sandboxes that run already, for containers that have none yet.
//!
//! A warm sandbox has a name of its own; given to a container it is renamed, which the engine does at
//! once or not at all. So a container's sandbox is always found by its name, and one that is still
//! called warm belongs to nobody.

use std::sync::Arc;

use bollard::query_parameters::RenameContainerOptionsBuilder;

use super::DockerBackend;
use crate::warm::Warm;
use crate::{Launched, Limits, SandboxError, SandboxSpec};
use common::ids::Ids;
use common::limits::SANDBOX_LEASE;

impl DockerBackend {
    /// Keeps so many sandboxes warm, from now until [`close`](crate::Host::close).
    pub fn keep_warm(self: &Arc<Self>, count: usize, limits: Limits) {
        self.warm.want(count);
        let backend = Arc::clone(self);
        let keeper = tokio::spawn(async move { backend.fill(limits).await });
        *self.warm.keeper() = Some(keeper);
    }

    /// Leaves the warm sandboxes behind, as a process that is killed does.
    pub fn abandon(&self) {
        if let Some(keeper) = self.warm.keeper().take() {
            keeper.abort();
        }
    }

    /// How many sandboxes wait now.
    pub fn warm_count(&self) -> usize {
        self.warm.waiting().len()
    }

    async fn fill(&self, limits: Limits) {
        while self.warm.is_wanted() {
            while self.warm.lacks() > 0 {
                match self.start_warm(limits).await {
                    Ok(warm) => self.warm.waiting().push_back(warm),
                    Err(error) => {
                        // The next container starts a sandbox itself and says what is wrong.
                        tracing::debug!(%error, "no sandbox is kept warm");
                        break;
                    }
                }
            }
            let pause = tokio::time::sleep(SANDBOX_LEASE / 4);
            tokio::select! {
                () = self.warm.taken() => {}
                () = pause => self.tend().await,
            }
        }
    }

    async fn start_warm(&self, limits: Limits) -> Result<Warm, SandboxError> {
        let id = format!("warm-{}", Ids::random().next_hex16());
        let name = self.sandbox_name(&id);
        let spec = SandboxSpec {
            sandbox_id: id.into(),
            expires_at: Warm::expires_at(),
            limits,
        };
        let launched = self.launch_as(&spec, &name).await?;
        Ok(Warm::new(name, limits, launched))
    }

    /// Gives the waiting sandboxes a sign of life, and ends those that are dead or old.
    async fn tend(&self) {
        for warm in self.warm.tend().await {
            if let Err(error) = self.delete(&warm.name).await {
                tracing::debug!(%error, "a warm sandbox may be left");
            }
        }
    }

    /// A warm sandbox under its new name; `None` if there is none, or the container has one of its own.
    pub(super) async fn take_warm(&self, spec: &SandboxSpec, name: &str) -> Option<Launched> {
        let warm = self.warm.take(spec.limits)?;
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let rename = self.engine.docker.rename_container(&warm.name, options);
        match self.engine.ask("take a warm sandbox", rename).await {
            Ok(()) => {
                self.warm.changed.notify_one();
                Some(warm.launched)
            }
            Err(failure) => {
                if failure.status == Some(409) {
                    self.warm.waiting().push_front(warm);
                } else {
                    tracing::debug!(error = %failure.error, "a warm sandbox is of no use");
                    self.delete(&warm.name).await.ok();
                    self.warm.changed.notify_one();
                }
                None
            }
        }
    }

    /// Ends the waiting sandboxes and starts no more.
    pub(super) async fn close_pool(&self) -> Result<(), SandboxError> {
        self.warm.end().await;
        let left: Vec<Warm> = self.warm.waiting().drain(..).collect();
        for warm in left {
            self.delete(&warm.name).await?;
        }
        Ok(())
    }
}
