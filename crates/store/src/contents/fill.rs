//! Writing all rows and blobs of a workspace, inside one transaction.

use std::sync::Arc;

use rusqlite::{Transaction, params};

use super::{Contents, KeptBatch, KeptContainer, KeptFile, KeptSkill, KeptVersion, TreeEntry};
use crate::blobs::BlobDir;
use crate::files::is_unique_violation;
use crate::{StoreError, containers, files, micros, skills, workspaces};

/// The blobs made so far; dropped before [`Self::keep`], it removes them.
#[derive(Debug)]
pub(crate) struct Filling {
    blobs: Arc<BlobDir>,
    quota_bytes: u64,
    made: Vec<i64>,
}

impl Filling {
    pub(super) fn new(blobs: Arc<BlobDir>, quota_bytes: u64) -> Self {
        Self {
            blobs,
            quota_bytes,
            made: Vec::new(),
        }
    }

    /// The rows are committed.
    pub(super) fn keep(&mut self) {
        self.made.clear();
    }

    /// Adds everything to a workspace that holds nothing.
    pub(crate) fn fill(
        &mut self,
        db: &Transaction<'_>,
        workspace: &str,
        contents: Contents,
    ) -> Result<(), StoreError> {
        workspaces::keep_clock(db, workspace, contents.clock)?;
        for KeptFile { file, content } in contents.files {
            let row = files::insert(db, file, content.len() as u64, self.quota_bytes)?;
            self.made.push(row.blob);
            self.blobs.write(row.blob, &content)?;
        }
        for skill in contents.skills {
            add_skill(db, workspace, skill)?;
        }
        for container in contents.containers {
            add_container(db, workspace, container)?;
        }
        for batch in contents.batches {
            add_batch(db, workspace, batch)?;
        }
        Ok(())
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        for blob in &self.made {
            if let Err(error) = self.blobs.remove(*blob) {
                tracing::warn!(%error, "a blob without a row stays until the next start");
            }
        }
    }
}

/// Maps SQL's error for a row that is there already to [`StoreError::IdTaken`].
fn taken(id: String, operation: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| {
        if is_unique_violation(&source) {
            StoreError::IdTaken { id }
        } else {
            StoreError::sql(operation)(source)
        }
    }
}

fn add_skill(db: &Transaction<'_>, workspace: &str, skill: KeptSkill) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO skills (id, workspace, name, display_name, created_at_us, updated_at_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            skill.id,
            workspace,
            skill.name,
            skill.display_name,
            micros(skill.created_at),
            micros(skill.updated_at),
        ],
    )
    .map_err(taken(skill.id, "add a skill"))?;
    let n = db.last_insert_rowid();
    for version in skill.versions {
        add_version(db, workspace, n, version)?;
    }
    Ok(())
}

fn add_version(
    db: &Transaction<'_>,
    workspace: &str,
    skill: i64,
    version: KeptVersion,
) -> Result<(), StoreError> {
    let sql = || StoreError::sql("add a version of a skill");
    db.execute(
        "INSERT INTO skill_versions (workspace, skill, id, epoch_us, directory, description, created_at_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            workspace,
            skill,
            version.id,
            version.epoch_us,
            version.directory,
            version.description,
            micros(version.created_at),
        ],
    )
    .map_err(taken(version.id, "add a version of a skill"))?;
    let n = db.last_insert_rowid();
    let mut insert = db
        .prepare_cached("INSERT INTO skill_files (version, path, content) VALUES (?1, ?2, ?3)")
        .map_err(sql())?;
    for (path, content) in version.files {
        insert
            .execute(params![n, path, content.as_ref()])
            .map_err(sql())?;
    }
    Ok(())
}

fn add_container(
    db: &Transaction<'_>,
    workspace: &str,
    container: KeptContainer,
) -> Result<(), StoreError> {
    let id = container.row.id.clone();
    containers::insert(db, container.row)?;
    for upload in &container.uploads {
        containers::mount(db, workspace, &id, upload)?;
    }
    for skill in &container.skills {
        skills::mount(db, workspace, &id, skill)?;
    }
    add_tree(db, workspace, &id, container.tree)
}

/// Adds the files of a container.
pub(super) fn add_tree(
    db: &Transaction<'_>,
    workspace: &str,
    id: &str,
    tree: Vec<TreeEntry>,
) -> Result<(), StoreError> {
    let sql = || StoreError::sql("add the files of a container");
    let mut insert = db
        .prepare_cached(
            "INSERT INTO container_trees (workspace, container, path, kind, mode, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .map_err(sql())?;
    for entry in tree {
        insert
            .execute(params![
                workspace,
                id,
                entry.path,
                entry.kind,
                entry.mode,
                entry.content.as_ref(),
            ])
            .map_err(sql())?;
    }
    Ok(())
}

fn add_batch(db: &Transaction<'_>, workspace: &str, batch: KeptBatch) -> Result<(), StoreError> {
    let sql = || StoreError::sql("add a batch");
    let row = batch.row;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    db.execute(
        "INSERT INTO batches (id, workspace, state, version, betas, created_at_us, ended_at_us,
                              cancel_initiated_at_us, total, succeeded, errored, canceled, expired,
                              quirks)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            row.id,
            workspace,
            row.state,
            row.version,
            row.betas,
            micros(row.created_at),
            row.ended_at.map(micros),
            row.cancel_initiated_at.map(micros),
            count(row.total),
            count(row.succeeded),
            count(row.errored),
            count(row.canceled),
            count(row.expired),
            row.quirks,
        ],
    )
    .map_err(taken(row.id, "add a batch"))?;
    let n = db.last_insert_rowid();
    let mut insert = db
        .prepare_cached(
            "INSERT INTO batch_items (batch, position, custom_id, params, outcome, result)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .map_err(sql())?;
    for (position, item) in (0i64..).zip(batch.items) {
        insert
            .execute(params![
                n,
                position,
                item.custom_id,
                item.params,
                item.outcome,
                item.result,
            ])
            .map_err(sql())?;
    }
    Ok(())
}
