//! Images and documents, and where they come from.

use super::{media, rest, texts};
use crate::decode::{Decoded, Node};

/// Where an image or a document comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    File { file_id: String },
    Inline,
}

/// The forms that an image's source may have.
const OF_IMAGES: &[&str] = &["base64", "file", "url"];

/// The forms that a document's source may have.
const OF_DOCUMENTS: &[&str] = &["base64", "content", "file", "text", "url"];

impl Source {
    /// Decodes an `image`.
    pub(super) fn of_image(block: &Node<'_>) -> Decoded<Self> {
        if let Some(transformations) = block.optional("transformations")? {
            transformations.object()?;
            if let Some(oversized) = transformations.optional("oversized_image")? {
                oversized.literal(&["downsize", "error"])?;
            }
        }
        Self::decode(block, OF_IMAGES)
    }

    /// Decodes a `document`.
    pub(super) fn of_document(block: &Node<'_>) -> Decoded<Self> {
        check_about(block)?;
        Self::decode(block, OF_DOCUMENTS)
    }

    fn decode(block: &Node<'_>, tags: &[&str]) -> Decoded<Self> {
        let whole = block.required("source")?;
        whole.object()?;
        let tag = whole.tag(tags)?;
        let source = whole.tagged(tag);
        match tag {
            "file" => Ok(Self::File {
                file_id: source.required("file_id")?.string()?.to_owned(),
            }),
            "base64" if block.value()["type"] == "image" => {
                media::check_image(&source).map(|()| Self::Inline)
            }
            "base64" => media::check_pdf(block, &source).map(|()| Self::Inline),
            "text" => media::check_text(&source).map(|()| Self::Inline),
            "url" => source.required("url")?.string().map(|_| Self::Inline),
            _ => check_content(&source.required("content")?).map(|()| Self::Inline),
        }
    }
}

/// Checks what is said of a document beside its source.
pub(super) fn check_about(document: &Node<'_>) -> Decoded<()> {
    rest::check_texts(document, &["title", "context"])?;
    texts::cites(document).map(|_| ())
}

/// Checks a document that consists of blocks, or of a text.
fn check_content(content: &Node<'_>) -> Decoded<()> {
    if content.value().is_string() {
        return Ok(());
    }
    for item in content.items()? {
        let tag = item.tag(&["image", "text"])?;
        let part = item.tagged(tag);
        rest::check_cache_control(&part)?;
        if tag == "image" {
            Source::of_image(&part)?;
        } else {
            texts::text(&part)?;
        }
    }
    Ok(())
}
