//! Rows of behaviour.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Every row as it holds for the workspace's requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quirks {
    pub profile: String,
    /// By name.
    #[schemars(with = "BTreeMap<String, QuirkState>")]
    pub quirks: Map<String, Value>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuirkState {
    pub value: String,
    /// The values it may have.
    pub values: Vec<String>,
}
