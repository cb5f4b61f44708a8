//! The content of a multipart body, whatever its boundary is and however it is cut: two uploads are one if this is
//! the same.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Event, Parser};

/// Adds up the events of a body.
#[derive(Debug, Default)]
pub(crate) struct Content {
    hash: Sha256,
    /// What the present part holds.
    part: Sha256,
}

impl Content {
    pub(crate) fn add(&mut self, event: &Event) {
        match event {
            Event::Part(head) => {
                let texts = [
                    Some(&head.name),
                    head.filename.as_ref(),
                    head.content_type.as_ref(),
                ];
                for text in texts {
                    let text = text.map_or("", String::as_str);
                    self.hash.update((text.len() as u64).to_le_bytes());
                    self.hash.update(text);
                }
            }
            Event::Data(data) => self.part.update(data),
            Event::PartEnd => {
                let part = std::mem::take(&mut self.part).finalize();
                self.end_part(&part.into());
            }
            Event::End => {}
        }
    }

    /// Ends a part of which somebody else has the SHA-256, in place of its data and its end.
    pub(crate) fn end_part(&mut self, digest: &[u8; 32]) {
        self.hash.update(digest);
    }

    /// A SHA-256.
    pub(crate) fn finish(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

/// The same of a whole body; `None` if it is none.
pub(crate) fn content_of(boundary: &str, body: Bytes) -> Option<[u8; 32]> {
    let mut parser = Parser::new(boundary);
    parser.feed(body);
    let mut content = Content::default();
    while let Some(event) = parser.next().ok()? {
        if event == Event::End {
            return Some(content.finish());
        }
        content.add(&event);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(boundary: &str, name: &str, text: &str) -> Bytes {
        let head = format!("content-disposition: form-data; name=\"file\"; filename=\"{name}\"");
        format!("--{boundary}\r\n{head}\r\n\r\n{text}\r\n--{boundary}--\r\n").into()
    }

    #[test]
    fn another_boundary_says_the_same_and_another_name_or_text_does_not() {
        let said = content_of("a", body("a", "n", "text")).unwrap();
        assert_eq!(content_of("bcd", body("bcd", "n", "text")), Some(said));
        assert_ne!(content_of("a", body("a", "n", "tent")), Some(said));
        assert_ne!(content_of("a", body("a", "m", "text")), Some(said));
        assert_eq!(content_of("b", body("a", "n", "text")), None);
    }
}
