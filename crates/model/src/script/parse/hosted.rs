//! Steps of what the service does itself: tool search, the advisor, connectors, compaction, fallbacks.

use super::{Parser, one_of};
use crate::ServerTool;
use crate::script::rule::{OpKind, ScriptTool};
use crate::script::template::{Json, Text};
use common::document::{Key, Kind, Node};

type Entry = (Key, Node);

const SEARCH_KEYS: [&str; 4] = ["pattern", "query", "limit", "finds"];
const ADVISOR_KEYS: [&str; 3] = ["text", "redacted", "stop_reason"];
const MCP_KEYS: [&str; 5] = ["server", "name", "input", "text", "is_error"];
const LISTING_KEYS: [&str; 2] = ["server", "tools"];
const COMPACTION_KEYS: [&str; 2] = ["content", "tool_changes"];
const FALLBACK_KEYS: [&str; 2] = ["to", "category"];
const THINKING_KEYS: [&str; 1] = ["update"];

/// Every key of these steps, for the tests of schema and guide.
#[cfg(test)]
pub(in super::super) fn keys() -> Vec<&'static str> {
    [
        &SEARCH_KEYS[..],
        &ADVISOR_KEYS,
        &MCP_KEYS,
        &LISTING_KEYS,
        &COMPACTION_KEYS,
        &FALLBACK_KEYS,
        &THINKING_KEYS,
    ]
    .concat()
}

/// One form of `applied_edits`: its `type`, and its counters in the API's order.
const EDITS: [(&str, [&str; 2]); 2] = [
    (
        "clear_tool_uses_20250919",
        ["cleared_tool_uses", "cleared_input_tokens"],
    ),
    (
        "clear_thinking_20251015",
        ["cleared_thinking_turns", "cleared_input_tokens"],
    ),
];

fn find<'n>(entries: &'n [Entry], name: &str) -> Option<&'n Node> {
    let entry = entries.iter().find(|(key, _)| key.name == name)?;
    Some(&entry.1)
}

impl Parser {
    pub(super) fn tool_search(&mut self, key: &Key, value: &Node) -> Option<ScriptTool> {
        let Kind::Map(entries) = &value.kind else {
            return Some(ScriptTool::ToolSearch {
                variant: None,
                asked: self.asked(value, "`tool_search`")?,
                limit: None,
                finds: None,
            });
        };
        self.known_keys(entries, &SEARCH_KEYS, "key of `tool_search`");
        let (variant, asked) = match (find(entries, "pattern"), find(entries, "query")) {
            (Some(pattern), None) => (ServerTool::ToolSearchRegex, pattern),
            (None, Some(query)) => (ServerTool::ToolSearchBm25, query),
            _ => {
                self.sink.error_with_hint(
                    key.at,
                    "`tool_search` has either `pattern` or `query`",
                    "`pattern` is for the tool with regular expressions, `query` for that with words",
                );
                return None;
            }
        };
        let asked = self.asked(asked, "what is searched")?;
        let limit = match find(entries, "limit") {
            Some(limit) => Some(self.count(limit, "`limit`", 1)?),
            None => None,
        };
        let finds = match find(entries, "finds") {
            Some(names) => {
                let Kind::List(items) = &names.kind else {
                    let message = format!("`finds` must be a list of names, got {}", names.what());
                    self.sink.error(names.at, message);
                    return None;
                };
                let names = items.iter().map(|item| self.text(item, "one of `finds`"));
                Some(Json::list(names.collect::<Option<_>>()?))
            }
            None => None,
        };
        Some(ScriptTool::ToolSearch {
            variant: Some(variant),
            asked,
            limit,
            finds,
        })
    }

    fn asked(&mut self, node: &Node, what: &str) -> Option<Json> {
        self.template(node, what).map(Json::text)
    }

    pub(super) fn advisor(&mut self, key: &Key, value: &Node) -> Option<ScriptTool> {
        let Kind::Map(entries) = &value.kind else {
            return Some(ScriptTool::Advisor {
                text: self.template(value, "`advisor`")?,
                redacted: false,
                stop_reason: None,
            });
        };
        self.known_keys(entries, &ADVISOR_KEYS, "key of `advisor`");
        let text = self.needed(key, entries, "text", "advisor: { text: … }")?;
        Some(ScriptTool::Advisor {
            text: self.template(text, "`text`")?,
            redacted: self.flag(entries, "redacted")?,
            stop_reason: match find(entries, "stop_reason") {
                Some(reason) => Some(self.word(reason, "`stop_reason`")?),
                None => None,
            },
        })
    }

    pub(super) fn mcp_tool_use(&mut self, key: &Key, value: &Node) -> Option<ScriptTool> {
        let example = "mcp_tool_use: { server: echo, name: say, input: {}, text: … }";
        let Kind::Map(entries) = &value.kind else {
            let message = format!("`{}` must be a map, got {}", key.name, value.what());
            self.sink
                .error_with_hint(key.at, message, format!("write `{example}`"));
            return None;
        };
        self.known_keys(entries, &MCP_KEYS, "key of `mcp_tool_use`");
        let server = self.needed(key, entries, "server", example)?;
        let name = self.needed(key, entries, "name", example)?;
        Some(ScriptTool::Mcp {
            server: self.template(server, "`server`")?,
            name: self.plain(name, "`name`")?,
            input: match find(entries, "input") {
                Some(input) => {
                    self.map(input, "`input`")?;
                    self.json(input)?
                }
                None => Json::Plain(serde_json::json!({})),
            },
            texts: match find(entries, "text") {
                Some(texts) => {
                    let texts: Option<Vec<Text>> = texts
                        .items()
                        .iter()
                        .map(|text| self.template(text, "`text`"))
                        .collect();
                    texts?
                }
                None => Vec::new(),
            },
            is_error: self.flag(entries, "is_error")?,
        })
    }

    pub(super) fn mcp_listing(&mut self, key: &Key, value: &Node) -> Option<OpKind> {
        let example = "mcp_tool_listing: { server: echo, tools: [{ name: say, input_schema: { type: object } }] }";
        let entries = self.map(value, "`mcp_tool_listing`")?;
        self.known_keys(entries, &LISTING_KEYS, "key of `mcp_tool_listing`");
        let server = self.needed(key, entries, "server", example)?;
        let tools = self.needed(key, entries, "tools", example)?;
        let Kind::List(items) = &tools.kind else {
            let message = format!("`tools` must be a list, got {}", tools.what());
            self.sink.error(tools.at, message);
            return None;
        };
        let tools: Option<Vec<_>> = items.iter().map(|item| self.listed_tool(item)).collect();
        Some(OpKind::McpListing {
            server: self.template(server, "`server`")?,
            tools: Json::list(tools?),
        })
    }

    fn listed_tool(&mut self, item: &Node) -> Option<Json> {
        let entries = self.map(item, "a tool")?;
        let known = ["name", "description", "input_schema"];
        self.known_keys(entries, &known, "key of a tool");
        if find(entries, "name").is_none() {
            self.sink.error(item.at, "a tool has no `name`");
        }
        let members = entries.iter().map(|(key, value)| {
            let value = match key.name.as_str() {
                "input_schema" => {
                    self.map(value, "`input_schema`")?;
                    self.json(value)?
                }
                name => self.text(value, &format!("`{name}`"))?,
            };
            Some((key.name.clone(), value))
        });
        members.collect::<Option<_>>().map(Json::map)
    }

    pub(super) fn compaction(&mut self, key: &Key, value: &Node) -> Option<OpKind> {
        let (content, tool_changes) = match &value.kind {
            Kind::Null => (None, None),
            Kind::Map(entries) => {
                self.known_keys(entries, &COMPACTION_KEYS, "key of `compaction`");
                let content = self.needed(key, entries, "content", "compaction: TEXT")?;
                let content = (!matches!(content.kind, Kind::Null)).then_some(content);
                (content, find(entries, "tool_changes"))
            }
            _ => (Some(value), None),
        };
        Some(OpKind::Compaction {
            summary: match content {
                Some(text) => Some(self.template(text, "`compaction`")?),
                None => None,
            },
            tool_changes: match tool_changes {
                Some(list) => {
                    let Kind::List(items) = &list.kind else {
                        let message = format!("`tool_changes` must be a list, got {}", list.what());
                        self.sink.error(list.at, message);
                        return None;
                    };
                    for item in items {
                        self.map(item, "one of `tool_changes`")?;
                    }
                    Some(self.json(list)?)
                }
                None => None,
            },
        })
    }

    pub(super) fn fallback(&mut self, value: &Node) -> Option<OpKind> {
        let (to, category) = match &value.kind {
            Kind::Null => (None, None),
            Kind::Map(entries) => {
                self.known_keys(entries, &FALLBACK_KEYS, "key of `fallback`");
                (find(entries, "to"), find(entries, "category"))
            }
            _ => (Some(value), None),
        };
        let category = category.and_then(|node| self.category(node));
        Some(OpKind::Fallback {
            to: match to {
                Some(model) => Some(self.template(model, "`fallback`")?),
                None => None,
            },
            category,
        })
    }

    /// A thought, or what one tells of how the work goes on.
    pub(super) fn thinking(&mut self, value: &Node) -> Option<OpKind> {
        let Kind::Map(entries) = &value.kind else {
            return self.template(value, "`thinking`").map(OpKind::Thinking);
        };
        self.known_keys(entries, &THINKING_KEYS, "key of `thinking`");
        let Some(update) = find(entries, "update") else {
            // A word that is not known has been named already.
            if entries.is_empty() {
                self.sink.error_with_hint(
                    value.at,
                    "`thinking` has no `update`",
                    "write `thinking: TEXT` or `thinking: { update: TEXT }`",
                );
            }
            return None;
        };
        self.template(update, "`update`").map(OpKind::Progress)
    }

    pub(super) fn applied_edits(&mut self, value: &Node) -> Option<OpKind> {
        let Kind::List(items) = &value.kind else {
            self.sink.error_with_hint(
                value.at,
                format!("`applied_edits` must be a list, got {}", value.what()),
                "such as `[{ type: clear_tool_uses_20250919, cleared_tool_uses: 2, cleared_input_tokens: 900 }]`",
            );
            return None;
        };
        let edits: Option<Vec<Json>> = items.iter().map(|item| self.edit(item)).collect();
        edits.map(|edits| OpKind::AppliedEdits(Json::list(edits)))
    }

    fn edit(&mut self, node: &Node) -> Option<Json> {
        let entries = self.map(node, "an edit")?;
        let kinds = EDITS.map(|(kind, _)| kind);
        let Some(given) = find(entries, "type") else {
            self.sink
                .error_with_hint(node.at, "an edit has no `type`", one_of(&kinds));
            return None;
        };
        let kind = self.string(given, "`type`")?;
        let Some((_, counters)) = EDITS.iter().find(|(known, _)| *known == kind) else {
            self.sink.unknown(given.at, "edit", &kind, &kinds);
            return None;
        };
        let known = [&["type"], &counters[..]].concat();
        self.known_keys(entries, &known, &format!("member of `{kind}`"));
        let mut members = vec![("type".to_owned(), Json::Plain(kind.clone().into()))];
        for counter in counters {
            let count = match find(entries, counter) {
                Some(value) => self.count(value, &format!("`{counter}`"), 0)?,
                None => 0,
            };
            members.push(((*counter).to_owned(), Json::Plain(count.into())));
        }
        Some(Json::map(members))
    }

    /// The value of a key that must be there.
    fn needed<'n>(
        &mut self,
        key: &Key,
        entries: &'n [Entry],
        name: &str,
        example: &str,
    ) -> Option<&'n Node> {
        let found = find(entries, name);
        if found.is_none() {
            self.sink.error_with_hint(
                key.at,
                format!("`{}` has no `{name}`", key.name),
                format!("write `{example}`"),
            );
        }
        found
    }

    /// `true` or `false`; the latter where it is absent.
    fn flag(&mut self, entries: &[Entry], name: &str) -> Option<bool> {
        let Some(node) = find(entries, name) else {
            return Some(false);
        };
        if let Kind::Bool(flag) = node.kind {
            return Some(flag);
        }
        let message = format!("`{name}` must be true or false, got {}", node.what());
        self.sink.error(node.at, message);
        None
    }
}
