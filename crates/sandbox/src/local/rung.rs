//! Which of the ways to confine a sandbox this machine allows.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::sys;

/// The means of isolation of sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rung {
    Namespaces,
    /// Landlock, `seccomp`, and a warden.
    Landlock,
}

/// Capabilities that becoming another user takes, as bits: setting owner, groups, and ids.
const CHOWN: u64 = 1;
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;

/// Whether this process may become another user, as root of a container usually may.
pub(super) fn may_change_user() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0);
    let needed = CHOWN | SETGID | SETUID;
    sys::effective_uid() == 0 && effective & needed == needed
}

/// Why other users do not get to what is theirs.
#[derive(Debug, thiserror::Error)]
pub(super) enum WayError {
    #[error("`{}`: {source}", step.display())]
    Io {
        step: PathBuf,
        source: std::io::Error,
    },
    #[error("the sandboxes' users cannot pass through `{}`", .0.display())]
    Closed(PathBuf),
}

/// The first folder at or above this one that other users cannot pass through, if there is one.
pub(super) fn closed(folder: &Path) -> Option<PathBuf> {
    let closed = |step: &&Path| fs::metadata(step).is_ok_and(|about| about.mode() & 0o001 == 0);
    folder.ancestors().find(closed).map(Path::to_owned)
}

/// Lets other users pass through our own folders to what is theirs; the first folder above that does
/// not, if there is one.
pub(super) fn open_way(folder: &Path, own: &Path) -> Result<(), WayError> {
    for step in folder.ancestors() {
        let told = |source| WayError::Io {
            step: step.to_owned(),
            source,
        };
        let metadata = fs::metadata(step).map_err(told)?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o001 != 0 {
            continue;
        }
        if !step.starts_with(own) {
            return Err(WayError::Closed(step.to_owned()));
        }
        fs::set_permissions(step, fs::Permissions::from_mode(mode | 0o011)).map_err(told)?;
    }
    Ok(())
}
