//! Signals, full disks, and what the log says of requests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::http::Client;
use crate::server::{Server, log_path};
use crate::small::{self, Small};

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_hangup_ends_a_server_as_a_termination_does() {
    let temporary = tempfile::tempdir().unwrap();
    let server = Server::start_temporary("none", temporary.path());
    assert!(!entries(temporary.path()).is_empty());
    assert!(server.end_with("HUP").success());
    assert_eq!(entries(temporary.path()), Vec::<String>::new());
}

#[test]
fn a_second_interrupt_ends_a_server_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let server = Server::start("none", &data_dir, &[]).unwrap();
    // A request that is under way holds up the first.
    let mut open = std::net::TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: {}\r\nx-api-key: key\r\ncontent-type: application/json\r\n\
         content-length: 10\r\nexpect: 100-continue\r\n\r\n",
        server.address
    );
    open.write_all(head.as_bytes()).unwrap();
    let mut line = [0; 4];
    std::io::Read::read_exact(&mut open, &mut line).unwrap();
    server.signal("INT");
    while !fs::read_to_string(log_path(&data_dir))
        .unwrap()
        .contains("stopping")
    {
        std::thread::yield_now();
    }
    assert_eq!(server.end_with("INT").code(), Some(130));
}

#[test]
fn a_full_disk_is_named_in_the_answer_and_the_log_and_is_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let Some(_mounted) = Small::mount(&data_dir) else {
        return;
    };
    let server = Server::start("none", &data_dir, &[]).unwrap();
    let client = server.client("key");
    let says_so = |what: &str, answer: &crate::http::Answer| {
        let log = fs::read_to_string(log_path(&data_dir)).unwrap();
        let text = format!("{} {log}", answer.text());
        assert_eq!(answer.status, 500, "{what}: {text}");
        assert_eq!(
            answer.json()["error"]["type"],
            "api_error",
            "{what}: {text}"
        );
        let (said, path) = (answer.text(), data_dir.to_str().unwrap());
        assert!(
            said.contains("no space is left") && said.contains(path),
            "{what}: {text}"
        );
    };
    assert_eq!(client.upload("small", b"x").unwrap().status, 200);
    says_so(
        "an upload",
        &client.upload("large", &vec![1; 4 << 20]).unwrap(),
    );
    let params = serde_json::json!({
        "model": "claude-test", "max_tokens": 10,
        "messages": [{"role": "user", "content": "x".repeat(1 << 20)}],
    });
    let requests: Vec<Value> = (0..4)
        .map(|n| serde_json::json!({"custom_id": n.to_string(), "params": params}))
        .collect();
    let batch = serde_json::json!({ "requests": requests }).to_string();
    let answer = client.ask(
        "POST",
        "/v1/messages/batches",
        "application/json",
        batch.as_bytes(),
    );
    says_so("a batch", &answer.unwrap());
    // What an upload leaves is removed after its answer.
    while !entries(&data_dir.join("sandtable-tmp")).is_empty() {
        std::thread::yield_now();
    }
    // What is left goes to somebody else, and rows find no room.
    let filler = small::fill(&data_dir);
    let mut refused = None;
    for n in 0..1000 {
        let client = Client {
            key: format!("key-{n}"),
            ..client.clone()
        };
        let answer = client.get("/v1/files").unwrap();
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    says_so("a row", &refused.expect("rows need room"));
    let log = fs::read_to_string(log_path(&data_dir)).unwrap();
    assert!(
        log.contains("no space is left") && log.contains("--data-dir"),
        "{log}"
    );
    fs::remove_file(filler).unwrap();
    assert_eq!(client.upload("small", b"x").unwrap().status, 200);
    assert!(server.stop().success());
}

#[test]
fn each_request_is_one_line_of_the_log_and_no_key_is_in_it() {
    for format in ["json", "text"] {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start("none", &data_dir, &["--log-format", format]).unwrap();
        let client = server.client("sk-ant-very-secret");
        let answered = client.bash(None, "true").unwrap();
        assert_eq!(answered.status, 200);
        let streamed = crate::http::message(None, "true", &[], true);
        client
            .ask("POST", "/v1/messages", "application/json", &streamed)
            .unwrap();
        client
            .get("/v1/files/file_none?x=sk-ant-very-secret")
            .unwrap();
        let nobody = client.ask("GET", "/v1/files", "application/json", b"");
        assert_eq!(nobody.unwrap().status, 200);
        client.get("/nosuch").unwrap();
        client.get("/").unwrap();
        // No request at all.
        let mut wire = TcpStream::connect(&server.address).unwrap();
        wire.write_all(b"GET /a b HTTP/1.1\r\nx-api-key: sk-ant-very-secret\r\n\r\n")
            .unwrap();
        wire.read_to_end(&mut Vec::new()).unwrap();
        assert!(server.stop().success());
        let log = fs::read_to_string(log_path(&data_dir)).unwrap();
        assert!(!log.contains("sk-ant-very-secret"), "{log}");
        assert!(!log.contains('\u{1b}'), "{log}");
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("sandtable::request"))
            .collect();
        assert_eq!(lines.len(), 7, "{log}");
        assert!(lines[6].contains("no HTTP/1.1 that can be read"), "{log}");
        if format == "text" {
            for part in [
                "method=\"POST\"",
                "status=200",
                "ms=",
                "request_id=\"req_",
                "model=\"claude-test\"",
                "rule=\"direct\"",
            ] {
                assert!(lines[0].contains(part), "{part}: {}", lines[0]);
            }
            continue;
        }
        let first: Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(first["path"], "/v1/messages", "{first}");
        assert_eq!(first["rule"], "direct", "{first}");
        assert_eq!(
            serde_json::from_str::<Value>(lines[2]).unwrap()["status"],
            404
        );
    }
}

#[test]
fn what_is_printed_onto_a_full_disk_is_no_success() {
    for line in [
        "schema",
        "completions bash",
        "man",
        "docs parity",
        "conform --list",
        "check fixtures/scripts",
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = Command::new(env!("CARGO_BIN_EXE_sandtable"))
            .args(line.split(' '))
            .stdout(full)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{line}: {told}");
        assert!(told.contains("cannot write to standard output"), "{told}");
    }
}
