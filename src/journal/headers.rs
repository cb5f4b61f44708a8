//! Request headers without what is secret.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Names, in lower case, of headers whose values are never kept.
const SECRET: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];

/// Parts of names that tell of a secret.
const SECRET_PARTS: &[&str] = &["token", "secret", "password", "api-key", "apikey"];

/// Headers in the order they came. There is no way to put a key into them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Keeps what may be kept; values that are not UTF-8 are kept as well as they can be.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let pairs = pairs.into_iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            (!is_secret(&name)).then(|| (name, String::from_utf8_lossy(value).into_owned()))
        });
        Self(pairs.collect())
    }

    pub(super) fn cost_bytes(&self) -> usize {
        let pair = size_of::<(String, String)>();
        let texts = self.0.iter().map(|(name, value)| name.len() + value.len());
        texts.map(|bytes| bytes + pair).sum()
    }
}

fn is_secret(name: &str) -> bool {
    SECRET.contains(&name) || SECRET_PARTS.iter().any(|part| name.contains(part))
}

impl Serialize for Headers {
    /// An object; values of a header that came several times are joined as HTTP joins them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut joined: Vec<(&str, String)> = Vec::new();
        for (name, value) in &self.0 {
            match joined.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => {
                    values.push_str(", ");
                    values.push_str(value);
                }
                None => joined.push((name, value.clone())),
            }
        }
        let mut map = serializer.serialize_map(Some(joined.len()))?;
        for (name, value) in &joined {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
