//! The seccomp filter: system calls that user code is refused.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// The second set of numbers of x86-64 (x32).
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBERS: &[i64] = &[0, 0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const OTHER_NUMBERS: &[i64] = &[0];

/// Namespaces, mounts, other processes, the kernel itself: refused with `EPERM`.
const DENIED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[libc::c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[libc::c_long] = &[];

/// System V memory, messages, and semaphores: they outlive their processes and would starve later calls,
/// and only an owner with a root user could limit them. POSIX ones live in `/dev/shm`.
const NOT_THERE: [libc::c_long; 3] = [libc::SYS_shmget, libc::SYS_msgget, libc::SYS_semget];

/// Files in memory without a name. What lies in them is no process's unless it is mapped and touched: only a
/// control group counts it.
const UNCOUNTED: [libc::c_long; 2] = [libc::SYS_memfd_create, libc::SYS_memfd_secret];

const NEW_NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Writing into a terminal's input.
const DENIED_IOCTLS: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

const DOMAINS: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Puts the filters in force for this process and all that come of it. Where the kernel counts all of their memory, in a
/// control group, it `is_counted`.
pub(super) fn apply(is_counted: bool) -> io::Result<()> {
    for program in programs(is_counted).map_err(io::Error::other)? {
        seccompiler::apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn programs(is_counted: bool) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let errno = |number: libc::c_int| SeccompAction::Errno(number.cast_unsigned());
    let uncounted: &[libc::c_long] = if is_counted { &[] } else { &UNCOUNTED };
    Ok(vec![
        program(denied()?, errno(libc::EPERM))?,
        // Its flags lie in memory, where no filter can look; the C library falls back on `clone`.
        program(
            rules(
                NOT_THERE
                    .into_iter()
                    .chain([libc::SYS_clone3])
                    .chain(uncounted.iter().copied())
                    .map(|call| (call, vec![])),
            ),
            errno(libc::ENOSYS),
        )?,
        program(sockets()?, errno(libc::EAFNOSUPPORT))?,
        // The CPU was chosen for good: says that it worked, and does nothing.
        program(rules([(libc::SYS_sched_setaffinity, vec![])]), errno(0))?,
    ])
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(of: impl IntoIterator<Item = (libc::c_long, Vec<SeccompRule>)>) -> Rules {
    let mut all = Rules::new();
    for (number, rules) in of {
        for other in OTHER_NUMBERS {
            all.insert(number + other, rules.clone());
        }
    }
    all
}

fn denied() -> Result<Rules, seccompiler::BackendError> {
    let calls = DENIED.iter().chain(DENIED_HERE);
    let mut all: Vec<_> = calls.map(|number| (*number, Vec::new())).collect();
    let mut clones = Vec::new();
    for flag in NEW_NAMESPACES {
        let flag = u64::from(flag.cast_unsigned());
        let op = SeccompCmpOp::MaskedEq(flag);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, op, flag)?;
        clones.push(SeccompRule::new(vec![condition])?);
    }
    all.push((libc::SYS_clone, clones));
    let mut ioctls = Vec::new();
    for request in DENIED_IOCTLS {
        let condition =
            SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?;
        ioctls.push(SeccompRule::new(vec![condition])?);
    }
    all.push((libc::SYS_ioctl, ioctls));
    Ok(rules(all))
}

fn sockets() -> Result<Rules, seccompiler::BackendError> {
    let mut others = Vec::new();
    for domain in DOMAINS {
        let domain = u64::from(domain.cast_unsigned());
        let condition =
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, domain)?;
        others.push(condition);
    }
    let rule = SeccompRule::new(others)?;
    Ok(rules([
        (libc::SYS_socket, vec![rule.clone()]),
        (libc::SYS_socketpair, vec![rule]),
    ]))
}

fn program(rules: Rules, action: SeccompAction) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_and_are_short_enough_for_the_kernel() {
        for is_counted in [true, false] {
            let programs = programs(is_counted).unwrap();
            assert_eq!(programs.len(), 4);
            assert!(programs.iter().all(|program| program.len() < 4096));
        }
    }

    #[test]
    fn files_in_memory_are_there_only_where_the_kernel_counts_them() {
        let refused = |is_counted| {
            let number = u32::try_from(libc::SYS_memfd_create).unwrap();
            let programs = programs(is_counted).unwrap();
            programs.iter().flatten().any(|step| step.k == number)
        };
        assert!(!refused(true));
        assert!(refused(false));
    }
}
