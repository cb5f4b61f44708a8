//! Changes of containers' states by time alone: idle ones fall asleep, old ones expire.

use std::sync::Arc;

use super::{Container, Containers, ends_at};
use store::{ContainerState, StoreError};
use workspace::Workspace;

impl Containers {
    /// Puts to sleep what nobody has used for a while.
    pub async fn sleep_idle(&self) {
        let known: Vec<Arc<Container>> = self.0.lock().values().cloned().collect();
        for container in known {
            if container.is_idle_for(self.0.idle)
                && self.is_awake(&container.sandbox_id)
                && let Err(error) = self.sleep_if_idle(&container).await
            {
                tracing::warn!(container.id = %container.id, %error, "an idle container stays awake");
            }
        }
    }

    /// After a restart: what was awake before and nobody has used since is asleep.
    pub async fn settle_unclaimed(&self, workspace: &Workspace) -> Result<(), StoreError> {
        for row in self.0.store.containers(&workspace.id).await? {
            if row.state != ContainerState::Awake || self.is_awake(&row.sandbox) {
                continue;
            }
            let container = self.know(row, &workspace.clock);
            self.take_up_uploads(&container).await?;
            let sandbox = container.sandbox.lock().await;
            // Somebody may have come while the lock was waited for.
            if sandbox.guest.is_none()
                && let Err(error) = self.stop(&container, sandbox).await
            {
                tracing::warn!(container.id = %container.id, %error, "a container of an earlier run stays as it is");
            }
        }
        Ok(())
    }

    /// Ends the workspace's containers whose 30 days are over.
    pub async fn expire_old(&self, workspace: &Workspace) -> Result<(), StoreError> {
        let now = workspace.clock.now();
        for row in self.0.store.containers(&workspace.id).await? {
            if row.state != ContainerState::Expired && ends_at(row.created_at) <= now {
                self.expire(workspace, &row.id).await?;
            }
        }
        Ok(())
    }
}
