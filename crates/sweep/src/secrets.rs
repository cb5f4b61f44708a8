//! The secrets that a client inherits: found in texts, and taken out of them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;

use cassette::Redactor;
use serde_json::Value;

use super::shell::in_quotes;

/// Anything shorter is no secret, or is found by chance.
const SHORTEST: usize = 8;
/// The same of what has no digit, and so may be a word.
const SHORTEST_WORD: usize = 12;
/// Parts of the names of variables that hold one.
const NAMES: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// The secrets of the environment.
pub(crate) struct Secrets {
    secrets: Vec<Secret>,
    /// Finds all of them, whole or a line of one, and what looks like a key, as each run's is.
    any: Redactor,
}

struct Secret {
    /// The name of its variable.
    name: String,
    value: String,
    /// Finds it alone.
    itself: Redactor,
}

impl Secrets {
    /// Those of this process, which its commands inherit.
    pub(crate) fn known() -> &'static Self {
        static KNOWN: LazyLock<Secrets> = LazyLock::new(|| Secrets::of(std::env::vars_os()));
        &KNOWN
    }

    pub(crate) fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut secrets = Vec::new();
        let mut parts = BTreeSet::new();
        for (name, value) in variables {
            // As output is read.
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            let (upper, value) = (name.to_ascii_uppercase(), value.trim());
            let is_named = NAMES.iter().any(|part| upper.contains(part));
            if !is_named || is_short(value) || is_place(value) {
                continue;
            }
            let lines = value.lines().map(str::trim);
            parts.extend(lines.filter(|line| !is_short(line)).map(str::to_owned));
            parts.insert(value.to_owned());
            // In the line that plays a cell alone it may stand behind the escapes of a shell.
            parts.extend(in_quotes(value));
            secrets.push(Secret {
                name: name.into_owned(),
                value: value.to_owned(),
                itself: Redactor::default().with_known([value]),
            });
        }
        let any = Redactor::default().with_known(parts.iter().map(String::as_str));
        Self { secrets, any }
    }

    /// The text without secrets.
    pub(crate) fn hidden(&self, text: &str) -> String {
        self.any.inside(text).into_owned()
    }

    /// The same of each text of a value.
    pub(crate) fn hidden_in(&self, value: Value) -> Value {
        self.any.json(value)
    }

    /// The names of the variables whose values a text has, also behind escapes, percent-encoding, and base64.
    pub(crate) fn told_by(&self, text: &str) -> Vec<&str> {
        // Nearly always there is none.
        let keyless = match self.any.inside(text) {
            clean if clean == text => return Vec::new(),
            _ => Redactor::default().inside(text),
        };
        let told = self
            .secrets
            .iter()
            .filter(|secret| text.contains(&secret.value) || secret.itself.inside(text) != keyless);
        told.map(|secret| &*secret.name).collect()
    }
}

fn is_short(value: &str) -> bool {
    let has_digit = value.contains(|c: char| c.is_ascii_digit());
    let shortest = if has_digit { SHORTEST } else { SHORTEST_WORD };
    value.len() < shortest
}

/// Where a secret is, or is had, and none itself: a file, or an address without a user and a query.
fn is_place(value: &str) -> bool {
    let is_address = value.starts_with("http://") || value.starts_with("https://");
    (is_address && !value.contains(['@', '?']))
        || ["~/", "./", "../"]
            .iter()
            .any(|begin| value.starts_with(begin))
        || Path::new(value).exists()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::shell::quoted;

    pub(crate) const SLASHES: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    pub(crate) fn secrets(variables: &[(&str, &str)]) -> Secrets {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Secrets::of(variables)
    }

    #[test]
    fn no_form_of_a_secret_is_left_in_a_text() {
        let value = "it's a \"key\"\nwith a second line";
        let known = secrets(&[("A_KEY", value), ("B_KEY", SLASHES)]);
        for text in [
            value.to_owned(),
            quoted(value),
            quoted(&format!("--key={value}\u{7}")),
            json!([value]).to_string(),
            "  | with a second line".to_owned(),
            "d0phbHJYVXRuRkVNSS9LN01ERU5HL2JQeFJmaUNZRVhBTVBMRUtFWQ==".to_owned(),
        ] {
            let clean = known.hidden(&text);
            assert!(clean.contains("[redacted]"), "{text}");
            let left = ["it's", "it'", "it\\'s", "second", "d0phbHJY"];
            assert!(
                !left.iter().any(|part| clean.contains(part)),
                "{text}: {clean}"
            );
        }
    }

    #[test]
    fn where_a_secret_is_had_is_none_and_neither_is_a_word() {
        let here = std::env::current_exe().unwrap();
        let places = [
            ("SSH_KEY", here.to_str().unwrap()),
            ("KEY_FILE", "~/.ssh/id_rsa"),
            ("TOKEN_URL", "https://auth.example.com/oauth/token"),
            ("TOKENIZERS_PARALLELISM", "false"),
            ("DB_PASSWORD", "postgres"),
        ];
        assert!(secrets(&places).secrets.is_empty());
        let others = [
            ("A_TOKEN_URL", "https://user:word@example.com/"),
            ("B_SECRET", "/Jalr+XUtnFEMI/K7MDENG"),
        ];
        assert_eq!(secrets(&others).secrets.len(), 2);
    }
}
