//! The canonical form of a request, by which requests are compared.
//!
//! A request becomes one JSON text; two requests are the same if their texts are. The order of keys
//! does not count, nor what a client may write in two ways, nor what says nothing about the answer.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Number, Value, json};
use serde_json_path::JsonPath;
use sha2::{Digest as _, Sha256};

use super::body::INLINE_BYTES;
pub use super::redact::REDACTED;
use super::{Body, Part, Request};
use super::{idents, redact};
use common::ids::hex;
use common::json;

/// Largest file or text that is spelled out, where one like it has something redacted in it.
const SPELLED_BYTES: u64 = 8 * 1024 * 1024;

/// How files, and long texts that are no JSON, stand in a canonical text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    ByDigest,
    /// What was redacted in them can be told from the rest.
    Spelled,
}

/// The text that stands for a request.
pub fn text(request: &Request, ignore: &[JsonPath]) -> String {
    write(request, ignore, Files::ByDigest).0
}

/// The same, and whether the order of something in it follows from ids.
pub(crate) fn ordered(request: &Request, ignore: &[JsonPath]) -> (String, bool) {
    write(request, ignore, Files::ByDigest)
}

/// The text of a request with other names for ids; in the order that those give, if it follows from ids.
pub(crate) fn renamed(
    text: &str,
    is_ordered: bool,
    meant: impl Fn(&str) -> Option<String>,
) -> Cow<'_, str> {
    let renamed = idents::rename(text, meant);
    if !is_ordered || matches!(renamed, Cow::Borrowed(_)) {
        return renamed;
    }
    let mut value = read(&renamed);
    sort(&mut value);
    if let Some(query) = value.get_mut("query").and_then(Value::as_object_mut) {
        for values in query.values_mut().filter_map(Value::as_array_mut) {
            values.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
    Cow::Owned(value.to_string())
}

/// Sorts the maps that have ids among their keys: all others are in order whatever ids are called.
fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(sort);
            if map.keys().any(|key| idents::is_in(key)) {
                map.sort_keys();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The same with files and texts spelled out; `None` of a request that has none.
pub(crate) fn spelled(request: &Request, ignore: &[JsonPath]) -> Option<String> {
    let has_files = match &request.body {
        Body::Form(_) | Body::Bytes(_) => true,
        Body::Text(_) | Body::Blob(_) => request.body.json().is_none(),
        Body::Empty | Body::Json(_) | Body::Missing(_) => false,
    };
    has_files.then(|| write(request, ignore, Files::Spelled).0)
}

fn write(request: &Request, ignore: &[JsonPath], files: Files) -> (String, bool) {
    let mut out = Writer::default();
    out.raw("{\"method\":");
    out.json(&request.method);
    out.raw(",\"path\":");
    out.json(request.path.trim_end_matches('/'));
    out.raw(",\"query\":");
    let query = query(request.query.as_deref());
    out.is_ordered = query.iter().any(|(name, values)| {
        let mut values = values
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        idents::is_in(name) || values.any(idents::is_in)
    });
    out.json(&query);
    out.raw(",\"body\":");
    let kind = body(&request.body, ignore, files, &mut out);
    if let Some(kind) = kind {
        out.raw(",\"kind\":");
        out.json(kind);
    }
    out.raw("}");
    let text = String::from_utf8(out.text).expect("serde_json writes UTF-8");
    (text, out.is_ordered)
}

/// The value whose text this is, or the text itself where other names for ids have left no JSON.
pub fn read(text: &str) -> Value {
    json::again(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Parameters by name; `beta` says only which of the SDK's doors was taken.
fn query(query: Option<&str>) -> Map<String, Value> {
    let mut pairs: Vec<(String, String)> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| {
                percent_encoding::percent_decode_str(&text.replace('+', " "))
                    .decode_utf8_lossy()
                    .into_owned()
            };
            (decode(name), decode(value))
        })
        .filter(|(name, _)| name != "beta")
        .collect();
    pairs.sort();
    let mut map: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        match map.get_mut(&name) {
            Some(Value::Array(values)) => values.push(Value::String(value)),
            _ => {
                map.insert(name, json!([value]));
            }
        }
    }
    map
}

/// A body that was not kept.
const MISSING: &str = "missing";
const FORM: &str = "form";
/// Anything but JSON and a form.
const RAW: &str = "raw";

/// Writes a body, and says what kind it is of unless it is JSON or nothing: what JSON says is never taken for what is
/// said here of another body.
fn body(body: &Body, ignore: &[JsonPath], files: Files, out: &mut Writer) -> Option<&'static str> {
    if let Some(mut json) = body.json() {
        for path in ignore {
            remove(json.to_mut(), path);
        }
        out.value(&json, Place::Params);
        return None;
    }
    let (kind, value) = match body {
        Body::Empty => (None, Value::Null),
        Body::Form(parts) => {
            let parts = parts.iter().map(|it| part(it, files)).collect();
            (Some(FORM), Value::Array(parts))
        }
        Body::Missing(_) => (Some(MISSING), Value::Null),
        Body::Text(text) if text.len() <= INLINE_BYTES && files == Files::ByDigest => {
            (Some(RAW), json!({ "text": text }))
        }
        Body::Text(_) | Body::Json(_) | Body::Bytes(_) | Body::Blob(_) => {
            (Some(RAW), content(body, files))
        }
    };
    out.json(&value);
    kind
}

fn digest(bytes: &[u8]) -> Value {
    json!({ "sha256": hex(&Sha256::digest(bytes)), "size_bytes": bytes.len() })
}

/// A file by its name and digest; the boundary and the media type do not count.
fn part(part: &Part, files: Files) -> Value {
    let content = content(&part.body, files);
    json!({ "name": part.name, "filename": part.filename, "content": content })
}

fn content(body: &Body, files: Files) -> Value {
    let by_digest = match body {
        Body::Blob(blob) => files == Files::ByDigest || blob.size_bytes > SPELLED_BYTES,
        Body::Missing(_) => return json!({ MISSING: true }),
        Body::Empty | Body::Json(_) | Body::Text(_) | Body::Bytes(_) | Body::Form(_) => {
            files == Files::ByDigest
        }
    };
    if let (Body::Blob(blob), true) = (body, by_digest) {
        return json!({ "sha256": blob.sha256, "size_bytes": blob.size_bytes });
    }
    match body.bytes() {
        Ok(Some(bytes)) if by_digest => digest(&bytes),
        Ok(Some(bytes)) => json!({ "text": redact::with_narrow_marks(spell(&bytes)) }),
        Ok(None) | Err(_) => Value::Null,
    }
}

/// Bytes as a text. JSON in which something was redacted has lost its layout.
fn spell(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    };
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() || value.is_array() => value.to_string(),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

/// Takes what a JSON path names out of a value.
fn remove(json: &mut Value, path: &JsonPath) {
    let mut pointers: Vec<String> = path
        .query_located(json)
        .locations()
        .map(serde_json_path::NormalizedPath::to_json_pointer)
        .collect();
    // Later items first: those before keep their places.
    pointers.reverse();
    for pointer in pointers {
        let Some((parent, last)) = pointer.rsplit_once('/') else {
            continue;
        };
        let last = last.replace("~1", "/").replace("~0", "~");
        match json.pointer_mut(parent) {
            Some(Value::Object(map)) => {
                map.shift_remove(&last);
            }
            Some(Value::Array(items)) => {
                if let Ok(at) = last.parse::<usize>()
                    && at < items.len()
                {
                    items.remove(at);
                }
            }
            _ => {}
        }
    }
}

/// Where a value stands in the body of a request of any endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A request's own parameters, each of a batch's too.
    Params,
    /// `requests` of a batch.
    Requests,
    /// One of them.
    Request,
    Messages,
    Message,
    /// Of a message, or of a tool's result.
    Content,
    Block,
    System,
    /// Anywhere else.
    Inside,
}

impl Place {
    /// That of the items of a list.
    fn item(self) -> Self {
        match self {
            Self::Requests => Self::Request,
            Self::Messages => Self::Message,
            Self::Content => Self::Block,
            Self::Params
            | Self::Request
            | Self::Message
            | Self::Block
            | Self::System
            | Self::Inside => Self::Inside,
        }
    }

    /// That of a member of `map`; `None` of one that does not count.
    fn member(self, map: &Map<String, Value>, key: &str, value: &Value) -> Option<Self> {
        match (self, key) {
            // What steers the cache.
            (_, "cache_control") | (Self::Params, "metadata") => None,
            _ if value.is_null() => None,
            (Self::Params, "stream") if value == &Value::Bool(false) => None,
            (Self::Params, "system") => Some(Self::System),
            (Self::Params, "messages") => Some(Self::Messages),
            (Self::Params, "requests") => Some(Self::Requests),
            (Self::Request, "params") => Some(Self::Params),
            (Self::Message, "content") => Some(Self::Content),
            (Self::Block, "content") if map["type"] == "tool_result" => Some(Self::Content),
            _ => Some(Self::Inside),
        }
    }
}

/// Writes JSON with sorted keys and without what does not count.
#[derive(Debug, Default)]
struct Writer {
    text: Vec<u8>,
    /// Whether the order of what was written follows from ids.
    is_ordered: bool,
}

impl Writer {
    fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// As it is.
    fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.text, value).expect("a Vec takes every write");
    }

    fn value(&mut self, value: &Value, place: Place) {
        match value {
            Value::Object(map) => {
                let mut members: Vec<(&String, &Value, Place)> = map
                    .iter()
                    .filter_map(|(key, value)| Some((key, value, place.member(map, key, value)?)))
                    .collect();
                members.sort_unstable_by_key(|(key, ..)| *key);
                self.is_ordered |= members.iter().any(|(key, ..)| idents::is_in(key));
                self.raw("{");
                for (at, (key, value, place)) in members.into_iter().enumerate() {
                    self.raw(if at == 0 { "" } else { "," });
                    self.json(key);
                    self.raw(":");
                    self.value(value, place);
                }
                self.raw("}");
            }
            Value::Array(items) => {
                self.raw("[");
                for (at, item) in items.iter().enumerate() {
                    self.raw(if at == 0 { "" } else { "," });
                    self.value(item, place.item());
                }
                self.raw("]");
            }
            // A short way to write a list with one block.
            Value::String(text) if matches!(place, Place::Content | Place::System) => {
                self.raw("[{\"text\":");
                self.json(text);
                self.raw(",\"type\":\"text\"}]");
            }
            Value::Number(number) => self.number(number),
            Value::String(_) | Value::Bool(_) | Value::Null => self.json(value),
        }
    }

    /// 1 and 1.0 are the same number.
    fn number(&mut self, number: &Number) {
        match number.as_f64() {
            Some(float)
                if number.is_f64()
                    && float.fract() == 0.0
                    && float.abs() < 9_007_199_254_740_992.0 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "checked just before")]
                self.json(&(float as i64));
            }
            _ => self.json(number),
        }
    }
}

/// Whether the request `sent` is the recorded one; a redacted part of a recorded text stands for anything, and so
/// does a body that was not kept.
pub(crate) fn fits(recorded: &Value, sent: &Value) -> bool {
    values_fit(&settled(recorded, sent), sent)
}

/// A recorded request with what was sent in place of what was not kept of it.
pub(crate) fn settled<'a>(recorded: &'a Value, sent: &Value) -> Cow<'a, Value> {
    let mut settled = Cow::Borrowed(recorded);
    if recorded["kind"] == MISSING {
        if !sent["body"].is_null() {
            let settled = settled.to_mut();
            settled["body"] = sent["body"].clone();
            match (settled.as_object_mut(), sent.get("kind")) {
                (Some(members), Some(kind)) => {
                    members.insert("kind".to_owned(), kind.clone());
                }
                (Some(members), None) => {
                    members.shift_remove("kind");
                }
                (None, _) => {}
            }
        }
        return settled;
    }
    if recorded["kind"] != FORM || sent["kind"] != FORM {
        return settled;
    }
    for (at, part) in recorded["body"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let of_sent = &sent["body"][at]["content"];
        if part["content"][MISSING] == true && !of_sent.is_null() {
            settled.to_mut()["body"][at]["content"] = of_sent.clone();
        }
    }
    settled
}

/// Whether one value of a request is the recorded one.
pub(crate) fn values_fit(recorded: &Value, sent: &Value) -> bool {
    match (recorded, sent) {
        (Value::String(recorded), Value::String(sent)) => text_fits(recorded, sent),
        (Value::Array(recorded), Value::Array(sent)) => {
            recorded.len() == sent.len() && recorded.iter().zip(sent).all(|(a, b)| values_fit(a, b))
        }
        (Value::Object(recorded), Value::Object(sent)) => {
            recorded.len() == sent.len() && members_fit(recorded, sent)
        }
        (recorded, sent) => recorded == sent,
    }
}

/// Whether each recorded member is one that was sent, by its key or, where something was redacted in that, by one
/// that no other member has.
fn members_fit(recorded: &Map<String, Value>, sent: &Map<String, Value>) -> bool {
    let is_redacted = |key: &str| key.contains(REDACTED);
    let mut left: Vec<(&String, &Value)> = Vec::new();
    for (key, a) in recorded {
        match sent.get(key) {
            Some(b) if values_fit(a, b) => {}
            Some(_) | None if is_redacted(key) => left.push((key, a)),
            Some(_) | None => return false,
        }
    }
    if left.is_empty() {
        return true;
    }
    let is_left = |key: &str| recorded.get(key).is_none_or(|_| is_redacted(key));
    let mut free: Vec<(&String, &Value)> = sent.iter().filter(|(key, _)| is_left(key)).collect();
    left.into_iter().all(|(key, a)| {
        let found = free
            .iter()
            .position(|(sent, b)| text_fits(key, sent) && values_fit(a, b));
        found.map(|at| free.swap_remove(at)).is_some()
    })
}

/// Whether a canonical request stands for more than itself: something in it was replaced or not kept.
pub(crate) fn is_wild(request: &Request, text: &str) -> bool {
    let is_missing = |body: &Body| matches!(body, Body::Missing(_));
    let lacks = if let Body::Form(parts) = &request.body {
        parts.iter().any(|part| is_missing(&part.body))
    } else {
        is_missing(&request.body)
    };
    lacks || text.contains(REDACTED) || redact::has_zeros(text)
}

fn text_fits(recorded: &str, sent: &str) -> bool {
    if redact::has_zeros(recorded) && redact::zeros_fit(recorded, sent) {
        return true;
    }
    let mut parts = recorded.split(REDACTED);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = sent.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn canon(json: &Value) -> String {
        text(
            &Request {
                method: "POST".to_owned(),
                path: "/v1/messages".to_owned(),
                query: Some("beta=true".to_owned()),
                body: Body::of(Bytes::from(json.to_string())),
                ..Request::default()
            },
            &[],
        )
    }

    #[test]
    fn what_can_be_written_in_two_ways_is_the_same() {
        let short = json!({"messages": [{"role": "user", "content": "hi"}], "system": "s", "temperature": 1.0, "stream": false, "container": null});
        let long = json!({
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "temperature": 1, "metadata": {"user_id": "u"},
            "messages": [{"content": [{"text": "hi", "type": "text"}], "role": "user"}],
        });
        assert_eq!(canon(&short), canon(&long));
        let other = json!({"messages": [{"role": "user", "content": "ho"}], "system": "s", "temperature": 1});
        assert_ne!(canon(&short), canon(&other));
        let streamed = json!({"messages": [{"role": "user", "content": "hi"}], "system": "s", "temperature": 1, "stream": true});
        assert_ne!(canon(&short), canon(&streamed));
    }

    #[test]
    fn what_does_not_count_does_not_where_it_has_that_meaning_and_nowhere_else() {
        let params = json!({
            "metadata": {"user_id": "u"}, "stream": false, "system": "s", "top_k": null,
            "messages": [
                {"role": "user", "content": [
                    {"type": "tool_result", "content": "short", "tool_use_id": "t"},
                    {"type": "tool_result", "content": [{"type": "tool_result", "content": "in it"}]},
                    {"type": "text", "text": "", "content": "stays"},
                    "stays",
                ]},
                "stays",
            ],
            "tools": [{"input_schema": {
                "metadata": 1, "stream": false, "system": "stays", "messages": [{"content": "stays"}],
                "cache_control": 1, "z": [null, 1.0, 1.5, -0.0, 1e300], "a": {"b": null},
            }}],
        });
        let tidy = json!({
            "messages": [
                {"content": [
                    {"content": [{"text": "short", "type": "text"}], "tool_use_id": "t", "type": "tool_result"},
                    {"content": [{"content": [{"text": "in it", "type": "text"}], "type": "tool_result"}],
                     "type": "tool_result"},
                    {"content": "stays", "text": "", "type": "text"},
                    "stays",
                ], "role": "user"},
                "stays",
            ],
            "system": [{"text": "s", "type": "text"}],
            "tools": [{"input_schema": {
                "a": {}, "messages": [{"content": "stays"}], "metadata": 1, "stream": false, "system": "stays",
                "z": [null, 1, 1.5, 0, 1e300],
            }}],
        });
        let body = |canonical: &str| read(canonical)["body"].to_string();
        assert_eq!(body(&canon(&params)), tidy.to_string());
        let batch = json!({"requests": [{"params": params, "custom_id": "1", "metadata": {}}, 7], "stream": true});
        let tidy = json!({"requests": [{"custom_id": "1", "metadata": {}, "params": tidy}, 7], "stream": true});
        assert_eq!(body(&canon(&batch)), tidy.to_string());
        assert_eq!(body(&canon(&json!(["text"]))), r#"["text"]"#);
    }

    #[test]
    fn ignored_paths_do_not_count() {
        let request = |date: &str| Request {
            body: Body::Json(
                json!({"system": date, "messages": [{"content": [{"type": "text", "text": date}]}, {"content": "x"}]}),
            ),
            ..Request::default()
        };
        let paths: Vec<JsonPath> = ["$.system", "$.messages[*].content[*].text"]
            .iter()
            .map(|path| JsonPath::parse(path).unwrap())
            .collect();
        assert_eq!(
            text(&request("today"), &paths),
            text(&request("tomorrow"), &paths)
        );
        assert_ne!(
            text(&request("today"), &[]),
            text(&request("tomorrow"), &[])
        );
    }

    #[test]
    fn a_file_counts_by_name_and_bytes_and_not_by_boundary() {
        let upload = |filename: &str, bytes: &'static [u8]| Request {
            body: Body::Form(vec![Part {
                name: "file".to_owned(),
                filename: Some(filename.to_owned()),
                content_type: None,
                body: Body::of(Bytes::from_static(bytes)),
            }]),
            ..Request::default()
        };
        assert_eq!(text(&upload("a", b"1"), &[]), text(&upload("a", b"1"), &[]));
        assert_ne!(text(&upload("a", b"1"), &[]), text(&upload("b", b"1"), &[]));
        assert_ne!(text(&upload("a", b"1"), &[]), text(&upload("a", b"2"), &[]));
    }

    #[test]
    fn a_redacted_part_stands_for_anything() {
        assert!(text_fits("key [redacted]!", "key sk-1!"));
        assert!(text_fits("[redacted]", ""));
        assert!(text_fits("a[redacted]b[redacted]c", "a1b2bc"));
        assert!(!text_fits("key [redacted]!", "key sk-1?"));
        assert!(!text_fits("a", "ab"));
    }

    fn wild(request: &Request) -> Value {
        let text = spelled(request, &[]).unwrap_or_else(|| text(request, &[]));
        assert!(is_wild(request, &text), "{text}");
        read(&text)
    }

    fn as_sent(request: &Request) -> Value {
        read(&spelled(request, &[]).unwrap_or_else(|| text(request, &[])))
    }

    fn posted(body: Body) -> Request {
        Request {
            method: "POST".to_owned(),
            body,
            ..Request::default()
        }
    }

    #[test]
    fn what_json_says_is_never_taken_for_what_is_said_of_another_body() {
        let marks = [
            json!({"missing": true}),
            json!({"text": "hi"}),
            json!({"form": []}),
            json!([{"name": "n", "filename": null, "content": {"missing": true}}]),
        ];
        for mark in marks {
            let data = posted(Body::Json(mark.clone()));
            let canonical = text(&data, &[]);
            assert!(!is_wild(&data, &canonical), "{mark}");
            for other in [
                Body::Text("hi".to_owned()),
                Body::Form(Vec::new()),
                Body::Empty,
            ] {
                assert_ne!(text(&posted(other), &[]), canonical, "{mark}");
            }
            let other = read(&text(&posted(Body::Json(json!({"delete": "yes"}))), &[]));
            assert!(!fits(&read(&canonical), &other), "{mark}");
            assert!(!values_fit(&mark, &json!({"delete": "yes"})), "{mark}");
        }
    }

    #[test]
    fn a_body_that_was_not_kept_stands_for_any_but_none() {
        let recorded = wild(&posted(Body::Missing("too large".to_owned())));
        for sent in [
            Body::Json(json!({"a": 1})),
            Body::Text("a".to_owned()),
            Body::Form(Vec::new()),
        ] {
            assert!(fits(&recorded, &as_sent(&posted(sent))));
        }
        assert!(!fits(&recorded, &as_sent(&posted(Body::Empty))));
        let form = |body: Body, name: &str| {
            posted(Body::Form(vec![Part {
                name: name.to_owned(),
                body,
                ..Part::default()
            }]))
        };
        let recorded = wild(&form(Body::Missing("too large".to_owned()), "file"));
        let sent = |name: &str| as_sent(&form(Body::Text("any".to_owned()), name));
        assert!(fits(&recorded, &sent("file")));
        assert!(!fits(&recorded, &sent("other")));
    }

    #[test]
    fn what_was_redacted_stands_for_anything_in_uploads_in_keys_and_in_names_of_a_query() {
        let upload = |text: &str| {
            posted(Body::Form(vec![Part {
                name: "file".to_owned(),
                body: Body::of(Bytes::from(text.to_owned())),
                ..Part::default()
            }]))
        };
        let long = "x".repeat(INLINE_BYTES);
        for (recorded, sent, other) in [
            ("a [redacted] b", "a secret b", "a secret c"),
            (
                r#"{"a":"[redacted]"}"#,
                "{ \"a\": \"secret\" }",
                r#"{"b":"secret"}"#,
            ),
            (
                &format!("{long}[redacted]"),
                &format!("{long}secret"),
                &long[1..],
            ),
        ] {
            for of in [upload, |text: &str| {
                posted(Body::of(Bytes::from(text.to_owned())))
            }] {
                let recorded = wild(&of(recorded));
                assert!(fits(&recorded, &as_sent(&of(sent))), "{sent}");
                assert!(!fits(&recorded, &as_sent(&of(other))), "{other}");
            }
        }
        let keyed = |key: &str, value: u8| posted(Body::Json(json!({ key: value, "other": 1 })));
        let recorded = wild(&keyed("my [redacted]", 1));
        assert!(fits(&recorded, &as_sent(&keyed("my secret", 1))));
        assert!(!fits(&recorded, &as_sent(&keyed("my secret", 2))));
        assert!(!fits(&recorded, &as_sent(&keyed("a secret", 1))));
        let queried = |query: &str| Request {
            query: Some(query.to_owned()),
            ..Request::default()
        };
        let recorded = wild(&queried("[redacted]=1&b=2"));
        assert!(fits(&recorded, &as_sent(&queried("b=2&secret=1"))));
        assert!(!fits(&recorded, &as_sent(&queried("b=2&secret=3"))));
    }

    #[test]
    fn a_long_text_is_the_same_whether_it_lies_in_a_file_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(INLINE_BYTES + 1);
        let sha256 = hex(&Sha256::digest(&long));
        std::fs::write(folder.path().join(&sha256), &long).unwrap();
        let blob = crate::Blob {
            sha256,
            size_bytes: long.len() as u64,
            folder: folder.path().to_owned(),
        };
        let kept = text(&posted(Body::Blob(blob)), &[]);
        assert_eq!(text(&posted(Body::Text(long.clone())), &[]), kept);
        assert_ne!(text(&posted(Body::Text(format!("{long}y"))), &[]), kept);
    }
}
