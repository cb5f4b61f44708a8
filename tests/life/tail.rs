//! `sandtable tail` beside a server that works.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::server::Server;

/// The output of `tail`, line by line.
struct Tail {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Tail {
    fn start(url: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandtable"))
            .args(["tail", "--url", url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(ready.starts_with("listening to http://"), "{ready}");
        let (tell, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .all(|line| tell.send(line).is_ok())
        });
        Self { child, lines }
    }

    /// Lines up to one that has the text.
    fn until(&self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(30)) {
                Ok(line) => seen += &(line + "\n"),
                Err(error) => panic!("no `{text}` ({error}) in\n{seen}"),
            }
            if seen.contains(text) {
                return seen;
            }
        }
    }
}

const RULE: &str = "[{then: [{text: I look.}, {bash: ls /, result: {stdout: \"a\\nb\\n\", return_code: 0}}, {text: Two.}]}]";

#[test]
fn a_turn_is_shown_as_it_ends_in_any_workspace_and_the_end_of_the_server_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_temporary("none", folder.path());
    let url = format!("http://{}", server.address);
    let mut tail = Tail::start(&url);
    let client = server.client("sk-ant-tail");
    let put = client.ask(
        "PUT",
        "/_sandtable/scripts",
        "application/yaml",
        RULE.as_bytes(),
    );
    assert_eq!(put.unwrap().status, 200);
    client.bash(None, "echo").unwrap();
    let seen = tail.until("text  Two.\n");
    for part in [
        "  200  POST /v1/messages  ",
        "text  I look.\n",
        "bash_code_execution  ls /\n",
        "→ 0  a\n",
    ] {
        assert!(seen.contains(part), "no `{part}` in\n{seen}");
    }
    assert!(server.stop().success());
    assert_eq!(tail.child.wait().unwrap().code(), Some(1));
}

#[test]
fn nobody_is_told_of_with_what_helps() {
    let output = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["tail", "--url", "http://127.0.0.1:9"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && told.contains("hint: start one"),
        "{told}"
    );
}
