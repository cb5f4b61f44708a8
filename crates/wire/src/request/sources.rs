//! Images and documents, and where they come from.

use super::{media, rest, texts};
use crate::decode::{Decoded, Node};

/// A file that an image or a document names by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Where its id stands.
    pub path: String,
    pub file_id: String,
    pub shown: Shown,
}

/// What shows a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Image,
    Document,
}

/// The forms that an image's source may have.
const OF_IMAGES: &[&str] = &["base64", "file", "url"];

/// The forms that a document's source may have.
const OF_DOCUMENTS: &[&str] = &["base64", "content", "file", "text", "url"];

/// Decodes an `image`: the file that it shows, if it shows one.
pub(super) fn of_image(block: &Node<'_>) -> Decoded<Vec<NamedFile>> {
    if let Some(transformations) = block.optional("transformations")? {
        transformations.object()?;
        if let Some(oversized) = transformations.optional("oversized_image")? {
            oversized.literal(&["downsize", "error"])?;
        }
    }
    decode(block, OF_IMAGES, Shown::Image)
}

/// Decodes a `document`: the files that it shows.
pub(super) fn of_document(block: &Node<'_>) -> Decoded<Vec<NamedFile>> {
    check_about(block)?;
    decode(block, OF_DOCUMENTS, Shown::Document)
}

fn decode(block: &Node<'_>, tags: &[&str], shown: Shown) -> Decoded<Vec<NamedFile>> {
    let whole = block.required("source")?;
    let tag = whole.tag(tags)?;
    let source = whole.tagged(tag);
    match tag {
        "file" => {
            let id = source.required("file_id")?;
            return Ok(vec![NamedFile {
                file_id: id.string()?.to_owned(),
                path: id.path(),
                shown,
            }]);
        }
        "content" => return content(&source.required("content")?),
        "base64" if shown == Shown::Image => media::check_image(&source)?,
        "base64" => media::check_pdf(block, &source)?,
        "text" => media::check_text(&source)?,
        // A URL: nothing is fetched.
        _ => {
            source.required("url")?.string()?;
        }
    }
    Ok(Vec::new())
}

/// Checks a document that the service has fetched.
pub(super) fn check_fetched(document: &Node<'_>) -> Decoded<()> {
    check_about(document)?;
    let whole = document.required("source")?;
    if whole.tag(OF_DOCUMENTS)? == "base64" {
        // Of a page that is cut off its bytes may not say what it is.
        return media::check_base64_pdf(&whole.tagged("base64")).map(|_| ());
    }
    decode(document, OF_DOCUMENTS, Shown::Document).map(|_| ())
}

/// Checks what is said of a document beside its source.
fn check_about(document: &Node<'_>) -> Decoded<()> {
    rest::check_texts(document, &["title", "context"])?;
    texts::cites(document).map(|_| ())
}

/// Decodes a document that consists of blocks, or of a text.
fn content(content: &Node<'_>) -> Decoded<Vec<NamedFile>> {
    let mut files = Vec::new();
    if content.value().is_string() {
        return Ok(files);
    }
    for item in content.items()? {
        let tag = item.tag(&["image", "text"])?;
        let part = item.tagged(tag);
        rest::check_cache_control(&part)?;
        if tag == "image" {
            files.extend(of_image(&part)?);
        } else {
            texts::text(&part)?;
        }
    }
    Ok(files)
}
