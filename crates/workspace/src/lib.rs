//! A workspace: the tenant behind an API key, and all that belongs to it alone.
//!
//! Files and containers refer to a workspace by its id in the store; what only lives as long as the
//! server hangs on the [`Workspace`] itself.

pub mod billing;
pub mod coverage;
pub mod events;
pub mod fault;
pub mod journal;
pub mod lint;
pub mod quirks;
pub mod rate;
pub mod skills;
pub mod snapshot;
pub mod telemetry;
pub mod verify;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use control_api::{FaultLayer, FaultState, Restored, UnusedStep};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::billing::Ledger;
use crate::events::Events;
use crate::fault::{Dice, Fault, FaultError, Faults, Fired, Occasion};
use crate::journal::Journal;
use crate::quirks::{Layer, Layers};
use crate::rate::{RateLimit, Rates};
use crate::snapshot::{Document, Rules};
use crate::telemetry::Telemetry;
use crate::verify::{Findings, Watch};
pub use cassette::Redactor;
use cassette::{Deck, Mounts};
use common::clock::{self, Clock, rfc3339_micros};
use common::ids::{Ids, Kind};
use common::limits;
use model::script::{Base, LayerName, Scripts};
use store::{NewWorkspace, Store, StoreError, WorkspaceRow};

/// How many requests of a workspace are not over.
#[derive(Debug, Default)]
pub struct Open(Arc<AtomicU64>);

impl Open {
    /// One more begins; it is over when the last clone of this is gone.
    pub fn begin(&self) -> OpenRequest {
        self.0.fetch_add(1, Ordering::SeqCst);
        OpenRequest(Some(Arc::new(OpenGuard(Arc::clone(&self.0)))))
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A request that is not over, for all who carry it out; by default one that nobody counts.
#[derive(Debug, Clone, Default)]
pub struct OpenRequest(
    #[expect(dead_code, reason = "that it is there is what counts")] Option<Arc<OpenGuard>>,
);

#[derive(Debug)]
struct OpenGuard(Arc<AtomicU64>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a key is known by. Most requests carry that of the one before on their thread.
fn digest_of_key(key: &str) -> [u8; 32] {
    thread_local! {
        static LAST: RefCell<(String, [u8; 32])> = const { RefCell::new((String::new(), [0; 32])) };
    }
    LAST.with_borrow_mut(|(last, digest)| {
        if last.is_empty() || last != key {
            *digest = Sha256::digest(key.as_bytes()).into();
            key.clone_into(last);
        }
        *digest
    })
}

/// One tenant.
#[derive(Debug)]
pub struct Workspace {
    /// `wrkspc_…`, the id in answer headers and in the store.
    pub id: String,
    /// Each workspace is its own organization: a UUID made from its id.
    pub organization_id: String,
    /// The two as every answer has them.
    told_ids: [Bytes; 2],
    /// The name, as in `?workspace=NAME`.
    pub name: String,
    pub clock: Clock,
    /// Where the clock begins, and is after a reset.
    beginning: clock::State,
    /// With a seed, ids are the same in every run.
    pub seed: Option<u64>,
    pub scripts: Scripts,
    pub journal: Journal,
    /// The record that `verify` judges by.
    pub watch: Watch,
    /// Requests that are not over.
    pub open: Open,
    /// The findings from before the resets.
    archive: Mutex<Option<Findings>>,
    /// The test that a test runner handed the key to. A reset leaves it.
    label: RwLock<Option<String>>,
    /// The last characters of its key, where it is long enough to give them away.
    key_end: OnceLock<String>,
    pub faults: Faults,
    /// The cost estimate of its turns.
    pub ledger: Ledger,
    pub rates: Rates,
    /// Recordings that answer in place of the emulated service.
    pub cassettes: Mounts,
    events: Events,
    pub telemetry: Telemetry,
    /// The quirks that the server's flags set.
    server_quirks: Layers,
    /// The quirks that the workspace sets over them.
    own_quirks: RwLock<Layer>,
    ordinal: AtomicU64,
    /// With a seed: tells a workspace taken up from a data directory from the one it was before.
    salt: Option<u64>,
    /// With a seed: how often each scope of ids was used.
    uses: Mutex<HashMap<[u8; 32], u64>>,
    /// The answers from which a thread is being continued.
    continuing: Mutex<HashSet<String>>,
    /// Held while the whole state is read or replaced.
    whole: tokio::sync::Mutex<()>,
    /// Held while the clock is kept and moved.
    clock_moves: tokio::sync::Mutex<()>,
}

fn organization_id(workspace_id: &str) -> String {
    let digest = Sha256::digest(workspace_id.as_bytes());
    let bytes: [u8; 16] = digest[..16]
        .try_into()
        .expect("a SHA-256 digest has 32 bytes");
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// Held by the request that goes on from an answer of a thread.
#[derive(Debug)]
pub struct Continuing {
    workspace: Arc<Workspace>,
    message: String,
}

impl Drop for Continuing {
    fn drop(&mut self) {
        let mut all = self
            .workspace
            .continuing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.message);
    }
}

impl Workspace {
    /// A workspace that is called by its id.
    pub fn new(id: String, clock: Clock, seed: Option<u64>, base: Arc<Base>) -> Self {
        let organization_id = organization_id(&id);
        Self {
            name: id.clone(),
            told_ids: [&id, &organization_id].map(|id| Bytes::from_owner(id.clone())),
            organization_id,
            faults: Faults::new(Arc::default(), Dice::new(seed, &id)),
            id,
            clock,
            beginning: clock::State::default(),
            seed,
            scripts: Scripts::new(base),
            journal: Journal::default(),
            watch: Watch::default(),
            open: Open::default(),
            archive: Mutex::default(),
            label: RwLock::default(),
            key_end: OnceLock::new(),
            ledger: Ledger::default(),
            rates: Rates::default(),
            cassettes: Mounts::default(),
            events: Events::default(),
            telemetry: Telemetry::default(),
            server_quirks: Layers::default(),
            own_quirks: RwLock::default(),
            ordinal: AtomicU64::new(0),
            salt: None,
            uses: Mutex::default(),
            continuing: Mutex::default(),
            whole: tokio::sync::Mutex::default(),
            clock_moves: tokio::sync::Mutex::default(),
        }
    }

    /// Its own id and its organization's, as every answer has them: clones of them cost nothing.
    pub fn told_ids(&self) -> &[Bytes; 2] {
        &self.told_ids
    }

    /// Puts what the server sets under what the workspace sets itself.
    #[must_use]
    pub fn over(self, defaults: Defaults) -> Self {
        if self.clock.state() == clock::State::default() {
            self.clock.reset(defaults.clock);
        }
        Self {
            beginning: defaults.clock,
            faults: Faults::new(defaults.faults, Dice::new(self.seed, &self.id)),
            server_quirks: defaults.quirks,
            rates: Rates::new(defaults.rates),
            cassettes: Mounts::over(defaults.cassettes),
            events: defaults.events,
            telemetry: defaults.telemetry,
            ..self
        }
    }

    /// Tells those who listen that something happened.
    pub fn tell(&self, kind: &'static str, data: impl FnOnce() -> Value) {
        let clock = &self.clock;
        self.events.tell(&self.id, kind, || {
            let mut all = json!({ "at": rfc3339_micros(clock.now()) });
            if let (Some(all), Value::Object(data)) = (all.as_object_mut(), data()) {
                all.extend(data);
            }
            // A fault may have been given with a key in it.
            Redactor::default().json(all)
        });
    }

    /// The profile and quirks of a request that sets none itself.
    pub fn quirks(&self) -> Layers {
        self.server_quirks.with(&self.own_quirks())
    }

    /// The quirks that the workspace itself sets.
    pub fn own_quirks(&self) -> Layer {
        self.own_quirks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces what the workspace itself sets.
    pub fn set_quirks(&self, quirks: Layer) {
        *self
            .own_quirks
            .write()
            .unwrap_or_else(PoisonError::into_inner) = quirks;
    }

    /// Takes the answer `message` for a request that goes on from it; none while another does.
    pub fn continue_from(self: &Arc<Self>, message: &str) -> Option<Continuing> {
        let mut all = self
            .continuing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(message.to_owned()).then(|| Continuing {
            workspace: Arc::clone(self),
            message: message.to_owned(),
        })
    }

    /// Ids for what `scope` names: what the client sent, or an id of ours. With a seed, the same scope
    /// used again gets other ids, and so does another workspace.
    pub fn ids(&self, scope: &[&[u8]]) -> Ids {
        let Some(seed) = self.seed else {
            return Ids::random();
        };
        let mut hash = Sha256::new();
        hash.update(self.id.as_bytes());
        hash.update(
            self.salt
                .map_or(Vec::new(), |salt| salt.to_le_bytes().to_vec()),
        );
        for part in scope {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        let scope: [u8; 32] = hash.finalize().into();
        Ids::seeded(seed, &[&scope, &self.count_use(scope).to_le_bytes()])
    }

    /// How often `scope` was used before.
    fn count_use(&self, scope: [u8; 32]) -> u64 {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() >= limits::SEEDED_SCOPES {
            // Whoever stores an id that was given out before the count began anew takes the next one.
            uses.clear();
        }
        let count = uses.entry(scope).or_insert(0);
        *count += 1;
        *count - 1
    }

    /// Ids for a request as a whole. With a seed they count the workspace's requests.
    pub fn request_ids(&self) -> Ids {
        match self.seed {
            None => Ids::random(),
            Some(seed) => {
                let ordinal = self.ordinal.fetch_add(1, Ordering::Relaxed);
                let scope: [&[u8]; 3] = [b"request", self.id.as_bytes(), &ordinal.to_le_bytes()];
                Ids::seeded(seed, &scope)
            }
        }
    }

    /// The initial state of its clock, where nothing else is said.
    pub fn beginning(&self) -> clock::State {
        self.beginning
    }

    /// Exclusive access for reading or replacing the whole state.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.whole.lock().await
    }

    /// Exclusive access for moving the clock: it shows what the store keeps.
    pub async fn moving_clock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.clock_moves.lock().await
    }

    /// Lays what a state says over the server's.
    pub fn set_up(&self, rules: &Rules) {
        for source in &rules.scripts {
            if let Err(found) = self.scripts.add(source, "state") {
                tracing::error!(reason = %common::hinted::told_all(&found), "a script of the state was fine before");
            }
        }
        if let Err(error) = self.faults.add(rules.faults.clone()) {
            tracing::error!(%error, "the faults of the state were fine before");
        }
        self.set_quirks(rules.quirks.clone());
        if let Some(limits) = &rules.rates {
            self.rates.set(Arc::clone(limits));
        }
    }

    /// The fault that fires on `occasion`: of the request's `own`, else of the workspace's. It counts for both.
    pub fn fire(&self, own: Option<&Faults>, occasion: Occasion<'_>) -> Option<Fired> {
        let fired = if let Some(fired) = own.and_then(|own| own.fire(occasion)) {
            self.faults.pass(occasion);
            fired.of_request()
        } else {
            self.faults.fire(occasion)?
        };
        self.tell("fault_fired", || json!(fired.describe()));
        Some(fired)
    }

    /// Every fault with its counts, in the order they are asked.
    pub fn fault_states(&self) -> Vec<FaultState> {
        self.annotated(self.faults.list())
    }

    /// Adds faults, all or none, and returns how they are listed.
    pub fn add_faults(&self, faults: Vec<Fault>) -> Result<Vec<FaultState>, FaultError> {
        let added = self.faults.add(faults)?;
        Ok(self.annotated(added))
    }

    /// Says of faults that nothing here can meet why that is so.
    fn annotated(&self, mut states: Vec<FaultState>) -> Vec<FaultState> {
        if self.cassettes.get().is_some() {
            for state in &mut states {
                if state.fired == 0 && state.fault["at"] == "turn" {
                    state.note = Some(RECORDED_TURNS.to_owned());
                }
            }
        }
        states
    }

    /// The findings of `verify` since the last reset.
    pub fn findings(&self) -> Findings {
        let mut found = self.watch.findings(&self.name);
        let named = |mut value: Value| {
            if let Value::Object(members) = &mut value {
                members.shift_insert(0, "workspace".to_owned(), self.name.as_str().into());
            }
            value
        };
        let (own, shared) = self
            .scripts
            .unused_steps()
            .into_iter()
            .partition(|step| step.layer == LayerName::Workspace);
        let own: Vec<UnusedStep> = own;
        found.asked_scripts = self.scripts.were_asked();
        found.had_recordings = self.cassettes.have_answered();
        // Beside recordings nothing asks a rule, and none is missing then.
        if found.asked_scripts || !found.had_recordings {
            found.unused_steps = own.iter().map(|step| named(json!(step))).collect();
        }
        found.shared_steps = shared;
        for fault in self.annotated(self.faults.unused()) {
            match fault.layer {
                FaultLayer::Workspace => found.unused_faults.push(named(json!(fault))),
                FaultLayer::File => found.shared_faults.push(json!(fault)),
                FaultLayer::Request => {}
            }
        }
        for (request_id, fault) in self.watch.unused_brought() {
            for fault in self.annotated(vec![fault]) {
                let mut told = named(json!(fault));
                told["request_id"] = request_id.clone().into();
                found.unused_faults.push(told);
            }
        }
        let recordings = self.cassettes.unused();
        let own = recordings.own.iter();
        found.unused_recordings = own.map(|unused| named(json!(unused))).collect();
        let shared = recordings.shared.iter();
        found.shared_recordings = shared.map(|unused| json!(unused)).collect();
        if let Some(label) = self.label() {
            found.label(&label);
        }
        found
    }

    /// The findings of `verify` from before the resets.
    pub fn findings_before(&self) -> Option<Findings> {
        self.archived().clone()
    }

    fn archived(&self) -> MutexGuard<'_, Option<Findings>> {
        self.archive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The test that its key was handed to.
    pub fn label(&self) -> Option<String> {
        let label = self.label.read().unwrap_or_else(PoisonError::into_inner);
        label.clone()
    }

    /// Names whom its key was handed to.
    pub fn set_label(&self, label: String) {
        *self.label.write().unwrap_or_else(PoisonError::into_inner) = Some(label);
    }

    /// The last characters of its key, if they may be told.
    pub fn key_end(&self) -> Option<&str> {
        self.key_end.get().map(String::as_str)
    }

    /// Forgets everything that is not in the store, but for what was to be said of it.
    pub fn reset(&self) {
        let found = self.findings();
        {
            let mut before = self.archived();
            match &mut *before {
                Some(before) => before.absorb(found),
                None => *before = Some(found),
            }
        }
        self.clock.reset(self.beginning);
        self.scripts.reset();
        self.journal.clear();
        self.watch.clear();
        self.ledger.clear();
        self.rates.reset();
        self.cassettes.reset();
        self.faults.reset();
        self.set_quirks(Layer::default());
        self.ordinal.store(0, Ordering::Relaxed);
        self.uses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Of a fault of turns where turns are recorded.
const RECORDED_TURNS: &str = "recorded answers do not meet faults of turns: only turns that a script, `direct`, or the tour answers do";

/// The settings of the server's flags, which lie under every workspace's own.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// Where a clock begins that nobody has moved yet.
    pub clock: clock::State,
    pub faults: Arc<[Fault]>,
    pub quirks: Layers,
    pub rates: Arc<[RateLimit]>,
    pub cassettes: Option<Arc<Deck>>,
    /// The initial state of a workspace.
    pub state: Option<Arc<Document>>,
    /// Where it is told what happens.
    pub events: Events,
    /// Where it is counted.
    pub telemetry: Telemetry,
}

/// All workspaces of a server. Each distinct key has its own.
#[derive(Debug)]
pub struct Workspaces {
    store: Store,
    seed: Option<u64>,
    base: Arc<Base>,
    defaults: Defaults,
    known: RwLock<Known>,
    /// Requests without a key that counts.
    turned_away: AtomicU64,
    /// Keys that were made for forks.
    forks: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    by_key: HashMap<[u8; 32], Arc<Workspace>>,
    by_id: HashMap<String, Arc<Workspace>>,
}

/// Characters of a key that are told, and how many it must have for that.
const KEY_END_CHARS: usize = 4;
const KEY_MIN_CHARS: usize = 16;

fn end_of(key: &str) -> Option<String> {
    let chars: Vec<char> = key.chars().collect();
    let end = chars.len().checked_sub(KEY_END_CHARS)?;
    (chars.len() >= KEY_MIN_CHARS).then(|| chars[end..].iter().collect())
}

/// Why a key gets no workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error(
        "this server has {} workspaces and takes no more keys",
        limits::MAX_WORKSPACES
    )]
    TooMany,
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for WorkspaceError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::WorkspacesFull { .. }) {
            Self::TooMany
        } else {
            Self::Store(error)
        }
    }
}

impl Workspaces {
    /// None yet.
    pub fn new(store: Store, seed: Option<u64>, base: Arc<Base>) -> Self {
        Self {
            store,
            seed,
            base,
            defaults: Defaults::default(),
            known: RwLock::default(),
            turned_away: AtomicU64::new(0),
            forks: AtomicU64::new(0),
        }
    }

    /// Notes a request that belongs to no workspace.
    pub fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// A key that nobody has yet, for a fork.
    pub fn fresh_key(&self) -> String {
        let n = self.forks.fetch_add(1, Ordering::Relaxed);
        let ids = Ids::new(self.seed, &[b"fork", &n.to_le_bytes()]);
        format!("sk-ant-fork-{}{}", ids.next_hex16(), ids.next_hex16())
    }

    /// The requests that belonged to no workspace.
    pub fn turned_away_count(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Sets what lies under every workspace.
    #[must_use]
    pub fn over(self, defaults: Defaults) -> Self {
        Self { defaults, ..self }
    }

    /// A workspace as a new key gets it, for who only looks. What `--state` keeps in the store is not in it.
    pub fn untouched(&self) -> Workspace {
        let base = Arc::clone(&self.base);
        let workspace = Workspace::new(String::new(), Clock::default(), None, base);
        let workspace = workspace.over(self.defaults.clone());
        if let Some(document) = &self.defaults.state {
            workspace.clock.reset(document.begins(self.defaults.clock));
            workspace.set_up(document.rules());
        }
        workspace
    }

    /// The workspace behind a key, if it has one.
    pub async fn known_of_key(&self, key: &str) -> Result<Option<Arc<Workspace>>, StoreError> {
        let hash = digest_of_key(key);
        if let Some(workspace) = self.read().by_key.get(&hash) {
            return Ok(Some(Arc::clone(workspace)));
        }
        let row = self.store.known_workspace(&hash).await?;
        Ok(row.map(|row| self.know(Some(hash), row, None).0))
    }

    /// Takes up the workspaces that the store knows. A clock that nobody has moved begins anew, and is kept so.
    pub async fn take_up(&self) -> Result<(), StoreError> {
        let rows = self.store.workspaces().await?;
        let clock = self.defaults.clock;
        if clock != clock::State::default() {
            let unmoved = rows
                .iter()
                .filter(|row| row.clock == clock::State::default());
            let clocks = unmoved.map(|row| (row.id.clone(), clock)).collect();
            self.store.save_clocks(clocks).await?;
        }
        for row in rows {
            // What it holds it has from its store.
            let _: (Arc<Workspace>, bool) = self.know(None, row, Some(Ids::random().next_u64()));
        }
        Ok(())
    }

    /// The state of a workspace when it first appears, and after a reset.
    pub fn state(&self) -> Option<Arc<Document>> {
        self.defaults.state.clone()
    }

    /// The workspace behind a key; a new key gets a new one, which is told.
    pub async fn of_key(&self, key: &str) -> Result<(Arc<Workspace>, bool), WorkspaceError> {
        let hash = digest_of_key(key);
        if let Some(workspace) = self.read().by_key.get(&hash) {
            return Ok((Arc::clone(workspace), false));
        }
        if self.read().by_id.len() >= limits::MAX_WORKSPACES {
            return Err(WorkspaceError::TooMany);
        }
        let new = self.new_row(&hash);
        let new_id = new.id.clone();
        let state = self.defaults.state.as_ref();
        let contents = || state.map(|document| document.contents(&new_id, self.defaults.clock));
        let row = self
            .store
            .workspace_for_key_with(&hash, new, contents)
            .await?;
        Ok(self.know_key(key, hash, row))
    }

    /// Makes the workspace of a new key as a document has it, whole or not at all. `None` where the key has one.
    pub async fn make(
        &self,
        key: &str,
        document: &Document,
    ) -> Result<Option<(Arc<Workspace>, Restored)>, WorkspaceError> {
        if self.known_of_key(key).await?.is_some() {
            return Ok(None);
        }
        if self.read().by_id.len() >= limits::MAX_WORKSPACES {
            return Err(WorkspaceError::TooMany);
        }
        let hash = digest_of_key(key);
        let new = self.new_row(&hash);
        let contents = document.contents(&new.id, self.defaults.clock);
        let (clock, counts) = (contents.clock, snapshot::counts(&contents));
        let Some(row) = self.store.make_workspace(&hash, new, contents).await? else {
            return Ok(None);
        };
        let (workspace, _) = self.know_key(key, hash, row);
        // What `--state` says is for keys that come by themselves.
        workspace.reset();
        workspace.clock.reset(clock);
        workspace.set_up(document.rules());
        Ok(Some((workspace, counts)))
    }

    /// A workspace for a key.
    fn new_row(&self, hash: &[u8; 32]) -> NewWorkspace {
        let id = Ids::new(self.seed, &[b"workspace", hash]).next(Kind::Workspace);
        NewWorkspace {
            name: id.clone(),
            id,
            created_at: Clock::default().now(),
            clock: self.defaults.clock,
        }
    }

    /// The workspace of a row that a key leads to, and whether it is new here.
    fn know_key(&self, key: &str, hash: [u8; 32], row: WorkspaceRow) -> (Arc<Workspace>, bool) {
        let (workspace, is_new) = self.know(Some(hash), row, None);
        if let Some(end) = end_of(key) {
            workspace.key_end.get_or_init(|| end);
        }
        (workspace, is_new)
    }

    /// The workspace of this id or name.
    pub fn named(&self, name: &str) -> Option<Arc<Workspace>> {
        self.read()
            .by_id
            .values()
            .find(|workspace| workspace.id == name || workspace.name == name)
            .cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Workspace>> {
        let mut all: Vec<_> = self.read().by_id.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn know(
        &self,
        key: Option<[u8; 32]>,
        row: WorkspaceRow,
        salt: Option<u64>,
    ) -> (Arc<Workspace>, bool) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        let workspace = known.by_id.entry(row.id.clone()).or_insert_with(|| {
            let workspace = Workspace::new(
                row.id,
                Clock::from_state(row.clock),
                self.seed,
                Arc::clone(&self.base),
            );
            let workspace = workspace.over(self.defaults.clone());
            if let Some(document) = &self.defaults.state {
                workspace.set_up(document.rules());
            }
            is_new = true;
            Arc::new(Workspace {
                name: row.name,
                salt,
                ..workspace
            })
        });
        let workspace = Arc::clone(workspace);
        if let Some(key) = key {
            known.by_key.insert(key, Arc::clone(&workspace));
        }
        (workspace, is_new)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}
