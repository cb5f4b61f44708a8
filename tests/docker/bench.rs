//! What the tests share: the engine, images built when missing, backends of their own, a byte channel.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sandtable::cli::image::{BuildArgs, Flavor, Progress};
use sandtable::ids;
use sandtable::sandbox::docker::{DockerBackend, DockerConfig, image};
use sandtable::sandbox::guest::{
    ExecCall, ExecKind, ExecResult, Guest, GuestError, Outcome, Settings,
};
use sandtable::sandbox::{Backend as _, Channel, Limits, SandboxError, SandboxSpec};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A backend with a data directory of its own; what it started is removed by [`Bench::end`].
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) backend: DockerBackend,
    pub(crate) folder: TempDir,
}

/// Small limits, so that a test reaches them fast.
pub(crate) const SMALL: Limits = Limits {
    memory_bytes: 128 * 1024 * 1024,
    disk_bytes: 64 * 1024 * 1024,
    milli_cpus: 1000,
    pids: 64,
};

/// A guest for tests of the launcher alone: a shell that runs what comes over the channel.
pub(crate) const SHELL: &[u8] = b"#!/bin/bash\nexec /bin/bash -s\n";

/// A configuration with the slim image and a shell for a guest.
pub(crate) fn config(folder: &Path) -> DockerConfig {
    DockerConfig {
        host: None,
        image: Some(Flavor::Slim.image()),
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

/// Builds the image if it is missing or stale, one test at a time.
pub(crate) async fn image_ready(flavor: Flavor) -> bool {
    let args = BuildArgs {
        flavor,
        ..BuildArgs::default()
    };
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{flavor}.lock"));
    let lock = File::create(lock).unwrap();
    let _lock = tokio::task::spawn_blocking(|| lock.lock().map(|()| lock))
        .await
        .unwrap()
        .unwrap();
    let mut show = |event| match event {
        Progress::Note(text) | Progress::Step { text, .. } => eprintln!("image {flavor}: {text}"),
        Progress::Line(_) => {}
    };
    match image::ensure(&args, &mut show).await {
        Ok(_) => true,
        Err(image::ImageError::Sandbox(SandboxError::Unavailable { reason, .. })) => {
            let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
            assert!(
                !required.contains("docker"),
                "a Docker engine is required: {reason}"
            );
            eprintln!("SKIPPED, nothing was tested: {reason}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// A new sandbox's specification.
pub(crate) fn new_spec(limits: Limits) -> SandboxSpec {
    SandboxSpec {
        container_id: ids::Ids::random().next(ids::Kind::Container),
        expires_at: in_30_days(),
        limits,
    }
}

impl Bench {
    /// Removes everything that was started.
    pub(crate) async fn end(self) {
        self.backend.close().await.unwrap();
    }
}

/// The wall clock, thirty days on.
#[expect(
    clippy::disallowed_methods,
    reason = "the engine's labels are judged by the wall clock"
)]
pub(crate) fn in_30_days() -> DateTime<Utc> {
    Utc::now() + chrono::TimeDelta::days(30)
}

/// Sends a script to a shell guest and answers all that it says until it ends.
pub(crate) async fn run(channel: Channel, script: &str) -> String {
    let Channel {
        mut reader,
        mut writer,
    } = channel;
    writer.write_all(script.as_bytes()).await.unwrap();
    writer.shutdown().await.unwrap();
    let mut said = String::new();
    let reading = reader.read_to_string(&mut said);
    tokio::time::timeout(Duration::from_mins(1), reading)
        .await
        .expect("the shell ends")
        .unwrap();
    said
}

/// What a command in a sandbox did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A sandbox with the real guest in it.
pub(crate) async fn wake(bench: &Bench, spec: &SandboxSpec) -> Guest {
    let channel = bench.backend.start(spec).await.unwrap();
    Guest::connect(channel, Settings::default()).await.unwrap()
}

/// Runs a program through the guest.
pub(crate) async fn exec(guest: &Guest, kind: ExecKind) -> Result<ExecResult, GuestError> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let call = ExecCall {
        kind,
        input_dir: "0123456789abcdef".to_owned(),
        output_dir: format!("{call:016x}"),
        timeout: Duration::from_mins(2),
        env: Vec::new(),
    };
    guest.exec(call).await
}

/// Runs a bash command that is expected to end by itself.
pub(crate) async fn bash(guest: &Guest, command: &str) -> Said {
    let done = exec(guest, ExecKind::Bash(command.to_owned()))
        .await
        .unwrap();
    assert_eq!(done.outcome, Outcome::Exited, "{command}");
    Said {
        code: done.return_code,
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}
