//! Putting a server together and taking it down: store, backend, scripts, sockets.

mod api;
mod app;
mod backend;
mod batch;
mod caught;
pub mod config;
mod control;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod page;
mod steps;
mod temporary;
mod wire;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::backend::Chosen;
use crate::backend::pending::Pending;
use crate::config::{Config, Host};
use cassette::{Deck, DeckError};
use common::document::Diagnostic;
use common::hinted::Hinted;
use common::ids::{Ids, SandboxId};
use common::limits;
use sandbox::{Backend, BoxFuture, SandboxError};
use store::{ContainerState, Store, StoreError};
use workspace::events::Events;
use workspace::snapshot::{Document, StateError};
use workspace::telemetry::{CollectorError, Telemetry};

pub use steps::{DATA_DIR, Step, examine};

/// How long open requests may take to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A running server.
#[derive(Debug)]
pub struct Server {
    app: App,
    url: String,
    chosen: Chosen,
    scripts: usize,
    sandboxed_steps: usize,
    unasked: Vec<PathBuf>,
    cassettes: Option<Arc<Deck>>,
    data_dir: PathBuf,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Closed when the server stops, or its readers would hold it up.
    events: Events,
    telemetry: Telemetry,
    /// Run on until the server stops.
    batches: Arc<batch::Pool>,
    /// Look for edits of the script files, for containers that are idle or over, and for batches of new workspaces.
    watchers: Vec<JoinHandle<()>>,
    /// Deleted with the server.
    temporary: Option<temporary::Temporary>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(
        "cannot make a temporary data directory in `{place}`: {0}",
        place = std::env::temp_dir().display()
    )]
    Temporary(#[source] io::Error),
    #[error("the upstream {0} is this server itself: each request would be sent on for ever")]
    OwnUpstream(String),
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the scripts have mistakes")]
    Scripts(Vec<Diagnostic>),
    #[error(transparent)]
    Faults(#[from] Diagnostic),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Cassettes(#[from] DeckError),
    #[error(transparent)]
    Backend(#[from] SandboxError),
    #[error("the collector of spans cannot be reached from here: {0}")]
    Collector(#[source] CollectorError),
}

fn listen_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: give `--host` one of its own, or leave it out"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are root's: `--port N` takes another one"
        }
        _ => "`--port 0` takes a free port, `--port N` another one",
    }
}

impl Hinted for StartError {
    fn inner(&self) -> Option<&dyn Hinted> {
        match self {
            Self::Store(error) => Some(error),
            Self::Faults(error) => Some(error),
            Self::State(error) => Some(error),
            Self::Cassettes(error) => Some(error),
            Self::Backend(error) => Some(error),
            Self::Listen { .. }
            | Self::OwnUpstream(_)
            | Self::Temporary(_)
            | Self::Scripts(_)
            | Self::Signals(_)
            | Self::Collector(_) => None,
        }
    }

    fn hint(&self) -> Option<Cow<'_, str>> {
        if let Self::Listen { source, .. } = self {
            return Some(listen_hint(source).into());
        }
        if let Self::OwnUpstream(_) = self {
            return Some("name the service that is to be recorded, or another `--port`".into());
        }
        if let Self::Temporary(_) = self {
            return Some(
                "make it, name another folder with `TMPDIR`, or give one with `--data-dir`".into(),
            );
        }
        self.inner()?.hint()
    }

    fn parts(&self) -> Vec<&dyn Hinted> {
        if let Self::Scripts(found) = self {
            return found.iter().map(|one| one as &dyn Hinted).collect();
        }
        self.inner().map_or_else(Vec::new, Hinted::parts)
    }
}

impl StartError {
    /// 2 for what the user can correct in the flags or files, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Store(
                StoreError::Foreign { .. }
                | StoreError::Lost { .. }
                | StoreError::Bereft { .. }
                | StoreError::ForeignDatabase { .. }
                | StoreError::ForeignLock { .. },
            )
            | Self::Scripts(_)
            | Self::Faults(_)
            | Self::State(_)
            | Self::OwnUpstream(_)
            | Self::Cassettes(_) => 2,
            Self::Listen { .. }
            | Self::Temporary(_)
            | Self::Signals(_)
            | Self::Store(_)
            | Self::Backend(_)
            | Self::Collector(_) => 1,
        }
    }
}

impl Server {
    /// Starts a server; it answers when the future ends.
    ///
    /// Boxed, as [`stop`](Self::stop) is: the code of a future is made where it is awaited, or put in a box. So that of
    /// the whole server is made here, once, and not in every crate that starts one.
    pub fn start(config: Config) -> BoxFuture<'static, Result<Self, StartError>> {
        Box::pin(Self::launch(config, None))
    }

    /// Starts a server whose sandboxes come from `backend`, whatever `config` says.
    pub fn start_with(
        config: Config,
        backend: Arc<dyn Backend>,
    ) -> BoxFuture<'static, Result<Self, StartError>> {
        Box::pin(Self::launch(config, Some(Chosen::given(backend))))
    }

    async fn launch(config: Config, given: Option<Chosen>) -> Result<Self, StartError> {
        let base = Arc::new(steps::scripts(&config)?);
        let faults = steps::faults(&config)?;
        let state = steps::state(&config)?.map(Arc::new);
        let cassettes = config.cassettes.as_ref().map(Deck::mount).transpose()?;
        let cassettes = cassettes.map(Arc::new);
        let options = steps::options(&config);
        let (data_dir, temporary, store) = if let Some(dir) = &config.data_dir {
            let store = Store::open_with(dir, options).map_err(|error| error.on(dir))?;
            temporary::keep(dir).map_err(StoreError::io("keep the data directory"))?;
            (dir.clone(), None, store)
        } else {
            let (dir, store) = temporary::open(options)?;
            (dir.path().to_owned(), Some(dir), store)
        };
        let listeners = bind(config.host, config.port)?;
        let address = listeners.first().map(TcpListener::local_addr);
        let address = address
            .and_then(Result::ok)
            .ok_or_else(|| StartError::Listen {
                address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), config.port),
                source: io::Error::other("no socket was bound"),
            })?;
        let upstream = config
            .cassettes
            .as_ref()
            .and_then(|plan| plan.upstream.as_ref());
        if let Some(upstream) = upstream.filter(|upstream| upstream.leads_to(address)) {
            return Err(StartError::OwnUpstream(upstream.url().to_owned()));
        }
        let watches = !config.scripts.is_empty() && cassettes.is_none();
        let watcher = watches.then(|| tokio::spawn(Arc::clone(&base).watch()));
        let unasked = unasked(&config, state.as_deref());
        let backend = Arc::new(Pending::default());
        let app = App::new(
            config.clone(),
            store.clone(),
            Arc::clone(&backend) as Arc<dyn Backend>,
            base,
            faults.into(),
            cassettes.clone(),
            state,
        )
        .await?;
        let beginning = app.workspaces.untouched().scripts;
        let (scripts, sandboxed_steps) = (beginning.list().len(), beginning.sandboxed_steps());
        api::batches::resume(&app).await?;
        let telemetry = app.containers.telemetry().clone();
        if let Some(url) = &config.otlp {
            telemetry.export(url).map_err(StartError::Collector)?;
        }
        let batches = Arc::clone(&app.batches);
        let events = app.containers.events().clone();
        let (stop, stopped) = watch::channel(false);
        let front = front::Connections::new(app.clone(), router(&app));
        let tasks: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let listening = wire::Listening(listener);
                tokio::spawn(front.clone().serve(listening, stopped.clone()))
            })
            .collect();
        // An engine takes its time to answer; what needs no sandbox is served meanwhile.
        let chosen = if let Some(chosen) = given {
            chosen
        } else {
            let server_id = Ids::random().next_hex16();
            let choice = backend::choose(&config, &server_id, &data_dir, temporary.is_some()).await;
            choice?
        };
        backend.set(Arc::clone(&chosen.backend));
        chosen.reap(living_containers(&store).await?);
        let sweeper = tokio::spawn(app.clone().sweep());
        let resumer = tokio::spawn(api::batches::resume_newcomers(app.clone()));
        // In the background: nothing waits for it.
        tokio::task::spawn_blocking(|| temporary::clear_up(&std::env::temp_dir()));
        let url = format!("http://{}", reached_at(address));
        Ok(Self {
            app,
            url,
            chosen,
            scripts,
            sandboxed_steps,
            unasked,
            cassettes,
            data_dir,
            stop,
            tasks,
            events,
            telemetry,
            batches,
            watchers: watcher.into_iter().chain([sweeper, resumer]).collect(),
            temporary,
        })
    }

    /// `http://127.0.0.1:4010`: where this machine reaches the server, also if others do.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Which backend runs code, and why.
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// How many rules a workspace begins with: those of the script files, and of the state.
    pub fn scripts(&self) -> usize {
        self.scripts
    }

    /// How many steps of these run something in a sandbox, as the files were when the server started.
    pub fn sandboxed_steps(&self) -> usize {
        self.sandboxed_steps
    }

    /// The files and folders whose scripts nothing asks, for recordings answer.
    pub fn unasked_scripts(&self) -> &[PathBuf] {
        &self.unasked
    }

    /// The recordings that answer, or that are made.
    pub fn cassettes(&self) -> Option<&Arc<Deck>> {
        self.cassettes.as_ref()
    }

    /// Where the server keeps its data, and whether it goes with the server.
    pub fn data_dir(&self) -> (&Path, bool) {
        (&self.data_dir, self.temporary.is_some())
    }

    /// Stops: no new requests, a while for the open ones, then the sandboxes.
    pub fn stop(self) -> BoxFuture<'static, ()> {
        Box::pin(self.end())
    }

    async fn end(self) {
        // Nobody listens if every task is over already.
        self.stop.send(true).ok();
        self.events.close();
        for mut task in self.tasks {
            if tokio::time::timeout(DRAIN, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.batches.stop(None).await;
        self.telemetry.flush().await;
        for watcher in self.watchers {
            watcher.abort();
            // An error says that it was cut short. Until then it holds what this server holds.
            watcher.await.ok();
        }
        if self.temporary.is_none() {
            self.app.containers.bring_all_home().await;
        }
        self.chosen.close().await;
    }
}

fn unasked(config: &Config, state: Option<&Document>) -> Vec<PathBuf> {
    if config.cassettes.is_none() {
        return Vec::new();
    }
    let has_scripts = state.is_some_and(|state| !state.rules().scripts.is_empty());
    let state = config.state.iter().filter(|_| has_scripts);
    config.scripts.iter().chain(state).cloned().collect()
}

async fn living_containers(store: &Store) -> Result<HashSet<SandboxId>, StoreError> {
    let mut known = HashSet::new();
    for workspace in store.workspaces().await? {
        let rows = store.containers(&workspace.id).await?;
        known.extend(
            rows.into_iter()
                .filter(|row| row.state != ContainerState::Expired)
                .map(|row| row.sandbox.into()),
        );
    }
    Ok(known)
}

/// Both surfaces behind the guard.
pub fn router(app: &App) -> Router {
    control::router(app)
        .merge(page::router())
        .layer(axum::middleware::from_fn(control::shaped))
        .fallback(api::answer)
        .layer(axum::middleware::from_fn(page::lead))
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            api::front,
        ))
        .with_state(app.clone())
}

fn bind(host: Host, port: u16) -> Result<Vec<TcpListener>, StartError> {
    let first = match host {
        Host::Loopback => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Host::Address(address) => address,
    };
    let listen = |address: SocketAddr| {
        listen(address).map_err(|source| StartError::Listen { address, source })
    };
    let mut listeners = vec![listen(SocketAddr::new(first, port))?];
    if host == Host::Loopback {
        let port = listeners[0]
            .local_addr()
            .map_or(port, |address| address.port());
        match listen(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)) {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 has no ::1.
            Err(error) => tracing::debug!(%error, "not listening on ::1"),
        }
    }
    Ok(listeners)
}

/// Where a client on this machine connects to: what listens everywhere listens on loopback.
fn reached_at(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// A queue that holds a burst of clients: whoever does not fit in waits a second before the next try.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A port that an earlier server has just left can be taken again.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::LISTEN_BACKLOG)
}
