//! The instructions that filters of system calls are made of: the guest's own, and its launcher's.

use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
use libc::{SECCOMP_RET_ERRNO, sock_filter};

const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// Where the first argument stands; the others follow, 8 bytes each.
pub const ARGUMENTS_AT: u32 = 16;
#[cfg(target_arch = "x86_64")]
pub(crate) const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(crate) const ARCHITECTURE: u32 = 0xC000_00B7;
/// The first number of x32, which x86-64 takes as well.
const X32: u32 = 0x4000_0000;

/// How a filter begins: other architectures are not there, numbers of x32 get `x32`, and the number is loaded.
pub fn begin(x32: libc::c_int) -> Vec<sock_filter> {
    vec![
        load(ARCHITECTURE_AT),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        refuse(libc::ENOSYS),
        load(NUMBER_AT),
        jump(BPF_JGE, X32, 0, 1),
        refuse(x32),
    ]
}

/// Checks for one call; what they let be goes on to the next ones.
pub fn on(call: libc::c_long, checks: &[sock_filter]) -> Vec<sock_filter> {
    let over = u8::try_from(checks.len() + 1).expect("a handful of checks");
    let mut block = vec![jump(BPF_JEQ, number(call), 0, over)];
    block.extend_from_slice(checks);
    block.push(load(NUMBER_AT));
    block
}

/// A call's number, as a filter compares it.
pub fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("numbers of system calls are small")
}

/// Loads 32 bits of what is known of the call.
pub fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

/// Ends the call with an error, or with success for 0.
pub fn refuse(error: libc::c_int) -> sock_filter {
    statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error.cast_unsigned())
}

/// Goes over so many instructions if the condition holds of what was loaded, else over so many others.
pub fn jump(condition: u32, k: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter {
        jt: then,
        jf: otherwise,
        ..statement(BPF_JMP | condition | BPF_K, k)
    }
}

/// An instruction that goes on with the next one.
pub fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).expect("codes have 16 bits"),
        jt: 0,
        jf: 0,
        k,
    }
}
