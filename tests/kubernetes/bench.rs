//! Helpers that the tests share: a cluster, and backends on it.

use std::path::{Path, PathBuf};

use cli::image::Flavor;
use common::ids;
use sandbox::Host as _;
use sandbox::kubernetes::settings::{KubernetesSettings, Storage};
use sandbox::kubernetes::{KubernetesBackend, KubernetesConfig, pool_template};
use tempfile::TempDir;

use crate::cluster::{Cluster, Kind, guest_image};
pub(crate) use crate::ready::{image_ready, skip};
use crate::talk::SMALL;

/// A backend with a data directory of its own on a cluster of its own.
pub(crate) struct Bench {
    pub(crate) backend: KubernetesBackend,
    /// `None` where the cluster is a real one.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) folder: TempDir,
}

/// Names the image of the sandboxes on a real cluster.
const IMAGE: &str = "SANDTABLE_TEST_KUBERNETES_IMAGE";

pub(crate) const NO_COMMAND: &str = "real pods are containers of an engine, and there is no `docker` command
  hint: install Docker's client (`apt install docker.io`), or name a real cluster in `KUBECONFIG` with `SANDTABLE_TEST_KUBERNETES=1`";

/// The kubeconfig of a real cluster, if tests are to run on it.
fn real() -> Option<PathBuf> {
    let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
    let asked = std::env::var_os("SANDTABLE_TEST_KUBERNETES").is_some()
        || required.split(',').any(|name| name.trim() == "kubernetes");
    let file = std::env::var_os("KUBECONFIG").map(PathBuf::from);
    if asked && file.is_none() {
        skip(
            "kubernetes",
            "`KUBECONFIG` leads to no cluster\n  hint: name the cluster's file in it, and an image that its nodes can pull in `SANDTABLE_TEST_KUBERNETES_IMAGE`",
        );
    }
    file.filter(|_| asked)
}

/// A configuration of a server whose files are kept in claims.
pub(crate) fn config(kubeconfig: &Path, folder: &Path) -> KubernetesConfig {
    KubernetesConfig {
        settings: KubernetesSettings {
            kubeconfig: Some(kubeconfig.to_owned()),
            guest_image: Some(crate::cluster::guest_image()),
            storage: Some(Storage::Default),
            ..KubernetesSettings::default()
        },
        image: Some(Flavor::Slim.image()),
        server_id: ids::Ids::random().next(ids::Kind::Request),
        data_dir: folder.to_owned(),
        temporary: false,
    }
}

/// The bench of the contract: real pods, whose files outlive them in claims.
pub(crate) async fn contract() -> Option<Bench> {
    if let Some(kubeconfig) = real() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&kubeconfig, folder.path());
        config.image = std::env::var(IMAGE).ok();
        config.settings.guest_image = None;
        let backend = KubernetesBackend::connect(config).await.unwrap();
        return Some(Bench {
            backend,
            cluster: None,
            folder,
        });
    }
    if !image_ready(Flavor::Slim).await {
        return None;
    }
    let Some(cluster) = Cluster::start(Kind::Docker).await else {
        skip("docker", NO_COMMAND);
        return None;
    };
    Some(on(cluster, |_| {}).await)
}

/// A backend on this cluster.
pub(crate) async fn on(cluster: Cluster, change: impl FnOnce(&mut KubernetesConfig)) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&cluster.kubeconfig(), folder.path());
    change(&mut config);
    let backend = KubernetesBackend::connect(config).await.unwrap();
    Bench {
        backend,
        cluster: Some(cluster),
        folder,
    }
}

/// A backend whose pods are processes: for what is said of the API alone.
pub(crate) async fn light(change: impl FnOnce(&mut KubernetesConfig)) -> Bench {
    let cluster = Cluster::start(Kind::Processes).await.unwrap();
    on(cluster, |config| {
        config.settings.storage = None;
        config.temporary = true;
        change(config);
    })
    .await
}

/// The pool of the tests, and its template.
pub(crate) const POOL: &str = "pool";

/// A configuration of a server that claims sandboxes of the pool.
pub(crate) fn of_pool(config: &mut KubernetesConfig) {
    config.image = None;
    config.temporary = true;
    config.settings = KubernetesSettings {
        kubeconfig: config.settings.kubeconfig.take(),
        pool: Some(POOL.to_owned()),
        ..KubernetesSettings::default()
    };
}

/// A cluster with agent-sandbox and a pool of so many sandboxes.
pub(crate) async fn with_pool(kind: Kind, replicas: usize) -> Cluster {
    let cluster = Cluster::start(kind).await.unwrap();
    let image = match kind {
        Kind::Docker => Flavor::Slim.image(),
        Kind::Processes => "image".to_owned(),
    };
    let mut template = pool_template(POOL, &image, SMALL);
    // The image of the sandboxes has no guest here.
    for helper in template["spec"]["podTemplate"]["spec"]["initContainers"]
        .as_array_mut()
        .unwrap()
    {
        helper["image"] = guest_image().into();
    }
    cluster.make_pool(template, replicas).await;
    cluster
}

/// A backend that claims sandboxes of a pool.
pub(crate) async fn pooled(
    kind: Kind,
    replicas: usize,
    change: impl FnOnce(&mut KubernetesConfig),
) -> Bench {
    on(with_pool(kind, replicas).await, |config| {
        of_pool(config);
        change(config);
    })
    .await
}

impl Bench {
    pub(crate) fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    /// Removes everything that was started.
    pub(crate) async fn end(self) {
        self.backend.close().await.unwrap();
    }

    #[expect(clippy::unused_self, reason = "other backends have to look")]
    pub(crate) fn has_namespaces(&self) -> bool {
        true
    }

    /// Ten times what a start takes on a quiet machine: only a real fault is slower.
    #[expect(clippy::unused_self, reason = "other backends differ")]
    pub(crate) fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(10)
    }

    /// Whether `/proc/meminfo` tells the sandbox's own: a pod cannot cover it.
    #[expect(clippy::unused_self, reason = "other backends have to look")]
    pub(crate) fn tells_its_memory(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "other backends have to look")]
    pub(crate) fn kills_at_the_memory_limit(&self) -> bool {
        true
    }
}
