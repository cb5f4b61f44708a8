//! The guest's static binary, built along with this program.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use common::ids::hex;

static GUEST: &[u8] = include_bytes!(env!("SANDTABLE_GUEST"));

/// Why there is no guest in this program; `None` where there is one.
pub const UNAVAILABLE: Option<&str> = if GUEST.is_empty() {
    Some(
        "this program was built outside Linux without a guest; build it with `SANDTABLE_GUEST_BINARY` \
         set to a static Linux `sandtable-guest`",
    )
} else {
    None
};

/// The guest's binary for images; empty where [`UNAVAILABLE`] says why.
pub fn embedded() -> &'static [u8] {
    GUEST
}

/// The SHA-256 of [`embedded`], in hex; tells one build's guest from another's.
pub fn digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| hex(&Sha256::digest(GUEST)));
    &DIGEST
}

/// The name under which the server's program is the guest's: a link on an image's `PATH`.
#[cfg(target_os = "linux")]
const LINK: &str = "sandtable-guest";

/// Does what the guest's program does, if this one was started by its name: it brings the guest into pods.
#[cfg(target_os = "linux")]
pub fn entry() -> Option<std::process::ExitCode> {
    let mut words = std::env::args();
    let name = words.next()?;
    if std::path::Path::new(&name).file_name()? != LINK {
        return None;
    }
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        // Namespaces name their first process so, too.
        return None;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(guest::obey(&words, Some(embedded())))
}
