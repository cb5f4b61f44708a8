//! Differences between the models on the wire. Any other name passes and answers like a current one.

pub mod catalog;
mod offers;

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::Value;
use wire::refusal::{self, Invalid, Refusal};
use wire::request::{MessagesRequest, Thinking};

pub(super) use offers::{check_offers, speed};
use workspace::quirks::WeakRefusals;

/// Models before 4.6: they take a prefilled assistant message and know no adaptive thinking.
const BEFORE_4_6: &[&str] = &[
    "claude-2",
    "claude-3",
    "claude-haiku-4-5",
    "claude-instant",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-opus-4-5",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
    "claude-sonnet-4-5",
];

/// Models that always print `output_tokens_details` (F003).
const WITH_DETAILS: &[&str] = &[
    "claude-fable-5",
    "claude-haiku-5",
    "claude-mythos-5",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-sonnet-5",
];

/// Models from 4.7 on: they know no thinking by budget.
const FROM_4_7: &[&str] = WITH_DETAILS;

/// Models that always think.
const ALWAYS_THINK: &[&str] = &[
    "claude-fable-5",
    "claude-mythos-5",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
];

/// Models that think only where `thinking` says so; later ones do by themselves.
const THINK_WHEN_ASKED: &[&str] = &[
    "claude-2",
    "claude-3",
    "claude-haiku-4",
    "claude-instant",
    "claude-opus-4",
    "claude-sonnet-4",
];

/// Models that cannot be made to call a tool.
const UNFORCED: &[&str] = &[
    "claude-fable-5-1",
    "claude-mythos-5-1",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
];

/// Models that give no more than high effort where they do not think (F258).
const CALM_UNTHOUGHT: &[&str] = &["claude-opus-5", "claude-sonnet-5-5"];

/// Models up to 4.6 that take one of `temperature` and `top_p`.
const ONE_SAMPLING: &[&str] = &[
    "claude-haiku-4-5",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
];

/// Models with so much context take more pages (F210).
const LONG_CONTEXT_TOKENS: u64 = 1_000_000;

/// From here on `top_p` changes nothing.
const NO_TOP_P: f64 = 0.99;

fn is_one_of(model: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| model.starts_with(prefix))
}

/// The refusal by a rule that is broken; none if it is weak and weak rules are off.
pub(super) fn unless_taken(
    rule: &Refusal,
    values: &[(&str, &dyn Display)],
    weak: WeakRefusals,
) -> Result<(), Invalid> {
    if rule.weak && weak == WeakRefusals::Taken {
        return Ok(());
    }
    Err(rule.refuse(values))
}

/// Refuses a kind of thinking that the model does not know (F008).
pub(super) fn check_thinking(
    model: &str,
    thinking: Option<Thinking>,
    weak: WeakRefusals,
) -> Result<(), Invalid> {
    let refused = match thinking {
        Some(Thinking::Enabled { .. }) if is_one_of(model, FROM_4_7) => &refusal::THINKING_ENABLED,
        Some(Thinking::Adaptive) if is_one_of(model, BEFORE_4_6) => &refusal::THINKING_ADAPTIVE,
        Some(Thinking::BetweenTools) if !thinks_between_tools(model) => {
            &refusal::THINKING_BETWEEN_TOOLS
        }
        Some(Thinking::Disabled) if model.starts_with("claude-sonnet-5-5") => {
            &refusal::THINKING_DISABLED_BETWEEN
        }
        Some(Thinking::Disabled) if is_one_of(model, ALWAYS_THINK) => &refusal::THINKING_DISABLED,
        Some(Thinking::Disabled) if model == "claude-mythos-preview" => {
            &refusal::THINKING_DISABLED_PREVIEW
        }
        _ => return Ok(()),
    };
    unless_taken(refused, &[], weak)
}

/// Whether the model's object says so, or the model is unknown.
fn thinks_between_tools(model: &str) -> bool {
    catalog::find(model)
        .is_none_or(|model| model.thinking.iter().any(|kind| kind == "between_tools"))
}

/// Refuses the clearing of thoughts where there are none, and behind another edit.
pub(super) fn check_clearing(request: &MessagesRequest, weak: WeakRefusals) -> Result<(), Invalid> {
    let edits = &request.context_management;
    if edits.clears_thoughts && !may_think(&request.model, request.thinking) {
        return Err(refusal::CLEARING_WITHOUT_THINKING.refuse(&[]));
    }
    if edits.clears_thoughts_late {
        return unless_taken(&refusal::CLEARING_ORDER, &[], weak);
    }
    Ok(())
}

/// Whether an answer of the model may have thoughts in it.
pub(super) fn may_think(model: &str, thinking: Option<Thinking>) -> bool {
    match thinking {
        Some(Thinking::Enabled { .. } | Thinking::Adaptive | Thinking::BetweenTools) => true,
        Some(Thinking::Disabled) => is_one_of(model, ALWAYS_THINK),
        None => !is_one_of(model, THINK_WHEN_ASKED),
    }
}

/// Refuses sampling parameters and a forced tool that the model does not know.
pub(super) fn check_sampling(
    request: &MessagesRequest,
    body: &Value,
    weak: WeakRefusals,
) -> Result<(), Invalid> {
    let model = &request.model;
    let number = |name: &str| body[name].as_f64();
    let deprecated = |name: &str| Err(refusal::SAMPLING_DEPRECATED.refuse(&[("name", &name)]));
    if is_one_of(model, FROM_4_7) {
        if number("temperature").is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
            return deprecated("temperature");
        }
        if number("top_p").is_some_and(|value| value < NO_TOP_P) {
            return deprecated("top_p");
        }
        if number("top_k").is_some() {
            return deprecated("top_k");
        }
    }
    if is_one_of(model, ONE_SAMPLING) && number("temperature").and(number("top_p")).is_some() {
        return Err(refusal::SAMPLING_BOTH.refuse(&[]));
    }
    let forces = request
        .tool_choice
        .as_ref()
        .is_some_and(|choice| choice.forces);
    if forces && is_one_of(model, UNFORCED) {
        return unless_taken(&refusal::FORCED_TOOL_MODEL, &[], weak);
    }
    Ok(())
}

/// Refuses tools that only code calls, by default or by name, where the model's code calls none.
pub(super) fn check_callers(request: &MessagesRequest) -> Result<(), Invalid> {
    let Some(model) = catalog::find(&request.model) else {
        return Ok(());
    };
    let tools = request.tools.iter().filter(|tool| tool.is_called_by_code());
    let names: Vec<&str> = tools.map(|tool| tool.name.as_str()).collect();
    if names.is_empty() || model.calls_tools_from_code {
        return Ok(());
    }
    let names = names.join(", ");
    Err(refusal::PROGRAMMATIC_MODEL.refuse(&[("model", &model.id), ("tools", &names)]))
}

/// Whether the model takes `system` messages in the middle of a conversation: from 4.8 on.
pub(super) fn takes_system_messages(model: &str) -> bool {
    catalog::find(model).is_none()
        || (is_one_of(model, FROM_4_7) && !model.starts_with("claude-opus-4-7"))
}

/// The most that an item of a batch may ask for with the beta for long ones.
const LONG_OUTPUT_TOKENS: u64 = 300_000;

/// Refuses an effort or a length that the model does not know (F015); `long` where the request is an item of a batch with
/// the beta for long answers.
pub(super) fn check_output(request: &MessagesRequest, long: bool) -> Result<(), Invalid> {
    if !request.is_counted() {
        check_length(&request.model, request.max_tokens, long)?;
    }
    let Some(effort) = request.effort.as_deref() else {
        return Ok(());
    };
    check_effort(&request.model, effort)?;
    let is_off = matches!(
        request.thinking,
        Some(Thinking::Disabled | Thinking::BetweenTools)
    );
    if is_off && matches!(effort, "xhigh" | "max") && is_one_of(&request.model, CALM_UNTHOUGHT) {
        return Err(refusal::EFFORT_UNTHOUGHT.refuse(&[("effort", &effort)]));
    }
    Ok(())
}

/// Refuses more tokens than the model gives.
pub(super) fn check_length(model: &str, max_tokens: u64, long: bool) -> Result<(), Invalid> {
    let Some(model) = catalog::find(model) else {
        return Ok(());
    };
    let most = if long {
        model.max_tokens.max(LONG_OUTPUT_TOKENS)
    } else {
        model.max_tokens
    };
    if max_tokens <= most {
        return Ok(());
    }
    Err(Invalid::new(format!(
        "max_tokens: {max_tokens} > {most}, which is the maximum allowed number of output tokens for {}",
        model.id
    )))
}

/// Refuses an effort that the model does not know.
pub(super) fn check_effort(model: &str, effort: &str) -> Result<(), Invalid> {
    let Some(model) = catalog::find(model) else {
        return Ok(());
    };
    if model.effort.is_empty() {
        // Inferred: no source has the text.
        return Err(Invalid::new(
            "This model does not support the effort parameter.",
        ));
    }
    if model.effort.iter().any(|known| known == effort) {
        return Ok(());
    }
    let mut known: Vec<&str> = model.effort.iter().map(String::as_str).collect();
    known.sort_unstable();
    Err(Invalid::new(format!(
        "This model does not support effort level '{effort}'. Supported levels: {}.",
        known.join(", ")
    )))
}

/// Refuses a prompt that does not fit into the model's context (F015).
pub(super) fn check_prompt(model: &str, tokens: u64) -> Result<(), Invalid> {
    match catalog::find(model) {
        Some(model) if tokens > model.max_input_tokens => Err(Invalid::new(format!(
            "prompt is too long: {tokens} tokens > {} maximum",
            model.max_input_tokens
        ))),
        _ => Ok(()),
    }
}

/// Whether the model's context is one of a million tokens, or the model unknown.
pub(super) fn has_long_context(model: &str) -> bool {
    catalog::find(model).is_none_or(|model| model.max_input_tokens >= LONG_CONTEXT_TOKENS)
}

/// Whether the list of models has it.
pub fn is_listed(model: &str) -> bool {
    catalog::find(model).is_some()
}

/// The id a model answers as.
pub fn resolve(model: &str) -> &str {
    catalog::find(model).map_or(model, |entry| &entry.id)
}

/// Whether the last message may be the start of the assistant's own answer.
pub(super) fn takes_prefill(model: &str) -> bool {
    BEFORE_4_6.iter().any(|prefix| model.starts_with(prefix))
}

/// `usage.inference_geo`, where the request asks for a place or for none.
pub(super) fn inference_geo(model: &str, asked: Option<&str>) -> Cow<'static, str> {
    match asked {
        _ if takes_prefill(model) => Cow::Borrowed("not_available"),
        Some(place) => Cow::Owned(place.to_owned()),
        None => Cow::Borrowed("global"),
    }
}

/// Whether `usage.output_tokens_details` is printed, whatever the request: from 4.7 on, unknown models among them.
pub(super) fn prints_details(model: &str) -> bool {
    let is_later = || catalog::find(model).is_none() && !is_one_of(model, THINK_WHEN_ASKED);
    is_one_of(model, WITH_DETAILS) || is_later()
}

/// The same where thinking is on, before every model did so.
pub(super) fn printed_details_early(model: &str) -> bool {
    is_one_of(model, &["claude-sonnet-4-5", "claude-sonnet-4-6"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_answer_as_dated_ids_and_others_as_themselves() {
        assert_eq!(resolve("claude-sonnet-4-5"), "claude-sonnet-4-5-20250929");
        assert_eq!(resolve("claude-opus-4-7"), "claude-opus-4-7");
    }

    #[test]
    fn each_model_knows_its_own_kind_of_thinking() {
        let enabled = Some(Thinking::Enabled {
            budget_tokens: 2000,
        });
        let adaptive = Some(Thinking::Adaptive);
        assert!(
            check_thinking("claude-sonnet-4-5-20250929", enabled, WeakRefusals::Refused).is_ok()
        );
        assert!(check_thinking("claude-sonnet-4-5", adaptive, WeakRefusals::Refused).is_err());
        assert!(check_thinking("claude-opus-4-7", enabled, WeakRefusals::Refused).is_err());
        for model in ["claude-opus-4-6", "claude-of-tomorrow"] {
            assert!(
                check_thinking(model, enabled, WeakRefusals::Refused).is_ok()
                    && check_thinking(model, adaptive, WeakRefusals::Refused).is_ok()
            );
        }
    }

    #[test]
    fn models_think_between_tools_if_their_objects_say_so() {
        let between = Some(Thinking::BetweenTools);
        let check = |model, weak| check_thinking(model, between, weak);
        assert!(check("claude-opus-5", WeakRefusals::Refused).is_err());
        assert!(check("claude-opus-5", WeakRefusals::Taken).is_ok());
        assert!(check("claude-of-tomorrow", WeakRefusals::Refused).is_ok());
    }

    #[test]
    fn details_are_printed_from_4_7_on() {
        for later in ["claude-opus-4-7", "claude-opus-6", "claude-of-tomorrow"] {
            assert!(prints_details(later), "{later}");
        }
        for earlier in [
            "claude-opus-4-6",
            "claude-3-7-sonnet-latest",
            "claude-mythos-preview",
        ] {
            assert!(!prints_details(earlier), "{earlier}");
        }
    }

    #[test]
    fn later_models_think_unless_told_not_to() {
        let budget = Some(Thinking::Enabled {
            budget_tokens: 2000,
        });
        let adaptive = Some(Thinking::Adaptive);
        for old in [
            "claude-opus-4-6",
            "claude-opus-4-8",
            "claude-3-7-sonnet-20250219",
        ] {
            assert!(!may_think(old, None), "{old}");
            assert!(may_think(old, budget) && may_think(old, adaptive), "{old}");
        }
        for new in [
            "claude-opus-5",
            "claude-mythos-preview",
            "claude-of-tomorrow",
        ] {
            assert!(may_think(new, None), "{new}");
            assert!(!may_think(new, Some(Thinking::Disabled)), "{new}");
        }
        // They refuse to be told, where `weak-refusals` lets them.
        assert!(may_think("claude-opus-5-5", Some(Thinking::Disabled)));
    }

    #[test]
    fn prefill_ends_with_4_6() {
        for old in [
            "claude-opus-4-20250514",
            "claude-sonnet-4-5-20250929",
            "claude-3-7-sonnet-20250219",
        ] {
            assert!(takes_prefill(old), "{old}");
        }
        for new in [
            "claude-opus-4-6",
            "claude-sonnet-4-6",
            "claude-opus-4-7",
            "claude-opus-5",
        ] {
            assert!(!takes_prefill(new), "{new}");
        }
    }
}
