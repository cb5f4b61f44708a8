//! Choosing what runs code, and saying why.

mod docker;
mod kubernetes;
mod local;
pub(crate) mod pending;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::config::{BackendChoice, Config, backends};
use common::hinted::{self, Mistake};
use common::ids::SandboxId;
use sandbox::docker::NO_ENGINE_HINT;
use sandbox::{
    Backend, BoxFuture, Capabilities, Description, Host, Launched, Launcher, PassedOver,
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
    pub fn given(backend: Arc<dyn Backend>) -> Self {
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
    pub fn reap(&self, known: HashSet<SandboxId>) {
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

/// The parts of its server that a backend may need to know.
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
) -> Result<Chosen, SandboxError> {
    let place = Place {
        config,
        server_id,
        data_dir,
        temporary,
    };
    match (config.backend, entry(config.backend)) {
        (_, Some(entry)) => (entry.choose)(&place).await,
        (BackendChoice::Auto, None) => Ok(automatic(&place).await),
        (_, None) if config.cassettes.is_some() => Ok(none(
            "recordings answer, and need none",
            "start without recordings to run code",
            None,
        )),
        (_, None) => Ok(none(
            "asked for with `--backend none`",
            "start without `--backend none` to run code",
            None,
        )),
    }
}

/// The functions that connect to a backend.
struct Entry {
    /// Connects to it, and starts what a server keeps ready.
    choose: for<'a> fn(&'a Place<'a>) -> BoxFuture<'a, Result<Chosen, SandboxError>>,
    /// Connects to it, and starts nothing.
    examine: for<'a> fn(&'a Place<'a>) -> BoxFuture<'a, Result<Chosen, SandboxError>>,
}

macro_rules! entries {
    ($($choice:ident $module:ident $word:literal $help:literal;)+) => {
        /// The entry of a backend that was asked for by name.
        fn entry(choice: BackendChoice) -> Option<&'static Entry> {
            match choice {
                $(BackendChoice::$choice => Some(&$module::ENTRY),)+
                BackendChoice::Auto | BackendChoice::None => None,
            }
        }
    };
}

backends!(entries);

/// Whether the backend that was asked for works, with `folder` as the data directory; no sandbox stays.
pub(crate) async fn examine(
    config: &Config,
    server_id: &str,
    folder: &Path,
) -> Result<String, SandboxError> {
    let place = Place {
        config,
        server_id,
        data_dir: folder,
        temporary: true,
    };
    let Some(entry) = entry(config.backend) else {
        return Ok("nothing is asked for".to_owned());
    };
    let chosen = (entry.examine)(&place).await?;
    chosen.close().await;
    Ok(chosen.why)
}

/// Docker if its image is there (or one was named), else `local`, else Docker with the image still to build.
async fn automatic(place: &Place<'_>) -> Chosen {
    let docker = match docker::connect(place).await {
        Ok(docker) if place.config.image.is_some() || docker.ready().await.is_ok() => {
            return docker::chosen(docker, place.config.warm, "").await;
        }
        other => other,
    };
    let because = match &docker {
        Ok(_) => "Docker answers, but its sandbox image is not built".to_owned(),
        // Whoever names an engine is told what is wrong with it.
        Err(error) if is_named() => hinted::told(error),
        Err(_) => "no Docker engine answers".to_owned(),
    };
    // The banner is short; who asks for the reason gets all of it.
    let reason = match &docker {
        Ok(_) => because.clone(),
        Err(error) => error.to_string(),
    };
    let refusal = match local::chosen(place, &because, Some(reason)).await {
        Ok(chosen) => return chosen,
        Err(error) => error,
    };
    match docker {
        Ok(found) => docker::chosen(found, place.config.warm, "`local` does not work here").await,
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

/// Whether the user says which engine it is.
fn is_named() -> bool {
    ["DOCKER_HOST", "DOCKER_CONTEXT"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

pub(crate) fn none(reason: &str, hint: &str, improve: Option<String>) -> Chosen {
    let nothing = Mistake::new(format!(
        "none: {reason}; code is not run, calls answer `unavailable`"
    ));
    let backend = NoBackend {
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    };
    Chosen {
        why: hinted::in_line(&nothing.with_hint(hint.to_owned())),
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

    fn has_lost<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<bool, SandboxError>> {
        Box::pin(std::future::ready(Ok(false)))
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
            keeps_files: true,
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
