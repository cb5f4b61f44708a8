//! Searching the deferred tools of a request: by a regular expression, or by the words of a question.

use std::collections::HashMap;

use regex::RegexBuilder;
use serde_json::Value;

use wire::ToolErrorCode;

use common::limits;
use model::ToolFailure;

/// How much more often a word counts the second time (BM25).
const SATURATION: f64 = 1.2;
/// How much a long description is held against a tool (BM25).
const LENGTH_WEIGHT: f64 = 0.75;

/// A tool, and all that is said of it.
struct Entry<'a> {
    name: &'a str,
    text: String,
}

/// The names of the tools whose name, description, or arguments the pattern finds, in the order of the
/// request.
pub(super) fn by_regex(body: &Value, arguments: &Value) -> Result<Vec<String>, ToolFailure> {
    let pattern = asked(arguments, "pattern")?;
    if pattern.chars().count() > limits::MAX_TOOL_SEARCH_CHARS {
        let most = limits::MAX_TOOL_SEARCH_CHARS;
        return Err(invalid(format!(
            "Pattern exceeds the maximum length of {most} characters"
        )));
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(limits::TOOL_SEARCH_REGEX_BYTES)
        .build()
        .map_err(|error| invalid(unfit(pattern, &error)))?;
    let entries = entries(body).into_iter();
    let found = entries.filter(|entry| regex.is_match(&entry.text));
    Ok(found
        .take(limit(arguments))
        .map(|entry| entry.name.to_owned())
        .collect())
}

/// The names of the tools that fit the question best, the best first.
pub(super) fn by_words(body: &Value, arguments: &Value) -> Result<Vec<String>, ToolFailure> {
    let wanted = words(asked(arguments, "query")?);
    let entries = entries(body);
    let texts: Vec<Vec<String>> = entries.iter().map(|entry| words(&entry.text)).collect();
    let mut holding: HashMap<&str, f64> = HashMap::new();
    for word in &wanted {
        let count = texts.iter().filter(|text| text.contains(word)).count();
        holding.insert(word, as_f64(count));
    }
    let all = as_f64(texts.len());
    let mean = as_f64(texts.iter().map(Vec::len).sum()) / all.max(1.0);
    let score = |text: &Vec<String>| -> f64 {
        let long = 1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * as_f64(text.len()) / mean.max(1.0);
        let one = |word: &String| {
            let often = as_f64(text.iter().filter(|own| *own == word).count());
            let rare = holding[word.as_str()];
            let weight = ((all - rare + 0.5) / (rare + 0.5) + 1.0).ln();
            weight * often * (SATURATION + 1.0) / (often + SATURATION * long)
        };
        wanted.iter().map(one).sum()
    };
    let mut scored: Vec<(f64, &str)> = texts
        .iter()
        .zip(&entries)
        .map(|(text, entry)| (score(text), entry.name))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    // Stable: equal ones stay in the order of the request.
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    Ok(scored
        .into_iter()
        .take(limit(arguments))
        .map(|(_, name)| name.to_owned())
        .collect())
}

fn asked<'a>(arguments: &'a Value, key: &str) -> Result<&'a str, ToolFailure> {
    arguments[key]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| invalid(format!("`{key}` is missing")))
}

fn invalid(message: String) -> ToolFailure {
    ToolFailure {
        code: ToolErrorCode::InvalidToolInput,
        message: Some(message),
    }
}

fn limit(arguments: &Value) -> usize {
    let given = arguments["limit"].as_u64();
    given
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(limits::TOOL_SEARCH_RESULTS)
}

/// Parity: the service's engine words it so (F200).
fn unfit(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let reason = if text.contains("unclosed character class") {
        let from = pattern.rfind('[').map_or(pattern, |at| &pattern[at..]);
        format!("missing ]: {from}")
    } else if text.contains("unclosed group") {
        format!("missing ): {pattern}")
    } else if text.contains("unopened group") {
        format!("unexpected ): {pattern}")
    } else if text.contains("repetition operator missing expression") {
        let at = pattern.find(['*', '+', '?']).unwrap_or(0);
        let operator = pattern.get(at..=at).unwrap_or(pattern);
        format!("no argument for repetition operator: {operator}")
    } else {
        pattern.to_owned()
    };
    format!("Invalid regular expression pattern: {reason}")
}

/// The deferred tools.
fn entries(body: &Value) -> Vec<Entry<'_>> {
    let tools = body["tools"].as_array().into_iter().flatten();
    tools
        .filter(|tool| tool["defer_loading"] == true)
        .filter_map(|tool| {
            let name = tool["name"].as_str()?;
            let mut text = name.to_owned();
            let mut add = |more: Option<&str>| {
                if let Some(more) = more {
                    text.push('\n');
                    text.push_str(more);
                }
            };
            add(tool["description"].as_str());
            let arguments = tool["input_schema"]["properties"].as_object();
            for (argument, schema) in arguments.into_iter().flatten() {
                add(Some(argument));
                add(schema["description"].as_str());
            }
            Some(Entry { name, text })
        })
        .collect()
}

/// Words in small letters; those of a name are taken apart.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no request has 2^52 words, and a rank needs no more"
)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body() -> Value {
        let tool = |name: &str, description: &str, argument: &str| {
            json!({"name": name, "description": description, "defer_loading": true,
                "input_schema": {"type": "object", "properties": {argument: {"type": "string"}}}})
        };
        json!({"tools": [
            {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
            {"name": "weather_now", "description": "Is there already", "input_schema": {"type": "object"}},
            tool("get_weather", "The weather of a city", "city"),
            tool("send_mail", "Sends a mail to somebody", "address"),
            tool("forecast", "Weather, weather, weather for a week", "city"),
        ]})
    }

    fn regex(pattern: &str) -> Result<Vec<String>, ToolFailure> {
        by_regex(&body(), &json!({ "pattern": pattern }))
    }

    #[test]
    fn a_pattern_finds_names_descriptions_and_arguments_of_deferred_tools() {
        assert_eq!(regex("weather").unwrap(), ["get_weather", "forecast"]);
        assert_eq!(regex("(?i)WEATHER, ").unwrap(), ["forecast"]);
        assert_eq!(regex("address|mail").unwrap(), ["send_mail"]);
        assert_eq!(regex("nothing").unwrap(), [""; 0]);
        let one = by_regex(&body(), &json!({"pattern": "city", "limit": 1}));
        assert_eq!(one.unwrap(), ["get_weather"]);
    }

    #[test]
    fn a_pattern_that_is_none_is_told_in_the_services_words() {
        let said = |pattern: &str| regex(pattern).unwrap_err().message.unwrap();
        for (pattern, reason) in [
            ("[", "missing ]: ["),
            ("a[b", "missing ]: [b"),
            ("(a", "missing ): (a"),
            ("*", "no argument for repetition operator: *"),
        ] {
            assert_eq!(
                said(pattern),
                format!("Invalid regular expression pattern: {reason}")
            );
        }
        assert!(said(&"a".repeat(201)).contains("200"));
        assert_eq!(
            by_regex(&body(), &json!({})).unwrap_err().code,
            ToolErrorCode::InvalidToolInput
        );
    }

    #[test]
    fn words_rank_the_tools_by_how_well_they_fit() {
        let ask = |query: &str| by_words(&body(), &json!({ "query": query })).unwrap();
        assert_eq!(ask("weather"), ["forecast", "get_weather"]);
        assert_eq!(ask("What is the WEATHER of that city?")[0], "get_weather");
        assert_eq!(ask("mail"), ["send_mail"]);
        assert_eq!(ask("teapot"), [""; 0]);
    }
}
