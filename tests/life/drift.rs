//! `sandtable drift` and `sandtable conform` as a user runs them, against servers of this program.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::server::Server;

const KEY: &str = "sk-ant-secret-of-drift";

/// A file that is uploaded, used, and deleted; a file that a call makes, and is downloaded; a stream; a refusal.
const CLIENT: &str = r#"
import json, os, urllib.error, urllib.request

URL = os.environ["ANTHROPIC_BASE_URL"]
CODE = [{"type": "code_execution_20250825", "name": "code_execution"}]

def call(method, path, body=None, kind="application/json"):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": kind, "x-api-key": "sk-ant-secret-of-drift", "anthropic-version": "2023-06-01"}
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method)) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return error.read()

def message(content, **more):
    body = {"model": "claude-opus-4-7", "max_tokens": 1000, "messages": [{"role": "user", "content": content}]}
    return call("POST", "/v1/messages", body | more)

form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\ncontent-type: text/plain\r\n\r\none\r\n--b--\r\n'
file = json.loads(call("POST", "/v1/files", form, "multipart/form-data; boundary=b"))["id"]
upload = [{"type": "container_upload", "file_id": file}, {"type": "text", "text": "go"}]
first = json.loads(message(upload, tools=CODE))
made = first["content"][-1]["content"]["content"][0]["file_id"]
call("GET", f"/v1/files/{made}/content")
message("go on", tools=CODE, container=first["container"]["id"], stream=True)
call("DELETE", f"/v1/files/{file}")
call("GET", f"/v1/files/{file}")
"#;

const RULES: &str = r#"
- when: { user: go on }
  then: [{ text: Done. }]
- when: { user: go }
  then:
    - bash: make
      result: { stdout: done, files: [{ name: out.csv, text: "1" }] }
"#;

fn scripted(folder: &Path, name: &str, rules: &str, more: &[&str]) -> Server {
    let script = folder.join(format!("{name}.yaml"));
    std::fs::write(&script, rules).unwrap();
    let flags = [&["--script", script.to_str().unwrap()], more].concat();
    Server::start("none", &folder.join(name), &flags).unwrap()
}

fn sandtable(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(args)
        .env("ANTHROPIC_API_KEY", KEY)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    said(&output)
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&*output.stdout, &*output.stderr]
        .map(String::from_utf8_lossy)
        .concat();
    assert!(!text.contains(KEY), "the key is told: {text}");
    (output.status.code(), text)
}

fn record(folder: &Path, server: &Server) -> String {
    let out = folder.join("sales.yaml").to_str().unwrap().to_owned();
    let url = format!("http://{}", server.address);
    let (code, text) = sandtable(&[
        "record",
        "--upstream",
        &url,
        "--out",
        &out,
        "--",
        "python3",
        "-c",
        CLIENT,
    ]);
    assert_eq!(code, Some(0), "{text}");
    out
}

fn requests(server: &Server) -> usize {
    let journal = server
        .client(KEY)
        .ask("GET", "/_sandtable/journal?limit=100", "", b"");
    journal.unwrap().json()["data"]
        .as_array()
        .map_or(0, Vec::len)
}

#[test]
fn nothing_is_sent_before_its_price_is_told_and_then_ids_are_this_run_s() {
    let folder = tempfile::tempdir().unwrap();
    let server = scripted(folder.path(), "then", RULES, &[]);
    let cassette = record(folder.path(), &server);
    let now = scripted(folder.path(), "now", RULES, &[]);
    let url = format!("http://{}", now.address);

    let (code, text) = sandtable(&["drift", "--upstream", &url, "--cassette", &cassette]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(" 6  of them with a model 2"), "{text}");
    assert!(
        text.contains("at most 2000") && text.contains("hint: --yes"),
        "{text}"
    );
    assert_eq!(requests(&now), 0);

    let json = folder.path().join("report.json");
    let junit = folder.path().join("report.xml");
    let files = [
        "--json",
        json.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ];
    let args = [
        "drift",
        "--upstream",
        &url,
        "--cassette",
        &cassette,
        "--yes",
    ];
    let (code, text) = sandtable(&[&args[..], &files].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("6 the same, 0 different; 0 not compared"),
        "{text}"
    );
    assert_eq!(requests(&now), 6);
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(
        report["cassettes"][0]["exchanges"][0]["outcome"], "same",
        "{report}"
    );
    assert!(
        std::fs::read_to_string(junit)
            .unwrap()
            .contains("tests=\"6\" failures=\"0\"")
    );
    assert!(server.stop().success() && now.stop().success());
}

#[test]
fn what_is_other_now_is_told_by_its_place_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let server = scripted(folder.path(), "then", RULES, &[]);
    let cassette = record(folder.path(), &server);
    let rules = RULES.replace("text: Done.", "stop: max_tokens");
    let quirks = ["--quirk", "server-caller=direct"];
    let now = scripted(folder.path(), "now", &rules, &quirks);
    let url = format!("http://{}", now.address);
    let (code, text) = sandtable(&[
        "drift",
        "--upstream",
        &url,
        "--cassette",
        &cassette,
        "--yes",
    ]);
    assert_eq!(code, Some(1), "{text}");
    for told in [
        "(server_tool_use).caller: recorded absent, now object",
        "(message_delta).delta.stop_reason: recorded `end_turn`, now `max_tokens`",
    ] {
        assert!(text.contains(told), "{told}\n---\n{text}");
    }
    assert!(server.stop().success() && now.stop().success());
}

#[test]
fn what_needs_an_id_that_nothing_gave_is_not_sent_and_a_budget_holds() {
    let folder = tempfile::tempdir().unwrap();
    let server = scripted(folder.path(), "then", RULES, &[]);
    let cassette = record(folder.path(), &server);
    let now = scripted(folder.path(), "now", RULES, &[]);
    let url = format!("http://{}", now.address);
    let args = [
        "drift",
        "--upstream",
        &url,
        "--cassette",
        &cassette,
        "--yes",
    ];

    let (code, text) = sandtable(&[&args[..], &["--only", "sales #3"]].concat());
    assert_eq!(code, Some(1), "nothing was compared: {text}");
    assert!(
        text.contains("not sent      #3 GET") && text.contains("it needs `file_"),
        "{text}"
    );
    assert_eq!(requests(&now), 0);

    let (code, text) = sandtable(&[&args[..], &["--budget", "0"]].concat());
    assert_eq!((code, requests(&now)), (Some(2), 0), "{text}");
    assert!(
        text.contains("are expected, and the budget is 0.0000"),
        "{text}"
    );

    let (code, text) = sandtable(&[&args[..], &["--only", "nothing"]].concat());
    assert_eq!(code, Some(2), "{text}");
    assert!(server.stop().success() && now.stop().success());
}

#[test]
fn old_recordings_are_told_and_fail_without_anything_being_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.yaml");
    let body = json!({"exchanges": [], "cassette": 1, "recorded_at": "2024-01-01T00:00:00Z"});
    std::fs::write(&path, body.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let (code, text) = sandtable(&["drift", "--cassette", path, "--expire", "90d"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("old: has expired: recorded ") && text.contains("1 of them expired"),
        "{text}"
    );
    let (code, text) = sandtable(&["drift", "--cassette", path, "--expire-warn", "12w"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("old: is old: recorded "), "{text}");
    let (code, text) = sandtable(&["drift", "--cassette", path]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("hint: `--upstream URL`"), "{text}");
}

#[test]
fn a_key_is_not_sent_in_the_open_and_is_no_argument() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.yaml");
    std::fs::write(&path, "cassette: 1\nexchanges: []\n").unwrap();
    let path = path.to_str().unwrap();
    let (code, text) = sandtable(&[
        "drift",
        "--upstream",
        "http://api.example.com",
        "--cassette",
        path,
        "--yes",
    ]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("is not encrypted") && text.contains("hint: use https://"),
        "{text}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["conform", "--upstream", "https://api.example.com", "--yes"])
        .env_remove("ANTHROPIC_API_KEY")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("hint: set ANTHROPIC_API_KEY"), "{text}");
    let (code, text) = sandtable(&["drift", "--cassette", path, "--key", "x"]);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn conform_asks_a_server_of_its_own_and_another_only_with_yes() {
    let folder = tempfile::tempdir().unwrap();
    let markdown = folder.path().join("report.md");
    let args = ["conform", "--only", "messages/plain", "--only", "F084"];
    let (code, text) =
        sandtable(&[&args[..], &["--markdown", markdown.to_str().unwrap()]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("5 hold, 0 differ, 0 not seen"), "{text}");
    let report = std::fs::read_to_string(&markdown).unwrap();
    assert!(
        report.starts_with("# Conformance of `http://127.0.0.1:"),
        "{report}"
    );

    let server = scripted(folder.path(), "there", "- then: [{ text: Hello. }]\n", &[]);
    let url = format!("http://{}", server.address);
    let (code, text) = sandtable(&[&args[..], &["--upstream", &url]].concat());
    assert_eq!((code, requests(&server)), (Some(2), 0), "{text}");
    let (code, text) = sandtable(&[&args[..], &["--upstream", &url, "--yes"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(requests(&server) > 3);

    let (code, text) = sandtable(&["conform", "--list"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("code/stream\n  F021  `container` stands in"),
        "{text}"
    );
    assert!(server.stop().success());
}
