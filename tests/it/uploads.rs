//! Uploads in a container: which of them lies in a place, and what is told where one does not.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, then};
use crate::harness::{Processes, TestServer};

/// A new turn of the user with uploads, in the container of the answer before.
fn turn(files: &[&str], before: Option<&Value>) -> Value {
    let uploads = files
        .iter()
        .map(|file| json!({"type": "container_upload", "file_id": file}));
    let mut body = code_prompt("");
    let content = uploads.chain([json!({"type": "text", "text": "go"})]);
    body["messages"][0]["content"] = content.collect();
    if let Some(before) = before {
        body["container"] = before["container"]["id"].clone();
    }
    body
}

/// What the turn's command has printed.
fn stdout(answer: &Value) -> &str {
    answer["content"][1]["content"]["stdout"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

/// The code and text of every lint, without the container's id.
async fn lints(server: &TestServer, answer: &Value) -> Vec<String> {
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let lints = verdict["lints"].as_array().expect("a list");
    let id = answer["container"]["id"].as_str().expect("an id");
    let told = lints.iter().map(|lint| {
        let text = format!("{} {}", lint["code"], lint["message"]);
        text.replace(id, "C").replace('"', "")
    });
    told.collect()
}

async fn running(command: &str) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{ "bash": command }])).await;
    server
}

#[tokio::test]
async fn of_uploads_of_one_name_the_newest_turns_has_the_place() {
    let server = running("cat data.csv $INPUT_DIR/data.csv").await;
    let a = server.upload("data.csv", "text/csv", "A").await;
    let b = server.upload("data.csv", "text/csv", "B").await;
    let mut before = None;
    for (file, expected) in [(&a, "AA"), (&b, "BB"), (&a, "AA"), (&b, "BB")] {
        let answer = server.message(&turn(&[file], before.as_ref())).await;
        assert_eq!(stdout(&answer), expected);
        before = Some(answer);
    }
    let last = before.expect("four answers");
    assert_eq!(lints(&server, &last).await, [""; 0]);
}

#[tokio::test]
async fn an_upload_that_code_took_away_is_there_again_when_a_new_turn_names_it() {
    let server = running("cat data.csv; echo more >> $INPUT_DIR/data.csv").await;
    let file = server.upload("data.csv", "text/csv", "A\n").await;
    let mut answer = server.message(&turn(&[&file], None)).await;
    // What is there stays as it is.
    for (command, expected) in [
        ("cat data.csv; rm data.csv", "A\nmore\n"),
        ("cat data.csv; rm data.csv $INPUT_DIR/data.csv", "A\nmore\n"),
        ("cat data.csv; rm -r $INPUT_DIR", "A\n"),
        ("cat data.csv", "A\n"),
    ] {
        server.steps(&json!([{ "bash": command }])).await;
        answer = server.message(&turn(&[&file], Some(&answer))).await;
        assert_eq!(stdout(&answer), expected, "{command}");
    }
    assert_eq!(lints(&server, &answer).await, [""; 0]);
}

#[tokio::test]
async fn an_upload_that_code_took_away_stays_away_while_its_turn_goes_on() {
    let server = running("true").await;
    let file = server.upload("data.csv", "text/csv", "A\n").await;
    server
        .steps(
            &json!([{"bash": "rm $INPUT_DIR/data.csv"}, "pause_turn", {"bash": "ls $INPUT_DIR"}]),
        )
        .await;
    let asked = turn(&[&file], None);
    let paused = server.message(&asked).await;
    let mut goes_on = then(asked, &paused, &Value::Null);
    goes_on["container"] = paused["container"]["id"].clone();
    let answer = server.message(&goes_on).await;
    assert_eq!(stdout(&answer), "", "{answer}");
}

#[tokio::test]
async fn of_two_uploads_of_one_name_in_one_turn_the_first_is_told_to_be_missing() {
    let server = running("cat data.csv; ls $INPUT_DIR").await;
    let a = server.upload("data.csv", "text/csv", "A\n").await;
    let b = server.upload("data.csv", "text/csv", "B\n").await;
    let answer = server.message(&turn(&[&a, &b, &b], None)).await;
    assert_eq!(stdout(&answer), "B\ndata.csv\n");
    let told = format!(
        "input_not_in_container not in container `C`: messages.0.content.0: `data.csv` (`{a}`): `{b}` of the same turn has its name, and so its place"
    );
    assert_eq!(lints(&server, &answer).await, [told]);
}

#[tokio::test]
async fn an_upload_whose_bare_name_is_the_codes_own_file_is_told() {
    let server = running("echo own > data.csv").await;
    let file = server.upload("data.csv", "text/csv", "A\n").await;
    let first = server.message(&turn(&[], None)).await;
    server
        .steps(&json!([{"bash": "cat data.csv $INPUT_DIR/data.csv"}]))
        .await;
    let second = server.message(&turn(&[&file], Some(&first))).await;
    assert_eq!(stdout(&second), "own\nA\n");
    let told = "input_not_in_container not in container `C`: `./data.csv`: the working directory has something else of this name, or no room; the upload is in `$INPUT_DIR`";
    assert_eq!(lints(&server, &second).await, [told]);
}
