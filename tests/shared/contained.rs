//! Runs a test program again in containers without privileges.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::programs::copy_program;

/// As `docker run` starts it for root without an option, and as hardened clusters start everything.
pub(crate) const ROOT: &[&str] = &["--user", "0"];
pub(crate) const USER: &[&str] = &[
    "--user",
    "1000",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
];
const IMAGE: &str = "sandtable-sandbox:slim";

/// Runs a shell command in a container of these options, with this test program as `/t/tests` and
/// `program` as `/t/sandtable`. `None` where there is no engine, and it may be missing.
pub(crate) fn run(options: &[&str], program: &Path, command: &str) -> Option<Output> {
    let there = Command::new("docker")
        .args(["image", "inspect", IMAGE])
        .output();
    if !there.is_ok_and(|there| there.status.success()) {
        let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.contains("docker"),
            "an engine with `{IMAGE}` is required"
        );
        eprintln!("SKIPPED, nothing was tested: no engine has `{IMAGE}`");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    copy_program(&std::env::current_exe().unwrap(), &place("tests"));
    copy_program(program, &place("sandtable"));
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("docker")
        .args([
            "run",
            "--rm",
            "--init",
            "--network",
            "none",
            "--entrypoint",
            "/bin/sh",
        ])
        .args(options)
        .args(["--volume", &format!("{}:/t:ro", folder.path().display())])
        .args(["--env", "SANDTABLE_TEST_PROGRAM=/t/sandtable"])
        .args(["--env", "SANDTABLE_TEST_REQUIRE=local"])
        .args([
            "--env",
            "HOME=/tmp",
            "--workdir",
            "/tmp",
            IMAGE,
            "-c",
            command,
        ])
        .output()
        .unwrap();
    eprintln!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output)
}
