//! An engine that goes away, hangs, and comes back: a relay to the real one that can be cut.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cli::image::Flavor;
use sandbox::docker::{DockerBackend, DockerConfig};
use sandbox::{Host as _, Launcher as _, SandboxError, SandboxSpec};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::bench::Start as _;
use crate::bench::{SMALL, config, image_ready, in_30_days, run};

/// A socket that leads to the engine for as long as it is let.
struct Relay {
    socket: PathBuf,
    listening: Option<AbortHandle>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

/// The treatment of a connection by a relay.
#[derive(Clone, Copy)]
enum Mode {
    Pass,
    /// Takes it and says nothing.
    Hang,
}

impl Relay {
    fn new(folder: &Path) -> Self {
        let mut relay = Self {
            socket: folder.join("engine.sock"),
            listening: None,
            connections: Arc::default(),
        };
        relay.listen(Mode::Pass);
        relay
    }

    fn listen(&mut self, mode: Mode) {
        self.cut();
        let listener = UnixListener::bind(&self.socket).unwrap();
        let connections = Arc::clone(&self.connections);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                connections.lock().unwrap().spawn(relay(client, mode));
            }
        });
        self.listening = Some(task.abort_handle());
    }

    /// As if the engine had died: no socket, and every connection ends.
    fn cut(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            std::fs::remove_file(&self.socket).unwrap();
        }
        self.connections.lock().unwrap().abort_all();
    }
}

async fn relay(mut client: UnixStream, mode: Mode) {
    match mode {
        Mode::Hang => std::future::pending().await,
        Mode::Pass => {
            let host = std::env::var("DOCKER_HOST").unwrap_or_default();
            let path = host
                .strip_prefix("unix://")
                .unwrap_or("/var/run/docker.sock");
            let mut engine = UnixStream::connect(path).await.unwrap();
            // Either side may go at any time here.
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
        }
    }
}

fn through(relay: &Relay, folder: &Path) -> DockerConfig {
    DockerConfig {
        host: Some(format!("unix://{}", relay.socket.display())),
        ..config(folder)
    }
}

fn spec(id: &str) -> SandboxSpec {
    SandboxSpec {
        sandbox_id: id.into(),
        expires_at: in_30_days(),
        limits: SMALL,
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_is_told_at_once_and_used_again_when_it_is_back() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Relay::new(folder.path());
    let backend = DockerBackend::connect(through(&relay, folder.path()))
        .await
        .unwrap();
    let spec = spec("container_01engine");
    let mut channel = backend.start(&spec).await.unwrap();

    relay.cut();
    let end = tokio::io::AsyncReadExt::read(&mut channel.reader, &mut [0]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    let started = std::time::Instant::now();
    for outcome in [
        backend.ready().await,
        backend.stop(&spec.sandbox_id).await,
        backend.start(&spec).await.map(drop),
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("engine is gone"), "{error}");
    }
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());

    relay.listen(Mode::Pass);
    let channel = backend.start(&spec).await.unwrap();
    assert_eq!(run(channel, "echo back").await, "back\n");
    backend.close().await.unwrap();
}

#[tokio::test]
async fn an_engine_that_hangs_is_a_time_out() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Relay::new(folder.path());
    let backend = DockerBackend::connect(through(&relay, folder.path()))
        .await
        .unwrap();

    relay.listen(Mode::Hang);
    // Time stands still but for waiting: time-outs come at once.
    tokio::time::pause();
    let error = backend.start(&spec("container_01hang")).await.unwrap_err();
    assert!(
        matches!(error, SandboxError::EngineTimeout { seconds: 15, .. }),
        "{error}"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let error = DockerBackend::connect(through(&relay, elsewhere.path()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no answer within 2 s"),
        "{error}"
    );
}
