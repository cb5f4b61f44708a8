//! The first process of a sandbox without namespaces, from a fresh copy of this program to warden and guest.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::space::Space;
use super::warden::{self, Warden};
use super::{filter, landlock, sys};
use crate::local::init::{Control, Failure, Role, Step as _, make_own, seed};
use crate::local::plan::{Confined, Memory, Plan, Word};
use crate::local::rootfs;

/// The content of `/proc/net/dev` where there is no network.
const NETWORK: &str = "Inter-|   Receive                                                |  Transmit\n \
    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n";

const SOCKETS: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n";

/// Becomes the guest, or the warden and ends with it.
pub(in crate::local) fn enter(
    plan: &Plan,
    own: &Confined,
    control: &mut Control,
) -> Result<Role, Failure> {
    let abi = landlock::abi().step("landlock_create_ruleset")?;
    let abi = own.landlock_abi.map_or(abi, |most| abi.min(most));
    let owner = own.becomes_user.then_some((plan.host_uid, plan.host_gid));
    make_own(&own.folder, owner).step("make the container's directories")?;
    shared_memory(own, owner).step("make a place for shared memory")?;
    skeleton(plan, own).step("make the places of a root")?;
    if let Some(libraries) = plan
        .binds
        .iter()
        .find(|bind| bind.target == Path::new(rootfs::LIBRARIES.trim_start_matches('/')))
    {
        // Only makes the first plot faster.
        seed(&libraries.source, &own.folder.join("tmp/matplotlib"), owner).ok();
    }
    let rules =
        |programs| landlock::rules(abi, &plan.binds, own, programs).step("landlock_create_ruleset");
    let (ours, programs) = (rules(false)?, rules(true)?);
    crate::local::sys::run_on(&plan.cpus).step("choose the CPU")?;
    for limit in &plan.rlimits {
        crate::local::sys::limit(limit.resource, limit.soft, limit.hard).step("set a limit")?;
    }
    crate::local::sys::shed_bounds();
    if let Some((user, group)) = owner {
        sys::become_user(user, group).step("setresuid")?;
    }
    crate::local::sys::shed_capabilities().step("give up the capabilities")?;
    sys::control(libc::PR_SET_CHILD_SUBREAPER, 1).step("adopt orphans")?;
    // Changes of user reset it. A server that died meanwhile has closed the guest's channel.
    sys::control(
        libc::PR_SET_PDEATHSIG,
        libc::c_ulong::from(libc::SIGTERM.cast_unsigned()),
    )
    .step("tie the sandbox to the server")?;
    sys::restrict_self(&ours).step("landlock_restrict_self")?;
    drop(ours);
    let mut signals = sys::signals().step("signalfd")?;
    let (mine, theirs) = UnixStream::pair().step("make a channel")?;
    // The guest knows how full its disk is; the warden tells programs.
    guest::room::share();
    let Some(guest) = sys::fork().step("fork")? else {
        drop((mine, signals));
        become_guest(own, plan.memory, &theirs)?;
        control.say(&Word::Ready).step("answer")?;
        return Ok(Role::Confined(programs));
    };
    drop((theirs, programs));
    let listener = sys::receive_descriptor(&mine).step("hear of the guest's calls")?;
    drop(mine);
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .step("open `/dev/null`")?;
    let space = Space::new(&plan.binds, &plan.links, own, guest);
    let mut warden = Warden::new(
        space,
        guest,
        own,
        plan.terminals,
        landlock::scopes_sockets(abi),
    );
    control
        .say(&Word::Forked(std::process::id().cast_signed()))
        .step("answer")?;
    crate::local::sys::replace_stdio(&null).step("close the channel")?;
    control.close();
    // Nobody is left to hear of an error: the sandbox ends, and the server sees that.
    warden.serve(&listener, &mut signals).ok();
    sys::kill(guest);
    drop(listener);
    warden::end_all();
    Ok(Role::Outer)
}

/// In the copy that becomes the guest.
fn become_guest(own: &Confined, memory: Memory, warden: &UnixStream) -> Result<(), Failure> {
    sys::hear_signals();
    sys::control(
        libc::PR_SET_PDEATHSIG,
        libc::c_ulong::from(libc::SIGKILL.cast_unsigned()),
    )
    .step("tie the guest to the warden")?;
    // The warden reads what its calls name. Who else might is kept out by Landlock.
    sys::control(libc::PR_SET_DUMPABLE, 1).step("let the warden see the guest")?;
    crate::local::filter::apply(memory == Memory::Kernel).step("filter the system calls")?;
    let listener =
        sys::listen(&filter::program(own.tasks > 0)).step("seccomp (user notification)")?;
    sys::send_descriptor(warden, &listener).step("tell the warden")?;
    drop::<OwnedFd>(listener);
    // A path that has to be exchanged, and one that has to be named: all that could be refused is tried.
    let exchanged = std::env::set_current_dir("/home/user").and_then(|()| std::env::current_dir());
    if exchanged.step("exchange a path (ptrace)")? != Path::new("/home/user") {
        let error = io::Error::other("it leads elsewhere");
        return Err(error).step("exchange a path (ptrace)");
    }
    std::env::set_current_dir("/").step("exchange a path (ptrace)")?;
    let null = File::options().write(true).open("/dev/null");
    null.and_then(|null| crate::local::sys::replace_stderr(&null))
        .step("close the standard error")
}

/// Shared memory does not outlive the sandbox.
fn shared_memory(own: &Confined, owner: Option<(u32, u32)>) -> io::Result<()> {
    let folder = own.folder.join("shm");
    crate::remove_tree(&folder)?;
    DirBuilder::new().mode(0o755).create(&folder)?;
    if let Some((user, group)) = owner {
        chown(&folder, Some(user), Some(group))?;
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o1777))
}

/// A root of empty places, with our own small files and the links.
fn skeleton(plan: &Plan, own: &Confined) -> io::Result<()> {
    let root = &own.root;
    crate::remove_tree(root)?;
    let directory = |path: &Path| DirBuilder::new().recursive(true).mode(0o755).create(path);
    for place in [
        "proc",
        "dev/pts",
        "dev/shm",
        "etc",
        "home/user",
        "tmp",
        "files",
        "skills",
    ] {
        directory(&root.join(place))?;
    }
    let parent = |path: &Path| path.parent().map_or(Ok(()), directory);
    for (place, target) in &plan.links {
        parent(&root.join(place))?;
        symlink(target, root.join(place))?;
    }
    for bind in &plan.binds {
        let place = root.join(&bind.target);
        parent(&place)?;
        if bind.directory {
            directory(&place)?;
        } else {
            File::create(&place)?;
        }
    }
    for (place, text) in &plan.texts {
        parent(&root.join(place))?;
        fs::write(root.join(place), text)?;
        fs::set_permissions(root.join(place), Permissions::from_mode(0o444))?;
    }
    let network = root.join(Confined::NETWORK);
    directory(&network)?;
    for (name, text) in [("dev", NETWORK), ("unix", SOCKETS), ("route", "")] {
        fs::write(network.join(name), text)?;
        fs::set_permissions(network.join(name), Permissions::from_mode(0o444))?;
    }
    Ok(())
}
