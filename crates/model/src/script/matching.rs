//! The matchers of `when`, `expect`, and `if`, compiled once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::path::Path;
use super::template::Text;
use crate::{DeclaredTool, ModelError, TurnRequest};
use common::document::Position;
use common::work;

/// Characters of a request that a message quotes.
const GIST_CHARS: usize = 80;
/// Of these so many stand before the first difference of two texts that else look the same.
const BEFORE_CHARS: usize = 20;

/// One way a text can match. In an `expect` the texts may be templates.
#[derive(Debug, Clone)]
pub(super) enum TextTest<T = String> {
    Equals(T),
    Contains(T),
    Regex(Regex),
    Glob(glob::Pattern),
}

/// Any of several ways to match.
#[derive(Debug, Clone)]
pub(super) struct TextMatcher<T = String> {
    pub(super) any_of: Vec<Way<T>>,
}

/// Of each key one of its tests must hold.
pub(super) type Way<T = String> = Vec<Vec<TextTest<T>>>;

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

    /// Whether no text can fail it. Of regular expressions those that are written for that.
    fn always_holds(&self) -> bool {
        match self {
            Self::Equals(_) => false,
            Self::Contains(wanted) => wanted.is_empty(),
            Self::Regex(regex) => ["", "^", "$", ".*", "^.*", ".*$"].contains(&regex.as_str()),
            Self::Glob(glob) => glob.as_str().chars().all(|c| c == '*'),
        }
    }

    /// Where the difference begins, if a gist of both would not show it.
    fn hidden_difference(&self, came: &str) -> Option<usize> {
        match self {
            Self::Equals(wanted) => hidden_difference(wanted, came),
            Self::Contains(wanted) => {
                let is_hidden =
                    !came.contains(wanted.as_str()) && gist(came).contains(&gist(wanted));
                is_hidden.then_some(0)
            }
            Self::Regex(_) | Self::Glob(_) => None,
        }
    }

    fn describe(&self, show: &dyn Fn(&str) -> String) -> String {
        match self {
            Self::Equals(wanted) => format!("exactly {}", show(wanted)),
            Self::Contains(wanted) => format!("containing {}", show(wanted)),
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

    fn always_holds(&self) -> bool {
        let mut ways = self.any_of.iter();
        ways.any(|way| way.iter().all(|key| key.iter().any(TextTest::always_holds)))
    }

    /// Its conditions in words.
    pub(super) fn describe(&self) -> String {
        self.described(&marked)
    }

    /// Its conditions in words, and a text that does not fit them, where a gist of it would not show the difference.
    pub(super) fn describe_against(&self, came: &str) -> (String, Option<String>) {
        let tests = self.any_of.iter().flatten().flatten();
        match tests.filter_map(|test| test.hidden_difference(came)).min() {
            Some(from) => (
                self.described(&|wanted| escaped(wanted, from)),
                Some(escaped(came, from)),
            ),
            None => (self.describe(), None),
        }
    }

    /// Whether a text that it wants is another at its end alone, in white space.
    pub(super) fn differs_at_the_end(&self, came: &str) -> bool {
        let mut tests = self.any_of.iter().flatten().flatten();
        tests.any(|test| match test {
            TextTest::Equals(wanted) => wanted != came && wanted.trim_end() == came.trim_end(),
            TextTest::Contains(_) | TextTest::Regex(_) | TextTest::Glob(_) => false,
        })
    }

    fn described(&self, show: &dyn Fn(&str) -> String) -> String {
        let ways: Vec<String> = self
            .any_of
            .iter()
            .map(|way| {
                let keys = way.iter().map(|key| {
                    let tests: Vec<String> = key.iter().map(|test| test.describe(show)).collect();
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

impl TextMatcher<Text> {
    /// The same with its templates filled in.
    pub(super) fn filled(
        &self,
        fill: &dyn Fn(&Text) -> Result<String, ModelError>,
    ) -> Result<TextMatcher, ModelError> {
        let filled = |test: &TextTest<Text>| {
            Ok(match test {
                TextTest::Equals(wanted) => TextTest::Equals(fill(wanted)?),
                TextTest::Contains(wanted) => TextTest::Contains(fill(wanted)?),
                TextTest::Regex(regex) => TextTest::Regex(regex.clone()),
                TextTest::Glob(glob) => TextTest::Glob(glob.clone()),
            })
        };
        let key = |key: &Vec<_>| key.iter().map(filled).collect();
        let way = |way: &Way<Text>| way.iter().map(key).collect();
        Ok(TextMatcher {
            any_of: self.any_of.iter().map(way).collect::<Result<_, _>>()?,
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

    /// The test, and what was found, in words.
    fn describe_against(&self, found: &[&Value]) -> (String, String) {
        let first = found.first().map(ToString::to_string);
        let first = first.as_deref().unwrap_or_default();
        let (wants, hidden) = match self {
            Self::Exists(true) => ("any value".to_owned(), None),
            Self::Exists(false) => ("no value".to_owned(), None),
            Self::AnyOf(wanted) => {
                let wanted: Vec<String> = wanted.iter().map(Value::to_string).collect();
                let hidden = wanted.iter();
                let hidden = hidden
                    .filter_map(|text| hidden_difference(text, first))
                    .min();
                let show = |text: &String| match hidden {
                    Some(from) => escaped(text, from),
                    None => marked(text),
                };
                let wants = wanted.iter().map(show).collect::<Vec<_>>().join(" or ");
                (wants, hidden.map(|from| escaped(first, from)))
            }
            Self::Text(matcher) => {
                let came = found.first().map_or("".into(), |value| text_of(value));
                let (wants, came) = matcher.describe_against(&came);
                (format!("a value {wants}"), came)
            }
        };
        let came = hidden.unwrap_or_else(|| marked(first));
        let came = match found {
            [] => "nothing there".to_owned(),
            [_] => came,
            [_, rest @ ..] => format!("{came} and {} more", rest.len()),
        };
        (wants, came)
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
    /// Whether every request fits it.
    pub(super) fn always_holds(&self) -> bool {
        match &self.test {
            ClauseTest::User(matcher)
            | ClauseTest::System(matcher)
            | ClauseTest::Model(matcher) => matcher.always_holds(),
            ClauseTest::Tools(_)
            | ClauseTest::Uploads(_)
            | ClauseTest::Body(..)
            | ClauseTest::Stream(_)
            | ClauseTest::Container(_) => false,
        }
    }

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

    /// Its condition, and what the request has instead, in words.
    pub(super) fn describe_against(&self, request: &TurnRequest) -> (String, String) {
        let of_text = |matcher: &TextMatcher, came: &str| {
            let (wants, got) = matcher.describe_against(came);
            (
                format!("text {wants}"),
                got.unwrap_or_else(|| quoted_ends(came)),
            )
        };
        match &self.test {
            ClauseTest::Tools(wanted) => {
                (format!("`{}`", wanted.join("` or `")), tools_gist(request))
            }
            ClauseTest::User(matcher) => of_text(matcher, &request.user_text),
            ClauseTest::System(matcher) => of_text(matcher, &system_text(&request.body)),
            ClauseTest::Model(matcher) => of_text(matcher, model_name(&request.body)),
            ClauseTest::Uploads(wanted) => {
                let wants = match wanted {
                    UploadTest::Any(true) => "any upload".to_owned(),
                    UploadTest::Any(false) => "no upload".to_owned(),
                    UploadTest::Named(globs) => {
                        let globs: Vec<&str> = globs.iter().map(glob::Pattern::as_str).collect();
                        format!("one named `{}`", globs.join("` or `"))
                    }
                };
                (wants, uploads_gist(request))
            }
            ClauseTest::Body(path, test) => match path.query(&request.body) {
                Ok(found) => test.describe_against(&found),
                Err(visits) => (
                    test.describe_against(&[]).0,
                    format!("more to look at than {visits} values"),
                ),
            },
            ClauseTest::Stream(wanted) => (wanted.to_string(), streams(&request.body).to_string()),
            ClauseTest::Container(wanted) => {
                let came = names_container(&request.body);
                (wanted.to_string(), came.to_string())
            }
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

/// A text in quotes: how it begins, and how it ends if that is left out. Clients put texts of their own before a prompt.
pub(super) fn quoted_ends(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let all = words.join(" ");
    let count = all.chars().count();
    if count <= 2 * GIST_CHARS {
        return quoted(text);
    }
    let end: String = all.chars().skip(count - GIST_CHARS / 2).collect();
    format!("{} … \"{end}\"", quoted(text))
}

/// A text shortened, on one line, between marks.
fn marked(text: &str) -> String {
    format!("`{}`", gist(text))
}

/// A text from a place on, shortened, with nothing in it that cannot be seen.
fn escaped(text: &str, from: usize) -> String {
    let mut rest = text.chars().skip(from);
    let shown: String = rest.by_ref().take(GIST_CHARS).collect();
    let before = if from > 0 { "…" } else { "" };
    let after = if rest.next().is_some() { "…" } else { "" };
    format!("{before}{shown:?}{after}")
}

/// From which character on two texts are to be shown that differ although their gists do not.
fn hidden_difference(wanted: &str, came: &str) -> Option<usize> {
    if wanted == came || gist(wanted) != gist(came) {
        return None;
    }
    let alike = wanted.chars().zip(came.chars());
    let alike = alike.take_while(|(a, b)| a == b).count();
    let is_short = |text: &str| text.chars().count() <= GIST_CHARS;
    let is_seen = is_short(wanted) && is_short(came);
    Some(if is_seen {
        0
    } else {
        alike.saturating_sub(BEFORE_CHARS)
    })
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
    fn a_difference_that_is_told_is_seen() {
        let of = |test| TextMatcher {
            any_of: vec![vec![vec![test]]],
        };
        let equals = |wanted: &str, came: &str| {
            of(TextTest::Equals(wanted.to_owned())).describe_against(came)
        };
        let shown = |wanted: &str, came: &str| {
            let (wants, got) = equals(wanted, came);
            format!("{wants}, got {}", got.unwrap_or_default())
        };
        assert_eq!(shown("hi", "hi\n"), r#"exactly "hi", got "hi\n""#);
        assert_eq!(shown("a b", "a  b"), r#"exactly "a b", got "a  b""#);
        assert_eq!(shown("a\u{a0}b", "a b"), r#"exactly "a\u{a0}b", got "a b""#);
        assert_eq!(shown("", "\n"), r#"exactly "", got "\n""#);
        let long = "x".repeat(300);
        let (wants, got) = equals(&format!("{long}1"), &format!("{long}2"));
        assert!(
            wants.ends_with("x1\"") && wants.starts_with("exactly …\"x"),
            "{wants}"
        );
        assert!(got.unwrap().ends_with("x2\""));
        assert_eq!(equals("a", "b"), ("exactly `a`".to_owned(), None));
        let contains = of(TextTest::Contains("a b".to_owned()));
        let (wants, got) = contains.describe_against("a  b c");
        assert_eq!(
            (wants.as_str(), got.as_deref()),
            ("containing \"a b\"", Some("\"a  b c\""))
        );
        let body = BodyTest::AnyOf(vec!["a b".into()]);
        let (wants, got) = body.describe_against(&[&"a  b".into()]);
        assert_ne!(wants, got);
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
