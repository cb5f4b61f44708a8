//! `sandtable sweep` on the agents of `examples/sweep`: no alarm on the careful one, and each planted bug named, in each client.
//!
//! A sample, for the time that it takes; `examples/sweep/run.sh` plays everything.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::clients::copy;
use crate::interpreter::Interpreter::{Node, Python};
use crate::interpreter::modules;
use crate::workshop::of_repository;

/// The cells that a careful client must come through, one or more of each kind.
const SAMPLE: [&str; 9] = [
    "files#1/lost-reset",
    "messages#1/overloaded@first",
    "messages#1/cut@mid",
    "messages#1/split",
    "messages#1/pause_turn@3",
    "messages#2/http-529",
    "messages#2/tool-bash-container_expired@1",
    "messages#2/max_tokens",
    "get.files.id.content#2/lost-reset",
];
/// Each bug with a cell that shows it, what the sweep calls that, and words of what it says.
const BUGS: [(&str, &str, &str, &str); 10] = [
    (
        "no_reupload_after_expiry",
        "messages#2/tool-bash-container_expired@1",
        "mistaken",
        "(upload_not_sent_again)",
    ),
    (
        "first_output_only",
        "baseline",
        "lost",
        "(unread_further_output)",
    ),
    (
        "no_retry_in_stream",
        "messages#1/overloaded@first",
        "gave_up",
        "although asking again would do",
    ),
    (
        "retry_duplicates",
        "messages#1/lost-reset",
        "duplicated",
        "had POST /v1/messages carried out 2 times",
    ),
    (
        "ignored_pause",
        "messages#1/pause_turn@1",
        "mistaken",
        "(ignored_pause_turn)",
    ),
    (
        "swallowed_error",
        "get.files.id.content#2/http-500",
        "degraded",
        "ended well without `",
    ),
    (
        "endless_retry",
        "files#1/529-always",
        "retried_wrong",
        "sent POST /v1/files",
    ),
    (
        "lost_container",
        "messages#2/http-529",
        "lost",
        "(dropped_container)",
    ),
    (
        "partial_json",
        "messages#1/split",
        "gave_up",
        "although asking again would do",
    ),
    ("key_in_log", "files#1/http-500", "leaked", "the API key"),
];
const SWEEPS_AT_A_TIME: usize = 2;
const TIMEOUT: Duration = Duration::from_mins(5);

/// A copy of the example, and how a client is started.
struct Agents {
    folder: TempDir,
    careful: Vec<PathBuf>,
    planted: Vec<PathBuf>,
}

impl Agents {
    fn python(client: &str) -> Option<Self> {
        let python = Python.find()?;
        let careful = if client == "plain" {
            "python/careful_plain.py"
        } else {
            "python/careful.py"
        };
        let planted = ["python/planted.py", "--client", client];
        Some(Self {
            folder: example(),
            careful: [python.clone(), vec![careful.into()]].concat(),
            planted: [python, planted.map(PathBuf::from).to_vec()].concat(),
        })
    }

    /// Compiled once, so that it need not be for each run.
    async fn typescript() -> Option<Self> {
        let node = Node.find()?.remove(0);
        let folder = example();
        std::os::unix::fs::symlink(modules(), folder.path().join("node_modules")).unwrap();
        let compiled = Command::new(modules().join(".bin/esbuild"))
            .args([
                "typescript/careful.ts",
                "typescript/planted.ts",
                "--bundle",
                "--platform=node",
            ])
            .args(["--format=esm", "--outdir=built", "--out-extension:.js=.mjs"])
            .current_dir(folder.path())
            .output()
            .await
            .unwrap();
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        Some(Self {
            folder,
            careful: vec![node.clone(), "built/careful.mjs".into()],
            planted: vec![node, "built/planted.mjs".into()],
        })
    }

    /// The exit code, the report, and what was printed.
    async fn sweep(
        &self,
        command: &[PathBuf],
        bug: &str,
        cells: &[&str],
    ) -> (Option<i32>, Value, String) {
        let only: Vec<&str> = cells.iter().flat_map(|cell| ["--only", *cell]).collect();
        self.sweep_with(command, bug, &only).await
    }

    async fn sweep_with(
        &self,
        command: &[PathBuf],
        bug: &str,
        flags: &[&str],
    ) -> (Option<i32>, Value, String) {
        let report = self.folder.path().join(format!("{bug}.json"));
        let mut sweep = Command::new(env!("CARGO_BIN_EXE_sandtable"));
        sweep
            .args([
                "sweep",
                "--backend",
                "none",
                "--script",
                "script.yaml",
                "--json",
            ])
            .arg(&report);
        sweep
            .args(flags)
            .arg("--")
            .args(command)
            .current_dir(self.folder.path())
            .env("BUG", bug)
            .env("RETRY_SECONDS", "0.05")
            .env("TIMEOUT_SECONDS", "8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(TIMEOUT, sweep.output()).await;
        let output = output.expect("a sweep ends").unwrap();
        let said = format!(
            "{bug}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let json = std::fs::read_to_string(&report)
            .unwrap_or_else(|error| panic!("no report ({error}): {said}"));
        (
            output.status.code(),
            serde_json::from_str(&json).unwrap(),
            said,
        )
    }

    async fn careful_has_no_alarm(&self) {
        let (code, report, said) = self.sweep(&self.careful, "none", &SAMPLE).await;
        let cells = report["cells"].as_array().unwrap();
        assert_eq!(cells.len(), SAMPLE.len(), "{said}");
        for cell in cells {
            assert_eq!(
                (&cell["bad"], cell["outcome"] == "not_met"),
                (&Value::Bool(false), false),
                "{cell}"
            );
        }
        assert_eq!(
            (code, &report["ok"]),
            (Some(0), &Value::Bool(true)),
            "{said}"
        );
    }

    async fn every_bug_is_named(&self) {
        let sweeps = futures_util::stream::iter(BUGS.iter().map(|bug| self.names(bug)));
        sweeps
            .buffer_unordered(SWEEPS_AT_A_TIME)
            .collect::<Vec<()>>()
            .await;
    }

    async fn names(&self, (bug, cell, outcome, words): &(&str, &str, &str, &str)) {
        // A sweep plays something; what is wrong without a fault it tells beside.
        let played = if *cell == "baseline" {
            "files#1/split"
        } else {
            cell
        };
        let (code, report, said) = self.sweep(&self.planted, bug, &[played]).await;
        assert_eq!(code, Some(3), "{said}");
        let findings = if *cell == "baseline" {
            &report["baseline"]
        } else {
            &report["cells"][0]
        };
        let named = findings["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| {
                finding["bad"] == true
                    && finding["outcome"] == *outcome
                    && finding["says"].as_str().unwrap().contains(words)
            });
        assert!(named, "{bug} is not named: {findings}");
    }
}

fn example() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&of_repository("examples/sweep"), folder.path());
    folder
}

#[tokio::test]
async fn a_careful_agent_has_no_alarm_and_ten_bugs_are_named_with_the_sdk_for_python() {
    let Some(agents) = Agents::python("sdk") else {
        return;
    };
    agents.careful_has_no_alarm().await;
    agents.every_bug_is_named().await;
}

#[tokio::test]
async fn a_careful_agent_has_no_alarm_and_ten_bugs_are_named_with_plain_http() {
    let Some(agents) = Agents::python("plain") else {
        return;
    };
    agents.careful_has_no_alarm().await;
    agents.every_bug_is_named().await;
}

#[tokio::test]
async fn a_careful_agent_has_no_alarm_and_ten_bugs_are_named_with_the_sdk_for_typescript() {
    let Some(agents) = Agents::typescript().await else {
        return;
    };
    agents.careful_has_no_alarm().await;
    agents.every_bug_is_named().await;
}

/// Reads answers with nothing but the standard library, and knows nothing beyond ASCII.
const NARROW: &str = r#"
import json, os, urllib.request

body = {"model": "claude-opus-4-6", "max_tokens": 1024, "messages": [{"role": "user", "content": "hello"}]}
request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(), {
    "content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": os.environ["ANTHROPIC_API_KEY"],
})
for block in json.load(urllib.request.urlopen(request))["content"]:
    print(block.get("text", "").encode("ascii").decode())
"#;

#[tokio::test]
async fn a_conversation_that_breaks_a_client_is_made_small_and_its_line_plays_it_again() {
    let Some(python) = Python.find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("client.py"), NARROW).unwrap();
    let script = "- then: [{ text: Hello. }]\n";
    std::fs::write(folder.path().join("script.yaml"), script).unwrap();
    let agents = Agents {
        folder,
        careful: Vec::new(),
        planted: [python, vec!["client.py".into()]].concat(),
    };
    let fuzz = &["--fuzz", "40", "--budget", "1"];
    let (code, report, said) = agents.sweep_with(&agents.planted, "fuzz", fuzz).await;
    assert_eq!(code, Some(3), "{said}");
    let is_crash = |cell: &&Value| cell["group"] == "fuzz" && cell["outcome"] == "crashed";
    let cells = report["cells"].as_array().unwrap();
    let shrunk: Vec<&Value> = cells
        .iter()
        .filter(is_crash)
        .filter(|cell| cell["smallest"].is_object())
        .collect();
    let [cell] = shrunk.as_slice() else {
        panic!("one of a kind is made small: {said}");
    };
    let line = cell["smallest"]["repeat"].as_str().unwrap();
    assert!(said.contains(line), "{said}");
    let id = line.split_whitespace().nth(3).unwrap();
    let (code, report, said) = agents
        .sweep_with(&agents.planted, "alone", &["--only", id])
        .await;
    assert_eq!(code, Some(3), "{said}");
    let alone = &report["cells"][0];
    assert_eq!(alone["outcome"], "crashed", "{said}");
    // A text, and little else.
    assert!(id.split('.').count() < 12, "{id}");
}

#[test]
fn the_list_of_bugs_is_that_of_the_agents() {
    for file in [
        "python/planted.py",
        "typescript/planted.ts",
        "run.sh",
        "README.md",
    ] {
        let path = of_repository("examples/sweep").join(file);
        let text = std::fs::read_to_string(Path::new(&path)).unwrap();
        for (bug, ..) in BUGS {
            assert!(text.contains(bug), "{file} does not know `{bug}`");
        }
    }
}
