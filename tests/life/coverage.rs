//! `--coverage FILE` and `sandtable coverage`: kept over runs, held to a threshold, and drawn.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::server::Server;

fn sandtable(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How often it was met.
fn count(path: &PathBuf, area: &str, name: &str) -> u64 {
    let told: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let areas = told["areas"].as_array().unwrap();
    let area = areas.iter().find(|known| known["name"] == area).unwrap();
    let mut items = area["items"].as_array().unwrap().iter();
    items.find(|item| item["name"] == name).unwrap()["count"]
        .as_u64()
        .unwrap()
}

#[test]
fn coverage_adds_up_over_runs_and_shards_and_is_held_to_a_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = Server::start_temporary("none", folder.path());
    let url = format!("http://{}", server.address);
    let client = server.client("sk-ant-coverage");
    let post = |path: &str, body: &Value| {
        let body = body.to_string();
        let answer = client.ask("POST", path, "application/json", body.as_bytes());
        assert_eq!(answer.unwrap().status, 200, "{path}");
    };
    let verify = |file: &str| {
        let output = sandtable(
            folder.path(),
            &["verify", "--url", &url, "--coverage", file],
        );
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let body = json!({"model": "claude-opus-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    post("/v1/messages", &body);
    let said = verify("one.json");
    assert!(
        said.contains("\nyour tests never saw: pause_turn, ")
            && said.contains("\n  pause_turn: the fault {\"at\":\"turn\",\"do\":\"pause_turn\"}\n"),
        "{said}"
    );
    assert_eq!(count(&path("one.json"), "stop reasons", "end_turn"), 1);
    verify("one.json");
    assert_eq!(count(&path("one.json"), "stop reasons", "end_turn"), 2);
    post(
        "/_sandtable/faults",
        &json!({"at": "turn", "do": "stop", "stop_reason": "refusal"}),
    );
    post("/v1/messages", &body);
    verify("two.json");

    let merge = |args: &[&str]| sandtable(folder.path(), &[&["coverage"], args].concat());
    let output = merge(&[
        "one.json",
        "two.json",
        "--badge",
        "badge.svg",
        "--out",
        "all.json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(
        table.contains("\nstop reasons: end_turn (3), refusal (1)\n"),
        "{table}"
    );
    assert!(
        table.contains("\n  never pause_turn: the fault "),
        "{table}"
    );
    assert!(
        table.contains("\nnot used, and not counted: streaming, "),
        "{table}"
    );
    assert_eq!(count(&path("all.json"), "stop reasons", "refusal"), 1);
    let percent = table.split('%').next().unwrap();
    let badge = std::fs::read_to_string(path("badge.svg")).unwrap();
    let whole = format!("{:.0}%", percent.parse::<f64>().unwrap());
    assert!(badge.contains(&format!(">{whole}</text>")), "{badge}");

    assert_eq!(merge(&["all.json", "--min", "1"]).status.code(), Some(0));
    let output = merge(&["all.json", "--min", "99%"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(
        said.contains("99% is the least") && said.contains("hint: `pause_turn` is shown by "),
        "{said}"
    );
    let output = merge(&["all.json", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["percent"].as_f64(), percent.parse().ok());
    server.stop();
}

#[test]
fn shards_that_end_together_lose_nothing_of_one_file() {
    const SHARDS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_temporary("none", folder.path());
    let url = format!("http://{}", server.address);
    let body = json!({"model": "claude-opus-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    let client = server.client("sk-ant-shards");
    let answer = client.ask(
        "POST",
        "/v1/messages",
        "application/json",
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.unwrap().status, 200);
    let shards: Vec<_> = (0..SHARDS)
        .map(|_| {
            Command::new(env!("CARGO_BIN_EXE_sandtable"))
                .args(["verify", "--url", &url, "--coverage", "all.json"])
                .current_dir(folder.path())
                .stderr(std::process::Stdio::null())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    let all = folder.path().join("all.json");
    let count = count(&all, "stop reasons", "end_turn");
    assert_eq!(count, u64::try_from(SHARDS).unwrap());
}

#[test]
fn what_is_no_coverage_is_neither_read_nor_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("package.json");
    std::fs::write(&path, r#"{"name": "mine"}"#).unwrap();
    for args in [
        &["coverage", "package.json"][..],
        &[
            "run",
            "--backend",
            "none",
            "--coverage",
            "package.json",
            "--",
            "true",
        ],
    ] {
        let output = sandtable(folder.path(), args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("`package.json` tells no coverage") && said.contains("hint: "),
            "{said}"
        );
    }
    let output = sandtable(folder.path(), &["coverage", "none.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        r#"{"name": "mine"}"#
    );
}
