//! `web_search` and `web_fetch`: the steps, and the table of a rule that serves what brings no results.

use super::{Parser, PlainText};
use crate::ServerTool;
use crate::script::results::check_page;
use crate::script::rule::{ScriptTool, WebEntry};
use crate::script::template::{Json, has_template};
use crate::script::web::answer_of;
use common::document::{Key, Kind, Node};
use serde_json::Value;

/// Keys of an entry of `web`, and of a step that brings its results.
pub(in super::super) const WEB_KEYS: [&str; 7] = [
    "search", "fetch", "results", "title", "text", "pdf", "error",
];
/// Keys of one of `results`.
pub(in super::super) const PAGE_KEYS: [&str; 4] = ["url", "title", "text", "page_age"];
const PAGE_OF_FETCH: [&str; 3] = ["title", "text", "pdf"];

impl Parser {
    /// A `web_search` or `web_fetch` step.
    pub(super) fn web_step(
        &mut self,
        tool: ServerTool,
        key: &Key,
        value: &Node,
    ) -> Option<ScriptTool> {
        let (asks, found_keys): (_, &[&str]) = if tool == ServerTool::WebFetch {
            ("url", &PAGE_OF_FETCH)
        } else {
            ("query", &["results"])
        };
        let Kind::Map(entries) = &value.kind else {
            let asked = Json::text(self.template(value, &format!("`{}`", key.name))?);
            return Some(ScriptTool::Web {
                tool,
                asked,
                found: None,
            });
        };
        let known = [&[asks], found_keys].concat();
        self.known_keys(entries, &known, &format!("key of `{}`", key.name));
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        let Some((_, asked)) = find(asks) else {
            self.sink.error_with_hint(
                key.at,
                format!("`{}` has no `{asks}`", key.name),
                format!("write `{}: {{ {asks}: … }}`", key.name),
            );
            return None;
        };
        let asked = Json::text(self.template(asked, &format!("`{asks}`"))?);
        let found: Vec<_> = entries
            .iter()
            .filter(|(key, _)| found_keys.contains(&key.name.as_str()))
            .map(|(key, value)| {
                let value = match key.name.as_str() {
                    "results" => self.pages(value, &|parser, node, what| parser.text(node, what)),
                    name => self.text(value, &format!("`{name}`")),
                };
                Some((key.name.clone(), value?))
            })
            .collect::<Option<_>>()?;
        // What a template makes of a `pdf` is known when the call is made.
        let mut page = as_written(value);
        if page["pdf"].as_str().is_some_and(has_template) {
            page["pdf"] = "".into();
        }
        if let Err(reason) = check_page(&page) {
            self.sink.error(key.at, reason.to_string());
            return None;
        }
        Some(ScriptTool::Web {
            tool,
            asked,
            found: (!found.is_empty()).then(|| Json::map(found)),
        })
    }

    /// The `web` of a rule.
    pub(super) fn web(&mut self, node: &Node) -> Vec<WebEntry> {
        let items = match &node.kind {
            Kind::List(items) if !items.is_empty() => items,
            kind => {
                let message = match kind {
                    Kind::List(_) => "`web` has no entries".to_owned(),
                    _ => format!("`web` must be a list of entries, got {}", node.what()),
                };
                self.sink.error_with_hint(
                    node.at,
                    message,
                    "write `- search: …` with `results:`, or `- fetch: …` with `text:`",
                );
                return Vec::new();
            }
        };
        items
            .iter()
            .filter_map(|item| self.web_entry(item))
            .collect()
    }

    fn web_entry(&mut self, node: &Node) -> Option<WebEntry> {
        let entries = self.map(node, "an entry of `web`")?;
        self.known_keys(entries, &WEB_KEYS, "key of `web`");
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        let (tool, asked, plain) = match (find("search"), find("fetch")) {
            (Some((_, asked)), None) => (ServerTool::WebSearch, asked, PlainText::Contains),
            (None, Some((_, asked))) => (ServerTool::WebFetch, asked, PlainText::Glob),
            _ => {
                self.sink.error_with_hint(
                    node.at,
                    "an entry of `web` has either `search` or `fetch`",
                    "`search` is a test of the query, `fetch` of the URL",
                );
                return None;
            }
        };
        let (what, own): (_, &[&str]) = if tool == ServerTool::WebFetch {
            ("`fetch`", &PAGE_OF_FETCH)
        } else {
            ("`search`", &["results"])
        };
        for (key, value) in entries {
            match key.name.as_str() {
                "search" | "fetch" => {}
                "error" => {
                    let code = self.string(value, "`error`")?;
                    if tool.error_code(&code).is_none() {
                        self.sink
                            .unknown(value.at, "error code", &code, &tool.error_names());
                    }
                }
                name if !own.contains(&name) => {
                    let message = format!("`{name}` cannot stand beside {what}");
                    self.sink.error(key.at, message);
                }
                "results" => {
                    self.pages(value, &|parser, node, what| {
                        let text = parser.string(node, what)?;
                        Some(Json::Plain(text.into()))
                    })?;
                }
                name => {
                    let what = format!("`{name}`");
                    self.string(value, &what)?;
                }
            }
        }
        let found = |name: &&str| find(name).is_some();
        if !own.iter().any(&found) && !found(&"error") {
            self.sink.error_with_hint(
                node.at,
                format!("this entry of `web` says nothing about what {what} finds"),
                "`results` (a list, empty too) for a search, `text` or `pdf` for a fetch, or `error`",
            );
            return None;
        }
        let answer = as_written(node);
        if let Err(reason) = check_page(&answer) {
            self.sink.error(node.at, reason.to_string());
            return None;
        }
        Some(WebEntry {
            at: node.at,
            tool,
            asked: self.text_matcher(asked, what, plain)?,
            answer: answer_of(tool, &answer),
        })
    }

    /// The pages of a search, whose members `read` reads.
    fn pages(
        &mut self,
        node: &Node,
        read: &dyn Fn(&mut Self, &Node, &str) -> Option<Json>,
    ) -> Option<Json> {
        let Kind::List(items) = &node.kind else {
            let message = format!("`results` must be a list, got {}", node.what());
            self.sink.error(node.at, message);
            return None;
        };
        let pages = items.iter().map(|item| {
            let entries = self.map(item, "one of `results`")?;
            self.known_keys(entries, &PAGE_KEYS, "key of a result");
            if !entries.iter().any(|(key, _)| key.name == "url") {
                self.sink.error(item.at, "one of `results` has no `url`");
            }
            entries
                .iter()
                .map(|(key, value)| {
                    let read = read(self, value, &format!("`{}`", key.name))?;
                    Some((key.name.clone(), read))
                })
                .collect::<Option<_>>()
                .map(Json::map)
        });
        pages.collect::<Option<_>>().map(Json::list)
    }
}

/// A node as JSON, whose numbers and booleans are texts as they were written.
fn as_written(node: &Node) -> Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(as_written).collect(),
        Kind::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| (key.name.clone(), as_written(value)));
            Value::Object(entries.collect())
        }
        Kind::Null => Value::Null,
        Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => node.text().into(),
    }
}
