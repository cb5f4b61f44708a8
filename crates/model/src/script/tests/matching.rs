//! Which rule answers, and what is said when none does.

use serde_json::json;

use super::*;

fn matches(when: &str, request: &TurnRequest) -> bool {
    let scripts = scripts(&format!("- when: {when}\n  then: [{{ text: hi }}]\n"));
    scripts.start(request).is_ok()
}

fn rich_request() -> TurnRequest {
    let mut request = request("Show Revenue by region");
    request.tools.push(tool("custom", "get_weather"));
    request.uploads = vec![upload("sales.csv"), upload("notes.txt")];
    request.body = Arc::new(json!({
        "model": "claude-sonnet-4-5-20250929",
        "max_tokens": 4096,
        "stream": true,
        "container": {"id": "container_1"},
        "system": [{"type": "text", "text": "You are terse."}, {"type": "text", "text": "Be kind."}],
        "metadata": {"user_id": null},
        "stop_sequences": [],
        "messages": [{"role": "user", "content": "Show Revenue by region"}],
    }));
    request
}

#[test]
fn every_key_of_when_holds_or_fails_as_documented() {
    let request = rich_request();
    let hold = [
        "{}",
        "~",
        "{ tools: code_execution }",
        "{ tools: [nothing, code_execution_20250825] }",
        "{ tools: get_weather }",
        "{ user: Revenue }",
        "{ user: [nothing, { equals: Show Revenue by region }] }",
        "{ user: { contains: [profit, region], regex: '(?i)^show revenue' } }",
        "{ system: 'terse.\\n' }"
            .replace("'terse.\\n'", "\"terse.\\nBe\"")
            .leak(),
        "{ model: claude-sonnet-* }",
        "{ model: { contains: sonnet } }",
        "{ uploads: '*.csv' }",
        "{ uploads: ['*.xlsx', 'n*s.txt'] }",
        "{ uploads: true }",
        "{ body: { $.max_tokens: 4096.0 } }",
        "{ body: { $.max_tokens: [1, 4096] } }",
        "{ body: { '$.messages[*].role': user } }",
        "{ body: { $.metadata.user_id: null } }",
        "{ body: { $.metadata.user_id: { exists: true } } }",
        "{ body: { $.nothing: { exists: false } } }",
        "{ body: { $.stop_sequences: { equals: [] } } }",
        "{ body: { $.metadata: { user_id: null } } }",
        "{ body: { $.model: { regex: ^claude, contains: '4-5' } } }",
        "{ stream: true, container: true }",
    ];
    for when in hold {
        assert!(matches(when, &request), "{when}");
    }
    let fail = [
        "{ tools: code_execution_20250522 }",
        "{ user: revenue }",
        "{ user: { equals: Show, contains: Show } }",
        "{ user: Revenue, model: gpt-* }",
        "{ system: rude }",
        "{ uploads: false }",
        "{ uploads: '*.CSV' }",
        "{ body: { $.max_tokens: '4096' } }",
        "{ body: { $.nothing: null } }",
        "{ stream: false }",
        "{ container: false }",
    ];
    for when in fail {
        assert!(!matches(when, &request), "{when}");
    }
}

#[test]
fn the_first_rule_that_matches_answers_until_its_times_are_used_up() {
    let scripts = scripts(
        "- { when: { user: hi }, times: 2, then: [{ text: first }] }\n\
         - { then: [{ text: second }] }\n",
    );
    let say = |words: &str| texts(scripts.start(&request(words)))[0].clone();
    assert_eq!(
        [say("hi"), say("ho"), say("hi"), say("hi")],
        ["first", "second", "first", "second"]
    );
    let list = scripts.list();
    assert_eq!((list[0].used, list[1].used), (2, 2));
}

#[test]
fn a_rule_with_times_is_never_answered_too_often_by_threads() {
    let scripts = scripts("- { times: 50, then: [{ text: x }] }\n");
    let count: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..100)
                        .filter(|_| scripts.start(&request("x")).is_ok())
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(count, 50);
}

#[test]
fn an_unmatched_request_is_told_the_nearest_rules() {
    let scripts = scripts(
        r"- name: revenue
  when:
    tools: [code_execution, code_execution_20260120]
    uploads: ['*.xlsx', '*.ods']
    user: { contains: profit }
  then: [{ text: a }]
- name: spent
  when: { user: Revenue }
  times: 1
  then: [{ text: b }]
- name: far
  when: { user: nothing, stream: false, model: gpt-* }
  then: [{ text: c }]
- name: near
  when:
    user: { regex: '^Show' }
    body:
      $.max_tokens: 1024
  then: [{ text: d }]
- name: not named at all
  when: { system: { equals: x } }
  then: [{ text: e }]
",
    );
    texts(scripts.start(&rich_request()));
    insta::assert_snapshot!(scripts.start(&rich_request()).unwrap_err().message, @r#"
    no script rule matches this request: user text "Show Revenue by region"; tools `code_execution_20250825`, `get_weather`; uploads `sales.csv`, `notes.txt`
    the nearest of 5 rules:
    - `spent` (a.yaml:7): 1 of 1 hold; matches, but its `times: 1` is used up (answered 1)
    - `revenue` (a.yaml:1): 1 of 3 hold; `uploads` at line 4 wants one named `*.xlsx` or `*.ods`, got `sales.csv`, `notes.txt`
    - `near` (a.yaml:14): 1 of 2 hold; `$.max_tokens` at line 18 wants `1024`, got `4096`
    hint: add a rule, or start sandtable with `--on-unmatched direct` to run what the text says
    "#);
}

#[test]
fn an_unmatched_message_stays_short() {
    let scripts = scripts("- { when: { user: x }, then: [{ text: a }] }\n");
    let mut long = request(&"word ".repeat(100_000));
    long.tools.clear();
    let message = scripts.start(&long).unwrap_err().message;
    assert!(message.len() < 600, "{}", message.len());
    assert!(message.contains("no tools; no uploads"));
}

#[test]
fn each_key_of_a_text_test_holds_by_one_of_its_values() {
    let words: Vec<String> = (0..4_000).map(|n| format!("w{n}")).collect();
    let words = words.join(", ");
    // Every combination would take gigabytes.
    let long = format!("{{ user: {{ contains: [{words}], equals: [{words}] }} }}");
    assert!(matches(&long, &request("w3999")));
    assert!(!matches(&long, &request("w3999 w1")));

    let scripts =
        scripts("- when: { user: { contains: [a, b], regex: c } }\n  then: [{ text: x }]\n");
    let error = scripts.start(&request("a")).unwrap_err().message;
    let wants = "(containing `a` or containing `b`) and matching `c`";
    assert!(error.contains(wants), "{error}");
}

#[test]
fn a_group_is_kept_of_any_value_of_the_body() {
    let scripts = scripts(
        "- when: { body: { $.max_tokens: { regex: '^(?P<n>\\d)' } } }\n  then: [{ text: 'n=${{ captures.n }}' }]\n",
    );
    assert_eq!(texts(scripts.start(&request("hi"))), ["n=1"]);
}
