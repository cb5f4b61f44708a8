//! The metadata and status of a pod that the backend needs: small, for it is kept of every pod that is awake.

use chrono::{DateTime, Utc};
use guest_proto::LEASE_VARIABLE;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::{DATA, EXPIRES, MAIN, RELAY, SANDBOX, SCOPE, SERVER, TEMPORARY};
use crate::GuestLease;
use common::ids::SandboxId;

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) name: String,
    /// `None` of a pool's pod, whose claim says it.
    pub(super) whose: Option<Whose>,
    pub(super) lease: Option<GuestLease>,
    pub(super) stage: Stage,
}

/// Whose something is, by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) scope: String,
    pub(super) server: String,
    pub(super) sandbox: Option<SandboxId>,
    pub(super) temporary: bool,
    pub(super) expires: Option<DateTime<Utc>>,
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not yet; what holds it up, if that is known.
    Pending(Option<String>),
    /// Never will.
    Broken(String),
    Running,
    /// Told to end.
    Ending,
    Ended {
        exit_code: i32,
        reason: String,
        at: Option<DateTime<Utc>>,
    },
}

/// Reasons of a waiting container that time does not mend.
const BROKEN: [&str; 8] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "RegistryUnavailable",
];

impl Look {
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        Some(Self {
            name: pod.metadata.name.clone()?,
            whose: Whose::of(&pod.metadata),
            lease: lease_of(pod),
            stage: Stage::of(pod),
        })
    }

    pub(super) fn is_of(&self, sandbox: &SandboxId) -> bool {
        let whose = self.whose.as_ref();
        whose.is_some_and(|whose| whose.sandbox.as_ref() == Some(sandbox))
    }

    pub(super) fn runs(&self) -> bool {
        self.stage == Stage::Running
    }
}

impl Whose {
    /// `None` of what no server of ours has labelled.
    pub(super) fn of(metadata: &ObjectMeta) -> Option<Self> {
        let labels = metadata.labels.as_ref()?;
        let annotations = metadata.annotations.as_ref();
        let expires = annotations.and_then(|all| all.get(EXPIRES));
        Some(Self {
            scope: labels.get(SCOPE)?.clone(),
            server: labels.get(SERVER).cloned().unwrap_or_default(),
            sandbox: labels.get(SANDBOX).map(|id| id.as_str().into()),
            temporary: labels.get(DATA).is_some_and(|data| data == TEMPORARY),
            expires: expires.and_then(|at| at.parse().ok()),
        })
    }
}

impl Stage {
    /// When it ended, if it has and that is known.
    pub(super) fn ended(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Ended { at, .. } => *at,
            Self::Pending(_) | Self::Broken(_) | Self::Running | Self::Ending => None,
        }
    }

    fn of(pod: &Pod) -> Self {
        if pod.metadata.deletion_timestamp.is_some() {
            return Self::Ending;
        }
        let Some(status) = &pod.status else {
            return Self::Pending(None);
        };
        // The node says it of the pod: evicted, shut down, out of memory before it began.
        if status.phase.as_deref() == Some("Failed")
            && let Some(reason) = &status.reason
        {
            let reason = with_message(reason, status.message.as_deref());
            return Self::Ended {
                exit_code: -1,
                reason,
                at: None,
            };
        }
        if let Some(ended) = main(status).and_then(|state| state.terminated.as_ref()) {
            let reason = ended.reason.as_deref().unwrap_or("ended");
            return Self::Ended {
                exit_code: ended.exit_code,
                reason: with_message(reason, ended.message.as_deref()),
                at: ended.finished_at.as_ref().and_then(|at| moment(&at.0)),
            };
        }
        if main(status).is_some_and(|state| state.running.is_some()) {
            return Self::Running;
        }
        Self::waiting(status)
    }

    fn waiting(status: &PodStatus) -> Self {
        for container in containers(status) {
            let Some(state) = &container.state else {
                continue;
            };
            if let Some(waiting) = &state.waiting
                && let Some(reason) = &waiting.reason
                && BROKEN.contains(&reason.as_str())
            {
                return Self::Broken(with_message(reason, waiting.message.as_deref()));
            }
            // The relay is started again.
            if let Some(ended) = &state.terminated
                && ended.exit_code != 0
                && container.name != RELAY
            {
                let reason = format!(
                    "its container `{}` ended with {}",
                    container.name, ended.exit_code
                );
                return Self::Broken(with_message(&reason, ended.message.as_deref()));
            }
        }
        let unscheduled = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
        Self::Pending(unscheduled.map(|condition| {
            with_message(
                condition.reason.as_deref().unwrap_or("not scheduled"),
                condition.message.as_deref(),
            )
        }))
    }
}

fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
}

fn main(status: &PodStatus) -> Option<&ContainerState> {
    let mut all = status.container_statuses.iter().flatten();
    all.find(|container| container.name == MAIN)?.state.as_ref()
}

pub(super) fn with_message(reason: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }
}

/// The cluster's time in the server's own type.
fn moment(at: &impl ToString) -> Option<DateTime<Utc>> {
    at.to_string().parse().ok()
}

/// A pod's own specification says how it was made: no other copy of the token can be lost.
fn lease_of(pod: &Pod) -> Option<GuestLease> {
    let spec = pod.spec.as_ref()?;
    let main = spec.containers.iter().find(|it| it.name == MAIN)?;
    let mut variables = main.env.iter().flatten();
    let lease = variables.find(|variable| variable.name == LEASE_VARIABLE)?;
    GuestLease::of_variable(lease.value.as_deref()?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stage(status: &Value) -> Stage {
        let pod = json!({
            "metadata": { "name": "p", "labels": { SCOPE: "s" } },
            "spec": { "containers": [] },
            "status": status,
        });
        Look::of(&serde_json::from_value(pod).unwrap())
            .unwrap()
            .stage
    }

    fn main_is(state: &Value) -> Stage {
        stage(&json!({ "phase": "Running", "containerStatuses": [
            { "name": MAIN, "state": state, "image": "", "imageID": "", "ready": true, "restartCount": 0 }
        ]}))
    }

    #[test]
    fn a_pod_runs_when_its_sandbox_does_and_has_ended_when_its_sandbox_has() {
        assert_eq!(main_is(&json!({ "running": {} })), Stage::Running);
        let killed = main_is(&json!({ "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:00Z"
        }}));
        let Stage::Ended {
            exit_code,
            reason,
            at,
        } = killed
        else {
            panic!("{killed:?}");
        };
        assert_eq!((exit_code, reason.as_str()), (137, "OOMKilled"));
        assert_eq!(at, "2026-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn what_holds_a_pod_up_is_told_and_what_breaks_it_is_told_apart() {
        let unschedulable = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
              "message": "0/1 nodes are available: 1 Insufficient memory." }
        ]});
        let Stage::Pending(Some(reason)) = stage(&unschedulable) else {
            panic!("{:?}", stage(&unschedulable));
        };
        assert!(reason.contains("Insufficient memory"), "{reason}");
        let image = main_is(
            &json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" }}),
        );
        assert_eq!(
            image,
            Stage::Broken("ImagePullBackOff: no such image".to_owned())
        );
        let creating = main_is(&json!({ "waiting": { "reason": "ContainerCreating" }}));
        assert_eq!(creating, Stage::Pending(None));
    }

    #[test]
    fn an_evicted_pod_has_ended() {
        let evicted =
            stage(&json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" }));
        assert!(
            matches!(&evicted, Stage::Ended { reason, .. } if reason == "Evicted: low on memory"),
            "{evicted:?}"
        );
    }
}
