//! Content blocks and whole messages as the API sends them.

use serde::Serialize;
use serde_json::Value;

use crate::ToolErrorCode;
use crate::hosted::{
    AdvisorContent, Compaction, FallbackModel, FallbackTrigger, McpContent, McpTool,
    ToolSearchContent,
};
use crate::usage::Usage;
use crate::web::{WebFetchContent, WebSearchContent};

/// A whole answer of `/v1/messages`. Key order as recorded since 2026-04 (F001).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    pub model: String,
    pub id: String,
    #[serde(rename = "type")]
    pub kind: MessageTag,
    pub role: AssistantTag,
    pub content: Vec<ContentBlock>,
    /// Null when no container took part, and absent before 2026-09-15 (quirk `no-container`).
    #[serde(skip_serializing_if = "Printed::is_absent")]
    pub container: Printed<Container>,
    // Parity: prints null in `message_start` (pydantic-ai/test_anthropic_code_execution_tool_stream).
    pub stop_reason: Option<String>,
    // Parity: prints null.
    pub stop_sequence: Option<String>,
    // Parity: prints null since 2026-04.
    pub stop_details: Option<StopDetails>,
    pub usage: Usage,
    /// The edits that were applied to the context, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_management: Option<Value>,
    /// Null where it was asked for (2026-10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<()>,
}

/// A member that may be there and null, or not there at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Printed<T> {
    #[default]
    Absent,
    Null,
    Of(T),
}

impl<T> Printed<T> {
    /// Whether it is left out.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T: Serialize> Serialize for Printed<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_none(),
            Self::Of(value) => value.serialize(serializer),
        }
    }
}

/// The constant `"message"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MessageTag {
    #[serde(rename = "message")]
    Message,
}

/// The constant `"assistant"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AssistantTag {
    #[serde(rename = "assistant")]
    Assistant,
}

/// The container of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Container {
    pub id: String,
    /// RFC 3339 with microseconds.
    pub expires_at: String,
    /// Absent without skills (F053).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<ContainerSkill>,
}

/// A skill in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerSkill {
    /// `anthropic` or `custom`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub skill_id: String,
    /// The resolved one.
    pub version: String,
}

/// Why a model refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StopDetails {
    #[serde(rename = "type")]
    pub kind: String,
    // Parity: prints null (vercel-ai/anthropic-refusal).
    pub category: Option<String>,
    // Parity: prints null.
    pub explanation: Option<String>,
}

/// One element of `content`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock {
    Text {
        text: String,
    },
    Thinking {
        thinking: String,
        signature: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Value,
        caller: Caller,
        /// Of a member of a toolset (SDK types 2.14; its place is inferred).
        #[serde(skip_serializing_if = "Option::is_none")]
        toolset_name: Option<&'static str>,
    },
    ServerToolUse {
        id: String,
        name: String,
        input: Value,
        /// Absent since 2026-04 on calls that the model wrote (F005).
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<Caller>,
    },
    BashCodeExecutionToolResult {
        tool_use_id: String,
        content: BashContent,
    },
    CodeExecutionToolResult {
        tool_use_id: String,
        content: PythonContent,
    },
    TextEditorCodeExecutionToolResult {
        tool_use_id: String,
        content: EditorContent,
    },
    WebSearchToolResult {
        tool_use_id: String,
        content: WebSearchContent,
        caller: Caller,
    },
    WebFetchToolResult {
        tool_use_id: String,
        content: WebFetchContent,
        caller: Caller,
    },
    RedactedThinking {
        data: String,
    },
    ToolSearchToolResult {
        tool_use_id: String,
        content: ToolSearchContent,
    },
    AdvisorToolResult {
        tool_use_id: String,
        content: AdvisorContent,
    },
    McpToolUse {
        id: String,
        name: String,
        input: Value,
        server_name: String,
    },
    // Parity: `is_error` comes before `content` (F204).
    McpToolResult {
        tool_use_id: String,
        is_error: bool,
        content: Vec<McpContent>,
    },
    McpToolListing {
        mcp_server_name: String,
        tools: Vec<McpTool>,
    },
    ContainerUpload {
        file_id: String,
    },
    Compaction(Compaction),
    Fallback {
        from: FallbackModel,
        to: FallbackModel,
        trigger: FallbackTrigger,
    },
    #[serde(untagged)]
    CitedText(CitedText),
}

/// The part of a block that deltas may extend once it has begun in a stream.
#[derive(Debug)]
pub enum Open<'a> {
    Text(&'a mut String),
    CitedText(&'a mut CitedText),
    Thinking {
        thinking: &'a mut String,
        signature: &'a mut String,
    },
    /// A JSON text in pieces.
    Input(&'a mut Value),
    Compaction(&'a mut Compaction),
    /// It comes whole (F023).
    Nothing,
}

impl ContentBlock {
    /// The part that deltas may extend.
    pub fn open(&mut self) -> Open<'_> {
        match self {
            Self::Text { text } => Open::Text(text),
            Self::CitedText(cited) => Open::CitedText(cited),
            Self::Thinking {
                thinking,
                signature,
            } => Open::Thinking {
                thinking,
                signature,
            },
            Self::ToolUse { input, .. }
            | Self::ServerToolUse { input, .. }
            | Self::McpToolUse { input, .. } => Open::Input(input),
            Self::Compaction(compaction) => Open::Compaction(compaction),
            Self::BashCodeExecutionToolResult { .. }
            | Self::CodeExecutionToolResult { .. }
            | Self::TextEditorCodeExecutionToolResult { .. }
            | Self::WebSearchToolResult { .. }
            | Self::WebFetchToolResult { .. }
            | Self::RedactedThinking { .. }
            | Self::ToolSearchToolResult { .. }
            | Self::AdvisorToolResult { .. }
            | Self::McpToolResult { .. }
            | Self::McpToolListing { .. }
            | Self::ContainerUpload { .. }
            | Self::Fallback { .. } => Open::Nothing,
        }
    }
}

/// A text with citations; they come first.
// Parity: as streams of the web tools are quoted in public code; the recordings here have none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CitedText {
    pub citations: Vec<Value>,
    #[serde(rename = "type")]
    pub kind: TextTag,
    pub text: String,
}

/// The constant `"text"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TextTag {
    #[serde(rename = "text")]
    Text,
}

/// The caller of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Caller {
    /// The model.
    Direct,
    /// Code in a cell, which ran under a tool of this version.
    #[serde(rename = "code_execution_20250825")]
    CodeExecution20250825 {
        /// The cell's `server_tool_use`.
        tool_id: String,
    },
    /// The same; the service says so under 20260521 as well.
    #[serde(rename = "code_execution_20260120")]
    CodeExecution20260120 {
        /// The cell's `server_tool_use`.
        tool_id: String,
    },
}

/// `content` of a bash result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum BashContent {
    #[serde(rename = "bash_code_execution_result")]
    Result {
        stdout: String,
        stderr: String,
        return_code: i64,
        content: Vec<BashOutput>,
    },
    #[serde(rename = "bash_code_execution_tool_result_error")]
    Error { error_code: ToolErrorCode },
}

/// `content` of a Python result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum PythonContent {
    #[serde(rename = "code_execution_result")]
    Result {
        stdout: String,
        stderr: String,
        return_code: i64,
        content: Vec<PythonOutput>,
        // Parity: prints null since 2026-02 (F041).
        abort_reason: Option<String>,
    },
    /// In place of the plain one when the code has searched the web (F042).
    #[serde(rename = "encrypted_code_execution_result")]
    Encrypted {
        encrypted_stdout: String,
        stderr: String,
        return_code: i64,
        content: Vec<PythonOutput>,
    },
    #[serde(rename = "code_execution_tool_result_error")]
    Error { error_code: ToolErrorCode },
}

/// A file that a bash call left in `$OUTPUT_DIR`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum BashOutput {
    #[serde(rename = "bash_code_execution_output")]
    File { file_id: String },
}

/// A file that a Python call left in `$OUTPUT_DIR`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum PythonOutput {
    #[serde(rename = "code_execution_output")]
    File { file_id: String },
}

/// `content` of an editor result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum EditorContent {
    #[serde(rename = "text_editor_code_execution_view_result")]
    View {
        file_type: String,
        content: String,
        // Parity: null for images and PDFs (inferred).
        num_lines: Option<u64>,
        start_line: Option<u64>,
        total_lines: Option<u64>,
    },
    #[serde(rename = "text_editor_code_execution_create_result")]
    Create { is_file_update: bool },
    #[serde(rename = "text_editor_code_execution_str_replace_result")]
    StrReplace {
        old_start: u64,
        old_lines: u64,
        new_start: u64,
        new_lines: u64,
        lines: Vec<String>,
    },
    #[serde(rename = "text_editor_code_execution_tool_result_error")]
    Error {
        error_code: ToolErrorCode,
        // Parity: nullable.
        error_message: Option<String>,
    },
    /// A result in the keys of an older document: quirk `editor-keys`.
    #[serde(untagged)]
    Raw(Value),
}
