//! The steps that end a turn or say something about it: `stop`, `http_error`, `delay`, `usage`.

use std::time::Duration;

use super::{Parser, one_of};
use crate::UsageOverride;
use crate::script::rule::{ScriptError, ScriptStop};
use crate::script::template::Text;
use common::clock;
use common::document::{Key, Kind, Node};
use common::{header, hinted};
use wire::hosted::RefusalCategory;
use wire::usual;

/// Why a turn can end by a script's will.
pub(in super::super) const STOP_REASONS: [&str; 5] = [
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "refusal",
    "model_context_window_exceeded",
];
const STOP_KEYS: [&str; 4] = ["reason", "stop_sequence", "category", "explanation"];
const ERROR_KEYS: [&str; 5] = ["status", "type", "message", "headers", "after_events"];
const USAGE_KEYS: [&str; 4] = [
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
];
const LONGEST_DELAY: Duration = Duration::from_hours(1);

impl Parser {
    pub(super) fn stop(&mut self, node: &Node) -> Option<ScriptStop> {
        let mut stop = ScriptStop {
            reason: String::new(),
            stop_sequence: None,
            category: None,
            explanation: None,
        };
        let mut reason = None;
        match &node.kind {
            Kind::Map(entries) => {
                self.known_keys(entries, &STOP_KEYS, "key of `stop`");
                for (key, value) in entries {
                    match key.name.as_str() {
                        "reason" => reason = Some(value),
                        "stop_sequence" => {
                            stop.stop_sequence = self.template(value, "`stop_sequence`");
                        }
                        "category" => {
                            let category = self.category(value);
                            stop.category = category.map(|category| category.name().to_owned());
                        }
                        "explanation" => stop.explanation = self.template(value, "`explanation`"),
                        _ => {}
                    }
                }
            }
            _ => reason = Some(node),
        }
        let Some(reason) = reason else {
            self.sink
                .error_with_hint(node.at, "`stop` has no `reason`", one_of(&STOP_REASONS));
            return None;
        };
        stop.reason = self.stop_reason(reason)?;
        let misplaced = [
            (
                "stop_sequence",
                "stop_sequence",
                stop.stop_sequence.is_some(),
            ),
            ("category", "refusal", stop.category.is_some()),
            ("explanation", "refusal", stop.explanation.is_some()),
        ];
        for (key, wanted, given) in misplaced {
            if given && stop.reason != wanted {
                let message = format!("`{key}` goes with the reason `{wanted}` only");
                self.sink.error(node.at, message);
            }
        }
        if stop.reason == "stop_sequence" && stop.stop_sequence.is_none() {
            self.sink.error_with_hint(
                node.at,
                "`stop: stop_sequence` does not say which sequence was met",
                "write `stop: { reason: stop_sequence, stop_sequence: END }`",
            );
            return None;
        }
        Some(stop)
    }

    fn stop_reason(&mut self, node: &Node) -> Option<String> {
        let reason = self.string(node, "`stop`")?;
        let wrong = match reason.as_str() {
            known if STOP_REASONS.contains(&known) => return Some(reason),
            "pause_turn" => ("`pause_turn` is a step of its own", "write `- pause_turn`"),
            "compaction" => (
                "a turn stops with `compaction` by itself",
                "write a `compaction` step, and `pause_after_compaction` in the request",
            ),
            "tool_use" => (
                "a turn stops with `tool_use` by itself",
                "write a `tool_use` step",
            ),
            other => {
                self.sink
                    .unknown(node.at, "stop reason", other, &STOP_REASONS);
                return None;
            }
        };
        self.sink.error_with_hint(node.at, wrong.0, wrong.1);
        None
    }

    pub(super) fn delay(&mut self, node: &Node) -> Option<Duration> {
        let text = self.string(node, "`delay`")?;
        let delay = duration(&text).filter(|delay| *delay <= LONGEST_DELAY);
        if delay.is_none() {
            self.sink.error_with_hint(
                node.at,
                format!("`{text}` is no delay up to an hour"),
                "write a number with its unit: `200ms`, `1.5s`, `2m`",
            );
        }
        delay
    }

    pub(super) fn http_error(&mut self, node: &Node) -> Option<ScriptError> {
        let mut status = None;
        let mut kind = None;
        let mut message = None;
        let mut headers = Vec::new();
        let mut after_events = None;
        match &node.kind {
            Kind::Map(entries) => {
                self.known_keys(entries, &ERROR_KEYS, "key of `http_error`");
                for (key, value) in entries {
                    match key.name.as_str() {
                        "status" => status = Some(value),
                        "type" => kind = Some(self.string(value, "`type`")?),
                        "message" => message = Some(self.template(value, "`message`")?),
                        "headers" => {
                            let entries = self.map(value, "`headers`")?;
                            let names = entries.iter().map(|(name, _)| name.name.as_str());
                            if let Some(twice) = header::named_twice(names) {
                                self.wrong_header(key, &twice);
                            }
                            for (name, value) in entries {
                                let text = self.template(value, "a header")?;
                                self.header(name, &text);
                                headers.push((name.name.clone(), text));
                            }
                        }
                        "after_events" => {
                            let count = self.count(value, "`after_events`", 0)?;
                            after_events = Some(u32::try_from(count).unwrap_or(u32::MAX));
                        }
                        _ => {}
                    }
                }
            }
            _ => status = Some(node),
        }
        let Some(status) = status else {
            self.sink.error_with_hint(
                node.at,
                "`http_error` has no `status`",
                "such as 429, 500, or 529",
            );
            return None;
        };
        let code = match &status.kind {
            Kind::Number(number) => number.as_u64().and_then(|code| u16::try_from(code).ok()),
            _ => None,
        };
        let Some(code) = code.filter(|code| (400..600).contains(code)) else {
            self.sink.error_with_hint(
                status.at,
                "`status` must be a number from 400 to 599",
                "such as 429, 500, or 529; what goes well needs no `http_error`",
            );
            return None;
        };
        let kind = kind.unwrap_or_else(|| usual::kind_of(code).to_owned());
        let named = headers.iter().map(|(name, _)| name.as_str());
        if let Some((name, value)) = usual::retry_after(code, None, named) {
            headers.push((name.to_owned(), Text::Plain(value.to_owned())));
        }
        Some(ScriptError {
            status: code,
            message: message
                .unwrap_or_else(|| Text::Plain(usual::message_of(code, &kind).to_owned())),
            kind,
            headers,
            after_events,
        })
    }

    /// Checks a header; what a template makes of its value is known when it is sent.
    fn header(&mut self, name: &Key, value: &Text) {
        let checked = header::check_name(&name.name).and_then(|()| match value {
            Text::Plain(text) => header::check_value(&name.name, text),
            Text::Template(_) => Ok(()),
        });
        if let Err(wrong) = checked {
            self.wrong_header(name, &wrong);
        }
    }

    fn wrong_header(&mut self, key: &Key, wrong: &hinted::Mistake) {
        let (message, hint) = hinted::split(wrong);
        self.sink
            .error_with_hint(key.at, message, hint.unwrap_or_default());
    }

    /// Why something is refused; null where the service gives no reason.
    pub(super) fn category(&mut self, node: &Node) -> Option<RefusalCategory> {
        if matches!(node.kind, Kind::Null) {
            return None;
        }
        let word = self.string(node, "`category`")?;
        let category = RefusalCategory::from_name(&word);
        if category.is_none() {
            let known = RefusalCategory::NAMES;
            self.sink.unknown(node.at, "category", &word, known);
        }
        category
    }

    pub(super) fn usage(&mut self, node: &Node) -> Option<UsageOverride> {
        let entries = self.map(node, "`usage`")?;
        self.known_keys(entries, &USAGE_KEYS, "counter");
        let mut usage = UsageOverride::default();
        for (key, value) in entries {
            let slot = match key.name.as_str() {
                "input_tokens" => &mut usage.input_tokens,
                "output_tokens" => &mut usage.output_tokens,
                "cache_creation_input_tokens" => &mut usage.cache_creation_input_tokens,
                "cache_read_input_tokens" => &mut usage.cache_read_input_tokens,
                _ => continue,
            };
            *slot = Some(self.count(value, &format!("`{}`", key.name), 0)?);
        }
        Some(usage)
    }
}

/// `200ms`, `1.5s`, `2m`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.trim().parse().ok()?;
    // A delay is no matter of days.
    let unit = clock::unit_ms(unit).filter(|_| !matches!(unit, "d" | "w"))?;
    Duration::try_from_secs_f64(number * f64::from(unit) / 1000.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_needs_a_unit() {
        assert_eq!(duration("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("2 m"), Some(Duration::from_mins(2)));
        for wrong in ["200", "ms", "-1s", "1d", "1e400s", "NaNs"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
