//! JSON bodies: size, content type, and the service's words for what is not JSON.

mod fault;

use std::borrow::Cow;
use std::fmt;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::api::coding;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::Exchange;
use common::{limits, work};

/// Bodies up to this size are copied out of the connection's buffer.
const SMALL_BYTES: usize = 64 * 1024;

/// Reads a JSON body of at most `limit` bytes. The journal has what came, whatever is wrong with it.
pub(super) async fn read(exchange: &mut Exchange, limit: usize) -> ApiResult<Value> {
    let checked = check_headers(exchange.headers(), limit);
    if let Err(error) = &checked
        && error.status() == StatusCode::PAYLOAD_TOO_LARGE
    {
        return checked.map(|()| Value::Null);
    }
    let read = match exchange.take_body() {
        Ok(body) => whole(body, limit).await,
        Err(error) => Err(error),
    };
    if let Ok(bytes) = &read {
        exchange.noted.request = Some(owned(bytes));
    }
    checked?;
    let bytes = read?;
    work::apart_if_large(bytes.len(), || parse(&bytes))
}

/// The JSON of a request that is refused before its handler sees it, for the journal.
pub(super) async fn unseen(headers: &HeaderMap, body: Body) -> Option<Bytes> {
    check_headers(headers, limits::FAULTED_BODY_BYTES).ok()?;
    coding::check(headers).ok()?;
    let bytes = whole(body, limits::FAULTED_BODY_BYTES).await.ok()?;
    Some(owned(&bytes))
}

/// All of a body, which mostly comes in one piece.
pub(super) async fn whole(mut body: Body, limit: usize) -> ApiResult<Bytes> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::unfinished(&error))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if piece.len() > limit - all.len() {
            return Err(ApiError::body_too_large());
        }
        if all.is_empty() && body.is_end_stream() {
            return Ok(piece);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// Gives back the room for more members and messages than a body has, where it is kept for long.
pub(super) fn shrink(body: &mut Value) {
    let Some(members) = body.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(messages)) = members.get_mut("messages") {
        messages.shrink_to_fit();
    }
    *members = std::mem::take(members).into_iter().collect();
}

/// A small body that came in one piece lies in the connection's read buffer, and would keep all of it
/// for as long as the journal keeps the body.
fn owned(bytes: &Bytes) -> Bytes {
    if bytes.len() < SMALL_BYTES {
        Bytes::copy_from_slice(bytes)
    } else {
        bytes.clone()
    }
}

/// The content type in lower case, without its parameters.
fn essence(headers: &HeaderMap) -> Cow<'_, str> {
    let kind = headers.get(header::CONTENT_TYPE);
    let text = kind.and_then(|value| value.to_str().ok());
    let essence = text.unwrap_or_default().split(';').next();
    match essence.unwrap_or_default().trim() {
        // As nearly everybody writes it.
        known @ "application/json" => Cow::Borrowed(known),
        other => Cow::Owned(other.to_ascii_lowercase()),
    }
}

fn is_of_json(essence: &str) -> bool {
    essence == "application/json" || essence.ends_with("+json")
}

/// Whether a body says that it is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    is_of_json(&essence(headers))
}

pub(crate) fn check_headers(headers: &HeaderMap, limit: usize) -> ApiResult<()> {
    let essence = essence(headers);
    if !is_of_json(&essence) {
        let got = if essence.is_empty() {
            "none".to_owned()
        } else {
            format!("`{essence}`")
        };
        return Err(ApiError::invalid(format!(
            "content-type: Expected `application/json`, got {got}"
        )));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let announced = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::body_too_large());
    }
    Ok(())
}

pub(super) fn parse(bytes: &[u8]) -> ApiResult<Value> {
    serde_json::from_slice(bytes).map_err(|error| {
        let fault = Fault::of(bytes, &error);
        ApiError::invalid(format!("The request body is not valid JSON: {fault}"))
    })
}

/// The syntax error in a text, in the words of the service's parser, and its place.
struct Fault {
    reason: &'static str,
    line: usize,
    column: usize,
    char: usize,
}

impl Fault {
    fn of(bytes: &[u8], error: &serde_json::Error) -> Self {
        let (reason, offset) = match std::str::from_utf8(bytes) {
            Err(_) => ("str is not valid UTF-8: surrogates not allowed", 0),
            Ok(_) if error.to_string().starts_with("recursion limit") => {
                ("Recursion limit reached", offset(bytes, error))
            }
            Ok(text) => {
                let found = fault::find(text);
                found.unwrap_or_else(|| ("unexpected character", offset(bytes, error)))
            }
        };
        let before = String::from_utf8_lossy(&bytes[..offset.min(bytes.len())]);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            reason,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            char: before.chars().count(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            line,
            column,
            char,
        } = self;
        write!(f, "{reason}: line {line} column {column} (char {char})")
    }
}

/// Where the parser stopped. Its column counts the byte it stopped at; after a line's end it is 0.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + error.column()).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_however_its_type_is_written() {
        for (kind, is) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("application/jsonl", false),
            ("multipart/form-data", false),
        ] {
            let value = axum::http::HeaderValue::from_static(kind);
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value)]);
            assert_eq!(is_json(&headers), is, "{kind}");
            assert_eq!(check_headers(&headers, 1).is_ok(), is, "{kind}");
        }
    }

    #[test]
    fn a_fault_in_the_text_is_located_and_named() {
        let cases: [(&[u8], &str); 9] = [
            (
                b"{\n  \"model\": }",
                "unexpected character: line 2 column 12 (char 13)",
            ),
            (
                b"",
                "Input is a zero-length, empty document: line 1 column 1 (char 0)",
            ),
            (
                b"{\"a\": ",
                "unexpected end of data: line 1 column 7 (char 6)",
            ),
            (
                b"{\"a\":\"x\ny\"}",
                "unexpected control character in string: line 1 column 8 (char 7)",
            ),
            (
                "{\"ä\":\"\t\"}".as_bytes(),
                "unexpected control character in string: line 1 column 7 (char 6)",
            ),
            (
                b"{} {}",
                "unexpected content after document: line 1 column 4 (char 3)",
            ),
            (
                b"[1,]",
                "trailing comma is not allowed: line 1 column 3 (char 2)",
            ),
            (b"not json", "invalid literal: line 1 column 1 (char 0)"),
            (
                b"\xff",
                "str is not valid UTF-8: surrogates not allowed: line 1 column 1 (char 0)",
            ),
        ];
        for (text, expected) in cases {
            let body = parse(text).unwrap_err().body(None);
            assert_eq!(
                body["error"]["message"],
                format!("The request body is not valid JSON: {expected}")
            );
        }
        assert!(parse(&[b'['; 10_000]).is_err());
        assert!(parse(br#""\ud800""#).is_err());
    }
}
