//! The costs of a sandbox for the cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sandbox::Launcher as _;
use sandbox::kubernetes::rules::RULES;
use sandbox::kubernetes::settings::Storage;

#[path = "../shared/growth.rs"]
mod growth;

use crate::bench::{light, pooled};
use crate::cluster::{Cluster, Kind};
use crate::talk::{SMALL, bash, new_spec};
use crate::talk_light::start;

#[tokio::test]
async fn a_new_container_is_three_calls_at_most_a_call_none_and_the_watch_one() {
    for (storage, most) in [(None, 2), (Some(Storage::Default), 3)] {
        let bench = light(|config| {
            config.temporary = storage.is_none();
            config.settings.storage = storage;
        })
        .await;
        for _ in 0..10 {
            let before = bench.cluster().calls();
            let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
            let made = bench.cluster().calls();
            assert_eq!(made - before, most);
            for _ in 0..20 {
                bash(&guest, "true").await;
            }
            assert_eq!(bench.cluster().calls(), made);
        }
        assert_eq!(bench.cluster().watches(), 1);
        bench.end().await;
    }
}

#[tokio::test]
async fn the_role_has_every_verb_that_is_used_and_no_other() {
    let bench = light(|config| {
        config.temporary = false;
        config.settings.storage = Some(Storage::Default);
    })
    .await;
    let spec = new_spec(SMALL);
    drop(start(&bench, &spec).await.unwrap());
    bench.backend.remove(&spec.sandbox_id).await.unwrap();
    sandbox::Host::reap(&bench.backend, std::collections::HashSet::new())
        .await
        .unwrap();
    sandbox::Host::close(&bench.backend).await.unwrap();
    let cluster = bench.cluster.unwrap();
    let warm = light(|_| {}).await;
    let backend = std::sync::Arc::new(warm.backend);
    backend.keep_warm(1, SMALL);
    while backend.warm_count() == 0 {
        tokio::task::yield_now().await;
    }
    drop(backend.launch(&new_spec(SMALL)).await.unwrap());
    let pooled = pooled(Kind::Processes, 1, |_| {}).await;
    let spec = new_spec(SMALL);
    drop(start(&pooled, &spec).await.unwrap());
    pooled.backend.stop(&spec.sandbox_id).await.unwrap();
    sandbox::Host::reap(&pooled.backend, std::collections::HashSet::new())
        .await
        .unwrap();
    sandbox::Host::close(&pooled.backend).await.unwrap();
    let clusters = [cluster, warm.cluster.unwrap(), pooled.cluster.unwrap()];
    let asked: BTreeSet<String> = clusters.iter().flat_map(Cluster::asked).collect();
    let ruled: BTreeSet<String> = RULES
        .iter()
        .flat_map(|rule| {
            rule.verbs
                .iter()
                .map(|verb| format!("{verb} {}", rule.resource))
        })
        // Which verb a WebSocket is depends on the cluster's version.
        .filter(|rule| rule != "get pods/exec")
        .collect();
    assert_eq!(asked, ruled);
}

/// Over a fake cluster on this machine, so what it shows is the backend's own share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_takes_little_longer_than_its_stream() {
    const ROUNDS: usize = 200;
    let bench = light(|_| {}).await;
    let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
    let mut pings = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        guest.ping().await.unwrap();
        pings.push(begun.elapsed());
    }
    pings.sort();
    eprintln!(
        "MEASURED: ping over exec and relay: median {:?}, max {:?}",
        pings[ROUNDS / 2],
        pings[ROUNDS - 1]
    );
    assert!(pings[ROUNDS / 2] < Duration::from_millis(50), "{pings:?}");
    bench.end().await;
}

/// The same, larger, is a part of `cargo bench -- growth`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_turn_costs_the_cluster_does_not_grow_with_the_containers() {
    let bench = light(|config| config.settings.without_policy = true).await;
    bench
        .cluster()
        .slow_down(Duration::from_millis(5), Duration::from_millis(50));
    let spec = |_| new_spec(growth::limits());
    let parts = growth::grow(&bench.backend, spec, (400, 4), (30, 8, 5)).await;
    for part in &parts {
        // Made, entered, and, but for those awake at the end, ended.
        let most = u64::try_from(part.waits.len()).unwrap() * 3;
        assert!(part.calls <= most, "{part:?}");
        assert_eq!(part.turns.len(), 500);
        eprintln!(
            "MEASURED: {} containers, {} KiB",
            part.containers, part.memory_kib
        );
    }
    assert_eq!(parts[3].calls, parts[1].calls);
    assert_eq!(bench.cluster().watches(), 1);
    bench.end().await;
}
