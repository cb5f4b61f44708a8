//! The verdict on a whole run: over resets, with labels, and when nothing was asked.

use serde_json::{Value, json};

use crate::harness::server::prompt;
use crate::harness::{Request, TestServer};

const HELLO: &str = "- when: { user: { equals: hello } }\n  then: [{ text: Hi. }]";

fn of_key(request: Request, key: &str) -> Request {
    request.without("x-api-key").header("x-api-key", key)
}

/// A control call with a key.
async fn control(server: &TestServer, key: &str, method: &str, call: &str, body: &Value) -> Value {
    let request = server.request(method, &format!("/_sandtable/{call}"));
    let request = if body.is_null() {
        request
    } else {
        request.json(body)
    };
    let response = server.send(&of_key(request, key)).await;
    assert_eq!(response.status, 200, "{call}: {}", response.text());
    response.json()
}

async fn whole(server: &TestServer, more: &str) -> Value {
    let call = format!("verify?workspace=*{more}");
    server.control("GET", &call, &Value::Null).await
}

fn counts(verdict: &Value, lists: &[&str]) -> Vec<usize> {
    let count = |name: &&str| verdict[*name].as_array().unwrap().len();
    lists.iter().map(count).collect()
}

const LISTS: &[&str] = &["unmatched", "unused_steps", "unused_faults", "faults"];

/// One test of a suite that gets everything wrong.
async fn sloppy(server: &TestServer) {
    server.script(HELLO).await;
    let faults =
        json!([{"at": "http", "status": 529}, {"at": "http", "path": "/v1/models", "status": 500}]);
    server.control("POST", "faults", &faults).await;
    let ask = server.messages(&prompt("who?"));
    assert_eq!(server.send(&ask).await.status, 529);
    assert_eq!(server.send(&ask).await.status, 400);
}

#[tokio::test]
async fn a_reset_does_not_take_from_the_verdict_on_the_run() {
    let server = TestServer::start().await;
    sloppy(&server).await;
    let before = whole(&server, "").await;
    assert_eq!(counts(&before, LISTS), [1, 1, 1, 1]);
    server.control("POST", "reset", &Value::Null).await;
    let own = server.control("GET", "verify", &Value::Null).await;
    assert_eq!(own["ok"], true, "{own}");
    assert_eq!(own["requests"], json!({"answered": 0, "refused": 0}));
    let after = whole(&server, "").await;
    assert_eq!(after, before);
    // A second test of the same key adds its own.
    sloppy(&server).await;
    let both = whole(&server, "").await;
    assert_eq!(counts(&both, LISTS), [2, 2, 2, 2]);
    assert_eq!(both["requests"]["answered"], 2);
    assert_eq!(both["requests"]["refused"], 2);
    // A state that is put in place of all is a reset as well.
    let state = server.control("GET", "state", &Value::Null).await;
    server.control("PUT", "state", &state).await;
    assert_eq!(counts(&whole(&server, "").await, LISTS)[0], 2);
}

#[tokio::test]
async fn what_one_test_uses_of_the_files_is_used_whatever_is_reset_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("s.yaml");
    let rules = "- name: a\n  when: { user: one }\n  then: [{ text: A. }]\n- name: b\n  when: { user: two }\n  then: [{ text: B. }]\n";
    std::fs::write(&script, rules).unwrap();
    let server = TestServer::with(|config| config.scripts = vec![script.clone()]).await;
    let rules = |verdict: &Value| -> Vec<String> {
        let steps = verdict["unused_steps"].as_array().unwrap();
        let names = steps.iter().map(|step| step["rule"].as_str().unwrap());
        names.map(str::to_owned).collect()
    };
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(rules(&whole(&server, "").await), ["a", "b"]);
    server.message(&prompt("one")).await;
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(rules(&whole(&server, "").await), ["b"]);
    server.message(&prompt("two")).await;
    assert_eq!(rules(&whole(&server, "").await), [""; 0]);
    server.control("POST", "reset", &Value::Null).await;
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(whole(&server, "").await["ok"], true);
}

#[tokio::test]
async fn what_is_not_kept_over_resets_is_counted_and_still_bad() {
    let server = TestServer::start().await;
    let most = common::limits::VERIFY_ARCHIVED;
    let rule = |n: usize| json!({"when": {"user": {"equals": format!("never {n}")}}, "then": [{"text": "A."}]});
    let rules: Vec<Value> = (0..400).map(rule).collect();
    for _ in 0..3 {
        server.rules(&json!(rules)).await;
        server.control("POST", "reset", &Value::Null).await;
    }
    let verdict = whole(&server, "").await;
    assert_eq!(verdict["unused_steps"].as_array().unwrap().len(), most);
    assert_eq!(verdict["dropped"], json!({"unused_steps": 200}));
    assert_eq!(verdict["ok"], false);
}

#[tokio::test]
async fn findings_name_the_test_that_the_key_was_handed_to_at_the_time() {
    let server = TestServer::start().await;
    let label = |text: &str| json!({"label": text});
    let first = server
        .control("PUT", "label", &label("tests/a.py::test_1"))
        .await;
    assert_eq!(first["label"], "tests/a.py::test_1");
    assert!(first["workspace"].as_str().unwrap().starts_with("wrkspc_"));
    sloppy(&server).await;
    server.control("POST", "reset", &Value::Null).await;
    // It stays.
    sloppy(&server).await;
    server.control("POST", "reset", &Value::Null).await;
    server
        .control("PUT", "label", &label("tests/a.py::test_2"))
        .await;
    sloppy(&server).await;
    let verdict = whole(&server, "").await;
    for list in LISTS {
        let found = verdict[*list].as_array().unwrap();
        let labels: Vec<&Value> = found.iter().map(|finding| &finding["label"]).collect();
        let (one, two) = ("tests/a.py::test_1", "tests/a.py::test_2");
        assert_eq!(labels, [one, one, two], "{list}");
        assert!(
            found
                .iter()
                .all(|finding| finding["workspace"] == first["workspace"])
        );
    }
}

#[tokio::test]
async fn a_label_that_is_none_is_refused_with_a_hint() {
    let server = TestServer::start().await;
    let most = common::limits::MAX_LABEL_CHARS;
    for body in [
        json!({}),
        json!({"label": ""}),
        json!({"label": 3}),
        json!({"label": "a", "name": "b"}),
        json!("a"),
        json!({"label": "ä".repeat(most + 1)}),
    ] {
        let request = server.request("PUT", "/_sandtable/label").json(&body);
        let response = server.send(&request).await;
        assert_eq!(response.status, 400, "{body}");
        let hint = response.json()["error"]["hint"].clone();
        assert!(hint.as_str().unwrap().contains("label"), "{hint}");
    }
    let longest = json!({"label": "ä".repeat(most)});
    server.control("PUT", "label", &longest).await;
}

#[tokio::test]
async fn a_key_that_no_test_handed_out_names_itself() {
    let server = TestServer::start().await;
    let (handed, other) = ("sk-ant-handed-out-0001", "sk-ant-somebody-s-1234");
    let ask = |key: &str| {
        let request = of_key(server.request("GET", "/v1/models"), key);
        let server = &server;
        async move { server.send(&request).await }
    };
    ask(handed).await;
    let first = ask(other).await;
    // Without labels every key is a normal one.
    assert_eq!(whole(&server, "").await["unclaimed"], json!([]));
    control(&server, handed, "PUT", "label", &json!({"label": "test_a"})).await;
    // Only control calls: no claim is needed.
    control(
        &server,
        "sk-ant-only-looks-on",
        "GET",
        "clock",
        &Value::Null,
    )
    .await;
    ask(other).await;
    control(&server, other, "POST", "reset", &Value::Null).await;
    ask("short").await;
    let verdict = whole(&server, "").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    let unclaimed = verdict["unclaimed"].as_array().unwrap();
    assert_eq!(unclaimed.len(), 2, "{verdict}");
    let find = |key: Value| unclaimed.iter().find(|item| item["key"] == key).unwrap();
    let long = find(json!("…1234"));
    assert_eq!(long["requests"], 2);
    assert_eq!(
        long["first_request_id"],
        first.header("request-id").unwrap()
    );
    assert_eq!(long["level"], "warning");
    assert_eq!(find(Value::Null)["requests"], 1);
    assert!(!verdict.to_string().contains("somebody"), "{verdict}");
    assert_eq!(whole(&server, "&lints=warning").await["ok"], false);
    assert_eq!(whole(&server, "&lints=off").await["ok"], true);
}

#[tokio::test]
async fn a_run_in_which_nothing_was_answered_is_bad_where_that_is_asked() {
    let server = TestServer::start().await;
    let why = |verdict: &Value| verdict["empty"][0]["message"].clone();
    let silent = whole(&server, "&empty=bad").await;
    assert_eq!(
        (&silent["ok"], why(&silent)),
        (&json!(false), json!("no API request came"))
    );
    assert_eq!(whole(&server, "").await["ok"], true);
    // Refusals are no answers, with a key or without.
    assert_eq!(
        server
            .send(&server.request("GET", "/v1/nothing"))
            .await
            .status,
        404
    );
    let keyless = server.request("GET", "/v1/models").without("x-api-key");
    assert_eq!(server.send(&keyless).await.status, 401);
    let refused = whole(&server, "&empty=bad").await;
    assert_eq!(refused["requests"], json!({"answered": 0, "refused": 2}));
    assert_eq!(why(&refused), "all 2 API requests were refused");
    assert_eq!(refused["ok"], false);
    // A fault's answer is one that was asked for.
    let fault = json!({"at": "http", "status": 529}).to_string();
    let models = server
        .request("GET", "/v1/models")
        .header("x-sandtable-fault", &fault);
    assert_eq!(server.send(&models).await.status, 529);
    server.control("POST", "reset", &Value::Null).await;
    let verdict = whole(&server, "&empty=bad").await;
    assert_eq!(
        (&verdict["ok"], &verdict["empty"]),
        (&json!(true), &json!([]))
    );
    for query in ["empty=some", "duplicates=1"] {
        let path = format!("/_sandtable/verify?{query}");
        let response = server.send(&server.request("GET", &path)).await;
        assert_eq!(response.status, 400);
    }
}
