//! Tests of the client against the real guest, run as an ordinary process in a temporary directory.

mod cells;
mod edits;
mod ends;
mod execs;
mod transfers;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::*;
use crate::Channel;
use crate::programs::write_program;

pub(super) const INPUT: &str = "00000000000000aa";
const USER: u32 = 1000;

/// A guest and the directory it works in; both end with it.
pub(super) struct Sandbox {
    pub(super) guest: Guest,
    pub(super) process: Child,
    pub(super) settings: Settings,
    root: TempDir,
}

impl Sandbox {
    pub(super) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        let mut settings = Settings {
            files_root: at("files"),
            skills_root: at("skills"),
            tmp_root: at("tmp"),
            work_dir: at("work"),
            ..Settings::default()
        };
        change(&mut settings);
        fs::create_dir(root.path().join("tmp")).unwrap();
        give_away(root.path());
        give_away(&root.path().join("tmp"));
        let (channel, process) = launch(root.path());
        let guest = Guest::connect(channel, settings.clone()).await.unwrap();
        Self {
            guest,
            process,
            settings,
            root,
        }
    }

    pub(super) fn work(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    pub(super) fn input(&self, name: &str) -> PathBuf {
        self.root.path().join("files/input").join(INPUT).join(name)
    }

    pub(super) fn output(&self, number: u64) -> PathBuf {
        self.root
            .path()
            .join("files/output")
            .join(output_dir(number))
    }

    /// Writes a file into the working directory, for the sandbox's user.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.work(name), content).unwrap();
        give_away(&self.work(name));
    }

    /// Runs a command that should take no time.
    pub(super) async fn bash(&self, number: u64, command: &str) -> ExecResult {
        self.guest.exec(bash(number, command)).await.unwrap()
    }
}

/// Starts the guest as a process of its own, from the embedded bytes.
pub(super) fn launch(root: &Path) -> (Channel, Child) {
    assert_eq!(UNAVAILABLE, None);
    let program = root.join("guest");
    write_program(&program, embedded());
    let mut command = Command::new(&program);
    if is_root() {
        command.uid(USER).gid(USER);
    }
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env_clear()
        .env("SECRET_OF_THE_SERVER", "1")
        .spawn()
        .unwrap();
    let channel = Channel {
        reader: Box::new(process.stdout.take().unwrap()),
        writer: Box::new(process.stdin.take().unwrap()),
    };
    (channel, process)
}

/// As root the guest runs as somebody else, as in a sandbox: root may do too much.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Makes a file or directory the sandbox user's own.
fn give_away(path: &Path) {
    if is_root() {
        chown(path, Some(USER), Some(USER)).unwrap();
    }
}

pub(super) fn output_dir(number: u64) -> String {
    format!("{number:016x}")
}

pub(super) fn bash(number: u64, command: &str) -> ExecCall {
    ExecCall {
        kind: ExecKind::Bash(command.to_owned()),
        input_dir: INPUT.to_owned(),
        output_dir: output_dir(number),
        timeout: Duration::from_secs(30),
        env: Vec::new(),
    }
}

/// Waits until a file is there: the sandboxed program's way to say how far it is.
pub(super) async fn appears(path: &Path) -> String {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(text) = fs::read_to_string(path)
            && text.ends_with('\n')
        {
            return text;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{} never came",
            path.display()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a process is gone, or only its entry is left.
pub(super) async fn ends(pid: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while is_alive(pid) {
        assert!(tokio::time::Instant::now() < deadline, "{pid} lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").unwrap().1;
        !state.starts_with('Z')
    })
}

#[test]
fn the_embedded_guest_needs_no_loader() {
    let guest = embedded();
    let number = |at: usize, bytes: usize| {
        guest[at..at + bytes]
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    // A 64-bit ELF file whose program headers name no interpreter (type 3).
    assert!(guest.starts_with(b"\x7fELF\x02"));
    let (table, entry_bytes, entries) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(entries > 0);
    for entry in 0..entries {
        assert_ne!(number(table + entry * entry_bytes, 4), 3);
    }
    assert_eq!(digest().len(), 64);
}
