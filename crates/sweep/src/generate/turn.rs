//! The turn of a conversation as steps of a script.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::calls::{declares, only_if};
use super::tape::Tape;
use super::{Calls, calls, hosted, words};

/// A turn: one or more answers.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) steps: Vec<Value>,
    /// The last text of the last answer.
    pub(super) says: String,
    /// How often the service may have been at work by now: after some of these it pauses by itself, and what
    /// follows is another answer.
    works: u64,
    pub(super) ends_well: bool,
}

/// The least that any service of this kind does before it pauses by itself.
const MOST_WORKS: u64 = 5;

/// The condition, in the words of scripts, that a request meets whose answer can hold thoughts.
pub(super) const THINKS: &str =
    r#"request.thinking is defined and request.thinking.type != "disabled""#;

/// The script of one rule with these steps. JSON is YAML but for characters that YAML wants escaped.
pub(super) fn script(steps: Vec<Value>) -> String {
    let json = json!([{ "name": "generated", "then": Value::Array(steps) }]).to_string();
    let mut yaml = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                write!(yaml, "\\u{:04x}", u32::from(c)).expect("a string takes whatever comes");
            }
            c => yaml.push(c),
        }
    }
    yaml
}

pub(super) fn turn(tape: &mut Tape, runs: Calls) -> Turn {
    let mut turn = Turn::default();
    // Thoughts stand at the beginning of an answer, and after results.
    let mut may_think = true;
    let mut pieces = 0;
    while tape.more(pieces) {
        pieces += 1;
        let before = turn.says.clone();
        may_think = piece(tape, runs, may_think, &mut turn);
        if may_think && turn.says == before {
            turn.works += 1;
            if turn.works >= MOST_WORKS {
                turn.says.clear();
            }
        }
    }
    end(tape, &mut turn);
    turn
}

/// One piece more; whether a thought may follow.
fn piece(tape: &mut Tape, runs: Calls, may_think: bool, turn: &mut Turn) -> bool {
    match tape.below(16) {
        0..=3 => {
            said(tape, turn);
            false
        }
        4 | 5 if may_think => {
            turn.steps.push(only_if(THINKS, vec![thought(tape)]));
            true
        }
        6 => {
            turn.steps
                .push(json!({ "tool_use": { "any": tape.below(4) } }));
            turn.says.clear();
            true
        }
        7 => {
            // The service pauses where calls of its own go on.
            let mut steps = vec![calls::call(tape, runs)];
            steps.push(json!({ "pause_turn": null }));
            turn.steps.push(only_if(&declares(calls::TOOL), steps));
            turn.says.clear();
            true
        }
        8 | 9 => {
            let step = hosted::step(tape);
            turn.steps.push(step);
            true
        }
        10 => {
            let count = 2 + tape.below(3);
            let group: Vec<Value> = (0..count).map(|_| calls::call(tape, runs)).collect();
            let steps = vec![json!({ "parallel": group })];
            turn.steps.push(only_if(&declares(calls::TOOL), steps));
            true
        }
        11 => {
            let step = calls::editor(tape, runs);
            turn.steps.push(only_if(calls::HAS_EDITOR, vec![step]));
            true
        }
        12 => {
            cited(tape, turn);
            false
        }
        13 => {
            turn.steps.push(usage(tape));
            may_think
        }
        _ => {
            let step = calls::call(tape, runs);
            turn.steps.push(only_if(&declares(calls::TOOL), vec![step]));
            true
        }
    }
}

fn said(tape: &mut Tape, turn: &mut Turn) {
    let text = words::text(tape);
    turn.steps.push(json!({ "text": text }));
    turn.says = text;
}

fn thought(tape: &mut Tape) -> Value {
    match tape.below(4) {
        3 => {
            json!({ "redacted_thinking": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP" })
        }
        2 => json!({ "thinking": "" }),
        _ => json!({ "thinking": words::text(tape) }),
    }
}

/// A text with what it is taken from, where the request has something to take it from.
fn cited(tape: &mut Tape, turn: &mut Turn) {
    let text = words::text(tape);
    let cited_text = words::source(tape);
    let citations: Vec<Value> = (0..=tape.below(3))
        .map(|number| {
            json!({
                "type": "web_search_result_location",
                "url": "https://example.com/a?b=c&d=é#e",
                "title": if number == 1 { Value::Null } else { "A \"title\"".into() },
                "cited_text": cited_text,
            })
        })
        .collect();
    let page = json!({ "url": "https://example.com/a?b=c&d=é#e", "title": "A \"title\"", "text": cited_text });
    turn.steps.push(json!({
        "if": declares("web_search_"),
        "then": [
            { "web_search": { "query": "what", "results": [page] } },
            { "text": text, "citations": citations },
        ],
        "else": [{ "text": text }],
    }));
    turn.says = text;
}

fn usage(tape: &mut Tape) -> Value {
    let number = *tape.one(&[0_u64, 1, 4_294_967_296, 1_000_000_000_000]);
    json!({ "usage": { "output_tokens": number, "cache_read_input_tokens": number } })
}

fn end(tape: &mut Tape, turn: &mut Turn) {
    turn.ends_well = true;
    let stop = match tape.below(12) {
        8 => json!({ "stop": "max_tokens" }),
        9 => {
            json!({ "stop": { "reason": "refusal", "category": "cyber", "explanation": words::text(tape) } })
        }
        10 => json!({ "stop": "model_context_window_exceeded" }),
        11 => {
            let sequence = "${{ request.stop_sequences[0] }}";
            turn.steps.push(only_if(
                "request.stop_sequences is defined and request.stop_sequences|length > 0",
                vec![json!({ "stop": { "reason": "stop_sequence", "stop_sequence": sequence } })],
            ));
            Value::Null
        }
        _ => Value::Null,
    };
    if !stop.is_null() {
        turn.ends_well = false;
        turn.steps.push(stop);
    }
    if turn.steps.is_empty() {
        // A rule says something; an answer without content is legal.
        turn.steps.push(json!({ "stop": "end_turn" }));
    }
}
