//! System calls of the warden. Nothing but thin safe wrappers.
#![expect(
    unsafe_code,
    reason = "system calls the standard library does not offer"
)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

pub(super) use guest::notify::{
    Data, Notification, answer, go_on, is_valid, listen, receive, request,
};

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    let number = RawFd::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it; it is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A path as the kernel takes it; one with a NUL names nothing.
pub(super) fn c_text(text: &[u8]) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::ENOENT))
}

#[repr(C)]
struct AddDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

const ADD_DESCRIPTOR: libc::c_ulong = request(1, 3, size_of::<AddDescriptor>());
/// "Make this call anew, whatever signals there are", as the kernel says it to itself.
const RESTART: i32 = 513;
const ADD_AT: u32 = 1;
const ADD_AND_ANSWER: u32 = 2;

/// Answers a call with a copy of a descriptor.
pub(super) fn hand_over(
    listener: &impl AsFd,
    id: u64,
    file: &impl AsFd,
    close_on_exec: bool,
) -> io::Result<()> {
    add(listener, id, file, ADD_AND_ANSWER, 0, close_on_exec)
}

/// Puts a copy of a descriptor in the place of one that the caller has.
pub(super) fn put_at(
    listener: &impl AsFd,
    id: u64,
    file: &impl AsFd,
    number: u32,
    close_on_exec: bool,
) -> io::Result<()> {
    add(listener, id, file, ADD_AT, number, close_on_exec)
}

fn add(
    listener: &impl AsFd,
    id: u64,
    file: &impl AsFd,
    flags: u32,
    target: u32,
    close_on_exec: bool,
) -> io::Result<()> {
    let record = AddDescriptor {
        id,
        flags,
        source: file.as_fd().as_raw_fd().cast_unsigned(),
        target,
        target_flags: if close_on_exec {
            libc::O_CLOEXEC.cast_unsigned()
        } else {
            0
        },
    };
    // SAFETY: the record lives through the call.
    let result = unsafe {
        libc::ioctl(
            listener.as_fd().as_raw_fd(),
            ADD_DESCRIPTOR,
            &raw const record,
        )
    };
    check(result.into()).map(drop)
}

#[cfg(target_arch = "x86_64")]
type Registers = libc::user_regs_struct;
#[cfg(target_arch = "aarch64")]
type Registers = libc::user_regs_struct;

const GENERAL_REGISTERS: libc::c_int = 1;

/// A thread that stands still in a call, until this is dropped.
#[derive(Debug)]
pub(super) struct Stopped {
    thread: i32,
    signal: libc::c_int,
    registers: Registers,
}

/// Stops a thread that waits for the answer to a call, and has it make the call anew when it goes on.
/// `None` if it is gone.
pub(super) fn stop(thread: i32, listener: &impl AsFd, id: u64) -> io::Result<Option<Stopped>> {
    let null = ptr::null_mut::<libc::c_void>();
    let mut status = 0;
    // SAFETY: integers, and places that live through the calls; the registers are plain numbers.
    unsafe {
        check(libc::ptrace(libc::PTRACE_SEIZE, thread, null, null))?;
        check(libc::ptrace(libc::PTRACE_INTERRUPT, thread, null, null))?;
        // It stops on its way back from the call. On older kernels the call is over by now.
        answer(listener, id, Err(RESTART)).ok();
        loop {
            match check(libc::waitpid(thread, &raw mut status, libc::__WALL).into()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        if !libc::WIFSTOPPED(status) {
            return Ok(None);
        }
        // What stopped it was a signal of its own: it is to have it.
        let is_ours = status >> 16 == libc::PTRACE_EVENT_STOP;
        let mut stopped = Stopped {
            thread,
            signal: if is_ours { 0 } else { libc::WSTOPSIG(status) },
            registers: mem::zeroed(),
        };
        let mut place = libc::iovec {
            iov_base: (&raw mut stopped.registers).cast(),
            iov_len: size_of::<Registers>(),
        };
        check(libc::ptrace(
            libc::PTRACE_GETREGSET,
            thread,
            GENERAL_REGISTERS,
            &raw mut place,
        ))?;
        Ok(Some(stopped))
    }
}

impl Stopped {
    pub(super) fn stack(&self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        return self.registers.rsp;
        #[cfg(target_arch = "aarch64")]
        return self.registers.sp;
    }

    /// Whether it stands before a call of this number, which will be made anew.
    pub(super) fn is_in(&self, number: i32) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.registers.orig_rax == u64::from(number.cast_unsigned())
            && [-512, -513].contains(&self.registers.rax.cast_signed());
        #[cfg(target_arch = "aarch64")]
        return self.registers.regs[8] == u64::from(number.cast_unsigned());
    }

    pub(super) fn set_argument(&mut self, place: usize, value: u64) {
        let registers = &mut self.registers;
        #[cfg(target_arch = "x86_64")]
        match place {
            0 => registers.rdi = value,
            1 => registers.rsi = value,
            2 => registers.rdx = value,
            3 => registers.r10 = value,
            4 => registers.r8 = value,
            _ => registers.r9 = value,
        }
        #[cfg(target_arch = "aarch64")]
        {
            registers.regs[place] = value;
        }
    }

    /// Gives it the changed arguments.
    pub(super) fn store(&mut self) -> io::Result<()> {
        let mut place = libc::iovec {
            iov_base: (&raw mut self.registers).cast(),
            iov_len: size_of::<Registers>(),
        };
        // SAFETY: the record describes the registers, which live through the call.
        let result = unsafe {
            libc::ptrace(
                libc::PTRACE_SETREGSET,
                self.thread,
                GENERAL_REGISTERS,
                &raw mut place,
            )
        };
        check(result).map(drop)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let null = ptr::null_mut::<libc::c_void>();
        // SAFETY: integers; it may have been killed meanwhile.
        unsafe {
            libc::ptrace(
                libc::PTRACE_DETACH,
                self.thread,
                null,
                libc::c_long::from(self.signal),
            )
        };
    }
}

/// The target of a symbolic link; `EINVAL` for a file that is none.
pub(super) fn read_link(path: &[u8]) -> io::Result<Vec<u8>> {
    let path = c_text(path)?;
    read_link_at(libc::AT_FDCWD, &path)
}

fn read_link_at(directory: RawFd, path: &CStr) -> io::Result<Vec<u8>> {
    let mut target = vec![0; 4096];
    // SAFETY: a C string, and a buffer with its length.
    let length = check(unsafe {
        libc::readlinkat(
            directory,
            path.as_ptr(),
            target.as_mut_ptr().cast(),
            target.len(),
        )
    } as libc::c_long)?;
    target.truncate(usize::try_from(length).map_err(io::Error::other)?);
    Ok(target)
}

/// Opens a path; never becomes the terminal's owner, and is closed on `exec`.
pub(super) fn open(path: &[u8], flags: libc::c_int) -> io::Result<OwnedFd> {
    open_at(None, path, flags)
}

/// Opens a name in a directory.
pub(super) fn open_at(
    directory: Option<&OwnedFd>,
    name: &[u8],
    flags: libc::c_int,
) -> io::Result<OwnedFd> {
    let name = c_text(name)?;
    let directory = directory.map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd);
    let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: a C string and integers.
    descriptor(unsafe { libc::openat(directory, name.as_ptr(), flags) }.into())
}

/// Whether the user may execute a file.
pub(super) fn may_execute(path: &[u8]) -> io::Result<()> {
    let path = c_text(path)?;
    // SAFETY: a C string and an integer.
    check(unsafe { libc::access(path.as_ptr(), libc::X_OK) }.into()).map(drop)
}

/// The path of what a descriptor of this process stands for.
pub(super) fn own_path(file: &impl AsFd) -> Vec<u8> {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()).into_bytes()
}

/// Changes a file's mode by any path to it.
pub(super) fn chmod(path: &[u8], mode: u32) -> io::Result<()> {
    let path = c_text(path)?;
    // SAFETY: a C string and an integer.
    check(unsafe { libc::chmod(path.as_ptr(), mode) }.into()).map(drop)
}

/// Changes the owner of what a descriptor stands for, be it a link.
pub(super) fn chown(file: &impl AsFd, user: u32, group: u32) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: a C string and integers.
    check(unsafe { libc::fchownat(fd, c"".as_ptr(), user, group, libc::AT_EMPTY_PATH) }.into())
        .map(drop)
}

/// Changes the times of what a descriptor stands for, be it a link.
pub(super) fn set_times(file: &impl AsFd, times: Option<&[libc::timespec; 2]>) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    let times = times.map_or(ptr::null(), |times| times.as_ptr());
    // SAFETY: a C string, two records or none, and integers. The C library refuses the flag.
    check(unsafe {
        libc::syscall(
            libc::SYS_utimensat,
            fd,
            c"".as_ptr(),
            times,
            libc::AT_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Sets an attribute by any path to the file.
pub(super) fn set_attribute(path: &[u8], name: &[u8], value: &[u8], flags: i32) -> io::Result<()> {
    let (path, name) = (c_text(path)?, c_text(name)?);
    // SAFETY: C strings, and bytes with their length.
    check(
        unsafe {
            libc::setxattr(
                path.as_ptr(),
                name.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                flags,
            )
        }
        .into(),
    )
    .map(drop)
}

/// Removes an attribute by any path to the file.
pub(super) fn remove_attribute(path: &[u8], name: &[u8]) -> io::Result<()> {
    let (path, name) = (c_text(path)?, c_text(name)?);
    // SAFETY: C strings.
    check(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) }.into()).map(drop)
}

/// A stream socket of the family UNIX that does not wait.
pub(super) fn unix_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: integers.
    descriptor(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }.into())
}

/// An address of the family UNIX: a path, or a name that starts with a NUL.
fn address(name: &[u8]) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: all zeroes are an address.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = u16::try_from(libc::AF_UNIX).map_err(io::Error::other)?;
    if name.len() > address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(name) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let length = mem::offset_of!(libc::sockaddr_un, sun_path) + name.len();
    Ok((
        address,
        libc::socklen_t::try_from(length).map_err(io::Error::other)?,
    ))
}

pub(super) fn connect(socket: &impl AsFd, name: &[u8]) -> io::Result<()> {
    let (address, length) = address(name)?;
    let place = (&raw const address).cast();
    // SAFETY: the address and its length agree.
    check(unsafe { libc::connect(socket.as_fd().as_raw_fd(), place, length) }.into()).map(drop)
}

pub(super) fn bind(socket: &impl AsFd, name: &[u8]) -> io::Result<()> {
    let (address, length) = address(name)?;
    let place = (&raw const address).cast();
    // SAFETY: the address and its length agree.
    check(unsafe { libc::bind(socket.as_fd().as_raw_fd(), place, length) }.into()).map(drop)
}

/// The name that a socket is bound to: a path, or one that starts with a NUL.
pub(super) fn name(socket: &impl AsFd) -> io::Result<Vec<u8>> {
    // SAFETY: all zeroes are an address.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    let place = (&raw mut address).cast();
    // SAFETY: the address has the room that its length says.
    check(unsafe { libc::getsockname(socket.as_fd().as_raw_fd(), place, &raw mut length) }.into())?;
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let bytes = length.saturating_sub(mem::offset_of!(libc::sockaddr_un, sun_path));
    let path = address.sun_path.iter().take(bytes);
    Ok(path.map(|byte| byte.to_ne_bytes()[0]).collect())
}

/// The process that listens at the other end of a connected socket, as it was when it began to.
pub(super) fn peer(socket: &impl AsFd) -> io::Result<i32> {
    let mut who = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = libc::socklen_t::try_from(size_of_val(&who)).map_err(io::Error::other)?;
    let fd = socket.as_fd().as_raw_fd();
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    let place = (&raw mut who).cast();
    // SAFETY: the answer has the room that its length says.
    let done = unsafe { libc::getsockopt(fd, level, option, place, &raw mut length) };
    check(done.into())?;
    Ok(who.pid)
}

/// Has reads and writes wait, or not.
pub(super) fn set_waiting(socket: &impl AsFd, waits: bool) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: integers.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        let flags = if waits {
            flags & !libc::O_NONBLOCK
        } else {
            flags | libc::O_NONBLOCK
        };
        check(libc::fcntl(fd, libc::F_SETFL, flags).into()).map(drop)
    }
}

/// Sends a process a signal; which one it is was settled when it was opened.
pub(super) fn send_signal(process: &impl AsFd, signal: i32) -> io::Result<()> {
    let none: *const libc::siginfo_t = ptr::null();
    // SAFETY: no information goes along, so no pointer does.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_fd().as_raw_fd(),
            signal,
            none,
            0,
        )
    })
    .map(drop)
}

/// A descriptor that is readable when a child has ended, or this process is told to end.
pub(super) fn signals() -> io::Result<File> {
    // SAFETY: the set is initialised before use and outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()).into())?;
        let made = libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
        Ok(File::from(descriptor(made.into())?))
    }
}

/// Takes back what [`signals`] has kept from this process.
pub(super) fn hear_signals() {
    // SAFETY: the set is initialised before use and outlives the call.
    unsafe {
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Waits until one of two descriptors has something, at most so long; says which.
pub(super) fn wait(
    first: &impl AsFd,
    second: &impl AsFd,
    patience: Option<Duration>,
) -> io::Result<[bool; 2]> {
    let milliseconds = patience.map_or(-1, |patience| {
        // Rounded up, or it would spin for the last millisecond.
        libc::c_int::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
    });
    let entry = |fd: RawFd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = [
        entry(first.as_fd().as_raw_fd()),
        entry(second.as_fd().as_raw_fd()),
    ];
    // SAFETY: the pointer and the count describe the array.
    match check(unsafe { libc::poll(entries.as_mut_ptr(), 2, milliseconds) }.into()) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(entries.map(|entry| entry.revents != 0)),
    }
}

/// Takes the end of a child, if one has ended.
pub(super) fn reap() -> Option<i32> {
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some(pid)
}

/// Kills one process; it may be gone.
pub(super) fn kill(pid: i32) {
    // SAFETY: integers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// A copy of this process: its number, or `None` in the copy. Only for a process with one thread.
pub(super) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the caller has one thread, so that the child's memory is whole.
    let pid = check(unsafe { libc::fork() }.into())?;
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok((pid != 0).then_some(pid))
}

/// Sets what a process may ask of itself with integers alone.
pub(super) fn control(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used here take integers.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) }.into()).map(drop)
}

/// Becomes a user for good, with no group but its own.
pub(super) fn become_user(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: integers; an empty list needs no pointer.
    unsafe {
        check(libc::setgroups(0, ptr::null()).into())?;
        check(libc::setresgid(group, group, group).into())?;
        check(libc::setresuid(user, user, user).into()).map(drop)
    }
}

/// Hands a message with one byte, and room for a descriptor beside it, to a call.
fn with_message<T>(call: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let mut byte = [0u8];
    let mut part = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut space = [0u64; 4];
    // SAFETY: all zeroes are a message.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = space.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&space) as _;
    call(&mut message)
}

/// Sends a descriptor over a socket.
pub(super) fn send_descriptor(socket: &impl AsFd, file: &impl AsFd) -> io::Result<()> {
    let (socket, file) = (socket.as_fd().as_raw_fd(), file.as_fd().as_raw_fd());
    with_message(|message| {
        // SAFETY: the message points to places that live through the call, and its lengths are theirs.
        let sent = unsafe {
            message.msg_controllen = libc::CMSG_SPACE(4) as _;
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as _;
            ptr::write_unaligned(libc::CMSG_DATA(header).cast::<RawFd>(), file);
            libc::sendmsg(socket, message, 0)
        };
        check(sent as libc::c_long).map(drop)
    })
}

/// Takes a descriptor that [`send_descriptor`] has sent.
pub(super) fn receive_descriptor(socket: &impl AsFd) -> io::Result<OwnedFd> {
    let socket = socket.as_fd().as_raw_fd();
    with_message(|message| {
        // SAFETY: as above; what the kernel has put there is a descriptor of ours.
        unsafe {
            let received = libc::recvmsg(socket, message, libc::MSG_CMSG_CLOEXEC);
            let header = libc::CMSG_FIRSTHDR(message);
            if check(received as libc::c_long)? != 1 || header.is_null() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let number = ptr::read_unaligned(libc::CMSG_DATA(header).cast::<RawFd>());
            Ok(OwnedFd::from_raw_fd(number))
        }
    })
}

/// The kernel's `utsname` with another node name, and no domain name.
pub(super) fn machine(name: &[u8]) -> Vec<u8> {
    // SAFETY: all zeroes are a record, which lives through the call; it is read as the bytes it is.
    unsafe {
        let mut record: libc::utsname = mem::zeroed();
        libc::uname(&raw mut record);
        record.nodename = mem::zeroed();
        record.domainname = mem::zeroed();
        for (to, from) in record.nodename.iter_mut().zip(name) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        let bytes = (&raw const record).cast::<u8>();
        std::slice::from_raw_parts(bytes, size_of::<libc::utsname>()).to_vec()
    }
}

#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct RulesetAttributes {
    pub(super) files: u64,
    pub(super) network: u64,
    pub(super) scoped: u64,
}

#[repr(C, packed)]
struct PathRule {
    rights: u64,
    parent: i32,
}

const LANDLOCK_VERSION: u32 = 1;
const LANDLOCK_PATH: u32 = 1;

/// The generation of Landlock; the error where the kernel has none or has it switched off.
pub(super) fn landlock_abi() -> io::Result<i64> {
    let none: *const RulesetAttributes = ptr::null();
    // SAFETY: without a record, only the generation is asked for.
    check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, LANDLOCK_VERSION) })
}

/// New rules; `size` is what this generation of the kernel knows of the record.
pub(super) fn new_ruleset(attributes: &RulesetAttributes, size: usize) -> io::Result<OwnedFd> {
    // SAFETY: the record lives through the call and is at least of that size.
    descriptor(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::from_ref(attributes),
            size,
            0,
        )
    })
}

/// Allows something at and below a path.
pub(super) fn allow(rules: &OwnedFd, parent: &OwnedFd, rights: u64) -> io::Result<()> {
    let rule = PathRule {
        rights,
        parent: parent.as_raw_fd(),
    };
    // SAFETY: the record lives through the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            rules.as_raw_fd(),
            LANDLOCK_PATH,
            &raw const rule,
            0,
        )
    })
    .map(drop)
}

/// Puts rules in force for this process and all that come of it.
pub(super) fn restrict_self(rules: &OwnedFd) -> io::Result<()> {
    // SAFETY: integers.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) })
        .map(drop)
}
