//! The backend without Docker: sandboxes of our own making, from Linux namespaces.
//!
//! Every sandbox is a copy of this program that shuts itself in and becomes the guest. As root it gets
//! a user of its own, control groups, and a disk of exact size; as an ordinary user, what that user may
//! give. Where no namespace may be made, Landlock confines it instead, and a warden gives the names of
//! things their meaning. A container's files lie in its own folder below the data directory; a sandbox ends with its server.

mod backend;
mod cgroup;
mod confined;
mod disk;
mod filter;
mod form;
mod init;
mod launch;
mod libraries;
mod own;
mod plan;
mod probe;
mod python;
mod rootfs;
mod rung;
mod sys;
mod tools;
mod watchdog;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::StatVfsMountFlags;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use self::cgroup::{Cgroups, Group};
use self::disk::Disks;
pub use self::init::entry;
pub use self::init::may_be_entered;
use self::launch::Launcher;
pub use self::libraries::{COMPILED_HINT, Failure, Libraries, LibrariesError, Place};
use self::own::{make_private, new_user, owner, uids};
use self::plan::{Confined, Memory, Plan, Rlimit, Storage};
pub use self::probe::{Absent, Facts, apparmor_profile};
use self::python::Python;
use self::rootfs::RootFs;
use self::rung::Rung;
pub use self::tools::Lacking;
use self::watchdog::{Watchdog, Watched};
use crate::remove_tree;
use crate::{
    BoxFuture, Cause, Channel, Isolation, Limits, PassedOver, SandboxError, SandboxSpec, memory,
};
use common::hinted::Hinted as _;
use common::ids::SandboxId;
use common::limits::{CONCURRENT_STARTS, SANDBOX_SHM_BYTES, SANDBOX_TERMINALS};

/// The prefix of the names of containers, and of their folders.
const CONTAINER: &str = "container_";
const NO_PYTHON_HINT: &str =
    "`sudo apt install python3` (or your system's way to Python, best 3.11) is enough";
/// The hint on libraries that sandboxes do not come to.
pub const CLOSED_HINT: &str =
    "set `XDG_CACHE_HOME` to a folder that everybody may pass through, such as `/var/cache`";
const NO_WAY_HINT: &str = "choose a `--data-dir` below a folder that everybody may pass through, such as `/var/lib/sandtable`";
const SOFT_FILES: u64 = 4096;
const HARD_FILES: u64 = 65_536;
/// How long the last of a sandbox may take to be gone.
const FAREWELL: Duration = Duration::from_secs(20);
const RELEASE_STEP: Duration = Duration::from_millis(2);
const RELEASE_STEPS: u32 = 1000;

/// Configuration of a local backend.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Names this run of the server; unique, never derived from a seed.
    pub server_id: String,
    /// The server's data directory.
    pub data_dir: PathBuf,
    /// Where installed libraries are kept; the user's usual cache if `None`.
    pub cache_dir: Option<PathBuf>,
    /// Whether missing libraries are installed when the first sandbox starts.
    pub provision: bool,
    /// A copy of this program; the running one if `None`.
    pub program: Option<PathBuf>,
    /// The means of isolation that may be used.
    pub isolation: Isolation,
    /// No newer a Landlock than of this generation, where it confines; the kernel's if `None`.
    pub landlock_abi: Option<i64>,
    /// Backends that were tried before, and why they do not run.
    pub passed_over: Vec<PassedOver>,
}

/// Launches sandboxes as processes of this machine.
pub struct LocalBackend {
    inner: Arc<Inner>,
}

struct Inner {
    server_id: String,
    folder: PathBuf,
    /// Whether each sandbox has a user of its own on the machine.
    privileged: bool,
    rung: Rung,
    passed_over: Vec<PassedOver>,
    landlock_abi: Option<i64>,
    launcher: Launcher,
    cgroups: Option<Cgroups>,
    disks: Option<Disks>,
    python: Python,
    /// Whether it is there: without it nothing but the trial is run.
    has_python: bool,
    libraries: Libraries,
    provision: bool,
    /// Made at the first start: the libraries may come late.
    root: OnceLock<RootFs>,
    /// Whether the libraries have been looked after; held while that is done.
    provisioned: tokio::sync::Mutex<bool>,
    facts: Facts,
    /// The users of its sandboxes: as root those that are nobody's, else its own.
    users: Range<u32>,
    cpus: Vec<usize>,
    turns: AtomicUsize,
    starts: Semaphore,
    watchdog: Option<Watchdog>,
    sandboxes: Mutex<HashMap<SandboxId, Arc<Sandbox>>>,
    /// Makes the next container's disk.
    aside: Mutex<Option<JoinHandle<()>>>,
}

/// A sandbox that runs, or is about to be gone.
#[derive(Debug)]
struct Sandbox {
    process: OwnedFd,
    gone: watch::Receiver<bool>,
}

impl LocalBackend {
    /// Looks at what this machine offers and proves it with a trial sandbox.
    pub fn connect(config: LocalConfig) -> BoxFuture<'static, Result<Self, SandboxError>> {
        Box::pin(Self::prove(config))
    }

    async fn prove(config: LocalConfig) -> Result<Self, SandboxError> {
        let inner = tokio::task::spawn_blocking(move || Inner::best(config))
            .await
            .map_err(|error| failed("look at this machine", error))??;
        let inner = Arc::new(inner);
        // Not before the trial: where that fails, Python alone would not be enough.
        if !inner.has_python {
            return Err(SandboxError::Unavailable {
                reason: "there is no `python3` on this machine".to_owned(),
                hint: NO_PYTHON_HINT.to_owned(),
            });
        }
        inner.put_a_disk_aside(Limits::default().disk_bytes);
        Ok(Self { inner })
    }

    /// The folder that keeps the sandboxes' users from the libraries, if one does.
    pub fn libraries_closed_by(&self) -> Option<PathBuf> {
        self.inner
            .libraries_closed_by(&self.inner.libraries.place())
    }

    /// The documented libraries for its interpreter.
    pub fn libraries(&self) -> &Libraries {
        &self.inner.libraries
    }

    /// The documented tools that its sandboxes lack.
    pub fn lacking(&self) -> &Lacking {
        &self.inner.facts.lacking
    }

    /// Whether a container's disk has an exact size.
    pub fn disk_is_exact(&self) -> bool {
        self.inner.disks.is_some()
    }

    /// Whether sandboxes have namespaces of their own.
    pub fn has_namespaces(&self) -> bool {
        self.inner.rung == Rung::Namespaces
    }

    /// Whether memory and processes are limited by control groups.
    pub fn has_cgroups(&self) -> bool {
        self.inner.cgroups.is_some()
    }

    /// The process id of a container's guest, while it runs.
    pub fn pid(&self, sandbox_id: &str) -> Option<i32> {
        let sandbox = self.inner.sandbox(sandbox_id)?;
        watchdog::pid_of(&sandbox.process)
    }
}

impl Inner {
    /// On the best rung that this machine and the user allow, proven by a trial sandbox.
    fn best(mut config: LocalConfig) -> Result<Self, SandboxError> {
        let on = |config: LocalConfig, rung| {
            let inner = Self::new(config, rung)?;
            match inner.trial() {
                Ok(()) => Ok(inner),
                Err(error) => {
                    if let Some(cgroups) = &inner.cgroups {
                        cgroups.close();
                    }
                    Err(error)
                }
            }
        };
        let isolation = config.isolation;
        if isolation == Isolation::Landlock {
            return on(config, Rung::Landlock);
        }
        let refused = match on(config.clone(), Rung::Namespaces) {
            Ok(inner) => return Ok(inner),
            Err(refused) => refused,
        };
        let SandboxError::Unavailable { reason, hint } = refused else {
            return Err(refused);
        };
        config.passed_over.push(PassedOver {
            name: "namespaces",
            reason: reason.clone(),
        });
        match on(config, Rung::Landlock) {
            Ok(_) if isolation == Isolation::Strict => Err(probe::too_weak(&reason, &hint)),
            Ok(inner) => Ok(inner),
            Err(second) => Err(probe::neither(&reason, &hint, &second)),
        }
    }

    fn new(config: LocalConfig, rung: Rung) -> Result<Self, SandboxError> {
        let confined = rung == Rung::Landlock;
        let privileged = if confined {
            rung::may_change_user()
        } else {
            sys::effective_uid() == 0
        };
        let folder = config.data_dir.join("sandboxes");
        make_private(&folder).map_err(|error| failed("make the sandboxes' folder", error))?;
        let folder = fs::canonicalize(&folder)
            .map_err(|error| failed("make the sandboxes' folder", error))?;
        if confined && privileged {
            let own = folder.parent().unwrap_or(&folder);
            rung::open_way(&folder, own).map_err(|error| SandboxError::Unavailable {
                reason: error.to_string(),
                hint: NO_WAY_HINT.to_owned(),
            })?;
        }
        let found = Python::find();
        let has_python = found.is_some();
        let python = found.unwrap_or_else(Python::of_debian);
        let program = config.program.unwrap_or_else(|| "/proc/self/exe".into());
        let launcher =
            Launcher::start(program).map_err(|error| failed("start the launcher", error))?;
        let cgroups = if confined {
            Err(Absent::NO_NAMESPACES)
        } else if privileged {
            Cgroups::take(&config.server_id).map_err(|error| Absent(error.to_string().into()))
        } else {
            Err(Absent::ONLY_ROOT)
        };
        let disks = if confined {
            Err(Absent::NO_NAMESPACES)
        } else if privileged {
            Disks::new(&folder).map_err(|why| Absent(why.to_string().into()))
        } else {
            Err(Absent::ONLY_ROOT)
        };
        let libraries = Libraries::new(&python, config.cache_dir.as_deref());
        let facts = Facts {
            without_namespaces: confined.then(|| {
                let passed = config.passed_over.iter();
                let reason = passed.rev().find(|passed| passed.name == "namespaces");
                reason.map_or_else(|| "asked for".to_owned(), |passed| passed.reason.clone())
            }),
            python: python.describe(),
            python_is_documented: python.is_documented(),
            cgroups: cgroups
                .as_ref()
                .map(Cgroups::describe)
                .map_err(Clone::clone),
            disk: disks.as_ref().map(|_| ()).map_err(Clone::clone),
            lacking: Lacking::of_this_machine(),
            closed_to_programs: (disks.is_err() && runs_nothing(&folder)).then(|| folder.clone()),
        };
        let watchdog = if cgroups.is_err() && !confined {
            Some(Watchdog::start().map_err(|error| failed("start the watchdog", error))?)
        } else {
            None
        };
        let users = if privileged {
            uids(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default())
        } else {
            let user = sys::effective_uid();
            user..user.saturating_add(1)
        };
        Ok(Self {
            server_id: config.server_id,
            folder,
            privileged,
            rung,
            passed_over: config.passed_over,
            landlock_abi: config.landlock_abi,
            launcher,
            cgroups: cgroups.ok(),
            disks: disks.ok(),
            python,
            has_python,
            libraries,
            provision: config.provision,
            root: OnceLock::new(),
            provisioned: tokio::sync::Mutex::new(false),
            facts,
            users,
            cpus: sys::cpus(),
            turns: AtomicUsize::new(0),
            starts: Semaphore::new(CONCURRENT_STARTS),
            watchdog,
            sandboxes: Mutex::default(),
            aside: Mutex::default(),
        })
    }

    /// A sandbox of an empty folder, ended at once: the proof that this machine allows it.
    fn trial(&self) -> Result<(), SandboxError> {
        let folder = tempfile::Builder::new()
            .prefix(".trial-")
            .tempdir_in(&self.folder)
            .map_err(|error| failed("try a sandbox", error))?;
        if self.rung == Rung::Landlock && self.privileged {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))
                .map_err(|error| failed("try a sandbox", error))?;
        }
        let mut plan = self.plan(
            "trial",
            &Limits::default(),
            Storage::Directory(folder.path().into()),
        )?;
        let root = RootFs::of_this_machine(&self.python, None);
        let memory = std::mem::take(&mut plan.texts);
        (plan.binds, plan.links, plan.texts) = (root.binds, root.links, root.texts);
        plan.texts.extend(memory);
        let launched = self
            .launcher
            .launch(&plan, &Group::default())
            .map_err(|error| probe::refused(&error, self.rung, self.privileged))?;
        // Its channel closes: it ends by itself, but need not be waited for so long.
        self.kill(&launched.process)
            .map_err(|error| failed("end a trial sandbox", error))?;
        let deadline = Instant::now() + FAREWELL;
        while !sys::reap(&launched.process).unwrap_or(true) {
            if Instant::now() > deadline {
                return Err(SandboxError::Engine {
                    operation: "end a trial sandbox",
                    cause: "it does not end".into(),
                });
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        // What it is made of may be closed to its owner, too.
        remove_tree(folder.path()).map_err(|error| failed("end a trial sandbox", error))?;
        Ok(())
    }

    /// Ends a sandbox. Its PID 1 takes all others with it; without namespaces the warden does, who has to
    /// be asked.
    fn kill(&self, process: &OwnedFd) -> io::Result<()> {
        match self.rung {
            Rung::Namespaces => sys::kill(process),
            Rung::Landlock => sys::signal(process, sys::Signal::TERM),
        }
    }

    fn confined(&self, limits: &Limits, storage: &Storage) -> Option<Confined> {
        let Storage::Directory(folder) = storage else {
            return None;
        };
        let tasks = limits.pids.max(1).cast_unsigned();
        (self.rung == Rung::Landlock).then(|| Confined {
            folder: folder.clone(),
            root: folder.join("root"),
            becomes_user: self.privileged,
            tasks: if self.privileged { 0 } else { tasks },
            memory_bytes: limits.memory_bytes,
            landlock_abi: self.landlock_abi,
        })
    }

    fn plan(
        &self,
        sandbox_id: &str,
        limits: &Limits,
        storage: Storage,
    ) -> Result<Plan, SandboxError> {
        let owner = match &storage {
            Storage::Directory(folder) => owner(folder, &self.users)
                .map_err(|error| failed("open the container's files", error))?,
            // Its first process looks into it.
            Storage::Image(_) => None,
        };
        let (host_uid, host_gid) = if self.privileged {
            let new = || new_user(&self.users, &self.server_id, sandbox_id);
            let user = owner.unwrap_or_else(new);
            (user, user)
        } else {
            (sys::effective_uid(), sys::effective_gid())
        };
        let same = |resource: libc::__rlimit_resource_t, most: u64| Rlimit {
            resource,
            soft: most,
            hard: most,
        };
        let mut rlimits = vec![
            same(libc::RLIMIT_CORE, 0),
            same(libc::RLIMIT_FSIZE, limits.disk_bytes),
            Rlimit {
                resource: libc::RLIMIT_NOFILE,
                soft: SOFT_FILES,
                hard: HARD_FILES,
            },
        ];
        // Counted by the user: an ordinary one has others outside, and then the warden counts.
        if self.rung == Rung::Namespaces || self.privileged {
            let most = limits.pids.max(1).cast_unsigned();
            rlimits.push(same(libc::RLIMIT_NPROC, most));
        }
        let memory = if self.cgroups.is_some() {
            Memory::Kernel
        } else {
            Memory::Watchdog
        };
        if memory == Memory::Watchdog {
            rlimits.push(same(libc::RLIMIT_DATA, limits.memory_bytes));
        }
        let RootFs {
            binds,
            links,
            mut texts,
        } = self.root.get().cloned().unwrap_or_default();
        texts.push((rootfs::MEMORY.into(), memory::text(limits.memory_bytes)));
        let confined = self.confined(limits, &storage);
        if confined.is_some() {
            rootfs::name_user(&mut texts, host_uid, host_gid);
        }
        Ok(Plan {
            privileged: self.privileged,
            host_uid,
            host_gid,
            users: self.users.clone(),
            binds,
            links,
            texts,
            storage,
            confined,
            joins: Vec::new(),
            shm_bytes: SANDBOX_SHM_BYTES,
            disk_bytes: limits.disk_bytes,
            terminals: SANDBOX_TERMINALS,
            rlimits,
            memory,
            cpus: self.cpus_of_the_next(limits.milli_cpus),
        })
    }

    /// Sandboxes take turns on the CPUs.
    fn cpus_of_the_next(&self, milli_cpus: u32) -> Vec<usize> {
        let available = self.cpus.len().max(1);
        let wanted = usize::try_from(milli_cpus.div_ceil(1000))
            .unwrap_or(available)
            .clamp(1, available);
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        (0..wanted)
            .filter_map(|n| self.cpus.get((turn + n) % available).copied())
            .collect()
    }

    /// The folder that keeps the sandboxes' users from the libraries, if one does.
    fn libraries_closed_by(&self, place: &Place) -> Option<PathBuf> {
        let others = self.rung == Rung::Landlock && self.privileged;
        place
            .folder()
            .filter(|_| others)
            .and_then(|folder| rung::closed(&folder))
    }

    /// Sees to the libraries, once. Without them sandboxes run, and imports fail.
    async fn provision(self: &Arc<Self>) {
        let mut done = self.provisioned.lock().await;
        if *done {
            return;
        }
        let inner = Arc::clone(self);
        let look = move || {
            let place = if inner.provision {
                inner.install()
            } else {
                inner.libraries.place()
            };
            let mut folder = place.folder();
            if let Some(closed) = inner.libraries_closed_by(&place) {
                tracing::warn!(
                    hint = CLOSED_HINT,
                    "sandboxes run without the documented libraries: their users cannot pass through `{}`",
                    closed.display()
                );
                folder = None;
            }
            let root = RootFs::of_this_machine(&inner.python, folder.as_deref());
            inner.root.set(root).ok();
        };
        *done = tokio::task::spawn_blocking(look).await.is_ok();
    }

    /// Installs the libraries that are missing, unless that has failed lately.
    fn install(&self) -> Place {
        let installed = self.libraries.provide(&mut |text| {
            tracing::info!("{text}");
        });
        match installed {
            Ok(place) => return place,
            // Said when it failed, and by the banner.
            Err(LibrariesError::Lately(failure)) => {
                tracing::debug!(
                    at = %failure.at, until = %failure.until(), reason = failure.reason,
                    "the documented libraries are not tried again yet"
                );
            }
            // Nothing starts any more, so nobody needs to know which.
            Err(LibrariesError::Stopped) => return Place::Missing(Vec::new()),
            Err(error) => {
                let hint = error.hint().unwrap_or(
                    "`sandtable image build` tries again; `--provision never` does without".into(),
                );
                tracing::warn!(
                    %error,
                    hint = &*hint,
                    "sandboxes run without some of the documented libraries"
                );
            }
        }
        self.libraries.place()
    }

    async fn start(self: Arc<Self>, spec: SandboxSpec) -> Result<Channel, SandboxError> {
        self.provision().await;
        if self.libraries.is_stopped() {
            return Err(failed("start the sandbox", LibrariesError::Stopped));
        }
        self.end(&spec.sandbox_id).await?;
        let _permit = self
            .starts
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let inner = Arc::clone(&self);
        let starting =
            tokio::task::spawn_blocking(move || inner.launch(&spec).map(|ok| (ok, spec)));
        let (started, spec) = starting
            .await
            .map_err(|error| failed("start the sandbox", error))??;
        let channel = tokio::net::UnixStream::from_std(started.launched.channel)
            .map_err(|error| failed("start the sandbox", error))?;
        let (reader, writer) = channel.into_split();
        let process = started.launched.process;
        let watching = process
            .try_clone()
            .and_then(sys::await_end)
            .map_err(|error| failed("start the sandbox", error))?;
        let (gone_out, gone) = watch::channel(false);
        let sandbox = Arc::new(Sandbox { process, gone });
        self.lock()
            .insert(spec.sandbox_id.clone(), Arc::clone(&sandbox));
        self.put_a_disk_aside(spec.limits.disk_bytes);
        self.launcher.put_one_aside();
        let inner = Arc::clone(&self);
        tokio::spawn(async move {
            // An error means that it cannot be waited for: it is taken for gone.
            watching.readable().await.map(drop).ok();
            inner.reap_and_remove(&sandbox, &started.group).await;
            let mut sandboxes = inner.lock();
            if sandboxes
                .get(&spec.sandbox_id)
                .is_some_and(|current| Arc::ptr_eq(current, &sandbox))
            {
                sandboxes.remove(&spec.sandbox_id);
            }
            drop(sandboxes);
            gone_out.send_replace(true);
        });
        Ok(Channel {
            reader: Box::new(reader),
            writer: Box::new(writer),
        })
    }

    fn launch(&self, spec: &SandboxSpec) -> Result<Started, SandboxError> {
        let container = self.folder.join(&*spec.sandbox_id);
        make_private(&container).map_err(|error| failed("make the container's folder", error))?;
        if self.rung == Rung::Landlock && self.privileged {
            fs::set_permissions(&container, fs::Permissions::from_mode(0o711))
                .map_err(|error| failed("make the container's folder", error))?;
        }
        let storage = self.storage(&container, &spec.limits)?;
        let mut plan = self.plan(&spec.sandbox_id, &spec.limits, storage)?;
        let group = match &self.cgroups {
            Some(cgroups) => {
                let turn = self.turns.load(Ordering::Relaxed);
                let name = format!("{}-{turn}", spec.sandbox_id);
                cgroups
                    .make(&name, &spec.limits)
                    .map_err(|error| failed("limit the sandbox", error))?
            }
            None => Group::default(),
        };
        plan.joins = group.joins();
        let launched = match self.launcher.launch(&plan, &group) {
            Ok(launched) => launched,
            Err(error) => {
                // Left empty, they go with the server.
                group.remove().ok();
                return Err(failed("start the sandbox", error));
            }
        };
        if let Some(watchdog) = &self.watchdog {
            let process = launched
                .process
                .try_clone()
                .map_err(|error| failed("watch the sandbox", error))?;
            watchdog.watch(Watched {
                sandbox_id: spec.sandbox_id.clone(),
                process,
                pid: launched.pid,
                memory_bytes: spec.limits.memory_bytes,
            });
        }
        Ok(Started { launched, group })
    }

    /// Has the next container's disk made while nobody waits for it.
    fn put_a_disk_aside(self: &Arc<Self>, bytes: u64) {
        if self.disks.is_none() {
            return;
        }
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        if aside.as_ref().is_some_and(|making| !making.is_finished()) {
            return;
        }
        let inner = Arc::clone(self);
        *aside = Some(tokio::task::spawn_blocking(move || {
            if let Some(disks) = &inner.disks
                && let Err(error) = disks.prepare(bytes)
            {
                tracing::debug!(%error, "no disk is put aside");
            }
        }));
    }

    /// After its last process: takes its status and its control groups away.
    async fn reap_and_remove(&self, sandbox: &Sandbox, group: &Group) {
        for _ in 0..RELEASE_STEPS {
            let reaped = sys::reap(&sandbox.process).unwrap_or(true);
            if reaped {
                break;
            }
            tokio::time::sleep(RELEASE_STEP).await;
        }
        for _ in 0..RELEASE_STEPS {
            match group.remove() {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    tokio::time::sleep(RELEASE_STEP).await;
                }
                _ => return,
            }
        }
    }

    /// Kills a container's sandbox and waits until nothing is left of it but the files.
    async fn end(&self, sandbox_id: &str) -> Result<(), SandboxError> {
        let Some(sandbox) = self.sandbox(sandbox_id) else {
            return Ok(());
        };
        self.kill(&sandbox.process)
            .map_err(|error| failed("stop the sandbox", error))?;
        let mut gone = sandbox.gone.clone();
        match tokio::time::timeout(FAREWELL, gone.wait_for(|gone| *gone)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(SandboxError::EngineTimeout {
                operation: "stop the sandbox",
                seconds: FAREWELL.as_secs(),
            }),
        }
    }

    fn reap(&self, known: impl Fn(&str) -> bool) -> usize {
        if let Some(cgroups) = &self.cgroups {
            cgroups.reap();
        }
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(".trial-") || disk::is_left_over(name) {
                remove_tree(&entry.path()).ok();
            } else if name.starts_with(CONTAINER) && !known(name) && self.sandbox(name).is_none() {
                match remove_tree(&entry.path()) {
                    Ok(()) => removed += 1,
                    Err(error) => {
                        tracing::warn!(container.id = name, %error, "a container's files may be left");
                    }
                }
            }
        }
        removed
    }

    fn sandbox(&self, sandbox_id: &str) -> Option<Arc<Sandbox>> {
        self.lock().get(sandbox_id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SandboxId, Arc<Sandbox>>> {
        self.sandboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

struct Started {
    launched: launch::Launched,
    group: Group,
}

impl fmt::Debug for LocalBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBackend")
            .field("facts", &self.inner.facts)
            .field("folder", &self.inner.folder)
            .finish_non_exhaustive()
    }
}

/// Whether programs that lie in a folder cannot be started.
fn runs_nothing(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

fn failed(operation: &'static str, error: impl Error + Send + Sync + 'static) -> SandboxError {
    SandboxError::Engine {
        operation,
        cause: Cause::of(error),
    }
}
