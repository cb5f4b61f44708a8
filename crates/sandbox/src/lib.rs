//! Sandboxes: the launchers, and the client of the guest that every launcher shares.
//!
//! A [`Launcher`] only starts the guest and hands back a duplex byte channel; its [`Host`] is the machine or the
//! engine behind it, and a [`Backend`] is both. All that happens over the bytes (exec, editor, files, time-outs,
//! caps) is in [`guest`] and the same for every backend.

pub mod docker;
pub mod guest;
pub mod kubernetes;
#[cfg(target_os = "linux")]
pub mod local;
mod lock;
mod memory;
mod removal;
mod warm;

use std::borrow::Cow;
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncRead, AsyncWrite};

use common::hinted::Hinted;
use common::ids::SandboxId;

pub use removal::remove_tree;

/// A boxed future, as trait objects need them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A better way to confine sandboxes that does not work here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// `docker` or `namespaces`.
    pub name: &'static str,
    pub reason: String,
}

/// The means of isolation that `local` may use for its sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Namespaces where they may be made, else Landlock.
    #[default]
    Any,
    /// Namespaces or nothing.
    Strict,
    /// Landlock, even where namespaces may be made: what a user of the third rung gets.
    Landlock,
}

/// The specification by which a launcher starts a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// The container's id (`container_01…`): names the sandbox on the engine.
    pub sandbox_id: SandboxId,
    /// When the container ends for good; a label, so that a later server can clear up.
    pub expires_at: DateTime<Utc>,
    pub limits: Limits,
}

/// Resource limits of a sandbox.
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
            memory_bytes: common::limits::SANDBOX_MEMORY_BYTES,
            disk_bytes: common::limits::SANDBOX_DISK_BYTES,
            milli_cpus: 1000,
            pids: common::limits::SANDBOX_PIDS,
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

impl GuestLease {
    /// As a guest has it in [`guest_proto::LEASE_VARIABLE`]: milliseconds, a blank, the token's digits.
    pub(crate) fn to_variable(self) -> String {
        format!("{} {}", self.span.as_millis(), self.token.to_hex())
    }

    /// Reads that back.
    pub(crate) fn of_variable(text: &str) -> Option<Self> {
        let (span, token) = text.split_once(' ')?;
        Some(Self {
            token: guest_proto::Token::from_hex(token)?,
            span: Duration::from_millis(span.parse().ok()?),
        })
    }
}

/// A guest that runs.
#[derive(Debug)]
pub struct Launched {
    pub channel: Channel,
    /// `None` if it ends with the channel.
    pub lease: Option<GuestLease>,
}

impl SandboxSpec {
    /// The settings of the guest: a disk that its host does not limit, it watches.
    pub fn settings(&self, host: Capabilities) -> guest::Settings {
        let disk_bytes = self.limits.disk_bytes;
        guest::Settings {
            max_file_bytes: disk_bytes,
            max_disk_bytes: if host.exact_disk { 0 } else { disk_bytes },
            max_processes: u64::try_from(self.limits.pids).unwrap_or(0),
            ..guest::Settings::default()
        }
    }
}

/// A backend's description of itself in the banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The engine and the image, the interpreter, the limits.
    pub text: String,
    /// The one command that would improve it.
    pub improve: Option<String>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.improve {
            Some(command) => write!(f, "; to improve it: {command}"),
            None => Ok(()),
        }
    }
}

/// Capabilities that differ from host to host, as far as they are known by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The name of the isolation of sandboxes, such as `docker`, `namespaces`, `landlock`, or `none`.
    pub rung: &'static str,
    /// A full disk refuses; else the guest watches it, and ends what fills it.
    pub exact_disk: bool,
    /// A sandbox that is stopped has its files when it is launched again; else they are its server's to keep.
    pub keeps_files: bool,
}

/// Starts and ends single sandboxes. No method has a default: who adds a backend decides each.
pub trait Launcher: Send + Sync + fmt::Debug {
    /// Starts the sandbox of a container: a new one, or a stopped one with its files kept. Ends a
    /// running one of the same id first.
    fn launch<'a>(&'a self, spec: &'a SandboxSpec)
    -> BoxFuture<'a, Result<Launched, SandboxError>>;

    /// A new channel to a guest that runs, if it can be had: after the server's restart, or a fault of
    /// the engine's. Always `None` where guests end with their channel.
    fn take_up<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>>;

    /// Makes the place of the skills in a sandbox that runs, writable for its guest. Fine if it is there.
    fn prepare_skills<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// The settings for the guest of a started sandbox: limits that the launcher cannot enforce itself, the
    /// guest watches ([`SandboxSpec::settings`]).
    fn settings(&self, spec: &SandboxSpec) -> guest::Settings;

    /// Whether the files of a sandbox that has run and is to be started again are known to be gone: it begins empty.
    fn has_lost<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<bool, SandboxError>>;

    /// Ends the processes and keeps the files. Fine if nothing runs.
    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Ends the processes and deletes the files. Fine if nothing is there.
    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>>;
}

/// The host that sandboxes are launched on, from a server's start to its end.
pub trait Host: Send + Sync + fmt::Debug {
    /// `docker`, `local`, `none`, or what an embedder calls its own.
    fn name(&self) -> &'static str;

    fn capabilities(&self) -> Capabilities;

    /// Backends that would confine sandboxes better, and why they do not run.
    fn passed_over(&self) -> &[PassedOver];

    /// The description for the banner.
    fn describe(&self) -> BoxFuture<'_, Description>;

    /// Whether a sandbox could be had at once; the reason if not.
    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// Removes what servers that are gone have left, and the sandboxes of containers that are not
    /// `known` to the store any more; never what belongs to another live server. Says how many went.
    fn reap(&self, known: HashSet<SandboxId>) -> BoxFuture<'_, Result<usize, SandboxError>>;

    /// The end of the server: the sandboxes of a temporary data directory go, others keep their files.
    fn close(&self) -> BoxFuture<'_, Result<(), SandboxError>>;
}

/// Something that runs code: how one sandbox lives, and what all of them live on.
pub trait Backend: Launcher + Host {}

impl<T: Launcher + Host> Backend for T {}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Nothing here can run code; `hint` says what the user can do.
    #[error("no sandbox backend: {reason}")]
    Unavailable { reason: String, hint: String },
    /// The engine refused or failed.
    #[error("{operation}: {cause}")]
    Engine {
        operation: &'static str,
        #[source]
        cause: Cause,
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

/// The reason of a failure in words, with the error that they tell, where there is one.
#[derive(Debug)]
pub struct Cause {
    words: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Cause {
    /// An error in its own words.
    pub fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self::told(error.to_string(), error)
    }

    /// An error in other words than its own.
    pub fn told(words: String, error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            words,
            source: Some(Box::new(error)),
        }
    }
}

impl<T: Into<String>> From<T> for Cause {
    fn from(words: T) -> Self {
        Self {
            words: words.into(),
            source: None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.source.as_ref()?)
    }
}

impl Hinted for SandboxError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Unavailable { hint, .. } => Some(Cow::Borrowed(hint)),
            Self::Engine { .. } | Self::EngineTimeout { .. } | Self::Guest(_) => None,
        }
    }
}

impl SandboxError {
    /// A data directory whose lock cannot be had.
    fn data_dir_refused(folder: &Path, error: &io::Error) -> Self {
        let folder = folder.display();
        if error.kind() == io::ErrorKind::WouldBlock {
            return Self::Unavailable {
                reason: format!("another server uses the data directory `{folder}`"),
                hint: "stop it, or choose another `--data-dir`".to_owned(),
            };
        }
        Self::Unavailable {
            reason: format!("the data directory `{folder}` cannot be locked: {error}"),
            hint: "choose a `--data-dir` that can be written".to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "../../../tests/shared/programs.rs"]
mod programs;
