//! Comparing files: by digest, else as images, archives, or text.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::text::{self, When};
use super::{Difference, Options};
use common::ids::hex;

/// How far a channel of a pixel may be off before the pixel counts as different.
const CHANNEL: u8 = 16;
/// Largest image and archive that are looked into, once unpacked.
const MAX_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;

/// How a file differs from the recorded one, if it does.
pub(super) fn compare(
    name: &str,
    recorded: &Bytes,
    live: &Bytes,
    when: When,
    options: &Options,
) -> Option<Difference> {
    if recorded == live {
        return None;
    }
    let what = format!("file {name}");
    if let (Some(a), Some(b)) = (image(recorded), image(live)) {
        return images(&what, &a, &b, options);
    }
    if let (Some(a), Some(b)) = (members(recorded), members(live)) {
        return archives(&what, &a, &b, when, options);
    }
    if let (Ok(a), Ok(b)) = (std::str::from_utf8(recorded), std::str::from_utf8(live)) {
        return text::compare(&what, a, b, when, options);
    }
    let digest = |bytes: &Bytes| {
        format!(
            "{} bytes, sha256 {}",
            bytes.len(),
            hex(&Sha256::digest(bytes))
        )
    };
    Some(Difference {
        what,
        recorded: digest(recorded),
        live: digest(live),
    })
}

/// Width, height, and the pixels' bytes, four each.
type Image = (u32, u32, Vec<u8>);

fn image(bytes: &Bytes) -> Option<Image> {
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return None;
    }
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(
        png::Transformations::normalize_to_color8() | png::Transformations::ALPHA,
    );
    let mut reader = decoder.read_info().ok()?;
    let size = reader.output_buffer_size()?;
    if size as u64 > MAX_UNPACKED_BYTES {
        return None;
    }
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).ok()?;
    pixels.truncate(frame.buffer_size());
    let pixels = match frame.color_type {
        png::ColorType::GrayscaleAlpha => pixels
            .chunks_exact(2)
            .flat_map(|it| [it[0], it[0], it[0], it[1]])
            .collect(),
        png::ColorType::Rgba => pixels,
        _ => return None,
    };
    Some((frame.width, frame.height, pixels))
}

fn images(what: &str, a: &Image, b: &Image, options: &Options) -> Option<Difference> {
    let told = |recorded: String, live: String| {
        Some(Difference {
            what: what.to_owned(),
            recorded,
            live,
        })
    };
    if (a.0, a.1) != (b.0, b.1) {
        return told(
            format!("an image of {} by {} pixels", a.0, a.1),
            format!("an image of {} by {} pixels", b.0, b.1),
        );
    }
    let pairs = a.2.chunks_exact(4).zip(b.2.chunks_exact(4));
    let off = pairs
        .filter(|(x, y)| x.iter().zip(*y).any(|(x, y)| x.abs_diff(*y) > CHANNEL))
        .count();
    let total = (a.2.len() / 4).max(1);
    #[expect(clippy::cast_precision_loss, reason = "counts of pixels, for a share")]
    let share = off as f64 / total as f64;
    if share <= options.pixels {
        return None;
    }
    told(
        format!("{total} pixels"),
        format!("{off} of them ({:.1} %) differ", share * 100.0),
    )
}

/// The members of a zip archive, such as a spreadsheet.
fn members(bytes: &Bytes) -> Option<BTreeMap<String, Bytes>> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return None;
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut members = BTreeMap::new();
    let mut left = MAX_UNPACKED_BYTES;
    for at in 0..archive.len() {
        let file = archive.by_index(at).ok()?;
        let name = file.name().ok()?.into_owned();
        let mut content = Vec::new();
        file.take(left + 1).read_to_end(&mut content).ok()?;
        left = left.checked_sub(content.len() as u64)?;
        members.insert(name, Bytes::from(content));
    }
    Some(members)
}

fn archives(
    what: &str,
    a: &BTreeMap<String, Bytes>,
    b: &BTreeMap<String, Bytes>,
    when: When,
    options: &Options,
) -> Option<Difference> {
    let names =
        |members: &BTreeMap<String, Bytes>| members.keys().cloned().collect::<Vec<_>>().join(", ");
    if !a.keys().eq(b.keys()) {
        return Some(Difference {
            what: what.to_owned(),
            recorded: names(a),
            live: names(b),
        });
    }
    a.iter().find_map(|(name, recorded)| {
        let inner = format!("{name} in it");
        let mut found = compare(&inner, recorded, &b[name], when, options)?;
        found.what = format!("{what}: {}", found.what.trim_start_matches("file "));
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn when() -> When {
        let time = DateTime::parse_from_rfc3339("2026-11-20T22:00:00Z")
            .unwrap()
            .to_utc();
        When {
            recorded: Some(time),
            live: time,
        }
    }

    fn png(width: u32, height: u32, color: png::ColorType, pixels: &[u8]) -> Bytes {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        Bytes::from(bytes)
    }

    fn differs(a: &Bytes, b: &Bytes) -> Option<Difference> {
        compare("a.png", a, b, when(), &Options::default())
    }

    #[test]
    fn images_are_compared_by_their_pixels() {
        let plain = png(20, 20, png::ColorType::Rgb, &[100; 1200]);
        let mut near = [100; 1200];
        near[0] = 110;
        near[30] = 255;
        assert_eq!(
            differs(&plain, &png(20, 20, png::ColorType::Rgb, &near)),
            None
        );
        assert_eq!(
            differs(&plain, &png(20, 20, png::ColorType::Grayscale, &[100; 400])),
            None
        );
        let told = differs(&plain, &png(20, 20, png::ColorType::Rgb, &[200; 1200])).unwrap();
        assert!(told.live.contains("400 of them (100.0 %)"), "{told:?}");
        let told = differs(&plain, &png(10, 20, png::ColorType::Rgb, &[100; 600])).unwrap();
        assert_eq!(told.live, "an image of 10 by 20 pixels");
    }

    #[test]
    fn archives_are_compared_by_their_members() {
        let zip = |text: &str| {
            let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file("docProps/core.xml", options).unwrap();
            std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
            Bytes::from(writer.finish().unwrap().into_inner())
        };
        assert_eq!(
            differs(
                &zip("<a>2026-11-20T22:00:00Z</a>"),
                &zip("<a>2026-11-20T22:00:09Z</a>")
            ),
            None
        );
        let told = differs(&zip("<a>1</a>"), &zip("<a>2</a>")).unwrap();
        assert_eq!(told.what, "file a.png: docProps/core.xml in it, line 1");
    }

    #[test]
    fn tables_have_the_tolerance_of_floats_and_other_bytes_none() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert_eq!(
            differs(&bytes("a,b\n1,0.1\n"), &bytes("a,b\n1,0.1000000000001\n")),
            None
        );
        assert!(differs(&bytes("a,b\n1,0.1\n"), &bytes("a,b\n1,0.2\n")).is_some());
        let told = differs(
            &Bytes::from_static(b"\xff\x00"),
            &Bytes::from_static(b"\xff\x01"),
        )
        .unwrap();
        assert!(told.live.starts_with("2 bytes, sha256 "), "{told:?}");
        // What only looks like an image or an archive is told by its digest.
        assert!(
            differs(
                &Bytes::from_static(b"\x89PNG\r\n\x1a\n\xff"),
                &Bytes::from_static(b"\x89PNG\r\n\x1a\n\xfe")
            )
            .is_some()
        );
        assert!(
            differs(
                &Bytes::from_static(b"PK\x03\x04\xff"),
                &Bytes::from_static(b"PK\x03\x04\xfe")
            )
            .is_some()
        );
    }
}
