//! `citations` beside `text`: what the text is said to be taken from.

use super::{Parser, one_of};
use crate::script::template::{Json, has_template};
use common::document::{Key, Kind, Node};

/// One kind of citation: its `type`, and its members in the API's order. `?` marks those that are null where a script
/// has none, `-` those that are left out then: no recorded citation has a `file_id` (F240).
struct Form {
    kind: &'static str,
    members: &'static [&'static str],
}

const MARKS: [char; 2] = ['?', '-'];

/// How the names of members end that are whole numbers.
const PLACES: [&str; 2] = ["_index", "_number"];
/// But this is a text.
const ENCRYPTED: &str = "encrypted_index";

const FORMS: [Form; 5] = [
    Form {
        kind: "char_location",
        members: &[
            "cited_text",
            "document_index",
            "document_title?",
            "start_char_index",
            "end_char_index",
            "file_id-",
        ],
    },
    Form {
        kind: "content_block_location",
        members: &[
            "cited_text",
            "document_index",
            "document_title?",
            "start_block_index",
            "end_block_index",
            "file_id-",
        ],
    },
    Form {
        kind: "page_location",
        members: &[
            "cited_text",
            "document_index",
            "document_title?",
            "start_page_number",
            "end_page_number",
            "file_id-",
        ],
    },
    Form {
        kind: "search_result_location",
        members: &[
            "cited_text",
            "source",
            "title?",
            "search_result_index",
            "start_block_index",
            "end_block_index",
        ],
    },
    // The engine seals `encrypted_index` where it is null.
    Form {
        kind: "web_search_result_location",
        members: &["cited_text", "url", "title?", "encrypted_index?"],
    },
];

impl Parser {
    /// The list beside a `text`.
    pub(super) fn citations(&mut self, key: &Key, node: &Node) -> Option<Json> {
        let items = match &node.kind {
            Kind::List(items) if !items.is_empty() => items,
            kind => {
                let message = match kind {
                    Kind::List(_) => "`citations` is empty".to_owned(),
                    _ => format!("`citations` must be a list, got {}", node.what()),
                };
                let hint =
                    "such as `[{ type: web_search_result_location, url: …, cited_text: … }]`";
                self.sink.error_with_hint(key.at, message, hint);
                return None;
            }
        };
        let cited: Vec<_> = items.iter().map(|item| self.citation(item)).collect();
        cited
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(Json::list)
    }

    fn citation(&mut self, node: &Node) -> Option<Json> {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("a citation must be a map, got {}", node.what());
            self.sink.error(node.at, message);
            return None;
        };
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        let kinds = FORMS.map(|form| form.kind);
        let Some((_, given)) = find("type") else {
            let hint = one_of(&kinds);
            self.sink
                .error_with_hint(node.at, "a citation has no `type`", hint);
            return None;
        };
        let kind = self.string(given, "`type`")?;
        let Some(form) = FORMS.iter().find(|form| form.kind == kind) else {
            self.sink
                .unknown(given.at, "type of citation", &kind, &kinds);
            return None;
        };
        let names = form
            .members
            .iter()
            .map(|member| member.trim_end_matches(MARKS));
        let known: Vec<_> = names.chain(["type"]).collect();
        self.known_keys(entries, &known, &format!("member of `{kind}`"));
        let mut members = vec![("type".to_owned(), Json::Plain(kind.clone().into()))];
        for member in form.members {
            let name = member.trim_end_matches(MARKS);
            let value = match find(name) {
                Some((_, value)) => self.citation_member(member, value)?,
                None if member.ends_with('-') => continue,
                None if member.ends_with('?') => Json::Plain(serde_json::Value::Null),
                None => {
                    let message = format!("`{kind}` has no `{name}`");
                    self.sink.error(node.at, message);
                    return None;
                }
            };
            members.push((name.to_owned(), value));
        }
        Some(Json::map(members))
    }

    /// A place is a whole number, everything else a text; what may be left out may be null.
    fn citation_member(&mut self, member: &str, node: &Node) -> Option<Json> {
        let name = member.trim_end_matches(MARKS);
        if name != member && matches!(node.kind, Kind::Null) {
            return Some(Json::Plain(serde_json::Value::Null));
        }
        let what = format!("`{name}`");
        if name == ENCRYPTED || !PLACES.iter().any(|end| name.ends_with(end)) {
            return self.text(node, &what);
        }
        if let Kind::Text(text) = &node.kind
            && has_template(text)
        {
            return self.json(node);
        }
        let place = self.count(node, &what, 0)?;
        Some(Json::Plain(place.into()))
    }
}
