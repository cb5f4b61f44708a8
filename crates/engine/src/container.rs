//! The life of containers on the clock: made, woken, used, expired, removed.
//!
//! A container is a row in the store; a sandbox runs behind it while it is awake. Whoever wants to run
//! something takes a [`Lease`], and gets the running sandbox or a newly started one. A container that
//! nobody has used for a while falls asleep: its processes end, its files stay.

mod files;
mod home;
pub mod over;
mod past;
mod pending;
mod skills;
mod sweep;
mod tree;
mod uploads;
mod visit;
mod wake;
mod web_calls;

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tracing::Instrument as _;

pub use over::ends_at;

use common::clock::{Clock, rfc3339_micros};
use common::ids::{ContainerId, SandboxId};
use common::ids::{Ids, Kind, OWN_HEX};
use common::limits::{self, Timeouts};
pub use files::{FilesError, Listed, Opened};
pub use past::{Digest, PastCall, Step};
use past::{History, Past};
use pending::Pending;
pub use pending::timed_out;
use sandbox::guest::{ErrorKind, Guest, GuestError};
use sandbox::{Backend, Cause, Limits, SandboxError};
use store::{ContainerRow, ContainerState, MountedFile, MountedSkill, Store, StoreError};
pub use tree::TreeError;
use uploads::Waiting;
use wake::Woken;
use web_calls::Since;
pub(crate) use web_calls::WebCallMade;
use workspace::Workspace;
use workspace::events::Events;
use workspace::quirks::ExpiresAt;
use workspace::telemetry::Telemetry;

/// All containers of a server. Clones share them.
#[derive(Debug, Clone)]
pub struct Containers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    backend: Arc<dyn Backend>,
    limits: Limits,
    /// A container that was not used for so long falls asleep.
    idle: Duration,
    timeouts: Timeouts,
    /// Calls that are known from containers with the same past need not run.
    follows_pasts: bool,
    /// By what backends call their sandboxes: an id may be another workspace's, too.
    known: Mutex<HashMap<SandboxId, Arc<Container>>>,
    events: Events,
    telemetry: Telemetry,
}

/// A container that can be used.
#[derive(Debug)]
pub struct Container {
    /// `container_…`.
    pub id: ContainerId,
    pub workspace: String,
    /// The id of its sandbox with the backends.
    sandbox_id: SandboxId,
    pub created_at: DateTime<Utc>,
    /// The 16 hexadecimal digits in `/files/input/<16 hex>`.
    pub input_dir: String,
    clock: Clock,
    usage: Mutex<Usage>,
    /// Whether a sandbox may run that nobody is connected to.
    may_run: AtomicBool,
    /// Whether a sandbox of it has run, so that there are files of it.
    has_run: AtomicBool,
    /// Directories of the server's own that may still be in the sandbox, as patterns of the shell.
    left: Mutex<Vec<String>>,
    /// The cell that waits for the client's tools.
    pending: Mutex<Option<Pending>>,
    /// The last cells that have searched the web.
    searched: Mutex<VecDeque<String>>,
    /// The web calls of the last cells.
    web_calls: Mutex<VecDeque<Since>>,
    /// When it was last used, as it was first read.
    last_used_at: DateTime<Utc>,
    history: Mutex<History>,
    /// Held while the sandbox is started, filled, or stopped.
    sandbox: tokio::sync::Mutex<Sandbox>,
}

/// The number of a container's users, and since when it has none: by the machine's time, for by a clock that a test
/// advances, variables would last until the next sweep comes by.
#[derive(Debug)]
struct Usage {
    leases: usize,
    idle_since: Instant,
    /// Whether its sandbox was started for a look at files alone, and nobody has used it since.
    only_looked_at: bool,
}

/// What a lease is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Use,
    /// The server's own look at files.
    Visit,
}

/// The right to use a container's sandbox. The container stays awake as long as one is held.
#[derive(Debug)]
pub struct Lease {
    guest: Guest,
    container: Arc<Container>,
    /// What has not reached the sandbox, and why.
    missing: Vec<String>,
    /// Whether what earlier calls have left in the sandbox is gone.
    lost_files: bool,
}

impl Lease {
    /// Uploads and files of skills that are not in the sandbox, and why.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Whether what earlier calls have left in the sandbox is gone.
    pub(crate) fn lost_files(&self) -> bool {
        self.lost_files
    }
}

impl Deref for Lease {
    type Target = Guest;

    fn deref(&self) -> &Guest {
        &self.guest
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.container.leave();
    }
}

impl Container {
    /// Called with its sandbox locked, so that whoever has `started` it comes before the others.
    fn enter(&self, purpose: Purpose, started: bool) {
        let mut usage = self.usage();
        usage.leases += 1;
        usage.only_looked_at = match purpose {
            Purpose::Use => false,
            Purpose::Visit => usage.only_looked_at || started,
        };
    }

    fn leave(&self) {
        let mut usage = self.usage();
        usage.leases -= 1;
        usage.idle_since = Instant::now();
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> MutexGuard<'_, Vec<String>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has used it for `span`.
    fn is_idle_for(&self, span: Duration) -> bool {
        let usage = self.usage();
        usage.leases == 0 && usage.idle_since.elapsed() >= span
    }
}

#[derive(Debug, Default)]
struct Sandbox {
    guest: Option<Guest>,
    /// Uploads and calls that are to be made up before anything else happens in it.
    past: VecDeque<Past>,
    /// Uploads that are not in the sandbox yet, or are to be looked for there.
    waiting: Vec<Waiting>,
    /// Skills that are not in the sandbox yet.
    waiting_skills: Vec<MountedSkill>,
    /// Whether files of an imported state are not in the sandbox yet.
    tree_waits: bool,
    /// Whether its files were removed from under it, which nobody was told yet.
    lost_files: bool,
}

impl Sandbox {
    /// An upload is to be put into it, unless that is known.
    fn wait_for(&mut self, file: MountedFile) {
        let mut waiting = self.waiting.iter();
        if !waiting.any(|it| it.upload.file_id == file.file_id) {
            self.waiting.push(file.into());
        }
    }

    fn is_filled(&self) -> bool {
        self.past.is_empty()
            && self.waiting.is_empty()
            && self.waiting_skills.is_empty()
            && !self.tree_waits
            && !self.lost_files
    }
}

/// The result of a look-up of a container's id.
#[derive(Debug)]
pub enum Found {
    Alive(Arc<Container>),
    /// Past its 30 days, or ended on purpose.
    Expired,
    /// Never was, or another workspace's.
    Missing,
}

impl Containers {
    pub fn new(
        store: Store,
        backend: Arc<dyn Backend>,
        limits: Limits,
        (idle, timeouts): (Duration, Timeouts),
        follows_pasts: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            backend,
            limits,
            idle,
            timeouts,
            follows_pasts,
            known: Mutex::default(),
            events: Events::default(),
            telemetry: Telemetry::default(),
        }))
    }

    pub fn backend(&self) -> &dyn Backend {
        self.0.backend.as_ref()
    }

    /// Where is told what becomes of containers.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// The server's telemetry.
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    fn tell(&self, container: &Container, kind: &'static str) {
        self.0.events.tell(
            &container.workspace,
            kind,
            || json!({ "at": rfc3339_micros(container.clock.now()), "container": &*container.id }),
        );
    }

    /// The resource limits of each sandbox.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Whether the guest counts what a container's disk holds, for nothing below it sets a limit.
    pub(crate) fn watches_disk(&self, container: &Container) -> bool {
        let settings = self.0.backend.settings(&self.spec(container));
        settings.max_disk_bytes > 0
    }

    /// Whether a path that the editor is given lies in an output directory: this edit's own, or a call's.
    pub(crate) fn is_output(&self, container: &Container, path: &str) -> bool {
        let root = self.0.backend.settings(&self.spec(container)).files_root;
        let directories = ["$OUTPUT_DIR", "${OUTPUT_DIR}", &format!("{root}/output")];
        let inside = |directory: &&str| {
            path.strip_prefix(*directory)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        directories.iter().any(inside)
    }

    /// How long calls may take.
    pub fn timeouts(&self) -> Timeouts {
        self.0.timeouts
    }

    /// A new container; nothing runs behind it yet.
    pub async fn create(
        &self,
        workspace: &Workspace,
        ids: &Ids,
    ) -> Result<Arc<Container>, StoreError> {
        let now = workspace.clock.now();
        loop {
            let id = ids.next(Kind::Container);
            let row = ContainerRow {
                sandbox: id.clone(),
                id,
                workspace: workspace.id.clone(),
                created_at: now,
                expires_at: now + TimeDelta::minutes(limits::CONTAINER_ROLLING_MINUTES),
                last_used_at: now,
                state: ContainerState::Asleep,
                input_dir: ids.next_hex16(),
                started: false,
                tree_waits: false,
            };
            match self.0.store.insert_container(row.clone()).await {
                // Seeded ids repeat over a restart.
                Err(StoreError::IdTaken { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let container = self.know(row, &workspace.clock);
                    self.tell(&container, "container_created");
                    return Ok(container);
                }
            }
        }
    }

    /// The container of this id, if it is the workspace's and still lives.
    /// With `idle`, one that was not used for so long ends here.
    pub async fn find(
        &self,
        workspace: &Workspace,
        id: &str,
        idle: Option<TimeDelta>,
    ) -> Result<Found, StoreError> {
        let Some(row) = self.0.store.container(&workspace.id, id).await? else {
            return Ok(Found::Missing);
        };
        if row.state == ContainerState::Expired {
            return Ok(Found::Expired);
        }
        if is_over(&row, workspace.clock.now(), idle) {
            self.expire(workspace, id).await?;
            return Ok(Found::Expired);
        }
        let known = self.0.lock().contains_key(row.sandbox.as_str());
        let container = self.know(row, &workspace.clock);
        if !known {
            self.take_up_uploads(&container).await?;
        }
        Ok(Found::Alive(container))
    }

    /// Ends a container now; its id stays known as expired. False if there is none of this id.
    pub async fn expire(&self, workspace: &Workspace, id: &str) -> Result<bool, StoreError> {
        let state = ContainerState::Expired;
        let store = &self.0.store;
        let Some(row) = store.container(&workspace.id, id).await? else {
            return Ok(false);
        };
        let known = store.set_container_state(&workspace.id, id, state).await?;
        if known {
            workspace.tell("container_expired", || json!({ "container": id }));
            let containers = self.clone();
            tokio::spawn(async move { containers.discard(&[row.sandbox.into()]).await });
        }
        Ok(known)
    }

    /// Removes sandboxes, with their files, of containers whose rows are gone or expired.
    pub async fn discard(&self, sandboxes: &[SandboxId]) {
        for id in sandboxes {
            self.0.lock().remove(id);
        }
        let removals = sandboxes.iter().map(|id| async move {
            if let Err(error) = self.0.backend.remove(id).await {
                tracing::warn!(sandbox.id = %id, %error, "a sandbox could not be removed");
            }
        });
        futures_util::future::join_all(removals).await;
    }

    /// Notes a use, and says when the container expires: an hour from now, or five minutes while code in
    /// it `waits` for the client (F052); or at its real end.
    pub async fn touch(
        &self,
        workspace: &Workspace,
        container: &Container,
        tells: ExpiresAt,
        waits: bool,
    ) -> Result<DateTime<Utc>, StoreError> {
        let now = workspace.clock.now();
        let hard = ends_at(container.created_at);
        let expires_at = match tells {
            // The row says it whatever the answer tells: the next server looks for it.
            _ if waits => pending::expires_at(now),
            ExpiresAt::Rolling => now + TimeDelta::minutes(limits::CONTAINER_ROLLING_MINUTES),
            ExpiresAt::Hard => hard,
        };
        self.0
            .store
            .touch_container(&workspace.id, &container.id, now, expires_at)
            .await?;
        Ok(match tells {
            ExpiresAt::Rolling => expires_at,
            ExpiresAt::Hard => hard,
        })
    }

    /// The container's sandbox, started if none runs, with all uploads in place.
    pub async fn lease(&self, container: &Arc<Container>) -> Result<Lease, SandboxError> {
        self.lease_for(container, Purpose::Use).await
    }

    async fn lease_for(
        &self,
        container: &Arc<Container>,
        purpose: Purpose,
    ) -> Result<Lease, SandboxError> {
        if let Some(lease) = Self::enter_awake(container, purpose) {
            return Ok(lease);
        }
        let (containers, waking) = (self.clone(), Arc::clone(container));
        // In a task of its own: who leaves meanwhile leaves no sandbox half started or half filled, and
        // the next to come waits for it instead of starting another.
        let task = async move {
            let lease = containers.enter(&waking, purpose).await?;
            containers.fill(&waking, lease).await
        };
        let lease = tokio::spawn(task.in_current_span());
        let mut lease = lease.await.map_err(|error| SandboxError::Engine {
            operation: "wake the container",
            cause: Cause::of(error),
        })??;
        let mut sandbox = container.sandbox.lock().await;
        lease.lost_files = std::mem::take(&mut sandbox.lost_files);
        Ok(lease)
    }

    /// Clears a sandbox up, and puts into it what it is to have before anything runs.
    async fn fill(
        &self,
        container: &Arc<Container>,
        mut lease: Lease,
    ) -> Result<Lease, SandboxError> {
        let mut sandbox = container.sandbox.lock().await;
        self.clear_up(container, &lease).await;
        if sandbox.tree_waits {
            Box::pin(self.put_tree(container, &lease)).await?;
            sandbox.tree_waits = false;
        }
        while let Some(past) = sandbox.past.front_mut() {
            self.make_up(container, &lease, past).await?;
            sandbox.past.pop_front();
        }
        let mut missing = Vec::new();
        let mut place = 0;
        while let Some(waiting) = sandbox.waiting.get(place) {
            let filename = &waiting.upload.filename;
            match self.put(container, &lease, waiting).await {
                Ok(placed) => {
                    missing.extend(placed.what_is_missing(filename));
                    sandbox.waiting.remove(place);
                }
                Err(error) => {
                    let what = format!("`{filename}`");
                    missing.push(go_without(container, &what, error)?);
                    place += 1;
                }
            }
        }
        let skills = self.put_skills(container, &lease, &mut sandbox.waiting_skills);
        missing.extend(skills.await?);
        lease.missing = missing;
        Ok(lease)
    }

    /// A running sandbox with everything in place: nothing is waited for, so that calls which begin
    /// together reach it in their order.
    fn enter_awake(container: &Arc<Container>, purpose: Purpose) -> Option<Lease> {
        let sandbox = container.sandbox.try_lock().ok()?;
        let guest = sandbox.guest.clone()?;
        if guest.is_closed() || !sandbox.is_filled() || !container.left().is_empty() {
            return None;
        }
        container.enter(purpose, false);
        Some(Lease {
            guest,
            container: Arc::clone(container),
            missing: Vec::new(),
            lost_files: false,
        })
    }

    async fn enter(
        &self,
        container: &Arc<Container>,
        purpose: Purpose,
    ) -> Result<Lease, SandboxError> {
        let mut sandbox = container.sandbox.lock().await;
        let mut started = false;
        let guest = match sandbox.guest.take() {
            Some(guest) if !guest.is_closed() => guest,
            former => {
                if former.is_some_and(|guest| guest.is_spoilt()) {
                    container.may_run.store(false, Ordering::Relaxed);
                }
                let (guest, how) = self.wake(container).await?;
                started = how != Woken::TakenUp;
                container.has_run.store(true, Ordering::Relaxed);
                if how == (Woken::Started { empty: true }) {
                    tracing::warn!(container.id = %container.id, "the files of a container are gone: it begins empty");
                    sandbox.lost_files = true;
                }
                let keeps_files = self.0.backend.capabilities().keeps_files;
                if how.is_to_be_furnished(keeps_files) {
                    self.furnish(container, &mut sandbox).await?;
                }
                guest
            }
        };
        sandbox.guest = Some(guest.clone());
        container.enter(purpose, started);
        Ok(Lease {
            guest,
            container: Arc::clone(container),
            missing: Vec::new(),
            lost_files: false,
        })
    }

    /// Ends the sandbox and keeps the files; the next use starts it again.
    pub async fn sleep(&self, container: &Container) -> Result<(), SandboxError> {
        let sandbox = container.sandbox.lock().await;
        self.stop(container, sandbox).await
    }

    /// Puts a container to sleep that nobody uses any more; one that somebody uses, or whose code waits for the
    /// client, stays as it is.
    pub async fn rest(&self, workspace: &str, id: &str) -> Result<(), SandboxError> {
        self.rest_where(workspace, id, |_| true).await
    }

    /// The same where `may_sleep` says so of a container without users. It is asked when nobody can come any more.
    async fn rest_where(
        &self,
        workspace: &str,
        id: &str,
        may_sleep: impl Fn(&Usage) -> bool,
    ) -> Result<(), SandboxError> {
        let row = self.0.store.container(workspace, id).await;
        let row = row.map_err(store_failed)?;
        let Some(row) = row else { return Ok(()) };
        let Some(container) = self.0.lock().get(row.sandbox.as_str()).cloned() else {
            return Ok(());
        };
        let sandbox = container.sandbox.lock().await;
        let is_free = {
            let usage = container.usage();
            usage.leases == 0 && may_sleep(&usage)
        };
        if !is_free || self.is_pending(&row.sandbox) || sandbox.guest.is_none() {
            return Ok(());
        }
        self.stop(&container, sandbox).await
    }

    async fn sleep_if_idle(&self, container: &Container) -> Result<(), SandboxError> {
        let sandbox = container.sandbox.lock().await;
        // Somebody may have come while the lock was waited for.
        if !container.is_idle_for(self.0.idle) {
            return Ok(());
        }
        tracing::info!(container.id = %container.id, "container asleep: nobody used it");
        self.stop(container, sandbox).await
    }

    async fn stop(
        &self,
        container: &Container,
        mut sandbox: tokio::sync::MutexGuard<'_, Sandbox>,
    ) -> Result<(), SandboxError> {
        if !self.0.backend.capabilities().keeps_files {
            Box::pin(self.bring_home(container, &mut sandbox)).await?;
        }
        sandbox.guest = None;
        // Its processes end, of which no past tells.
        container.forget_past();
        container.waits_no_more();
        container.may_run.store(false, Ordering::Relaxed);
        self.0.backend.stop(&container.sandbox_id).await?;
        self.set_state(container, ContainerState::Asleep).await;
        self.tell(container, "container_slept");
        Ok(())
    }

    /// Whether a guest answers, of which the row says less.
    pub fn is_awake(&self, sandbox: &str) -> bool {
        let container = self.0.lock().get(sandbox).cloned();
        container.is_some_and(|container| match container.sandbox.try_lock() {
            Ok(sandbox) => sandbox
                .guest
                .as_ref()
                .is_some_and(|guest| !guest.is_closed()),
            // Held: it is being started or filled.
            Err(_) => true,
        })
    }

    /// False if the container has expired or is gone.
    async fn set_state(&self, container: &Container, state: ContainerState) -> bool {
        let set = self
            .0
            .store
            .set_container_state(&container.workspace, &container.id, state);
        set.await.unwrap_or_else(|error| {
            tracing::error!(container.id = %container.id, %error, "the container's state was not kept");
            true
        })
    }

    fn know(&self, row: ContainerRow, clock: &Clock) -> Arc<Container> {
        let mut known = self.0.lock();
        let container = known.entry(row.sandbox.as_str().into()).or_insert_with(|| {
            Arc::new(Container {
                id: row.id.into(),
                workspace: row.workspace,
                sandbox_id: row.sandbox.into(),
                created_at: row.created_at,
                input_dir: row.input_dir,
                usage: Mutex::new(Usage {
                    leases: 0,
                    idle_since: Instant::now(),
                    only_looked_at: false,
                }),
                clock: clock.clone(),
                may_run: AtomicBool::new(row.state == ContainerState::Awake),
                has_run: AtomicBool::new(row.started),
                // An earlier server may have been killed while it was in there.
                left: Mutex::new(Vec::from_iter(
                    row.started.then(|| format!("{OWN_HEX}????????")),
                )),
                pending: Mutex::default(),
                searched: Mutex::default(),
                web_calls: Mutex::default(),
                last_used_at: row.last_used_at,
                history: Mutex::new(self.beginning(!row.started && !row.tree_waits)),
                sandbox: tokio::sync::Mutex::new(Sandbox {
                    tree_waits: row.tree_waits,
                    ..Sandbox::default()
                }),
            })
        });
        Arc::clone(container)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, Arc<Container>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn is_over(row: &ContainerRow, now: DateTime<Utc>, idle: Option<TimeDelta>) -> bool {
    over::is_over(row.created_at, row.last_used_at, now, idle)
}

/// A container that is too full for a file, or in which code has put something in its way for good, still
/// runs calls: one of them may make room. What waits is tried again with the next. Answers what is missing, and why.
fn go_without(
    container: &Container,
    what: &str,
    error: SandboxError,
) -> Result<String, SandboxError> {
    if let SandboxError::Guest(GuestError::Refused { kind, message }) = &error
        && *kind != ErrorKind::Busy
    {
        tracing::warn!(container.id = %container.id, reason = %message, "{what} has not reached its container");
        return Ok(format!("{what}: {message}"));
    }
    Err(error)
}

fn store_failed(error: StoreError) -> SandboxError {
    SandboxError::Engine {
        operation: "put an upload into the container",
        cause: Cause::of(error),
    }
}
