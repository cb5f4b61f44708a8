//! The shape of JSON values: members, types, and words, without what is said.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::{Map, Value};

use cassette::idents;
use live::Difference;

/// Members whose value is one of a few words of the API.
const WORDS: [&str; 12] = [
    "type",
    "role",
    "stop_reason",
    "error_code",
    "service_tier",
    "processing_status",
    "file_type",
    "category",
    "status",
    "object",
    "state",
    "abort_reason",
];
/// Members that a model or a client writes as it likes.
const FREE: [&str; 4] = ["input", "input_schema", "metadata", "partial_json"];

/// The shape of the values at one place.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shape {
    plain: BTreeSet<Plain>,
    /// Objects by their `type`, or by nothing.
    objects: BTreeMap<Option<String>, Members>,
    /// The shape of the lists' items; `None` while there was none.
    items: Option<Box<Self>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Members {
    seen: usize,
    /// How often each was there, and what it is.
    of: BTreeMap<String, (usize, Shape)>,
}

/// A value that holds no other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Plain {
    Null,
    Bool,
    Number,
    Text,
    Time,
    /// By its prefix.
    Id(String),
    Word(String),
}

impl Shape {
    /// Of one value.
    pub(super) fn of(value: &Value) -> Self {
        let mut shape = Self::default();
        shape.add(value, "");
        shape
    }

    /// Of several values at one place.
    pub(super) fn of_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut shape = Self::default();
        for value in values {
            shape.add(value, "");
        }
        shape
    }

    fn add(&mut self, value: &Value, name: &str) {
        match value {
            Value::Object(_) if FREE.contains(&name) => {
                self.objects.entry(None).or_default();
            }
            Value::Object(members) => self.add_object(members),
            Value::Array(items) => {
                let shape = self.items.get_or_insert_default();
                for item in items {
                    shape.add(item, name);
                }
            }
            _ => {
                self.plain.insert(Plain::of(value, name));
            }
        }
    }

    fn add_object(&mut self, members: &Map<String, Value>) {
        let kind = members.get("type").and_then(Value::as_str);
        let known = self.objects.entry(kind.map(str::to_owned)).or_default();
        known.seen += 1;
        for (name, value) in members {
            let (count, shape) = known.of.entry(name.clone()).or_default();
            *count += 1;
            shape.add(value, name);
        }
    }

    /// The kinds of values there are, for people.
    fn kinds(&self) -> BTreeSet<String> {
        let mut kinds: BTreeSet<String> = self.plain.iter().map(Plain::told).collect();
        if !self.objects.is_empty() {
            kinds.insert("object".to_owned());
        }
        if self.items.is_some() {
            kinds.insert("list".to_owned());
        }
        kinds
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Plain {
    fn of(value: &Value, name: &str) -> Self {
        let text = match value {
            Value::Null => return Self::Null,
            Value::Bool(_) => return Self::Bool,
            Value::Number(_) => return Self::Number,
            _ => value.as_str().unwrap_or_default(),
        };
        if WORDS.contains(&name) {
            return Self::Word(text.to_owned());
        }
        if name.ends_with("_at") && DateTime::parse_from_rfc3339(text).is_ok() {
            return Self::Time;
        }
        if (name == "id" || name.ends_with("_id")) && idents::find(text).next() == Some(text) {
            let prefix = text.rsplit_once('_').map_or(text, |(prefix, _)| prefix);
            return Self::Id(prefix.to_owned());
        }
        Self::Text
    }

    fn told(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Time => "time".to_owned(),
            Self::Id(prefix) => format!("id {prefix}_…"),
            Self::Word(word) => format!("`{word}`"),
        }
    }
}

/// The differences of `live` from `recorded`.
pub(super) fn differences(recorded: &Shape, live: &Shape) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(recorded, live, "", &mut found);
    found
}

fn compare(recorded: &Shape, live: &Shape, path: &str, found: &mut Vec<Difference>) {
    if recorded.is_nothing() || live.is_nothing() {
        return;
    }
    let (was, is) = (recorded.kinds(), live.kinds());
    if was.is_disjoint(&is) {
        found.push(difference(shown(path), &listed(&was), &listed(&is)));
        return;
    }
    compare_objects(recorded, live, path, found);
    if let (Some(was), Some(is)) = (&recorded.items, &live.items) {
        let of = format!("{path}[]");
        // How many files or models an account has is not the service's doing.
        if path.rsplit('.').next() != Some("data") {
            for (one, other, told) in [
                (was, is, ["there", "absent"]),
                (is, was, ["absent", "there"]),
            ] {
                let kinds = one.objects.keys().filter(|kind| kind.is_some());
                for kind in kinds.filter(|_| other.is_nothing()) {
                    let path = of_kind(&of, kind.as_deref());
                    found.push(difference(shown(&path), told[0], told[1]));
                }
            }
        }
        compare(was, is, &of, found);
    }
}

fn compare_objects(recorded: &Shape, live: &Shape, path: &str, found: &mut Vec<Difference>) {
    if recorded.objects.is_empty() || live.objects.is_empty() {
        return;
    }
    for (kind, was) in &recorded.objects {
        let path = of_kind(path, kind.as_deref());
        match live.objects.get(kind) {
            Some(is) => members(was, is, &path, found),
            None => found.push(difference(shown(&path), "there", "absent")),
        }
    }
    for kind in live
        .objects
        .keys()
        .filter(|kind| !recorded.objects.contains_key(*kind))
    {
        let path = of_kind(path, kind.as_deref());
        found.push(difference(shown(&path), "absent", "there"));
    }
}

fn members(was: &Members, is: &Members, path: &str, found: &mut Vec<Difference>) {
    for (name, (count, shape)) in &was.of {
        let path = format!("{path}.{name}");
        match is.of.get(name) {
            // The type is told by the object itself.
            Some(_) if name == "type" => {}
            Some((_, now)) => compare(shape, now, &path, found),
            // What is not always there may be missing by chance.
            None if *count == was.seen && is.seen > 0 => {
                found.push(difference(shown(&path), &listed(&shape.kinds()), "absent"));
            }
            None => {}
        }
    }
    if was.seen == 0 {
        return;
    }
    for (name, (_, shape)) in &is.of {
        if !was.of.contains_key(name) {
            let path = format!("{path}.{name}");
            found.push(difference(shown(&path), "absent", &listed(&shape.kinds())));
        }
    }
}

fn of_kind(path: &str, kind: Option<&str>) -> String {
    kind.map_or_else(|| path.to_owned(), |kind| format!("{path}({kind})"))
}

fn shown(path: &str) -> &str {
    let path = path.strip_prefix('.').unwrap_or(path);
    if path.is_empty() { "body" } else { path }
}

fn listed(kinds: &BTreeSet<String>) -> String {
    kinds.iter().cloned().collect::<Vec<_>>().join(" or ")
}

pub(super) fn difference(what: &str, recorded: &str, live: &str) -> Difference {
    Difference {
        what: what.to_owned(),
        recorded: recorded.to_owned(),
        live: live.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(recorded: &Value, live: &Value) -> Vec<String> {
        differences(&Shape::of(recorded), &Shape::of(live))
            .into_iter()
            .map(|found| format!("{}: {} | {}", found.what, found.recorded, found.live))
            .collect()
    }

    fn message(text: &str, id: &str, tokens: u64) -> Value {
        json!({
            "id": id, "type": "message", "role": "assistant", "stop_reason": "end_turn", "stop_sequence": null,
            "content": [
                {"type": "text", "text": text},
                {"type": "server_tool_use", "id": "srvtoolu_01A", "name": "x", "input": {"command": text}},
            ],
            "usage": {"input_tokens": tokens},
        })
    }

    #[test]
    fn ids_times_texts_numbers_and_how_many_blocks_do_not_count() {
        let recorded = message("one", "msg_01J3dk4WehRf3cft5P7DL766", 1);
        let mut live = message("2026-01-04T20:47:05Z", "msg_01AAAAAAAAAAAAAAAAAAAAAA", 99);
        live["content"][1]["input"] = json!({"path": 3});
        let more = live["content"][0].clone();
        live["content"].as_array_mut().unwrap().push(more);
        assert_eq!(told(&recorded, &live), Vec::<String>::new());
    }

    #[test]
    fn members_types_words_and_kinds_of_blocks_and_ids_do() {
        let recorded = message("one", "msg_01J3dk4WehRf3cft5P7DL766", 1);
        let mut live = message("one", "msg_bdrk_01J3dk4WehRf3cft5P7DL766", 1);
        live["stop_reason"] = "max_tokens".into();
        live["stop_sequence"] = 7.into();
        live["usage"] = json!({"input_tokens": 1, "speed": "fast"});
        live["content"][0] = json!({"type": "text", "txt": "a"});
        live["content"][1]["type"] = "server_call".into();
        assert_eq!(
            told(&recorded, &live),
            [
                "(message).content[](server_tool_use): there | absent",
                "(message).content[](text).text: text | absent",
                "(message).content[](text).txt: absent | text",
                "(message).content[](server_call): absent | there",
                "(message).id: id msg_… | text",
                "(message).stop_reason: `end_turn` | `max_tokens`",
                "(message).stop_sequence: null | number",
                "(message).usage.speed: absent | text",
            ]
        );
    }

    #[test]
    fn a_list_without_the_blocks_that_it_had_is_told_and_one_without_files_is_not() {
        let recorded = message("one", "msg_01J3dk4WehRf3cft5P7DL766", 1);
        let mut live = recorded.clone();
        live["content"] = json!([]);
        let lost = |told: &str| {
            ["server_tool_use", "text"].map(|kind| format!("(message).content[]({kind}): {told}"))
        };
        assert_eq!(told(&recorded, &live), lost("there | absent"));
        assert_eq!(told(&live, &recorded), lost("absent | there"));
        let list = json!({"data": [{"type": "file"}]});
        assert_eq!(told(&list, &json!({"data": []})), Vec::<String>::new());
    }

    #[test]
    fn what_is_there_only_at_times_may_be_missing() {
        let recorded = json!([{"a": 1, "b": 1}, {"a": 1}]);
        assert_eq!(told(&recorded, &json!([{"a": 2}])), Vec::<String>::new());
        assert_eq!(told(&json!([]), &json!([{"a": 2}])), Vec::<String>::new());
        assert_eq!(
            told(&recorded, &json!([{"b": 2}])),
            ["[].a: number | absent"]
        );
        assert_eq!(told(&recorded, &json!({})), ["body: list | object"]);
    }
}
