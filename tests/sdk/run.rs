//! `sandtable run` and `sandtable verify`: what the command gets, what the report says, how it ends.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::interpreter::Interpreter::Python;
use crate::server::Server;

const SCRIPT: &str = "\
- name: greeting
  when: { user: { equals: hello } }
  then: [{ text: Hello. }]
- name: leave
  when: { user: { equals: bye } }
  times: 1
  then: [{ text: Bye. }]
";

/// A folder with the script, where reports go.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script.yaml"), SCRIPT).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `sandtable run` with the script, if it is there, both reports, and `flags`.
    fn run(&self, flags: &[&str], command: &[&Path]) -> Command {
        let mut run = Command::new(env!("CARGO_BIN_EXE_sandtable"));
        run.args(["run", "--backend", "none"]);
        let script = self.path("script.yaml");
        if script.exists() {
            run.arg("--script").arg(script);
        }
        run.arg("--json")
            .arg(self.path("report.json"))
            .arg("--junit")
            .arg(self.path("report.xml"))
            .args(flags)
            .arg("--")
            .args(command)
            .current_dir(self.0.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("ANTHROPIC_AUTH_TOKEN", "a real one")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        run
    }

    fn report(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path("report.json")).unwrap()).unwrap()
    }

    fn junit(&self) -> String {
        std::fs::read_to_string(self.path("report.xml")).unwrap()
    }
}

fn shell(script: &str) -> [&Path; 3] {
    [Path::new("sh"), Path::new("-c"), Path::new(script)]
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn the_sdk_s_own_retries_of_a_529_are_in_the_report() {
    let Some(python) = Python.find() else {
        return;
    };
    let place = Place::new();
    let fault = json!([{"at": "http", "path": "/v1/messages", "status": 529, "times": 2}]);
    std::fs::write(place.path("faults.json"), fault.to_string()).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/python/overloaded.py");
    let mut command: Vec<&Path> = python.iter().map(PathBuf::as_path).collect();
    command.push(&program);
    let mut run = place.run(&["--faults", "faults.json"], &command);
    let output = run.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello.\nBye.\n");
    let stderr = told(&output);
    assert!(
        stderr.contains("sandtable: ok, all as scripted\n"),
        "{stderr}"
    );
    assert!(stderr.contains(": recovered"), "{stderr}");
    let report = place.report();
    assert_eq!(report["ok"], true);
    let chain = &report["faults"][0];
    assert_eq!(
        (&chain["outcome"], &chain["retries"]),
        (&json!("recovered"), &json!(2))
    );
    let attempts = chain["attempts"].as_array().unwrap();
    let statuses: Vec<&Value> = attempts.iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, [529, 529, 200]);
    for attempt in &attempts[1..] {
        assert_eq!(attempt["by"], "sdk");
        // The SDK waits half a second or more, less a quarter by chance.
        assert!(attempt["after_ms"].as_f64().unwrap() > 300.0, "{attempt}");
    }
    assert!(place.junit().contains("failures=\"0\""));
}

#[tokio::test]
async fn a_bad_verdict_is_an_exit_code_of_its_own_and_a_failure_in_junit() {
    let place = Place::new();
    let output = place.run(&[], &shell("exit 0")).output().await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = told(&output);
    assert!(
        stderr.contains("sandtable: NOT ok, 2 unused steps"),
        "{stderr}"
    );
    assert!(
        stderr.contains("script.yaml:1: rule `greeting` never answered"),
        "{stderr}"
    );
    assert!(
        place.junit().contains("tests=\"10\" failures=\"3\""),
        "{}",
        place.junit()
    );
    assert_eq!(place.report()["unused_steps"][1]["rule"], "leave");
}

#[tokio::test]
async fn the_command_s_exit_code_comes_first() {
    let place = Place::new();
    for (command, code) in [("exit 7", 7), ("kill -KILL $$", 137)] {
        let output = place.run(&[], &shell(command)).output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}");
        // The verdict is written all the same.
        assert_eq!(place.report()["ok"], false);
        std::fs::remove_file(place.path("report.json")).unwrap();
    }
    let missing = [Path::new("./no-such-command")];
    let output = place.run(&[], &missing).output().await.unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(told(&output).contains("cannot run `./no-such-command`"));
    let output = place
        .run(&[], &[&place.path("script.yaml")])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(126));
    let mut without = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    let output = without
        .args(["run", "--backend", "none"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn the_command_finds_the_server_and_a_fresh_key() {
    let place = Place::new();
    let script = "echo $ANTHROPIC_BASE_URL $SANDTABLE_URL $ANTHROPIC_API_KEY ${ANTHROPIC_AUTH_TOKEN-unset} $NO_PROXY";
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut run = place.run(&[], &shell(script));
        let output = run.env("NO_PROXY", "example.org").output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = said.split_whitespace().collect();
        let [base, url, key, token, no_proxy] = words.as_slice() else {
            panic!("{said}");
        };
        assert!(
            base.starts_with("http://127.0.0.1:") && base == url,
            "{said}"
        );
        assert!(!base.ends_with(":4010"), "{said}");
        assert!(key.starts_with("sk-ant-"), "{said}");
        assert_eq!(
            (*token, *no_proxy),
            ("unset", "example.org,127.0.0.1,localhost,::1")
        );
        keys.push((*key).to_owned());
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn signals_reach_the_command_and_the_verdict_follows() {
    for (name, code) in [("TERM", 5), ("INT", 6)] {
        let place = Place::new();
        let script = "trap 'exit 5' TERM; trap 'exit 6' INT; echo ready; while :; do read -r line < fifo; done";
        let fifo = Command::new("mkfifo")
            .arg(place.path("fifo"))
            .status()
            .await;
        assert!(fifo.unwrap().success());
        let mut child = place
            .run(&[], &shell(script))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
        let pid = child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .await;
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().await.unwrap().code(), Some(code), "{name}");
        assert_eq!(place.report()["ok"], false);
    }
}

#[tokio::test]
async fn a_running_server_is_verified_whole_or_by_workspace() {
    let place = Place::new();
    let script = place.path("script.yaml");
    let server = Server::start(&["--backend", "none", "--script", script.to_str().unwrap()]).await;
    let verify = |flags: &'static [&'static str]| {
        let mut verify = Command::new(env!("CARGO_BIN_EXE_sandtable"));
        verify.args(["verify", "--url", &server.url]).args(flags);
        verify
    };
    let output = verify(&["--json", "/dev/stdout"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["unused_steps"].as_array().unwrap().len(), 2);
    // Two workspaces: one of them owes the files nothing.
    let client = reqwest::Client::new();
    for key in ["a", "b"] {
        let freeze = client.post(format!("{}/_sandtable/clock", server.url));
        let freeze = freeze.header("x-api-key", key).body(r#"{"freeze": true}"#);
        assert_eq!(freeze.send().await.unwrap().status(), 200);
    }
    let output = verify(&["--key", "a"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(told(&output), "sandtable: ok, all as scripted\n");
    let output = verify(&["--workspace", "nobody"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("no workspace `nobody`"));
    server.stop().await;
}

#[tokio::test]
async fn a_run_in_which_nothing_was_asked_is_no_success_unless_that_is_allowed() {
    let place = Place::new();
    std::fs::remove_file(place.path("script.yaml")).unwrap();
    let output = place.run(&[], &shell("true")).output().await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let stderr = told(&output);
    assert!(
        stderr.contains("sandtable: NOT ok, 1 empty run"),
        "{stderr}"
    );
    assert!(stderr.contains("no API request came"), "{stderr}");
    assert!(stderr.contains("--allow-empty"), "{stderr}");
    assert!(
        place.junit().contains("failures=\"1\""),
        "{}",
        place.junit()
    );
    let mut run = place.run(&["--allow-empty"], &shell("true"));
    let output = run.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[tokio::test]
async fn the_sdk_s_retry_of_an_upload_whose_answer_was_lost_is_a_duplicate() {
    let Some(python) = Python.find() else {
        return;
    };
    let place = Place::new();
    std::fs::remove_file(place.path("script.yaml")).unwrap();
    let lost = json!([{"at": "wire", "path": "/v1/files", "method": "POST", "do": "reset"}]);
    std::fs::write(place.path("faults.json"), lost.to_string()).unwrap();
    let program = place.path("upload.py");
    let text = "import anthropic\n\
                made = anthropic.Anthropic().beta.files.upload(file=(\"a.txt\", b\"text\", \"text/plain\"))\n\
                print(made.id)\n";
    std::fs::write(&program, text).unwrap();
    let mut command: Vec<&Path> = python.iter().map(PathBuf::as_path).collect();
    command.push(&program);
    let mut run = place.run(&["--faults", "faults.json"], &command);
    let output = run.output().await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let known = String::from_utf8(output.stdout.clone()).unwrap();
    let report = place.report();
    let chain = &report["faults"][0];
    assert_eq!(
        (&chain["outcome"], &chain["retries"]),
        (&json!("duplicated"), &json!(1))
    );
    let ids = report["duplicated"][0]["ids"].as_array().unwrap();
    assert_eq!((ids.len(), &ids[1]), (2, &json!(known.trim())));
    let stderr = told(&output);
    assert!(
        stderr.contains("sandtable: NOT ok, 1 duplicate\n"),
        "{stderr}"
    );
    let mut run = place.run(&["--faults", "faults.json", "--allow-duplicates"], &command);
    let output = run.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[tokio::test]
async fn with_a_seed_every_run_has_the_same_key_and_without_one_each_its_own() {
    let place = Place::new();
    let key = async |flags: &[&str]| {
        let print = [
            Path::new("sh"),
            "-c".as_ref(),
            "echo $ANTHROPIC_API_KEY".as_ref(),
        ];
        let output = place.run(flags, &print).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let key = said.lines().find(|line| line.starts_with("sk-ant-"));
        key.expect("a key").to_owned()
    };
    assert_eq!(key(&["--seed", "7"]).await, key(&["--seed", "7"]).await);
    assert_ne!(key(&["--seed", "7"]).await, key(&["--seed", "8"]).await);
    assert_ne!(key(&[]).await, key(&[]).await);
}
