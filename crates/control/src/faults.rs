//! Faults: failures on purpose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::words::words;

words! {
    /// The source of a fault.
    FaultLayer {
        /// The control API, to one workspace.
        Workspace = "workspace",
        /// A file, to all.
        File = "file",
        /// The request itself, in its header.
        Request = "request",
    }
}

/// A fault and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultState {
    pub id: u64,
    pub layer: FaultLayer,
    /// As it was given; `sandtable docs faults` has the words.
    #[schemars(with = "Map<String, Value>")]
    pub fault: Value,
    /// Occasions that fitted.
    pub matched: u64,
    pub fired: u64,
    /// How often it still fires; null for ever.
    pub left: Option<u64>,
    /// Why it cannot fire as things are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A fault that met a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultGiven {
    pub id: u64,
    pub layer: FaultLayer,
    /// As it was given.
    #[schemars(with = "Map<String, Value>")]
    pub fault: Value,
}
