//! Failures of a cluster in words, with hints.

use kube::Error as KubeError;

use super::names::VERSION;
use super::rules::AGENT_SANDBOX;
use crate::{Cause, SandboxError};

/// Names are the server's own: an earlier try has come through.
pub(super) const IS_THERE: u16 = 409;
pub(super) const IS_GONE: u16 = 404;
/// The reasons of a claim whose pool is not there, or whose pool's template.
pub(super) const NO_POOL: &str = "WarmPoolNotFound";
pub(super) const NO_TEMPLATE: &str = "TemplateNotFound";
const NO_POOL_HINT: &str = "`kubectl get sandboxwarmpools` lists the pools of the server's namespace: name one of them with `--k8s-pool`, or make it (`sandtable docs kubernetes`)";
const PAGE: &str = "`sandtable docs kubernetes`";

/// Why something does not come about, as the cluster says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Trouble(String);

impl Trouble {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The status code of an answer, if it was one.
pub(super) fn status(error: &KubeError) -> Option<u16> {
    match error {
        KubeError::Api(status) => Some(status.code),
        _ => None,
    }
}

/// A call of the API that failed.
pub(super) fn of_call(operation: &'static str, error: KubeError) -> SandboxError {
    let KubeError::Api(status) = &error else {
        let cause = Cause::told(reason(&error), error);
        return SandboxError::Engine { operation, cause };
    };
    let message = status.message.trim();
    let hint = match status.code {
        401 => "the credentials of the kubeconfig or the service account are not taken: renew them".to_owned(),
        403 if message.contains("exceeded quota") => {
            "raise the ResourceQuota of the namespace, or have fewer containers awake at once (`--idle-timeout`)".to_owned()
        }
        403 if message.contains("PodSecurity") => {
            format!("the namespace admits less than sandboxes need: {PAGE} says which level does")
        }
        403 if message.contains("being terminated") => "name another namespace with `--k8s-namespace`".to_owned(),
        403 => format!("give the server's account the Role in {PAGE}"),
        IS_GONE if message.contains("namespaces") => "make the namespace, or name another with `--k8s-namespace`".to_owned(),
        422 => "the cluster does not take such a pod: look at the flags that begin with `--k8s-`".to_owned(),
        _ => {
            let words = format!("the cluster answers {}: {message}", status.code);
            let cause = Cause::told(words, error);
            return SandboxError::Engine { operation, cause };
        }
    };
    SandboxError::Unavailable {
        reason: format!(
            "{operation}: the cluster refuses it ({}): {message}",
            status.code
        ),
        hint,
    }
}

/// A pod that does not start, and why.
pub(super) fn of_start(trouble: &str) -> SandboxError {
    let says = |words: &[&str]| words.iter().any(|word| trouble.contains(word));
    let hint = if says(&["ErrImage", "ImagePull", "InvalidImageName", "pull"]) {
        "name an image that the nodes can pull with `--image` and `--k8s-guest-image`; a private registry needs `--k8s-pull-secret`"
    } else if says(&["nodes are available", "Unschedulable", "not scheduled"]) {
        "give the cluster a node with 5 GiB of memory and a CPU to spare that `--k8s-node-selector` and `--k8s-toleration` fit"
    } else if says(&["sandtable-guest"]) {
        "name an image that has `sandtable-guest` on its PATH with `--k8s-guest-image`"
    } else if says(&["RuntimeClass", "runtime"]) {
        "name a RuntimeClass that the nodes have with `--k8s-runtime-class`"
    } else if says(&["persistentvolumeclaim", "volume"]) {
        "name a StorageClass that makes volumes with `--k8s-storage-class`, or leave it out"
    } else {
        "`kubectl describe pod` says more; the next call tries again"
    };
    SandboxError::Unavailable {
        reason: format!("the sandbox's pod does not start: {trouble}"),
        hint: hint.to_owned(),
    }
}

/// A pool that gives no sandbox, and why.
pub(super) fn of_pool(pool: &str, trouble: &str) -> SandboxError {
    let hint = if trouble.contains(NO_POOL) {
        NO_POOL_HINT
    } else if trouble.contains(NO_TEMPLATE) {
        "make the SandboxTemplate that the pool names; `sandtable docs kubernetes` has one"
    } else {
        "the controller of agent-sandbox must run, with its extensions, and the pool's template start: `kubectl describe sandboxclaims,sandboxwarmpools` says more; the next call tries again"
    };
    SandboxError::Unavailable {
        reason: format!("the pool `{pool}` gives no sandbox: {trouble}"),
        hint: hint.to_owned(),
    }
}

/// A call about agent-sandbox's own kinds that failed; `pool` is whose.
pub(super) fn of_extension(operation: &'static str, pool: &str, error: KubeError) -> SandboxError {
    let KubeError::Api(status) = &error else {
        return of_call(operation, error);
    };
    // A kind that the cluster has says which object it lacks.
    if status.code != IS_GONE || status.message.contains("namespaces") {
        return of_call(operation, error);
    }
    if status.message.contains(pool) {
        return SandboxError::Unavailable {
            reason: format!("{operation}: {}", status.message.trim()),
            hint: NO_POOL_HINT.to_owned(),
        };
    }
    SandboxError::Unavailable {
        reason: format!("{operation}: the cluster knows no such kind of {AGENT_SANDBOX}/{VERSION}"),
        hint: "install agent-sandbox with its extensions, 0.5 or later, or leave `--k8s-pool` out"
            .to_owned(),
    }
}

/// An error with what caused it: the outermost alone says little.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> SandboxError {
        let status = kube::core::Status::failure(message, "").with_code(code);
        of_call("create the pod", KubeError::Api(status.boxed()))
    }

    #[test]
    fn refusals_that_the_user_can_mend_say_how() {
        for (code, message, words) in [
            (401, "Unauthorized", "renew them"),
            (403, "pods is forbidden: exceeded quota: q", "ResourceQuota"),
            (403, "violates PodSecurity \"restricted\"", "level"),
            (403, "cannot create resource \"pods\"", "the Role"),
            (404, "namespaces \"x\" not found", "--k8s-namespace"),
            (422, "Pod is invalid", "--k8s-"),
        ] {
            match refused(code, message) {
                SandboxError::Unavailable { reason, hint } => {
                    assert!(hint.contains(words), "{hint}");
                    assert!(reason.contains(message), "{reason}");
                }
                other => panic!("{code}: {other}"),
            }
        }
        for code in [409, 429, 500, 503] {
            assert!(matches!(refused(code, "x"), SandboxError::Engine { .. }));
        }
    }

    #[test]
    fn a_pod_that_does_not_start_says_what_to_do() {
        for (trouble, words) in [
            ("ImagePullBackOff: not found", "--k8s-pull-secret"),
            ("0/3 nodes are available: 3 Insufficient memory.", "5 GiB"),
            (
                "exec: \"sandtable-guest\": not found in $PATH",
                "--k8s-guest-image",
            ),
            ("Evicted: low on disk", "tries again"),
        ] {
            match of_start(trouble) {
                SandboxError::Unavailable { hint, .. } => assert!(hint.contains(words), "{hint}"),
                other => panic!("{other}"),
            }
        }
    }
}
