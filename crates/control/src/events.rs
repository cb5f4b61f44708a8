//! The events that are sent to whoever listens.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::exchange::{BatchItem, Lint};
use crate::faults::FaultLayer;
use crate::words::words;

/// An event, or how many were lost because the reader was slow. Every event but `dropped` bears the id of
/// its `workspace` and the time `at` on its clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(transform = told)]
pub enum Event {
    RequestBegun(RequestBegun),
    RequestEnded(RequestEnded),
    ContainerCreated(ContainerEvent),
    ContainerWoken(ContainerEvent),
    ContainerSlept(ContainerEvent),
    ContainerExpired(ContainerEvent),
    ClockMoved(ClockMoved),
    SetupChanged(SetupChanged),
    FaultFired(FaultFired),
    Dropped(Dropped),
}

/// Describes what every event has that a workspace tells.
fn told(schema: &mut Schema) {
    let kinds = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for kind in kinds.into_iter().flatten() {
        if kind["properties"]["type"]["const"] == "dropped" {
            continue;
        }
        kind["properties"]["workspace"] = json!({ "type": "string", "description": "Its id." });
        kind["properties"]["at"] = json!({ "type": "string", "format": "date-time", "description": "On the workspace's clock." });
        let required = kind.get_mut("required");
        if let Some(required) = required.and_then(Value::as_array_mut) {
            required.extend(["workspace".into(), "at".into()]);
        }
    }
}

impl Event {
    /// Every kind that a workspace tells.
    pub const KINDS: [&'static str; 9] = [
        "request_begun",
        "request_ended",
        "container_created",
        "container_woken",
        "container_slept",
        "container_expired",
        "clock_moved",
        "setup_changed",
        "fault_fired",
    ];
}

/// A request has come, or a batch's item is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestBegun {
    pub request_id: String,
    pub method: String,
    pub path: String,
    /// Which item of a batch it is; absent of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchItem>,
}

/// Its answer is complete, its client has left, or its connection broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestEnded {
    pub request_id: String,
    pub method: String,
    pub path: String,
    /// Which item of a batch it is; absent of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchItem>,
    pub status: u16,
    /// On the real clock.
    pub duration_ms: u64,
    /// Where a turn's answer came from.
    pub source: Option<String>,
    pub lints: Vec<Lint>,
    pub client_left: bool,
    /// The connection was closed before the answer was complete; absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broke: bool,
}

/// Something became of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerEvent {
    /// Its id.
    pub container: String,
}

/// The clock was moved, stopped, or let go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockMoved {
    pub now: String,
    pub frozen: bool,
}

words! {
    /// What a call can change.
    SetupPart {
        /// The workspace's own rules.
        Scripts = "scripts",
        /// The workspace's own faults.
        Faults = "faults",
        /// Everything: it was reset, or got a state.
        All = "all",
    }
}

/// A call has changed how the workspace answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetupChanged {
    pub what: SetupPart,
}

/// A fault met a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultFired {
    pub id: u64,
    pub layer: FaultLayer,
    /// As it was given.
    pub fault: Value,
}

/// So many events are missing here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    pub dropped: u64,
}
