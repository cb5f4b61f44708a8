//! Comparing two answers: the same keys in the same order, the same nulls, the same texts, and ids,
//! times, and counts of the same form.

use serde_json::Value;

use crate::harness::sse::Event;

/// Differences between two bodies. `sorted`: the first one's keys have lost their order.
pub(crate) fn of_messages(theirs: &Value, ours: &Value, sorted: bool) -> Vec<String> {
    let mut found = Differences {
        sorted,
        ..Differences::default()
    };
    found.compare("", theirs, ours);
    found.list
}

/// Differences between two streams, with the pieces of each block joined.
pub(crate) fn of_streams(theirs: &[Event], ours: &[Event]) -> Vec<String> {
    let (theirs, ours) = (joined(theirs), joined(ours));
    let names = |events: &[Event]| {
        events
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    if names(&theirs) != names(&ours) {
        return vec![format!(
            "events: {:?} and {:?}",
            names(&theirs),
            names(&ours)
        )];
    }
    let mut found = Differences::default();
    for ((_, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        found.compare("", theirs, ours);
    }
    // One table for both forms: the paths are those of the message.
    let bare = |text: &String| {
        let text = text.replace("content_block.", "content[].");
        text.trim_start_matches("message.")
            .trim_start_matches("delta.")
            .to_owned()
    };
    found.list.iter().map(bare).collect()
}

/// A stream without its pings, each block's deltas of one kind joined into one.
fn joined(events: &[Event]) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for (name, event) in events {
        if name == "ping" {
            continue;
        }
        let text_of = |delta: &Value| {
            ["text", "thinking", "partial_json", "signature"]
                .into_iter()
                .find(|key| delta.get(*key).is_some())
        };
        let same = joined.last_mut().filter(|(last, earlier)| {
            last == name
                && name == "content_block_delta"
                && earlier["delta"]["type"] == event["delta"]["type"]
        });
        if let (Some((_, earlier)), Some(key)) = (same, text_of(&event["delta"])) {
            let all = earlier["delta"][key].as_str().unwrap().to_owned()
                + event["delta"][key].as_str().unwrap();
            earlier["delta"][key] = Value::String(all);
        } else {
            if event["delta"]["type"] == "input_json_delta" {
                assert_eq!(
                    event["delta"]["partial_json"], "",
                    "the first fragment is empty"
                );
            }
            joined.push((name.clone(), event.clone()));
        }
    }
    joined
}

#[derive(Debug, Default)]
struct Differences {
    sorted: bool,
    list: Vec<String>,
}

impl Differences {
    fn compare(&mut self, path: &str, theirs: &Value, ours: &Value) {
        match (theirs, ours) {
            (Value::Object(a), Value::Object(b)) => {
                let at = |key: &str| {
                    if path.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{path}.{key}")
                    }
                };
                for key in a.keys().filter(|key| !b.contains_key(*key)) {
                    self.list.push(format!("{}: theirs alone", at(key)));
                }
                for key in b.keys().filter(|key| !a.contains_key(*key)) {
                    self.list.push(format!("{}: ours alone", at(key)));
                }
                let common_a: Vec<_> = a.keys().filter(|key| b.contains_key(*key)).collect();
                let common_b: Vec<_> = b.keys().filter(|key| a.contains_key(*key)).collect();
                if common_a != common_b && !self.sorted {
                    self.list.push(format!(
                        "{path}: order of keys: {common_a:?} and {common_b:?}"
                    ));
                }
                for key in common_a {
                    self.compare(&at(key), &a[key], &b[key]);
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                if a.len() != b.len() {
                    self.list
                        .push(format!("{path}: {} and {} items", a.len(), b.len()));
                }
                for (theirs, ours) in a.iter().zip(b) {
                    self.compare(&format!("{path}[]"), theirs, ours);
                }
            }
            _ => self.compare_leaves(path, theirs, ours),
        }
    }

    fn compare_leaves(&mut self, path: &str, theirs: &Value, ours: &Value) {
        let key = path.rsplit('.').next().unwrap_or_default();
        let same = match (theirs, ours) {
            (Value::Number(_), Value::Number(_))
                if key.contains("token") || key.ends_with("_requests") =>
            {
                true
            }
            (Value::String(a), Value::String(b)) => match key {
                "id" | "tool_id" | "tool_use_id" | "file_id" | "request_id" | "skill_id" => {
                    a == b || same_form(a, b)
                }
                key if key.ends_with("_at") => {
                    a == b || (is_time(a) && is_time(b) && same_zone(a, b))
                }
                // A number of microseconds as text.
                "latest_version" | "version" if a.len() == 16 => {
                    b.len() == 16 && b.bytes().all(|byte| byte.is_ascii_digit())
                }
                "signature" => a.is_empty() == b.is_empty(),
                "partial_json" => {
                    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
                    parse(a) == parse(b)
                }
                _ => a == b,
            },
            (a, b) => a == b,
        };
        if !same {
            self.list.push(format!("{path}: {theirs} and {ours}"));
        }
    }
}

/// The same prefix, and ours is `01` and 22 digits of base 58. Some recordings carry made-up ids.
fn same_form(theirs: &str, ours: &str) -> bool {
    let (Some((prefix, _)), Some((own, rest))) = (theirs.rsplit_once('_'), ours.rsplit_once('_'))
    else {
        return false;
    };
    let digits = |c: char| c.is_ascii_alphanumeric() && !"0OIl".contains(c);
    prefix == own && rest.len() == 24 && rest.starts_with("01") && rest[2..].chars().all(digits)
}

/// RFC 3339 with microseconds.
fn is_time(text: &str) -> bool {
    let bare = text.trim_end_matches('Z').trim_end_matches("+00:00");
    bare.len() == "2030-01-02T03:04:05.000000".len()
        && chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

fn same_zone(theirs: &str, ours: &str) -> bool {
    theirs.ends_with('Z') == ours.ends_with('Z')
}
