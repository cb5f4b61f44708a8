//! Sandboxes claimed from a warm pool of agent-sandbox: bound late, not at all, or taken away, and who clears them up.

use std::collections::HashSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sandbox::kubernetes::settings::Storage;
use sandbox::kubernetes::{KubernetesBackend, KubernetesConfig, pool_template};
use sandbox::{Host as _, Launcher as _, SandboxError};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::bench::{Bench, POOL, config, of_pool, on, pooled};
use crate::cluster::{Cluster, Fate, Kind, Refusal};
use crate::failures::refused;
use crate::network::cannot_dial;
use crate::talk::{SMALL, bash, in_30_days, new_spec};
use crate::talk_light::{again, fails, greet, start, unavailable, works};

async fn connect(
    cluster: &Cluster,
    change: impl FnOnce(&mut KubernetesConfig),
) -> Result<KubernetesBackend, SandboxError> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&cluster.kubeconfig(), folder.path());
    of_pool(&mut config);
    change(&mut config);
    KubernetesBackend::connect(config).await
}

async fn tickets_become(cluster: &Cluster, count: usize) {
    while cluster.tickets().len() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_container_of_a_pool_is_two_calls_a_call_none_and_two_watches_tell_of_all() {
    let bench = pooled(Kind::Processes, 3, |_| {}).await;
    let banner = bench.backend.describe().await.text;
    assert!(banner.contains("pool `pool`, image `image`"), "{banner}");
    assert!(banner.contains("the guest's filter"), "{banner}");
    // More than wait: the last are made when they are claimed.
    for _ in 0..6 {
        let before = bench.cluster().calls();
        let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
        let made = bench.cluster().calls();
        assert_eq!(made - before, 2);
        for _ in 0..20 {
            bash(&guest, "true").await;
        }
        assert_eq!(bench.cluster().calls(), made);
    }
    assert_eq!(bench.cluster().watches(), 2);
    bench.cluster().pool_has(POOL, 3).await;
    bench.end().await;
}

#[tokio::test]
async fn a_claim_says_whose_it_is_and_ends_by_itself_where_no_server_is_left() {
    let bench = pooled(Kind::Processes, 1, |_| {}).await;
    let spec = new_spec(SMALL);
    let guest = start(&bench, &spec).await.unwrap();
    let ticket = bench.cluster().tickets().remove(0);
    let labels = &ticket["metadata"]["labels"];
    assert_eq!(labels["sandtable.dev/sandbox"], *spec.sandbox_id);
    assert_eq!(labels["app.kubernetes.io/managed-by"], "sandtable");
    assert_eq!(ticket["spec"]["warmPoolRef"]["name"], POOL);
    // What would make every start a cold one, or be refused.
    for field in ["env", "volumeClaimTemplates", "additionalPodMetadata"] {
        assert!(ticket["spec"].get(field).is_none(), "{ticket}");
    }
    let lifecycle = &ticket["spec"]["lifecycle"];
    assert_eq!(lifecycle["shutdownPolicy"], "Delete");
    assert!(lifecycle["ttlSecondsAfterFinished"].as_u64().unwrap() > 0);
    let end = lifecycle["shutdownTime"].as_str().unwrap();
    assert!(end.parse::<chrono::DateTime<chrono::Utc>>().unwrap() > in_30_days());
    // Its guest ends with its lease, and says so in the claim.
    drop(guest);
    let pod = ticket["status"]["sandbox"]["name"].as_str().unwrap();
    let failed = json!({ "phase": "Failed", "containerStatuses": [] });
    bench.cluster().strike(pod, failed).await;
    while bench.cluster().tickets()[0]["status"]["conditions"][1]["type"] != "Finished" {
        tokio::task::yield_now().await;
    }
    bench.end().await;
}

#[tokio::test]
async fn a_claim_that_is_bound_late_or_finds_an_empty_pool_is_waited_for() {
    let bench = pooled(Kind::Processes, 1, |_| {}).await;
    bench.cluster().bind_after(Duration::from_millis(300));
    let begun = Instant::now();
    works(&bench).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    bench.cluster().set_replicas(POOL, 0);
    for _ in 0..2 {
        works(&bench).await;
    }
    bench.end().await;
}

#[tokio::test]
async fn a_claim_that_is_not_bound_says_why_is_given_back_and_the_next_works() {
    let patience = Duration::from_secs(2);
    let bench = pooled(Kind::Processes, 1, |config| {
        config.settings.start_timeout = Some(patience);
    })
    .await;
    let cluster = bench.cluster();
    for (fate, reason, hint) in [
        (Fate::Unseen, "nobody has answered", "controller"),
        (
            Fate::Waits("AdoptionConflict", "the next pass retries"),
            "still not bound after 2 s: AdoptionConflict: the next pass",
            "kubectl describe",
        ),
        (
            Fate::Waits("TemplateNotFound", "SandboxTemplate \"t\" not found"),
            "SandboxTemplate \"t\" not found",
            "SandboxTemplate",
        ),
    ] {
        cluster.next_claims([fate]);
        fails(&bench, reason, hint).await;
        tickets_become(cluster, 0).await;
        works(&bench).await;
        bench.backend.reap(HashSet::new()).await.unwrap();
        for ticket in cluster.tickets() {
            cluster.uproot(
                "sandboxclaims",
                ticket["metadata"]["name"].as_str().unwrap(),
            );
        }
    }
    // A pool that goes while the server runs, and comes back.
    let pool = json!({
        "metadata": { "name": POOL },
        "spec": { "replicas": 1, "sandboxTemplateRef": { "name": POOL } },
    });
    cluster.uproot("sandboxwarmpools", POOL);
    let begun = Instant::now();
    fails(&bench, "WarmPoolNotFound", "kubectl get sandboxwarmpools").await;
    assert!(begun.elapsed() < patience);
    cluster.plant("sandboxwarmpools", pool);
    works(&bench).await;
    bench.end().await;
}

#[tokio::test]
async fn a_claim_that_is_deleted_while_it_starts_or_runs_is_lost_and_the_next_call_has_another() {
    let bench = pooled(Kind::Processes, 1, |_| {}).await;
    let cluster = bench.cluster();
    let uproot_all = || {
        for ticket in cluster.tickets() {
            cluster.uproot(
                "sandboxclaims",
                ticket["metadata"]["name"].as_str().unwrap(),
            );
        }
    };
    cluster.next_claims([Fate::Unseen]);
    let deleted = async {
        tickets_become(cluster, 1).await;
        uproot_all();
    };
    tokio::join!(
        fails(&bench, "was deleted while it started", "tries again"),
        deleted
    );
    // Bound, and its pod on the way.
    cluster.set_replicas(POOL, 0);
    works(&bench).await;
    uproot_all();
    cluster.slow_down(Duration::ZERO, Duration::from_mins(1));
    let deleted = async {
        while cluster
            .tickets()
            .iter()
            .all(|it| it["status"]["sandbox"]["name"].is_null())
        {
            tokio::task::yield_now().await;
        }
        uproot_all();
    };
    tokio::join!(
        fails(&bench, "deleted while it started", "tries again"),
        deleted
    );
    cluster.slow_down(Duration::ZERO, Duration::ZERO);
    let spec = new_spec(SMALL);
    let guest = start(&bench, &spec).await.unwrap();
    uproot_all();
    guest.closed().await;
    assert!(again(&bench, &spec).await.is_none());
    let guest = start(&bench, &spec).await.unwrap();
    assert_eq!(bash(&guest, "echo anew").await.out, "anew\n");
    bench.end().await;
}

#[tokio::test]
async fn refusals_of_a_claim_say_what_would_mend_them() {
    let bench = pooled(Kind::Processes, 1, |_| {}).await;
    for (refusal, reason, hint) in [
        (
            refused(403, "Forbidden", "cannot create resource \"sandboxclaims\""),
            "cannot create",
            "the Role",
        ),
        (
            refused(
                404,
                "NotFound",
                "the server could not find the requested resource",
            ),
            "no such kind",
            "install agent-sandbox",
        ),
        (
            refused(404, "NotFound", "namespaces \"sandboxes\" not found"),
            "not found",
            "--k8s-namespace",
        ),
    ] {
        bench.cluster().refuse("create sandboxclaims", refusal, 1);
        fails(&bench, reason, hint).await;
        works(&bench).await;
    }
    // What the answer is lost of has come through.
    bench
        .cluster()
        .refuse("create sandboxclaims", Refusal::Lost, 1);
    works(&bench).await;
    bench.end().await;
}

#[tokio::test]
async fn a_cluster_without_agent_sandbox_a_pool_or_its_template_keeps_the_server_from_starting() {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    let (reason, hint) = unavailable(connect(&cluster, |_| {}).await);
    assert!(
        reason.contains("extensions.agents.x-k8s.io/v1beta1"),
        "{reason}"
    );
    assert!(hint.contains("install agent-sandbox"), "{hint}");
    let doctor = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args([
            "doctor",
            "--port",
            "0",
            "--backend",
            "kubernetes",
            "--k8s-pool",
            POOL,
        ])
        .env("KUBECONFIG", cluster.kubeconfig())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("install agent-sandbox"), "{said}");
    assert!(!doctor.status.success());
    cluster.extend();
    let (reason, hint) = unavailable(connect(&cluster, |_| {}).await);
    assert!(reason.contains("\"pool\" not found"), "{reason}");
    assert!(hint.contains("kubectl get sandboxwarmpools"), "{hint}");
    let whole = pool_template(POOL, "image", SMALL);
    cluster.make_pool(whole.clone(), 0).await;
    cluster.uproot("sandboxtemplates", POOL);
    let (reason, hint) = unavailable(connect(&cluster, |_| {}).await);
    assert!(reason.contains("TemplateNotFound"), "{reason}");
    assert!(hint.contains("SandboxTemplate"), "{hint}");
    // One whose programs might reach a network.
    let mut open = whole;
    let env = open["spec"]["podTemplate"]["spec"]["containers"][0]["env"].as_array_mut();
    env.unwrap()
        .retain(|it| it["name"] != "SANDTABLE_GUEST_SOCKETS");
    cluster.plant("sandboxtemplates", open);
    let (reason, hint) = unavailable(connect(&cluster, |_| {}).await);
    assert!(reason.contains("SANDTABLE_GUEST_SOCKETS"), "{reason}");
    assert!(hint.contains("components/pool"), "{hint}");
}

#[tokio::test]
async fn what_the_pool_decides_is_not_said_a_second_time() {
    type Change = fn(&mut KubernetesConfig);
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    let changes: [(Change, &str); 5] = [
        (|config| config.image = Some("x".to_owned()), "--image"),
        (
            |config| config.settings.storage = Some(Storage::Default),
            "--k8s-storage-class",
        ),
        (
            |config| config.settings.guest_image = Some("x".to_owned()),
            "--k8s-guest-image",
        ),
        (
            |config| config.settings.runtime_class = Some("gvisor".to_owned()),
            "--k8s-runtime-class",
        ),
        (
            |config| config.settings.without_policy = true,
            "--k8s-no-policy",
        ),
    ];
    for (change, flag) in changes {
        let (reason, hint) = unavailable(connect(&cluster, change).await);
        assert!(reason.contains(&format!("`{flag}`")), "{reason}");
        assert!(hint.contains("leave one of them out"), "{hint}");
    }
    let served = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["serve", "--port", "0", "--backend", "kubernetes"])
        .args(["--k8s-pool", POOL, "--warm", "1"])
        .env("KUBECONFIG", cluster.kubeconfig())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(!served.status.success());
    let said = String::from_utf8_lossy(&served.stderr).into_owned();
    assert!(said.contains("`replicas` of the SandboxWarmPool"), "{said}");
    assert_eq!(cluster.calls(), 0);
}

#[tokio::test]
async fn ends_the_reaper_and_the_next_server_go_by_the_claims() {
    let bench = pooled(Kind::Processes, 2, |config| config.temporary = false).await;
    let (known, unknown) = (new_spec(SMALL), new_spec(SMALL));
    let guest = start(&bench, &known).await.unwrap();
    bash(&guest, "echo 1 > note").await;
    drop(start(&bench, &unknown).await.unwrap());
    let labels = |scope: &str| {
        json!({
            "app.kubernetes.io/managed-by": "sandtable", "sandtable.dev/scope": scope,
            "sandtable.dev/server": "x", "sandtable.dev/data": "kept", "sandtable.dev/sandbox": "container_1",
        })
    };
    let planted = |name: &str, expires: &str| {
        json!({ "metadata": {
            "name": name, "labels": labels("theirs"),
            "annotations": { "sandtable.dev/expires": expires },
        }})
    };
    let later = in_30_days().to_rfc3339();
    bench
        .cluster()
        .plant("sandboxclaims", planted("theirs", &later));
    bench
        .cluster()
        .plant("sandboxclaims", planted("expired", "2020-01-01T00:00:00Z"));
    // As a kill does: nothing is put in order.
    let Bench {
        backend,
        cluster,
        folder,
    } = bench;
    drop((guest, backend));
    let cluster = cluster.unwrap();
    let mut settings = config(&cluster.kubeconfig(), folder.path());
    of_pool(&mut settings);
    settings.temporary = false;
    let backend = KubernetesBackend::connect(settings).await.unwrap();
    let next = Bench {
        backend,
        cluster: Some(cluster),
        folder,
    };
    let reaped = next
        .backend
        .reap(HashSet::from([known.sandbox_id.clone()]))
        .await;
    assert_eq!(reaped.unwrap(), 2);
    tickets_become(next.cluster(), 2).await;
    let guest = again(&next, &known).await.unwrap();
    assert_eq!(bash(&guest, "cat note").await.out, "1\n");
    // A second launch ends the first; a stop leaves no claim.
    let launched = next.backend.launch(&known).await.unwrap();
    guest.closed().await;
    let guest = greet(&next, launched).await;
    tickets_become(next.cluster(), 2).await;
    next.backend.stop(&known.sandbox_id).await.unwrap();
    guest.closed().await;
    tickets_become(next.cluster(), 1).await;
    // The end of a server ends its own, and the pool's pods stay.
    let guest = start(&next, &known).await.unwrap();
    next.backend.close().await.unwrap();
    guest.closed().await;
    tickets_become(next.cluster(), 1).await;
    assert_eq!(next.cluster().tickets()[0]["metadata"]["name"], "theirs");
    next.cluster().pool_has(POOL, 2).await;
}

#[tokio::test]
async fn a_pod_that_its_pool_makes_anew_is_not_taken_for_the_one_before() {
    let bench = pooled(Kind::Processes, 1, |_| {}).await;
    let spec = new_spec(SMALL);
    let guest = start(&bench, &spec).await.unwrap();
    let pod = bench.cluster().tickets()[0]["status"]["sandbox"]["name"].clone();
    let pod = pod.as_str().unwrap();
    bench.cluster().delete(pod);
    guest.closed().await;
    // Its controller makes another of the same name.
    let runs = |pods: Vec<Value>| {
        let own = |it: &&Value| it["metadata"]["name"] == pod;
        pods.iter().find(own).is_some_and(|it| {
            it["status"]["phase"] == "Running" && it["metadata"].get("deletionTimestamp").is_none()
        })
    };
    let launched = loop {
        tokio::task::yield_now().await;
        if runs(bench.cluster().pods())
            && let Some(launched) = bench.backend.take_up(&spec.sandbox_id).await.unwrap()
        {
            break launched;
        }
    };
    let settings = crate::talk_light::settings(&bench.folder.path().join("guest"));
    let limit = sandbox::guest::HELLO_TIMEOUT;
    let resumed = sandbox::guest::Guest::resume(launched, settings, limit).await;
    // What tells a server that the files of the one before are gone.
    assert!(resumed.unwrap().1.is_new);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_of_a_pool_s_pod_make_no_socket_of_a_network() {
    if !crate::bench::image_ready(cli::image::Flavor::Slim).await {
        return;
    }
    let bench = pooled(Kind::Docker, 1, |_| {}).await;
    bench.cluster().set_enforcement(false);
    let guest = crate::talk::wake(&bench, &new_spec(SMALL)).await;
    cannot_dial(&guest).await;
    bench.end().await;
}

#[tokio::test]
async fn a_backend_without_a_pool_does_not_know_agent_sandbox() {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    cluster
        .make_pool(pool_template(POOL, "image", SMALL), 1)
        .await;
    let bench = on(cluster, |config| {
        config.settings.storage = None;
        config.temporary = true;
    })
    .await;
    works(&bench).await;
    assert_eq!(bench.backend.reap(HashSet::new()).await.unwrap(), 0);
    let asked = bench.cluster().asked();
    assert!(
        !asked.iter().any(|what| what.contains("sandbox")),
        "{asked:?}"
    );
    bench.backend.close().await.unwrap();
    bench.cluster().pool_has(POOL, 1).await;
}
