//! The server's state, and how it is put together.

use std::sync::{Arc, Mutex, PoisonError};

use control_api::{ClockMoved, SetupChanged, SetupPart, time_text};
use serde_json::json;
use tokio::sync::Notify;

use crate::batch::Pool;
use crate::config::Config;
use cassette::Deck;
use common::clock::{self, BackwardsError, Change};
use common::limits;
use engine::Engine;
use engine::container::Containers;
use model::script::Base;
use sandbox::{Backend, Limits};
use store::{Store, StoreError};
use workspace::fault::Fault;
use workspace::snapshot::Document;
use workspace::{Defaults, Workspace, WorkspaceError, Workspaces};

/// A cheap handle to everything a handler needs.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

/// The state that handlers share.
#[derive(Debug)]
pub struct Inner {
    pub config: Config,
    pub store: Store,
    pub containers: Containers,
    pub engine: Engine,
    pub workspaces: Workspaces,
    /// Recordings that are mounted under every workspace.
    pub cassettes: Option<Arc<Deck>>,
    /// The pool of the batches that run.
    pub batches: Arc<Pool>,
    /// Workspaces that have just appeared with a state to go on from.
    pub(crate) newcomers: Newcomers,
}

/// Workspaces of which the server does not know yet that they are there.
#[derive(Debug, Default)]
pub(crate) struct Newcomers {
    waiting: Mutex<Vec<Arc<Workspace>>>,
    came: Notify,
}

impl Newcomers {
    fn add(&self, workspace: Arc<Workspace>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(workspace);
        self.came.notify_one();
    }

    /// Those that have come since the last call, when there are some.
    pub(crate) async fn next(&self) -> Vec<Arc<Workspace>> {
        loop {
            let waiting =
                std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if !waiting.is_empty() {
                return waiting;
            }
            self.came.notified().await;
        }
    }
}

/// Why clocks were not moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    #[error(transparent)]
    Backwards(#[from] BackwardsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub async fn new(
        config: Config,
        store: Store,
        backend: Arc<dyn Backend>,
        base: Arc<Base>,
        faults: Arc<[Fault]>,
        cassettes: Option<Arc<Deck>>,
        state: Option<Arc<Document>>,
    ) -> Result<Self, StoreError> {
        let containers = Containers::new(
            store.clone(),
            backend,
            Limits::default(),
            (config.idle, config.timeouts),
            config.reuse_calls,
        );
        let defaults = Defaults {
            clock: clock::State {
                frozen_at: config.frozen_at,
                ..clock::State::default()
            },
            faults,
            quirks: config.quirks,
            rates: config.rates.clone().into(),
            cassettes: cassettes.clone(),
            state,
            events: containers.events().clone(),
            telemetry: containers.telemetry().clone(),
        };
        let workspaces = Workspaces::new(store.clone(), config.seed, base).over(defaults);
        workspaces.take_up().await?;
        Ok(Self::with(config, store, containers, workspaces, cassettes))
    }

    fn with(
        config: Config,
        store: Store,
        containers: Containers,
        workspaces: Workspaces,
        cassettes: Option<Arc<Deck>>,
    ) -> Self {
        let engine = Engine {
            store: store.clone(),
            containers: containers.clone(),
            on_unmatched: config.on_unmatched,
            memo: Arc::default(),
        };
        Self(Arc::new(Inner {
            config,
            store,
            containers,
            engine,
            workspaces,
            cassettes,
            batches: Arc::default(),
            newcomers: Newcomers::default(),
        }))
    }
}

/// Tells that a workspace's clock shows something else now.
pub(crate) fn tell_clock(workspace: &Workspace) {
    let clock = &workspace.clock;
    workspace.tell("clock_moved", || {
        json!(ClockMoved {
            now: time_text(clock.now()),
            frozen: clock.is_frozen(),
        })
    });
}

/// Tells that a call has changed how a workspace answers.
pub(crate) fn tell_setup(workspace: &Workspace, what: SetupPart) {
    workspace.tell("setup_changed", || json!(SetupChanged { what }));
}

/// When the sandboxes of an earlier server have ended by themselves, if nobody has taken them up.
const SETTLE_ROUND: u128 = limits::SANDBOX_LEASE.as_millis() / limits::SWEEP_INTERVAL.as_millis();

impl App {
    /// The workspace behind a key. What `--state` has left one that is new to do, the server takes up by itself.
    pub(crate) async fn workspace_of_key(
        &self,
        key: &str,
    ) -> Result<Arc<Workspace>, WorkspaceError> {
        let (workspace, is_new) = self.workspaces.of_key(key).await?;
        if is_new && self.workspaces.state().is_some() {
            self.newcomers.add(Arc::clone(&workspace));
        }
        Ok(workspace)
    }

    /// Moves clocks of workspaces, all or none, ends what is over by that, and tells. What cannot be kept is not done. A client
    /// that leaves leaves nothing half done.
    pub(crate) async fn move_clocks(
        &self,
        workspaces: &[Arc<Workspace>],
        change: Change,
    ) -> Result<(), MoveError> {
        let (app, workspaces) = (self.clone(), workspaces.to_vec());
        let done = tokio::spawn(async move { app.move_all(&workspaces, change).await });
        done.await.unwrap_or_else(|error| {
            let error = StoreError::io("move a clock")(std::io::Error::other(error));
            Err(error.into())
        })
    }

    async fn move_all(
        &self,
        workspaces: &[Arc<Workspace>],
        change: Change,
    ) -> Result<(), MoveError> {
        let mut held = Vec::with_capacity(workspaces.len());
        let mut moved = Vec::with_capacity(workspaces.len());
        for workspace in workspaces {
            held.push(workspace.moving_clock().await);
            moved.push((workspace.id.clone(), workspace.clock.state().after(change)?));
        }
        self.store.save_clocks(moved.clone()).await?;
        for (workspace, (_, state)) in workspaces.iter().zip(moved) {
            workspace.clock.reset(state);
        }
        drop(held);
        for workspace in workspaces {
            // The sweep comes back to what is left of it.
            if let Err(error) = self.containers.expire_old(workspace).await {
                tracing::warn!(workspace.id = %workspace.id, %error, "containers that are over by the new time were not ended");
            }
            self.batches.wake_all(&workspace.id);
            tell_clock(workspace);
        }
        self.containers.time_out_calls();
        Ok(())
    }

    /// What helps who has more keys than a server takes.
    pub(crate) fn too_many_hint(&self) -> &'static str {
        if self.config.data_dir.is_some() {
            "reuse keys, or give `--data-dir` another folder: this one keeps them"
        } else {
            "reuse keys, or restart the server"
        }
    }

    /// Looks after what happens by time alone, for as long as it is polled.
    pub async fn sweep(self) {
        for workspace in self.workspaces.all() {
            if let Err(error) = self.containers.take_up_waiting(&workspace).await {
                tracing::warn!(workspace.id = %workspace.id, %error, "code that waits for its client was not looked for");
            }
        }
        for round in 0u64.. {
            tokio::time::sleep(limits::SWEEP_INTERVAL).await;
            self.containers.time_out_calls();
            self.containers.sleep_idle().await;
            if u128::from(round) == SETTLE_ROUND {
                for workspace in self.workspaces.all() {
                    if let Err(error) = self.containers.settle_unclaimed(&workspace).await {
                        tracing::warn!(workspace.id = %workspace.id, %error, "containers of an earlier run were not looked for");
                    }
                }
            }
            if round % limits::EXPIRY_ROUNDS != 0 {
                continue;
            }
            for workspace in self.workspaces.all() {
                if let Err(error) = self.containers.expire_old(&workspace).await {
                    tracing::warn!(workspace.id = %workspace.id, %error, "old containers were not looked for");
                }
            }
        }
    }
}

#[cfg(test)]
impl App {
    /// For tests of handlers that run no code.
    pub(crate) fn for_store(store: Store) -> Self {
        Self::for_store_with(store, Config::default())
    }

    /// The same with a configuration.
    pub(crate) fn for_store_with(store: Store, config: Config) -> Self {
        let chosen = crate::backend::none("a test runs no code", "", None);
        let containers = Containers::new(
            store.clone(),
            chosen.backend,
            Limits::default(),
            (config.idle, config.timeouts),
            config.reuse_calls,
        );
        let defaults = Defaults {
            events: containers.events().clone(),
            ..Defaults::default()
        };
        let workspaces = Workspaces::new(store.clone(), None, Arc::default()).over(defaults);
        Self::with(config, store, containers, workspaces, None)
    }
}
