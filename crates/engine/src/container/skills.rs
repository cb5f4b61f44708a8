//! Skills in containers: noted when a request names them, put below `/skills` when a call needs them.

use super::{Container, Containers, go_without, store_failed};
use common::limits::MAX_PATH_BYTES;
use guest_proto::MAX_NAME_BYTES;
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

    /// Puts what waits into the sandbox, one after the other. Answers what did not get there, and why: a file that no
    /// directory holds stays out for good, anything else is tried again with the next call.
    pub(super) async fn put_skills(
        &self,
        container: &Container,
        guest: &Guest,
        waiting: &mut Vec<MountedSkill>,
    ) -> Result<Vec<String>, SandboxError> {
        let mut missing = Vec::new();
        if waiting.is_empty() {
            return Ok(missing);
        }
        self.0.backend.prepare_skills(&container.sandbox_id).await?;
        let mut place = 0;
        while let Some(skill) = waiting.get(place) {
            let files = self
                .files_of(container, skill)
                .await
                .map_err(store_failed)?;
            if files.is_empty() {
                let name = &skill.name;
                missing.push(format!(
                    "skill `{name}`: its version was deleted before a call needed it"
                ));
            }
            // A version that is gone leaves what is there.
            if !files.is_empty()
                && let Err(error) = guest.new_skill(skill.name.clone()).await
            {
                let what = format!("skill `{}`", skill.name);
                missing.push(go_without(container, &what, error.into())?);
                place += 1;
                continue;
            }
            let mut is_whole = true;
            for (path, content) in files {
                let path = format!("{}/{path}", skill.name);
                let what = format!("`/skills/{path}`");
                if !is_holdable(&path) {
                    missing.push(format!(
                        "{what}: no directory holds a name or a path so long"
                    ));
                    continue;
                }
                if let Err(error) = guest.put_skill_file(path, &content).await {
                    missing.push(go_without(container, &what, error.into())?);
                    is_whole = false;
                }
            }
            if !is_whole {
                place += 1;
                continue;
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
            waiting.remove(place);
        }
        Ok(missing)
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

/// Whether directories hold a file of this path below `/skills`, and programs can name it.
fn is_holdable(path: &str) -> bool {
    let longest = path.split('/').map(str::len).max().unwrap_or(0);
    longest <= MAX_NAME_BYTES && "/skills/".len() + path.len() < MAX_PATH_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_measured_in_bytes() {
        let folders = |count| "x".repeat(199) + &format!("/{}", "y".repeat(199)).repeat(count);
        assert!(is_holdable(&"é".repeat(127)) && is_holdable(&folders(19)));
        assert!(!is_holdable(&"é".repeat(128)) && !is_holdable(&folders(20)));
    }
}
