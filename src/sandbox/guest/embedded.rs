//! The guest's static binary, built along with this program.

/// Why there is no guest in this program; `None` where there is one.
pub const UNAVAILABLE: Option<&str> = Some("not built yet");

/// The guest's binary for images; empty where [`UNAVAILABLE`] says why.
pub fn embedded() -> &'static [u8] {
    &[]
}

/// The SHA-256 of [`embedded`], in hex; tells one build's guest from another's.
pub fn digest() -> &'static str {
    ""
}
