//! Many containers on a cluster: 10,000 of which 500 are awake. The cluster is the tests' own, in this process, with
//! the times of a real one; its pods are guests as processes of this machine.

use std::time::Duration;

use common::ids;
use sandbox::Host as _;
use sandbox::SandboxSpec;
use sandbox::kubernetes::settings::KubernetesSettings;
use sandbox::kubernetes::{KubernetesBackend, KubernetesConfig};

use crate::cluster::{Cluster, Kind};
use crate::table::Table;

#[path = "../tests/shared/growth.rs"]
mod grow;

const CONTAINERS: usize = 10_000;
const PARTS: usize = 5;
const AWAKE: usize = 500;
const AT_ONCE: usize = 64;
const TURNS: usize = 3;
/// As a real API server and kubelet took.
const ANSWER: Duration = Duration::from_millis(5);
const POD: Duration = Duration::from_millis(300);

pub(crate) fn measure(table: &mut Table) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(growth(table));
}

async fn growth(table: &mut Table) {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    cluster.slow_down(ANSWER, POD);
    let folder = tempfile::tempdir().unwrap();
    let backend = KubernetesBackend::connect(KubernetesConfig {
        settings: KubernetesSettings {
            kubeconfig: Some(cluster.kubeconfig()),
            without_policy: true,
            ..KubernetesSettings::default()
        },
        image: Some("image".to_owned()),
        server_id: ids::Ids::random().next(ids::Kind::Request),
        data_dir: folder.path().to_owned(),
        temporary: true,
    })
    .await
    .unwrap();
    let ids = ids::Ids::random();
    let spec = |_| SandboxSpec {
        sandbox_id: ids.next(ids::Kind::Container).into(),
        expires_at: chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap(),
        limits: grow::limits(),
    };
    let parts = grow::grow(&backend, spec, (CONTAINERS, PARTS), (AWAKE, AT_ONCE, TURNS)).await;
    for part in &parts {
        let at = |spans: &[Duration], share: usize| {
            spans[(spans.len() - 1) * share / 100].as_secs_f64() * 1000.0
        };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let calls = part.calls as f64 / part.waits.len() as f64;
        let what = format!(
            "kubernetes, simulated: {} containers, {AWAKE} awake: API calls of a container",
            part.containers
        );
        let note = format!(
            "new sandbox median {:.0} ms, p99 {:.0} ms with {AT_ONCE} at once; turn median {:.2} ms, p99 {:.2} ms; {} MB for server and cluster in one process",
            at(&part.waits, 50),
            at(&part.waits, 99),
            at(&part.turns, 50),
            at(&part.turns, 99),
            part.memory_kib / 1024,
        );
        table.at_most(&what, calls, "", 3.0, &note);
    }
    backend.close().await.unwrap();
}
