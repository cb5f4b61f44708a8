//! The controllers of agent-sandbox, as far as a claim meets them: pools are filled, claims bound, and their sandboxes,
//! which are their pods here, kept as long as they.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Cluster, Inner};

pub(crate) const CLAIMS: &str = "sandboxclaims";
const POOLS: &str = "sandboxwarmpools";
const TEMPLATES: &str = "sandboxtemplates";
/// A pod of a pool that is nobody's yet.
const WARM: &str = "agents.x-k8s.io/warm-pool-sandbox";

/// The fate of a claim.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// No controller looks at it.
    Unseen,
    /// It is not bound, for this reason.
    Waits(&'static str, &'static str),
}

impl Cluster {
    /// Installs agent-sandbox.
    pub(crate) fn extend(&self) {
        self.inner.extended.store(true, Ordering::Relaxed);
    }

    /// Makes a pool of a template of the same name, and waits until it is full.
    pub(crate) async fn make_pool(&self, template: Value, replicas: usize) {
        let name = template["metadata"]["name"].as_str().unwrap().to_owned();
        self.extend();
        self.plant(TEMPLATES, template);
        self.plant(
            POOLS,
            json!({
                "apiVersion": "extensions.agents.x-k8s.io/v1beta1", "kind": "SandboxWarmPool",
                "metadata": { "name": name },
                "spec": { "replicas": replicas, "sandboxTemplateRef": { "name": name } },
            }),
        );
        self.inner.fill(&name);
        self.pool_has(&name, replicas).await;
    }

    /// Waits until so many pods of a pool wait.
    pub(crate) async fn pool_has(&self, pool: &str, count: usize) {
        let mut changes = self.inner.changed.subscribe();
        while self.inner.waiting(pool).len() < count {
            changes.changed().await.unwrap();
        }
    }

    /// How many pods a pool keeps from now on.
    pub(crate) fn set_replicas(&self, pool: &str, replicas: usize) {
        self.inner.change(POOLS, pool, |pool| {
            pool["spec"]["replicas"] = json!(replicas);
        });
    }

    /// Sets the fates of the next claims, in their order; further ones are bound.
    pub(crate) fn next_claims(&self, fates: impl IntoIterator<Item = Fate>) {
        self.inner.fates.lock().unwrap().extend(fates);
    }

    /// How long a controller takes to look at a claim.
    pub(crate) fn bind_after(&self, pause: Duration) {
        let ms = u64::try_from(pause.as_millis()).unwrap();
        self.inner.bind_ms.store(ms, Ordering::Relaxed);
    }

    /// Takes an object away, as an administrator would.
    pub(crate) fn uproot(&self, resource: &str, name: &str) {
        self.inner.remove(resource, name);
    }

    /// The claims of pools there are.
    pub(crate) fn tickets(&self) -> Vec<Value> {
        let state = self.inner.state.lock().unwrap();
        state.all(CLAIMS).cloned().collect()
    }
}

impl Inner {
    /// The pods of a pool that run and are nobody's.
    fn waiting(&self, pool: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let adopted = self.adopted.lock().unwrap();
        state
            .all("pods")
            .filter(|pod| pod["metadata"]["labels"][WARM] == pool)
            .filter(|pod| pod["status"]["phase"] == "Running")
            .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .filter(|name| !adopted.contains(name))
            .collect()
    }

    /// Makes what the pool lacks.
    fn fill(self: &Arc<Self>, pool: &str) {
        let (wanted, there) = {
            let state = self.state.lock().unwrap();
            let adopted = self.adopted.lock().unwrap();
            let wanted = state.get(POOLS, pool).and_then(|pool| {
                let replicas = pool["spec"]["replicas"].as_u64()?;
                usize::try_from(replicas).ok()
            });
            let mine = state.all("pods").filter(|pod| {
                pod["metadata"]["labels"][WARM] == pool
                    && !adopted.contains(pod["metadata"]["name"].as_str().unwrap())
            });
            (wanted.unwrap_or_default(), mine.count())
        };
        for _ in there..wanted {
            let n = self.made.fetch_add(1, Ordering::Relaxed);
            // Doors of pods that are processes are the machine's: no other cluster has such a name.
            let port = self.address.lock().unwrap().unwrap().port();
            self.start_of_pool(pool, &format!("{pool}-{port}-{n}"), true);
        }
    }

    /// A pod of the pool's template; `false` where there is none.
    fn start_of_pool(self: &Arc<Self>, pool: &str, name: &str, is_warm: bool) -> bool {
        let template = {
            let state = self.state.lock().unwrap();
            let pool = state.get(POOLS, pool);
            let template =
                pool.and_then(|pool| pool["spec"]["sandboxTemplateRef"]["name"].as_str());
            template.and_then(|template| state.get(TEMPLATES, template).cloned())
        };
        let Some(template) = template else {
            return false;
        };
        let template = &template["spec"]["podTemplate"];
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "status": { "phase": "Pending" },
            "metadata": template["metadata"], "spec": template["spec"],
        });
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        if is_warm {
            pod["metadata"]["labels"][WARM] = json!(pool);
        }
        let pod = self.put("pods", pod, "ADDED");
        let inner = Arc::clone(self);
        tokio::spawn(async move { super::node::Node::run(&inner, pod).await });
        true
    }

    fn claim(&self, name: &str) -> Option<Value> {
        self.state.lock().unwrap().get(CLAIMS, name).cloned()
    }

    fn phase(&self, pod: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        let phase = &state.get("pods", pod)?["status"]["phase"];
        phase.as_str().map(str::to_owned)
    }

    /// Writes a claim's status; nothing is written twice.
    fn tell_claim(
        &self,
        name: &str,
        pod: Option<&str>,
        (ready, reason): (bool, &str),
        message: &str,
    ) {
        let is = if ready { "True" } else { "False" };
        let mut conditions = vec![json!({
            "type": "Ready", "status": is, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })];
        if matches!(reason, "PodFailed" | "PodSucceeded") {
            conditions.push(json!({
                "type": "Finished", "status": "True", "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }));
        }
        let status =
            json!({ "conditions": conditions, "sandbox": { "name": pod.unwrap_or_default() } });
        if self
            .claim(name)
            .is_some_and(|claim| claim["status"] != status)
        {
            self.change(CLAIMS, name, |claim| claim["status"] = status);
        }
    }

    /// From a claim's creation to its end.
    pub(super) async fn attend(self: Arc<Self>, name: String) {
        let pause = self.bind_ms.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let fate = self.fates.lock().unwrap().pop_front();
        match fate {
            Some(Fate::Unseen) => return,
            Some(Fate::Waits(reason, message)) => {
                return self.tell_claim(&name, None, (false, reason), message);
            }
            None => {}
        }
        let Some(claim) = self.claim(&name) else {
            return;
        };
        let pool = claim["spec"]["warmPoolRef"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        if self.state.lock().unwrap().get(POOLS, &pool).is_none() {
            let message = format!("SandboxWarmPool \"{pool}\" not found");
            return self.tell_claim(&name, None, (false, "WarmPoolNotFound"), &message);
        }
        let warm = self
            .waiting(&pool)
            .into_iter()
            .find(|pod| self.adopted.lock().unwrap().insert(pod.clone()));
        let pod = match warm {
            Some(pod) => {
                self.change("pods", &pod, |pod| {
                    let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
                    labels.remove(WARM);
                    labels.insert(
                        "agents.x-k8s.io/claim-uid".to_owned(),
                        claim["metadata"]["uid"].clone(),
                    );
                });
                pod
            }
            // None waits: a new one, with the claim's name.
            None if self.start_of_pool(&pool, &name, false) => name.clone(),
            None => {
                let message = format!("SandboxTemplate \"{pool}\" not found");
                return self.tell_claim(&name, None, (false, "TemplateNotFound"), &message);
            }
        };
        self.fill(&pool);
        self.keep(&pool, &name, &pod).await;
    }

    /// Says how a claim's pod is, makes it anew where somebody deletes it, and ends it with the claim.
    async fn keep(self: &Arc<Self>, pool: &str, claim: &str, pod: &str) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if self.claim(claim).is_none() {
                self.delete_pod(pod);
                return;
            }
            let phase = self.phase(pod);
            let state = match phase.as_deref() {
                Some("Running") => (true, "DependenciesReady"),
                Some("Failed") => (false, "PodFailed"),
                Some("Succeeded") => (false, "PodSucceeded"),
                Some(_) => (false, "DependenciesNotReady"),
                None => {
                    self.start_of_pool(pool, pod, false);
                    continue;
                }
            };
            let message = format!("Pod exists with phase: {}", phase.unwrap_or_default());
            self.tell_claim(claim, Some(pod), state, &message);
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
