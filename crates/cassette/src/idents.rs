//! Ids of the service within texts: finding them, and putting others in their place.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use common::ids::{Ids, Kind};

/// A prefix and what looks random. Words such as `container_upload` and `file_deleted` are shorter.
static ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\b(msg|msgbatch|file|container|toolu|srvtoolu|mcptoolu|req|skill|skver|skill_version)_[A-Za-z0-9]{16,}\b",
    )
    .expect("the pattern is one")
});

/// Every id in a text, in order, as often as it is there.
pub fn find(text: &str) -> impl Iterator<Item = &str> {
    ID.find_iter(text).map(|found| found.as_str())
}

/// The text with the ids that `other` knows another name for.
pub fn rename(text: &str, other: impl Fn(&str) -> Option<String>) -> Cow<'_, str> {
    ID.replace_all(text, |found: &Captures<'_>| {
        other(&found[0]).unwrap_or_else(|| found[0].to_owned())
    })
}

/// Whether an answer's id is never sent back by a client.
pub(crate) fn is_one_way(id: &str) -> bool {
    id.starts_with("req_") || id.starts_with("msg_")
}

/// A new id of the same kind.
pub fn fresh(id: &str, ids: &Ids) -> String {
    let prefix = id.rsplit_once('_').map_or(id, |(prefix, _)| prefix);
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
