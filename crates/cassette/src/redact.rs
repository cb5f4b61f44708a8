//! Keeping secrets out of recordings: before anything reaches the disk, and again when a request is
//! compared with what was recorded.
//!
//! A secret is a known one (the key a request carries, an organization's id, what the user names), or
//! what looks like an API key. It is looked for in texts as they are, in strings of JSON behind their
//! escapes, in JSON within these, behind percent-encoding and base64, in UTF-16, and across the deltas of a stream.
//! Of what the service signs or encrypts, only the account's id within is replaced.

mod base64;
mod escaped;
mod glance;
mod stream;
mod told;
mod wide;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use memchr::memmem::Finder;
use regex::bytes::Regex;
use serde_json::{Map, Value};

/// The text that stands in a recording in place of a secret.
pub const REDACTED: &str = "[redacted]";

pub(super) use base64::{fits as zeros_fit, has_zeros};

use super::{Body, Exchange, Part, Request, Response, frames};
use common::hinted::Hinted;
use escaped::Plain;
pub(crate) use told::{of_url as passwords_of_url, told};
pub(crate) use wide::with_narrow_marks;

/// Patterns of an API key of the service, and of a bearer token in a text.
const PATTERNS: [&str; 2] = [
    r"(?i)sk-ant-[A-Za-z0-9_-]{6,}",
    r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}=*",
];

/// They themselves, made when a text first has the sign of one.
static OURS: LazyLock<[Regex; 2]> =
    LazyLock::new(|| PATTERNS.map(|pattern| Regex::new(pattern).expect("the pattern is one")));
/// No match of theirs is shorter.
const SHORTEST_MATCH: usize = 13;

/// Headers of an answer whose values are kept by nobody.
const SECRET_HEADERS: [&str; 5] = [
    "anthropic-organization-id",
    "anthropic-workspace-id",
    "proxy-authenticate",
    "set-cookie",
    "www-authenticate",
];

/// Headers of a request that are kept: what tells one request from another.
const REQUEST_HEADERS: [&str; 5] = [
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "idempotency-key",
];

/// Shortest known secret: what is shorter would be found everywhere.
const SHORTEST: usize = 6;
/// Whether a text can be kept out as a known secret.
pub fn is_long_enough(secret: &str) -> bool {
    secret.len() >= SHORTEST
}

/// How often a text may be percent-encoded, or escaped as a string of JSON, over and over.
const LAYERS: usize = 4;

/// The secrets that must not be kept, and how they are found.
#[derive(Debug, Clone)]
pub struct Redactor {
    /// Those of the user. Shared: a regular expression that is cloned has caches of its own, tens of kilobytes for each
    /// request.
    patterns: Arc<Vec<Regex>>,
    /// Nothing shorter is a secret.
    shortest: usize,
    /// Longest first. Shared by all requests of a key.
    known: Arc<[Known]>,
}

/// A secret text, made ready to be looked for.
#[derive(Debug, Clone)]
struct Known {
    text: String,
    finder: Finder<'static>,
}

/// What takes the place of a part of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edit {
    /// From where to where.
    range: (usize, usize),
    put: Cow<'static, str>,
}

impl Edit {
    /// Whether it is [`REDACTED`] that is put there, and not a digit of an id.
    fn is_mark(&self) -> bool {
        self.put.len() >= REDACTED.len()
    }

    /// Behind escapes zeros could not stand as they are.
    fn behind_escapes(self) -> Self {
        if !self.put.contains('\0') {
            return self;
        }
        Self {
            put: REDACTED.into(),
            ..self
        }
    }
}

/// A pattern that is no regular expression.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {source}")]
pub struct PatternError {
    pub pattern: String,
    pub source: regex::Error,
}

impl Hinted for PatternError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(r"`\` before a special character takes it as it is".into())
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self {
            patterns: Arc::default(),
            shortest: SHORTEST_MATCH,
            known: Arc::default(),
        }
    }
}

impl Redactor {
    /// Also keeps out what these regular expressions match.
    pub fn with_patterns<'a>(
        mut self,
        patterns: impl IntoIterator<Item = &'a String>,
    ) -> Result<Self, PatternError> {
        for pattern in patterns {
            let wrong = |error: regex::Error| PatternError {
                pattern: pattern.clone(),
                source: error,
            };
            // Of texts: it may not ask for bytes that are none.
            regex::Regex::new(pattern).map_err(wrong)?;
            let pattern = Regex::new(pattern).map_err(wrong)?;
            Arc::make_mut(&mut self.patterns).push(pattern);
            self.shortest = 0;
        }
        Ok(self)
    }

    /// Also keeps out these very texts.
    #[must_use]
    pub fn with_known<'a>(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = self.known.to_vec();
        for secret in secrets.into_iter().filter(|secret| is_long_enough(secret)) {
            if !all.iter().any(|known| known.text == secret) {
                self.shortest = self.shortest.min(secret.len());
                all.push(Known {
                    text: secret.to_owned(),
                    finder: Finder::new(secret).into_owned(),
                });
            }
        }
        all.sort_by_key(|known| std::cmp::Reverse(known.text.len()));
        self.known = all.into();
        self
    }

    /// Also keeps out what these headers of a request tell (by names in lower case): keys, passwords, and cookies.
    #[must_use]
    pub fn with_told_by_headers<'a>(
        self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        self.with_owned(&told(headers))
    }

    /// Also keeps out what this body of a request tells: tokens of connectors, and passwords in their URLs.
    #[must_use]
    pub fn with_told_by(self, body: &[u8]) -> Self {
        self.with_owned(&told::told_by(body))
    }

    fn with_owned(self, secrets: &[String]) -> Self {
        if secrets.is_empty() {
            return self;
        }
        self.with_known(secrets.iter().map(String::as_str))
    }

    /// Those of a request's body; of one that is a form or no text there are none.
    fn learning_from(&self, body: &Body) -> std::io::Result<Self> {
        Ok(self.clone().with_owned(&told_by_body(body)?))
    }

    /// Whether these texts, as far as they are long enough, are those that it keeps out, and all of them.
    pub fn knows_just<'a, S: Iterator<Item = &'a str>>(&self, secrets: impl Fn() -> S) -> bool {
        let long = || secrets().filter(|secret| is_long_enough(secret));
        long().all(|secret| self.known.iter().any(|known| known.text == secret))
            && self
                .known
                .iter()
                .all(|known| long().any(|secret| known.text == secret))
    }

    /// An exchange without secrets.
    pub fn exchange(&self, mut exchange: Exchange) -> std::io::Result<Exchange> {
        let mut redactor = Cow::Borrowed(self);
        if let Some(request) = exchange.request {
            redactor = Cow::Owned(self.learning_from(&request.body)?);
            exchange.request = Some(redactor.asked(request)?);
        }
        exchange.response = redactor.response(exchange.response)?;
        if let Some(timing) = &mut exchange.timing {
            timing.headers = redactor.headers(std::mem::take(&mut timing.headers), |name| {
                !SECRET_HEADERS.contains(&name)
            });
        }
        Ok(exchange)
    }

    /// A request without secrets.
    pub fn request(&self, request: Request) -> std::io::Result<Request> {
        self.learning_from(&request.body)?.asked(request)
    }

    /// A request without the secrets that are known.
    fn asked(&self, request: Request) -> std::io::Result<Request> {
        Ok(Request {
            path: self.encoded(&request.path),
            query: request.query.map(|query| self.encoded(&query)),
            headers: self.headers(request.headers, |name| REQUEST_HEADERS.contains(&name)),
            body: self.body(request.body)?,
            ..request
        })
    }

    fn response(&self, response: Response) -> std::io::Result<Response> {
        let stream = response.is_stream();
        let end = match response.end {
            super::End::UpstreamBroke(why) => {
                super::End::UpstreamBroke(self.text(&why).into_owned())
            }
            end @ (super::End::Complete | super::End::ClientLeft) => end,
        };
        let body = if let (Body::Text(text), true) = (&response.body, stream) {
            Body::Text(stream::redact(self, text).into_owned())
        } else {
            self.body(response.body)?
        };
        Ok(Response {
            headers: self.headers(response.headers, |name| !SECRET_HEADERS.contains(&name)),
            body,
            end,
            ..response
        })
    }

    fn headers(
        &self,
        headers: Vec<(String, String)>,
        keep: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        headers
            .into_iter()
            .filter(|(name, _)| keep(name) && !names_secret(name))
            .map(|(name, value)| {
                // The boundary is another one each time.
                let value = match value.split_once(';') {
                    Some((kind, _)) if kind == "multipart/form-data" => kind,
                    _ => &value,
                };
                (name, self.inside(value).into_owned())
            })
            .collect()
    }

    fn body(&self, body: Body) -> std::io::Result<Body> {
        Ok(match body {
            Body::Json(value) => Body::Json(self.json(value)),
            Body::Text(text) => match self.inside(&text) {
                Cow::Borrowed(_) => Body::Text(text),
                Cow::Owned(clean) if clean.starts_with(['{', '[']) => Body::of(Bytes::from(clean)),
                Cow::Owned(clean) => Body::Text(clean),
            },
            Body::Bytes(bytes) => Body::Bytes(self.bytes(bytes)),
            Body::Form(parts) => Body::Form(
                parts
                    .into_iter()
                    .map(|part| self.part(part))
                    .collect::<std::io::Result<_>>()?,
            ),
            Body::Blob(blob) => {
                let bytes = Bytes::from(std::fs::read(blob.path())?);
                let clean = self.content(bytes.clone());
                if clean == bytes {
                    Body::Blob(blob)
                } else {
                    Body::Bytes(clean)
                }
            }
            Body::Empty => Body::Empty,
            Body::Missing(why) => Body::Missing(why),
        })
    }

    fn part(&self, part: Part) -> std::io::Result<Part> {
        let Part {
            name,
            filename,
            content_type,
            body,
        } = part;
        Ok(Part {
            name: self.encoded(&name),
            filename: filename.as_deref().map(|name| self.encoded(name)),
            content_type,
            body: self.body(body)?,
        })
    }

    /// A text that may be JSON; what has no secret stays byte for byte.
    pub fn inside<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // Nearly always nothing is found, and nothing but a look was needed.
        if self.is_clear(text.as_bytes()) {
            return Cow::Borrowed(text);
        }
        self.closely(text)
    }

    /// What [`Self::inside`] does with a text in which something may be.
    fn closely<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match glance::has_secrets(self, text) {
            Some(false) => return Cow::Borrowed(text),
            Some(true) => {}
            None => return self.lines(text).unwrap_or_else(|| self.deep_text(text)),
        }
        match serde_json::from_str::<Value>(text) {
            Ok(value) if value.is_object() || value.is_array() => {
                let clean = self.json(value.clone());
                if clean == value {
                    Cow::Borrowed(text)
                } else {
                    Cow::Owned(clean.to_string())
                }
            }
            _ => self.deep_text(text),
        }
    }

    /// Whether a text surely has no secret, be it JSON or not: nothing is escaped, so that its strings stand there as they
    /// are, and nothing is found in all of it. Patterns of users may depend on where a string begins.
    fn is_clear(&self, text: &[u8]) -> bool {
        self.patterns.is_empty()
            && memchr::memchr2(b'\\', b'%', text).is_none()
            && self.look(text, 0).is_empty()
    }

    /// Lines of JSON; `None` if it is anything else.
    fn lines<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        let mut found = false;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            found |= glance::has_secrets(self, line)?;
        }
        if !found {
            return Some(Cow::Borrowed(text));
        }
        let mut clean = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end();
            clean.push_str(&self.inside(bare));
            clean.push_str(&line[bare.len()..]);
        }
        Some(Cow::Owned(clean))
    }

    /// A whole body, a stream's as well; what has no secret stays byte for byte.
    pub fn content(&self, bytes: Bytes) -> Bytes {
        let told = told::told_by(&bytes);
        if told.is_empty() {
            return self.without_known(bytes);
        }
        self.clone().with_owned(&told).without_known(bytes)
    }

    fn without_known(&self, bytes: Bytes) -> Bytes {
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return self.bytes(bytes);
        };
        let clean = if frames::is_stream(text) {
            stream::redact(self, text)
        } else {
            self.inside(text)
        };
        match clean {
            Cow::Owned(clean) if clean.as_bytes() != bytes => Bytes::from(clean),
            Cow::Owned(_) | Cow::Borrowed(_) => bytes,
        }
    }

    /// Every string of a value, and every key.
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.deep_text(&text).into_owned()),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.json(item)).collect())
            }
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(key, value)| (self.deep_text(&key).into_owned(), self.json(value)))
                    .collect::<Map<_, _>>(),
            ),
            other => other,
        }
    }

    /// A text, and what it says in base64, as a URL, or as JSON.
    fn deep_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        replaced(text, &self.edits(text))
    }

    /// What is to take the place of the secrets of a text, in order and apart from one another.
    fn edits(&self, text: &str) -> Vec<Edit> {
        self.edits_behind(text, LAYERS)
    }

    /// The same of secrets behind so many layers of escapes.
    fn edits_behind(&self, text: &str, layers: usize) -> Vec<Edit> {
        merged(self.look(text.as_bytes(), layers))
    }

    /// Finds secrets in a text as it is, in base64, in UTF-16, and behind so many layers of escapes.
    fn look(&self, text: &[u8], layers: usize) -> Vec<Edit> {
        if text.len() < self.shortest {
            return Vec::new();
        }
        let mut found = self.plain(text);
        base64::find(self, text, &mut found);
        wide::find(self, text, &mut found);
        let Some(below) = layers.checked_sub(1) else {
            return found;
        };
        for undo in [Plain::of_json, Plain::of_percent] {
            let Some(plain) = undo(text) else { continue };
            let within = self.look(&plain.bytes, below).into_iter();
            found.extend(within.map(|edit| Edit {
                range: plain.range(edit.range),
                ..edit.behind_escapes()
            }));
        }
        found
    }

    /// Finds secrets that stand there as they are.
    fn plain(&self, bytes: &[u8]) -> Vec<Edit> {
        let spans = self.spans(bytes).into_iter();
        let edits = spans.map(|range| Edit {
            range,
            put: REDACTED.into(),
        });
        edits.collect()
    }

    /// A path, a query, or a name in which bytes may be written as `%XX`, also more than once.
    pub fn encoded(&self, text: &str) -> String {
        let mut clean = self.segments(text).unwrap_or_else(|| text.to_owned());
        if !clean.contains('%') {
            return clean;
        }
        let mut decoded = clean.clone();
        for _ in 0..LAYERS {
            let next = percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy();
            if next == decoded {
                break;
            }
            decoded = next.into_owned();
            if let Some(redacted) = self.segments(&decoded) {
                decoded = redacted;
                clean.clone_from(&decoded);
            }
        }
        clean
    }

    /// A path without what is secret in it, if anything is. `/` is a digit of base64, too, so that one segment would take the
    /// whole path with it.
    fn segments(&self, path: &str) -> Option<String> {
        let Cow::Owned(whole) = self.text(path) else {
            return None;
        };
        let apart = path.split('/').map(|segment| self.text(segment));
        let apart = apart.collect::<Vec<_>>().join("/");
        let is_clean = matches!(self.text(&apart), Cow::Borrowed(_));
        Some(if is_clean { apart } else { whole })
    }

    /// A text without what is secret, as it is or in base64.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        replaced(text, &self.edits_behind(text, 0))
    }

    /// Where secrets are, in order and apart from one another. In a text they begin and end between
    /// characters, because patterns and known secrets are texts.
    pub(super) fn spans(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        if bytes.len() < self.shortest {
            return found;
        }
        for Known { text, finder } in self.known.iter() {
            let places = finder.find_iter(bytes);
            found.extend(places.map(|at| (at, at + text.len())));
        }
        let ours = has_sign(bytes).then(|| &*OURS);
        for pattern in ours.into_iter().flatten().chain(self.patterns.iter()) {
            let matches = pattern.find_iter(bytes).filter(|it| !it.is_empty());
            found.extend(matches.map(|it| (it.start(), it.end())));
        }
        if found.is_empty() {
            return found;
        }
        found.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (start, end) in found {
            match merged.last_mut() {
                Some(last) if start < last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        merged
    }

    /// Bytes without what is secret; what lies around it may be no text at all.
    fn bytes(&self, bytes: Bytes) -> Bytes {
        let mut found = self.plain(&bytes);
        wide::find(self, &bytes, &mut found);
        wide::find_known(self, &bytes, &mut found);
        if found.is_empty() {
            return bytes;
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for Edit { range, put } in merged(found) {
            clean.extend_from_slice(&bytes[from..range.0]);
            clean.extend_from_slice(put.as_bytes());
            from = range.1;
        }
        clean.extend_from_slice(&bytes[from..]);
        Bytes::from(clean)
    }
}

/// In order and apart from one another.
fn merged(mut found: Vec<Edit>) -> Vec<Edit> {
    if found.is_empty() {
        return found;
    }
    found.sort_unstable();
    let mut merged: Vec<Edit> = Vec::with_capacity(found.len());
    for edit in found {
        match merged.last_mut() {
            Some(last) if edit.range.0 < last.range.1 => {
                if last.is_mark() || edit.is_mark() {
                    last.range.1 = last.range.1.max(edit.range.1);
                }
                if !last.is_mark() && edit.is_mark() {
                    last.put = edit.put;
                }
            }
            _ => merged.push(edit),
        }
    }
    merged
}

/// What the body of a request tells that nobody may keep.
pub(crate) fn told_by_body(body: &Body) -> std::io::Result<Vec<String>> {
    Ok(match body {
        Body::Json(value) => told::told_by_json(value),
        Body::Text(text) => told::told_by(text.as_bytes()),
        Body::Blob(blob) => told::told_by(&std::fs::read(blob.path())?),
        Body::Empty | Body::Bytes(_) | Body::Form(_) | Body::Missing(_) => Vec::new(),
    })
}

/// Whether the name of a header tells of a secret. Limits of rates count tokens, and have none.
fn names_secret(name: &str) -> bool {
    (name.contains("token") || name.contains("secret")) && !name.starts_with("anthropic-ratelimit-")
}

/// A text, edited, if anything is to be.
fn replaced<'a>(text: &'a str, edits: &[Edit]) -> Cow<'a, str> {
    if edits.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(edited(text, (0, text.len()), edits))
}

/// A part of a text, edited. What is put in the place of something stands in the part where that began.
fn edited(text: &str, (from, to): (usize, usize), edits: &[Edit]) -> String {
    let mut clean = String::with_capacity(to - from);
    let mut read = from;
    let first = edits.partition_point(|edit| edit.range.1 <= from);
    for Edit { range, put } in edits[first..].iter().take_while(|edit| edit.range.0 < to) {
        let (start, end) = *range;
        clean.push_str(&text[read..start.max(read)]);
        if start >= from {
            clean.push_str(put);
        }
        read = to.min(end);
    }
    clean.push_str(&text[read..to]);
    clean
}

/// Whether one of [`PATTERNS`] may match: whether a text has the letters that each match of theirs has.
fn has_sign(bytes: &[u8]) -> bool {
    let follows = |at: usize, rest: &[u8]| {
        bytes
            .get(at + 1..at + 1 + rest.len())
            .is_some_and(|next| next.eq_ignore_ascii_case(rest))
    };
    memchr::memchr_iter(b'-', bytes).any(|at| follows(at, b"ant"))
        || memchr::memchr2_iter(b'b', b'B', bytes).any(|at| follows(at, b"ear"))
}

#[cfg(test)]
mod tests;
