//! Settings of the Kubernetes backend. Here also without the cargo feature, so that flags are read alike.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use common::limits;

/// Which cluster, and how sandboxes run in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// The file that leads to the cluster; as for `kubectl` if `None`.
    pub kubeconfig: Option<PathBuf>,
    /// Which of its contexts; the current one if `None`.
    pub context: Option<String>,
    /// Where the pods run; the context's own if `None`.
    pub namespace: Option<String>,
    /// Has the guest on its `PATH`; the sandboxes' own image if `None`.
    pub guest_image: Option<String>,
    /// Such as `gvisor` or `kata`.
    pub runtime_class: Option<String>,
    pub node_selector: Vec<(String, String)>,
    pub tolerations: Vec<Toleration>,
    /// Names of secrets that image registries want.
    pub pull_secrets: Vec<String>,
    /// Makes a claim of each container's files; they are exported before sleep if `None`.
    pub storage: Option<Storage>,
    /// How long a pod may take to run; [`limits::POD_START_TIMEOUT`] if `None`.
    pub start_timeout: Option<Duration>,
    /// No policy is made and no probe run; the guest's filter alone keeps programs from the network.
    pub without_policy: bool,
    /// Claims sandboxes of this `SandboxWarmPool` (agent-sandbox) instead of making pods.
    pub pool: Option<String>,
}

/// Whose volumes keep files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// The cluster's usual class.
    Default,
    Class(String),
}

/// A taint that sandboxes stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    pub key: String,
    /// Any if `None`.
    pub value: Option<String>,
    /// Every effect if `None`.
    pub effect: Option<String>,
}

/// Not `KEY`, `KEY=VALUE`, `KEY:EFFECT`, or `KEY=VALUE:EFFECT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAToleration;

impl fmt::Display for NotAToleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a toleration is `KEY[=VALUE][:EFFECT]`, and an effect `NoSchedule`, `PreferNoSchedule`, or `NoExecute`")
    }
}

impl std::error::Error for NotAToleration {}

impl KubernetesSettings {
    /// How long a pod may take to run.
    pub fn patience(&self) -> Duration {
        self.start_timeout.unwrap_or(limits::POD_START_TIMEOUT)
    }

    /// A flag that says what a pool's template decides.
    pub fn decided_by_pool(&self) -> Option<&'static str> {
        let given = [
            (self.guest_image.is_some(), "--k8s-guest-image"),
            (self.runtime_class.is_some(), "--k8s-runtime-class"),
            (!self.node_selector.is_empty(), "--k8s-node-selector"),
            (!self.tolerations.is_empty(), "--k8s-toleration"),
            (!self.pull_secrets.is_empty(), "--k8s-pull-secret"),
            (self.storage.is_some(), "--k8s-storage-class"),
            (self.without_policy, "--k8s-no-policy"),
        ];
        let mut given = given.into_iter().filter(|(is_given, _)| *is_given);
        given.next().map(|(_, flag)| flag)
    }
}

impl FromStr for Toleration {
    type Err = NotAToleration;

    fn from_str(text: &str) -> Result<Self, NotAToleration> {
        const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        let (rest, effect) = match text.rsplit_once(':') {
            Some((rest, effect)) if EFFECTS.contains(&effect) => (rest, Some(effect.to_owned())),
            Some(_) => return Err(NotAToleration),
            None => (text, None),
        };
        let (key, value) = match rest.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (rest, None),
        };
        if key.is_empty() {
            return Err(NotAToleration);
        }
        Ok(Self {
            key: key.to_owned(),
            value,
            effect,
        })
    }
}

impl From<&str> for Storage {
    fn from(text: &str) -> Self {
        match text {
            "default" => Self::Default,
            class => Self::Class(class.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_read_as_kubectl_writes_taints() {
        let read = |text: &str| {
            text.parse()
                .map(|Toleration { key, value, effect }| (key, value, effect))
        };
        let owned = |text: &str| Some(text.to_owned());
        assert_eq!(read("a"), Ok(("a".to_owned(), None, None)));
        assert_eq!(read("a=b"), Ok(("a".to_owned(), owned("b"), None)));
        assert_eq!(
            read("a/x=b:NoSchedule"),
            Ok(("a/x".to_owned(), owned("b"), owned("NoSchedule")))
        );
        for wrong in ["", "=b", "a:Never", ":NoExecute"] {
            assert_eq!(read(wrong), Err(NotAToleration), "{wrong}");
        }
    }
}
