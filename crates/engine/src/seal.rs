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
const SHA256_BYTES: usize = 32;
const LINK_BYTES: usize = 8;

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

type Sha256Digest = [u8; SHA256_BYTES];

/// By which the signature of the next thought knows this one.
pub(super) type Link = [u8; LINK_BYTES];

pub(super) fn link(thinking: &str) -> Link {
    link_of(digest_of(thinking))
}

fn link_of(digest: Sha256Digest) -> Link {
    let mut link = Link::default();
    link.copy_from_slice(&digest[..LINK_BYTES]);
    link
}

fn digest_of(thinking: &str) -> Sha256Digest {
    Sha256::digest(thinking.as_bytes()).into()
}

/// A stand-in for the service's opaque signature of a thought behind another of the same answer: base64, the same for the
/// same thoughts.
pub(super) fn signature_behind(thinking: &str, before: Link) -> String {
    let digest = digest_of(thinking);
    let mut again = digest;
    for (byte, mask) in again[SHA256_BYTES - LINK_BYTES..].iter_mut().zip(before) {
        *byte ^= mask;
    }
    format!("{SIGNED}{}", STANDARD.encode([digest, again].concat()))
}

/// What a signature of ours says: the thought, and the one before it.
fn signed_here(signed: &str) -> Option<(Sha256Digest, Link)> {
    let digests = STANDARD.decode(signed.strip_prefix(SIGNED)?).ok()?;
    let (digest, again) = digests.split_first_chunk::<SHA256_BYTES>()?;
    let (same, end) = again.split_at_checked(SHA256_BYTES - LINK_BYTES)?;
    let mut before: Link = end.try_into().ok()?;
    for (byte, mask) in before.iter_mut().zip(&digest[SHA256_BYTES - LINK_BYTES..]) {
        *byte ^= mask;
    }
    digest.starts_with(same).then_some((*digest, before))
}

/// Whether a thought with a signature of ours has another text than was signed. A thought that was
/// shown without its text passes, and so does what was signed elsewhere.
pub(super) fn is_edited(thinking: &str, signed: &str) -> bool {
    !thinking.is_empty()
        && signed_here(signed).is_some_and(|(digest, _)| digest != digest_of(thinking))
}

/// The first of these thoughts that stands before the one behind which it came. What was left out is missed by none.
pub(super) fn first_misplaced(signatures: &[&str]) -> Option<usize> {
    let thoughts: Vec<_> = signatures.iter().map(|text| signed_here(text)).collect();
    let has = |thoughts: &[Option<(Sha256Digest, Link)>], wanted: Link| {
        let mut known = thoughts.iter().flatten();
        known.any(|(digest, _)| link_of(*digest) == wanted)
    };
    thoughts.iter().enumerate().position(|(at, thought)| {
        thought.is_some_and(|(_, before)| {
            has(&thoughts[at + 1..], before) && !has(&thoughts[..at], before)
        })
    })
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
        let signed = signature_behind("two and two", Link::default());
        assert!(!is_edited("two and two", &signed));
        assert!(is_edited("two and three", &signed));
        assert!(!is_edited("", &signed));
        assert!(!is_edited("from elsewhere", "EqQBCkYIBhgCKkA"));
        let behind = signature_behind("two and two", link("one"));
        assert_ne!(behind, signed);
        assert!(!is_edited("two and two", &behind));
        assert!(is_edited("two and three", &behind));
    }

    #[test]
    fn signatures_tell_thoughts_that_have_changed_places() {
        let (a, b, c) = (
            signature_behind("a", Link::default()),
            signature_behind("b", link("a")),
            signature_behind("c", link("b")),
        );
        for (order, first) in [
            ([&a, &b, &c], None),
            ([&b, &a, &c], Some(0)),
            ([&a, &c, &b], Some(1)),
            ([&c, &b, &a], Some(0)),
            ([&b, &c, &a], Some(0)),
            ([&c, &a, &b], Some(0)),
        ] {
            assert_eq!(first_misplaced(&order.map(String::as_str)), first);
        }
        // Some are left out, or the same again behind a pause.
        assert_eq!(first_misplaced(&[&a, &c]), None);
        assert_eq!(first_misplaced(&[&b, &c]), None);
        assert_eq!(first_misplaced(&[&a, &b, &a, &b]), None);
        assert_eq!(first_misplaced(&[&a, "EqQBCkYIBhgCKkA", &b]), None);
    }
}
