//! Which system calls are told to the warden, and where their paths stand.

/// Whether a link in the last place is followed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Follow {
    Always,
    Never,
    /// Not with this flag in this argument.
    Unless(usize, u64),
    /// Only with this flag in this argument.
    If(usize, u64),
    /// As the flags of `open` in this argument say.
    Open(usize),
}

/// A path among the arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// The descriptor that a relative path starts from; without one, the working directory.
    pub(super) directory: Option<usize>,
    pub(super) path: usize,
    pub(super) follow: Follow,
}

/// The action of a system call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    /// Something that the kernel does best, once the paths are right.
    Paths(&'static [Spot]),
    /// Asks what may be done; the argument with what.
    Access(Spot, usize),
    /// Opens a file; the argument with the flags, or those that `creat` has.
    Open(Spot, Option<usize>),
    ReadLink(Spot),
    /// Becomes a program; the argument with the list of its arguments.
    Execute(Spot, usize),
    /// Changes what Landlock does not know: modes, owners, times, attributes.
    Change(Target, Change),
    /// Asks how large a disk is, and how full.
    FileSystem(Target),
    Connect,
    Bind,
    SocketName,
    WorkingDirectory,
    Machine,
    /// The number of the parent.
    Parent,
    /// A new process or thread.
    Fork,
    /// A signal for a process, for many, or for all.
    Signal,
    /// A call that names a thread or a process in this argument, and nothing else of others.
    Of(usize),
}

/// The file that is changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// The descriptor in this argument.
    Descriptor(usize),
    Path(Spot),
}

/// How.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Mode(usize),
    Owner(usize, usize),
    /// A `utimbuf`.
    Seconds(usize),
    /// Two `timeval`.
    Microseconds(usize),
    /// Two `timespec`.
    Nanoseconds(usize),
    /// Name, value, size, and flags.
    SetAttribute(usize, usize, usize, usize),
    RemoveAttribute(usize),
}

const NOFOLLOW: u64 = 0x100;
const SYMLINK_FOLLOW: u64 = 0x400;

const fn at(directory: usize, path: usize, follow: Follow) -> Spot {
    Spot {
        directory: Some(directory),
        path,
        follow,
    }
}

const fn here(path: usize, follow: Follow) -> Spot {
    Spot {
        directory: None,
        path,
        follow,
    }
}

const ALWAYS: Follow = Follow::Always;
const NEVER: Follow = Follow::Never;

/// Told to the warden, on every architecture.
pub(super) const CALLS: &[(libc::c_long, Call)] = &[
    (
        libc::SYS_openat,
        Call::Open(at(0, 1, Follow::Open(2)), Some(2)),
    ),
    (
        libc::SYS_newfstatat,
        Call::Paths(&[at(0, 1, Follow::Unless(3, NOFOLLOW))]),
    ),
    (
        libc::SYS_statx,
        Call::Paths(&[at(0, 1, Follow::Unless(2, NOFOLLOW))]),
    ),
    (libc::SYS_faccessat, Call::Access(at(0, 1, ALWAYS), 2)),
    (
        libc::SYS_faccessat2,
        Call::Access(at(0, 1, Follow::Unless(3, NOFOLLOW)), 2),
    ),
    (libc::SYS_readlinkat, Call::ReadLink(at(0, 1, NEVER))),
    (libc::SYS_mkdirat, Call::Paths(&[at(0, 1, NEVER)])),
    (libc::SYS_mknodat, Call::Paths(&[at(0, 1, NEVER)])),
    (libc::SYS_unlinkat, Call::Paths(&[at(0, 1, NEVER)])),
    (
        libc::SYS_renameat2,
        Call::Paths(&[at(0, 1, NEVER), at(2, 3, NEVER)]),
    ),
    (
        libc::SYS_linkat,
        Call::Paths(&[at(0, 1, Follow::If(4, SYMLINK_FOLLOW)), at(2, 3, NEVER)]),
    ),
    (libc::SYS_symlinkat, Call::Paths(&[at(1, 2, NEVER)])),
    (libc::SYS_truncate, Call::Paths(&[here(0, ALWAYS)])),
    (libc::SYS_chdir, Call::Paths(&[here(0, ALWAYS)])),
    (
        libc::SYS_statfs,
        Call::FileSystem(Target::Path(here(0, ALWAYS))),
    ),
    (libc::SYS_fstatfs, Call::FileSystem(Target::Descriptor(0))),
    (
        libc::SYS_inotify_add_watch,
        Call::Paths(&[here(1, Follow::Unless(2, 0x0200_0000))]),
    ),
    (
        libc::SYS_name_to_handle_at,
        Call::Paths(&[at(0, 1, Follow::If(4, SYMLINK_FOLLOW))]),
    ),
    (libc::SYS_getxattr, Call::Paths(&[here(0, ALWAYS)])),
    (libc::SYS_lgetxattr, Call::Paths(&[here(0, NEVER)])),
    (libc::SYS_listxattr, Call::Paths(&[here(0, ALWAYS)])),
    (libc::SYS_llistxattr, Call::Paths(&[here(0, NEVER)])),
    (libc::SYS_execve, Call::Execute(here(0, ALWAYS), 1)),
    (
        libc::SYS_execveat,
        Call::Execute(at(0, 1, Follow::Unless(4, NOFOLLOW)), 2),
    ),
    (
        libc::SYS_fchmod,
        Call::Change(Target::Descriptor(0), Change::Mode(1)),
    ),
    (
        libc::SYS_fchmodat,
        Call::Change(Target::Path(at(0, 1, ALWAYS)), Change::Mode(2)),
    ),
    (
        FCHMODAT2,
        Call::Change(
            Target::Path(at(0, 1, Follow::Unless(3, NOFOLLOW))),
            Change::Mode(2),
        ),
    ),
    (
        libc::SYS_fchown,
        Call::Change(Target::Descriptor(0), Change::Owner(1, 2)),
    ),
    (
        libc::SYS_fchownat,
        Call::Change(
            Target::Path(at(0, 1, Follow::Unless(4, NOFOLLOW))),
            Change::Owner(2, 3),
        ),
    ),
    (
        libc::SYS_utimensat,
        Call::Change(
            Target::Path(at(0, 1, Follow::Unless(3, NOFOLLOW))),
            Change::Nanoseconds(2),
        ),
    ),
    (
        libc::SYS_setxattr,
        Call::Change(
            Target::Path(here(0, ALWAYS)),
            Change::SetAttribute(1, 2, 3, 4),
        ),
    ),
    (
        libc::SYS_lsetxattr,
        Call::Change(
            Target::Path(here(0, NEVER)),
            Change::SetAttribute(1, 2, 3, 4),
        ),
    ),
    (
        libc::SYS_fsetxattr,
        Call::Change(Target::Descriptor(0), Change::SetAttribute(1, 2, 3, 4)),
    ),
    (
        libc::SYS_removexattr,
        Call::Change(Target::Path(here(0, ALWAYS)), Change::RemoveAttribute(1)),
    ),
    (
        libc::SYS_lremovexattr,
        Call::Change(Target::Path(here(0, NEVER)), Change::RemoveAttribute(1)),
    ),
    (
        libc::SYS_fremovexattr,
        Call::Change(Target::Descriptor(0), Change::RemoveAttribute(1)),
    ),
    (libc::SYS_connect, Call::Connect),
    (libc::SYS_bind, Call::Bind),
    (libc::SYS_getsockname, Call::SocketName),
    (libc::SYS_getcwd, Call::WorkingDirectory),
    (libc::SYS_uname, Call::Machine),
    (libc::SYS_getppid, Call::Parent),
    (libc::SYS_clone, Call::Fork),
    (libc::SYS_kill, Call::Signal),
    (libc::SYS_tkill, Call::Of(0)),
    (libc::SYS_tgkill, Call::Of(0)),
    (libc::SYS_rt_sigqueueinfo, Call::Of(0)),
    (libc::SYS_rt_tgsigqueueinfo, Call::Of(0)),
    (libc::SYS_pidfd_open, Call::Of(0)),
    (libc::SYS_get_robust_list, Call::Of(0)),
    (libc::SYS_getpgid, Call::Of(0)),
    (libc::SYS_getpriority, Call::Of(1)),
    (libc::SYS_getsid, Call::Of(0)),
    (libc::SYS_ioprio_get, Call::Of(1)),
    (libc::SYS_prlimit64, Call::Of(0)),
    (libc::SYS_sched_getaffinity, Call::Of(0)),
    (libc::SYS_sched_getattr, Call::Of(0)),
    (libc::SYS_sched_getparam, Call::Of(0)),
    (libc::SYS_sched_getscheduler, Call::Of(0)),
    (libc::SYS_sched_rr_get_interval, Call::Of(0)),
];

/// Since 6.6; the C library does not name it everywhere.
const FCHMODAT2: libc::c_long = 452;

/// The older calls that x86-64 has besides.
#[cfg(target_arch = "x86_64")]
pub(super) const OLDER: &[(libc::c_long, Call)] = &[
    (
        libc::SYS_open,
        Call::Open(here(0, Follow::Open(1)), Some(1)),
    ),
    (libc::SYS_creat, Call::Open(here(0, ALWAYS), None)),
    (libc::SYS_stat, Call::Paths(&[here(0, ALWAYS)])),
    (libc::SYS_lstat, Call::Paths(&[here(0, NEVER)])),
    (libc::SYS_access, Call::Access(here(0, ALWAYS), 1)),
    (libc::SYS_readlink, Call::ReadLink(here(0, NEVER))),
    (libc::SYS_mkdir, Call::Paths(&[here(0, NEVER)])),
    (libc::SYS_rmdir, Call::Paths(&[here(0, NEVER)])),
    (libc::SYS_mknod, Call::Paths(&[here(0, NEVER)])),
    (libc::SYS_unlink, Call::Paths(&[here(0, NEVER)])),
    (
        libc::SYS_rename,
        Call::Paths(&[here(0, NEVER), here(1, NEVER)]),
    ),
    (
        libc::SYS_renameat,
        Call::Paths(&[at(0, 1, NEVER), at(2, 3, NEVER)]),
    ),
    (
        libc::SYS_link,
        Call::Paths(&[here(0, NEVER), here(1, NEVER)]),
    ),
    (libc::SYS_symlink, Call::Paths(&[here(1, NEVER)])),
    (
        libc::SYS_chmod,
        Call::Change(Target::Path(here(0, ALWAYS)), Change::Mode(1)),
    ),
    (
        libc::SYS_chown,
        Call::Change(Target::Path(here(0, ALWAYS)), Change::Owner(1, 2)),
    ),
    (
        libc::SYS_lchown,
        Call::Change(Target::Path(here(0, NEVER)), Change::Owner(1, 2)),
    ),
    (
        libc::SYS_utime,
        Call::Change(Target::Path(here(0, ALWAYS)), Change::Seconds(1)),
    ),
    (
        libc::SYS_utimes,
        Call::Change(Target::Path(here(0, ALWAYS)), Change::Microseconds(1)),
    ),
    (
        libc::SYS_futimesat,
        Call::Change(Target::Path(at(0, 1, ALWAYS)), Change::Microseconds(2)),
    ),
    (libc::SYS_fork, Call::Fork),
    (libc::SYS_vfork, Call::Fork),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OLDER: &[(libc::c_long, Call)] = &[(
    libc::SYS_renameat,
    Call::Paths(&[at(0, 1, NEVER), at(2, 3, NEVER)]),
)];

/// Calls by their numbers.
#[derive(Debug)]
pub(super) struct Table(Vec<Option<Call>>);

impl Table {
    pub(super) fn new() -> Self {
        let mut calls = Vec::new();
        for (number, call) in CALLS.iter().chain(OLDER) {
            let number = usize::try_from(*number).unwrap_or_default();
            if calls.len() <= number {
                calls.resize(number + 1, None);
            }
            calls[number] = Some(*call);
        }
        Self(calls)
    }

    pub(super) fn get(&self, number: i32) -> Option<Call> {
        *self.0.get(usize::try_from(number).ok()?)?
    }
}
