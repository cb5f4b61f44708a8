//! The scripted web of a rule: which query or URL finds what.

use serde_json::Value;

use wire::ToolErrorCode;

use super::matching::quoted;
use super::rule::{Rule, WebEntry};
use crate::{ModelError, ServerTool, Web, WebAnswer, WebPage};

impl Web for Rule {
    fn find(&self, tool: ServerTool, asked: &str) -> Result<WebAnswer, ModelError> {
        let fits = |entry: &&WebEntry| entry.tool == tool && entry.asked.holds(asked);
        if let Some(entry) = self.web.iter().find(fits) {
            return Ok(entry.answer.clone());
        }
        let of_tool = || self.web.iter().filter(|entry| entry.tool == tool);
        let known: Vec<String> = of_tool()
            .map(|entry| format!("line {}: {}", entry.at.line, entry.asked.describe()))
            .collect();
        let hint = if known.is_empty() {
            format!(
                "add `web: [{{ {}: \"*\", … }}]` to the rule, or give the call its results",
                key_of(tool)
            )
        } else {
            format!("it has {}", known.join("; "))
        };
        Err(ModelError::new(format!(
            "{}: rule `{}`: `{}` asks for {}, and nothing in `web` answers it",
            self.place(),
            self.name,
            tool.name(),
            quoted(asked),
        ))
        .with_hint(hint))
    }
}

fn key_of(tool: ServerTool) -> &'static str {
    if tool == ServerTool::WebFetch {
        "fetch"
    } else {
        "search"
    }
}

/// The result of `tool` by the keys of a step or an entry.
pub(super) fn answer_of(tool: ServerTool, value: &Value) -> WebAnswer {
    if let Some(code) = value["error"].as_str() {
        return WebAnswer::Error(tool.error_code(code).unwrap_or(ToolErrorCode::Unavailable));
    }
    if tool == ServerTool::WebFetch {
        return WebAnswer::Page(Box::new(page_of(value)));
    }
    let results = value["results"].as_array().into_iter().flatten();
    WebAnswer::Pages(results.map(page_of).collect())
}

fn page_of(value: &Value) -> WebPage {
    let text = |key: &str| match &value[key] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    WebPage {
        url: text("url").unwrap_or_default(),
        title: text("title"),
        text: text("text").unwrap_or_default(),
        page_age: text("page_age"),
        pdf: text("pdf"),
    }
}
