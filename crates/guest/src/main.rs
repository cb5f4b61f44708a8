//! The guest as a program: PID 1 of a sandbox, or an ordinary process in tests.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    sandtable_guest::run()
}

/// Sandboxes run Linux; this only lets the workspace build elsewhere.
#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
