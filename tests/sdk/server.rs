//! A server of its own for each test: the built binary, as a user starts it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// An engine under load takes its time to answer the server's first question.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `sandtable`.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Server {
    /// Starts the binary on a free port and waits for its URL.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandtable"))
            .args(["--port", "0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.trim().strip_prefix("listening ") {
                    return Some(url.trim().to_owned());
                }
            }
            None
        };
        let url = tokio::time::timeout(START_TIMEOUT, listening).await;
        let url = url.ok().flatten().unwrap_or_else(|| {
            panic!("the server printed no URL; its log:\n{}", read(&log));
        });
        Self {
            url,
            child,
            log,
            _folder: folder,
        }
    }

    /// The server's log so far.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// Ends the server as Ctrl-C does, so that it takes its sandboxes with it.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().expect("it is waited for only here");
        let told = Command::new("kill")
            .args(["-TERM", &pid.to_string()])
            .status()
            .await
            .unwrap();
        assert!(
            told.success(),
            "the server ended by itself:\n{}",
            self.log()
        );
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        let status = ended.expect("the server ends when it is told to").unwrap();
        assert!(status.success(), "{status}:\n{}", self.log());
    }
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
