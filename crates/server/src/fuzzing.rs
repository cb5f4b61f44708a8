//! Properties that must hold for any bytes that strangers send: `fuzz/` looks for bytes that break them, and a test
//! here tries every seed that it keeps.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::api::multipart;
use cassette::{self, Cassette};
use model::script;
use workspace::fault;
use workspace::skills;
use workspace::snapshot;

/// A property of all bytes: it panics where it does not hold.
pub type Property = fn(&[u8]);

/// Each parser that meets foreign bytes, by the name of its folder in `fuzz/seeds`.
pub const PROPERTIES: &[(&str, Property)] = &[
    ("cassettes", cassettes),
    ("frames", frames),
    ("imports", imports),
    ("multipart", form),
    ("requests", requests),
    ("resync", resync),
    ("scripts", scripts),
    ("skills", archives),
    ("sse", events),
    ("state", state),
];

/// Asserts that a parser gives the same for `data` at once and for pieces whose size is the first byte.
fn however_cut<T: PartialEq + std::fmt::Debug>(
    data: &[u8],
    read: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
) {
    let Some((size, data)) = data.split_first() else {
        return;
    };
    let whole = read(&mut std::iter::once(data));
    let pieces = read(&mut data.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, pieces);
}

/// Frames of the sandbox's channel.
pub fn frames(data: &[u8]) {
    however_cut(data, |chunks| {
        let mut decoder = guest_proto::Decoder::new();
        let mut frames = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => frames.push((frame.header::<Value>(), frame.payload)),
                    Ok(None) => break,
                    // Of a cut prelude the error knows only what has come.
                    Err(_) => return (frames, false, 0),
                }
            }
        }
        let pending = decoder.pending();
        (frames, true, pending)
    });
}

/// The mark by which a lost channel is found again: `M` stands for the mark of a token of zeros and more.
pub fn resync(data: &[u8]) {
    let mut bytes = [0; guest_proto::TOKEN_BYTES];
    let (size, data) = data.split_at(data.len().min(1));
    let given = data.len().min(bytes.len());
    bytes[..given].copy_from_slice(&data[..given]);
    let token = guest_proto::Token::new(bytes);
    assert_eq!(guest_proto::Token::from_hex(&token.to_hex()), Some(token));
    let mark = token.mark();
    let stream = data[given..]
        .split(|byte| *byte == b'M')
        .collect::<Vec<_>>()
        .join(&mark[..]);
    let expected = memchr::memmem::rfind(&stream, &mark).map(|at| at + mark.len());
    however_cut(&[size, &stream].concat(), |chunks| {
        let mut finder = guest_proto::Finder::new(&token);
        let (mut end, mut before) = (None, 0);
        for chunk in chunks {
            end = finder.push(chunk).map(|at| before + at).or(end);
            before += chunk.len();
        }
        if !size.is_empty() {
            assert_eq!(end, expected);
        }
        end
    });
}

/// Server-sent events, as upstreams and recordings have them.
pub fn events(data: &[u8]) {
    however_cut(data, |chunks| {
        let mut decoder = wire::sse::Decoder::default();
        chunks
            .flat_map(|chunk| decoder.push(chunk))
            .collect::<Vec<_>>()
    });
}

/// An upload: a line with the content type, and the body.
pub fn form(data: &[u8]) {
    let line = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (content_type, rest) = data.split_at(line);
    let content_type = String::from_utf8_lossy(content_type);
    let Some(boundary) = multipart::boundary(&content_type) else {
        return;
    };
    however_cut(rest.get(1..).unwrap_or_default(), |chunks| {
        let mut parser = multipart::Parser::new(&boundary);
        let mut found: Vec<(multipart::Event, Vec<u8>)> = Vec::new();
        for chunk in chunks {
            parser.feed(Bytes::copy_from_slice(chunk));
            while let Some(event) = parser.next()? {
                match &event {
                    multipart::Event::Data(data) => {
                        let part = found.last_mut().expect("data has a part");
                        part.1.extend_from_slice(data);
                    }
                    multipart::Event::Part(_)
                    | multipart::Event::PartEnd
                    | multipart::Event::End => found.push((event, Vec::new())),
                }
            }
        }
        parser.finish().map(|()| found)
    });
}

/// Bodies of messages.
pub fn requests(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    for betas in [false, true] {
        let read = wire::request::MessagesRequest::decode(&body, betas).map(drop);
        let counted = wire::request::MessagesRequest::decode_count(&body, betas).map(drop);
        for fault in [read.err(), counted.err()].into_iter().flatten() {
            assert!(!fault.reason.is_empty(), "{fault:?}");
        }
    }
}

/// Scripts: rules, or mistakes that stand in the text.
pub fn scripts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let scripts = script::Scripts::new(Arc::default());
    if let Err(mistakes) = scripts.replace(&text, "fuzz.yaml") {
        assert!(!mistakes.is_empty());
        // An end of file stands behind the last line.
        let lines = text
            .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
            .count() as u64
            + 1;
        for mistake in mistakes {
            assert!(
                !mistake.message.is_empty() && mistake.at.line <= lines,
                "{mistake:?}"
            );
        }
    }
}

/// Cassettes of ours.
pub fn cassettes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(cassette) = cassette::parse("fuzz", &text) {
        written(cassette);
    }
}

/// Recordings of others.
pub fn imports(data: &[u8]) {
    if let Ok(cassette) = cassette::import::parse("fuzz", data) {
        assert!(!cassette.exchanges.is_empty());
        written(cassette);
    }
}

/// Asserts that a cassette survives a round trip: written, read, and written again it is the same. Headers that
/// came twice are one then.
fn written(cassette: Cassette) {
    let write =
        |it: &Cassette| cassette::text(&it.about, &it.exchanges).expect("it can be written");
    let text = write(&cassette);
    let read = cassette::parse("fuzz", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(write(&read), text);
    assert_eq!(read.exchanges.len(), cassette.exchanges.len());
    for (read, was) in read.exchanges.iter().zip(&cassette.exchanges) {
        assert_eq!(
            read.request.as_ref().map(|it| &it.body),
            was.request.as_ref().map(|it| &it.body)
        );
        assert_eq!(
            (read.response.status, &read.response.body),
            (was.response.status, &was.response.body)
        );
    }
    cassette::Tape::of(vec![cassette]).ok();
}

/// Skills that are uploaded as an archive.
pub fn archives(data: &[u8]) {
    if let Ok(files) = skills::archive::unpack(data) {
        skills::Bundle::new(files).ok();
    }
}

/// A state that is loaded, and faults.
pub fn state(data: &[u8]) {
    snapshot::Document::parse(data, 1 << 20).ok();
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        fault::parse(&value).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_must_hold_for_any_bytes_holds_for_every_seed() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("fuzz");
        let names = |path: &str| -> BTreeSet<String> {
            let found = fs::read_dir(folder.join(path)).unwrap();
            found
                .map(|entry| {
                    entry
                        .unwrap()
                        .path()
                        .file_stem()
                        .unwrap()
                        .to_string_lossy()
                        .into_owned()
                })
                .collect()
        };
        let ours: BTreeSet<String> = PROPERTIES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert_eq!(names("fuzz_targets"), ours);
        assert_eq!(names("seeds"), ours);
        for (name, property) in PROPERTIES {
            let mut seeds = 0;
            for seed in fs::read_dir(folder.join("seeds").join(name)).unwrap() {
                let seed = seed.unwrap().path();
                println!("{}", seed.display());
                property(&fs::read(seed).unwrap());
                seeds += 1;
            }
            assert!(seeds > 2, "{name}: {seeds}");
        }
    }
}
