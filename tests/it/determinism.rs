//! With a seed and a clock that stands still, two runs are the same bytes, whatever comes first.

use std::sync::Arc;

use serde_json::json;

use crate::harness::server::{code_prompt, streamed};
use crate::harness::{Processes, TestServer};

const CONVERSATIONS: usize = 50;

/// One conversation: an upload, a plain turn with a call that leaves a file, and a streamed one in the
/// same container. Everything that was answered, but for the ids of requests, which count arrivals.
async fn converse(server: &TestServer, number: usize) -> String {
    let upload = server.request("POST", "/v1/files").multipart(&[(
        "file",
        Some(&format!("{number}.txt")),
        "x",
    )]);
    let mut said = server.send(&upload).await.text().to_owned();
    let call = format!("```bash\necho {number} | tee \"$OUTPUT_DIR/{number}.txt\"\n```");
    let first = server.send(&server.messages(&code_prompt(&call))).await;
    said += first.text();
    let mut second = streamed(code_prompt(&format!("```bash\necho again {number}\n```")));
    second["container"] = first.json()["container"]["id"].clone();
    said += server.send(&server.messages(&second)).await.text();
    said
}

/// The order of the files in the list, oldest first.
async fn filenames(server: &TestServer) -> Vec<String> {
    let list = server
        .send(&server.request("GET", "/v1/files?limit=100"))
        .await;
    let files = list.json()["data"].as_array().unwrap().clone();
    let names = files
        .iter()
        .rev()
        .map(|file| file["filename"].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn files_of_calls_beside_each_other_are_listed_in_the_order_of_the_calls() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.freeze().await;
    server
        .rules(&json!([
            {"when": {"user": "turn"}, "then": [
                {"parallel": [
                    {"bash": "sleep 0.4; touch $OUTPUT_DIR/a"},
                    {"bash": "sleep 0.2; touch $OUTPUT_DIR/b"},
                    {"bash": "touch $OUTPUT_DIR/c"},
                ]},
                {"text": "Done."},
            ]},
        ]))
        .await;
    server.message(&code_prompt("turn")).await;
    assert_eq!(filenames(&server).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn fifty_conversations_at_once_are_the_same_bytes_in_two_runs() {
    let mut runs: Vec<Vec<String>> = Vec::new();
    for backwards in [false, true] {
        let server = TestServer::on(Arc::new(Processes::new())).await;
        let mut numbers: Vec<usize> = (0..CONVERSATIONS).collect();
        if backwards {
            numbers.reverse();
        }
        let all = numbers.iter().map(|number| converse(&server, *number));
        let mut said = futures_util::future::join_all(all).await;
        if backwards {
            said.reverse();
        }
        runs.push(said);
    }
    for (number, (one, other)) in runs[0].iter().zip(&runs[1]).enumerate() {
        assert_eq!(one, other, "conversation {number}");
        assert!(
            one.contains(&json!(format!("again {number}\n")).to_string()),
            "{one}"
        );
    }
}
