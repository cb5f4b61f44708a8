//! A command that runs against a server of ours: started with its URL, signals passed on, its exit code.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

use super::FAILURE;
use super::signals::{Came, Signals};
use common::hinted::Mistake;

/// The exit codes of shells for a command that is not there, or cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// The exit code, and what to say, where a command cannot be run.
pub(super) fn not_run(command: &[OsString], error: &io::Error) -> (u8, Mistake) {
    let (code, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            NOT_FOUND,
            "what stands behind `--` is a program of the PATH or a file, without a shell around it",
        ),
        _ => (NOT_RUN, "it must be a program that you may run"),
    };
    let name = command.first().cloned().unwrap_or_default();
    let what = Mistake::new(format!("cannot run `{}`: {error}", name.display()));
    (code, what.with_hint(hint))
}

/// Starts a command with the server's URL in its environment, and a key of its own if it gets one.
pub(super) fn start(
    words: &[OsString],
    url: &str,
    key: Option<&str>,
    token: Option<&str>,
) -> io::Result<Child> {
    command(words, url, key, token)?.spawn()
}

/// The same, not started yet.
pub(super) fn command(
    words: &[OsString],
    url: &str,
    key: Option<&str>,
    token: Option<&str>,
) -> io::Result<Command> {
    let (program, args) = words
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut child = Command::new(program);
    child
        .args(args)
        .env("ANTHROPIC_BASE_URL", url)
        .env("SANDTABLE_URL", url)
        .kill_on_drop(true);
    if let Some(key) = key {
        child
            .env("ANTHROPIC_API_KEY", key)
            // A real token would win over the key.
            .env_remove("ANTHROPIC_AUTH_TOKEN");
    }
    if let Some(token) = token {
        child.env("SANDTABLE_CONTROL_TOKEN", token);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let others = std::env::var(name).unwrap_or_default();
        let mut hosts: Vec<&str> = others.split(',').filter(|host| !host.is_empty()).collect();
        hosts.extend(["127.0.0.1", "localhost", "::1"]);
        child.env(name, hosts.join(","));
    }
    Ok(child)
}

/// Until the command has ended; SIGINT, SIGTERM, and SIGHUP are passed on to it.
pub(super) async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            ended = child.wait() => return ended,
            came = signals.next() => tell(child, came),
        }
    }
}

#[cfg(unix)]
fn tell(child: &Child, came: Came) {
    // A terminal has sent it to the command as well: twice would mean in earnest.
    if came != Came::Interrupt || !at_a_terminal() {
        pass_on(child, came.number());
    }
}

/// The system has told the command itself.
#[cfg(not(unix))]
fn tell(_: &Child, _: Came) {}

/// Whether this process is in the foreground of the terminal that its keys' signals come from.
#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "the standard library does not know of terminals"
)]
fn at_a_terminal() -> bool {
    // SAFETY: both calls take and return numbers alone.
    unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "the standard library sends SIGKILL alone")]
fn pass_on(child: &Child, signal: libc::c_int) {
    // No id: it has ended and was waited for.
    if let Some(pid) = child.id().and_then(|id| libc::pid_t::try_from(id).ok()) {
        // SAFETY: the child is not waited for yet, so that the number is still its own.
        unsafe { libc::kill(pid, signal) };
    }
}

/// As a shell would say it.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status
        .code()
        .map_or(FAILURE, |code| u8::try_from(code).unwrap_or(u8::MAX))
}
