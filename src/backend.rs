//! Choosing what runs code, and saying why.

pub(crate) mod pending;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Clock;
#[cfg(target_os = "linux")]
use crate::config::Provision;
use crate::config::{BackendChoice, Config, Isolation};
use crate::ids::SandboxId;
use crate::sandbox::docker::image::Progress;
use crate::sandbox::docker::{DockerBackend, DockerConfig, NO_ENGINE_HINT};
#[cfg(target_os = "linux")]
use crate::sandbox::local::{self, LocalBackend, LocalConfig, may_be_entered};
use crate::sandbox::{
    Backend, BoxFuture, Channel, Launched, Limits, PassedOver, SandboxError, SandboxSpec, guest,
};

/// The chosen backend and what the banner says of it.
#[derive(Debug)]
pub struct Chosen {
    pub backend: Arc<dyn Backend>,
    /// One line: which, and why.
    pub why: String,
    /// The one command that would improve it.
    pub improve: Option<String>,
    keeper: Keeper,
}

/// What has to be closed and cleared up.
#[derive(Debug, Clone)]
enum Keeper {
    Nobody,
    Docker(Arc<DockerBackend>),
    #[cfg(target_os = "linux")]
    Local(Arc<LocalBackend>),
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
            keeper: Keeper::Nobody,
        }
    }

    /// Ends the sandboxes of this run; a temporary server's are deleted, the others keep their files.
    pub async fn close(&self) {
        match &self.keeper {
            Keeper::Nobody => {}
            Keeper::Docker(docker) => {
                if let Err(error) = docker.close().await {
                    tracing::warn!(%error, "some sandboxes may be left; the next server clears them up");
                }
            }
            #[cfg(target_os = "linux")]
            Keeper::Local(local) => local.close().await,
        }
    }

    /// Clears up after servers that were killed, in the background. `known` are the containers that
    /// the store still has.
    pub(crate) fn reap(&self, known: HashSet<String>) {
        let keeper = self.keeper.clone();
        tokio::spawn(async move {
            let reaped = match keeper {
                Keeper::Nobody => Ok(0),
                Keeper::Docker(docker) => {
                    let now = Clock::default().now();
                    docker.reap(now, |id| known.contains(id)).await
                }
                #[cfg(target_os = "linux")]
                Keeper::Local(local) => Ok(local.reap(move |id| known.contains(id)).await),
            };
            match reaped {
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
            Ok(docker) => Ok(format!("docker: {}", docker.describe().await.text)),
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
    let docker = Arc::new(docker);
    let description = docker.describe().await;
    let mut text = description.text;
    if warm > 0 {
        docker.keep_warm(warm, Limits::default());
        write!(text, ", {warm} kept warm").expect("a String takes every write");
    }
    Chosen {
        backend: Arc::new(Provisioned {
            docker: Arc::clone(&docker),
            image_is_there: AtomicBool::new(false),
        }),
        why: why("docker", &text, because),
        improve: description.improve,
        keeper: Keeper::Docker(docker),
    }
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
        isolation: isolation(place.config.isolation),
        passed_over: docker
            .map(|reason| PassedOver {
                name: "docker",
                reason,
            })
            .into_iter()
            .collect(),
    })
    .await?;
    let local = Arc::new(local);
    let description = local.describe();
    Ok(Chosen {
        backend: Arc::clone(&local) as Arc<dyn Backend>,
        why: why("local", &description.text, because),
        improve: description.improve,
        keeper: Keeper::Local(local),
    })
}

/// As the backend calls it.
#[cfg(target_os = "linux")]
pub(crate) fn isolation(choice: Isolation) -> local::Isolation {
    match choice {
        Isolation::Any => local::Isolation::Any,
        Isolation::Strict => local::Isolation::Strict,
        Isolation::Landlock => local::Isolation::Landlock,
    }
}

#[cfg(not(target_os = "linux"))]
async fn local(_: &Place<'_>, _: &str, _: Option<String>) -> Result<Chosen, SandboxError> {
    Err(SandboxError::Unavailable {
        reason: "`local` needs Linux".to_owned(),
        hint: "use Docker".to_owned(),
    })
}

fn why(name: &str, text: &str, because: &str) -> String {
    if because.is_empty() {
        format!("{name}: {text}")
    } else {
        format!("{name}: {text} ({because})")
    }
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
        keeper: Keeper::Nobody,
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

    fn rung(&self) -> &'static str {
        self.docker.rung()
    }

    fn passed_over(&self) -> &[PassedOver] {
        self.docker.passed_over()
    }

    fn start<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Channel, SandboxError>> {
        Box::pin(async move { Ok(self.launch(spec).await?.channel) })
    }

    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(async move {
            self.provision().await?;
            let launched = self.docker.launch(spec).await;
            if launched.is_err() {
                // The image may have been removed meanwhile: look again next time.
                self.image_is_there.store(false, Ordering::Relaxed);
            }
            launched
        })
    }

    fn take_up<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
        self.docker.take_up(sandbox_id)
    }

    fn prepare_skills<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.docker.prepare_skills(sandbox_id)
    }

    fn settings(&self, spec: &SandboxSpec) -> guest::Settings {
        self.docker.settings(spec)
    }

    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.docker.stop(sandbox_id)
    }

    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.docker.remove(sandbox_id)
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

    fn stop<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Err(self.error())))
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
