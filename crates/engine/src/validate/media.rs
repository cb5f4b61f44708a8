//! How large the images and PDFs of a request are, whose bytes stand in it.

use std::io::Read;

use base64::Engine as _;
use flate2::read::ZlibDecoder;
use serde_json::{Value, json};
use wire::refusal::{self, Invalid};
use wire::request::{Block, MessagesRequest};

use crate::models;
use common::limits;
use workspace::quirks::WeakRefusals;

/// How far from its type the count of a page tree is looked for.
const DICTIONARY_BYTES: usize = 4096;

/// Why a request is refused, and what an SDK reads beside the text.
#[derive(Debug, PartialEq)]
pub struct TooLarge {
    pub message: Invalid,
    pub details: Option<Box<Value>>,
}

/// Whether a request has images or documents whose bytes may stand in it.
pub fn is_in(request: &MessagesRequest) -> bool {
    let mut blocks = request.messages.iter().flat_map(|message| &message.content);
    blocks.any(|block| {
        matches!(
            block,
            Block::Image(_) | Block::Document(_) | Block::ToolResult { is_text: false, .. }
        )
    })
}

/// Something with bytes, and where it stands: as messages tell it, and as details do.
struct Found<'a> {
    path: String,
    place: String,
    block: &'a Value,
}

/// Checks pixels, pages, and how many images there are; `body` has the bytes.
pub fn check(model: &str, body: &Value, weak: WeakRefusals) -> Result<(), TooLarge> {
    let mut found = Vec::new();
    let messages = body["messages"].as_array().into_iter().flatten();
    for (index, message) in messages.enumerate() {
        let path = format!("messages.{index}");
        gather(&mut found, (&path, &path), &message["content"]);
    }
    check_images(&found)?;
    let most = if models::has_long_context(model) {
        limits::MAX_PDF_PAGES
    } else {
        limits::MAX_PDF_PAGES_OF_SHORT_CONTEXT
    };
    let pages = check_pages(&found, most, weak)?;
    check_count(&found, (pages, most), weak).map_err(|message| TooLarge {
        message,
        details: None,
    })
}

/// The images and documents of a list of blocks, and of what they hold.
fn gather<'a>(found: &mut Vec<Found<'a>>, (path, place): (&str, &str), content: &'a Value) {
    for (index, block) in content.as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.content.{index}");
        let place = format!("{place}.content.{index}");
        match block["type"].as_str() {
            Some("tool_result") => {
                let path = format!("{path}.tool_result");
                gather(found, (&path, &place), &block["content"]);
            }
            Some("document") if block["source"]["type"] == "content" => {
                let (path, place) = (
                    format!("{path}.document.source.content"),
                    format!("{place}.source"),
                );
                gather(found, (&path, &place), &block["source"]["content"]);
            }
            Some("image" | "document") => found.push(Found { path, place, block }),
            _ => {}
        }
    }
}

/// The base64 text of a block, if it has one.
fn data(block: &Value) -> Option<&str> {
    let source = &block["source"];
    (source["type"] == "base64")
        .then(|| source["data"].as_str())
        .flatten()
}

fn bytes(text: &str) -> Vec<u8> {
    let decoder = base64::engine::general_purpose::STANDARD;
    decoder.decode(text).unwrap_or_default()
}

/// With many images in a request each must be smaller, wherever they stand (F209).
fn check_images(found: &[Found<'_>]) -> Result<(), TooLarge> {
    let images = || found.iter().filter(|found| found.block["type"] == "image");
    let (row, most) = if images().count() > limits::MANY_IMAGES {
        (
            refusal::IMAGE_PIXELS_OF_MANY,
            limits::MAX_IMAGE_SIDE_OF_MANY,
        )
    } else {
        (refusal::IMAGE_PIXELS, limits::MAX_IMAGE_SIDE)
    };
    let large: Vec<&Found<'_>> = images()
        .filter(|image| {
            let longest = data(image.block).and_then(longest_side);
            longest.is_some_and(|side| side > most)
        })
        .collect();
    let Some(first) = large.first() else {
        return Ok(());
    };
    let places: Vec<&str> = large.iter().map(|found| found.place.as_str()).collect();
    Err(TooLarge {
        message: row.refuse(&[("path", &first.path), ("most", &most)]),
        details: Some(Box::new(json!({
            "error_code": "image_dimensions_too_large",
            "max_side_length_pixels": most,
            "paths": places,
        }))),
    })
}

/// Images count as pages do, and together with them (F211).
fn check_count(
    found: &[Found<'_>],
    (pages, most): (u64, u64),
    weak: WeakRefusals,
) -> Result<(), Invalid> {
    let images = found.iter().filter(|found| found.block["type"] == "image");
    let images = images.count() as u64;
    if images == 0 || images.saturating_add(pages) <= most {
        return Ok(());
    }
    let row = if most == limits::MAX_PDF_PAGES {
        &refusal::MEDIA_COUNT_OF_LONG_CONTEXT
    } else {
        &refusal::MEDIA_COUNT
    };
    models::unless_taken(
        row,
        &[("pages", &pages), ("images", &images), ("most", &most)],
        weak,
    )
}

/// One document has too many pages, or all together have (F210). Returns how many they have.
fn check_pages(found: &[Found<'_>], most: u64, weak: WeakRefusals) -> Result<u64, TooLarge> {
    let mut all = 0;
    let mut budget = Budget::default();
    for document in found
        .iter()
        .filter(|found| found.block["type"] == "document")
    {
        let is_pdf = document.block["source"]["media_type"] == "application/pdf";
        let Some(text) = data(document.block).filter(|_| is_pdf) else {
            continue;
        };
        let pages = pages(&bytes(text), &mut budget);
        all += pages;
        if pages > most {
            return Err(TooLarge {
                message: refusal::PDF_PAGES.refuse(&[("path", &document.path), ("most", &most)]),
                details: None,
            });
        }
    }
    if all > most {
        models::unless_taken(&refusal::PDF_PAGES_IN_ALL, &[("most", &most)], weak).map_err(
            |message| TooLarge {
                message,
                details: None,
            },
        )?;
    }
    Ok(all)
}

/// The longer side of an image in pixels, where its format says it: bytes that only begin like an image have none.
fn longest_side(text: &str) -> Option<u32> {
    let bytes = bytes(text);
    let (width, height) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        bytes.get(12..16).filter(|kind| kind == b"IHDR")?;
        (be(&bytes, 16, 4)?, be(&bytes, 20, 4)?)
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        (le(&bytes, 6, 2)?, le(&bytes, 8, 2)?)
    } else if bytes.starts_with(b"\xff\xd8") {
        jpeg(&bytes)?
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        webp(&bytes)?
    } else {
        return None;
    };
    Some(width.max(height))
}

/// The frame header of a JPEG stands behind segments of any length.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        match *bytes.get(at + 1)? {
            // Fill bytes, and markers that stand alone.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // Tables and extensions have numbers among those of frames.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((be(bytes, at + 7, 2)?, be(bytes, at + 5, 2)?));
            }
            _ => at += 2 + usize::try_from(be(bytes, at + 2, 2)?).ok()?,
        }
    }
}

fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " if bytes.get(23..26) == Some(b"\x9d\x01\x2a") => {
            Some((le(bytes, 26, 2)? & 0x3fff, le(bytes, 28, 2)? & 0x3fff))
        }
        b"VP8L" if bytes.get(20) == Some(&0x2f) => {
            let bits = le(bytes, 21, 4)?;
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => Some((le(bytes, 24, 3)? + 1, le(bytes, 27, 3)? + 1)),
        _ => None,
    }
}

fn be(bytes: &[u8], at: usize, count: usize) -> Option<u32> {
    let digits = bytes.get(at..at + count)?.iter();
    Some(digits.fold(0, |number, byte| (number << 8) | u32::from(*byte)))
}

fn le(bytes: &[u8], at: usize, count: usize) -> Option<u32> {
    let digits = bytes.get(at..at + count)?.iter().rev();
    Some(digits.fold(0, |number, byte| (number << 8) | u32::from(*byte)))
}

/// What is looked at in all PDFs of a request together: what a client sends decides how long its look takes.
struct Budget {
    inflated_bytes: u64,
    streams: usize,
    /// Nodes of page trees, around each of which [`DICTIONARY_BYTES`] are looked at.
    nodes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            inflated_bytes: limits::MAX_PDF_INFLATED_BYTES,
            streams: limits::MAX_PDF_STREAMS,
            nodes: limits::MAX_PDF_NODES,
        }
    }
}

/// The pages of a PDF: what the root of its page tree says, else its page objects; 0 if neither can be read.
fn pages(pdf: &[u8], budget: &mut Budget) -> u64 {
    let mut counted = None;
    let mut objects = 0;
    let nodes = &mut budget.nodes;
    let mut look = |text: &[u8]| {
        for at in positions(text, b"/Type") {
            let rest = text.get(at + 5..).unwrap_or_default().trim_ascii_start();
            if rest.starts_with(b"/Pages") {
                if let Some(left) = nodes.checked_sub(1) {
                    *nodes = left;
                    counted = counted.max(count_of(text, at));
                }
            } else if rest.starts_with(b"/Page")
                && !rest.get(5).is_some_and(u8::is_ascii_alphabetic)
            {
                objects += 1;
            }
        }
    };
    look(pdf);
    for at in positions(pdf, b"/ObjStm") {
        let Some(streams) = budget.streams.checked_sub(1) else {
            break;
        };
        budget.streams = streams;
        let rest = pdf.get(at..).unwrap_or_default();
        let dictionary = &rest[..rest.len().min(DICTIONARY_BYTES)];
        let Some(begin) = positions(dictionary, b"stream").next() else {
            continue;
        };
        let packed = rest.get(begin + 6..).unwrap_or_default().trim_ascii_start();
        let mut text = Vec::new();
        // What is no such stream, or breaks off, is looked at as far as it goes.
        let read = ZlibDecoder::new(packed)
            .take(budget.inflated_bytes)
            .read_to_end(&mut text);
        let read = read.unwrap_or(text.len()) as u64;
        budget.inflated_bytes = budget.inflated_bytes.saturating_sub(read);
        look(&text);
    }
    counted.unwrap_or(objects)
}

/// The `/Count` of the dictionary that holds the place.
fn count_of(text: &[u8], at: usize) -> Option<u64> {
    let from = at.saturating_sub(DICTIONARY_BYTES);
    let before = positions(text.get(from..at)?, b"<<").last().unwrap_or(0);
    let to = text.len().min(at + DICTIONARY_BYTES);
    let after = positions(text.get(at..to)?, b">>")
        .next()
        .unwrap_or(to - at);
    let dictionary = text.get(from + before..at + after)?;
    let count = positions(dictionary, b"/Count").next()?;
    let digits = dictionary.get(count + 6..)?.trim_ascii_start();
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let text: String = digits.map(|byte| char::from(*byte)).collect();
    text.parse().ok()
}

fn positions<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(text, word)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn checked(model: &str, body: &Value) -> Result<(), TooLarge> {
        check(model, body, WeakRefusals::Refused)
    }

    fn encode(bytes: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    fn png(width: u32, height: u32) -> String {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        encode(&bytes)
    }

    fn image(data: &str) -> Value {
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})
    }

    fn body(content: &[Value]) -> Value {
        json!({"messages": [{"role": "user", "content": content}]})
    }

    #[test]
    fn every_format_says_how_large_it_is() {
        let jpeg = [
            b"\xff\xd8\xff\xe0\x00\x06abcd\xff\xff\xc4\x00\x03x\xff\xc2\x00\x11\x08".as_slice(),
            &[0x1f, 0x41, 0x00, 0x10],
        ]
        .concat();
        let vp8 = [
            b"RIFF....WEBPVP8 ....abc\x9d\x01\x2a".as_slice(),
            &[0x41, 0x1f, 2, 0],
        ]
        .concat();
        let bits = 8000_u32 + (9 << 14);
        let vp8l = [b"RIFF....WEBPVP8L....\x2f".as_slice(), &bits.to_le_bytes()].concat();
        let vp8x = [
            b"RIFF....WEBPVP8X....\0\0\0\0".as_slice(),
            &[1, 0, 0, 0x40, 0x1f, 0],
        ]
        .concat();
        let gif = [b"GIF89a".as_slice(), &[9, 0, 0x41, 0x1f]].concat();
        for bytes in [&jpeg, &vp8, &vp8l, &vp8x, &gif] {
            assert_eq!(longest_side(&encode(bytes)), Some(8001), "{bytes:?}");
        }
        assert_eq!(longest_side(&png(3, 8001)), Some(8001));
        let junk = |begin: &[u8]| [begin, &[0xff; 40]].concat();
        for none in [
            &jpeg[..12],
            &vp8[..20],
            b"\xff\xd8\x00",
            b"GIF89a",
            &junk(b"\x89PNG\r\n\x1a\n"),
            &junk(b"GIF8"),
            &junk(b"RIFF....junkVP8X"),
            &junk(b"RIFF....WEBPVP8 "),
            &junk(b"RIFF....WEBPVP8L"),
        ] {
            assert_eq!(longest_side(&encode(none)), None, "{none:?}");
        }
    }

    #[test]
    fn an_image_has_at_most_8000_pixels_a_side_and_2000_among_many() {
        let check = |content: &[Value]| checked("claude-opus-5", &body(content));
        assert_eq!(check(&[image(&png(8000, 1))]), Ok(()));
        let result =
            json!({"type": "tool_result", "tool_use_id": "t", "content": [image(&png(1, 8001))]});
        let refused = check(&[image(&png(1, 1)), result, image(&png(8001, 1))]).unwrap_err();
        assert_eq!(
            refused.message.to_string(),
            "messages.0.content.1.tool_result.content.0.image.source.base64.data: At least one of the image \
             dimensions exceed max allowed size: 8000 pixels"
        );
        assert_eq!(
            *refused.details.unwrap(),
            json!({"error_code": "image_dimensions_too_large", "max_side_length_pixels": 8000,
                "paths": ["messages.0.content.1.content.0", "messages.0.content.2"]})
        );
        let mut many = vec![image(&png(2001, 1))];
        many.extend((0..19).map(|_| image(&png(1, 1))));
        assert_eq!(check(&many), Ok(()));
        // Those that lie elsewhere count, too.
        many.push(
            json!({"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}),
        );
        let refused = check(&many).unwrap_err();
        assert_eq!(
            refused.message.to_string(),
            "messages.0.content.0.image.source.base64.data: At least one of the image dimensions exceed max \
             allowed size for many-image requests: 2000 pixels"
        );
    }

    fn plain_pdf(pages: usize) -> Vec<u8> {
        let mut pdf = b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n".to_vec();
        for _ in 0..pages {
            pdf.extend(b"3 0 obj << /Type /Page /Parent 2 0 R >> endobj\n");
        }
        pdf
    }

    fn document(pdf: &[u8]) -> Value {
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": encode(pdf)}})
    }

    #[test]
    fn pages_are_counted_in_plain_and_packed_objects() {
        let pages = |pdf: &[u8]| pages(pdf, &mut Budget::default());
        assert_eq!(pages(&plain_pdf(3)), 3);
        let mut tree = plain_pdf(2);
        tree.extend(b"2 0 obj << /Kids [3 0 R] /Count 7 /Type/Pages >> endobj\n");
        assert_eq!(pages(&tree), 7);
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer
            .write_all(b"2 0 << /Type /Pages /Count 12 >> << /Type /Page >>")
            .unwrap();
        let mut packed = b"%PDF-1.5\n4 0 obj << /Type /ObjStm /N 2 >> stream\r\n".to_vec();
        packed.extend(packer.finish().unwrap());
        packed.extend(b"\nendstream endobj");
        assert_eq!(pages(&packed), 12);
        assert_eq!(pages(b"%PDF-1.5 /ObjStm stream nonsense"), 0);
        assert_eq!(pages(b""), 0);
    }

    #[test]
    fn all_documents_of_a_request_share_what_is_looked_at() {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&b"/Type/Pages ".repeat(100_000)).unwrap();
        let mut pdf = b"%PDF-1.5\n4 0 obj << /Type /ObjStm /N 2 >> stream\n".to_vec();
        pdf.extend(packer.finish().unwrap());
        let mut budget = Budget::default();
        assert_eq!(pages(&pdf, &mut budget), 0);
        assert_eq!(budget.nodes, 0);
        assert_eq!(budget.streams, limits::MAX_PDF_STREAMS - 1);
        let mut tree = plain_pdf(2);
        tree.extend(b"2 0 obj << /Kids [3 0 R] /Count 7 /Type/Pages >> endobj\n");
        assert_eq!(
            pages(&tree, &mut budget),
            2,
            "its objects alone are counted"
        );
        let inflated = budget.inflated_bytes;
        for _ in 0..2 * limits::MAX_PDF_STREAMS {
            pages(b"/ObjStm stream", &mut budget);
        }
        assert_eq!((budget.streams, budget.inflated_bytes), (0, inflated));
        assert!(inflated < limits::MAX_PDF_INFLATED_BYTES);
    }

    #[test]
    fn a_long_context_takes_more_pages() {
        let one = document(&plain_pdf(101));
        let refused = checked("claude-haiku-4-5", &body(std::slice::from_ref(&one))).unwrap_err();
        assert_eq!(
            refused.message.to_string(),
            "messages.0.content.0.pdf.source.base64.data: A maximum of 100 PDF pages may be provided."
        );
        assert_eq!(checked("claude-opus-5", &body(&[one])), Ok(()));
        let half = document(&plain_pdf(60));
        let refused = checked("claude-haiku-4-5", &body(&[half.clone(), half])).unwrap_err();
        assert_eq!(
            refused.message.to_string(),
            "A maximum of 100 PDF pages may be provided."
        );
        let refused = checked("claude-opus-5", &body(&[document(&plain_pdf(601))])).unwrap_err();
        assert!(
            refused
                .message
                .to_string()
                .ends_with("A maximum of 600 PDF pages may be provided.")
        );
    }

    #[test]
    fn images_count_as_pages_do() {
        let images = |count| vec![image(&png(1, 1)); count];
        let said = |model: &str, content: &[Value], weak| {
            let refused = check(model, &body(content), weak).err();
            refused.map(|refused| refused.message.to_string())
        };
        let refused = WeakRefusals::Refused;
        assert_eq!(said("claude-haiku-4-5", &images(100), refused), None);
        let mut many = images(100);
        many.push(document(&plain_pdf(2)));
        for weak in [refused, WeakRefusals::Taken] {
            assert_eq!(
                said("claude-haiku-4-5", &many, weak).as_deref(),
                Some("Too much media: 2 document pages + 100 images > 100")
            );
        }
        assert_eq!(said("claude-opus-5", &images(600), refused), None);
        let many = images(601);
        assert_eq!(
            said("claude-opus-5", &many, refused).as_deref(),
            Some("Too much media: 0 document pages + 601 images > 600")
        );
        assert_eq!(said("claude-opus-5", &many, WeakRefusals::Taken), None);
    }
}
