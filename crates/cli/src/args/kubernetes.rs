//! Which cluster runs sandboxes, and how, as it is typed.

use std::time::Duration;

use crate::value::ValueError;
use clap::Args;

use common::limits::POD_START_TIMEOUT;
use sandbox::kubernetes::settings::{KubernetesSettings, NotAToleration, Storage, Toleration};

/// Flags of `--backend kubernetes`.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_field_names, reason = "they are the names of the flags")]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct KubernetesArgs {
    /// Context of the kubeconfig (`KUBECONFIG`, as for kubectl); without one the service account of the server's pod.
    #[arg(
        long,
        value_name = "NAME",
        env = "SANDTABLE_K8S_CONTEXT",
        hide_short_help = true
    )]
    k8s_context: Option<String>,
    /// Namespace of the sandboxes' pods [default: the context's own].
    #[arg(
        long,
        value_name = "NAME",
        env = "SANDTABLE_K8S_NAMESPACE",
        hide_short_help = true
    )]
    k8s_namespace: Option<String>,
    /// Image that brings the guest: it has `sandtable-guest` on its PATH [default: the one of --image].
    #[arg(
        long,
        value_name = "IMAGE",
        env = "SANDTABLE_K8S_GUEST_IMAGE",
        hide_short_help = true
    )]
    k8s_guest_image: Option<String>,
    /// Runtime class of the pods, such as gvisor or kata.
    #[arg(
        long,
        value_name = "NAME",
        env = "SANDTABLE_K8S_RUNTIME_CLASS",
        hide_short_help = true
    )]
    k8s_runtime_class: Option<String>,
    /// Label that the pods' nodes have; may be given again.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label, value_delimiter = ',', env = "SANDTABLE_K8S_NODE_SELECTOR", hide_short_help = true)]
    k8s_node_selector: Vec<(String, String)>,
    /// Taint of nodes that the pods stand, as KEY[=VALUE][:EFFECT]; may be given again.
    #[arg(long, value_name = "TAINT", value_parser = toleration, value_delimiter = ',', env = "SANDTABLE_K8S_TOLERATION", hide_short_help = true)]
    k8s_toleration: Vec<Toleration>,
    /// Secret that the images' registry wants; may be given again.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        env = "SANDTABLE_K8S_PULL_SECRET",
        hide_short_help = true
    )]
    k8s_pull_secret: Vec<String>,
    /// Keep each container's files in a claim of this storage class, or of the `default` one; without it they are
    /// exported into the data directory before sleep.
    #[arg(
        long,
        value_name = "NAME",
        env = "SANDTABLE_K8S_STORAGE_CLASS",
        hide_short_help = true
    )]
    k8s_storage_class: Option<String>,
    /// Seconds that a pod may take to run, nodes that are started and images that are pulled included.
    #[arg(long, value_name = "SECONDS", default_value_t = POD_START_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600), env = "SANDTABLE_K8S_START_TIMEOUT", hide_short_help = true)]
    k8s_start_timeout: u64,
    /// Make no network policy and try none: programs then make no sockets of a network, loopback included.
    #[arg(long, env = "SANDTABLE_K8S_NO_POLICY", hide_short_help = true)]
    k8s_no_policy: bool,
    /// Claim sandboxes of this warm pool of agent-sandbox (`SandboxWarmPool`, v1beta1) instead of making pods; its template
    /// decides image, limits, and network.
    #[arg(
        long,
        value_name = "NAME",
        env = "SANDTABLE_K8S_POOL",
        hide_short_help = true
    )]
    k8s_pool: Option<String>,
}

fn label(text: &str) -> Result<(String, String), ValueError> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or(ValueError::Expected("a label is `KEY=VALUE`"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn toleration(text: &str) -> Result<Toleration, NotAToleration> {
    text.parse()
}

impl From<KubernetesArgs> for KubernetesSettings {
    fn from(typed: KubernetesArgs) -> Self {
        Self {
            kubeconfig: None,
            context: typed.k8s_context,
            namespace: typed.k8s_namespace,
            guest_image: typed.k8s_guest_image,
            runtime_class: typed.k8s_runtime_class,
            node_selector: typed.k8s_node_selector,
            tolerations: typed.k8s_toleration,
            pull_secrets: typed.k8s_pull_secret,
            storage: typed.k8s_storage_class.as_deref().map(Storage::from),
            start_timeout: Some(Duration::from_secs(typed.k8s_start_timeout)),
            without_policy: typed.k8s_no_policy,
            pool: typed.k8s_pool,
        }
    }
}
