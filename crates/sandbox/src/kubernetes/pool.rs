//! Sandboxes out of a warm pool of agent-sandbox: claimed, not made.
//!
//! The server makes a `SandboxClaim`, called ticket here; the controller of the pool binds one of its sandboxes to it,
//! or a new one where none waits, and says which in the ticket's status. A second watch tells of all tickets. The
//! guest of a pool's pod has a lease without a token, which comes with the first stream: the ticket keeps it.

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use guest_proto::{DOOR_VARIABLE, FIRST_TOKEN, LEASE_VARIABLE, SOCKETS_VARIABLE};
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use super::api::Cluster;
use super::backend::KubernetesBackend;
use super::failure::{self, IS_GONE, IS_THERE, NO_POOL, NO_TEMPLATE, Trouble};
use super::look::{Look, Whose, with_message};
use super::names::{APP, LEASE, MAIN, NAME, NETWORK, NO_NETWORK, Owner, POOL, RELAY, RELAY_USER};
use super::names::{SANDBOX, VERSION, expiry, label};
use super::rules::AGENT_SANDBOX;
use super::settings::KubernetesSettings;
use super::spec::{Files, Mould, Network};
use super::watch::{Pods, Seen, Watched};
use super::{channel, launch};
use crate::warm::Warm;
use crate::{Cause, GuestLease, Launched, Limits, SandboxError, SandboxSpec, guest};
use common::ids::SandboxId;
use common::limits::{POD_ENDED_LIFE, SANDBOX_LEASE};

/// A pod's own name, in its variables.
const POD_NAME: &str = "POD_NAME";
const OF_POOL: &str = "true";
/// Reasons of a ticket that time does not mend.
const HOPELESS: [&str; 8] = [
    NO_POOL,
    NO_TEMPLATE,
    "InvalidMetadata",
    "EnvVarsInjectionRejected",
    "ClaimExpired",
    "SandboxExpired",
    "PodFailed",
    "PodSucceeded",
];

/// The pool whose sandboxes are claimed.
#[derive(Debug)]
pub(super) struct AgentPool {
    pub(super) name: String,
    /// As its template had it at the server's start.
    pub(super) image: String,
    /// How long its guests outlive a server.
    span: Duration,
    pub(super) tickets: Watched<Ticket>,
}

/// A `SandboxClaim`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) name: String,
    pub(super) whose: Whose,
    lease: Option<GuestLease>,
    /// The bound sandbox, which has its pod's name.
    pod: Option<String>,
    /// Reason and message of its not being ready.
    trouble: Option<(String, String)>,
    pub(super) ended: Option<DateTime<Utc>>,
    is_ending: bool,
}

impl Seen for Ticket {
    type Object = DynamicObject;

    fn of(object: &DynamicObject) -> Option<Self> {
        let status = &object.data["status"];
        let conditions = status["conditions"].as_array();
        let condition = |kind: &str, is: &str| {
            let mut all = conditions.into_iter().flatten();
            all.find(|condition| condition["type"] == kind && condition["status"] == is)
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let annotations = object.metadata.annotations.as_ref();
        let lease = annotations.and_then(|all| all.get(LEASE));
        Some(Self {
            name: object.metadata.name.clone()?,
            whose: Whose::of(&object.metadata)?,
            lease: lease.and_then(|lease| GuestLease::of_variable(lease)),
            pod: status["sandbox"]["name"]
                .as_str()
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            trouble: condition("Ready", "False")
                .map(|condition| (text(&condition["reason"]), text(&condition["message"]))),
            ended: condition("Finished", "True")
                .and_then(|condition| condition["lastTransitionTime"].as_str()?.parse().ok()),
            is_ending: object.metadata.deletion_timestamp.is_some(),
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Ticket {
    fn because(&self) -> Option<String> {
        let (reason, message) = self.trouble.as_ref()?;
        Some(with_message(reason, Some(message)))
    }

    /// Which pod is bound; why none will be.
    fn bound(&self) -> Option<Result<String, Trouble>> {
        if self.is_ending {
            return Some(Err(Trouble::new(DELETED)));
        }
        if let Some((reason, _)) = &self.trouble
            && HOPELESS.contains(&reason.as_str())
        {
            return self.because().map(|because| Err(Trouble::new(because)));
        }
        self.pod.clone().map(Ok)
    }
}

const DELETED: &str = "its claim was deleted while it started";

impl AgentPool {
    /// Selects the pods of pools.
    pub(super) fn selector() -> String {
        format!("{POOL}={OF_POOL}")
    }

    /// Looks at a pool and its template, and watches the server's tickets from now on.
    pub(super) async fn find(
        cluster: &Cluster,
        owner: &Owner,
        name: &str,
    ) -> Result<Self, SandboxError> {
        const POOL_CALL: &str = "look at the pool";
        const TEMPLATE_CALL: &str = "look at the pool's template";
        let pool = cluster.call(POOL_CALL, cluster.pools.get(name)).await?;
        let pool = pool.map_err(|error| failure::of_extension(POOL_CALL, name, error))?;
        let template = pool.data["spec"]["sandboxTemplateRef"]["name"].as_str();
        let template = template.unwrap_or_default();
        let found = cluster.templates.get(template);
        let found = cluster.call(TEMPLATE_CALL, found).await?;
        let found = found.map_err(|error| match failure::status(&error) {
            Some(IS_GONE) => failure::of_pool(name, &format!("{NO_TEMPLATE}: {error}")),
            _ => failure::of_extension(TEMPLATE_CALL, name, error),
        })?;
        let (image, span) = fit(&found.data["spec"]["podTemplate"]).map_err(|lack| {
            SandboxError::Unavailable {
                reason: format!("the template `{template}` of the pool `{name}` has no guest for a server: {lack}"),
                hint: "make it as `deploy/kubernetes/components/pool` has it (`sandtable docs kubernetes`)".to_owned(),
            }
        })?;
        Ok(Self {
            name: name.to_owned(),
            image,
            span,
            tickets: Watched::watch(cluster.tickets.clone(), &owner.selector()),
        })
    }

    fn of(&self, sandbox: &SandboxId) -> Vec<Ticket> {
        let is_own = |ticket: &Ticket| ticket.whose.sandbox.as_ref() == Some(sandbox);
        self.tickets.those(is_own)
    }

    /// The pods that are bound to a container's tickets, each with the lease of its ticket.
    pub(super) fn pods_of(&self, pods: &Pods, sandbox: &SandboxId) -> Vec<Look> {
        let own = self.of(sandbox);
        let bound = own.iter().filter(|ticket| !ticket.is_ending);
        let looks = bound.filter_map(|ticket| {
            let look = pods.called(ticket.pod.as_deref()?)?;
            Some(Look {
                lease: ticket.lease,
                ..look
            })
        });
        looks.collect()
    }

    /// The cluster ends it when its guest has ended, and by the wall clock: also when no server is left that would.
    fn ticket(&self, mould: &Mould, name: &str, spec: &SandboxSpec, lease: &GuestLease) -> Value {
        let mut labels = mould.owner.labels();
        labels.insert(SANDBOX.to_owned(), label(&spec.sandbox_id));
        let mut annotations = expiry(spec.expires_at);
        annotations.insert(LEASE.to_owned(), lease.to_variable());
        let end = Warm::expires_at().to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut metadata = json!({ "name": name, "labels": labels, "annotations": annotations });
        if let Some(parent) = &mould.parent {
            metadata["ownerReferences"] = json!([parent]);
        }
        json!({
            "apiVersion": format!("{AGENT_SANDBOX}/{VERSION}"),
            "kind": "SandboxClaim",
            "metadata": metadata,
            "spec": {
                "warmPoolRef": { "name": self.name },
                "lifecycle": {
                    "shutdownPolicy": "Delete",
                    "shutdownTime": end,
                    "ttlSecondsAfterFinished": POD_ENDED_LIFE.as_secs(),
                },
            },
        })
    }
}

impl KubernetesBackend {
    /// Claims a sandbox of the pool and opens a stream to its guest: two calls.
    pub(super) async fn claim(
        &self,
        pool: &AgentPool,
        spec: &SandboxSpec,
        name: &str,
    ) -> Result<Launched, SandboxError> {
        const OPERATION: &str = "claim a sandbox of the pool";
        let lease = GuestLease {
            token: guest::token(),
            span: pool.span,
        };
        let ticket = pool.ticket(&self.mould, name, spec, &lease);
        let ticket = serde_json::from_value::<DynamicObject>(ticket);
        let ticket = ticket.map_err(|error| SandboxError::Engine {
            operation: OPERATION,
            cause: Cause::of(error),
        })?;
        // Before it is there, so that nothing of it is missed.
        let followed = pool.tickets.follow(name);
        let params = PostParams::default();
        let made = self.cluster.tickets.create(&params, &ticket);
        match self.cluster.call(OPERATION, made).await? {
            // An earlier try has come through.
            Err(error) if failure::status(&error) != Some(IS_THERE) => {
                return Err(failure::of_extension(OPERATION, &pool.name, error));
            }
            _ => {}
        }
        let opened = async {
            let pod = self.bound(followed).await;
            let pod = pod.map_err(|trouble| failure::of_pool(&pool.name, &trouble.to_string()))?;
            channel::open(&self.cluster, &pod).await
        };
        match opened.await {
            Ok(channel) => Ok(Launched {
                channel,
                lease: Some(lease),
            }),
            Err(error) => {
                self.abandon_ticket(name);
                Err(error)
            }
        }
    }

    /// Waits until a ticket has a pod and the pod runs; why not, if it does not come to that.
    async fn bound(
        &self,
        mut ticket: tokio::sync::watch::Receiver<Option<Ticket>>,
    ) -> Result<String, Trouble> {
        let patience = self.mould.settings.patience();
        let begun = Instant::now();
        let mut was_there = false;
        let bound = Watched::until(&mut ticket, patience, |seen| match seen {
            Some(seen) => {
                was_there = true;
                seen.bound()
            }
            None => was_there.then(|| Err(Trouble::new(DELETED))),
        });
        let pod = match bound.await {
            Ok(bound) => bound?,
            Err(seen) => {
                let because = seen.and_then(|seen| seen.because());
                let because = because.unwrap_or_else(|| "nobody has answered the claim".to_owned());
                return Err(Trouble::new(self.still("bound", &because)));
            }
        };
        let rest = patience.saturating_sub(begun.elapsed());
        let running = self.running(self.pods.follow(&pod), rest);
        // A ticket that ends takes its pod along, which may never have been seen.
        let ends = Watched::until(&mut ticket, patience, |seen| match seen {
            Some(seen) => seen.bound()?.err(),
            None => Some(Trouble::new(DELETED)),
        });
        tokio::select! {
            running = running => running.map(|()| pod),
            Ok(trouble) = ends => Err(trouble),
        }
    }

    /// Ends what runs of a container by its tickets, and returns when it is gone.
    pub(super) async fn give_back(
        &self,
        pool: &AgentPool,
        sandbox_id: &SandboxId,
    ) -> Result<(), SandboxError> {
        for ticket in pool.of(sandbox_id) {
            let pod = ticket.pod.as_deref().map(|pod| self.pods.follow(pod));
            self.cluster.end_ticket(&ticket.name).await?;
            if let Some(pod) = pod {
                launch::gone(pod).await?;
            }
        }
        Ok(())
    }

    /// Ends a ticket that nobody waits for any more.
    fn abandon_ticket(&self, name: &str) {
        let (cluster, name) = (self.cluster.clone(), name.to_owned());
        tokio::spawn(async move {
            if let Err(error) = cluster.end_ticket(&name).await {
                tracing::debug!(claim.name = %name, %error, "a claim may be left until its end");
            }
        });
    }
}

/// Why a server cannot lead the pods of a template.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Template(#[from] serde_json::Error),
    #[error("{0}")]
    Lacks(String),
}

/// The image and the lease's span of a template; what it lacks to be led by a server.
fn fit(template: &Value) -> Result<(String, Duration), Unfit> {
    let pod: Pod = serde_json::from_value(template.clone())?;
    let labels = pod.metadata.labels.unwrap_or_default();
    if labels.get(POOL).is_none_or(|value| value != OF_POOL) {
        return Err(Unfit::Lacks(format!("no label `{POOL}: \"{OF_POOL}\"`")));
    }
    let spec = pod.spec.unwrap_or_default();
    let relays = spec.init_containers.iter().flatten();
    let mut relays = relays.chain(&spec.containers).filter(|it| it.name == RELAY);
    relays
        .next()
        .ok_or_else(|| Unfit::Lacks(format!("no container `{RELAY}`")))?;
    let main = spec.containers.iter().find(|it| it.name == MAIN);
    let main = main.ok_or_else(|| Unfit::Lacks(format!("no container `{MAIN}`")))?;
    let value = |name: &str| {
        let mut variables = main.env.iter().flatten();
        let found = variables.find(|variable| variable.name == name)?;
        found.value.clone()
    };
    let wants = |name: &str, wanted: &str| match value(name) {
        Some(value) if value == wanted => Ok(()),
        _ => Err(Unfit::Lacks(format!(
            "`{name}` of `{MAIN}` is not `{wanted}`"
        ))),
    };
    wants(DOOR_VARIABLE, &door())?;
    // No network is proven, not assumed: of a pool only this is known.
    wants(SOCKETS_VARIABLE, "unix")?;
    let span = value(LEASE_VARIABLE).and_then(|lease| {
        let span = lease.strip_suffix(FIRST_TOKEN)?.trim_end().parse().ok()?;
        Some(Duration::from_millis(span))
    });
    let span = span.filter(|span| *span >= SANDBOX_LEASE);
    let span = span.ok_or_else(|| {
        let lease = lease();
        Unfit::Lacks(format!("`{LEASE_VARIABLE}` of `{MAIN}` is not `{lease}`"))
    })?;
    Ok((main.image.clone().unwrap_or_default(), span))
}

fn door() -> String {
    format!("{RELAY_USER} $({POD_NAME})")
}

fn lease() -> String {
    format!("{} {FIRST_TOKEN}", SANDBOX_LEASE.as_millis())
}

/// The `SandboxTemplate` whose sandboxes a server can claim: the pod that it would make itself, without what differs
/// from pod to pod.
pub fn template(name: &str, image: &str, limits: Limits) -> Value {
    let mould = Mould {
        owner: Owner::new("", "", true),
        settings: KubernetesSettings::default(),
        image: image.to_owned(),
        parent: None,
    };
    let spec = SandboxSpec {
        sandbox_id: name.into(),
        expires_at: DateTime::default(),
        limits,
    };
    let nobody = GuestLease {
        token: guest::token(),
        span: SANDBOX_LEASE,
    };
    let pod = mould.pod(name, &spec, true, &nobody, (Network::Filter, Files::Pod));
    let mut spec = pod.spec.unwrap_or_default();
    for main in &mut spec.containers {
        make_common(main);
    }
    json!({
        "apiVersion": format!("{AGENT_SANDBOX}/{VERSION}"),
        "kind": "SandboxTemplate",
        "metadata": { "name": name },
        "spec": {
            // Nothing in, nothing out: the controller's own policy would let sandboxes reach the internet.
            "networkPolicyManagement": "Managed",
            "networkPolicy": { "ingress": [], "egress": [] },
            "podTemplate": {
                "metadata": { "labels": { NAME: APP, NETWORK: NO_NETWORK, POOL: OF_POOL } },
                "spec": spec,
            },
        },
    })
}

/// The variables of a pod's own in the words of a template.
fn make_common(main: &mut Container) {
    let env = main.env.get_or_insert_default();
    for variable in env.iter_mut() {
        match variable.name.as_str() {
            LEASE_VARIABLE => variable.value = Some(lease()),
            DOOR_VARIABLE => variable.value = Some(door()),
            _ => {}
        }
    }
    // Before those that use it.
    let own_name = EnvVar {
        name: POD_NAME.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: "metadata.name".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    };
    env.insert(0, own_name);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(status: &Value) -> Ticket {
        let object = json!({
            "apiVersion": "x/v1", "kind": "SandboxClaim",
            "metadata": { "name": "t", "labels": { "sandtable.dev/scope": "s" } },
            "status": status,
        });
        Ticket::of(&serde_json::from_value(object).unwrap()).unwrap()
    }

    fn not_ready(reason: &str) -> Value {
        json!([{ "type": "Ready", "status": "False", "reason": reason, "message": "so" }])
    }

    #[test]
    fn a_claim_is_bound_when_its_status_names_a_sandbox_and_hopeless_for_some_reasons() {
        assert_eq!(ticket(&json!(null)).bound(), None);
        let waits = json!({ "conditions": not_ready("SandboxMissing") });
        assert_eq!(ticket(&waits).bound(), None);
        let starts =
            json!({ "sandbox": { "name": "p" }, "conditions": not_ready("DependenciesNotReady") });
        assert_eq!(ticket(&starts).bound(), Some(Ok("p".to_owned())));
        let unknown = json!({ "conditions": not_ready("WarmPoolNotFound") });
        assert_eq!(
            ticket(&unknown).bound(),
            Some(Err(Trouble::new("WarmPoolNotFound: so")))
        );
    }

    #[test]
    fn a_template_that_is_made_is_one_that_fits_and_one_that_lacks_something_is_told() {
        let whole = template("t", "image:1", Limits::default());
        let pod = whole["spec"]["podTemplate"].clone();
        assert_eq!(fit(&pod).unwrap(), ("image:1".to_owned(), SANDBOX_LEASE));
        let lacks = |change: &dyn Fn(&mut Value), word: &str| {
            let mut pod = pod.clone();
            change(&mut pod);
            let lack = fit(&pod).unwrap_err().to_string();
            assert!(lack.contains(word), "{lack}");
        };
        lacks(&|pod| pod["metadata"]["labels"] = json!({}), POOL);
        lacks(&|pod| pod["spec"]["initContainers"] = json!([]), RELAY);
        lacks(
            &|pod| pod["spec"]["containers"][0]["name"] = json!("x"),
            MAIN,
        );
        let env = |name: &'static str, value: &'static str| {
            move |pod: &mut Value| {
                let all = pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
                let own = all.iter_mut().find(|it| it["name"] == name).unwrap();
                own["value"] = json!(value);
            }
        };
        lacks(&env(SOCKETS_VARIABLE, "all"), SOCKETS_VARIABLE);
        lacks(&env(DOOR_VARIABLE, "1000 x"), DOOR_VARIABLE);
        lacks(&env(LEASE_VARIABLE, "1000 first"), LEASE_VARIABLE);
        lacks(&env(LEASE_VARIABLE, "60000 00"), LEASE_VARIABLE);
    }
}
