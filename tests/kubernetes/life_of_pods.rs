//! Whose pods and claims are, how long they live, and who clears them up.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::kubernetes::KubernetesBackend;
use sandbox::kubernetes::settings::Storage;
use sandbox::{Host as _, Launcher as _};
use serde_json::{Value, json};

use crate::bench::{Bench, config, light};
use crate::cluster::Cluster;
use crate::talk::{SMALL, bash, in_30_days, new_spec};
use crate::talk_light::{again, greet, start};

/// The number of pods, once it is that.
async fn pods_become(cluster: &Cluster, count: usize) {
    while cluster.pods().len() != count {
        tokio::task::yield_now().await;
    }
}

fn planted(name: &str, labels: &Value, ended: Option<&str>) -> Value {
    let mut labels = labels.clone();
    labels["app.kubernetes.io/managed-by"] = json!("sandtable");
    let state = match ended {
        Some(at) => json!({ "terminated": { "exitCode": 0, "finishedAt": at } }),
        None => json!({ "running": {} }),
    };
    json!({
        "metadata": {
            "name": name, "labels": labels,
            "annotations": { "sandtable.dev/expires": in_30_days().to_rfc3339() },
        },
        "spec": { "containers": [] },
        "status": { "phase": "Running", "containerStatuses": [
            { "name": "sandbox", "state": state, "image": "", "imageID": "", "ready": true, "restartCount": 0 }
        ]},
    })
}

#[tokio::test]
async fn what_belongs_to_another_server_is_never_removed() {
    let bench = light(|_| {}).await;
    let long_ago = Some("2020-01-01T00:00:00Z");
    let theirs = |data: &str| json!({ "sandtable.dev/scope": "theirs", "sandtable.dev/server": "x", "sandtable.dev/data": data, "sandtable.dev/sandbox": "container_1" });
    let cluster = bench.cluster();
    cluster.plant("pods", planted("runs", &theirs("temporary"), None));
    cluster.plant("pods", planted("kept-and-ended", &theirs("kept"), long_ago));
    cluster.plant(
        "pods",
        planted(
            "ended-just-now",
            &theirs("temporary"),
            Some(&in_30_days().to_rfc3339()),
        ),
    );
    cluster.plant(
        "pods",
        planted("ended-long-ago", &theirs("temporary"), long_ago),
    );
    let mut expired = planted("expired", &theirs("kept"), None);
    expired["metadata"]["annotations"]["sandtable.dev/expires"] = json!("2020-01-01T00:00:00Z");
    cluster.plant("pods", expired);
    cluster.plant("pods", json!({ "metadata": { "name": "somebody-elses", "labels": {} }, "spec": { "containers": [] } }));
    drop(start(&bench, &new_spec(SMALL)).await.unwrap());
    assert_eq!(bench.backend.reap(HashSet::new()).await.unwrap(), 2);
    pods_become(cluster, 5).await;
    let names: Vec<String> = cluster
        .pods()
        .iter()
        .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    for name in ["runs", "kept-and-ended", "ended-just-now", "somebody-elses"] {
        assert!(names.iter().any(|it| it == name), "{names:?}");
    }
    bench.end().await;
}

#[tokio::test]
async fn the_end_of_a_server_ends_its_pods_and_no_others() {
    let bench = light(|_| {}).await;
    let labels = json!({ "sandtable.dev/scope": "theirs", "sandtable.dev/sandbox": "container_1" });
    bench
        .cluster()
        .plant("pods", planted("theirs", &labels, None));
    let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
    bench.backend.close().await.unwrap();
    guest.closed().await;
    pods_become(bench.cluster(), 1).await;
}

#[tokio::test]
async fn the_next_server_of_a_data_directory_takes_up_what_runs_and_removes_what_nobody_knows() {
    let bench = light(|config| config.temporary = false).await;
    let (known, unknown) = (new_spec(SMALL), new_spec(SMALL));
    let guest = start(&bench, &known).await.unwrap();
    bash(&guest, "echo 1 > note").await;
    drop(start(&bench, &unknown).await.unwrap());
    // As a kill does: nothing is put in order.
    let Bench {
        backend,
        cluster,
        folder,
    } = bench;
    let cluster = cluster.unwrap();
    drop((guest, backend));
    let mut config = config(&cluster.kubeconfig(), folder.path());
    config.settings.storage = None;
    let backend = KubernetesBackend::connect(config).await.unwrap();
    let next = Bench {
        backend,
        cluster: Some(cluster),
        folder,
    };
    assert_eq!(
        next.backend
            .reap(HashSet::from([known.sandbox_id.clone()]))
            .await
            .unwrap(),
        1
    );
    pods_become(next.cluster(), 1).await;
    let guest = again(&next, &known).await.unwrap();
    assert_eq!(bash(&guest, "cat note").await.out, "1\n");
    next.end().await;
}

#[tokio::test]
async fn claims_outlive_pods_and_go_with_their_containers() {
    let bench = light(|config| {
        config.temporary = false;
        config.settings.storage = Some(Storage::Class("fast".to_owned()));
    })
    .await;
    let (first, second) = (new_spec(SMALL), new_spec(SMALL));
    for spec in [&first, &second] {
        drop(start(&bench, spec).await.unwrap());
        bench.backend.stop(&spec.sandbox_id).await.unwrap();
    }
    assert_eq!(bench.cluster().pods().len(), 0);
    let claims = bench.cluster().claims();
    assert_eq!(claims.len(), 2);
    assert_eq!(claims[0]["spec"]["storageClassName"], "fast");
    // It wakes on the claim that it has.
    drop(start(&bench, &first).await.unwrap());
    assert_eq!(bench.cluster().claims().len(), 2);
    bench.backend.remove(&first.sandbox_id).await.unwrap();
    assert_eq!(bench.cluster().claims().len(), 1);
    // Of the same server: the store decides, not the run.
    assert_eq!(
        bench
            .backend
            .reap(HashSet::from([second.sandbox_id.clone()]))
            .await
            .unwrap(),
        0
    );
    assert_eq!(bench.backend.reap(HashSet::new()).await.unwrap(), 1);
    assert_eq!(bench.cluster().claims().len(), 0);
    bench.end().await;
}

#[tokio::test]
async fn a_warm_pod_is_given_to_a_container_with_one_call() {
    let Bench {
        backend,
        cluster,
        folder,
    } = light(|_| {}).await;
    let backend = Arc::new(backend);
    backend.keep_warm(2, SMALL);
    while backend.warm_count() < 2 {
        tokio::task::yield_now().await;
    }
    let cluster = cluster.unwrap();
    let before = cluster.calls();
    let spec = new_spec(SMALL);
    let launched = backend.launch(&spec).await.unwrap();
    let own: Vec<Value> = cluster
        .pods()
        .into_iter()
        .filter(|pod| pod["metadata"]["labels"]["sandtable.dev/sandbox"] == *spec.sandbox_id)
        .collect();
    assert_eq!(own.len(), 1);
    // Another takes its place meanwhile, with two calls at most.
    assert!((1..=3).contains(&(cluster.calls() - before)));
    let bench_settings = crate::talk_light::settings(folder.path());
    let (guest, _) =
        sandbox::guest::Guest::resume(launched, bench_settings, sandbox::guest::HELLO_TIMEOUT)
            .await
            .unwrap();
    assert_eq!(bash(&guest, "echo warm").await.out, "warm\n");
    while backend.warm_count() < 2 {
        tokio::task::yield_now().await;
    }
    backend.close().await.unwrap();
    guest.closed().await;
    pods_become(&cluster, 0).await;
}

#[tokio::test]
async fn a_start_that_is_under_way_at_the_end_leaves_no_pod() {
    const AT_MOST: Duration = Duration::from_millis(500);
    for is_held in [true, false] {
        let Bench {
            backend, cluster, ..
        } = light(|_| {}).await;
        let backend = Arc::new(backend);
        let cluster = cluster.unwrap();
        let asks = |what: &str| cluster.asked().iter().any(|asked| asked == what);
        while !cluster.pods().is_empty() {
            tokio::task::yield_now().await;
        }
        let before = cluster.calls();
        if is_held {
            // The API server has been asked, and does not answer.
            cluster.hold(Some("pods"));
        } else {
            // No node runs the pod.
            cluster.slow_down(Duration::ZERO, Duration::from_mins(1));
        }
        backend.keep_warm(1, SMALL);
        while cluster.calls() == before || (!is_held && cluster.pods().is_empty()) {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        let closing = tokio::spawn({
            let backend = Arc::clone(&backend);
            async move { backend.close().await }
        });
        let cleared = async {
            while !asks("deletecollection pods") {
                tokio::task::yield_now().await;
            }
        };
        // Who does not wait for its start has cleared up before it is through.
        drop(tokio::time::timeout(AT_MOST, cleared).await);
        cluster.hold(None);
        closing.await.unwrap().unwrap();
        assert!(begun.elapsed() < AT_MOST * 10, "{:?}", begun.elapsed());
        assert!(asks("deletecollection pods"));
        pods_become(&cluster, 0).await;
        let asked = cluster.asked();
        tokio::task::yield_now().await;
        assert_eq!((cluster.pods().len(), cluster.asked()), (0, asked));
    }
}

#[tokio::test]
async fn a_sandbox_that_is_launched_again_ends_the_one_before() {
    let bench = light(|_| {}).await;
    let spec = new_spec(SMALL);
    let first = start(&bench, &spec).await.unwrap();
    let launched = bench.backend.launch(&spec).await.unwrap();
    first.closed().await;
    let second = greet(&bench, launched).await;
    assert_eq!(bash(&second, "echo second").await.out, "second\n");
    assert_eq!(bench.cluster().pods().len(), 1);
    bench.end().await;
}
