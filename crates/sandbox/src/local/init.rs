//! The first process of a sandbox, from a fresh copy of this program to the guest.
//!
//! It runs with one thread and never returns to the rest of the program. Two processes take part: the
//! outer one makes the namespaces and forks; the inner one, PID 1 and child of the server, sets up the
//! file system, gives up every privilege, and becomes the guest.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use super::own::HOME;
use super::plan::{ARGUMENT, Memory, OWN, Plan, Storage, USER, Word};
use super::sys::{MountAttrFlags, MountFlags, UnshareFlags};
use super::{confined, disk, filter, libraries, own, rootfs, sys};
use crate::memory;

/// Devices, and mounts that must stay as they are, get no more than this.
const ALWAYS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// Whether this program's `main` begins with [`entry`].
static ENTRY: AtomicBool = AtomicBool::new(false);

/// Whether a copy of this program becomes a sandbox when it is told to.
pub fn may_be_entered() -> bool {
    ENTRY.load(Ordering::Relaxed)
}

/// Becomes a sandbox's first process if that is what this process was started as.
pub fn entry() -> Option<ExitCode> {
    ENTRY.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT || arguments.next().is_some() {
        return None;
    }
    let control = sys::close_from(3).and_then(|()| sys::duplicate(2));
    let Ok(control) = control.map(UnixStream::from) else {
        return Some(ExitCode::FAILURE);
    };
    let mut control = Control(Some(control));
    Some(match run(&mut control) {
        Ok(Role::Outer) => ExitCode::SUCCESS,
        Ok(Role::Inner) => {
            drop(control);
            guest::run()
        }
        Ok(Role::Confined(programs)) => {
            drop(control);
            guest::run_confined(programs)
        }
        Err(Failure { step, error }) => {
            let word = Word::Failed {
                step: step.to_owned(),
                reason: error.to_string(),
                errno: error.raw_os_error(),
            };
            // If nobody listens, the server is gone.
            control.say(&word).ok();
            ExitCode::FAILURE
        }
    })
}

pub(super) enum Role {
    Outer,
    Inner,
    /// The guest of a sandbox without namespaces, with the rules for its programs.
    Confined(OwnedFd),
}

pub(super) struct Failure {
    step: &'static str,
    error: io::Error,
}

pub(super) trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, Failure>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, error })
    }
}

pub(super) struct Control(Option<UnixStream>);

impl Control {
    /// Nothing more is said.
    pub(super) fn close(&mut self) {
        self.0 = None;
    }

    fn stream(&self) -> io::Result<&UnixStream> {
        self.0
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(super) fn say(&mut self, word: &Word) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        self.stream()?.write_all(&line)
    }

    fn plan(&mut self) -> io::Result<Plan> {
        let mut line = Vec::new();
        BufReader::new(self.stream()?).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    }

    fn wait(&mut self) -> io::Result<()> {
        self.stream()?.read_exact(&mut [0])
    }
}

fn run(control: &mut Control) -> Result<Role, Failure> {
    let plan = control.plan().step("read the plan")?;
    sys::new_session();
    if let Some(confined) = &plan.confined {
        return confined::enter(&plan, confined, control);
    }
    // The machine's root opens what it lends while it still may; anyone else does it inside.
    let mut trees = None;
    if plan.privileged {
        trees = Some(open(&plan, control)?);
    }
    for file in &plan.joins {
        fs::write(file, "0").step("join a control group")?;
    }
    sys::unshare(UnshareFlags::NEWUSER).step("make a user namespace (unshare)")?;
    control.say(&Word::Unshared).step("answer")?;
    control.wait().step("wait for the server")?;
    sys::become_user(USER).step("become the sandbox's user")?;
    sys::raise_capabilities().step("keep the capabilities")?;
    let namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    sys::unshare(namespaces).step("make the namespaces (unshare)")?;
    if let Some(pid) = sys::fork_sibling().step("fork")? {
        control.say(&Word::Forked(pid)).step("answer")?;
        return Ok(Role::Outer);
    }
    inside(&plan, trees, control)?;
    Ok(Role::Inner)
}

/// Detached mounts, in the order of the plan; the container's own comes last.
struct Trees {
    binds: Vec<OwnedFd>,
    own: OwnedFd,
}

fn open(plan: &Plan, control: &mut Control) -> Result<Trees, Failure> {
    let mut binds = Vec::new();
    for bind in &plan.binds {
        let tree = sys::open_tree(&bind.source).step("open a system directory (open_tree)")?;
        let attributes = if bind.device { ALWAYS } else { READ_ONLY };
        sys::restrict_tree(&tree, attributes).step("make a system directory read-only")?;
        binds.push(tree);
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let own = match &plan.storage {
        Storage::Directory(directory) => {
            if plan.privileged {
                make_own(directory, Some((plan.host_uid, plan.host_gid)))
                    .step("make the container's directories")?;
            }
            let tree = sys::open_tree(directory).step("open the container's directory")?;
            sys::restrict_tree(&tree, attributes).step("restrict the container's directory")?;
            tree
        }
        Storage::Image(image) => {
            let (number, device) = disk::attach(image).step("attach the disk image")?;
            control.say(&Word::Loop(number)).step("answer")?;
            let tree = disk::mount(number, attributes).step("mount the disk image")?;
            drop(device);
            let inside = PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd()));
            let user = own::owner(&inside, &plan.users)
                .step("look at the container's files")?
                .unwrap_or(plan.host_uid);
            control.say(&Word::Owner(user)).step("answer")?;
            make_own(&inside, Some((user, user))).step("make the container's directories")?;
            tree
        }
    };
    Ok(Trees { binds, own })
}

fn inside(plan: &Plan, trees: Option<Trees>, control: &mut Control) -> Result<(), Failure> {
    sys::make_mounts_private().step("leave the machine's mounts")?;
    let trees = match trees {
        Some(trees) => trees,
        None => open(plan, control)?,
    };
    root(plan, &trees)?;
    drop(trees);
    // Only makes the first plot faster.
    let lists = Path::new(rootfs::LIBRARIES);
    seed(lists, Path::new("/tmp/matplotlib"), None).ok();
    sys::set_host_name("sandbox").step("set the host name")?;
    sys::loopback_up().step("set `lo` up")?;
    sys::run_on(&plan.cpus).step("choose the CPU")?;
    for limit in &plan.rlimits {
        sys::limit(limit.resource, limit.soft, limit.hard).step("set a limit")?;
    }
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .step("open `/dev/null`")?;
    sys::replace_stderr(&null).step("close the standard error")?;
    drop(null);
    sys::drop_capabilities().step("give up the capabilities")?;
    // Changes of user and capabilities reset it, so it comes after them. A server that died meanwhile
    // has closed the channel, which the guest sees.
    sys::die_with_parent().step("tie the sandbox to the server")?;
    filter::apply(plan.memory == Memory::Kernel).step("filter the system calls")?;
    control.say(&Word::Ready).step("answer")
}

fn root(plan: &Plan, trees: &Trees) -> Result<(), Failure> {
    let base = Path::new("/tmp");
    // Nothing is written there but by this process: its size is for who asks `df`.
    let size = format!("size={},nr_inodes=1k,mode=755", plan.disk_bytes);
    sys::mount(
        "root",
        base,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        &size,
    )
    .step("make a root")?;
    std::env::set_current_dir(base).step("enter the root")?;
    for name in [
        "proc",
        "dev/shm",
        "dev/pts",
        "etc",
        "home/user",
        "tmp",
        "files",
        "skills",
        OWN,
    ] {
        make_directory(Path::new(name)).step("make a directory")?;
    }
    for (place, target) in &plan.links {
        make_parent(place).step("make a directory")?;
        symlink(target, place).step("make a link")?;
    }
    for (bind, tree) in plan.binds.iter().zip(&trees.binds) {
        make_parent(&bind.target).step("make a directory")?;
        if bind.directory {
            make_directory(&bind.target).step("make a directory")?;
        } else {
            File::create(&bind.target).step("make a place for a file")?;
        }
        sys::attach(tree, &bind.target).step("attach a system directory")?;
    }
    for (place, text) in &plan.texts {
        make_parent(place).step("make a directory")?;
        fs::write(place, text).step("write a file of `/etc`")?;
    }
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    sys::mount("proc", Path::new("proc"), "proc", quiet, "").step("mount `/proc`")?;
    for place in rootfs::hidden().filter(|place| place.exists()) {
        sys::bind(Path::new("dev/null"), place).step("cover a part of `/proc`")?;
    }
    memory().step("tell the memory")?;
    let size = format!("size={},mode=1777", plan.shm_bytes);
    let shm = MountFlags::NOSUID | MountFlags::NODEV;
    sys::mount("shm", Path::new("dev/shm"), "tmpfs", shm, &size).step("mount `/dev/shm`")?;
    // Of the sandbox's own, with as many terminals as it may have.
    let pts = MountFlags::NOSUID | MountFlags::NOEXEC;
    let most = format!("newinstance,ptmxmode=0666,mode=0620,max={}", plan.terminals);
    sys::mount("devpts", Path::new("dev/pts"), "devpts", pts, &most).step("mount `/dev/pts`")?;
    own(plan, trees)?;
    sys::pivot_here().step("enter the new root")?;
    let root = File::open("/").step("open the root")?;
    sys::restrict_mount(&root, READ_ONLY).step("make the root read-only")
}

/// Covers the machine's memory with the sandbox's, for good: the file belongs to the sandbox's user.
fn memory() -> io::Result<()> {
    let place = Path::new(rootfs::MEMORY);
    if !place.exists() {
        return Ok(());
    }
    let target = Path::new(memory::PLACE.trim_start_matches('/'));
    sys::bind(place, target)?;
    sys::restrict_mount(&File::open(target)?, READ_ONLY)
}

/// Puts matplotlib's list of fonts where the guest tells programs to look for it.
pub(super) fn seed(libraries: &Path, target: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    // Not there: nothing of a user's can be in its place, and nothing of a user's runs yet.
    if target.symlink_metadata().is_ok() {
        return Ok(());
    }
    let lists = fs::read_dir(libraries.join(libraries::FONTS))?;
    DirBuilder::new().mode(0o755).create(target)?;
    for list in lists.flatten() {
        let copy = target.join(list.file_name());
        fs::copy(list.path(), &copy)?;
        if let Some((user, group)) = owner {
            chown(copy, Some(user), Some(group))?;
        }
    }
    if let Some((user, group)) = owner {
        chown(target, Some(user), Some(group))?;
    }
    Ok(())
}

/// The container's own directories, bound to their places.
fn own(plan: &Plan, trees: &Trees) -> Result<(), Failure> {
    let below = Path::new(OWN);
    sys::attach(&trees.own, below).step("attach the container's files")?;
    for (name, place, mode) in [
        (HOME, "home/user", 0o755),
        ("tmp", "tmp", 0o1777),
        ("files", "files", 0o755),
        ("skills", "skills", 0o755),
    ] {
        let source = below.join(name);
        if !plan.privileged && !source.is_dir() {
            DirBuilder::new()
                .mode(mode)
                .create(&source)
                .step("make a container's directory")?;
            fs::set_permissions(&source, Permissions::from_mode(mode))
                .step("make a container's directory")?;
        }
        sys::bind(&source, Path::new(place)).step("bind a container's directory")?;
    }
    sys::detach(below).step("detach the container's files")?;
    fs::remove_dir(below).step("tidy up the root")
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), make_directory)
}

/// Makes a container's directories for the sandbox's user; what is there stays.
pub(super) fn make_own(base: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    for (name, mode) in [
        (HOME, 0o755),
        ("tmp", 0o1777),
        ("files", 0o755),
        ("skills", 0o755),
    ] {
        let path: PathBuf = base.join(name);
        match DirBuilder::new().mode(mode).create(&path) {
            Ok(()) => {
                if let Some((uid, gid)) = owner {
                    chown(&path, Some(uid), Some(gid))?;
                }
                fs::set_permissions(&path, Permissions::from_mode(mode))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
