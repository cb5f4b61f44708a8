//! Headers without what is secret.

use serde_json::{Map, Value};

/// Names, in lower case, of headers whose values are never kept.
const SECRET: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];

/// Room for the headers of most answers.
const ANSWER_BYTES: usize = 1024;

/// Parts of names that tell of a secret.
const SECRET_PARTS: &[&str] = &["token", "secret", "password", "api-key", "apikey"];

/// Headers in the order they came. There is no way to put a key into them.
///
/// One text for all, because every request has some and few are ever looked at: lines of a name, a NUL,
/// and a value; neither character may be in a header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Box<str>);

impl Headers {
    /// Keeps what may be kept; values that are not UTF-8 are kept as well as they can be.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut text = String::with_capacity(256);
        for (name, value) in pairs {
            let start = text.len();
            text.push_str(name);
            text[start..].make_ascii_lowercase();
            if is_secret(&text[start..]) {
                text.truncate(start);
                continue;
            }
            text.push('\0');
            text.push_str(&String::from_utf8_lossy(value));
            text.push('\n');
        }
        Self(text.into_boxed_str())
    }

    /// Those of an answer of ours, by names in lower case: nothing in them is secret but a cookie.
    pub fn of_answer<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut text = String::with_capacity(ANSWER_BYTES);
        for (name, value) in pairs {
            if name == "set-cookie" {
                continue;
            }
            text.push_str(name);
            text.push('\0');
            text.push_str(&String::from_utf8_lossy(value));
            text.push('\n');
        }
        Self(text.into_boxed_str())
    }

    /// The first value of a header, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Every name, in lower case, with its value.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once('\0'))
    }

    /// By name; values of a header that came several times are joined as HTTP joins them.
    pub(super) fn joined(&self) -> Map<String, Value> {
        let mut joined = Map::new();
        for (name, value) in self.pairs() {
            match joined.get_mut(name) {
                Some(Value::String(values)) => {
                    values.push_str(", ");
                    values.push_str(value);
                }
                _ => {
                    joined.insert(name.to_owned(), value.into());
                }
            }
        }
        joined
    }

    pub(super) fn cost_bytes(&self) -> usize {
        self.0.len()
    }

    /// What they are kept as.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Those of which this is [`Self::text`].
    pub(super) fn of_text(text: String) -> Self {
        Self(text.into_boxed_str())
    }
}

fn is_secret(name: &str) -> bool {
    SECRET.contains(&name) || SECRET_PARTS.iter().any(|part| name.contains(part))
}
