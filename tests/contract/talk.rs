//! Talking to a sandbox in tests of any backend.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::ids;
use sandbox::guest::{ExecCall, ExecKind, ExecResult, Guest, GuestError, HELLO_TIMEOUT, Outcome};
use sandbox::{Launcher as _, Limits, SandboxSpec};

use super::bench::Bench;

/// Small limits, so that a test reaches them fast.
pub(crate) const SMALL: Limits = Limits {
    memory_bytes: 128 * 1024 * 1024,
    disk_bytes: 64 * 1024 * 1024,
    milli_cpus: 1000,
    pids: 64,
};

/// `$INPUT_DIR` of every call.
pub(crate) const INPUT_DIR: &str = "0123456789abcdef";

/// A new sandbox's specification.
pub(crate) fn new_spec(limits: Limits) -> SandboxSpec {
    SandboxSpec {
        sandbox_id: ids::Ids::random().next(ids::Kind::Container).into(),
        expires_at: in_30_days(),
        limits,
    }
}

/// The wall clock, thirty days on.
#[expect(
    clippy::disallowed_methods,
    reason = "the engine's labels are judged by the wall clock"
)]
pub(crate) fn in_30_days() -> DateTime<Utc> {
    Utc::now() + chrono::TimeDelta::days(30)
}

/// The result of a command in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A sandbox with the real guest in it.
pub(crate) async fn wake(bench: &Bench, spec: &SandboxSpec) -> Guest {
    let launched = bench.backend.launch(spec).await.unwrap();
    let settings = bench.backend.settings(spec);
    let (guest, _) = Guest::resume(launched, settings, HELLO_TIMEOUT)
        .await
        .unwrap();
    guest
}

/// Runs a program through the guest.
pub(crate) async fn exec(guest: &Guest, kind: ExecKind) -> Result<ExecResult, GuestError> {
    exec_within(guest, kind, Duration::from_mins(2)).await
}

/// Runs a program through the guest, with a time-out of its own.
pub(crate) async fn exec_within(
    guest: &Guest,
    kind: ExecKind,
    timeout: Duration,
) -> Result<ExecResult, GuestError> {
    let call = ExecCall {
        kind,
        input_dir: INPUT_DIR.to_owned(),
        output_dir: new_output_dir(),
        timeout,
        env: Vec::new(),
    };
    guest.exec(call).await
}

/// A name for an output directory that no other call has.
pub(crate) fn new_output_dir() -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}", CALLS.fetch_add(1, Ordering::Relaxed))
}

/// Runs a bash command that is expected to end by itself.
pub(crate) async fn bash(guest: &Guest, command: &str) -> Said {
    let done = exec(guest, ExecKind::Bash(command.to_owned()))
        .await
        .unwrap();
    assert_eq!(done.outcome, Outcome::Exited, "{command}");
    Said {
        code: done.return_code,
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}
