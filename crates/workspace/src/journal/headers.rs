//! Headers without what is secret.

use std::cell::RefCell;

use serde_json::{Map, Value};

/// Names, in lower case, of headers whose values are never kept.
const SECRET: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
];

/// The capacity that a thread keeps for writing them, in bytes: more than most headers take.
const ROOM_BYTES: usize = 4096;

/// Parts of names that tell of a secret.
const SECRET_PARTS: &[&str] = &["token", "secret", "password", "api-key", "apikey"];

/// The characters with which one of [`SECRET_PARTS`] begins.
const BEGINS: [bool; 256] = {
    let mut begins = [false; 256];
    let mut part = 0;
    while part < SECRET_PARTS.len() {
        begins[SECRET_PARTS[part].as_bytes()[0] as usize] = true;
        part += 1;
    }
    begins
};

/// How the names of headers begin that count tokens, and have none.
const RATES: &str = "anthropic-ratelimit-";

/// Every name with its value in a text as [`Headers`] keeps it.
pub(super) fn pairs(mut text: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        let name = memchr::memchr(b'\0', text.as_bytes())?;
        let value = name + 1 + memchr::memchr(b'\n', &text.as_bytes()[name + 1..])?;
        let pair = (&text[..name], &text[name + 1..value]);
        text = &text[value + 1..];
        Some(pair)
    })
}

/// Headers in the order they came. There is no way to put a key into them.
///
/// One text for all, because every request has some and few are ever looked at: lines of a name, a NUL,
/// and a value; neither character may be in a header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Box<str>);

impl Headers {
    /// Keeps what may be kept.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self::written(|text| {
            for (name, value) in pairs {
                let start = text.len();
                text.push_str(name.as_ref());
                text[start..].make_ascii_lowercase();
                if Self::is_secret(&text[start..]) {
                    text.truncate(start);
                    continue;
                }
                text.push('\0');
                text.push_str(value.as_ref());
                text.push('\n');
            }
        })
    }

    /// Those of an answer, by names in lower case. One that is passed on or replayed may have a token.
    pub fn of_answer<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::written(|text| {
            for (name, value) in pairs {
                if Self::is_secret(name.as_ref()) {
                    continue;
                }
                text.push_str(name.as_ref());
                text.push('\0');
                text.push_str(value.as_ref());
                text.push('\n');
            }
        })
    }

    /// A text grows in a place that is used again and again, and is kept without the room it needed for that.
    fn written(write: impl FnOnce(&mut String)) -> Self {
        thread_local! {
            static ROOM: RefCell<String> = const { RefCell::new(String::new()) };
        }
        ROOM.with_borrow_mut(|text| {
            text.clear();
            write(text);
            let kept = text.as_str().into();
            text.shrink_to(ROOM_BYTES);
            Self(kept)
        })
    }

    /// Whether a header of this name, in lower case, is never kept.
    pub fn is_secret(name: &str) -> bool {
        if name.starts_with(RATES) {
            return false;
        }
        // One way through a name, not one for each part: every header of every request comes by.
        let bytes = name.as_bytes();
        let mut places = (0..bytes.len()).filter(|at| BEGINS[usize::from(bytes[*at])]);
        // The first character once more: most places have that of another part.
        let begins = |part: &&str, at: usize| {
            part.as_bytes()[0] == bytes[at] && bytes[at..].starts_with(part.as_bytes())
        };
        places.any(|at| SECRET_PARTS.iter().any(|part| begins(part, at))) || SECRET.contains(&name)
    }

    /// The first value of a header, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Every name, in lower case, with its value.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.0)
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

    /// The text that they are kept as.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Those of which this is [`Self::text`].
    pub(super) fn of_text(text: String) -> Self {
        Self(text.into_boxed_str())
    }
}
