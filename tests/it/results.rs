//! Calls that bring their results with them: nothing runs, and all else is as if it had.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::guest::Settings;
use sandbox::{BoxFuture, Host as _, Launched, Launcher, SandboxError, SandboxSpec};
use serde_json::{Value, json};
use server::config::BackendChoice;

use crate::harness::server::{code_prompt, prompt, streamed, with_tool};
use crate::harness::sse::{events_of, fold};
use crate::harness::transcript::golden;
use crate::harness::{Processes, TestServer};

/// A server that can run nothing.
async fn given(steps: Value) -> TestServer {
    let server = TestServer::start().await;
    server.steps(&steps).await;
    server
}

/// The contents of the result blocks.
fn results(message: &Value) -> Vec<&Value> {
    let blocks = message["content"].as_array().unwrap();
    let is_result = |block: &&Value| block["type"].as_str().unwrap().ends_with("_tool_result");
    let found = blocks.iter().filter(is_result);
    found.map(|block| &block["content"]).collect()
}

async fn content(server: &TestServer, id: &Value) -> Vec<u8> {
    let path = format!("/v1/files/{}/content", id.as_str().unwrap());
    let response = server.send(&server.request("GET", &path)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.body
}

/// The codes of all lints of the verdict.
async fn lints(server: &TestServer) -> Vec<String> {
    let verdict = server.control("GET", "verify", &Value::Null).await;
    let lints = verdict["lints"].as_array().unwrap();
    let codes = lints.iter().map(|lint| lint["code"].as_str().unwrap());
    codes.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_result_is_told_as_that_of_a_call_that_ran() {
    let server = given(json!([
        {"text": "I'll run it."},
        {"bash": "python3 report.py",
         "result": {"stdout": "for ${{ request.model }}\n", "stderr": "late\n", "return_code": 3,
                    "files": [{"name": "a.csv", "text": "a,b\n"}, {"name": "b.bin", "base64": "AP8="}]},
         "expect": {"return_code": 3, "stdout": "claude", "files": ["*.csv", "*.bin"]},
         "capture": {"model": "for (.*)"}},
        {"python": "print(1)", "result": {"return_code": "${{ last.return_code + 1 }}"}},
        {"if": {"return_code": 4}, "then": [{"text": "${{ captures.model }} made ${{ results[0].files[0].filename }}."}]},
    ]))
    .await;
    golden!(
        &server,
        server.messages(&code_prompt("run")),
        server.messages(&streamed(code_prompt("run"))),
        server.request("GET", "/v1/files"),
    );
}

#[tokio::test]
async fn a_result_of_the_editor_has_the_members_of_its_block() {
    let server = given(json!([
        {"create": {"path": "a.txt", "file_text": "x"}, "result": {}},
        {"create": {"path": "a.txt", "file_text": "x"}, "result": {"is_file_update": true}},
        {"view": "a.txt", "result": {"content": "one\ntwo\n"}},
        {"view": {"path": "a.txt", "view_range": [7, 8]}, "result": {"content": "seven\neight", "total_lines": 900}},
        {"view": "a.png", "result": {"file_type": "image", "content": "AP8="}},
        {"str_replace": {"path": "a.txt", "old_str": "one\ntwo", "new_str": "three"}, "result": {}},
        {"str_replace": {"path": "a.txt", "old_str": "b", "new_str": "c"},
         "result": {"lines": [" a", "-b", "+c"], "old_start": 4}},
        {"text_editor": {"command": "view", "path": "b"}, "result": {"content": "${{ request.model }}"}},
        {"text_editor": {"command": "undo_edit"}, "result": {"error_code": "invalid_tool_input", "message": "no `undo_edit`"}},
    ]))
    .await;
    golden!(
        &server,
        server.messages(&code_prompt("edit")),
        server.messages(&streamed(code_prompt("edit"))),
    );
}

#[tokio::test]
async fn python_has_the_block_of_the_tool_that_is_declared() {
    let server = given(json!([{"python": "1", "result": {"stdout": "x\n", "files": [{"name": "r.txt", "text": "55"}]}}])).await;
    for (tool, kind) in [
        ("code_execution_20250522", "code_execution_result"),
        ("code_execution_20250825", "bash_code_execution_result"),
        ("code_execution_20260120", "code_execution_result"),
    ] {
        let message = server.message(&with_tool(prompt("go"), tool)).await;
        let [result] = results(&message)[..] else {
            panic!("{message}")
        };
        assert_eq!(
            (&result["type"], &result["stdout"]),
            (&json!(kind), &json!("x\n")),
            "{tool}"
        );
        assert_eq!(
            content(&server, &result["content"][0]["file_id"]).await,
            b"55"
        );
    }
}

#[tokio::test]
async fn files_of_every_byte_and_fifty_at_once_can_be_downloaded() {
    let every: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let files: Vec<Value> = (0..50)
        .map(|n| json!({"name": format!("☂ {n}.bin"), "base64": STANDARD.encode(&every[n..])}))
        .collect();
    let server = given(json!([{"bash": "make", "result": {"files": files}}])).await;
    let message = server.message(&code_prompt("go")).await;
    let outputs = results(&message)[0]["content"].as_array().unwrap().clone();
    assert_eq!(outputs.len(), 50);
    for (n, output) in outputs.iter().enumerate() {
        assert_eq!(content(&server, &output["file_id"]).await, &every[n..]);
        let path = format!("/v1/files/{}", output["file_id"].as_str().unwrap());
        let file = server.send(&server.request("GET", &path)).await.json();
        assert_eq!(
            (&file["filename"], &file["downloadable"]),
            (&json!(format!("☂ {n}.bin")), &json!(true))
        );
    }
}

#[tokio::test]
async fn outputs_larger_than_a_sandbox_gives_and_odd_characters_come_whole() {
    let steps = json!([{"bash": "yes", "result": {
        "stdout": "${{ \"0123456789abcdef\" * 200000 }}",
        "stderr": "\u{0}\u{1b}[1m\r\n\u{fffd}☂\u{2028}",
        "return_code": -9,
    }}]);
    let server = given(steps).await;
    let plain = server.message(&code_prompt("go")).await;
    let response = server
        .send(&server.messages(&streamed(code_prompt("go"))))
        .await;
    for message in [plain, fold(&events_of([response.body.as_slice()]))] {
        let result = results(&message)[0];
        assert_eq!(result["stdout"].as_str().unwrap().len(), 3_200_000);
        assert_eq!(result["stderr"], "\u{0}\u{1b}[1m\r\n\u{fffd}☂\u{2028}");
        assert_eq!(result["return_code"], -9);
    }
}

#[tokio::test]
async fn a_result_over_its_bounds_fails_the_turn_and_says_where() {
    let large = "${{ \"0123456789abcdef\" * 200000 }}";
    let file = |n: u8| json!({"name": format!("{n}.txt"), "text": large});
    for (result, expected) in [
        (
            json!({"stdout": large, "stderr": large, "files": (0..20).map(file).collect::<Vec<_>>()}),
            "more than 64 MiB",
        ),
        (
            json!({"files": [{"name": "${{ 'a/b' }}", "text": ""}]}),
            "`a/b` is no name of a file",
        ),
        (
            json!({"files": [{"name": "${{ 'a' }}", "text": ""}, {"name": "a", "text": ""}]}),
            "two files of one call are named `a`",
        ),
        (
            json!({"files": [{"name": "a", "base64": "${{ '*' }}"}]}),
            "`base64` cannot be decoded",
        ),
        (
            json!({"return_code": "${{ 'x' }}"}),
            "`return_code` must be a whole number",
        ),
    ] {
        let server = given(json!([{"bash": "go", "result": result}])).await;
        let response = server.send(&server.messages(&code_prompt("go"))).await;
        assert!(response.status >= 400, "{expected}");
        let message = response.message();
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("request body:1") && message.contains("`bash`"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn an_error_code_is_the_same_in_a_result_as_beside_it() {
    let server = given(json!([
        {"bash": "a", "result": {"error_code": "execution_time_exceeded"}},
        {"bash": "a", "tool_error": "execution_time_exceeded"},
        {"view": "a", "result": {"error_code": "file_not_found", "message": "none for ${{ request.model }}"}},
        {"view": "a", "tool_error": {"code": "file_not_found", "message": "none for ${{ request.model }}"}},
    ]))
    .await;
    let message = server.message(&code_prompt("go")).await;
    let results = results(&message);
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0]["error_code"], "execution_time_exceeded");
    assert_eq!(results[2], results[3]);
    assert_eq!(results[2]["error_message"], "none for claude-opus-5");
}

#[tokio::test]
async fn a_container_without_a_sandbox_is_used_again_expires_and_gets_one_when_something_runs() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let rules = json!([
        {"when": {"user": "really"}, "then": [{"bash": "pwd; echo ran"}]},
        {"then": [{"bash": "a", "result": {"stdout": "given"}}]},
    ]);
    server.rules(&rules).await;
    let first = server.message(&code_prompt("go")).await;
    let id = first["container"]["id"].as_str().unwrap();
    assert_eq!(
        first["container"]["expires_at"],
        "2030-01-02T04:04:05.000000Z"
    );
    let naming = |text| {
        let mut body = code_prompt(text);
        body["container"] = json!(id);
        body
    };
    for (text, stdout) in [("go", "given"), ("really", "ran\n"), ("go", "given")] {
        let message = server.message(&naming(text)).await;
        assert_eq!(message["container"]["id"], id);
        assert!(
            results(&message)[0]["stdout"]
                .as_str()
                .unwrap()
                .ends_with(stdout),
            "{message}"
        );
    }
    server.advance("31d").await;
    let late = server.message(&naming("go")).await;
    assert_eq!(results(&late)[0]["error_code"], "container_expired");
}

#[tokio::test]
async fn results_stand_beside_calls_that_run_and_calls_of_the_client() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([
            {"parallel": [{"bash": "echo real"}, {"bash": "b", "result": {"stdout": "given\n"}}]},
            {"parallel": [
                {"tool_use": {"name": "ask", "input": {}}},
                {"bash": "c", "result": {"stdout": "later\n", "files": [{"name": "c.txt", "text": "c"}]}},
            ]},
            {"text": "${{ results | map(attribute='stdout') | join('') }}"},
        ]))
        .await;
    let mut body = code_prompt("go");
    let tools = body["tools"].as_array_mut().unwrap();
    tools.push(json!({"name": "ask", "input_schema": {"type": "object"}}));
    let first = server.message(&body).await;
    assert_eq!(first["stop_reason"], "tool_use");
    let call = first["content"].as_array().unwrap().iter();
    let call = call
        .rev()
        .find(|block| block["type"] == "tool_use")
        .unwrap();
    let answer = json!([{"type": "tool_result", "tool_use_id": call["id"], "content": "asked\n"}]);
    let mut body = crate::harness::server::then(body, &first, &answer);
    body["container"] = first["container"]["id"].clone();
    let second = server.message(&body).await;
    let text = second["content"].as_array().unwrap().last().unwrap();
    assert_eq!(text["text"], "real\ngiven\nasked\nlater\n");
    assert_eq!(
        content(&server, &results(&second)[0]["content"][0]["file_id"]).await,
        b"c"
    );
}

#[tokio::test]
async fn faults_on_tools_strike_a_call_with_a_result() {
    let server = given(
        json!([{"bash": "a", "result": {"stdout": "x", "files": [{"name": "a", "text": "a"}]}}]),
    )
    .await;
    for (fault, code, lint) in [
        (
            json!({"at": "tool", "error_code": "too_many_requests"}),
            "too_many_requests",
            None,
        ),
        (
            json!({"at": "tool", "do": "kill_sandbox"}),
            "unavailable",
            None,
        ),
        (
            json!({"at": "tool", "do": "engine_unreachable"}),
            "unavailable",
            None,
        ),
        (
            json!({"at": "tool", "do": "fill_disk"}),
            "unavailable",
            Some("fault_without_effect"),
        ),
        (
            json!({"at": "tool", "do": "exhaust_memory"}),
            "unavailable",
            Some("fault_without_effect"),
        ),
    ] {
        server.control("POST", "reset", &Value::Null).await;
        server.freeze().await;
        server
            .steps(&json!([{"bash": "a", "result": {"stdout": "x", "files": [{"name": "a", "text": "a"}]}}]))
            .await;
        let mut once = fault.clone();
        once["times"] = json!(1);
        server.control("POST", "faults", &once).await;
        let message = server.message(&code_prompt("go")).await;
        assert_eq!(results(&message)[0]["error_code"], code, "{fault}");
        let found = lints(&server).await;
        assert_eq!(
            found.iter().any(|code| Some(code.as_str()) == lint),
            lint.is_some(),
            "{fault}: {found:?}"
        );
        let files = server
            .send(&server.request("GET", "/v1/files"))
            .await
            .json();
        assert_eq!(files["data"], json!([]), "{fault}");
        let message = server.message(&code_prompt("go")).await;
        assert_eq!(results(&message)[0]["stdout"], "x", "{fault}");
    }
}

#[tokio::test]
async fn a_file_of_a_result_that_nobody_fetches_is_in_the_verdict() {
    let server =
        given(json!([{"bash": "a", "result": {"files": [{"name": "a", "text": "a"}]}}])).await;
    let message = server.message(&code_prompt("go")).await;
    assert_eq!(lints(&server).await, ["unfetched_output"]);
    content(&server, &results(&message)[0]["content"][0]["file_id"]).await;
    assert_eq!(lints(&server).await, [""; 0]);
}

/// A folder with a script of one rule, whose one step has such a file.
fn folder_with(path: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("scripts/charts")).unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    std::fs::write(folder.path().join("scripts/charts/chart.png"), b"\x89PNG\0").unwrap();
    std::os::unix::fs::symlink("../secret", folder.path().join("scripts/link")).unwrap();
    let script = folder.path().join("scripts/a.yaml");
    let rules = json!([{"then": [{"bash": "a", "result": {"files": [{"path": path}]}}]}]);
    std::fs::write(&script, rules.to_string()).unwrap();
    (folder, script)
}

#[tokio::test]
async fn a_path_is_read_beside_the_script_when_the_call_is_made() {
    let (folder, script) = folder_with("charts/chart.png");
    let server = TestServer::with(|config| config.scripts = vec![script]).await;
    let message = server.message(&code_prompt("go")).await;
    let id = &results(&message)[0]["content"][0]["file_id"];
    assert_eq!(content(&server, id).await, b"\x89PNG\0");
    let path = format!("/v1/files/{}", id.as_str().unwrap());
    let file = server.send(&server.request("GET", &path)).await.json();
    assert_eq!(
        (&file["filename"], &file["mime_type"]),
        (&json!("chart.png"), &json!("image/png"))
    );
    std::fs::write(folder.path().join("scripts/charts/chart.png"), "new").unwrap();
    let message = server.message(&code_prompt("go")).await;
    assert_eq!(
        content(&server, &results(&message)[0]["content"][0]["file_id"]).await,
        b"new"
    );
    std::fs::remove_file(folder.path().join("scripts/charts/chart.png")).unwrap();
    let gone = server.send(&server.messages(&code_prompt("go"))).await;
    assert!(
        gone.message().contains("`charts/chart.png` cannot be read"),
        "{}",
        gone.text()
    );
}

#[tokio::test]
async fn no_path_leaves_the_folder_of_the_script() {
    for (path, expected) in [
        ("../secret", "leaves the folder"),
        ("charts/../../secret", "leaves the folder"),
        ("/etc/hostname", "leaves the folder"),
        ("", "leaves the folder"),
        ("link", "leads out of the script's folder"),
        ("charts", "it is a folder"),
        ("missing", "cannot be read"),
    ] {
        let (_folder, script) = folder_with(path);
        let report = cli::check::check(&[script]).to_string();
        assert!(report.contains(expected), "{path}: {report}");
        assert!(
            report.contains("hint: `path` is relative"),
            "{path}: {report}"
        );
        // A template is looked at when it is filled in.
        let (_folder, script) = folder_with(&format!("${{{{ '{path}' }}}}"));
        let server = TestServer::with(|config| config.scripts = vec![script]).await;
        let response = server.send(&server.messages(&code_prompt("go"))).await;
        assert!(
            response.message().contains(expected),
            "{path}: {}",
            response.text()
        );
    }
}

/// Nothing here can run code, though nobody has asked for that.
#[derive(Debug)]
struct Absent;

impl Absent {
    fn error() -> SandboxError {
        SandboxError::Unavailable {
            reason: "there is no engine".to_owned(),
            hint: "start one".to_owned(),
        }
    }
}

impl Launcher for Absent {
    ends_with_its_channel!();
    leaves_nothing!();

    fn launch<'a>(&'a self, _: &'a SandboxSpec) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(std::future::ready(Err(Self::error())))
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        spec.settings(self.capabilities())
    }
}

host!(Absent, "none", |_backend| Box::pin(std::future::ready(
    Err(Self::error())
)));

#[tokio::test]
async fn a_server_whose_scripts_need_no_sandbox_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let good = r#"[{"bash": "a", "result": {}}, {"if": "true", "then": [{"view": "a", "tool_error": "unavailable"}]}, {"tool_use": "b"}]"#;
    let bad = r#"[{"parallel": [{"bash": "a", "result": {}}, {"python": "b"}]}, {"view": "c"}]"#;
    let direct = model::OnUnmatched::Direct;
    let fail = model::OnUnmatched::Fail;
    for (backend, steps, unmatched, status, reason) in [
        (
            BackendChoice::Auto,
            Some(good),
            fail,
            200,
            "no step of the scripts needs a sandbox",
        ),
        (
            BackendChoice::Auto,
            Some(good),
            direct,
            503,
            "there is no engine",
        ),
        (
            BackendChoice::Auto,
            Some(bad),
            fail,
            503,
            "2 steps of the scripts have no `result`",
        ),
        (BackendChoice::Auto, None, fail, 503, "there is no engine"),
        (
            BackendChoice::None,
            Some(good),
            fail,
            200,
            "no step of the scripts needs a sandbox",
        ),
        (
            BackendChoice::None,
            Some(bad),
            fail,
            200,
            "2 steps of the scripts have no `result`",
        ),
        (BackendChoice::None, None, fail, 200, "there is no engine"),
    ] {
        let script = folder.path().join("a.yaml");
        let scripts = steps.map(|steps| {
            std::fs::write(&script, format!(r#"[{{"then": {steps}}}]"#)).unwrap();
            script
        });
        let server = TestServer::on_with(Arc::new(Absent), |config| {
            config.backend = backend;
            config.on_unmatched = unmatched;
            config.scripts = scripts.into_iter().collect();
        })
        .await;
        let response = server
            .send(&server.request("GET", "/_sandtable/ready"))
            .await;
        assert_eq!(response.status, status, "{steps:?}: {}", response.text());
        let body = response.json();
        assert_eq!(
            body["status"],
            if status == 200 { "ok" } else { "not_ready" }
        );
        assert_eq!(body["sandboxes"], false);
        assert!(body["reason"].as_str().unwrap().contains(reason), "{body}");
    }
}
