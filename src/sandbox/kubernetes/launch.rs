//! Starting a sandbox, taking up one that runs, and ending one.

use tokio::sync::SemaphorePermit;

use crate::limits::{ENGINE_CHANGE_TIMEOUT, SANDBOX_LEASE};
use crate::sandbox::{GuestLease, Launched, SandboxError, SandboxSpec, guest};

use super::backend::KubernetesBackend;
use super::look::{Look, Stage};
use super::spec::Files;
use super::watch::Pods;
use super::{channel, failure};
use crate::ids::SandboxId;

impl KubernetesBackend {
    /// Starts a container's sandbox: a warm one if it has none yet and one is there.
    pub(super) async fn launch_one(&self, spec: &SandboxSpec) -> Result<Launched, SandboxError> {
        self.complete().await?;
        self.end_one(&spec.sandbox_id).await?;
        if let Some(launched) = self.take_warm(spec).await {
            return Ok(launched);
        }
        let _turn = self.turn().await;
        let name = self.mould.owner.new_name("");
        self.start(spec, &name, false).await
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
        let mut pod = self.pods.follow(name);
        self.cluster.make_pod(&made).await?;
        let started = Pods::until(
            &mut pod,
            self.mould.settings.patience(),
            |look| match &look?.stage {
                Stage::Running => Some(Ok(())),
                Stage::Broken(reason) | Stage::Ended { reason, .. } => Some(Err(reason.clone())),
                Stage::Ending => Some(Err("it was deleted while it started".to_owned())),
                Stage::Pending(_) => None,
            },
        );
        let trouble = match started.await {
            Ok(Ok(())) => match channel::open(&self.cluster, name).await {
                Ok(channel) => {
                    return Ok(Launched {
                        channel,
                        lease: Some(lease),
                    });
                }
                Err(error) => {
                    self.abandon_pod(name);
                    return Err(error);
                }
            },
            Ok(Err(trouble)) => trouble,
            Err(look) => self.still_pending(look.as_ref()),
        };
        self.abandon_pod(name);
        Err(failure::of_start(&trouble))
    }

    fn still_pending(&self, look: Option<&Look>) -> String {
        let seconds = self.mould.settings.patience().as_secs();
        let because = match look.map(|look| &look.stage) {
            Some(Stage::Pending(Some(reason))) => reason.clone(),
            Some(_) => "no node has said why".to_owned(),
            None => self.pods.trouble(),
        };
        format!("still not running after {seconds} s: {because}")
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
        self.complete().await?;
        let own = self.pods.of(sandbox_id);
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
        for look in self.pods.of(sandbox_id) {
            let mut pod = self.pods.follow(&look.name);
            self.cluster.end_pod(&look.name).await?;
            let gone = Pods::until(&mut pod, ENGINE_CHANGE_TIMEOUT, |look| {
                look.is_none().then_some(())
            });
            if gone.await.is_err() {
                return Err(SandboxError::EngineTimeout {
                    operation: "end the sandbox's pod",
                    seconds: ENGINE_CHANGE_TIMEOUT.as_secs(),
                });
            }
        }
        Ok(())
    }

    /// Waits for the watch, which knows what there is.
    async fn complete(&self) -> Result<(), SandboxError> {
        let complete = self.pods.complete(ENGINE_CHANGE_TIMEOUT).await;
        complete.map_err(|reason| SandboxError::Engine {
            operation: "watch the pods",
            reason,
        })
    }
}
