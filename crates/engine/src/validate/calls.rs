//! Server calls of a history and their results, and calls that code made in them.

use std::collections::{HashMap, HashSet};

use wire::refusal::{self, Invalid};
use wire::request::{Block, By, Call, MessagesRequest, Role, ToolKind};

use super::{Group, PendingCall};
use crate::programmatic::{self, CodeAnswer};
use crate::seal;
use model::ServerTool;

pub(super) fn check_server_tools(
    request: &MessagesRequest,
    groups: &[Group<'_>],
) -> Result<Vec<PendingCall>, Invalid> {
    let mut open: Vec<(usize, &Block)> = Vec::new();
    let mut known: HashMap<&str, &str> = HashMap::new();
    let mut connected: HashSet<&str> = HashSet::new();
    for (position, group) in groups.iter().enumerate() {
        for (index, at, block) in &group.blocks {
            match block {
                Block::ServerToolUse { id, name, .. } => {
                    known.insert(id, name);
                    open.push((position, block));
                }
                Block::ServerToolResult {
                    tag,
                    tool_use_id,
                    encrypted,
                    ..
                } => {
                    if encrypted.iter().any(|text| seal::is_broken(text)) {
                        return Err(Invalid::new(format!(
                            "messages.{index}.content.{at}.{tag}: encrypted content must be sent back as it was \
                             received"
                        )));
                    }
                    let fits = known
                        .get(tool_use_id.as_str())
                        .is_some_and(|name| result_tag_fits(name, tag));
                    if !fits {
                        return Err(orphan((*index, *at), tag, tool_use_id, "server_tool_use"));
                    }
                    open.retain(|(_, block)| !matches!(block, Block::ServerToolUse { id, .. } if id == tool_use_id));
                }
                Block::McpToolUse { id, .. } => {
                    connected.insert(id.as_str());
                    open.push((position, block));
                }
                Block::McpToolResult { tool_use_id } => {
                    if !connected.contains(tool_use_id.as_str()) {
                        return Err(orphan(
                            (*index, *at),
                            "mcp_tool_result",
                            tool_use_id,
                            "mcp_tool_use",
                        ));
                    }
                    open.retain(|(_, block)| !matches!(block, Block::McpToolUse { id, .. } if id == tool_use_id));
                }
                Block::Text { .. }
                | Block::Image(_)
                | Block::Document(_)
                | Block::ContainerUpload { .. }
                | Block::ToolUse { .. }
                | Block::ToolResult { .. }
                | Block::Thinking { .. }
                | Block::RedactedThinking
                | Block::SearchResult { .. }
                | Block::Compaction { .. }
                | Block::Other => {}
            }
        }
    }
    let mut pending = Vec::new();
    for (position, block) in open {
        let waits = groups[position + 1..].iter().all(Group::leaves_calls_open);
        if let Block::McpToolUse {
            id,
            name,
            server,
            input,
        } = block
        {
            if !waits {
                // The wording is inferred from that of other calls.
                return Err(Invalid::new(format!(
                    "messages.{}: `mcp_tool_use` ids were found without a corresponding `mcp_tool_result` block: {id}",
                    groups[position].first
                )));
            }
            pending.push(PendingCall {
                id: id.clone(),
                name: name.clone(),
                input: input.clone(),
                connector: Some(server.clone()),
                answers: None,
            });
            continue;
        }
        // Nothing else is open.
        let Block::ServerToolUse {
            id, name, input, ..
        } = block
        else {
            continue;
        };
        // Code alone goes on with what has lost its `caller`.
        let is_cell = name == "code_execution";
        let waits = waits && !(is_cell && is_passed_over(request, &groups[position], id));
        let tail = match (waits, offers(request, name)) {
            (true, true) => {
                pending.push(PendingCall {
                    id: id.clone(),
                    name: name.clone(),
                    input: input.clone(),
                    connector: None,
                    answers: answers(groups, id),
                });
                continue;
            }
            (true, false) => missing(request, name),
            (false, _) => String::new(),
        };
        return Err(Invalid::new(format!(
            "messages.{}: `{name}` tool use with id `{id}` was found without a corresponding \
             `{name}_tool_result` block{tail}",
            groups[position].first
        )));
    }
    Ok(pending)
}

/// What the request lacks for a call that waits.
fn missing(request: &MessagesRequest, name: &str) -> String {
    let declared = declared_name(name);
    let mut tools = request.tools.iter();
    // A tool of the client may have the same name.
    match tools.find(|tool| tool.kind == ToolKind::CodeExecution && tool.name == declared) {
        Some(tool) => format!(", but `{}` offers no `{name}`", tool.tag),
        None => format!(", but no `{declared}` tool was provided"),
    }
}

/// A result whose call is not there.
fn orphan(place: (usize, usize), kind: &str, id: &str, call: &str) -> Invalid {
    refusal::ORPHAN_RESULT.refuse(&[
        ("message", &place.0),
        ("block", &place.1),
        ("kind", &kind),
        ("id", &id),
        ("call", &call),
    ])
}

/// Whether the answer went on behind a cell that has no result, with a call of the web that has lost its `caller` on the
/// way: one that has its result, as those of code do.
fn is_passed_over(request: &MessagesRequest, group: &Group<'_>, cell: &str) -> bool {
    let is_cell = |block: &Block| matches!(block, Block::ServerToolUse { id, .. } if id == cell);
    let blocks = || group.blocks.iter().map(|(_, _, block)| *block);
    let behind = || blocks().skip_while(|block| !is_cell(block)).skip(1);
    let is_done = |id: &str| {
        let mut answers = behind().filter_map(Block::answer);
        answers.any(|answer| answer.tool_use_id == id)
    };
    // Whichever cell waits for the client, calls of the model beside it have been carried out.
    let mut asked = blocks().filter_map(Block::client_call);
    let asked = asked.find_map(|call| Some((call.caller_tool_id?, call.id)));
    // Which calls of the web its own cells have made this server knows: `lints::lost_caller`.
    let is_known =
        asked.is_some_and(|(by, id)| programmatic::made_by(request, by, &[id]).is_some());
    behind().filter_map(Block::call).any(|call| {
        let mut tools = request.tools.iter().filter(|tool| tool.is_web());
        let tool = tools.find(|tool| tool.name == call.name);
        call.by == By::Service
            && call.caller_tool_id.is_none()
            && tool.is_some_and(|tool| asked.is_none() || !(is_known || tool.is_called_directly()))
            && is_done(call.id)
    })
}

/// The client's results of the newest calls of a cell; `None` if its code has made none.
fn answers(groups: &[Group<'_>], cell: &str) -> Option<Vec<CodeAnswer>> {
    let last = groups
        .iter()
        .rposition(|group| group.role == Role::Assistant)?;
    let calls_of = |group: &Group<'_>| -> Vec<(String, String)> {
        let blocks = group.blocks.iter();
        blocks
            .filter_map(|(_, _, block)| block.client_call())
            .filter(|call| call.caller_tool_id == Some(cell))
            .map(|call| (call.id.to_owned(), call.name.to_owned()))
            .collect()
    };
    if groups.iter().all(|group| calls_of(group).is_empty()) {
        return None;
    }
    let text_of = |wanted: &str| {
        let mut blocks = groups[last + 1..].iter().flat_map(|group| &group.blocks);
        blocks.find_map(|(_, _, block)| {
            if let Block::ToolResult {
                tool_use_id, text, ..
            } = block
                && tool_use_id == wanted
            {
                return Some(text.clone());
            }
            None
        })
    };
    let calls = calls_of(&groups[last]).into_iter();
    let answers = calls.map(|(id, name)| CodeAnswer {
        text: text_of(&id).unwrap_or_default(),
        id,
        name,
    });
    Some(answers.collect())
}

fn result_tag_fits(name: &str, tag: &str) -> bool {
    tag.strip_suffix("_tool_result")
        .is_some_and(|stem| stem == name || name.starts_with(stem))
}

/// Under which name a sub-tool is declared.
pub(crate) fn declared_name(sub_tool: &str) -> &str {
    match ServerTool::from_name(sub_tool) {
        Some(tool) if tool.runs_code() => "code_execution",
        _ => sub_tool,
    }
}

/// Whether the request declares what a call of the service needs.
fn offers(request: &MessagesRequest, name: &str) -> bool {
    if let Some(tool) = ServerTool::from_name(name).filter(|tool| tool.runs_code()) {
        return programmatic::code_tool(&request.tools).is_some_and(|code| code.offers(tool));
    }
    // A tool of the client may have the same name.
    let mut tools = request.tools.iter();
    tools.any(|tool| tool.kind == ToolKind::OtherServer && tool.name == name)
}

/// Calls made by code: their cell must be in the history, and its container named.
pub(super) fn check_code_callers(
    request: &MessagesRequest,
    groups: &[Group<'_>],
) -> Result<(), Invalid> {
    let blocks = || {
        groups
            .iter()
            .flat_map(|group| group.blocks.iter().map(|(_, _, block)| *block))
    };
    let done: HashSet<&str> = blocks()
        .filter_map(Block::answer)
        .map(|answer| answer.tool_use_id)
        .collect();
    let is_named = request
        .container
        .as_ref()
        .is_some_and(|container| container.id.is_some());
    let (mut by_code, mut cells) = (HashSet::new(), HashSet::new());
    for block in blocks() {
        let Some(Call {
            by,
            id,
            caller_tool_id,
            ..
        }) = block.call()
        else {
            continue;
        };
        if let Some(source) = caller_tool_id {
            // Web calls that code made leave its cell waiting, too.
            if by == By::Client {
                by_code.insert(id);
            }
            if !cells.contains(source) {
                return Err(Invalid::new(format!(
                    "source tool `{source}` not found for tool use block `{id}`"
                )));
            }
            // To count tokens no container is named.
            if !done.contains(source) && !is_named && !request.is_counted() {
                return Err(refusal::CONTAINER_REQUIRED.refuse(&[]));
            }
        }
        // Not before: no call is made by itself.
        if let Block::ServerToolUse { id, .. } = block {
            cells.insert(id.as_str());
        }
    }
    // What code awaits is a string (F059).
    for (index, at, block) in groups.iter().flat_map(|group| &group.blocks) {
        if let Block::ToolResult {
            tool_use_id,
            is_text: false,
            ..
        } = block
            && by_code.contains(tool_use_id.as_str())
        {
            return Err(Invalid::new(format!(
                "messages.{index}.content.{at}.tool_result.content: results of tools called by code execution must be \
                 a string or `text` blocks"
            )));
        }
    }
    Ok(())
}
