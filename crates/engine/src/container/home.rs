//! Files of sandboxes whose backend does not keep them: brought into the store before sleep, and back at the next
//! start. What the store has stays there meanwhile: a sandbox that is lost goes on from its last sleep.

use super::{Container, Containers, Sandbox, TreeError, store_failed};
use common::ids::own_hex16;
use common::limits::MAX_HOME_BYTES;
use sandbox::{Cause, SandboxError};

impl Containers {
    /// Keeps the files of a sandbox that is about to be stopped.
    pub(super) async fn bring_home(
        &self,
        container: &Container,
        sandbox: &mut Sandbox,
    ) -> Result<(), SandboxError> {
        if sandbox.tree_waits {
            // They have not left.
            return Ok(());
        }
        let guest = match sandbox.guest.clone() {
            Some(guest) if !guest.is_closed() => guest,
            _ => match self.take_up(container).await? {
                Some(guest) => guest,
                // It is lost, or was never there.
                None => return Ok(()),
            },
        };
        sandbox.guest = Some(guest.clone());
        self.clear_up(container, &guest).await;
        let own = own_hex16();
        container.left().push(own.clone());
        let tree = self.pack(container, &guest, &own, MAX_HOME_BYTES).await;
        self.clear_up(container, &guest).await;
        let tree = tree.map_err(|error| match error {
            TreeError::Sandbox(error) => error,
            TreeError::TooLarge | TreeError::Archive(_) | TreeError::Store(_) => {
                SandboxError::Engine {
                    operation: "keep the files of the container",
                    cause: Cause::of(error),
                }
            }
        })?;
        let (workspace, id) = (&container.workspace, &container.id);
        let kept = self.0.store.keep_container_tree(workspace, id, tree).await;
        kept.map_err(store_failed)?;
        sandbox.tree_waits = true;
        Ok(())
    }

    /// Has a new sandbox filled with all that the container had.
    pub(super) async fn furnish(
        &self,
        container: &Container,
        sandbox: &mut Sandbox,
    ) -> Result<(), SandboxError> {
        let (workspace, id) = (&container.workspace, &container.id);
        let store = &self.0.store;
        let failed = store_failed;
        sandbox.tree_waits = true;
        // They lie outside of the places that are kept.
        for skill in store.mounted_skills(workspace, id).await.map_err(failed)? {
            if !sandbox
                .waiting_skills
                .iter()
                .any(|it| it.name == skill.name)
            {
                sandbox.waiting_skills.push(skill);
            }
        }
        let tree = store.container_tree(workspace, id).await.map_err(failed)?;
        if !tree.is_empty() {
            return Ok(());
        }
        for file in store.mounted_files(workspace, id).await.map_err(failed)? {
            sandbox.wait_for(file);
        }
        Ok(())
    }

    /// The server ends, and sandboxes with it: their files come home first.
    pub async fn bring_all_home(&self) {
        if self.0.backend.capabilities().keeps_files {
            return;
        }
        let known: Vec<_> = self.0.lock().values().cloned().collect();
        let ends = known.iter().map(|container| async move {
            if !self.is_awake(&container.sandbox_id) {
                return;
            }
            if let Err(error) = self.sleep(container).await {
                tracing::warn!(container.id = %container.id, %error, "the files since the container's last sleep are lost");
            }
        });
        futures_util::future::join_all(ends).await;
    }
}
