//! Limits by control groups, version 1 or 2, as files written directly.
//!
//! Every server has a folder of its own, whose name says which process it is, so that a later server
//! knows whose is left.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use super::sys;
use crate::Limits;

const PREFIX: &str = "sandtable-";
const PERIOD_US: u64 = 100_000;

/// Where a server may make groups.
#[derive(Debug)]
pub(super) struct Cgroups {
    layout: Layout,
    /// This server's folder in each hierarchy.
    name: String,
    /// Keep hierarchies that are not mounted on the machine within reach.
    _mounts: Vec<OwnedFd>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Layout {
    /// One hierarchy for everything; its folder.
    Two(PathBuf),
    /// One per controller; the folders in which groups may be made.
    One {
        memory: PathBuf,
        pids: PathBuf,
        /// Only needed for less than a whole CPU.
        cpu: Option<PathBuf>,
    },
}

/// The groups of one sandbox; removed by [`Group::remove`], once its processes are gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    folders: Vec<PathBuf>,
    /// Whether a process that puts itself in gets in at once. The kernel takes milliseconds to let
    /// anyone put another one in, and version 2 knows no other way.
    is_joined: bool,
}

/// Why no control groups limit anything.
#[derive(Debug, thiserror::Error)]
pub(super) enum CgroupError {
    #[error(transparent)]
    Proc(#[from] io::Error),
    #[error("this process does not know its own start")]
    NoStart,
    #[error("control groups cannot be used: {0}")]
    Unusable(#[source] io::Error),
    #[error("there are no control groups: {0}")]
    None(#[source] io::Error),
}

impl Cgroups {
    /// Finds out what the machine has and makes the server's folder.
    pub(super) fn take(server_id: &str) -> Result<Self, CgroupError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mut held = Vec::new();
        let layout = match find(&mounts, &own) {
            Some(layout) => layout,
            None => unmounted(&mut held)?,
        };
        let name = own_name(server_id).ok_or(CgroupError::NoStart)?;
        let cgroups = Self {
            layout,
            name,
            _mounts: held,
        };
        cgroups.prepare().map_err(|error| {
            cgroups.close();
            CgroupError::Unusable(error)
        })?;
        Ok(cgroups)
    }

    pub(super) fn describe(&self) -> &'static str {
        match self.layout {
            Layout::Two(_) => "cgroup v2",
            Layout::One { .. } => "cgroup v1",
        }
    }

    fn prepare(&self) -> io::Result<()> {
        for base in self.bases() {
            fs::create_dir(base.join(&self.name))?;
        }
        if let Layout::Two(base) = &self.layout {
            let own = base.join(&self.name);
            fs::write(own.join("cgroup.subtree_control"), "+memory +pids +cpu")?;
        }
        // A group that works is the proof.
        let trial = self.make("trial", &Limits::default())?;
        trial.remove()
    }

    fn bases(&self) -> Vec<&PathBuf> {
        match &self.layout {
            Layout::Two(base) => vec![base],
            Layout::One { memory, pids, cpu } => {
                let mut all = vec![memory];
                all.extend([Some(pids), cpu.as_ref()].into_iter().flatten());
                all.dedup();
                all
            }
        }
    }

    /// Makes the groups of a sandbox.
    pub(super) fn make(&self, sandbox: &str, limits: &Limits) -> io::Result<Group> {
        let mut group = Group {
            folders: Vec::new(),
            is_joined: matches!(self.layout, Layout::One { .. }),
        };
        let made = self.fill(&mut group, sandbox, limits);
        if made.is_err() {
            // What is left is empty, and the next server takes it away.
            group.remove().ok();
        }
        made.map(|()| group)
    }

    fn fill(&self, group: &mut Group, sandbox: &str, limits: &Limits) -> io::Result<()> {
        let memory = limits.memory_bytes.to_string();
        let pids = limits.pids.to_string();
        let quota = u64::from(limits.milli_cpus) * PERIOD_US / 1000;
        // Whole CPUs are given by affinity, which programs can see.
        let part_of_a_cpu = !limits.milli_cpus.is_multiple_of(1000);
        let mut make = |base: &Path| -> io::Result<PathBuf> {
            let folder = base.join(&self.name).join(sandbox);
            if !group.folders.contains(&folder) {
                fs::create_dir(&folder)?;
                group.folders.push(folder.clone());
            }
            Ok(folder)
        };
        match &self.layout {
            Layout::Two(base) => {
                let folder = make(base)?;
                fs::write(folder.join("memory.max"), memory)?;
                write_if_there(&folder.join("memory.swap.max"), "0")?;
                fs::write(folder.join("pids.max"), pids)?;
                if part_of_a_cpu {
                    fs::write(folder.join("cpu.max"), format!("{quota} {PERIOD_US}"))?;
                }
            }
            Layout::One {
                memory: in_memory,
                pids: in_pids,
                cpu,
            } => {
                let folder = make(in_memory)?;
                fs::write(folder.join("memory.limit_in_bytes"), &memory)?;
                write_if_there(&folder.join("memory.memsw.limit_in_bytes"), &memory)?;
                let folder = make(in_pids)?;
                fs::write(folder.join("pids.max"), pids)?;
                if part_of_a_cpu && let Some(base) = cpu {
                    let folder = make(base)?;
                    fs::write(folder.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
                    fs::write(folder.join("cpu.cfs_quota_us"), quota.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// Removes the folders of servers that are gone.
    pub(super) fn reap(&self) {
        for base in self.bases() {
            for entry in fs::read_dir(base).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| *name != self.name) else {
                    continue;
                };
                if is_abandoned(name) {
                    remove_tree(&entry.path());
                }
            }
        }
    }

    /// Removes this server's folders; its sandboxes have ended.
    pub(super) fn close(&self) {
        for base in self.bases() {
            remove_tree(&base.join(&self.name));
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.close();
    }
}

impl Group {
    /// Where the sandbox's first process, while it has one thread, writes `0` to be in the groups.
    pub(super) fn joins(&self) -> Vec<PathBuf> {
        let folders = self.folders.iter().filter(|_| self.is_joined);
        folders.map(|folder| folder.join("tasks")).collect()
    }

    /// Puts a process, and so all it forks later, into the groups that it does not join itself.
    pub(super) fn add(&self, pid: u32) -> io::Result<()> {
        for folder in self.folders.iter().filter(|_| !self.is_joined) {
            fs::write(folder.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// Removes the groups. They are busy for a moment after the last process.
    pub(super) fn remove(&self) -> io::Result<()> {
        for folder in &self.folders {
            match fs::remove_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn write_if_there(path: &Path, text: &str) -> io::Result<()> {
    if path.exists() {
        fs::write(path, text)
    } else {
        Ok(())
    }
}

/// Groups are removed as folders; the files in them go along. Busy ones stay for the next server.
fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    fs::remove_dir(folder).ok();
}

/// `sandtable-<server>-<pid namespace>-<pid>-<start>`.
fn own_name(server_id: &str) -> Option<String> {
    let pid = std::process::id();
    let namespace = pid_namespace()?;
    Some(format!(
        "{PREFIX}{server_id}-{namespace}-{pid}-{}",
        start_of(pid)?
    ))
}

fn pid_namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let text = link.to_str()?;
    Some(
        text.trim_start_matches("pid:[")
            .trim_end_matches(']')
            .to_owned(),
    )
}

/// When a process started, in clock ticks since boot.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Whether a folder is a server's whose process has ended. Of another view of the processes nobody can say.
fn is_abandoned(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    let mut parts = rest.rsplitn(4, '-');
    let (Some(start), Some(pid), Some(namespace)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Ok(start), Ok(pid)) = (start.parse::<u64>(), pid.parse::<u32>()) else {
        return false;
    };
    pid_namespace().as_deref() == Some(namespace) && start_of(pid) != Some(start)
}

/// Reads the layout off `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn find(mounts: &str, own: &str) -> Option<Layout> {
    let two = mounts.lines().find_map(|line| {
        let mount = Mount::parse(line)?;
        let controllers = fs::read_to_string(mount.place.join("cgroup.controllers"));
        let usable = mount.kind == "cgroup2"
            && controllers.is_ok_and(|text| {
                ["memory", "pids", "cpu"]
                    .iter()
                    .all(|wanted| text.split_whitespace().any(|name| name == *wanted))
            });
        usable.then(|| mount.place.to_owned())
    });
    if let Some(base) = two {
        return usable_two(base);
    }
    let one = |controller: &str| {
        mounts.lines().find_map(|line| {
            let mount = Mount::parse(line)?;
            let here = mount.kind == "cgroup"
                && mount.options.split(',').any(|option| option == controller);
            here.then(|| {
                let below = own_group(own, controller).unwrap_or_default();
                // Seen from a namespace, or bound from elsewhere: the path need not be there.
                let nested = mount.place.join(below.trim_start_matches('/'));
                if nested.is_dir() {
                    nested
                } else {
                    mount.place.to_owned()
                }
            })
        })
    };
    Some(Layout::One {
        memory: one("memory")?,
        pids: one("pids")?,
        cpu: one("cpu"),
    })
}

/// Only a group without processes of its own hands controllers on.
fn usable_two(base: PathBuf) -> Option<Layout> {
    let control = base.join("cgroup.subtree_control");
    fs::write(control, "+memory +pids +cpu").ok()?;
    Some(Layout::Two(base))
}

/// Hierarchies that the kernel has and nobody has mounted: mounted for us alone, attached nowhere.
fn unmounted(held: &mut Vec<OwnedFd>) -> Result<Layout, CgroupError> {
    let mut mount = |flag: &std::ffi::CStr| {
        let mount = sys::mount_detached(
            c"cgroup",
            "sandtable",
            &[flag],
            sys::MountAttrFlags::empty(),
        )
        .map_err(CgroupError::None)?;
        // Of this process by its number: the sandbox's first process uses the path, too.
        let (pid, fd) = (std::process::id(), mount.as_raw_fd());
        let place = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        held.push(mount);
        Ok::<_, CgroupError>(place)
    };
    Ok(Layout::One {
        memory: mount(c"memory")?,
        pids: mount(c"pids")?,
        cpu: mount(c"cpu").ok(),
    })
}

struct Mount<'a> {
    place: &'a Path,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        Some(Self {
            place: Path::new(left.split(' ').nth(4)?),
            kind: right.next()?,
            options: right.nth(1)?,
        })
    }
}

/// The group of this process in the hierarchy of a controller.
fn own_group<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        controllers
            .split(',')
            .any(|name| name == controller)
            .then(|| parts.next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "4:memory:/jobs/one\n1:cpu,cpuacct:/\n0::/\n";

    fn mounts(folder: &Path) -> String {
        let at = folder.display();
        format!(
            "30 20 0:26 / {at}/memory rw,relatime shared:3 - cgroup cgroup rw,memory\n\
             31 20 0:27 / {at}/pids rw - cgroup cgroup rw,pids\n\
             32 20 0:28 / {at}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             33 20 0:29 / {at}/unified rw - cgroup2 cgroup2 rw\n"
        )
    }

    #[test]
    fn groups_of_version_1_are_made_below_our_own_group() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("memory/jobs/one")).unwrap();
        fs::create_dir_all(folder.path().join("unified")).unwrap();
        fs::write(folder.path().join("unified/cgroup.controllers"), "").unwrap();
        let found = find(&mounts(folder.path()), OWN).unwrap();
        let wanted = Layout::One {
            memory: folder.path().join("memory/jobs/one"),
            pids: folder.path().join("pids"),
            cpu: Some(folder.path().join("cpu")),
        };
        assert_eq!(found, wanted);
    }

    #[test]
    fn version_2_is_taken_where_it_has_the_controllers() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("unified");
        fs::create_dir_all(&base).unwrap();
        fs::write(
            base.join("cgroup.controllers"),
            "cpuset cpu io memory pids\n",
        )
        .unwrap();
        let found = find(&mounts(folder.path()), OWN).unwrap();
        assert_eq!(found, Layout::Two(base.clone()));
        let cgroups = Cgroups {
            layout: found,
            name: "sandtable-x".to_owned(),
            _mounts: Vec::new(),
        };
        fs::create_dir(base.join("sandtable-x")).unwrap();
        let limits = Limits {
            milli_cpus: 500,
            ..Limits::default()
        };
        let group = cgroups.make("one", &limits).unwrap();
        let read = |name: &str| fs::read_to_string(group.folders[0].join(name)).unwrap();
        assert_eq!(read("memory.max"), "5368709120");
        assert_eq!(read("pids.max"), "512");
        assert_eq!(read("cpu.max"), "50000 100000");
    }

    #[test]
    fn only_a_dead_servers_folder_is_abandoned() {
        let own = own_name("server").unwrap();
        assert!(!is_abandoned(&own));
        let (before, start) = own.rsplit_once('-').unwrap();
        let earlier = start.parse::<u64>().unwrap() + 1;
        assert!(is_abandoned(&format!("{before}-{earlier}")));
        let elsewhere = own.replace(&pid_namespace().unwrap(), "1");
        assert!(!is_abandoned(&elsewhere.replace(start, "7")));
        assert!(!is_abandoned("docker"));
        assert!(!is_abandoned("sandtable-mine"));
    }
}
