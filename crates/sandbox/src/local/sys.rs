//! System calls. The only module here with `unsafe`: what rustix has no safe call for.
#![expect(
    unsafe_code,
    reason = "system calls that neither the standard library nor rustix offers safely"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, SeekFrom};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets, CpuSet, Gid, Uid};
use tokio::io::unix::AsyncFd;

pub(super) use rustix::mount::{MountAttrFlags, MountFlags};
pub(super) use rustix::process::Signal;
pub(super) use rustix::thread::UnshareFlags;

const AT_RECURSIVE: libc::c_uint = 0x8000;

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// All securebits but `KEEP_CAPS`, each with its lock.
const SECUREBITS: u32 = 0b1110_1111;

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

pub(super) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub(super) fn effective_gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Leaves the given namespaces for new ones.
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: descriptors stay shared: nobody asks for `FILES`.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
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
    // SAFETY: a number that no descriptor has is an error of the call, and it is borrowed for no longer than that.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

/// Makes the standard error refer to what `fd` does; it stays open over `exec`.
pub(super) fn replace_stderr(fd: &impl AsFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(fd)?)
}

/// Makes the standard input and output do so, too.
pub(super) fn replace_stdio(fd: &impl AsFd) -> io::Result<()> {
    rustix::stdio::dup2_stdin(fd)?;
    rustix::stdio::dup2_stdout(fd)?;
    replace_stderr(fd)
}

/// Has this process killed when the thread that forked it ends.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        Signal::KILL,
    ))?)
}

/// Has a program killed when the thread that starts it ends, and so with this process whatever ends that.
pub(super) fn dying_with_thread(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec a single system call is made.
    unsafe { command.pre_exec(die_with_parent) }
}

pub(super) fn new_session() {
    // Fails only for who leads a session already.
    rustix::process::setsid().ok();
}

/// Becomes a user, with the capabilities kept, and with no groups beyond its own where that may be said.
///
/// Only for a process with one thread: the calls are the thread's.
pub(super) fn become_user(id: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    rustix::thread::set_keep_capabilities(true)?;
    // Denied in a user namespace without privileges; the groups then are nobody's inside.
    rustix::thread::set_thread_groups(&[]).ok();
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Makes every permitted capability effective again, after a change of user.
pub(super) fn raise_capabilities() -> io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    sets.effective = sets.permitted;
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Gives up every capability, now and for whatever is executed later.
pub(super) fn drop_capabilities() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    for capability in every_capability() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The first one this kernel does not know.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let locked = CapabilitiesSecureBits::from_bits_retain(SECUREBITS);
    rustix::thread::set_capabilities_secure_bits(locked)?;
    set_no_capabilities()?;
    forgo_new_privileges()
}

/// Each by itself, those that no kernel knows yet among them.
fn every_capability() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit))
}

fn set_no_capabilities() -> io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, none)?)
}

fn forgo_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Keeps capabilities from whatever is executed later, where that may be said.
pub(super) fn shed_bounds() {
    for capability in every_capability() {
        // Without the right to do it there is nothing to lose by trying.
        rustix::thread::remove_capability_from_bounding_set(capability).ok();
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
    let Ok(set) = rustix::thread::sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

/// Runs on these CPUs only from now on.
pub(super) fn run_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

pub(super) fn set_host_name(name: &str) -> io::Result<()> {
    Ok(rustix::system::sethostname(name.as_bytes())?)
}

/// Sets `lo` up in this network namespace.
pub(super) fn loopback_up() -> io::Result<()> {
    let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
    // SAFETY: the request is zeroed, its name is shorter than the field, and it lives through the calls.
    unsafe {
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
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Adds attributes to all mounts of a tree.
pub(super) fn restrict_tree(tree: &impl AsFd, attributes: MountAttrFlags) -> io::Result<()> {
    restrict(tree, attributes, AT_RECURSIVE)
}

/// Adds attributes to one mount.
pub(super) fn restrict_mount(mount: &impl AsFd, attributes: MountAttrFlags) -> io::Result<()> {
    restrict(mount, attributes, 0)
}

fn restrict(tree: &impl AsFd, attributes: MountAttrFlags, how: libc::c_uint) -> io::Result<()> {
    let attr = MountAttr {
        set: attributes.bits().into(),
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
    let itself = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree, c"", CWD, target, itself)?)
}

/// Mounts something at a path.
pub(super) fn mount(
    source: &str,
    target: &Path,
    kind: &str,
    flags: MountFlags,
    data: &str,
) -> io::Result<()> {
    let data = CString::new(data).map_err(io::Error::other)?;
    Ok(rustix::mount::mount(source, target, kind, flags, &*data)?)
}

/// Makes one directory stand for another, too.
pub(super) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_bind(source, target)?)
}

/// Takes a mount away as soon as nobody uses it.
pub(super) fn detach(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(target, UnmountFlags::DETACH)?)
}

/// Keeps what is mounted here from spreading to other namespaces.
pub(super) fn make_mounts_private() -> io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change(c"/", private)?)
}

/// Makes the working directory the root and forgets the old one.
pub(super) fn pivot_here() -> io::Result<()> {
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir(c"/")?)
}

/// Mounts a file system without attaching it anywhere.
pub(super) fn mount_detached(
    kind: &CStr,
    source: &str,
    flags: &[&CStr],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, c"source", source)?;
    for flag in flags {
        rustix::mount::fsconfig_set_flag(&context, *flag)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    let closed = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(rustix::mount::fsmount(&context, closed, attributes)?)
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
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Makes a process's descriptor something to await.
pub(super) fn await_end(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it owns the descriptor, which nobody else closes, until it is dropped.
    unsafe { AsyncFd::register(process).map_err(io::Error::from) }
}

/// Kills a process; fine if it has ended.
pub(super) fn kill(process: &impl AsFd) -> io::Result<()> {
    signal(process, Signal::KILL)
}

/// Sends a process a signal; fine if it has ended.
pub(super) fn signal(process: &impl AsFd, signal: Signal) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the status of a child that has ended; `false` if it still runs.
pub(super) fn reap(process: &impl AsFd) -> io::Result<bool> {
    let child = WaitId::PidFd(process.as_fd());
    let ended = rustix::process::waitid(child, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
    Ok(ended.is_some())
}

/// Copies bytes within the kernel, at the same place in both files.
pub(super) fn copy_range(
    from: &impl AsFd,
    to: &impl AsFd,
    offset: u64,
    bytes: usize,
) -> io::Result<usize> {
    let (mut read_at, mut write_at) = (offset, offset);
    let (read_at, write_at) = (Some(&mut read_at), Some(&mut write_at));
    Ok(rustix::fs::copy_file_range(
        from, read_at, to, write_at, bytes,
    )?)
}

/// The next data of a sparse file; `None` after the last.
pub(super) fn next_data(file: &impl AsFd, from: u64) -> io::Result<Option<u64>> {
    seek(file, SeekFrom::Data(from))
}

/// The next hole of a sparse file; `None` behind its end.
pub(super) fn next_hole(file: &impl AsFd, from: u64) -> io::Result<Option<u64>> {
    seek(file, SeekFrom::Hole(from))
}

fn seek(file: &impl AsFd, place: SeekFrom) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, place) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
