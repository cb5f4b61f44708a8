//! The same as an ordinary user: without control groups, disk images, and users of their own.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::bench::{PROGRAM, program};

/// Nobody in particular.
const UID: u32 = 54_321;

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED, nothing was tested: this user is an ordinary one already");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), place("tests")).unwrap();
    std::fs::copy(program(), place("sandtable")).unwrap();
    std::fs::create_dir(place("tmp")).unwrap();
    std::fs::set_permissions(place("tmp"), Permissions::from_mode(0o1777)).unwrap();
    let output = Command::new(place("tests"))
        .args(["--test-threads", "2", "--nocapture"])
        .uid(UID)
        .gid(UID)
        .current_dir("/")
        .env(PROGRAM, place("sandtable"))
        .env("TMPDIR", place("tmp"))
        .env("HOME", place("tmp"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success());
    let left: Vec<_> = std::fs::read_dir(place("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
