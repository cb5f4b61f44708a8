//! Turns that end in client calls or a pause, and go on.

use serde_json::json;

use super::*;
use crate::Call;

const WEATHER: &str = r"
- name: weather
  when: { user: { regex: 'in (?P<city>\w+)' } }
  times: 1
  then:
    - text: I'll ask.
    - parallel:
        - bash: date
        - tool_use: { name: get_weather, input: { city: '${{ captures.city }}' } }
          capture: { degrees: '\d+' }
    - text: ${{ captures.degrees }} in ${{ captures.city }} on ${{ results[0].stdout }}, ${{ last.name }}
    - tool_use: done
    - text: bye
";

fn first_answer() -> Value {
    json!([
        {"type": "text", "text": "I'll ask."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "date"}},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
    ])
}

/// Runs up to the client call and parks as the engine does.
fn first_turn(scripts: &Scripts) -> TurnRequest {
    let request = request("weather in Oslo");
    let mut model = scripts.start(&request).unwrap();
    assert_eq!(text(&mut model, &[]), "I'll ask.");
    let Some(Step::Calls(calls)) = model.next(&[]).unwrap() else {
        panic!()
    };
    assert!(matches!(&calls[1], Call::Client { input, .. } if input["city"] == "Oslo"));
    model.park(&["srvtoolu_1".to_owned(), "toolu_1".to_owned()], &[]);
    answered(&request, &first_answer(), &[("toolu_1", "12 degrees")])
}

#[test]
fn a_client_tools_result_leads_back_to_the_next_step_again_and_again() {
    let scripts = scripts(WEATHER);
    let request = first_turn(&scripts);
    // A client may send its request twice.
    for _ in 0..2 {
        let mut model = scripts.resume(&request).unwrap().unwrap();
        let said = text(&mut model, &[ran("srvtoolu_1", "Monday")]);
        assert_eq!(said, "12 in Oslo on Monday, get_weather");
        assert!(matches!(model.next(&[]).unwrap(), Some(Step::Calls(_))));
    }
    assert_eq!(scripts.list()[0].used, 1);
}

#[test]
fn a_continuation_unknown_here_goes_on_after_what_the_history_holds() {
    let asked_elsewhere = first_turn(&scripts(WEATHER));
    let here = scripts(WEATHER);
    assert!(here.resume(&asked_elsewhere).unwrap().is_none());
    let mut model = here.start(&asked_elsewhere).unwrap();
    let said = text(&mut model, &[ran("srvtoolu_1", "Monday")]);
    assert_eq!(said, "12 in Oslo on Monday, get_weather");
    // It is no new use of the rule.
    assert_eq!(here.list()[0].used, 0);

    let second = json!([
        {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1",
         "content": {"type": "bash_code_execution_result", "stdout": "Monday", "stderr": "", "return_code": 0, "content": []}},
        {"type": "text", "text": said},
        {"type": "tool_use", "id": "toolu_2", "name": "done", "input": {}},
    ]);
    let third = answered(&asked_elsewhere, &second, &[("toolu_2", "ok")]);
    let mut model = here.start(&third).unwrap();
    assert_eq!(text(&mut model, &[]), "bye");
    assert_eq!(model.next(&[]).unwrap(), None);
}

#[test]
fn the_rule_that_said_what_the_history_holds_goes_on_not_the_first() {
    let scripts = scripts(
        "- { then: [{ text: other }, { tool_use: get_weather }, { text: wrong }] }\n\
         - { then: [{ text: mine }, { tool_use: get_weather }, { text: right }] }\n",
    );
    let history = json!([
        {"type": "text", "text": "mine\n"},
        {"type": "tool_use", "id": "toolu_9", "name": "get_weather", "input": {}},
    ]);
    let request = answered(&request("go"), &history, &[("toolu_9", "x")]);
    assert_eq!(texts(scripts.start(&request)), ["right"]);
}

const PAUSES: &str = "
- then:
    - text: one
    - pause_turn
    - text: two
    - bash: date
    - delay: 1ms
    - pause_turn
    - text: ${{ last.stdout }}
";

/// Drives a turn up to its pause; gives the texts it said.
fn up_to_pause(mut model: Box<dyn Model>, ids: &[&str]) {
    let mut results = Vec::new();
    loop {
        let step = model.next(&results).unwrap();
        results.clear();
        match step {
            Some(Step::Pause) => break,
            Some(Step::Calls(_)) => results.push(ran("srvtoolu_1", "Tuesday")),
            Some(_) => {}
            None => panic!("no pause"),
        }
    }
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    model.park(&ids, &[]);
}

fn called() -> Vec<Value> {
    vec![
        json!({"type": "text", "text": "two", "citations": null}),
        json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "date"}, "caller": null}),
        json!({"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1",
               "content": {"type": "bash_code_execution_result", "stdout": "Tuesday", "stderr": "", "return_code": 0, "content": []}}),
    ]
}

#[test]
fn a_pause_goes_on_with_the_next_step_in_separate_and_in_merged_messages() {
    let scripts = scripts(PAUSES);
    let start = request("go");
    up_to_pause(scripts.start(&start).unwrap(), &["msg_1"]);
    let said_one = json!([{"type": "text", "text": "one"}]);
    let second = after_pause(&start, &said_one);
    up_to_pause(
        scripts.resume(&second).unwrap().unwrap(),
        &["srvtoolu_1", "msg_2"],
    );

    let separate = after_pause(&second, &Value::from(called()));
    let mut merged = vec![json!({"type": "text", "text": "one"})];
    merged.extend(called());
    let merged = after_pause(&start, &Value::from(merged));
    for request in [separate, merged] {
        let model = scripts.resume(&request).unwrap().unwrap();
        assert_eq!(texts(Ok(model)), ["Tuesday"]);
    }
}

#[test]
fn a_pause_unknown_here_is_stepped_over() {
    let start = request("go");
    let second = after_pause(&start, &json!([{"type": "text", "text": "one"}]));
    let mut model = scripts(PAUSES).start(&second).unwrap();
    assert_eq!(text(&mut model, &[]), "two");
    let third = after_pause(&second, &Value::from(called()));
    assert_eq!(texts(scripts(PAUSES).start(&third)), ["Tuesday"]);
}

#[test]
fn the_engines_own_pause_keeps_the_call_that_waits() {
    let scripts = scripts(
        "- then: [{ bash: a }, { bash: b }, { text: '${{ results|length }} ${{ last.stdout }}' }]",
    );
    let start = request("go");
    let mut model = scripts.start(&start).unwrap();
    model.next(&[]).unwrap();
    model.next(&[ran("srvtoolu_1", "A")]).unwrap();
    let ids = ["srvtoolu_1", "srvtoolu_2", "msg_1"].map(str::to_owned);
    model.park(&ids, &[]);
    let sent = json!([
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}},
        {"type": "server_tool_use", "id": "srvtoolu_2", "name": "bash_code_execution", "input": {}},
    ]);
    let mut model = scripts
        .resume(&after_pause(&start, &sent))
        .unwrap()
        .unwrap();
    assert_eq!(text(&mut model, &[ran("srvtoolu_2", "B")]), "2 B");
}

#[test]
fn conversations_that_say_the_same_do_not_get_mixed_up() {
    let scripts = scripts(
        "- { when: { user: { regex: '(?P<w>.+)' } }, then: [{ text: x }, pause_turn, { text: '${{ captures.w }}' }] }",
    );
    let said = json!([{"type": "text", "text": "x"}]);
    for words in ["a", "b"] {
        up_to_pause(scripts.start(&request(words)).unwrap(), &["msg_1"]);
    }
    for words in ["a", "b"] {
        let request = after_pause(&request(words), &said);
        assert_eq!(
            texts(Ok(scripts.resume(&request).unwrap().unwrap())),
            [words]
        );
    }
}

#[test]
fn a_rule_at_its_end_leaves_the_answer_to_another_that_fits() {
    let asks = "- { when: { user: go }, then: [{ tool_use: now }] }\n";
    let answers = "- { when: { body: { '$.messages[*].content[*].type': tool_result } }, then: [{ text: thanks }] }\n";
    for (source, expected) in [
        (format!("{answers}{asks}"), vec!["thanks"]),
        (format!("{asks}{answers}"), vec!["thanks"]),
        (asks.to_owned(), vec![]),
    ] {
        let scripts = scripts(&source);
        let start = request("go");
        let mut model = scripts.start(&start).unwrap();
        model.next(&[]).unwrap();
        model.park(&["toolu_1".to_owned()], &[]);
        let sent = json!([{"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}]);
        let request = answered(&start, &sent, &[("toolu_1", "noon")]);
        let model = match scripts.resume(&request).unwrap() {
            Some(model) => Ok(model),
            None => scripts.start(&request),
        };
        assert_eq!(texts(model), expected, "{source}");
    }
}

#[test]
fn an_expectation_on_a_client_tool_is_checked_when_its_result_comes() {
    let scripts = scripts("- then: [{ tool_use: now, expect: { stdout: noon } }]");
    let start = request("go");
    let mut model = scripts.start(&start).unwrap();
    model.next(&[]).unwrap();
    model.park(&["toolu_1".to_owned()], &[]);
    let sent = json!([{"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}]);
    let wrong = answered(&start, &sent, &[("toolu_1", "midnight")]);
    let mut model = scripts.resume(&wrong).unwrap().unwrap();
    assert!(
        model
            .next(&[])
            .unwrap_err()
            .message
            .contains("got `midnight`")
    );
}

#[test]
fn a_client_tool_that_failed_is_known_by_its_error_code() {
    let scripts = scripts(
        "- then: [{ tool_use: now }, { if: { error_code: is_error }, then: [{ text: '${{ last.stdout }}!' }] }]",
    );
    let start = request("go");
    let mut model = scripts.start(&start).unwrap();
    model.next(&[]).unwrap();
    model.park(&["toolu_1".to_owned()], &[]);
    let sent = json!([{"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}]);
    let mut request = answered(&start, &sent, &[("toolu_1", "no clock")]);
    let mut body = (*request.body).clone();
    body["messages"][2]["content"][0]["is_error"] = json!(true);
    request.body = Arc::new(body);
    let mut model = scripts.resume(&request).unwrap().unwrap();
    // The engine gives the text alone.
    let given = CallResult {
        return_code: None,
        ..ran("toolu_1", "no clock")
    };
    assert_eq!(text(&mut model, &[given]), "no clock!");
}

#[test]
fn a_rule_that_never_ends_is_stopped() {
    let scripts = scripts("- { name: loop, then: [{ tool_use: again }] }");
    let call = json!([{"type": "tool_use", "id": "toolu_x", "name": "again", "input": {}}]);
    let mut request = request("go");
    for _ in 0..=common::limits::TURN_ROUNDS {
        request = answered(&request, &call, &[("toolu_x", "")]);
    }
    let error = scripts.start(&request).unwrap_err().message;
    insta::assert_snapshot!(error, @"a.yaml:1: rule `loop` does not end: this turn has 201 answers already, the most is 200");
}

#[test]
fn only_so_many_places_are_kept_and_the_oldest_go_first() {
    let scripts = scripts("- then: [{ tool_use: now }, { text: bye }]");
    let start = request("go");
    let places = common::limits::PARKED_PLACES + 1;
    for n in 0..places {
        let mut model = scripts.start(&start).unwrap();
        model.next(&[]).unwrap();
        model.park(&[format!("toolu_{n}")], &[]);
    }
    let resumes = |n: usize| {
        let id = format!("toolu_{n}");
        let sent = json!([{"type": "tool_use", "id": id, "name": "now", "input": {}}]);
        let request = answered(&start, &sent, &[(&id, "")]);
        scripts.resume(&request).unwrap().is_some()
    };
    assert!(!resumes(0));
    assert!(resumes(1) && resumes(places - 1));
}

/// A request that goes on from calls that another server made.
fn from_elsewhere(call: &str) -> TurnRequest {
    let sent = json!([{"type": "tool_use", "id": "toolu_9", "name": call, "input": {}}]);
    answered(&request("go"), &sent, &[("toolu_9", "x")])
}

#[test]
fn a_rule_that_was_only_tried_has_neither_answered_nor_run() {
    let scripts = scripts(
        "- { name: never, when: { user: go }, then: [{ text: never said }, { text: nor this }] }\n\
         - { name: b, when: { user: go }, then: [{ tool_use: w }, { text: fin }] }\n",
    );
    assert_eq!(texts(scripts.start(&from_elsewhere("w"))), ["fin"]);
    let unused: Vec<_> = scripts.unused_steps();
    assert_eq!(unused.len(), 1, "{unused:?}");
    assert_eq!(unused[0].rule, "never");
    assert_eq!(unused[0].why, control_api::UnusedWhy::NeverAnswered);
    let ran = |rule: usize| scripts.list()[rule].steps.iter().all(|step| step.ran);
    assert!(!ran(0) && ran(1));
}

#[test]
fn a_pause_that_another_server_made_has_run_with_what_stands_before_it() {
    let called = json!([
        {"type": "server_tool_use", "id": "srvtoolu_9", "name": "bash_code_execution", "input": {"command": "true"}},
        {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_9",
         "content": {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []}},
    ]);
    for pause in [
        "pause_turn",
        "compaction: all of it",
        "usage: { input_tokens: 5 }\n  - delay: 1ms\n  - pause_turn",
    ] {
        let scripts = scripts(&format!(
            "- when: {{ user: go }}\n  then:\n  - bash: 'true'\n  - {pause}\n  - text: fin\n"
        ));
        let request = after_pause(&request("go"), &called);
        assert_eq!(texts(scripts.start(&request)), ["fin"], "{pause}");
        assert_eq!(scripts.unused_steps(), [], "{pause}");
    }
    // A rule that has none there has run none.
    let scripts = scripts("- when: { user: go }\n  then: [{ bash: 'true' }, { delay: 1ms }]\n");
    let request = after_pause(&request("go"), &called);
    let _model = scripts.start(&request).unwrap();
    assert_eq!(scripts.unused_steps().len(), 1);
}

#[test]
fn times_count_the_turns_that_begin_here() {
    let scripts =
        scripts("- { when: { user: go }, times: 1, then: [{ tool_use: w }, { text: fin }] }");
    for _ in 0..3 {
        assert_eq!(texts(scripts.start(&from_elsewhere("w"))), ["fin"]);
        assert_eq!(scripts.unused_steps(), []);
    }
    assert!(scripts.start(&request("go")).is_ok());
    assert!(scripts.start(&request("go")).is_err());
    assert_eq!(scripts.list()[0].used, 1);
}

#[test]
fn a_history_that_is_not_as_expected_fails_and_begins_nothing_again() {
    let checks = "- { name: checks, then: [{ bash: a, expect: { return_code: 0 } }, { tool_use: w }, { text: done }] }\n";
    let other = "- { then: [{ text: other }] }\n";
    let goes_on = "- { then: [{ bash: b }, { tool_use: w }, { text: on }] }\n";
    let sent = json!([
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "a"}},
        {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1",
         "content": {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 1, "content": []}},
        {"type": "tool_use", "id": "toolu_9", "name": "w", "input": {}},
    ]);
    let request = answered(&request("go"), &sent, &[("toolu_9", "x")]);
    for source in [checks.to_owned(), format!("{checks}{other}")] {
        let error = scripts(&source).start(&request).unwrap_err().message;
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"a.yaml:1: rule `checks`, `bash`: expected `return_code` 0, got 1");
        }
    }
    // One that comes before it, and one that has said all of it, answer.
    for (source, said) in [
        (format!("{other}{checks}"), "other"),
        (format!("{checks}{goes_on}"), "on"),
    ] {
        assert_eq!(texts(scripts(&source).start(&request)), [said]);
    }
}

/// Two rules for one question, the first of which ends in a pause without any call.
const PAUSED: &str = "
- { name: one, when: { user: go }, then: [{ text: a }, pause_turn] }
- { name: two, when: { user: go }, then: [{ text: b }, { text: c }] }
";

#[test]
fn a_rule_with_other_texts_has_not_said_what_a_history_without_calls_holds() {
    let scripts = scripts(PAUSED);
    let asked = request("go");
    up_to_pause(scripts.start(&asked).unwrap(), &[]);
    let request = after_pause(&asked, &json!([{"type": "text", "text": "a"}]));
    assert!(scripts.resume(&request).unwrap().is_none());
    assert_eq!(texts(scripts.start(&request)), ["b", "c"]);
    assert_eq!(scripts.list()[1].used, 1);
    // Who does not know the pause takes it up in the same way.
    scripts.reset();
    scripts.replace(PAUSED, "a.yaml").unwrap();
    assert_eq!(texts(scripts.start(&request)), ["b", "c"]);
}
