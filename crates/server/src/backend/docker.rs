//! Docker as a server has it.

use std::sync::Arc;

use super::{Chosen, Entry, Place};
use sandbox::docker::{DockerBackend, DockerConfig};
use sandbox::{Limits, SandboxError, guest};

pub(super) const ENTRY: Entry = Entry {
    choose: |place| {
        Box::pin(async move {
            let docker = connect(place).await?;
            Ok(chosen(docker, place.config.warm, "").await)
        })
    },
    examine: |place| {
        Box::pin(async move {
            let docker = connect(place).await?;
            Ok(Chosen::found(Arc::new(docker), "", "").await)
        })
    },
};

pub(super) async fn connect(place: &Place<'_>) -> Result<DockerBackend, SandboxError> {
    if let Some(reason) = guest::UNAVAILABLE {
        return Err(SandboxError::Unavailable {
            reason: reason.to_owned(),
            hint: "run sandtable on Linux".to_owned(),
        });
    }
    DockerBackend::connect(DockerConfig {
        host: None,
        image: place.config.image.clone(),
        runtime: place.config.docker_runtime.clone(),
        server_id: place.server_id.to_owned(),
        data_dir: place.data_dir.to_owned(),
        temporary: place.temporary,
        guest: guest::embedded(),
    })
    .await
}

pub(super) async fn chosen(docker: DockerBackend, warm: usize, because: &str) -> Chosen {
    let docker = Arc::new(docker.with_builds());
    let mut more = String::new();
    if warm > 0 {
        docker.keep_warm(warm, Limits::default());
        more = format!(", {warm} kept warm");
    }
    Chosen::found(docker, &more, because).await
}
