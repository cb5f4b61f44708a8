//! What differs between the models on the wire. Any other name passes and answers like a current one.

pub(crate) mod catalog;

use wire::request::{MessagesRequest, Thinking};

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
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-sonnet-5",
];

/// Models from 4.7 on: they know no thinking by budget.
const FROM_4_7: &[&str] = WITH_DETAILS;

/// Refuses a kind of thinking that the model does not know (F008).
pub(super) fn check_thinking(model: &str, thinking: Option<Thinking>) -> Result<(), &'static str> {
    let is_one_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
    match thinking {
        Some(Thinking::Enabled { .. }) if is_one_of(FROM_4_7) => Err(
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior.",
        ),
        Some(Thinking::Adaptive) if is_one_of(BEFORE_4_6) => {
            Err("adaptive thinking is not supported on this model")
        }
        _ => Ok(()),
    }
}

/// Refuses an effort or a length that the model does not know (F015). `batch` lets longer answers
/// through (beta `output-300k-2026-03-24`).
pub(super) fn check_output(request: &MessagesRequest, batch: bool) -> Result<(), String> {
    let Some(model) = catalog::find(&request.model) else {
        return Ok(());
    };
    // Counting has no `max_tokens`.
    let counts = request.max_tokens == u64::MAX;
    if request.max_tokens > model.max_tokens && !counts && !batch {
        return Err(format!(
            "max_tokens: {} > {}, which is the maximum allowed number of output tokens for {}",
            request.max_tokens, model.max_tokens, model.id
        ));
    }
    match &request.effort {
        // Inferred: no source has the text.
        Some(_) if model.effort.is_empty() => {
            Err("This model does not support the effort parameter.".to_owned())
        }
        Some(effort) if !model.effort.contains(effort) => {
            let mut known: Vec<&str> = model.effort.iter().map(String::as_str).collect();
            known.sort_unstable();
            Err(format!(
                "This model does not support effort level '{effort}'. Supported levels: {}.",
                known.join(", ")
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses a prompt that does not fit into the model's context (F015).
pub(super) fn check_prompt(model: &str, tokens: u64) -> Result<(), String> {
    match catalog::find(model) {
        Some(model) if tokens > model.max_input_tokens => Err(format!(
            "prompt is too long: {tokens} tokens > {} maximum",
            model.max_input_tokens
        )),
        _ => Ok(()),
    }
}

/// The id a model answers as.
pub(crate) fn resolve(model: &str) -> &str {
    catalog::find(model).map_or(model, |entry| &entry.id)
}

/// Whether the last message may be the start of the assistant's own answer.
pub(super) fn takes_prefill(model: &str) -> bool {
    BEFORE_4_6.iter().any(|prefix| model.starts_with(prefix))
}

/// `usage.inference_geo`.
pub(super) fn inference_geo(model: &str) -> &'static str {
    if takes_prefill(model) {
        "not_available"
    } else {
        "global"
    }
}

/// Whether `usage.output_tokens_details` is printed.
pub(super) fn prints_details(model: &str, thinking: bool) -> bool {
    WITH_DETAILS.iter().any(|prefix| model.starts_with(prefix))
        || (thinking
            && ["claude-sonnet-4-5", "claude-sonnet-4-6"]
                .iter()
                .any(|p| model.starts_with(p)))
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
        assert!(check_thinking("claude-sonnet-4-5-20250929", enabled).is_ok());
        assert!(check_thinking("claude-sonnet-4-5", adaptive).is_err());
        assert!(check_thinking("claude-opus-4-7", enabled).is_err());
        for model in ["claude-opus-4-6", "claude-of-tomorrow"] {
            assert!(
                check_thinking(model, enabled).is_ok() && check_thinking(model, adaptive).is_ok()
            );
        }
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
