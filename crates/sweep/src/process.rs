//! The client's command as a process: a group of its own, its output kept within bounds, an end for all of it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use common::limits;

/// How long output is read on after the group is gone: what left the group may hold the pipes open.
const DRAIN: Duration = Duration::from_millis(500);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signal(i32),
    /// It was killed at the limit.
    Limit,
}

/// A command that is over.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub(super) end: End,
    pub(super) took: Duration,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs to the end, or to the limit. Whatever it started ends with it, also if this is dropped.
pub(super) async fn run(mut command: Command, limit: Duration) -> io::Result<Finished> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let began = Instant::now();
    let mut child = command.spawn()?;
    let group = Group::of(&child);
    let stdout = Kept::read(child.stdout.take());
    let stderr = Kept::read(child.stderr.take());
    let ended = tokio::time::timeout(limit, child.wait()).await;
    let took = began.elapsed();
    drop(group);
    let end = if let Ok(status) = ended {
        end_of(status?)
    } else {
        child.kill().await.ok();
        End::Limit
    };
    Ok(Finished {
        end,
        took,
        stdout: stdout.text().await,
        stderr: stderr.text().await,
    })
}

fn end_of(status: ExitStatus) -> End {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return End::Signal(signal);
    }
    End::Exited(status.code().unwrap_or(1))
}

/// A process group, killed when it is dropped.
struct Group(#[cfg(unix)] Option<libc::pid_t>);

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| libc::pid_t::try_from(id).ok()))
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self()
    }
}

#[cfg(unix)]
impl Drop for Group {
    #[expect(unsafe_code, reason = "the standard library knows no groups")]
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // SAFETY: the call takes numbers alone. The group's number is not given away while one of it lives, and
            // this comes at once after its leader was waited for.
            unsafe { libc::killpg(group, libc::SIGKILL) };
        }
    }
}

/// The beginning and the end of what a pipe gave.
#[derive(Debug, Default)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: usize,
}

/// A pipe that is read beside the process.
struct Kept {
    ends: Arc<Mutex<Ends>>,
    task: tokio::task::JoinHandle<()>,
}

impl Kept {
    fn read(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let ends = Arc::new(Mutex::new(Ends::default()));
        let kept = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = vec![0; 8192];
            while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
                let mut ends = kept.lock().unwrap_or_else(PoisonError::into_inner);
                ends.push(&buffer[..read]);
            }
        });
        Self { ends, task }
    }

    async fn text(mut self) -> String {
        if tokio::time::timeout(DRAIN, &mut self.task).await.is_err() {
            self.task.abort();
        }
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.text()
    }
}

impl Ends {
    fn push(&mut self, bytes: &[u8]) {
        let room = limits::SWEEP_OUTPUT_BYTES.saturating_sub(self.head.len());
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(rest);
        let over = self.tail.len().saturating_sub(limits::SWEEP_OUTPUT_BYTES);
        self.tail.drain(..over);
        self.dropped += over;
    }

    fn text(&self) -> String {
        let mut all = self.head.clone();
        if self.dropped > 0 {
            all.extend(format!("\n… {} bytes …\n", self.dropped).bytes());
        }
        all.extend_from_slice(&self.tail);
        String::from_utf8_lossy(&all).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn the_limit_ends_a_command_and_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 100 & echo $! > {}; echo begun; wait", file.display());
        let finished = run(shell(&script), Duration::from_secs(1)).await.unwrap();
        assert_eq!((finished.end, &*finished.stdout), (End::Limit, "begun\n"));
        let pid = std::fs::read_to_string(file).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        let gone = stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z"));
        assert!(gone, "{pid}");
    }

    #[tokio::test]
    async fn of_much_output_the_beginning_and_the_end_are_kept() {
        let script = "echo first; head -c 2000000 /dev/zero | tr '\\0' x; echo last; kill -9 $$";
        let finished = run(shell(script), Duration::from_secs(20)).await.unwrap();
        assert_eq!(finished.end, End::Signal(9));
        assert!(finished.stdout.len() < 3 * limits::SWEEP_OUTPUT_BYTES);
        assert!(finished.stdout.starts_with("first\n") && finished.stdout.ends_with("last\n"));
    }
}
