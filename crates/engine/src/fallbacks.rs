//! `fallbacks`: which model goes on where another has declined, and with which of the request's parameters (F206, F254).

use wire::refusal::Invalid;
use wire::request::{Fallback, Fallbacks, MessagesRequest, Override, Thinking, ThinkingDisplay};

use crate::models;
use common::document;
use model::ModelError;
use workspace::quirks::WeakRefusals;

/// What a model that goes on for another makes its answer with.
#[derive(Debug)]
pub(super) struct Attempt {
    /// By its id.
    pub(super) model: String,
    pub(super) thinking: Option<Thinking>,
    pub(super) display: Option<ThinkingDisplay>,
    /// How many entries of the chain have had their turn with it.
    used: usize,
}

/// Refuses an entry that its model does not take; an item of a batch may be `long`.
pub(super) fn check(
    request: &MessagesRequest,
    long: bool,
    weak: WeakRefusals,
) -> Result<(), Invalid> {
    for (place, entry) in request.fallback_chain().iter().enumerate() {
        // Inferred: no source has these refusals; the texts are those of a request that is made to the model.
        let at = |refused: Invalid| Invalid::new(format!("fallbacks.{place}: {refused}"));
        let model = &entry.model;
        models::check_thinking(model, entry.thinking.given(), weak).map_err(at)?;
        if let Some(max_tokens) = entry.max_tokens {
            models::check_length(model, max_tokens, long).map_err(at)?;
        }
        if let Some(effort) = &entry.effort {
            models::check_effort(model, effort).map_err(at)?;
        }
    }
    Ok(())
}

/// The attempt that follows one that has declined; `None` if the chain is at its end. A script may name the model, and pass
/// over others with that.
pub(super) fn next(
    request: &MessagesRequest,
    declined: Option<&Attempt>,
    to: Option<&str>,
) -> Result<Option<Attempt>, ModelError> {
    let used = declined.map_or(0, |attempt| attempt.used);
    if request.fallbacks == Some(Fallbacks::ByService) {
        let to = to.ok_or_else(|| {
            ModelError::new(
                "the model falls back, and neither the step nor the request says to which",
            )
            .with_hint("write `fallback: MODEL`")
        })?;
        return Ok(Some(Attempt {
            model: models::resolve(to).to_owned(),
            thinking: inherited(to, request.thinking),
            display: request.display,
            used,
        }));
    }
    let left = request.fallback_chain().get(used..).unwrap_or_default();
    let passed = match to {
        None => 0,
        Some(to) => {
            let is_it = |entry: &Fallback| models::resolve(&entry.model) == models::resolve(to);
            left.iter()
                .position(is_it)
                .ok_or_else(|| not_left(to, left))?
        }
    };
    Ok(left.get(passed).map(|entry| Attempt {
        model: models::resolve(&entry.model).to_owned(),
        thinking: match entry.thinking {
            Override::Given(thinking) => Some(thinking),
            Override::Null => None,
            Override::Absent => inherited(&entry.model, request.thinking),
        },
        display: entry.display.or(request.display),
        used: used + passed + 1,
    }))
}

/// The request's thinking, as far as the model takes it.
fn inherited(model: &str, thinking: Option<Thinking>) -> Option<Thinking> {
    let takes = |thinking: &Thinking| {
        models::check_thinking(model, Some(*thinking), WeakRefusals::Refused).is_ok()
    };
    let instead = thinking.filter(|thinking| *thinking == Thinking::BetweenTools);
    let instead = instead.map(|_| Thinking::Disabled);
    thinking.filter(takes).or(instead.filter(takes))
}

fn not_left(to: &str, left: &[Fallback]) -> ModelError {
    let left: Vec<&str> = left.iter().map(|entry| entry.model.as_str()).collect();
    let error = ModelError::new(format!(
        "the model falls back to `{to}`, which is none of those that the request's `fallbacks` have left"
    ));
    error.with_hint(if left.is_empty() {
        "add it to them, or take the step out".to_owned()
    } else {
        format!("add it to them, or fall back to {}", document::list(&left))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(thinking: &Value, fallbacks: &Value) -> MessagesRequest {
        let mut body = json!({"model": "claude-fable-5", "max_tokens": 16, "fallbacks": fallbacks,
            "messages": [{"role": "user", "content": "hi"}]});
        if !thinking.is_null() {
            body["thinking"] = thinking.clone();
        }
        MessagesRequest::decode(&body, true).unwrap()
    }

    #[test]
    fn each_that_declines_hands_over_to_the_next_and_the_last_to_nobody() {
        let request = request(
            &Value::Null,
            &json!([{"model": "claude-opus-4-8"}, {"model": "claude-sonnet-4-5"}, {"model": "claude-opus-4-6"}]),
        );
        let hop = |declined: Option<&Attempt>, to| next(&request, declined, to).unwrap();
        let first = hop(None, None).unwrap();
        assert_eq!(first.model, "claude-opus-4-8");
        let second = hop(Some(&first), None).unwrap();
        assert_eq!(second.model, "claude-sonnet-4-5-20250929");
        let third = hop(Some(&second), Some("claude-opus-4-6")).unwrap();
        assert!(hop(Some(&third), None).is_none());
        // One may be passed over, and none comes again.
        let skips = hop(Some(&first), Some("claude-opus-4-6")).unwrap();
        assert_eq!(skips.used, 3);
        for (declined, to, hint) in [
            (
                Some(&second),
                "claude-opus-4-8",
                "fall back to `claude-opus-4-6`",
            ),
            (Some(&third), "claude-opus-4-8", "take the step out"),
            (None, "claude-opus-5", "`claude-opus-4-8`"),
        ] {
            let error = next(&request, declined, Some(to)).unwrap_err();
            assert!(common::hinted::told(&error).contains(hint), "{error:?}");
        }
    }

    #[test]
    fn an_attempt_thinks_as_its_entry_says_or_as_the_request_where_the_model_does() {
        let thinks = |thinking: Value, entry: Value| {
            let request = request(&thinking, &json!([entry]));
            next(&request, None, None).unwrap().unwrap().thinking
        };
        let budget = json!({"type": "enabled", "budget_tokens": 1024});
        let between = json!({"type": "between_tools"});
        let adaptive = json!({"type": "adaptive"});
        let entry = |model| json!({"model": model});
        assert_eq!(
            thinks(adaptive.clone(), entry("claude-opus-4-8")),
            Some(Thinking::Adaptive)
        );
        assert_eq!(thinks(adaptive.clone(), entry("claude-sonnet-4-5")), None);
        assert_eq!(thinks(budget, entry("claude-opus-4-8")), None);
        assert_eq!(
            thinks(between.clone(), entry("claude-sonnet-4-5")),
            Some(Thinking::Disabled)
        );
        assert_eq!(thinks(between, entry("claude-opus-5-5")), None);
        let mut null = entry("claude-opus-4-8");
        null["thinking"] = Value::Null;
        assert_eq!(thinks(adaptive.clone(), null), None);
        let mut own = entry("claude-opus-4-8");
        own["thinking"] = json!({"type": "disabled"});
        assert_eq!(thinks(adaptive, own), Some(Thinking::Disabled));
    }
}
