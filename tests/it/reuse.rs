//! Calls that are known from containers with the same past, as a sweep has them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::code_prompt;
use crate::harness::{Processes, TestServer};

/// A file outside of all sandboxes, to which commands add a line when they really run.
struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    /// `command`, noted.
    fn noted(&self, command: &str) -> String {
        format!("echo run >> {}; {command}", self.file().display())
    }

    fn count(&self) -> usize {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        text.lines().count()
    }
}

async fn reusing() -> TestServer {
    let change = |config: &mut server::config::Config| config.reuse_calls = true;
    TestServer::on_with(Arc::new(Processes::new()), change).await
}

fn result(message: &Value) -> &Value {
    &message["content"][1]["content"]
}

async fn in_container(server: &TestServer, container: &Value, command: &str) -> Value {
    server.steps(&json!([{ "bash": command }])).await;
    let mut body = code_prompt("go");
    body["container"] = container.clone();
    server.message(&body).await
}

#[tokio::test]
async fn a_call_that_ran_twice_in_containers_of_the_same_past_runs_no_more_and_says_the_same() {
    let (server, runs) = (reusing().await, Runs::new());
    let command =
        "echo $OUTPUT_DIR; date +%N; echo done > made.txt; echo one > $OUTPUT_DIR/one.txt";
    server
        .steps(&json!([{ "bash": runs.noted(command) }]))
        .await;
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(server.message(&code_prompt("go")).await);
    }
    assert_eq!(runs.count(), 2);
    let lines = |message: &Value| -> Vec<String> {
        let stdout = result(message)["stdout"].as_str().unwrap();
        stdout.lines().map(str::to_owned).collect()
    };
    // Each in the words of its own container, and for the rest the first one's.
    let (first, last) = (lines(&said[0]), lines(&said[3]));
    assert_ne!(first[0], last[0]);
    assert_eq!(first[1], last[1]);
    let id = |message: &Value| {
        result(message)["content"][0]["file_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_ne!(id(&said[0]), id(&said[3]));
    let path = format!("/v1/files/{}/content", id(&said[3]));
    let file = server.send(&server.request("GET", &path)).await;
    assert_eq!(file.text(), "one\n");

    // What did not run is made up before anything else runs there.
    let more = in_container(&server, &said[3]["container"]["id"], "cat made.txt").await;
    assert_eq!(result(&more)["stdout"], "done\n", "{more}");
    assert_eq!(runs.count(), 3);
}

#[tokio::test]
async fn another_upload_and_another_call_before_are_another_past() {
    let (server, runs) = (reusing().await, Runs::new());
    let command = runs.noted("cat $INPUT_DIR/a.csv");
    server.steps(&json!([{ "bash": command }])).await;
    let ask = async |content: &str| {
        let file = server.upload("a.csv", "text/csv", content).await;
        let mut body = code_prompt("go");
        body["messages"][0]["content"] = json!([{ "type": "text", "text": "go" }, { "type": "container_upload", "file_id": file }]);
        let message = server.message(&body).await;
        result(&message)["stdout"].as_str().unwrap().to_owned()
    };
    for _ in 0..3 {
        assert_eq!(ask("one").await, "one");
    }
    assert_eq!(runs.count(), 2);
    assert_eq!(ask("two").await, "two");
    assert_eq!(runs.count(), 3);

    server
        .steps(&json!([{ "bash": "true" }, { "bash": command }]))
        .await;
    server.message(&code_prompt("go")).await;
    assert_eq!(runs.count(), 4);
}

#[tokio::test]
async fn calls_beside_each_other_and_in_an_interpreter_really_run() {
    let (server, runs) = (reusing().await, Runs::new());
    let command = runs.noted("true");
    let both = json!([{ "parallel": [{ "bash": command }, { "bash": command }] }]);
    server.steps(&both).await;
    for _ in 0..3 {
        server.message(&code_prompt("go")).await;
    }
    assert_eq!(runs.count(), 6);

    let code = format!("open('{}', 'a').write('run\\n')", runs.file().display());
    server.steps(&json!([{ "python": code }])).await;
    let cells = crate::harness::server::with_tool(
        crate::harness::server::prompt("go"),
        "code_execution_20260120",
    );
    for _ in 0..3 {
        server.message(&cells).await;
    }
    assert_eq!(runs.count(), 9);
}

#[tokio::test]
async fn faults_of_sandboxes_strike_one_that_is_there_with_all_that_it_went_through() {
    let (server, runs) = (reusing().await, Runs::new());
    let (first, second) = (
        runs.noted("echo 1 > one.txt"),
        runs.noted("cat one.txt; sleep 60"),
    );
    server.steps(&json!([{ "bash": first }])).await;
    for _ in 0..2 {
        server.message(&code_prompt("go")).await;
    }
    server
        .steps(&json!([{ "bash": first }, { "bash": second }]))
        .await;
    let kill = json!({ "at": "tool", "do": "kill_sandbox", "nth": 2 });
    server.control("POST", "faults", &kill).await;
    let message = server.message(&code_prompt("go")).await;
    let error = &message["content"][3]["content"]["error_code"];
    assert_eq!(error, "unavailable", "{message}");
    // Twice before, once to make up the past, and the call that was killed.
    assert_eq!(runs.count(), 4);
    let left = in_container(&server, &message["container"]["id"], "cat one.txt").await;
    assert_eq!(result(&left)["stdout"], "1\n", "{left}");
}

#[tokio::test]
async fn a_server_of_other_commands_reuses_nothing() {
    let (server, runs) = (
        TestServer::on(Arc::new(Processes::new())).await,
        Runs::new(),
    );
    server.steps(&json!([{ "bash": runs.noted("true") }])).await;
    for _ in 0..3 {
        server.message(&code_prompt("go")).await;
    }
    assert_eq!(runs.count(), 3);
}

#[tokio::test]
async fn files_have_their_digest_in_the_journal_where_runs_are_compared() {
    let change = |config: &mut server::config::Config| config.note_digests = true;
    let server = TestServer::on_with(Arc::new(Processes::new()), change).await;
    server.upload("a.txt", "text/plain", "one").await;
    server
        .steps(&json!([{ "bash": "printf one > $OUTPUT_DIR/a.txt" }]))
        .await;
    let message = server.message(&code_prompt("go")).await;
    let id = result(&message)["content"][0]["file_id"].as_str().unwrap();
    server
        .send(&server.request("GET", &format!("/v1/files/{id}/content")))
        .await;
    let one = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    let journal = server.journal().await;
    let of = |method: &str, path: &str| {
        let is = |entry: &&Value| {
            entry["method"] == method && entry["path"].as_str().unwrap().starts_with(path)
        };
        journal.iter().find(is).unwrap().clone()
    };
    let kept = json!({ "size_bytes": 3, "sha256": one });
    assert_eq!(of("POST", "/v1/files")["request_body"], kept);
    assert_eq!(of("GET", "/v1/files/")["response_body"], kept);
}
