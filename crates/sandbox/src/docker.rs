//! Sandboxes as containers of a Docker engine. The only user of bollard.
//!
//! A sandbox is one container with the guest as PID 1 and its stdin and stdout attached. Files live in
//! the container's own upper layer: a killed container keeps them, and starts again with them.

mod address;
mod base;
mod build;
mod channel;
mod create;
mod engine;
pub mod image;
mod launch;
mod lease;
mod reap;
mod recipe;
mod scope;
mod skills;
mod ssh;
mod steps;
mod volume;
mod warm;

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use tokio::sync::{Mutex, Semaphore};

use self::engine::{Engine, within};
use self::image::{BuildArgs, Flavor, ImageError, ImageState, Progress};
use self::lease::Lease;
use self::volume::{Filled, GuestVolume};
use self::warm::Made;
use crate::warm::Pool;
use crate::{
    BoxFuture, Capabilities, Cause, Description, Host, Launched, Launcher, PassedOver,
    SandboxError, SandboxSpec, guest,
};
use common::clock::Clock;
use common::hinted;
use common::ids::SandboxId;
use common::limits::{CONCURRENT_STARTS, ENGINE_CHANGE_TIMEOUT, SANDBOX_LEASE};

pub use self::engine::{Facts, NO_ENGINE_HINT};

/// That an address cannot be used as it is.
fn refused(text: &str, why: &str, hint: &str) -> SandboxError {
    SandboxError::Unavailable {
        reason: format!("the engine's address `{text}`: {why}"),
        hint: hint.to_owned(),
    }
}

/// Configuration of a Docker backend.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The engine's address (`unix://…`, `tcp://…`); `None` for `DOCKER_HOST` or the usual sockets.
    pub host: Option<String>,
    /// The image of the sandboxes; `None` for `sandtable-sandbox:full`, or `:slim` if only that is there.
    pub image: Option<String>,
    /// The runtime of the engine that runs sandboxes, such as `runsc`; the engine's usual one if `None`.
    pub runtime: Option<String>,
    /// Names this run of the server in labels; unique, never derived from a seed.
    pub server_id: String,
    /// The server's data directory; holds the lock that says it lives.
    pub data_dir: PathBuf,
    /// Whether the data directory, and so every container in it, ends with the server.
    pub temporary: bool,
    /// The guest, one static Linux executable.
    pub guest: &'static [u8],
}

/// Launches sandboxes as containers of a Docker engine.
pub struct DockerBackend {
    engine: Engine,
    image: Option<String>,
    runtime: Option<String>,
    lease: Lease,
    /// How long its sandboxes outlive it; `None` if they end with it.
    lease_span: Option<Duration>,
    warm: Pool,
    made: Made,
    guest: GuestVolume,
    /// The contents of the guest's volume, once the engine is known to have it.
    guest_in_place: Mutex<Option<Filled>>,
    starts: Semaphore,
    /// Counts sandboxes made, so that they take turns on the CPUs.
    turns: AtomicUsize,
    lacks_disk_size: AtomicBool,
    /// Whether the engine has taken a size for a container's disk.
    has_disk_size: AtomicBool,
    lacks_cpu_set: AtomicBool,
    lacks_ipc_limits: AtomicBool,
    lacks_terminals: AtomicBool,
    lacks_memory_file: AtomicBool,
    /// Whether a start builds the image that is not there.
    builds_image: bool,
    image_is_there: AtomicBool,
    /// Held while the image is built, so that it is built once.
    building: Mutex<()>,
}

impl DockerBackend {
    /// Connects to the engine and takes the data directory's lock.
    pub fn connect(config: DockerConfig) -> BoxFuture<'static, Result<Self, SandboxError>> {
        Box::pin(Self::connect_to(config))
    }

    async fn connect_to(config: DockerConfig) -> Result<Self, SandboxError> {
        if config.guest.is_empty() {
            return Err(SandboxError::Unavailable {
                reason: guest::UNAVAILABLE
                    .unwrap_or("no guest was given")
                    .to_owned(),
                hint: "take a build of sandtable that has the guest in it".to_owned(),
            });
        }
        let engine = Engine::connect(config.host.as_deref()).await?;
        if let Some(runtime) = &config.runtime {
            has_runtime(&engine.facts, runtime)?;
        }
        let lease = Lease::take(&config.server_id, &config.data_dir, config.temporary)
            .map_err(|error| SandboxError::data_dir_refused(&config.data_dir, &error))?;
        Ok(Self {
            engine,
            image: config.image,
            runtime: config.runtime,
            lease,
            lease_span: (!config.temporary).then_some(SANDBOX_LEASE),
            warm: Pool::default(),
            made: Made::default(),
            guest: GuestVolume::new(config.guest),
            guest_in_place: Mutex::new(None),
            starts: Semaphore::new(CONCURRENT_STARTS),
            turns: AtomicUsize::new(0),
            lacks_disk_size: AtomicBool::new(false),
            has_disk_size: AtomicBool::new(false),
            lacks_cpu_set: AtomicBool::new(false),
            lacks_ipc_limits: AtomicBool::new(false),
            lacks_terminals: AtomicBool::new(false),
            lacks_memory_file: AtomicBool::new(false),
            builds_image: false,
            image_is_there: AtomicBool::new(false),
            building: Mutex::new(()),
        })
    }

    /// Lets sandboxes made from now on outlive the server for so long.
    #[must_use]
    pub fn with_lease(mut self, span: Duration) -> Self {
        self.lease_span = Some(span);
        self
    }

    /// Builds the image when the first sandbox needs it.
    #[must_use]
    pub fn with_builds(mut self) -> Self {
        self.builds_image = true;
        self
    }

    /// The backend's description for the banner: the engine, the image, and the command that would improve it.
    async fn description(&self) -> Description {
        let facts = &self.engine.facts;
        let mut text = format!(
            "Docker {} (API {})",
            facts.version,
            self.engine.docker.client_version()
        );
        let (words, improve) = match self.image_in_use().await {
            Err(SandboxError::Unavailable { reason, hint }) => (reason, Some(hint)),
            Err(error) => (error.to_string(), None),
            Ok(name) if self.image.is_some() => (format!("image `{name}`"), None),
            Ok(name) => self.describe_own(&name).await,
        };
        write!(text, ", {words}").expect("writing to a string cannot fail");
        Description { text, improve }
    }

    async fn describe_own(&self, name: &str) -> (String, Option<String>) {
        let build = |flavor: Flavor| Some(format!("sandtable image build --flavor {flavor}"));
        if name == Flavor::Slim.image() {
            let words = format!("image `{name}`, without the documented libraries");
            return (words, build(Flavor::Full));
        }
        match recipe::state(&self.engine, name).await {
            Ok(ImageState::Stale { .. }) => (
                format!("image `{name}`, built by another version"),
                build(Flavor::Full),
            ),
            _ => (format!("image `{name}`"), None),
        }
    }

    /// Whether the engine itself limits a sandbox's disk; `false` until a start has shown it.
    ///
    /// Where it does not, single files are (to the size of the disk), and the guest watches the rest.
    pub fn disk_is_limited(&self) -> bool {
        self.has_disk_size.load(Ordering::Relaxed)
    }

    async fn provision(&self) -> Result<(), SandboxError> {
        if !self.builds_image || self.image_is_there.load(Ordering::Relaxed) {
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
        self.ensure_image(&mut progress)
            .await
            .map_err(|error| SandboxError::Engine {
                operation: "build the sandbox image",
                cause: Cause::told(hinted::told(&error), error),
            })?;
        self.image_is_there.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Builds the image if there is none; several callers share one build.
    pub async fn ensure_image(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ImageError> {
        let _building = self.building.lock().await;
        match self.image_in_use().await {
            Ok(_) => return Ok(()),
            Err(SandboxError::Unavailable { .. }) if self.image.is_none() => {}
            Err(error) => return Err(error.into()),
        }
        image::build_with(&self.engine, &BuildArgs::default(), progress).await?;
        Ok(())
    }

    /// The image a new sandbox would have.
    async fn image_in_use(&self) -> Result<String, SandboxError> {
        let wanted = match &self.image {
            Some(name) => vec![name.clone()],
            None => vec![Flavor::Full.image(), Flavor::Slim.image()],
        };
        for name in &wanted {
            if recipe::state(&self.engine, name).await? != ImageState::Missing {
                return Ok(name.clone());
            }
        }
        Err(image_missing(self.image.as_deref()))
    }

    fn sandbox_name(&self, sandbox_id: &str) -> String {
        create::name(&self.lease.scope.name, sandbox_id)
    }

    async fn put_guest_in_place(&self, image: &str) -> Result<Filled, SandboxError> {
        let mut in_place = self.guest_in_place.lock().await;
        if let Some(filled) = &*in_place {
            return Ok(filled.clone());
        }
        let filled = self.guest.fill(&self.engine, image).await?;
        Ok(in_place.insert(filled).clone())
    }

    /// Deletes the guest's volume, as clearing up by hand does; the next start fills it again.
    pub async fn forget_guest_volume(&self) -> Result<(), SandboxError> {
        let removal = self
            .engine
            .docker
            .remove_volume(&self.guest.name, None::<RemoveVolumeOptions>);
        Ok(self
            .engine
            .ask("remove the guest's volume", removal)
            .await?)
    }

    /// Ends the processes of a container; fine if there are none.
    async fn kill(&self, name: &str) -> Result<(), SandboxError> {
        let options = KillContainerOptionsBuilder::default()
            .signal("SIGKILL")
            .build();
        let kill = self.engine.docker.kill_container(name, Some(options));
        match within("stop the sandbox", ENGINE_CHANGE_TIMEOUT, kill).await {
            Ok(()) => Ok(()),
            Err(failure) => failure.unless(&[404, 409]),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), SandboxError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let removal = self.engine.docker.remove_container(name, Some(options));
        match within("remove the sandbox", ENGINE_CHANGE_TIMEOUT, removal).await {
            Ok(()) => Ok(()),
            // 409: its removal is already under way.
            Err(failure) => failure.unless(&[404, 409]),
        }
    }
}

impl Launcher for DockerBackend {
    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(async move {
            self.provision().await?;
            let launched = self.launch_one(spec).await;
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
        Box::pin(self.take_up_one(sandbox_id))
    }

    fn prepare_skills<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(skills::prepare(self, sandbox_id))
    }

    fn settings(&self, spec: &SandboxSpec) -> guest::Settings {
        spec.settings(self.capabilities())
    }

    fn has_lost<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<bool, SandboxError>> {
        Box::pin(self.has_lost_one(sandbox_id))
    }

    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.kill(&self.settled_name(sandbox_id).await).await })
    }

    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            self.delete(&self.take_over(sandbox_id).await?).await?;
            self.made.lock().remove(sandbox_id);
            Ok(())
        })
    }
}

impl Host for DockerBackend {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            rung: "docker",
            exact_disk: self.disk_is_limited(),
            keeps_files: true,
        }
    }

    fn passed_over(&self) -> &[PassedOver] {
        &[]
    }

    fn describe(&self) -> BoxFuture<'_, Description> {
        Box::pin(self.description())
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async move { self.image_in_use().await.map(|_| ()) })
    }

    fn reap(&self, known: HashSet<SandboxId>) -> BoxFuture<'_, Result<usize, SandboxError>> {
        Box::pin(async move {
            let now = Clock::default().now();
            self.reap_at(now, |id| known.contains(id)).await
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(self.end())
    }
}

impl fmt::Debug for DockerBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerBackend")
            .field("engine", &self.engine.facts)
            .field("image", &self.image)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

fn image_missing(named: Option<&str>) -> SandboxError {
    match named {
        Some(name) => SandboxError::Unavailable {
            reason: format!("the image `{name}` is not on the engine"),
            hint: format!("docker pull {name}"),
        },
        None => SandboxError::Unavailable {
            reason: "the sandbox image is not built yet".to_owned(),
            hint: "sandtable image build".to_owned(),
        },
    }
}

/// Refuses a runtime that the engine does not have; names of containerd's are not in its list.
fn has_runtime(facts: &Facts, runtime: &str) -> Result<(), SandboxError> {
    let mut known = facts.runtimes.clone();
    if known.is_empty() || runtime.contains(['.', '/']) || known.iter().any(|it| it == runtime) {
        return Ok(());
    }
    known.sort();
    Err(SandboxError::Unavailable {
        reason: format!("the engine has no runtime `{runtime}`"),
        hint: format!(
            "it has `{}`; others are added in its `daemon.json`",
            known.join("`, `")
        ),
    })
}
