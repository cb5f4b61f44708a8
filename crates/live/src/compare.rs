//! Comparing the recorded result of a call with the live one.

use serde_json::Value;

use super::text::{self, When};
use super::{Difference, Options};

/// Everything but the files.
pub(super) fn results(
    recorded: &Value,
    live: &Value,
    when: When,
    options: &Options,
) -> Vec<Difference> {
    let kind = |content: &Value| content["type"].as_str().unwrap_or_default().to_owned();
    let (their_kind, our_kind) = (kind(recorded), kind(live));
    if their_kind != our_kind {
        return vec![Difference {
            what: "result".to_owned(),
            recorded: brief(recorded),
            live: brief(live),
        }];
    }
    // Whether the last newline is kept changed with the tool's version and the year.
    let bare_end = their_kind == "code_execution_result";
    let mut found = Vec::new();
    let (Some(theirs), Some(ours)) = (recorded.as_object(), live.as_object()) else {
        return found;
    };
    for (key, their_value) in theirs {
        // What is not there on both sides is a matter of the service's version.
        let Some(our_value) = ours.get(key) else {
            continue;
        };
        match (key.as_str(), their_value, our_value) {
            ("type", _, _) | ("content", Value::Array(_), Value::Array(_)) => {}
            (key, Value::String(a), Value::String(b)) => {
                let (a, b) = if bare_end {
                    (bare(a), bare(b))
                } else {
                    (a.as_str(), b.as_str())
                };
                found.extend(text::compare(key, a, b, when, options));
            }
            (key, Value::Array(a), Value::Array(b)) => {
                let (a, b) = (lines(a), lines(b));
                found.extend(text::compare(key, &a, &b, when, options));
            }
            (key, a, b) if a != b => found.push(Difference {
                what: key.to_owned(),
                recorded: a.to_string(),
                live: b.to_string(),
            }),
            _ => {}
        }
    }
    found
}

fn bare(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

fn lines(items: &[Value]) -> String {
    let lines: Vec<String> = items
        .iter()
        .map(|item| {
            item.as_str()
                .map_or_else(|| item.to_string(), str::to_owned)
        })
        .collect();
    lines.join("\n")
}

/// A result in a few words.
fn brief(content: &Value) -> String {
    let text = |key: &str| content[key].as_str().unwrap_or_default();
    let detail = if content["error_code"].is_string() {
        format!("{} {}", text("error_code"), text("error_message"))
    } else if content["stderr"].is_string() {
        format!(
            "return code {}, {}{}",
            content["return_code"],
            text("stdout"),
            text("stderr")
        )
    } else {
        String::new()
    };
    let detail: String = detail.trim().chars().take(200).collect();
    let detail = detail.replace('\n', " ");
    if detail.is_empty() {
        text("type").to_owned()
    } else {
        format!("{}: {detail}", text("type"))
    }
}
