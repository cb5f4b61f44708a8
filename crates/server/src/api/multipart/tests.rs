//! The parser against bodies in one piece and in every possible cut.

use proptest::prelude::*;

use super::*;

const BODY: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"expires_in_seconds\"\r\n\r\n3600\r\n\
    --B  \r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\n\
    a,b\r\n\r\n--1,2\r\n-\r\n--\r\n--B--\r\nepilogue";

/// The parts of a body: each one's name and content, and whether the body was closed.
type Parts = (Vec<(String, Vec<u8>)>, bool);

fn parse(boundary: &str, chunks: &[&[u8]]) -> Result<Parts, MultipartError> {
    let mut parser = Parser::new(boundary);
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    let (mut open, mut closed) = (false, false);
    for chunk in chunks {
        parser.feed(Bytes::copy_from_slice(chunk));
        while let Some(event) = parser.next()? {
            match event {
                Event::Part(head) => {
                    assert!(!open && !closed);
                    open = true;
                    parts.push((head.name, Vec::new()));
                }
                Event::Data(data) => {
                    assert!(open && !data.is_empty());
                    parts.last_mut().unwrap().1.extend_from_slice(&data);
                }
                Event::PartEnd => {
                    assert!(open);
                    open = false;
                }
                Event::End => {
                    assert!(!open);
                    closed = true;
                }
            }
        }
    }
    parser.finish()?;
    Ok((parts, closed))
}

fn expected() -> Parts {
    let parts = vec![
        ("expires_in_seconds".to_owned(), b"3600".to_vec()),
        ("file".to_owned(), b"a,b\r\n\r\n--1,2\r\n-\r\n--".to_vec()),
    ];
    (parts, true)
}

#[test]
fn a_body_in_one_piece_is_taken_apart() {
    assert_eq!(parse("B", &[BODY]), Ok(expected()));
}

#[test]
fn a_body_byte_by_byte_gives_the_same() {
    let chunks: Vec<&[u8]> = BODY.chunks(1).collect();
    assert_eq!(parse("B", &chunks), Ok(expected()));
}

#[test]
fn a_body_cut_anywhere_before_its_closing_boundary_is_refused() {
    let end = BODY.len() - b"\r\nepilogue".len();
    for length in 0..end {
        assert!(parse("B", &[&BODY[..length]]).is_err(), "{length} bytes");
    }
    assert_eq!(parse("B", &[&BODY[..end]]), Ok(expected()));
}

#[test]
fn empty_parts_and_preambles_are_fine() {
    let body = b"preamble\r\n--B\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--B--";
    let parts = vec![("file".to_owned(), Vec::new())];
    assert_eq!(parse("B", &[body]), Ok((parts, true)));
}

#[test]
fn what_has_no_boundary_or_endless_headers_is_refused_without_being_kept() {
    let garbage = vec![b'x'; 64 * 1024];
    assert_eq!(parse("B", &[&garbage]), Err(MultipartError::NoBoundary));
    let mut parser = Parser::new("B");
    let endless = [b"--B\r\nX: ", garbage.as_slice()].concat();
    let error = endless.chunks(1000).find_map(|chunk| {
        parser.feed(Bytes::copy_from_slice(chunk));
        let result = parser.next();
        assert!(parser.held.len() <= MAX_HEAD_BYTES + 4);
        result.err()
    });
    assert_eq!(error, Some(MultipartError::HeadTooLong));
}

#[test]
fn content_leaves_as_slices_of_what_came_in() {
    let mut parser = Parser::new("B");
    let head = b"--B\r\nContent-Disposition: form-data; name=file\r\n\r\n";
    parser.feed(Bytes::from_static(head));
    assert!(matches!(parser.next(), Ok(Some(Event::Part(_)))));
    assert_eq!(parser.next(), Ok(None));
    let chunk = Bytes::from(vec![7; 100_000]);
    parser.feed(chunk.clone());
    let Ok(Some(Event::Data(data))) = parser.next() else {
        panic!("there is content");
    };
    assert_eq!(data.as_ptr(), chunk.as_ptr());
    assert_eq!(data.len(), chunk.len());
}

proptest! {
    #[test]
    fn any_content_survives_any_cut(
        // Few letters, so that pieces of the delimiter come up often.
        contents in prop::collection::vec("[\r\n\\-Bb]{0,40}", 0..4),
        cuts in prop::collection::vec(1_usize..60, 1..20),
    ) {
        let contents: Vec<Vec<u8>> = contents
            .into_iter()
            .map(String::into_bytes)
            .filter(|content| {
                let seen = [b"\r\n", content.as_slice(), b"\r\n"].concat();
                memchr::memmem::find(&seen, b"\r\n--BbB").is_none()
            })
            .collect();
        let mut body = Vec::new();
        for (n, content) in contents.iter().enumerate() {
            let head = format!("--BbB\r\nContent-Disposition: form-data; name=\"{n}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--BbB--\r\n");
        let mut chunks = Vec::new();
        let mut rest = body.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        let parts = contents.into_iter().enumerate().map(|(n, c)| (n.to_string(), c)).collect();
        prop_assert_eq!(parse("BbB", &chunks), Ok((parts, true)));
    }

    #[test]
    fn garbage_never_panics(chunks in prop::collection::vec("[\r\n\\-B:;=\" ]{0,20}|--B\r\n|\r\n\r\n", 0..12)) {
        let chunks: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
        // Either answer is fine.
        drop(parse("B", &chunks));
    }
}
