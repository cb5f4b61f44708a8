//! Bytes that stand in a request itself: whether they are what their type says.

use crate::decode::{Decoded, Fault, Node};

/// The longest base64 text of an inline image, in bytes.
pub const MAX_IMAGE_BASE64_BYTES: usize = 10 * 1024 * 1024;

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Whether an image block takes images of this media type, without parameters and in lower case.
pub fn is_image_type(essence: &str) -> bool {
    IMAGES.contains(&essence)
}

/// As much of the beginning as says what the bytes are.
const LOOK_BYTES: usize = 1024;

/// Checks a `base64` source of an image. All texts but the one about base64 are the service's own (F146).
pub(super) fn check_image(source: &Node<'_>) -> Decoded<()> {
    let told = source.required("media_type")?.literal(&IMAGES)?;
    let data = source.required("data")?;
    let text = data.string()?;
    if text.len() > MAX_IMAGE_BASE64_BYTES {
        return Err(source.fault(format!(
            "image exceeds {} MB maximum: {} bytes > {MAX_IMAGE_BASE64_BYTES} bytes",
            MAX_IMAGE_BASE64_BYTES / (1024 * 1024),
            text.len()
        )));
    }
    let begin = beginning(text).ok_or_else(|| source.fault("invalid base64 data"))?;
    match image_type(&begin) {
        Some(found) if found == told => Ok(()),
        Some(found) => Err(source.fault(format!(
            "The image was specified using the {told} media type, but the image appears to be a {found} image"
        ))),
        None => Err(data.fault("The file format is invalid or unsupported")),
    }
}

/// Checks a `base64` source of a document: `block` is the document.
pub(super) fn check_pdf(block: &Node<'_>, source: &Node<'_>) -> Decoded<()> {
    let begin = check_base64_pdf(source)?;
    if begin.windows(5).any(|bytes| bytes == b"%PDF-") {
        return Ok(());
    }
    // Parity: the service calls the block `pdf` here (F146).
    let path = block.path();
    let path = path.strip_suffix("document").unwrap_or(&path);
    Err(Fault {
        path: format!("{path}pdf.source.base64.data"),
        reason: "The PDF specified was not valid.".to_owned(),
    })
}

/// Checks what a `base64` source of a document says, and gives the first of its bytes.
pub(super) fn check_base64_pdf(source: &Node<'_>) -> Decoded<Vec<u8>> {
    source
        .required("media_type")?
        .literal(&["application/pdf"])?;
    let text = source.required("data")?.string()?;
    beginning(text).ok_or_else(|| source.fault("invalid base64 data"))
}

/// Checks a `text` source of a document.
pub(super) fn check_text(source: &Node<'_>) -> Decoded<()> {
    source.required("media_type")?.literal(&["text/plain"])?;
    source.required("data")?.string().map(|_| ())
}

fn image_type(begin: &[u8]) -> Option<&'static str> {
    if begin.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if begin.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if begin.starts_with(b"GIF87a") || begin.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if begin.starts_with(b"RIFF") && begin.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

/// The first bytes of a base64 text; `None` if it is none.
fn beginning(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    if padding > 2 || !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(LOOK_BYTES);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in bare.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        if bytes.len() < LOOK_BYTES {
            bits = (bits << 6) | u32::from(value);
            count += 6;
            if count >= 8 {
                count -= 8;
                let [.., byte] = (bits >> count).to_be_bytes();
                bytes.push(byte);
                bits &= (1 << count) - 1;
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn image(media_type: &str, data: &str) -> Option<String> {
        let source = json!({"type": "base64", "media_type": media_type, "data": data});
        let fault = check_image(&Node::root(&source).tagged("base64")).err();
        fault.map(|fault| fault.to_string())
    }

    #[test]
    fn an_image_must_be_what_it_says() {
        for (kind, data) in [
            ("image/png", "iVBORw0KGgo="),
            ("image/jpeg", "/9j/4AA="),
            ("image/gif", "R0lGODlh"),
            ("image/webp", "UklGRgAAAABXRUJQ"),
        ] {
            assert_eq!(image(kind, data), None);
        }
        assert_eq!(
            image("image/png", "/9j/4AA=").unwrap(),
            "base64: The image was specified using the image/png media type, but the image appears to be a image/jpeg image"
        );
        assert_eq!(
            image("image/svg+xml", "aGk=").unwrap(),
            "base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
        );
        assert_eq!(
            image("image/png", "aGk=").unwrap(),
            "base64.data: The file format is invalid or unsupported"
        );
        for wrong in ["a", "aGk", "aGk$", "data:image/png;base64,iVBO", "===="] {
            assert_eq!(
                image("image/png", wrong).unwrap(),
                "base64: invalid base64 data"
            );
        }
    }

    #[test]
    fn an_image_may_be_ten_megabytes_of_base64() {
        let mut data = "iVBORw0KGgoA".to_owned();
        data.push_str(&"A".repeat(MAX_IMAGE_BASE64_BYTES - data.len()));
        assert_eq!(image("image/png", &data), None);
        data.push_str("AAAA");
        assert_eq!(
            image("image/png", &data).unwrap(),
            "base64: image exceeds 10 MB maximum: 10485764 bytes > 10485760 bytes"
        );
    }
}
