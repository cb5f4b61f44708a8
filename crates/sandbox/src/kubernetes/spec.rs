//! The objects that a sandbox is in the cluster: pods, claims, the policy. Pure, so that a test sees all of it.

use std::collections::BTreeMap;

use guest_proto::{DOOR_VARIABLE, LEASE_VARIABLE, SOCKETS_VARIABLE, Settings};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Pod,
    PodDNSConfig, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecurityContext, Toleration, Volume, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::names::{
    GUEST_COMMAND, GUEST_FILE, GUEST_FOLDER, INSTALL, MAIN, NETWORK, NO_NETWORK, Owner, POLICY,
    RELAY, RELAY_USER, SANDBOX, USER, expiry, label,
};
use super::settings::{KubernetesSettings, Storage};
use crate::{GuestLease, Limits, SandboxSpec};
use common::limits::SANDBOX_SHM_BYTES;

/// Bytes that the guest's watch may be late by before the node, which ends the whole pod, is asked to look.
const DISK_SLACK_BYTES: u64 = 1 << 30;
const TOOL_VOLUME: &str = "guest";
const FILES_VOLUME: &str = "files";
const SHM_VOLUME: &str = "shm";
const SMALL_CPU: &str = "50m";
const SMALL_MEMORY: &str = "32Mi";
const PROBE_SECONDS: i64 = 60;

/// The template that all pods of a server have in common.
#[derive(Debug, Clone)]
pub(super) struct Mould {
    pub(super) owner: Owner,
    pub(super) settings: KubernetesSettings,
    pub(super) image: String,
    /// The server's own pod, where it runs in one: what it has made goes with it.
    pub(super) parent: Option<OwnerReference>,
}

/// The means that keeps programs from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// A policy that was seen to hold.
    Policy,
    /// The guest's filter: programs make no socket that leaves the kernel.
    Filter,
}

/// Where the files of a pod lie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Files<'a> {
    /// In the pod: they end with it.
    Pod,
    Claim(&'a str),
}

/// The writable places, by their folder in the volume and their path.
fn places() -> [(&'static str, String); 4] {
    let Settings {
        files_root,
        skills_root,
        tmp_root,
        work_dir,
        ..
    } = Settings::default();
    [
        ("home", work_dir),
        ("files", files_root),
        ("skills", skills_root),
        ("tmp", tmp_root),
    ]
}

impl Mould {
    fn guest_image(&self) -> &str {
        self.settings.guest_image.as_deref().unwrap_or(&self.image)
    }

    fn metadata(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(self.owner.labels()),
            owner_references: self.parent.clone().map(|parent| vec![parent]),
            ..ObjectMeta::default()
        }
    }

    /// The pod of a sandbox; a warm one is nobody's yet.
    pub(super) fn pod(
        &self,
        name: &str,
        spec: &SandboxSpec,
        is_warm: bool,
        lease: &GuestLease,
        (network, files): (Network, Files<'_>),
    ) -> Pod {
        let mut metadata = self.metadata(name);
        metadata.annotations = Some(expiry(spec.expires_at));
        let labels = metadata.labels.get_or_insert_default();
        if !is_warm {
            labels.insert(SANDBOX.to_owned(), label(&spec.sandbox_id));
        }
        // The policy, where there is one, also where it was not seen to hold.
        labels.insert(NETWORK.to_owned(), NO_NETWORK.to_owned());
        Pod {
            metadata,
            spec: Some(PodSpec {
                init_containers: Some(vec![self.install(), self.relay()]),
                containers: vec![self.main(name, spec, lease, network)],
                volumes: Some(volumes(&spec.limits, files)),
                ..self.base()
            }),
            status: None,
        }
    }

    /// The part of the spec that every pod has, a probe's too.
    fn base(&self) -> PodSpec {
        let settings = &self.settings;
        let selector: BTreeMap<String, String> = settings.node_selector.iter().cloned().collect();
        PodSpec {
            restart_policy: Some("Never".to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            host_network: Some(false),
            hostname: Some("sandbox".to_owned()),
            // Names are asked of nobody: the answer comes at once.
            dns_policy: Some("None".to_owned()),
            dns_config: Some(PodDNSConfig {
                nameservers: Some(vec!["127.0.0.1".to_owned()]),
                ..PodDNSConfig::default()
            }),
            termination_grace_period_seconds: Some(1),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            runtime_class_name: settings.runtime_class.clone(),
            node_selector: (!selector.is_empty()).then_some(selector),
            tolerations: (!settings.tolerations.is_empty())
                .then(|| settings.tolerations.iter().map(toleration).collect()),
            image_pull_secrets: (!settings.pull_secrets.is_empty()).then(|| {
                let secrets = settings.pull_secrets.iter();
                secrets
                    .map(|name| LocalObjectReference { name: name.clone() })
                    .collect()
            }),
            ..PodSpec::default()
        }
    }

    /// Copies the guest to where the others find it, and makes the folders of the files.
    fn install(&self) -> Container {
        let folders = places().map(|(folder, _)| format!("/{FILES_VOLUME}/{folder}"));
        let command = [GUEST_COMMAND, "install", GUEST_FILE].map(str::to_owned);
        Container {
            name: INSTALL.to_owned(),
            image: Some(self.guest_image().to_owned()),
            command: Some(command.into_iter().chain(folders).collect()),
            volume_mounts: Some(vec![
                mount(TOOL_VOLUME, GUEST_FOLDER),
                mount(FILES_VOLUME, &format!("/{FILES_VOLUME}")),
            ]),
            resources: Some(small()),
            security_context: Some(confined(USER)),
            ..Container::default()
        }
    }

    /// Where the server's `exec` goes: beside the sandbox, out of sight of its programs, and ended with it.
    fn relay(&self) -> Container {
        Container {
            name: RELAY.to_owned(),
            image: Some(self.guest_image().to_owned()),
            command: Some([GUEST_FILE, "wait"].map(str::to_owned).into()),
            restart_policy: Some("Always".to_owned()),
            volume_mounts: Some(vec![read_only(mount(TOOL_VOLUME, GUEST_FOLDER))]),
            resources: Some(small()),
            security_context: Some(confined(RELAY_USER)),
            ..Container::default()
        }
    }

    fn main(
        &self,
        name: &str,
        spec: &SandboxSpec,
        lease: &GuestLease,
        network: Network,
    ) -> Container {
        let mut env = vec![
            variable(LEASE_VARIABLE, lease.to_variable()),
            variable(DOOR_VARIABLE, format!("{RELAY_USER} {name}")),
        ];
        if network == Network::Filter {
            env.push(variable(SOCKETS_VARIABLE, "unix".to_owned()));
        }
        let mut mounts = vec![
            read_only(mount(TOOL_VOLUME, GUEST_FOLDER)),
            mount(SHM_VOLUME, "/dev/shm"),
        ];
        mounts.extend(places().map(|(folder, path)| VolumeMount {
            sub_path: Some(folder.to_owned()),
            ..mount(FILES_VOLUME, &path)
        }));
        Container {
            name: MAIN.to_owned(),
            image: Some(self.image.clone()),
            command: Some(vec![GUEST_FILE.to_owned()]),
            working_dir: Some(Settings::default().work_dir),
            env: Some(env),
            volume_mounts: Some(mounts),
            resources: Some(resources(&spec.limits)),
            security_context: Some(confined(USER)),
            ..Container::default()
        }
    }

    /// A pod that tries to reach the addresses and says by its end whether it could.
    pub(super) fn probe(&self, name: &str, network: &str, addresses: &[String]) -> Pod {
        let mut metadata = self.metadata(name);
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(NETWORK.to_owned(), network.to_owned());
        let command = [GUEST_COMMAND, "probe"].map(str::to_owned);
        let main = Container {
            name: MAIN.to_owned(),
            image: Some(self.guest_image().to_owned()),
            command: Some(
                command
                    .into_iter()
                    .chain(addresses.iter().cloned())
                    .collect(),
            ),
            resources: Some(small()),
            security_context: Some(confined(USER)),
            ..Container::default()
        };
        Pod {
            metadata,
            spec: Some(PodSpec {
                containers: vec![main],
                active_deadline_seconds: Some(PROBE_SECONDS),
                ..self.base()
            }),
            status: None,
        }
    }

    /// The claim of a container's files.
    pub(super) fn claim(&self, name: &str, spec: &SandboxSpec) -> PersistentVolumeClaim {
        let mut metadata = self.metadata(name);
        // Longer than any pod: the next server wants the files.
        metadata.owner_references = None;
        metadata.annotations = Some(expiry(spec.expires_at));
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(SANDBOX.to_owned(), label(&spec.sandbox_id));
        let size = bytes(spec.limits.disk_bytes);
        PersistentVolumeClaim {
            metadata,
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                storage_class_name: match &self.settings.storage {
                    Some(Storage::Class(class)) => Some(class.clone()),
                    Some(Storage::Default) | None => None,
                },
                resources: Some(VolumeResourceRequirements {
                    requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
                    limits: None,
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            status: None,
        }
    }
}

/// Nothing in, nothing out: for every sandbox of the namespace, whichever server's.
pub(super) fn policy() -> NetworkPolicy {
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(POLICY.to_owned()),
            labels: Some(BTreeMap::from([(
                super::names::MANAGED_BY.to_owned(),
                super::names::MANAGER.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(BTreeMap::from([(
                    NETWORK.to_owned(),
                    NO_NETWORK.to_owned(),
                )])),
                match_expressions: None,
            }),
            policy_types: Some(["Ingress", "Egress"].map(str::to_owned).into()),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn volumes(limits: &Limits, files: Files<'_>) -> Vec<Volume> {
    let empty = |name: &str, medium: Option<&str>, size: Quantity| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            size_limit: Some(size),
        }),
        ..Volume::default()
    };
    let files = match files {
        Files::Pod => empty(
            FILES_VOLUME,
            None,
            bytes(limits.disk_bytes + DISK_SLACK_BYTES),
        ),
        Files::Claim(name) => Volume {
            name: FILES_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: name.to_owned(),
                read_only: None,
            }),
            ..Volume::default()
        },
    };
    vec![
        empty(TOOL_VOLUME, None, Quantity("16Mi".to_owned())),
        empty(
            SHM_VOLUME,
            Some("Memory"),
            bytes(SANDBOX_SHM_BYTES.unsigned_abs()),
        ),
        files,
    ]
}

/// Nothing that a `restricted` namespace would refuse.
fn confined(user: i64) -> SecurityContext {
    SecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(USER),
        privileged: Some(false),
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            add: None,
            drop: Some(vec!["ALL".to_owned()]),
        }),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..SecurityContext::default()
    }
}

/// Asked for and allowed alike, so that a node has what a sandbox may use.
fn resources(limits: &Limits) -> ResourceRequirements {
    let own = [
        (
            "cpu".to_owned(),
            Quantity(format!("{}m", limits.milli_cpus)),
        ),
        ("memory".to_owned(), bytes(limits.memory_bytes)),
    ];
    let mut most = BTreeMap::from(own.clone());
    most.insert(
        "ephemeral-storage".to_owned(),
        bytes(limits.disk_bytes + DISK_SLACK_BYTES),
    );
    let mut least = BTreeMap::from(own);
    // Else as much would be asked for.
    least.insert("ephemeral-storage".to_owned(), Quantity("64Mi".to_owned()));
    ResourceRequirements {
        limits: Some(most),
        requests: Some(least),
        claims: None,
    }
}

fn small() -> ResourceRequirements {
    let all = BTreeMap::from([
        ("cpu".to_owned(), Quantity(SMALL_CPU.to_owned())),
        ("memory".to_owned(), Quantity(SMALL_MEMORY.to_owned())),
    ]);
    ResourceRequirements {
        limits: Some(all.clone()),
        requests: Some(all),
        claims: None,
    }
}

fn toleration(chosen: &super::settings::Toleration) -> Toleration {
    let operator = if chosen.value.is_some() {
        "Equal"
    } else {
        "Exists"
    };
    Toleration {
        key: Some(chosen.key.clone()),
        operator: Some(operator.to_owned()),
        value: chosen.value.clone(),
        effect: chosen.effect.clone(),
        toleration_seconds: None,
    }
}

fn variable(name: &str, value: String) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn read_only(mount: VolumeMount) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount
    }
}

fn bytes(count: u64) -> Quantity {
    Quantity(count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest;

    fn mould() -> Mould {
        Mould {
            owner: Owner::new("first", "server", true),
            settings: KubernetesSettings {
                runtime_class: Some("gvisor".to_owned()),
                node_selector: vec![("pool".to_owned(), "sandboxes".to_owned())],
                tolerations: vec!["only=sandboxes:NoSchedule".parse().unwrap()],
                pull_secrets: vec!["registry".to_owned()],
                storage: Some(Storage::Class("fast".to_owned())),
                ..KubernetesSettings::default()
            },
            image: "image".to_owned(),
            parent: Some(OwnerReference {
                name: "server-0".to_owned(),
                ..OwnerReference::default()
            }),
        }
    }

    fn spec() -> SandboxSpec {
        SandboxSpec {
            sandbox_id: "container_01ABC".into(),
            expires_at: "2027-01-15T08:00:00Z".parse().unwrap(),
            limits: Limits::default(),
        }
    }

    fn pod(network: Network) -> Pod {
        let lease = GuestLease {
            token: guest::token(),
            span: common::limits::SANDBOX_LEASE,
        };
        mould().pod("p", &spec(), false, &lease, (network, Files::Pod))
    }

    #[test]
    fn no_container_of_a_pod_has_rights_a_token_or_a_writable_root() {
        let spec = pod(Network::Policy).spec.unwrap();
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!(spec.enable_service_links, Some(false));
        assert_eq!((spec.host_pid, spec.host_ipc), (None, None));
        let all: Vec<Container> = spec
            .containers
            .into_iter()
            .chain(spec.init_containers.unwrap())
            .collect();
        assert_eq!(all.len(), 3);
        for container in all {
            let context = container.security_context.unwrap();
            let dropped = context.capabilities.unwrap().drop.unwrap();
            assert_eq!(dropped, ["ALL"]);
            assert_eq!(context.allow_privilege_escalation, Some(false));
            assert_eq!(context.read_only_root_filesystem, Some(true));
            assert_eq!(context.run_as_non_root, Some(true));
            assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
            assert!(container.resources.unwrap().limits.is_some());
        }
    }

    #[test]
    fn the_relay_is_another_user_than_the_code_and_sees_none_of_its_files() {
        let spec = pod(Network::Policy).spec.unwrap();
        let init = spec.init_containers.unwrap();
        let relay = init.iter().find(|it| it.name == RELAY).unwrap();
        let user = |container: &Container| {
            let context = container.security_context.as_ref();
            context.and_then(|context| context.run_as_user)
        };
        assert_ne!(user(relay), user(&spec.containers[0]));
        let mounts = relay.volume_mounts.as_ref().unwrap();
        assert!(mounts.iter().all(|it| it.read_only == Some(true)));
        assert_eq!(mounts.len(), 1);
    }

    #[test]
    fn a_sandbox_has_the_documented_limits_and_what_the_user_chose() {
        let spec = pod(Network::Policy).spec.unwrap();
        let resources = spec.containers[0].resources.clone().unwrap();
        let (limits, requests) = (resources.limits.unwrap(), resources.requests.unwrap());
        assert_eq!(limits["memory"].0, (5u64 << 30).to_string());
        assert_eq!(limits["cpu"].0, "1000m");
        assert_eq!(requests["memory"], limits["memory"]);
        assert_eq!(requests["cpu"], limits["cpu"]);
        assert_eq!(spec.runtime_class_name.as_deref(), Some("gvisor"));
        assert_eq!(spec.node_selector.unwrap()["pool"], "sandboxes");
        assert_eq!(
            spec.tolerations.unwrap()[0].effect.as_deref(),
            Some("NoSchedule")
        );
        assert_eq!(spec.image_pull_secrets.unwrap()[0].name, "registry");
        let volumes = spec.volumes.unwrap();
        let sized = |volume: &Volume| {
            let empty = volume.empty_dir.as_ref();
            empty.is_some_and(|empty| empty.size_limit.is_some())
        };
        assert!(volumes.iter().all(sized));
    }

    #[test]
    fn a_pod_says_whose_it_is_and_goes_with_its_server_and_a_claim_does_not() {
        let pod = pod(Network::Policy).metadata;
        assert_eq!(pod.owner_references.unwrap()[0].name, "server-0");
        let labels = pod.labels.unwrap();
        assert_eq!(labels[SANDBOX], "container_01ABC");
        assert_eq!(labels[NETWORK], NO_NETWORK);
        let claim = mould().claim("c", &spec());
        assert_eq!(claim.metadata.owner_references, None);
        assert_eq!(
            claim.spec.unwrap().storage_class_name.as_deref(),
            Some("fast")
        );
    }

    #[test]
    fn programs_make_no_sockets_unless_the_policy_was_seen_to_hold() {
        let sockets = |network| {
            let spec = pod(network).spec.unwrap();
            let env = spec.containers[0].env.clone().unwrap();
            env.iter().any(|variable| variable.name == SOCKETS_VARIABLE)
        };
        assert!(sockets(Network::Filter));
        assert!(!sockets(Network::Policy));
    }
}
