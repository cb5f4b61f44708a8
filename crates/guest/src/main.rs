//! The guest as a program: PID 1 of a sandbox, or an ordinary process in tests; and its helpers in a pod.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    sandtable_guest::obey(&words, None)
}

/// Sandboxes run Linux; this only lets the workspace build elsewhere.
#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
