//! What a model has beside plain messages: places, speeds, tools of the service's own kinds, and advisors (F256).
//! A model that the list has not has everything.

use serde_json::Value;
use wire::member::at;
use wire::refusal::{self, Invalid};
use wire::request::{MessagesRequest, TOOL_TAGS};

use super::catalog::{self, ModelEntry};
use super::{BEFORE_4_6, is_one_of};

/// Models with `speed: fast`.
const FAST: &[&str] = &["claude-opus-4-6", "claude-opus-4-8", "claude-opus-5"];

/// Models that take `fast` and are no faster: so since 2026-06-29.
const FAST_NO_MORE: &[&str] = &["claude-opus-4-6"];

/// Models with the computer tool of 2025-01, and not with that of 2025-11.
const OLDER_COMPUTER: &[&str] = &[
    "claude-3",
    "claude-haiku-4-5",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
    "claude-sonnet-4-5",
];

/// Models with the computer as a toolset alone.
const ONLY_TOOLSETS: &[&str] = &["claude-opus-5-5", "claude-sonnet-5-5"];

/// Refuses what the request's model has not.
pub(crate) fn check_offers(request: &MessagesRequest, body: &Value) -> Result<(), Invalid> {
    let Some(model) = catalog::find(&request.model) else {
        return Ok(());
    };
    let id = model.id.as_str();
    if at(body, "inference_geo").is_string() && is_one_of(id, BEFORE_4_6) {
        return Err(refusal::INFERENCE_GEO_MODEL.refuse(&[("model", &id)]));
    }
    if at(body, "speed") == "fast" && !is_one_of(id, FAST) {
        return Err(refusal::SPEED_MODEL.refuse(&[("model", &id)]));
    }
    let has_not = |tag: &&str| !has_tool(id, tag);
    let tags = request.tools.iter().map(|tool| tool.tag.as_str());
    let mut missing: Vec<&str> = tags.filter(has_not).collect();
    missing.dedup();
    if !missing.is_empty() {
        let known = TOOL_TAGS.iter().copied();
        let mut known: Vec<&str> = known
            .filter(|tag| *tag != "custom" && has_tool(id, tag))
            .collect();
        known.sort_unstable();
        return Err(refusal::TOOL_TYPES.refuse(&[
            ("model", &id),
            ("tools", &missing.join(", ")),
            ("known", &known.join(", ")),
        ]));
    }
    check_advisors(request, model)
}

/// Whether a model has a type of tools.
fn has_tool(id: &str, tag: &str) -> bool {
    match tag {
        "advisor_20260301" => !is_one_of(id, BEFORE_4_6) || is_one_of(id, &["claude-haiku-4-5"]),
        // The documents name 4.8 and later; that models between refuse them was not seen.
        "browser_toolset_20260801" | "computer_toolset_20260801" => !is_one_of(id, BEFORE_4_6),
        "computer_20241022" => is_one_of(id, &["claude-3-5"]),
        "computer_20250124" => is_one_of(id, OLDER_COMPUTER),
        "computer_20251124" => !is_one_of(id, OLDER_COMPUTER) && !is_one_of(id, ONLY_TOOLSETS),
        _ => true,
    }
}

/// An advisor can do as much as whom it advises, at least.
fn check_advisors(request: &MessagesRequest, model: &ModelEntry) -> Result<(), Invalid> {
    for (place, tool) in request.tools.iter().enumerate() {
        let options = tool.advisor.as_ref();
        let advisor = options.and_then(|options| catalog::find(&options.model));
        let Some(advisor) = advisor else {
            continue;
        };
        if advisor.line == "haiku" || rank(advisor) < rank(model) {
            return Err(refusal::ADVISOR_PAIR.refuse(&[
                ("tool", &place),
                ("advisor", &advisor.id),
                ("model", &model.id),
            ]));
        }
    }
    Ok(())
}

/// How much a model can do, beside others: its line, then its version.
fn rank(model: &ModelEntry) -> (usize, Vec<u32>) {
    let lines: [&[&str]; 4] = [&["haiku"], &["sonnet"], &["opus"], &["fable", "mythos"]];
    let line = lines
        .iter()
        .position(|names| names.contains(&model.line.as_str()));
    // A longer number is a date.
    let numbers = model.id.split('-').filter(|part| part.len() < 3);
    let version = numbers.filter_map(|part| part.parse().ok()).collect();
    (line.unwrap_or(lines.len()), version)
}

/// `usage.speed`, if the request has one.
pub(crate) fn speed(model: &str, body: &Value) -> Option<&'static str> {
    match at(body, "speed").as_str()? {
        "fast" if !is_one_of(model, FAST_NO_MORE) => Some("fast"),
        _ => Some("standard"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(model: &str, more: &Value) -> Result<(), String> {
        let mut body = json!({"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let request = MessagesRequest::decode(&body, true).unwrap();
        check_offers(&request, &body).map_err(String::from)
    }

    #[test]
    fn an_older_model_has_no_place_and_few_are_fast() {
        let geo = checked("claude-haiku-4-5", &json!({"inference_geo": "global"}));
        let told = "'claude-haiku-4-5-20251001' does not support inference_geo.";
        assert_eq!(geo, Err(told.to_owned()));
        for model in [
            "claude-haiku-5-5",
            "claude-sonnet-4-6",
            "claude-of-tomorrow",
        ] {
            assert_eq!(
                checked(model, &json!({"inference_geo": "us"})),
                Ok(()),
                "{model}"
            );
        }
        for model in ["claude-opus-4-7", "claude-sonnet-5", "claude-fable-5-1"] {
            let told = format!("'{model}' does not support the `speed` parameter.");
            assert_eq!(checked(model, &json!({"speed": "fast"})), Err(told));
            assert_eq!(checked(model, &json!({"speed": "standard"})), Ok(()));
        }
        for (model, told) in [
            ("claude-opus-5-5", "fast"),
            ("claude-opus-4-6", "standard"),
            ("claude-of-tomorrow", "fast"),
        ] {
            let asked = json!({"speed": "fast"});
            assert_eq!(checked(model, &asked), Ok(()), "{model}");
            assert_eq!(speed(model, &asked), Some(told), "{model}");
        }
    }

    #[test]
    fn a_model_has_one_kind_of_computer_or_two() {
        let old = json!({"type": "computer_20250124", "name": "computer"});
        let new = json!({"type": "computer_20251124", "name": "computer"});
        let set = json!({"type": "computer_toolset_20260801"});
        for (model, takes) in [
            ("claude-haiku-4-5", [true, false, false]),
            ("claude-opus-4-5", [false, true, false]),
            ("claude-sonnet-4-6", [false, true, true]),
            ("claude-opus-5", [false, true, true]),
            ("claude-opus-5-5", [false, false, true]),
            ("claude-of-tomorrow", [true, true, true]),
        ] {
            let taken =
                [&old, &new, &set].map(|tool| checked(model, &json!({"tools": [tool]})).is_ok());
            assert_eq!(taken, takes, "{model}");
        }
        let told = checked("claude-haiku-4-5", &json!({"tools": [new, set]})).unwrap_err();
        let (what, known) = told.split_once(". ").unwrap();
        assert_eq!(
            what,
            "'claude-haiku-4-5-20251001' does not support tool types: computer_20251124, computer_toolset_20260801"
        );
        let first = "Did you mean one of advisor_20260301, bash_20241022, bash_20250124, code_execution_20250522, ";
        assert!(
            known.starts_with(first) && known.ends_with("web_search_20260318?"),
            "{known}"
        );
    }

    #[test]
    fn an_advisor_can_do_as_much_as_whom_it_advises() {
        let pair = |model, advisor| {
            let tool = json!({"type": "advisor_20260301", "name": "advisor", "model": advisor});
            checked(model, &json!({"tools": [tool]}))
        };
        for (model, advisor) in [
            ("claude-haiku-4-5", "claude-sonnet-4-6"),
            ("claude-sonnet-4-6", "claude-sonnet-4-6"),
            ("claude-sonnet-5", "claude-opus-4-8"),
            ("claude-opus-4-7", "claude-opus-4-8"),
            ("claude-opus-5", "claude-opus-5-5"),
            ("claude-opus-5", "claude-fable-5"),
            ("claude-fable-5", "claude-mythos-5"),
            ("claude-of-tomorrow", "claude-haiku-4-5"),
            ("claude-opus-5", "claude-of-tomorrow"),
        ] {
            assert_eq!(pair(model, advisor), Ok(()), "{model} {advisor}");
        }
        for (model, advisor) in [
            ("claude-fable-5", "claude-opus-4-8"),
            ("claude-fable-5-1", "claude-fable-5"),
            ("claude-opus-4-7", "claude-opus-4-6"),
            ("claude-opus-4-6", "claude-sonnet-5"),
            ("claude-haiku-5-5", "claude-haiku-5-5"),
        ] {
            let told = format!(
                "tools.0.model: '{advisor}' cannot be used as an advisor when the request model is '{model}'."
            );
            assert_eq!(pair(model, advisor), Err(told));
        }
    }
}
