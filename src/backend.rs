//! Choosing what runs code, and saying why.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Clock;
use crate::config::{BackendChoice, Config};
use crate::sandbox::docker::image::Progress;
use crate::sandbox::docker::{DockerBackend, DockerConfig};
use crate::sandbox::{Backend, BoxFuture, Channel, SandboxError, SandboxSpec, guest};

/// The chosen backend and what the banner says of it.
#[derive(Debug)]
pub struct Chosen {
    pub backend: Arc<dyn Backend>,
    /// One line: which, and why.
    pub why: String,
    /// The one command that would improve it.
    pub improve: Option<String>,
    docker: Option<Arc<DockerBackend>>,
}

impl Chosen {
    /// Ends the sandboxes of this run; a temporary server's are deleted, the others keep their files.
    pub async fn close(&self) {
        if let Some(docker) = &self.docker
            && let Err(error) = docker.close().await
        {
            tracing::warn!(%error, "some sandboxes may be left; the next server clears them up");
        }
    }

    /// Clears up after servers that were killed, in the background. `known` are the containers that
    /// the store still has.
    pub(crate) fn reap(&self, known: HashSet<String>) {
        let Some(docker) = self.docker.clone() else {
            return;
        };
        tokio::spawn(async move {
            match docker
                .reap(Clock::default().now(), |id| known.contains(id))
                .await
            {
                Ok(0) => {}
                Ok(removed) => {
                    tracing::info!(removed, "removed sandboxes of servers that are gone")
                }
                Err(error) => {
                    tracing::warn!(%error, "sandboxes of servers that are gone may be left")
                }
            }
        });
    }
}

/// Picks the backend of a server. Fails only where the user asked for what is not there.
pub(crate) async fn choose(
    config: &Config,
    server_id: &str,
    data_dir: &Path,
    temporary: bool,
) -> Result<Chosen, String> {
    if config.backend == BackendChoice::None {
        return Ok(none(
            "asked for with `--backend none`",
            "start without `--backend none` to run code",
            None,
        ));
    }
    if let Some(reason) = guest::UNAVAILABLE {
        return Ok(none(reason, "run sandtable on Linux", None));
    }
    let docker_config = DockerConfig {
        host: None,
        image: config.image.clone(),
        server_id: server_id.to_owned(),
        data_dir: data_dir.to_owned(),
        temporary,
        guest: guest::embedded(),
    };
    match DockerBackend::connect(docker_config).await {
        Ok(docker) => {
            let docker = Arc::new(docker);
            let description = docker.describe().await;
            Ok(Chosen {
                backend: Arc::new(Provisioned {
                    docker: Arc::clone(&docker),
                    image_is_there: AtomicBool::new(false),
                }),
                why: format!("docker: {}", description.text),
                improve: description.improve,
                docker: Some(docker),
            })
        }
        Err(error) if config.backend == BackendChoice::Docker => Err(error.to_string()),
        Err(error) => {
            let hint = match &error {
                SandboxError::Unavailable { hint, .. } => hint.clone(),
                _ => "run `sandtable doctor`".to_owned(),
            };
            Ok(none(
                &error.to_string(),
                &hint,
                Some("sandtable doctor".to_owned()),
            ))
        }
    }
}

pub(crate) fn none(reason: &str, hint: &str, improve: Option<String>) -> Chosen {
    let backend = NoBackend {
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    };
    Chosen {
        why: format!("none: {reason}; code is not run, calls answer `unavailable` (hint: {hint})"),
        backend: Arc::new(backend),
        improve,
        docker: None,
    }
}

/// Docker, with the image built when the first sandbox needs it.
#[derive(Debug)]
struct Provisioned {
    docker: Arc<DockerBackend>,
    image_is_there: AtomicBool,
}

impl Provisioned {
    async fn provision(&self) -> Result<(), SandboxError> {
        if self.image_is_there.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut last = None;
        let mut progress = |event: Progress| {
            // A line for each step, not for each line that a step prints.
            if let Progress::Step { number, of, text } = event
                && last.replace(number) != Some(number)
            {
                tracing::info!(step = number, of, %text, "building the sandbox image");
            }
        };
        self.docker
            .ensure_image(&mut progress)
            .await
            .map_err(|error| SandboxError::Engine {
                operation: "build the sandbox image",
                reason: error.to_string(),
            })?;
        self.image_is_there.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Backend for Provisioned {
    fn name(&self) -> &'static str {
        self.docker.name()
    }

    fn start<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Channel, SandboxError>> {
        Box::pin(async move {
            self.provision().await?;
            let started = self.docker.start(spec).await;
            if started.is_err() {
                // The image may have been removed meanwhile: look again next time.
                self.image_is_there.store(false, Ordering::Relaxed);
            }
            started
        })
    }

    fn settings(&self, spec: &SandboxSpec) -> guest::Settings {
        self.docker.settings(spec)
    }

    fn stop<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.docker.stop(container_id)
    }

    fn remove<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.docker.remove(container_id)
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.docker.ready()
    }
}

/// Runs nothing: every call answers `unavailable`.
#[derive(Debug)]
struct NoBackend {
    reason: String,
    hint: String,
}

impl NoBackend {
    fn error(&self) -> SandboxError {
        SandboxError::Unavailable {
            reason: self.reason.clone(),
            hint: self.hint.clone(),
        }
    }
}

impl Backend for NoBackend {
    fn name(&self) -> &'static str {
        "none"
    }

    fn start<'a>(&'a self, _: &'a SandboxSpec) -> BoxFuture<'a, Result<Channel, SandboxError>> {
        Box::pin(std::future::ready(Err(self.error())))
    }

    fn stop<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Err(self.error())))
    }
}
