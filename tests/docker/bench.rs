//! Helpers that the tests share: the engine, images built when missing, backends of their own, a byte channel.

#[path = "../shared/image.rs"]
mod image;

use std::path::Path;
use std::time::Duration;

use cli::image::Flavor;
use common::ids;
use sandbox::docker::{DockerBackend, DockerConfig};
use sandbox::guest::embedded;
use sandbox::{Channel, Host as _, Launcher, SandboxError, SandboxSpec};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) use self::image::image_ready;
pub(crate) use self::image::require::skip;
pub(crate) use crate::talk::{SMALL, bash, exec, in_30_days, new_spec, wake};

/// A backend with a data directory of its own; what it started is removed by [`Bench::end`].
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) backend: DockerBackend,
    pub(crate) folder: TempDir,
}

/// A guest for tests of the launcher alone: a shell that runs what comes over the channel.
pub(crate) const SHELL: &[u8] = b"#!/bin/bash\nexec /bin/bash -s\n";

/// A configuration with the slim image and a shell for a guest.
pub(crate) fn config(folder: &Path) -> DockerConfig {
    DockerConfig {
        host: None,
        image: Some(Flavor::Slim.image()),
        runtime: None,
        server_id: ids::Ids::random().next(ids::Kind::Request),
        data_dir: folder.to_owned(),
        temporary: true,
        guest: SHELL,
    }
}

/// The engine with the image, or `None` where no engine answers and none is required.
pub(crate) async fn bench(flavor: Flavor, guest: &'static [u8]) -> Option<Bench> {
    if !image_ready(flavor).await {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = DockerConfig {
        image: Some(flavor.image()),
        guest,
        ..config(folder.path())
    };
    let backend = DockerBackend::connect(config).await.unwrap();
    Some(Bench { backend, folder })
}

impl Bench {
    /// Removes everything that was started.
    pub(crate) async fn end(self) {
        self.backend.close().await.unwrap();
    }
}

/// Sends a script to a shell guest and answers all that it says until it ends.
pub(crate) async fn run(channel: Channel, script: &str) -> String {
    let Channel {
        mut reader,
        mut writer,
    } = channel;
    // Told to end: with a kept data directory the end of the input is not the end of the guest.
    let script = format!("{script}\nexit\n");
    writer.write_all(script.as_bytes()).await.unwrap();
    writer.flush().await.unwrap();
    let mut said = String::new();
    let reading = reader.read_to_string(&mut said);
    tokio::time::timeout(Duration::from_mins(1), reading)
        .await
        .expect("the shell ends")
        .unwrap();
    said
}

/// The bench of the contract: the slim image with the real guest.
pub(crate) async fn contract() -> Option<Bench> {
    bench(Flavor::Slim, embedded()).await
}

impl Bench {
    /// Whether sandboxes have users, processes, and a network of their own, as far as the kernel goes.
    #[expect(clippy::unused_self, reason = "other backends have to look")]
    pub(crate) fn has_namespaces(&self) -> bool {
        true
    }

    /// Ten times what a start takes on a quiet machine: only a real fault is slower.
    #[expect(clippy::unused_self, reason = "other backends differ")]
    pub(crate) fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(2)
    }

    /// Whether `/proc/meminfo` tells the sandbox's own.
    #[expect(clippy::unused_self, reason = "other backends have to look")]
    pub(crate) fn tells_its_memory(&self) -> bool {
        true
    }

    /// Whether a program over the memory limit is killed, at once.
    #[expect(clippy::unused_self, reason = "the other backend has to look")]
    pub(crate) fn kills_at_the_memory_limit(&self) -> bool {
        true
    }
}

/// The channel alone, for who does not care how long a guest outlives it.
pub(crate) trait Start: Launcher {
    async fn start(&self, spec: &SandboxSpec) -> Result<Channel, SandboxError> {
        Ok(self.launch(spec).await?.channel)
    }
}

impl<T: Launcher + ?Sized> Start for T {}
