//! The references of a request: files by id, tools by version, and the results it brings.

use std::collections::HashMap;

use serde_json::Value;
use wire::member::at;
use wire::refusal::Invalid;
use wire::request::{Block, By, Message, MessagesRequest, NamedFile, Role, Shown, is_image_type};

use crate::{Engine, TurnError, TurnInput, programmatic};
use common::ids::FileId;
use guest_proto::directory_name;
use model::{CallResult, DeclaredTool, TurnRequest, Upload};
use store::FileRow;
use workspace::lint::SHORTENED_NAME;
use workspace::quirks::UploadScope;

/// An upload of an earlier turn: where it stands, and its file.
#[derive(Debug)]
pub(super) struct InertUpload {
    pub(super) path: String,
    pub(super) file_id: FileId,
}

/// An upload whose name a later one of the same turn has: where it stands, and both.
#[derive(Debug)]
pub(super) struct DisplacedUpload {
    pub(super) path: String,
    pub(super) upload: Upload,
    pub(super) by: FileId,
}

/// The `container_upload` blocks of a request.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Those of the newest user turn.
    pub(super) mounted: Vec<Upload>,
    pub(super) inert: Vec<InertUpload>,
    pub(super) displaced: Vec<DisplacedUpload>,
}

/// Checks every file the request names.
pub(super) async fn check(engine: &Engine, input: &TurnInput) -> Result<Uploads, TurnError> {
    let newest = newest_turn(&input.request.messages);
    let scope = input.quirks.upload_scope;
    let has_code_tool = programmatic::is_provided(&input.request.tools);
    let mut uploads = Uploads::default();
    // Those of the newest turn, each with its place.
    let mut named: Vec<(String, Upload)> = Vec::new();
    for (index, message) in input.request.messages.iter().enumerate() {
        for (position, block) in message.content.iter().enumerate() {
            let path = || format!("messages.{index}.content.{position}");
            for shown in block.files() {
                check_shown(engine, input, shown).await?;
            }
            match block {
                // An answer tells of a file that lies in the container already (SDK type 2.11).
                Block::ContainerUpload { .. } if message.role != Role::User => {}
                // Parity: an upload of an earlier turn is inert, whatever it names (F051).
                Block::ContainerUpload { file_id }
                    if index < newest && scope == UploadScope::Newest =>
                {
                    uploads.inert.push(InertUpload {
                        path: path(),
                        file_id: file_id.as_str().into(),
                    });
                }
                Block::ContainerUpload { .. } if index < newest && scope != UploadScope::All => {}
                Block::ContainerUpload { .. } if !has_code_tool => {
                    let reason = "container_upload blocks need the code execution tool in `tools`";
                    return Err(invalid(&path(), reason));
                }
                Block::ContainerUpload { file_id } => {
                    let file = find(engine, input, file_id).await?;
                    let filename = directory_name(&file.filename).into_owned();
                    if filename != file.filename {
                        let text = format!(
                            "{}: the name of `{file_id}` has {} bytes, and the container has it as `{filename}`",
                            path(),
                            file.filename.len()
                        );
                        input.lint(&SHORTENED_NAME, text);
                    }
                    let upload = Upload {
                        file_id: file.id,
                        filename,
                    };
                    if index >= newest {
                        named.push((path(), upload.clone()));
                    }
                    uploads.mounted.push(upload);
                }
                Block::Text { .. }
                | Block::Image(_)
                | Block::Document(_)
                | Block::ToolUse { .. }
                | Block::ToolResult { .. }
                | Block::ServerToolUse { .. }
                | Block::ServerToolResult { .. }
                | Block::Thinking { .. }
                | Block::RedactedThinking
                | Block::SearchResult { .. }
                | Block::McpToolUse { .. }
                | Block::McpToolResult { .. }
                | Block::Compaction { .. }
                | Block::Other => {}
            }
        }
    }
    uploads.displaced = displaced(named);
    Ok(uploads)
}

fn displaced(named: Vec<(String, Upload)>) -> Vec<DisplacedUpload> {
    let last: HashMap<String, FileId> = named
        .iter()
        .map(|(_, upload)| (upload.filename.clone(), upload.file_id.clone()))
        .collect();
    let displaced = named.into_iter().filter_map(|(path, upload)| {
        let by = last.get(&upload.filename)?.clone();
        (by != upload.file_id).then_some(DisplacedUpload { path, upload, by })
    });
    displaced.collect()
}

/// Checks that a file can be shown as what shows it.
async fn check_shown(
    engine: &Engine,
    input: &TurnInput,
    shown: &NamedFile,
) -> Result<(), TurnError> {
    let file = find(engine, input, &shown.file_id).await?;
    let kind = essence(&file.mime_type);
    let (fits, takes) = match shown.shown {
        Shown::Image => (
            is_image_type(&kind),
            "an image block takes a JPEG, PNG, GIF, or WebP image",
        ),
        Shown::Document => (
            matches!(&*kind, "application/pdf" | "text/plain"),
            "a document block takes a PDF or plain text",
        ),
    };
    if fits {
        return Ok(());
    }
    Err(invalid(
        &shown.path,
        &format!(
            "The file format is invalid or unsupported: `{}` is `{}`, {takes}. \
             Use a `container_upload` block to hand other files to code execution.",
            file.filename, file.mime_type
        ),
    ))
}

/// A media type without its parameters; its letters may be of either case (RFC 9110, 8.3.1).
fn essence(media_type: &str) -> String {
    let (essence, _) = media_type.split_once(';').unwrap_or((media_type, ""));
    essence.trim().to_ascii_lowercase()
}

fn invalid(path: &str, reason: &str) -> TurnError {
    Invalid::new(format!("{path}: {reason}")).into()
}

async fn find(engine: &Engine, input: &TurnInput, file_id: &str) -> Result<FileRow, TurnError> {
    let now = input.workspace.clock.now();
    let row = engine
        .store
        .file(&input.workspace.id, &file_id.into())
        .await?
        .filter(|row| !row.is_gone(now))
        .ok_or_else(|| TurnError::NotFound {
            message: format!("File `{file_id}` not found."),
            code: None,
        })?;
    if input.workspace.watch.has_unread() {
        input.note(|facts| facts.handed_on.push(file_id.to_owned()));
    }
    if row.is_expired(now) {
        return Err(TurnError::NotFound {
            message: format!("File `{file_id}` has expired."),
            code: Some("file_expired"),
        });
    }
    Ok(row)
}

/// The files that a request hands on: those of the newest turn, and what is shown to the model.
pub fn handed_on(request: &MessagesRequest) -> impl Iterator<Item = &str> {
    let newest = newest_turn(&request.messages);
    let messages = request.messages.iter().enumerate();
    let blocks = messages.flat_map(|(at, message)| message.content.iter().map(move |it| (at, it)));
    blocks.flat_map(move |(at, block)| {
        let upload = if let Block::ContainerUpload { file_id } = block {
            (at >= newest).then_some(file_id.as_str())
        } else {
            None
        };
        let shown = block.files().iter().map(|file| file.file_id.as_str());
        shown.chain(upload)
    })
}

/// The tools that a model has: those of the request, and what its messages have added and taken away since.
fn declared(request: &MessagesRequest, body: &Value) -> Vec<DeclaredTool> {
    let of = |kind: &str, name: &str| DeclaredTool {
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    let own = || request.tools.iter().map(|tool| of(&tool.tag, &tool.name));
    let mut tools: Vec<DeclaredTool> = own().collect();
    if request
        .messages
        .iter()
        .all(|message| message.role != Role::System)
    {
        return tools;
    }
    let messages = at(body, "messages").as_array().into_iter().flatten();
    let blocks = messages.filter_map(|message| at(message, "content").as_array());
    for block in blocks.flatten() {
        let tool = at(block, "tool");
        let text = |value: &Value, key| at(value, key).as_str().map(str::to_owned);
        match (at(block, "type").as_str(), at(tool, "type").as_str()) {
            (Some("tool_addition"), Some("tool_definition")) => {
                let definition = at(tool, "definition");
                let kind = text(definition, "type");
                let kind = kind.as_deref().unwrap_or("custom");
                let name = text(definition, "name").unwrap_or_else(|| kind.to_owned());
                tools.push(of(kind, &name));
            }
            (Some("tool_addition"), Some("tool_reference")) => {
                let name = text(tool, "name").unwrap_or_default();
                if !tools.iter().any(|tool| tool.name == name) {
                    tools.extend(own().find(|tool| tool.name == name));
                }
            }
            (Some("tool_removal"), Some("tool_reference")) => {
                let name = text(tool, "name").unwrap_or_default();
                tools.retain(|tool| tool.name != name);
            }
            _ => {}
        }
    }
    tools
}

/// The request as a model sees it.
pub(super) fn turn_request(input: &TurnInput, uploads: Vec<Upload>) -> TurnRequest {
    let request = &input.request;
    let tools = declared(request, &input.body);
    TurnRequest {
        body: input.body.clone(),
        user_text: newest_text(&request.messages),
        tools,
        code_tool: programmatic::code_tool(&request.tools),
        uploads,
        answered: answered(request),
        resumes_pause: request.resumes_pause(),
    }
}

pub(super) fn newest_text(messages: &[Message]) -> String {
    let texts = |message: &Message| {
        let mut texts = message.content.iter().filter_map(Block::text);
        let first = texts.next().unwrap_or_default().to_owned();
        texts.fold(first, |all, text| all + "\n" + text)
    };
    messages
        .iter()
        .rev()
        .filter(|message| message.role == Role::User)
        .map(texts)
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// The ids that the last message answers.
fn answered(request: &MessagesRequest) -> Vec<String> {
    request
        .last_said()
        .into_iter()
        .flat_map(|message| &message.content)
        .filter_map(Block::client_answer)
        .map(str::to_owned)
        .collect()
}

/// The index of the first message of the turn being generated: what follows the last completed
/// assistant response. An exchange of tool results, or a pause, does not end a turn.
fn newest_turn(messages: &[Message]) -> usize {
    let mut next_answers = true;
    for (index, message) in messages.iter().enumerate().rev() {
        match message.role {
            Role::Assistant if !next_answers => return index + 1,
            Role::Assistant | Role::System => {}
            Role::User => {
                next_answers = message
                    .content
                    .iter()
                    .any(|block| matches!(block, Block::ToolResult { .. }));
            }
        }
    }
    0
}

/// The client's results in the last message, as the model gets them: what code has called stays with
/// the code.
pub(super) fn client_results(request: &MessagesRequest, answered: &[String]) -> Vec<CallResult> {
    let call = |wanted: &str| {
        request
            .messages
            .iter()
            .flat_map(|message| &message.content)
            .filter_map(Block::client_call)
            .find(|call| call.id == wanted)
            .map(|call| (call.name.to_owned(), call.caller_tool_id.is_some()))
            .unwrap_or_default()
    };
    request
        .last_said()
        .into_iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| {
            let Block::ToolResult {
                tool_use_id, text, ..
            } = block
            else {
                return None;
            };
            let (name, by_code) = call(tool_use_id);
            let is_own = answered.contains(tool_use_id) && !by_code;
            is_own.then(|| CallResult {
                id: tool_use_id.clone(),
                name,
                stdout: text.clone(),
                stderr: String::new(),
                return_code: None,
                error_code: None,
                content: Value::String(text.clone()),
                files: Vec::new(),
            })
        })
        .collect()
}

/// The ids of all calls of the last assistant message, in order.
pub(super) fn call_order(request: &MessagesRequest) -> Vec<&str> {
    let last = request
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::Assistant);
    last.into_iter()
        .flat_map(|message| &message.content)
        .filter_map(Block::call)
        .filter(|call| call.by != By::Connector)
        .map(|call| call.id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(value: &Value) -> Vec<Message> {
        let body = json!({"model": "m", "max_tokens": 1, "messages": value});
        MessagesRequest::decode(&body, false).unwrap().messages
    }

    #[test]
    fn a_media_type_is_its_essence_in_lower_case() {
        for told in ["text/plain", "TEXT/Plain ; charset=utf-8", "text/plain;a;b"] {
            assert_eq!(essence(told), "text/plain");
        }
    }

    #[test]
    fn the_newest_turn_begins_after_the_last_completed_answer() {
        let user = json!({"role": "user", "content": "a"});
        let answer = json!({"role": "assistant", "content": "b"});
        let results =
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]});
        let call = json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "t", "name": "f", "input": {}}]});
        assert_eq!(newest_turn(&messages(&json!([user]))), 0);
        assert_eq!(newest_turn(&messages(&json!([user, answer, user]))), 2);
        assert_eq!(newest_turn(&messages(&json!([user, call, results]))), 0);
        assert_eq!(
            newest_turn(&messages(&json!([user, answer, user, call, results]))),
            2
        );
        assert_eq!(
            newest_turn(&messages(&json!([user, answer, user, call]))),
            2
        );
    }
}
