//! The canonical form of a request, by which requests are compared.
//!
//! A request becomes one JSON text; two requests are the same if their texts are. The order of keys
//! does not count, nor what a client may write in two ways, nor what says nothing about the answer.

use serde::Serialize;
use serde_json::{Map, Number, Value, json};
use serde_json_path::JsonPath;
use sha2::{Digest as _, Sha256};

use super::redact;
pub use super::redact::REDACTED;
use super::{Body, Part, Request};
use common::ids::hex;

/// The text that stands for a request.
pub fn text(request: &Request, ignore: &[JsonPath]) -> String {
    let mut out = Writer::default();
    out.raw("{\"method\":");
    out.json(&request.method);
    out.raw(",\"path\":");
    out.json(request.path.trim_end_matches('/'));
    out.raw(",\"query\":");
    out.json(&query(request.query.as_deref()));
    out.raw(",\"body\":");
    body(&request.body, ignore, &mut out);
    out.raw("}");
    String::from_utf8(out.0).expect("serde_json writes UTF-8")
}

/// The value whose text this is.
pub fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("it was written as JSON, and ids need no escapes")
}

/// Parameters by name; `beta` says only which of the SDK's doors was taken.
fn query(query: Option<&str>) -> Value {
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
    Value::Object(map)
}

fn body(body: &Body, ignore: &[JsonPath], out: &mut Writer) {
    if let Some(mut json) = body.json() {
        for path in ignore {
            remove(json.to_mut(), path);
        }
        return out.value(&json, Place::Params);
    }
    out.json(&match body {
        Body::Empty => Value::Null,
        Body::Form(parts) => json!({ "form": parts.iter().map(part).collect::<Vec<_>>() }),
        Body::Blob(blob) => json!({ "sha256": blob.sha256, "size_bytes": blob.size_bytes }),
        Body::Missing(_) => json!({ "missing": true }),
        Body::Text(text) => json!({ "text": text }),
        Body::Json(_) | Body::Bytes(_) => match body.bytes() {
            Ok(Some(bytes)) => digest(&bytes),
            _ => Value::Null,
        },
    });
}

fn digest(bytes: &[u8]) -> Value {
    json!({ "sha256": hex(&Sha256::digest(bytes)), "size_bytes": bytes.len() })
}

/// A file by its name and digest; the boundary and the media type do not count.
fn part(part: &Part) -> Value {
    let content = match &part.body {
        Body::Blob(blob) => json!({ "sha256": blob.sha256, "size_bytes": blob.size_bytes }),
        Body::Missing(_) => json!({ "missing": true }),
        Body::Empty | Body::Json(_) | Body::Text(_) | Body::Bytes(_) | Body::Form(_) => part
            .body
            .bytes()
            .ok()
            .flatten()
            .map_or(Value::Null, |bytes| digest(&bytes)),
    };
    json!({ "name": part.name, "filename": part.filename, "content": content })
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
struct Writer(Vec<u8>);

impl Writer {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// As it is.
    fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("a Vec takes every write");
    }

    fn value(&mut self, value: &Value, place: Place) {
        match value {
            Value::Object(map) => {
                let mut members: Vec<(&String, &Value, Place)> = map
                    .iter()
                    .filter_map(|(key, value)| Some((key, value, place.member(map, key, value)?)))
                    .collect();
                members.sort_unstable_by_key(|(key, ..)| *key);
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

/// Whether `sent` is what was recorded; a redacted part of a recorded text stands for anything, and so
/// does a body that was not kept.
pub fn fits(recorded: &Value, sent: &Value) -> bool {
    if recorded["missing"] == true && !sent.is_null() {
        return true;
    }
    match (recorded, sent) {
        (Value::String(recorded), Value::String(sent)) => text_fits(recorded, sent),
        (Value::Array(recorded), Value::Array(sent)) => {
            recorded.len() == sent.len() && recorded.iter().zip(sent).all(|(a, b)| fits(a, b))
        }
        (Value::Object(recorded), Value::Object(sent)) => {
            recorded.len() == sent.len()
                && recorded
                    .iter()
                    .all(|(key, a)| sent.get(key).is_some_and(|b| fits(a, b)))
        }
        (recorded, sent) => recorded == sent,
    }
}

/// Whether a canonical request stands for more than itself: something in it was replaced or not kept.
pub(crate) fn is_wild(text: &str) -> bool {
    text.contains(REDACTED) || text.contains(r#"{"missing":true}"#) || redact::has_zeros(text)
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
}
