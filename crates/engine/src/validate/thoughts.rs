//! The requirements of thinking on the rest of a request.

use serde_json::Value;
use wire::refusal::{self, Invalid};
use wire::request::{Block, Message, MessagesRequest, Role, Thinking};

use crate::seal;

/// Below this, `top_p` is refused beside thinking.
const LEAST_TOP_P: f64 = 0.95;

/// Whether the model may think.
pub fn is_on(request: &MessagesRequest) -> bool {
    matches!(
        request.thinking,
        Some(Thinking::Enabled { .. } | Thinking::Adaptive)
    )
}

/// Checks sampling, the forced tool, and the thoughts of the history. `is_ours` says whether this server
/// has made a call: its scripts need not think.
pub fn check(
    request: &MessagesRequest,
    body: &Value,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), Invalid> {
    if !is_on(request) {
        return Ok(());
    }
    if request
        .tool_choice
        .as_ref()
        .is_some_and(|choice| choice.forces)
    {
        return Err(refusal::THINKING_FORCED.refuse(&[]));
    }
    let number = |name: &str| body[name].as_f64();
    if number("temperature").is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
        return Err(refusal::THINKING_TEMPERATURE.refuse(&[]));
    }
    if number("top_p").is_some_and(|value| value < LEAST_TOP_P) {
        return Err(refusal::THINKING_TOP_P.refuse(&[]));
    }
    if !body["top_k"].is_null() {
        return Err(refusal::THINKING_TOP_K.refuse(&[]));
    }
    check_signatures(request)?;
    match request.thinking {
        Some(Thinking::Enabled { .. }) => check_first(request, body, is_ours),
        _ => Ok(()),
    }
}

/// An answer does not go on from a thought (F247), whatever its signature. A thought that ends an earlier message is taken.
pub fn check_end(request: &MessagesRequest) -> Result<(), Invalid> {
    let mut messages = request.messages.iter().enumerate();
    let last = messages.rfind(|(_, message)| message.role != Role::System);
    match last {
        Some((index, message))
            if message.role == Role::Assistant
                && matches!(message.content.last(), Some(Block::Thinking { .. })) =>
        {
            Err(refusal::FINAL_THOUGHT.refuse(&[("message", &index)]))
        }
        _ => Ok(()),
    }
}

/// Parity: the service decrypts them; here it is only seen what can be none.
fn check_signatures(request: &MessagesRequest) -> Result<(), Invalid> {
    for (index, message) in request.messages.iter().enumerate() {
        for (position, block) in message.content.iter().enumerate() {
            if let Block::Thinking { signature, .. } = block
                && !seal::may_be_signature(signature)
            {
                return Err(refusal::THINKING_SIGNATURE
                    .refuse(&[("message", &index), ("block", &position)]));
            }
        }
    }
    Ok(())
}

/// The answer whose calls were answered last began with a thought.
fn check_first(
    request: &MessagesRequest,
    body: &Value,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), Invalid> {
    let talk = || {
        let messages = request.messages.iter().enumerate();
        messages.filter(|(_, message)| message.role != Role::System)
    };
    let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
    let Some((_, last)) = talk().next_back() else {
        return Ok(());
    };
    if last.role != Role::User || !last.content.iter().any(is_result) {
        return Ok(());
    }
    // The turn began after the last message in which the user did not only answer.
    let asked = talk()
        .rfind(|(_, message)| message.role == Role::User && !message.content.iter().any(is_result))
        .map(|(index, _)| index);
    let answers = || {
        talk().filter(|(index, message)| {
            message.role == Role::Assistant && asked.is_none_or(|asked| *index > asked)
        })
    };
    let mut calls = answers().flat_map(|(_, message)| &message.content);
    let ours = calls.any(|block| matches!(block, Block::ToolUse { id, .. } if is_ours(id)));
    let Some((index, first)) = answers().next() else {
        return Ok(());
    };
    if ours {
        return Ok(());
    }
    check_begin((index, first), body)
}

/// With a budget a prefill begins with a thought, too.
pub fn prefill(request: &MessagesRequest, body: &Value) -> Result<(), Invalid> {
    let mut messages = request.messages.iter().enumerate();
    let last = messages.rfind(|(_, message)| message.role != Role::System);
    if let (Some(Thinking::Enabled { .. }), Some(last)) = (request.thinking, last) {
        return check_begin(last, body);
    }
    Ok(())
}

/// An answer that says something begins with a thought.
fn check_begin((index, answer): (usize, &Message), body: &Value) -> Result<(), Invalid> {
    if matches!(
        answer.content.first(),
        None | Some(Block::Thinking { .. } | Block::RedactedThinking)
    ) {
        return Ok(());
    }
    let content = &body["messages"][index]["content"];
    let found = content[0]["type"].as_str().unwrap_or("text");
    Err(refusal::THINKING_FIRST.refuse(&[("message", &index), ("found", &found)]))
}
