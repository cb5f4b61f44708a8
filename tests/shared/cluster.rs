//! A Kubernetes API server for tests, as far as the backend asks it, with what real ones do and do not do: watches
//! with bookmarks and expired versions, refusals on demand, restarts that end every stream without a word.
//!
//! Its node runs pods for real: as containers of the Docker engine with the pod's own settings, or, where only the
//! API is the point, the guest of each as a process of this machine.

#[path = "cluster/exec.rs"]
mod exec;
#[path = "cluster/node.rs"]
mod node;
#[path = "cluster/pools.rs"]
mod pools;
#[path = "cluster/routes.rs"]
mod routes;
#[path = "cluster/state.rs"]
mod state;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle};

pub(crate) use node::{Kind, Outcome, guest_image};
pub(crate) use pools::Fate;
pub(crate) use state::Refusal;
use state::State;

/// The one namespace.
pub(crate) const NAMESPACE: &str = "sandboxes";

/// A cluster that runs until it is dropped.
pub(crate) struct Cluster {
    pub(crate) inner: Arc<Inner>,
    folder: TempDir,
    port: u16,
    serving: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) struct Inner {
    pub(crate) state: Mutex<State>,
    pub(crate) node: node::Node,
    /// Wakes the watches.
    pub(crate) changed: tokio::sync::watch::Sender<u64>,
    /// Tasks that end with the API server: connections, and streams that left them.
    pub(crate) tasks: Mutex<Vec<AbortHandle>>,
    /// Whether pods that a policy forbids the network have none.
    pub(crate) enforces: AtomicBool,
    /// How long every answer takes, and every pod until it runs.
    pub(crate) latency_ms: AtomicU64,
    pub(crate) start_ms: AtomicU64,
    /// Whether agent-sandbox is installed, and how long its controllers take.
    pub(crate) extended: AtomicBool,
    pub(crate) bind_ms: AtomicU64,
    pub(crate) fates: Mutex<VecDeque<Fate>>,
    /// Pods of pools that are somebody's.
    pub(crate) adopted: Mutex<HashSet<String>>,
    /// Pods of pools that were made.
    pub(crate) made: AtomicU64,
    /// Objects of this resource are made, and there is no answer, only when it is let go.
    pub(crate) held: tokio::sync::watch::Sender<Option<String>>,
    /// Requests by verb and resource, such as `create pods`.
    pub(crate) calls: Mutex<HashMap<String, u64>>,
    pub(crate) address: Mutex<Option<SocketAddr>>,
}

impl Cluster {
    /// A cluster whose node runs pods this way; `None` where the node has not what it needs.
    pub(crate) async fn start(kind: Kind) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let node = node::Node::new(kind, folder.path()).await?;
        let inner = Arc::new(Inner {
            state: Mutex::new(State::default()),
            node,
            changed: tokio::sync::watch::Sender::new(0),
            tasks: Mutex::default(),
            enforces: AtomicBool::new(true),
            latency_ms: AtomicU64::new(0),
            start_ms: AtomicU64::new(0),
            extended: AtomicBool::new(false),
            bind_ms: AtomicU64::new(0),
            fates: Mutex::default(),
            adopted: Mutex::default(),
            made: AtomicU64::new(0),
            held: tokio::sync::watch::Sender::new(None),
            calls: Mutex::default(),
            address: Mutex::default(),
        });
        let listener = TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        *inner.address.lock().unwrap() = Some(address);
        let cluster = Self {
            inner,
            folder,
            port: address.port(),
            serving: Mutex::default(),
        };
        cluster.serve(listener);
        cluster.write_kubeconfig();
        Some(cluster)
    }

    fn serve(&self, listener: TcpListener) {
        let inner = Arc::clone(&self.inner);
        let router = routes::router(Arc::clone(&inner));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                let service = TowerToHyperService::new(router.clone());
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                let task = tokio::spawn(async move {
                    connection.await.ok();
                });
                inner.tasks.lock().unwrap().push(task.abort_handle());
            }
        });
        *self.serving.lock().unwrap() = Some(serving);
    }

    /// Where a kubeconfig of it lies.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn write_kubeconfig(&self) {
        let server = format!("http://127.0.0.1:{}", self.port);
        let file = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": server } }],
            "users": [{ "name": "test", "user": { "token": "of-a-test" } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": NAMESPACE } }],
        });
        std::fs::write(self.kubeconfig(), file.to_string()).unwrap();
    }

    /// The API server goes, with every connection, and comes back after a while: pods notice nothing.
    pub(crate) async fn restart(&self, away: Duration) {
        if let Some(serving) = self.serving.lock().unwrap().take() {
            serving.abort();
        }
        for task in self.inner.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
        tokio::time::sleep(away).await;
        let listener = loop {
            match TcpListener::bind(("0.0.0.0", self.port)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        self.serve(listener);
    }

    /// The next calls of this verb and resource are refused so.
    pub(crate) fn refuse(&self, what: &str, refusal: Refusal, times: usize) {
        let mut state = self.inner.state.lock().unwrap();
        state.refuse(what, refusal, times);
    }

    /// Sets the outcomes of the next pods, in their order; further ones run.
    pub(crate) fn next_pods(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.inner.node.outcomes.lock().unwrap().extend(outcomes);
    }

    /// Whatever is to be created of this resource waits from now on; `None` lets it go.
    pub(crate) fn hold(&self, resource: Option<&str>) {
        self.inner.held.send_replace(resource.map(str::to_owned));
    }

    /// Whether policies keep pods from the network.
    pub(crate) fn set_enforcement(&self, enforces: bool) {
        self.inner.enforces.store(enforces, Ordering::Relaxed);
    }

    /// How long each answer takes, and each pod until it runs.
    pub(crate) fn slow_down(&self, answer: Duration, pod: Duration) {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap();
        self.inner.latency_ms.store(ms(answer), Ordering::Relaxed);
        self.inner.start_ms.store(ms(pod), Ordering::Relaxed);
    }

    /// Calls so far, watches apart.
    pub(crate) fn calls(&self) -> u64 {
        let calls = self.inner.calls.lock().unwrap();
        let asked = calls.iter().filter(|(what, _)| !what.starts_with("watch"));
        asked.map(|(_, count)| count).sum()
    }

    /// Watches that were begun.
    pub(crate) fn watches(&self) -> u64 {
        let calls = self.inner.calls.lock().unwrap();
        let watches = calls.iter().filter(|(what, _)| what.starts_with("watch"));
        watches.map(|(_, count)| count).sum()
    }

    /// The verbs and resources that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        let calls = self.inner.calls.lock().unwrap();
        let mut asked: Vec<String> = calls.keys().cloned().collect();
        asked.sort();
        asked
    }

    /// The pods there are.
    pub(crate) fn pods(&self) -> Vec<Value> {
        let state = self.inner.state.lock().unwrap();
        state.all("pods").cloned().collect()
    }

    /// The claims there are.
    pub(crate) fn claims(&self) -> Vec<Value> {
        let state = self.inner.state.lock().unwrap();
        state.all("persistentvolumeclaims").cloned().collect()
    }

    /// Adds an object as another server, or an administrator, would have.
    pub(crate) fn plant(&self, resource: &str, object: Value) {
        self.inner.put(resource, object, "ADDED");
    }

    /// The node ends a pod of its own accord.
    pub(crate) async fn strike(&self, name: &str, status: Value) {
        self.inner.node.stop(name).await;
        self.inner.set_status(name, status);
    }

    /// Somebody deletes a pod by hand.
    pub(crate) fn delete(&self, name: &str) {
        self.inner.delete_pod(name);
    }

    /// Everything that was told before is forgotten: watches that ask for it are told that it is gone.
    pub(crate) fn compact(&self) {
        self.inner.state.lock().unwrap().compact();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.lock().unwrap().take() {
            serving.abort();
        }
        for task in self.inner.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
        self.inner.node.stop_all();
    }
}
