//! Token and tool counters, in the key order of the recordings (F002).

use std::borrow::Cow;

use serde::Serialize;

/// `usage` of a whole message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub cache_creation: CacheCreation,
    /// Each sampling by itself, where there was more than the model's own (F205).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<Vec<Iteration>>,
    pub output_tokens: u64,
    /// Only on the models that print it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputTokensDetails>,
    pub service_tier: &'static str,
    pub inference_geo: Cow<'static, str>,
    /// As asked for; absent if nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<&'static str>,
    /// Only when a server tool took part or files were preloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_tool_use: Option<ServerToolUsage>,
}

/// `usage` of a `message_delta`: cumulative, without the fields that never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeltaUsage {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputTokensDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_tool_use: Option<ServerToolUsage>,
    /// Here it comes last (F205).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<Vec<Iteration>>,
}

/// The token usage of one sampling of a request. Key order as recorded (F205).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Iteration {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_creation: CacheCreation,
    #[serde(rename = "type")]
    pub kind: IterationKind,
    /// Where it is not the one that the request names, or where two have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

crate::words! {
    /// The kind of a sampling.
    pub IterationKind {
        Message "message",
        Compaction "compaction",
        AdvisorMessage "advisor_message",
        /// By the model that has gone on for another.
        FallbackMessage "fallback_message",
    }
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
    /// Takes in a later `message_delta`.
    pub fn update(&mut self, delta: DeltaUsage) {
        let DeltaUsage {
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            output_tokens,
            output_tokens_details,
            server_tool_use,
            iterations,
        } = delta;
        self.input_tokens = input_tokens;
        self.cache_creation_input_tokens = cache_creation_input_tokens;
        self.cache_read_input_tokens = cache_read_input_tokens;
        self.output_tokens = output_tokens;
        self.output_tokens_details = output_tokens_details.or(self.output_tokens_details);
        self.server_tool_use = server_tool_use.or(self.server_tool_use);
        if iterations.is_some() {
            self.iterations = iterations;
        }
    }
}
