//! The events of a streamed message, in the shapes of the recordings (F022).

use serde::Serialize;
use serde_json::Value;

use crate::block::{Container, ContentBlock, Message, Printed, StopDetails};
use crate::usage::DeltaUsage;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StreamEvent {
    MessageStart {
        message: Box<Message>,
    },
    ContentBlockStart {
        index: usize,
        content_block: ContentBlock,
    },
    Ping,
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: MessageDelta,
        usage: DeltaUsage,
        /// Where it was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        context_management: Option<Value>,
    },
    MessageStop,
    /// The stream ends here; `error` is `{"details","type","message"}`.
    Error {
        error: Value,
    },
}

impl StreamEvent {
    /// The `event:` name, equal to `type`.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }
}

/// A piece of a block.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Delta {
    TextDelta {
        text: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    CitationsDelta {
        citation: Value,
    },
    /// The whole summary (F203).
    CompactionDelta {
        content: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
}

/// The members of a message that are known only at the end: the stop reason, and the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageDelta {
    pub stop_reason: Option<String>,
    pub stop_sequence: Option<String>,
    pub stop_details: Option<StopDetails>,
    /// Null when no container took part, and absent before 2026-09-15 (F019, F021).
    #[serde(skip_serializing_if = "Printed::is_absent")]
    pub container: Printed<Container>,
}
