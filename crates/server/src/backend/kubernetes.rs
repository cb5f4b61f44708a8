//! Kubernetes as a server has it.

#[cfg(feature = "kubernetes")]
use std::sync::Arc;

use super::{Chosen, Entry, Place};
use sandbox::SandboxError;
#[cfg(feature = "kubernetes")]
use sandbox::{
    Limits,
    kubernetes::{KubernetesBackend, KubernetesConfig},
};

pub(super) const ENTRY: Entry = Entry {
    choose: |place| Box::pin(chosen(place, place.config.warm)),
    examine: |place| Box::pin(chosen(place, 0)),
};

#[cfg(feature = "kubernetes")]
async fn chosen(place: &Place<'_>, warm: usize) -> Result<Chosen, SandboxError> {
    let settings = &place.config.kubernetes;
    if place.config.warm > 0 && settings.pool.is_some() {
        return Err(SandboxError::Unavailable {
            reason: "the pool of `--k8s-pool` keeps sandboxes warm itself".to_owned(),
            hint: "leave `--warm` out, and set `replicas` of the SandboxWarmPool".to_owned(),
        });
    }
    if place.config.warm > 0 && settings.storage.is_some() {
        // A volume cannot be given to a pod that runs.
        return Err(SandboxError::Unavailable {
            reason: "a pod that is kept warm has no claim, and gets none".to_owned(),
            hint: "leave out `--warm` or `--k8s-storage-class`".to_owned(),
        });
    }
    let connecting = KubernetesBackend::connect(KubernetesConfig {
        settings: settings.clone(),
        image: place.config.image.clone(),
        server_id: place.server_id.to_owned(),
        data_dir: place.data_dir.to_owned(),
        temporary: place.temporary,
    });
    let backend = Arc::new(connecting.await?);
    let mut more = String::new();
    if warm > 0 {
        backend.keep_warm(warm, Limits::default());
        more = format!(", {warm} kept warm");
    }
    Ok(Chosen::found(backend, &more, "").await)
}

#[cfg(not(feature = "kubernetes"))]
async fn chosen(_: &Place<'_>, _: usize) -> Result<Chosen, SandboxError> {
    Err(SandboxError::Unavailable {
        reason: "this program was built without `kubernetes`".to_owned(),
        hint: "build it with the cargo feature `kubernetes`".to_owned(),
    })
}
