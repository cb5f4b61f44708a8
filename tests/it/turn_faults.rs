//! Faults of turns as a whole, and of what a request finds: each with streams and plain answers, with every
//! model, and with what the client and the verdict hear of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, then, with_tool};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Processes, Response, TestServer};

const DIRECT: &str = "```bash\necho one\n```\n```bash\nexit 3\n```";
/// The most answers that a conversation of these tests takes.
const ROUNDS: usize = 30;

async fn running() -> TestServer {
    TestServer::on(Arc::new(Processes::new())).await
}

async fn scripted(steps: Value) -> TestServer {
    let server = running().await;
    // What another rule would answer must not slip in where an answer was cut.
    let rules = json!([
        {"name": "test", "when": {"user": "go"}, "then": steps},
        {"name": "everything", "then": [{"text": "another rule"}]},
    ]);
    server.rules(&rules).await;
    server
}

async fn cause(server: &TestServer, fault: &Value) {
    server.control("POST", "faults", fault).await;
}

async fn faults(server: &TestServer) -> Vec<Value> {
    let list = server.control("GET", "faults", &Value::Null).await;
    list["data"].as_array().unwrap().clone()
}

async fn verdict(server: &TestServer) -> Value {
    server.control("GET", "verify", &Value::Null).await
}

fn codes(verdict: &Value) -> Vec<&str> {
    let lints = verdict["lints"].as_array().unwrap().iter();
    lints.map(|lint| lint["code"].as_str().unwrap()).collect()
}

/// The message that an answer holds, streamed or not.
fn message_of(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if answer.text().starts_with("event: ") {
        let events = events_of([answer.body.as_slice()]);
        assert_eq!(events.last().unwrap().0, "message_stop");
        return fold(&events);
    }
    answer.json()
}

/// Asks, and goes on after every pause. Each answer.
async fn converse(server: &TestServer, mut body: Value, stream: bool) -> Vec<Value> {
    let mut answers = Vec::new();
    for _ in 0..ROUNDS {
        let sent = if stream {
            streamed(body.clone())
        } else {
            body.clone()
        };
        let answer = message_of(&server.send(&server.messages(&sent)).await);
        let pauses = answer["stop_reason"] == "pause_turn";
        if pauses {
            body = then(body, &answer, &Value::Null);
            if let Some(id) = answer["container"]["id"].as_str() {
                body["container"] = json!(id);
            }
        }
        answers.push(answer);
        if !pauses {
            return answers;
        }
    }
    panic!("it pauses for ever");
}

/// The content of answers, together, but for ids.
fn said(answers: &[Value]) -> Vec<Value> {
    let blocks = answers
        .iter()
        .flat_map(|answer| answer["content"].as_array().unwrap());
    blocks.map(without_ids).collect()
}

fn without_ids(block: &Value) -> Value {
    match block {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| {
                !["id", "tool_use_id", "file_id", "signature"].contains(&name.as_str())
            })
            .map(|(name, value)| (name.clone(), without_ids(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_ids).collect(),
        other => other.clone(),
    }
}

fn kinds(answer: &Value) -> Vec<&str> {
    let blocks = answer["content"].as_array().unwrap().iter();
    blocks
        .map(|block| block["type"].as_str().unwrap())
        .collect()
}

/// Steps with something of everything, in which later steps look at earlier results.
fn steps() -> Value {
    json!([
        {"thinking": "Let me think."},
        {"text": "First."},
        {"bash": "echo hi > $OUTPUT_DIR/a.txt; echo one", "capture": {"word": "o(n)e"}},
        {"parallel": [{"bash": "echo two"}, {"bash": "echo three"}]},
        {"text": "${{ last.stdout | trim }} ${{ results[0].files[0].filename }} ${{ captures.word }}"},
        {"bash": "exit 7", "expect": {"return_code": 7}},
    ])
}

#[tokio::test]
async fn a_pause_anywhere_goes_on_to_what_would_have_been_said() {
    let body = || {
        let mut body = with_tool(prompt("go"), "code_execution_20250825");
        body["max_tokens"] = json!(4096);
        body["thinking"] = json!({"type": "adaptive"});
        body
    };
    let server = scripted(steps()).await;
    let whole = converse(&server, body(), false).await;
    assert_eq!(whole[0]["content"].as_array().unwrap().len(), 11);
    for stream in [false, true] {
        for after in 1..=13 {
            for times in [json!(1), json!("always")] {
                let fault = json!({"at": "turn", "do": "pause_turn", "after_blocks": after, "times": times});
                server.control("DELETE", "faults", &Value::Null).await;
                cause(&server, &fault).await;
                let answers = converse(&server, body(), stream).await;
                assert_eq!(said(&answers), said(&whole), "{fault} {stream}");
                assert_eq!(answers.last().unwrap()["stop_reason"], "end_turn");
                assert!(answers.len() > 1, "{fault} did nothing");
                for answer in &answers {
                    let calls = kinds(answer)
                        .iter()
                        .filter(|kind| **kind == "server_tool_use")
                        .count();
                    let results = kinds(answer)
                        .iter()
                        .filter(|kind| kind.ends_with("tool_result"))
                        .count();
                    assert_eq!(calls, results, "{answer}");
                }
            }
        }
    }
    assert_eq!(codes(&verdict(&server).await), ["unfetched_output"; 53]);
}

#[tokio::test]
async fn a_pause_inside_leaves_the_result_to_the_continuation() {
    let server = scripted(steps()).await;
    let body = code_prompt("go");
    let whole = converse(&server, body.clone(), false).await;
    // The call of this number, and what of its group is out with it.
    for (call, out, results_first) in [(1, 1, 1), (2, 2, 2), (3, 2, 2), (4, 1, 1)] {
        for stream in [false, true] {
            cause(
                &server,
                &json!({"at": "turn", "do": "pause_turn", "inside": true, "after_blocks": call}),
            )
            .await;
            let answers = converse(&server, body.clone(), stream).await;
            assert_eq!(answers.len(), 2);
            let first = kinds(&answers[0]);
            assert!(first.ends_with(&vec!["server_tool_use"; out]), "{first:?}");
            let second = kinds(&answers[1]);
            assert!(
                second.starts_with(&vec!["bash_code_execution_tool_result"; results_first]),
                "{second:?}"
            );
            assert_eq!(said(&answers).len(), said(&whole).len());
            assert!(answers[0]["container"]["id"].is_string());
        }
    }
    assert!(
        faults(&server)
            .await
            .iter()
            .all(|fault| fault["fired"] == 1)
    );
}

#[tokio::test]
async fn direct_answers_and_the_tour_go_on_after_a_pause_too() {
    let server = running().await;
    let asks = [
        code_prompt(DIRECT),
        code_prompt("Calculate the mean and standard deviation of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"),
        prompt("no block at all"),
    ];
    for body in asks {
        let whole = converse(&server, body.clone(), false).await;
        for fault in [
            json!({"at": "turn", "do": "pause_turn", "times": "always"}),
            json!({"at": "turn", "do": "pause_turn", "after_blocks": 99}),
            json!({"at": "turn", "do": "pause_turn", "inside": true, "times": "always"}),
        ] {
            server.control("DELETE", "faults", &Value::Null).await;
            cause(&server, &fault).await;
            for stream in [false, true] {
                let answers = converse(&server, body.clone(), stream).await;
                assert_eq!(said(&answers), said(&whole), "{fault}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_text_alone_that_is_no_pause_stays_a_refused_prefill() {
    let server = running().await;
    let body = prompt("no block at all");
    let answer = server.message(&body).await;
    let next = then(body, &answer, &Value::Null);
    assert_eq!(server.send(&server.messages(&next)).await.status, 400);
}

#[tokio::test]
async fn words_that_a_client_puts_into_a_models_mouth_are_no_answer_that_paused() {
    let server = running().await;
    let mut body = prompt("no block at all");
    body["model"] = json!("claude-haiku-4-5");
    let whole = server.message(&body).await;
    let begun = json!({"content": [{"type": "text", "text": "I"}]});
    let answer = server.message(&then(body, &begun, &Value::Null)).await;
    assert_eq!(answer["content"], whole["content"]);
}

#[tokio::test]
async fn a_pause_and_the_scripts_own_pause_do_not_meet() {
    let server = scripted(json!([{"text": "a"}, "pause_turn", {"text": "b"}])).await;
    cause(
        &server,
        &json!({"at": "turn", "do": "pause_turn", "after_blocks": 2, "times": "always"}),
    )
    .await;
    let answers = converse(&server, prompt("go"), false).await;
    // The first pauses by itself, the second at its end, the third has nothing to say.
    let content: Vec<_> = answers.iter().map(|answer| kinds(answer).len()).collect();
    assert_eq!(content, [1, 1, 0]);
    let list = faults(&server).await;
    assert_eq!(
        (&list[0]["matched"], &list[0]["fired"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_stop_ends_the_answer_and_what_was_to_come_is_not_run() {
    let server = scripted(json!([
        {"text": "one two three four five six"},
        {"bash": "echo a > $OUTPUT_DIR/a.txt"},
        {"text": "done"},
    ]))
    .await;
    let body = code_prompt("go");
    for stream in [false, true] {
        for (fault, content, details) in [
            (
                json!({"stop_reason": "refusal", "after_blocks": 0}),
                0,
                true,
            ),
            (
                json!({"stop_reason": "refusal", "category": "cyber", "explanation": "No."}),
                1,
                true,
            ),
            (json!({"stop_reason": "max_tokens"}), 1, false),
            (
                json!({"stop_reason": "model_context_window_exceeded", "after_blocks": 2}),
                3,
                false,
            ),
            (
                json!({"stop_reason": "max_tokens", "after_blocks": 9}),
                4,
                false,
            ),
        ] {
            let mut whole = fault.clone();
            whole["at"] = json!("turn");
            whole["do"] = json!("stop");
            cause(&server, &whole).await;
            let body = if stream {
                streamed(body.clone())
            } else {
                body.clone()
            };
            let answer = message_of(&server.send(&server.messages(&body)).await);
            assert_eq!(answer["stop_reason"], fault["stop_reason"]);
            assert_eq!(kinds(&answer).len(), content, "{fault}");
            if details {
                assert_eq!(answer["stop_details"]["type"], "refusal");
                assert_eq!(answer["stop_details"]["category"], fault["category"]);
                assert_eq!(answer["stop_details"]["explanation"], fault["explanation"]);
            } else {
                assert_eq!(answer["stop_details"], Value::Null);
            }
        }
    }
    let files = server
        .send(&server.request("GET", "/v1/files"))
        .await
        .json();
    assert_eq!(
        files["data"].as_array().unwrap().len(),
        4,
        "the call ran in two answers each way"
    );
    let verdict = verdict(&server).await;
    assert_eq!(verdict["faults"].as_array().unwrap().len(), 10);
    assert_eq!(verdict["faults"][0]["outcome"], "answered");
    assert_eq!(verdict["unused_faults"], json!([]));
}

#[tokio::test]
async fn a_limit_of_tokens_ends_a_text_or_a_thought_in_its_middle() {
    let server = scripted(json!([
        {"thinking": "Ein Gedanke über viele Wörter hinweg."},
        {"text": "größer als zehn"},
        {"text": "never"},
    ]))
    .await;
    let mut body = prompt("go");
    body["max_tokens"] = json!(4096);
    body["thinking"] = json!({"type": "adaptive"});
    for stream in [false, true] {
        for (after_blocks, chars, key, text) in [
            (0, 15, "thinking", "Ein Gedanke übe"),
            (1, 4, "text", "größ"),
        ] {
            cause(
                &server,
                &json!({"at": "turn", "do": "stop", "stop_reason": "max_tokens",
                                   "after_blocks": after_blocks, "after_chars": chars}),
            )
            .await;
            let body = if stream {
                streamed(body.clone())
            } else {
                body.clone()
            };
            let answer = message_of(&server.send(&server.messages(&body)).await);
            assert_eq!(answer["stop_reason"], "max_tokens");
            let last = answer["content"].as_array().unwrap().last().unwrap();
            assert_eq!(last[key], text);
            assert_eq!(kinds(&answer).len(), after_blocks + 1);
            // The conversation goes on with it.
            let next = then(body, &answer, &json!("go"));
            assert_eq!(server.send(&server.messages(&next)).await.status, 200);
        }
    }
    // A text that is no longer than that does not fit.
    cause(&server, &json!({"at": "turn", "do": "stop", "stop_reason": "max_tokens", "after_blocks": 1, "after_chars": 15})).await;
    server.message(&body).await;
    let last = faults(&server).await.pop().unwrap();
    assert_eq!(last["matched"], 0);
}

#[tokio::test]
async fn a_stop_in_calls_of_the_client_leaves_them_answerable() {
    let server =
        scripted(json!([{"tool_use": {"name": "look_up", "input": {}}}, {"text": "thanks"}])).await;
    cause(
        &server,
        &json!({"at": "turn", "do": "stop", "stop_reason": "max_tokens"}),
    )
    .await;
    let mut body = prompt("go");
    body["tools"] = json!([{"name": "look_up", "input_schema": {"type": "object"}}]);
    let answer = server.message(&body).await;
    assert_eq!(
        (&answer["stop_reason"], kinds(&answer)),
        (&json!("max_tokens"), vec!["tool_use"])
    );
    let result =
        json!([{"type": "tool_result", "tool_use_id": answer["content"][0]["id"], "content": "x"}]);
    let next = server.message(&then(body, &answer, &result)).await;
    assert_eq!(next["content"][0]["text"], "thanks");
}

#[tokio::test]
async fn a_container_expires_before_a_turn_that_names_it() {
    let server = scripted(json!([{"bash": "echo hi"}, {"text": "said"}])).await;
    cause(
        &server,
        &json!({"at": "turn", "do": "expire_container", "nth": 2}),
    )
    .await;
    let body = code_prompt("go");
    let first = server.message(&body).await;
    let mut named = body.clone();
    named["container"] = first["container"]["id"].clone();
    // The first turn names none, and the second is the first that fits.
    assert_eq!(
        server.message(&named).await["content"][1]["content"]["return_code"],
        0
    );
    assert_eq!(faults(&server).await[0]["matched"], 1);
    let over = server.message(&named).await;
    assert_eq!(
        over["content"][1]["content"]["error_code"],
        "container_expired"
    );
    assert_eq!(
        codes(&verdict(&server).await),
        ["ignored_container_expired"]
    );
    // The careful client asks again without it.
    server.message(&body).await;
    assert_eq!(codes(&verdict(&server).await), [""; 0]);
    assert_eq!(faults(&server).await[0]["fired"], 1);
}

#[tokio::test]
async fn an_expiry_answers_as_the_quirk_says_and_blames_nobody() {
    let server = scripted(json!([{"text": "said"}])).await;
    server.rules(&json!([{"when": {"user": "make"}, "then": [{"bash": "true"}]}, {"then": [{"text": "said"}]}])).await;
    let container = server.message(&code_prompt("make")).await["container"]["id"].clone();
    let mut named = code_prompt("go");
    named["container"] = container;
    cause(&server, &json!({"at": "turn", "do": "expire_container"})).await;
    assert_eq!(server.message(&named).await["content"][0]["text"], "said");
    assert_eq!(codes(&verdict(&server).await), [""; 0]);
    // Whoever names it once more had not looked.
    server.message(&named).await;
    assert_eq!(codes(&verdict(&server).await), ["expired_container_reused"]);
    let container = server.message(&code_prompt("make")).await["container"]["id"].clone();
    named["container"] = container;
    cause(&server, &json!({"at": "turn", "do": "expire_container"})).await;
    let refused = server
        .messages(&named)
        .header("x-sandtable-quirk", "expired-container=request-error");
    let refused = server.send(&refused).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[tokio::test]
async fn a_pause_that_a_fault_made_is_ignored_like_any_other() {
    let server = scripted(json!([{"text": "a"}, {"text": "b"}])).await;
    cause(&server, &json!({"at": "turn", "do": "pause_turn"})).await;
    let answer = server.message(&prompt("go")).await;
    assert_eq!(answer["stop_reason"], "pause_turn");
    let judged = verdict(&server).await;
    assert_eq!(codes(&judged), ["ignored_pause_turn"]);
    assert_eq!(judged["faults"][0]["outcome"], "answered");
    server
        .message(&then(prompt("go"), &answer, &Value::Null))
        .await;
    assert_eq!(codes(&verdict(&server).await), [""; 0]);
}

#[tokio::test]
async fn the_clock_moves_before_the_request_that_is_named() {
    let server = scripted(json!([{"bash": "echo hi"}])).await;
    cause(&server, &json!({"at": "http", "do": "advance", "by": "30d1h", "path": "/v1/messages", "method": "POST", "nth": 2})).await;
    let body = code_prompt("go");
    let mut named = body.clone();
    named["container"] = server.message(&body).await["container"]["id"].clone();
    server.send(&server.request("GET", "/v1/files")).await;
    let over = server.message(&named).await;
    assert_eq!(
        over["content"][1]["content"]["error_code"],
        "container_expired"
    );
    let clock = server.control("GET", "clock", &Value::Null).await;
    assert_eq!(
        clock["now"].as_str().unwrap(),
        "2030-02-01T04:04:05.000000Z"
    );
    let judged = verdict(&server).await;
    assert_eq!(judged["faults"][0]["faults"][0]["fault"]["do"], "advance");
}

#[tokio::test]
async fn a_file_is_gone_before_the_request_that_names_it() {
    let server = scripted(json!([{"text": "seen"}])).await;
    let upload = |id: &str| {
        let mut body = code_prompt("");
        body["messages"][0]["content"] =
            json!([{"type": "text", "text": "go"}, {"type": "container_upload", "file_id": id}]);
        body
    };
    let fault = json!({"at": "http", "do": "delete_file"});
    cause(&server, &fault).await;
    // Neither a list nor a turn without files fits, nor a file that is not there.
    server.send(&server.request("GET", "/v1/files")).await;
    server.message(&code_prompt("go")).await;
    assert_eq!(
        server
            .send(&server.request("GET", "/v1/files/file_none"))
            .await
            .status,
        404
    );
    let id = server.upload("a.txt", "text/plain", "a").await;
    assert_eq!(faults(&server).await[0]["matched"], 0);
    let gone = server
        .send(&server.request("GET", &format!("/v1/files/{id}/content")))
        .await;
    assert_eq!(
        (gone.status, gone.json()["error"]["type"].as_str()),
        (404, Some("not_found_error"))
    );
    let id = server.upload("a.txt", "text/plain", "a").await;
    cause(&server, &fault).await;
    for stream in [true, false] {
        let body = if stream {
            streamed(upload(&id))
        } else {
            upload(&id)
        };
        assert_eq!(server.send(&server.messages(&body)).await.status, 404);
    }
    // A document counts, wherever it stands; an upload of an earlier turn is inert.
    let id = server.upload("a.txt", "text/plain", "a").await;
    let old = then(
        upload(&id),
        &json!({"content": [{"type": "text", "text": "seen"}]}),
        &json!("go"),
    );
    cause(&server, &fault).await;
    server.message(&old).await;
    let mut body = prompt("");
    body["messages"][0]["content"] = json!([{"type": "document", "source": {"type": "file", "file_id": id}}, {"type": "text", "text": "go"}]);
    let body = then(
        body,
        &json!({"content": [{"type": "text", "text": "seen"}]}),
        &json!("go"),
    );
    assert_eq!(server.send(&server.messages(&body)).await.status, 404);
    assert!(
        faults(&server)
            .await
            .iter()
            .all(|fault| fault["fired"] == 1)
    );
}

#[tokio::test]
async fn an_output_that_a_fault_deletes_was_not_left_behind_by_the_client() {
    let server = scripted(json!([{"bash": "echo hi > $OUTPUT_DIR/a.txt"}])).await;
    let answer = server.message(&code_prompt("go")).await;
    let id = answer["content"][1]["content"]["content"][0]["file_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(codes(&verdict(&server).await), ["unfetched_output"]);
    cause(
        &server,
        &json!({"at": "http", "do": "delete_file", "method": "get"}),
    )
    .await;
    let gone = server
        .send(&server.request("GET", &format!("/v1/files/{id}/content")))
        .await;
    assert_eq!(gone.status, 404);
    assert_eq!(codes(&verdict(&server).await), [""; 0]);
}

#[tokio::test]
async fn items_of_batches_meet_faults_of_turns() {
    let server = scripted(json!([{"text": "a"}, {"text": "b"}])).await;
    let faults = json!([
        {"at": "turn", "do": "pause_turn"},
        {"at": "turn", "do": "stop", "stop_reason": "refusal", "nth": 2},
    ]);
    let meant = ["\"pause_turn\"", "\"refusal\""];
    cause(&server, &faults).await;
    assert_eq!(reasons_of_a_batch(&server, &json!([])).await, meant);
    // Those of the request that makes it as well.
    assert_eq!(reasons_of_a_batch(&server, &faults).await, meant);
    assert_eq!(verdict(&server).await["unused_faults"], json!([]));
    let searches = json!([{"at": "tool", "tool": "web_search", "error_code": "unavailable"}]);
    reasons_of_a_batch(&server, &searches).await;
    let unused = &verdict(&server).await["unused_faults"];
    assert_eq!(
        (&unused[0]["fault"], &unused[0]["layer"]),
        (&searches[0], &json!("request"))
    );
}

/// The stop reasons of two items, in the order of the alphabet.
async fn reasons_of_a_batch(server: &TestServer, faults: &Value) -> Vec<String> {
    let items: Vec<_> = ["x", "y"]
        .iter()
        .map(|id| json!({"custom_id": id, "params": prompt("go")}))
        .collect();
    let request = server
        .request("POST", "/v1/messages/batches")
        .header("x-sandtable-fault", &faults.to_string())
        .json(&json!({ "requests": items }));
    let batch = server.send(&request).await.json();
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while server.send(&server.request("GET", &path)).await.json()["processing_status"] != "ended" {
        assert!(
            std::time::Instant::now() < deadline,
            "the batch does not end"
        );
        tokio::task::yield_now().await;
    }
    let results = server
        .send(&server.request("GET", &format!("{path}/results")))
        .await;
    let mut reasons: Vec<String> = results
        .text()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["result"]["message"]["stop_reason"]
                .to_string()
        })
        .collect();
    reasons.sort();
    reasons
}

#[tokio::test]
async fn recorded_turns_meet_none_and_the_list_says_why() {
    let server = TestServer::start().await;
    let cassette = json!({"cassette": 1, "exchanges": [{
        "request": {"method": "POST", "path": "/v1/messages", "body": {"json": prompt("go")}},
        "response": {"status": 200, "headers": {"content-type": "application/json"}, "body": {"json": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5",
            "content": [{"type": "text", "text": "recorded"}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}}}]});
    let mount = server
        .request("PUT", "/_sandtable/cassettes")
        .body(cassette.to_string());
    let mounted = server.send(&mount).await;
    assert_eq!(mounted.status, 200, "{}", mounted.text());
    cause(
        &server,
        &json!([{"at": "turn", "do": "pause_turn"}, {"at": "http", "do": "advance", "by": "1d"}]),
    )
    .await;
    assert_eq!(
        server.message(&prompt("go")).await["stop_reason"],
        "end_turn"
    );
    let list = faults(&server).await;
    assert_eq!(list[0]["fired"], 0);
    assert!(
        list[0]["note"].as_str().unwrap().contains("recorded"),
        "{}",
        list[0]
    );
    assert_eq!(
        (&list[1]["fired"], &list[1]["note"]),
        (&json!(1), &Value::Null)
    );
    let judged = verdict(&server).await;
    assert_eq!(judged["ok"], false);
    assert_eq!(judged["unused_faults"][0]["note"], list[0]["note"]);
}
