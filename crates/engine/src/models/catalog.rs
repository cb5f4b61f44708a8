//! The list of models: what `/v1/models` tells of each, read from `list.json`, newest first.
//!
//! The eleven models of a list recorded in 2026-08 have its values. The others are those the SDKs name;
//! their sizes are inferred, and a date that nobody told is the epoch, as the API's documents allow.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

static MODELS: LazyLock<Vec<ModelEntry>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("list.json")).expect("the list of models is tested")
});

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    pub id: String,
    /// Short names that it answers to.
    pub aliases: Vec<String>,
    display_name: String,
    created_at: String,
    /// `active`, `deprecated`, or `retired`, until it retires.
    lifecycle: String,
    pub(super) line: String,
    pub(super) max_input_tokens: u64,
    pub max_tokens: u64,
    deprecated_at: Option<String>,
    retires_at: Option<String>,
    pub(super) calls_tools_from_code: bool,
    structured_outputs: bool,
    pub(super) effort: Vec<String>,
    context_management: Vec<String>,
    pub(super) thinking: Vec<String>,
}

/// All of them, newest first.
pub fn all() -> &'static [ModelEntry] {
    &MODELS
}

/// The model of this id or alias.
pub fn find(name: &str) -> Option<&'static ModelEntry> {
    all()
        .iter()
        .find(|model| model.id == name || model.aliases.iter().any(|alias| alias == name))
}

impl ModelEntry {
    /// `active`, `deprecated`, or `retired`.
    pub fn lifecycle(&self, now: DateTime<Utc>) -> &str {
        let retires_at = self.retires_at.as_deref().map(str::parse::<DateTime<Utc>>);
        match retires_at {
            Some(Ok(at)) if at <= now => "retired",
            Some(_) | None => &self.lifecycle,
        }
    }

    /// As `/v1/models` prints it.
    pub fn to_wire(&self, now: DateTime<Utc>) -> Value {
        json!({
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "created_at": self.created_at,
            "lifecycle": self.lifecycle(now),
            "line": self.line,
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
            "deprecated_at": self.deprecated_at,
            "retires_at": self.retires_at,
            "capabilities": self.capabilities(),
        })
    }

    fn capabilities(&self) -> Value {
        let supported = |is: bool| json!({ "supported": is });
        let table = |names: &[&str], known: &[String]| -> Map<String, Value> {
            let has = |name: &&str| known.iter().any(|known| known == name);
            let rows = names
                .iter()
                .map(|name| ((*name).to_owned(), supported(has(name))));
            rows.collect()
        };
        let with_total = |names: &[&str], known: &[String]| {
            let mut rows = Map::from_iter([("supported".to_owned(), json!(!known.is_empty()))]);
            rows.extend(table(names, known));
            rows
        };
        let thinks = self.thinking.iter().any(|kind| kind != "disabled");
        // Parity: the order of a list recorded in 2026-08; `server_tools` and two kinds of thinking have
        // come since.
        json!({
            "batch": supported(true),
            "citations": supported(true),
            "code_execution": supported(self.calls_tools_from_code),
            "context_management": with_total(CONTEXT, &self.context_management),
            "effort": with_total(EFFORT, &self.effort),
            "image_input": supported(true),
            "pdf_input": supported(true),
            "server_tools": {
                "supported": true,
                "code_execution": supported(true),
                "web_search": supported(true),
            },
            "structured_outputs": supported(self.structured_outputs),
            "thinking": { "supported": thinks, "types": table(THINKING, &self.thinking) },
        })
    }
}

const CONTEXT: &[&str] = &[
    "clear_tool_uses_20250919",
    "clear_thinking_20251015",
    "compact_20260112",
];
const EFFORT: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const THINKING: &[&str] = &["enabled", "adaptive", "disabled", "between_tools"];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_list_reads_and_every_name_leads_to_one_model() {
        let mut names = HashSet::new();
        for model in all() {
            assert!(names.insert(&model.id), "{}", model.id);
            for alias in &model.aliases {
                assert!(names.insert(alias), "{alias}");
            }
            assert!(
                ["active", "deprecated", "retired"].contains(&model.lifecycle.as_str()),
                "{}",
                model.id
            );
            assert_eq!(model.lifecycle == "active", model.deprecated_at.is_none());
            let retires_at = model.retires_at.as_deref();
            let reads = |at: &str| at.parse::<DateTime<Utc>>().is_ok();
            assert!(retires_at.is_none_or(reads), "{}", model.id);
            let known = [
                (CONTEXT, &model.context_management),
                (EFFORT, &model.effort),
                (THINKING, &model.thinking),
            ];
            for (names, listed) in known {
                assert!(
                    listed.iter().all(|name| names.contains(&name.as_str())),
                    "{}",
                    model.id
                );
            }
        }
    }

    #[test]
    fn a_deprecated_model_retires_when_its_day_has_come() {
        let model = find("claude-opus-4-5").unwrap();
        let at = |time: &str| model.lifecycle(time.parse().unwrap());
        assert_eq!(at("2027-01-21T23:59:59Z"), "deprecated");
        assert_eq!(at("2027-01-22T00:00:00Z"), "retired");
    }

    #[test]
    fn dates_fall_from_model_to_model_where_they_are_known() {
        let dates: Vec<_> = all()
            .iter()
            .map(|model| model.created_at.as_str())
            .filter(|date| !date.starts_with("1970"))
            .collect();
        assert!(dates.is_sorted_by(|a, b| a >= b), "{dates:?}");
    }
}
