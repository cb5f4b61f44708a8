//! Creates that were done twice, because an answer was lost: each kind, each way to lose it, and what is none.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, then};
use crate::harness::{Processes, Request, TestServer};

const LOST: &str = r#"{"at": "wire", "do": "reset"}"#;

async fn verdict(server: &TestServer, query: &str) -> Value {
    let call = format!("verify{query}");
    server.control("GET", &call, &Value::Null).await
}

/// Sends twice; the first answer is lost to `fault`.
async fn twice(server: &TestServer, request: &Request, fault: &str) -> Value {
    let mut connection = server.connect().await;
    let struck = request.clone().header("x-sandtable-fault", fault);
    connection.send(&struck).await;
    let lost = connection.try_read().await;
    assert!(lost.is_none_or(|lost| lost.status >= 500), "{fault}");
    let answer = server.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn upload(server: &TestServer, boundary: &str, text: &str) -> Request {
    let body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{text}\r\n--{boundary}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={boundary}");
    let request = server.request("POST", "/v1/files");
    request.header("content-type", &kind).body(body)
}

fn batch(server: &TestServer) -> Request {
    let body = json!({"requests": [{"custom_id": "a", "params": prompt("hello")}]});
    server.request("POST", "/v1/messages/batches").json(&body)
}

fn skill(server: &TestServer, path: &str) -> Request {
    let manifest = "---\nname: my-skill\ndescription: Says hello.\n---\n\nHello.\n";
    let parts = [("files[]", Some("my-skill/SKILL.md"), manifest)];
    server.request("POST", path).multipart(&parts)
}

async fn listed(server: &TestServer, path: &str) -> Vec<String> {
    let page = server.send(&server.request("GET", path)).await.json();
    let data = page["data"].as_array().unwrap();
    let mut ids: Vec<String> = data
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

fn sorted(ids: &Value) -> Vec<String> {
    let mut ids: Vec<String> = serde_json::from_value(ids.clone()).unwrap();
    ids.sort();
    ids
}

#[tokio::test]
async fn files_batches_and_skills_that_were_made_twice_are_named_with_both_ids() {
    let server = TestServer::start().await;
    server.script("- then: [{ text: Hello. }]").await;
    let cases = [
        (upload(&server, "b", "text"), "/v1/files"),
        (batch(&server), "/v1/messages/batches"),
        (skill(&server, "/v1/skills"), "/v1/skills?source=custom"),
    ];
    for (n, (request, list)) in cases.iter().enumerate() {
        twice(&server, request, LOST).await;
        let there = listed(&server, list).await;
        assert_eq!(there.len(), 2, "{list}");
        let verdict = verdict(&server, "").await;
        assert_eq!(verdict["ok"], false);
        let chain = &verdict["faults"][n];
        assert_eq!(chain["outcome"], "duplicated", "{chain}");
        assert_eq!(chain["attempts"][0]["made"].as_array().unwrap().len(), 1);
        let duplicate = &verdict["duplicated"][n];
        assert_eq!(sorted(&duplicate["ids"]), there);
        assert_eq!(duplicate["request"], chain["request"]);
        assert_eq!(duplicate["request_ids"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_skill_s_version_that_was_made_twice_is_one_too() {
    let server = TestServer::start().await;
    let made = server.send(&skill(&server, "/v1/skills")).await.json();
    let path = format!("/v1/skills/{}/versions", made["id"].as_str().unwrap());
    let second = twice(&server, &skill(&server, &path), LOST).await;
    let found = verdict(&server, "").await;
    assert_eq!(found["faults"][0]["outcome"], "duplicated", "{found}");
    let version = format!("{path}/{}", second["id"].as_str().unwrap());
    let gone = server.send(&server.request("DELETE", &version)).await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    let verdict = verdict(&server, "").await;
    assert_eq!(verdict["faults"][0]["outcome"], "recovered", "{verdict}");
    assert_eq!(verdict["duplicated"], json!([]));
}

#[tokio::test]
async fn whoever_takes_one_of_the_two_back_has_recovered() {
    let server = TestServer::start().await;
    server.script("- then: [{ text: Hello. }]").await;
    let file = twice(&server, &upload(&server, "b", "text"), LOST).await;
    let batch = twice(&server, &batch(&server), LOST).await;
    assert_eq!(verdict(&server, "").await["ok"], false);
    let path = |kind: &str, made: &Value| format!("/v1/{kind}/{}", made["id"].as_str().unwrap());
    let gone = server.request("DELETE", &path("files", &file));
    // One that never ran takes nothing back.
    let cut = r#"{"at": "http", "do": "cut"}"#;
    let mut connection = server.connect().await;
    connection
        .send(&gone.clone().header("x-sandtable-fault", cut))
        .await;
    connection.try_read().await;
    let before = verdict(&server, "").await;
    assert_eq!(
        before["duplicated"].as_array().unwrap().len(),
        2,
        "{before}"
    );
    assert_eq!(server.send(&gone).await.status, 200);
    let at = path("messages/batches", &batch);
    while server.send(&server.request("GET", &at)).await.json()["processing_status"] != "ended" {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.send(&server.request("DELETE", &at)).await.status,
        200
    );
    let verdict = verdict(&server, "").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    for chain in verdict["faults"].as_array().unwrap() {
        assert_eq!(chain["outcome"], "recovered", "{chain}");
    }
}

#[tokio::test]
async fn a_turn_that_ran_code_twice_is_a_duplicate_however_its_answer_was_lost() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "echo 1 >> n"}, {"text": "Done. ".repeat(100)}]))
        .await;
    let ways = [
        (false, LOST),
        (
            false,
            r#"{"at": "stream", "after_events": 20, "do": "cut"}"#,
        ),
        (
            false,
            r#"{"at": "stream", "after_events": 20, "status": 529}"#,
        ),
        (true, r#"{"at": "wire", "do": "reset", "after_events": 20}"#),
    ];
    for (n, (stream, fault)) in ways.iter().enumerate() {
        let body = code_prompt(&format!("go {n}"));
        let mut connection = server.connect().await;
        // Who lost a stream asks again without one.
        let request = server.messages(&body);
        let body = if *stream { streamed(body) } else { body };
        let struck = server.messages(&body).header("x-sandtable-fault", fault);
        connection.send(&struck).await;
        connection.try_read().await;
        assert_eq!(server.send(&request).await.status, 200);
        let found = verdict(&server, "").await;
        let chain = &found["faults"][n];
        assert_eq!(chain["outcome"], "duplicated", "{fault}: {chain}");
        let ids = sorted(&found["duplicated"][n]["ids"]);
        let of = |prefix: &str| ids.iter().filter(|id| id.starts_with(prefix)).count();
        assert_eq!((of("msg_"), of("container_")), (2, 2), "{ids:?}");
    }
    assert_eq!(verdict(&server, "").await["ok"], false);
    let verdict = verdict(&server, "?duplicates=ok").await;
    assert_eq!(
        (&verdict["ok"], &verdict["duplicated"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(verdict["faults"][0]["outcome"], "duplicated");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_and_asks_again_makes_it_twice_without_any_fault() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let quick = json!({"bash": "true"});
    let told = json!({"bash": "touch $OUTPUT_DIR/told"});
    let slow = json!({"name": "slow", "times": 1, "then": [quick, told, {"bash": "sleep 600"}]});
    server
        .rules(&json!([slow, {"name": "quick", "then": [quick]}]))
        .await;
    let request = server.messages(&code_prompt("go"));
    let mut events = server.connect().await;
    let listen = server.request("GET", "/_sandtable/events");
    events.send(&listen).await;
    let mut connection = server.connect().await;
    connection.send(&request).await;
    // The first call is over once the second one has left its file.
    while listed(&server, "/v1/files").await.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(connection);
    while !events.pending().contains("event: request_ended") {
        assert!(events.fill().await);
    }
    assert_eq!(verdict(&server, "").await["faults"], json!([]));
    assert_eq!(server.send(&request).await.status, 200);
    let verdict = verdict(&server, "").await;
    assert_eq!(verdict["ok"], false);
    let chain = &verdict["faults"][0];
    assert_eq!(chain["outcome"], "duplicated", "{verdict}");
    assert_eq!(chain["attempts"][0]["client_left"], true);
    assert_eq!(chain["faults"], json!([]));
}

#[tokio::test]
async fn a_call_that_is_cut_off_with_its_answer_has_run_all_the_same() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let folder = tempfile::TempDir::new().unwrap();
    // Calls may run as another user.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let mark = |name: &str| folder.path().join(name);
    let slow_once = |name: &str| {
        let mark = mark(name);
        let mark = mark.display();
        json!({"bash": format!("[ -e {mark} ] || {{ touch {mark}; sleep 600; }}")})
    };
    server
        .rules(&json!([
            {"when": {"user": "open"}, "then": [{"bash": "true"}]},
            {"when": {"user": "new"}, "then": [slow_once("new")]},
            {"when": {"user": "named"}, "then": [slow_once("named")]},
            {"when": {"user": "paused"}, "then": [{"text": "Half."}, "pause_turn", slow_once("paused")]},
        ]))
        .await;
    let opened = server.message(&code_prompt("open")).await;
    let mut named = code_prompt("named");
    named["container"] = opened["container"]["id"].clone();
    let mut paused = code_prompt("paused");
    let half = server.message(&paused).await;
    let said = json!({"role": "assistant", "content": half["content"]});
    paused["messages"].as_array_mut().unwrap().push(said);
    // The message, and the container if there was none.
    let cases = [
        ("new", code_prompt("new"), 2),
        ("named", named, 1),
        ("paused", paused, 2),
    ];
    for (n, (name, body, made)) in cases.iter().enumerate() {
        let request = server.messages(body);
        let mut connection = server.connect().await;
        connection.send(&request).await;
        while !mark(name).exists() {
            tokio::task::yield_now().await;
        }
        drop(connection);
        while server.journal().await[0]["client_left"] != true {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.send(&request).await.status, 200, "{name}");
        let verdict = verdict(&server, "").await;
        let chain = &verdict["faults"][n];
        assert_eq!(chain["outcome"], "duplicated", "{name}: {verdict}");
        let first = chain["attempts"][0]["made"].as_array().unwrap();
        assert_eq!(first.len(), *made, "{name}: {chain}");
    }
}

#[tokio::test]
async fn what_was_not_made_twice_has_recovered() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"text": "No call."}])).await;
    let refused = r#"{"at": "http", "status": 529}"#;
    // Before the handler nothing is made, and text alone does nothing.
    twice(&server, &upload(&server, "b", "text"), refused).await;
    twice(&server, &server.messages(&code_prompt("go")), LOST).await;
    // A call that does not run does nothing either.
    server
        .steps(&json!([{"bash": "true", "tool_error": "unavailable"}]))
        .await;
    twice(&server, &server.messages(&code_prompt("again")), LOST).await;
    let verdict = verdict(&server, "").await;
    let chains = verdict["faults"].as_array().unwrap();
    let outcomes: Vec<&Value> = chains.iter().map(|chain| &chain["outcome"]).collect();
    assert_eq!(
        outcomes,
        ["recovered", "recovered", "recovered"],
        "{verdict}"
    );
    assert_eq!(verdict["duplicated"], json!([]));
    assert_eq!(verdict["ok"], true);
}

#[tokio::test]
async fn uploads_are_the_same_by_what_they_say_and_not_by_their_length() {
    let server = TestServer::start().await;
    for fault in [r#"{"at": "http", "status": 529}"#, LOST] {
        server.control("POST", "reset", &Value::Null).await;
        let mut connection = server.connect().await;
        let first = upload(&server, "b", "text").header("x-sandtable-fault", fault);
        connection.send(&first).await;
        connection.try_read().await;
        // As long, and another.
        server.send(&upload(&server, "b", "tent")).await;
        let found = verdict(&server, "").await;
        assert_eq!(found["faults"][0]["outcome"], "gave_up", "{found}");
        // Another boundary, and the same.
        server.send(&upload(&server, "another", "text")).await;
        let found = verdict(&server, "").await;
        assert_eq!(found["faults"][0]["retries"], 1, "{found}");
    }
}

#[tokio::test]
async fn a_continuation_that_is_sent_again_runs_nothing_twice() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"python": "print(await query({'n': 1}))"}, {"text": "Done."}]))
        .await;
    let mut body = code_prompt("go");
    body["tools"] = json!([
        {"type": "code_execution_20260120", "name": "code_execution"},
        {"name": "query", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]},
    ]);
    let first = server.message(&body).await;
    let call = &first["content"][1]["id"];
    let result = json!([{"type": "tool_result", "tool_use_id": call, "content": "7"}]);
    let mut next = then(body, &first, &result);
    next["container"] = first["container"]["id"].clone();
    let answer = twice(&server, &server.messages(&next), LOST).await;
    assert_eq!(answer["content"][0]["content"]["stdout"], "7\n");
    let verdict = verdict(&server, "").await;
    assert_eq!(verdict["faults"][0]["outcome"], "recovered", "{verdict}");
}

#[tokio::test]
async fn an_idempotency_key_is_told_and_changes_nothing() {
    let server = TestServer::start().await;
    let request = upload(&server, "b", "text").header("idempotency-key", "once-1");
    twice(&server, &request, LOST).await;
    let verdict = verdict(&server, "").await;
    let chain = &verdict["faults"][0];
    assert_eq!(chain["outcome"], "duplicated");
    assert_eq!(chain["idempotency_key"], "once-1");
    assert_eq!(listed(&server, "/v1/files").await.len(), 2);
}
