//! Which skills lie in a container.

use rusqlite::{Transaction, params};

use crate::{Store, StoreError};

/// A skill that belongs into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedSkill {
    /// Its directory's name.
    pub name: String,
    /// Whether it is the vendor's, and none of the workspace.
    pub vendor: bool,
    pub skill_id: String,
    /// `skver_…`, or a vendor's date.
    pub version: String,
    /// Whether it lies there, or waits for the container to wake.
    pub in_place: bool,
}

impl Store {
    /// Notes that a skill belongs into a container; noting it again changes what is known of it.
    pub async fn mount_skill(
        &self,
        workspace: &str,
        container: &str,
        skill: MountedSkill,
    ) -> Result<(), StoreError> {
        let (workspace, container) = (workspace.to_owned(), container.to_owned());
        self.write(move |db| mount(db, &workspace, &container, &skill))
            .await
    }

    /// The skills that belong into a container, in the order they came.
    pub async fn mounted_skills(
        &self,
        workspace: &str,
        container: &str,
    ) -> Result<Vec<MountedSkill>, StoreError> {
        self.look_up(|db| {
            db.prepare_cached(
                "SELECT name, vendor, skill_id, version, in_place FROM container_skills
                 WHERE workspace = ?1 AND container = ?2 ORDER BY position",
            )
            .and_then(|mut query| {
                query
                    .query_map([workspace, container], |row| {
                        Ok(MountedSkill {
                            name: row.get(0)?,
                            vendor: row.get(1)?,
                            skill_id: row.get(2)?,
                            version: row.get(3)?,
                            in_place: row.get(4)?,
                        })
                    })?
                    .collect()
            })
            .map_err(StoreError::sql("list the skills of a container"))
        })
        .await
    }
}

pub(crate) fn mount(
    db: &Transaction<'_>,
    workspace: &str,
    container: &str,
    skill: &MountedSkill,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO container_skills
             (workspace, container, name, position, vendor, skill_id, version, in_place)
         VALUES (?1, ?2, ?3,
                 (SELECT count(*) FROM container_skills WHERE workspace = ?1 AND container = ?2),
                 ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET vendor = excluded.vendor, skill_id = excluded.skill_id,
             version = excluded.version, in_place = excluded.in_place",
        params![
            workspace,
            container,
            skill.name,
            skill.vendor,
            skill.skill_id,
            skill.version,
            skill.in_place
        ],
    )
    .map(|_| ())
    .map_err(StoreError::sql("note a skill in a container"))
}
