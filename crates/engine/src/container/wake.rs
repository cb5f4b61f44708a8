//! From a container to its running sandbox: taken up if one runs from before, else started.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Container, Containers, ends_at};
use sandbox::guest::{Guest, GuestError, HELLO_TIMEOUT, Left, RESUME_TIMEOUT, left_waiting};
use sandbox::{SandboxError, SandboxSpec};
use store::ContainerState;

/// How a sandbox came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    TakenUp,
    /// `empty` if what earlier calls have left in it is gone.
    Started {
        empty: bool,
    },
}

impl Woken {
    /// Whether uploads and skills are to be put into it again.
    pub(super) fn is_to_be_furnished(self, keeps_files: bool) -> bool {
        match self {
            Self::TakenUp => false,
            Self::Started { empty } => empty || !keeps_files,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::TakenUp => "taken up",
            Self::Started { .. } => "started",
        }
    }
}

impl Containers {
    /// A connection to the container's sandbox, which runs from now on.
    pub(super) async fn wake(&self, container: &Container) -> Result<(Guest, Woken), SandboxError> {
        let begun = Instant::now();
        let (guest, woken) = if let Some(guest) = self.take_up(container).await? {
            (guest, Woken::TakenUp)
        } else {
            let empty = container.has_run.load(Ordering::Relaxed)
                && self.0.backend.has_lost(&container.sandbox_id).await?;
            (self.start(container).await?, Woken::Started { empty })
        };
        let how = woken.told();
        self.0.telemetry.start(how, begun.elapsed());
        tracing::info!(
            container.id = %container.id,
            backend = self.0.backend.name(),
            start.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "container awake: {how}"
        );
        // One that was discarded may have left its id to another.
        let is_known = self.0.lock().contains_key(&container.sandbox_id);
        if !is_known || !self.set_state(container, ContainerState::Awake).await {
            // It expired, or was reset, while it woke.
            self.0.backend.remove(&container.sandbox_id).await?;
            return Err(SandboxError::Engine {
                operation: "wake the container",
                cause: "it is no more".into(),
            });
        }
        container.may_run.store(true, Ordering::Relaxed);
        self.tell(container, "container_woken");
        Ok((guest, woken))
    }

    /// The sandbox that an earlier server left, or whose channel broke, with all that runs in it; `None` if there is
    /// none that answers. An error says nothing of the sandbox, and so the next call asks again: a lease ends what
    /// stays out of reach.
    pub(super) async fn take_up(
        &self,
        container: &Container,
    ) -> Result<Option<Guest>, SandboxError> {
        /// A connection may break again while its engine restarts.
        const TRIES: u32 = 4;
        const PAUSE: Duration = Duration::from_millis(100);
        // Once: what does not answer is started anew.
        if !container.may_run.swap(false, Ordering::Relaxed) {
            return Ok(None);
        }
        for n in 0..TRIES {
            let launched = match self.0.backend.take_up(&container.sandbox_id).await {
                Ok(Some(launched)) => launched,
                Ok(None) => return Ok(None),
                Err(error) if n + 1 == TRIES => {
                    container.may_run.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                Err(error) => {
                    tracing::debug!(container.id = %container.id, %error, "the sandbox is out of reach");
                    tokio::time::sleep(PAUSE * 2_u32.pow(n)).await;
                    continue;
                }
            };
            let settings = self.0.backend.settings(&self.spec(container));
            match Guest::resume(launched, settings, RESUME_TIMEOUT).await {
                // Started, and never furnished; or in the place of one that is gone.
                Ok((_, left)) if left.is_new => return Ok(None),
                Ok((guest, left)) => {
                    // Its channel, too, may break.
                    container.may_run.store(true, Ordering::Relaxed);
                    return Ok(Some(found(container, guest, left)));
                }
                Err(error) => {
                    tracing::debug!(container.id = %container.id, %error, "the sandbox is not taken up");
                    if !matches!(error, GuestError::Gone) {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    async fn start(&self, container: &Container) -> Result<Guest, SandboxError> {
        match self.start_once(container, HELLO_TIMEOUT).await {
            // A warm sandbox may have died unseen; the next start is a fresh one.
            Err(SandboxError::Guest(GuestError::Gone)) => {
                self.start_once(container, HELLO_TIMEOUT).await
            }
            other => other,
        }
    }

    pub(super) fn spec(&self, container: &Container) -> SandboxSpec {
        SandboxSpec {
            sandbox_id: container.sandbox_id.clone(),
            expires_at: ends_at(container.created_at),
            limits: self.0.limits,
        }
    }

    async fn start_once(
        &self,
        container: &Container,
        limit: Duration,
    ) -> Result<Guest, SandboxError> {
        let spec = self.spec(container);
        let launched = self.0.backend.launch(&spec).await?;
        let settings = self.0.backend.settings(&spec);
        let (guest, _) = Guest::resume(launched, settings, limit).await?;
        Ok(guest)
    }
}

/// Ends the calls that an earlier server has left in a sandbox that is taken up, and keeps a cell that waits.
fn found(container: &Container, guest: Guest, left: Left) -> Guest {
    for call in &left.unclaimed {
        tracing::debug!(call.output_dir = %call.output_dir, call.done, "a call of an earlier server ends");
    }
    // A turn ends with its request; only cells that a client knows of go on.
    guest.release();
    if let Some(cell) = left.waiting {
        container.found_waiting(left_waiting(cell));
    }
    guest
}
