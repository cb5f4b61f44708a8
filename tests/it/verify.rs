//! The verdict: each list, what survives the journal, and whose findings they are.

use std::sync::Arc;

use serde_json::{Value, json};
use server::config::Config;

use crate::harness::server::{code_prompt, prompt, streamed, then};
use crate::harness::{Processes, Request, TestServer};

const RULES: &str = "\
- name: greeting
  when: { user: { equals: hello } }
  times: 2
  then:
    - text: Hello.
- name: sums
  when: { user: sum, tools: [code_execution] }
  then:
    - tool_use: { name: add, input: {} }
    - text: Done.
";

async fn verify(server: &TestServer, query: &str) -> Value {
    server
        .control("GET", &format!("verify{query}"), &Value::Null)
        .await
}

fn empty(verdict: &Value, lists: &[&str]) {
    for list in lists {
        assert_eq!(verdict[list], json!([]), "{list}");
    }
}

fn of_key(request: Request, key: &str) -> Request {
    request.without("x-api-key").header("x-api-key", key)
}

#[tokio::test]
async fn a_run_in_which_all_was_used_is_ok() {
    let server = TestServer::start().await;
    server.script("- then: [{ text: Hello. }]").await;
    server
        .control("POST", "faults", &json!({"at": "http", "status": 529}))
        .await;
    let hello = server.messages(&prompt("hello"));
    assert_eq!(server.send(&hello).await.status, 529);
    assert_eq!(server.send(&hello).await.status, 200);
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    let lists = [
        "unmatched",
        "failed",
        "unused_steps",
        "unused_faults",
        "lints",
    ];
    empty(&verdict, &lists);
    assert_eq!(verdict["faults"][0]["outcome"], "recovered");
}

#[tokio::test]
async fn an_unmatched_turn_names_its_request_the_nearest_rules_and_the_clause() {
    let server = TestServer::start().await;
    server.script(RULES).await;
    let response = server
        .send(&server.messages(&prompt("the sum of 1 and 2")))
        .await;
    assert_eq!(response.status, 400);
    server.send(&server.messages(&prompt("hello"))).await;
    server.send(&server.messages(&prompt("hello"))).await;
    server.send(&server.messages(&prompt("hello"))).await;
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["ok"], false);
    let first = &verdict["unmatched"][0];
    assert_eq!(first["request_id"], response.header("request-id").unwrap());
    assert_eq!(first["message"], response.message());
    let nearest = &first["nearest"][0];
    assert_eq!(nearest["rule"], "sums");
    assert_eq!(nearest["line"], 6);
    assert_eq!(nearest["failed"]["clause"], "tools");
    let spent = &verdict["unmatched"][1]["nearest"][0];
    assert_eq!(spent["rule"], "greeting");
    assert_eq!(spent["used_up"], json!({"times": 2, "used": 2}));
    assert_eq!(spent.get("failed"), None);
    assert_eq!(verdict["unmatched"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_rule_that_cannot_go_on_is_a_failed_turn() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "exit 3", "expect": {"return_code": 0}}]))
        .await;
    let response = server.send(&server.messages(&code_prompt("go"))).await;
    assert_eq!(response.status, 400);
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["ok"], false);
    empty(&verdict, &["unmatched"]);
    let failed = &verdict["failed"][0];
    assert_eq!(failed["request_id"], response.header("request-id").unwrap());
    assert_eq!(failed["message"], response.message());
}

#[tokio::test]
async fn unused_steps_name_file_line_rule_and_step() {
    let server = TestServer::start().await;
    server.script(RULES).await;
    server.message(&prompt("hello")).await;
    server.message(&code_prompt("sum")).await;
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["ok"], false);
    let unused = verdict["unused_steps"].as_array().unwrap();
    let told: Vec<_> = unused
        .iter()
        .map(|step| (&step["rule"], &step["line"], &step["step"], &step["why"]))
        .collect();
    assert_eq!(
        told,
        [
            (
                &json!("greeting"),
                &json!(1),
                &Value::Null,
                &json!({"times_left": {"used": 1, "times": 2}})
            ),
            (
                &json!("sums"),
                &json!(10),
                &json!("text"),
                &json!("never_ran")
            ),
        ]
    );
    assert_eq!(unused[0]["file"], "request body");
    server.script(RULES).await;
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["unused_steps"][1]["why"], "never_answered");
}

#[tokio::test]
async fn unused_faults_are_those_with_occasions_left() {
    let server = TestServer::start().await;
    server.script("- then: [{ text: Hello. }]").await;
    let faults = json!([
        {"at": "http", "status": 529, "times": 3, "path": "/v1/messages"},
        {"at": "http", "status": 500, "times": "always", "path": "/v1/files"},
        {"at": "http", "status": 500, "probability": 0.000_001, "path": "/v1/models"},
        {"at": "stream", "do": "cut"},
    ]);
    server.control("POST", "faults", &faults).await;
    for path in ["/v1/files", "/v1/models"] {
        server.send(&server.request("GET", path)).await;
    }
    server.send(&server.messages(&prompt("hello"))).await;
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["ok"], false);
    let unused = verdict["unused_faults"].as_array().unwrap();
    let told: Vec<_> = unused
        .iter()
        .map(|fault| (&fault["id"], &fault["left"]))
        .collect();
    assert_eq!(told, [(&json!(1), &json!(2)), (&json!(4), &json!(1))]);
}

#[tokio::test]
async fn what_the_client_did_about_each_fault_is_told() {
    let server = TestServer::start().await;
    server.script("- then: [{ text: Hello. }]").await;
    let faults = json!([
        {"at": "http", "status": 529, "times": 2},
        {"at": "stream", "after_events": 2, "type": "overloaded_error"},
        {"at": "http", "do": "cut", "nth": 5},
    ]);
    server.control("POST", "faults", &faults).await;
    let plain = server.messages(&prompt("plain"));
    let retried = |n: &str| plain.clone().header("x-stainless-retry-count", n);
    assert_eq!(server.send(&retried("0")).await.status, 529);
    server.advance("2s").await;
    assert_eq!(server.send(&retried("1")).await.status, 529);
    server.advance("4s").await;
    // The second fault meets its plain answer.
    assert_eq!(server.send(&retried("2")).await.status, 529);
    assert_eq!(server.send(&plain).await.status, 200);
    // The cut is never sent again; a body of its own is no repetition.
    let mut connection = server.connect().await;
    connection
        .send(&server.messages(&streamed(prompt("cut"))))
        .await;
    assert!(connection.try_read().await.is_none());
    server.message(&prompt("other")).await;
    let verdict = verify(&server, "").await;
    let [first, second] = verdict["faults"].as_array().unwrap().as_slice() else {
        panic!("{verdict}");
    };
    assert_eq!(first["request"], "POST /v1/messages");
    assert_eq!(
        (&first["retries"], &first["outcome"]),
        (&json!(3), &json!("recovered"))
    );
    let attempts = first["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            json!([
                attempt["status"],
                attempt["faults"],
                attempt["after_virtual_ms"],
                attempt["by"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!([529, [1], null, null]),
            json!([529, [1], 2000, "sdk"]),
            json!([529, [2], 4000, "sdk"]),
            json!([200, [], 0, "client"]),
        ]
    );
    assert!(attempts[1]["after_ms"].as_f64().unwrap() < 60_000.0);
    assert_eq!(
        (&second["outcome"], &second["last_status"]),
        (&json!("gave_up"), &Value::Null)
    );
    assert_eq!(second["retries"], 0);
}

#[tokio::test]
async fn a_client_that_leaves_a_hung_request_and_asks_again_has_recovered() {
    let server = TestServer::start().await;
    server.script("- then: [{ text: Hello. }]").await;
    server
        .control("POST", "faults", &json!({"at": "http", "do": "stall"}))
        .await;
    let request = server.messages(&prompt("hello"));
    let mut events = server.connect().await;
    events
        .send(&server.request("GET", "/_sandtable/events"))
        .await;
    let mut connection = server.connect().await;
    connection.send(&request).await;
    while !events.pending().contains("event: fault_fired") {
        assert!(events.fill().await);
    }
    drop(connection);
    while !events.pending().contains("event: request_ended") {
        assert!(events.fill().await);
    }
    assert_eq!(server.send(&request).await.status, 200);
    let verdict = verify(&server, "").await;
    let chain = &verdict["faults"][0];
    assert_eq!(chain["outcome"], "recovered", "{chain}");
    assert_eq!(chain["attempts"][0]["client_left"], true);
    assert_eq!(chain["attempts"][0]["status"], Value::Null);
    let journal = server.journal().await;
    assert_eq!(
        (&journal[1]["status"], &journal[1]["client_left"]),
        (&json!(499), &json!(true))
    );
}

#[tokio::test]
async fn a_fault_of_a_tool_is_no_failure_of_the_request() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "echo hi"}])).await;
    let fault = json!({"at": "tool", "tool": "bash_code_execution", "error_code": "unavailable"});
    let request = server.messages(&code_prompt("go"));
    let request = request.header("x-sandtable-fault", &fault.to_string());
    assert_eq!(server.send(&request).await.status, 200);
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["faults"][0]["outcome"], "answered");
    assert_eq!(verdict["faults"][0]["faults"][0]["layer"], "request");
    assert_eq!(verdict["ok"], true);
}

#[tokio::test]
async fn a_fault_of_the_header_fires_or_is_told_with_its_request() {
    let server = TestServer::start().await;
    server
        .script("- when: { user: { equals: hello } }\n  then: [{ text: Hi. }]")
        .await;
    let hello = server.messages(&prompt("hello"));
    let brings = |request: &Request, fault: &Value| {
        let request = request.clone();
        request.header("x-sandtable-fault", &fault.to_string())
    };
    // These are for other requests, as a client's default header may be.
    for elsewhere in [
        json!({"at": "http", "path": "/v1/files", "status": 500}),
        json!({"at": "wire", "method": "GET", "do": "merge"}),
        json!({"at": "turn", "model": "nobody-*", "do": "pause_turn"}),
    ] {
        assert_eq!(server.send(&brings(&hello, &elsewhere)).await.status, 200);
    }
    let files = server.request("GET", "/v1/files");
    let late = json!({"at": "turn", "do": "stop", "stop_reason": "max_tokens", "after_blocks": 0, "after_chars": 500});
    assert_eq!(server.send(&brings(&files, &late)).await.status, 200);
    assert_eq!(verify(&server, "").await["ok"], true);

    let searches =
        json!({"at": "tool", "tool": "web_search", "error_code": "unavailable", "times": 2});
    for fault in [&searches, &late] {
        assert_eq!(server.send(&brings(&hello, fault)).await.status, 200);
    }
    let verdict = verify(&server, "").await;
    let ids: Vec<Value> = server
        .journal()
        .await
        .iter()
        .map(|entry| entry["id"].clone())
        .collect();
    assert_eq!(verdict["ok"], false, "{verdict}");
    let unused = &verdict["unused_faults"];
    assert_eq!(unused.as_array().unwrap().len(), 2, "{verdict}");
    for (told, (fault, id)) in [&unused[0], &unused[1]]
        .iter()
        .zip([(&searches, &ids[1]), (&late, &ids[0])])
    {
        assert_eq!(
            (&told["layer"], &told["fault"], &told["request_id"]),
            (&json!("request"), fault, id)
        );
    }
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(verify(&server, "").await["ok"], true);
}

#[tokio::test]
async fn a_fault_that_a_client_sends_with_every_request_need_fire_in_one() {
    let server = TestServer::start().await;
    server
        .script("- when: { user: one }\n  then: [{ text: a }]\n- when: { user: two }\n  then: [{ text: a long text }]")
        .await;
    let fault = json!({"at": "turn", "do": "stop", "stop_reason": "max_tokens", "after_blocks": 0, "after_chars": 5});
    let asks = |text: &str| {
        let request = server.messages(&prompt(text));
        request.header("x-sandtable-fault", &fault.to_string())
    };
    server.send(&asks("one")).await;
    let verdict = verify(&server, "").await;
    assert_eq!(
        verdict["unused_faults"].as_array().unwrap().len(),
        1,
        "{verdict}"
    );
    server.send(&asks("two")).await;
    server.send(&asks("one")).await;
    assert_eq!(verify(&server, "").await["unused_faults"], json!([]));
}

#[tokio::test]
async fn what_one_request_can_never_meet_is_refused_at_once() {
    let server = TestServer::start().await;
    let brings = |name: &str, fault: &Value| {
        let request = server.messages(&prompt("hello"));
        request.header(name, &fault.to_string())
    };
    let header = "x-sandtable-fault";
    for fault in [
        json!({"at": "http", "status": 529, "nth": 2}),
        json!([{"at": "stream", "do": "stall", "for_ms": 1, "times": 5}]),
    ] {
        let response = server.send(&brings(header, &fault)).await;
        assert_eq!(response.status, 400);
        let message = response.message();
        assert!(
            message.contains("more than one request has")
                && message.contains("POST /_sandtable/faults"),
            "{message}"
        );
    }
    let misspelt = brings("x-sandtable-faults", &json!({"at": "http", "status": 529}));
    let response = server.send(&misspelt).await;
    assert_eq!(response.status, 400);
    assert!(
        response
            .message()
            .contains("did you mean `x-sandtable-fault`?"),
        "{}",
        response.message()
    );
}

#[tokio::test]
async fn the_verdict_outlives_the_journal() {
    let server = TestServer::start().await;
    server
        .script("- when: { user: { equals: hello } }\n  then: [{ text: Hi. }]")
        .await;
    server
        .control("POST", "faults", &json!({"at": "http", "status": 529}))
        .await;
    let hello = server.messages(&prompt("hello"));
    server.send(&hello).await;
    server.send(&hello).await;
    server.send(&server.messages(&prompt("who?"))).await;
    let before = verify(&server, "").await;
    server.control("DELETE", "journal", &Value::Null).await;
    assert!(server.journal().await.is_empty());
    let after = verify(&server, "").await;
    assert_eq!(before, after);
    assert_eq!(after["unmatched"].as_array().unwrap().len(), 1);
    server.control("POST", "reset", &Value::Null).await;
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
}

#[tokio::test]
async fn what_is_not_kept_is_counted_and_still_bad() {
    let server = TestServer::start().await;
    server
        .script("- when: { user: { equals: hello } }\n  then: [{ text: Hi. }]")
        .await;
    server.message(&prompt("hello")).await;
    let most = common::limits::VERIFY_MISSES;
    let mut connection = server.connect().await;
    for _ in 0..most + 3 {
        connection.send(&server.messages(&prompt("who?"))).await;
        assert_eq!(connection.read().await.status, 400);
    }
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["unmatched"].as_array().unwrap().len(), most);
    assert_eq!(verdict["dropped"], json!({"unmatched": 3}));
}

#[tokio::test]
async fn two_workspaces_have_verdicts_of_their_own() {
    let server = TestServer::start().await;
    let put = |key: &str| {
        let request = server.request("PUT", "/_sandtable/scripts");
        of_key(
            request.body("- when: { user: { equals: hello } }\n  then: [{ text: Hi. }]"),
            key,
        )
    };
    for key in ["a", "b"] {
        assert_eq!(server.send(&put(key)).await.status, 200);
    }
    let hello = server.messages(&prompt("hello"));
    let fault = json!({"at": "http", "status": 529});
    let cause = server.request("POST", "/_sandtable/faults").json(&fault);
    assert_eq!(server.send(&of_key(cause, "a")).await.status, 200);
    let (one, other) = (of_key(hello.clone(), "a"), of_key(hello, "b"));
    assert_eq!(server.send(&one).await.status, 529);
    // The same body from another workspace repeats nothing.
    assert_eq!(server.send(&other).await.status, 200);
    let of = |key: &str| {
        let request = of_key(server.request("GET", "/_sandtable/verify"), key);
        let server = &server;
        async move { server.send(&request).await.json() }
    };
    let (a, b) = (of("a").await, of("b").await);
    assert_eq!(a["faults"][0]["outcome"], "gave_up");
    assert_eq!(a["unused_steps"][0]["rule"], "rule at line 1");
    assert_eq!((&a["ok"], &b["ok"]), (&json!(false), &json!(true)), "{b}");
    empty(&b, &["faults", "unused_steps"]);
    let all = verify(&server, "?workspace=*").await;
    assert_eq!(all["ok"], false);
    assert_eq!(all["unused_steps"].as_array().unwrap().len(), 1);
    assert_eq!(
        all["unused_steps"][0]["workspace"],
        a["faults"][0]["workspace"]
    );
}

#[tokio::test]
async fn scripts_and_faults_of_files_are_judged_over_all_workspaces_together() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("s.yaml");
    let faults = folder.path().join("f.json");
    std::fs::write(&script, "- name: a\n  when: { user: one }\n  then: [{ text: A. }]\n- name: b\n  when: { user: two }\n  then:\n    - pause_turn\n    - text: B.\n").unwrap();
    std::fs::write(
        &faults,
        r#"[{"at":"http","path":"/v1/models","status":500}]"#,
    )
    .unwrap();
    let change = |config: &mut Config| {
        config.scripts = vec![script.clone()];
        config.faults = vec![faults.clone()];
    };
    let server = TestServer::with(change).await;
    let only = verify(&server, "").await;
    assert_eq!(only["unused_steps"].as_array().unwrap().len(), 2, "{only}");
    assert_eq!(only["unused_faults"].as_array().unwrap().len(), 1);
    let send = |key: &'static str, text: &str| {
        let request = of_key(server.messages(&prompt(text)), key);
        let server = &server;
        async move { assert_eq!(server.send(&request).await.status, 200) }
    };
    send("a", "one").await;
    send("b", "two").await;
    let of_one = of_key(server.request("GET", "/_sandtable/verify?lints=off"), "a");
    let of_one = server.send(&of_one).await.json();
    assert_eq!(
        of_one["ok"], true,
        "one of several owes nothing to the files: {of_one}"
    );
    let all = verify(&server, "?workspace=*").await;
    assert_eq!(all["ok"], false);
    assert_eq!(
        all["unused_steps"],
        json!([
            {"rule": "b", "file": script.display().to_string(), "line": 8, "step": "text", "why": "never_ran", "layer": "base"},
        ])
    );
    assert_eq!(all["unused_faults"][0]["layer"], "file");
    let models = of_key(server.request("GET", "/v1/models"), "b");
    assert_eq!(server.send(&models).await.status, 500);
    let all = verify(&server, "?workspace=*").await;
    empty(&all, &["unused_faults"]);
}

#[tokio::test]
async fn items_of_a_batch_are_judged_too() {
    let server = TestServer::start().await;
    server
        .script("- when: { user: { equals: hello } }\n  then: [{ text: Hi. }]")
        .await;
    let body = json!({"requests": [
        {"custom_id": "good", "params": prompt("hello")},
        {"custom_id": "bad", "params": prompt("who?")},
    ]});
    let response = server
        .send(&server.request("POST", "/v1/messages/batches").json(&body))
        .await;
    let id = response.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/messages/batches/{id}");
    while server.send(&server.request("GET", &path)).await.json()["processing_status"] != "ended" {
        tokio::task::yield_now().await;
    }
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["unmatched"][0]["request_id"], format!("{id}/bad"));
    assert_eq!(verdict["unmatched"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_strictness_is_refused_with_a_hint() {
    let server = TestServer::start().await;
    let response = server
        .send(&server.request("GET", "/_sandtable/verify?lints=some"))
        .await;
    assert_eq!(response.status, 400);
    assert!(
        response.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("`warning`")
    );
}

#[tokio::test]
async fn steps_after_a_pause_that_goes_on_are_used() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "echo 1"}, "pause_turn", {"text": "Done."}]))
        .await;
    let body = code_prompt("go");
    let paused = server.message(&body).await;
    assert_eq!(verify(&server, "").await["ok"], false);
    let mut next = then(body, &paused, &Value::Null);
    next["container"] = paused["container"]["id"].clone();
    server.message(&next).await;
    let verdict = verify(&server, "").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
}

#[tokio::test]
async fn an_unknown_parameter_of_a_verdict_is_refused() {
    let server = TestServer::start().await;
    for (query, hint) in [
        ("duplicate=ok", "did you mean `duplicates`?"),
        ("lint=off", "did you mean `lints`?"),
        ("strict=1", "there are `lints`, `duplicates`"),
    ] {
        let request = server.request("GET", &format!("/_sandtable/verify?{query}"));
        let answer = server.send(&request).await;
        assert_eq!(answer.status, 400, "{query}");
        let said = answer.json();
        let said = said["error"]["hint"].as_str().unwrap();
        assert!(said.starts_with(hint), "{query}: {said}");
    }
}
