//! Sandboxes: the launchers, and the client of the guest that every launcher shares.
//!
//! A [`Backend`] only starts the guest and hands back a duplex byte channel. All that happens over
//! the bytes (exec, editor, files, time-outs, caps) is in [`guest`] and the same for every backend.

pub mod docker;
pub mod guest;
#[cfg(target_os = "linux")]
pub mod local;
mod memory;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::ids::SandboxId;

/// A boxed future, as trait objects need them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A better way to confine sandboxes that does not work here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// `docker` or `namespaces`.
    pub name: &'static str,
    pub reason: String,
}

/// What a launcher has to know of a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// The container's id (`container_01…`): names the sandbox on the engine.
    pub sandbox_id: SandboxId,
    /// When the container ends for good; a label, so that a later server can clear up.
    pub expires_at: DateTime<Utc>,
    pub limits: Limits,
}

/// What a sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    /// Thousandths of a CPU.
    pub milli_cpus: u32,
    pub pids: i64,
}

impl Default for Limits {
    /// The documented limits.
    fn default() -> Self {
        Self {
            memory_bytes: crate::limits::SANDBOX_MEMORY_BYTES,
            disk_bytes: crate::limits::SANDBOX_DISK_BYTES,
            milli_cpus: 1000,
            pids: crate::limits::SANDBOX_PIDS,
        }
    }
}

/// The two halves of a started guest's byte channel.
pub struct Channel {
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}

/// How a guest outlives its server for a while, to be taken up by the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestLease {
    /// Starts the streams of its servers.
    pub token: guest_proto::Token,
    /// It ends after so long a silence.
    pub span: Duration,
}

/// A guest that runs.
#[derive(Debug)]
pub struct Launched {
    pub channel: Channel,
    /// `None` if it ends with the channel.
    pub lease: Option<GuestLease>,
}

/// Something that launches sandboxes.
pub trait Backend: Send + Sync + fmt::Debug {
    /// `docker`, `local`, or `none`.
    fn name(&self) -> &'static str;

    /// What confines sandboxes: `docker`, `namespaces`, `landlock`, or `none`.
    fn rung(&self) -> &'static str {
        self.name()
    }

    /// What would confine them better, and why it does not run.
    fn passed_over(&self) -> &[PassedOver] {
        &[]
    }

    /// Starts the sandbox of a container: a new one, or a stopped one with its files kept. Ends a
    /// running one of the same id first.
    fn start<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Channel, SandboxError>>;

    /// [`Self::start`], and how long the guest outlives the channel.
    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(async move {
            let channel = self.start(spec).await?;
            Ok(Launched {
                channel,
                lease: None,
            })
        })
    }

    /// A new channel to a guest that runs, if it can be had: after the server's restart, or a fault of
    /// the engine's.
    fn take_up<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
        let _ = sandbox_id;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Makes the place of the skills in a sandbox that runs, writable for its guest. Fine if it is there.
    fn prepare_skills<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        let _ = sandbox_id;
        Box::pin(std::future::ready(Ok(())))
    }

    /// What the guest of a started sandbox is to be told: what the launcher cannot limit itself, the
    /// guest watches.
    fn settings(&self, spec: &SandboxSpec) -> guest::Settings {
        guest::Settings {
            max_file_bytes: spec.limits.disk_bytes,
            max_disk_bytes: spec.limits.disk_bytes,
            ..guest::Settings::default()
        }
    }

    /// Ends the processes and keeps the files. Fine if nothing runs.
    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Ends the processes and deletes the files. Fine if nothing is there.
    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Whether a sandbox could be had at once; the reason if not.
    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>>;
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Nothing here can run code; `hint` says what the user can do.
    #[error("no sandbox backend: {reason}")]
    Unavailable { reason: String, hint: String },
    /// The engine refused or failed.
    #[error("{operation}: {reason}")]
    Engine {
        operation: &'static str,
        reason: String,
    },
    /// The engine did not answer in time.
    #[error("{operation}: no answer within {seconds} s")]
    EngineTimeout {
        operation: &'static str,
        seconds: u64,
    },
    /// The guest is gone or speaks nonsense.
    #[error(transparent)]
    Guest(#[from] guest::GuestError),
}
