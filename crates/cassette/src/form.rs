//! Recorded forms written out again, to be sent.

use bytes::Bytes;

use super::{Body, Part};

const BOUNDARY: &str = "sandtable-form-7d1f3a9c25";

/// Why a form cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("an upload's bytes are missing: {0}")]
    Missing(String),
    #[error(transparent)]
    Blob(#[from] std::io::Error),
}

/// The content type and the bytes of a form; why not, where a part was not kept.
pub fn written(parts: &[Part]) -> Result<(String, Bytes), FormError> {
    let mut body = Vec::new();
    for part in parts {
        if let Body::Missing(why) = &part.body {
            return Err(FormError::Missing(why.clone()));
        }
        let content = part.body.bytes()?;
        let name = quoted(&part.name);
        body.extend(
            format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"").bytes(),
        );
        if let Some(filename) = &part.filename {
            body.extend(format!("; filename=\"{}\"", quoted(filename)).bytes());
        }
        if let Some(kind) = &part.content_type {
            body.extend(format!("\r\ncontent-type: {kind}").bytes());
        }
        body.extend(b"\r\n\r\n");
        body.extend(content.unwrap_or_default());
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Ok((kind, Bytes::from(body)))
}

/// As browsers write names.
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}
