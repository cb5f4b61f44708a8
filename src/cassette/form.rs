//! Recorded forms written out again, to be sent.

use bytes::Bytes;

use super::{Body, Part};

const BOUNDARY: &str = "sandtable-form-7d1f3a9c25";

/// The content type and the bytes of a form; why not, where a part was not kept.
pub(crate) fn written(parts: &[Part]) -> Result<(String, Bytes), String> {
    let mut body = Vec::new();
    for part in parts {
        if let Body::Missing(why) = &part.body {
            return Err(format!("an upload's bytes are missing: {why}"));
        }
        let content = part.body.bytes().map_err(|error| error.to_string())?;
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
