//! The backend: connected once, asked by everybody.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::sync::Semaphore;

use super::api::Cluster;
use super::names::Owner;
use super::network;
use super::pool::AgentPool;
use super::settings::KubernetesSettings;
use super::spec::{Mould, Network};
use super::watch::{Pods, Seen, Watched};
use crate::lock::DataLock;
use crate::warm::Pool;
use crate::{
    BoxFuture, Capabilities, Description, Host, Launched, Launcher, PassedOver, SandboxError,
    SandboxSpec, guest,
};
use common::clock::Clock;
use common::ids::SandboxId;
use common::limits::{CONCURRENT_POD_STARTS, ENGINE_CALL_TIMEOUT};

/// By the downward API: the server's own pod.
const POD_NAME: &str = "SANDTABLE_POD_NAME";
const POD_UID: &str = "SANDTABLE_POD_UID";

/// Configuration of the backend.
#[derive(Debug, Clone)]
pub struct KubernetesConfig {
    pub settings: KubernetesSettings,
    /// The image of the sandboxes; that of the server's own pod if `None`.
    pub image: Option<String>,
    /// Names this run of the server in labels; unique, never derived from a seed.
    pub server_id: String,
    /// The server's data directory; holds the lock that says it lives.
    pub data_dir: PathBuf,
    /// Whether the data directory, and so every container in it, ends with the server.
    pub temporary: bool,
}

/// Launches sandboxes as pods.
pub struct KubernetesBackend {
    pub(super) cluster: Arc<Cluster>,
    pub(super) mould: Mould,
    pub(super) pods: Pods,
    /// Whose sandboxes are claimed; pods are made if `None`.
    pub(super) pool: Option<AgentPool>,
    pub(super) network: Network,
    passed_over: Vec<PassedOver>,
    pub(super) warm: Pool,
    pub(super) starts: Semaphore,
    /// Held until drop.
    _lock: DataLock,
}

impl KubernetesBackend {
    /// Connects to the cluster, takes the data directory's lock, and finds out what keeps pods from the network.
    pub fn connect(config: KubernetesConfig) -> BoxFuture<'static, Result<Self, SandboxError>> {
        Box::pin(Self::connect_to(config))
    }

    async fn connect_to(config: KubernetesConfig) -> Result<Self, SandboxError> {
        let parent = parent(|name| std::env::var(name).ok());
        let image = image(&config, parent.as_ref())?;
        if config.settings.storage.is_some() && config.temporary {
            return Err(SandboxError::Unavailable {
                reason: "claims of files outlive the server, and its data directory does not"
                    .to_owned(),
                hint: "name a `--data-dir`, or leave `--k8s-storage-class` out".to_owned(),
            });
        }
        let lock = DataLock::take(&config.server_id, &config.data_dir)
            .map_err(|error| SandboxError::data_dir_refused(&config.data_dir, &error))?;
        let owner = Owner::new(&lock.first_server, &config.server_id, config.temporary);
        let cluster = Box::pin(Cluster::find(&config.settings)).await?;
        let image = match image {
            Image::Named(image) => image,
            Image::OfPod(name) => Box::pin(cluster.image_of(&name)).await?,
        };
        let mould = Mould {
            owner,
            settings: config.settings,
            image,
            parent,
        };
        let (selector, pool) = match &mould.settings.pool {
            None => (mould.owner.selector(), None),
            Some(name) => {
                let pool = Box::pin(AgentPool::find(&cluster, &mould.owner, name)).await?;
                (AgentPool::selector(), Some(pool))
            }
        };
        let pods = Pods::watch(cluster.pods.clone(), &selector);
        told(&pods, &cluster, "pods").await?;
        if let Some(pool) = &pool {
            told(&pool.tickets, &cluster, "sandboxclaims").await?;
        }
        let (network, passed_over) = match &pool {
            // As its template has it, which was looked at.
            Some(_) => (Network::Filter, Some(network::decided_by_pool())),
            None => Box::pin(network::examine(&cluster, &pods, &mould)).await,
        };
        Ok(Self {
            cluster: Arc::new(cluster),
            mould,
            pods,
            pool,
            network,
            passed_over: passed_over.into_iter().collect(),
            warm: Pool::default(),
            starts: Semaphore::new(CONCURRENT_POD_STARTS),
            _lock: lock,
        })
    }

    /// Calls of the API so far; the watch, which is one for all pods, apart.
    pub fn calls(&self) -> u64 {
        self.cluster.calls()
    }

    /// Whether files are in claims.
    pub(super) fn keeps_files(&self) -> bool {
        self.mould.settings.storage.is_some()
    }

    fn description(&self) -> Description {
        let namespace = &self.cluster.namespace;
        let settings = &self.mould.settings;
        let class = settings.runtime_class.as_deref();
        let class = class.map_or_else(String::new, |class| format!(", RuntimeClass `{class}`"));
        let files = if self.keeps_files() {
            "in claims"
        } else {
            "exported before sleep"
        };
        let network = match (self.network, self.passed_over.first()) {
            (Network::Policy, _) | (_, None) => {
                "kept off by a NetworkPolicy, as a probe saw".to_owned()
            }
            (Network::Filter, Some(passed)) => format!(
                "kept off by the guest's filter, without loopback (NetworkPolicy: {})",
                passed.reason
            ),
        };
        let origin = match &self.pool {
            Some(pool) => format!("pool `{}`, image `{}`", pool.name, pool.image),
            None => format!("image `{}`{class}", self.mould.image),
        };
        Description {
            text: format!(
                "namespace `{namespace}` of {}, {origin}, files {files}, network {network}",
                self.cluster.address
            ),
            improve: None,
        }
    }
}

/// Where the image of the sandboxes is named.
#[derive(Debug, PartialEq, Eq)]
enum Image {
    /// Empty where a pool's template has its own.
    Named(String),
    /// The pod of this name has it: the server's own.
    OfPod(String),
}

/// The image of the sandboxes that the server makes. An overlay renames the image of the server's pod; nothing has to be said twice.
fn image(config: &KubernetesConfig, own: Option<&OwnerReference>) -> Result<Image, SandboxError> {
    let unavailable = |reason: String, hint: &str| SandboxError::Unavailable {
        reason,
        hint: hint.to_owned(),
    };
    if config.settings.pool.is_some() {
        let image = config.image.as_ref().map(|_| "--image");
        return match image.or(config.settings.decided_by_pool()) {
            Some(flag) => Err(unavailable(
                format!("`{flag}` says what the template of the pool of `--k8s-pool` decides"),
                "leave one of them out; the template is yours to change",
            )),
            None => Ok(Image::Named(String::new())),
        };
    }
    let named = config.image.clone().map(Image::Named);
    let own = own.map(|pod| Image::OfPod(pod.name.clone()));
    named.or(own).ok_or_else(|| {
        unavailable(
            "`--backend kubernetes` needs the name of an image".to_owned(),
            "name one that the cluster's nodes can pull with `--image`",
        )
    })
}

/// Waits for the first list of a watch, which shows whether the server may have it.
async fn told<T: Seen>(
    watched: &Watched<T>,
    cluster: &Cluster,
    what: &str,
) -> Result<(), SandboxError> {
    let complete = watched.complete(ENGINE_CALL_TIMEOUT).await;
    complete.map_err(|reason| SandboxError::Unavailable {
        reason: format!("the cluster at {} does not list {what}: {reason}", cluster.address),
        hint: format!("`kubectl auth can-i list {what}` must say yes for the server's account; `sandtable docs kubernetes` has the Role"),
    })
}

/// Owner of what the server makes, if it runs in a pod that says so.
fn parent(variable: impl Fn(&str) -> Option<String>) -> Option<OwnerReference> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: set(POD_NAME)?,
        uid: set(POD_UID)?,
        block_owner_deletion: None,
        controller: None,
    })
}

impl Launcher for KubernetesBackend {
    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(self.launch_one(spec))
    }

    fn take_up<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
        Box::pin(self.take_up_one(sandbox_id))
    }

    fn prepare_skills<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        // Every pod has their place.
        Box::pin(std::future::ready(Ok(())))
    }

    fn settings(&self, spec: &SandboxSpec) -> guest::Settings {
        spec.settings(self.capabilities())
    }

    fn has_lost<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<bool, SandboxError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(self.end_one(sandbox_id))
    }

    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            self.end_one(sandbox_id).await?;
            if self.keeps_files() {
                let claim = self.mould.owner.claim_name(sandbox_id);
                self.cluster.remove_claim(&claim).await?;
            }
            Ok(())
        })
    }
}

impl Host for KubernetesBackend {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            rung: "kubernetes",
            exact_disk: false,
            keeps_files: self.keeps_files(),
        }
    }

    fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    fn describe(&self) -> BoxFuture<'_, Description> {
        Box::pin(std::future::ready(self.description()))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(self.complete(ENGINE_CALL_TIMEOUT))
    }

    fn reap(&self, known: HashSet<SandboxId>) -> BoxFuture<'_, Result<usize, SandboxError>> {
        Box::pin(async move { self.reap_at(Clock::default().now(), &known).await })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(self.end())
    }
}

impl fmt::Debug for KubernetesBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesBackend")
            .field("cluster", &self.cluster.address)
            .field("namespace", &self.cluster.namespace)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_the_one_that_is_named_or_else_the_pods_own() {
        let config = |image: Option<&str>| KubernetesConfig {
            settings: KubernetesSettings::default(),
            image: image.map(str::to_owned),
            server_id: "s".to_owned(),
            data_dir: PathBuf::new(),
            temporary: true,
        };
        let own = parent(|_| Some("server-0".to_owned()));
        let named = Image::Named("named".to_owned());
        assert_eq!(image(&config(Some("named")), own.as_ref()).unwrap(), named);
        let of_pod = Image::OfPod("server-0".to_owned());
        assert_eq!(image(&config(None), own.as_ref()).unwrap(), of_pod);
        assert!(image(&config(None), None).is_err());
    }

    #[test]
    fn what_a_server_in_a_pod_makes_is_the_pods() {
        let of = |uid: &'static str| {
            parent(move |name| match name {
                POD_NAME => Some("server-0".to_owned()),
                POD_UID => Some(uid.to_owned()),
                _ => None,
            })
        };
        assert_eq!(
            of("1-2").map(|owner| owner.name),
            Some("server-0".to_owned())
        );
        assert_eq!(of(""), None);
    }
}
