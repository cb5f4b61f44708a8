//! System calls that stop for another process, or another thread, to answer them: seccomp's user notification.
#![expect(
    unsafe_code,
    reason = "system calls the standard library does not offer"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// The system call of a notification (`struct seccomp_data`).
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Data {
    pub number: i32,
    pub architecture: u32,
    pub instruction: u64,
    pub arguments: [u64; 6],
}

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Notification {
    pub id: u64,
    /// The thread.
    pub pid: u32,
    flags: u32,
    pub data: Data,
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// The number of a request to a listener: which way its record goes (1: in, 3: both), which one, how large.
pub const fn request(
    direction: libc::c_ulong,
    number: libc::c_ulong,
    size: usize,
) -> libc::c_ulong {
    (direction << 30) | ((size as libc::c_ulong) << 16) | (0x21 << 8) | number
}

const RECEIVE: libc::c_ulong = request(3, 0, size_of::<Notification>());
const SEND: libc::c_ulong = request(3, 1, size_of::<Response>());
const IS_VALID: libc::c_ulong = request(1, 2, size_of::<u64>());
const SET_FLAGS: libc::c_ulong = request(1, 4, size_of::<u64>());
const SYNC_WAKE_UP: libc::c_ulong = 1;
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
const CONTINUE: u32 = 1;

/// Has the kernel tell the holder of the descriptor of the calls that the filter names.
pub fn listen(filter: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    let load = |flags: libc::c_ulong| -> io::Result<OwnedFd> {
        // SAFETY: the record and the filter it points to live through the call.
        let made = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | flags,
                &raw const program,
            )
        };
        let number = check(RawFd::try_from(made).map_err(io::Error::other)?)?;
        // SAFETY: the kernel has just made it; it is nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    // A call that was heard is not interrupted: else who sends many signals keeps others from every
    // call. Kernels before 5.19 do without.
    let listener = load(WAIT_KILLABLE).or_else(|_| load(0))?;
    // Both then run on one CPU in turn, which is faster; kernels before 6.6 do without.
    // SAFETY: an integer.
    unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
    Ok(listener)
}

/// The next call that waits.
pub fn receive(listener: &impl AsFd) -> io::Result<Notification> {
    let mut notification = Notification::default();
    // SAFETY: the record is zeroed, as the kernel wants it, and lives through the call.
    let result =
        unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), RECEIVE, &raw mut notification) };
    check(result)?;
    Ok(notification)
}

/// Whether a call still waits: if not, its process id may be another's.
pub fn is_valid(listener: &impl AsFd, id: u64) -> bool {
    // SAFETY: the number lives through the call.
    unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), IS_VALID, &raw const id) == 0 }
}

/// Lets a call go on as it is.
pub fn go_on(listener: &impl AsFd, id: u64) -> io::Result<()> {
    send(
        listener,
        &Response {
            id,
            value: 0,
            error: 0,
            flags: CONTINUE,
        },
    )
}

/// Answers a call instead of the kernel.
pub fn answer(listener: &impl AsFd, id: u64, result: Result<i64, i32>) -> io::Result<()> {
    send(
        listener,
        &Response {
            id,
            value: result.unwrap_or(0),
            error: result.err().map_or(0, |errno| -errno),
            flags: 0,
        },
    )
}

fn send(listener: &impl AsFd, response: &Response) -> io::Result<()> {
    // SAFETY: the record lives through the call.
    let result = unsafe {
        libc::ioctl(
            listener.as_fd().as_raw_fd(),
            SEND,
            ptr::from_ref(response).cast_mut(),
        )
    };
    check(result).map(drop)
}
