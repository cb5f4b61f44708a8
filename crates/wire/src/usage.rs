//! Token and tool counters, in the key order of the recordings (F002).

use serde::Serialize;

/// `usage` of a whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub cache_creation: CacheCreation,
    pub output_tokens: u64,
    /// Only on the models that print it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputTokensDetails>,
    pub service_tier: &'static str,
    pub inference_geo: &'static str,
    /// Only when a server tool took part or files were preloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_tool_use: Option<ServerToolUsage>,
}

/// `usage` of a `message_delta`: cumulative, without the fields that never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeltaUsage {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputTokensDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_tool_use: Option<ServerToolUsage>,
}

/// Tokens written to the prompt cache, by life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheCreation {
    pub ephemeral_5m_input_tokens: u64,
    pub ephemeral_1h_input_tokens: u64,
}

/// How many of the output tokens were thinking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutputTokensDetails {
    pub thinking_tokens: u64,
}

/// How often server tools ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ServerToolUsage {
    pub web_search_requests: u64,
    pub web_fetch_requests: u64,
    /// Documented, never recorded: quirk `code-execution-counter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_execution_requests: Option<u64>,
}

impl Usage {
    /// What a later `message_delta` makes of this.
    #[must_use]
    pub fn updated(mut self, delta: DeltaUsage) -> Self {
        let DeltaUsage {
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            output_tokens,
            output_tokens_details,
            server_tool_use,
        } = delta;
        self.input_tokens = input_tokens;
        self.cache_creation_input_tokens = cache_creation_input_tokens;
        self.cache_read_input_tokens = cache_read_input_tokens;
        self.output_tokens = output_tokens;
        self.output_tokens_details = output_tokens_details.or(self.output_tokens_details);
        self.server_tool_use = server_tool_use.or(self.server_tool_use);
        self
    }
}
