//! Secrets in base64: bytes of a file, a signature, what the service encrypted.
//!
//! A signature and an `encrypted_content` carry the id of the organization in their first bytes. That id
//! alone is replaced, by zeros of the same length, so that the rest stays what it was and one value is
//! still told from another. A key takes the whole text with it.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{REDACTED, Redactor};

/// Shortest text that is looked at as base64.
const SHORTEST: usize = 24;
/// Longest text that is decoded where it is.
const SHORT_BYTES: usize = 128;
/// Shortest id that is replaced within.
const SHORTEST_ID: usize = 24;

/// Zeros in base64: wherever they begin, a run of [`SHORTEST_ID`] has this.
const ZEROS: &str = "MDAwMDAwMDAwMDAwMDAwMDAwMDAw";
/// Characters after which the base64 of zeros repeats itself.
const GROUP: usize = 4;

/// The text without what is secret in it; `None` if it is no base64, or has nothing secret.
pub(super) fn redact(redactor: &Redactor, text: &str) -> Option<String> {
    if text.len() < SHORTEST
        || !text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"+/=_-\r\n".contains(&c))
    {
        return None;
    }
    // Most of what looks like base64 is short, and is none or has nothing in it.
    let mut short = [0; SHORT_BYTES];
    if text.len() <= SHORT_BYTES && !text.contains(['\r', '\n', '+', '/', '=']) {
        // Without these characters the alphabets do not differ.
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut short);
        let decoded = &short[..decoded.ok()?];
        if redactor.spans(decoded).is_empty() {
            return None;
        }
    }
    let mut bytes = decode(text)?;
    let spans = redactor.spans(&bytes);
    if spans.is_empty() {
        return None;
    }
    if !spans.iter().all(|(start, end)| is_id(&bytes[*start..*end])) {
        return Some(REDACTED.to_owned());
    }
    for (start, end) in spans {
        bytes[start..end].fill(b'0');
    }
    Some(encode_like(text, &bytes))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_whitespace().collect();
    STANDARD
        .decode(&compact)
        .or_else(|_| {
            let bare = compact.trim_end_matches('=');
            URL_SAFE_NO_PAD.decode(bare.replace('+', "-").replace('/', "_"))
        })
        .ok()
}

/// As many bytes as `text` says, with its alphabet, its line breaks, and its padding.
fn encode_like(text: &str, bytes: &[u8]) -> String {
    let encoded = if text.contains(['-', '_']) {
        URL_SAFE_NO_PAD.encode(bytes)
    } else {
        STANDARD_NO_PAD.encode(bytes)
    };
    let mut new = encoded.chars();
    text.chars()
        .map(|c| match c {
            '=' | '\r' | '\n' => c,
            _ => new.next().unwrap_or(c),
        })
        .collect()
}

/// Whether this is the id of an organization or a workspace: a UUID, or a prefix and what looks random.
fn is_id(bytes: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 2] = [b"org_", b"wrkspc_"];
    let is_uuid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let is_random = |rest: &[u8]| rest.iter().all(u8::is_ascii_alphanumeric);
    let is_prefixed = PREFIXES
        .iter()
        .any(|prefix| bytes.strip_prefix(*prefix).is_some_and(is_random));
    is_uuid || (is_prefixed && bytes.len() >= SHORTEST_ID)
}

/// Whether an id was replaced in this text.
pub(crate) fn has_zeros(text: &str) -> bool {
    text.contains(ZEROS)
}

/// Whether `sent` is the recorded text, but for the ids that were replaced in that.
pub(crate) fn fits(recorded: &str, sent: &str) -> bool {
    let (recorded, sent) = (recorded.as_bytes(), sent.as_bytes());
    if recorded.len() != sent.len() {
        return false;
    }
    let mut from = 0;
    for run in runs(recorded) {
        if recorded[from..run.start] != sent[from..run.start] {
            return false;
        }
        from = run.end;
    }
    recorded[from..] == sent[from..]
}

/// Where zeros stand in a text of base64, with the characters beside them that hold bits of theirs.
fn runs(text: &[u8]) -> Vec<Range<usize>> {
    let group = &ZEROS.as_bytes()[..GROUP];
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in memchr::memmem::find_iter(text, ZEROS.as_bytes()) {
        let least = found.last().map_or(0, |last| last.end);
        if at < least {
            continue;
        }
        let before = (least..at).rev().zip(group.iter().rev().cycle());
        let start = at - before.take_while(|(at, zero)| text[*at] == **zero).count();
        let after = (at..text.len()).zip(group.iter().cycle());
        let end = at + after.take_while(|(at, zero)| text[*at] == **zero).count();
        found.push(start.saturating_sub(1).max(least)..(end + 1).min(text.len()));
    }
    found
}
