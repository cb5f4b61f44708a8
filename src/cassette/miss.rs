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
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}[{at}]"), a, b, found);
            }
            if a.len() != b.len() {
                found.push(format!(
                    "{path}: recorded {} items, sent {}",
                    a.len(),
                    b.len()
                ));
            }
        }
        (a, b) if super::canon::fits(a, b) => {}
        (Value::String(a), Value::String(b)) => {
            let (a, b) = around(a, b);
            found.push(format!("{path}: recorded {a}, sent {b}"));
        }
        (a, b) => found.push(format!("{path}: recorded {}, sent {}", piece(a), piece(b))),
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
          body.messages: recorded 1 items, sent 2
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
