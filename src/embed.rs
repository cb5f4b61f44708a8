//! The library: a server inside another program, and handles to its workspaces.
//!
//! A handle speaks to the server as every other client does, over its control calls, so that nothing
//! works here that does not work from outside, and the other way round.

mod builder;
mod client;
mod error;
mod workspace;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use builder::Builder;
pub use error::SandtableError;
pub use workspace::{Clock, Containers, Faults, Journal, JournalQuery, Scripts, Until, Workspace};

use control_api::Exchange;

use common::ids::Ids;
use server::Server;

/// A running server. It stops when it is dropped, with its sandboxes and, unless it was given a data
/// directory, its files.
///
/// It runs on threads of its own: it neither needs a runtime that goes on nor minds one that stands
/// still, such as that of a test with paused time.
#[derive(Debug)]
pub struct Sandtable {
    url: String,
    backend: String,
    running: Running,
    keys: Keys,
}

/// Keys for workspaces that nobody names.
#[derive(Debug)]
struct Keys {
    prefix: String,
    next: AtomicU64,
}

impl Sandtable {
    /// A server still to be started: on a free port of this machine, with temporary data.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The base URL for a client: `http://127.0.0.1:40123`.
    pub fn base_url(&self) -> &str {
        &self.url
    }

    /// The backend that runs code, and why, as the program's banner says it.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The workspace of an API key: what a client with this key sees. Nothing crosses workspaces, so a
    /// key for each test keeps tests apart.
    pub fn workspace(&self, key: impl Into<String>) -> Workspace {
        Workspace::new(&self.url, key.into())
    }

    /// A workspace that nobody else has.
    pub fn new_workspace(&self) -> Workspace {
        let number = self.keys.next.fetch_add(1, Ordering::Relaxed);
        self.workspace(format!("{}-{number}", self.keys.prefix))
    }

    /// The exchanges of a key's workspace, oldest first.
    pub async fn journal(&self, key: impl Into<String>) -> Result<Vec<Exchange>, SandtableError> {
        self.workspace(key).journal().entries().await
    }

    /// Stops and waits until all is over. Dropping does the same, but blocks its thread meanwhile.
    pub async fn stop(mut self) {
        let thread = self.running.tell();
        // An error says that waiting was cut short because the caller's runtime ends.
        tokio::task::spawn_blocking(move || join(thread)).await.ok();
    }
}

/// Becomes a sandbox's first process if that is what this process was started as; `None` anywhere else.
///
/// The `local` backend starts copies of the running program. A program that embeds sandtable and wants
/// `local` calls this first in its `main`, and leaves with the code if there is one. A test, whose
/// `main` is not its own, names the `sandtable` program with [`Builder::program`] instead.
pub fn sandbox_entry() -> Option<std::process::ExitCode> {
    #[cfg(target_os = "linux")]
    return sandbox::local::entry();
    #[cfg(not(target_os = "linux"))]
    None
}

/// The thread that the server runs on.
#[derive(Debug)]
struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Tells the server to stop, and hands back the thread to wait for.
    fn tell(&mut self) -> Option<JoinHandle<()>> {
        if let Some(stop) = self.stop.take() {
            // It is over already if nobody hears it.
            stop.send(()).ok();
        }
        self.thread.take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        join(self.tell());
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the server's thread panicked");
    }
}

/// Starts a server on a thread of its own; it answers when this returns.
async fn start(prepared: builder::Prepared) -> Result<Sandtable, SandtableError> {
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = oneshot::channel();
    let keys = Keys {
        prefix: format!(
            "sk-ant-{}",
            Ids::new(prepared.config.seed, &[b"embed"]).next_hex16()
        ),
        next: AtomicU64::new(1),
    };
    let thread = std::thread::Builder::new()
        .name("sandtable".to_owned())
        .spawn(move || run(prepared, tell, stopped))
        .map_err(|error| SandtableError::thread(&error))?;
    let running = Running {
        stop: Some(stop),
        thread: Some(thread),
    };
    let (url, backend) = told
        .await
        .map_err(|_| SandtableError::thread(&"it ended at once"))??;
    Ok(Sandtable {
        url,
        backend,
        running,
        keys,
    })
}

type Told = Result<(String, String), SandtableError>;

fn run(prepared: builder::Prepared, tell: oneshot::Sender<Told>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("sandtable")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever started it has gone if nobody hears it; so below.
            tell.send(Err(SandtableError::thread(&error))).ok();
            return;
        }
    };
    runtime.block_on(async {
        let builder::Prepared {
            config,
            own_backend,
            folder,
        } = prepared;
        let started = match own_backend {
            Some(backend) => Server::start_with(config, backend).await,
            None => Server::start(config).await,
        };
        let server = match started {
            Ok(server) => server,
            Err(error) => {
                tell.send(Err(SandtableError::start(&error, folder.as_ref())))
                    .ok();
                return;
            }
        };
        let place = (server.url().to_owned(), server.chosen().why.clone());
        if tell.send(Ok(place)).is_ok() {
            // An error says that the handle is gone, which means the same.
            stopped.await.ok();
        }
        server.stop().await;
        drop(folder);
    });
}
