//! Input that chooses a size: the request that brings it is refused, and the server goes on.

use std::io::ErrorKind;

use serde_json::{Value, json};

use crate::http::Client;
use crate::server::Server;

fn with_server(test: impl Fn(&Client)) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("none", &folder.path().join("data"), &[]).unwrap();
    test(&server.client("key"));
    assert!(server.stop().success());
}

fn script(client: &Client, steps: &Value) -> (u16, String) {
    let rules = json!([{ "then": steps }]).to_string();
    let put = client.ask(
        "PUT",
        "/_sandtable/scripts",
        "application/yaml",
        rules.as_bytes(),
    );
    let put = put.expect("the server answers");
    (put.status, put.text())
}

fn prompt(text: &str) -> Vec<u8> {
    let messages = json!([{ "role": "user", "content": text }]);
    json!({ "model": "claude-test", "max_tokens": 100, "messages": messages })
        .to_string()
        .into_bytes()
}

fn say(client: &Client, text: &str) -> (u16, String) {
    let answer = client.ask("POST", "/v1/messages", "application/json", &prompt(text));
    let answer = answer.expect("the server answers");
    (answer.status, answer.text())
}

#[test]
fn a_template_that_makes_or_nests_too_much_is_that_requests_400() {
    let many = |text: &str| text.repeat(100_000);
    let loops = |body: &str| {
        format!(
            "${{% set ns = namespace(x='x', l=[1]) %}}${{% for a in range(9000) %}}${{% for b in range(90) %}}{body}${{% endfor %}}${{% endfor %}}"
        )
    };
    let templates = [
        loops("${% set ns.x = ns.x ~ ns.x %}"),
        loops("${% set ns.x = ns.x + ns.x %}"),
        loops("${% set ns.l = ns.l + ns.l %}"),
        loops("${% set ns.l = [ns.l, ns.l] %}"),
        loops("${% set ns.l = [ns.l] %}"),
        loops("${% set ns.l = ns.l[:] %}") + "${{ ns.l }}${% set ns.l = ns %}",
        loops("${% set ns.l = {'a': ns.l}|items %}"),
        loops(&"raw".repeat(1000)),
        "${% set ns = namespace() %}${% set ns.x = ns %}${{ ns }}".to_owned(),
        "${% set ns = namespace() %}${% set ns.x = [ns] %}${{ ns.x|tojson }}".to_owned(),
        "${{ 'a' * 1000000000 }}".to_owned(),
        "${{ [1] * 1000000000 }}".to_owned(),
        "${{ 1000000000 * 'a' }}".to_owned(),
        "${{ 'a\nb'|indent(2000000000) }}".to_owned(),
        "${{ 'a\nb'|indent(width=2000000000) }}".to_owned(),
        "${{ '%1000000000d'|format(1) }}".to_owned(),
        "${{ '%.1000000000f'|format(1.5) }}".to_owned(),
        "${{ '%*d'|format(1000000000, 1) }}".to_owned(),
        "${{ range(90000)|join('x' * 100000) }}".to_owned(),
        "${{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}".to_owned(),
        "${{ ('a' * 1000000)|replace('', 'b' * 1000000) }}".to_owned(),
        "${{ [1]|batch(1000000000, 'x')|list }}".to_owned(),
        "${{ [1]|slice(1000000000, 'x')|list }}".to_owned(),
        "${{ request|tojson(indent=1000000000) }}".to_owned(),
        "${{ range(90000)|map('indent', 90000, true)|list|length }}".to_owned(),
        "${{ range(90000)|map('format', 'x' * 90000)|list|length }}".to_owned(),
        "${{ range(90000)|select('in', ['x'] * 1000000)|list|length }}".to_owned(),
        "${% filter indent(2000000000) %}a\nb${% endfilter %}".to_owned(),
        "${% set x|indent(2000000000) %}a\nb${% endset %}${{ x }}".to_owned(),
        "${% macro m() %}${{ m() }}${% endmacro %}${{ m() }}".to_owned(),
        "${% for a in [[1]] recursive %}${{ loop([[1]]) }}${% endfor %}".to_owned(),
        format!("${{{{ {}1{} }}}}", many("("), many(")")),
        format!("${{{{ {}1{} }}}}", many("["), many("]")),
        format!("${{{{ {}1 }}}}", many("not ")),
        format!("${{{{ {}1 }}}}", many("-")),
        format!("${{{{ 1{} }}}}", many(" ~ 1")),
        format!("${{{{ 1{} }}}}", many("|string")),
        format!("${{{{ request{} }}}}", many(".a")),
        format!("${{% if 0 %}}{}${{% endif %}}", many("${% elif 0 %}")),
        many("${% if 1 %}"),
    ];
    with_server(|client| {
        for template in &templates {
            let name: String = template.chars().take(120).collect();
            let (status, text) = script(client, &json!([{ "text": template }]));
            if status == 400 {
                assert!(text.contains("request body:"), "{name}: {text}");
                continue;
            }
            let (status, text) = say(client, "hello");
            assert_eq!(status, 400, "{name}: {text}");
            assert!(text.contains("request body:"), "{name}: {text}");
            // As a value and as a condition, it is the same.
            script(client, &json!([{ "if": { "that": template }, "then": [] }]));
        }
        assert_eq!(script(client, &json!([{ "text": "ok" }])).0, 200);
        assert_eq!(say(client, "hello").0, 200);
    });
}

#[test]
fn numbers_and_nesting_in_control_calls_are_refused_or_taken_and_nothing_ends() {
    let deep = "[".repeat(100_000);
    let bomb = {
        let mut lines = vec!["a: &a0 [x,x,x,x,x,x,x,x,x]".to_owned()];
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 9].join(",");
            lines.push(format!("b{i}: &a{i} [{refs}]"));
        }
        lines.join("\n")
    };
    let regexes: Vec<Value> = (0..3000)
        .map(|_| json!({ "regex": "(a{1000}){1000}" }))
        .collect();
    let stars = "*a".repeat(20_000);
    let nested = ["(", "@[?"].map(|step| format!("$[?{}", step.repeat(1000)));
    let of_paths = |path: &String| {
        let rule = json!([{"when": {"body": {path: 1}}, "then": [{"text": "a"}]}]);
        let cassette = json!({"cassette": 1, "ignore": [path], "exchanges": []});
        [
            ("PUT", "/_sandtable/scripts", rule.to_string()),
            ("PUT", "/_sandtable/cassettes", cassette.to_string()),
        ]
    };
    let refused = [
        (
            "PUT",
            "/_sandtable/scripts",
            json!([{"when": {"model": {"glob": stars}}, "then": [{"text": "a"}]}]).to_string(),
        ),
        (
            "POST",
            "/_sandtable/faults",
            json!({"at": "http", "status": 529, "path": format!("/{stars}")}).to_string(),
        ),
    ];
    let refused: Vec<_> = nested.iter().flat_map(of_paths).chain(refused).collect();
    let calls = [
        ("PUT", "/_sandtable/scripts", deep.clone()),
        ("PUT", "/_sandtable/scripts", bomb.clone()),
        (
            "PUT",
            "/_sandtable/scripts",
            "- then: [{delay: 99999999999999999999h}]".to_owned(),
        ),
        (
            "PUT",
            "/_sandtable/scripts",
            "- times: 18446744073709551615\n  then: [{text: a}]".to_owned(),
        ),
        (
            "PUT",
            "/_sandtable/scripts",
            "- then: [{usage: {output_tokens: 18446744073709551615}}]".to_owned(),
        ),
        (
            "PUT",
            "/_sandtable/scripts",
            json!([{"when": {"user": regexes}, "then": [{"text": "a"}]}]).to_string(),
        ),
        (
            "PUT",
            "/_sandtable/scripts",
            format!(
                "- when: {{body: {{'${}': 1}}}}\n  then: [{{text: a}}]",
                "..*".repeat(12)
            ),
        ),
        ("POST", "/_sandtable/faults", deep.clone()),
        (
            "POST",
            "/_sandtable/faults",
            json!({"at": "tool", "error_code": "unavailable", "times": u64::MAX}).to_string(),
        ),
        ("PUT", "/_sandtable/cassettes", bomb),
        ("PUT", "/_sandtable/cassettes", deep.clone()),
        ("PUT", "/_sandtable/state", deep.clone()),
        ("PUT", "/_sandtable/quirks", deep.clone()),
        ("PUT", "/_sandtable/rate-limits", deep.clone()),
        (
            "POST",
            "/_sandtable/clock",
            json!({"advance": "999999999999999999h"}).to_string(),
        ),
        (
            "POST",
            "/_sandtable/clock",
            json!({"advance": "2000000000h"}).to_string(),
        ),
        (
            "GET",
            "/_sandtable/journal?limit=18446744073709551615",
            String::new(),
        ),
        ("GET", "/v1/files?limit=99999999999999999999", String::new()),
        ("POST", "/v1/messages", deep.clone()),
        ("POST", "/v1/messages/batches", deep),
    ];
    with_server(|client| {
        for (method, path, body) in &calls {
            let name: String = body.chars().take(80).collect();
            let answer = client.ask(method, path, "application/json", body.as_bytes());
            let status = answer
                .unwrap_or_else(|error| panic!("{path} {name}: {error}"))
                .status;
            assert!((200..500).contains(&status), "{path} {name}: {status}");
        }
        for (method, path, body) in &refused {
            let answer = client.ask(method, path, "application/json", body.as_bytes());
            let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        }
        // At the end of all times there are still files.
        assert_eq!(client.upload("late", b"x").unwrap().status, 200);
        client
            .ask("POST", "/_sandtable/reset", "application/json", b"")
            .unwrap();
        assert_eq!(script(client, &json!([{ "text": "ok" }])).0, 200);
        assert_eq!(say(client, "hello").0, 200);
    });
}

#[test]
fn heavy_turns_of_one_key_hold_up_no_other() {
    // Much to do, and allowed.
    const TEMPLATE: &str = "${% for a in range(90000) %}${% if 'z' in request.messages[0].content %}x${% endif %}${% endfor %}";
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("none", &folder.path().join("data"), &[]).unwrap();
    let (heavy, light) = (server.client("heavy"), server.client("light"));
    assert_eq!(script(&heavy, &json!([{ "text": TEMPLATE }])).0, 200);
    assert_eq!(script(&light, &json!([{ "text": "ok" }])).0, 200);
    let body = prompt(&"a".repeat(2_000));
    // More than there are workers.
    let count = 2 * std::thread::available_parallelism().unwrap().get();
    let under_way: Vec<_> = (0..count)
        .map(|_| {
            heavy
                .send("POST", "/v1/messages", "application/json", &body)
                .unwrap()
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(say(&light, "hello").0, 200);
    }
    let waits = under_way.iter().filter(|connection| {
        connection.set_nonblocking(true).unwrap();
        let peeked = connection.peek(&mut [0]);
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
    assert!(waits.count() > 0, "the others were over before");
    server.kill();
}
