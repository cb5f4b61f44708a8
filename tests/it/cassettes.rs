//! Recording through the proxy, and answering from what was recorded.

mod coded;
mod deep;
mod golden;
mod handed_out;
mod judged;
mod mounted;
mod passed;
mod recording;
mod repeated;
mod replaying;
mod used;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cassette::{Cassette, Mode, Plan, Upstream, load};
use serde_json::{Value, json};
use server::config::BackendChoice;
use tempfile::TempDir;

use crate::harness::server::code_prompt;
use crate::harness::{Processes, Request, Response, TestServer};

/// A service to record, a recorder before it, and where it writes.
struct Studio {
    upstream: TestServer,
    recorder: TestServer,
    folder: TempDir,
}

impl Studio {
    async fn open() -> Self {
        let upstream = TestServer::on(Arc::new(Processes::new())).await;
        Self::before(upstream, Mode::All).await
    }

    async fn before(upstream: TestServer, mode: Mode) -> Self {
        let folder = TempDir::new().unwrap();
        let recorder = recorder(upstream.address.to_string(), &path(&folder), mode).await;
        Self {
            upstream,
            recorder,
            folder,
        }
    }

    /// Stops the recorder, and goes on with another one that records what is new.
    async fn go_on(&mut self) {
        let idle = TestServer::start().await;
        std::mem::replace(&mut self.recorder, idle).stop().await;
        self.recorder = recorder(self.upstream.address.to_string(), &self.path(), Mode::New).await;
    }

    fn path(&self) -> PathBuf {
        path(&self.folder)
    }

    fn cassette(&self) -> Cassette {
        load(&self.path()).unwrap()
    }

    /// Everything on the disk, as text.
    fn written(&self) -> String {
        let mut text = String::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    text += &path.display().to_string();
                    text += &String::from_utf8_lossy(&std::fs::read(&path).unwrap());
                }
            }
        }
        text
    }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("run.yaml")
}

async fn recorder(upstream: String, path: &Path, mode: Mode) -> TestServer {
    let plan = Plan {
        paths: vec![path.to_owned()],
        mode,
        upstream: Some(Upstream::new(&format!("http://{upstream}")).unwrap()),
        ..Plan::default()
    };
    TestServer::with(|config| config.cassettes = Some(plan)).await
}

/// A server that answers from a cassette alone.
async fn player(path: &Path) -> TestServer {
    let plan = Plan {
        paths: vec![path.to_owned()],
        ..Plan::default()
    };
    TestServer::with(|config| {
        config.backend = BackendChoice::None;
        config.cassettes = Some(plan);
    })
    .await
}

fn container_of(message: &Value) -> String {
    message["container"]["id"].as_str().unwrap().to_owned()
}

/// A conversation: an upload, a call that reads it and leaves a file, its download, and another turn in
/// the same container. Every answer, in order.
async fn converse(server: &TestServer, word: &str) -> Vec<Response> {
    let mut answers = Vec::new();
    let upload =
        server
            .request("POST", "/v1/files")
            .multipart(&[("file", Some("notes.txt"), word)]);
    answers.push(server.send(&upload).await);
    let file = answers[0].json()["id"].as_str().unwrap().to_owned();
    let mut first = code_prompt(&format!(
        "```bash\ncat \"$INPUT_DIR/notes.txt\"; echo {word} > \"$OUTPUT_DIR/out.txt\"\n```"
    ));
    let text = first["messages"][0]["content"].clone();
    first["messages"][0]["content"] = json!([
        {"type": "text", "text": text},
        {"type": "container_upload", "file_id": file},
    ]);
    answers.push(server.send(&server.messages(&first)).await);
    let message = answers[1].json();
    let made = message["content"][1]["content"]["content"][0]["file_id"]
        .as_str()
        .unwrap_or_else(|| panic!("no file in {}", answers[1].text()))
        .to_owned();
    let download = server.request("GET", &format!("/v1/files/{made}/content"));
    answers.push(server.send(&download).await);
    let mut second = code_prompt("```bash\necho again\n```");
    second["container"] = json!(container_of(&message));
    second["stream"] = json!(true);
    answers.push(server.send(&server.messages(&second)).await);
    answers
}

fn ask(server: &TestServer, prompt: &str) -> Request {
    server.messages(&code_prompt(prompt))
}
