//! Files and containers that are gone: who is accused, and the careful client beside each, who is not.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, then};
use crate::harness::{Processes, TestServer};

const READ: &str = "cat $INPUT_DIR/data.csv; true";

async fn reading() -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": READ}, {"text": "Done."}]))
        .await;
    server
}

/// The codes of all lints of the verdict.
async fn codes(server: &TestServer) -> Vec<String> {
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let lints = verdict["lints"].as_array().unwrap();
    let codes = lints
        .iter()
        .map(|lint| lint["code"].as_str().unwrap().to_owned());
    codes.collect()
}

fn given(file: &str, text: &str) -> Value {
    json!([{"type": "container_upload", "file_id": file}, {"type": "text", "text": text}])
}

fn with_upload(file: &str, text: &str) -> Value {
    let mut body = code_prompt("");
    body["messages"][0]["content"] = given(file, text);
    body
}

fn stdout(message: &Value) -> &str {
    message["content"][1]["content"]["stdout"].as_str().unwrap()
}

/// A conversation about a file, whose container has expired since: the file, the body, and the answer.
async fn expired(server: &TestServer) -> (String, Value, Value) {
    let file = server.upload("data.csv", "text/csv", "a\n").await;
    let body = with_upload(&file, "one");
    let answer = server.message(&body).await;
    assert_eq!(stdout(&answer), "a\n");
    server.advance("31d").await;
    (file, body, answer)
}

#[tokio::test]
async fn who_starts_anew_after_the_end_sends_the_files_again() {
    let server = reading().await;
    let (file, body, answer) = expired(&server).await;
    let next = then(body.clone(), &answer, &given(&file, "two"));
    assert_eq!(stdout(&server.message(&next).await), "a\n");
    assert_eq!(codes(&server).await, [""; 0]);
    // The same content under a new id is the same file to the code.
    let other = server.upload("data.csv", "text/csv", "a\n").await;
    let next = then(body.clone(), &answer, &given(&other, "three"));
    assert_eq!(stdout(&server.message(&next).await), "a\n");
    assert_eq!(codes(&server).await, [""; 0]);
    // No code, no file is missed.
    server.steps(&json!([{"text": "No call."}])).await;
    let next = then(body.clone(), &answer, &json!("thanks"));
    server.message(&next).await;
    assert_eq!(codes(&server).await, [""; 0]);
    server
        .steps(&json!([{"bash": READ}, {"text": "Done."}]))
        .await;
    let next = then(body, &answer, &json!("two"));
    assert_eq!(stdout(&server.message(&next).await), "");
    assert_eq!(codes(&server).await, ["upload_not_sent_again"]);
}

#[tokio::test]
async fn who_starts_anew_once_expires_at_is_over_sends_the_files_again_too() {
    let server = reading().await;
    let file = server.upload("data.csv", "text/csv", "a\n").await;
    let body = with_upload(&file, "one");
    let answer = server.message(&body).await;
    server.advance("61m").await;
    let next = then(body.clone(), &answer, &given(&file, "two"));
    assert_eq!(stdout(&server.message(&next).await), "a\n");
    assert_eq!(codes(&server).await, [""; 0]);
    let next = then(body, &answer, &json!("two"));
    assert_eq!(stdout(&server.message(&next).await), "");
    assert_eq!(codes(&server).await, ["upload_not_sent_again"]);
}

#[tokio::test]
async fn a_file_that_the_history_no_longer_holds_is_missed_where_the_code_reads_it() {
    let server = reading().await;
    let (file, body, answer) = expired(&server).await;
    // The client keeps the texts alone of what was given.
    let mut next = then(body.clone(), &answer, &json!("two"));
    next["messages"][0]["content"] = json!("one");
    server.message(&next).await;
    assert_eq!(codes(&server).await, ["upload_not_sent_again"]);
    server.control("POST", "reset", &Value::Null).await;
    server
        .steps(&json!([{"bash": READ}, {"text": "Done."}]))
        .await;
    let (_, body, answer) = expired(&server).await;
    server.steps(&json!([{"bash": "echo 2"}])).await;
    let mut next = then(body, &answer, &json!("what is one and one?"));
    next["messages"][0]["content"] = json!("one");
    server.message(&next).await;
    assert_eq!(codes(&server).await, [""; 0], "{file}");
}

#[tokio::test]
async fn whoever_was_told_of_the_end_asks_again_with_the_files() {
    let server = reading().await;
    let (file, body, answer) = expired(&server).await;
    // An old container and a file of before: the answer tells, and the client is not accused of the file.
    let mut late = then(body, &answer, &json!("two"));
    late["container"] = answer["container"]["id"].clone();
    let told = server.message(&late).await;
    assert_eq!(
        told["content"][1]["content"]["error_code"],
        "container_expired"
    );
    assert_eq!(codes(&server).await, ["ignored_container_expired"]);
    let mut again = late.clone();
    again.as_object_mut().unwrap().remove("container");
    again["messages"][2]["content"] = given(&file, "two");
    assert_eq!(stdout(&server.message(&again).await), "a\n");
    assert_eq!(codes(&server).await, [""; 0]);
}

#[tokio::test]
async fn whoever_was_told_of_the_end_may_also_go_on_from_the_answer() {
    let server = reading().await;
    let (file, body, answer) = expired(&server).await;
    let mut late = then(body, &answer, &json!("two"));
    late["container"] = answer["container"]["id"].clone();
    let told = server.message(&late).await;
    let mut again = then(late, &told, &given(&file, "it was over, here it is again"));
    again.as_object_mut().unwrap().remove("container");
    assert_eq!(stdout(&server.message(&again).await), "a\n");
    assert_eq!(codes(&server).await, [""; 0]);
}

#[tokio::test]
async fn an_answer_that_said_container_expired_is_none_for_who_goes_on_as_if_nothing() {
    let server = reading().await;
    let (_, body, answer) = expired(&server).await;
    let mut late = then(body, &answer, &json!("two"));
    late["container"] = answer["container"]["id"].clone();
    let told = server.message(&late).await;
    server.steps(&json!([{"text": "You are welcome."}])).await;
    let mut on = then(late, &told, &json!("thanks"));
    on.as_object_mut().unwrap().remove("container");
    server.message(&on).await;
    server.message(&prompt("something else")).await;
    assert_eq!(codes(&server).await, ["ignored_container_expired"]);
    let verdict = server.control("GET", "verify", &Value::Null).await;
    assert_eq!(verdict["ok"], false);
}

#[tokio::test]
async fn a_client_without_history_that_asks_again_without_the_file_has_forgotten_it() {
    let server = reading().await;
    let (file, _, answer) = expired(&server).await;
    server
        .steps(&json!([{"bash": "wc -l $INPUT_DIR/*; true"}, {"text": "Done."}]))
        .await;
    let mut fresh = code_prompt("count the lines");
    fresh["container"] = answer["container"]["id"].clone();
    server.message(&fresh).await;
    fresh.as_object_mut().unwrap().remove("container");
    server.message(&fresh).await;
    assert_eq!(codes(&server).await, ["upload_not_sent_again"]);
    server.control("POST", "reset", &Value::Null).await;
    server
        .steps(&json!([{"bash": READ}, {"text": "Done."}]))
        .await;
    let (file, _, answer) = {
        let _ = file;
        expired(&server).await
    };
    let mut fresh = code_prompt("count the lines");
    fresh["container"] = answer["container"]["id"].clone();
    server.message(&fresh).await;
    server.message(&with_upload(&file, "count the lines")).await;
    assert_eq!(codes(&server).await, [""; 0]);
}

#[tokio::test]
async fn an_end_that_only_a_fault_or_a_script_tells_of_is_one_for_the_client() {
    for told_by in ["fault", "script"] {
        let server = reading().await;
        let file = server.upload("data.csv", "text/csv", "a\n").await;
        let body = with_upload(&file, "one");
        let answer = server.message(&body).await;
        let mut next = then(body, &answer, &json!("two"));
        next["container"] = answer["container"]["id"].clone();
        if told_by == "fault" {
            let fault = json!({"at": "tool", "error_code": "container_expired"});
            server.control("POST", "faults", &fault).await;
        } else {
            let step = json!([{"bash": READ, "tool_error": "container_expired"}]);
            server.steps(&step).await;
        }
        server.message(&next).await;
        assert_eq!(
            codes(&server).await,
            ["ignored_container_expired"],
            "{told_by}"
        );
        server
            .steps(&json!([{"bash": READ}, {"text": "Done."}]))
            .await;
        // It lives, and leaving it out is right all the same.
        next.as_object_mut().unwrap().remove("container");
        let mut forgot = next.clone();
        next["messages"][2]["content"] = given(&file, "two");
        assert_eq!(stdout(&server.message(&next).await), "a\n");
        assert_eq!(codes(&server).await, [""; 0], "{told_by}");
        forgot["messages"][2]["content"] = json!("two");
        server.message(&forgot).await;
        assert_eq!(codes(&server).await, ["upload_not_sent_again"], "{told_by}");
    }
}

#[tokio::test]
async fn a_file_of_before_is_no_mistake_where_the_turn_has_it() {
    let server = reading().await;
    let file = server.upload("data.csv", "text/csv", "a\n").await;
    let body = with_upload(&file, "one");
    let answer = server.message(&body).await;
    // In its own container, and sent again on top of that.
    let mut next = then(body.clone(), &answer, &given(&file, "two"));
    next["container"] = answer["container"]["id"].clone();
    let second = server.message(&next).await;
    assert_eq!(stdout(&second), "a\n");
    let mut third = then(next, &second, &json!("three"));
    third["container"] = answer["container"]["id"].clone();
    assert_eq!(stdout(&server.message(&third).await), "a\n");
    assert_eq!(codes(&server).await, [""; 0]);
    // Who leaves the container out has made one mistake, not two.
    third.as_object_mut().unwrap().remove("container");
    server.message(&third).await;
    assert_eq!(codes(&server).await, ["dropped_container"]);
}

#[tokio::test]
async fn of_several_files_one_is_read_and_the_others_are_not() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let write = |name: &str| json!({"bash": format!("echo > $OUTPUT_DIR/{name}")});
    let steps = json!([write("a"), write("b"), {"bash": "cd $OUTPUT_DIR; touch c d"}]);
    let fetch = |id: String, rest: &'static str| {
        let request = server.request("GET", &format!("/v1/files/{id}{rest}"));
        let server = &server;
        async move { assert_eq!(server.send(&request).await.status, 200) }
    };
    let make = |text: &'static str| {
        let (server, steps) = (&server, &steps);
        async move {
            server.steps(steps).await;
            let answer = server.message(&code_prompt(text)).await;
            let blocks = answer["content"].as_array().unwrap();
            let files = blocks
                .iter()
                .filter_map(|block| block["content"]["content"].as_array());
            let ids = files
                .flatten()
                .map(|file| file["file_id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<String>>()
        }
    };
    let ids = make("none is read").await;
    assert_eq!(ids.len(), 4);
    assert_eq!(codes(&server).await, ["unfetched_output"; 4]);
    server.control("POST", "reset", &Value::Null).await;
    // The second and later ones, be they in the same result or in another of the answer.
    let ids = make("one is read").await;
    fetch(ids[0].clone(), "/content").await;
    assert_eq!(codes(&server).await, ["unread_further_output"; 3]);
    let verdict = server.control("GET", "verify", &Value::Null).await;
    assert_eq!(verdict["ok"], false);
    for id in &ids[1..] {
        fetch(id.clone(), "/content").await;
    }
    assert_eq!(codes(&server).await, [""; 0]);
    server.control("POST", "reset", &Value::Null).await;
    // Who looks through the names and takes one knows what it does.
    let ids = make("one is chosen").await;
    let list = server.request("GET", "/v1/files");
    assert_eq!(server.send(&list).await.status, 200);
    fetch(ids[2].clone(), "/content").await;
    assert_eq!(codes(&server).await, ["unfetched_output"; 3]);
    server.control("POST", "reset", &Value::Null).await;
    // Another answer's files are another matter.
    let ids = make("all are read").await;
    for id in ids {
        fetch(id, "/content").await;
    }
    make("none of these").await;
    assert_eq!(codes(&server).await, ["unfetched_output"; 4]);
}

#[tokio::test]
async fn files_of_an_answer_that_was_lost_are_nobody_s_to_fetch() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "touch $OUTPUT_DIR/a"}]))
        .await;
    let lost = json!({"at": "wire", "do": "reset"}).to_string();
    let request = server.messages(&code_prompt("go"));
    let mut connection = server.connect().await;
    connection
        .send(&request.header("x-sandtable-fault", &lost))
        .await;
    connection.try_read().await;
    assert_eq!(codes(&server).await, [""; 0]);
}

#[tokio::test]
async fn a_call_of_code_that_comes_back_as_the_model_s_own_is_refused_with_the_reason() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let code = "import asyncio\nprint(await asyncio.gather(query({'n': 1}), query({'n': 2})))";
    server
        .steps(&json!([{"python": code}, {"text": "Done."}]))
        .await;
    let mut body = code_prompt("go");
    body["tools"] = json!([
        {"type": "code_execution_20260120", "name": "code_execution"},
        {"name": "query", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]},
    ]);
    let answer = server.message(&body).await;
    let content = answer["content"].as_array().unwrap();
    let results: Vec<Value> = content[1..]
        .iter()
        .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "7"}))
        .collect();
    let mut good = then(body, &answer, &json!(results));
    good["container"] = answer["container"]["id"].clone();
    let cell = content[0]["id"].as_str().unwrap();
    let without = |n: &[usize], instead: Option<Value>| {
        let mut bad = good.clone();
        for n in n {
            let call = bad["messages"][1]["content"][*n].as_object_mut().unwrap();
            call.remove("caller");
            if let Some(instead) = &instead {
                call.insert("caller".to_owned(), instead.clone());
            }
        }
        bad
    };
    let direct = json!({"type": "direct"});
    for bad in [
        without(&[1, 2], None),
        without(&[2], None),
        without(&[1, 2], Some(direct)),
    ] {
        let response = server.send(&server.messages(&bad)).await;
        assert_eq!(response.status, 400, "{}", response.text());
        assert_eq!(
            response.message(),
            format!(
                "messages.1: `code_execution` tool use with id `{cell}` was found without a corresponding \
                 `code_execution_tool_result` block"
            )
        );
        let newest = &server.journal().await[0]["lints"][0];
        assert_eq!(
            (&newest["code"], &newest["level"]),
            (&json!("lost_caller"), &json!("error"))
        );
        assert!(
            newest["message"].as_str().unwrap().contains(cell),
            "{newest}"
        );
    }
    // The careful one goes on, and its code ran once.
    let done = server.message(&good).await;
    assert_eq!(done["content"][0]["content"]["stdout"], "['7', '7']\n");
    assert_eq!(codes(&server).await, ["lost_caller"; 3]);
}

#[tokio::test]
async fn a_call_of_the_model_beside_code_that_has_not_begun_has_no_caller_to_lose() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let calls = json!([{"python": "print(1)"}, {"tool_use": {"name": "query", "input": {}}}]);
    server
        .steps(&json!([{"parallel": calls}, {"text": "Done."}]))
        .await;
    let mut body = code_prompt("go");
    body["tools"] = json!([
        {"type": "code_execution_20260120", "name": "code_execution"},
        {"name": "query", "input_schema": {"type": "object"}},
    ]);
    let answer = server.message(&body).await;
    assert_eq!(answer["stop_reason"], "tool_use");
    let result =
        json!([{"type": "tool_result", "tool_use_id": answer["content"][1]["id"], "content": "7"}]);
    let mut next = then(body, &answer, &result);
    next["container"] = answer["container"]["id"].clone();
    next["messages"][1]["content"][1]
        .as_object_mut()
        .unwrap()
        .remove("caller");
    let done = server.message(&next).await;
    assert_eq!(done["content"][0]["content"]["stdout"], "1\n");
    assert_eq!(codes(&server).await, [""; 0]);
}
