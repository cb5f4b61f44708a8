//! Recordings that lie packed in their files.

use std::borrow::Cow;

use flate2::read::MultiGzDecoder;

use super::{Wrong, http};

const GZIP: &[u8] = &[0x1f, 0x8b];

/// Magic bytes of files that other programs pack.
const OTHERS: [(&[u8], &str); 4] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"BZh", "bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
    (b"PK\x03\x04", "zip"),
];

/// The bytes as they were before gzip.
pub(super) fn unpacked(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Wrong> {
    if bytes.starts_with(GZIP) {
        let plain = http::inflate(MultiGzDecoder::new(bytes)).ok_or_else(|| Wrong {
            reason: "it is packed with gzip, and broken or too large".to_owned(),
            hint: "`gzip -t FILE` says whether it is whole",
        })?;
        return Ok(Cow::Owned(plain.into()));
    }
    match OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        Some((_, packer)) => Err(Wrong {
            reason: format!("it is packed with {packer}"),
            hint: "unpack it first: gzip alone is undone here",
        }),
        None => Ok(Cow::Borrowed(bytes)),
    }
}
