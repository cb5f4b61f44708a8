//! The rules between the messages of a history (spec 01 §2, FACTS §9), and what they leave pending.

use std::collections::HashMap;

use serde_json::Value;
use wire::request::{Block, Message, MessagesRequest, Role, ToolKind};

/// What an earlier response left for this one to do.
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
}

/// Messages of one role that follow each other count as one turn.
struct Group<'a> {
    role: Role,
    /// The index of the group's first message.
    first: usize,
    blocks: Vec<(usize, usize, &'a Block)>,
}

impl Group<'_> {
    fn has_only_tool_results(&self) -> bool {
        self.blocks
            .iter()
            .all(|(_, _, block)| matches!(block, Block::ToolResult { .. }))
    }
}

/// Checks the declared tools against each other; the error is the text for the client.
pub fn tools(request: &MessagesRequest) -> Result<(), String> {
    let tools = &request.tools;
    for (position, tool) in tools.iter().enumerate() {
        if tools[..position]
            .iter()
            .any(|other| other.name == tool.name)
        {
            return Err("tools: Tool names must be unique.".to_owned());
        }
    }
    if !tools.is_empty() && tools.iter().all(|tool| tool.deferred) {
        return Err("All tools have defer_loading: true".to_owned());
    }
    // These bring a code execution tool of their own, and an older one beside it is refused (spec 02 §1).
    let web = tools.iter().find(|tool| {
        let tag = tool.tag.as_str();
        tag.strip_prefix("web_search_")
            .or_else(|| tag.strip_prefix("web_fetch_"))
            .is_some_and(|version| version >= "20260209")
    });
    let code = tools.iter().position(|tool| {
        matches!(
            tool.tag.as_str(),
            "code_execution_20250522" | "code_execution_20250825"
        )
    });
    if let (Some(web), Some(code)) = (web, code) {
        return Err(format!(
            "tools.{code}: `{}` cannot be used together with `{}`; use `code_execution_20260120` or later",
            tools[code].tag, web.tag
        ));
    }
    Ok(())
}

/// Checks the history and returns what is pending; the error is the text for the client.
pub fn history(request: &MessagesRequest) -> Result<Pending, String> {
    check_content(&request.messages)?;
    let groups = group(&request.messages);
    check_client_tools(&groups)?;
    let calls = check_server_tools(request, &groups)?;
    check_code_callers(request, &groups)?;
    Ok(Pending { calls })
}

/// The stricter rules of `anthropic-version: 2026-10-21` (spec 00 §3).
pub fn strict(request: &MessagesRequest) -> Result<(), String> {
    if let Some(name) = request.sampling.first() {
        return Err(format!("{name}: Extra inputs are not permitted"));
    }
    for (index, message) in request.messages.iter().enumerate() {
        for (position, block) in message.content.iter().enumerate() {
            match (message.role, block) {
                (Role::Assistant, Block::Document(_)) => {
                    return Err(format!(
                        "messages.{index}.content.{position}: `document` blocks are not permitted in `assistant` messages"
                    ));
                }
                (Role::User, Block::Text { cited: true, .. }) => {
                    return Err(format!(
                        "messages.{index}.content.{position}.text.citations: `citations` are not permitted in `user` messages"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_content(messages: &[Message]) -> Result<(), String> {
    let last = messages.len().saturating_sub(1);
    for (index, message) in messages.iter().enumerate() {
        let optional = index == last && message.role == Role::Assistant;
        if message.content.is_empty() && !optional {
            return Err(format!(
                "messages.{index}: all messages must have non-empty content except for the optional final \
                 assistant message"
            ));
        }
        if message
            .content
            .iter()
            .any(|block| matches!(block, Block::Text { text, .. } if text.is_empty()))
        {
            return Err("messages: text content blocks must be non-empty".to_owned());
        }
    }
    match messages.iter().find(|message| message.role != Role::System) {
        Some(message) if message.role == Role::User => Ok(()),
        _ => Err("messages: first message must use the \"user\" role".to_owned()),
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

fn check_client_tools(groups: &[Group<'_>]) -> Result<(), String> {
    for (position, group) in groups.iter().enumerate() {
        let uses: Vec<&str> = group
            .blocks
            .iter()
            .filter_map(|(_, _, block)| match block {
                Block::ToolUse { id, .. } => Some(id.as_str()),
                _ => None,
            })
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
            return Err(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. \
                 Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                group.first,
                missing.join(", ")
            ));
        }
        let before: Vec<&str> = position
            .checked_sub(1)
            .map(|previous| {
                groups[previous]
                    .blocks
                    .iter()
                    .filter_map(|(_, _, block)| match block {
                        Block::ToolUse { id, .. } => Some(id.as_str()),
                        _ => None,
                    })
                    .collect()
            })
            .unwrap_or_default();
        for (index, at, block) in &group.blocks {
            if let Block::ToolResult {
                tool_use_id,
                text,
                is_error,
            } = block
            {
                if !before.contains(&tool_use_id.as_str()) {
                    return Err(format!(
                        "messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: \
                         {tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` block in \
                         the previous message."
                    ));
                }
                if *is_error && text.is_empty() {
                    return Err(format!(
                        "messages.{index}.content.{at}.tool_result: content cannot be empty if is_error is true"
                    ));
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
        .map_while(|(_, _, block)| match block {
            Block::ToolResult { tool_use_id, .. } => Some(tool_use_id.as_str()),
            _ => None,
        })
        .collect()
}

fn check_server_tools(
    request: &MessagesRequest,
    groups: &[Group<'_>],
) -> Result<Vec<PendingCall>, String> {
    let mut open: Vec<(usize, &Block)> = Vec::new();
    let mut known: HashMap<&str, &str> = HashMap::new();
    for (position, group) in groups.iter().enumerate() {
        for (index, at, block) in &group.blocks {
            match block {
                Block::ServerToolUse { id, name, .. } => {
                    known.insert(id, name);
                    open.push((position, block));
                }
                Block::ServerToolResult { tag, tool_use_id } => {
                    let fits = known
                        .get(tool_use_id.as_str())
                        .is_some_and(|name| result_tag_fits(name, tag));
                    if !fits {
                        return Err(format!(
                            "messages.{index}.content.{at}: unexpected `tool_use_id` found in `{tag}` blocks: \
                             {tool_use_id}. Each `{tag}` block must have a corresponding `server_tool_use` block \
                             before it."
                        ));
                    }
                    open.retain(|(_, block)| !matches!(block, Block::ServerToolUse { id, .. } if id == tool_use_id));
                }
                _ => {}
            }
        }
    }
    let last_assistant = groups
        .iter()
        .rposition(|group| group.role == Role::Assistant);
    let mut pending = Vec::new();
    for (position, block) in open {
        let Block::ServerToolUse {
            id, name, input, ..
        } = block
        else {
            continue;
        };
        let waits = Some(position) == last_assistant
            && groups[position + 1..]
                .iter()
                .all(Group::has_only_tool_results);
        let tail = match (waits, offers(request, name)) {
            (true, true) => {
                pending.push(PendingCall {
                    id: id.clone(),
                    name: name.clone(),
                    input: input.clone(),
                });
                continue;
            }
            (true, false) => format!(", but no `{}` tool was provided", declared_name(name)),
            (false, _) => String::new(),
        };
        return Err(format!(
            "messages.{}: `{name}` tool use with id `{id}` was found without a corresponding \
             `{name}_tool_result` block{tail}",
            groups[position].first
        ));
    }
    Ok(pending)
}

fn result_tag_fits(name: &str, tag: &str) -> bool {
    tag.strip_suffix("_tool_result")
        .is_some_and(|stem| stem == name || name.starts_with(stem))
}

/// Under which name a sub-tool is declared.
fn declared_name(sub_tool: &str) -> &str {
    if sub_tool.ends_with("code_execution") {
        "code_execution"
    } else {
        sub_tool
    }
}

fn offers(request: &MessagesRequest, sub_tool: &str) -> bool {
    let name = declared_name(sub_tool);
    request.tools.iter().any(|tool| {
        tool.name == name || (name == "code_execution" && tool.kind == ToolKind::CodeExecution)
    })
}

/// Calls made by code: their cell must be in the history, and its container named.
fn check_code_callers(request: &MessagesRequest, groups: &[Group<'_>]) -> Result<(), String> {
    let blocks = || {
        groups
            .iter()
            .flat_map(|group| group.blocks.iter().map(|(_, _, block)| *block))
    };
    for block in blocks() {
        let Block::ToolUse {
            id,
            caller_tool_id: Some(source),
            ..
        } = block
        else {
            continue;
        };
        let known =
            blocks().any(|other| matches!(other, Block::ServerToolUse { id, .. } if id == source));
        if !known {
            return Err(format!(
                "source tool `{source}` not found for tool use block `{id}`"
            ));
        }
        let done = blocks()
            .any(|other| matches!(other, Block::ServerToolResult { tool_use_id, .. } if tool_use_id == source));
        let named = request
            .container
            .as_ref()
            .is_some_and(|container| container.id.is_some());
        if !done && !named {
            return Err("container_id is required when there are pending tool uses generated by code execution \
                        with tools."
                .to_owned());
        }
    }
    Ok(())
}

/// Whether the conversation ends with an assistant message of text alone: a prefill.
pub fn ends_with_prefill(request: &MessagesRequest) -> bool {
    request.messages.last().is_some_and(|message| {
        message.role == Role::Assistant
            && !message.content.iter().any(|block| {
                matches!(
                    block,
                    Block::ServerToolUse { .. } | Block::ServerToolResult { .. }
                )
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(messages: &Value) -> Result<Pending, String> {
        let body = json!({
            "model": "claude-opus-5", "max_tokens": 16, "messages": messages,
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
        });
        history(&MessagesRequest::decode(&body, false).unwrap())
    }

    const CALL: &str = r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"bash_code_execution","input":{"command":"ls"}}"#;

    fn call() -> Value {
        serde_json::from_str(CALL).unwrap()
    }

    fn client_call() -> Value {
        json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})
    }

    fn answer(id: &str) -> Value {
        json!({"type": "tool_result", "tool_use_id": id, "content": "ok"})
    }

    #[test]
    fn tools_that_exclude_each_other_are_refused() {
        let check = |tools: &Value| {
            let body = json!({
                "model": "claude-opus-5", "max_tokens": 16, "tools": tools,
                "messages": [{"role": "user", "content": "hi"}],
            });
            super::tools(&MessagesRequest::decode(&body, false).unwrap())
        };
        let code = |tag: &str| json!({"type": tag, "name": "code_execution"});
        let web = json!({"type": "web_search_20260209", "name": "web_search"});
        let own = json!({"name": "f", "input_schema": {"type": "object"}, "defer_loading": true});
        assert_eq!(
            check(&json!([web, code("code_execution_20250825")])).unwrap_err(),
            "tools.1: `code_execution_20250825` cannot be used together with `web_search_20260209`; use \
             `code_execution_20260120` or later"
        );
        assert_eq!(
            check(&json!([web, code("code_execution_20260120")])),
            Ok(())
        );
        assert_eq!(
            check(&json!([own])).unwrap_err(),
            "All tools have defer_loading: true"
        );
        assert_eq!(
            check(&json!([own, own])).unwrap_err(),
            "tools: Tool names must be unique."
        );
        assert_eq!(check(&json!([own, web])), Ok(()));
    }

    #[test]
    fn an_unanswered_client_call_is_named() {
        let error = check(&json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [client_call()]},
            {"role": "user", "content": "go on"},
        ]))
        .unwrap_err();
        assert_eq!(
            error,
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each \
             `tool_use` block must have a corresponding `tool_result` block in the next message."
        );
    }

    #[test]
    fn an_answer_to_a_server_call_is_refused() {
        let error = check(&json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [call()]},
            {"role": "user", "content": [answer("srvtoolu_1")]},
        ]))
        .unwrap_err();
        assert!(
            error.starts_with(
                "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: srvtoolu_1."
            ),
            "{error}"
        );
    }

    #[test]
    fn a_server_call_beside_an_answered_client_call_is_pending() {
        let pending = check(&json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [call(), client_call()]},
            {"role": "user", "content": [answer("toolu_1")]},
        ]))
        .unwrap();
        assert_eq!(pending.calls.len(), 1);
        assert_eq!(pending.calls[0].id, "srvtoolu_1");
    }

    #[test]
    fn a_pending_server_call_followed_by_text_is_refused() {
        let error = check(&json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [call()]},
            {"role": "user", "content": "what now?"},
        ]))
        .unwrap_err();
        assert_eq!(
            error,
            "messages.1: `bash_code_execution` tool use with id `srvtoolu_1` was found without a corresponding \
             `bash_code_execution_tool_result` block"
        );
    }

    #[test]
    fn a_result_without_its_call_is_refused() {
        let error = check(&json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{
                "type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_9",
                "content": {"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"},
            }]},
            {"role": "user", "content": "go on"},
        ]))
        .unwrap_err();
        assert!(
            error.contains("found in `bash_code_execution_tool_result` blocks: srvtoolu_9"),
            "{error}"
        );
    }

    #[test]
    fn code_that_waits_needs_its_container() {
        let mut by_code = client_call();
        by_code["caller"] = json!({"type": "code_execution_20260120", "tool_id": "srvtoolu_1"});
        let error = check(&json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [call(), by_code]},
            {"role": "user", "content": [answer("toolu_1")]},
        ]))
        .unwrap_err();
        assert!(error.starts_with("container_id is required"), "{error}");
    }
}
