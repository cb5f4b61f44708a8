//! The canonical form of a request, by which requests are compared.
//!
//! A request becomes one JSON value; two requests are the same if their values are. The order of keys
//! does not count, nor what a client may write in two ways, nor what says nothing about the answer.

use serde_json::{Map, Value, json};
use serde_json_path::JsonPath;
use sha2::{Digest as _, Sha256};

use super::redact;
pub use super::redact::REDACTED;
use super::{Body, Part, Request};
use common::ids::hex;

/// The value that stands for a request.
pub fn of(request: &Request, ignore: &[JsonPath]) -> Value {
    json!({
        "method": request.method,
        "path": request.path.trim_end_matches('/'),
        "query": query(request.query.as_deref()),
        "body": body(&request.body, ignore),
    })
}

/// Its text, by which values are compared.
pub fn text(canonical: &Value) -> String {
    serde_json::to_string(canonical).expect("every key is a text")
}

/// The value whose text this is.
pub fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("it was written from a value, and ids need no escapes")
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

fn body(body: &Body, ignore: &[JsonPath]) -> Value {
    if let Some(json) = body.json() {
        let mut json = json.into_owned();
        for path in ignore {
            remove(&mut json, path);
        }
        return request(json);
    }
    match body {
        Body::Empty => Value::Null,
        Body::Form(parts) => json!({ "form": parts.iter().map(part).collect::<Vec<_>>() }),
        Body::Blob(blob) => json!({ "sha256": blob.sha256, "size_bytes": blob.size_bytes }),
        Body::Missing(_) => json!({ "missing": true }),
        Body::Text(text) => json!({ "text": text }),
        Body::Json(_) | Body::Bytes(_) => match body.bytes() {
            Ok(Some(bytes)) => digest(&bytes),
            _ => Value::Null,
        },
    }
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

/// The body of a request of any endpoint, each of a batch's requests too.
fn request(mut json: Value) -> Value {
    if let Value::Object(map) = &mut json {
        map.shift_remove("metadata");
        if map.get("stream") == Some(&Value::Bool(false)) {
            map.shift_remove("stream");
        }
        for (key, list) in [("system", "text"), ("messages", "")] {
            if let Some(value) = map.get_mut(key) {
                if list.is_empty() {
                    value
                        .as_array_mut()
                        .into_iter()
                        .flatten()
                        .for_each(|message| as_blocks(message, "content"));
                } else {
                    text_as_blocks(value);
                }
            }
        }
        for item in map
            .get_mut("requests")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(params) = item.get_mut("params") {
                *params = request(params.take());
            }
        }
    }
    tidy(json)
}

/// `"content": "text"` is a short way to write a list with one block.
fn as_blocks(holder: &mut Value, key: &str) {
    let Some(content) = holder.get_mut(key) else {
        return;
    };
    text_as_blocks(content);
    for block in content.as_array_mut().into_iter().flatten() {
        if block["type"] == "tool_result" {
            as_blocks(block, "content");
        }
    }
}

fn text_as_blocks(content: &mut Value) {
    if let Value::String(text) = content {
        *content = json!([{ "type": "text", "text": std::mem::take(text) }]);
    }
}

/// Sorted keys, without nulls and without what steers the cache.
fn tidy(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map
                .into_iter()
                .filter(|(key, value)| !value.is_null() && key != "cache_control")
                .map(|(key, value)| (key, tidy(value)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(tidy).collect()),
        // 1 and 1.0 are the same number.
        Value::Number(number) => match number.as_f64() {
            Some(float)
                if number.is_f64()
                    && float.fract() == 0.0
                    && float.abs() < 9_007_199_254_740_992.0 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "checked just before")]
                Value::from(float as i64)
            }
            _ => Value::Number(number),
        },
        other => other,
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

    fn canon(json: &Value) -> Value {
        of(
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
            of(&request("today"), &paths),
            of(&request("tomorrow"), &paths)
        );
        assert_ne!(of(&request("today"), &[]), of(&request("tomorrow"), &[]));
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
        assert_eq!(of(&upload("a", b"1"), &[]), of(&upload("a", b"1"), &[]));
        assert_ne!(of(&upload("a", b"1"), &[]), of(&upload("b", b"1"), &[]));
        assert_ne!(of(&upload("a", b"1"), &[]), of(&upload("a", b"2"), &[]));
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
