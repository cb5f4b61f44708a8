//! `local` as a server has it.

#[cfg(target_os = "linux")]
use std::sync::Arc;

use super::{Chosen, Entry, Place};
#[cfg(target_os = "linux")]
use crate::config::Provision;
#[cfg(target_os = "linux")]
use sandbox::PassedOver;
use sandbox::SandboxError;
#[cfg(target_os = "linux")]
use sandbox::local::{LocalBackend, LocalConfig, may_be_entered};

pub(super) const ENTRY: Entry = Entry {
    choose: |place| Box::pin(chosen(place, "", None)),
    examine: |place| Box::pin(chosen(place, "", None)),
};

#[cfg(target_os = "linux")]
pub(super) async fn chosen(
    place: &Place<'_>,
    because: &str,
    docker: Option<String>,
) -> Result<Chosen, SandboxError> {
    if place.config.program.is_none() && !may_be_entered() {
        // A program that embeds the server: a copy of it would do what its own `main` says.
        return Err(SandboxError::Unavailable {
            reason: "`local` starts copies of a program that becomes a sandbox, and this one does not".to_owned(),
            hint: "name the `sandtable` program with `Builder::program`, or begin `main` with `sandtable::sandbox_entry`".to_owned(),
        });
    }
    let local = LocalBackend::connect(LocalConfig {
        server_id: place.server_id.to_owned(),
        data_dir: place.data_dir.to_owned(),
        cache_dir: None,
        provision: place.config.provision == Provision::Auto,
        program: place.config.program.clone(),
        isolation: place.config.isolation,
        landlock_abi: None,
        passed_over: docker
            .map(|reason| PassedOver {
                name: "docker",
                reason,
            })
            .into_iter()
            .collect(),
    })
    .await?;
    Ok(Chosen::found(Arc::new(local), "", because).await)
}

#[cfg(not(target_os = "linux"))]
pub(super) async fn chosen(
    _: &Place<'_>,
    _: &str,
    _: Option<String>,
) -> Result<Chosen, SandboxError> {
    Err(SandboxError::Unavailable {
        reason: "`local` needs Linux".to_owned(),
        hint: "use Docker".to_owned(),
    })
}
