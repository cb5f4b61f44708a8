//! Failures of clusters: each answer is clear, and the next call works.

use std::time::{Duration, Instant};

use sandbox::kubernetes::KubernetesBackend;
use sandbox::{Host as _, Launcher as _, SandboxError};
use serde_json::{Value, json};

use crate::bench::{Bench, config, light};
use crate::cluster::{Cluster, Kind, Outcome, Refusal};
use crate::talk::{SMALL, bash, new_spec};
use crate::talk_light::{again, fails, start, works};

pub(crate) fn refused(code: u16, reason: &'static str, message: &str) -> Refusal {
    Refusal::Status {
        code,
        reason,
        message: message.to_owned(),
    }
}

/// A container of the pod that waits, and says why.
fn waits(reason: &str, message: &str) -> Outcome {
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    Outcome(json!({ "phase": "Pending", "containerStatuses": [
        { "name": "sandbox", "state": state, "image": "", "imageID": "", "ready": false, "restartCount": 0 }
    ]}))
}

fn unschedulable() -> Outcome {
    Outcome(json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }]}))
}

fn failed(reason: &str, message: &str) -> Value {
    json!({ "phase": "Failed", "reason": reason, "message": message })
}

fn terminated(code: i32, reason: &str) -> Value {
    let state = json!({ "terminated": { "exitCode": code, "reason": reason } });
    json!({ "phase": "Failed", "containerStatuses": [
        { "name": "sandbox", "state": state, "image": "", "imageID": "", "ready": false, "restartCount": 0 }
    ]})
}

/// The start fails with a reason and a hint, leaves no pod, and the next one works.
async fn fails_once(bench: &Bench, reason: &str, hint: &str) {
    fails(bench, reason, hint).await;
    works(bench).await;
}

#[tokio::test]
async fn a_pod_that_cannot_run_says_why_and_what_to_do() {
    let bench = light(|config| config.settings.start_timeout = Some(Duration::from_secs(3))).await;
    for (outcome, reason, hint) in [
        (
            unschedulable(),
            "Insufficient memory",
            "--k8s-node-selector",
        ),
        (
            waits("ImagePullBackOff", "manifest unknown"),
            "manifest unknown",
            "--k8s-pull-secret",
        ),
        (
            waits("ErrImagePull", "401 Unauthorized"),
            "401 Unauthorized",
            "--image",
        ),
        (
            waits("InvalidImageName", "x y"),
            "InvalidImageName",
            "--image",
        ),
        (
            waits(
                "RunContainerError",
                "exec: \"sandtable-guest\": executable file not found in $PATH",
            ),
            "sandtable-guest",
            "--k8s-guest-image",
        ),
        (
            waits("CreateContainerError", "no RuntimeClass"),
            "RuntimeClass",
            "--k8s-runtime-class",
        ),
        (
            Outcome(failed("Evicted", "The node was low on memory")),
            "Evicted",
            "kubectl describe",
        ),
    ] {
        bench.cluster().next_pods([outcome]);
        fails_once(&bench, reason, hint).await;
    }
    bench.end().await;
}

#[tokio::test]
async fn a_refusal_says_what_would_mend_it() {
    let bench = light(|_| {}).await;
    for (refusal, reason, hint) in [
        (
            refused(403, "Forbidden", "exceeded quota: small, requested: pods=1"),
            "exceeded quota",
            "ResourceQuota",
        ),
        (
            refused(
                403,
                "Forbidden",
                "violates PodSecurity \"restricted:latest\"",
            ),
            "PodSecurity",
            "sandtable docs kubernetes",
        ),
        (
            refused(403, "Forbidden", "User cannot create resource \"pods\""),
            "cannot create",
            "the Role",
        ),
        (
            refused(401, "Unauthorized", "Unauthorized"),
            "Unauthorized",
            "renew",
        ),
        (
            refused(404, "NotFound", "namespaces \"sandboxes\" not found"),
            "not found",
            "--k8s-namespace",
        ),
    ] {
        bench.cluster().refuse("create pods", refusal, 1);
        fails_once(&bench, reason, hint).await;
    }
    bench.end().await;
}

#[tokio::test]
async fn too_many_requests_are_made_again_when_the_server_says() {
    let bench = light(|_| {}).await;
    for what in ["create pods", "create pods/exec"] {
        bench
            .cluster()
            .refuse(what, Refusal::TooMany { retry_after: "1" }, 1);
        let begun = Instant::now();
        let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
        assert!(
            begun.elapsed() >= Duration::from_secs(1),
            "{what}: {:?}",
            begun.elapsed()
        );
        assert_eq!(bash(&guest, "echo on").await.out, "on\n");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_pod_whose_creation_was_not_acknowledged_is_not_made_twice() {
    let bench = light(|_| {}).await;
    bench.cluster().refuse("create pods", Refusal::Lost, 1);
    let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
    assert_eq!(bash(&guest, "echo once").await.out, "once\n");
    assert_eq!(bench.cluster().pods().len(), 1);
    bench.end().await;
}

#[tokio::test]
async fn a_stream_that_is_refused_leaves_no_pod() {
    let bench = light(|_| {}).await;
    bench.cluster().refuse(
        "create pods/exec",
        refused(500, "InternalError", "no route to the kubelet"),
        1,
    );
    let error = start(&bench, &new_spec(SMALL)).await.unwrap_err();
    assert!(
        error.to_string().contains("no route to the kubelet"),
        "{error}"
    );
    let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
    assert_eq!(bash(&guest, "echo on").await.out, "on\n");
    while bench.cluster().pods().len() > 1 {
        tokio::task::yield_now().await;
    }
    bench.end().await;
}

#[tokio::test]
async fn a_watch_that_is_too_old_begins_anew() {
    let bench = light(|_| {}).await;
    let spec = new_spec(SMALL);
    drop(start(&bench, &spec).await.unwrap());
    let before = bench.cluster().watches();
    bench.cluster().compact();
    bench.cluster().restart(Duration::from_millis(20)).await;
    let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
    assert_eq!(bash(&guest, "echo on").await.out, "on\n");
    assert!(bench.cluster().watches() > before);
    bench.end().await;
}

#[tokio::test]
async fn a_pod_that_the_cluster_ends_is_lost_and_the_next_call_has_another() {
    let bench = light(|_| {}).await;
    for end in [
        failed("Evicted", "The node was low on resource: memory."),
        failed("NodeShutdown", "The node was shut down."),
        terminated(137, "OOMKilled"),
    ] {
        let spec = new_spec(SMALL);
        let guest = start(&bench, &spec).await.unwrap();
        let name = name_of(&bench, &spec.sandbox_id);
        bench.cluster().strike(&name, end).await;
        guest.closed().await;
        let guest = start(&bench, &spec).await.unwrap();
        assert_eq!(bash(&guest, "echo anew").await.out, "anew\n");
        assert_ne!(name_of(&bench, &spec.sandbox_id), name);
    }
    bench.end().await;
}

#[tokio::test]
async fn a_pod_that_somebody_deletes_is_lost_and_the_next_call_has_another() {
    let bench = light(|_| {}).await;
    let spec = new_spec(SMALL);
    let guest = start(&bench, &spec).await.unwrap();
    bench.cluster().delete(&name_of(&bench, &spec.sandbox_id));
    guest.closed().await;
    assert!(again(&bench, &spec).await.is_none());
    let guest = start(&bench, &spec).await.unwrap();
    assert_eq!(bash(&guest, "echo anew").await.out, "anew\n");
    bench.end().await;
}

fn name_of(bench: &Bench, sandbox: &str) -> String {
    let pods = bench.cluster().pods();
    let own = pods
        .iter()
        .find(|pod| pod["metadata"]["labels"]["sandtable.dev/sandbox"] == sandbox);
    own.unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn while_the_api_server_is_away_a_call_says_so_and_no_sandbox_is_given_up() {
    let bench = light(|_| {}).await;
    let spec = new_spec(SMALL);
    let guest = start(&bench, &spec).await.unwrap();
    bash(&guest, "echo kept > note").await;
    let away = bench.cluster().restart(Duration::from_secs(1));
    let asked = async {
        guest.closed().await;
        bench.backend.take_up(&spec.sandbox_id).await
    };
    let ((), taken) = tokio::join!(away, asked);
    assert!(
        matches!(taken, Err(SandboxError::Engine { .. })),
        "{taken:?}"
    );
    let guest = again(&bench, &spec).await.unwrap();
    assert_eq!(bash(&guest, "cat note").await.out, "kept\n");
    bench.end().await;
}

#[tokio::test]
async fn a_cluster_that_does_not_let_the_server_in_keeps_it_from_starting() {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    cluster.refuse(
        "list pods",
        refused(403, "Forbidden", "User cannot list resource \"pods\""),
        100,
    );
    let connected = KubernetesBackend::connect(config(&cluster.kubeconfig(), folder.path())).await;
    let Err(SandboxError::Unavailable { reason, hint }) = connected else {
        panic!("{connected:?}");
    };
    assert!(reason.contains("cannot list resource"), "{reason}");
    assert!(hint.contains("kubectl auth can-i"), "{hint}");
}

/// What `doctor` says of a server in the pod `name`, which nobody has named an image to.
async fn doctor_in(cluster: &Cluster, name: &str) -> String {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["doctor", "--port", "0", "--backend", "kubernetes"])
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("SANDTABLE_POD_NAME", name)
        .env("SANDTABLE_POD_UID", "1")
        .env_remove("SANDTABLE_IMAGE")
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn without_a_name_sandboxes_have_the_image_of_the_servers_own_pod() {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    let pod = |name: &str, image: &str| {
        json!({
            "metadata": { "name": name },
            "spec": { "containers": [{ "name": "proxy", "image": "proxy" }, { "name": "sandtable", "image": image }] },
        })
    };
    cluster.plant("pods", pod("other-0", "of/another:1"));
    cluster.plant("pods", pod("server-0", "our.example/sandtable:1"));
    let said = doctor_in(&cluster, "server-0").await;
    assert!(said.contains("image `our.example/sandtable:1`"), "{said}");
    let said = doctor_in(&cluster, "server-9").await;
    assert!(
        said.contains("no pod `server-9`") && said.contains("--image"),
        "{said}"
    );
}

#[tokio::test]
async fn what_contradicts_itself_is_refused_before_the_cluster_is_asked() {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let usual = config(&cluster.kubeconfig(), folder.path());
    for (config, words) in [
        (
            sandbox::kubernetes::KubernetesConfig {
                image: None,
                ..usual.clone()
            },
            "--image",
        ),
        (
            sandbox::kubernetes::KubernetesConfig {
                temporary: true,
                ..usual.clone()
            },
            "--data-dir",
        ),
    ] {
        let error = KubernetesBackend::connect(config).await.unwrap_err();
        assert!(
            matches!(&error, SandboxError::Unavailable { hint, .. } if hint.contains(words)),
            "{error}"
        );
    }
    assert_eq!(cluster.calls(), 0);
    let backend = KubernetesBackend::connect(usual).await.unwrap();
    backend.close().await.unwrap();
}
