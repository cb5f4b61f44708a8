//! Golden transcripts of calls that really run: the guest as an ordinary process.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, with_tool};
use crate::harness::transcript::{Transcript, golden};
use crate::harness::{Processes, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

/// The contents of the result blocks.
fn results(message: &Value) -> Vec<&Value> {
    let blocks = message["content"].as_array().expect("content");
    let is_result = |block: &&Value| {
        block["type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("_tool_result"))
    };
    blocks
        .iter()
        .filter(is_result)
        .map(|block| &block["content"])
        .collect()
}

#[tokio::test]
async fn a_bash_call_is_announced_run_and_answered_in_one_turn() {
    let server = running(json!([
        {"text": "I'll run it."},
        {"bash": "echo \"one: $((40 + 2))\"; echo oops >&2; exit 3"},
        {"text": "It said: ${{ last.stdout }}"},
    ]))
    .await;
    golden!(
        &server,
        server.messages(&code_prompt("run")),
        server.messages(&streamed(code_prompt("run"))),
    );
}

#[tokio::test]
async fn files_in_the_output_directory_come_back_as_files() {
    let server = running(json!([
        {"bash": "echo a,b > $OUTPUT_DIR/table.csv; printf x > $OUTPUT_DIR/a.bin; mkdir $OUTPUT_DIR/sub; echo lost > elsewhere.txt"},
        {"text": "${{ last.files | map(attribute='filename') | join(' ') }}"},
    ]))
    .await;
    let mut transcript = Transcript::default();
    let message = transcript
        .exchange(&server, &server.messages(&code_prompt("make files")))
        .await
        .json();
    let file = results(&message)[0]["content"][1]["file_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for path in [
        format!("/v1/files/{file}"),
        format!("/v1/files/{file}/content"),
    ] {
        transcript
            .exchange(&server, &server.request("GET", &path))
            .await;
    }
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn the_editor_creates_views_and_replaces() {
    let server = running(json!([
        {"create": {"path": "config.yaml", "file_text": "name: x\nport: 5432\nmode: a\n"}},
        {"create": {"path": "config.yaml", "file_text": "name: y\nport: 5432\nmode: b\n"}},
        {"view": {"path": "config.yaml"}},
        {"view": {"path": "config.yaml", "view_range": [2, 3]}},
        {"str_replace": {"path": "config.yaml", "old_str": "port: 5432", "new_str": "port: 3306"}},
        {"bash": "cat config.yaml"},
    ]))
    .await;
    golden!(
        &server,
        server.messages(&code_prompt("edit")),
        server.messages(&streamed(code_prompt("edit"))),
    );
}

#[tokio::test]
async fn the_editor_says_what_is_wrong() {
    let processes = Arc::new(Processes::new());
    let server = TestServer::on(Arc::<Processes>::clone(&processes)).await;
    server
        .steps(&json!([
            {"view": {"path": "missing.txt"}},
            {"view": {"path": "/"}},
            {"create": {"path": "a.txt", "file_text": "same\nsame\n"}},
            {"str_replace": {"path": "a.txt", "old_str": "other", "new_str": "x"}},
            {"str_replace": {"path": "a.txt", "old_str": "same", "new_str": "x"}},
            {"view": {"path": "a.txt", "view_range": [7, 9]}},
            {"text_editor": {"command": "undo_edit", "path": "a.txt"}},
            {"text_editor": {"command": "create", "path": "a.txt"}},
            {"text_editor": {"command": "view", "path": 7}},
        ]))
        .await;
    let mut transcript = Transcript::hiding(processes.root());
    transcript
        .exchange(&server, &server.messages(&code_prompt("edit")))
        .await;
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn the_legacy_tool_runs_python_and_hands_its_files_back() {
    let server = running(json!([
        {"python": "import os\nprint(sum(range(11)))\nopen(os.environ['OUTPUT_DIR'] + '/r.txt', 'w').write('55')"},
        {"python": "raise SystemExit(4)"},
    ]))
    .await;
    let body = with_tool(prompt("add"), "code_execution_20250522");
    golden!(
        &server,
        server.messages(&body),
        server.messages(&streamed(body.clone()))
    );
}

#[tokio::test]
async fn parallel_calls_are_all_announced_before_their_results_come_in_the_same_order() {
    // Each waits for the other: they do run at the same time.
    let server = running(json!([
        {"parallel": [
            {"bash": "until [ -e second ]; do sleep 0.01; done; echo first"},
            {"bash": "touch second; echo second"},
            {"create": {"path": "third", "file_text": "3"}},
        ]},
        {"text": "${{ results | map(attribute='stdout') | join('') }}"},
    ]))
    .await;
    golden!(&server, server.messages(&streamed(code_prompt("both"))));
}

#[tokio::test]
async fn parallel_calls_have_the_same_file_ids_whichever_ends_first() {
    let (soon, late) = (
        "touch go",
        "until [ -e go ]; do sleep 0.01; done; sleep 0.1",
    );
    let mut ids = Vec::new();
    for (first, second) in [(soon, late), (late, soon)] {
        let server = running(json!([{"parallel": [
            {"bash": format!("{first}; touch $OUTPUT_DIR/first")},
            {"bash": format!("{second}; touch $OUTPUT_DIR/second")},
        ]}]))
        .await;
        let message = server.message(&code_prompt("both")).await;
        let of = |result: &Value| result["content"][0]["file_id"].clone();
        ids.push(results(&message).into_iter().map(of).collect::<Vec<_>>());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0][0], ids[0][1]);
}

#[tokio::test]
async fn a_scripted_error_code_runs_nothing() {
    let server = running(json!([
        {"bash": "touch ran", "tool_error": "too_many_requests"},
        {"view": {"path": "x"}, "tool_error": "file_not_found"},
        {"bash": "ls"},
    ]))
    .await;
    let message = server.message(&code_prompt("go")).await;
    let results = results(&message);
    assert_eq!(
        results[0],
        &json!({"type": "bash_code_execution_tool_result_error", "error_code": "too_many_requests"})
    );
    assert_eq!(
        results[1],
        &json!({"type": "text_editor_code_execution_tool_result_error", "error_code": "file_not_found", "error_message": null})
    );
    assert_eq!(results[2]["stdout"], "");
}

#[tokio::test]
async fn uploads_lie_in_the_input_directory_and_under_their_bare_name() {
    let server = running(json!([
        {"bash": "cat data.csv; cat $INPUT_DIR/data.csv; ls"},
        {"view": {"path": "$INPUT_DIR/data.csv"}},
    ]))
    .await;
    let file = server.upload("data.csv", "text/csv", "a,b\n1,2\n").await;
    let mut body = code_prompt("");
    body["messages"] = json!([{"role": "user", "content": [
        {"type": "text", "text": "read"}, {"type": "container_upload", "file_id": file}]}]);
    golden!(&server, server.messages(&body));
}

#[tokio::test]
async fn an_upload_counts_as_a_use_of_the_container_even_if_nothing_runs() {
    let server = running(json!([{"text": "I have it."}])).await;
    let file = server.upload("data.csv", "text/csv", "a,b\n1,2\n").await;
    let mut body = code_prompt("");
    body["messages"] = json!([{"role": "user", "content": [
        {"type": "container_upload", "file_id": file}, {"type": "text", "text": "read"}]}]);
    let message = server.message(&body).await;
    assert!(message["container"]["id"].is_string(), "{message}");
    assert_eq!(
        message["usage"]["server_tool_use"]["code_execution_requests"],
        0
    );
}

#[tokio::test]
async fn a_sandbox_that_dies_during_a_call_is_unavailable_and_the_next_call_works() {
    let server = running(json!([
        {"bash": "echo kept > kept.txt"},
        {"bash": "kill -9 $PPID; sleep 60"},
        {"bash": "cat kept.txt"},
    ]))
    .await;
    let message = server.message(&code_prompt("die")).await;
    let results = results(&message);
    assert_eq!(
        results[1],
        &json!({"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"})
    );
    assert_eq!(results[2]["stdout"], "kept\n");
}

#[tokio::test]
async fn output_that_is_no_text_is_shown_with_replacement_characters() {
    let server = running(json!([{"bash": r"printf 'a\377b\0c\r\n\342\200\250'"}])).await;
    let message = server.message(&code_prompt("bytes")).await;
    assert_eq!(results(&message)[0]["stdout"], "a\u{fffd}b\0c\r\n\u{2028}");
}

#[tokio::test]
async fn without_a_backend_every_call_is_unavailable_and_the_turn_goes_on() {
    let server = TestServer::start().await;
    server
        .steps(&json!([
            {"bash": "echo hi"},
            {"view": {"path": "x"}},
            {"text": "${{ last.error_code }}"},
        ]))
        .await;
    golden!(&server, server.messages(&code_prompt("go")));
}
