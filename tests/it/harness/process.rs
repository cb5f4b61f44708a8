//! Sandboxes that are ordinary processes: the real guest, in a directory of its own. They keep no one
//! out; the tests know what they run.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use common::ids::SandboxId;
use sandbox::guest::{Settings, embedded};
use sandbox::{BoxFuture, Channel, Launched, Launcher, SandboxError, SandboxSpec};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::programs::write_program;

/// As root the guest runs as somebody else, as in a sandbox: root may do too much.
const USER: u32 = 1000;

/// Launches a guest for each container, below one temporary directory.
#[derive(Debug)]
pub(crate) struct Processes {
    root: TempDir,
    running: Mutex<HashMap<String, Child>>,
}

impl Processes {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = root.path().join("guest");
        write_program(&program, embedded());
        Self {
            root,
            running: Mutex::default(),
        }
    }

    /// Where everything lies: not a name that belongs into a golden transcript.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.path().to_owned()
    }

    /// Kills the sandbox of a container from outside, as an engine might.
    pub(crate) async fn kill(&self, sandbox_id: &str) {
        let child = self.lock().remove(sandbox_id);
        if let Some(mut child) = child {
            child.kill().await.unwrap();
        }
    }

    fn home(&self, sandbox_id: &str) -> PathBuf {
        self.root.path().join(sandbox_id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn spawn(&self, sandbox_id: &str) -> std::io::Result<Channel> {
        self.kill(sandbox_id).await;
        let home = self.home(sandbox_id);
        for name in ["", "files", "tmp", "work"] {
            let directory = home.join(name);
            fs::create_dir_all(&directory)?;
            if is_root() {
                chown(&directory, Some(USER), Some(USER))?;
            }
        }
        let mut command = Command::new(self.root.path().join("guest"));
        if is_root() {
            command.uid(USER).gid(USER);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .env_clear()
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (reader, writer) = (child.stdout.take(), child.stdin.take());
        self.lock().insert(sandbox_id.to_owned(), child);
        Ok(Channel {
            reader: Box::new(reader.expect("stdout is piped")),
            writer: Box::new(writer.expect("stdin is piped")),
        })
    }
}

impl Launcher for Processes {
    ends_with_its_channel!();

    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(async move {
            let started = self.spawn(&spec.sandbox_id).await;
            let channel = started.map_err(|error| SandboxError::Engine {
                operation: "start a guest",
                cause: sandbox::Cause::of(error),
            })?;
            Ok(Launched {
                channel,
                lease: None,
            })
        })
    }

    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            self.kill(sandbox_id).await;
            Ok(())
        })
    }

    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            self.kill(sandbox_id).await;
            // It may never have been started.
            fs::remove_dir_all(self.home(sandbox_id)).ok();
            Ok(())
        })
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        let home = self.home(&spec.sandbox_id);
        let at = |path: &Path| path.to_str().expect("a UTF-8 path").to_owned();
        Settings {
            files_root: at(&home.join("files")),
            skills_root: at(&home.join("skills")),
            tmp_root: at(&home.join("tmp")),
            work_dir: at(&home.join("work")),
            path: std::env::var("PATH").unwrap_or_default(),
            ..Settings::default()
        }
    }
}

host!(Processes, "processes", |_backend| Box::pin(
    std::future::ready(Ok(()))
));

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_written_program_runs_while_other_threads_start_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let own = fs::metadata("/proc/self").unwrap().uid();
    let program = "#!/bin/sh\nexit 7\n".to_owned() + &"#".repeat(1 << 20);
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let (file, program) = (folder.path().join(thread.to_string()), &program);
            threads.spawn(move || {
                for _ in 0..50 {
                    write_program(&file, program.as_bytes());
                    // With a user, even this one, it is started by way of a fork.
                    let ended = std::process::Command::new(&file).uid(own).status();
                    assert_eq!(ended.unwrap().code(), Some(7));
                }
            });
        }
    });
}
