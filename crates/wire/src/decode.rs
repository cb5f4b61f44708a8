//! Reading JSON with the path of every mistake, worded as the service words it.
//!
//! The service validates with discriminated unions, and its paths name the tag:
//! `messages.0.content.1.container_upload.file_id: Field required` (F131).

use std::fmt;

use serde_json::{Map, Value};

use crate::member;

/// A defect of a request: its path and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Dotted path, empty for the body itself.
    pub path: String,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

impl std::error::Error for Fault {}

/// A value that is no list where the service takes one (F250).
pub const NO_LIST: &str = "Input should be a valid array";

/// A value that is no object where the service takes one of several forms, or any members (F250).
const NO_OBJECT: &str = "Input should be an object";

/// A value that is no object where the service takes one form alone (F250).
pub const NO_SHAPE: &str = "Input does not match the expected shape.";

/// The result of decoding.
pub type Decoded<T> = Result<T, Fault>;

#[derive(Debug, Clone, Copy)]
enum Segment<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// A JSON value and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    value: &'a Value,
    parent: Option<&'a Self>,
    segment: Segment<'a>,
}

impl<'a> Node<'a> {
    /// The whole body.
    pub fn root(value: &'a Value) -> Self {
        Self {
            value,
            parent: None,
            segment: Segment::Root,
        }
    }

    /// The bare value.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The same value one level deeper in the path: the tag of a union.
    pub fn tagged<'b>(&'b self, tag: &'b str) -> Node<'b> {
        Node {
            value: self.value,
            parent: Some(self),
            segment: Segment::Key(tag),
        }
    }

    /// A fault here.
    pub fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault {
            path: self.path(),
            reason: reason.into(),
        }
    }

    /// The dotted path.
    pub fn path(&self) -> String {
        let prefix = self.parent.map(Node::path).unwrap_or_default();
        let own = match self.segment {
            Segment::Root => return prefix,
            Segment::Key(key) => key.to_owned(),
            Segment::Index(index) => index.to_string(),
        };
        if prefix.is_empty() {
            own
        } else {
            format!("{prefix}.{own}")
        }
    }

    /// This value as an object that has one form.
    pub fn object(&self) -> Decoded<&'a Map<String, Value>> {
        self.object_or(NO_SHAPE)
    }

    /// This value as an object that has any members, or one of several forms.
    pub fn dictionary(&self) -> Decoded<&'a Map<String, Value>> {
        self.object_or(NO_OBJECT)
    }

    fn object_or(&self, reason: &str) -> Decoded<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.fault(reason))
    }

    /// A member that must be there.
    pub fn required<'b>(&'b self, key: &'b str) -> Decoded<Node<'b>> {
        match member::of(self.object()?, key) {
            Some(value) => Ok(self.child(key, value)),
            None => Err(self.child(key, &Value::Null).fault("Field required")),
        }
    }

    /// A member that may be absent or null.
    pub fn optional<'b>(&'b self, key: &'b str) -> Decoded<Option<Node<'b>>> {
        let found = member::of(self.object()?, key).filter(|value| !value.is_null());
        Ok(found.map(|value| self.child(key, value)))
    }

    /// A member that may be absent, and is no null.
    pub fn given<'b>(&'b self, key: &'b str) -> Decoded<Option<Node<'b>>> {
        let found = member::of(self.object()?, key);
        Ok(found.map(|value| self.child(key, value)))
    }

    fn child<'b>(&'b self, key: &'b str, value: &'b Value) -> Node<'b> {
        Node {
            value,
            parent: Some(self),
            segment: Segment::Key(key),
        }
    }

    /// The elements of an array.
    pub fn items(&self) -> Decoded<impl ExactSizeIterator<Item = Node<'_>>> {
        let items = self.value.as_array().ok_or_else(|| self.fault(NO_LIST))?;
        Ok(items.iter().enumerate().map(move |(index, value)| Node {
            value,
            parent: Some(self),
            segment: Segment::Index(index),
        }))
    }

    /// This value as a string.
    pub fn string(&self) -> Decoded<&'a str> {
        self.value
            .as_str()
            .ok_or_else(|| self.fault("Input should be a valid string"))
    }

    /// This value as a string of at most `most` characters.
    pub fn text(&self, most: usize) -> Decoded<&'a str> {
        let text = self.string()?;
        // Bytes are never fewer.
        if text.len() > most && text.chars().count() > most {
            return Err(self.fault(format!("String should have at most {most} characters")));
        }
        Ok(text)
    }

    /// This value as a string of at least one character.
    pub fn filled(&self) -> Decoded<&'a str> {
        let text = self.string()?;
        if text.is_empty() {
            return Err(self.fault("String should have at least 1 character"));
        }
        Ok(text)
    }

    /// This value as a string of 1 to `most` characters.
    pub fn name(&self, most: usize) -> Decoded<&'a str> {
        self.filled()?;
        self.text(most)
    }

    /// This value as the id of a call, of the service's (`srvtoolu_…`) or of the client's.
    pub fn call_id(&self, of_service: bool) -> Decoded<&'a str> {
        let id = self.string()?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        // Parity: both patterns are quoted in public threads.
        let (fits, pattern) = if of_service {
            let rest = id.strip_prefix("srvtoolu_");
            let fits = rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(word));
            (fits, "^srvtoolu_[a-zA-Z0-9_]+$")
        } else {
            let fits = !id.is_empty() && id.chars().all(|c| word(c) || c == '-');
            (fits, "^[a-zA-Z0-9_-]+$")
        };
        if fits {
            Ok(id)
        } else {
            Err(self.fault(format!("String should match pattern '{pattern}'")))
        }
    }

    /// This value as an integer.
    pub fn whole(&self) -> Decoded<i64> {
        self.value
            .as_i64()
            .ok_or_else(|| self.fault("Input should be a valid integer"))
    }

    /// This value as a non-negative integer of at least `least`.
    pub fn integer(&self, least: i64) -> Decoded<u64> {
        let number = self.whole()?;
        if number < least {
            return Err(self.fault(format!("Input should be greater than or equal to {least}")));
        }
        u64::try_from(number).map_err(|_| self.fault("Input should be greater than or equal to 0"))
    }

    /// This value as a number.
    pub fn number(&self) -> Decoded<f64> {
        self.value
            .as_f64()
            .ok_or_else(|| self.fault("Input should be a valid number"))
    }

    /// This value as a boolean.
    pub fn boolean(&self) -> Decoded<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.fault("Input should be a valid boolean"))
    }

    /// This value as one of a few literals.
    pub fn literal<'s>(&self, allowed: &[&'s str]) -> Decoded<&'s str> {
        let found = self.value.as_str();
        allowed
            .iter()
            .copied()
            .find(|literal| found == Some(literal))
            .ok_or_else(|| self.fault(format!("Input should be {}", quoted_choice(allowed))))
    }

    /// The `type` of this object, which must be one of `expected`.
    pub fn tag<'s>(&self, expected: &[&'s str]) -> Decoded<&'s str> {
        self.dictionary()?;
        let node = self.required("type")?;
        let found = node.string()?;
        expected
            .iter()
            .copied()
            .find(|tag| *tag == found)
            .ok_or_else(|| self.unexpected_tag(found, expected))
    }

    /// Whether the `type` of this value is one of `tags`.
    pub fn is_tagged(&self, tags: &[&str]) -> bool {
        let found = member::at(self.value, "type").as_str();
        tags.iter().any(|tag| found == Some(tag))
    }

    /// The fault for a `type` that is none of `expected`.
    pub fn unexpected_tag(&self, found: &str, expected: &[&str]) -> Fault {
        let list = expected
            .iter()
            .map(|tag| format!("'{tag}'"))
            .collect::<Vec<_>>()
            .join(", ");
        self.fault(format!(
            "Input tag '{found}' found using 'type' does not match any of the expected tags: {list}"
        ))
    }

    /// Refuses members that are not in `known`.
    pub fn no_extras(&self, known: &[&str]) -> Decoded<()> {
        match self
            .object()?
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            Some(key) => Err(self
                .child(key, &Value::Null)
                .fault("Extra inputs are not permitted")),
            None => Ok(()),
        }
    }

    /// The same, but what is null passes.
    pub fn no_given_extras(&self, known: &[&str]) -> Decoded<()> {
        let mut members = self.object()?.iter();
        let extra = members.find(|(key, value)| !value.is_null() && !known.contains(&key.as_str()));
        match extra {
            Some((key, value)) => Err(self
                .child(key, value)
                .fault("Extra inputs are not permitted")),
            None => Ok(()),
        }
    }
}

fn quoted_choice(allowed: &[&str]) -> String {
    let quoted: Vec<_> = allowed
        .iter()
        .map(|literal| format!("'{literal}'"))
        .collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_path_names_index_and_union_tag() {
        let body = json!({"messages": [{"content": [{"type": "container_upload"}]}]});
        let root = Node::root(&body);
        let messages = root.required("messages").unwrap();
        let message = messages.items().unwrap().next().unwrap();
        let content = message.required("content").unwrap();
        let block = content.items().unwrap().next().unwrap();
        let tagged = block.tagged("container_upload");
        let fault = tagged.required("file_id").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "messages.0.content.0.container_upload.file_id: Field required"
        );
    }

    #[test]
    fn literals_are_listed_as_the_service_lists_them() {
        let body = json!("robot");
        let fault = Node::root(&body)
            .literal(&["user", "assistant", "system"])
            .unwrap_err();
        assert_eq!(
            fault.reason,
            "Input should be 'user', 'assistant' or 'system'"
        );
    }
}
