//! Skills, their versions and files, and which of them lie in a container.

mod mounted;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::files::is_unique_violation;
use super::{Store, StoreError, from_micros, micros};

pub use mounted::MountedSkill;
pub(super) use mounted::mount;

/// One skill as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillRow {
    /// `skill_…`.
    pub id: String,
    pub workspace: String,
    /// The slug of its first upload, which every later one has as well.
    pub name: String,
    pub display_name: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Its newest version: id and epoch; `None` if every version was deleted.
    pub latest: Option<(String, i64)>,
    /// Names it in the store, and orders a workspace's skills.
    pub n: i64,
}

/// One version of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillVersionRow {
    /// `skver_…`.
    pub id: String,
    /// Its version number in the beta, microseconds since the epoch.
    pub epoch_us: i64,
    pub directory: String,
    pub description: String,
    pub created_at: DateTime<Utc>,
    /// Names it in the store, and orders a skill's versions.
    pub n: i64,
}

const PREFIX: &str = "skver_";
/// As recorded with the beta header (F101).
const PREFIX_BETA: &str = "skill_version_";

impl SkillVersionRow {
    /// Its id in the beta.
    pub fn beta_id(&self) -> String {
        self.id.replacen(PREFIX, PREFIX_BETA, 1)
    }

    /// Whether it goes by this name: its id in either form, or its epoch.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.beta_id() == name || self.epoch_us.to_string() == name
    }
}

/// A skill to add.
#[derive(Debug, Clone)]
pub struct NewSkill {
    pub id: String,
    pub workspace: String,
    pub name: String,
    pub display_name: Option<String>,
    /// No other skill of the workspace may be shown under its name.
    pub is_shown_alone: bool,
}

/// A version to add.
#[derive(Debug, Clone)]
pub struct NewSkillVersion {
    pub id: String,
    pub directory: String,
    pub description: String,
    pub created_at: DateTime<Utc>,
    /// Paths below the skill's directory, and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

const SKILLS: &str = "SELECT s.id, s.workspace, s.name, s.display_name, s.created_at_us, s.updated_at_us, s.n, v.id, v.epoch_us
     FROM skills s LEFT JOIN skill_versions v
       ON v.n = (SELECT max(n) FROM skill_versions WHERE skill = s.n)";

const VERSIONS: &str = "SELECT v.id, v.epoch_us, v.directory, v.description, v.created_at_us, v.n
     FROM skill_versions v";

fn read_skill(row: &Row<'_>) -> rusqlite::Result<SkillRow> {
    let version: Option<String> = row.get(7)?;
    let epoch: Option<i64> = row.get(8)?;
    Ok(SkillRow {
        id: row.get(0)?,
        workspace: row.get(1)?,
        name: row.get(2)?,
        display_name: row.get(3)?,
        created_at: from_micros(row.get(4)?),
        updated_at: from_micros(row.get(5)?),
        n: row.get(6)?,
        latest: version.zip(epoch),
    })
}

fn read_version(row: &Row<'_>) -> rusqlite::Result<SkillVersionRow> {
    Ok(SkillVersionRow {
        id: row.get(0)?,
        epoch_us: row.get(1)?,
        directory: row.get(2)?,
        description: row.get(3)?,
        created_at: from_micros(row.get(4)?),
        n: row.get(5)?,
    })
}

/// Whether a skill of the workspace is shown under this name.
fn is_shown(db: &Transaction<'_>, workspace: &str, name: &str) -> rusqlite::Result<bool> {
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM skills WHERE workspace = ?1 AND coalesce(display_name, name) = ?2)",
        [workspace, name],
        |row| row.get(0),
    )
}

impl Store {
    /// Adds a skill with its first version. [`StoreError::IdTaken`] if the workspace has one of these
    /// ids, [`StoreError::NameTaken`] if it has a skill of this name where the new one wants its own; nothing
    /// is changed then.
    pub async fn insert_skill(
        &self,
        new: NewSkill,
        version: NewSkillVersion,
    ) -> Result<SkillRow, StoreError> {
        let sql = || StoreError::sql("add a skill");
        self.write(move |db| {
            let at = micros(version.created_at);
            let shown = new.display_name.as_ref().unwrap_or(&new.name);
            if new.is_shown_alone && is_shown(db, &new.workspace, shown).map_err(sql())? {
                return Err(StoreError::NameTaken {
                    name: shown.clone(),
                });
            }
            db.execute(
                "INSERT INTO skills (id, workspace, name, display_name, created_at_us, updated_at_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                params![new.id, new.workspace, new.name, new.display_name, at],
            )
            .map_err(|source| match source {
                error if is_unique_violation(&error) => StoreError::IdTaken { id: new.id },
                source => sql()(source),
            })?;
            let n = db.last_insert_rowid();
            add_version(db, &new.workspace, n, version)?;
            db.query_row(&format!("{SKILLS} WHERE s.n = ?1"), [n], read_skill)
                .map_err(sql())
        })
        .await
    }

    /// Adds a version to a skill; `None` if the skill is gone.
    pub async fn insert_skill_version(
        &self,
        skill: &SkillRow,
        version: NewSkillVersion,
    ) -> Result<Option<SkillVersionRow>, StoreError> {
        let sql = || StoreError::sql("add a version of a skill");
        let (skill, workspace) = (skill.n, skill.workspace.clone());
        self.write(move |db| {
            let at = micros(version.created_at);
            let known = db
                .execute(
                    "UPDATE skills SET updated_at_us = ?2 WHERE n = ?1",
                    params![skill, at],
                )
                .map_err(sql())?;
            if known == 0 {
                return Ok(None);
            }
            let n = add_version(db, &workspace, skill, version)?;
            db.query_row(&format!("{VERSIONS} WHERE v.n = ?1"), [n], read_version)
                .map(Some)
                .map_err(sql())
        })
        .await
    }

    /// The workspace's skills, the newest first.
    pub async fn skills(&self, workspace: &str) -> Result<Vec<SkillRow>, StoreError> {
        let workspace = workspace.to_owned();
        self.scan(move |db| {
            db.prepare(&format!(
                "{SKILLS} WHERE s.workspace = ?1 ORDER BY s.n DESC"
            ))
            .and_then(|mut query| query.query_map([workspace], read_skill)?.collect())
            .map_err(StoreError::sql("list skills"))
        })
        .await
    }

    /// One skill of the workspace.
    pub async fn skill(&self, workspace: &str, id: &str) -> Result<Option<SkillRow>, StoreError> {
        self.look_up(|db| {
            db.prepare_cached(&format!("{SKILLS} WHERE s.workspace = ?1 AND s.id = ?2"))
                .and_then(|mut query| query.query_row([workspace, id], read_skill).optional())
                .map_err(StoreError::sql("find a skill"))
        })
        .await
    }

    /// The versions of a skill, the newest first.
    pub async fn skill_versions(&self, skill: i64) -> Result<Vec<SkillVersionRow>, StoreError> {
        self.scan(move |db| {
            db.prepare(&format!("{VERSIONS} WHERE v.skill = ?1 ORDER BY v.n DESC"))
                .and_then(|mut query| query.query_map([skill], read_version)?.collect())
                .map_err(StoreError::sql("list the versions of a skill"))
        })
        .await
    }

    /// Deletes a skill with all its versions. `false` if it is gone.
    pub async fn delete_skill(&self, skill: i64) -> Result<bool, StoreError> {
        self.write(move |db| {
            db.execute("DELETE FROM skills WHERE n = ?1", [skill])
                .map(|deleted| deleted > 0)
                .map_err(StoreError::sql("delete a skill"))
        })
        .await
    }

    /// Deletes a version. `false` if it is gone, or the last one and to be kept.
    pub async fn delete_skill_version(
        &self,
        version: i64,
        keep_last: bool,
    ) -> Result<bool, StoreError> {
        self.write(move |db| {
            db.execute(
                "DELETE FROM skill_versions WHERE n = ?1 AND (NOT ?2 OR EXISTS (
                     SELECT 1 FROM skill_versions other
                     WHERE other.skill = skill_versions.skill AND other.n <> ?1))",
                params![version, keep_last],
            )
            .map(|deleted| deleted > 0)
            .map_err(StoreError::sql("delete a version of a skill"))
        })
        .await
    }

    /// The files of a version, by path; none if the workspace has no such version.
    pub async fn skill_files(
        &self,
        workspace: &str,
        version: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let (workspace, version) = (workspace.to_owned(), version.to_owned());
        self.scan(move |db| {
            db.prepare_cached(
                "SELECT f.path, f.content FROM skill_files f JOIN skill_versions v ON v.n = f.version
                 WHERE v.workspace = ?1 AND v.id = ?2 ORDER BY f.path",
            )
            .and_then(|mut query| {
                query
                    .query_map([workspace, version], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .map_err(StoreError::sql("read the files of a skill"))
        })
        .await
    }
}

fn add_version(
    db: &Transaction<'_>,
    workspace: &str,
    skill: i64,
    version: NewSkillVersion,
) -> Result<i64, StoreError> {
    let sql = || StoreError::sql("add a version of a skill");
    let at = micros(version.created_at);
    db.execute(
        "INSERT INTO skill_versions (workspace, skill, id, epoch_us, directory, description, created_at_us)
         VALUES (?1, ?2, ?3,
                 max(?6, 1 + coalesce((SELECT max(epoch_us) FROM skill_versions WHERE skill = ?2), 0)),
                 ?4, ?5, ?6)",
        params![workspace, skill, version.id, version.directory, version.description, at],
    )
    .map_err(|source| match source {
        error if is_unique_violation(&error) => StoreError::IdTaken { id: version.id },
        source => sql()(source),
    })?;
    let n = db.last_insert_rowid();
    let mut insert = db
        .prepare_cached("INSERT INTO skill_files (version, path, content) VALUES (?1, ?2, ?3)")
        .map_err(sql())?;
    for (path, content) in version.files {
        insert.execute(params![n, path, content]).map_err(sql())?;
    }
    Ok(n)
}
