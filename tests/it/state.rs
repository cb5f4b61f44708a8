//! `/_sandtable/state` and `--state`: put, used through the API, and taken out again.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use server::config::Config;
use server::{Server, StartError};

use crate::harness::server::code_prompt;
use crate::harness::{Processes, Response, TestServer};

async fn put(server: &TestServer, document: &Value) -> Value {
    server.control("PUT", "state", document).await
}

async fn get(server: &TestServer, path: &str) -> Response {
    server.send(&server.request("GET", path)).await
}

async fn export(server: &TestServer) -> String {
    let answer = get(server, "/_sandtable/state").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

/// Runs the script's next call in the container, with this upload.
async fn run(server: &TestServer, container: &str, upload: Option<&str>) -> Value {
    let mut body = code_prompt("go");
    body["container"] = container.into();
    if let Some(id) = upload {
        body["messages"][0]["content"] = json!([
            {"type": "container_upload", "file_id": id}, {"type": "text", "text": "go"},
        ]);
    }
    let message = server.message(&body).await;
    assert_eq!(message["container"]["id"], container);
    message["content"][1]["content"]["stdout"].clone()
}

#[tokio::test]
async fn an_imported_file_of_any_id_is_a_file_like_any_other() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    put(
        &server,
        &json!({
            "files": [
                {"id": "file_id", "filename": "a.csv", "content": "1,2\n"},
                {"id": "upload", "downloadable": false, "content_base64": "AP8="},
            ],
            "containers": [{"id": "container_id"}],
        }),
    )
    .await;
    let metadata = get(&server, "/v1/files/file_id").await.json();
    assert_eq!(metadata["filename"], "a.csv");
    assert_eq!(metadata["mime_type"], "text/csv");
    assert_eq!(metadata["size_bytes"], 4);
    let listed = get(&server, "/v1/files").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let content = get(&server, "/v1/files/file_id/content").await;
    assert_eq!((content.status, content.text()), (200, "1,2\n"));
    assert_eq!(get(&server, "/v1/files/upload/content").await.status, 400);
    server.steps(&json!([{"bash": "cat a.csv"}])).await;
    assert_eq!(run(&server, "container_id", Some("file_id")).await, "1,2\n");
    let delete = server.request("DELETE", "/v1/files/file_id");
    assert_eq!(server.send(&delete).await.status, 200);
    assert_eq!(get(&server, "/v1/files/file_id").await.status, 404);
}

#[tokio::test]
async fn a_container_has_its_files_uploads_and_skills_before_anything_ran() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let manifest = "---\nname: greeter\ndescription: Greets.\n---\n";
    put(
        &server,
        &json!({
            "files": [{"id": "f", "filename": "in.txt", "content": "in\n"}],
            "skills": [{"id": "skill_id", "versions": [
                {"id": "v1", "files": [{"path": "SKILL.md", "content": manifest}]},
                {"id": "v2", "files": [{"path": "SKILL.md", "content": manifest}, {"path": "hi.txt", "content": "hi\n"}]},
            ]}],
            "containers": [{
                "id": "c",
                "uploads": [{"file_id": "f"}],
                "skills": [{"skill_id": "skill_id"}, {"skill_id": "xlsx"}],
                "files": [
                    {"path": "a/b.txt", "content": "b\n"},
                    {"path": "$INPUT_DIR/more.txt", "content": "more\n"},
                    {"path": "/tmp/run.sh", "mode": "0755", "content": "#!/bin/sh\necho ran\n"},
                    {"path": "link", "type": "symlink", "target": "a/b.txt"},
                ],
            }],
        }),
    )
    .await;
    let look = "cat a/b.txt link in.txt $INPUT_DIR/more.txt; ../tmp/run.sh; cat ../skills/greeter/hi.txt; ls ../skills; ls -A; ls ../files/input";
    server.steps(&json!([{"bash": look}])).await;
    let said = run(&server, "c", None).await;
    let said = said.as_str().unwrap();
    let rest = said.strip_prefix("b\nb\nin\nmore\nran\nhi\ngreeter\nxlsx\na\nin.txt\nlink\n");
    assert_eq!(rest.expect(said).lines().count(), 1, "{said}");
    let skill = get(&server, "/v1/skills/skill_id").await.json();
    assert_eq!(skill["latest_version_id"], "v2", "{skill}");
}

#[tokio::test]
async fn an_imported_batch_is_retrieved_and_what_has_no_result_is_run() {
    let server = TestServer::start().await;
    let params = json!({
        "model": "claude-opus-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}],
    });
    let message = json!({"id": "msg_1", "type": "message"});
    put(
        &server,
        &json!({
            "scripts": [{"when": {"user": "Hello"}, "then": [{"text": "Hi."}]}],
            "batches": [
                {"id": "done", "items": [
                    {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
                    {"custom_id": "b", "result": {"type": "errored", "error": {"type": "error"}}},
                ]},
                {"id": "open", "items": [
                    {"custom_id": "a", "result": {"type": "expired"}}, {"custom_id": "b", "params": params},
                ]},
            ],
        }),
    )
    .await;
    let done = get(&server, "/v1/messages/batches/done").await.json();
    assert_eq!(done["processing_status"], "ended");
    assert_eq!(done["request_counts"]["succeeded"], 1);
    let results = get(&server, "/v1/messages/batches/done/results").await;
    assert_eq!(
        results.text(),
        "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\"}}}\n\
         {\"custom_id\":\"b\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":\"error\"}}}\n"
    );
    while get(&server, "/v1/messages/batches/open").await.json()["processing_status"] != "ended" {
        tokio::task::yield_now().await;
    }
    let results = get(&server, "/v1/messages/batches/open/results").await;
    let results = results.text();
    assert!(results.contains("\"text\":\"Hi.\""), "{results}");
}

#[tokio::test]
async fn one_id_in_two_workspaces_is_two_containers() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "cat note"}])).await;
    let document = |note: &str| {
        json!({
            "containers": [{"id": "same", "files": [{"path": "note", "content": note}]}],
            "scripts": [{"then": [{"bash": "cat note"}]}],
        })
    };
    put(&server, &document("mine")).await;
    let other = server
        .request("PUT", "/_sandtable/state")
        .header("x-api-key", "sk-ant-other");
    let other = other.json(&document("yours"));
    // The first of two keys counts.
    let other = crate::harness::Request {
        headers: other
            .headers
            .into_iter()
            .filter(|(_, value)| value != "sk-ant-test")
            .collect(),
        ..other
    };
    assert_eq!(server.send(&other).await.status, 200);
    assert_eq!(run(&server, "same", None).await, "mine");
    // Its sandbox goes with the state; the next one has the same id and other files.
    put(&server, &document("new")).await;
    assert_eq!(run(&server, "same", None).await, "new");
}

#[tokio::test]
async fn what_was_exported_and_put_back_is_exported_again_byte_for_byte() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .script("- when: {user: run}\n  then:\n  - bash: |\n      echo kept > kept; echo out > $OUTPUT_DIR/out.txt\n- then: [{text: \"\\x7f\"}]\n")
        .await;
    server.upload("up.txt", "text/plain", "up\n").await;
    server.message(&code_prompt("run")).await;
    server
        .control(
            "POST",
            "faults",
            &json!({"at": "stream", "do": "cut", "nth": 9}),
        )
        .await;
    server
        .control("PUT", "quirks", &json!({"container-idle": "270s"}))
        .await;
    server
        .control("PUT", "rate-limits", &json!([{"requests": 50}]))
        .await;
    let batch = json!({"requests": [{"custom_id": "a", "params": {
        "model": "claude-opus-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
    }}]});
    let create = server.request("POST", "/v1/messages/batches").json(&batch);
    let made = server.send(&create).await.json();
    let path = format!("/v1/messages/batches/{}", made["id"].as_str().unwrap());
    while get(&server, &path).await.json()["processing_status"] != "ended" {
        tokio::task::yield_now().await;
    }
    let first = export(&server).await;
    for part in [
        "kept\\n",
        "\"cut\"",
        "270s",
        "out.txt",
        "\"custom_id\": \"a\"",
        "\"requests\": 50",
    ] {
        assert!(first.contains(part), "{part}: {first}");
    }
    server.control("POST", "reset", &Value::Null).await;
    assert!(!export(&server).await.contains("kept"));
    put(&server, &serde_json::from_str(&first).unwrap()).await;
    assert_eq!(export(&server).await, first);
    let kept: Value = serde_json::from_str(&first).unwrap();
    let id = kept["containers"][0]["id"].as_str().unwrap();
    server.steps(&json!([{"bash": "cat kept"}])).await;
    assert_eq!(run(&server, id, None).await, "kept\n");
    server.control("PUT", "state", &kept).await;
    assert_eq!(export(&server).await, first);
}

#[tokio::test]
async fn a_mistake_changes_nothing_and_says_where_it_is() {
    let server = TestServer::start().await;
    put(&server, &json!({"files": [{"id": "kept"}]})).await;
    server.freeze().await;
    let before = export(&server).await;
    let request = server.request("PUT", "/_sandtable/state");
    let request = request.json(&json!({
        "files": [{"id": "new"}, {"id": "new", "file_name": "x"}],
        "containrs": [],
    }));
    let answer = server.send(&request).await;
    assert_eq!(answer.status, 400);
    insta::assert_snapshot!(answer.json()["error"]["message"].as_str().unwrap(), @r"
    `containrs` is no member (did you mean `containers`?)
    files[1]: `file_name` is no member (did you mean `filename`?)
    files[1].id: `new` is there twice
    ");
    assert_eq!(export(&server).await, before);
    let large =
        server
            .request("PUT", "/_sandtable/state")
            .body(vec![b' '; common::limits::MAX_STATE_BYTES + 1]);
    let answer = server.send(&large).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("64 MiB"), "{}", answer.text());
    let mut yaml = b"version: 1\n".to_vec();
    yaml.resize(common::limits::MAX_STATE_YAML_BYTES + 1, b'#');
    let large = server.request("PUT", "/_sandtable/state").body(yaml);
    let answer = server.send(&large).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(
        answer.text().contains("YAML may have 8 MiB"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_state_that_does_not_fit_is_not_exported() {
    let server = TestServer::start().await;
    // Twice as large as text than as bytes.
    let half = "\u{1}".repeat(common::limits::MAX_STATE_BYTES / 5);
    server.upload("large.txt", "text/plain", &half).await;
    let answer = get(&server, "/_sandtable/state").await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("64 MiB"), "{}", answer.text());
}

#[tokio::test]
async fn every_workspace_starts_from_the_state_of_the_server_and_returns_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.yaml");
    fs::write(
        &path,
        "clock: {now: \"2029-01-01T00:00:00Z\", frozen: true}\nfiles: [{id: file_id, content: x}]\nscripts: [{then: [{text: From the state.}]}]\n",
    )
    .unwrap();
    let server = TestServer::with(|config| config.state = Some(path.clone())).await;
    let file = get(&server, "/v1/files/file_id").await.json();
    assert_eq!(file["created_at"], "2029-01-01T00:00:00.000000Z", "{file}");
    let message = server.message(&code_prompt("anything")).await;
    assert_eq!(message["content"][0]["text"], "From the state.");
    server
        .send(&server.request("DELETE", "/v1/files/file_id"))
        .await;
    server.control("DELETE", "scripts", &Value::Null).await;
    assert_eq!(get(&server, "/v1/files/file_id").await.status, 404);
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(get(&server, "/v1/files/file_id").await.status, 200);
    let message = server.message(&code_prompt("anything")).await;
    assert_eq!(message["content"][0]["text"], "From the state.");
}

#[tokio::test]
async fn a_state_with_a_mistake_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    fs::write(&path, r#"{"files": [{"filename": "a"}]}"#).unwrap();
    let config = Config {
        port: 0,
        state: Some(path),
        ..Config::default()
    };
    let error = Server::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::State(_)));
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(
        text.contains("state.json: files[0]: `id` is missing"),
        "{text}"
    );
}

#[tokio::test]
async fn every_example_of_the_page_about_states_is_put_and_exported() {
    let page = include_str!("../../docs/STATE.md");
    let mut examples = 0;
    for fence in ["```json\n", "```yaml\n"] {
        for rest in page.split(fence).skip(1) {
            let example = rest.split("```").next().unwrap();
            let server = TestServer::start().await;
            let request = server.request("PUT", "/_sandtable/state").body(example);
            let answer = server.send(&request).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            server.freeze().await;
            let exported = export(&server).await;
            put(&server, &serde_json::from_str(&exported).unwrap()).await;
            assert_eq!(export(&server).await, exported);
            examples += 1;
        }
    }
    assert_eq!(examples, 2);
}
