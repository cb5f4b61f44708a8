//! Sandboxes as pods beside sandboxes on Docker, in the same run: what the way to a pod adds. The API server is the tests'
//! own, in this process; its pods are containers of the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::ids;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use sandbox::docker::{DockerBackend, DockerConfig};
use sandbox::guest::{ExecCall, ExecKind, Guest, HELLO_TIMEOUT, embedded};
use sandbox::kubernetes::settings::KubernetesSettings;
use sandbox::kubernetes::{KubernetesBackend, KubernetesConfig};
use sandbox::{Host as _, Launcher, Limits, SandboxSpec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster::{Cluster, Kind, NAMESPACE, guest_image};
use crate::servers::succeeds;
use crate::table::{Samples, Table};

const IMAGE: &str = "sandtable-sandbox:slim";
const ROUNDS: usize = 500;
const STARTS: usize = 20;
/// Small, so that two engines' worth of sandboxes fit beside each other.
const LIMITS: Limits = Limits {
    memory_bytes: 256 << 20,
    disk_bytes: 256 << 20,
    milli_cpus: 1000,
    pids: 64,
};

pub(crate) fn measure(table: &mut Table) {
    if !succeeds("docker", &["image", "inspect", IMAGE]) {
        return table.missing(
            "kubernetes",
            "its pods are containers of Docker: no engine, or `sandtable image build --flavor slim` is needed",
        );
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(beside(table));
}

fn spec() -> SandboxSpec {
    SandboxSpec {
        sandbox_id: ids::Ids::random().next(ids::Kind::Container).into(),
        expires_at: chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap(),
        limits: LIMITS,
    }
}

/// A new container: its sandbox, and the guest's first word.
async fn new(backend: &impl Launcher) -> (SandboxSpec, Guest, Duration) {
    let spec = spec();
    let begun = Instant::now();
    let launched = backend.launch(&spec).await.unwrap();
    let resumed = Guest::resume(launched, backend.settings(&spec), HELLO_TIMEOUT).await;
    let (guest, _) = resumed.unwrap();
    (spec, guest, begun.elapsed())
}

async fn beside(table: &mut Table) {
    let (pods_folder, docker_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server_id = || ids::Ids::random().next(ids::Kind::Request);
    let docker = DockerBackend::connect(DockerConfig {
        host: None,
        image: Some(IMAGE.to_owned()),
        runtime: None,
        server_id: server_id(),
        data_dir: docker_folder.path().to_owned(),
        // As of pods, the next server finds its sandboxes by their names.
        temporary: false,
        guest: embedded(),
    });
    let docker = Arc::new(docker.await.unwrap());
    let cluster = Cluster::start(Kind::Docker).await.unwrap();
    let pods = KubernetesBackend::connect(KubernetesConfig {
        settings: KubernetesSettings {
            kubeconfig: Some(cluster.kubeconfig()),
            guest_image: Some(guest_image()),
            without_policy: true,
            ..KubernetesSettings::default()
        },
        image: Some(IMAGE.to_owned()),
        server_id: server_id(),
        data_dir: pods_folder.path().to_owned(),
        temporary: true,
    });
    let pods = Arc::new(pods.await.unwrap());
    let (spec, guest, _) = new(&*pods).await;
    calls(table, &cluster, &guest).await;
    drop(guest);
    pods.stop(&spec.sandbox_id).await.unwrap();

    docker.keep_warm(1, LIMITS);
    pods.keep_warm(1, LIMITS);
    let (mut of_docker, mut of_pods) = (Samples::default(), Samples::default());
    for _ in 0..STARTS {
        // Both pools full: nothing else starts meanwhile.
        while docker.warm_count() == 0 || pods.warm_count() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (spec, _guest, took) = new(&*docker).await;
        of_docker.push(took);
        while docker.warm_count() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        docker.stop(&spec.sandbox_id).await.unwrap();
        // Pods start on nodes, which are other machines: the next one is not let start on this one meanwhile.
        cluster.hold(Some("pods"));
        let (spec, _guest, took) = new(&*pods).await;
        cluster.hold(None);
        of_pods.push(took);
        pods.stop(&spec.sandbox_id).await.unwrap();
    }
    let over = of_pods.median_ms() - of_docker.median_ms();
    let note = format!(
        "median of {STARTS}: {:.2} ms, Docker's {:.2} ms",
        of_pods.median_ms(),
        of_docker.median_ms()
    );
    let what = "kubernetes: new container from the warm pool, over Docker's";
    table.at_most(what, over, "ms", 50.0, &note);
    docker.close().await.unwrap();
    docker.remove_all_of_this_directory().await.unwrap();
    pods.close().await.unwrap();
}

async fn calls(table: &mut Table, cluster: &Cluster, guest: &Guest) {
    let echo = echo(cluster).await;
    let (mut pings, mut calls) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        guest.ping().await.unwrap();
        pings.push(begun.elapsed());
    }
    for n in 0..ROUNDS / 5 {
        let begun = Instant::now();
        let call = ExecCall {
            kind: ExecKind::Bash("true".to_owned()),
            input_dir: "0123456789abcdef".to_owned(),
            output_dir: format!("{n:016x}"),
            timeout: Duration::from_secs(10),
            env: Vec::new(),
        };
        guest.exec(call).await.unwrap();
        calls.push(begun.elapsed());
    }
    let over = pings.median_ms() - echo.median_ms();
    let note = format!(
        "median of {ROUNDS}: to the guest and back {:.2} ms, a byte to `cat` in the pod and back by an `exec` of its own {:.2} ms; with `bash -c true` in between {:.2} ms",
        pings.median_ms(),
        echo.median_ms(),
        calls.median_ms()
    );
    let what = "kubernetes: a call, over the round trip of an exec";
    table.at_most(what, over, "ms", 1.0, &note);
}

/// A byte by an `exec` of `cat`, and back.
async fn echo(cluster: &Cluster) -> Samples {
    let file = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options);
    let client = Client::try_from(config.await.unwrap()).unwrap();
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let there = pods.list(&ListParams::default()).await.unwrap();
    let name = there.items[0].metadata.name.clone().unwrap();
    let params = AttachParams::default()
        .container("sandbox")
        .stdin(true)
        .stdout(true)
        .stderr(false);
    let mut cat = pods.exec(&name, ["cat"], &params).await.unwrap();
    let (mut input, mut output) = (cat.stdin().unwrap(), cat.stdout().unwrap());
    let mut samples = Samples::default();
    let mut byte = [0];
    for n in 0..ROUNDS + 10 {
        let begun = Instant::now();
        input.write_all(b"x").await.unwrap();
        input.flush().await.unwrap();
        output.read_exact(&mut byte).await.unwrap();
        // The first are the program's start.
        if n >= 10 {
            samples.push(begun.elapsed());
        }
    }
    cat.abort();
    samples
}
