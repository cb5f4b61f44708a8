//! System calls. The only module with `unsafe`: what rustix has no safe call for.
#![expect(
    unsafe_code,
    reason = "system calls that neither the standard library nor rustix offers safely"
)]

mod bare;
mod spawn;

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::Shutdown;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::rand::GetRandomFlags;
use rustix::thread::CpuSet;

pub(crate) use spawn::{ChildMemory, Program, Spawned, Status, Word, decoy, spawn};

/// Signals that must not end the guest. User code has the guest's uid and may send any of them; PID 1
/// cannot be killed from inside, an ordinary process in a test should not fall to a stray one either.
const IGNORED: [libc::c_int; 15] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGIO,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
];

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// The rules for programs of a guest that is no PID 1: a Landlock ruleset.
static CONFINED: OnceLock<OwnedFd> = OnceLock::new();

/// Has programs confined by these rules. This process then counts as the first of its sandbox: all that
/// descends from it is the sandbox.
pub(crate) fn confine(programs: OwnedFd) {
    drop(CONFINED.set(programs));
}

/// The rules for programs, where there are some.
pub(crate) fn confinement() -> Option<&'static OwnedFd> {
    CONFINED.get()
}

/// Makes this process a guest: not readable by its own uid, heir of orphans, deaf to signals.
///
/// Not dumpable means that user code cannot open `/proc/<guest>/fd/1` and forge frames.
pub(crate) fn become_guest() -> io::Result<()> {
    spare_from_oom();
    // Without namespaces the warden reads its calls; programs are kept from it by Landlock.
    if confinement().is_none() {
        become_unreadable()?;
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    // SAFETY: integers only; what is closed at the next `exec` is closed to nobody before.
    unsafe {
        // Whatever a careless launcher left open must not reach user code. Old kernels lack the call.
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
        for signal in IGNORED {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    Ok(())
}

/// Keeps this process's memory and descriptors from others of its user.
pub(crate) fn become_unreadable() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(
        DumpableBehavior::NotDumpable,
    )?)
}

/// Waits until this process is asked to end, also as PID 1, which hears only what it listens to.
pub(crate) fn wait_for_the_end() -> io::Result<()> {
    let mut signal = 0;
    // SAFETY: the set is initialised by `sigemptyset` before use and outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        check(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const set,
            ptr::null_mut(),
        ))?;
        check(libc::sigwait(&raw const set, &raw mut signal)).map(drop)
    }
}

/// Set once this guest knows that it is in a pod.
static IN_A_POD: OnceLock<()> = OnceLock::new();

/// Whether the filter has to do what no launcher does: keep programs to the CPU of this process, and from System V's
/// memory, messages, and semaphores.
pub(crate) fn is_in_a_pod() -> bool {
    IN_A_POD.get().is_some()
}

/// Notes that this guest is in a pod, and keeps it and its descendants to one of the CPUs that they have.
pub(crate) fn settle_in_a_pod() {
    IN_A_POD.get_or_init(|| ());
    let Ok(own) = rustix::thread::sched_getaffinity(None) else {
        return;
    };
    let mut seed = [0_u8; 2];
    rustix::rand::getrandom(&mut seed, GetRandomFlags::empty()).ok();
    let all: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|cpu| own.is_set(*cpu))
        .collect();
    let Some(cpu) = all.get(usize::from(u16::from_ne_bytes(seed)) % all.len().max(1)) else {
        return;
    };
    let mut one = CpuSet::new();
    one.set(*cpu);
    rustix::thread::sched_setaffinity(None, &one).ok();
}

/// Ends a connection both ways, for who waits at either end.
pub(crate) fn shut(socket: &impl AsFd) {
    // One that is not connected any more is shut.
    rustix::net::shutdown(socket, Shutdown::Both).ok();
}

/// The user at the other end of a socket, by the kernel's word (`SO_PEERCRED`).
pub(crate) fn user_behind(socket: &impl AsFd) -> io::Result<u32> {
    // rustix has no place for a process of another namespace, whose number is 0.
    // SAFETY: the record is plain numbers, and its length is told.
    unsafe {
        let mut peer: libc::ucred = std::mem::zeroed();
        let size = libc::socklen_t::try_from(size_of::<libc::ucred>());
        let mut length = size.expect("three numbers are few bytes");
        check(libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        ))?;
        Ok(peer.uid)
    }
}

/// Lowers this process's score for the OOM killer as far as it may be lowered: programs may lower theirs
/// as far, and should find nobody below. Before it is not dumpable, or its own file is closed to it.
fn spare_from_oom() {
    let file = "/proc/self/oom_score_adj";
    let Some(now) = std::fs::read_to_string(file)
        .ok()
        .and_then(|score| score.trim().parse::<i32>().ok())
    else {
        return;
    };
    for score in (-1000..now).step_by(100) {
        if std::fs::write(file, score.to_string()).is_ok() {
            break;
        }
    }
}

/// Stdin and stdout as they are, without a copy: a forked child replaces both before `exec` makes it
/// dumpable, so that no open end of the channel is ever within reach of user code.
pub(crate) fn channel() -> io::Result<(File, File)> {
    // SAFETY: the descriptors 0 and 1 are owned by this process, nothing else here uses them, and the
    // guest keeps both until it exits.
    let (input, output) = unsafe { (File::from_raw_fd(0), File::from_raw_fd(1)) };
    set_nonblocking(&input)?;
    set_nonblocking(&output)?;
    Ok((input, output))
}

/// Makes reads and writes return at once.
pub(crate) fn set_nonblocking(file: &impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, flags | OFlags::NONBLOCK)?)
}

/// A descriptor that is readable whenever a child has ended.
pub(crate) fn child_signals() -> io::Result<File> {
    // SAFETY: the set is initialised by `sigemptyset` before use and outlives the calls; the new
    // descriptor is owned by nobody else.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const set,
            ptr::null_mut(),
        ))?;
        let fd = check(libc::signalfd(
            -1,
            &raw const set,
            libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
        ))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// The descriptors to wait for.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    entries: Vec<libc::pollfd>,
}

impl Poll {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Waits for bytes (or the end) on a descriptor; gives its place in [`Self::is_ready`].
    pub(crate) fn readable(&mut self, file: &impl AsFd) -> usize {
        self.add(file.as_fd().as_raw_fd(), libc::POLLIN)
    }

    /// Waits for the other end to be closed, and for nothing that comes before.
    pub(crate) fn closed(&mut self, file: &impl AsFd) -> usize {
        self.add(file.as_fd().as_raw_fd(), 0)
    }

    /// Waits for room on a descriptor.
    pub(crate) fn writable(&mut self, file: &impl AsFd) -> usize {
        self.add(file.as_fd().as_raw_fd(), libc::POLLOUT)
    }

    fn add(&mut self, fd: RawFd, events: libc::c_short) -> usize {
        self.entries.push(libc::pollfd {
            fd,
            events,
            revents: 0,
        });
        self.entries.len() - 1
    }

    pub(crate) fn is_ready(&self, place: usize) -> bool {
        self.entries[place].revents != 0
    }

    /// Waits, at most so long.
    pub(crate) fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let milliseconds = limit.map_or(-1, |limit| {
            // Rounded up, or a deadline less than a millisecond away would spin.
            libc::c_int::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
        });
        let count = self.entries.len() as libc::nfds_t;
        // SAFETY: the pointer and the count describe the vector, which is not touched meanwhile.
        let result = unsafe { libc::poll(self.entries.as_mut_ptr(), count, milliseconds) };
        match check(result) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}

/// A change of a child's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Stopped,
    /// Exit status, or 128 and the signal.
    Ended {
        return_code: i32,
        by_signal: bool,
    },
}

/// Takes one change of a child, ours or inherited, without waiting; an error if there are no children
/// at all.
pub(crate) fn reap() -> io::Result<Option<(i32, Change)>> {
    let how = WaitOptions::NOHANG | WaitOptions::UNTRACED;
    let Some((pid, status)) = rustix::process::wait(how)? else {
        return Ok(None);
    };
    let signal = status.terminating_signal();
    let change = if status.stopped() {
        Change::Stopped
    } else {
        Change::Ended {
            return_code: signal
                .map_or_else(|| status.exit_status().unwrap_or(0), |signal| 128 + signal),
            by_signal: signal.is_some(),
        }
    };
    Ok(Some((pid.as_raw_pid(), change)))
}

/// Has a process go on that was stopped.
pub(crate) fn go_on(pid: i32) {
    signal(pid, Signal::CONT);
}

/// Kills one process. It may be gone already.
pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        rustix::process::kill_process(pid, signal).ok();
    }
}

/// Kills everything but this process. For the first of a sandbox only: elsewhere it would reach far. One
/// that is no PID 1 has a warden, who gives the call this meaning.
pub(crate) fn kill_all_others() {
    assert!(is_init(), "only the first process may kill everything");
    // SAFETY: `kill` takes integers only.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Whether this process is the first of its sandbox.
pub(crate) fn is_init() -> bool {
    std::process::id() == 1 || confinement().is_some()
}

/// Whether a process is the warden of a sandbox without namespaces: what it stops goes on at once.
pub(crate) fn is_warden(pid: i32) -> bool {
    confinement().is_some() && Some(pid) == rustix::process::getppid().map(Pid::as_raw_pid)
}

/// The time since boot, by which the starts of processes are told; also what the machine slept through.
pub(crate) fn since_boot() -> Duration {
    // SAFETY: the record is plain numbers and lives through the call, which does not fail on a known clock.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now);
        now
    };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Whether there are processes beside this one, for PID 1; elsewhere there is no telling.
pub(crate) fn has_company() -> bool {
    // SAFETY: `kill` takes integers only; signal 0 is never sent.
    is_init() && unsafe { libc::kill(-1, 0) } == 0
}

/// The status of the file system that a path lies on (`fstatfs`).
pub(crate) fn file_system_of(path: &Path) -> io::Result<libc::statfs> {
    file_system(&place(path.as_os_str().as_bytes())?)
}

/// The number by which the kernel knows a file system; an old one has none for those in memory.
pub(crate) fn id_of(told: &libc::statfs) -> u64 {
    let mut id = [0; size_of::<libc::fsid_t>()];
    let at = offset_of!(libc::statfs, f_fsid);
    id.copy_from_slice(&bytes_of(told)[at..at + size_of::<libc::fsid_t>()]);
    u64::from_ne_bytes(id)
}

/// Bytes an ordinary user may still write to the disk a path lies on; 0 if it cannot be told.
pub(crate) fn disk_room(path: &Path) -> u64 {
    file_system_of(path).map_or(0, |told| {
        let block = u64::try_from(told.f_bsize).unwrap_or(0);
        told.f_bavail.saturating_mul(block)
    })
}

/// As the kernel has it, the NUL included.
pub(crate) const MOST_PATH: usize = 4096;

/// The memory that the guest shares with the process that answers programs for it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limit: AtomicU64,
    pub(crate) used: AtomicU64,
    pub(crate) ground: AtomicU64,
}

/// The page that this process shares with those that it forks, made when it is first asked for.
pub(crate) fn shared() -> &'static Shared {
    static SHARED: OnceLock<&'static Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        // SAFETY: a new mapping of its own, of zeroes, which all numbers may be; it is never unmapped.
        unsafe {
            let page = libc::mmap(
                ptr::null_mut(),
                size_of::<Shared>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(page, libc::MAP_FAILED, "no memory for a page");
            &*page.cast::<Shared>()
        }
    })
}

/// Holds a path fast, whatever lies there, without opening it.
pub(crate) fn place(path: &[u8]) -> io::Result<OwnedFd> {
    if path.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The extra argument of the guest's own `fstatfs` calls, by which they do not stop.
pub(crate) fn own_call() -> u64 {
    static OWN: OnceLock<u64> = OnceLock::new();
    *OWN.get_or_init(|| {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty()).ok();
        u64::from_ne_bytes(bytes)
    })
}

/// The status of a file's file system (`fstatfs`).
pub(crate) fn file_system(file: &OwnedFd) -> io::Result<libc::statfs> {
    // SAFETY: the record is plain numbers and lives through the call.
    unsafe {
        let mut record: libc::statfs = std::mem::zeroed();
        let (file, own) = (file.as_raw_fd(), own_call());
        let done = libc::syscall(libc::SYS_fstatfs, file, &raw mut record, own);
        check(libc::c_int::try_from(done).unwrap_or(-1))?;
        Ok(record)
    }
}

/// Bytes that programs which have ended dirtied on disks; 0 on a kernel that does not count them.
pub(crate) fn written_by_children() -> u64 {
    // SAFETY: the record is plain numbers and lives through the call.
    let blocks = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage.ru_oublock
    };
    u64::try_from(blocks).unwrap_or(0).saturating_mul(512)
}

/// A record as the bytes it is.
pub(crate) fn bytes_of(record: &libc::statfs) -> &[u8] {
    // SAFETY: plain numbers without gaps, read for as long as they are borrowed.
    unsafe { std::slice::from_raw_parts(ptr::from_ref(record).cast(), size_of::<libc::statfs>()) }
}

/// Neither this process nor what it starts ever gains rights by a program; filters want it so.
pub(crate) fn no_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// How many bytes wait in a pipe.
pub(crate) fn bytes_waiting(pipe: &impl AsFd) -> usize {
    let waiting = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
    usize::try_from(waiting).unwrap_or(0)
}
