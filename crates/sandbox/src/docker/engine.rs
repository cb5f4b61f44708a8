//! The engine: found, asked with a time-out on every call, its failures named.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion};

use super::address::Address;
use crate::{Cause, SandboxError};
use common::limits::ENGINE_CALL_TIMEOUT;

/// The hint where no engine answers.
pub const NO_ENGINE_HINT: &str =
    "start Docker, or set `DOCKER_HOST` to the engine; `sandtable doctor` says more";

/// A connection to an engine that answered at least once.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub docker: Docker,
    pub facts: Facts,
}

/// An engine's description of itself.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub address: String,
    /// ` over TLS` and the like; empty of a socket.
    pub between: &'static str,
    /// The names of the runtimes it has; empty where it does not say.
    pub(crate) runtimes: Vec<String>,
    pub version: String,
    pub api_version: String,
    pub storage_driver: String,
    pub cgroup_version: String,
    pub system: String,
    pub cpus: usize,
    pub memory_bytes: u64,
    pub root_dir: PathBuf,
}

impl Engine {
    /// Finds the engine: `host` if given, else `DOCKER_HOST`, else the usual sockets.
    pub(super) async fn connect(host: Option<&str>) -> Result<Self, SandboxError> {
        let address = Address::find(host, |name| std::env::var(name).ok())?;
        let unavailable = |reason: String| SandboxError::Unavailable {
            reason: format!("no Docker engine at `{address}`: {reason}"),
            hint: address
                .closed()
                .unwrap_or_else(|| NO_ENGINE_HINT.to_owned()),
        };
        let docker = address
            .open()
            .map_err(|error| unavailable(reason(&error)))?;
        let greeting = async {
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok::<_, BollardError>((docker, version))
        };
        let (docker, version) = tokio::time::timeout(address.patience(), greeting)
            .await
            .map_err(|_| {
                let seconds = address.patience().as_secs();
                unavailable(format!("no answer within {seconds} s"))
            })?
            .map_err(|error| unavailable(not_greeted(&address, &error)))?;
        let info = within(
            "ask the engine about itself",
            ENGINE_CALL_TIMEOUT,
            docker.info(),
        )
        .await?;
        let facts = Facts::new(&address, version, info);
        Ok(Self { docker, facts })
    }

    /// Awaits an answer, for as long as a look-up may take.
    pub(super) async fn ask<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, BollardError>>,
    ) -> Result<T, Failure> {
        within(operation, ENGINE_CALL_TIMEOUT, call).await
    }
}

/// Awaits an answer of the engine for at most `limit`.
pub(super) async fn within<T>(
    operation: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<T, BollardError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(BollardError::RequestTimeoutError)) | Err(_) => Err(Failure {
            status: None,
            error: SandboxError::EngineTimeout {
                operation,
                seconds: limit.as_secs(),
            },
        }),
        Ok(Err(error)) => Err(Failure::new(operation, error)),
    }
}

/// A call that failed, with the engine's status code if it gave one.
#[derive(Debug)]
pub struct Failure {
    pub status: Option<u16>,
    pub error: SandboxError,
}

impl Failure {
    fn new(operation: &'static str, error: BollardError) -> Self {
        let status = match &error {
            BollardError::DockerResponseServerError { status_code, .. } => Some(*status_code),
            _ => None,
        };
        let reason = reason(&error);
        let error = if is_unreachable(&error) {
            SandboxError::Unavailable {
                reason: format!("the Docker engine is gone ({reason})"),
                hint: NO_ENGINE_HINT.to_owned(),
            }
        } else {
            let cause = Cause::told(reason, error);
            SandboxError::Engine { operation, cause }
        };
        Self { status, error }
    }

    /// Whether the engine's words contain one of `parts`.
    pub fn says(&self, parts: &[&str]) -> bool {
        let SandboxError::Engine { cause, .. } = &self.error else {
            return false;
        };
        let reason = cause.to_string().to_ascii_lowercase();
        parts.iter().any(|part| reason.contains(part))
    }

    /// Turns "there is no such thing" and the other given codes into success.
    pub(crate) fn unless(self, codes: &[u16]) -> Result<(), SandboxError> {
        match self.status {
            Some(code) if codes.contains(&code) => Ok(()),
            _ => Err(self.error),
        }
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl Facts {
    fn new(address: &Address, version: SystemVersion, info: SystemInfo) -> Self {
        let cgroup_version = match info.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_1) => "1",
            Some(SystemInfoCgroupVersionEnum::_2) => "2",
            _ => "unknown",
        };
        Self {
            address: address.text.clone(),
            between: address.between(),
            runtimes: info.runtimes.unwrap_or_default().into_keys().collect(),
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            cgroup_version: cgroup_version.to_owned(),
            system: info.operating_system.unwrap_or_default(),
            cpus: info
                .ncpu
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(1)
                .max(1),
            memory_bytes: info
                .mem_total
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(0),
            root_dir: info.docker_root_dir.unwrap_or_default().into(),
        }
    }

    /// Whether the engine runs on this machine, as far as its address tells.
    pub fn is_local(&self) -> bool {
        self.address.starts_with("unix://")
    }
}

/// The words for people: the whole chain, without bollard's frame around the engine's own message.
pub(super) fn reason(error: &BollardError) -> String {
    match error {
        BollardError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        BollardError::DockerStreamError { error } => error.trim().to_owned(),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let more = cause.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// Why the engine did not answer the first questions, for people.
fn not_greeted(address: &Address, error: &BollardError) -> String {
    let reason = reason(error);
    match (error, address.why_ended()) {
        // Of what is no HTTP hyper says so.
        (BollardError::HyperLegacyError { err }, Some(why))
            if !err.is_connect() && !reason.contains("HTTP") =>
        {
            format!("{reason}; it ended the connection after the TLS handshake: {why}")
        }
        _ => reason,
    }
}

fn is_unreachable(error: &BollardError) -> bool {
    matches!(
        error,
        BollardError::HyperLegacyError { .. }
            | BollardError::HyperResponseError { .. }
            | BollardError::SocketNotFoundError(_)
            | BollardError::IOError { .. }
    )
}
