//! Where messages of the role `system` may stand, and what they hold.

use serde_json::Value;
use wire::refusal::{self, Invalid};
use wire::request::{Block, Message, MessagesRequest, Role};

use crate::models;

/// The types of blocks that a `system` message may hold.
const BLOCKS: [&str; 3] = ["text", "tool_addition", "tool_removal"];

/// Checks every `system` message; `body` has the types of its blocks.
pub(super) fn check(request: &MessagesRequest, body: &Value) -> Result<(), Invalid> {
    let messages = &request.messages;
    if messages.iter().all(|message| message.role != Role::System) {
        return Ok(());
    }
    // Those that only direct the output may stand anywhere, and nothing is beside them.
    let placed: Vec<(usize, &Message)> = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| !only_directs(message))
        .collect();
    for (at, (index, message)) in placed.iter().enumerate() {
        if message.role != Role::System {
            continue;
        }
        let said: (&str, &dyn std::fmt::Display) = ("message", index);
        if message.content.is_empty() {
            return Err(refusal::SYSTEM_EMPTY.refuse(&[said]));
        }
        let blocks = body["messages"][index]["content"].as_array();
        let mut kinds = blocks.into_iter().flatten().map(|block| &block["type"]);
        if kinds.any(|kind| !BLOCKS.iter().any(|known| kind == known)) {
            return Err(refusal::SYSTEM_BLOCKS.refuse(&[said]));
        }
        let before = placed[..at]
            .iter()
            .rfind(|(_, message)| message.role != Role::System);
        let Some((_, before)) = before else {
            return Err(refusal::SYSTEM_FIRST.refuse(&[said]));
        };
        if !models::takes_system_messages(&request.model) {
            return Err(refusal::SYSTEM_MODEL.refuse(&[]));
        }
        if !may_precede(before) {
            return Err(refusal::SYSTEM_AFTER.refuse(&[said]));
        }
        if placed
            .get(at + 1)
            .is_some_and(|(_, next)| next.role == Role::User)
        {
            return Err(refusal::SYSTEM_BEFORE.refuse(&[said]));
        }
        // One that is empty is told as elsewhere (2026-10-06, probe of claude-opus-5-5).
        let mut texts = message.content.iter().filter_map(Block::text);
        if texts.any(|text| !text.is_empty() && text.trim().is_empty()) {
            return Err(refusal::SYSTEM_BLANK.refuse(&[said]));
        }
    }
    Ok(())
}

pub(super) fn only_directs(message: &Message) -> bool {
    message.role == Role::System && message.content.is_empty() && message.directs_output
}

/// An answer is interrupted at most where the service itself works: at a call of its own, or its result.
fn may_precede(message: &Message) -> bool {
    message.role == Role::User
        || matches!(
            message.content.last(),
            Some(
                Block::ServerToolResult { .. }
                    | Block::ServerToolUse { .. }
                    | Block::McpToolResult { .. }
                    | Block::McpToolUse { .. }
            )
        )
}
