//! Choosing what runs code, and saying why.

pub(crate) mod pending;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

#[cfg(target_os = "linux")]
use crate::config::Provision;
use crate::config::{BackendChoice, Config};
use crate::ids::SandboxId;
use crate::sandbox::docker::{DockerBackend, DockerConfig, NO_ENGINE_HINT};
#[cfg(target_os = "linux")]
use crate::sandbox::local::{LocalBackend, LocalConfig, may_be_entered};
use crate::sandbox::{
    Backend, BoxFuture, Capabilities, Description, Host, Launched, Launcher, Limits, PassedOver,
    SandboxError, SandboxSpec, guest,
};

/// The chosen backend and what the banner says of it.
#[derive(Debug)]
pub struct Chosen {
    pub backend: Arc<dyn Backend>,
    /// One line: which, and why.
    pub why: String,
    /// The one command that would improve it.
    pub improve: Option<String>,
}

impl Chosen {
    /// A backend of the embedder's own.
    pub(crate) fn given(backend: Arc<dyn Backend>) -> Self {
        Self {
            why: format!(
                "{}: given by the program that embeds the server",
                backend.name()
            ),
            backend,
            improve: None,
        }
    }

    /// A backend that was found here.
    async fn found(backend: Arc<dyn Backend>, more: &str, because: &str) -> Self {
        let Description { text, improve } = backend.describe().await;
        let because = match because {
            "" => String::new(),
            because => format!(" ({because})"),
        };
        Self {
            why: format!("{}: {text}{more}{because}", backend.name()),
            backend,
            improve,
        }
    }

    /// Ends the sandboxes of this run; a temporary server's are deleted, the others keep their files.
    pub async fn close(&self) {
        if let Err(error) = self.backend.close().await {
            tracing::warn!(%error, "some sandboxes may be left; the next server clears them up");
        }
    }

    /// Clears up after servers that were killed, in the background. `known` are the sandboxes of
    /// containers that the store still has.
    pub(crate) fn reap(&self, known: HashSet<SandboxId>) {
        let backend = Arc::clone(&self.backend);
        tokio::spawn(async move {
            match backend.reap(known).await {
                Ok(0) => {}
                Ok(removed) => {
                    tracing::info!(removed, "removed sandboxes of servers that are gone");
                }
                Err(error) => {
                    tracing::warn!(%error, "sandboxes of servers that are gone may be left");
                }
            }
        });
    }
}

/// What a backend may need to know of its server.
struct Place<'a> {
    config: &'a Config,
    server_id: &'a str,
    data_dir: &'a Path,
    temporary: bool,
}

/// Picks the backend of a server. Fails only where the user asked for what is not there.
pub(crate) async fn choose(
    config: &Config,
    server_id: &str,
    data_dir: &Path,
    temporary: bool,
) -> Result<Chosen, String> {
    let place = Place {
        config,
        server_id,
        data_dir,
        temporary,
    };
    match config.backend {
        BackendChoice::None => Ok(none(
            "asked for with `--backend none`",
            "start without `--backend none` to run code",
            None,
        )),
        BackendChoice::Docker => match connect(&place).await {
            Ok(docker) => Ok(chosen_docker(docker, place.config.warm, "").await),
            Err(error) => Err(in_words(&error)),
        },
        BackendChoice::Local => match local(&place, "", None).await {
            Ok(chosen) => Ok(chosen),
            Err(error) => Err(in_words(&error)),
        },
        BackendChoice::Auto => Ok(automatic(&place).await),
    }
}

/// Whether the backend that was asked for works, with `folder` as the data directory; no sandbox stays.
pub(crate) async fn examine(
    config: &Config,
    server_id: &str,
    folder: &Path,
) -> Result<String, String> {
    let place = Place {
        config,
        server_id,
        data_dir: folder,
        temporary: true,
    };
    match config.backend {
        BackendChoice::Auto | BackendChoice::None => Ok("nothing is asked for".to_owned()),
        BackendChoice::Docker => match connect(&place).await {
            Ok(docker) => Ok(Chosen::found(Arc::new(docker), "", "").await.why),
            Err(error) => Err(in_words(&error)),
        },
        BackendChoice::Local => match local(&place, "", None).await {
            Ok(chosen) => {
                chosen.close().await;
                Ok(chosen.why)
            }
            Err(error) => Err(in_words(&error)),
        },
    }
}

/// Docker if its image is there (or one was named), else `local`, else Docker with the image still to build.
async fn automatic(place: &Place<'_>) -> Chosen {
    let docker = match connect(place).await {
        Ok(docker) if place.config.image.is_some() || docker.ready().await.is_ok() => {
            return chosen_docker(docker, place.config.warm, "").await;
        }
        other => other,
    };
    let because = match &docker {
        Ok(_) => "Docker answers, but its sandbox image is not built".to_owned(),
        // Whoever names an engine is told what is wrong with it.
        Err(error) if is_named() => in_words(error),
        Err(_) => "no Docker engine answers".to_owned(),
    };
    // The banner is short; who asks for the reason gets all of it.
    let reason = match &docker {
        Ok(_) => because.clone(),
        Err(error) => error.to_string(),
    };
    let refusal = match local(place, &because, Some(reason)).await {
        Ok(chosen) => return chosen,
        Err(error) => error,
    };
    match docker {
        Ok(docker) => chosen_docker(docker, place.config.warm, "`local` does not work here").await,
        Err(error) => {
            let (reason, hint) = neither(&error, &refusal, is_named());
            none(&reason, &hint, Some("sandtable doctor".to_owned()))
        }
    }
}

/// Why nothing runs code, and the shorter way to something that does: `local`, unless an engine was named.
fn neither(docker: &SandboxError, local: &SandboxError, named: bool) -> (String, String) {
    let parts = |error: &SandboxError| match error {
        SandboxError::Unavailable { reason, hint } => (reason.clone(), hint.clone()),
        SandboxError::Engine { .. }
        | SandboxError::EngineTimeout { .. }
        | SandboxError::Guest(_) => (error.to_string(), "run `sandtable doctor`".to_owned()),
    };
    let ((engine, start), (refusal, allow)) = (parts(docker), parts(local));
    let reason = format!("{engine}; and `local` does not work here: {refusal}");
    let hint = if named {
        start
    } else if start == NO_ENGINE_HINT {
        allow
    } else {
        format!("{start}; or without Docker: {allow}")
    };
    (reason, hint)
}

async fn connect(place: &Place<'_>) -> Result<DockerBackend, SandboxError> {
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

async fn chosen_docker(docker: DockerBackend, warm: usize, because: &str) -> Chosen {
    let docker = Arc::new(docker.with_builds());
    let mut more = String::new();
    if warm > 0 {
        docker.keep_warm(warm, Limits::default());
        more = format!(", {warm} kept warm");
    }
    Chosen::found(docker, &more, because).await
}

/// Whether the user says which engine it is.
fn is_named() -> bool {
    ["DOCKER_HOST", "DOCKER_CONTEXT"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(target_os = "linux")]
async fn local(
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
async fn local(_: &Place<'_>, _: &str, _: Option<String>) -> Result<Chosen, SandboxError> {
    Err(SandboxError::Unavailable {
        reason: "`local` needs Linux".to_owned(),
        hint: "use Docker".to_owned(),
    })
}

fn in_words(error: &SandboxError) -> String {
    match error {
        SandboxError::Unavailable { hint, .. } => format!("{error}\n  hint: {hint}"),
        SandboxError::Engine { .. }
        | SandboxError::EngineTimeout { .. }
        | SandboxError::Guest(_) => error.to_string(),
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

impl Launcher for NoBackend {
    fn launch<'a>(&'a self, _: &'a SandboxSpec) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(std::future::ready(Err(self.error())))
    }

    fn take_up<'a>(
        &'a self,
        _: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn prepare_skills<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Err(self.error())))
    }

    fn settings(&self, spec: &SandboxSpec) -> guest::Settings {
        spec.settings(self.capabilities())
    }

    fn stop<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Host for NoBackend {
    fn name(&self) -> &'static str {
        "none"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            rung: "none",
            exact_disk: false,
        }
    }

    fn passed_over(&self) -> &[PassedOver] {
        &[]
    }

    fn describe(&self) -> BoxFuture<'_, Description> {
        Box::pin(std::future::ready(Description {
            text: self.reason.clone(),
            improve: None,
        }))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Err(self.error())))
    }

    fn reap(&self, _: HashSet<SandboxId>) -> BoxFuture<'_, Result<usize, SandboxError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_runs_code_the_shorter_way_is_told_and_a_named_engine_first() {
        let unavailable = |reason: &str, hint: &str| SandboxError::Unavailable {
            reason: reason.to_owned(),
            hint: hint.to_owned(),
        };
        let absent = unavailable("no Docker engine", NO_ENGINE_HINT);
        let closed = unavailable("no Docker engine", "usermod");
        let local = unavailable("there is no `python3`", "apt install python3");
        let (reason, hint) = neither(&absent, &local, false);
        assert_eq!(hint, "apt install python3");
        assert!(
            reason.contains("no Docker engine") && reason.contains("there is no `python3`"),
            "{reason}"
        );
        assert_eq!(neither(&absent, &local, true).1, NO_ENGINE_HINT);
        let hint = neither(&closed, &local, false).1;
        assert_eq!(hint, "usermod; or without Docker: apt install python3");
    }
}
