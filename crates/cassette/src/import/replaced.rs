//! Replaced secrets of an exchange: where they were, and whether wholly or in part.

use serde_json::Value;

use super::notes::Notes;
use crate::redact::REDACTED;
use crate::{Body, Exchange, frames};

/// Notes what of the exchange `at` is not what it was before.
pub(super) fn note(notes: &mut Notes, at: usize, before: &Exchange, after: &Exchange) {
    if let (Some(before), Some(after)) = (&before.request, &after.request) {
        let mut found = Vec::new();
        text("path", &before.path, &after.path, &mut found);
        let query = |query: &Option<String>| query.clone().unwrap_or_default();
        text(
            "query",
            &query(&before.query),
            &query(&after.query),
            &mut found,
        );
        headers(&before.headers, &after.headers, &mut found);
        body(&before.body, &after.body, &mut found);
        tell(notes, at, "request", found);
    }
    let (before, after) = (&before.response, &after.response);
    let mut found = Vec::new();
    headers(&before.headers, &after.headers, &mut found);
    body(&before.body, &after.body, &mut found);
    tell(notes, at, "answer", found);
}

/// A place where something else stands now.
struct Place {
    path: String,
    /// A secret was there, not an id within a longer value.
    is_secret: bool,
}

/// One line for places that differ in the numbers of their items alone.
fn tell(notes: &mut Notes, at: usize, side: &str, found: Vec<Place>) {
    let mut kinds: Vec<(bool, String, Vec<Place>)> = Vec::new();
    for place in found {
        let (is_secret, path) = (place.is_secret, without_numbers(&place.path));
        match kinds
            .iter_mut()
            .find(|kind| kind.0 == is_secret && kind.1 == path)
        {
            Some((_, _, places)) => places.push(place),
            None => kinds.push((is_secret, path, vec![place])),
        }
    }
    for (is_secret, path, places) in kinds {
        let what = if is_secret {
            "a secret, by `[redacted]`,"
        } else {
            "an id of the organization, by zeros,"
        };
        let place = match places.as_slice() {
            [one] => format!("`{}`", one.path),
            many => format!("`{path}` ({} times)", many.len()),
        };
        notes.of(at, format!("{what} in the {side}'s {place}"));
    }
}

/// `a[1].b` as `a[*].b`.
fn without_numbers(path: &str) -> String {
    let mut parts = path.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((number, rest)) if number.bytes().all(|c| c.is_ascii_digit()) => {
                text.push_str("[*]");
                text.push_str(rest);
            }
            _ => {
                text.push('[');
                text.push_str(part);
            }
        }
    }
    text
}

fn text(path: &str, before: &str, after: &str, found: &mut Vec<Place>) {
    if before != after {
        found.push(Place {
            path: path.to_owned(),
            is_secret: after.matches(REDACTED).count() > before.matches(REDACTED).count(),
        });
    }
}

/// Those that are still there; which are never kept is documented, and a boundary is no secret.
fn headers(before: &[(String, String)], after: &[(String, String)], found: &mut Vec<Place>) {
    let mut rest = before.iter();
    for (name, value) in after {
        let was = rest.find(|(known, _)| known == name);
        let was = was.map_or("", |(_, value)| value.as_str());
        if value != "multipart/form-data" {
            text(&format!("header {name}"), was, value, found);
        }
    }
}

fn body(before: &Body, after: &Body, found: &mut Vec<Place>) {
    if before == after {
        return;
    }
    if let (Body::Form(before), Body::Form(after)) = (before, after) {
        let changed = before.iter().zip(after).filter(|(a, b)| a != b);
        found.extend(changed.map(|(_, part)| Place {
            path: format!("form.{}", part.name),
            is_secret: true,
        }));
        return;
    }
    if let (Some(before), Some(after)) = (before.json(), after.json()) {
        values("", &before, &after, found);
        return;
    }
    match (before, after) {
        (Body::Text(before), Body::Text(after)) => stream(before, after, found),
        _ => text("body", "", REDACTED, found),
    }
}

/// Event by event, numbered from 1; a text that is no stream is one.
fn stream(before: &str, after: &str, found: &mut Vec<Place>) {
    for (number, (before, after)) in (1..).zip(frames::split(before).zip(frames::split(after))) {
        if before == after {
            continue;
        }
        let path = format!("event[{number}]");
        match (frames::data(before), frames::data(after)) {
            (Some(before), Some(after)) if before != after => {
                values(&path, &before, &after, found);
            }
            _ => text("body", before, after, found),
        }
    }
}

fn values(path: &str, before: &Value, after: &Value, found: &mut Vec<Place>) {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for ((was, before), (key, after)) in before.iter().zip(after) {
                text(&join(key), was, key, found);
                values(&join(key), before, after, found);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (at, (before, after)) in before.iter().zip(after).enumerate() {
                values(&format!("{path}[{at}]"), before, after, found);
            }
        }
        (Value::String(before), Value::String(after)) => text(path, before, after, found),
        _ => {}
    }
}
