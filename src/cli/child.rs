//! A command that runs against a server of ours.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;

use tokio::process::Command;

/// Exit code where a command cannot be run, as shells have it.
const CANNOT_RUN: u8 = 127;

/// Runs a command with the server's URL in its environment until it ends; its exit code.
///
/// An interrupt from the terminal reaches the command by itself; it may clean up, and decides the code.
pub(super) async fn run(command: &[OsString], url: &str) -> io::Result<u8> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(0);
    };
    let spawned = Command::new(program)
        .args(arguments)
        .env("ANTHROPIC_BASE_URL", url)
        .env("SANDTABLE_URL", url)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(program = %program.to_string_lossy(), %error, "the command cannot be run");
            return Ok(CANNOT_RUN);
        }
    };
    loop {
        tokio::select! {
            status = child.wait() => return status.map(code),
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// As shells have it: 128 and the signal's number for what a signal has ended.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return u8::try_from(128 + signal).unwrap_or(u8::MAX);
        }
    }
    status
        .code()
        .map_or(1, |code| u8::try_from(code & 0xff).unwrap_or(1))
}
