//! The cluster's API: found, asked with a time-out on every call, each call counted, its failures named.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::client::ConfigExt as _;
use kube::client::retry::RetryPolicy;
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config, Error as KubeError};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use super::failure::{self, IS_GONE, IS_THERE};
use super::names::VERSION;
use super::rules::AGENT_SANDBOX;
use super::settings::KubernetesSettings;
use crate::SandboxError;
use common::limits::ENGINE_CHANGE_TIMEOUT;

const NO_CLUSTER_HINT: &str = "name the cluster's file in `KUBECONFIG`, or run the server in a pod with a service account; `--k8s-context` chooses among its contexts";

/// A connection to a namespace of a cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) address: String,
    pub(super) namespace: String,
    pub(super) pods: Api<Pod>,
    pub(super) claims: Api<PersistentVolumeClaim>,
    policies: Api<NetworkPolicy>,
    /// Of agent-sandbox: claims of a pool's sandboxes, which are called tickets here, for claims are of volumes.
    pub(super) tickets: Api<DynamicObject>,
    pub(super) pools: Api<DynamicObject>,
    pub(super) templates: Api<DynamicObject>,
    /// Calls so far, the watch apart.
    calls: AtomicU64,
}

impl Cluster {
    pub(super) async fn find(settings: &KubernetesSettings) -> Result<Self, SandboxError> {
        let unavailable = |reason: &dyn std::fmt::Display| SandboxError::Unavailable {
            reason: format!("no Kubernetes cluster: {reason}"),
            hint: NO_CLUSTER_HINT.to_owned(),
        };
        let config = configuration(settings).await;
        let config = config.map_err(|error| unavailable(&error))?;
        let namespace = settings
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let address = config.cluster_url.to_string();
        let client = client(config).map_err(|error| unavailable(&failure::reason(&error)))?;
        Ok(Self {
            pods: Api::namespaced(client.clone(), &namespace),
            claims: Api::namespaced(client.clone(), &namespace),
            policies: Api::namespaced(client.clone(), &namespace),
            tickets: extension(&client, &namespace, "SandboxClaim", "sandboxclaims"),
            pools: extension(&client, &namespace, "SandboxWarmPool", "sandboxwarmpools"),
            templates: extension(&client, &namespace, "SandboxTemplate", "sandboxtemplates"),
            address: address.trim_end_matches('/').to_owned(),
            namespace,
            calls: AtomicU64::new(0),
        })
    }

    /// Waits for an answer, as long as an engine is given.
    pub(super) async fn ask<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, KubeError>>,
    ) -> Result<T, SandboxError> {
        let answer = self.call(operation, call).await?;
        answer.map_err(|error| failure::of_call(operation, error))
    }

    /// The same, with the answer as it is.
    pub(super) async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, KubeError>>,
    ) -> Result<Result<T, KubeError>, SandboxError> {
        const LIMIT: Duration = ENGINE_CHANGE_TIMEOUT;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let timeout = |_| SandboxError::EngineTimeout {
            operation,
            seconds: LIMIT.as_secs(),
        };
        tokio::time::timeout(LIMIT, call).await.map_err(timeout)
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// A change; fine as well if the answer's status says that there is nothing left to do.
    async fn change<T>(
        &self,
        operation: &'static str,
        is_done: u16,
        call: impl Future<Output = Result<T, KubeError>>,
    ) -> Result<(), SandboxError> {
        match self.call(operation, call).await? {
            Err(error) if failure::status(&error) != Some(is_done) => {
                Err(failure::of_call(operation, error))
            }
            _ => Ok(()),
        }
    }

    /// The image of a pod that runs a server. By a list of one, which the server's Role allows as it stands.
    pub(super) async fn image_of(&self, name: &str) -> Result<String, SandboxError> {
        const SERVER: &str = "sandtable";
        let which = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = self
            .ask("look at the server's own pod", self.pods.list(&which))
            .await?;
        let containers = found
            .items
            .into_iter()
            .filter_map(|pod| pod.spec)
            .flat_map(|spec| spec.containers);
        let containers: Vec<_> = containers.collect();
        let server = containers.iter().find(|container| container.name == SERVER);
        let image = server
            .or(containers.first())
            .and_then(|container| container.image.clone());
        image.ok_or_else(|| SandboxError::Unavailable {
            reason: format!("the namespace `{}` has no pod `{name}`, whose image the sandboxes would have", self.namespace),
            hint: "name an image with `--image`, or give `SANDTABLE_POD_NAME` the name of the server's own pod".to_owned(),
        })
    }

    pub(super) async fn make_pod(&self, pod: &Pod) -> Result<(), SandboxError> {
        let params = PostParams::default();
        self.change(
            "create the sandbox's pod",
            IS_THERE,
            self.pods.create(&params, pod),
        )
        .await
    }

    pub(super) async fn make_claim(
        &self,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), SandboxError> {
        let params = PostParams::default();
        let creation = self.claims.create(&params, claim);
        self.change(
            "create the claim of the sandbox's files",
            IS_THERE,
            creation,
        )
        .await
    }

    pub(super) async fn make_policy(&self, policy: &NetworkPolicy) -> Result<(), SandboxError> {
        let params = PostParams::default();
        let creation = self.policies.create(&params, policy);
        self.change("create the network policy", IS_THERE, creation)
            .await
    }

    /// Ends a pod at once: its guest has nothing to put in order.
    pub(super) async fn end_pod(&self, name: &str) -> Result<(), SandboxError> {
        let params = DeleteParams::default().grace_period(0);
        self.change(
            "end the sandbox's pod",
            IS_GONE,
            self.pods.delete(name, &params),
        )
        .await
    }

    pub(super) async fn remove_claim(&self, name: &str) -> Result<(), SandboxError> {
        let params = DeleteParams::default();
        let deletion = self.claims.delete(name, &params);
        self.change("remove the claim of the sandbox's files", IS_GONE, deletion)
            .await
    }

    /// Ends a claim of a pool's sandbox, and with it the sandbox.
    pub(super) async fn end_ticket(&self, name: &str) -> Result<(), SandboxError> {
        let params = DeleteParams::default();
        let deletion = self.tickets.delete(name, &params);
        self.change("end the claim of the sandbox", IS_GONE, deletion)
            .await
    }

    /// Ends every claim of a pool's sandbox that a selector finds, with one call.
    pub(super) async fn end_tickets(&self, selector: &str) -> Result<(), SandboxError> {
        let which = ListParams::default().labels(selector);
        let params = DeleteParams::default();
        let deletion = self.tickets.delete_collection(&params, &which);
        self.ask("end the claims of this server", deletion)
            .await
            .map(drop)
    }

    /// Ends every pod that a selector finds, with one call.
    pub(super) async fn end_pods(&self, selector: &str) -> Result<(), SandboxError> {
        let params = DeleteParams::default().grace_period(0);
        let which = ListParams::default().labels(selector);
        let deletion = self.pods.delete_collection(&params, &which);
        self.ask("end the pods of this server", deletion)
            .await
            .map(drop)
    }
}

/// Kinds of the extensions of agent-sandbox.
fn extension(client: &Client, namespace: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: AGENT_SANDBOX.to_owned(),
        version: VERSION.to_owned(),
        api_version: format!("{AGENT_SANDBOX}/{VERSION}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// As kube makes it, but for connections that send small pieces at once: kube's wait with the second until the other
/// side has acknowledged the first, some 40 ms where it has nothing to say itself.
fn client(config: Config) -> Result<Client, KubeError> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(config.connect_timeout);
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let retries = config
        .default_retry
        .then(|| RetryLayer::new(RetryPolicy::server_retry()));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retries)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build(connector));
    Ok(Client::new(service, config.default_namespace))
}

/// Why the cluster is not known.
#[derive(Debug, thiserror::Error)]
enum ConfigurationError {
    #[error("{}", failure::reason(.0))]
    File(#[from] KubeconfigError),
    #[error("{}", failure::reason(.0))]
    Infer(#[from] InferConfigError),
}

async fn configuration(settings: &KubernetesSettings) -> Result<Config, ConfigurationError> {
    let options = KubeConfigOptions {
        context: settings.context.clone(),
        ..KubeConfigOptions::default()
    };
    Ok(match &settings.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(file, &options).await?
        }
        None if settings.context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    })
}
