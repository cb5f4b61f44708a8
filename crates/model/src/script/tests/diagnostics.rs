//! The messages that people read when a script is wrong.

use proptest::prelude::*;

use super::{request, scripts};
use crate::script::{Base, Scripts};

fn mistakes(source: &str) -> String {
    match Scripts::default().replace(source, "a.yaml") {
        Ok(_) => "no mistake".to_owned(),
        Err(found) => common::hinted::told_all(&found),
    }
}

#[test]
fn mistakes_of_a_rule_have_place_and_hint() {
    insta::assert_snapshot!(mistakes(
        r#"
- nme: a
  when: { tool: bash, user: [], uploads: [] }
- then: []
  times: 0
- then:
    - txt: a
    - bash: ls
      exepct: {}
    - text: a
      bash: b
    - just words
    - expect: { return_code: 0 }
    - text: a
      expect: { return_code: x }
    - parallel: [{ text: a }]
    - web_search: { results: [{ title: x }] }
    - web_fetch: { url: x, query: y }
    - tool_use: web_fetch
    - delay: 200
    - stop: tool_use
    - stop: max_token
    - stop: stop_sequence
    - text: never
    - http_error: { status: 200, typ: x }
    - tool_use: { input: {} }
    - tool_use: bash_code_execution
    - bash: x
      tool_error: unavailabel
    - usage: { input_tokens: -1 }
    - view: { path: a, range: [1] }
    - create: { path: a }
    - if: last.stdout ==
      then: [{ text: x }]
    - if: "true"
"#
    ));
}

#[test]
fn a_step_without_a_key_and_a_member_beside_its_step_are_told() {
    let empty = mistakes("- then: [{}]");
    assert!(
        empty.contains("got an empty map") && empty.contains("bash"),
        "{empty}"
    );
    insta::assert_snapshot!(mistakes("- then: [{ web_search: q, results: [] }]"), @r"
    a.yaml:1:27: `results` stands beside `web_search`, and belongs into it
      hint: write `web_search: {query: …, results: …}`
    ");
}

#[test]
fn what_does_not_exist_before_a_filter_is_named_and_not_the_filter() {
    let scripts =
        scripts("- then: [{ text: '${{ request.tools | selectattr(\"type\") | list }}' }]");
    let mut model = scripts.start(&request("hi")).unwrap();
    let error = common::hinted::told(&model.next(&[]).unwrap_err());
    assert!(error.contains("`request.tools` is undefined"), "{error}");
    assert!(!error.contains("`last`"), "{error}");
}

#[test]
fn an_unmatched_text_is_told_by_its_end_as_well() {
    let long = format!(
        "<system-reminder>{}</system-reminder> Find the lion",
        "long text ".repeat(40)
    );
    let scripts = scripts("- { when: { user: zebra }, then: [{ text: ok }] }");
    let error = scripts.start(&request(&long)).unwrap_err();
    assert_eq!(
        error.message.matches("Find the lion\"").count(),
        2,
        "{}",
        error.message
    );
}

#[test]
fn mistakes_of_results_have_place_and_hint() {
    insta::assert_snapshot!(mistakes(
        r#"
- then:
    - bash: a
      result: { stdot: x, return_code: one }
    - bash: a
      result: { error_code: unavailabel }
    - bash: a
      result: { error_code: unavailable, stdout: x, message: y }
    - bash: a
      result: { message: y }
    - bash: a
      result: { files: [{ name: a }, { text: b }, { name: a/b, text: c }, { name: c, base64: "*" }] }
    - bash: a
      result: { files: [{ name: a, text: b }, { name: a, text: c }] }
    - bash: a
      result: { files: [{ path: a.txt }] }
    - view: a
      result: { stdout: a }
    - view: a
      result: { file_type: video }
    - view: a
      result: { num_lines: -1 }
    - create: { path: a, file_text: b }
      result: { is_file_update: 1 }
    - str_replace: { path: a, old_str: b, new_str: c }
      result: { lines: x }
    - text_editor: { command: undo_edit }
      result: { content: x }
    - web_search: a
      result: {}
    - tool_use: a
      result: {}
    - parallel: [{ bash: a, result: {} }]
      result: {}
    - bash: a
      tool_error: unavailable
      result: {}
    - python: a
      result: { calls: [] }
    - view: a
      result: { content: "!! no base64", file_type: image }
    - view: { path: a, view_range: [7, 8] }
      result: { total_lines: 1 }
"#
    ));
}

#[test]
fn a_header_that_an_answer_cannot_have_is_refused_at_its_place() {
    let told = mistakes(
        "- then:\n    - http_error:\n        status: 529\n        headers:\n          content-length: 5\n          a b: c\n          d: \"é\"\n",
    );
    for wanted in [
        "a.yaml:5:11: `content-length` is a header that the server sets itself",
        "a.yaml:6:11: `a b` is no name of a header",
        "a.yaml:7:11: the value of `d` is none of a header",
    ] {
        assert!(told.contains(wanted), "{told}");
    }
    assert_eq!(told.matches("hint: ").count(), 3, "{told}");
    let made = "- then: [{http_error: {status: 529, headers: {retry-after: \"${{ 1 + 1 }}\"}}}]";
    assert_eq!(mistakes(made), "no mistake");
}

#[test]
fn mistakes_of_matchers_and_templates_have_place_and_hint() {
    insta::assert_snapshot!(mistakes(
        r#"
- when:
    user: { regex: "(" }
    system: { contain: x }
    uploads: "[a"
    body: { max_tokens: 1, $.a: { exists: yes }, $.b: [], $.c: { exists: true, equals: 1 } }
    stream: "true"
  then:
    - text: ${{ lst.stdout }}
    - text: |
        first
        ${{ last.stout }}
    - text: ${{ captures.city }}
    - text: ${{ open
    - tool_use: { name: a, input: { b: ["${{ 1 + }}"] } }
    - bash: x
      capture: { 1st: a, good: "(" }
- when: { user: { regex: '(?P<city>\w+)' } }
  then: [{ text: "${{ captures.citty }}" }]
"#
    ));
}

#[test]
fn what_is_no_script_at_all_is_told_apart() {
    let sources = [
        "",
        "# nothing\n",
        "[]",
        "text",
        "then: [{ text: a }]",
        "rules: {}",
        "rules: []",
        "- text: a\n\t- text: b\n",
        "- then: [{ text: a: b }]\n",
        "- then:\n    - text: he said: no\n",
        "- then: [{ text: a }\n",
        "- then: [{ text: a }]\n  then: [{ text: b }]\n",
        "- then: [{ text: *nothing }]\n",
        "- then: [{ text: a }]\n---\n- then: [{ text: b }]\n",
    ];
    let told: Vec<String> = sources
        .iter()
        .map(|source| format!("{source:?}\n{}", mistakes(source)))
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn files_and_folders_that_give_nothing_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let binary = folder.path().join("binary.yaml");
    std::fs::write(&binary, b"- then:\n  - text: \xff\n").unwrap();
    let paths = [empty, binary, folder.path().join("missing.yaml")];
    let found = Base::load(&paths).unwrap_err();
    let told = common::hinted::told_all(&found).replace(folder.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(told, @r"
    DIR/empty: there is no script in this folder
      hint: a script's name ends in `.yaml`, `.yml`, or `.json`
    DIR/binary.yaml:2:1: the file is not UTF-8
      hint: save it as UTF-8
    DIR/missing.yaml: cannot be read: No such file or directory (os error 2)
      hint: is the path right?
    ");
}

/// Bits of scripts, so that arbitrary texts come near to valid ones.
fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "- ",
        "\n",
        "  ",
        "    ",
        ": ",
        "then",
        "when",
        "text",
        "bash",
        "if",
        "else",
        "user",
        "regex",
        "(?P<a>x)",
        "body",
        "$.a",
        "${{ ",
        " }}",
        "${% if ",
        " %}",
        "captures.a",
        "last",
        "{",
        "}",
        "[",
        "]",
        "|",
        ">",
        "&a",
        "*a",
        "<<",
        "\"",
        "'",
        "#",
        "~",
        "1e999",
        "0x",
        ".nan",
        "times",
        "parallel",
        "tool_use",
        "expect",
        "capture",
        "stop",
        "delay",
        "1s",
        "\u{feff}",
        "\t",
        "\r",
        "!!binary ",
        "---",
        "...",
        "? ",
        "name",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(parts in prop::collection::vec(fragment(), 0..40)) {
        let text = mistakes(&parts.concat());
        prop_assert!(!text.is_empty());
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, &bytes).unwrap();
        prop_assert!(Base::load(&[file]).is_err() || !bytes.is_empty());
    }
}

#[test]
fn a_thousand_mistakes_are_told_and_the_others_counted() {
    let names = |letter: char, most: u32| (0..most).map(move |n| format!("{letter}{n}"));
    let captures: Vec<String> = names('a', 900).map(|name| format!("{name}: x")).collect();
    let texts: Vec<String> = names('b', 1_200)
        .map(|name| format!("    - text: ${{{{ captures.{name} }}}}\n"))
        .collect();
    let source = format!(
        "- then:\n    - bash: x\n      capture: {{ {} }}\n{}",
        captures.join(", "),
        texts.concat()
    );
    let found = Scripts::default().replace(&source, "a.yaml").unwrap_err();
    assert_eq!(found.len(), 1_001);
    assert_eq!(found[1_000].message, "there are 200 more mistakes");
    let hint = found[0].hint.as_deref().unwrap();
    assert!(
        hint.len() < 1_000 && hint.ends_with("or of 800 more"),
        "{hint}"
    );
}

#[test]
fn a_wrong_expression_is_one_mistake() {
    let found = mistakes(
        "- when: { user: { regex: '(?P<a>x' } }\n  then: [{ text: '${{ captures.a }}' }]\n",
    );
    assert!(!found.contains("nothing captures"), "{found}");
}

#[test]
fn what_the_service_cannot_send_is_a_mistake() {
    for (step, message) in [
        (
            "stop: { reason: refusal, category: nonsense }",
            "unknown category `nonsense`",
        ),
        ("tool_use: ''", "`` is no name of a tool"),
        ("tool_use: { name: a b }", "`a b` is no name of a tool"),
        ("web_fetch: { url: u, pdf: '***' }", "`pdf` is base64"),
        (
            "web_fetch: { url: u, text: a, pdf: '${{ last.stdout }}' }",
            "`text` and `pdf` are of two pages",
        ),
        (
            "http_error: { status: 429, headers: { retry-after: 1, Retry-After: 2 } }",
            "`Retry-After` stands there twice",
        ),
        (
            "{ bash: a, result: { files: [{ name: 'a?b.txt', text: '' }] } }",
            "`a?b.txt` is no name that the Files API takes",
        ),
        (
            "{ bash: a, result: { files: [{ name: \"a\\nb\", text: '' }] } }",
            "`a\\nb` is no name that the Files API takes",
        ),
    ] {
        let found = mistakes(&format!("- then: [{{ text: a }}]\n- then:\n    - {step}\n"));
        assert!(found.contains(message), "{step}: {found}");
    }
    let web = "- web: [{ fetch: u, pdf: '***' }]\n  then: [{ text: a }]\n";
    assert!(mistakes(web).contains("`pdf` is base64"));
    let fine = "- then: [{ stop: { reason: refusal, category: null } }]\n";
    assert_eq!(mistakes(fine), "no mistake");
}

#[test]
fn what_is_empty_is_said_to_be_empty() {
    for (source, message) in [
        (
            "- then: [{ bash: a, expect: { return_code: [] } }]",
            "`return_code` is empty",
        ),
        ("- { web: [], then: [{ text: a }] }", "`web` has no entries"),
        (
            "- then: [{ text: a, citations: [] }]",
            "`citations` is empty",
        ),
        ("- then: [{ thinking: {} }]", "`thinking` has no `update`"),
    ] {
        let found = mistakes(source);
        assert!(found.contains(message), "{source}: {found}");
    }
    let found = mistakes("- then: [{ thinking: { updat: a } }]");
    assert!(
        found.contains("did you mean `update`?") && !found.contains("string"),
        "{found}"
    );
}

#[test]
fn a_mistake_behind_a_newline_that_is_no_line_of_the_file_stands_where_the_text_begins() {
    for (source, place) in [
        (
            "- then:\n    - text: \"\\n\\n\\n${{ lst }}\"\n",
            "a.yaml:2:13",
        ),
        (
            "- then:\n    - text: >\n        a\n\n        ${{ lst }}\n",
            "a.yaml:3:9",
        ),
        (
            "- then:\n    - text: |\n        a\n        ${{ lst }}\n",
            "a.yaml:4:1",
        ),
    ] {
        let found = mistakes(source);
        assert!(found.contains(place), "{source}: {found}");
    }
}

#[test]
fn an_error_code_that_no_result_has_is_doubted() {
    let warnings = |code: &str| {
        let source = format!(
            "- then:\n    - bash: a\n    - if: {{ error_code: {code} }}\n      then: [{{ text: b }}]\n"
        );
        crate::script::examine(&source, "a.yaml").warnings
    };
    let doubted = warnings("contaner_expired");
    assert_eq!(doubted.len(), 1);
    let said = format!("{:?}", doubted[0]);
    assert!(said.contains("did you mean `container_expired`?"), "{said}");
    assert!(warnings("is_error").is_empty() && warnings("unavailable").is_empty());
}

#[test]
fn a_template_where_none_can_stand_is_a_mistake() {
    insta::assert_snapshot!(mistakes(
        r#"
- name: ${{ a }}
  when:
    tools: ["${{ a }}"]
    user: ${{ request.model }}
    system: { equals: "${% b %}" }
    model: ${// c //}
    uploads: "${{ a }}.csv"
    body: { $.a: "${{ a }}", $.b: [1, "${{ a }}"], $.c: { equals: { d: ["${{ a }}"] } }, $.e: { contains: "${{ a }}" } }
  web:
    - { search: "${{ a }}", results: [] }
  then:
    - bash: a
      expect: { stdout: { regex: "${{ a }}" }, error_code: "${{ a }}" }
    - bash: a
      expect: { stdout: "${{ captures.n }}", files: ["${{ nosuch }}.txt"] }
    - if: { stderr: { equals: "${{ 1|nosuchfilter }}" } }
      then: [{ text: b }]
    - mcp_tool_use: { server: a, name: "${{ a }}", text: b }
"#
    ));
}

#[test]
fn a_condition_that_holds_always_or_never_is_a_mistake() {
    insta::assert_snapshot!(mistakes(
        r#"
- when: { body: {}, uploads: "", model: "" }
  then:
    - bash: a
      expect: {}
      capture: {}
    - bash: a
      expect: { files: "" }
    - if: {}
      then: [{ text: b }]
"#
    ));
}

#[test]
fn the_text_of_a_template_is_found_by_a_regular_expression() {
    assert_eq!(
        mistakes("- when: { user: { regex: '\\$\\{\\{ a' } }\n  then: [{ text: b }]"),
        "no mistake"
    );
}

#[test]
fn captures_that_nothing_gives_are_told_with_line_and_column() {
    let found = mistakes(
        "- then:\n    - text: ${{ captures.a }}\n    - { if: captures.b, then: [{ text: c }] }\n    - text: |\n        x\n        ${{ captures.c }}\n",
    );
    let places: Vec<&str> = found.lines().filter(|line| line.starts_with('a')).collect();
    assert_eq!(
        places,
        [
            "a.yaml:2:13: nothing captures `a`",
            "a.yaml:3:13: nothing captures `b`",
            "a.yaml:6:1: nothing captures `c`",
        ]
    );
}

#[test]
fn a_capture_that_looks_like_a_regular_expression_and_is_a_template_is_doubted() {
    let warnings = |capture: &str| {
        let source = format!(
            "- when: {{ user: {{ regex: '(?P<n>a)' }} }}\n  then: [{{ bash: x, capture: {{ b: '{capture}' }} }}]"
        );
        crate::script::examine(&source, "a.yaml").warnings
    };
    for doubted in ["a(${{ captures.n }})b", r"${{ captures.n }}: (\d+)"] {
        let found = warnings(doubted);
        assert_eq!(found.len(), 1, "{doubted}");
        assert_eq!(
            found[0].message,
            "warning: a `capture` with a template in it is no regular expression"
        );
    }
    assert!(warnings("${{ last.stdout|trim }} (all)").is_empty());
    assert!(warnings(r"a(\d+)b").is_empty());
}
