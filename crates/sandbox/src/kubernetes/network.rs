//! Whether a policy keeps sandboxes from the network: tried from inside, for some clusters take policies and do
//! not hold them.
//!
//! Two pods try to reach the API server: one that the policy is of, and one that it is not. The policy holds if the
//! second gets through and the first does not; where neither does nothing is proven.

use super::api::Cluster;
use super::look::Stage;
use super::names::NO_NETWORK;
use super::spec::{Mould, Network, policy};
use super::watch::Pods;
use crate::{PassedOver, SandboxError};

const POLICY_NAME: &str = "network policy";
const OPEN: &str = "open";
/// How the guest's program ends that has reached somebody.
const REACHED: i32 = 10;

/// The isolation of the network that holds, and why not the better of both.
pub(super) async fn examine(
    cluster: &Cluster,
    pods: &Pods,
    mould: &Mould,
) -> (Network, Option<PassedOver>) {
    match proven(cluster, pods, mould).await {
        Ok(()) => (Network::Policy, None),
        Err(open) => {
            let passed = PassedOver {
                name: POLICY_NAME,
                reason: open.to_string(),
            };
            (Network::Filter, Some(passed))
        }
    }
}

/// Where a pool's template says what holds, nothing is made or tried.
pub(super) fn decided_by_pool() -> PassedOver {
    PassedOver {
        name: POLICY_NAME,
        reason: "not tried, the pool's template decides (`--k8s-pool`)".to_owned(),
    }
}

/// Why the policy does not keep pods from the network.
#[derive(Debug, thiserror::Error)]
enum Open {
    #[error("not asked for (`--k8s-no-policy`)")]
    NotAskedFor,
    /// It was not taken, or could not be tried.
    #[error(transparent)]
    Cluster(#[from] SandboxError),
    #[error(
        "accepted by the cluster and not enforced: a pod that it forbids the network reaches the API server"
    )]
    NotEnforced,
    #[error("not proven: a pod without it does not reach the API server, either")]
    NotProven,
}

async fn proven(cluster: &Cluster, pods: &Pods, mould: &Mould) -> Result<(), Open> {
    if mould.settings.without_policy {
        return Err(Open::NotAskedFor);
    }
    // Refused: an administrator may have made it, which the probes find out.
    let refused = cluster.make_policy(&policy()).await.err();
    let addresses = addresses(&cluster.address);
    let (held, open) = tokio::join!(
        reaches(cluster, pods, mould, NO_NETWORK, &addresses),
        reaches(cluster, pods, mould, OPEN, &addresses),
    );
    match (held?, open?) {
        (false, true) => Ok(()),
        (true, _) => Err(match refused {
            Some(error) => Open::Cluster(error),
            None => Open::NotEnforced,
        }),
        (false, false) => Err(Open::NotProven),
    }
}

/// The API server as pods have it, and as this server has it.
fn addresses(server: &str) -> Vec<String> {
    let inside = "$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT".to_owned();
    let outside = server.parse::<http::Uri>().ok().and_then(|uri| {
        let usual = if uri.scheme_str() == Some("http") {
            80
        } else {
            443
        };
        let port = uri.port_u16().unwrap_or(usual);
        uri.host().map(|host| format!("{host}:{port}"))
    });
    [Some(inside), outside].into_iter().flatten().collect()
}

async fn reaches(
    cluster: &Cluster,
    pods: &Pods,
    mould: &Mould,
    network: &str,
    addresses: &[String],
) -> Result<bool, SandboxError> {
    let name = mould.owner.new_name("probe-");
    let mut pod = pods.follow(&name);
    cluster
        .make_pod(&mould.probe(&name, network, addresses))
        .await?;
    let ended = Pods::until(&mut pod, mould.settings.patience(), |look| {
        match &look?.stage {
            Stage::Ended { exit_code: 0, .. } => Some(Ok(false)),
            Stage::Ended {
                exit_code: REACHED, ..
            } => Some(Ok(true)),
            Stage::Ended { reason, .. } | Stage::Broken(reason) => Some(Err(reason.clone())),
            Stage::Pending(_) | Stage::Running | Stage::Ending => None,
        }
    })
    .await;
    cluster.end_pod(&name).await.ok();
    let trouble = match ended {
        Ok(Ok(reached)) => return Ok(reached),
        Ok(Err(reason)) => reason,
        Err(Some(look)) => format!("its probe does not end: {:?}", look.stage),
        Err(None) => pods.trouble(),
    };
    Err(super::failure::of_start(&trouble))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_tries_the_api_server_from_both_sides() {
        let outside = |server: &str| addresses(server)[1].clone();
        assert_eq!(outside("https://10.0.0.1:6443"), "10.0.0.1:6443");
        assert_eq!(outside("https://cluster.example"), "cluster.example:443");
        assert_eq!(outside("https://[::1]:6443/k8s"), "[::1]:6443");
    }
}
