//! Walking through a document: every member is known, has its type, and is named where it has not.

use std::cell::RefCell;

use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Number, Value};

use super::Mistake;
use common::document::{did_you_mean, list};
use common::limits;

/// Collects mistakes.
#[derive(Debug, Default)]
pub(super) struct Sink(RefCell<Vec<Mistake>>);

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

/// The members of an object, all of them known.
#[derive(Debug)]
pub(super) struct Members<'a> {
    pub(super) path: String,
    map: &'a Map<String, Value>,
}

impl Sink {
    pub(super) fn add(&self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.0.borrow_mut().push(Mistake {
            path: path.to_owned(),
            message: message.into(),
            hint: hint.into(),
        });
    }

    pub(super) fn into_found(self) -> Vec<Mistake> {
        self.0.into_inner()
    }
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value,
        }
    }

    /// Its members; none of them has an unknown name.
    pub(super) fn object(&self, sink: &Sink, known: &[&str]) -> Option<Members<'a>> {
        let Value::Object(map) = self.value else {
            let hint = format!("its members are {}", list(known));
            sink.add(
                &self.path,
                format!("expected an object, found {}", kind(self.value)),
                hint,
            );
            return None;
        };
        for name in map.keys().filter(|name| !known.contains(&name.as_str())) {
            let hint = did_you_mean(name, known.iter().copied(), || {
                format!("known are {}", list(known))
            });
            sink.add(&self.path, format!("`{name}` is no member"), hint);
        }
        Some(Members {
            path: self.path.clone(),
            map,
        })
    }

    pub(super) fn text(&self, sink: &Sink) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong(sink, "a string", "");
        }
        text
    }

    pub(super) fn items(&self, sink: &Sink) -> Vec<Self> {
        let Value::Array(items) = self.value else {
            self.wrong(sink, "a list", "");
            return Vec::new();
        };
        let item = |(n, value)| Self {
            path: format!("{}[{n}]", self.path),
            value,
        };
        items.iter().enumerate().map(item).collect()
    }

    pub(super) fn wrong(&self, sink: &Sink, wanted: &str, hint: &str) {
        let message = format!("expected {wanted}, found {}", kind(self.value));
        sink.add(&self.path, message, hint);
    }
}

impl<'a> Members<'a> {
    /// The path of a member.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A member; `null` is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Node {
            path: self.at(name),
            value,
        })
    }

    pub(super) fn items(&self, sink: &Sink, name: &str) -> Vec<Node<'a>> {
        self.get(name).map_or(Vec::new(), |node| node.items(sink))
    }

    pub(super) fn text(&self, sink: &Sink, name: &str) -> Option<&'a str> {
        self.get(name)?.text(sink)
    }

    pub(super) fn flag(&self, sink: &Sink, name: &str) -> Option<bool> {
        let node = self.get(name)?;
        let flag = node.value.as_bool();
        if flag.is_none() {
            node.wrong(sink, "true or false", "");
        }
        flag
    }

    pub(super) fn number(&self, sink: &Sink, name: &str) -> Option<&'a Number> {
        let node = self.get(name)?;
        let Value::Number(number) = node.value else {
            node.wrong(sink, "a number", "");
            return None;
        };
        Some(number)
    }

    /// A whole number from 0 on.
    pub(super) fn count(&self, sink: &Sink, name: &str) -> Option<u64> {
        let number = self.number(sink, name)?;
        let count = number
            .as_u64()
            .filter(|count| i64::try_from(*count).is_ok());
        if count.is_none() {
            let message = format!("{number} is no whole number from 0 on");
            sink.add(&self.at(name), message, "");
        }
        count
    }

    pub(super) fn time(&self, sink: &Sink, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(sink, name)?;
        let time = DateTime::parse_from_rfc3339(text);
        if time.is_err() {
            sink.add(
                &self.at(name),
                format!("`{text}` is no RFC 3339 time"),
                "such as 2026-01-04T20:47:05Z",
            );
        }
        time.ok().map(|time| time.to_utc())
    }

    /// One of these words.
    pub(super) fn word(&self, sink: &Sink, name: &str, words: &[&str]) -> Option<&'a str> {
        let text = self.text(sink, name)?;
        let known = words.contains(&text);
        if !known {
            let hint = format!("it is one of {}", list(words));
            sink.add(&self.at(name), format!("`{text}` is unknown"), hint);
        }
        known.then_some(text)
    }

    /// The id of an entry, which must be there and be new among `seen`.
    pub(super) fn id(&self, sink: &Sink, seen: &mut Vec<&'a str>) -> String {
        let Some(node) = self.get("id") else {
            sink.add(
                &self.path,
                "`id` is missing",
                "any id will do, such as \"file_id\"",
            );
            return String::new();
        };
        let id = node.text(sink).unwrap_or_default();
        check_id(sink, &node.path, id);
        if seen.contains(&id) {
            sink.add(&node.path, format!("`{id}` is there twice"), "");
        }
        seen.push(id);
        id.to_owned()
    }

    /// `content` or `content_base64`; empty without either.
    pub(super) fn content(&self, sink: &Sink) -> Bytes {
        let base64 = self.get("content_base64");
        if let (Some(_), Some(node)) = (self.get("content"), &base64) {
            sink.add(
                &node.path,
                "there is `content` as well",
                "leave one of them out",
            );
        }
        if let Some(node) = base64 {
            let text = node.text(sink).unwrap_or_default();
            return match base64::engine::general_purpose::STANDARD.decode(text) {
                Ok(bytes) => bytes.into(),
                Err(error) => {
                    sink.add(&node.path, format!("no base64: {error}"), "");
                    Bytes::new()
                }
            };
        }
        let text = self.text(sink, "content").unwrap_or_default();
        Bytes::copy_from_slice(text.as_bytes())
    }
}

/// An id may be anything that fits into a path of the API.
pub(super) fn check_id(sink: &Sink, path: &str, id: &str) {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"/?#%\\".contains(c);
    // Clients take these two out of a path.
    let is_path = matches!(id, "." | "..");
    let length = id.chars().count();
    if id.is_empty() || is_path || length > limits::MAX_ID_CHARS || !id.chars().all(plain) {
        sink.add(
            path,
            format!("`{}` cannot be an id", id.escape_debug()),
            format!(
                "1 to {} characters, no blanks, none of / ? # % \\, and not `.` or `..`",
                limits::MAX_ID_CHARS
            ),
        );
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
