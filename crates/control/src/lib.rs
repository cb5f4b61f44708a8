//! The control API's shapes: every body and answer below `/_sandtable`, and its description as `OpenAPI`.
//!
//! Serde only: the server writes what is here, the library and the program read it, and the packages for
//! Python and Node have types made from [`openapi::document`]. No shape of a control call is written
//! anywhere else.

mod cassettes;
mod clock;
mod containers;
mod coverage;
mod events;
mod exchange;
mod faults;
mod files;
pub mod openapi;
mod page;
mod quirks;
mod rates;
mod scripts;
mod server;
mod state;
mod usage;
mod verdict;
mod wait;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cassettes::{MissingExchanges, Mount, Mounted, Recorded, Recording, Unmounted};
pub use clock::{ClockChange, ClockState, time_text};
pub use containers::{
    Container, ContainerEnded, ContainerFile, ContainerFiles, ContainerState, FileKind, Readable,
};
pub use coverage::{Coverage, CoverageArea, CoverageItem, CoverageShow};
pub use events::{
    ClockMoved, ContainerEvent, Dropped, Event, FaultFired, RequestBegun, RequestEnded,
    SetupChanged, SetupPart,
};
pub use exchange::{BatchItem, Exchange, JournalGrowth, JournalPage, Lint, LintLevel};
pub use faults::{FaultGiven, FaultLayer, FaultState};
pub use files::KeptFile;
pub use page::{Mark, Miss, StepRan, Timeline, TimelineRow, TurnShown};
pub use quirks::{QuirkState, Quirks};
pub use rates::{ClearedRates, RateLimit, RateLimitError};
pub use scripts::{
    Diagnostic, Loaded, RuleLayer, RuleState, ScriptCheck, ScriptList, StepState, UnusedWhy,
};
pub use server::{Health, Label, Labelled, PassedOver, Ready, Refusal, Refused, WorkspaceState};
pub use state::{Fork, Forked, Reset, Restored};
pub use usage::{
    ContainerCost, ContainerSession, ContainerTime, ContainerUse, Searches, TokenSums, TurnCost,
    Usage,
};
pub use verdict::{
    Attempt, Duplicated, Empty, FailedClause, FailedTurn, FaultedRequest, FoundLint, Near, Outcome,
    RequestCounts, RetriedBy, TimesUsed, Unclaimed, Unmatched, UnusedFault, UnusedRecording,
    UnusedStep, Verdict,
};
pub use wait::Waited;

/// A list as calls answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub struct List<T> {
    pub data: Vec<T>,
}
