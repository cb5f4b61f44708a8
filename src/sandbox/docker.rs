//! Sandboxes as containers of a Docker engine. The only user of bollard.
//!
//! A sandbox is one container with the guest as PID 1 and its stdin and stdout attached. Files live in
//! the container's own upper layer: a killed container keeps them, and starts again with them.

mod base;
mod build;
mod channel;
mod create;
mod engine;
pub mod image;
mod lease;
mod reap;
mod steps;
mod volume;

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StartContainerOptions,
};
use tokio::sync::{Mutex, Semaphore};

use self::create::Lacks;
use self::engine::{Engine, Failure, within};
use self::image::{BuildArgs, Flavor, ImageError, ImageState, Progress};
use self::lease::Lease;
use self::volume::GuestVolume;
use crate::limits::{CONCURRENT_STARTS, ENGINE_CHANGE_TIMEOUT};
use crate::sandbox::{Backend, BoxFuture, Channel, SandboxError, SandboxSpec, guest};

pub(crate) use self::engine::Facts;

/// What a Docker backend needs to know.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The engine's address (`unix://…`, `tcp://…`); `None` for `DOCKER_HOST` or the usual sockets.
    pub host: Option<String>,
    /// The image of the sandboxes; `None` for `sandtable-sandbox:full`, or `:slim` if only that is there.
    pub image: Option<String>,
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
    lease: Lease,
    guest: GuestVolume,
    /// Whether the engine is known to have the guest's volume.
    guest_in_place: Mutex<bool>,
    starts: Semaphore,
    /// Counts sandboxes made, so that they take turns on the CPUs.
    turns: AtomicUsize,
    lacks_disk_size: AtomicBool,
    /// Whether the engine has taken a size for a container's disk.
    has_disk_size: AtomicBool,
    lacks_cpu_set: AtomicBool,
    lacks_ipc_limits: AtomicBool,
    /// Held while the image is built, so that it is built once.
    building: Mutex<()>,
}

/// What a backend says of itself in the banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The engine and the image.
    pub text: String,
    /// The one command that would improve it.
    pub improve: Option<String>,
}

impl DockerBackend {
    /// Connects to the engine and takes the data directory's lock.
    pub async fn connect(config: DockerConfig) -> Result<Self, SandboxError> {
        if config.guest.is_empty() {
            return Err(SandboxError::Unavailable {
                reason: guest::UNAVAILABLE
                    .unwrap_or("no guest was given")
                    .to_owned(),
                hint: "take a build of sandtable that has the guest in it".to_owned(),
            });
        }
        let engine = Engine::connect(config.host.as_deref()).await?;
        let lease = Lease::take(&config.server_id, &config.data_dir, config.temporary)
            .map_err(|error| lease_refused(&config, &error))?;
        Ok(Self {
            engine,
            image: config.image,
            lease,
            guest: GuestVolume::new(config.guest),
            guest_in_place: Mutex::new(false),
            starts: Semaphore::new(CONCURRENT_STARTS),
            turns: AtomicUsize::new(0),
            lacks_disk_size: AtomicBool::new(false),
            has_disk_size: AtomicBool::new(false),
            lacks_cpu_set: AtomicBool::new(false),
            lacks_ipc_limits: AtomicBool::new(false),
            building: Mutex::new(()),
        })
    }

    /// What the banner says: the engine, the image, and what would improve it.
    pub async fn describe(&self) -> Description {
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
        match image::state(&self.engine, name).await {
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
            if image::state(&self.engine, name).await? != ImageState::Missing {
                return Ok(name.clone());
            }
        }
        Err(image_missing(self.image.as_deref()))
    }

    fn sandbox_name(&self, container_id: &str) -> String {
        create::name(&self.lease.scope, container_id)
    }

    async fn launch(&self, spec: &SandboxSpec) -> Result<Channel, SandboxError> {
        let _permit = self
            .starts
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let name = self.sandbox_name(&spec.container_id);
        self.create(spec, &name).await?;
        match self.attach_and_start(spec, &name).await {
            // Somebody has cleared away the guest's volume: put it back.
            Err(failure) if failure.says(&[volume::GUEST_PATH]) => {
                *self.guest_in_place.lock().await = false;
                self.put_guest_in_place(&self.image_in_use().await?).await?;
                Ok(self.attach_and_start(spec, &name).await?)
            }
            // An engine without root: such a container has never run, so that no files go with it.
            Err(failure)
                if failure.says(&["sysctl", "/proc/sys"])
                    && !self.lacks_ipc_limits.swap(true, Ordering::Relaxed) =>
            {
                tracing::debug!(reason = %failure.error, "the engine does not limit shared memory");
                self.delete(&name).await?;
                self.create(spec, &name).await?;
                Ok(self.attach_and_start(spec, &name).await?)
            }
            other => Ok(other?),
        }
    }

    /// Makes the container, or stops the one that is there.
    async fn create(&self, spec: &SandboxSpec, name: &str) -> Result<(), SandboxError> {
        let image = self.image_in_use().await?;
        self.put_guest_in_place(&image).await?;
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let cpus = create::cpu_set(turn, spec.limits.milli_cpus, self.engine.facts.cpus);
        loop {
            let lacks = Lacks {
                disk_size: self.lacks_disk_size.load(Ordering::Relaxed),
                cpu_set: self.lacks_cpu_set.load(Ordering::Relaxed),
                ipc_limits: self.lacks_ipc_limits.load(Ordering::Relaxed),
            };
            let body = create::body(spec, &image, &self.guest.name, &self.lease, &cpus, lacks);
            let options = CreateContainerOptionsBuilder::default().name(name).build();
            let creation = self.engine.docker.create_container(Some(options), body);
            let Err(failure) = within("create the sandbox", ENGINE_CHANGE_TIMEOUT, creation).await
            else {
                if !lacks.disk_size {
                    self.has_disk_size.store(true, Ordering::Relaxed);
                }
                return Ok(());
            };
            match failure.status {
                Some(409) => return self.kill(name).await,
                Some(404) if failure.says(&["no such image"]) => {
                    return Err(image_missing(self.image.as_deref()));
                }
                _ if !lacks.disk_size && failure.says(&["storage-opt", "storage opt", "quota"]) => {
                    tracing::debug!(reason = %failure.error, "the engine does not limit the disk");
                    self.lacks_disk_size.store(true, Ordering::Relaxed);
                }
                _ if !lacks.cpu_set && failure.says(&["cpuset", "cpus are not available"]) => {
                    self.lacks_cpu_set.store(true, Ordering::Relaxed);
                }
                _ => return Err(failure.error),
            }
        }
    }

    async fn attach_and_start(&self, spec: &SandboxSpec, name: &str) -> Result<Channel, Failure> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let attachment = self.engine.docker.attach_container(name, Some(options));
        let attached = self.engine.ask("attach to the sandbox", attachment).await?;
        let start = self
            .engine
            .docker
            .start_container(name, None::<StartContainerOptions>);
        within("start the sandbox", ENGINE_CHANGE_TIMEOUT, start).await?;
        Ok(channel::channel(&spec.container_id, attached))
    }

    async fn put_guest_in_place(&self, image: &str) -> Result<(), SandboxError> {
        let mut in_place = self.guest_in_place.lock().await;
        if !*in_place {
            self.guest.fill(&self.engine, image).await?;
            *in_place = true;
        }
        Ok(())
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

    /// Whether a container's sandbox exists, and whether it runs.
    pub async fn is_running(&self, container_id: &str) -> Result<Option<bool>, SandboxError> {
        let name = self.sandbox_name(container_id);
        let look = self
            .engine
            .docker
            .inspect_container(&name, None::<InspectContainerOptions>);
        match self.engine.ask("look at the sandbox", look).await {
            Ok(found) => Ok(Some(
                found.state.and_then(|state| state.running).unwrap_or(false),
            )),
            Err(failure) => failure.unless(&[404]).map(|()| None),
        }
    }
}

impl Backend for DockerBackend {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn start<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Channel, SandboxError>> {
        Box::pin(self.launch(spec))
    }

    fn settings(&self, spec: &SandboxSpec) -> guest::Settings {
        let disk_bytes = spec.limits.disk_bytes;
        guest::Settings {
            max_file_bytes: disk_bytes,
            max_disk_bytes: if self.disk_is_limited() {
                0
            } else {
                disk_bytes
            },
            ..guest::Settings::default()
        }
    }

    fn stop<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.kill(&self.sandbox_name(container_id)).await })
    }

    fn remove<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.delete(&self.sandbox_name(container_id)).await })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async move { self.image_in_use().await.map(|_| ()) })
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

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.improve {
            Some(command) => write!(f, "; to improve it: {command}"),
            None => Ok(()),
        }
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

fn lease_refused(config: &DockerConfig, error: &io::Error) -> SandboxError {
    let folder = config.data_dir.display();
    if error.kind() == io::ErrorKind::WouldBlock {
        return SandboxError::Unavailable {
            reason: format!("another server uses the data directory `{folder}`"),
            hint: "stop it, or choose another `--data-dir`".to_owned(),
        };
    }
    SandboxError::Unavailable {
        reason: format!("the data directory `{folder}` cannot be locked: {error}"),
        hint: "choose a `--data-dir` that can be written".to_owned(),
    }
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
