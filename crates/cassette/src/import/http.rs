//! The parts that every recorder writes in its own way: URLs, headers, and encoded bodies.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::form;
use crate::{Body, Request, redact};

/// Largest body after decompression.
const MAX_BODY_BYTES: u64 = 256 * 1024 * 1024;

/// Headers of a request that tell it from another; the rest are the client's own, or secrets.
const REQUEST_HEADERS: [&str; 3] = ["anthropic-beta", "anthropic-version", "content-type"];

/// Headers of an answer that were true of the connection, or of the body as it was encoded, and secrets.
const NOT_OF_THE_ANSWER: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "set-cookie",
    "trailer",
    "transfer-encoding",
];

/// A URL of the API: who answered, without a name and password, the path from `/v1/` on, and the query.
#[derive(Debug, PartialEq)]
pub(super) struct Address {
    pub(super) upstream: Option<String>,
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// The password in it, as it is written and as it is.
    pub(super) passwords: Vec<String>,
}

/// Takes a URL apart; `None` if it is not the API's.
pub(super) fn address(url: &str) -> Option<Address> {
    let url = url.split('#').next().unwrap_or_default();
    let (place, query) = match url.split_once('?') {
        Some((place, query)) => (place, Some(query.to_owned())),
        None => (url, None),
    };
    let at = place.find("/v1/")?;
    let (upstream, path) = place.split_at(at);
    let passwords = redact::passwords_of_url(upstream);
    let upstream = upstream.split_once("://").map(|(scheme, rest)| {
        let host = rest.find('/').unwrap_or(rest.len());
        let bare = rest[..host].rfind('@').map_or(rest, |at| &rest[at + 1..]);
        format!("{scheme}://{bare}")
    });
    Some(Address {
        upstream,
        path: path.to_owned(),
        query: query.filter(|query| !query.is_empty()),
        passwords,
    })
}

/// A time as recorders write it, as RFC 3339.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_rfc2822(text))
        .map(|time| time.to_utc())
        .ok()
        .or_else(|| {
            let bare = text.trim_end_matches(" UTC").trim_end_matches(" GMT");
            NaiveDateTime::parse_from_str(bare, "%Y-%m-%d %H:%M:%S")
                .ok()
                .map(|time| time.and_utc())
        })
}

/// RFC 3339 in seconds.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Headers of an answer, without those that do not hold any more.
pub(super) fn kept(headers: &[(String, String)]) -> Vec<(String, String)> {
    let mut headers = headers.to_vec();
    headers.retain(|(name, _)| !NOT_OF_THE_ANSWER.contains(&name.as_str()));
    headers
}

/// What headers tell that nobody may keep, wherever it stands.
pub(super) fn secrets(headers: &[(String, String)]) -> Vec<String> {
    let kept = headers.iter().filter(|(_, value)| !is_placeholder(value));
    let mut secrets = redact::told(kept.map(|(name, value)| (name.as_str(), value.as_str())));
    secrets.retain(|secret| !is_placeholder(secret));
    secrets
}

/// Whether a recorder put this in the place of what it did not want to keep.
pub(super) fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 11] = [
        "apikey",
        "dummy",
        "fake",
        "filtered",
        "hidden",
        "masked",
        "placeholder",
        "redacted",
        "removed",
        "sanitized",
        "scrubbed",
    ];
    let value = value.trim().trim_start_matches("Bearer ");
    let crossed_out = value.len() > 2 && value.chars().all(|c| "*.xX-".contains(c));
    let letters: String = value
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    crossed_out
        || WORDS.contains(&letters.as_str())
        || (value.starts_with('<') && value.ends_with('>'))
}

/// Takes out the headers of which the recorder kept the names alone; tells those names.
pub(super) fn without_placeholders(headers: &mut Vec<(String, String)>) -> Vec<String> {
    let mut names = Vec::new();
    headers.retain(|(name, value)| {
        let placed = is_placeholder(value);
        if placed && !names.contains(name) {
            names.push(name.clone());
        }
        !placed
    });
    names
}

/// A header's value.
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// A request from what was recorded of it; its body is a form if its type says so.
pub(super) fn request(
    method: &str,
    address: &Address,
    headers: &[(String, String)],
    body: Body,
) -> Request {
    let mut kept: Vec<(String, String)> = headers.to_vec();
    kept.retain(|(name, _)| REQUEST_HEADERS.contains(&name.as_str()));
    let kind = header(&kept, "content-type").unwrap_or_default();
    let body = form::of(kind, body);
    if matches!(body, Body::Form(_)) {
        // The boundary is the sender's; the parts are what counts.
        kept.retain(|(name, _)| name != "content-type");
        kept.push(("content-type".to_owned(), "multipart/form-data".to_owned()));
    }
    Request {
        method: method.to_ascii_uppercase(),
        path: address.path.clone(),
        query: address.query.clone(),
        headers: kept,
        body,
    }
}

/// Bytes of base64, with or without line breaks.
pub(super) fn base64(text: &str) -> Option<Bytes> {
    let bare: String = text.split_whitespace().collect();
    STANDARD.decode(bare).ok().map(Bytes::from)
}

/// A body without its transfer's encoding; what cannot be decoded is said.
pub(super) fn decoded(headers: &[(String, String)], bytes: Bytes) -> Body {
    let encodings = header(headers, "content-encoding").unwrap_or_default();
    let mut bytes = bytes;
    for encoding in encodings.rsplit(',').map(str::trim) {
        let read = match encoding.to_ascii_lowercase().as_str() {
            "" | "identity" => continue,
            // A recorder that decodes leaves the header as it was.
            "gzip" | "x-gzip" if !bytes.starts_with(&[0x1f, 0x8b]) => continue,
            "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(&bytes[..])),
            "deflate" => match inflate(ZlibDecoder::new(&bytes[..])) {
                Some(plain) => Some(plain),
                None => inflate(DeflateDecoder::new(&bytes[..])),
            }
            .or_else(|| std::str::from_utf8(&bytes).is_ok().then(|| bytes.clone())),
            _ if std::str::from_utf8(&bytes).is_ok() => continue,
            other => {
                return Body::Missing(format!(
                    "the body was kept in the encoding `{other}`, which is not decoded here"
                ));
            }
        };
        match read {
            Some(plain) => bytes = plain,
            None => {
                return Body::Missing(format!(
                    "the body was kept as `{encoding}`, and it is broken or too large"
                ));
            }
        }
    }
    Body::of(bytes)
}

/// The bytes that a decoder reads to its end; `None` if it is broken or they are too many.
pub(super) fn inflate(reader: impl Read) -> Option<Bytes> {
    let mut plain = Vec::new();
    reader
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut plain)
        .ok()?;
    (plain.len() as u64 <= MAX_BODY_BYTES).then(|| Bytes::from(plain))
}
