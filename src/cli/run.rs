//! `sandtable run`: a server for as long as a command takes, and a verdict at the end.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::{ExitCode, ExitStatus};

use tokio::process::{Child, Command};

use super::args::RunArgs;
use super::remote::Remote;
use super::verify::{BAD, ask};
use super::{FAILURE, USAGE, fail, report};
use crate::ids::Ids;
use crate::server::Server;

/// The exit codes of shells for a command that is not there, or cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// Starts, exports, runs, verifies, and passes on the exit code.
pub(super) async fn run(args: RunArgs) -> ExitCode {
    let RunArgs {
        mut serve,
        report: wanted,
        command,
    } = args;
    serve.port.get_or_insert(0);
    let token = serve.control_token.clone();
    let config = match serve.into_config() {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    let server = match Server::start(config).await {
        Ok(server) => server,
        Err(error) => return fail(error.exit_code(), &error.to_string()),
    };
    let ids = Ids::random();
    let key = format!("sk-ant-run-{}{}", ids.next_hex16(), ids.next_hex16());
    let mut child = match start(&command, server.url(), &key, token.as_deref()) {
        Ok(child) => child,
        Err(error) => {
            server.stop().await;
            let code = match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_RUN,
            };
            let name = command.first().cloned().unwrap_or_default();
            return fail(code, &format!("cannot run `{}`: {error}", name.display()));
        }
    };
    let ended = wait(&mut child).await;
    let remote = Remote {
        url: server.url(),
        key: None,
        token: token.as_deref(),
    };
    let verdict = ask(remote, Some("*"), &wanted).await;
    server.stop().await;
    let verdict = verdict
        .map_err(|error| error.to_string())
        .and_then(|verdict| report::publish(&verdict, &wanted));
    let code = match ended {
        Ok(status) => exit_code(status),
        Err(error) => return fail(FAILURE, &format!("the command was lost: {error}")),
    };
    if code != 0 {
        if let Err(error) = verdict {
            writeln!(io::stderr().lock(), "error: {error}").ok();
        }
        return ExitCode::from(code);
    }
    match verdict {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD),
        Err(error) => fail(FAILURE, &error),
    }
}

fn start(command: &[OsString], url: &str, key: &str, token: Option<&str>) -> io::Result<Child> {
    let (program, args) = command
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut child = Command::new(program);
    child
        .args(args)
        .env("ANTHROPIC_BASE_URL", url)
        .env("ANTHROPIC_API_KEY", key)
        .env("SANDTABLE_URL", url)
        // A real token would win over the key.
        .env_remove("ANTHROPIC_AUTH_TOKEN");
    if let Some(token) = token {
        child.env("SANDTABLE_CONTROL_TOKEN", token);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let others = std::env::var(name).unwrap_or_default();
        let mut hosts: Vec<&str> = others.split(',').filter(|host| !host.is_empty()).collect();
        hosts.extend(["127.0.0.1", "localhost", "::1"]);
        child.env(name, hosts.join(","));
    }
    child.spawn()
}

/// Until the command has ended; SIGINT and SIGTERM are passed on to it.
#[cfg(unix)]
async fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            ended = child.wait() => return ended,
            // A terminal has sent it to the command as well: twice would mean in earnest.
            _ = interrupt.recv() => if !at_a_terminal() { pass_on(child, libc::SIGINT) },
            _ = terminate.recv() => pass_on(child, libc::SIGTERM),
        }
    }
}

#[cfg(not(unix))]
async fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    child.wait().await
}

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
fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status
        .code()
        .map_or(FAILURE, |code| u8::try_from(code).unwrap_or(u8::MAX))
}
