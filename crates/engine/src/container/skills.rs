//! Skills in containers: noted when a request names them, put below `/skills` when a call needs them.

use super::{Container, Containers, store_failed};
use sandbox::SandboxError;
use sandbox::guest::Guest;
use store::{MountedSkill, StoreError};
use workspace::skills;

impl Containers {
    /// Notes skills that the next call must find in the container. What is there stays as it is; another
    /// version takes the place of the one that is there.
    pub(crate) async fn add_skills(
        &self,
        container: &Container,
        wanted: &[MountedSkill],
    ) -> Result<(), StoreError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let (workspace, id) = (&container.workspace, &container.id);
        let known = self.0.store.mounted_skills(workspace, id).await?;
        let mut sandbox = container.sandbox.lock().await;
        for skill in wanted {
            let is_same = |known: &MountedSkill| {
                known.skill_id == skill.skill_id && known.version == skill.version
            };
            if known.iter().any(is_same) {
                continue;
            }
            self.0
                .store
                .mount_skill(workspace, id, skill.clone())
                .await?;
            sandbox
                .waiting_skills
                .retain(|waiting| waiting.name != skill.name);
            sandbox.waiting_skills.push(skill.clone());
        }
        Ok(())
    }

    /// After a restart: the skills that had not reached the sandbox.
    pub(super) async fn take_up_skills(&self, container: &Container) -> Result<(), StoreError> {
        let (workspace, id) = (&container.workspace, &container.id);
        let skills = self.0.store.mounted_skills(workspace, id).await?;
        let mut sandbox = container.sandbox.lock().await;
        for skill in skills.into_iter().filter(|skill| !skill.in_place) {
            if !sandbox.waiting_skills.contains(&skill) {
                sandbox.waiting_skills.push(skill);
            }
        }
        Ok(())
    }

    /// Puts what waits into the sandbox, one after the other.
    pub(super) async fn put_skills(
        &self,
        container: &Container,
        guest: &Guest,
        waiting: &mut Vec<MountedSkill>,
    ) -> Result<(), SandboxError> {
        if waiting.is_empty() {
            return Ok(());
        }
        self.0.backend.prepare_skills(&container.sandbox_id).await?;
        while let Some(skill) = waiting.first() {
            let files = self
                .files_of(container, skill)
                .await
                .map_err(store_failed)?;
            // A version that is gone leaves what is there.
            if !files.is_empty() {
                guest.new_skill(skill.name.clone()).await?;
            }
            for (path, content) in files {
                let path = format!("{}/{path}", skill.name);
                guest.put_skill_file(path, &content).await?;
            }
            let placed = MountedSkill {
                in_place: true,
                ..skill.clone()
            };
            self.0
                .store
                .mount_skill(&container.workspace, &container.id, placed)
                .await
                .map_err(store_failed)?;
            waiting.remove(0);
        }
        Ok(())
    }

    /// None if the version was deleted since the request named it.
    async fn files_of(
        &self,
        container: &Container,
        skill: &MountedSkill,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        if !skill.vendor {
            let workspace = &container.workspace;
            return self.0.store.skill_files(workspace, &skill.version).await;
        }
        let files = skills::vendor(&skill.skill_id).map_or(&[][..], |vendor| vendor.files);
        let file = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
        Ok(files.iter().map(file).collect())
    }
}
