//! Reading faults of turns.

use super::{FaultError, Keys, bad, one_of};
use crate::fault::TurnAct;
use model::Stop;
use wire::hosted::RefusalCategory;

/// The keys of a turn fault, beside those of every fault.
pub(super) const KEYS: [&str; 7] = [
    "do",
    "after_blocks",
    "after_chars",
    "inside",
    "stop_reason",
    "category",
    "explanation",
];

::wire::words! {
    /// `do`.
    Word {
        PauseTurn "pause_turn",
        Stop "stop",
        ExpireContainer "expire_container",
    }
    /// `stop_reason`.
    Reason {
        Refusal "refusal",
        MaxTokens "max_tokens",
        ContextWindow "model_context_window_exceeded",
    }
}

/// All of its `do`.
#[cfg(test)]
pub(super) const NAMES: &[&str] = Word::NAMES;

impl Word {
    /// The keys that go with it.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::PauseTurn => &["after_blocks", "inside"],
            Self::Stop => &[
                "stop_reason",
                "after_blocks",
                "after_chars",
                "category",
                "explanation",
            ],
            Self::ExpireContainer => &[],
        }
    }
}

pub(super) fn read(keys: &Keys<'_>) -> Result<TurnAct, FaultError> {
    let names = one_of(Word::NAMES);
    let word = keys.get("do", &names, |value| Word::from_name(value.as_str()?))?;
    let Some(word) = word else {
        return Err(bad("a turn fault needs a `do`", names));
    };
    keys.refuse_strays(word.name(), word.keys(), &KEYS[1..])?;
    match word {
        Word::PauseTurn => pause(keys),
        Word::Stop => stop(keys),
        Word::ExpireContainer => Ok(TurnAct::ExpireContainer),
    }
}

fn number(keys: &Keys<'_>, key: &str, least: u32) -> Result<Option<u32>, FaultError> {
    keys.get(key, &format!("a number from {least}"), |value| {
        let number = u32::try_from(value.as_u64()?).ok()?;
        (number >= least).then_some(number)
    })
}

fn pause(keys: &Keys<'_>) -> Result<TurnAct, FaultError> {
    let after_blocks = number(keys, "after_blocks", 1)?.unwrap_or(1);
    Ok(if keys.boolean("inside")?.unwrap_or(false) {
        TurnAct::PauseInside { call: after_blocks }
    } else {
        TurnAct::Pause { after_blocks }
    })
}

fn stop(keys: &Keys<'_>) -> Result<TurnAct, FaultError> {
    let reasons = one_of(Reason::NAMES);
    let reason = keys.get("stop_reason", &reasons, |value| {
        Reason::from_name(value.as_str()?)
    })?;
    let reason = reason.ok_or_else(|| bad("`do: stop` needs a `stop_reason`", reasons))?;
    let after_chars = number(keys, "after_chars", 1)?;
    if after_chars.is_some() && reason != Reason::MaxTokens {
        return Err(bad(
            "`after_chars` goes with the stop reason `max_tokens` alone",
            "only a limit of tokens ends a text in its middle",
        ));
    }
    let text = |key: &str| -> Result<Option<String>, FaultError> {
        let given = keys.string(key)?.map(str::to_owned);
        if given.is_some() && reason != Reason::Refusal {
            return Err(bad(
                format!("`{key}` goes with the stop reason `refusal` alone"),
                "other reasons have no `stop_details`",
            ));
        }
        Ok(given)
    };
    let category = text("category")?;
    if let Some(word) = &category
        && RefusalCategory::from_name(word).is_none()
    {
        let hint = one_of(RefusalCategory::NAMES);
        return Err(bad(
            format!("`category` is \"{}\"", word.escape_debug()),
            hint,
        ));
    }
    let stop = Stop {
        reason: reason.name().to_owned(),
        stop_sequence: None,
        category,
        explanation: text("explanation")?,
    };
    let unless_given = u32::from(after_chars.is_none());
    Ok(TurnAct::Stop {
        stop,
        after_blocks: number(keys, "after_blocks", 0)?.unwrap_or(unless_given),
        after_chars: after_chars.map(|chars| usize::try_from(chars).unwrap_or(usize::MAX)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fault::parse;

    #[test]
    fn a_mistake_in_a_turn_fault_is_named_with_a_way_out() {
        for (fault, message) in [
            (json!({}), "a turn fault needs a `do`"),
            (json!({"do": "pause"}), "`do` is \"pause\""),
            (
                json!({"do": "stop", "stop_reason": "refusal", "category": "nonsense"}),
                "`category` is \"nonsense\"",
            ),
            (
                json!({"do": "pause_turn", "after_blocks": 0}),
                "`after_blocks` is 0",
            ),
            (
                json!({"do": "pause_turn", "stop_reason": "refusal"}),
                "`stop_reason` does not go with `do: pause_turn`",
            ),
            (
                json!({"do": "expire_container", "after_blocks": 1}),
                "`after_blocks` does not go with `do: expire_container`",
            ),
            (json!({"do": "stop"}), "`do: stop` needs a `stop_reason`"),
            (
                json!({"do": "stop", "stop_reason": "end_turn"}),
                "`stop_reason` is \"end_turn\"",
            ),
            (
                json!({"do": "stop", "stop_reason": "refusal", "after_chars": 3}),
                "`after_chars` goes with the stop reason `max_tokens` alone",
            ),
            (
                json!({"do": "stop", "stop_reason": "max_tokens", "category": "cyber"}),
                "`category` goes with the stop reason `refusal` alone",
            ),
            (
                json!({"do": "pause_turn", "after_block": 2}),
                "`after_block` is no key of a fault at \"turn\"",
            ),
        ] {
            let mut given = fault.clone();
            given["at"] = Value::from("turn");
            let error = parse(&given).unwrap_err();
            assert_eq!(error.message, message);
            assert!(!error.hint.is_empty(), "{fault}");
        }
    }
}
