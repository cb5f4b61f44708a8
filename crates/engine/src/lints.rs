//! Mistakes of clients that the service punishes silently, found in a turn.

use sha2::{Digest, Sha256};
use wire::refusal::Invalid;
use wire::request::{Block, By, MessagesRequest, Role};

use crate::container::{Container, Found};
use crate::references::{DisplacedUpload, InertUpload};
use crate::validate::{Pending, declared_name};
use crate::{Engine, TurnError, TurnInput, programmatic, references};
use common::ids::FileId;
use guest_proto::directory_name;
use store::{MountedFile, StoreError};
use workspace::lint::{
    CHOICE_WITHOUT_EFFECT, DROPPED_CONTAINER, EXPIRED_CONTAINER, FORGOTTEN_UPLOAD,
    FORMAT_WITHOUT_EFFECT, INERT_UPLOAD, LOST_CALLER, MISSING_INPUT, SERVER_TOOL_RESULT,
};
use workspace::quirks::ExpiresAt;
use workspace::verify::{Told, Watch};

/// The request asks what was asked before, of a container that was over then: which ones those were.
pub(super) fn asks_again(input: &TurnInput) -> Vec<String> {
    let request = &input.request;
    if !programmatic::is_provided(&request.tools) {
        return Vec::new();
    }
    let watch = &input.workspace.watch;
    watch.asks(&question(request), named(request))
}

/// A call's answer is `container_expired`.
pub(super) fn told_expired(input: &TurnInput, container: &str, call: &str) {
    let question = question(&input.request);
    input.note(|facts| {
        let told = facts.told.get_or_insert_with(|| Told {
            container: container.to_owned(),
            calls: Vec::new(),
            question,
        });
        told.calls.push(call.to_owned());
    });
}

/// Notes how a request goes on from the answers before it, where a recorded answer stands for the turn.
pub fn heard(watch: &Watch, request: &MessagesRequest) {
    watch.coverage.asked(request);
    if request.resumes_pause() {
        goes_on(watch, request);
    }
    if programmatic::is_provided(&request.tools) {
        watch.asks(&question(request), named(request));
    }
}

/// Notes code that ran by the results in a recorded answer to `request`, and returns what they tell of a container
/// that is over. `results` are the calls' ids and error codes; `container` is the one that they ran in.
pub fn recorded(
    watch: &Watch,
    request: &MessagesRequest,
    container: Option<&str>,
    results: &[(String, Option<String>)],
) -> Option<Told> {
    let is_over = |code: &Option<String>| code.as_deref() == Some("container_expired");
    if results.iter().any(|(_, code)| !is_over(code)) {
        watch.works_on(&calls_of(request).collect::<Vec<_>>());
    }
    let over = results.iter().filter(|(_, code)| is_over(code));
    let calls: Vec<String> = over.map(|(id, _)| id.clone()).collect();
    let container = named(request).or(container).filter(|_| !calls.is_empty())?;
    Some(Told {
        container: container.to_owned(),
        calls,
        question: question(request),
    })
}

fn question(request: &MessagesRequest) -> [u8; 32] {
    Sha256::digest(references::newest_text(&request.messages)).into()
}

fn named(request: &MessagesRequest) -> Option<&str> {
    request.container.as_ref()?.id.as_deref()
}

/// The uploads and containers that are not at hand when a turn runs code.
#[derive(Debug, Default)]
pub(super) struct Means {
    pub(super) inert: Vec<InertUpload>,
    pub(super) displaced: Vec<DisplacedUpload>,
    /// Of which this turn's question was told that they are over.
    pub(super) told_over: Vec<String>,
}

/// Code is about to run in `container`: whether it has the files that the conversation has given.
pub(super) async fn uploads(
    engine: &Engine,
    input: &TurnInput,
    means: &Means,
    container: &Container,
    code: &str,
) -> Result<(), TurnError> {
    let request = &input.request;
    let calls: Vec<&str> = calls_of(request).collect();
    let watch = &input.workspace.watch;
    watch.works_on(&calls);
    for DisplacedUpload { path, upload, by } in &means.displaced {
        let text = format!(
            "not in container `{}`: {path}: `{}` (`{}`): `{by}` of the same turn has its name, and so its place",
            container.id, upload.filename, upload.file_id
        );
        input.lint(&MISSING_INPUT, text);
    }
    let is_new = named(request).is_none();
    if !is_new {
        dropped_container(engine, input, Some(container)).await?;
    }
    if means.inert.is_empty() && !is_new {
        return Ok(());
    }
    let workspace = &container.workspace;
    let there = engine.store.mounted_files(workspace, &container.id).await?;
    let has = |file: &MountedFile| {
        let mut there = there.iter();
        there.any(|other| other.file_id == file.file_id || other.filename == file.filename)
    };
    let mut former = watch.containers_of(calls.iter().copied());
    former.extend(means.told_over.iter().cloned());
    let mut settled: Vec<FileId> = Vec::new();
    for former in former.iter().filter(|former| ***former != *container.id) {
        let lives = is_alive(engine, input, former).await?;
        for file in engine.store.mounted_files(workspace, former).await? {
            if has(&file) || settled.contains(&file.file_id) {
                continue;
            }
            let in_history = means
                .inert
                .iter()
                .any(|upload| upload.file_id == file.file_id);
            let is_needed =
                in_history || means.told_over.contains(former) || code.contains(&file.filename);
            let still_kept = engine.store.file(workspace, &file.file_id).await?.is_some();
            // One that lives was left out: `dropped_container` says so.
            if !lives && is_needed && still_kept {
                let text = format!(
                    "`{}` (`{}`) was in container `{former}`, which has expired, and is not in `{}`, where the code runs",
                    file.filename, file.file_id, container.id
                );
                input.lint(&FORGOTTEN_UPLOAD, text);
            }
            if !lives || is_new {
                settled.push(file.file_id);
            }
        }
    }
    for InertUpload { path, file_id } in &means.inert {
        let row = engine.store.file(workspace, file_id).await?;
        let by_name = row.is_some_and(|row| {
            let name = directory_name(&row.filename);
            there.iter().any(|file| file.filename == name)
        });
        let by_id = there.iter().any(|file| file.file_id == *file_id);
        if !by_id && !by_name && !settled.contains(file_id) {
            settled.push(file_id.clone());
            let text =
                format!("{path}: `{file_id}` is inert: only the newest user turn is mounted");
            input.lint(&INERT_UPLOAD, text);
        }
    }
    Ok(())
}

/// Whether the container lives, as far as the client knows: a call or `expires_at` may have said that it does not.
async fn is_alive(engine: &Engine, input: &TurnInput, id: &str) -> Result<bool, StoreError> {
    let workspace = &input.workspace;
    if workspace.watch.is_told_over(id) {
        return Ok(false);
    }
    if input.quirks.container_expires_at == ExpiresAt::Rolling
        && let Some(row) = engine.store.container(&workspace.id, id).await?
        && row.expires_at <= workspace.clock.now()
    {
        return Ok(false);
    }
    let idle = input.quirks.container_idle.0;
    let found = engine.containers.find(workspace, id, idle).await?;
    Ok(matches!(found, Found::Alive(_)))
}

/// The ids of the conversation's server calls, the newest first.
fn calls_of(request: &MessagesRequest) -> impl Iterator<Item = &str> {
    let messages = request.messages.iter().rev();
    messages
        .flat_map(|message| message.content.iter().rev())
        .filter_map(server_call)
}

/// Code runs in `container`, or in one that the turn makes, and the conversation has another that lives.
pub(super) async fn dropped_container(
    engine: &Engine,
    input: &TurnInput,
    container: Option<&Container>,
) -> Result<(), StoreError> {
    let watch = &input.workspace.watch;
    let former = watch.containers_of(calls_of(&input.request));
    let is_known = |id: &str| former.iter().any(|former| *former == *id);
    if container.is_some_and(|container| is_known(&container.id)) {
        return Ok(());
    }
    if let Some(former) = former.first()
        && is_alive(engine, input, former).await?
    {
        let place = container.map_or_else(
            || "a new container".to_owned(),
            |container| format!("`{}`", container.id),
        );
        let text = format!(
            "code runs in {place}: the conversation's `{former}` was not sent in `container`"
        );
        input.lint(&DROPPED_CONTAINER, text);
    }
    Ok(())
}

/// Whether the code of `cell` waits in another container than `container`, where it was to go on.
pub(super) async fn waits_elsewhere(
    engine: &Engine,
    input: &TurnInput,
    cell: &str,
    container: &Container,
) -> Result<bool, StoreError> {
    match input.workspace.watch.containers_of([cell]).first() {
        Some(other) if **other != *container.id => is_alive(engine, input, other).await,
        Some(_) | None => Ok(false),
    }
}

/// Code waits for its client, and the call that it made has come back as the model's own.
pub(super) fn lost_caller(input: &TurnInput, pending: &Pending) -> Result<(), Invalid> {
    let messages = &input.request.messages;
    let blocks = || {
        let messages = messages.iter().enumerate();
        messages
            .flat_map(|(index, message)| message.content.iter().map(move |block| (index, block)))
    };
    let own = || {
        blocks()
            .filter_map(|(_, block)| block.call())
            .filter(|call| call.caller_tool_id.is_none() && call.by != By::Connector)
            .map(|call| call.id)
    };
    for cell in pending
        .calls
        .iter()
        .filter(|call| call.name == "code_execution")
    {
        let others: Vec<&str> = own().filter(|id| *id != cell.id).collect();
        let Some(lost) = programmatic::made_by(&input.request, &cell.id, &others) else {
            continue;
        };
        let text = format!(
            "`{lost}` was called by the code of `{}`, and came back without its `caller`",
            cell.id
        );
        input.lint(&LOST_CALLER, text);
        let at = blocks().find(|(_, block)| server_call(block) == Some(&cell.id));
        // Parity: as for web calls of code that come back so (python SDK #1801).
        return Err(Invalid::new(format!(
            "messages.{}: `{}` tool use with id `{}` was found without a corresponding `{}_tool_result` block",
            at.map_or(0, |(index, _)| index),
            cell.name,
            cell.id,
            cell.name
        )));
    }
    Ok(())
}

/// A turn ends, has named an expired container, and no call has told the client.
pub(super) fn expired_container(input: &TurnInput) {
    let text = "container: it has expired, and no call noticed".to_owned();
    input.lint(&EXPIRED_CONTAINER, text);
}

/// The model calls `names` at once, `first` before any other: whether `tool_choice` lets it.
pub(super) fn calls(input: &TurnInput, names: &[&str], first: bool) {
    let (Some(choice), [name, ..]) = (&input.request.tool_choice, names) else {
        return;
    };
    let is = |wanted: &str| names.iter().any(|name| declared_name(name) == wanted);
    let text = match choice.name.as_deref() {
        _ if choice.forbids => format!("the model calls `{name}`, and `tool_choice` is `none`"),
        Some(wanted) if first && !input.request.resumes_pause() && !is(wanted) => {
            format!("the model calls `{name}`, and `tool_choice` names `{wanted}`")
        }
        Some(_) | None if choice.disables_parallel && names.len() > 1 => format!(
            "the model makes {} calls at once, and `disable_parallel_tool_use` is set",
            names.len()
        ),
        Some(_) | None => return,
    };
    input.lint(&CHOICE_WITHOUT_EFFECT, text);
}

/// The model has called nothing.
pub(super) fn no_calls(input: &TurnInput) {
    let choice = input.request.tool_choice.as_ref();
    if choice.is_some_and(|choice| choice.forces) && !input.request.resumes_pause() {
        let text = "the model calls nothing, and `tool_choice` forces a call".to_owned();
        input.lint(&CHOICE_WITHOUT_EFFECT, text);
    }
}

/// The answer ends in a text that is none.
pub(super) fn no_json(input: &TurnInput) {
    let text =
        "the answer's last text is no JSON, and `output_config.format` asks for some".to_owned();
    input.lint(&FORMAT_WITHOUT_EFFECT, text);
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
    let call = block.call().filter(|call| call.by == By::Service)?;
    Some(call.id)
}

/// The request goes on after a pause: the calls of the answers that it goes on from.
pub(super) fn goes_on(watch: &Watch, request: &MessagesRequest) {
    let calls: Vec<&str> = calls_so_far(request).collect();
    watch.coverage.goes_on(request);
    watch.goes_on(&calls);
}

/// The model's calls of the answer that a request goes on with: those of all its parts, if it paused before.
pub fn calls_so_far(request: &MessagesRequest) -> impl Iterator<Item = &str> {
    let said = request
        .messages
        .iter()
        .rev()
        .take_while(|message| message.role != Role::User)
        .flat_map(|message| &message.content);
    said.filter_map(Block::call)
        .filter(|call| call.caller_tool_id.is_none())
        .map(|call| call.id)
}
