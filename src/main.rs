//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The first process of a sandbox is this program, too; it has no command line and no log.
    #[cfg(target_os = "linux")]
    if let Some(code) = sandbox::local::entry() {
        return code;
    }
    #[cfg(target_os = "linux")]
    if let Some(code) = sandbox::guest::entry() {
        return code;
    }
    cli::main()
}
