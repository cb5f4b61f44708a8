//! Parts of a recorded `multipart/form-data` body.

use bytes::Bytes;
use memchr::memmem;

use crate::{Body, Part};

/// The parts of a body of type `kind`; any other body as it is.
pub(super) fn of(kind: &str, body: Body) -> Body {
    if !kind
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/form-data")
    {
        return body;
    }
    let bytes = match &body {
        Body::Text(text) => Bytes::from(text.clone()),
        Body::Bytes(bytes) => bytes.clone(),
        Body::Json(value) => Bytes::from(value.to_string()),
        Body::Empty | Body::Blob(_) | Body::Form(_) | Body::Missing(_) => return body,
    };
    let parts = boundary(kind).and_then(|boundary| split(&bytes, &boundary));
    match parts {
        Some(parts) => Body::Form(parts),
        None => Body::Missing(missing(&bytes)),
    }
}

/// Why there are no parts; a recorder's own remark is passed on.
fn missing(bytes: &[u8]) -> String {
    let mut why = "the form was not kept, its files neither".to_owned();
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.len() <= 300
        && !text.chars().any(char::is_control)
    {
        why.push_str("; in its place: ");
        why.push_str(text);
    }
    why
}

fn boundary(kind: &str) -> Option<String> {
    let value = parameter(kind, "boundary")?;
    (!value.is_empty()).then_some(value)
}

/// A parameter of a header's value, quoted or not.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            let (value, next) = quoted.split_once('"')?;
            (value, next.split_once(';').map(|(_, next)| next))
        } else {
            match after.split_once(';') {
                Some((value, next)) => (value.trim(), Some(next)),
                None => (after.trim(), None),
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.to_owned());
        }
        rest = next?;
    }
}

fn split(bytes: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let marker = format!("--{boundary}");
    let mut at = memmem::find(bytes, marker.as_bytes())? + marker.len();
    let mut parts = Vec::new();
    loop {
        let rest = bytes.get(at..)?;
        if rest.starts_with(b"--") {
            return (!parts.is_empty()).then_some(parts);
        }
        // Recorders of text turn the line breaks into their own.
        let (head, blank) = [&b"\r\n\r\n"[..], b"\n\n"]
            .iter()
            .filter_map(|blank| Some((memmem::find(rest, blank)?, blank.len())))
            .min()?;
        let start = at + head + blank;
        let line = if blank == 4 { "\r\n" } else { "\n" };
        let end_marker = format!("{line}{marker}");
        let length = memmem::find(bytes.get(start..)?, end_marker.as_bytes())?;
        let head = std::str::from_utf8(&rest[..head]).ok()?;
        parts.push(part(head, bytes.slice(start..start + length))?);
        at = start + length + end_marker.len();
    }
}

fn part(head: &str, content: Bytes) -> Option<Part> {
    let value = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim())
        })
    };
    let disposition = value("content-disposition")?;
    // A decoder that knew no better put this character in the place of others.
    let damaged = memmem::find(&content, "\u{fffd}".as_bytes()).is_some();
    Some(Part {
        name: parameter(disposition, "name")?,
        filename: parameter(disposition, "filename"),
        content_type: value("content-type").map(str::to_owned),
        body: if damaged {
            Body::Missing(
                "the recorder kept it as text, and lost the bytes that are none".to_owned(),
            )
        } else {
            match std::str::from_utf8(&content) {
                _ if content.is_empty() => Body::Empty,
                Ok(text) => Body::Text(text.to_owned()),
                Err(_) => Body::Bytes(content),
            }
        },
    })
}
