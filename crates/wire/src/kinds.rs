//! The kinds of what an answer is made of, as closed sets: whoever counts or lists them finds every one.

use crate::ToolErrorCode;
use crate::block::{BashContent, ContentBlock, EditorContent, PythonContent};
use crate::event::{Delta, StreamEvent};
use crate::hosted::{AdvisorContent, ToolSearchContent};
use crate::web::{WebFetchContent, WebSearchContent, WebSearchError};
use crate::words;

words! {
    /// The `type` of a content block.
    pub BlockKind {
        Text "text",
        Thinking "thinking",
        RedactedThinking "redacted_thinking",
        ToolUse "tool_use",
        ServerToolUse "server_tool_use",
        BashCodeExecutionToolResult "bash_code_execution_tool_result",
        TextEditorCodeExecutionToolResult "text_editor_code_execution_tool_result",
        CodeExecutionToolResult "code_execution_tool_result",
        WebSearchToolResult "web_search_tool_result",
        WebFetchToolResult "web_fetch_tool_result",
        ToolSearchToolResult "tool_search_tool_result",
        AdvisorToolResult "advisor_tool_result",
        McpToolUse "mcp_tool_use",
        McpToolResult "mcp_tool_result",
        McpToolListing "mcp_tool_listing",
        ContainerUpload "container_upload",
        Compaction "compaction",
        Fallback "fallback",
    }
    /// The `type` of a stream's event.
    pub EventKind {
        MessageStart "message_start",
        ContentBlockStart "content_block_start",
        Ping "ping",
        ContentBlockDelta "content_block_delta",
        ContentBlockStop "content_block_stop",
        MessageDelta "message_delta",
        MessageStop "message_stop",
        Error "error",
    }
    /// The `type` of a delta.
    pub DeltaKind {
        Text "text_delta",
        Thinking "thinking_delta",
        Signature "signature_delta",
        InputJson "input_json_delta",
        Citations "citations_delta",
        Compaction "compaction_delta",
    }
    /// Why an answer ends.
    pub StopReason {
        EndTurn "end_turn",
        ToolUse "tool_use",
        PauseTurn "pause_turn",
        Refusal "refusal",
        MaxTokens "max_tokens",
        ContextWindow "model_context_window_exceeded",
        StopSequence "stop_sequence",
        Compaction "compaction",
    }
}

impl ContentBlock {
    /// Its `type`.
    pub fn kind(&self) -> BlockKind {
        match self {
            Self::Text { .. } | Self::CitedText(_) => BlockKind::Text,
            Self::Thinking { .. } => BlockKind::Thinking,
            Self::RedactedThinking { .. } => BlockKind::RedactedThinking,
            Self::ToolUse { .. } => BlockKind::ToolUse,
            Self::ServerToolUse { .. } => BlockKind::ServerToolUse,
            Self::BashCodeExecutionToolResult { .. } => BlockKind::BashCodeExecutionToolResult,
            Self::TextEditorCodeExecutionToolResult { .. } => {
                BlockKind::TextEditorCodeExecutionToolResult
            }
            Self::CodeExecutionToolResult { .. } => BlockKind::CodeExecutionToolResult,
            Self::WebSearchToolResult { .. } => BlockKind::WebSearchToolResult,
            Self::WebFetchToolResult { .. } => BlockKind::WebFetchToolResult,
            Self::ToolSearchToolResult { .. } => BlockKind::ToolSearchToolResult,
            Self::AdvisorToolResult { .. } => BlockKind::AdvisorToolResult,
            Self::McpToolUse { .. } => BlockKind::McpToolUse,
            Self::McpToolResult { .. } => BlockKind::McpToolResult,
            Self::McpToolListing { .. } => BlockKind::McpToolListing,
            Self::ContainerUpload { .. } => BlockKind::ContainerUpload,
            Self::Compaction(_) => BlockKind::Compaction,
            Self::Fallback { .. } => BlockKind::Fallback,
        }
    }
}

impl ContentBlock {
    /// Why a call has no result, if this says so.
    pub fn error_code(&self) -> Option<ToolErrorCode> {
        match self {
            Self::BashCodeExecutionToolResult {
                content: BashContent::Error { error_code },
                ..
            }
            | Self::CodeExecutionToolResult {
                content: PythonContent::Error { error_code },
                ..
            }
            | Self::TextEditorCodeExecutionToolResult {
                content: EditorContent::Error { error_code, .. },
                ..
            }
            | Self::WebSearchToolResult {
                content: WebSearchContent::Error(WebSearchError::Error { error_code }),
                ..
            }
            | Self::WebFetchToolResult {
                content: WebFetchContent::Error { error_code },
                ..
            }
            | Self::ToolSearchToolResult {
                content: ToolSearchContent::Error { error_code, .. },
                ..
            }
            | Self::AdvisorToolResult {
                content: AdvisorContent::Error { error_code },
                ..
            } => Some(*error_code),
            Self::BashCodeExecutionToolResult { .. }
            | Self::CodeExecutionToolResult { .. }
            | Self::TextEditorCodeExecutionToolResult { .. }
            | Self::WebSearchToolResult { .. }
            | Self::WebFetchToolResult { .. }
            | Self::ToolSearchToolResult { .. }
            | Self::AdvisorToolResult { .. }
            | Self::Text { .. }
            | Self::CitedText(_)
            | Self::Thinking { .. }
            | Self::RedactedThinking { .. }
            | Self::ToolUse { .. }
            | Self::ServerToolUse { .. }
            | Self::McpToolUse { .. }
            | Self::McpToolResult { .. }
            | Self::McpToolListing { .. }
            | Self::ContainerUpload { .. }
            | Self::Compaction(_)
            | Self::Fallback { .. } => None,
        }
    }
}

impl Delta {
    /// Its `type`.
    pub fn kind(&self) -> DeltaKind {
        match self {
            Self::TextDelta { .. } => DeltaKind::Text,
            Self::ThinkingDelta { .. } => DeltaKind::Thinking,
            Self::SignatureDelta { .. } => DeltaKind::Signature,
            Self::InputJsonDelta { .. } => DeltaKind::InputJson,
            Self::CitationsDelta { .. } => DeltaKind::Citations,
            Self::CompactionDelta { .. } => DeltaKind::Compaction,
        }
    }
}

impl StreamEvent {
    /// Its `type`.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::MessageStart { .. } => EventKind::MessageStart,
            Self::ContentBlockStart { .. } => EventKind::ContentBlockStart,
            Self::Ping => EventKind::Ping,
            Self::ContentBlockDelta { .. } => EventKind::ContentBlockDelta,
            Self::ContentBlockStop { .. } => EventKind::ContentBlockStop,
            Self::MessageDelta { .. } => EventKind::MessageDelta,
            Self::MessageStop => EventKind::MessageStop,
            Self::Error { .. } => EventKind::Error,
        }
    }
}
