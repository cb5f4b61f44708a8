//! System calls. The only module here with `unsafe`, and nothing but thin safe wrappers.
#![expect(
    unsafe_code,
    reason = "system calls the standard library does not offer"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use tokio::io::unix::AsyncFd;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC.cast_unsigned();
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
/// No longer writable.
pub(super) const ATTR_RDONLY: u64 = 1;
/// No set-user-id programs.
pub(super) const ATTR_NOSUID: u64 = 2;
/// No devices.
pub(super) const ATTR_NODEV: u64 = 4;

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

const CAP_LAST: libc::c_ulong = 63;
/// All securebits but `KEEP_CAPS`, each with its lock.
const SECUREBITS: libc::c_ulong = 0b1110_1111;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn check_long(result: libc::c_long) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // Descriptors and process ids fit.
    libc::c_int::try_from(result).map_err(io::Error::other)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn c_text(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(io::Error::other)
}

pub(super) fn effective_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

pub(super) fn effective_gid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::getegid() }
}

/// Leaves the given namespaces (`CLONE_NEW…`) for new ones.
pub(super) fn unshare(namespaces: libc::c_int) -> io::Result<()> {
    // SAFETY: takes an integer.
    check(unsafe { libc::unshare(namespaces) }).map(drop)
}

/// Forks a child whose parent is our parent; `None` in the child.
///
/// Only for a process with one thread.
pub(super) fn fork_sibling() -> io::Result<Option<i32>> {
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    // SAFETY: as `fork`, by which the stack is copied; the caller has one thread, so no lock is held by another.
    let pid = check_long(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then_some(pid))
}

/// Closes every descriptor from `first` on.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: whoever calls this owns no descriptor from there on: it is the first thing a new process does.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) })
        .map(drop)
}

/// A copy of a descriptor, not below 3.
pub(super) fn duplicate(fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: the number may be any; the new descriptor is nobody else's.
    unsafe {
        let copy = check(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3))?;
        Ok(OwnedFd::from_raw_fd(copy))
    }
}

/// Makes `number` refer to what `fd` does; it stays open over `exec`.
pub(super) fn replace(number: i32, fd: &impl AsFd) -> io::Result<()> {
    // SAFETY: only for the standard descriptors, which no owned value stands for.
    check(unsafe { libc::dup2(fd.as_fd().as_raw_fd(), number) }).map(drop)
}

/// Has this process killed when the thread that forked it ends.
pub(super) fn die_with_parent() -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }).map(drop)
}

pub(super) fn new_session() {
    // SAFETY: takes nothing; fails only for who leads a session already.
    unsafe { libc::setsid() };
}

/// Becomes a user, with the capabilities kept, and with no groups beyond its own where that may be said.
pub(super) fn become_user(id: u32) -> io::Result<()> {
    // SAFETY: integers only; an empty list of groups needs no pointer.
    unsafe {
        check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        // Denied in a user namespace without privileges; the groups then are nobody's inside.
        libc::setgroups(0, ptr::null());
        check(libc::setresgid(id, id, id))?;
        check(libc::setresuid(id, id, id))?;
    }
    Ok(())
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAP_VERSION_3: u32 = 0x2008_0522;

fn cap_header() -> CapHeader {
    CapHeader {
        version: CAP_VERSION_3,
        pid: 0,
    }
}

/// Makes every permitted capability effective again, after a change of user.
pub(super) fn raise_capabilities() -> io::Result<()> {
    let mut header = cap_header();
    let mut data = [CapData {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    }; 2];
    // SAFETY: the kernel reads the header and two data records, which live through both calls.
    unsafe {
        check_long(libc::syscall(
            libc::SYS_capget,
            &raw mut header,
            data.as_mut_ptr(),
        ))?;
        for part in &mut data {
            part.effective = part.permitted;
        }
        check_long(libc::syscall(
            libc::SYS_capset,
            &raw mut header,
            data.as_ptr(),
        ))?;
    }
    Ok(())
}

/// Gives up every capability, now and for whatever is executed later.
pub(super) fn drop_capabilities() -> io::Result<()> {
    // SAFETY: integers.
    unsafe {
        check(libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        ))?;
        for capability in 0..=CAP_LAST {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                let error = io::Error::last_os_error();
                // The first one this kernel does not know.
                if error.raw_os_error() == Some(libc::EINVAL) {
                    break;
                }
                return Err(error);
            }
        }
        check(libc::prctl(libc::PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0))?;
    }
    set_no_capabilities()?;
    forgo_new_privileges()
}

fn set_no_capabilities() -> io::Result<()> {
    let mut header = cap_header();
    let none = [CapData {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    }; 2];
    // SAFETY: the records live through the call.
    unsafe {
        check_long(libc::syscall(
            libc::SYS_capset,
            &raw mut header,
            none.as_ptr(),
        ))
        .map(drop)
    }
}

fn forgo_new_privileges() -> io::Result<()> {
    // SAFETY: integers.
    unsafe { check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)).map(drop) }
}

/// Keeps capabilities from whatever is executed later, where that may be said.
pub(super) fn shed_bounds() {
    // SAFETY: integers; without the right to do it there is nothing to lose by trying.
    unsafe {
        for capability in 0..=CAP_LAST {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
    }
}

/// Gives up every capability that this process has, and the way to new ones.
pub(super) fn shed_capabilities() -> io::Result<()> {
    forgo_new_privileges()?;
    set_no_capabilities()
}

/// Lowers a limit, never above what is allowed.
pub(super) fn limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    // SAFETY: both records are valid for the length of the calls.
    unsafe {
        let mut old: libc::rlimit = std::mem::zeroed();
        check(libc::getrlimit(resource, &raw mut old))?;
        let hard = hard.min(old.rlim_max);
        let new = libc::rlimit {
            rlim_cur: soft.min(hard),
            rlim_max: hard,
        };
        check(libc::setrlimit(resource, &raw const new)).map(drop)
    }
}

/// The CPUs this process may run on.
pub(super) fn cpus() -> Vec<usize> {
    // SAFETY: an all-zero set is an empty one; it is valid for the length of the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Vec::new();
        }
        (0..libc::CPU_SETSIZE.cast_unsigned() as usize)
            .filter(|cpu| libc::CPU_ISSET(*cpu, &set))
            .collect()
    }
}

/// Runs on these CPUs only from now on.
pub(super) fn run_on(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: as above; `CPU_SET` checks its index.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for cpu in cpus {
            libc::CPU_SET(*cpu, &mut set);
        }
        check(libc::sched_setaffinity(
            0,
            size_of::<libc::cpu_set_t>(),
            &raw const set,
        ))
        .map(drop)
    }
}

pub(super) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe the text.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Sets `lo` up in this network namespace.
pub(super) fn loopback_up() -> io::Result<()> {
    // SAFETY: the request is zeroed, its name is shorter than the field, and it lives through the calls.
    unsafe {
        let socket = check(libc::socket(
            libc::AF_INET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            0,
        ))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = from.cast_signed();
        }
        check(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS,
            &raw mut request,
        ))?;
        let up = libc::c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
        request.ifr_ifru.ifru_flags |= up;
        check(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw const request,
        ))
        .map(drop)
    }
}

/// A detached copy of the mounts at and below a path.
pub(super) fn open_tree(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    // SAFETY: the path is a C string; the new descriptor is nobody else's.
    unsafe {
        let fd = check_long(libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
        ))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Adds attributes to all mounts of a tree.
pub(super) fn restrict_tree(tree: &impl AsFd, attributes: u64) -> io::Result<()> {
    restrict(tree, attributes, AT_RECURSIVE)
}

/// Adds attributes to one mount.
pub(super) fn restrict_mount(mount: &impl AsFd, attributes: u64) -> io::Result<()> {
    restrict(mount, attributes, 0)
}

fn restrict(tree: &impl AsFd, attributes: u64, how: libc::c_uint) -> io::Result<()> {
    let attr = MountAttr {
        set: attributes,
        clear: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH.cast_unsigned() | how;
    // SAFETY: the record and its size agree.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches a detached mount.
pub(super) fn attach(tree: &impl AsFd, target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    // SAFETY: both paths are C strings.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Mounts something at a path.
pub(super) fn mount(
    source: &str,
    target: &Path,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (source, kind, data) = (c_text(source)?, c_text(kind)?, c_text(data)?);
    let target = c_path(target)?;
    // SAFETY: all are C strings.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    })
    .map(drop)
}

/// Makes one directory stand for another, too.
pub(super) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let (source, target) = (c_path(source)?, c_path(target)?);
    // SAFETY: both are C strings; the others are ignored for a bind.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            ptr::null(),
            libc::MS_BIND,
            ptr::null(),
        )
    })
    .map(drop)
}

/// Takes a mount away as soon as nobody uses it.
pub(super) fn detach(target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    // SAFETY: a C string and an integer.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Keeps what is mounted here from spreading to other namespaces.
pub(super) fn make_mounts_private() -> io::Result<()> {
    // SAFETY: one C string; the others are ignored for a change of propagation.
    check(unsafe {
        libc::mount(
            ptr::null(),
            c"/".as_ptr(),
            ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        )
    })
    .map(drop)
}

/// Makes the working directory the root and forgets the old one.
pub(super) fn pivot_here() -> io::Result<()> {
    let here = c".".as_ptr();
    // SAFETY: C strings only.
    unsafe {
        check_long(libc::syscall(libc::SYS_pivot_root, here, here))?;
        check(libc::umount2(here, libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr())).map(drop)
    }
}

/// Mounts a file system without attaching it anywhere.
pub(super) fn mount_detached(
    kind: &CStr,
    source: &str,
    flags: &[&CStr],
    attributes: u64,
) -> io::Result<OwnedFd> {
    let source = c_text(source)?;
    // SAFETY: C strings and integers; each new descriptor is nobody else's.
    unsafe {
        let context = check_long(libc::syscall(
            libc::SYS_fsopen,
            kind.as_ptr(),
            FSOPEN_CLOEXEC,
        ))?;
        let context = OwnedFd::from_raw_fd(context);
        let configure =
            |command: libc::c_uint, key: *const libc::c_char, value: *const libc::c_char| {
                check_long(libc::syscall(
                    libc::SYS_fsconfig,
                    context.as_raw_fd(),
                    command,
                    key,
                    value,
                    0,
                ))
            };
        configure(FSCONFIG_SET_STRING, c"source".as_ptr(), source.as_ptr())?;
        for flag in flags {
            configure(FSCONFIG_SET_FLAG, flag.as_ptr(), ptr::null())?;
        }
        configure(FSCONFIG_CMD_CREATE, ptr::null(), ptr::null())?;
        let attributes = libc::c_uint::try_from(attributes).map_err(io::Error::other)?;
        let fd = check_long(libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            attributes,
        ))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// A number of a loop device that is free now; another process may be faster.
pub(super) fn free_loop(control: &impl AsFd) -> io::Result<i32> {
    // SAFETY: this request takes no argument.
    check(unsafe { libc::ioctl(control.as_fd().as_raw_fd(), LOOP_CTL_GET_FREE) })
}

#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Puts a file behind a loop device, until the last user of the device is gone.
pub(super) fn configure_loop(device: &impl AsFd, image: &impl AsFd) -> io::Result<()> {
    // SAFETY: zeroes are valid for a record of integers; it lives through the call.
    unsafe {
        let mut config: LoopConfig = std::mem::zeroed();
        config.fd = image.as_fd().as_raw_fd().cast_unsigned();
        config.info.flags = LO_FLAGS_AUTOCLEAR;
        check(libc::ioctl(
            device.as_fd().as_raw_fd(),
            LOOP_CONFIGURE,
            &raw const config,
        ))
        .map(drop)
    }
}

/// A descriptor for a process, readable once it has ended.
pub(super) fn process_descriptor(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: integers; the new descriptor is nobody else's.
    unsafe {
        let fd = check_long(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Makes a process's descriptor something to await.
pub(super) fn await_end(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it owns the descriptor, which nobody else closes, until it is dropped.
    unsafe { AsyncFd::register(process).map_err(io::Error::from) }
}

/// Kills a process; fine if it has ended.
pub(super) fn kill(process: &impl AsFd) -> io::Result<()> {
    signal(process, libc::SIGKILL)
}

/// Sends a process a signal; fine if it has ended.
pub(super) fn signal(process: &impl AsFd, signal: libc::c_int) -> io::Result<()> {
    let info: *const libc::siginfo_t = ptr::null();
    // SAFETY: no information goes along, so no pointer does.
    let result = check_long(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_fd().as_raw_fd(),
            signal,
            info,
            0,
        )
    });
    match result {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        _ => Ok(()),
    }
}

/// Takes the status of a child that has ended; `false` if it still runs.
pub(super) fn reap(process: &impl AsFd) -> io::Result<bool> {
    let fd = process.as_fd().as_raw_fd().cast_unsigned();
    // SAFETY: the record is valid for the length of the call.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        check(libc::waitid(
            libc::P_PIDFD,
            fd,
            &raw mut info,
            libc::WEXITED | libc::WNOHANG,
        ))?;
        Ok(info.si_pid() != 0)
    }
}

/// Copies bytes within the kernel, at the same place in both files.
pub(super) fn copy_range(
    from: &impl AsFd,
    to: &impl AsFd,
    offset: i64,
    bytes: usize,
) -> io::Result<usize> {
    let (mut read_at, mut write_at) = (offset, offset);
    // SAFETY: both offsets are valid for the length of the call.
    let copied = unsafe {
        libc::copy_file_range(
            from.as_fd().as_raw_fd(),
            &raw mut read_at,
            to.as_fd().as_raw_fd(),
            &raw mut write_at,
            bytes,
            0,
        )
    };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

/// The next data, or the next hole, of a sparse file; `None` after the last.
pub(super) fn seek(file: &impl AsFd, from: i64, whence: libc::c_int) -> io::Result<Option<i64>> {
    // SAFETY: integers only.
    let place = unsafe { libc::lseek(file.as_fd().as_raw_fd(), from, whence) };
    if place >= 0 {
        return Ok(Some(place));
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        error => Err(error),
    }
}
