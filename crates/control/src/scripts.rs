//! Rules of scripts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verdict::TimesUsed;
use crate::words::words;

words! {
    /// The source of a rule.
    RuleLayer {
        /// The control API, to one workspace.
        Workspace = "workspace",
        /// A file, under every workspace.
        Base = "base",
    }
}

/// A rule of a script and how often it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleState {
    pub name: String,
    /// The file that has the rule, and its place there.
    pub file: String,
    pub line: u64,
    pub column: u64,
    /// How often it may answer; absent if without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How often it answered.
    pub used: u64,
    pub layer: RuleLayer,
    /// In the order of the text.
    pub steps: Vec<StepState>,
}

/// A step of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepState {
    /// Its key, such as `bash`.
    pub step: String,
    pub line: u64,
    pub column: u64,
    /// At least once.
    pub ran: bool,
    /// It lies in a branch of an `if`: that it did not run is no finding.
    pub conditional: bool,
}

/// All rules in the order they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptList {
    pub data: Vec<RuleState>,
    /// The texts of the workspace's own.
    pub sources: Vec<String>,
}

/// Rules were put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loaded {
    /// Rules of the workspace now, without those of files.
    pub rules: u64,
}

/// The result of checking a script that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptCheck {
    /// It would be loaded.
    pub ok: bool,
    /// How many rules it has; none if it has errors.
    pub rules: u64,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
}

/// Something about a place in a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    pub file: String,
    /// From 1; 0 is the text as a whole.
    pub line: u64,
    pub column: u64,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How something was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnusedWhy {
    /// The rule never answered.
    NeverAnswered,
    /// It answered less often than its `times`.
    TimesLeft(TimesUsed),
    /// It answered, and its turn ended before the step.
    NeverRan,
}
