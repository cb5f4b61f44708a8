//! System calls without the C library: they write no `errno`, which a child that shares the guest's memory shares, too.

use std::arch::asm;
use std::io;

/// A system call with arguments that are numbers, or addresses as such.
///
/// # Safety
/// That of the call.
pub(super) unsafe fn call(number: libc::c_long, arguments: [usize; 5]) -> Result<usize, Errno> {
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel leaves all but these registers as they are.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the kernel leaves all but these registers as they are.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] => result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            options(nostack),
        );
    }
    match i32::try_from(result) {
        Ok(negative @ -4095..0) => Err(Errno(-negative)),
        _ => Ok(result.cast_unsigned()),
    }
}

/// The number of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

impl From<Errno> for io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_answers_what_the_kernel_does_and_leaves_errno_alone() {
        // SAFETY: integers, and the place of a number of this thread.
        unsafe {
            *libc::__errno_location() = 7;
            let own = call(libc::SYS_getpid, [0; 5]).unwrap();
            assert_eq!(own, usize::try_from(std::process::id()).unwrap());
            let refused = call(libc::SYS_close, [usize::MAX, 0, 0, 0, 0]);
            assert_eq!(refused, Err(Errno(libc::EBADF)));
            assert_eq!(*libc::__errno_location(), 7);
        }
    }
}
