//! The place of the skills: a directory at the root, where the guest itself may make none.
//!
//! It is put there when a container is to have skills, so that any image will do.

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;

use super::engine::within;
use super::{DockerBackend, create};
use crate::{Cause, SandboxError};
use common::limits::ENGINE_CHANGE_TIMEOUT;

/// Makes `/skills` in a container's sandbox; what is in it stays.
pub(super) async fn prepare(backend: &DockerBackend, sandbox_id: &str) -> Result<(), SandboxError> {
    const OPERATION: &str = "make the place of the skills";
    let archive = archive().map_err(|error| SandboxError::Engine {
        operation: OPERATION,
        cause: Cause::of(error),
    })?;
    let name = backend.settled_name(sandbox_id).await;
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let upload = backend.engine.docker.upload_to_container(
        &name,
        Some(options),
        bollard::body_full(archive),
    );
    Ok(within(OPERATION, ENGINE_CHANGE_TIMEOUT, upload).await?)
}

/// One directory that belongs to the sandbox's user.
fn archive() -> std::io::Result<Bytes> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o755);
    header.set_uid(create::USER_ID);
    header.set_gid(create::USER_ID);
    archive.append_data(&mut header, "skills/", std::io::empty())?;
    Ok(archive.into_inner()?.into())
}
