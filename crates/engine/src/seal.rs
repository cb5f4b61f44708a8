//! Texts that a client carries and cannot read: a stand-in for the service's encryption.
//!
//! No secret is kept: the text is only made unreadable, and a digest tells whether it came back as it was.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Gives the recorded beginning `EqoBCio` (F042), then says whose it is.
const HEAD: &[u8] = b"\x12\xaa\x01\x0a\x2a\x08sandtable";
/// Begins signatures, as recorded.
const SIGNED: &str = "EqQB";
const DIGEST_BYTES: usize = 16;

/// `text`, sealed; the same text always gives the same.
pub(super) fn sealed(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digest = &digest[..DIGEST_BYTES];
    let mut bytes = [HEAD, digest].concat();
    bytes.extend(scrambled(digest, text.as_bytes()));
    STANDARD.encode(bytes)
}

/// Whether a text of ours was changed. What was sealed elsewhere passes.
pub(super) fn is_broken(sealed: &str) -> bool {
    let ours = STANDARD.encode(HEAD);
    if !sealed.starts_with(&ours) {
        return false;
    }
    let Ok(bytes) = STANDARD.decode(sealed) else {
        return true;
    };
    let Some((digest, body)) = bytes
        .get(HEAD.len()..)
        .and_then(|rest| rest.split_at_checked(DIGEST_BYTES))
    else {
        return true;
    };
    let text: Vec<u8> = scrambled(digest, body).collect();
    Sha256::digest(text)[..DIGEST_BYTES] != *digest
}

/// A stand-in for the service's opaque signature: base64, the same for the same thought.
pub(super) fn signature(thinking: &str) -> String {
    let digest = Sha256::digest(thinking.as_bytes());
    format!("{SIGNED}{}", STANDARD.encode([digest, digest].concat()))
}

/// Whether a thought with a signature of ours has another text than was signed. A thought that was
/// shown without its text passes, and so does what was signed elsewhere.
pub(super) fn is_edited(thinking: &str, signed: &str) -> bool {
    let ours = signed
        .strip_prefix(SIGNED)
        .and_then(|digests| STANDARD.decode(digests).ok())
        .is_some_and(|digests| digests.len() == 64 && digests[..32] == digests[32..]);
    ours && !thinking.is_empty() && signature(thinking) != signed
}

/// Whether a text has the form of a signature: base64 of more than a digest.
pub(super) fn may_be_signature(text: &str) -> bool {
    const LEAST_BYTES: usize = 32;
    let padded = text.trim_end_matches('=');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    padded.chars().all(plain) && padded.len() * 3 / 4 >= LEAST_BYTES
}

/// Its own inverse.
fn scrambled<'a>(digest: &'a [u8], bytes: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    let blocks = (0u64..).flat_map(move |number| {
        Sha256::new()
            .chain_update(digest)
            .chain_update(number.to_le_bytes())
            .finalize()
    });
    bytes.iter().zip(blocks).map(|(byte, mask)| byte ^ mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_tells_a_change_and_lets_others_pass() {
        let whole = sealed("a secret of the web");
        assert!(whole.starts_with("EqoBCio"), "{whole}");
        assert!(!is_broken(&whole));
        assert!(is_broken(&whole[..whole.len() - 4]));
        assert!(is_broken(&whole.replacen(&whole[40..41], "_", 1)));
        assert!(!is_broken("EqoBCioIBRgC"));
        assert!(!is_broken(""));
    }

    #[test]
    fn a_signature_tells_an_edited_thought() {
        let signed = signature("two and two");
        assert!(!is_edited("two and two", &signed));
        assert!(is_edited("two and three", &signed));
        assert!(!is_edited("", &signed));
        assert!(!is_edited("from elsewhere", "EqQBCkYIBhgCKkA"));
    }
}
