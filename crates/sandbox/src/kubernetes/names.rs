//! Labels, names, and users of what the backend makes.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest as _, Sha256};

use common::ids::{Ids, SandboxId, hex};

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "sandtable";
pub(super) const NAME: &str = "app.kubernetes.io/name";
pub(super) const APP: &str = "sandtable-sandbox";
/// The data directory that a pod or claim belongs to.
pub(super) const SCOPE: &str = "sandtable.dev/scope";
/// The run of the server that made it.
pub(super) const SERVER: &str = "sandtable.dev/server";
/// The container whose sandbox it is; none has a warm one, or a probe.
pub(super) const SANDBOX: &str = "sandtable.dev/sandbox";
/// `temporary` or `kept`: whether the data directory ends with the server.
pub(super) const DATA: &str = "sandtable.dev/data";
pub(super) const TEMPORARY: &str = "temporary";
const KEPT: &str = "kept";
/// `none` where the policy holds, `open` where it does not.
pub(super) const NETWORK: &str = "sandtable.dev/network";
pub(super) const NO_NETWORK: &str = "none";
/// An annotation: when the container ends for good, RFC 3339.
pub(super) const EXPIRES: &str = "sandtable.dev/expires";
/// The label that the pods of a pool have in common, whoever's they are by now.
pub(super) const POOL: &str = "sandtable.dev/pool";
/// An annotation of a claim of a pool's sandbox: the lease, as a guest has it in its variable.
pub(super) const LEASE: &str = "sandtable.dev/lease";
/// Of the kinds of agent-sandbox.
pub(super) const VERSION: &str = "v1beta1";
pub(super) const POLICY: &str = "sandtable-sandboxes";

/// The containers of a pod.
pub(super) const MAIN: &str = "sandbox";
pub(super) const RELAY: &str = "relay";
pub(super) const INSTALL: &str = "install";

/// The user that runs code, and the user whose word the guest takes: two, so that the kernel tells them apart.
pub(super) const USER: i64 = 1000;
pub(super) const RELAY_USER: i64 = 1001;

/// Where the guest lies in a pod, and by what name an image has it.
pub(super) const GUEST_FOLDER: &str = "/sandtable";
pub(super) const GUEST_FILE: &str = "/sandtable/guest";
pub(super) const GUEST_COMMAND: &str = "sandtable-guest";

/// Whose objects they are.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) scope: String,
    pub(super) server: String,
    pub(super) temporary: bool,
}

impl Owner {
    pub(super) fn new(first_server: &str, server: &str, temporary: bool) -> Self {
        Self {
            // Random, and kept in the data directory: the same wherever that is mounted.
            scope: digest(first_server),
            server: digest(server),
            temporary,
        }
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let data = if self.temporary { TEMPORARY } else { KEPT };
        [
            (MANAGED_BY, MANAGER),
            (NAME, APP),
            (SCOPE, &self.scope),
            (SERVER, &self.server),
            (DATA, data),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// Selects what belongs to the data directory.
    pub(super) fn selector(&self) -> String {
        format!("{MANAGED_BY}={MANAGER},{SCOPE}={}", self.scope)
    }

    /// A name that no other object has.
    pub(super) fn new_name(&self, what: &str) -> String {
        format!(
            "sandtable-{}-{what}{}",
            self.scope,
            Ids::random().next_hex16()
        )
    }

    /// The claim of a container: the same each time that it wakes.
    pub(super) fn claim_name(&self, sandbox_id: &str) -> String {
        format!("sandtable-{}-{}", self.scope, digest(sandbox_id))
    }
}

/// Labels are short, and names have no upper case.
pub(super) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..12].to_owned()
}

/// A sandbox's id as a label's value.
pub(super) fn label(sandbox_id: &SandboxId) -> String {
    sandbox_id.to_string()
}

pub(super) fn expiry(at: DateTime<Utc>) -> BTreeMap<String, String> {
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    BTreeMap::from([(EXPIRES.to_owned(), at)])
}
