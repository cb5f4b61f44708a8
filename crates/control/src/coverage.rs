//! Coverage: the part of the service that the tests have met.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The surface of the service, and what of it answers have shown; `sandtable docs coverage` has the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// `met` of `of`, in whole tenths.
    pub percent: f64,
    /// Of what counts, what was met.
    pub met: u64,
    /// The number of items that count: those that a client can meet with the features that it uses.
    pub of: u64,
    /// Features of which nothing was met; what needs them does not count.
    pub not_used: Vec<String>,
    pub areas: Vec<CoverageArea>,
}

/// A part of the surface, such as `stop reasons`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageArea {
    pub name: String,
    /// All there are, met or not.
    pub items: Vec<CoverageItem>,
}

/// Something that can be met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageItem {
    /// The service's word where it has one, such as `pause_turn`.
    pub name: String,
    /// How often it was met.
    pub count: u64,
    /// Whether it is among what counts.
    pub counts: bool,
    /// The feature without which it cannot be met, and that is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// The way to meet it; absent for an item that was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<CoverageShow>,
}

/// The way to an item that was not met: a fault, or a step of a script or a request in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageShow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub fault: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}
