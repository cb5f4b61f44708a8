//! The life of containers on the clock: made, woken, used, expired, removed.
//!
//! A container is a row in the store; a sandbox runs behind it while it is awake. Whoever wants to run
//! something asks for its [`Guest`], and gets the running one or a newly started one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::ids::{Ids, Kind};
use crate::limits;
use crate::model::Upload;
use crate::quirks::ExpiresAt;
use crate::sandbox::guest::{Guest, PutFile};
use crate::sandbox::{Backend, Limits, SandboxError, SandboxSpec};
use crate::store::{ContainerRow, ContainerState, MountedFile, Store, StoreError};
use crate::workspace::Workspace;

/// All containers of a server. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Containers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    backend: Arc<dyn Backend>,
    limits: Limits,
    known: Mutex<HashMap<String, Arc<Container>>>,
}

/// A container that can be used.
#[derive(Debug)]
pub(crate) struct Container {
    /// `container_…`.
    pub(crate) id: String,
    pub(crate) workspace: String,
    pub(crate) created_at: DateTime<Utc>,
    /// The 16 hexadecimal digits in `/files/input/<16 hex>`.
    pub(crate) input_dir: String,
    /// Held while the sandbox is started and files are put into it.
    sandbox: tokio::sync::Mutex<Sandbox>,
}

#[derive(Debug, Default)]
struct Sandbox {
    guest: Option<Guest>,
    /// Uploads that are not in the sandbox yet.
    waiting: Vec<Upload>,
}

/// What an id leads to.
#[derive(Debug)]
pub(crate) enum Found {
    Alive(Arc<Container>),
    /// Past its 30 days, or ended on purpose.
    Expired,
    /// Never was, or another workspace's.
    Missing,
}

impl Containers {
    pub(crate) fn new(store: Store, backend: Arc<dyn Backend>, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            store,
            backend,
            limits,
            known: Mutex::default(),
        }))
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        self.0.backend.as_ref()
    }

    /// What each sandbox may use.
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// A new container; nothing runs behind it yet.
    pub(crate) async fn create(
        &self,
        workspace: &Workspace,
        ids: &Ids,
    ) -> Result<Arc<Container>, StoreError> {
        let now = workspace.clock.now();
        loop {
            let row = ContainerRow {
                id: ids.next(Kind::Container),
                workspace: workspace.id.clone(),
                created_at: now,
                expires_at: now + TimeDelta::minutes(limits::CONTAINER_ROLLING_MINUTES),
                last_used_at: now,
                state: ContainerState::Asleep,
                input_dir: ids.next_hex16(),
            };
            match self.0.store.insert_container(row.clone()).await {
                // Seeded ids repeat over a restart.
                Err(StoreError::IdTaken { .. }) => {}
                result => return result.map(|()| self.know(row)),
            }
        }
    }

    /// The container of this id, if it is the workspace's and still lives.
    /// With `idle`, one that was not used for so long ends here.
    pub(crate) async fn find(
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
        Ok(Found::Alive(self.know(row)))
    }

    /// Ends a container now; its id stays known as expired. False if there is none of this id.
    pub(crate) async fn expire(&self, workspace: &Workspace, id: &str) -> Result<bool, StoreError> {
        let known = self
            .0
            .store
            .set_container_state(&workspace.id, id, ContainerState::Expired)
            .await?;
        if known {
            self.discard(vec![id.to_owned()]);
        }
        Ok(known)
    }

    /// Removes the sandboxes and files of containers whose rows are gone or expired, in the background.
    pub(crate) fn discard(&self, ids: Vec<String>) {
        let inner = Arc::clone(&self.0);
        for id in &ids {
            inner.lock().remove(id);
        }
        tokio::spawn(async move {
            for id in ids {
                if let Err(error) = inner.backend.remove(&id).await {
                    tracing::warn!(container.id = %id, %error, "a sandbox could not be removed");
                }
            }
        });
    }

    /// Notes a use, and says when the container expires: an hour from now (FACTS 1.3), or at its real end.
    pub(crate) async fn touch(
        &self,
        workspace: &Workspace,
        container: &Container,
        tells: ExpiresAt,
    ) -> Result<DateTime<Utc>, StoreError> {
        let now = workspace.clock.now();
        let expires_at = match tells {
            ExpiresAt::Rolling => now + TimeDelta::minutes(limits::CONTAINER_ROLLING_MINUTES),
            ExpiresAt::Hard => ends_at(container.created_at),
        };
        self.0
            .store
            .touch_container(&workspace.id, &container.id, now, expires_at)
            .await?;
        Ok(expires_at)
    }

    /// Notes files that the next call must find in the container. A file that is there stays as it is.
    pub(crate) async fn add_uploads(
        &self,
        container: &Container,
        uploads: &[Upload],
    ) -> Result<(), StoreError> {
        let mounted = self
            .0
            .store
            .mounted_files(&container.workspace, &container.id)
            .await?;
        let mut sandbox = container.sandbox.lock().await;
        for upload in uploads {
            let there = mounted.iter().any(|file| file.file_id == upload.file_id)
                || sandbox
                    .waiting
                    .iter()
                    .any(|waiting| waiting.file_id == upload.file_id);
            if !there {
                sandbox.waiting.push(upload.clone());
            }
        }
        Ok(())
    }

    /// The guest of the container's sandbox, started if none runs, with all uploads in place.
    pub(crate) async fn guest(&self, container: &Container) -> Result<Guest, SandboxError> {
        let mut sandbox = container.sandbox.lock().await;
        let guest = match sandbox.guest.take().filter(|guest| !guest.is_closed()) {
            Some(guest) => guest,
            None => self.wake(container).await?,
        };
        sandbox.guest = Some(guest.clone());
        while let Some(upload) = sandbox.waiting.first() {
            self.put(container, &guest, upload).await?;
            sandbox.waiting.remove(0);
        }
        Ok(guest)
    }

    async fn wake(&self, container: &Container) -> Result<Guest, SandboxError> {
        let started = std::time::Instant::now();
        let spec = SandboxSpec {
            container_id: container.id.clone(),
            expires_at: ends_at(container.created_at),
            limits: self.0.limits,
        };
        let channel = self.0.backend.start(&spec).await?;
        let settings = self.0.backend.settings(&spec);
        let guest = Guest::connect(channel, settings).await?;
        tracing::info!(
            container.id = %container.id,
            backend = self.0.backend.name(),
            start.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "container awake"
        );
        self.set_state(container, ContainerState::Awake).await;
        Ok(guest)
    }

    async fn put(
        &self,
        container: &Container,
        guest: &Guest,
        upload: &Upload,
    ) -> Result<(), SandboxError> {
        let row = match self
            .0
            .store
            .file(&container.workspace, &upload.file_id)
            .await
        {
            Ok(Some(row)) => row,
            // Deleted since the request named it: the call finds no such file.
            Ok(None) => return Ok(()),
            Err(error) => return Err(store_failed(&error)),
        };
        let mut source = self
            .0
            .store
            .open_blob(&row)
            .await
            .map_err(|error| store_failed(&error))?;
        let target = PutFile {
            name: &upload.filename,
            input_dir: &container.input_dir,
        };
        guest.put_file(target, &mut source).await?;
        let mounted = MountedFile {
            file_id: upload.file_id.clone(),
            filename: upload.filename.clone(),
        };
        self.0
            .store
            .mount_file(&container.workspace, &container.id, mounted)
            .await
            .map_err(|error| store_failed(&error))
    }

    /// Ends the sandbox and keeps the files; the next use starts it again.
    pub(crate) async fn sleep(&self, container: &Container) -> Result<(), SandboxError> {
        let mut sandbox = container.sandbox.lock().await;
        sandbox.guest = None;
        self.0.backend.stop(&container.id).await?;
        self.set_state(container, ContainerState::Asleep).await;
        Ok(())
    }

    /// For the control API; the row itself says less than whether a guest answers.
    pub(crate) fn is_awake(&self, id: &str) -> bool {
        let container = self.0.lock().get(id).cloned();
        container.is_some_and(|container| match container.sandbox.try_lock() {
            Ok(sandbox) => sandbox
                .guest
                .as_ref()
                .is_some_and(|guest| !guest.is_closed()),
            // Held: it is being started or filled.
            Err(_) => true,
        })
    }

    async fn set_state(&self, container: &Container, state: ContainerState) {
        if let Err(error) = self
            .0
            .store
            .set_container_state(&container.workspace, &container.id, state)
            .await
        {
            tracing::error!(container.id = %container.id, %error, "the container's state was not kept");
        }
    }

    fn know(&self, row: ContainerRow) -> Arc<Container> {
        let mut known = self.0.lock();
        let container = known.entry(row.id.clone()).or_insert_with(|| {
            Arc::new(Container {
                id: row.id,
                workspace: row.workspace,
                created_at: row.created_at,
                input_dir: row.input_dir,
                sandbox: tokio::sync::Mutex::default(),
            })
        });
        Arc::clone(container)
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Container>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a container has ended: by its age, or, with `idle`, by not being used.
pub(crate) fn is_over(row: &ContainerRow, now: DateTime<Utc>, idle: Option<TimeDelta>) -> bool {
    ends_at(row.created_at) <= now || idle.is_some_and(|idle| row.last_used_at + idle <= now)
}

/// When a container is over for good: 30 days after it was made.
pub(crate) fn ends_at(created_at: DateTime<Utc>) -> DateTime<Utc> {
    created_at + TimeDelta::days(limits::CONTAINER_LIFE_DAYS)
}

fn store_failed(error: &StoreError) -> SandboxError {
    SandboxError::Engine {
        operation: "put an upload into the container",
        reason: error.to_string(),
    }
}
