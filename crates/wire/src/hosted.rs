//! Blocks of what the service does itself, beside code and the web: tool search, the advisor, connectors,
//! compaction, fallbacks.

use serde::Serialize;
use serde_json::Value;

use crate::{ToolErrorCode, words};

words! {
    /// Why a model has declined (F206).
    pub RefusalCategory {
        Cyber "cyber",
        Bio "bio",
        FrontierLlm "frontier_llm",
        ReasoningExtraction "reasoning_extraction",
        GeneralHarms "general_harms",
    }
}

/// `content` of a `tool_search_tool_result`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum ToolSearchContent {
    #[serde(rename = "tool_search_tool_search_result")]
    Found { tool_references: Vec<ToolReference> },
    #[serde(rename = "tool_search_tool_result_error")]
    Error {
        error_code: ToolErrorCode,
        // Parity: nullable.
        error_message: Option<String>,
    },
}

/// A tool that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum ToolReference {
    #[serde(rename = "tool_reference")]
    Tool { tool_name: String },
}

/// `content` of an `advisor_tool_result`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum AdvisorContent {
    #[serde(rename = "advisor_result")]
    Advice {
        text: String,
        /// Only where the tool says how long the advice may be (F201).
        #[serde(skip_serializing_if = "Option::is_none")]
        stop_reason: Option<String>,
    },
    #[serde(rename = "advisor_redacted_result")]
    Redacted {
        /// Opaque; comes back unchanged.
        encrypted_content: String,
        /// As above.
        #[serde(skip_serializing_if = "Option::is_none")]
        stop_reason: Option<String>,
    },
    #[serde(rename = "advisor_tool_result_error")]
    Error { error_code: ToolErrorCode },
}

/// A text that a tool of an MCP server answers with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum McpContent {
    Text { text: String },
}

/// A tool as its MCP server lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct McpTool {
    pub name: String,
    // Parity: nullable.
    pub description: Option<String>,
    pub input_schema: Value,
}

/// A summary that stands in place of the messages before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Compaction {
    /// Null while it is streamed, and where no summary came of it (F203).
    pub content: Option<String>,
    /// Opaque; comes back unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_content: Option<String>,
    /// Only where the request has asked for nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Which tools came and went in what was compacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_changes: Option<Vec<Value>>,
}

/// One side of a fallback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FallbackModel {
    pub model: String,
}

/// Why another model goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FallbackTrigger {
    Refusal {
        // Parity: nullable.
        category: Option<RefusalCategory>,
    },
}
