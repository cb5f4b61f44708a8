//! Bodies as recorders of VCR's family keep them, each in its way.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::http;
use super::tagged::BINARY;
use crate::{Body, Part};

/// A body as it was kept.
pub(super) enum Kept {
    Nothing,
    Bytes(Bytes),
    /// The recorder kept it parsed.
    Parsed(Value),
    Form(Vec<Part>),
    /// There was something that is not here: why.
    Missing(String),
}

/// The keys of a body that says what it is: cassetter's.
const TYPED: [&str; 2] = ["type", "content"];

const UNKNOWN: &str = "it was kept in a way that is not known";

/// Whether this is a body of cassetter: `{type: json, content: …}`.
pub(super) fn is_typed(body: &Value) -> bool {
    body.as_object().is_some_and(|map| {
        map.get("type").is_some_and(Value::is_string)
            && map.keys().all(|key| TYPED.contains(&key.as_str()))
    })
}

/// The body of a request, or of an answer; `files` says whether the request's path takes forms.
pub(super) fn of(side: &Value, files: bool) -> Kept {
    let not_null = |key: &str| side.get(key).filter(|body| !body.is_null());
    if let Some(parsed) = not_null("parsed_body") {
        return Kept::Parsed(parsed.clone());
    }
    let is_request = side.get("method").is_some();
    match not_null("body").or_else(|| not_null("content")) {
        None => Kept::Nothing,
        Some(body) if is_typed(body) => typed(body),
        Some(body) => match bytes(body) {
            Some(kept) => kept,
            // The arguments that aiohttp's client was given, as they were.
            None if is_request && files => fields(body).map_or_else(unknown, Kept::Form),
            None if is_request && (body.is_object() || body.is_array()) => {
                Kept::Parsed(body.clone())
            }
            None => unknown(),
        },
    }
}

fn unknown() -> Kept {
    Kept::Missing(UNKNOWN.to_owned())
}

fn typed(body: &Value) -> Kept {
    match (body["type"].as_str(), &body["content"]) {
        (Some("none"), _) => Kept::Nothing,
        (Some("json"), content) => Kept::Parsed(content.clone()),
        (Some("text"), Value::String(text)) => Kept::Bytes(Bytes::from(text.clone())),
        (Some("binary"), Value::String(text)) => match hex(text) {
            Some(bytes) => Kept::Bytes(bytes),
            None => Kept::Missing("its hexadecimal digits are broken".to_owned()),
        },
        (Some(other), _) => Kept::Missing(format!(
            "it was kept as `type: {other}`, in a way that is not known"
        )),
        (None, _) => unknown(),
    }
}

fn hex(text: &str) -> Option<Bytes> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| u8::try_from(char::from(byte).to_digit(16)?).ok())
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|it| (it[0] << 4) | it[1]).collect())
}

/// A body that was kept as bytes or text, in whatever it is wrapped; `None` for what is no such wrapping.
fn bytes(body: &Value) -> Option<Kept> {
    match body {
        Value::String(text) => Some(Kept::Bytes(Bytes::from(text.clone()))),
        Value::Object(map) => wrapped(map),
        _ => None,
    }
}

fn wrapped(map: &Map<String, Value>) -> Option<Kept> {
    if map.is_empty() {
        return Some(Kept::Nothing);
    }
    if map.get("file") == Some(&Value::Bool(true)) {
        let why = "it lies in a file beside the recording";
        return Some(Kept::Missing(why.to_owned()));
    }
    // `base64_string` before `string`, which may be null beside it.
    let base64 = [BINARY, "base64_string"]
        .iter()
        .find_map(|key| map.get(*key)?.as_str());
    if let Some(text) = base64 {
        let broken = || Kept::Missing("its base64 is broken".to_owned());
        return Some(http::base64(text).map_or_else(broken, Kept::Bytes));
    }
    if let Some(fields) = map.get("_fields") {
        return Some(form_data(fields).map_or_else(unknown, Kept::Form));
    }
    // An open file that was sent has its bytes and a place in them as its state; a payload of aiohttp
    // has them as its value.
    let state = map.get("state").and_then(|state| state.get(0));
    match (map.get("string"), state.or(map.get("_value"))) {
        (Some(Value::Null), _) => Some(Kept::Nothing),
        // An answer of which the recorder kept the JSON parsed in the place of its text.
        (Some(inner @ (Value::Object(_) | Value::Array(_))), _) => {
            Some(bytes(inner).unwrap_or_else(|| Kept::Parsed(inner.clone())))
        }
        (Some(inner), _) | (None, Some(inner)) => Some(bytes(inner).unwrap_or_else(unknown)),
        (None, None) => None,
    }
}

/// The fields of aiohttp's `FormData`: for each its names, its headers, and its value.
fn form_data(fields: &Value) -> Option<Vec<Part>> {
    let part = |field: &Value| {
        let names = pairs(field.get(0)?.get(0)?)?;
        let text = |wanted: &str| {
            let found = names.iter().find(|(name, _)| *name == wanted)?;
            found.1.as_str().map(str::to_owned)
        };
        let headers = field.get(1)?.as_object()?;
        let kind = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        Some(Part {
            name: text("name")?,
            filename: text("filename"),
            content_type: kind.and_then(|(_, kind)| kind.as_str().map(str::to_owned)),
            body: content(field.get(2)?),
        })
    };
    fields.as_array()?.iter().map(part).collect()
}

/// Fields as aiohttp's client takes them: by name, or as a list of pairs.
fn fields(body: &Value) -> Option<Vec<Part>> {
    let part = |(name, value): (&str, &Value)| Part {
        name: name.to_owned(),
        body: content(value),
        ..Part::default()
    };
    if let Some(map) = body.as_object() {
        let named = map.iter().map(|(name, value)| (name.as_str(), value));
        return Some(named.map(part).collect());
    }
    Some(pairs(body)?.into_iter().map(part).collect())
}

fn pairs(list: &Value) -> Option<Vec<(&str, &Value)>> {
    list.as_array()?
        .iter()
        .map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?)))
        .collect()
}

/// The content of a part.
fn content(value: &Value) -> Body {
    match bytes(value) {
        Some(Kept::Bytes(bytes)) => match std::str::from_utf8(&bytes) {
            _ if bytes.is_empty() => Body::Empty,
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Bytes(bytes),
        },
        Some(Kept::Nothing) => Body::Empty,
        Some(Kept::Missing(why)) => Body::Missing(why),
        Some(Kept::Parsed(_) | Kept::Form(_)) | None => match value {
            Value::Number(_) | Value::Bool(_) => Body::Text(value.to_string()),
            _ => Body::Missing(UNKNOWN.to_owned()),
        },
    }
}
