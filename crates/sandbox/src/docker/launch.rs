//! Starting a sandbox and taking up one that runs.
//!
//! With a temporary data directory the guest's stdin ends with the attached connection, and so does the
//! guest. With a kept one it goes on for the span of a lease, so that the next server finds it.

use std::sync::atomic::{AtomicBool, Ordering};

use bollard::models::ContainerConfig;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    RenameContainerOptionsBuilder, StartContainerOptions,
};
use guest_proto::LEASE_VARIABLE;

use super::create::{self, Lacks};
use super::engine::{Failure, within};
use super::{DockerBackend, channel, image_missing, volume};
use crate::{Channel, GuestLease, Launched, SandboxError, SandboxSpec, guest, memory};
use common::limits::{ENGINE_CHANGE_TIMEOUT, SANDBOX_MEMORY_BYTES};

impl DockerBackend {
    /// Starts a container's sandbox: a warm one if it has none yet and one is there.
    pub(super) async fn launch_one(&self, spec: &SandboxSpec) -> Result<Launched, SandboxError> {
        let name = self.take_over(&spec.sandbox_id).await?;
        if let Some(launched) = self.take_warm(spec).await {
            return Ok(launched);
        }
        let launched = self.launch_as(spec, &name).await?;
        if self.lease_span.is_none() {
            self.made.lock().entry(spec.sandbox_id.clone()).or_default();
        }
        Ok(launched)
    }

    /// Starts the sandbox of this name.
    pub(super) async fn launch_as(
        &self,
        spec: &SandboxSpec,
        name: &str,
    ) -> Result<Launched, SandboxError> {
        let _permit = self
            .starts
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let mut lease = self.create(spec, name).await?;
        let mut was_filled = false;
        loop {
            let failure = match self.attach_and_start(spec, name).await {
                Ok(channel) => return Ok(Launched { channel, lease }),
                Err(failure) => failure,
            };
            if failure.says(&[volume::GUEST_PATH, &self.guest.name]) && !was_filled {
                // Somebody has cleared away the guest's volume: put it back.
                *self.guest_in_place.lock().await = None;
                self.put_guest_in_place(&self.image_in_use().await?).await?;
                was_filled = true;
            } else if self.cannot_be_had(&failure) && self.has_never_run(name).await? {
                // So that no files go with it.
                self.delete(name).await?;
                lease = self.create(spec, name).await?;
            } else {
                return Err(failure.error);
            }
        }
    }

    /// Whether a start failed for want of something that sandboxes can do without, and are without now.
    fn cannot_be_had(&self, failure: &Failure) -> bool {
        // An engine without root has neither.
        let wants: [(&[&str], &AtomicBool, &str); 3] = [
            (
                &[memory::PLACE],
                &self.lacks_memory_file,
                "what is said of memory",
            ),
            (
                &["sysctl", "/proc/sys"],
                &self.lacks_ipc_limits,
                "shared memory",
            ),
            (
                &["devpts", create::TERMINALS],
                &self.lacks_terminals,
                "terminals",
            ),
        ];
        wants.into_iter().any(|(words, lacks, what)| {
            let is_new = failure.says(words) && !lacks.swap(true, Ordering::Relaxed);
            if is_new {
                tracing::debug!(reason = %failure.error, "the engine does not limit {what}");
            }
            is_new
        })
    }

    /// A new channel to a guest that runs and has a lease.
    pub(super) async fn take_up_one(
        &self,
        sandbox_id: &str,
    ) -> Result<Option<Launched>, SandboxError> {
        let name = self.take_over(sandbox_id).await?;
        let Some((true, Some(lease))) = self.look(&name).await? else {
            return Ok(None);
        };
        let channel = self.attach(sandbox_id, &name).await?;
        Ok(Some(Launched {
            channel,
            lease: Some(lease),
        }))
    }

    /// The name of a container's sandbox, which one that the data directory has inherited gets here. One that still runs may be
    /// in use: what its server does not use ends with its lease.
    pub(super) async fn take_over(&self, sandbox_id: &str) -> Result<String, SandboxError> {
        let name = self.settled_name(sandbox_id).await;
        let inherited = self.lease.scope.inherited();
        if inherited.is_empty() || self.look(&name).await?.is_some() {
            return Ok(name);
        }
        for scope in inherited {
            let former = create::name(scope, sandbox_id);
            match self.look(&former).await? {
                None => continue,
                Some((true, _)) => {
                    return Err(SandboxError::Engine {
                        operation: "take the sandbox over",
                        cause: format!("`{former}` runs for the server of a data directory that this one is a copy of; stop that server, and try again in a minute").into(),
                    });
                }
                Some((false, _)) => {}
            }
            let options = RenameContainerOptionsBuilder::default().name(&name).build();
            let rename = self.engine.docker.rename_container(&former, options);
            match self.engine.ask("take the sandbox over", rename).await {
                Ok(()) => tracing::info!(
                    container.id = sandbox_id,
                    "taken over from the data directory that this one is a copy of"
                ),
                // Another was faster: a request of ours, or another copy.
                Err(failure) => failure.unless(&[404, 409])?,
            }
            break;
        }
        Ok(name)
    }

    /// Whether the engine does not know the sandbox of a container.
    pub(super) async fn has_lost_one(&self, sandbox_id: &str) -> Result<bool, SandboxError> {
        let name = self.take_over(sandbox_id).await?;
        if self.look(&name).await?.is_some() {
            return Ok(false);
        }
        for (scope, path) in self.lease.scope.originals() {
            if self.look(&create::name(scope, sandbox_id)).await?.is_some() {
                tracing::warn!(
                    container.id = sandbox_id,
                    hint = "a data directory may be moved; what a copy does not have is in `sandtable docs state`",
                    "the files of a container stay with `{path}`, of which this data directory is a copy"
                );
                break;
            }
        }
        Ok(true)
    }

    /// Makes the container, or stops the one that is there; answers its guest's lease.
    async fn create(
        &self,
        spec: &SandboxSpec,
        name: &str,
    ) -> Result<Option<GuestLease>, SandboxError> {
        let image = self.image_in_use().await?;
        let memory_file = self.put_guest_in_place(&image).await?.memory_file;
        // The file says the usual size.
        let memory_file = memory_file.filter(|_| spec.limits.memory_bytes == SANDBOX_MEMORY_BYTES);
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let cpus = create::cpu_set(turn, spec.limits.milli_cpus, self.engine.facts.cpus);
        let lease = self.lease_span.map(|span| GuestLease {
            token: guest::token(),
            span,
        });
        loop {
            let lacks = Lacks {
                disk_size: self.lacks_disk_size.load(Ordering::Relaxed),
                cpu_set: self.lacks_cpu_set.load(Ordering::Relaxed),
                ipc_limits: self.lacks_ipc_limits.load(Ordering::Relaxed),
                terminals: self.lacks_terminals.load(Ordering::Relaxed),
            };
            let lacks_memory_file = self.lacks_memory_file.load(Ordering::Relaxed);
            let mut body = create::body(
                spec,
                &image,
                &self.guest.name,
                &self.lease,
                lease.as_ref(),
                &cpus,
                lacks,
            );
            create::run_by(&mut body, self.runtime.as_deref());
            if let Some(file) = memory_file.as_deref().filter(|_| !lacks_memory_file) {
                create::tell_memory(&mut body, file);
            }
            let options = CreateContainerOptionsBuilder::default().name(name).build();
            let creation = self.engine.docker.create_container(Some(options), body);
            let Err(failure) = within("create the sandbox", ENGINE_CHANGE_TIMEOUT, creation).await
            else {
                if !lacks.disk_size {
                    self.has_disk_size.store(true, Ordering::Relaxed);
                }
                return Ok(lease);
            };
            match failure.status {
                Some(409) => {
                    self.kill(name).await?;
                    return Ok(self.look(name).await?.and_then(|(_, lease)| lease));
                }
                Some(404) if failure.says(&["no such image"]) => {
                    return Err(image_missing(self.image.as_deref()));
                }
                _ if !lacks.disk_size && failure.says(&["storage-opt", "storage opt", "quota"]) => {
                    tracing::debug!(reason = %failure.error, "the engine does not limit the disk");
                    self.lacks_disk_size.store(true, Ordering::Relaxed);
                }
                _ if !lacks.cpu_set && failure.says(&["cpuset", "cpus are not available"]) => {
                    self.lacks_cpu_set.store(true, Ordering::Relaxed);
                }
                _ if self.cannot_be_had(&failure) => {}
                _ => return Err(failure.error),
            }
        }
    }

    async fn attach_and_start(&self, spec: &SandboxSpec, name: &str) -> Result<Channel, Failure> {
        let channel = self.attach(&spec.sandbox_id, name).await?;
        let start = self
            .engine
            .docker
            .start_container(name, None::<StartContainerOptions>);
        within("start the sandbox", ENGINE_CHANGE_TIMEOUT, start).await?;
        Ok(channel)
    }

    async fn attach(&self, sandbox_id: &str, name: &str) -> Result<Channel, Failure> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let attachment = self.engine.docker.attach_container(name, Some(options));
        let attached = self.engine.ask("attach to the sandbox", attachment).await?;
        Ok(channel::channel(sandbox_id, attached))
    }

    /// Whether a sandbox runs, and its guest's lease; `None` if it does not exist.
    async fn look(&self, name: &str) -> Result<Option<(bool, Option<GuestLease>)>, SandboxError> {
        let look = self
            .engine
            .docker
            .inspect_container(name, None::<InspectContainerOptions>);
        match self.engine.ask("look at the sandbox", look).await {
            Ok(found) => Ok(Some((
                found.state.and_then(|state| state.running).unwrap_or(false),
                found.config.and_then(lease_of),
            ))),
            Err(failure) => failure.unless(&[404]).map(|()| None),
        }
    }

    /// Whether a sandbox was made and never started.
    async fn has_never_run(&self, name: &str) -> Result<bool, SandboxError> {
        let look = self
            .engine
            .docker
            .inspect_container(name, None::<InspectContainerOptions>);
        let found = self.engine.ask("look at the sandbox", look).await?;
        let started = found.state.and_then(|state| state.started_at);
        // The engine's zero.
        Ok(started.is_none_or(|at| at.starts_with("0001-")))
    }

    /// Whether a container's sandbox exists, and whether it runs.
    pub async fn is_running(&self, sandbox_id: &str) -> Result<Option<bool>, SandboxError> {
        let found = self.look(&self.settled_name(sandbox_id).await).await?;
        Ok(found.map(|(running, _)| running))
    }
}

/// A sandbox's own configuration says how it was made: no other copy of the token can be lost.
fn lease_of(config: ContainerConfig) -> Option<GuestLease> {
    let variables = config.env?;
    let value = variables
        .iter()
        .find_map(|variable| variable.strip_prefix(LEASE_VARIABLE)?.strip_prefix('='))?;
    GuestLease::of_variable(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_says_the_lease_it_was_made_with() {
        let lease = GuestLease {
            token: guest::token(),
            span: common::limits::SANDBOX_LEASE,
        };
        let config = ContainerConfig {
            env: Some(vec!["PATH=/bin".to_owned(), create::variable(&lease)]),
            ..ContainerConfig::default()
        };
        assert_eq!(lease_of(config), Some(lease));
        assert_eq!(lease_of(ContainerConfig::default()), None);
    }
}
