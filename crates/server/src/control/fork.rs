//! `POST /_sandtable/state/fork`: a second workspace that holds what the first does, so that two ways to go
//! on can be compared.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control_api::{Fork, Forked, Restored};

use super::body::{Sent, object};
use super::error::ControlError;
use super::snapshot::{make, too_large, write};
use super::target::Claim;
use crate::api::INVALID_KEY;
use crate::app::App;
use common::limits::{MAX_KEY_BYTES, MAX_STATE_BYTES};
use workspace::Workspace;
use workspace::snapshot::{self, Document};

const HINT: &str = r#"such as {"key":"sk-ant-other"}, or no body: a key is made then"#;

/// Makes a workspace of the state of another; sleeping containers are woken for their files, and sleep again.
pub(super) async fn fork(
    State(app): State<App>,
    claim: Claim,
    Sent(body): Sent,
) -> Result<(StatusCode, Json<Forked>), ControlError> {
    let order: Fork = if body.is_empty() {
        Fork::default()
    } else {
        object(&body, "order to fork", HINT)?
    };
    let Fork { key } = order;
    if let Some(key) = &key {
        check_key(key)?;
        if app.workspaces.known_of_key(key).await?.is_some() {
            return Err(taken());
        }
    }
    let workspace = claim.made(&app).await?;
    let document = {
        let _alone = workspace.alone().await;
        write(&app, &workspace).await?
    };
    let text = serde_json::to_vec(&document).map_err(|error| ControlError::internal(&error))?;
    drop(document);
    if text.len() > MAX_STATE_BYTES {
        return Err(too_large("the state is too large"));
    }
    let document = Document::parse(&text, app.store.quota_bytes())
        .map_err(|mistakes| ControlError::bad(mistakes.to_string(), snapshot::HINT))?;
    let (key, fork, counts) = new_workspace(&app, key, Arc::new(document)).await?;
    let Restored {
        files,
        skills,
        containers,
        batches,
    } = counts;
    let forked = Forked {
        workspace: fork.name.clone(),
        key,
        files,
        skills,
        containers,
        batches,
    };
    Ok((StatusCode::CREATED, Json(forked)))
}

/// A key that a client can send.
fn check_key(key: &str) -> Result<(), ControlError> {
    if key == INVALID_KEY {
        return Err(ControlError::bad(
            format!("every request with the key `{INVALID_KEY}` is refused"),
            "name another key, or none: one is made then",
        ));
    }
    if key.len() > MAX_KEY_BYTES {
        let bytes = key.len();
        return Err(ControlError::bad(
            format!("`key` has {bytes} bytes, and may have {MAX_KEY_BYTES}"),
            HINT,
        ));
    }
    if key.trim().is_empty() {
        return Err(ControlError::bad("`key` is empty", HINT));
    }
    let is_sent = key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && key.trim() == key;
    if is_sent {
        return Ok(());
    }
    Err(ControlError::bad(
        format!("no client can send the key `{}`", key.escape_debug()),
        "visible characters of ASCII, with no space around them",
    ))
}

fn taken() -> ControlError {
    ControlError::new(
        StatusCode::CONFLICT,
        "there is a workspace of this key already",
        "name another key, or none: one is made then",
    )
}

async fn new_workspace(
    app: &App,
    wanted: Option<String>,
    document: Arc<Document>,
) -> Result<(String, Arc<Workspace>, Restored), ControlError> {
    let is_given = wanted.is_some();
    let mut key = wanted.unwrap_or_else(|| app.workspaces.fresh_key());
    loop {
        match make(app, &key, Arc::clone(&document)).await? {
            Some((workspace, counts)) => return Ok((key, workspace, counts)),
            None if is_given => return Err(taken()),
            // Seeded keys repeat over a restart.
            None => key = app.workspaces.fresh_key(),
        }
    }
}
