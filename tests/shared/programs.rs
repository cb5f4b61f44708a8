//! Programs that a test puts somewhere and then runs.
//!
//! Another process writes them. A file that this process writes is inherited, open for writing, by
//! whatever another thread starts meanwhile, and until that runs its own program the kernel starts
//! none that is open for writing (`ETXTBSY`, see `execve(2)`).

#![allow(dead_code, reason = "who shares this needs one of the two or both")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Copies a program with its mode.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

/// Writes a program that everybody may run.
pub(crate) fn write_program(to: &Path, content: &[u8]) {
    let mut writer = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(to)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(content).unwrap();
    drop(stdin);
    assert!(writer.wait().unwrap().success(), "write {}", to.display());
}
