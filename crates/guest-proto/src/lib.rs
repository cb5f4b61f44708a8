//! The frames that travel between the server and the guest in a sandbox.
//!
//! One duplex byte stream carries everything: a frame is a fixed prelude, a JSON header, and a raw
//! payload, so that files cost no base64. This crate does no I/O and imports nothing of ours.

mod frame;
mod message;
mod name;
mod resync;
mod settings;

pub use frame::{
    DecodeError, Decoder, EncodeError, Frame, MAGIC, MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES,
    PRELUDE_BYTES, encode,
};
pub use message::{
    Answer, AnswerBody, CodeAnswer, CodeCall, Command, Edit, EditErrorKind, EditResult, ErrorKind,
    ExecDone, FileType, Hunk, MAX_ARGS_DEPTH, Outcome, OutputFile, Request, RequestBody, Unclaimed,
    WaitingCell,
};
pub use name::{MAX_NAME_BYTES, directory_name, is_file_name};
pub use resync::{Finder, MARK_BYTES, TOKEN_BYTES, Token};
pub use settings::Settings;

/// The protocol generation this crate speaks; every frame carries it.
///
/// Within a generation messages only grow: new request and answer kinds, new optional fields.
pub const GENERATION: u16 = 2;

/// Most payload bytes of one file chunk.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks a guest may send of one file before the host has asked for more.
pub const WINDOW_CHUNKS: u32 = 4;

/// Names, in a guest's environment, how many milliseconds it outlives its server, a blank, and the token
/// of the marks that the server starts its streams with. Without it a guest ends with its channel.
pub const LEASE_VARIABLE: &str = "SANDTABLE_GUEST_LEASE";

/// Stands in a lease for a token that nobody has chosen yet: it is that of the first stream, and until that comes
/// the guest waits for as long as it takes.
pub const FIRST_TOKEN: &str = "first";

/// Names, in a guest's environment, the user whose word it takes at its door, a blank, and the abstract name
/// of the socket that is the door. Without it the channel is stdin and stdout.
pub const DOOR_VARIABLE: &str = "SANDTABLE_GUEST_DOOR";

/// Says, in a guest's environment, which sockets programs may make: `unix` for none that leave the kernel.
/// Without it those of a network that is the launcher's care.
pub const SOCKETS_VARIABLE: &str = "SANDTABLE_GUEST_SOCKETS";

/// A call of a guest with a lease belongs to the stream on which it was asked: the upper half of its id
/// is the number of that stream.
pub const EPOCH_SHIFT: u32 = 32;

/// Whether a name of an input or output directory has its form: 16 hexadecimal digits, lower case.
pub fn is_directory_tag(tag: &str) -> bool {
    tag.len() == 16 && tag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a call's tag (`srvtoolu_…`) is fit to name a directory.
pub fn is_call_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_cannot_leave_their_directory() {
        assert!(is_directory_tag("0123456789abcdef"));
        assert!(!is_directory_tag("0123456789ABCDEF"));
        assert!(!is_directory_tag("../../etc/passwd"));
        assert!(is_call_tag("srvtoolu_01B3"));
        assert!(!is_call_tag("../x"));
        assert!(!is_call_tag(""));
    }
}
