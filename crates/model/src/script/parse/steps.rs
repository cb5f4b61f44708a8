//! `then`: the steps of an answer, except calls and endings.

use super::calls::CallStep;
use super::{Parser, one_of};
use crate::script::rule::{Condition, Op, OpKind, ScriptError};
use common::document::{Key, Kind, Node};

wire::words! {
    /// Keys that are steps and not calls.
    pub(in super::super) PlainStep {
        Text "text",
        Thinking "thinking",
        RedactedThinking "redacted_thinking",
        Parallel "parallel",
        PauseTurn "pause_turn",
        Stop "stop",
        Delay "delay",
        HttpError "http_error",
        Usage "usage",
        If "if",
        Compaction "compaction",
        Fallback "fallback",
        McpToolListing "mcp_tool_listing",
        ContainerUpload "container_upload",
        AppliedEdits "applied_edits",
    }
}

/// Keys that stand beside another.
pub(in super::super) const BESIDE_KEYS: [&str; 7] = [
    "expect",
    "capture",
    "tool_error",
    "result",
    "citations",
    "then",
    "else",
];

/// The step and its first member, where `key` is a member of its longer form.
fn with_member(step: &str, key: &str) -> Option<(&'static str, &'static str)> {
    let (name, first, members): (_, _, &[&str]) = match step {
        "web_search" => ("web_search", "query", &["results"]),
        "web_fetch" => ("web_fetch", "url", &["pdf", "text", "title"]),
        "tool_use" => ("tool_use", "name", &["input"]),
        "view" => ("view", "path", &["view_range"]),
        "stop" => (
            "stop",
            "reason",
            &["category", "explanation", "stop_sequence"],
        ),
        _ => return None,
    };
    members.contains(&key).then_some((name, first))
}

impl Parser {
    /// Appends the instructions of a list of steps.
    pub(super) fn steps(&mut self, node: &Node, ops: &mut Vec<Op>) {
        let items = match &node.kind {
            Kind::List(items) if !items.is_empty() => items,
            Kind::List(_) | Kind::Null => {
                let hint = "write at least one, such as `- text: Hello`";
                return self
                    .sink
                    .error_with_hint(node.at, "there are no steps", hint);
            }
            _ => {
                let message = format!("steps must be a list, got {}", node.what());
                let hint = "begin each step with `- `";
                return self.sink.error_with_hint(node.at, message, hint);
            }
        };
        let mut ended: Option<&'static str> = None;
        for item in items {
            if let Some(key) = ended.take() {
                self.sink.error_with_hint(
                    item.at,
                    format!("this step is never reached: `{key}` ended the turn"),
                    "remove it, or put the end under `if`",
                );
            }
            let before = ops.len();
            self.step(item, ops);
            ended = ops[before..].first().and_then(|op| {
                // With `after_events` the turn goes on up to that event.
                let fails = |error: &ScriptError| error.after_events.is_none();
                let ends = matches!(&op.kind, OpKind::Stop(_))
                    || matches!(&op.kind, OpKind::Fail(error) if fails(error));
                ends.then_some(op.key)
            });
        }
    }

    fn step(&mut self, node: &Node, ops: &mut Vec<Op>) {
        if node.text() == Some("pause_turn") {
            ops.push(Op {
                at: node.at,
                key: "pause_turn",
                kind: OpKind::Pause,
            });
            return;
        }
        let entries = match &node.kind {
            Kind::Map(entries) if !entries.is_empty() => entries.as_slice(),
            _ => {
                let hint = node.text().map_or_else(
                    || one_of(&[PlainStep::NAMES, CallStep::NAMES].concat()),
                    |_| "write `text: …` to say something".to_owned(),
                );
                let message = match &node.kind {
                    Kind::Map(_) => {
                        "a step has a key that says what it does, got an empty map".to_owned()
                    }
                    _ => format!("a step must be a map, got {}", node.what()),
                };
                return self.sink.error_with_hint(node.at, message, hint);
            }
        };
        let Some((key, value)) = self.step_key(entries) else {
            return;
        };
        let name = key.name.as_str();
        if CallStep::from_name(name).is_some() {
            if let Some(call) = self.call(key, value, entries) {
                ops.push(Op {
                    at: key.at,
                    key: call.key,
                    kind: OpKind::Calls(vec![call]),
                });
            }
            return;
        }
        for (other, _) in entries {
            let belongs = match other.name.as_str() {
                "then" | "else" => name == "if",
                "citations" => name == "text",
                _ => false,
            };
            if other.name != name && !belongs {
                self.beside(other, name);
            }
        }
        let Some(step) = PlainStep::from_name(name) else {
            return;
        };
        if step == PlainStep::If {
            self.branch(key, value, entries, ops);
            return;
        }
        let cited = entries.iter().find(|(other, _)| other.name == "citations");
        let kind = match cited {
            Some((key, list)) if step == PlainStep::Text => self.cited(value, key, list),
            _ => self.plain_step(step, key, value),
        };
        if let Some(kind) = kind {
            ops.push(Op {
                at: key.at,
                key: step.name(),
                kind,
            });
        }
    }

    fn cited(&mut self, text: &Node, key: &Key, list: &Node) -> Option<OpKind> {
        let citations = self.citations(key, list);
        let text = self.template(text, "`text`")?;
        Some(OpKind::Cited(text, citations?))
    }

    fn plain_step(&mut self, step: PlainStep, key: &Key, value: &Node) -> Option<OpKind> {
        match step {
            PlainStep::Text => self.template(value, "`text`").map(OpKind::Text),
            PlainStep::Thinking => self.thinking(value),
            PlainStep::RedactedThinking => self
                .template(value, "`redacted_thinking`")
                .map(OpKind::RedactedThinking),
            PlainStep::Parallel => self.parallel(value).map(OpKind::Calls),
            PlainStep::PauseTurn => self.pause(value).map(|()| OpKind::Pause),
            PlainStep::Stop => self.stop(value).map(OpKind::Stop),
            PlainStep::Delay => self.delay(value).map(OpKind::Delay),
            PlainStep::HttpError => self.http_error(value).map(OpKind::Fail),
            PlainStep::Usage => self.usage(value).map(OpKind::Usage),
            PlainStep::Compaction => self.compaction(key, value),
            PlainStep::Fallback => self.fallback(value),
            PlainStep::McpToolListing => self.mcp_listing(key, value),
            PlainStep::ContainerUpload => self
                .template(value, "`container_upload`")
                .map(OpKind::ContainerUpload),
            PlainStep::AppliedEdits => self.applied_edits(value),
            // It has steps of its own.
            PlainStep::If => None,
        }
    }

    /// The one key of the map that says what the step is.
    fn step_key<'n>(&mut self, entries: &'n [(Key, Node)]) -> Option<(&'n Key, &'n Node)> {
        let mut steps = Vec::new();
        let mut complained = false;
        for (key, value) in entries {
            let name = key.name.as_str();
            if CallStep::from_name(name).is_some() || PlainStep::from_name(name).is_some() {
                steps.push((key, value));
            } else if !BESIDE_KEYS.contains(&name) {
                let mut others = entries.iter().map(|(other, _)| other.name.as_str());
                if let Some((call, first)) = others.find_map(|other| with_member(other, name)) {
                    let message = format!("`{name}` stands beside `{call}`, and belongs into it");
                    let hint = format!("write `{call}: {{{first}: …, {name}: …}}`");
                    self.sink.error_with_hint(key.at, message, hint);
                } else {
                    let known = [PlainStep::NAMES, CallStep::NAMES, &BESIDE_KEYS[..]].concat();
                    self.sink.unknown(key.at, "step", name, &known);
                }
                complained = true;
            }
        }
        match steps.as_slice() {
            [one] if !complained => Some(*one),
            [] | [_] => {
                if !complained && let Some((key, _)) = entries.first() {
                    let hint = match key.name.as_str() {
                        "then" | "else" => "it belongs beside `if`",
                        "citations" => "it belongs beside `text`",
                        _ => "it belongs beside a call, such as `bash`",
                    };
                    let message = format!("`{}` stands alone", key.name);
                    self.sink.error_with_hint(key.at, message, hint);
                }
                None
            }
            [first, second, ..] => {
                self.sink.error_with_hint(
                    second.0.at,
                    format!("`{}` and `{}` in one step", first.0.name, second.0.name),
                    "begin each step with `- `; calls at the same time go into `parallel`",
                );
                None
            }
        }
    }

    /// `other` cannot stand beside `step`.
    pub(super) fn beside(&mut self, other: &Key, step: &str) {
        let hint = match (other.name.as_str(), step) {
            ("expect" | "capture" | "tool_error" | "result", "parallel") => {
                "put it beside a call inside `parallel`"
            }
            ("expect" | "capture" | "tool_error" | "result", _) => {
                "it belongs beside a call, such as `bash`"
            }
            ("citations", _) => "it belongs beside `text`",
            _ => "begin each step with `- `",
        };
        let message = format!("`{}` cannot stand beside `{step}`", other.name);
        self.sink.error_with_hint(other.at, message, hint);
    }

    fn branch(&mut self, key: &Key, value: &Node, entries: &[(Key, Node)], ops: &mut Vec<Op>) {
        let condition = match &value.kind {
            Kind::Map(_) => self.expect(value, "`if`").map(Condition::Result),
            _ => self.string(value, "`if`").and_then(|source| {
                let mut reads = Vec::new();
                let made = self.templates.condition(&source, value.lines, &mut reads);
                self.made(value, made, reads).map(Condition::Template)
            }),
        };
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        let Some((_, then)) = find("then") else {
            self.sink.error_with_hint(
                key.at,
                "`if` has no `then`",
                "list the steps under `then`, and under `else` if there are any",
            );
            return;
        };
        let op = |key, kind| Op {
            at: value.at,
            key,
            kind,
        };
        let branch = ops.len();
        ops.push(op("if", OpKind::Jump(0)));
        self.steps(then, ops);
        let mut otherwise = ops.len();
        if let Some((_, other)) = find("else") {
            let jump = ops.len();
            ops.push(op("else", OpKind::Jump(0)));
            otherwise = ops.len();
            self.steps(other, ops);
            ops[jump].kind = OpKind::Jump(ops.len());
        }
        if let Some(condition) = condition {
            ops[branch].kind = OpKind::Branch {
                condition,
                otherwise,
            };
        }
    }

    fn pause(&mut self, node: &Node) -> Option<()> {
        match &node.kind {
            Kind::Null | Kind::Bool(true) => Some(()),
            Kind::Map(entries) if entries.is_empty() => Some(()),
            _ => {
                self.sink.error_with_hint(
                    node.at,
                    "`pause_turn` takes no value",
                    "write `- pause_turn`",
                );
                None
            }
        }
    }
}
