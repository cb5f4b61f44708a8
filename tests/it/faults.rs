//! Failures caused on purpose: each kind, plain and streamed, by every way of setting it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::ids::SandboxId;
use sandbox::guest::Settings;
use sandbox::{BoxFuture, Launched, Launcher, SandboxError, SandboxSpec};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::harness::server::{code_prompt, prompt, streamed};
use crate::harness::sse::events_of;
use crate::harness::{Processes, Request, Response, TestServer};

/// Silence after which a test takes an answer for stalled.
const SILENCE: Duration = Duration::from_millis(300);

async fn talking() -> TestServer {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"text": "one two three four five six seven eight nine"}]))
        .await;
    server
}

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

async fn cause(server: &TestServer, fault: Value) {
    server.control("POST", "faults", &fault).await;
}

fn with(request: Request, fault: &Value) -> Request {
    request.header("x-sandtable-fault", &fault.to_string())
}

/// Everything that comes until the connection closes, or stays silent: the bytes, and whether it closed.
async fn raw(server: &TestServer, request: &Request) -> (String, bool) {
    let mut connection = server.connect().await;
    connection.send(request).await;
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(SILENCE, connection.stream.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return (text(bytes), true),
            Err(_) => return (text(bytes), false),
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("answers are text")
}

fn names(response: &Response) -> Vec<String> {
    let events = events_of([response.body.as_slice()]);
    events.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn an_http_fault_answers_as_often_as_it_says_and_is_counted() {
    let server = talking().await;
    cause(
        &server,
        json!({"at": "http", "path": "/v1/messages", "status": 529, "type": "overloaded_error", "message": "Overloaded",
               "headers": {"retry-after": "1", "x-should-retry": "false"}, "times": 2}),
    )
    .await;
    // Another path is none of its business.
    let files = server.send(&server.request("GET", "/v1/files")).await;
    assert_eq!(files.status, 200);
    for body in [prompt("hi"), streamed(prompt("hi"))] {
        let response = server.send(&server.messages(&body)).await;
        assert_eq!(response.status, 529);
        assert_eq!(
            response.json()["error"],
            json!({"type": "overloaded_error", "message": "Overloaded"})
        );
        assert_eq!(
            response.json()["request_id"],
            response.header("request-id").unwrap()
        );
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.header("x-should-retry"), Some("false"));
    }
    server.message(&prompt("hi")).await;
    let list = server.control("GET", "faults", &Value::Null).await;
    let fault = &list["data"][0];
    assert_eq!(
        [&fault["matched"], &fault["fired"], &fault["left"]],
        [&json!(3), &json!(2), &json!(0)]
    );
    assert_eq!(server.journal().await[1]["source"], "fault");
}

#[tokio::test]
async fn every_error_type_has_its_usual_status_text_and_advice() {
    let server = talking().await;
    for (status, kind, retry) in [
        (400, "invalid_request_error", "false"),
        (401, "authentication_error", "false"),
        (402, "billing_error", "false"),
        (403, "permission_error", "false"),
        (404, "not_found_error", "false"),
        (409, "conflict_error", "true"),
        (409, "memory_precondition_failed_error", "true"),
        (409, "memory_path_conflict_error", "true"),
        (413, "request_too_large", "false"),
        (429, "rate_limit_error", "true"),
        (500, "api_error", "true"),
        (504, "timeout_error", "true"),
        (529, "overloaded_error", "true"),
    ] {
        let fault = json!({"at": "http", "type": kind});
        let response = server
            .send(&with(server.messages(&prompt("hi")), &fault))
            .await;
        assert_eq!(
            (response.status, &response.json()["error"]["type"]),
            (status, &json!(kind))
        );
        assert_eq!(response.header("x-should-retry"), Some(retry), "{kind}");
        assert_eq!(
            response.header("retry-after"),
            (status == 429).then_some("1")
        );
        let account = response.header("anthropic-organization-id");
        assert_eq!(account.is_some(), status != 401);
    }
    // One request only.
    server.message(&prompt("hi")).await;
}

#[tokio::test]
async fn the_edge_refuses_without_type_and_request_id() {
    let server = talking().await;
    let fault = json!({"at": "http", "status": 403, "edge": true});
    let response = server
        .send(&with(server.messages(&prompt("hi")), &fault))
        .await;
    assert_eq!(
        (response.status, response.text()),
        (
            403,
            r#"{"error":{"type":"forbidden","message":"Request not allowed"}}"#
        )
    );
}

#[tokio::test]
async fn method_model_and_nth_choose_the_request() {
    let server = talking().await;
    cause(
        &server,
        json!([
            {"at": "http", "method": "get", "path": "/v1/files/*", "status": 500},
            {"at": "http", "model": "claude-haiku-*", "status": 529, "nth": 2},
        ]),
    )
    .await;
    let model = |name: &str| {
        let mut body = prompt("hi");
        body["model"] = json!(name);
        server.messages(&body)
    };
    let mut statuses = Vec::new();
    for request in [
        server.request("GET", "/v1/files"),
        server.request("GET", "/v1/files/file_1"),
        model("claude-opus-5"),
        model("claude-haiku-4-5"),
        model("claude-haiku-4-5"),
        model("claude-haiku-4-5"),
    ] {
        statuses.push(server.send(&request).await.status);
    }
    assert_eq!(statuses, [200, 500, 200, 200, 529, 200]);
}

#[tokio::test]
async fn probability_is_the_same_in_every_run_with_a_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let server = talking().await;
        cause(
            &server,
            json!({"at": "http", "status": 500, "probability": 0.5}),
        )
        .await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(server.send(&server.messages(&prompt("hi"))).await.status);
        }
        assert!(
            statuses.contains(&200) && statuses.contains(&500),
            "{statuses:?}"
        );
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn an_http_cut_closes_without_a_byte_and_a_stall_sends_none() {
    let server = talking().await;
    let request = server.messages(&prompt("hi"));
    let (bytes, closed) = raw(
        &server,
        &with(request.clone(), &json!({"at": "http", "do": "cut"})),
    )
    .await;
    assert_eq!((bytes.as_str(), closed), ("", true));
    let (bytes, closed) = raw(
        &server,
        &with(request.clone(), &json!({"at": "http", "do": "stall"})),
    )
    .await;
    assert_eq!((bytes.as_str(), closed), ("", false));
    server.thaw().await;
    let started = Instant::now();
    let late = with(request, &json!({"at": "http", "delay_ms": 120}));
    assert_eq!(server.send(&late).await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn an_error_in_a_stream_is_an_event_and_the_status_of_a_plain_answer() {
    let server = talking().await;
    let fault = json!({"at": "stream", "after_events": 5, "type": "overloaded_error"});
    let response = server
        .send(&with(server.messages(&streamed(prompt("hi"))), &fault))
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(
        names(&response),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "error"
        ]
    );
    let (_, error) = events_of([response.body.as_slice()]).pop().unwrap();
    assert_eq!(
        error["error"],
        json!({"details": null, "type": "overloaded_error", "message": "Overloaded"})
    );
    let plain = server
        .send(&with(server.messages(&prompt("hi")), &fault))
        .await;
    assert_eq!(
        (plain.status, plain.json()["error"]["type"].as_str()),
        (529, Some("overloaded_error"))
    );
    // Before the first event it is an HTTP error in both forms; more events than there are mean the last moment.
    let early = json!({"at": "stream", "after_events": 0, "status": 500});
    let response = server
        .send(&with(server.messages(&streamed(prompt("hi"))), &early))
        .await;
    assert_eq!(response.status, 500);
    let late = json!({"at": "stream", "after_events": 1000, "status": 500});
    let response = server
        .send(&with(server.messages(&streamed(prompt("hi"))), &late))
        .await;
    assert!(names(&response).ends_with(&["content_block_stop".to_owned(), "error".to_owned()]));
}

#[tokio::test]
async fn a_cut_stream_ends_without_message_stop_and_a_cut_answer_in_the_middle() {
    let server = talking().await;
    let fault = json!({"at": "stream", "do": "cut", "after_events": 4});
    let (bytes, closed) = raw(
        &server,
        &with(server.messages(&streamed(prompt("hi"))), &fault),
    )
    .await;
    assert!(closed);
    assert_eq!(bytes.matches("event: ").count(), 4, "{bytes}");
    assert!(!bytes.ends_with("0\r\n\r\n"), "the body was ended properly");
    let (bytes, closed) = raw(&server, &with(server.messages(&prompt("hi")), &fault)).await;
    assert!(
        closed && bytes.contains("200 OK") && bytes.contains(r#"{"model":"#),
        "{bytes}"
    );
    assert!(
        !bytes.ends_with("0\r\n\r\n") && !bytes.contains("end_turn"),
        "{bytes}"
    );
}

#[tokio::test]
async fn a_stalled_stream_is_silent_and_goes_on_if_it_has_an_end() {
    let server = talking().await;
    let forever = json!({"at": "stream", "do": "stall", "after_events": 3});
    let (bytes, closed) = raw(
        &server,
        &with(server.messages(&streamed(prompt("hi"))), &forever),
    )
    .await;
    assert_eq!((bytes.matches("event: ").count(), closed), (3, false));
    let (bytes, closed) = raw(&server, &with(server.messages(&prompt("hi")), &forever)).await;
    assert_eq!((bytes.as_str(), closed), ("", false));
    let for_a_while = json!({"at": "stream", "do": "stall", "after_events": 3, "for_ms": 150});
    server.thaw().await;
    for body in [prompt("hi"), streamed(prompt("hi"))] {
        let started = Instant::now();
        let response = server
            .send(&with(server.messages(&body), &for_a_while))
            .await;
        assert!(started.elapsed() >= Duration::from_millis(150));
        assert!(response.text().contains("end_turn"));
    }
}

#[tokio::test]
async fn a_delay_comes_before_each_event_or_before_one() {
    let server = talking().await;
    server.thaw().await;
    let each = json!({"at": "stream", "delay_ms": 20});
    let response = server
        .send(&with(server.messages(&streamed(prompt("hi"))), &each))
        .await;
    let events = names(&response).len();
    assert_eq!(names(&response).last().unwrap(), "message_stop");
    assert_eq!(response.chunks.len(), events, "each event leaves alone");
    assert!(response.chunks.last().unwrap().0 >= Duration::from_millis(20 * events as u64));
    let one = json!({"at": "stream", "delay_ms": 150, "after_events": 2});
    let response = server
        .send(&with(server.messages(&streamed(prompt("hi"))), &one))
        .await;
    let gaps = response
        .chunks
        .windows(2)
        .filter(|pair| pair[1].0.saturating_sub(pair[0].0) >= Duration::from_millis(100));
    assert_eq!(gaps.count(), 1);
}

fn tool_results(message: &Value) -> Vec<Value> {
    let blocks = message["content"].as_array().expect("content").iter();
    let results = blocks.filter(|block| block["tool_use_id"].is_string());
    results.map(|block| block["content"].clone()).collect()
}

#[tokio::test]
async fn a_tool_fault_is_the_result_of_the_call_it_chooses() {
    let server = running(json!([
        {"bash": "echo first"},
        {"bash": "echo second"},
        {"create": {"path": "a.txt", "file_text": "a"}},
    ]))
    .await;
    for body in [code_prompt("go"), streamed(code_prompt("go"))] {
        cause(
            &server,
            json!([
                {"at": "tool", "tool": "bash_code_execution", "error_code": "too_many_requests", "nth": 2},
                {"at": "tool", "tool": "text_editor_code_execution", "error_code": "unavailable", "error_message": "gone fishing"},
            ]),
        )
        .await;
        let response = server.send(&server.messages(&body)).await;
        let message = if body["stream"] == true {
            crate::harness::sse::fold(&events_of([response.body.as_slice()]))
        } else {
            response.json()
        };
        let results = tool_results(&message);
        assert_eq!(results[0]["stdout"], "first\n");
        assert_eq!(
            results[1],
            json!({"type": "bash_code_execution_tool_result_error", "error_code": "too_many_requests"})
        );
        assert_eq!(
            results[2],
            json!({"type": "text_editor_code_execution_tool_result_error", "error_code": "unavailable", "error_message": "gone fishing"})
        );
        server.control("DELETE", "faults", &Value::Null).await;
    }
}

#[tokio::test]
async fn a_killed_sandbox_keeps_its_files_and_the_next_call_works() {
    let server = running(json!([
        {"bash": "echo kept > kept.txt"},
        {"bash": "sleep 30; echo never"},
        {"bash": "cat kept.txt"},
    ]))
    .await;
    for body in [code_prompt("go"), streamed(code_prompt("go"))] {
        let fault = json!({"at": "tool", "do": "kill_sandbox", "nth": 2});
        let response = server.send(&with(server.messages(&body), &fault)).await;
        let text = response.text();
        assert!(text.contains(r#""error_code":"unavailable""#), "{text}");
        assert!(text.contains(r#""stdout":"kept\n""#), "{text}");
        assert!(!text.contains("never\\n"), "{text}");
    }
}

#[tokio::test]
async fn a_quick_call_whose_sandbox_is_killed_leaves_no_file_behind() {
    let server = running(json!([{"bash": "echo x > $OUTPUT_DIR/x.txt"}])).await;
    cause(&server, json!({"at": "tool", "do": "kill_sandbox"})).await;
    let message = server.message(&code_prompt("go")).await;
    assert_eq!(tool_results(&message)[0]["error_code"], "unavailable");
    let files = server.send(&server.request("GET", "/v1/files")).await;
    assert_eq!(files.json()["data"], json!([]));
}

#[tokio::test]
async fn an_unreachable_engine_is_not_asked() {
    let server = running(json!([{"bash": "echo one"}, {"bash": "echo two"}])).await;
    cause(&server, json!({"at": "tool", "do": "engine_unreachable"})).await;
    let results = tool_results(&server.message(&code_prompt("go")).await);
    assert_eq!(results[0]["error_code"], "unavailable");
    assert_eq!(results[1]["stdout"], "two\n");
}

#[tokio::test]
async fn a_disk_without_a_bound_is_not_filled_and_the_journal_says_so() {
    let server = running(json!([{"bash": "echo one"}, {"bash": "ls -A"}])).await;
    cause(&server, json!({"at": "tool", "do": "fill_disk"})).await;
    let results = tool_results(&server.message(&code_prompt("go")).await);
    assert_eq!(results[0]["error_code"], "unavailable");
    assert_eq!(results[1]["stdout"], "", "nothing of ours is left");
    let lints = server.journal().await[0]["lints"].to_string();
    assert!(lints.contains("fill_disk"), "{lints}");
}

/// Processes whose disk the guest alone keeps to 64 MiB: programs are told of a disk of that size.
#[derive(Debug)]
struct WatchedDisk(Processes);

impl Launcher for WatchedDisk {
    ends_with_its_channel!();

    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        self.0.launch(spec)
    }

    fn stop<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.0.stop(id)
    }

    fn remove<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.0.remove(id)
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        Settings {
            max_disk_bytes: 64 << 20,
            ..self.0.settings(spec)
        }
    }
}

host!(WatchedDisk, "watched-disk", |backend| backend.0.ready());

#[tokio::test]
async fn a_disk_that_is_only_watched_has_no_bound() {
    let server = TestServer::on(Arc::new(WatchedDisk(Processes::new()))).await;
    let steps = json!([{"bash": "echo one"}, {"bash": "ls -A"}]);
    server.steps(&steps).await;
    cause(&server, json!({"at": "tool", "do": "fill_disk"})).await;
    let results = tool_results(&server.message(&code_prompt("go")).await);
    assert_eq!(results[0]["error_code"], "unavailable");
    assert_eq!(results[1]["stdout"], "", "nothing of ours is left");
}

/// Processes whose working directory is a file system of 16 MiB.
#[derive(Debug)]
struct SmallDisk {
    inner: Processes,
    disk: PathBuf,
}

impl SmallDisk {
    /// `None` where this user may not mount.
    fn new(disk: &Path) -> Option<Self> {
        let options = "size=16m,mode=777";
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(disk)
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self {
            inner: Processes::new(),
            disk: disk.to_owned(),
        })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process may still be in it.
        Command::new("umount")
            .arg("-l")
            .arg(&self.disk)
            .status()
            .ok();
    }
}

impl Launcher for SmallDisk {
    ends_with_its_channel!();

    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        self.inner.launch(spec)
    }

    fn stop<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.inner.stop(id)
    }

    fn remove<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.inner.remove(id)
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        Settings {
            work_dir: self.disk.to_str().expect("a UTF-8 path").to_owned(),
            ..self.inner.settings(spec)
        }
    }
}

host!(SmallDisk, "small-disk", |backend| backend.inner.ready());

#[tokio::test]
async fn a_disk_with_a_bound_is_full_while_the_call_runs_and_cleared_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(backend) = SmallDisk::new(folder.path()) else {
        let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.contains("mount"), "mounting is required");
        eprintln!("SKIPPED, nothing was tested: this user may not mount a tmpfs");
        return;
    };
    let server = TestServer::on(Arc::new(backend)).await;
    let write = "head -c 100000 /dev/zero > data; echo $?";
    server
        .steps(&json!([{"bash": write}, {"bash": write}, {"bash": "ls -A"}]))
        .await;
    cause(&server, json!({"at": "tool", "do": "fill_disk"})).await;
    let results = tool_results(&server.message(&code_prompt("go")).await);
    assert_eq!(results[0]["stdout"], "1\n", "{}", results[0]);
    assert!(
        results[0]["stderr"].to_string().contains("No space left"),
        "{}",
        results[0]
    );
    assert_eq!(results[1]["stdout"], "0\n");
    assert_eq!(results[2]["stdout"], "data\n");
}

#[tokio::test]
async fn a_fault_with_a_mistake_changes_nothing_and_says_what_would_do() {
    let server = talking().await;
    let list = json!([{"at": "http", "status": 500}, {"at": "http", "status": 500, "tims": 2}]);
    let request = server.request("POST", "/_sandtable/faults").json(&list);
    let response = server.send(&request).await;
    assert_eq!(response.status, 400);
    assert_eq!(
        response.json()["error"],
        json!({"message": "fault 2: `tims` is no key of a fault at \"http\"", "hint": "did you mean `times`?"})
    );
    let listed = server.control("GET", "faults", &Value::Null).await;
    assert_eq!(listed["data"], json!([]));
    let request = server
        .messages(&prompt("hi"))
        .header("x-sandtable-fault", "{at: http}");
    let response = server.send(&request).await;
    assert_eq!(response.status, 400);
    assert!(
        response
            .message()
            .starts_with("x-sandtable-fault is not JSON")
    );
}

#[tokio::test]
async fn faults_of_a_file_lie_under_every_workspace_and_a_reset_returns_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faults.yaml");
    std::fs::write(&path, "- at: http\n  path: /v1/files\n  status: 503\n").unwrap();
    let server = TestServer::with(|config| config.faults = vec![path]).await;
    let files = server.request("GET", "/v1/files");
    let other = files
        .clone()
        .without("x-api-key")
        .header("x-api-key", "another");
    assert_eq!(server.send(&files).await.status, 503);
    assert_eq!(server.send(&files).await.status, 200);
    assert_eq!(server.send(&other).await.status, 503);
    cause(
        &server,
        json!({"at": "http", "status": 500, "times": "always"}),
    )
    .await;
    assert_eq!(server.send(&other).await.status, 200, "another workspace");
    server.control("DELETE", "faults", &Value::Null).await;
    assert_eq!(server.send(&files).await.status, 200);
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(server.send(&files).await.status, 503);
}

#[tokio::test]
async fn every_example_of_the_page_about_faults_is_taken_and_fires() {
    let page = include_str!("../../docs/FAULTS.md");
    let examples: Vec<&str> = page
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 12, "{} examples", examples.len());
    for example in examples {
        let fault: Value = serde_json::from_str(example).expect(example);
        if fault["do"] == "exhaust_memory" {
            // Without a limit on memory this would take the machine's: `tests/docker` runs it.
            assert_eq!(fault["at"], "tool");
            continue;
        }
        let server = running(json!([{"bash": "true"}, {"bash": "true"}, {"text": "done"}])).await;
        // A container that a turn may name, and a file.
        server.message(&code_prompt("go")).await;
        let file = server.upload("a.txt", "text/plain", "a").await;
        let file = format!("/v1/files/{file}");
        cause(&server, fault.clone()).await;
        let before = server.control("GET", "containers", &Value::Null).await;
        for _ in 0..3 {
            let mut body = streamed(code_prompt("go"));
            body["model"] = json!("claude-haiku-4-5");
            body["container"] = before["data"][0]["id"].clone();
            raw(&server, &server.messages(&body)).await;
            raw(&server, &server.request("GET", "/v1/files")).await;
            if fault["do"] == "delete_file" {
                raw(&server, &server.request("GET", &file)).await;
            }
        }
        let list = server.control("GET", "faults", &Value::Null).await;
        for listed in list["data"].as_array().unwrap() {
            assert_ne!(listed["fired"], 0, "{listed}");
        }
    }
}
