//! The rules between the messages of a history (F010), and what they leave pending.

mod body;
mod calls;
mod counted;
mod media;
mod schemas;
mod system;
mod thoughts;
mod tools;

use std::collections::HashSet;

use serde_json::Value;
use wire::refusal::{self, Invalid};
use wire::request::{Block, By, Message, MessagesRequest, Role};

use crate::programmatic::CodeAnswer;
use crate::seal;
use workspace::quirks::WeakRefusals;

pub(crate) use body::caches_for_an_hour;
pub(crate) use calls::declared_name;
pub use counted::{files as counted_files, tools as counted_tools};
pub use media::{TooLarge, check as media, is_in as has_media};
pub use thoughts::{
    check as thoughts, check_end as final_thought, is_on as thinks, prefill as prefilled_thoughts,
};
pub use tools::check as tools;

/// The calls that an earlier response left for this one to carry out.
#[derive(Debug, Default, PartialEq)]
pub struct Pending {
    /// Server calls without a result, in order: they run first.
    pub calls: Vec<PendingCall>,
}

/// A `server_tool_use` of the history that has no result yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCall {
    pub id: String,
    pub name: String,
    pub input: Value,
    /// The MCP server that it goes to, if it does.
    pub connector: Option<String>,
    /// Its code runs already, and waited for these.
    pub answers: Option<Vec<CodeAnswer>>,
}

/// Messages of one role that follow each other count as one turn.
struct Group<'a> {
    role: Role,
    /// The index of the group's first message.
    first: usize,
    blocks: Vec<(usize, usize, &'a Block)>,
}

impl Group<'_> {
    /// Whether what the model has called before may still be without a result: the client has only
    /// answered, and code has only called.
    fn leaves_calls_open(&self) -> bool {
        self.blocks.iter().all(|(_, _, block)| {
            if let Some(answer) = block.answer() {
                return answer.by == By::Client || self.role == Role::Assistant;
            }
            block
                .call()
                .is_some_and(|call| call.caller_tool_id.is_some())
        })
    }
}

/// Checks fields against each other; the error is the text for the client.
pub fn fields(request: &MessagesRequest, raw: &Value, weak: WeakRefusals) -> Result<(), Invalid> {
    schemas::check(raw, weak)?;
    body::check(raw, weak)?;
    system::check(request, raw)
}

fn items(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

/// Checks the history and returns what is pending; the error is the text for the client.
pub fn history(request: &MessagesRequest) -> Result<Pending, Invalid> {
    let groups = group(&request.messages);
    check_content(&request.messages, &groups)?;
    check_thoughts(&groups)?;
    check_references(request)?;
    check_ids(&groups)?;
    check_client_tools(&groups)?;
    let calls = calls::check_server_tools(request, &groups)?;
    calls::check_code_callers(request, &groups)?;
    Ok(Pending { calls })
}

/// The stricter rules of `anthropic-version: 2026-10-21` (F013).
pub fn strict(request: &MessagesRequest) -> Result<(), Invalid> {
    if let Some(name) = request.sampling.first() {
        return Err(Invalid::new(format!(
            "{name}: Extra inputs are not permitted"
        )));
    }
    for (index, message) in request.messages.iter().enumerate() {
        for (position, block) in message.content.iter().enumerate() {
            match (message.role, block) {
                (Role::Assistant, Block::Document(_)) => {
                    return Err(Invalid::new(format!(
                        "messages.{index}.content.{position}: `document` blocks are not permitted in `assistant` messages"
                    )));
                }
                (Role::User, Block::SearchResult { cited: true }) => {
                    return Err(Invalid::new(format!(
                        "messages.{index}.content.{position}.search_result.content: `citations` are not permitted in \
                         `user` messages"
                    )));
                }
                (
                    Role::User,
                    Block::ToolResult {
                        cited_at: Some(path),
                        ..
                    },
                ) => {
                    return Err(Invalid::new(format!(
                        "{path}: `citations` are not permitted in `user` messages"
                    )));
                }
                (Role::User, Block::Text { cited: true, .. }) => {
                    return Err(Invalid::new(format!(
                        "messages.{index}.content.{position}.text.citations: `citations` are not permitted in `user` messages"
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// What follows each other of one role is one turn: one message of it has to say something, but for the assistant's at the
/// end (F010).
fn check_content(messages: &[Message], groups: &[Group<'_>]) -> Result<(), Invalid> {
    let last = groups.len().saturating_sub(1);
    let silent = groups
        .iter()
        .enumerate()
        .filter(|(at, group)| group.blocks.is_empty() && (*at != last || group.role == Role::User));
    let mut silent = silent.map(|(_, group)| group.first).peekable();
    for (index, message) in messages.iter().enumerate() {
        check_roles(index, message)?;
        let directs_nothing = message.role == Role::System
            && message.content.is_empty()
            && !system::only_directs(message);
        if silent.next_if_eq(&index).is_some() || directs_nothing {
            if message.role == Role::User {
                // Parity: the words of 2026 (F252).
                return Err(refusal::USER_EMPTY.refuse(&[("message", &index)]));
            }
            return Err(Invalid::new(format!(
                "messages.{index}: all messages must have non-empty content except for the optional final \
                 assistant message"
            )));
        }
        for block in &message.content {
            if let Block::Text { text, .. } = block {
                body::check_text(text, ("path", &"messages"))?;
            }
        }
    }
    Ok(())
}

/// Blocks that only one side sends.
fn check_roles(index: usize, message: &Message) -> Result<(), Invalid> {
    for block in &message.content {
        let (kind, role, right) = match block {
            Block::ToolResult { .. } => ("tool_result", "user", Role::User),
            Block::ToolUse { .. } => ("tool_use", "assistant", Role::Assistant),
            Block::Thinking { .. } => ("thinking", "assistant", Role::Assistant),
            Block::RedactedThinking => ("redacted_thinking", "assistant", Role::Assistant),
            // The service's own calls, which would be run, and what they came to.
            Block::ServerToolUse { .. } => ("server_tool_use", "assistant", Role::Assistant),
            Block::ServerToolResult { tag, .. } => (*tag, "assistant", Role::Assistant),
            Block::McpToolUse { .. } => ("mcp_tool_use", "assistant", Role::Assistant),
            Block::McpToolResult { .. } => ("mcp_tool_result", "assistant", Role::Assistant),
            Block::Image(_) if message.role == Role::Assistant => {
                return Err(refusal::ASSISTANT_IMAGE.refuse(&[("message", &index)]));
            }
            Block::Text { .. }
            | Block::Image(_)
            | Block::Document(_)
            | Block::ContainerUpload { .. }
            | Block::SearchResult { .. }
            | Block::Compaction { .. }
            | Block::Other => continue,
        };
        if message.role != right && matches!(kind, "thinking" | "redacted_thinking") {
            return Err(refusal::THOUGHT_ROLE.refuse(&[("message", &index)]));
        }
        if message.role != right {
            let values: [(&str, &dyn std::fmt::Display); 3] =
                [("message", &index), ("kind", &kind), ("role", &role)];
            return Err(refusal::BLOCK_ROLE.refuse(&values));
        }
    }
    Ok(())
}

/// A prefill ends where the answer goes on: not in white space.
pub fn prefill(request: &MessagesRequest) -> Result<(), Invalid> {
    let last = request
        .last_said()
        .and_then(|message| message.content.last());
    match last {
        Some(Block::Text { text, .. })
            if ends_with_prefill(request) && text.ends_with(char::is_whitespace) =>
        {
            Err(refusal::TRAILING_SPACE.refuse(&[]))
        }
        _ => Ok(()),
    }
}

fn group(messages: &[Message]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (index, message) in messages
        .iter()
        .enumerate()
        .filter(|(_, message)| message.role != Role::System)
    {
        if groups.last().is_none_or(|group| group.role != message.role) {
            groups.push(Group {
                role: message.role,
                first: index,
                blocks: Vec::new(),
            });
        }
        if let Some(group) = groups.last_mut() {
            group.blocks.extend(
                message
                    .content
                    .iter()
                    .enumerate()
                    .map(|(at, block)| (index, at, block)),
            );
        }
    }
    groups
}

/// Thoughts of the newest assistant turn come back as they were, and in their order (F009).
fn check_thoughts(groups: &[Group<'_>]) -> Result<(), Invalid> {
    let newest = groups.iter().rfind(|group| group.role == Role::Assistant);
    let blocks = newest.into_iter().flat_map(|group| &group.blocks);
    let thoughts: Vec<_> = blocks
        .filter_map(|(index, at, block)| {
            if let Block::Thinking {
                thinking,
                signature,
            } = block
            {
                return Some(((index, at), thinking, signature.as_str()));
            }
            None
        })
        .collect();
    let edited = thoughts
        .iter()
        .position(|(_, thinking, signature)| seal::is_edited(thinking, signature));
    let signatures: Vec<&str> = thoughts
        .iter()
        .map(|(_, _, signature)| *signature)
        .collect();
    match edited.or_else(|| seal::first_misplaced(&signatures)) {
        Some(first) => {
            let (index, at) = thoughts[first].0;
            Err(Invalid::new(format!(
                "messages.{index}.content.{at}: `thinking` or `redacted_thinking` blocks in the latest assistant \
                 message cannot be modified. These blocks must remain as they were in the original response."
            )))
        }
        None => Ok(()),
    }
}

/// Checks that every tool that a result refers to is declared (F016).
fn check_references(request: &MessagesRequest) -> Result<(), Invalid> {
    let blocks = request.messages.iter().flat_map(|message| &message.content);
    let answers = blocks.filter_map(Block::answer);
    let references = answers.flat_map(|answer| answer.references);
    for name in references {
        if !request.tools.iter().any(|tool| tool.name == *name) {
            return Err(Invalid::new(format!(
                "Tool reference '{name}' not found in available tools"
            )));
        }
    }
    Ok(())
}

/// Each id is of one call, and each call has one result.
fn check_ids(groups: &[Group<'_>]) -> Result<(), Invalid> {
    let (mut calls, mut results) = (HashSet::new(), HashSet::new());
    for (message, at, block) in groups.iter().flat_map(|group| &group.blocks) {
        let place: [(&str, &dyn std::fmt::Display); 2] = [("message", message), ("block", at)];
        if let Some(call) = block.call()
            && !calls.insert(call.id)
        {
            return Err(refusal::DOUBLED_ID.refuse(&place));
        }
        let Some(answer) = block.answer() else {
            continue;
        };
        let (kind, id) = (answer.tag, answer.tool_use_id);
        if !results.insert(id) {
            let [message, block] = place;
            return Err(refusal::DOUBLED_RESULT.refuse(&[
                message,
                block,
                ("kind", &kind),
                ("id", &id),
            ]));
        }
    }
    Ok(())
}

fn check_client_tools(groups: &[Group<'_>]) -> Result<(), Invalid> {
    for (position, group) in groups.iter().enumerate() {
        let uses: Vec<&str> = group
            .blocks
            .iter()
            .filter_map(|(_, _, block)| Some(block.client_call()?.id))
            .collect();
        let answers: Vec<&str> = groups
            .get(position + 1)
            .map_or_else(Vec::new, leading_results);
        let missing: Vec<&str> = uses
            .iter()
            .copied()
            .filter(|id| !answers.contains(id))
            .collect();
        if !missing.is_empty() {
            return Err(Invalid::new(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. \
                 Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                group.first,
                missing.join(", ")
            )));
        }
        let before: Vec<&str> = position
            .checked_sub(1)
            .map(|previous| {
                groups[previous]
                    .blocks
                    .iter()
                    .filter_map(|(_, _, block)| Some(block.client_call()?.id))
                    .collect()
            })
            .unwrap_or_default();
        for (index, at, block) in &group.blocks {
            if let Block::ToolResult {
                tool_use_id,
                text,
                is_error,
                is_text,
                ..
            } = block
            {
                if !before.contains(&tool_use_id.as_str()) {
                    return Err(Invalid::new(format!(
                        "messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: \
                         {tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` block in \
                         the previous message."
                    )));
                }
                // An error is told in words (F249).
                if *is_error && !*is_text {
                    return Err(
                        refusal::ERROR_RESULT_TEXT.refuse(&[("message", index), ("block", at)])
                    );
                }
                if *is_error && text.is_empty() {
                    return Err(Invalid::new(format!(
                        "messages.{index}.content.{at}.tool_result: content cannot be empty if is_error is true"
                    )));
                }
            }
        }
    }
    Ok(())
}

/// The `tool_result` ids at the head of a user turn.
fn leading_results<'a>(group: &Group<'a>) -> Vec<&'a str> {
    group
        .blocks
        .iter()
        .map_while(|(_, _, block)| block.client_answer())
        .collect()
}

/// Whether the conversation ends with what the assistant has said: a prefill. An answer that paused ends with a call of
/// the service, with the result of one, or with a summary, or has a call that is still open. What says nothing is none.
pub fn ends_with_prefill(request: &MessagesRequest) -> bool {
    let messages = request.messages.iter().rev();
    let mut said = messages
        .filter(|message| message.role != Role::System)
        .take_while(|message| message.role == Role::Assistant);
    let Some(message) = said.find(|message| !message.content.is_empty()) else {
        return false;
    };
    let pauses = message.content.last().is_some_and(|block| {
        matches!(block, Block::Compaction { .. })
            || block.call().is_some_and(|call| call.by != By::Client)
            || block.answer().is_some_and(|answer| answer.by != By::Client)
    });
    !pauses && !has_open_call(message)
}

/// Whether a call of the service, a connector's included, has no result yet.
fn has_open_call(message: &Message) -> bool {
    let answers = message.content.iter().filter_map(Block::answer);
    let done: HashSet<&str> = answers.map(|answer| answer.tool_use_id).collect();
    let mut calls = message.content.iter().filter_map(Block::call);
    calls.any(|call| call.by != By::Client && !done.contains(call.id))
}

#[cfg(test)]
mod tests;
