//! YAML (and so JSON) as a tree in which every node knows its place.
//!
//! The tree is what was typed. Meaning, and mistakes of meaning, are found by who reads it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, MessageFormatter, Spanned, UserMessageFormatter};

use super::{Diagnostic, Position};

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    pub at: Position,
    pub kind: Kind,
    /// The scalar as it was written, so that `bash: true` can run `true`.
    pub written: Option<String>,
    /// Where the lines of a text stand.
    pub lines: Lines,
}

/// Where the lines of a scalar's text stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    pub first: u64,
    /// Whether each line of the text is one of the file, as after `|`. Else newlines are escapes, or lines were folded.
    pub are_kept: bool,
}

impl Lines {
    /// The line of what stands behind so many newlines of the text; where they are not kept, that on which it begins.
    pub fn behind(self, newlines: usize) -> u64 {
        let newlines = u64::try_from(newlines).unwrap_or(0);
        self.first + if self.are_kept { newlines } else { 0 }
    }
}

/// The kind of a node, with its value.
#[derive(Debug, Clone)]
pub enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub struct Key {
    pub at: Position,
    pub name: String,
}

impl Node {
    /// The name of its kind, for a message.
    pub fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The text of a scalar; numbers and booleans as they were written.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Bool(_) | Kind::Number(_) => self.written.as_deref(),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The items of a list, or the node itself as the only one.
    pub fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Map(_) => {
                std::slice::from_ref(self)
            }
        }
    }

    /// The same as plain JSON.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Reads the one document of `source`. `Ok(None)`: there is none.
pub fn read(source: &str, file: &str) -> Result<Option<Node>, Diagnostic> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Option<Raw>>(source, options) {
        Ok(raw) => Ok(raw
            .map(|raw| raw.into_node(source))
            .filter(|node| !matches!(node.kind, Kind::Null))),
        Err(serde_saphyr::Error::Eof { .. }) if source.trim().is_empty() => Ok(None),
        Err(error) => {
            let (at, message) = misread(&error);
            let hint = hint(source, at, &message);
            Err(Diagnostic {
                file: file.to_owned(),
                at,
                message,
                hint: hint.map(ToOwned::to_owned),
            })
        }
    }
}

/// The position and the message of an error: a text that is no YAML, or none of the kind that was wanted.
pub fn misread(error: &serde_saphyr::Error) -> (Position, String) {
    let message = match error.without_snippet() {
        serde_saphyr::Error::Budget { .. } => {
            Cow::Borrowed("the file is too large or too deep: it has more parts than are read")
        }
        other => UserMessageFormatter.format_message(other),
    };
    let at = error.location().map(position).unwrap_or_default();
    (at, message.into_owned())
}

/// A hint for the mistakes people make most. The parser often notices one line late.
fn hint(source: &str, at: Position, message: &str) -> Option<&'static str> {
    let first = usize::try_from(at.line.saturating_sub(2)).unwrap_or(usize::MAX);
    let around: Vec<&str> = source.lines().skip(first).take(3).collect();
    let has = |test: &dyn Fn(&str) -> bool| around.iter().any(|line| test(line));
    if message.contains("tab") && has(&|line| line.trim_start_matches(' ').starts_with('\t')) {
        return Some("indent with spaces, YAML allows no tabs");
    }
    if message.contains("more parts than are read") {
        return Some("put what is in it into several files");
    }
    if message.contains("duplicate") {
        return Some("leave one of the two out");
    }
    if message.contains("multiple") && message.contains("document") {
        return Some("put each document into a file of its own");
    }
    let misread = message.contains("mapping values") || message.contains("did not find expected");
    if source.contains('\0') {
        return Some("there is a NUL in it: is it a text file, in UTF-8?");
    }
    if message.contains("unclosed")
        || message.contains("unterminated")
        || message.contains("end of stream")
    {
        return Some("close every quote and bracket");
    }
    if message.contains("indent") {
        return Some("entries of one list or map begin in one column");
    }
    if misread && has(&|line| line.matches(": ").count() > 1 && !line.contains(['"', '\''])) {
        return Some("quote a string that contains `: `");
    }
    misread.then_some("entries of one list or map begin in one column")
}

fn position(location: serde_saphyr::Location) -> Position {
    Position {
        line: location.line(),
        column: location.column(),
    }
}

/// A node as serde gives it: with its place, but not yet the source beside it.
#[derive(Debug)]
struct Raw(Spanned<RawKind>);

#[derive(Debug)]
enum RawKind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn into_node(self, source: &str) -> Node {
        let at = position(self.0.referenced);
        let span = self.0.defined.span();
        let start = span.byte_offset().and_then(|at| usize::try_from(at).ok());
        let written = start.zip(span.byte_len()).and_then(|(start, len)| {
            source.get(start..start.checked_add(usize::try_from(len).ok()?)?)
        });
        let before = start.and_then(|start| source.get(..start));
        let kind = match self.0.value {
            RawKind::Null => Kind::Null,
            RawKind::Bool(value) => Kind::Bool(value),
            RawKind::Number(value) => Kind::Number(value),
            RawKind::Text(value) => Kind::Text(value),
            RawKind::List(items) => Kind::List(
                items
                    .into_iter()
                    .map(|item| item.into_node(source))
                    .collect(),
            ),
            RawKind::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let key = Key {
                            at: position(key.referenced),
                            name: key.value,
                        };
                        (key, value.into_node(source))
                    })
                    .collect(),
            ),
        };
        let written = match &kind {
            Kind::Bool(value) => Some(written.map_or_else(|| value.to_string(), trimmed)),
            Kind::Number(value) => Some(written.map_or_else(|| value.to_string(), trimmed)),
            Kind::Null | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => None,
        };
        Node {
            at,
            kind,
            written,
            lines: Lines {
                first: at.line,
                are_kept: before.is_some_and(is_literal),
            },
        }
    }
}

/// Whether a `|` stands before a text that begins on the next line.
fn is_literal(before: &str) -> bool {
    let header = before.trim_end();
    if !before[header.len()..].contains('\n') {
        return false;
    }
    let line = header.rsplit('\n').next().unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default().trim_end();
    let line = line.trim_end_matches(|c: char| matches!(c, '-' | '+') || c.is_ascii_digit());
    let indicator = line.strip_suffix('|');
    indicator.is_some_and(|rest| rest.is_empty() || rest.ends_with([' ', '\t']))
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = RawKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Null)
    }

    fn visit_none<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawKind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawKind, E> {
        Ok(RawKind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawKind, E> {
        Ok(RawKind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawKind, E> {
        Ok(RawKind::Number(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawKind, E> {
        Ok(RawKind::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawKind, E> {
        Ok(RawKind::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawKind, E> {
        Ok(Number::from_f64(value)
            .map_or_else(|| RawKind::Text(value.to_string()), RawKind::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawKind, E> {
        Ok(RawKind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<RawKind, E> {
        Ok(RawKind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<RawKind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(RawKind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RawKind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(RawKind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(source: &str) -> Node {
        read(source, "a.yaml").unwrap().unwrap()
    }

    fn entry<'a>(node: &'a Node, name: &str) -> (&'a Key, &'a Node) {
        let Kind::Map(entries) = &node.kind else {
            panic!("{node:?}")
        };
        entries
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(key, value)| (key, value))
            .unwrap()
    }

    #[test]
    fn every_node_and_key_knows_its_place() {
        let tree = node("- name: x\n  then:\n    - text: |\n        two\n        lines\n");
        let rule = &tree.items()[0];
        let (key, then) = entry(rule, "then");
        assert_eq!((key.at.line, key.at.column), (2, 3));
        let (key, text) = entry(&then.items()[0], "text");
        assert_eq!((key.at.line, key.at.column), (3, 7));
        assert_eq!(text.text(), Some("two\nlines\n"));
        assert_eq!((text.lines.behind(0), text.lines.behind(1)), (4, 5));
        let tree = node("- |2-  # as it is\n  a\n  b\n");
        assert_eq!(tree.items()[0].lines.behind(1), 3);
        // Newlines that are no lines of the file.
        let tree = node("- \"\\n\\na\"\n- >\n  a\n\n  b\n");
        let behind = |item: usize| tree.items()[item].lines.behind(2);
        assert_eq!((behind(0), behind(1)), (1, 3));
        let tree = node("- text:\n    a\n\n    b\n");
        let (_, text) = entry(&tree.items()[0], "text");
        assert_eq!(text.lines.behind(1), 2);
    }

    #[test]
    fn scalars_that_look_like_something_else_keep_what_was_written() {
        let tree = node("{a: true, b: 1.50, c: yes, d: 0x10, e: ~, f: \"true\"}");
        assert_eq!(entry(&tree, "a").1.text(), Some("true"));
        assert_eq!(entry(&tree, "b").1.text(), Some("1.50"));
        assert_eq!(entry(&tree, "c").1.text(), Some("yes"));
        assert_eq!(entry(&tree, "d").1.text(), Some("0x10"));
        assert_eq!(entry(&tree, "e").1.text(), None);
        assert_eq!(entry(&tree, "f").1.text(), Some("true"));
    }

    #[test]
    fn json_is_read_too() {
        let tree = node("[\n\t{\"name\": \"x\", \"then\": [{\"text\": \"a\\nb\"}]}\n]");
        assert_eq!(
            tree.to_json(),
            serde_json::json!([{"name": "x", "then": [{"text": "a\nb"}]}])
        );
    }

    #[test]
    fn an_empty_document_is_no_document() {
        for source in ["", "  \n", "# only a comment\n", "---\n", "~"] {
            assert!(read(source, "a.yaml").unwrap().is_none(), "{source:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_overflowed() {
        let source = "[".repeat(100_000);
        assert!(read(&source, "a.yaml").is_err());
    }

    #[test]
    fn a_file_of_too_many_parts_is_told_as_one() {
        let error = read(&"- a\n".repeat(300_000), "a.yaml").unwrap_err();
        assert!(error.message.contains("too large or too deep"), "{error}");
        assert!(
            error
                .hint
                .is_some_and(|hint| hint.contains("several files"))
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_with_a_hint() {
        for source in [
            "- a: \"b\n",
            "- a: 'b\n",
            "- [a, b\n",
            "- a: 1\n   b: 2\n",
            "- a:\n    b: 1\n   c: 2\n",
            "- a\0b\n",
            "- a: b: c\n",
        ] {
            let error = read(source, "a.yaml").unwrap_err();
            assert!(error.hint.is_some(), "{source:?}: {error}");
        }
    }

    #[test]
    fn alias_bombs_are_refused() {
        let mut lines = vec!["a: &a0 [x,x,x,x,x,x,x,x,x]".to_owned()];
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 9].join(",");
            lines.push(format!("b{i}: &a{i} [{refs}]"));
        }
        let source = lines.join("\n");
        assert!(read(&source, "a.yaml").is_err());
    }
}
