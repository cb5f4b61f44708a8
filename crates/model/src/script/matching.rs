//! The matchers of `when`, `expect`, and `if`, compiled once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::path::Path;
use crate::{DeclaredTool, TurnRequest};
use common::document::Position;
use common::work;

/// Characters of a request that a message quotes.
const GIST_CHARS: usize = 80;

/// One way a text can match.
#[derive(Debug, Clone)]
pub(super) enum TextTest {
    Equals(String),
    Contains(String),
    Regex(Regex),
    Glob(glob::Pattern),
}

/// Any of several ways to match.
#[derive(Debug, Clone)]
pub(super) struct TextMatcher {
    pub(super) any_of: Vec<Way>,
}

/// Of each key one of its tests must hold.
pub(super) type Way = Vec<Vec<TextTest>>;

/// A condition on a value of the body.
#[derive(Debug, Clone)]
pub(super) enum BodyTest {
    Exists(bool),
    AnyOf(Vec<Value>),
    Text(TextMatcher),
}

/// One key of `when`.
#[derive(Debug)]
pub(super) struct Clause {
    /// As a message names it: `user`, or the path into the body.
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) test: ClauseTest,
}

/// The condition of a clause.
#[derive(Debug)]
pub(super) enum ClauseTest {
    Tools(Vec<String>),
    User(TextMatcher),
    System(TextMatcher),
    Model(TextMatcher),
    Uploads(UploadTest),
    Body(Box<Path>, BodyTest),
    Stream(bool),
    Container(bool),
}

/// Which uploads there must be.
#[derive(Debug)]
pub(super) enum UploadTest {
    Any(bool),
    Named(Vec<glob::Pattern>),
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => text == wanted,
            Self::Contains(wanted) => text.contains(wanted.as_str()),
            Self::Regex(regex) => work::apart_if_large(text.len(), || regex.is_match(text)),
            Self::Glob(glob) => glob.matches(text),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Equals(wanted) => format!("exactly `{}`", gist(wanted)),
            Self::Contains(wanted) => format!("containing `{}`", gist(wanted)),
            Self::Regex(regex) => format!("matching `{}`", gist(regex.as_str())),
            Self::Glob(glob) => format!("like `{}`", gist(glob.as_str())),
        }
    }
}

impl TextMatcher {
    /// Whether `text` matches.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.any_of.iter().any(|way| {
            way.iter()
                .all(|key| key.iter().any(|test| test.holds(text)))
        })
    }

    /// Its conditions in words.
    pub(super) fn describe(&self) -> String {
        let ways: Vec<String> = self
            .any_of
            .iter()
            .map(|way| {
                let keys = way.iter().map(|key| {
                    let tests: Vec<String> = key.iter().map(TextTest::describe).collect();
                    let tests = tests.join(" or ");
                    match (way.len(), key.len()) {
                        (2.., 2..) => format!("({tests})"),
                        _ => tests,
                    }
                });
                keys.collect::<Vec<_>>().join(" and ")
            })
            .collect();
        ways.join(" or ")
    }

    /// The named groups of its regular expressions.
    pub(super) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.regexes()
            .flat_map(|regex| regex.capture_names().flatten())
    }

    /// Keeps the named groups found in `text`; a group that took no part is the empty string.
    pub(super) fn capture(&self, text: &str, into: &mut BTreeMap<String, String>) {
        for regex in self.regexes() {
            if regex.captures_len() == 1 {
                continue;
            }
            let found = regex.captures(text);
            for name in regex.capture_names().flatten() {
                let value = found
                    .as_ref()
                    .and_then(|groups| groups.name(name))
                    .map_or("", |group| group.as_str());
                let known = into.entry(name.to_owned()).or_default();
                if !value.is_empty() {
                    value.clone_into(known);
                }
            }
        }
    }

    fn regexes(&self) -> impl Iterator<Item = &Regex> {
        let tests = self.any_of.iter().flatten().flatten();
        tests.filter_map(|test| match test {
            TextTest::Regex(regex) => Some(regex),
            TextTest::Equals(_) | TextTest::Contains(_) | TextTest::Glob(_) => None,
        })
    }
}

impl BodyTest {
    fn holds(&self, found: &[&Value]) -> bool {
        match self {
            Self::Exists(wanted) => *wanted != found.is_empty(),
            Self::AnyOf(wanted) => found
                .iter()
                .any(|value| wanted.iter().any(|wanted| same(wanted, value))),
            Self::Text(matcher) => found.iter().any(|value| matcher.holds(&text_of(value))),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Exists(true) => "any value".to_owned(),
            Self::Exists(false) => "no value".to_owned(),
            Self::AnyOf(wanted) => {
                let wanted: Vec<String> = wanted
                    .iter()
                    .map(|value| format!("`{}`", gist(&value.to_string())))
                    .collect();
                wanted.join(" or ")
            }
            Self::Text(matcher) => format!("a value {}", matcher.describe()),
        }
    }
}

/// A value of the body as a text test sees it: of what is no string, the JSON.
fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Equality of JSON, with 1 and 1.0 the same number.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

impl Clause {
    /// Whether the request has what the clause asks for.
    pub(super) fn holds(&self, request: &TurnRequest) -> bool {
        match &self.test {
            ClauseTest::Tools(wanted) => wanted
                .iter()
                .any(|wanted| request.tools.iter().any(|tool| is_tool(tool, wanted))),
            ClauseTest::User(matcher) => matcher.holds(&request.user_text),
            ClauseTest::System(matcher) => matcher.holds(&system_text(&request.body)),
            ClauseTest::Model(matcher) => matcher.holds(model_name(&request.body)),
            ClauseTest::Uploads(UploadTest::Any(wanted)) => *wanted != request.uploads.is_empty(),
            ClauseTest::Uploads(UploadTest::Named(globs)) => request
                .uploads
                .iter()
                .any(|file| globs.iter().any(|glob| glob.matches(&file.filename))),
            ClauseTest::Body(path, test) => path
                .query(&request.body)
                .is_ok_and(|found| test.holds(&found)),
            ClauseTest::Stream(wanted) => *wanted == streams(&request.body),
            ClauseTest::Container(wanted) => *wanted == names_container(&request.body),
        }
    }

    /// Its condition in words.
    pub(super) fn wants(&self) -> String {
        match &self.test {
            ClauseTest::Tools(wanted) => format!("`{}`", wanted.join("` or `")),
            ClauseTest::User(matcher)
            | ClauseTest::System(matcher)
            | ClauseTest::Model(matcher) => format!("text {}", matcher.describe()),
            ClauseTest::Uploads(UploadTest::Any(true)) => "any upload".to_owned(),
            ClauseTest::Uploads(UploadTest::Any(false)) => "no upload".to_owned(),
            ClauseTest::Uploads(UploadTest::Named(globs)) => {
                let globs: Vec<&str> = globs.iter().map(glob::Pattern::as_str).collect();
                format!("one named `{}`", globs.join("` or `"))
            }
            ClauseTest::Body(_, test) => test.describe(),
            ClauseTest::Stream(wanted) | ClauseTest::Container(wanted) => wanted.to_string(),
        }
    }

    /// A description of what the request has instead.
    pub(super) fn came(&self, request: &TurnRequest) -> String {
        match &self.test {
            ClauseTest::Tools(_) => tools_gist(request),
            ClauseTest::User(_) => quoted(&request.user_text),
            ClauseTest::System(_) => quoted(&system_text(&request.body)),
            ClauseTest::Model(_) => quoted(model_name(&request.body)),
            ClauseTest::Uploads(_) => uploads_gist(request),
            ClauseTest::Body(path, _) => match path.query(&request.body).as_deref() {
                Err(visits) => format!("more to look at than {visits} values"),
                Ok([]) => "nothing there".to_owned(),
                Ok([one]) => format!("`{}`", gist(&one.to_string())),
                Ok([first, rest @ ..]) => {
                    format!("`{}` and {} more", gist(&first.to_string()), rest.len())
                }
            },
            ClauseTest::Stream(_) => streams(&request.body).to_string(),
            ClauseTest::Container(_) => names_container(&request.body).to_string(),
        }
    }

    /// Keeps what the clause's regular expressions name.
    pub(super) fn capture(&self, request: &TurnRequest, into: &mut BTreeMap<String, String>) {
        match &self.test {
            ClauseTest::User(matcher) => matcher.capture(&request.user_text, into),
            ClauseTest::System(matcher) => matcher.capture(&system_text(&request.body), into),
            ClauseTest::Model(matcher) => matcher.capture(model_name(&request.body), into),
            ClauseTest::Body(path, BodyTest::Text(matcher)) => {
                for value in path.query(&request.body).unwrap_or_default() {
                    let text = text_of(value);
                    if matcher.holds(&text) {
                        return matcher.capture(&text, into);
                    }
                }
            }
            ClauseTest::Tools(_)
            | ClauseTest::Uploads(_)
            | ClauseTest::Body(..)
            | ClauseTest::Stream(_)
            | ClauseTest::Container(_) => {}
        }
    }

    /// The names it captures.
    pub(super) fn group_names(&self) -> Vec<&str> {
        match &self.test {
            ClauseTest::User(matcher)
            | ClauseTest::System(matcher)
            | ClauseTest::Model(matcher)
            | ClauseTest::Body(_, BodyTest::Text(matcher)) => matcher.group_names().collect(),
            ClauseTest::Body(_, BodyTest::Exists(_) | BodyTest::AnyOf(_))
            | ClauseTest::Tools(_)
            | ClauseTest::Uploads(_)
            | ClauseTest::Stream(_)
            | ClauseTest::Container(_) => Vec::new(),
        }
    }
}

fn is_tool(tool: &DeclaredTool, wanted: &str) -> bool {
    tool.name == wanted || tool.kind == wanted
}

fn model_name(body: &Value) -> &str {
    body["model"].as_str().unwrap_or_default()
}

fn streams(body: &Value) -> bool {
    body["stream"].as_bool().unwrap_or(false)
}

fn names_container(body: &Value) -> bool {
    match &body["container"] {
        Value::String(_) => true,
        Value::Object(container) => container.get("id").is_some_and(Value::is_string),
        _ => false,
    }
}

fn system_text(body: &Value) -> String {
    match &body["system"] {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|b| b["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The declared tools, in short.
pub(super) fn tools_gist(request: &TurnRequest) -> String {
    if request.tools.is_empty() {
        return "no tools".to_owned();
    }
    let names: Vec<String> = request
        .tools
        .iter()
        .map(|tool| {
            if tool.kind == "custom" || tool.kind == tool.name {
                format!("`{}`", tool.name)
            } else {
                format!("`{}`", tool.kind)
            }
        })
        .collect();
    names.join(", ")
}

/// The uploads, in short.
pub(super) fn uploads_gist(request: &TurnRequest) -> String {
    if request.uploads.is_empty() {
        return "no uploads".to_owned();
    }
    let names: Vec<String> = request
        .uploads
        .iter()
        .map(|file| format!("`{}`", gist(&file.filename)))
        .collect();
    names.join(", ")
}

/// A text in quotes, shortened, on one line.
pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() {
        "no text".to_owned()
    } else {
        format!("\"{}\"", gist(text))
    }
}

/// A text shortened, on one line.
pub(super) fn gist(text: &str) -> String {
    // Twice the room: whitespace may fold away.
    let mut words = String::new();
    for word in text.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        if words.len() > 4 * GIST_CHARS {
            break;
        }
    }
    if words.chars().count() <= GIST_CHARS {
        return words;
    }
    let short: String = words.chars().take(GIST_CHARS).collect();
    format!("{short}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gist_is_short_and_on_one_line() {
        assert_eq!(gist(" a\n  b\t"), "a b");
        let long = gist(&"ä ".repeat(1_000));
        assert_eq!(long.chars().count(), GIST_CHARS + 1);
    }

    #[test]
    fn numbers_are_equal_by_value() {
        assert!(same(
            &serde_json::json!({"a": [1]}),
            &serde_json::json!({"a": [1.0]})
        ));
        assert!(!same(&serde_json::json!(1), &serde_json::json!("1")));
    }
}
