//! Results of the service's own tools, where a model gives them.

use super::{CodeResult, WebAnswer};

/// A result that a call brings with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Web(WebAnswer),
    /// The names of the tools that a search finds.
    Tools(Vec<String>),
    Advice(Advice),
    Mcp(McpAnswer),
    /// The result of code that does not run.
    Code(Box<CodeResult>),
}

/// The answer of an advisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advice {
    pub text: String,
    /// Nobody but the model can read it.
    pub redacted: bool,
    /// Why it ended; only printed where the tool has `max_tokens`.
    pub stop_reason: Option<String>,
}

/// The answer of a tool of an MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct McpAnswer {
    /// One block each.
    pub texts: Vec<String>,
    pub is_error: bool,
}
