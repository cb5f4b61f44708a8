//! The real program as a child process: started, killed, stopped.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::http::Client;

/// A server and where it keeps its data.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts a server; it answers when this returns. `None` if it ended before it did.
    pub(crate) fn start(backend: &str, data_dir: &Path, more: &[&str]) -> Option<Self> {
        let mut child = spawn(backend, Some(data_dir), more, &[]);
        let address = address(&mut child)?;
        Some(Self { child, address })
    }

    /// A server whose data ends with it; temporary files go to `temp_dir`.
    pub(crate) fn start_temporary(backend: &str, temp_dir: &Path) -> Self {
        let mut child = spawn(backend, None, &[], &[("TMPDIR", temp_dir)]);
        let address = address(&mut child).unwrap();
        Self { child, address }
    }

    /// Starts a server and kills it after so long, wherever it is by then; answers its process id.
    pub(crate) fn start_and_kill(backend: &str, data_dir: &Path, after: Duration) -> u32 {
        let mut child = spawn(backend, Some(data_dir), &[], &[]);
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        child.id()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self, key: &str) -> Client {
        Client {
            address: self.address.clone(),
            key: key.to_owned(),
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its orderly end.
    pub(crate) fn stop(self) -> ExitStatus {
        self.end_with("TERM")
    }

    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
    }

    /// A signal, and the end that comes of it.
    pub(crate) fn end_with(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "it never ends");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Over already, unless the test failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(backend: &str, data_dir: Option<&Path>, more: &[&str], env: &[(&str, &Path)]) -> Child {
    let log = data_dir.map_or_else(Stdio::null, |dir| log_file(dir).into());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    command.args(["serve", "--backend", backend]);
    if !more.contains(&"--port") {
        command.args(["--port", "0"]);
    }
    // The documented libraries are nobody's concern here, and they take minutes.
    command.env("SANDTABLE_PROVISION", "never");
    if backend == "docker" {
        command.args(["--image", "sandtable-sandbox:slim"]);
    }
    if let Some(dir) = data_dir {
        command.arg("--data-dir").arg(dir);
    }
    command
        .args(more)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Beside the data directory, so that it is no trace in it.
fn log_file(data_dir: &Path) -> File {
    let path = log_path(data_dir);
    let log = OpenOptions::new().create(true).append(true).open(path);
    log.unwrap()
}

pub(crate) fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}

fn address(child: &mut Child) -> Option<String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines {
        if let Some((_, url)) = line.ok()?.split_once("listening http://") {
            return Some(url.trim().to_owned());
        }
    }
    None
}

/// The backends that can run code here.
pub(crate) fn backends() -> Vec<&'static str> {
    let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
    let mut found = Vec::new();
    for backend in BACKENDS {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let starts = Server::start(backend, &data_dir, &[]).is_some_and(|server| {
            let ready = server.client("probe").get("/_sandtable/ready");
            ready.is_ok_and(|answer| answer.status == 200)
        });
        if starts {
            found.push(backend);
        } else {
            assert!(!required.contains(backend), "`{backend}` is required");
            eprintln!("SKIPPED, nothing was tested on `{backend}`: it cannot run code here");
        }
    }
    found
}

const BACKENDS: [&str; 2] = ["docker", "local"];
