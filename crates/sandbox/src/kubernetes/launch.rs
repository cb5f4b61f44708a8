//! Starting a sandbox, taking up one that runs, and ending one.

use std::time::Duration;

use super::failure::Trouble;
use tokio::sync::{SemaphorePermit, watch};

use crate::{GuestLease, Launched, SandboxError, SandboxSpec, guest};
use common::limits::{ENGINE_CHANGE_TIMEOUT, SANDBOX_LEASE};

use super::backend::KubernetesBackend;
use super::look::{Look, Stage};
use super::spec::Files;
use super::watch::Pods;
use super::{channel, failure};
use common::ids::SandboxId;

impl KubernetesBackend {
    /// Starts a container's sandbox: a warm one if it has none yet and one is there.
    pub(super) async fn launch_one(&self, spec: &SandboxSpec) -> Result<Launched, SandboxError> {
        self.complete(ENGINE_CHANGE_TIMEOUT).await?;
        self.end_one(&spec.sandbox_id).await?;
        if let Some(launched) = self.take_warm(spec).await {
            return Ok(launched);
        }
        let _turn = self.turn().await;
        let name = self.mould.owner.new_name("");
        match &self.pool {
            Some(pool) => self.claim(pool, spec, &name).await,
            None => self.start(spec, &name, false).await,
        }
    }

    /// A place among the starts that go on at once.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        let turn = self.starts.acquire().await;
        turn.expect("the semaphore is never closed")
    }

    /// Makes the pod of this name and opens a stream to its guest: three calls at most.
    pub(super) async fn start(
        &self,
        spec: &SandboxSpec,
        name: &str,
        is_warm: bool,
    ) -> Result<Launched, SandboxError> {
        let claim = self.keeps_files().then(|| {
            let owner = &self.mould.owner;
            owner.claim_name(&spec.sandbox_id)
        });
        let files = match &claim {
            Some(claim) => {
                self.make_claim_once(claim, spec).await?;
                Files::Claim(claim)
            }
            None => Files::Pod,
        };
        let lease = GuestLease {
            token: guest::token(),
            span: SANDBOX_LEASE,
        };
        let made = self
            .mould
            .pod(name, spec, is_warm, &lease, (self.network, files));
        // Before it is there, so that nothing of it is missed.
        let pod = self.pods.follow(name);
        self.cluster.make_pod(&made).await?;
        let opened = async {
            self.running(pod, self.mould.settings.patience())
                .await
                .map_err(|trouble| failure::of_start(&trouble.to_string()))?;
            channel::open(&self.cluster, name).await
        };
        let opened = if is_warm {
            // A server that ends waits for no node.
            tokio::select! {
                opened = opened => opened,
                () = self.warm.unwanted() => Err(failure::of_start("the server ends")),
            }
        } else {
            opened.await
        };
        match opened {
            Ok(channel) => Ok(Launched {
                channel,
                lease: Some(lease),
            }),
            Err(error) => {
                self.abandon_pod(name);
                Err(error)
            }
        }
    }

    /// Waits until a pod runs; why not, if it does not.
    pub(super) async fn running(
        &self,
        mut pod: watch::Receiver<Option<Look>>,
        limit: Duration,
    ) -> Result<(), Trouble> {
        let started = Pods::until(&mut pod, limit, |look| match &look?.stage {
            Stage::Running => Some(Ok(())),
            Stage::Broken(reason) | Stage::Ended { reason, .. } => Some(Err(Trouble::new(reason))),
            Stage::Ending => Some(Err(Trouble::new("it was deleted while it started"))),
            Stage::Pending(_) => None,
        });
        started
            .await
            .unwrap_or_else(|look| Err(Trouble::new(self.still_pending(look.as_ref()))))
    }

    fn still_pending(&self, look: Option<&Look>) -> String {
        let because = match look.map(|look| &look.stage) {
            Some(Stage::Pending(Some(reason))) => reason.clone(),
            Some(_) => "no node has said why".to_owned(),
            None => self.pods.trouble(),
        };
        self.still("running", &because)
    }

    /// The message of a time-out: the state that was not reached in time, and why.
    pub(super) fn still(&self, what: &str, because: &str) -> String {
        let seconds = self.mould.settings.patience().as_secs();
        format!("still not {what} after {seconds} s: {because}")
    }

    /// Ends a pod that nobody waits for any more.
    pub(super) fn abandon_pod(&self, name: &str) {
        let (cluster, name) = (self.cluster.clone(), name.to_owned());
        tokio::spawn(async move {
            if let Err(error) = cluster.end_pod(&name).await {
                tracing::debug!(pod.name = %name, %error, "a pod may be left; its guest ends it");
            }
        });
    }

    async fn make_claim_once(&self, claim: &str, spec: &SandboxSpec) -> Result<(), SandboxError> {
        self.cluster
            .make_claim(&self.mould.claim(claim, spec))
            .await
    }

    /// A new stream to a guest that runs.
    pub(super) async fn take_up_one(
        &self,
        sandbox_id: &SandboxId,
    ) -> Result<Option<Launched>, SandboxError> {
        self.complete(ENGINE_CHANGE_TIMEOUT).await?;
        let own = match &self.pool {
            Some(pool) => pool.pods_of(&self.pods, sandbox_id),
            None => self.pods.of(sandbox_id),
        };
        let Some(pod) = own.iter().find(|look| look.runs() && look.lease.is_some()) else {
            for look in &own {
                if let Stage::Ended { reason, .. } = &look.stage {
                    tracing::warn!(sandbox.id = %sandbox_id, %reason, "the sandbox's pod has ended");
                }
            }
            return Ok(None);
        };
        let channel = channel::open(&self.cluster, &pod.name).await?;
        Ok(Some(Launched {
            channel,
            lease: pod.lease,
        }))
    }

    /// Ends what runs of a container, and returns when it is gone: its files may be wanted elsewhere.
    pub(super) async fn end_one(&self, sandbox_id: &SandboxId) -> Result<(), SandboxError> {
        if let Some(pool) = &self.pool {
            return self.give_back(pool, sandbox_id).await;
        }
        for look in self.pods.of(sandbox_id) {
            let pod = self.pods.follow(&look.name);
            self.cluster.end_pod(&look.name).await?;
            gone(pod).await?;
        }
        Ok(())
    }

    /// Waits until the watches have told of all there is.
    pub(super) async fn complete(&self, limit: Duration) -> Result<(), SandboxError> {
        let complete = async {
            self.pods.complete(limit).await?;
            match &self.pool {
                Some(pool) => pool.tickets.complete(limit).await,
                None => Ok(()),
            }
        };
        complete
            .await
            .map_err(|trouble: Trouble| SandboxError::Engine {
                operation: "watch the pods",
                cause: trouble.to_string().into(),
            })
    }
}

/// Waits until a pod that was told to end is no more.
pub(super) async fn gone(mut pod: watch::Receiver<Option<Look>>) -> Result<(), SandboxError> {
    let gone = Pods::until(&mut pod, ENGINE_CHANGE_TIMEOUT, |look| {
        look.is_none().then_some(())
    });
    gone.await.map_err(|_| SandboxError::EngineTimeout {
        operation: "end the sandbox's pod",
        seconds: ENGINE_CHANGE_TIMEOUT.as_secs(),
    })
}
