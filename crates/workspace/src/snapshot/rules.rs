//! The rules of a document, which live only as long as the server: the workspace's own scripts, faults, quirks, and
//! rate limits.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::reader::{Members, Sink};
use crate::fault::{self, Fault};
use crate::quirks::Layer;
use crate::rate::RateLimit;
use common::limits;
use model::script::Scripts;

/// The rules that are laid over the server's own.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// As they were sent.
    pub scripts: Vec<String>,
    pub faults: Vec<Fault>,
    pub quirks: Layer,
    /// `None` leaves the server's.
    pub rates: Option<Arc<[RateLimit]>>,
}

pub(super) fn read(sink: &Sink, root: &Members<'_>) -> Rules {
    Rules {
        scripts: scripts(sink, root),
        faults: faults(sink, root),
        quirks: quirks(sink, root),
        rates: rates(sink, root),
    }
}

/// Texts of scripts, or rules, which make one text together.
fn scripts(sink: &Sink, root: &Members<'_>) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rules = Vec::new();
    for node in root.items(sink, "scripts") {
        match node.value {
            Value::String(text) => {
                check_script(sink, &node.path, text);
                texts.push(text.clone());
            }
            Value::Object(_) => {
                let rule = Value::Array(vec![node.value.clone()]);
                check_script(sink, &node.path, &as_yaml(&rule));
                rules.push(node.value.clone());
            }
            _ => node.wrong(sink, "a rule, or the text of a script", ""),
        }
    }
    if !rules.is_empty() {
        texts.push(as_yaml(&Value::Array(rules)));
    }
    texts
}

/// JSON is YAML, but for characters that YAML wants escaped.
fn as_yaml(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                write!(text, "\\u{:04x}", u32::from(c)).expect("a String takes every write");
            }
            c => text.push(c),
        }
    }
    text
}

fn check_script(sink: &Sink, path: &str, text: &str) {
    if let Err(found) = Scripts::default().replace(text, "text") {
        let hint = "`sandtable docs scripts` has an example of every step";
        sink.add(path, common::hinted::told_all(&found), hint);
    }
}

fn faults(sink: &Sink, root: &Members<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for node in root.items(sink, "faults") {
        match fault::parse(node.value) {
            Ok(found) => faults.extend(found),
            Err(error) => sink.add(&node.path, error.message, error.hint),
        }
    }
    if faults.len() > limits::MAX_FAULTS {
        let hint = format!("at most {}", limits::MAX_FAULTS);
        sink.add("faults", "there are too many", hint);
    }
    faults
}

fn quirks(sink: &Sink, root: &Members<'_>) -> Layer {
    let mut layer = Layer::default();
    let Some(node) = root.get("quirks") else {
        return layer;
    };
    match Layer::from_json(node.value) {
        Ok(found) => layer = found,
        Err(error) => sink.add(&node.path, error.message, error.hint),
    }
    layer
}

const RATE_HINT: &str = r#"such as {"requests": 50, "input_tokens": 30000}"#;

fn rates(sink: &Sink, root: &Members<'_>) -> Option<Arc<[RateLimit]>> {
    let node = root.get("rate_limits")?;
    let mut limits = Vec::new();
    for node in node.items(sink) {
        if !node.value.is_object() {
            // A list would be taken for the members in their order.
            node.wrong(sink, "an object", RATE_HINT);
            continue;
        }
        let limit = serde_json::from_value::<RateLimit>(node.value.clone());
        match limit {
            Ok(limit) => {
                if let Err(error) = limit.check(&limits) {
                    sink.add(&node.path, error.to_string(), "");
                }
                limits.push(limit);
            }
            Err(error) => sink.add(&node.path, error.to_string(), RATE_HINT),
        }
    }
    Some(limits.into())
}

/// The quirks' part of a document; `None` where nothing is set.
pub fn write_quirks(layer: &Layer) -> Option<Value> {
    let mut members = Map::new();
    if let Some(profile) = layer.profile() {
        members.insert("profile".to_owned(), profile.name().into());
    }
    for (name, value) in layer.rows() {
        members.insert(name.to_owned(), value.into());
    }
    (!members.is_empty()).then_some(Value::Object(members))
}
