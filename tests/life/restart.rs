//! State that a restart keeps: background jobs where a sandbox has a lease, nothing of a temporary server.

use std::time::{Duration, Instant};

use crate::http::result;
use crate::server::{Server, backends};
use crate::traces;

#[test]
fn a_background_job_outlives_a_kill_of_the_server_where_the_sandbox_has_a_lease() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        let command = "echo kept > note; (setsid sleep 1000 > /dev/null 2>&1 & echo $! > pid)";
        let answer = client.bash(None, command).unwrap();
        let id = answer.json()["container"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        // A call is under way when the server dies; it must not go on without its client.
        let body = crate::http::message(Some(&id), "touch under-way; sleep 999", &[], false);
        let cut = client
            .send("POST", "/v1/messages", "application/json", &body)
            .unwrap();
        while result(&client.bash(Some(&id), "ls under-way").unwrap())["return_code"] != 0 {}
        server.kill();
        drop(cut);

        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        let begun = Instant::now();
        let command =
            "cat note; kill -0 $(cat pid) && echo lives; while pgrep -f '[s]leep 999'; do :; done";
        let said = result(&client.bash(Some(&id), command).unwrap());
        eprintln!(
            "MEASURED: {backend}: first call after a restart: {:?}",
            begun.elapsed()
        );
        let expected = if backend == "docker" {
            "kept\nlives\n"
        } else {
            "kept\n"
        };
        let stdout = said["stdout"].as_str().unwrap_or_default();
        assert!(stdout.starts_with(expected), "{said}");
        assert!(server.stop().success());
        assert!(
            traces::sandboxes(&data_dir)
                .iter()
                .all(|sandbox| !sandbox.runs)
        );
        traces::remove_sandboxes(&data_dir);
    }
}

#[test]
fn what_a_killed_temporary_server_left_goes_at_the_next_start_and_a_living_ones_stays() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        let living = Server::start_temporary(backend, folder.path());
        living.client("key").bash(None, "true").unwrap();
        let killed = Server::start_temporary(backend, folder.path());
        let answer = killed.client("key").bash(None, "true").unwrap();
        let orphan = answer.json()["container"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        killed.kill();
        assert_eq!(count(), 2);

        let next = Server::start_temporary(backend, folder.path());
        let begun = Instant::now();
        while count() != 2 || traces::exists(&orphan) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{orphan} or its data stays"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = living.client("key").upload("a.txt", b"a").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(next.stop().success());
        assert!(living.stop().success());
        assert_eq!(count(), 0);
    }
}

/// A request whose code waits for a tool, or goes on with its answer.
fn programmatic(messages: &serde_json::Value, container: Option<&str>) -> String {
    let mut body = serde_json::json!({
        "model": "claude-opus-5",
        "max_tokens": 1024,
        "messages": messages,
        "tools": [
            {"type": "code_execution_20260120", "name": "code_execution"},
            {"name": "query", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]},
        ],
    });
    if let Some(container) = container {
        body["container"] = container.into();
    }
    body.to_string()
}

#[test]
fn code_that_waits_for_a_tool_outlives_a_kill_of_the_server_where_the_sandbox_has_a_lease() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let post = |server: &Server, body: &str| {
            let client = server.client("key");
            let answer = client.ask("POST", "/v1/messages", "application/json", body.as_bytes());
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()
        };
        let code = "before = 41\nprint(await query({}), before + 1)";
        let prompt = format!("```python\n{code}\n```");
        let mut messages = serde_json::json!([{"role": "user", "content": prompt}]);
        let first = post(&server, &programmatic(&messages, None));
        let container = first["container"]["id"].as_str().unwrap().to_owned();
        server.kill();

        let server = Server::start(backend, &data_dir, &[]).unwrap();
        if backend == "docker" {
            // Taken up by itself, before anybody uses it: else the sandbox's lease would end.
            let client = server.client("key");
            let is_awake = || {
                let containers = client.get("/_sandtable/containers").unwrap().json();
                containers["data"][0]["state"] == "awake"
            };
            let begun = Instant::now();
            while !is_awake() {
                assert!(begun.elapsed() < Duration::from_secs(30));
                std::thread::yield_now();
            }
        }
        let calls = first["content"].as_array().unwrap().iter();
        let calls = calls.filter(|block| block["type"] == "tool_use");
        let results: Vec<_> = calls
            .map(|call| {
                serde_json::json!({"type": "tool_result", "tool_use_id": call["id"], "content": "answer"})
            })
            .collect();
        let more = [
            serde_json::json!({"role": "assistant", "content": first["content"]}),
            serde_json::json!({"role": "user", "content": results}),
        ];
        messages.as_array_mut().unwrap().extend(more);
        let second = post(&server, &programmatic(&messages, Some(&container)));
        let result = &second["content"][0]["content"];
        assert_eq!(result["return_code"], 0, "{second}");
        if backend == "docker" {
            assert_eq!(result["stdout"], "answer 42\n", "{second}");
        } else {
            let expected =
                "TimeoutError: Calling tool ['query'] timed out (no response after 270s).";
            assert_eq!(result["stderr"], expected, "{second}");
        }
        assert!(server.stop().success());
        traces::remove_sandboxes(&data_dir);
    }
}

#[test]
fn a_thread_goes_on_after_a_kill() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let ask = |server: &Server, body: serde_json::Value| {
            let body = serde_json::to_vec(&body).unwrap();
            let client = server.client("key");
            client.ask("POST", "/v1/messages", "application/json", &body)
        };
        let text = |text: &str| serde_json::json!([{"role": "user", "content": text}]);
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let first = serde_json::json!({"model": "claude-test", "max_tokens": 100, "messages": text("one"),
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
            "thread": {"type": "create"}});
        let first = ask(&server, first).unwrap().json();
        server.kill();

        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let body = serde_json::json!({"model": "claude-test", "max_tokens": 100,
            "messages": text("```bash\necho two\n```"),
            "thread": {"type": "continue", "previous_message_id": first["id"]}});
        let again = body.clone();
        let answer = ask(&server, body).unwrap();
        // The thread's tools are there, else nothing would run.
        assert_eq!(result(&answer)["stdout"], "two\n", "{}", answer.text());
        let again = ask(&server, again).unwrap().json();
        assert_eq!(
            again["error"]["details"]["error_code"],
            "thread_already_continued"
        );
        assert!(server.stop().success());
        traces::remove_sandboxes(&data_dir);
    }
}
