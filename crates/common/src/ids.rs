//! Every id and every other random choice the server makes.
//!
//! An id is `prefix_01` and 22 base58 characters, 128 bits, as in the recordings. Without a seed the
//! bits are random. With a seed they derive from (seed, scope, ordinal), where the scope is what the
//! client sent, so that concurrent conversations get the same ids in every run.

use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE58_DIGITS: usize = 22;

/// The kinds of ids the API hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Message,
    Request,
    ToolUse,
    ServerToolUse,
    McpToolUse,
    File,
    Container,
    Workspace,
    MessageBatch,
    Skill,
    SkillVersion,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Message,
        Self::Request,
        Self::ToolUse,
        Self::ServerToolUse,
        Self::McpToolUse,
        Self::File,
        Self::Container,
        Self::Workspace,
        Self::MessageBatch,
        Self::Skill,
        Self::SkillVersion,
    ];

    /// The id's prefix, without the underscore.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Message => "msg",
            Self::Request => "req",
            Self::ToolUse => "toolu",
            Self::ServerToolUse => "srvtoolu",
            Self::McpToolUse => "mcptoolu",
            Self::File => "file",
            Self::Container => "container",
            Self::Workspace => "wrkspc",
            Self::MessageBatch => "msgbatch",
            Self::Skill => "skill",
            Self::SkillVersion => "skver",
        }
    }
}

/// Makes ids that are no text of any kind: each is a type of its own.
macro_rules! typed {
    ($($(#[$doc:meta])* $type:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl<T: Into<String>> From<T> for $type {
            fn from(id: T) -> Self {
                Self(id.into())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl $type {
            /// The text alone, as the wire and scripts have it.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        /// Maps may be asked with what the store or a client says.
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $type {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }
    )+};
}

typed! {
    /// A container as the API calls it: `container_01…`.
    ContainerId;
    /// A file as the API calls it: `file_01…`.
    FileId;
    /// A sandbox as its backend knows it: the id of the container that it was made for, whoever uses it now. What
    /// an engine calls it is something else again.
    SandboxId;
}

/// A source of ids for one conversation, one upload, or one request.
#[derive(Debug)]
pub struct Ids {
    scope: Option<[u8; 32]>,
    ordinal: AtomicU64,
}

impl Ids {
    /// Random ids.
    pub fn random() -> Self {
        Self {
            scope: None,
            ordinal: AtomicU64::new(0),
        }
    }

    /// Ids that derive from `seed` and `scope` alone.
    pub fn seeded(seed: u64, scope: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        for part in scope {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        Self {
            scope: Some(hash.finalize().into()),
            ordinal: AtomicU64::new(0),
        }
    }

    /// Seeded if there is a seed, else random.
    pub fn new(seed: Option<u64>, scope: &[&[u8]]) -> Self {
        seed.map_or_else(Self::random, |seed| Self::seeded(seed, scope))
    }

    /// The next id of `kind`.
    pub fn next(&self, kind: Kind) -> String {
        String::from(&*self.next_text(kind))
    }

    /// The same where it is, for whoever puts it elsewhere.
    pub fn next_text(&self, kind: Kind) -> IdText {
        let mut id = IdText {
            bytes: [0; ID_BYTES],
            len: 0,
        };
        id.push(kind.prefix().as_bytes());
        id.push(b"_01");
        id.push(&base58(self.bits()));
        id
    }

    /// The next 16 hexadecimal digits, as in `/files/input/<16 hex>`; never those of [`own_hex16`].
    pub fn next_hex16(&self) -> String {
        loop {
            let digits = hex(&self.bits().to_le_bytes()[..8]);
            if !digits.starts_with(OWN_HEX) {
                return digits;
            }
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        let bytes = self.bits().to_le_bytes();
        u64::from_le_bytes(bytes[..8].try_into().expect("8 of 16 bytes"))
    }

    fn bits(&self) -> u128 {
        let ordinal = self.ordinal.fetch_add(1, Ordering::Relaxed);
        match &self.scope {
            None => random_bits(),
            Some(scope) => {
                let digest = Sha256::new()
                    .chain_update(scope)
                    .chain_update(ordinal.to_le_bytes())
                    .finalize();
                u128::from_le_bytes(
                    digest[..16]
                        .try_into()
                        .expect("a SHA-256 digest has 32 bytes"),
                )
            }
        }
    }
}

/// Room for the longest id: a prefix, `_01`, and the digits.
const ID_BYTES: usize = 40;

/// An id that is not yet anywhere but here.
#[derive(Debug, Clone, Copy)]
pub struct IdText {
    bytes: [u8; ID_BYTES],
    len: usize,
}

impl IdText {
    fn push(&mut self, more: &[u8]) {
        let end = self.len + more.len();
        self.bytes[self.len..end].copy_from_slice(more);
        self.len = end;
    }
}

impl Deref for IdText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("an id is ASCII")
    }
}

/// Whether `id` has the form this server gives ids of `kind`. Clients must not parse ids; tests may.
pub fn is_well_formed(kind: Kind, id: &str) -> bool {
    id.strip_prefix(kind.prefix())
        .and_then(|rest| rest.strip_prefix("_01"))
        .is_some_and(|rest| {
            rest.len() == BASE58_DIGITS && rest.bytes().all(|b| BASE58.contains(&b))
        })
}

/// What the 16 hexadecimal digits of the server's own directories in a container begin with.
pub const OWN_HEX: &str = "00000000";

/// Random digits for a directory that the server itself needs in a container: no call is given such a name.
pub fn own_hex16() -> String {
    let digits = hex(&random_bits().to_le_bytes()[..4]);
    format!("{OWN_HEX}{digits}")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that draws random ids"
)]
fn random_bits() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

fn base58(mut bits: u128) -> [u8; BASE58_DIGITS] {
    /// Divided by in one go: a division of 128 bits costs as much as ten of 64.
    const CHUNK_DIGITS: usize = 10;
    const CHUNK: u128 = 58u128.pow(10);
    let mut digits = [b'1'; BASE58_DIGITS];
    for chunk in digits.rchunks_mut(CHUNK_DIGITS) {
        let mut rest = u64::try_from(bits % CHUNK).expect("58^10 fits in 64 bits");
        bits /= CHUNK;
        for digit in chunk.iter_mut().rev() {
            *digit = BASE58[usize::try_from(rest % 58).expect("a remainder of 58 fits")];
            rest /= 58;
        }
    }
    digits
}

/// Bytes in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_recorded_form() {
        let ids = Ids::random();
        for kind in [
            Kind::Message,
            Kind::Request,
            Kind::ToolUse,
            Kind::ServerToolUse,
            Kind::File,
            Kind::Container,
        ] {
            let id = ids.next(kind);
            assert!(is_well_formed(kind, &id), "{id}");
        }
        assert_ne!(ids.next(Kind::File), ids.next(Kind::File));
        assert!(!is_well_formed(Kind::File, "file_0Il"));
    }

    #[test]
    fn seeded_ids_depend_on_seed_scope_and_ordinal_only() {
        let take = |seed, scope: &[&[u8]]| {
            let ids = Ids::seeded(seed, scope);
            (ids.next(Kind::Message), ids.next(Kind::ToolUse))
        };
        assert_eq!(take(7, &[b"a", b"b"]), take(7, &[b"a", b"b"]));
        assert_ne!(take(7, &[b"a", b"b"]), take(8, &[b"a", b"b"]));
        assert_ne!(take(7, &[b"a", b"b"]), take(7, &[b"ab", b""]));
    }
}
