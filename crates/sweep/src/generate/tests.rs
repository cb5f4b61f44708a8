//! Every case that is drawn is legal, the same again, and gets smaller.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use model::script;
use workspace::fault;

const CASES: u64 = 100;

#[test]
fn every_script_loads_without_a_mistake_or_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..CASES {
        for calls in [Calls::Given, Calls::Real] {
            let case = case_with(7, index, calls);
            std::fs::write(
                folder.path().join(format!("{index}-{calls:?}.yaml")),
                &case.script,
            )
            .unwrap();
            fault::parse(&case.faults.clone().into()).unwrap();
        }
    }
    // Rules of several files may have one name: each is looked at alone.
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let survey = script::survey(&[entry.unwrap().path()]);
        let told = [survey.diagnostics, survey.warnings].concat();
        assert!(told.is_empty(), "{}", common::hinted::told_all(&told));
    }
}

#[test]
fn a_case_is_the_same_again_from_its_seed_and_from_its_tape() {
    for index in 0..CASES {
        let drawn = case(3, index);
        assert_eq!(case(3, index), drawn);
        assert_eq!(from_tape(&drawn.tape), drawn, "{index}");
        assert_eq!(
            from_tape(&case_with(3, index, Calls::Real).tape),
            case_with(3, index, Calls::Real)
        );
    }
    assert_ne!(case(3, 40), case(4, 40));
    assert_ne!(case(3, 40), case(3, 41));
}

#[test]
fn calls_of_code_bring_results_unless_they_are_to_run() {
    let all = |calls| -> String {
        (0..CASES)
            .map(|index| case_with(5, index, calls).script)
            .collect()
    };
    assert!(all(Calls::Given).contains(r#""result":"#));
    assert!(!all(Calls::Real).contains(r#""result":"#));
}

#[test]
fn the_cases_of_a_seed_have_every_step_and_every_ending() {
    let mut seen = BTreeSet::new();
    for index in 0..3 * CASES {
        let script: serde_json::Value = serde_json::from_str(&case(1, index).script).unwrap();
        collect(&script, &mut seen);
    }
    for wanted in [
        "text",
        "thinking",
        "redacted_thinking",
        "python",
        "bash",
        "view",
        "create",
        "str_replace",
        "tool_use",
        "pause_turn",
        "parallel",
        "web_search",
        "web_fetch",
        "tool_search",
        "advisor",
        "mcp_tool_use",
        "mcp_tool_listing",
        "compaction",
        "fallback",
        "applied_edits",
        "usage",
        "citations",
        "tool_error",
        "files",
        "max_tokens",
        "refusal",
        "stop_sequence",
        "model_context_window_exceeded",
    ] {
        assert!(seen.contains(wanted), "{wanted} in {seen:?}");
    }
}

fn collect(value: &serde_json::Value, seen: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                seen.insert(key.clone());
                collect(value, seen);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, seen)),
        serde_json::Value::String(text) if text.len() < 40 => {
            seen.insert(text.clone());
        }
        _ => {}
    }
}

#[test]
fn shrinking_comes_to_the_smallest_case_that_still_fails() {
    let breaks = |case: &Case| case.script.contains('😀');
    let first = (0..CASES).map(|index| case(2, index)).find(breaks).unwrap();
    let mut smallest = first.clone();
    while let Some(next) = smaller(&smallest.tape)
        .map(|tape| from_tape(&tape))
        .find(|next| {
            (next.tape.len(), &next.tape) < (smallest.tape.len(), &smallest.tape) && breaks(next)
        })
    {
        smallest = next;
    }
    assert!(smallest.script.len() < 120, "{}", smallest.script);
    assert_eq!(smallest.faults, Vec::<serde_json::Value>::new());
}

#[test]
fn every_smaller_tape_is_shorter_or_less() {
    let tape = [3, 0, 7, 1, 1, 9];
    let all: Vec<Vec<u32>> = smaller(&tape).collect();
    assert!(
        all.iter()
            .all(|next| (next.len(), next.as_slice()) < (tape.len(), &tape[..]))
    );
    assert!(all.contains(&Vec::new()));
    assert!(all.contains(&vec![3, 0, 7, 1, 1, 8]));
    assert_eq!(smaller(&[]).count(), 0);
}

#[test]
fn what_a_client_prints_or_sends_back_wrong_is_told() {
    let case = Case {
        says: "line\r\nbreak é ".to_owned(),
        ..from_tape(&[])
    };
    assert_eq!(case.missed_in("answer: line\nbreak é\n"), None);
    assert_eq!(case.missed_in("answer: line\nbreak \n"), Some(&*case.says));

    let answer = json!({"content": [
        {"type": "text", "text": "a😀"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": "1"}},
    ]});
    let mut back = json!({"messages": [{"role": "assistant", "content": answer["content"]}]});
    assert_eq!(echoed(&answer, &back), Vec::<String>::new());
    back["messages"][0]["content"][0]["text"] = "a\u{fffd}".into();
    back["messages"][0]["content"][1]["input"] = json!({"x": ""});
    let told = echoed(&answer, &back);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("the input of call \"toolu_1\" came back as {\"x\":\"\"}"));
}
