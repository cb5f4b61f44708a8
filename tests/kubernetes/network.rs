//! That sandboxes have no network is tried, not taken for granted.

use cli::image::Flavor;
use sandbox::guest::Guest;
use sandbox::kubernetes::settings::Storage;
use sandbox::{Host as _, Limits};

use crate::bench::{Bench, light, on};
use crate::cluster::{Cluster, Kind, Refusal};
use crate::talk::{bash, new_spec, wake};

/// A program makes no socket of the network that the pod has.
pub(crate) async fn cannot_dial(guest: &Guest) {
    let dial = "python3 -c 'import socket; socket.create_connection((\"172.17.0.1\", 80), 5)' 2>&1 | tail -1";
    let said = bash(guest, dial).await;
    assert!(
        said.out.contains("Address family not supported"),
        "{}",
        said.out
    );
}

async fn banner(bench: &Bench) -> String {
    bench.backend.describe().await.text
}

#[tokio::test]
async fn a_policy_that_a_probe_saw_hold_is_what_the_banner_says() {
    let bench = light(|_| {}).await;
    let text = banner(&bench).await;
    assert!(
        text.contains("kept off by a NetworkPolicy, as a probe saw"),
        "{text}"
    );
    assert!(bench.backend.passed_over().is_empty());
    // The probes are gone.
    while !bench.cluster().pods().is_empty() {
        tokio::task::yield_now().await;
    }
    bench.end().await;
}

#[tokio::test]
async fn a_policy_that_is_taken_and_not_enforced_is_not_trusted() {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    cluster.set_enforcement(false);
    let bench = on(cluster, |config| config.settings.storage = None).await;
    let text = banner(&bench).await;
    assert!(text.contains("the guest's filter"), "{text}");
    assert!(
        text.contains("accepted by the cluster and not enforced"),
        "{text}"
    );
    assert_eq!(bench.backend.passed_over()[0].name, "network policy");
    bench.end().await;
}

#[tokio::test]
async fn a_policy_that_the_server_may_not_make_is_tried_all_the_same() {
    let refusal = || Refusal::Status {
        code: 403,
        reason: "Forbidden",
        message: "cannot create resource \"networkpolicies\"".to_owned(),
    };
    // An administrator has made it.
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    cluster.refuse("create networkpolicies", refusal(), 1);
    let bench = on(cluster, |config| config.settings.storage = None).await;
    assert!(banner(&bench).await.contains("as a probe saw"));
    bench.end().await;
    // Nobody has.
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    cluster.set_enforcement(false);
    cluster.refuse("create networkpolicies", refusal(), 1);
    let bench = on(cluster, |config| config.settings.storage = None).await;
    assert!(banner(&bench).await.contains("cannot create resource"));
    bench.end().await;
}

#[tokio::test]
async fn without_a_policy_nothing_is_made_or_tried() {
    let bench = light(|config| config.settings.without_policy = true).await;
    assert!(banner(&bench).await.contains("--k8s-no-policy"));
    let asked = bench.cluster().asked();
    assert!(
        !asked.iter().any(|what| what.starts_with("create")),
        "{asked:?}"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_policy_holds_programs_make_no_socket_of_a_network() {
    if !crate::bench::image_ready(Flavor::Slim).await {
        return;
    }
    let Some(cluster) = Cluster::start(Kind::Docker).await else {
        return;
    };
    cluster.set_enforcement(false);
    let bench = on(cluster, |config| {
        config.settings.storage = Some(Storage::Default);
    })
    .await;
    let text = banner(&bench).await;
    assert!(text.contains("not enforced"), "{text}");
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let program = "import socket\nfor family in range(1, 46):\n    for kind in 1, 2, 3, 5:\n        try: socket.socket(family, kind); print(family)\n        except OSError: pass\n";
    let said = bash(
        &guest,
        &format!("cat > s.py <<'P'\n{program}P\npython3 s.py | sort -u"),
    )
    .await;
    assert_eq!(said.out, "1\n", "{}", said.err);
    // The pod has a network; its programs do not.
    assert!(bash(&guest, "grep -c eth0 /proc/net/dev").await.out == "1\n");
    cannot_dial(&guest).await;
    bench.end().await;
}
