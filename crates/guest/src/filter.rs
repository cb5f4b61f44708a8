//! System calls that programs in a sandbox are refused, whatever the launcher below allows.
//!
//! A list of denials on top of the launcher's own filter: holes that are open on some engines (VSOCK,
//! `io_uring`), and calls by which user code, having the guest's uid, could hamper the guest.

use std::sync::OnceLock;

use guest_proto::SOCKETS_VARIABLE;
use libc::{BPF_JEQ, BPF_JSET, BPF_K, BPF_RET, SECCOMP_RET_ALLOW, sock_filter};

use crate::bpf::{ARGUMENTS_AT, begin, jump, load, number, on, refuse, statement};
use crate::sys;

/// New namespaces of every kind but time.
const NAMESPACES: u32 = 0x7E02_0000;
/// `unshare` alone knows it by flag; in `clone` these bits are the signal.
const TIME_NAMESPACE: u32 = 0x80;
/// As programs call it, also where its number is another.
const GUEST: u32 = 1;

/// Needs rights that no sandbox has, or opens ways into the kernel that no program needs.
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
];

/// Would change the guest if this argument names it.
const NOT_ON_THE_GUEST: &[(libc::c_long, u32)] = &[
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
];

/// Would set another process back, the next call's too, if this argument names it; nobody here has the
/// right to undo that. One's own is named by 0.
const NOT_ON_OTHERS: &[(libc::c_long, u32)] = &[
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_setpriority, 1),
];

/// `setpriority` and `ioprio_set` of all that a user has, the guest too.
const NOT_ON_THE_USER: [(libc::c_long, u32); 2] =
    [(libc::SYS_setpriority, 2), (libc::SYS_ioprio_set, 3)];

/// The families of sockets there are: the others need no network of ours, or none at all.
const FAMILIES: [libc::c_int; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// The families where the network is nobody's care but the filter's.
const WITHOUT_NETWORK: [libc::c_int; 1] = [libc::AF_UNIX];

/// Which families programs of this guest may use: the launcher says.
fn families() -> &'static [libc::c_int] {
    static ONLY_UNIX: OnceLock<bool> = OnceLock::new();
    let only_unix = || std::env::var(SOCKETS_VARIABLE).is_ok_and(|value| value == "unix");
    if *ONLY_UNIX.get_or_init(only_unix) {
        &WITHOUT_NETWORK
    } else {
        &FAMILIES
    }
}

/// The filter as the kernel takes it.
pub(crate) fn program() -> Vec<sock_filter> {
    let mut program = begin(libc::EPERM);
    for call in DENIED {
        program.extend([jump(BPF_JEQ, number(*call), 0, 1), refuse(libc::EPERM)]);
    }
    // Its flags lie in memory, out of a filter's sight; C libraries fall back on `clone`.
    program.extend([
        jump(BPF_JEQ, number(libc::SYS_clone3), 0, 1),
        refuse(libc::ENOSYS),
    ]);
    let flags = [
        (libc::SYS_clone, NAMESPACES),
        (libc::SYS_unshare, NAMESPACES | TIME_NAMESPACE),
    ];
    for (call, flags) in flags {
        let checks = [jump(BPF_JSET, flags, 0, 1), refuse(libc::EPERM)];
        program.extend(on_argument(call, 0, &checks));
    }
    for (call, argument) in NOT_ON_THE_GUEST {
        let checks = [
            jump(BPF_JEQ, GUEST, 1, 0),
            jump(BPF_JEQ, std::process::id(), 0, 1),
            refuse(libc::EPERM),
        ];
        program.extend(on_argument(*call, *argument, &checks));
    }
    if sys::is_in_a_pod() {
        let call = number(libc::SYS_sched_setaffinity);
        // As if it were done: programs that ask for more CPUs get none, and go on.
        program.extend([jump(BPF_JEQ, call, 0, 1), refuse(0)]);
        // Nobody limits what of them outlives its processes.
        for call in [libc::SYS_shmget, libc::SYS_msgget, libc::SYS_semget] {
            program.extend([jump(BPF_JEQ, number(call), 0, 1), refuse(libc::ENOSYS)]);
        }
    }
    for (call, argument) in NOT_ON_OTHERS {
        let checks = [jump(BPF_JEQ, 0, 1, 0), refuse(libc::EPERM)];
        program.extend(on_argument(*call, *argument, &checks));
    }
    for (call, which) in NOT_ON_THE_USER {
        let checks = [jump(BPF_JEQ, which, 0, 1), refuse(libc::EPERM)];
        program.extend(on_argument(call, 0, &checks));
    }
    // Looking at another's limits is let be, and so is changing one's own, by the number 0.
    let checks = [
        jump(BPF_JEQ, 0, 5, 0),
        load(ARGUMENTS_AT + 16),
        jump(BPF_JEQ, 0, 0, 2),
        load(ARGUMENTS_AT + 20),
        jump(BPF_JEQ, 0, 1, 0),
        refuse(libc::EPERM),
    ];
    program.extend(on_argument(libc::SYS_prlimit64, 0, &checks));
    // Only routes: the kernel tells of the machine's devices in every network of its first user.
    let checks = [
        jump(BPF_JEQ, libc::AF_NETLINK.cast_unsigned(), 0, 3),
        load(ARGUMENTS_AT + 16),
        jump(BPF_JEQ, libc::NETLINK_ROUTE.cast_unsigned(), 1, 0),
        refuse(libc::EPROTONOSUPPORT),
    ];
    program.extend(on_argument(libc::SYS_socket, 0, &checks));
    let mut checks = Vec::new();
    let families = families();
    for (place, family) in families.iter().enumerate() {
        // Over the other families and the refusal.
        let over = u8::try_from(families.len() - place).unwrap_or(u8::MAX);
        checks.push(jump(BPF_JEQ, family.cast_unsigned(), over, 0));
    }
    checks.push(refuse(libc::EAFNOSUPPORT));
    program.extend(on_argument(libc::SYS_socket, 0, &checks));
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    program
}

/// Looks at the lower half of an argument of one call: all that the kernel looks at in an `int`.
fn on_argument(call: libc::c_long, argument: u32, checks: &[sock_filter]) -> Vec<sock_filter> {
    let mut all = vec![load(ARGUMENTS_AT + 8 * argument)];
    all.extend_from_slice(checks);
    on(call, &all)
}
