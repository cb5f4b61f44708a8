//! `/_sandtable/state`: everything a workspace holds as one document, out and in again; and its reset,
//! which is the way back to the state that `--state` gives.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_api::{Reset, Restored};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::error::ControlError;
use super::target::{Claim, Claims, Target};
use crate::api::batches;
use crate::app::{App, tell_clock};
use common::limits::MAX_STATE_BYTES;
use engine::container::TreeError;
use store::{ContainerRow, ContainerState, Contents};
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
    let containers = write_containers(app, workspace, &mut budget).await?;
    let files = write_files(app, workspace, &mut budget).await?;
    let skills = write_skills(app, workspace, &mut budget).await?;
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
        let mut blob = app.store.open_blob(&row).await?;
        let read = blob.read_to_end(&mut content).await;
        read.map_err(|error| ControlError::internal(&error))?;
        files.push(snapshot::file(&row, content));
    }
    Ok(files)
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
            let bytes = files.iter().map(|(_, content)| content.len()).sum();
            budget.take(bytes, "the files of skills are too large")?;
            versions.push(snapshot::skill_version(&version, files));
        }
        skills.push(snapshot::skill(&row, versions));
    }
    Ok(skills)
}

async fn write_containers(
    app: &App,
    workspace: &Workspace,
    budget: &mut Budget,
) -> Result<Vec<Value>, ControlError> {
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
        let mut uploads = app.store.mounted_files(&workspace.id, &id).await?;
        let mut gone = Vec::new();
        for upload in uploads.iter().filter(|upload| !upload.in_place) {
            if app
                .store
                .file(&workspace.id, &upload.file_id)
                .await?
                .is_none()
            {
                gone.push(upload.file_id.clone());
            }
        }
        uploads.retain(|upload| !gone.contains(&upload.file_id));
        let mut skills = Vec::new();
        for skill in app.store.mounted_skills(&workspace.id, &id).await? {
            let files = app.store.skill_files(&workspace.id, &skill.version).await?;
            if skill.vendor || !files.is_empty() {
                skills.push(skill);
            }
        }
        containers.push(snapshot::container(&row, &uploads, &skills, tree));
    }
    Ok(containers)
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
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Restored>, ControlError> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large("the document is too large"),
        _ => ControlError::bad(error.body_text(), "send the document as the body"),
    })?;
    let document =
        Document::parse(&body, app.store.quota_bytes()).map_err(|mistakes| refused(&mistakes))?;
    drop(body);
    let workspace = claim.made(&app).await?;
    put(&app, &workspace, Some(Arc::new(document))).await?;
    Ok(Json(counts(&app, &workspace).await?))
}

fn refused(mistakes: &Mistakes) -> ControlError {
    let status = if mistakes.is_too_large() {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        StatusCode::BAD_REQUEST
    };
    ControlError::new(status, mistakes.to_string(), snapshot::HINT)
}

/// How much the workspace holds.
pub(super) async fn counts(app: &App, workspace: &Workspace) -> Result<Restored, ControlError> {
    let store = &app.store;
    Ok(Restored {
        files: store.all_files(&workspace.id).await?.len() as u64,
        skills: store.skills(&workspace.id).await?.len() as u64,
        containers: store.containers(&workspace.id).await?.len() as u64,
        batches: store.batches(&workspace.id).await?.len() as u64,
    })
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
        containers += put(&app, workspace, app.workspaces.state()).await?;
    }
    Ok(Json(Reset {
        workspaces: workspaces.len() as u64,
        containers: containers as u64,
    }))
}

/// How many containers were there before. A client that leaves leaves nothing half done.
pub(super) async fn put(
    app: &App,
    workspace: &Arc<Workspace>,
    document: Option<Arc<Document>>,
) -> Result<usize, ControlError> {
    let (app, workspace) = (app.clone(), Arc::clone(workspace));
    let done = tokio::spawn(async move { replace(&app, &workspace, document).await });
    done.await.map_err(|error| ControlError::internal(&error))?
}

async fn replace(
    app: &App,
    workspace: &Arc<Workspace>,
    document: Option<Arc<Document>>,
) -> Result<usize, ControlError> {
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
    let clock = contents.clock;
    let mut gone = app.store.containers(&workspace.id).await?;
    gone.retain(|row| row.state != ContainerState::Expired);
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
    if let Some(document) = document {
        workspace.set_up(document.rules());
    }
    for ContainerRow { id, .. } in gone {
        workspace.tell("container_expired", || json!({ "container": id }));
    }
    tell_clock(workspace);
    batches::resume_in(app, workspace).await?;
    Ok(cleared.containers.len())
}
