//! Scripts: YAML or JSON files of rules that say what the model emits.
//!
//! A file becomes a tree with places (`yaml`), the tree becomes rules (`parse`), and a rule that
//! matches becomes the model of a turn (`run`). `docs/SCRIPTS.md` describes the language.

mod base;
mod compact;
mod diagnostic;
mod expect;
mod hosted;
mod matching;
mod park;
mod parse;
mod path;
mod results;
mod rule;
mod run;
mod scripts;
mod shipped;
mod template;
mod unmatched;
mod usage;
mod view;
mod web;

pub use base::{Base, POLL_INTERVAL, Reload, Survey, survey};
pub use common::document::{Diagnostic, Position};
pub use scripts::{NotReplaced, Scripts, examine};
pub use unmatched::Near;
pub use usage::LayerName;

pub(super) use shipped::Shipped;
pub(super) use template::has_template;

/// The JSON Schema of a script, for editors.
pub const SCHEMA: &str = include_str!("../../../docs/script.schema.json");

#[cfg(test)]
mod tests;
