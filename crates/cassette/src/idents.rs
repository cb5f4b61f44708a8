//! Ids of the service within texts: finding them, and putting others in their place.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Match, Regex};
use serde_json::Value;

use common::ids::{Ids, Kind};

/// A prefix and what looks random. Words such as `container_upload` and `file_deleted` are shorter. What stands before
/// one is looked at by [`places`].
static ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?-u:(msg|msgbatch|file|container|toolu|srvtoolu|mcptoolu|req|skill|skver|skill_version)_[A-Za-z0-9]{16,}\b)",
    )
    .expect("the pattern is one")
});

/// No id is shorter: a prefix of three letters, `_`, and what looks random.
const LEAST_BYTES: usize = 20;

/// Every id in a text, in order, as often as it is there.
pub fn find(text: &str) -> impl Iterator<Item = &str> {
    places(text).map(|found| found.as_str())
}

/// Whether there is one in a text.
pub(crate) fn is_in(text: &str) -> bool {
    find(text).next().is_some()
}

/// Tells of every id in the keys and texts of a JSON value.
pub(crate) fn find_in<'a>(value: &'a Value, tell: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => find(text).for_each(tell),
        Value::Array(items) => items.iter().for_each(|item| find_in(item, tell)),
        Value::Object(map) => {
            for (key, value) in map {
                find(key).for_each(&mut *tell);
                find_in(value, tell);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with the ids that `other` knows another name for.
pub fn rename(text: &str, other: impl Fn(&str) -> Option<String>) -> Cow<'_, str> {
    let mut renamed = String::new();
    let mut done = 0;
    for found in places(text) {
        if let Some(name) = other(found.as_str()) {
            renamed.push_str(&text[done..found.start()]);
            renamed.push_str(&name);
            done = found.end();
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    renamed.push_str(&text[done..]);
    Cow::Owned(renamed)
}

fn places(text: &str) -> impl Iterator<Item = Match<'_>> {
    let is_long_enough = text.len() >= LEAST_BYTES;
    let found = is_long_enough.then(|| ID.find_iter(text));
    found
        .into_iter()
        .flatten()
        .filter(|found| begins_a_word(&text.as_bytes()[..found.start()]))
}

/// Whether a word begins after this. The last letter may be of a JSON escape: in `"a\nfile_…"` it is a line that ends.
fn begins_a_word(before: &[u8]) -> bool {
    let is_escape = match before {
        [.., b'\\', letter] if b"bfnrt".contains(letter) => true,
        [.., b'\\', b'u', a, b, c, d] => [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()),
        _ => false,
    };
    let in_a_word = |last: &u8| last.is_ascii_alphanumeric() || *last == b'_';
    is_escape || !before.last().is_some_and(in_a_word)
}

/// Whether an answer's id is never sent back by a client.
pub(crate) fn is_one_way(id: &str) -> bool {
    id.starts_with("req_")
}

/// What an id begins with, which says what it is of.
pub(crate) fn prefix(id: &str) -> &str {
    id.rsplit_once('_').map_or(id, |(prefix, _)| prefix)
}

/// A new id of the same kind.
pub fn fresh(id: &str, ids: &Ids) -> String {
    let prefix = prefix(id);
    let known = Kind::ALL.into_iter().find(|kind| kind.prefix() == prefix);
    let new = ids.next(known.unwrap_or(Kind::SkillVersion));
    match (known, new.split_once('_')) {
        (None, Some((_, rest))) => format!("{prefix}_{rest}"),
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_json_and_in_paths_and_words_are_none() {
        let text = r#"{"type":"container_upload","file_id":"file_011CdeLZvUMYd1CXj9nzwwbU","id":"mcptoolu_017CuqaJcXe5ZHJjaz3KS1AT"} /v1/skills/skill_01Xud7kLMsjLfc7Aa6RvigZf/versions/skill_version_01GD1pqKAjok68MJxg1f9bTA file_deleted"#;
        assert_eq!(
            find(text).collect::<Vec<_>>(),
            [
                "file_011CdeLZvUMYd1CXj9nzwwbU",
                "mcptoolu_017CuqaJcXe5ZHJjaz3KS1AT",
                "skill_01Xud7kLMsjLfc7Aa6RvigZf",
                "skill_version_01GD1pqKAjok68MJxg1f9bTA",
            ]
        );
    }

    #[test]
    fn ids_begin_where_a_word_begins_though_that_is_after_an_escape() {
        const ID: &str = "file_011CdeLZvUMYd1CXj9nzwwbU";
        for before in [
            "", " ", "\n", "\t", "\u{1b}", "\"", "\\", "é", "日本", "/", ",", "-",
        ] {
            let value = Value::String(format!("{before}{ID}{before}"));
            let mut found = Vec::new();
            find_in(&value, &mut |id| found.push(id.to_owned()));
            assert_eq!(found, [ID], "{before:?}");
            // As the value is written, and within the text of another.
            let once = value.to_string();
            let twice = Value::String(once.clone()).to_string();
            for text in [once, twice, format!("\"\\u00e9{ID}\"")] {
                assert_eq!(find(&text).collect::<Vec<_>>(), [ID], "{text}");
                let other = rename(&text, |_| Some("file_other".to_owned()));
                assert_eq!(other, text.replace(ID, "file_other"));
            }
        }
        for before in ["x", "_", "7"] {
            assert_eq!(find(&format!("{before}{ID}")).count(), 0, "{before}");
        }
        assert_eq!(find(&format!("{ID}_x")).count(), 0);
        let unknown = rename(ID, |_| None);
        assert!(matches!(unknown, Cow::Borrowed(text) if text == ID));
    }

    #[test]
    fn a_new_id_is_of_the_same_kind() {
        let ids = Ids::seeded(1, &[]);
        for id in [
            "file_011CdeLZvUMYd1CXj9nzwwbU",
            "skill_version_01GD1pqKAjok68MJxg1f9bTA",
        ] {
            let new = fresh(id, &ids);
            assert_ne!(new, id);
            assert_eq!(new.len(), id.len());
            assert_eq!(
                new.rsplit_once('_').unwrap().0,
                id.rsplit_once('_').unwrap().0
            );
        }
    }
}
