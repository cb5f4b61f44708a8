//! A request that no recording answers: what comes nearest, and in what it differs.

use serde_json::Value;

/// Differences that are told; the rest is counted.
const TOLD: usize = 8;
/// Longest piece of a value that is told, in characters.
const PIECE_CHARS: usize = 80;

/// Where two values differ: the path and both sides, in the order of the recorded one.
pub(crate) fn differences(recorded: &Value, sent: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk("", recorded, sent, &mut found);
    found
}

/// The differences as lines of a message.
pub(crate) fn told(differences: &[String]) -> String {
    let mut lines: Vec<String> = differences
        .iter()
        .take(TOLD)
        .map(|line| format!("  {line}"))
        .collect();
    if differences.len() > TOLD {
        lines.push(format!("  and {} more", differences.len() - TOLD));
    }
    lines.join("\n")
}

fn walk(path: &str, recorded: &Value, sent: &Value, found: &mut Vec<String>) {
    match (recorded, sent) {
        (a, b) if super::canon::values_fit(a, b) => {}
        (Value::Object(a), Value::Object(b)) => {
            let join = |key: &str| match path {
                "" => key.to_owned(),
                path => format!("{path}.{key}"),
            };
            for (key, a) in a {
                match b.get(key) {
                    Some(b) => walk(&join(key), a, b, found),
                    None => found.push(format!("{}: recorded {}, not sent", join(key), piece(a))),
                }
            }
            for (key, b) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                found.push(format!("{}: sent {}, not recorded", join(key), piece(b)));
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let (before, after) = shared_ends(a, b);
            let (only_a, only_b) = (&a[before..a.len() - after], &b[before..b.len() - after]);
            for (at, (a, b)) in (before..).zip(only_a.iter().zip(only_b)) {
                walk(&format!("{path}[{at}]"), a, b, found);
            }
            let paired = only_a.len().min(only_b.len());
            for (at, a) in (before + paired..).zip(&only_a[paired..]) {
                found.push(format!("{path}[{at}]: recorded {}, not sent", piece(a)));
            }
            for (at, b) in (before + paired..).zip(&only_b[paired..]) {
                found.push(format!("{path}[{at}]: sent {}, not recorded", piece(b)));
            }
        }
        (Value::String(a), Value::String(b)) => {
            let (a, b) = around(a, b);
            found.push(format!("{path}: recorded {a}, sent {b}"));
        }
        (a, b) => found.push(format!("{path}: recorded {}, sent {}", piece(a), piece(b))),
    }
}

/// How many items two lists share at their beginnings, and then at their ends.
fn shared_ends(a: &[Value], b: &[Value]) -> (usize, usize) {
    let fits = |(a, b): &(&Value, &Value)| super::canon::values_fit(a, b);
    let before = a.iter().zip(b).take_while(fits).count();
    let (a, b) = (&a[before..], &b[before..]);
    (
        before,
        a.iter().rev().zip(b.iter().rev()).take_while(fits).count(),
    )
}

/// How much of two values is the same, from 0 to 1: texts weigh by their length, so that a conversation comes
/// nearest to the one that shares most of what was said.
pub(crate) fn likeness(recorded: &Value, sent: &Value) -> f64 {
    let all = weight(recorded) + weight(sent);
    2.0 * shared(recorded, sent) / all
}

/// Characters above which a text weighs no more, and how many weigh as much as any other value.
const HEAVY_CHARS: usize = 2000;
const CHARS_OF_A_VALUE: f64 = 16.0;

fn weight(value: &Value) -> f64 {
    match value {
        Value::Object(map) => 1.0 + map.values().map(weight).sum::<f64>(),
        Value::Array(items) => 1.0 + items.iter().map(weight).sum::<f64>(),
        Value::String(text) => weight_of(text.len().min(HEAVY_CHARS)),
        _ => 1.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
fn weight_of(chars: usize) -> f64 {
    1.0 + chars as f64 / CHARS_OF_A_VALUE
}

/// The weight of what both have.
fn shared(a: &Value, b: &Value) -> f64 {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let both = a.iter().filter_map(|(key, a)| Some((a, b.get(key)?)));
            1.0 + both.map(|(a, b)| shared(a, b)).sum::<f64>()
        }
        (Value::Array(a), Value::Array(b)) => {
            let (before, after) = shared_ends(a, b);
            let ends = a[..before].iter().chain(&a[a.len() - after..]);
            let middle = a[before..a.len() - after]
                .iter()
                .zip(&b[before..b.len() - after]);
            1.0 + ends.map(weight).sum::<f64>() + middle.map(|(a, b)| shared(a, b)).sum::<f64>()
        }
        (a, b) if super::canon::values_fit(a, b) => weight(a).min(weight(b)),
        (Value::String(a), Value::String(b)) => {
            let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            // The value itself differs; what comes before the difference speaks for it.
            weight_of(same.min(HEAVY_CHARS)) - 1.0
        }
        _ => 0.0,
    }
}

fn piece(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(PIECE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Two texts from a little before where they part.
fn around(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let from = if same > PIECE_CHARS / 2 {
        same - PIECE_CHARS / 4
    } else {
        0
    };
    let cut = |text: &str| {
        let rest: String = text.chars().skip(from).collect();
        let dots = if from > 0 { "…" } else { "" };
        format!("{dots}{}", piece(&Value::String(rest)))
    };
    (cut(a), cut(b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_the_path_and_both_sides() {
        let recorded = json!({"body": {"model": "a", "messages": [{"content": [{"text": "hello"}]}], "only": 1}});
        let sent = json!({"body": {"model": "b", "messages": [{"content": [{"text": "hullo"}]}, {}], "mine": 2}});
        insta::assert_snapshot!(told(&differences(&recorded, &sent)), @r#"
          body.model: recorded "a", sent "b"
          body.messages[0].content[0].text: recorded "hello", sent "hullo"
          body.messages[1]: sent {}, not recorded
          body.only: recorded 1, not sent
          body.mine: sent 2, not recorded
        "#);
    }

    #[test]
    fn a_long_text_is_told_from_where_it_parts() {
        let long = "x".repeat(500);
        let told = differences(&json!(format!("{long}a")), &json!(format!("{long}b")));
        assert!(told[0].len() < 100, "{}", told[0]);
        assert!(
            told[0].contains("xa\"") && told[0].contains("xb\""),
            "{}",
            told[0]
        );
    }
}
