//! The server's plan for a sandbox's first process: where things lie, and the limits. Pure data.

use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The user inside every sandbox.
pub(super) const USER: u32 = 1000;
/// The hidden first argument of this program that makes it a sandbox's first process.
pub(super) const ARGUMENT: &str = "__sandbox-init";
/// Where a container's own directories lie before they are bound to their places.
pub(super) const OWN: &str = ".own";

/// Everything about one sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Whether the server may do everything, so that the sandbox has a user of its own on the machine.
    pub(super) privileged: bool,
    /// The sandbox's user as the machine sees it, unless there are files in its image, which have theirs.
    pub(super) host_uid: u32,
    pub(super) host_gid: u32,
    /// Whose the files of a sandbox may be.
    pub(super) users: Range<u32>,
    /// Read-only pieces of the machine.
    pub(super) binds: Vec<Bind>,
    /// Symbolic links: place and target.
    pub(super) links: Vec<(PathBuf, String)>,
    /// Small files of our own making.
    pub(super) texts: Vec<(PathBuf, String)>,
    pub(super) storage: Storage,
    /// Without namespaces: what stands for them.
    pub(super) confined: Option<Confined>,
    /// Files that the first process writes `0` to, to be in its control groups.
    pub(super) joins: Vec<PathBuf>,
    pub(super) shm_bytes: i64,
    /// The capacity of the disk.
    pub(super) disk_bytes: u64,
    /// Pseudo terminals it may have at once.
    pub(super) terminals: u32,
    pub(super) rlimits: Vec<Rlimit>,
    pub(super) memory: Memory,
    pub(super) cpus: Vec<usize>,
}

/// The settings of a sandbox without namespaces, in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Confined {
    /// Holds the container's own directories.
    pub(super) folder: PathBuf,
    /// The places of its root, made anew at each start.
    pub(super) root: PathBuf,
    /// Whether it gets a user of its own.
    pub(super) becomes_user: bool,
    /// Processes and threads that the warden allows; 0 where the kernel counts them by the user.
    pub(super) tasks: u64,
    /// Memory that all processes together may have.
    pub(super) memory_bytes: u64,
    /// The newest generation of Landlock that is made use of; the kernel's if `None`.
    pub(super) landlock_abi: Option<i64>,
}

impl Confined {
    /// The file for `/proc/meminfo`, below the root.
    pub(super) const MEMORY: &str = super::rootfs::MEMORY;
    /// Stands for `/proc/net`, below the root.
    pub(super) const NETWORK: &str = "opt/sandtable/net";

    /// The container's own directories and their places.
    pub(super) fn folders(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("/home/user", "home"),
            ("/tmp", "tmp"),
            ("/files", "files"),
            ("/skills", "skills"),
            ("/dev/shm", "shm"),
        ]
        .map(|(place, name)| (place, self.folder.join(name)))
    }
}

/// A directory or a file of the machine, and its place in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bind {
    pub(super) source: PathBuf,
    /// Relative to the root.
    pub(super) target: PathBuf,
    pub(super) directory: bool,
    /// Whether it is one of the harmless devices.
    pub(super) device: bool,
}

/// Where a container keeps its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Storage {
    /// Below a directory.
    Directory(PathBuf),
    /// In an ext4 image.
    Image(PathBuf),
}

/// Who sees to it that a sandbox has no more memory than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Memory {
    /// The kernel, by a control group.
    Kernel,
    /// Somebody who looks now and then at what processes have.
    Watchdog,
}

/// `setrlimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rlimit {
    pub(super) resource: u32,
    pub(super) soft: u64,
    pub(super) hard: u64,
}

/// Messages of the first process while it sets itself up, one line each; a line that is not one of these is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// It is in its user namespace: time to map the user and to set the limits from outside.
    Unshared,
    /// The number of the process that becomes the guest.
    Forked(i32),
    /// The loop device behind its image.
    Loop(i32),
    /// The sandbox's user as the machine sees it: the owner of the files in its image.
    Owner(u32),
    /// The guest is about to run.
    Ready,
    /// This failed.
    Failed {
        step: String,
        reason: String,
        errno: Option<i32>,
    },
}
