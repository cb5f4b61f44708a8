//! `/_sandtable/state`: everything a workspace holds as one document, out and in again; and its reset,
//! which is the way back to the state that `--state` gives.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_api::{Reset, Restored, SetupPart};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::body::{Sent, Unsent};
use super::error::ControlError;
use super::target::{Claim, Claims, Target};
use crate::api::batches;
use crate::app::{App, tell_clock, tell_setup};
use common::limits::MAX_STATE_BYTES;
use engine::container::TreeError;
use store::{
    ContainerRow, ContainerState, Contents, FileRow, MountedFile, MountedSkill, TreeEntry,
};
use workspace::Workspace;
use workspace::snapshot::{self, Document, Mistakes};

pub(super) fn too_large(what: &str) -> ControlError {
    ControlError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!(
            "{what}; a state holds at most {} MiB",
            MAX_STATE_BYTES / 1024 / 1024
        ),
        "delete large files before the state is taken, or keep the server's `--data-dir` instead",
    )
}

/// The workspace's state. Sleeping containers are woken for their files, and sleep again.
pub(super) async fn export(
    State(app): State<App>,
    Target(workspace): Target,
) -> Result<Response, ControlError> {
    let _alone = workspace.alone().await;
    let document = write(&app, &workspace).await?;
    let body =
        serde_json::to_vec_pretty(&document).map_err(|error| ControlError::internal(&error))?;
    drop(document);
    if body.len() > MAX_STATE_BYTES {
        return Err(too_large("the document is too large"));
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The bytes that the document may still hold.
struct Budget(usize);

impl Budget {
    fn take(&mut self, bytes: usize, what: &str) -> Result<(), ControlError> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| too_large(what))?;
        Ok(())
    }
}

/// All that the workspace holds.
pub(super) async fn write(app: &App, workspace: &Workspace) -> Result<Value, ControlError> {
    let mut budget = Budget(MAX_STATE_BYTES);
    // First of all: what is in a container may change what follows.
    let containers = read_containers(app, workspace, &mut budget).await?;
    let files = write_files(app, workspace, &mut budget).await?;
    let skills = write_skills(app, workspace, &mut budget).await?;
    let containers = write_containers(containers, &files, &skills);
    let batches = write_batches(app, workspace, &mut budget).await?;
    let mut document = json!({
        "version": snapshot::VERSION,
        "clock": snapshot::clock(workspace.clock.state()),
        "files": files,
        "skills": skills,
        "containers": containers,
        "batches": batches,
        "scripts": workspace.scripts.sources(),
        "faults": workspace.faults.own(),
    });
    if let Some(quirks) = snapshot::quirks(&workspace.own_quirks()) {
        document["quirks"] = quirks;
    }
    if let Some(limits) = workspace.rates.own() {
        document["rate_limits"] = json!(limits.as_ref());
    }
    Ok(document)
}

async fn write_files(
    app: &App,
    workspace: &Workspace,
    budget: &mut Budget,
) -> Result<Vec<Value>, ControlError> {
    let rows = app.store.all_files(&workspace.id).await?;
    if let Some(largest) = rows.iter().max_by_key(|row| row.size_bytes) {
        let all: u64 = rows.iter().map(|row| row.size_bytes).sum();
        let what = format!(
            "the files hold {all} bytes, `{}` alone {}",
            largest.id, largest.size_bytes
        );
        budget.take(usize::try_from(all).unwrap_or(usize::MAX), &what)?;
    }
    let mut files = Vec::with_capacity(rows.len());
    for row in rows {
        let mut content = Vec::with_capacity(usize::try_from(row.size_bytes).unwrap_or(0));
        let mut blob = match app.store.open_blob(&row).await {
            Ok(blob) => blob,
            // Deleted since the list was read.
            Err(_) if app.store.file(&workspace.id, &row.id).await?.is_none() => continue,
            Err(error) => return Err(unreadable_file(&row, &error)),
        };
        let read = blob.read_to_end(&mut content).await;
        read.map_err(|error| unreadable_file(&row, &error))?;
        files.push(snapshot::file(&row, content));
    }
    Ok(files)
}

fn unreadable_file(row: &FileRow, error: &dyn std::fmt::Display) -> ControlError {
    tracing::error!(file.id = %row.id, %error, "the bytes of a file cannot be had");
    ControlError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("the bytes of file `{}` cannot be had: {error}", row.id),
        format!("`DELETE /v1/files/{}` leaves it out", row.id),
    )
}

async fn write_skills(
    app: &App,
    workspace: &Workspace,
    budget: &mut Budget,
) -> Result<Vec<Value>, ControlError> {
    let mut skills = Vec::new();
    for row in app.store.skills(&workspace.id).await?.into_iter().rev() {
        let mut versions = Vec::new();
        for version in app.store.skill_versions(row.n).await?.into_iter().rev() {
            let files = app.store.skill_files(&workspace.id, &version.id).await?;
            // Deleted since the list was read: none is without a file.
            if files.is_empty() {
                continue;
            }
            let bytes = files.iter().map(|(_, content)| content.len()).sum();
            budget.take(bytes, "the files of skills are too large")?;
            versions.push(snapshot::skill_version(&version, files));
        }
        if !versions.is_empty() || app.store.skill(&workspace.id, &row.id).await?.is_some() {
            skills.push(snapshot::skill(&row, versions));
        }
    }
    Ok(skills)
}

/// A container with what lies in it.
struct ContainerRead {
    row: ContainerRow,
    uploads: Vec<MountedFile>,
    skills: Vec<MountedSkill>,
    tree: Vec<TreeEntry>,
}

async fn read_containers(
    app: &App,
    workspace: &Workspace,
    budget: &mut Budget,
) -> Result<Vec<ContainerRead>, ControlError> {
    let mut containers = Vec::new();
    for row in app.store.containers(&workspace.id).await?.into_iter().rev() {
        let id = row.id.clone();
        let tree = app
            .containers
            .tree(workspace, row.clone())
            .await
            .map_err(|error| unreadable(&row, &error))?;
        let bytes = tree.iter().map(|entry| entry.content.len()).sum();
        budget.take(
            bytes,
            &format!("the files of container `{id}` are too large"),
        )?;
        // What is noted of mounts is looked up behind the files: the waking has put them in place.
        let uploads = app.store.mounted_files(&workspace.id, &id).await?;
        let skills = app.store.mounted_skills(&workspace.id, &id).await?;
        containers.push(ContainerRead {
            row,
            uploads,
            skills,
            tree,
        });
    }
    Ok(containers)
}

/// Mounts of what the document does not hold are left out: it was deleted, perhaps since the container was read.
fn write_containers(
    containers: Vec<ContainerRead>,
    files: &[Value],
    skills: &[Value],
) -> Vec<Value> {
    let ids = |all: &mut dyn Iterator<Item = &Value>| -> HashSet<String> {
        all.filter_map(|one| one["id"].as_str().map(str::to_owned))
            .collect()
    };
    let files = ids(&mut files.iter());
    let versions = skills
        .iter()
        .filter_map(|skill| skill["versions"].as_array());
    let versions = ids(&mut versions.flatten());
    let written = containers.into_iter().map(|container| {
        let ContainerRead {
            row,
            mut uploads,
            mut skills,
            tree,
        } = container;
        uploads.retain(|upload| upload.in_place || files.contains(&*upload.file_id));
        skills.retain(|skill| skill.vendor || versions.contains(&skill.version));
        snapshot::container(&row, &uploads, &skills, tree)
    });
    written.collect()
}

fn unreadable(row: &ContainerRow, error: &TreeError) -> ControlError {
    let message = format!("the files of container `{}` cannot be had: {error}", row.id);
    match error {
        TreeError::TooLarge => too_large(&message),
        TreeError::Archive(_) | TreeError::Sandbox(_) | TreeError::Store(_) => ControlError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            message,
            format!(
                "`POST /_sandtable/containers/{}/expire` leaves it out, with its files",
                row.id
            ),
        ),
    }
}

async fn write_batches(
    app: &App,
    workspace: &Workspace,
    budget: &mut Budget,
) -> Result<Vec<Value>, ControlError> {
    let mut batches = Vec::new();
    for row in app.store.batches(&workspace.id).await?.into_iter().rev() {
        let items = app.store.batch_items(row.n).await?;
        let bytes = items
            .iter()
            .map(|item| item.params.len() + item.result.as_ref().map_or(0, Vec::len))
            .sum();
        budget.take(
            bytes,
            &format!("the items of batch `{}` are too large", row.id),
        )?;
        batches.push(snapshot::batch(&row, items));
    }
    Ok(batches)
}

/// Puts a document in place of everything the workspace holds.
pub(super) async fn import(
    State(app): State<App>,
    claim: Claim,
    body: Result<Sent, Unsent>,
) -> Result<Json<Restored>, ControlError> {
    let Sent(body) = body.map_err(|error| match error {
        Unsent::TooLarge(_) => too_large("the document is too large"),
        Unsent::Unfinished(error) => error,
    })?;
    let document =
        Document::parse(&body, app.store.quota_bytes()).map_err(|mistakes| refused(&mistakes))?;
    drop(body);
    let document = Arc::new(document);
    if let Some(key) = claim.new_key()
        && let Some((_, counts)) = make(&app, key, Arc::clone(&document)).await?
    {
        return Ok(Json(counts));
    }
    let workspace = claim.made(&app).await?;
    let Put { counts, .. } = put(&app, &workspace, Some(document)).await?;
    Ok(Json(counts))
}

/// Makes the workspace of a new key with a document in it, whole or not at all. `None` where the key has one. A client that
/// leaves leaves nothing half done.
pub(super) async fn make(
    app: &App,
    key: &str,
    document: Arc<Document>,
) -> Result<Option<(Arc<Workspace>, Restored)>, ControlError> {
    let (app, key) = (app.clone(), key.to_owned());
    let done = tokio::spawn(async move {
        let made = app.workspaces.make(&key, &document).await;
        let made = made.map_err(|error| ControlError::of_key(&app, error))?;
        if let Some((workspace, _)) = &made {
            tell_clock(workspace);
            batches::resume_in(&app, workspace).await?;
        }
        Ok(made)
    });
    done.await.map_err(|error| ControlError::internal(&error))?
}

fn refused(mistakes: &Mistakes) -> ControlError {
    let status = if mistakes.is_too_large() {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        StatusCode::BAD_REQUEST
    };
    ControlError::new(status, mistakes.to_string(), snapshot::HINT)
}

/// Forgets everything of the workspaces: files, batches, containers and their sandboxes, scripts, clock,
/// journal. What `--state` gives is there again.
pub(super) async fn reset(
    State(app): State<App>,
    claims: Claims,
) -> Result<Json<Reset>, ControlError> {
    let workspaces = claims.made(&app).await?;
    let mut containers = 0;
    for workspace in &workspaces {
        containers += put(&app, workspace, app.workspaces.state()).await?.ended;
    }
    Ok(Json(Reset {
        workspaces: workspaces.len() as u64,
        containers: containers as u64,
    }))
}

/// What became of a workspace whose contents were replaced.
pub(super) struct Put {
    /// How many containers were there before.
    ended: usize,
    counts: Restored,
}

/// Replaces all that a workspace holds. A client that leaves leaves nothing half done.
pub(super) async fn put(
    app: &App,
    workspace: &Arc<Workspace>,
    document: Option<Arc<Document>>,
) -> Result<Put, ControlError> {
    let (app, workspace) = (app.clone(), Arc::clone(workspace));
    let done = tokio::spawn(async move { replace(&app, &workspace, document).await });
    done.await.map_err(|error| ControlError::internal(&error))?
}

async fn replace(
    app: &App,
    workspace: &Arc<Workspace>,
    document: Option<Arc<Document>>,
) -> Result<Put, ControlError> {
    let _alone = workspace.alone().await;
    app.batches.stop(Some(&workspace.id)).await;
    let beginning = workspace.beginning();
    let contents = match &document {
        Some(document) => document.contents(&workspace.id, beginning),
        None => Contents {
            clock: beginning,
            ..Contents::default()
        },
    };
    let (clock, counts) = (contents.clock, snapshot::counts(&contents));
    let mut gone = app.store.containers(&workspace.id).await?;
    gone.retain(|row| row.state != ContainerState::Expired);
    let moving = workspace.moving_clock().await;
    let cleared = match app.store.restore_workspace(&workspace.id, contents).await {
        Ok(cleared) => cleared,
        Err(error) => {
            batches::resume_in(app, workspace).await?;
            return Err(error.into());
        }
    };
    // Waited for: with a seed, the next container may have the id of one that goes.
    let sandboxes = cleared.containers.iter().map(|id| id.as_str().into());
    app.containers.discard(&sandboxes.collect::<Vec<_>>()).await;
    workspace.reset();
    workspace.clock.reset(clock);
    drop(moving);
    if let Some(document) = document {
        workspace.set_up(document.rules());
    }
    for ContainerRow { id, .. } in gone {
        workspace.tell("container_expired", || json!({ "container": id }));
    }
    tell_clock(workspace);
    tell_setup(workspace, SetupPart::All);
    batches::resume_in(app, workspace).await?;
    Ok(Put {
        ended: cleared.containers.len(),
        counts,
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_container_does_not_mount_what_the_document_does_not_hold() {
        let upload = |id: &str, in_place| MountedFile {
            file_id: id.into(),
            filename: "a".to_owned(),
            in_place,
        };
        let skill = |version: &str, vendor| MountedSkill {
            name: "a".to_owned(),
            skill_id: "a".to_owned(),
            version: version.to_owned(),
            vendor,
            in_place: false,
        };
        let container = ContainerRead {
            row: ContainerRow {
                id: "container_1".to_owned(),
                workspace: "w".to_owned(),
                created_at: DateTime::UNIX_EPOCH,
                expires_at: DateTime::UNIX_EPOCH,
                last_used_at: DateTime::UNIX_EPOCH,
                state: ContainerState::Asleep,
                input_dir: String::new(),
                sandbox: "container_1".to_owned(),
                started: false,
                tree_waits: false,
            },
            uploads: vec![
                upload("kept", false),
                upload("gone", false),
                upload("gone_in_place", true),
            ],
            skills: vec![skill("1", false), skill("2", false), skill("2", true)],
            tree: Vec::new(),
        };
        let skills = [json!({"id": "a", "versions": [{"id": "1"}]})];
        let written = write_containers(vec![container], &[json!({"id": "kept"})], &skills);
        let ids = |list: &str, id: &str| -> Vec<Value> {
            let all = written[0][list].as_array().unwrap();
            all.iter().map(|one| one[id].clone()).collect()
        };
        assert_eq!(ids("uploads", "file_id"), ["kept", "gone_in_place"]);
        assert_eq!(ids("skills", "version"), ["1", "2"]);
    }
}
