//! System calls that programs in a sandbox are refused, whatever the launcher below allows.
//!
//! A list of denials on top of the launcher's own filter: holes that are open on some engines (VSOCK,
//! `io_uring`), and calls by which user code, having the guest's uid, could hamper the guest.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use guest_proto::SOCKETS_VARIABLE;
use libc::{BPF_JEQ, BPF_JGE, BPF_JSET, BPF_K, BPF_RET, SECCOMP_RET_ALLOW, sock_filter};

use crate::bpf::{ARGUMENTS_AT, begin, jump, load, number, refuse, statement};
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

/// The treatment of calls by their numbers; those that are not named are allowed, and so is what falls through.
type Rules = BTreeMap<u32, Vec<sock_filter>>;

/// Neighbours for which the same is done.
struct Range {
    first: u32,
    last: u32,
    checks: Vec<sock_filter>,
}

/// The filter as the kernel takes it. The number is looked for by halves: when a program starts the kernel tries the
/// filter with every call there is, and makes machine code of it, which took twice as long with a list.
pub(crate) fn program() -> &'static [sock_filter] {
    static PROGRAM: OnceLock<Vec<sock_filter>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut program = begin(libc::EPERM);
        program.extend(search(&ranges(rules())));
        program
    })
}

fn ranges(rules: Rules) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for (number, checks) in rules {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == number && is_same(&range.checks, &checks) => {
                range.last = number;
            }
            _ => ranges.push(Range {
                first: number,
                last: number,
                checks,
            }),
        }
    }
    ranges
}

fn is_same(these: &[sock_filter], those: &[sock_filter]) -> bool {
    let parts = |step: &sock_filter| (step.code, step.jt, step.jf, step.k);
    these.iter().map(parts).eq(those.iter().map(parts))
}

/// So few are looked at one by one.
const FEW: usize = 3;

fn search(ranges: &[Range]) -> Vec<sock_filter> {
    let allow = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    let over = |count: usize| u8::try_from(count).expect("blocks are short");
    if ranges.len() <= FEW {
        let mut all = Vec::new();
        for range in ranges {
            let mut checks = range.checks.clone();
            // What is refused whatever its arguments goes on nowhere.
            if checks.len() > 1 {
                checks.push(allow);
            }
            if range.first == range.last {
                all.push(jump(BPF_JEQ, range.first, 0, over(checks.len())));
            } else {
                all.push(jump(BPF_JGE, range.first, 0, over(checks.len() + 1)));
                all.push(jump(BPF_JGE, range.last + 1, over(checks.len()), 0));
            }
            all.extend(checks);
        }
        all.push(allow);
        return all;
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let below = search(low);
    let mut all = vec![jump(BPF_JGE, high[0].first, over(below.len()), 0)];
    all.extend(below);
    all.extend(search(high));
    all
}

fn rules() -> Rules {
    let mut rules = Rules::new();
    let mut on = |call: libc::c_long, checks: &[sock_filter]| {
        rules
            .entry(number(call))
            .or_default()
            .extend_from_slice(checks);
    };
    for call in DENIED {
        on(*call, &[refuse(libc::EPERM)]);
    }
    // Its flags lie in memory, out of a filter's sight; C libraries fall back on `clone`.
    on(libc::SYS_clone3, &[refuse(libc::ENOSYS)]);
    let flags = [
        (libc::SYS_clone, NAMESPACES),
        (libc::SYS_unshare, NAMESPACES | TIME_NAMESPACE),
    ];
    for (call, flags) in flags {
        on(
            call,
            &[
                argument(0),
                jump(BPF_JSET, flags, 0, 1),
                refuse(libc::EPERM),
            ],
        );
    }
    for (call, place) in NOT_ON_THE_GUEST {
        on(
            *call,
            &[
                argument(*place),
                jump(BPF_JEQ, GUEST, 1, 0),
                jump(BPF_JEQ, std::process::id(), 0, 1),
                refuse(libc::EPERM),
            ],
        );
    }
    if sys::is_in_a_pod() {
        // As if it were done: programs that ask for more CPUs get none, and go on.
        on(libc::SYS_sched_setaffinity, &[refuse(0)]);
        // Nobody limits what of them outlives its processes.
        for call in [libc::SYS_shmget, libc::SYS_msgget, libc::SYS_semget] {
            on(call, &[refuse(libc::ENOSYS)]);
        }
    }
    for (call, place) in NOT_ON_OTHERS {
        on(
            *call,
            &[
                argument(*place),
                jump(BPF_JEQ, 0, 1, 0),
                refuse(libc::EPERM),
            ],
        );
    }
    for (call, which) in NOT_ON_THE_USER {
        on(
            call,
            &[argument(0), jump(BPF_JEQ, which, 0, 1), refuse(libc::EPERM)],
        );
    }
    // Looking at another's limits is let be, and so is changing one's own, by the number 0.
    on(
        libc::SYS_prlimit64,
        &[
            argument(0),
            jump(BPF_JEQ, 0, 5, 0),
            argument(2),
            jump(BPF_JEQ, 0, 0, 2),
            load(ARGUMENTS_AT + 20),
            jump(BPF_JEQ, 0, 1, 0),
            refuse(libc::EPERM),
        ],
    );
    // Only routes: the kernel tells of the machine's devices in every network of its first user.
    on(
        libc::SYS_socket,
        &[
            argument(0),
            jump(BPF_JEQ, libc::AF_NETLINK.cast_unsigned(), 0, 3),
            argument(2),
            jump(BPF_JEQ, libc::NETLINK_ROUTE.cast_unsigned(), 1, 0),
            refuse(libc::EPROTONOSUPPORT),
        ],
    );
    let mut checks = vec![argument(0)];
    let families = families();
    for (place, family) in families.iter().enumerate() {
        // Over the other families and the refusal.
        let over = u8::try_from(families.len() - place).unwrap_or(u8::MAX);
        checks.push(jump(BPF_JEQ, family.cast_unsigned(), over, 0));
    }
    checks.push(refuse(libc::EAFNOSUPPORT));
    on(libc::SYS_socket, &checks);
    rules
}

/// Loads the lower half of an argument: all that the kernel looks at in an `int`.
fn argument(place: u32) -> sock_filter {
    load(ARGUMENTS_AT + 8 * place)
}

#[cfg(test)]
mod tests {
    use libc::{BPF_JA, SECCOMP_RET_ERRNO};

    use super::*;

    /// A call as a filter sees it.
    fn seen(call: libc::c_long, arguments: &[u64]) -> Vec<u32> {
        let mut words = vec![number(call), crate::bpf::ARCHITECTURE, 0, 0];
        for place in 0..6 {
            let value = arguments.get(place).copied().unwrap_or(0);
            let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap();
            words.extend([half(value), half(value >> 32)]);
        }
        words
    }

    /// The result of a filter, and after how many instructions.
    fn run(program: &[sock_filter], words: &[u32]) -> (u32, usize) {
        let (mut place, mut loaded, mut steps) = (0, 0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[place];
            (place, steps) = (place + 1, steps + 1);
            let code = u32::from(code);
            let holds = match code & !BPF_K & !libc::BPF_JMP {
                BPF_JEQ => loaded == k,
                BPF_JGE => loaded >= k,
                BPF_JSET => loaded & k != 0,
                _ if code == BPF_RET | BPF_K => return (k, steps),
                _ => {
                    assert_ne!(code, libc::BPF_JMP | BPF_JA);
                    loaded = words[k as usize / 4];
                    continue;
                }
            };
            place += usize::from(if holds { jt } else { jf });
        }
    }

    fn outcome(call: libc::c_long, arguments: &[u64]) -> Result<(), i32> {
        match run(program(), &seen(call, arguments)).0 {
            SECCOMP_RET_ALLOW => Ok(()),
            other => Err((other & !SECCOMP_RET_ERRNO).cast_signed()),
        }
    }

    #[test]
    fn every_call_that_is_denied_is_found_and_every_other_one_is_not() {
        let refused = |call: libc::c_long| match call {
            libc::SYS_clone3 => Err(libc::ENOSYS),
            // Of no family, and of another process's number.
            libc::SYS_socket => Err(libc::EAFNOSUPPORT),
            _ if DENIED.contains(&call) => Err(libc::EPERM),
            _ => Ok(()),
        };
        for call in 0..500 {
            assert_eq!(outcome(call, &[]), refused(call), "{call}");
        }
    }

    #[test]
    fn arguments_decide_where_they_are_to() {
        let own = u64::from(std::process::id());
        let negative = u64::from(u32::MAX);
        let netlink = libc::AF_NETLINK as u64;
        for (call, arguments, wanted) in [
            (libc::SYS_clone, [0x2000_0000, 0, 0], Err(libc::EPERM)),
            (libc::SYS_clone, [0x100, 0, 0], Ok(())),
            (libc::SYS_unshare, [0x80, 0, 0], Err(libc::EPERM)),
            (libc::SYS_prlimit64, [1, 0, 0], Err(libc::EPERM)),
            (libc::SYS_prlimit64, [own, 0, 0], Err(libc::EPERM)),
            (libc::SYS_prlimit64, [7, 0, 0], Ok(())),
            (libc::SYS_prlimit64, [7, 0, 1], Err(libc::EPERM)),
            (libc::SYS_prlimit64, [7, 0, 1 << 32], Err(libc::EPERM)),
            (libc::SYS_prlimit64, [0, 0, 1], Ok(())),
            (libc::SYS_sched_setaffinity, [1, 0, 0], Err(libc::EPERM)),
            (libc::SYS_sched_setaffinity, [0, 0, 0], Ok(())),
            (libc::SYS_setpriority, [0, 7, 0], Err(libc::EPERM)),
            (libc::SYS_setpriority, [2, 0, 0], Err(libc::EPERM)),
            (libc::SYS_setpriority, [0, 0, 0], Ok(())),
            (libc::SYS_ioprio_set, [3, 0, 0], Err(libc::EPERM)),
            (libc::SYS_socket, [netlink, 0, 0], Ok(())),
            (
                libc::SYS_socket,
                [netlink, 0, 15],
                Err(libc::EPROTONOSUPPORT),
            ),
            (libc::SYS_socket, [1, 0, 0], Ok(())),
            (libc::SYS_socket, [40, 0, 0], Err(libc::EAFNOSUPPORT)),
            (libc::SYS_socket, [negative, 0, 0], Err(libc::EAFNOSUPPORT)),
        ] {
            assert_eq!(outcome(call, &arguments), wanted, "{call} {arguments:?}");
        }
    }

    #[test]
    fn no_call_is_looked_for_long() {
        let program = program();
        let longest = (0..500).map(|call| run(program, &seen(call, &[])).1).max();
        // A list of all would be more than a hundred.
        assert!(longest <= Some(20), "{longest:?}");
        // Of two hundred with each call by itself; the kernel makes machine code of each.
        assert!(program.len() < 175, "{}", program.len());
    }
}
