//! Golden transcripts: conversations of scripts, as cassettes in `fixtures/cassettes`. They are what the
//! server says today, byte for byte, and they replay.
//!
//! `SANDTABLE_UPDATE_CASSETTES=1 cargo test golden` writes them anew; read the difference before you keep it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cassette::load;
use serde_json::{Value, json};

use super::player;
use crate::harness::server::{code_prompt, prompt, streamed, then, with_tool};
use crate::harness::{Processes, TestServer};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/cassettes")
        .join(format!("{name}.yaml"))
}

/// The journal of what was said, against the fixture, which must replay.
async fn check(server: &TestServer, name: &str) {
    let export = server.request("GET", "/_sandtable/journal?format=cassette");
    let text = server.send(&export).await.text().to_owned();
    let path = fixture(name);
    if std::env::var_os("SANDTABLE_UPDATE_CASSETTES").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differing = kept
        .lines()
        .zip(text.lines())
        .find(|(kept, said)| kept != said);
    assert_eq!(differing, None, "{name} says something else (kept, said)");
    assert_eq!(kept.len(), text.len(), "{name} has more or less to say");

    let cassette = load(&path).unwrap();
    let player = player(&path).await;
    for exchange in &cassette.exchanges {
        let request = exchange.request.as_ref().unwrap();
        let query = request
            .query
            .as_ref()
            .map_or(String::new(), |query| format!("?{query}"));
        let again = player
            .request(&request.method, &format!("{}{query}", request.path))
            .body(request.body.bytes().unwrap().unwrap().to_vec());
        let answer = player.send(&again).await;
        assert_eq!(answer.status, exchange.response.status);
        let body = exchange.response.body.bytes().unwrap().unwrap();
        assert_eq!(answer.text(), String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn a_talk_with_thinking_and_an_error() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"thinking": "They say hi."}, {"text": "Hello to you."}]))
        .await;
    server.message(&prompt("hi")).await;
    server.send(&server.messages(&streamed(prompt("hi")))).await;
    server
        .send(&server.messages(&json!({"model": "claude-sonnet-4-5"})))
        .await;
    check(&server, "talk").await;
}

#[tokio::test]
async fn calls_of_bash_and_the_editor_in_one_container() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([
            {"text": "I write it down."},
            {"create": {"path": "notes.txt", "file_text": "one\ntwo\n"}},
            {"parallel": [{"bash": "wc -l < notes.txt"}, {"bash": "cat missing.txt; exit 3"}]},
            {"bash": "cp notes.txt \"$OUTPUT_DIR/notes.txt\""},
            {"text": "Done."},
        ]))
        .await;
    let first = code_prompt("write it down");
    let answer: Value = server.message(&first).await;
    let mut second = streamed(then(first, &answer, &json!("again")));
    second["container"] = answer["container"]["id"].clone();
    server.send(&server.messages(&second)).await;
    check(&server, "notes").await;
}

#[tokio::test]
async fn a_pause_and_its_continuation() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(
            &json!([{"bash": "echo one"}, "pause_turn", {"bash": "echo two"}, {"text": "Both."}]),
        )
        .await;
    let first = with_tool(prompt("count"), "code_execution_20250825");
    let answer = server.message(&first).await;
    assert_eq!(answer["stop_reason"], "pause_turn");
    let mut second = first.clone();
    let said = json!({"role": "assistant", "content": answer["content"]});
    second["messages"].as_array_mut().unwrap().push(said);
    second["container"] = answer["container"]["id"].clone();
    server.message(&second).await;
    check(&server, "pause").await;
}
