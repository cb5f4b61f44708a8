//! `when`: what a request must have.

use serde_json::Value;
use serde_json_path::JsonPath;

use super::{Parser, PlainText};
use crate::script::matching::{BodyTest, Clause, ClauseTest, UploadTest, gist};
use crate::script::path::Path;
use common::bounded;
use common::document::{Key, Kind, Node};
use common::limits;

/// Keys of `when`.
pub(in super::super) const WHEN_KEYS: [&str; 8] = [
    "tools",
    "user",
    "system",
    "model",
    "uploads",
    "body",
    "stream",
    "container",
];
/// Keys of a test in `body`.
pub(in super::super) const BODY_KEYS: [&str; 4] = ["equals", "contains", "regex", "exists"];

impl Parser {
    pub(super) fn when(&mut self, node: &Node) -> Vec<Clause> {
        if matches!(node.kind, Kind::Null) {
            return Vec::new();
        }
        let Kind::Map(entries) = &node.kind else {
            let message = format!("`when` must be a map, got {}", node.what());
            self.sink.error_with_hint(
                node.at,
                message,
                "such as `when: { user: lunch }`; leave it out to answer every request",
            );
            return Vec::new();
        };
        self.known_keys(entries, &WHEN_KEYS, "key of `when`");
        let mut clauses = Vec::new();
        for (key, value) in entries {
            if key.name == "body" {
                clauses.extend(self.body(value));
            } else if let Some(test) = self.clause(key, value) {
                clauses.push(Clause {
                    name: key.name.clone(),
                    at: key.at,
                    test,
                });
            }
        }
        // The cheap ones first.
        clauses.sort_by_key(|clause| matches!(clause.test, ClauseTest::Body(..)));
        clauses
    }

    fn clause(&mut self, key: &Key, value: &Node) -> Option<ClauseTest> {
        let what = format!("`{}`", key.name);
        Some(match key.name.as_str() {
            "tools" => ClauseTest::Tools(
                self.alternatives(value, &what)?
                    .iter()
                    .map(|item| self.plain(item, "a tool"))
                    .collect::<Option<_>>()?,
            ),
            "user" => ClauseTest::User(self.text_matcher(value, &what, PlainText::Contains)?),
            "system" => ClauseTest::System(self.text_matcher(value, &what, PlainText::Contains)?),
            "model" => ClauseTest::Model(self.text_matcher(value, &what, PlainText::Glob)?),
            "uploads" => ClauseTest::Uploads(self.uploads(value)?),
            "stream" => ClauseTest::Stream(self.boolean(value, &what)?),
            "container" => ClauseTest::Container(self.boolean(value, &what)?),
            _ => return None,
        })
    }

    fn uploads(&mut self, value: &Node) -> Option<UploadTest> {
        match &value.kind {
            Kind::Bool(wanted) => Some(UploadTest::Any(*wanted)),
            Kind::List(items) if items.is_empty() => {
                self.sink.error_with_hint(
                    value.at,
                    "`uploads` is empty, so nothing could match",
                    "write `uploads: false` for a request without uploads",
                );
                None
            }
            _ => value
                .items()
                .iter()
                .map(|item| self.glob(item, "an upload"))
                .collect::<Option<_>>()
                .map(UploadTest::Named),
        }
    }

    fn body(&mut self, node: &Node) -> Vec<Clause> {
        let Some(entries) = self.map(node, "`body`") else {
            return Vec::new();
        };
        self.check_filled(node, "`body`");
        entries
            .iter()
            .filter_map(|(key, value)| {
                let path = self.json_path(key);
                let test = self.body_test(value)?;
                Some(Clause {
                    name: key.name.clone(),
                    at: key.at,
                    test: ClauseTest::Body(Box::new(path?), test),
                })
            })
            .collect()
    }

    fn json_path(&mut self, key: &Key) -> Option<Path> {
        let descents = key.name.matches("..").count();
        if descents > limits::JSON_PATH_DESCENTS {
            self.sink.error_with_hint(
                key.at,
                format!(
                    "`{}` goes through everything {descents} times, the most is {}",
                    gist(&key.name),
                    limits::JSON_PATH_DESCENTS
                ),
                "`..` goes to every depth: name the keys between instead",
            );
            return None;
        }
        if !bounded::is_json_path(&key.name) {
            self.sink.error_with_hint(
                key.at,
                format!("`{}` is too long, or nested too deep", gist(&key.name)),
                format!(
                    "brackets and parentheses are nested up to {} deep",
                    limits::JSON_PATH_DEPTH
                ),
            );
            return None;
        }
        JsonPath::parse(&key.name)
            .map(|path| Path::new(path, &key.name))
            .map_err(|error| {
                self.sink.error_with_hint(
                    key.at,
                    // The library's own message says nothing more.
                    format!(
                        "`{}` is no JSONPath from character {}",
                        key.name,
                        error.position() + 1
                    ),
                    "a path looks like `$.max_tokens` or `$.messages[0].role`",
                );
            })
            .ok()
    }

    fn body_test(&mut self, node: &Node) -> Option<BodyTest> {
        match &node.kind {
            Kind::Map(entries)
                if entries
                    .iter()
                    .any(|(key, _)| BODY_KEYS.contains(&key.name.as_str())) =>
            {
                self.body_operator(node, entries)
            }
            Kind::List(items) if items.is_empty() => {
                self.sink.error_with_hint(
                    node.at,
                    "an empty list means any of nothing",
                    "write `{equals: []}` for an empty array",
                );
                None
            }
            Kind::List(items) => {
                let values = items.iter().map(|item| self.value(item));
                values.collect::<Option<_>>().map(BodyTest::AnyOf)
            }
            _ => Some(BodyTest::AnyOf(vec![self.value(node)?])),
        }
    }

    /// A value that is compared.
    fn value(&mut self, node: &Node) -> Option<Value> {
        let mut inside = vec![node];
        while let Some(node) = inside.pop() {
            match &node.kind {
                Kind::Text(text) => self.check_plain(text, node.at, "a `body` test")?,
                Kind::List(items) => inside.extend(items),
                Kind::Map(entries) => inside.extend(entries.iter().map(|(_, value)| value)),
                Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
            }
        }
        Some(node.to_json())
    }

    fn body_operator(&mut self, node: &Node, entries: &[(Key, Node)]) -> Option<BodyTest> {
        self.known_keys(entries, &BODY_KEYS, "key of a `body` test");
        match entries {
            [(key, value)] if key.name == "exists" => {
                self.boolean(value, "`exists`").map(BodyTest::Exists)
            }
            [(key, value)] if key.name == "equals" => {
                Some(BodyTest::AnyOf(vec![self.value(value)?]))
            }
            _ if entries
                .iter()
                .all(|(key, _)| matches!(key.name.as_str(), "contains" | "regex")) =>
            {
                self.text_matcher(node, "a `body` test", PlainText::Contains)
                    .map(BodyTest::Text)
            }
            _ => {
                self.sink.error(
                    node.at,
                    "`exists` and `equals` stand alone in a `body` test",
                );
                None
            }
        }
    }
}
