//! Steps, results, expectations, branches.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{Call, ServerTool, ServiceError, Stop, ToolFailure, UsageOverride};

fn call(tool: ServerTool, input: Value) -> Call {
    Call::Server {
        tool,
        input,
        failure: None,
        found: None,
    }
}

fn only_step(then: &str) -> Result<Step, String> {
    let scripts = scripts(&format!("- then:\n    - {then}\n"));
    let mut model = scripts.start(&request("hi")).unwrap();
    let step = model.next(&[]).map_err(|error| error.message)?;
    Ok(step.unwrap())
}

#[test]
fn every_step_says_what_it_should() {
    let one = |call| Step::Calls(vec![call]);
    let editor = |input| one(call(ServerTool::Editor, input));
    let cases = [
        ("text: 007", Step::Text("007".to_owned())),
        ("thinking: hm", Step::Thinking("hm".to_owned())),
        (
            "redacted_thinking: Em9w",
            Step::RedactedThinking("Em9w".to_owned()),
        ),
        (
            "{text: a, citations: [{type: page_location, cited_text: a, document_index: 0, \
             start_page_number: 1, end_page_number: '${{ 1 + 1 }}'}]}",
            Step::Cited(
                "a".to_owned(),
                vec![
                    json!({"type": "page_location", "cited_text": "a", "document_index": 0,
                            "document_title": null, "start_page_number": 1, "end_page_number": 2}),
                ],
            ),
        ),
        (
            "bash: true",
            one(call(ServerTool::Bash, json!({"command": "true"}))),
        ),
        (
            "python: print(1)",
            one(call(
                ServerTool::Bash,
                json!({"command": "python3 - <<'PY'\nprint(1)\nPY"}),
            )),
        ),
        ("view: a", editor(json!({"command": "view", "path": "a"}))),
        (
            "view: {path: a, view_range: [1, 2]}",
            editor(json!({"command": "view", "path": "a", "view_range": [1, 2]})),
        ),
        (
            "create: {path: a, file_text: 1.50}",
            editor(json!({"command": "create", "path": "a", "file_text": "1.50"})),
        ),
        (
            "text_editor: {command: nonsense, n: 1}",
            editor(json!({"command": "nonsense", "n": 1})),
        ),
        (
            "tool_use: now",
            one(Call::Client {
                name: "now".to_owned(),
                input: json!({}),
            }),
        ),
        ("delay: 1.5s", Step::Delay(Duration::from_millis(1500))),
        ("pause_turn", Step::Pause),
        (
            "stop: max_tokens",
            Step::Stop(Stop {
                reason: "max_tokens".to_owned(),
                ..Stop::default()
            }),
        ),
        (
            "stop: {reason: refusal, category: cyber}",
            Step::Stop(Stop {
                reason: "refusal".to_owned(),
                category: Some("cyber".to_owned()),
                ..Stop::default()
            }),
        ),
        (
            "usage: {input_tokens: 3}",
            Step::Usage(UsageOverride {
                input_tokens: Some(3),
                ..UsageOverride::default()
            }),
        ),
        (
            "http_error: 529",
            Step::Fail(ServiceError {
                status: 529,
                kind: "overloaded_error".to_owned(),
                message: "Overloaded".to_owned(),
                headers: Vec::new(),
                after_events: None,
                details: None,
            }),
        ),
        (
            "http_error: {status: 500, type: x, message: y, headers: {retry-after: 1}, after_events: 2}",
            Step::Fail(ServiceError {
                status: 500,
                kind: "x".to_owned(),
                message: "y".to_owned(),
                headers: vec![("retry-after".to_owned(), "1".to_owned())],
                after_events: Some(2),
                details: None,
            }),
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(only_step(source).unwrap(), expected, "{source}");
    }
}

#[test]
fn a_tool_error_stands_beside_its_call() {
    let scripts = scripts("- then:\n  - bash: sleep 9\n    tool_error: unavailable\n");
    let mut model = scripts.start(&request("hi")).unwrap();
    let expected = Call::Server {
        tool: ServerTool::Bash,
        input: json!({"command": "sleep 9"}),
        failure: Some(ToolFailure::of(wire::ToolErrorCode::Unavailable)),
        found: None,
    };
    assert_eq!(model.next(&[]).unwrap(), Some(Step::Calls(vec![expected])));
    assert_eq!(model.next(&[]).unwrap(), None);
}

#[test]
fn code_that_the_declared_tool_cannot_run_is_an_error_with_its_place() {
    let scripts = scripts("- name: shell\n  then:\n    - bash: ls\n");
    let mut python_only = request("hi");
    python_only.code_tool = Some(CodeTool::Python);
    let mut none = request("hi");
    none.code_tool = None;
    let messages = [python_only, none].map(|request| {
        let mut model = scripts.start(&request).unwrap();
        common::hinted::told(&model.next(&[]).unwrap_err())
    });
    insta::assert_snapshot!(messages.join("\n\n"), @r#"
    a.yaml:3: rule `shell`, `bash`: bash needs `code_execution_20250825` or later, the request declares `code_execution_20250522`
      hint: use Python, or declare the newer tool

    a.yaml:3: rule `shell`, `bash`: the request declares no code execution tool
      hint: add {"type": "code_execution_20250825", "name": "code_execution"} to `tools`
    "#);
}

#[test]
fn results_flow_into_texts_inputs_and_captures() {
    let scripts = scripts(
        r#"
- when: { user: { regex: 'for (?P<who>\w+)' } }
  then:
    - parallel:
        - bash: wc -l a
          capture: { lines: '^(\d+) ', both: "${{ last.stdout }}/${{ captures.who }}" }
        - python: print(2)
    - tool_use:
        name: store
        input: { n: "${{ results|length }}", s: "n=${{ results|length }}", deep: [{ a: "${{ last.files[0].filename }}" }] }
    - text: "${{ captures.lines }} ${{ captures.both }} ${{ files[0].source }} ${{ files[1].filename }}"
"#,
    );
    let mut request = request("for Ada");
    request.uploads = vec![upload("in.csv")];
    let mut model = scripts.start(&request).unwrap();
    let Some(Step::Calls(calls)) = model.next(&[]).unwrap() else {
        panic!()
    };
    assert_eq!(calls.len(), 2);
    let second = CallResult {
        files: vec![output("out.png")],
        ..ran("srvtoolu_2", "2\n")
    };
    let step = model.next(&[ran("srvtoolu_1", "12 a"), second]).unwrap();
    let input = json!({"n": 2, "s": "n=2", "deep": [{"a": "out.png"}]});
    let expected = Call::Client {
        name: "store".to_owned(),
        input,
    };
    assert_eq!(step, Some(Step::Calls(vec![expected])));
    assert_eq!(
        text(&mut model, &[ran("toolu_1", "ok")]),
        "12 12 a/Ada upload out.png"
    );
}

#[test]
fn a_branch_follows_the_last_result() {
    let scripts = scripts(
        r"
- then:
    - bash: x
    - if: { return_code: [0, 3], stdout: { contains: yes } }
      then:
        - if: last.stdout|length > 3
          then: [{ text: long }]
          else: [{ text: short }]
      else:
        - text: no
    - text: end
",
    );
    let run = |stdout: &str| {
        let mut model = scripts.start(&request("hi")).unwrap();
        model.next(&[]).unwrap();
        [
            text(&mut model, &[ran("srvtoolu_1", stdout)]),
            text(&mut model, &[]),
        ]
    };
    assert_eq!(run("yes"), ["short", "end"]);
    assert_eq!(run("yes!"), ["long", "end"]);
    assert_eq!(run("nope"), ["no", "end"]);
}

#[test]
fn an_if_before_any_call_says_so() {
    let error = only_step("if: { return_code: 0 }\n      then: [pause_turn]").unwrap_err();
    assert!(error.starts_with("a.yaml:2: rule `rule at line 1`: `if` asks about the last result"));
    let error = only_step("if: last.return_code == 0\n      then: [pause_turn]").unwrap_err();
    assert!(error.starts_with("a.yaml:2: `last"), "{error}");
}

#[test]
fn a_failed_expectation_names_the_place_and_what_came() {
    let scripts = scripts(
        r"
- name: strict
  then:
    - bash: python analyze.py
      expect:
        return_code: 0
        stdout: { regex: '^total', contains: [a, b] }
        files: ['*.png', notes.txt]
",
    );
    let fail = |result: CallResult| {
        let mut model = scripts.start(&request("hi")).unwrap();
        model.next(&[]).unwrap();
        model.next(&[result]).unwrap_err().message
    };
    insta::assert_snapshot!(fail(CallResult {
        return_code: Some(1),
        stderr: "Traceback\nNameError: x\n".to_owned(),
        files: vec![output("chart.jpg"), output("notes.txt")],
        ..ran("srvtoolu_1", "none")
    }), @r"
    a.yaml:6: rule `strict`, `bash`: expected `return_code` 0, got 1; expected `stdout` matching `^total` and (containing `a` or containing `b`), got `none`; expected file `*.png`, got `chart.jpg`, `notes.txt`
      stderr: Traceback
    NameError: x
    ");
    insta::assert_snapshot!(fail(CallResult {
        return_code: None,
        error_code: Some("unavailable".to_owned()),
        ..ran("srvtoolu_1", "total a")
    }), @"a.yaml:6: rule `strict`, `bash`: expected `return_code` 0, got error `unavailable`; expected file `*.png`, got no files; expected file `notes.txt`, got no files");
}

#[test]
fn a_capture_that_finds_nothing_is_an_error() {
    let scripts =
        scripts("- then:\n  - bash: x\n    capture: { n: '\\d+' }\n  - text: ${{ captures.n }}\n");
    let mut model = scripts.start(&request("hi")).unwrap();
    model.next(&[]).unwrap();
    let error = model.next(&[ran("srvtoolu_1", "none")]).unwrap_err();
    insta::assert_snapshot!(error.message, @r#"a.yaml:2: rule `rule at line 1`: `capture` found no `\d+` in the stdout of `bash`, got "none""#);
}

#[test]
fn an_error_in_a_block_of_text_names_its_line() {
    let scripts = scripts("- then:\n  - text: |\n      one\n      two ${{ request.nope }}\n");
    let mut model = scripts.start(&request("hi")).unwrap();
    let error = model.next(&[]).unwrap_err().message;
    assert!(
        error.starts_with("a.yaml:4: `request.nope` is undefined"),
        "{error}"
    );
}

#[test]
fn the_source_is_the_rules_name() {
    let scripts = scripts("- name: greeting\n  then: [{ text: hi }]\n");
    assert_eq!(scripts.start(&request("hi")).unwrap().source(), "greeting");
}

#[test]
fn an_error_of_the_service_is_what_a_fault_of_that_status_is() {
    let error = |status: &str| match only_step(&format!("http_error: {status}")) {
        Ok(Step::Fail(error)) => error,
        other => panic!("{other:?}"),
    };
    for (status, kind) in [(408, "timeout_error"), (409, "conflict_error")] {
        let error = error(&status.to_string());
        assert_eq!(error.kind, kind);
        assert_eq!(error.message, wire::usual::message_of(status, kind));
    }
    let waits = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
    assert_eq!(error("429").headers, waits("retry-after", "1"));
    let own = error("{ status: 429, headers: { Retry-After-Ms: 5 } }");
    assert_eq!(own.headers, waits("Retry-After-Ms", "5"));
}

#[test]
fn a_header_that_cannot_be_sent_fails_the_turn() {
    let error = only_step("http_error: { status: 529, headers: { x-a: \"a${{ '\\n' }}b\" } }");
    insta::assert_snapshot!(error.unwrap_err(), @"a.yaml:2: rule `rule at line 1`, `http_error`: the value of `x-a` is none of a header");
}

#[test]
fn a_pdf_of_a_template_is_looked_at_when_the_call_is_made() {
    let error = only_step("web_fetch: { url: u, pdf: \"${{ '***' }}\" }").unwrap_err();
    assert!(error.contains("`pdf` is base64"), "{error}");
    assert!(only_step("web_fetch: { url: u, pdf: \"${{ 'JVBERi0=' }}\" }").is_ok());
}

#[test]
fn what_a_step_fails_with_is_told_with_its_place() {
    let scripts = scripts("- name: r\n  then:\n    - thinking: hm\n");
    let mut model = scripts.start(&request("hi")).unwrap();
    model.next(&[]).unwrap();
    let error = model.at_step(ModelError::new("no thoughts").with_hint("ask for them"));
    assert_eq!(error.message, "a.yaml:3: rule `r`, `thinking`: no thoughts");
    assert_eq!(error.hint.as_deref(), Some("ask for them"));
}

#[test]
fn a_result_that_is_not_there_is_named_in_full() {
    let error = only_step("text: '${{ results[3].stdout }}'").unwrap_err();
    assert!(
        error.contains("`results[3].stdout` is undefined"),
        "{error}"
    );
}

/// What becomes of a call with such a result and such an `expect`, for "go 7".
fn expected(expect: &str, result: &CallResult) -> Result<String, ModelError> {
    let scripts = scripts(&format!(
        "- when: {{ user: {{ regex: 'go (?P<n>\\d)' }} }}\n  then:\n    - bash: a\n      expect: {expect}\n    - if: {expect}\n      then: [{{ text: same }}]\n"
    ));
    let mut model = scripts.start(&request("go 7")).unwrap();
    assert!(matches!(model.next(&[]), Ok(Some(Step::Calls(_)))));
    match model.next(std::slice::from_ref(result))? {
        Some(Step::Text(text)) => Ok(text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn templates_of_an_expectation_are_filled_in_before_it_is_looked_at() {
    let came = CallResult {
        files: vec![output("7.txt")],
        ..ran("srvtoolu_1", "7\n")
    };
    for good in [
        "{ stdout: '${{ captures.n }}' }",
        r#"{ stdout: { equals: "${{ captures.n }}\n" } }"#,
        "{ stdout: [x, { contains: ['${{ captures.n }}'], regex: '^7' }] }",
        "{ files: '${{ captures.n }}.*' }",
        "{ stdout: '${{ last.stdout }}' }",
    ] {
        assert_eq!(expected(good, &came).unwrap(), "same", "{good}");
    }
    let wrong = "{ stdout: '${{ captures.n }}0', files: '${{ captures.n }}.csv' }";
    let error = expected(wrong, &came).unwrap_err();
    assert!(
        error.message.ends_with(
            "expected `stdout` containing `70`, got `7`; expected file `7.csv`, got `7.txt`"
        ),
        "{error}"
    );
    let error = expected("{ files: '${{ \"[\" }}' }", &came).unwrap_err();
    assert!(
        error.message.contains("`[` in `files` is no glob"),
        "{error}"
    );
}

#[test]
fn an_empty_list_of_files_wants_none() {
    assert_eq!(
        expected("{ files: [] }", &ran("srvtoolu_1", "")).unwrap(),
        "same"
    );
    let came = CallResult {
        files: vec![output("a.txt")],
        ..ran("srvtoolu_1", "")
    };
    let error = expected("{ files: [] }", &came).unwrap_err();
    assert!(
        error.message.ends_with("expected no files, got `a.txt`"),
        "{error}"
    );
}

#[test]
fn texts_that_differ_in_white_space_are_told_apart() {
    let error = expected("{ stdout: { equals: hi } }", &ran("srvtoolu_1", "hi\n")).unwrap_err();
    assert!(
        error
            .message
            .ends_with(r#"expected `stdout` exactly "hi", got "hi\n""#),
        "{error}"
    );
    assert!(error.hint.unwrap().contains("`contains`"));
}

#[test]
fn an_answer_ends_with_a_sequence_that_its_request_has_named() {
    let scripts = scripts("- then:\n    - stop: { reason: stop_sequence, stop_sequence: END }\n");
    let asked = |named: Value| {
        let mut request = request("hi");
        let mut body = (*request.body).clone();
        body["stop_sequences"] = named;
        request.body = Arc::new(body);
        scripts.start(&request).unwrap().next(&[])
    };
    let good = asked(json!(["FOO", "END"])).unwrap();
    assert!(matches!(good, Some(Step::Stop(_))), "{good:?}");
    for wrong in [json!(["FOO"]), json!([]), Value::Null] {
        let error = asked(wrong).unwrap_err();
        assert_eq!(
            error.message,
            "a.yaml:2: rule `rule at line 1`, `stop`: the request has no stop sequence `END`"
        );
        assert!(error.hint.unwrap().contains("`stop_sequences`"));
    }
}
