//! Sandboxes that run already, for containers that have none yet.
//!
//! A warm sandbox has a name of its own; given to a container it is renamed, which the engine does at
//! once or not at all. So a container's sandbox is always found by its name, and one that is still
//! called warm belongs to nobody.
//!
//! The engine writes the new name through to its disk, which takes longer than a call. Where sandboxes end with this
//! server no later one looks for them, so the first call does not wait for that; what uses the name does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard::query_parameters::RenameContainerOptionsBuilder;
use futures_util::FutureExt as _;
use futures_util::future::Shared;

use super::engine::Failure;
use super::{DockerBackend, Engine};
use crate::warm::Warm;
use crate::{BoxFuture, Launched, Limits, SandboxError, SandboxSpec};
use common::ids::{Ids, SandboxId};
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

    /// A warm sandbox for a container that has none of its own, if one waits.
    pub(super) async fn take_warm(&self, spec: &SandboxSpec) -> Option<Launched> {
        let id = &spec.sandbox_id;
        let name = self.sandbox_name(id);
        if self.lease_span.is_some() {
            return self.take_by_name(spec, &name).await;
        }
        if self.made.has(id) {
            return None;
        }
        let warm = self.warm.take(spec.limits)?;
        self.warm.changed.notify_one();
        let naming = name_later(
            self.engine.clone(),
            self.made.clone(),
            id.clone(),
            warm.name,
            name,
        );
        self.made.lock().insert(id.clone(), Some(naming));
        Some(warm.launched)
    }

    /// A warm sandbox under its new name; `None` if there is none, or the container has one of its own.
    async fn take_by_name(&self, spec: &SandboxSpec, name: &str) -> Option<Launched> {
        let warm = self.warm.take(spec.limits)?;
        match rename(&self.engine, &warm.name, name).await {
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

    /// The name by which the engine has the sandbox of a container, once it is settled.
    pub(super) async fn settled_name(&self, id: &str) -> String {
        let naming = self.made.lock().get(id).cloned().flatten();
        match naming {
            Some(naming) => naming.await,
            None => self.sandbox_name(id),
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

/// The containers whose sandboxes this server has made, where sandboxes end with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Made(Arc<Mutex<HashMap<SandboxId, Option<Naming>>>>);

/// A name that is being given; the one that the sandbox has in the end.
type Naming = Shared<BoxFuture<'static, String>>;

impl Made {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, Option<Naming>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, id: &SandboxId) -> bool {
        self.lock().contains_key(id)
    }
}

/// Renames a sandbox meanwhile. One that the engine does not rename goes on with the name that it has.
fn name_later(engine: Engine, made: Made, id: SandboxId, former: String, name: String) -> Naming {
    let kept = former.clone();
    let task = tokio::spawn(async move {
        match rename(&engine, &former, &name).await {
            Ok(()) => {
                made.lock().entry(id).and_modify(|naming| *naming = None);
                name
            }
            Err(failure) => {
                tracing::debug!(error = %failure.error, "a sandbox keeps the name `{former}`");
                former
            }
        }
    });
    let named = async move { task.await.unwrap_or(kept) };
    (Box::pin(named) as BoxFuture<'static, String>).shared()
}

async fn rename(engine: &Engine, former: &str, name: &str) -> Result<(), Failure> {
    let options = RenameContainerOptionsBuilder::default().name(name).build();
    let rename = engine.docker.rename_container(former, options);
    engine.ask("take a warm sandbox", rename).await
}
