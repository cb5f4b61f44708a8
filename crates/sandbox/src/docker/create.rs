//! The request to the engine that creates a sandbox: limits, hardening, labels. Pure, so that a test sees all of it.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, ResourcesUlimits,
};
use chrono::SecondsFormat;
use guest_proto::LEASE_VARIABLE;

use super::lease::{LABEL_CONTAINER, LABEL_EXPIRES, Lease};
use super::volume;
use crate::{GuestLease, SandboxSpec, memory};
use common::limits::{SANDBOX_SHM_BYTES, SANDBOX_TERMINALS};

/// Where the working directory and `HOME` lie.
const HOME: &str = "/home/user";
const USER: &str = "1000:1000";
/// Where the terminals lie.
pub(super) const TERMINALS: &str = "/dev/pts";
/// The same user and group as a number.
pub(super) const USER_ID: u64 = 1000;

/// Features that the engine at hand turned out to lack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    /// A size for a container's own file system.
    pub(super) disk_size: bool,
    /// A choice of CPUs.
    pub(super) cpu_set: bool,
    /// Limits of System V memory, messages, and semaphores.
    pub(super) ipc_limits: bool,
    /// Terminals of a container's own that can be counted.
    pub(super) terminals: bool,
}

/// The name of a container's sandbox on the engine.
pub(super) fn name(scope: &str, sandbox_id: &str) -> String {
    format!("sandtable-{scope}-{sandbox_id}")
}

/// Everything about a new sandbox. `cpus` are those it may run on.
pub(super) fn body(
    spec: &SandboxSpec,
    image: &str,
    guest_volume: &str,
    lease: &Lease,
    guest_lease: Option<&GuestLease>,
    cpus: &str,
    lacks: Lacks,
) -> ContainerCreateBody {
    let mut labels = lease.labels();
    labels.insert(LABEL_CONTAINER.to_owned(), spec.sandbox_id.to_string());
    labels.insert(
        LABEL_EXPIRES.to_owned(),
        spec.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    );
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![volume::GUEST_PATH.to_owned()]),
        cmd: Some(Vec::new()),
        user: Some(USER.to_owned()),
        working_dir: Some(HOME.to_owned()),
        hostname: Some("sandbox".to_owned()),
        labels: Some(labels),
        open_stdin: Some(true),
        // Without a lease the guest's stdin, and so the sandbox, ends with the attached connection.
        stdin_once: Some(guest_lease.is_none()),
        env: guest_lease.map(|lease| vec![variable(lease)]),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        network_disabled: Some(true),
        host_config: Some(host_config(spec, guest_volume, cpus, lacks)),
        ..ContainerCreateBody::default()
    }
}

/// Has the sandbox run by another runtime of the engine's.
pub(super) fn run_by(body: &mut ContainerCreateBody, runtime: Option<&str>) {
    if let Some(host) = &mut body.host_config {
        host.runtime = runtime.map(str::to_owned);
    }
}

/// Covers what the kernel says of the machine's memory with a file of the engine's machine.
pub(super) fn tell_memory(body: &mut ContainerCreateBody, file: &str) {
    let mount = Mount {
        typ: Some(MountType::BIND),
        source: Some(file.to_owned()),
        target: Some(memory::PLACE.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    };
    if let Some(host) = &mut body.host_config {
        host.mounts.get_or_insert_default().push(mount);
    }
}

fn host_config(spec: &SandboxSpec, guest_volume: &str, cpus: &str, lacks: Lacks) -> HostConfig {
    let memory = signed(spec.limits.memory_bytes);
    let disk = signed(spec.limits.disk_bytes);
    HostConfig {
        memory: Some(memory),
        // The same as the memory: no swap on top.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(spec.limits.milli_cpus) * 1_000_000),
        cpuset_cpus: (!lacks.cpu_set).then(|| cpus.to_owned()),
        pids_limit: Some(spec.limits.pids),
        oom_score_adj: Some(500),
        shm_size: Some(SANDBOX_SHM_BYTES),
        ulimits: Some(vec![ulimit("core", 0), ulimit("fsize", disk)]),
        storage_opt: (!lacks.disk_size)
            .then(|| HashMap::from([("size".to_owned(), disk.to_string())])),
        network_mode: Some("none".to_owned()),
        sysctls: (!lacks.ipc_limits).then(ipc_limits),
        ipc_mode: Some("private".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        init: Some(false),
        publish_all_ports: Some(false),
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        }),
        mounts: Some(mounts(guest_volume, lacks)),
        ..HostConfig::default()
    }
}

fn mounts(guest_volume: &str, lacks: Lacks) -> Vec<Mount> {
    let guest = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(guest_volume.to_owned()),
        target: Some(volume::GUEST_FOLDER.to_owned()),
        read_only: Some(true),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    let terminals = (!lacks.terminals).then(terminals);
    [guest].into_iter().chain(terminals).collect()
}

/// The container's terminals, in place of those that the engine gives without a number: all containers
/// and the machine share that of the kernel. A volume without a name goes with its container.
fn terminals() -> Mount {
    let options = [
        ("type", "devpts".to_owned()),
        ("device", "devpts".to_owned()),
        (
            "o",
            format!(
                "newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec,max={SANDBOX_TERMINALS}"
            ),
        ),
    ];
    Mount {
        typ: Some(MountType::VOLUME),
        target: Some(TERMINALS.to_owned()),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(options.map(|(key, value)| (key.to_owned(), value)).into()),
            }),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// System V memory outlives its processes: more of it than of `/dev/shm` would starve later calls.
fn ipc_limits() -> HashMap<String, String> {
    const PAGE_BYTES: i64 = 4096;
    [
        ("kernel.shmmax", SANDBOX_SHM_BYTES.to_string()),
        (
            "kernel.shmall",
            (SANDBOX_SHM_BYTES / PAGE_BYTES).to_string(),
        ),
        ("kernel.msgmni", "32".to_owned()),
        ("kernel.sem", "250 32000 100 128".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn ulimit(name: &str, value: i64) -> ResourcesUlimits {
    ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The CPUs the `turn`-th sandbox may run on, of `available`, in the engine's notation.
pub(super) fn cpu_set(turn: usize, milli_cpus: u32, available: usize) -> String {
    let wanted = usize::try_from(milli_cpus.div_ceil(1000))
        .unwrap_or(available)
        .clamp(1, available);
    let mut cpus: Vec<usize> = (0..wanted).map(|n| (turn + n) % available).collect();
    cpus.sort_unstable();
    let names: Vec<String> = cpus.iter().map(usize::to_string).collect();
    names.join(",")
}

/// The variable that gives a guest its lease; `launch` reads it back.
pub(super) fn variable(lease: &GuestLease) -> String {
    format!("{LEASE_VARIABLE}={}", lease.to_variable())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::Limits;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            sandbox_id: "container_01ABC".into(),
            expires_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            limits: Limits::default(),
        }
    }

    fn made(lacks: Lacks) -> ContainerCreateBody {
        let lease = Lease::of_a_test("server-1");
        body(&spec(), "image", "volume", &lease, None, "0", lacks)
    }

    #[test]
    fn a_sandbox_has_no_network_no_capability_no_swap_and_no_way_up() {
        let host = made(Lacks::default()).host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, None);
        assert_eq!(
            host.security_opt,
            Some(vec!["no-new-privileges".to_owned()])
        );
        assert_eq!(host.memory, Some(5 * 1024 * 1024 * 1024));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(1_000_000_000));
        assert_eq!(host.pids_limit, Some(512));
        assert_eq!(host.binds, None);
        assert_eq!(host.port_bindings, None);
        let mounts = host.mounts.unwrap();
        assert!(mounts.iter().all(|mount| {
            let is_read_only = mount.read_only == Some(true);
            let is_own = mount.source.is_none();
            mount.typ == Some(MountType::VOLUME) && (is_read_only || is_own)
        }));
        let terminals = mounts[1].volume_options.clone().unwrap();
        let options = terminals.driver_config.unwrap().options.unwrap();
        assert!(options["o"].ends_with(",max=64"), "{options:?}");
    }

    #[test]
    fn what_the_engine_lacks_is_left_out() {
        let host = made(Lacks {
            disk_size: true,
            cpu_set: true,
            ipc_limits: true,
            terminals: true,
        })
        .host_config
        .unwrap();
        assert_eq!(host.mounts.map(|mounts| mounts.len()), Some(1));
        assert_eq!((host.storage_opt, host.cpuset_cpus), (None, None));
        assert_eq!(host.sysctls, None);
    }

    #[test]
    fn a_sandbox_says_whose_it_is_and_when_it_ends() {
        let labels = made(Lacks::default()).labels.unwrap();
        assert_eq!(labels[LABEL_CONTAINER], "container_01ABC");
        assert_eq!(labels[LABEL_EXPIRES], "2027-01-15T08:00:00Z");
        assert!(labels.contains_key("sandtable.server"));
    }

    #[test]
    fn sandboxes_take_turns_on_the_cpus() {
        assert_eq!(cpu_set(0, 1000, 2), "0");
        assert_eq!(cpu_set(3, 1000, 2), "1");
        assert_eq!(cpu_set(3, 1500, 4), "0,3");
        assert_eq!(cpu_set(0, 64_000, 2), "0,1");
        assert_eq!(cpu_set(5, 1, 1), "0");
    }
}
