//! Helpers that the tests share: backends of their own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::ids;
use sandbox::local::{LocalBackend, LocalConfig};
use sandbox::{Host as _, Isolation, SandboxError};
use tempfile::TempDir;

use crate::programs::copy_program;

/// Names a copy of the program that another user may run.
pub(crate) const PROGRAM: &str = "SANDTABLE_TEST_PROGRAM";

/// A backend with a data directory of its own.
pub(crate) struct Bench {
    pub(crate) backend: LocalBackend,
    pub(crate) folder: TempDir,
}

/// The program under test.
pub(crate) fn program() -> PathBuf {
    std::env::var_os(PROGRAM).map_or_else(|| env!("CARGO_BIN_EXE_sandtable").into(), PathBuf::from)
}

/// Names the rung to run on, where it is not the best.
pub(crate) const ISOLATION: &str = "SANDTABLE_TEST_ISOLATION";

/// The generation of Landlock to make do with, as older kernels have it.
pub(crate) const LANDLOCK: &str = "SANDTABLE_TEST_LANDLOCK";

fn isolation() -> Isolation {
    match std::env::var(ISOLATION).as_deref() {
        Ok("landlock") => Isolation::Landlock,
        Ok(other) => panic!("there is no rung `{other}` to test"),
        Err(_) => Isolation::Any,
    }
}

/// A configuration that installs nothing.
pub(crate) fn config(folder: &Path) -> LocalConfig {
    LocalConfig {
        server_id: ids::Ids::random().next_hex16(),
        data_dir: folder.to_owned(),
        cache_dir: Some(folder.join("cache")),
        provision: false,
        program: Some(program()),
        isolation: isolation(),
        landlock_abi: std::env::var(LANDLOCK).ok().map(|abi| abi.parse().unwrap()),
        passed_over: Vec::new(),
    }
}

/// The bench of the contract; `None` where this machine forbids it and it is not required.
pub(crate) async fn contract() -> Option<Bench> {
    let folder = tempfile::tempdir().unwrap();
    match LocalBackend::connect(config(folder.path())).await {
        Ok(backend) => Some(Bench { backend, folder }),
        Err(SandboxError::Unavailable { reason, hint }) => {
            let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
            assert!(
                !required.contains("local"),
                "local sandboxes are required: {reason} (hint: {hint})"
            );
            eprintln!("SKIPPED, nothing was tested: {reason} (hint: {hint})");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs this very program's tests as an ordinary user, with `args`; all must pass. `None` for an
/// ordinary user, whose own run is that already.
pub(crate) fn as_ordinary_user(uid: u32, args: &[&str]) -> Option<TempDir> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED, nothing was tested: this user is an ordinary one already");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    copy_program(&std::env::current_exe().unwrap(), &place("tests"));
    copy_program(program().as_ref(), &place("sandtable"));
    fs::create_dir(place("tmp")).unwrap();
    fs::set_permissions(place("tmp"), Permissions::from_mode(0o1777)).unwrap();
    let output = Command::new(place("tests"))
        .args(args)
        .args(["--test-threads", "2", "--nocapture"])
        .uid(uid)
        .gid(uid)
        .current_dir("/")
        .env(PROGRAM, place("sandtable"))
        .env("TMPDIR", place("tmp"))
        .env("HOME", place("tmp"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success());
    Some(folder)
}

impl Bench {
    /// Ends everything that was started.
    pub(crate) async fn end(self) {
        self.backend.close().await.unwrap();
        drop(self.backend);
        self.folder.close().unwrap();
    }

    /// Whether sandboxes have users, processes, and a network of their own, as far as the kernel goes.
    pub(crate) fn has_namespaces(&self) -> bool {
        self.backend.has_namespaces()
    }

    /// Ten times what a start takes on a quiet machine: only a real fault is slower.
    #[expect(clippy::unused_self, reason = "other backends differ")]
    pub(crate) fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(2)
    }

    /// Whether `/proc/meminfo` tells the sandbox's own.
    #[expect(clippy::unused_self, reason = "other backends have to look")]
    pub(crate) fn tells_its_memory(&self) -> bool {
        true
    }

    /// Whether a program over the memory limit is killed, at once.
    pub(crate) fn kills_at_the_memory_limit(&self) -> bool {
        self.backend.has_cgroups()
    }
}
