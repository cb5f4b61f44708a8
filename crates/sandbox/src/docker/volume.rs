//! How the guest gets into a sandbox: a named volume per version of it, filled once, mounted read-only.
//!
//! So any image will do, and a container starts without an upload of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, VolumeCreateRequest};
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::engine::{Engine, Failure, within};
use crate::{Cause, SandboxError, memory};
use common::ids::hex;
use common::limits::{ENGINE_CHANGE_TIMEOUT, SANDBOX_MEMORY_BYTES};

/// Where the volume lies in a sandbox.
pub(super) const GUEST_FOLDER: &str = "/.sandtable";
/// The guest in a sandbox.
pub(super) const GUEST_PATH: &str = "/.sandtable/guest";
/// In the volume: what `/proc/meminfo` says in a sandbox of the usual size.
const MEMORY: &str = "meminfo";

/// How often another server's filling of the same volume is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so long its server must have ended: a filling is four requests, of which one takes long.
const PATIENCE: Duration = ENGINE_CHANGE_TIMEOUT.saturating_add(Duration::from_secs(10));
/// How often a filling is begun that another server broke off.
const TRIES: u32 = 3;

/// The contents of a filled volume beside the guest.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    /// The file for `/proc/meminfo`, as the engine's machine calls it, if the engine says where its
    /// volumes lie.
    pub(super) memory_file: Option<String>,
}

/// The guest as one static executable, and the volume it is delivered by.
#[derive(Debug, Clone)]
pub(super) struct GuestVolume {
    pub(super) name: String,
    bytes: &'static [u8],
}

impl GuestVolume {
    pub(super) fn new(bytes: &'static [u8]) -> Self {
        let mut digest = Sha256::new_with_prefix(bytes);
        digest.update(memory::text(SANDBOX_MEMORY_BYTES));
        let digest = hex(&digest.finalize());
        Self {
            name: format!("sandtable-guest-{}", &digest[..16]),
            bytes,
        }
    }

    /// Makes sure that the engine has the volume with the whole guest in it.
    ///
    /// A helper container of the volume's name, never started, gives access to it. Its name is the
    /// lock: of several servers one fills, and the others wait until the helper is gone. Everything else is
    /// done by the helper's id, so that nobody touches another's.
    pub(super) async fn fill(&self, engine: &Engine, image: &str) -> Result<Filled, SandboxError> {
        let request = VolumeCreateRequest {
            name: Some(self.name.clone()),
            labels: Some(HashMap::from([(
                "sandtable.guest".to_owned(),
                String::new(),
            )])),
            ..VolumeCreateRequest::default()
        };
        let volume = engine
            .ask(
                "make the guest's volume",
                engine.docker.create_volume(request),
            )
            .await?;
        let archive = archive(self.bytes).map_err(|error| SandboxError::Engine {
            operation: "pack the guest",
            cause: Cause::of(error),
        })?;
        let mut tries = TRIES;
        loop {
            let helper = self.take_helper(engine, image).await?;
            let filled = self.fill_by(engine, &helper, archive.clone()).await;
            remove(engine, &helper).await?;
            tries -= 1;
            match filled {
                // Somebody took it for abandoned.
                Err(failure) if failure.status == Some(404) && tries > 0 => {}
                other => {
                    other?;
                    let place = volume.mountpoint;
                    let memory_file = place.starts_with('/').then(|| format!("{place}/{MEMORY}"));
                    return Ok(Filled { memory_file });
                }
            }
        }
    }

    /// The id of a helper of our own.
    async fn take_helper(&self, engine: &Engine, image: &str) -> Result<String, SandboxError> {
        // Whose it is, and since when it is seen.
        let mut other: Option<(String, Instant)> = None;
        loop {
            match self.create_helper(engine, image).await {
                Err(failure) if failure.status == Some(409) => {}
                made => return Ok(made?),
            }
            let look = engine
                .docker
                .inspect_container(&self.name, None::<InspectContainerOptions>);
            let id = match engine.ask("look at the guest's helper", look).await {
                Ok(found) => found.id.unwrap_or_default(),
                Err(failure) => {
                    failure.unless(&[404])?;
                    continue;
                }
            };
            match &other {
                Some((seen, since)) if *seen == id => {
                    if since.elapsed() > PATIENCE {
                        // Whoever made it must have ended.
                        remove(engine, &id).await?;
                    }
                }
                _ => other = Some((id, Instant::now())),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn create_helper(&self, engine: &Engine, image: &str) -> Result<String, Failure> {
        let options = CreateContainerOptionsBuilder::default()
            .name(&self.name)
            .build();
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec!["true".to_owned()]),
            network_disabled: Some(true),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(vec![Mount {
                    typ: Some(MountType::VOLUME),
                    source: Some(self.name.clone()),
                    target: Some(GUEST_FOLDER.to_owned()),
                    ..Mount::default()
                }]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let made = engine
            .ask(
                "create the guest's helper",
                engine.docker.create_container(Some(options), body),
            )
            .await?;
        Ok(made.id)
    }

    async fn fill_by(&self, engine: &Engine, helper: &str, archive: Bytes) -> Result<(), Failure> {
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path(GUEST_PATH)
            .build();
        let look = engine
            .docker
            .get_container_archive_info(helper, Some(options));
        match engine.ask("look for the guest", look).await {
            // A part of it, from a filling that was cut off, is written again.
            Ok(found) if u64::try_from(found.size) == Ok(self.bytes.len() as u64) => return Ok(()),
            Ok(_) => {}
            Err(failure) if failure.status == Some(404) => {}
            Err(failure) => return Err(failure),
        }
        let options = UploadToContainerOptionsBuilder::default()
            .path(GUEST_FOLDER)
            .build();
        let upload =
            engine
                .docker
                .upload_to_container(helper, Some(options), bollard::body_full(archive));
        within("put the guest in place", ENGINE_CHANGE_TIMEOUT, upload).await
    }
}

async fn remove(engine: &Engine, helper: &str) -> Result<(), SandboxError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    let removal = engine.docker.remove_container(helper, Some(options));
    match engine.ask("remove the guest's helper", removal).await {
        Ok(()) => Ok(()),
        Err(failure) => failure.unless(&[404, 409]),
    }
}

fn archive(guest: &[u8]) -> std::io::Result<Bytes> {
    let memory = memory::text(SANDBOX_MEMORY_BYTES);
    let mut archive = tar::Builder::new(Vec::new());
    // The guest last: where it is whole, all of it is.
    for (name, mode, content) in [(MEMORY, 0o444, memory.as_bytes()), ("guest", 0o755, guest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, name, content)?;
    }
    Ok(archive.into_inner()?.into())
}
