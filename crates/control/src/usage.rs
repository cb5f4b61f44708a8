//! Usage: the cost that turns would have on the service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cost that a month of the workspace would have on the service; `sandtable docs usage` has the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// `2026-11`.
    pub month: String,
    /// All of it, in dollars.
    pub usd: f64,
    pub container_time: ContainerTime,
    pub tokens: TokenSums,
    pub web_searches: Searches,
    /// Oldest first.
    pub containers: Vec<ContainerCost>,
    /// Oldest first.
    pub turns: Vec<TurnCost>,
    /// Older containers and turns are in the sums alone.
    pub summed_up: bool,
}

/// Time of containers, against the free hours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerTime {
    pub seconds: u64,
    pub hours: f64,
    pub free_hours: f64,
    pub free_hours_left: f64,
    pub charged_hours: f64,
    pub usd: f64,
}

/// Tokens of all turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenSums {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub usd: f64,
    /// Models without a price: their tokens cost nothing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<String>,
}

/// Web searches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Searches {
    pub requests: u64,
    pub usd: f64,
}

/// One container's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerCost {
    pub id: String,
    pub seconds: u64,
    pub sessions: Vec<ContainerSession>,
}

/// A time a container was awake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerSession {
    pub from: String,
    pub to: String,
    /// Billed: whole seconds, at least the minimum; 0 where all of its uses were free.
    pub seconds: u64,
}

/// One turn, or where several models took part, what one of them did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TurnCost {
    pub message_id: String,
    pub at: String,
    pub model: String,
    pub batch: bool,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub web_search_requests: u64,
    /// Of tokens and searches; null where the model has no price.
    pub usd: Option<f64>,
    pub container: Option<ContainerUse>,
}

/// A turn's time on a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerUse {
    pub id: String,
    pub from: String,
    pub to: String,
    pub free: bool,
    /// The cost of it by itself, with the minimum, beyond the free hours.
    pub usd_beyond_free_hours: f64,
}
