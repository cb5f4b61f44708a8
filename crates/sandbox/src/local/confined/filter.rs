//! Which system calls stop for the warden, and which are refused on this rung alone.

use std::collections::BTreeSet;

use guest::bpf::{ARGUMENTS_AT, begin, jump, load, number, on, refuse, statement};
use libc::{BPF_JEQ, BPF_JGE, BPF_JSET, BPF_K, BPF_RET};
use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, sock_filter};

use super::calls::{CALLS, Call, OLDER};

/// The first call of which this program knows nothing: later ones may name paths.
const UNKNOWN: u32 = 463;
const EMPTY_PATH: u32 = 0x1000;

/// Programs do without, as on older kernels. `openat2` keeps its flags in memory; the lists of mounts
/// are the machine's; message queues and signals by descriptor know no sandbox.
const NOT_THERE: [libc::c_long; 5] = [
    libc::SYS_openat2,
    libc::SYS_mq_open,
    libc::SYS_pidfd_send_signal,
    457,
    458,
];

/// With an empty path these ask about a descriptor: no path, no stop. By the argument with the flags.
const BY_DESCRIPTOR: [(libc::c_long, u32); 3] = [
    (libc::SYS_newfstatat, 3),
    (libc::SYS_statx, 2),
    (libc::SYS_execveat, 4),
];

/// These ask about the process in this argument. About oneself, by the number 0, there is no stop: programs ask that
/// all the time.
const ABOUT: [(libc::c_long, u32); 11] = [
    (libc::SYS_get_robust_list, 0),
    (libc::SYS_getpgid, 0),
    (libc::SYS_getpriority, 1),
    (libc::SYS_getsid, 0),
    (libc::SYS_ioprio_get, 1),
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_getaffinity, 0),
    (libc::SYS_sched_getattr, 0),
    (libc::SYS_sched_getparam, 0),
    (libc::SYS_sched_getscheduler, 0),
    (libc::SYS_sched_rr_get_interval, 0),
];

/// `FIOSETOWN` and `SIOCSPGRP`: as `F_SETOWN`.
const OWNED: [u32; 2] = [0x8901, 0x8902];

/// The filter as the kernel takes it. `counted`: new processes stop, too, so that they can be counted.
pub(super) fn program(counted: bool) -> Vec<sock_filter> {
    let mut program = begin(libc::ENOSYS);
    program.extend([jump(BPF_JGE, UNKNOWN, 0, 1), refuse(libc::ENOSYS)]);
    for call in NOT_THERE {
        program.extend([jump(BPF_JEQ, number(call), 0, 1), refuse(libc::ENOSYS)]);
    }
    for (call, flags) in BY_DESCRIPTOR {
        let checks = [
            load(ARGUMENTS_AT),
            // From the working directory, a path may stand there all the same.
            jump(BPF_JEQ, libc::AT_FDCWD.cast_unsigned(), 3, 0),
            load(ARGUMENTS_AT + 8 * flags),
            jump(BPF_JSET, EMPTY_PATH, 0, 1),
            statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        ];
        program.extend(on(call, &checks));
    }
    // Signals to whom a descriptor belongs, of a number of one's choice.
    let checks = [
        load(ARGUMENTS_AT + 8),
        jump(BPF_JEQ, 10, 2, 0),
        jump(BPF_JEQ, 15, 1, 0),
        jump(BPF_JEQ, libc::F_SETOWN.cast_unsigned(), 0, 1),
        refuse(libc::EPERM),
    ];
    program.extend(on(libc::SYS_fcntl, &checks));
    let checks = [
        load(ARGUMENTS_AT + 8),
        jump(BPF_JEQ, OWNED[0], 1, 0),
        jump(BPF_JEQ, OWNED[1], 0, 1),
        refuse(libc::EPERM),
    ];
    program.extend(on(libc::SYS_ioctl, &checks));
    for (call, place) in ABOUT {
        let checks = [
            load(ARGUMENTS_AT + 8 * place),
            jump(BPF_JEQ, 0, 0, 1),
            statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        ];
        program.extend(on(call, &checks));
    }
    // The warden reads what a program names, and can only of one that is open to it. What a program hides
    // from its user it hides from nobody here who could look: says that it worked.
    let checks = [
        load(ARGUMENTS_AT),
        jump(BPF_JEQ, libc::PR_SET_DUMPABLE.cast_unsigned(), 0, 1),
        refuse(0),
    ];
    program.extend(on(libc::SYS_prctl, &checks));
    program.extend(sockets());
    let told: BTreeSet<libc::c_long> = CALLS
        .iter()
        .chain(OLDER)
        .filter(|(_, call)| counted || !matches!(call, Call::Fork))
        .map(|(number, _)| *number)
        .collect();
    for call in told {
        program.extend([
            jump(BPF_JEQ, number(call), 0, 1),
            statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        ]);
    }
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    program
}

/// No network, and of the family UNIX only what is connected before it sends: datagrams name their
/// receiver anew each time, in memory.
fn sockets() -> Vec<sock_filter> {
    let mut all = Vec::new();
    let inet = [libc::AF_INET, libc::AF_INET6];
    for family in inet {
        let checks = [
            load(ARGUMENTS_AT),
            jump(BPF_JEQ, family.cast_unsigned(), 0, 1),
            refuse(libc::ENETUNREACH),
        ];
        all.extend(on(libc::SYS_socket, &checks));
    }
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let checks = [
            load(ARGUMENTS_AT),
            jump(BPF_JEQ, libc::AF_UNIX.cast_unsigned(), 1, 0),
            refuse(libc::EAFNOSUPPORT),
        ];
        all.extend(on(call, &checks));
    }
    let stream = libc::SOCK_STREAM.cast_unsigned();
    let kind = statement(libc::BPF_ALU | libc::BPF_AND | BPF_K, 0xF);
    let checks = [
        load(ARGUMENTS_AT + 8),
        kind,
        jump(BPF_JEQ, stream, 1, 0),
        refuse(libc::EPROTONOSUPPORT),
    ];
    all.extend(on(libc::SYS_socket, &checks));
    let checks = [
        load(ARGUMENTS_AT + 8),
        kind,
        jump(BPF_JEQ, stream, 2, 0),
        jump(BPF_JEQ, libc::SOCK_SEQPACKET.cast_unsigned(), 1, 0),
        refuse(libc::EPROTONOSUPPORT),
    ];
    all.extend(on(libc::SYS_socketpair, &checks));
    all
}

#[cfg(test)]
mod tests {
    use libc::{BPF_ALU, BPF_JMP, SECCOMP_RET_ERRNO};

    use super::*;

    /// What becomes of a call with these arguments.
    fn outcome(call: libc::c_long, arguments: [u32; 3]) -> u32 {
        let [first, second, third] = arguments;
        // What the filter begins with.
        let architecture = begin(0)[1].k;
        let seen = [
            number(call),
            architecture,
            0,
            0,
            first,
            0,
            second,
            0,
            third,
            0,
        ];
        let program = program(true);
        let (mut place, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[place];
            let code = u32::from(code);
            place += 1;
            if code == BPF_RET | BPF_K {
                return k;
            }
            if code == BPF_ALU | libc::BPF_AND | BPF_K {
                loaded &= k;
                continue;
            }
            if code & 0x7 != BPF_JMP {
                loaded = seen[k as usize / 4];
                continue;
            }
            let holds = match code & !BPF_K & !BPF_JMP {
                BPF_JEQ => loaded == k,
                BPF_JGE => loaded >= k,
                _ => loaded & k != 0,
            };
            place += usize::from(if holds { jt } else { jf });
        }
    }

    #[test]
    fn nobody_is_made_the_owner_of_a_descriptor_or_asked_about_without_the_warden() {
        let refused = SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
        for request in OWNED {
            assert_eq!(outcome(libc::SYS_ioctl, [3, request, 1]), refused);
        }
        let (get, size) = (0x8903, 0x5413);
        for request in [get, size] {
            assert_eq!(outcome(libc::SYS_ioctl, [3, request, 1]), SECCOMP_RET_ALLOW);
        }
        let own = libc::F_SETOWN.cast_unsigned();
        assert_eq!(outcome(libc::SYS_fcntl, [3, own, 1]), refused);
        for (call, place) in ABOUT {
            let mut arguments = [0, 0, 0];
            assert_eq!(outcome(call, arguments), SECCOMP_RET_ALLOW, "{call}");
            arguments[place as usize] = 4711;
            assert_eq!(outcome(call, arguments), SECCOMP_RET_USER_NOTIF, "{call}");
        }
    }

    #[test]
    fn the_filter_is_short_enough_for_the_kernel_and_names_each_call_once() {
        assert!(program(true).len() < 4096);
        let all = CALLS.len() + OLDER.len();
        let told: BTreeSet<_> = CALLS
            .iter()
            .chain(OLDER)
            .map(|(number, _)| number)
            .collect();
        assert_eq!(told.len(), all);
        assert_eq!(
            program(true).len() - program(false).len(),
            if cfg!(target_arch = "x86_64") { 6 } else { 2 }
        );
    }
}
