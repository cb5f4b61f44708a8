//! Mistakes of clients that the real service punishes silently: each is found, and what is right is not.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, then};
use crate::harness::{Processes, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

/// Every lint of the verdict: its code, its level, and whether it names a request.
async fn lints(server: &TestServer) -> Vec<(String, String)> {
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let lints = verdict["lints"].as_array().unwrap();
    lints
        .iter()
        .map(|lint| {
            assert!(lint["request_id"].as_str().unwrap().starts_with("req_"));
            assert!(!lint["hint"].as_str().unwrap().is_empty());
            let text = |name: &str| lint[name].as_str().unwrap().to_owned();
            (text("code"), text("level"))
        })
        .collect()
}

fn one(code: &str, level: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), level.to_owned())]
}

/// The verdict on everything but the scripts.
async fn is_ok(server: &TestServer, lints: &str) -> bool {
    let verdict = server
        .control("GET", &format!("verify?lints={lints}"), &Value::Null)
        .await;
    assert_eq!(verdict["unused_steps"], json!([]));
    verdict["ok"] == true
}

async fn codes_of_newest(server: &TestServer) -> Value {
    let journal = server.journal().await;
    let lints = journal[0]["lints"].as_array().unwrap();
    lints.iter().map(|lint| lint["code"].clone()).collect()
}

fn with_upload(file: &str, text: &str) -> Value {
    let mut body = code_prompt("");
    body["messages"][0]["content"] =
        json!([{"type": "container_upload", "file_id": file}, {"type": "text", "text": text}]);
    body
}

#[tokio::test]
async fn an_upload_of_an_earlier_message_is_inert_unless_its_container_is_sent() {
    let server = running(json!([{"bash": "cat data.csv; true"}])).await;
    let file = server.upload("data.csv", "text/csv", "a\n").await;
    let first = with_upload(&file, "one");
    let answer = server.message(&first).await;
    let mut second = then(first, &answer, &json!("two"));
    second["container"] = answer["container"]["id"].clone();
    let reused = server.message(&second).await;
    assert_eq!(reused["content"][1]["content"]["stdout"], "a\n");
    assert_eq!(lints(&server).await, []);
    let mut alone = with_upload(&file, "one");
    alone["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": "Fine."}),
        json!({"role": "user", "content": "two"}),
    ]);
    let missing = server.message(&alone).await;
    assert_eq!(missing["content"][1]["content"]["stdout"], "");
    assert_eq!(lints(&server).await, one("inert_container_upload", "error"));
    assert_eq!(
        codes_of_newest(&server).await,
        json!(["inert_container_upload"])
    );
    assert!(!is_ok(&server, "error").await);
    assert!(is_ok(&server, "off").await);
}

#[tokio::test]
async fn a_dropped_container_is_found_when_code_runs_again_and_only_then() {
    let server = running(json!([{"bash": "echo x >> note; cat note"}])).await;
    let body = code_prompt("one");
    let answer = server.message(&body).await;
    let next = then(body, &answer, &json!("two"));
    let mut kept = next.clone();
    kept["container"] = answer["container"]["id"].clone();
    server.message(&kept).await;
    // Nothing runs, nothing is lost.
    server.steps(&json!([{"text": "No call."}])).await;
    server.message(&next).await;
    assert_eq!(lints(&server).await, []);
    server.steps(&json!([{"bash": "cat note"}])).await;
    server.message(&next).await;
    assert_eq!(lints(&server).await, one("dropped_container", "error"));
    // Who starts anew because the old one is over does right, be it so by `expires_at` alone.
    for (after, codes) in [("59m", 1), ("60m", 0), ("30d", 0)] {
        server.control("POST", "reset", &Value::Null).await;
        server.freeze().await;
        server.steps(&json!([{"bash": "true"}])).await;
        let body = code_prompt("one");
        let answer = server.message(&body).await;
        server.advance(after).await;
        server.message(&then(body, &answer, &json!("two"))).await;
        assert_eq!(lints(&server).await.len(), codes, "{after}");
    }
    // Where it is told that it lives for 30 days, it does after an hour.
    server.control("POST", "reset", &Value::Null).await;
    let hard = json!({"container-expires-at": "hard"});
    server.control("PUT", "quirks", &hard).await;
    server.steps(&json!([{"bash": "true"}])).await;
    let body = code_prompt("one");
    let answer = server.message(&body).await;
    server.advance("2h").await;
    server.message(&then(body, &answer, &json!("two"))).await;
    assert_eq!(lints(&server).await, one("dropped_container", "error"));
}

#[tokio::test]
async fn a_pause_that_nobody_goes_on_with_is_ignored() {
    let server = running(json!([{"bash": "echo 1"}, "pause_turn", {"text": "Done."}])).await;
    let body = code_prompt("go");
    let paused = server.message(&body).await;
    assert_eq!(paused["stop_reason"], "pause_turn");
    assert_eq!(lints(&server).await, one("ignored_pause_turn", "error"));
    let mut next = then(body, &paused, &Value::Null);
    next["container"] = paused["container"]["id"].clone();
    server.message(&next).await;
    assert_eq!(lints(&server).await, []);
    let answer = server
        .send(&server.messages(&streamed(code_prompt("again"))))
        .await;
    assert!(answer.text().contains("pause_turn"));
    assert_eq!(lints(&server).await, one("ignored_pause_turn", "error"));
}

#[tokio::test]
async fn a_pause_without_calls_goes_on_too() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"text": "Wait."}, "pause_turn", {"text": "Done."}]))
        .await;
    let body = prompt("go");
    let paused = server.message(&body).await;
    assert_eq!(lints(&server).await, one("ignored_pause_turn", "error"));
    server.message(&then(body, &paused, &Value::Null)).await;
    assert_eq!(lints(&server).await, []);
}

#[tokio::test]
async fn a_pause_without_calls_of_its_own_goes_on_with_those_before_it() {
    let server = running(
        json!([{"bash": "true"}, "pause_turn", {"text": "b"}, "pause_turn", {"text": "c"}]),
    )
    .await;
    let first = server.message(&code_prompt("go")).await;
    let body = then(code_prompt("go"), &first, &Value::Null);
    let second = server.message(&body).await;
    assert_eq!(lints(&server).await, one("ignored_pause_turn", "error"));
    server.message(&then(body, &second, &Value::Null)).await;
    assert_eq!(lints(&server).await, []);
}

#[tokio::test]
async fn a_pause_goes_on_whoever_made_the_calls_before_it() {
    let echo = json!({"mcp_tool_use": {"server": "echo", "name": "echo", "text": "hi"}});
    let code = json!({"python": "print(len(await web_search({'query': 'q'})))"});
    let ask = json!({"tool_use": "ask"});
    for steps in [
        vec![echo.clone(), json!("pause_turn")],
        vec![echo.clone(), json!({"text": "a"}), json!("pause_turn")],
        vec![echo.clone(), json!({"bash": "true"}), json!("pause_turn")],
        vec![echo; 12],
        vec![code.clone(), json!("pause_turn")],
        vec![json!({"parallel": [ask, code]}), json!("pause_turn")],
    ] {
        let server = TestServer::on(Arc::new(Processes::new())).await;
        let then_do = [&steps[..], &[json!({"text": "Done."})]].concat();
        let rules = json!([{"web": [{"search": {"regex": "."}, "results": []}], "then": then_do}]);
        server.script(&rules.to_string()).await;
        let mut body = code_prompt("go");
        body["mcp_servers"] =
            json!([{"type": "url", "url": "https://echo.example/mcp", "name": "echo"}]);
        body["tools"] = json!([
            {"type": "code_execution_20260120", "name": "code_execution"},
            {"type": "web_search_20260209", "name": "web_search"},
            {"type": "mcp_toolset", "mcp_server_name": "echo"},
            {"name": "ask", "input_schema": {"type": "object"}},
        ]);
        loop {
            let request = server.messages(&body);
            let request = request.header("anthropic-beta", "mcp-client-2025-11-20");
            let response = server.send(&request).await;
            assert_eq!(response.status, 200, "{}", response.text());
            let answer = response.json();
            let said = match answer["stop_reason"].as_str() {
                Some("tool_use") => json!([
                    {"type": "tool_result", "tool_use_id": answer["content"][0]["id"], "content": "7"}
                ]),
                Some("pause_turn") => {
                    let found = lints(&server).await;
                    assert_eq!(found, one("ignored_pause_turn", "error"), "{steps:?}");
                    Value::Null
                }
                _ => break,
            };
            body = then(body, &answer, &said);
            if answer["container"]["id"].is_string() {
                body["container"] = answer["container"]["id"].clone();
            }
        }
        assert_eq!(lints(&server).await, [], "{steps:?}");
    }
}

#[tokio::test]
async fn code_in_the_container_of_another_conversation_is_found() {
    let server = running(json!([{"bash": "true"}])).await;
    let ours = server.message(&code_prompt("one")).await;
    let other = server.message(&code_prompt("another")).await;
    let mut next = then(code_prompt("one"), &ours, &json!("two"));
    next["container"] = other["container"]["id"].clone();
    // Nothing runs, nothing is lost.
    server.steps(&json!([{"text": "No call."}])).await;
    server.message(&next).await;
    assert_eq!(lints(&server).await, []);
    server.steps(&json!([{"bash": "true"}])).await;
    let strayed = server.message(&next).await;
    assert_eq!(lints(&server).await, one("dropped_container", "error"));
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let text = |answer: &Value| answer["container"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        verdict["lints"][0]["message"],
        format!(
            "code runs in `{}`: the conversation's `{}` was not sent in `container`",
            text(&other),
            text(&ours)
        )
    );
    // It may go back to either.
    let mut back = then(next, &strayed, &json!("three"));
    for answer in [&ours, &other] {
        back["container"] = answer["container"]["id"].clone();
        server.message(&back).await;
    }
    assert_eq!(lints(&server).await.len(), 1);
    // Who takes another one because the old one is over does right.
    server.control("POST", "reset", &Value::Null).await;
    server.freeze().await;
    server.steps(&json!([{"bash": "true"}])).await;
    let ours = server.message(&code_prompt("one")).await;
    server.advance("2h").await;
    let other = server.message(&code_prompt("another")).await;
    let mut next = then(code_prompt("one"), &ours, &json!("two"));
    next["container"] = other["container"]["id"].clone();
    server.message(&next).await;
    assert_eq!(lints(&server).await, []);
}

#[tokio::test]
async fn code_that_waits_is_not_said_to_have_ended_where_another_container_is_sent() {
    let server = running(json!([{"python": "print(await query({}))"}, {"text": "Done."}])).await;
    let mut body = code_prompt("go");
    body["tools"] = json!([
        {"type": "code_execution_20260120", "name": "code_execution"},
        {"name": "query", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]},
    ]);
    let ours = server.message(&body).await;
    let mut elsewhere = body.clone();
    elsewhere["messages"][0]["content"] = json!("elsewhere");
    let other = server.message(&elsewhere).await;
    let result =
        json!([{"type": "tool_result", "tool_use_id": ours["content"][1]["id"], "content": "7"}]);
    let mut next = then(body, &ours, &result);
    for (container, output, found) in [
        (&other, &["stderr", "TimeoutError"], 1),
        (&ours, &["stdout", "7\n"], 1),
    ] {
        next["container"] = container["container"]["id"].clone();
        let done = server.message(&next).await;
        let said = done["content"][0]["content"][output[0]].as_str().unwrap();
        assert!(said.starts_with(output[1]), "{done}");
        assert_eq!(
            lints(&server).await,
            vec![one("dropped_container", "error"); found].concat()
        );
    }
}

#[tokio::test]
async fn output_files_are_fetched_deleted_or_handed_on_or_they_are_lost() {
    let write = "for f in a b c d; do echo $f > $OUTPUT_DIR/$f.txt; done";
    let server = running(json!([{"bash": write}])).await;
    let message = server.message(&code_prompt("go")).await;
    let files = message["content"][1]["content"]["content"]
        .as_array()
        .unwrap();
    let ids: Vec<&str> = files
        .iter()
        .map(|file| file["file_id"].as_str().unwrap())
        .collect();
    assert_eq!(lints(&server).await.len(), 4);
    let path = |id: &str| format!("/v1/files/{id}");
    // Its metadata are not the file.
    server.send(&server.request("GET", &path(ids[0]))).await;
    assert_eq!(lints(&server).await.len(), 4);
    server
        .send(&server.request("GET", &(path(ids[0]) + "/content")))
        .await;
    server.send(&server.request("DELETE", &path(ids[1]))).await;
    server.steps(&json!([{"text": "Thanks."}])).await;
    server.message(&with_upload(ids[2], "take it")).await;
    assert_eq!(lints(&server).await, one("unread_further_output", "error"));
    // Who has seen its name may not want it.
    server.send(&server.request("GET", &path(ids[3]))).await;
    assert_eq!(lints(&server).await, one("unfetched_output", "warning"));
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let lint = &verdict["lints"][0];
    assert!(
        lint["message"].as_str().unwrap().contains("d.txt"),
        "{lint}"
    );
    assert!(is_ok(&server, "error").await);
    assert!(!is_ok(&server, "warning").await);
}

#[tokio::test]
async fn what_a_client_never_got_or_never_handed_over_is_no_look_at_a_file() {
    let server =
        running(json!([{"bash": "for f in a b c; do echo $f > $OUTPUT_DIR/$f.txt; done"}])).await;
    let message = server.message(&code_prompt("go")).await;
    let files = message["content"][1]["content"]["content"].as_array();
    let ids: Vec<&str> = files
        .unwrap()
        .iter()
        .map(|file| file["file_id"].as_str().unwrap())
        .collect();
    let lost = async |method: &str, path: &str, fault: &str| {
        let request = server.request(method, path);
        let mut connection = server.connect().await;
        connection
            .send(&request.header("x-sandtable-fault", fault))
            .await;
        connection.try_read().await;
    };
    let content = format!("/v1/files/{}/content", ids[0]);
    let cut = r#"{"at": "http", "do": "cut"}"#;
    for fault in [
        cut,
        r#"{"at": "wire", "do": "reset"}"#,
        r#"{"at": "wire", "do": "reset", "after_work": true}"#,
    ] {
        lost("GET", &content, fault).await;
        assert_eq!(lints(&server).await.len(), 3, "{fault}");
    }
    // A request that is refused for another file of it.
    server.steps(&json!([{"text": "Thanks."}])).await;
    let mut refused = with_upload(ids[0], "take it");
    let upload = json!({"type": "container_upload", "file_id": "file_011CNha8iCJcU1wXNR6q4V8w"});
    let blocks = refused["messages"][0]["content"].as_array_mut().unwrap();
    blocks.push(upload);
    assert_eq!(server.send(&server.messages(&refused)).await.status, 404);
    assert!(
        lints(&server)
            .await
            .iter()
            .all(|lint| lint.0 == "unfetched_output")
    );
    // One is taken; of the others no list has shown anything.
    server.send(&server.request("GET", &content)).await;
    lost("GET", "/v1/files", cut).await;
    lost("DELETE", &format!("/v1/files/{}", ids[1]), cut).await;
    server
        .send(&server.request("GET", "/v1/files?limit=1"))
        .await;
    let codes = async || {
        let lints = lints(&server).await;
        lints.into_iter().map(|lint| lint.0).collect::<Vec<_>>()
    };
    assert!(codes().await.contains(&"unread_further_output".to_owned()));
    server.send(&server.request("GET", "/v1/files")).await;
    assert_eq!(codes().await, ["unfetched_output"; 2]);
}

#[tokio::test]
async fn a_tool_result_for_a_server_tool_is_refused_and_noted() {
    let server = running(json!([{"bash": "echo 1"}])).await;
    let body = code_prompt("go");
    let answer = server.message(&body).await;
    let id = &answer["content"][0]["id"];
    let result = json!([{"type": "tool_result", "tool_use_id": id, "content": "1"}]);
    let mut next = then(body, &answer, &result);
    next["container"] = answer["container"]["id"].clone();
    let response = server.send(&server.messages(&next)).await;
    assert_eq!(response.status, 400);
    assert_eq!(
        lints(&server).await,
        one("tool_result_for_server_tool", "error")
    );
    assert_eq!(
        codes_of_newest(&server).await,
        json!(["tool_result_for_server_tool"])
    );
    // One that nothing has asked for is another mistake.
    let mut other = prompt("go");
    other["messages"][0]["content"] = json!([{"type": "tool_result", "tool_use_id": "toolu_01AAAAAAAAAAAAAAAAAAAAAA", "content": "1"}]);
    assert_eq!(server.send(&server.messages(&other)).await.status, 400);
    assert_eq!(codes_of_newest(&server).await, json!([]));
}

#[tokio::test]
async fn an_expired_container_that_no_call_notices_is_noted() {
    let server = running(json!([{"bash": "true"}])).await;
    let mut body = code_prompt("go");
    body["container"] = server.message(&body).await["container"]["id"].clone();
    server.advance("30d").await;
    // A call tells the client, who asks again without it.
    server.message(&body).await;
    let expired = std::mem::take(&mut body["container"]);
    server.message(&body).await;
    assert_eq!(lints(&server).await, []);
    server.steps(&json!([{"text": "No call."}])).await;
    body["container"] = expired;
    server.message(&body).await;
    assert_eq!(
        lints(&server).await,
        one("expired_container_reused", "error")
    );
    assert_eq!(
        codes_of_newest(&server).await,
        json!(["expired_container_reused"])
    );
}

#[tokio::test]
async fn counting_tools_that_the_service_runs_is_noted_where_it_is_not_refused() {
    let server = TestServer::start().await;
    let mut body = code_prompt("hi");
    body.as_object_mut().unwrap().remove("max_tokens");
    let count = server.request("POST", "/v1/messages/count_tokens");
    let answer = server.send(&count.json(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        codes_of_newest(&server).await,
        json!(["server_tools_counted"])
    );
    let count = server
        .request("POST", "/v1/messages/count_tokens")
        .header("x-sandtable-quirk", "profile=observed");
    let answer = server.send(&count.json(&body)).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(codes_of_newest(&server).await, json!([]));
}

#[test]
fn every_lint_is_in_the_table_of_the_documents_and_no_other_is() {
    let page = include_str!("../../docs/VERIFY.md");
    let rows: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let code = cells.next()?.strip_suffix('`')?;
            let level = cells.next()?;
            matches!(level, "error" | "warning").then_some((code, level))
        })
        .collect();
    let rules = workspace::lint::ALL.iter().map(|rule| {
        let level = serde_json::to_value(rule.level).unwrap();
        (rule.code, level.as_str().unwrap().to_owned())
    });
    let rules: Vec<(&str, String)> = rules.collect();
    assert_eq!(
        rows,
        rules
            .iter()
            .map(|(code, level)| (*code, level.as_str()))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_name_that_no_directory_holds_is_shortened_and_keeps_no_other_file_out() {
    let server =
        running(json!([{"bash": "cd $INPUT_DIR; cat *.csv; ls | wc -l; ls *~*.csv"}])).await;
    let long = format!("{}.csv", "日".repeat(100));
    let long = server.upload(&long, "text/csv", "long\n").await;
    let good = server.upload("good.csv", "text/csv", "good\n").await;
    let mut body = code_prompt("");
    body["messages"][0]["content"] = json!([
        {"type": "container_upload", "file_id": long},
        {"type": "container_upload", "file_id": good},
    ]);
    let answer = server.message(&body).await;
    let stdout = answer["content"][1]["content"]["stdout"].as_str().unwrap();
    let (content, name) = stdout.split_at("good\nlong\n2\n".len());
    assert_eq!(content, "good\nlong\n2\n");
    assert!(name.len() > 250 && name.ends_with(".csv\n"), "{name}");
    assert_eq!(lints(&server).await, one("shortened_filename", "warning"));
}

#[tokio::test]
async fn files_of_a_skill_that_no_directory_holds_are_left_out_alone() {
    let server = running(json!([{"bash": "cd ../skills; find . -name '*.md' | sort"}])).await;
    let manifest = "---\nname: long-names\ndescription: Has some.\n---\n";
    let name = format!("long-names/{}.md", "é".repeat(200));
    let deep = format!(
        "long-names{}.md",
        format!("/{}", "d".repeat(200)).repeat(30)
    );
    let parts = [
        ("files[]", Some("long-names/SKILL.md"), manifest),
        ("files[]", Some(name.as_str()), "x"),
        ("files[]", Some(deep.as_str()), "x"),
        ("files[]", Some("long-names/z.md"), "x"),
    ];
    let made = server.request("POST", "/v1/skills").multipart(&parts);
    let made = server.send(&made).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let mut body = code_prompt("go");
    body["container"] = json!({"skills": [
        {"type": "custom", "skill_id": made.json()["id"]},
        {"type": "anthropic", "skill_id": "xlsx"},
    ]});
    let answer = server.message(&body).await;
    assert_eq!(
        answer["content"][1]["content"]["stdout"],
        "./long-names/SKILL.md\n./long-names/z.md\n./xlsx/SKILL.md\n"
    );
    let found = lints(&server).await;
    let missing = one("input_not_in_container", "warning");
    assert_eq!(found, [&missing[..], &missing[..]].concat());
}

#[tokio::test]
async fn an_upload_that_was_deleted_before_a_call_needed_it_is_told_of() {
    let server = running(json!([{"text": "No call."}])).await;
    let file = server.upload("data.csv", "text/csv", "a\n").await;
    let first = with_upload(&file, "one");
    let answer = server.message(&first).await;
    let gone = server.request("DELETE", &format!("/v1/files/{file}"));
    assert_eq!(server.send(&gone).await.status, 200);
    server.steps(&json!([{"bash": "ls"}])).await;
    let mut second = code_prompt("two");
    second["container"] = answer["container"]["id"].clone();
    server.message(&second).await;
    assert_eq!(
        lints(&server).await,
        one("input_not_in_container", "warning")
    );
}

#[tokio::test]
async fn an_upload_that_has_expired_before_a_call_needed_it_is_not_there_and_told_of() {
    let server = running(json!([{"text": "No call."}])).await;
    let parts = [
        ("expires_in_seconds", None, "3600"),
        ("file", Some("data.csv"), "a\n"),
    ];
    let file = server.request("POST", "/v1/files").multipart(&parts);
    let file = server.send(&file).await;
    assert_eq!(file.status, 200, "{}", file.text());
    let first = with_upload(file.json()["id"].as_str().unwrap(), "one");
    let answer = server.message(&first).await;
    let later = json!({"advance": "2h"});
    server.control("POST", "clock", &later).await;
    server.steps(&json!([{"bash": "ls $INPUT_DIR"}])).await;
    let mut second = code_prompt("two");
    second["container"] = answer["container"]["id"].clone();
    let answer = server.message(&second).await;
    assert_eq!(answer["content"][1]["content"]["stdout"], "");
    assert_eq!(
        lints(&server).await,
        one("input_not_in_container", "warning")
    );
}

#[tokio::test]
async fn output_files_that_are_not_returned_are_told_of() {
    let server = running(
        json!([{"bash": "cd $OUTPUT_DIR; touch fine.txt 'a:b?.txt' $'line\\nbreak'; echo done"}]),
    )
    .await;
    let answer = server.message(&code_prompt("go")).await;
    let content = &answer["content"][1]["content"];
    assert_eq!(content["content"].as_array().unwrap().len(), 1);
    assert_eq!(content["stdout"], "done\n");
    assert_eq!(
        content["stderr"],
        "\nsandtable: `a:b?.txt`, `line\\nbreak` in `$OUTPUT_DIR`: not returned, the Files API takes no such name\n"
    );
    assert!(
        lints(&server)
            .await
            .contains(&one("output_not_returned", "warning")[0])
    );
}

#[tokio::test]
async fn what_the_editor_writes_among_outputs_is_told_to_stay_there() {
    let server = running(json!([
        {"create": {"path": "$OUTPUT_DIR/a.md", "file_text": "a"}},
        {"create": {"path": "plain.md", "file_text": "a"}},
        {"view": "$OUTPUT_DIR"},
        {"bash": "echo b > $OUTPUT_DIR/b.md; printf %s $OUTPUT_DIR"},
        {"str_replace": {"path": "${{ last.stdout }}/b.md", "old_str": "b", "new_str": "c"}},
        {"create": {"path": "$OUTPUT_DIR/plain.md/no", "file_text": "a"}},
    ]))
    .await;
    let answer = server.message(&code_prompt("go")).await;
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let told = verdict["lints"].as_array().unwrap().iter();
    let told: Vec<&str> = told
        .filter(|lint| lint["code"] == "output_not_returned")
        .map(|lint| lint["message"].as_str().unwrap())
        .collect();
    assert_eq!(told.len(), 3, "{answer}");
    assert!(told[0].ends_with("`$OUTPUT_DIR/a.md`: not returned, an edit hands back no files"));
}

#[tokio::test]
async fn an_output_file_beyond_the_quota_stays_in_its_container_and_the_turn_goes_on() {
    let server = TestServer::on_with(Arc::new(Processes::new()), |config| config.quota_bytes = 9);
    let server = server.await;
    server
        .steps(&json!([
            {"bash": "cd $OUTPUT_DIR; printf 1234 > a; printf 12345678 > b; printf 12345 > c; echo done"},
            {"text": "${{ last.files | map(attribute='filename') | join(' ') }}"},
        ]))
        .await;
    let told = "\nsandtable: `b` in `$OUTPUT_DIR`: not returned, the storage quota is used up\n";
    let answer = server.message(&code_prompt("go")).await;
    let content = &answer["content"][1]["content"];
    assert_eq!(content["stderr"], told);
    assert_eq!(content["stdout"], "done\n");
    assert_eq!(answer["content"][2]["text"], "a c");
    // Nothing fits any more; the stream says the same.
    let again = server.messages(&streamed(code_prompt("again")));
    let answer = server.send(&again).await;
    let stream = answer.text();
    assert!(
        stream.contains("`a`, `b`, `c` in `$OUTPUT_DIR`: not returned"),
        "{stream}"
    );
    assert!(stream.contains("message_stop"), "{stream}");
    let found = lints(&server).await;
    let unreturned = one("output_not_returned", "warning");
    assert_eq!(
        found.iter().filter(|lint| **lint == unreturned[0]).count(),
        2
    );
}

#[tokio::test]
async fn a_tool_choice_that_the_model_does_not_follow_is_told() {
    let call = |name: &str| json!({"tool_use": {"name": name, "input": {}}});
    let both = json!({"parallel": [call("a"), call("b")]});
    let auto = json!({"type": "auto", "disable_parallel_tool_use": true});
    for (choice, step, is_followed) in [
        (json!({"type": "none"}), call("a"), false),
        (json!({"type": "none"}), json!({"text": "no"}), true),
        (json!({"type": "any"}), json!({"text": "no"}), false),
        (json!({"type": "any"}), call("a"), true),
        (json!({"type": "tool", "name": "b"}), call("a"), false),
        (json!({"type": "tool", "name": "b"}), call("b"), true),
        (auto.clone(), both.clone(), false),
        (auto, call("a"), true),
        (json!({"type": "auto"}), both, true),
        (
            json!({"type": "tool", "name": "code_execution"}),
            json!({"bash": "true"}),
            true,
        ),
    ] {
        let server = running(json!([step])).await;
        let mut body = code_prompt("go");
        let tools = body["tools"].as_array_mut().unwrap();
        for name in ["a", "b"] {
            tools.push(json!({"name": name, "input_schema": {"type": "object"}}));
        }
        body["tool_choice"] = choice;
        server.message(&body).await;
        let expected = if is_followed {
            Vec::new()
        } else {
            one("tool_choice_without_effect", "warning")
        };
        assert_eq!(lints(&server).await, expected, "{body}");
    }
}

#[tokio::test]
async fn a_text_that_is_no_json_where_the_request_asks_for_some_is_told() {
    let format = json!({"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": false}});
    let told = one("format_without_effect", "warning");
    let call = json!({"tool_use": {"name": "a", "input": {}}});
    for (steps, expected) in [
        (json!([{"text": "Hello."}]), told.clone()),
        (json!([{"text": "{}"}]), Vec::new()),
        (
            json!([{"text": "I look."}, {"text": "{\"a\": 1}"}]),
            Vec::new(),
        ),
        (json!([{"text": "{}"}, {"text": "Done."}]), told.clone()),
        // It goes on, or was cut off.
        (json!([{"text": "I look."}, call]), Vec::new()),
        (
            json!([{"text": "{\"a"}, {"stop": "max_tokens"}]),
            Vec::new(),
        ),
    ] {
        for member in ["output_config", "output_format"] {
            let server = running(steps.clone()).await;
            let mut body = prompt("go");
            body["tools"] = json!([{"name": "a", "input_schema": {"type": "object"}}]);
            body[member] = if member == "output_format" {
                format.clone()
            } else {
                json!({ "format": format })
            };
            let request = server
                .messages(&body)
                .header("anthropic-beta", "structured-outputs-2025-11-13");
            let answer = server.send(&request).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(lints(&server).await, expected, "{member}: {steps}");
        }
    }
}
