//! Whose a sandbox is, and how a later server knows that its owner is gone.
//!
//! A server holds a lock on a file in its data directory for as long as it lives; the kernel lets go
//! of it whatever ends the server. The labels name that file and the view of the machine from which the
//! name makes sense (host, boot, mount namespace). Only from the same view may anyone conclude
//! "nobody holds the lock, so the owner is gone"; from another, only the expiry counts.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::scope::Scope;
use crate::lock::{DataLock, is_abandoned};

/// The container's id.
pub(super) const LABEL_CONTAINER: &str = "sandtable.container";
/// When the container ends for good, RFC 3339.
pub(super) const LABEL_EXPIRES: &str = "sandtable.expires";
/// The data directory that made it: see `scope`.
pub(super) const LABEL_SCOPE: &str = "sandtable.scope";
/// The server's instance.
pub(super) const LABEL_SERVER: &str = "sandtable.server";
const LABEL_DATA_DIR: &str = "sandtable.data-dir";
/// `temporary` or `kept`: whether the data directory ends with the server.
const LABEL_DATA: &str = "sandtable.data";
const LABEL_HOST: &str = "sandtable.host";
const LABEL_BOOT: &str = "sandtable.boot";
const LABEL_NAMESPACE: &str = "sandtable.namespace";

/// A server's claim on its sandboxes, held until drop.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) server: String,
    pub(super) scope: Scope,
    temporary: bool,
    view: View,
    lock: DataLock,
}

/// From where this process sees the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct View {
    host: String,
    boot: String,
    namespace: String,
}

/// The decision about a sandbox that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ours, or possibly in use by another server.
    Keep,
    /// Its data directory is ours, and so is the question whether its container is still known.
    Ours,
    /// Its owner is gone for good, or its time is over.
    Orphan,
}

impl Lease {
    /// Takes the lock of a data directory; fails with `WouldBlock` if another server has it.
    pub(super) fn take(server: &str, data_dir: &Path, temporary: bool) -> io::Result<Self> {
        let mut lock = DataLock::take(server, data_dir)?;
        let view = View::of_this_process();
        Ok(Self {
            server: server.to_owned(),
            scope: Scope::of(&mut lock, server, &view.host)?,
            temporary,
            view,
            lock,
        })
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// The labels of this server's sandboxes.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        let data = if self.temporary { "temporary" } else { "kept" };
        [
            (LABEL_SERVER, self.server.clone()),
            (LABEL_SCOPE, self.scope.name.clone()),
            (LABEL_DATA_DIR, self.lock.folder.display().to_string()),
            (LABEL_DATA, data.to_owned()),
            (LABEL_HOST, self.view.host.clone()),
            (LABEL_BOOT, self.view.boot.clone()),
            (LABEL_NAMESPACE, self.view.namespace.clone()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// Judges a sandbox by its labels, and whether its name is of this data directory: a label stays as it was when a copy
    /// took the sandbox over.
    pub(super) fn judge(
        &self,
        labels: &HashMap<String, String>,
        is_ours: bool,
        now: DateTime<Utc>,
    ) -> Verdict {
        let label = |key: &str| labels.get(key).map_or("", String::as_str);
        if label(LABEL_CONTAINER).is_empty() || label(LABEL_SERVER) == self.server {
            return Verdict::Keep;
        }
        let expired = DateTime::parse_from_rfc3339(label(LABEL_EXPIRES)).is_ok_and(|end| end < now);
        if expired {
            return Verdict::Orphan;
        }
        let theirs = View {
            host: label(LABEL_HOST).to_owned(),
            boot: label(LABEL_BOOT).to_owned(),
            namespace: label(LABEL_NAMESPACE).to_owned(),
        };
        let data_dir = Path::new(label(LABEL_DATA_DIR));
        if is_ours {
            return Verdict::Ours;
        }
        if label(LABEL_DATA) != "temporary" || theirs.host != self.view.host {
            return Verdict::Keep;
        }
        let rebooted = theirs.boot != self.view.boot;
        if rebooted || (theirs == self.view && is_abandoned(data_dir)) {
            Verdict::Orphan
        } else {
            Verdict::Keep
        }
    }

    #[cfg(test)]
    pub(super) fn of_a_test(server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::take(server, folder.path(), true).unwrap()
    }
}

impl View {
    fn of_this_process() -> Self {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .map_or_else(|_| String::new(), |text| text.trim().to_owned())
        };
        let host = ["/etc/machine-id", "/proc/sys/kernel/hostname"]
            .map(read)
            .join(" ");
        let namespace = std::fs::read_link("/proc/self/ns/mnt")
            .map_or_else(|_| String::new(), |link| link.display().to_string());
        Self {
            host: host.trim().to_owned(),
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(lease: &Lease, expires: &str) -> HashMap<String, String> {
        let mut labels = lease.labels();
        labels.insert(LABEL_CONTAINER.to_owned(), "container_01".to_owned());
        labels.insert(LABEL_EXPIRES.to_owned(), expires.to_owned());
        labels
    }

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    const LATER: &str = "2026-01-31T00:00:00Z";

    struct Pair {
        us: Lease,
        them: Lease,
        folders: [tempfile::TempDir; 2],
    }

    fn pair(their_data_is_temporary: bool) -> Pair {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        Pair {
            us: Lease::take("us", folders[0].path(), true).unwrap(),
            them: Lease::take("them", folders[1].path(), their_data_is_temporary).unwrap(),
            folders,
        }
    }

    #[test]
    fn a_live_servers_sandbox_is_kept_and_a_gone_ones_is_not() {
        let Pair { us, them, folders } = pair(true);
        let labels = labels(&them, LATER);
        assert_eq!(us.judge(&labels, false, now()), Verdict::Keep);
        drop(them);
        assert_eq!(us.judge(&labels, false, now()), Verdict::Orphan);
        drop(folders);
        assert_eq!(us.judge(&labels, false, now()), Verdict::Orphan);
    }

    #[test]
    fn a_kept_data_directory_keeps_its_sandboxes_until_they_expire() {
        let Pair {
            us,
            them,
            folders: _kept,
        } = pair(false);
        let labels = labels(&them, LATER);
        drop(them);
        assert_eq!(us.judge(&labels, false, now()), Verdict::Keep);
        let after = LATER.parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::seconds(1);
        assert_eq!(us.judge(&labels, false, after), Verdict::Orphan);
    }

    #[test]
    fn a_lock_that_cannot_be_seen_from_here_proves_nothing() {
        let Pair {
            us,
            them,
            folders: _kept,
        } = pair(true);
        let mut labels = labels(&them, LATER);
        drop(them);
        labels.insert(LABEL_NAMESPACE.to_owned(), "mnt:[1]".to_owned());
        assert_eq!(us.judge(&labels, false, now()), Verdict::Keep);
        labels.insert(LABEL_BOOT.to_owned(), "an earlier one".to_owned());
        assert_eq!(us.judge(&labels, false, now()), Verdict::Orphan);
        labels.insert(LABEL_HOST.to_owned(), "another machine".to_owned());
        assert_eq!(us.judge(&labels, false, now()), Verdict::Keep);
    }

    #[test]
    fn the_next_server_of_a_data_directory_recognises_its_sandboxes() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lease::take("first", folder.path(), false).unwrap();
        let labels = labels(&first, LATER);
        let refused = Lease::take("second", folder.path(), false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        let second = Lease::take("second", folder.path(), false).unwrap();
        assert_eq!(second.judge(&labels, true, now()), Verdict::Ours);
        assert_eq!(second.scope.name, labels[LABEL_SCOPE]);
    }

    #[test]
    fn two_data_directories_never_share_the_names_of_their_sandboxes() {
        let Pair { us, them, folders } = pair(false);
        assert_ne!(us.scope.name, them.scope.name);
        let copied = tempfile::tempdir().unwrap();
        std::fs::copy(
            folders[0].path().join("sandboxes.lock"),
            copied.path().join("sandboxes.lock"),
        )
        .unwrap();
        let copy = Lease::take("us", copied.path(), true).unwrap();
        assert_ne!(us.scope.name, copy.scope.name);
    }

    #[test]
    fn a_container_that_is_not_a_sandbox_is_left_alone() {
        let Pair { us, .. } = pair(true);
        assert_eq!(us.judge(&HashMap::new(), false, now()), Verdict::Keep);
    }
}
