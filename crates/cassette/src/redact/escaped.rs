//! Texts within texts: JSON in a string, a URL in a line. Their escapes are undone to look into them, and it is
//! known where in the text each byte stood.

use memchr::{memchr, memchr_iter};

/// A text without its escapes.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) bytes: Vec<u8>,
    escapes: Vec<Escape>,
}

/// One escape.
#[derive(Debug)]
struct Escape {
    /// Where in the plain text what it stands for begins, and ends.
    plain: (usize, usize),
    /// Where in the text it begins, and ends.
    text: (usize, usize),
}

impl Plain {
    /// With the escapes of JSON strings undone; `None` if there are none.
    pub(super) fn of_json(text: &[u8]) -> Option<Self> {
        Self::of(text, b'\\', of_json)
    }

    /// With `%XX` undone; `None` if there are none.
    pub(super) fn of_percent(text: &[u8]) -> Option<Self> {
        Self::of(text, b'%', |rest| {
            let byte = u8::try_from(hex(rest.get(1..3)?)?).ok()?;
            Some(([byte, 0, 0, 0], 1, 3))
        })
    }

    /// `undo` tells of a text that begins with `sign` which bytes stand for it, how many, and for how many.
    fn of(
        text: &[u8],
        sign: u8,
        undo: impl Fn(&[u8]) -> Option<([u8; 4], usize, usize)>,
    ) -> Option<Self> {
        memchr(sign, text)?;
        let mut plain = Self::default();
        let mut read = 0;
        for at in memchr_iter(sign, text) {
            // The second of two backslashes.
            if at < read {
                continue;
            }
            let Some((bytes, count, length)) = undo(&text[at..]) else {
                continue;
            };
            plain.bytes.extend_from_slice(&text[read..at]);
            let from = plain.bytes.len();
            plain.bytes.extend_from_slice(&bytes[..count]);
            read = at + length;
            plain.escapes.push(Escape {
                plain: (from, from + count),
                text: (at, read),
            });
        }
        plain.bytes.extend_from_slice(&text[read..]);
        (!plain.escapes.is_empty()).then_some(plain)
    }

    /// Where in the text the byte stood, its escape with it.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.escapes.partition_point(|it| it.plain.0 <= at);
        match before.checked_sub(1).map(|last| &self.escapes[last]) {
            Some(escape) if at < escape.plain.1 => escape.text,
            Some(escape) => {
                let at = escape.text.1 + (at - escape.plain.1);
                (at, at + 1)
            }
            None => (at, at + 1),
        }
    }

    /// Where in the text a part that is not empty stood.
    pub(super) fn range(&self, (start, end): (usize, usize)) -> (usize, usize) {
        (self.place(start).0, self.place(end - 1).1)
    }
}

fn of_json(rest: &[u8]) -> Option<([u8; 4], usize, usize)> {
    let byte = match rest.get(1)? {
        byte @ (b'"' | b'\\' | b'/') => *byte,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'u' => {
            let unit = |at: usize| {
                let hex = hex(rest.get(at + 2..at + 6)?)?;
                rest[at..].starts_with(b"\\u").then_some(hex)
            };
            let first = unit(0)?;
            let (code, length) = match first {
                0xD800..=0xDBFF => {
                    let low = unit(6).filter(|low| (0xDC00..=0xDFFF).contains(low))?;
                    (0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00), 12)
                }
                code => (code, 6),
            };
            let mut bytes = [0; 4];
            let count = char::from_u32(code)?.encode_utf8(&mut bytes).len();
            return Some((bytes, count, length));
        }
        _ => return None,
    };
    Some(([byte, 0, 0, 0], 1, 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        Some(number * 16 + char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_their_places_known() {
        for (text, plain) in [
            (r#"a\"b\\n\nc"#, "a\"b\\n\nc"),
            (r"\u0041\u00e9\ud83d\ude00!", "Aé😀!"),
            // None: an unknown letter, half a pair, too few digits, the end.
            (r"\x\ud83d.\u12\", r"\x\ud83d.\u12\"),
        ] {
            let found = Plain::of_json(text.as_bytes());
            let bytes = found.as_ref().map_or(text.as_bytes(), |it| &it.bytes);
            assert_eq!(std::str::from_utf8(bytes), Ok(plain));
        }
        let found = Plain::of_percent(b"a%2Fb%zz%C3%A9").unwrap();
        assert_eq!(found.bytes, "a/b%zzé".as_bytes());
        assert_eq!(found.range((0, 2)), (0, 4));
        assert_eq!(found.range((2, 3)), (4, 5));
        assert_eq!(found.range((6, 8)), (8, 14));
        let pair = Plain::of_json(br"a\ud83d\ude00b").unwrap();
        assert_eq!(pair.range((1, 5)), (1, 13));
        assert_eq!(pair.range((5, 6)), (13, 14));
        assert!(Plain::of_json(b"a%2F").is_none());
    }
}
