//! Waiting until something is so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waited {
    /// It is so; false after the time-out.
    pub met: bool,
    /// How many requests are there, or events came; of a container's state 1 or 0.
    pub count: u64,
    /// On the real clock.
    pub waited_ms: u64,
}
