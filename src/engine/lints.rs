//! Mistakes of clients that the service punishes silently, found in a turn.

use wire::request::{Block, MessagesRequest, Role};

use crate::container::{Container, Containers, Found};
use crate::engine::TurnInput;
use crate::lint::{DROPPED_CONTAINER, EXPIRED_CONTAINER, INERT_UPLOAD, SERVER_TOOL_RESULT};
use crate::store::{Store, StoreError};

/// An upload of an earlier turn: where it stands, and its file.
#[derive(Debug)]
pub(super) struct InertUpload {
    pub(super) path: String,
    pub(super) file_id: String,
}

/// Uploads that are not mounted, unless the turn's container has them from before.
pub(super) async fn inert_uploads(
    store: &Store,
    input: &TurnInput,
    uploads: &[InertUpload],
    container: Option<&Container>,
) -> Result<(), StoreError> {
    if uploads.is_empty() {
        return Ok(());
    }
    let mounted = match container {
        Some(container) => {
            store
                .mounted_files(&container.workspace, &container.id)
                .await?
        }
        None => Vec::new(),
    };
    for InertUpload { path, file_id } in uploads {
        if !mounted.iter().any(|file| file.file_id == *file_id) {
            input.lint(
                &INERT_UPLOAD,
                format!("{path}: `{file_id}` is inert: only the newest user turn is mounted"),
            );
        }
    }
    Ok(())
}

/// The turn makes a container, and the conversation has one that lives.
pub(super) async fn dropped_container(
    containers: &Containers,
    input: &TurnInput,
) -> Result<(), StoreError> {
    let blocks = input.request.messages.iter().rev();
    let calls = blocks
        .flat_map(|message| message.content.iter().rev())
        .filter_map(server_call);
    let workspace = &input.workspace;
    let Some(former) = workspace.watch.container_of(calls) else {
        return Ok(());
    };
    let idle = input.quirks.container_idle.0;
    if let Found::Alive(_) = containers.find(workspace, &former, idle).await? {
        let text = format!(
            "code runs in a new container: the conversation's `{former}` was not sent in `container`"
        );
        input.lint(&DROPPED_CONTAINER, text);
    }
    Ok(())
}

/// A turn ends, has named an expired container, and no call has told the client.
pub(super) fn expired_container(input: &TurnInput) {
    let text = "container: it has expired, and no call noticed".to_owned();
    input.lint(&EXPIRED_CONTAINER, text);
}

/// A history was refused: perhaps because a client answers what the service answers.
pub(super) fn server_tool_results(input: &TurnInput) {
    let request = &input.request;
    for (index, message) in request.messages.iter().enumerate() {
        for (at, block) in message.content.iter().enumerate() {
            if let Block::ToolResult { tool_use_id, .. } = block
                && is_server_call(request, tool_use_id)
            {
                let text = format!(
                    "messages.{index}.content.{at}: `{tool_use_id}` is a server tool's, and a `tool_result` answers it"
                );
                input.lint(&SERVER_TOOL_RESULT, text);
            }
        }
    }
}

fn is_server_call(request: &MessagesRequest, id: &str) -> bool {
    let mut blocks = request.messages.iter().flat_map(|message| &message.content);
    id.starts_with("srvtoolu_") || blocks.any(|block| server_call(block) == Some(id))
}

fn server_call(block: &Block) -> Option<&str> {
    match block {
        Block::ServerToolUse { id, .. } => Some(id),
        _ => None,
    }
}

/// The request goes on after a pause: the calls of the answers that it goes on from.
pub(super) fn goes_on(input: &TurnInput) {
    let messages = &input.request.messages;
    let said = messages
        .iter()
        .rev()
        .take_while(|message| message.role != Role::User)
        .flat_map(|message| &message.content);
    let calls: Vec<&str> = said
        .filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id.as_str()),
            other => server_call(other),
        })
        .collect();
    input.workspace.watch.goes_on(&calls);
}
