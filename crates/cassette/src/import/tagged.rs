//! YAML as a tree of JSON in which `!!binary` scalars can be told from texts.
//!
//! Recorders in Python write the objects of their HTTP library with tags of its classes. A class whose
//! constructor takes one text is that text (aiohttp's `istr`, which may be a key); of others the arguments
//! and the fields are there, and whoever knows the class can read them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Tagged;

use super::Wrong;
use common::document::{self, Position};

/// Key of the map that stands for a binary scalar; its value is the base64 text.
pub(super) const BINARY: &str = "!binary";

/// Deeper nesting than any recording has.
const MAX_DEPTH: usize = 200;

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Value, Wrong> {
    let options = serde_saphyr::options! {
        // The base64 text is kept, and decoded where a body is meant.
        ignore_binary_tag_for_string: true,
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_events: 50_000_000,
            max_nodes: 50_000_000,
            max_total_scalar_bytes: 512 * 1024 * 1024,
        },
    };
    let node: Tagged<Node> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let (at, message) = document::misread(&error);
            let place = match at {
                Position { line: 0, .. } => String::new(),
                Position { line, column } => format!(" at line {line}, column {column}"),
            };
            Wrong::new(format!(
                "it is neither JSON, nor a stream, nor YAML{place}: {message}"
            ))
        })?;
    Ok(value(node))
}

struct Node(Value);

/// The part of Python's tags that names a class or a function to call; the `!!` before it may be spelt out.
const CONSTRUCTORS: [&str; 2] = ["python/object/apply:", "python/object/new:"];

fn value(Tagged(Node(value), tag): Tagged<Node>) -> Value {
    let tag = tag.unwrap_or_default();
    match value {
        Value::String(text) if tag.ends_with("binary") => {
            Value::Object(Map::from_iter([(BINARY.to_owned(), Value::String(text))]))
        }
        value if CONSTRUCTORS.iter().any(|kind| tag.contains(kind)) => constructed(value),
        value => value,
    }
}

/// The text, or the bytes, that is all a constructor is given; else what there is.
fn constructed(value: Value) -> Value {
    let arguments = match &value {
        Value::Array(arguments) => arguments,
        Value::Object(map) => match map.get("args") {
            Some(Value::Array(arguments)) => arguments,
            _ => return value,
        },
        _ => return value,
    };
    match arguments.as_slice() {
        [text @ Value::String(_)] => text.clone(),
        [bytes @ Value::Object(map)] if map.contains_key(BINARY) => bytes.clone(),
        _ => value,
    }
}

/// A key as a text. One that is none keeps its place under its JSON, where nobody looks for it.
fn key(node: Tagged<Node>) -> String {
    match value(node) {
        Value::String(text) => text,
        Value::Object(map) if map.contains_key(BINARY) => {
            let bytes = map[BINARY].as_str().and_then(super::http::base64);
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        }
        other => other.to_string(),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree).map(Self)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let text = || Value::String(value.to_string());
        Ok(Number::from_f64(value).map_or_else(text, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Tagged<Node>>()? {
            list.push(value(item));
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, item)) = entries.next_entry::<Tagged<Node>, Tagged<Node>>()? {
            map.insert(key(name), value(item));
        }
        Ok(Value::Object(map))
    }
}
