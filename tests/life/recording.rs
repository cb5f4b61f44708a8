//! Recording onto a disk that is full: the client gets its answers, the cassette stays whole, and what it lacks
//! is said.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use cassette::{Body, load};
use serde_json::json;

use crate::server::Server;
use crate::small::{self, Small};

const CLIENT: &str = r#"
import json, os, sys, urllib.request

def ask(size):
    body = {"model": "claude-test", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * size}]}
    headers = {"content-type": "application/json", "x-api-key": "key", "anthropic-version": "2023-06-01"}
    url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["type"] == "message"

ask(10)
for size in sys.argv[2:]:
    if size == "room":
        os.remove(sys.argv[1])
    elif size == "fill":
        with open(sys.argv[1], "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
    else:
        ask(int(size))
"#;

fn record(upstream: &Server, out: &Path, filler: &Path, steps: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["record", "--upstream"])
        .arg(format!("http://{}", upstream.address))
        .arg("--out")
        .arg(out)
        .args(["--", "python3", "-c", CLIENT])
        .arg(filler)
        .args(steps.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_cassette_on_a_full_disk_stays_whole_and_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Server::start("none", &folder.path().join("data"), &[]).unwrap();
    let client = upstream.client("key");
    let rules = json!([{ "then": [{ "text": "Hello." }] }]).to_string();
    let put = client.ask(
        "PUT",
        "/_sandtable/scripts",
        "application/yaml",
        rules.as_bytes(),
    );
    assert_eq!(put.unwrap().status, 200);
    let disk = folder.path().join("disk");
    let Some(_mounted) = Small::mount(&disk) else {
        return;
    };
    let (out, filler) = (disk.join("run.yaml"), disk.join("filler"));

    let full = record(&upstream, &out, &filler, "fill 9000 9001 9002");
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("recorded 1 exchange into"), "{said}");
    let named = format!(
        "3 exchanges are not in it, or not as a whole: cannot write {}",
        out.display()
    );
    assert!(said.contains(&named), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(load(&out).unwrap().exchanges.len(), 1);

    // What was recorded before is not lost for a recording that cannot begin.
    let kept = fs::read(&out).unwrap();
    let none = record(&upstream, &out, &filler, "");
    assert_ne!(none.status.code(), Some(0));
    assert_eq!(fs::read(&out).unwrap(), kept);

    // Once there is room again, nothing is missing.
    fs::remove_file(&filler).unwrap();
    let again = record(&upstream, &out, &filler, "9000 fill 9001 9002 room 9003");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(0), "{said}");
    assert!(said.contains("recorded 5 exchanges into"), "{said}");
    assert_eq!(load(&out).unwrap().exchanges.len(), 5);
    assert!(upstream.stop().success());
}

/// A folder that answers like a service.
struct Folder {
    server: Child,
    url: String,
}

impl Folder {
    fn serve(folder: &Path) -> Self {
        let mut server = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = server.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let port = line.split(' ').nth(5).unwrap_or_else(|| panic!("{line}"));
        let url = format!("http://127.0.0.1:{port}");
        Self { server, url }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

#[test]
fn a_body_that_finds_no_room_is_said_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let Some(_mounted) = Small::mount(&disk) else {
        return;
    };
    let content = folder.path().join("v1/files/file_1");
    fs::create_dir_all(&content).unwrap();
    fs::write(content.join("content"), vec![b'x'; 3 << 20]).unwrap();
    let upstream = Folder::serve(folder.path());
    let out = folder.path().join("run.yaml");
    let filler = small::fill(&disk);
    let program = "import os, urllib.request as u\n\
                   url = os.environ['ANTHROPIC_BASE_URL'] + '/v1/files/file_1/content'\n\
                   print(len(u.urlopen(u.Request(url, headers={'x-api-key': 'key'})).read()))";
    let recorded = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["record", "--upstream"])
        .arg(&upstream.url)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .arg("--out")
        .arg(&out)
        .args(["--", "python3", "-c", program])
        .env("TMPDIR", &disk)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    fs::remove_file(filler).unwrap();
    let said = String::from_utf8_lossy(&recorded.stderr).into_owned();
    let printed = String::from_utf8_lossy(&recorded.stdout).into_owned();
    assert!(
        printed.contains(&(3 << 20).to_string()),
        "the client has it: {said}"
    );
    assert_eq!(recorded.status.code(), Some(1), "{said}");
    let named = format!("no space is left on the disk of `{}`", disk.display());
    assert!(said.contains(&named), "{said}");
    let cassette = load(&out).unwrap();
    let body = &cassette.exchanges[0].response.body;
    assert!(
        matches!(body, Body::Missing(why) if why.contains("no space is left")),
        "{body:?}"
    );
}
