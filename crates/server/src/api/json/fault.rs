//! What is wrong with a text that is no JSON, in the words of the service's parser, and at its place.
//!
//! Parity: some are quoted (F134); the others are what that parser says of the same text. Its later versions word some
//! otherwise (`unexpected character, expected a JSON value`), as the service was not seen to do.

/// The reason, and where the parser stopped.
pub(super) type Fault = (&'static str, usize);

/// The first fault of a text; `None` if it has none, whatever else may be said against it.
pub(super) fn find(text: &str) -> Option<Fault> {
    Text(text.as_bytes()).document().err()
}

struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn at(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    /// A fault at this place; a text that is over there has another one.
    fn fault(&self, reason: &'static str, at: usize) -> Fault {
        if at < self.0.len() {
            (reason, at)
        } else {
            self.end()
        }
    }

    fn end(&self) -> Fault {
        ("unexpected end of data", self.0.len())
    }

    /// The place of what comes after blanks.
    fn blanks(&self, mut at: usize) -> usize {
        while matches!(self.at(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        at
    }

    fn document(&self) -> Result<(), Fault> {
        if self.0.is_empty() {
            return Err(("Input is a zero-length, empty document", 0));
        }
        let start = self.blanks(0);
        if start == self.0.len() {
            return Err(("input data is empty", 0));
        }
        let rest = self.blanks(self.value(start)?);
        if rest < self.0.len() {
            return Err(("unexpected content after document", rest));
        }
        Ok(())
    }

    /// The place behind a value that begins here.
    fn value(&self, mut at: usize) -> Result<usize, Fault> {
        // What closes each list and object that is open.
        let mut open = Vec::new();
        loop {
            let close = match self.at(at) {
                Some(b'[') => Some(b']'),
                Some(b'{') => Some(b'}'),
                Some(_) | None => None,
            };
            at = match close {
                Some(close) => {
                    let first = self.blanks(at + 1);
                    if self.at(first) == Some(close) {
                        first + 1
                    } else {
                        open.push(close);
                        at = self.member(close, first)?;
                        continue;
                    }
                }
                None => self.scalar(at)?,
            };
            loop {
                let Some(&close) = open.last() else {
                    return Ok(at);
                };
                at = self.blanks(at);
                if self.at(at) == Some(close) {
                    open.pop();
                    at += 1;
                    continue;
                }
                if self.at(at) != Some(b',') {
                    return Err(self.fault("unexpected character", at));
                }
                let next = self.blanks(at + 1);
                if self.at(next) == Some(close) {
                    // It looks for the comma from behind the bracket on.
                    let is_behind = self.at(next + 1) == Some(b',');
                    let comma = if is_behind { next + 1 } else { at };
                    return Err(("trailing comma is not allowed", comma));
                }
                at = self.member(close, next)?;
                break;
            }
        }
    }

    /// The place of a member's value: in an object behind its key.
    fn member(&self, close: u8, at: usize) -> Result<usize, Fault> {
        if close == b']' {
            return Ok(at);
        }
        if self.at(at) != Some(b'"') {
            return Err(self.fault("unexpected character", at));
        }
        let colon = self.blanks(self.string(at)?);
        if self.at(colon) != Some(b':') {
            return Err(self.fault("unexpected character", colon));
        }
        Ok(self.blanks(colon + 1))
    }

    fn scalar(&self, at: usize) -> Result<usize, Fault> {
        let word: &[u8] = match self.at(at) {
            Some(b'"') => return self.string(at),
            Some(b'-' | b'0'..=b'9') => return self.number(at),
            Some(b't') => b"true",
            Some(b'f') => b"false",
            Some(b'n') => b"null",
            Some(_) | None => return Err(self.fault("unexpected character", at)),
        };
        let rest = &self.0[at..];
        if rest.starts_with(word) {
            Ok(at + word.len())
        } else if word.starts_with(rest) {
            Err(self.end())
        } else {
            Err(("invalid literal", at))
        }
    }

    fn number(&self, start: usize) -> Result<usize, Fault> {
        let first = start + usize::from(self.at(start) == Some(b'-'));
        let mut at = self.digits(first, "no digit after minus sign")?;
        if self.at(first) == Some(b'0') && at > first + 1 {
            return Err(("number with leading zero is not allowed", first));
        }
        if self.at(at) == Some(b'.') {
            at = self.digits(at + 1, "no digit after decimal point")?;
        }
        if matches!(self.at(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.at(at + 1), Some(b'+' | b'-')));
            at = self.digits(at + 1 + sign, "no digit after exponent sign")?;
        }
        let number = std::str::from_utf8(&self.0[start..at]);
        let number = number.ok().and_then(|text| text.parse::<f64>().ok());
        if number.is_some_and(f64::is_infinite) {
            return Err(("number is infinity when parsed as double", start));
        }
        Ok(at)
    }

    fn digits(&self, mut at: usize, none: &'static str) -> Result<usize, Fault> {
        let start = at;
        while self.at(at).is_some_and(|byte| byte.is_ascii_digit()) {
            at += 1;
        }
        if at == start {
            return Err(self.fault(none, at));
        }
        Ok(at)
    }

    fn string(&self, start: usize) -> Result<usize, Fault> {
        let mut at = start + 1;
        loop {
            match self.at(at).ok_or_else(|| self.end())? {
                b'"' => return Ok(at + 1),
                0..0x20 => return Err(("unexpected control character in string", at)),
                b'\\' => at = self.escape(at)?,
                _ => at += 1,
            }
        }
    }

    /// The place behind an escape, which is two where it is half of a pair.
    fn escape(&self, at: usize) -> Result<usize, Fault> {
        match self.at(at + 1) {
            Some(b'u') => {}
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(at + 2),
            Some(_) | None => {
                return Err(self.fault("invalid escaped character in string", at + 1));
            }
        }
        let behind = at + 6;
        match self.unit(at)? {
            0xd800..0xdc00 => {}
            0xdc00..0xe000 => return Err(("invalid high surrogate in string", at)),
            _ => return Ok(behind),
        }
        match &self.0[behind..] {
            [b'\\', b'u', ..] => {}
            [b'\\'] => return Err(self.end()),
            _ => return Err(self.fault("no low surrogate in string", behind)),
        }
        match self.unit(behind)? {
            0xdc00..0xe000 => Ok(behind + 6),
            _ => Err(("invalid low surrogate in string", behind)),
        }
    }

    /// What the four digits of an escape say.
    fn unit(&self, at: usize) -> Result<u16, Fault> {
        let digits = &self.0[at + 2..self.0.len().min(at + 6)];
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(("invalid escaped sequence in string", at));
        }
        if digits.len() < 4 {
            return Err(self.end());
        }
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        u16::from_str_radix(digits, 16).map_err(|_| ("invalid escaped sequence in string", at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured with the parser, of the versions of 2025: 3.10.18 and 3.11.3 say the same.
    const MEASURED: &[(&str, &str, usize)] = &[
        ("", "Input is a zero-length, empty document", 0),
        (" ", "input data is empty", 0),
        ("\n \t", "input data is empty", 0),
        ("\u{feff}{}", "unexpected character", 0),
        ("\u{feff}", "unexpected character", 0),
        ("NaN", "unexpected character", 0),
        ("[NaN]", "unexpected character", 1),
        ("{\"a\":NaN}", "unexpected character", 5),
        ("Infinity", "unexpected character", 0),
        ("-Infinity", "no digit after minus sign", 1),
        ("{\"a\":Infinity}", "unexpected character", 5),
        ("nan", "invalid literal", 0),
        ("[1,]", "trailing comma is not allowed", 2),
        ("{\"a\":1,}", "trailing comma is not allowed", 6),
        ("{\"a\":1 ,\n}", "trailing comma is not allowed", 7),
        ("\"\\x\"", "invalid escaped character in string", 2),
        ("\"ab\\x\"", "invalid escaped character in string", 4),
        ("\"\\ud800\"", "no low surrogate in string", 7),
        ("\"\\ud800x\"", "no low surrogate in string", 7),
        ("\"\\ud800\\n\"", "no low surrogate in string", 7),
        ("\"\\ud800\\ud800\"", "invalid low surrogate in string", 7),
        ("\"\\udc00\"", "invalid high surrogate in string", 1),
        ("\"a\\udc00\"", "invalid high surrogate in string", 2),
        ("\"\\ud8\"", "invalid escaped sequence in string", 1),
        ("\"\\uzzzz\"", "invalid escaped sequence in string", 1),
        ("\"\\u12", "unexpected end of data", 5),
        ("01", "number with leading zero is not allowed", 0),
        ("-01", "number with leading zero is not allowed", 1),
        ("[01]", "number with leading zero is not allowed", 1),
        ("00", "number with leading zero is not allowed", 0),
        ("1.", "unexpected end of data", 2),
        ("[1.]", "no digit after decimal point", 3),
        ("1.x", "no digit after decimal point", 2),
        ("1e", "unexpected end of data", 2),
        ("[1e]", "no digit after exponent sign", 3),
        ("1e+", "unexpected end of data", 3),
        ("-", "unexpected end of data", 1),
        ("[-]", "no digit after minus sign", 2),
        ("-x", "no digit after minus sign", 1),
        ("+1", "unexpected character", 0),
        (".5", "unexpected character", 0),
        ("[.5]", "unexpected character", 1),
        ("1e999", "number is infinity when parsed as double", 0),
        ("-1e999", "number is infinity when parsed as double", 0),
        ("[1e999]", "number is infinity when parsed as double", 1),
        ("tru", "unexpected end of data", 3),
        ("[tru]", "invalid literal", 1),
        ("truE", "invalid literal", 0),
        ("True", "unexpected character", 0),
        ("{\"a\":True}", "unexpected character", 5),
        ("fals", "unexpected end of data", 4),
        ("false1", "unexpected content after document", 5),
        ("fal\n", "invalid literal", 0),
        ("nul", "unexpected end of data", 3),
        ("None", "unexpected character", 0),
        ("{\"a\":None}", "unexpected character", 5),
        ("nulx", "invalid literal", 0),
        ("[nul]", "invalid literal", 1),
        ("{", "unexpected end of data", 1),
        ("[", "unexpected end of data", 1),
        ("{\"a\"", "unexpected end of data", 4),
        ("{\"a\":", "unexpected end of data", 5),
        ("{\"a\":1", "unexpected end of data", 6),
        ("[1", "unexpected end of data", 2),
        ("[1,", "unexpected end of data", 3),
        ("{\"a\":1,", "unexpected end of data", 7),
        ("\"abc", "unexpected end of data", 4),
        ("\"abc\\", "unexpected end of data", 5),
        ("\"a\nb\"", "unexpected control character in string", 2),
        ("\"a\tb\"", "unexpected control character in string", 2),
        (
            "{\"a\":\"x\ny\"}",
            "unexpected control character in string",
            7,
        ),
        ("{} {}", "unexpected content after document", 3),
        ("{}x", "unexpected content after document", 2),
        ("1 2", "unexpected content after document", 2),
        ("[1 2]", "unexpected character", 3),
        ("{\"a\" 1}", "unexpected character", 5),
        ("{\"a\":1 \"b\":2}", "unexpected character", 7),
        ("{a:1}", "unexpected character", 1),
        ("{'a':1}", "unexpected character", 1),
        ("{1:2}", "unexpected character", 1),
        ("[}", "unexpected character", 1),
        ("{]", "unexpected character", 1),
        ("{\"a\":]}", "unexpected character", 5),
        ("[1}", "unexpected character", 2),
        ("{\"a\":1]", "unexpected character", 6),
        ("{,}", "unexpected character", 1),
        ("[,]", "unexpected character", 1),
        ("[1,,2]", "unexpected character", 3),
        ("not json", "invalid literal", 0),
        ("hello", "unexpected character", 0),
        ("x", "unexpected character", 0),
        ("// c\n{}", "unexpected character", 0),
        ("{} // c", "unexpected content after document", 3),
        ("/* */{}", "unexpected character", 0),
        (
            "{\"ä\":\"\t\"}",
            "unexpected control character in string",
            7,
        ),
        ("{\"ä\":}", "unexpected character", 6),
        ("\"😀\\x\"", "invalid escaped character in string", 6),
        ("[\"😀\",]", "trailing comma is not allowed", 7),
        ("{\n  \"model\": }", "unexpected character", 13),
        ("{\"a\":1\n,\n}", "trailing comma is not allowed", 7),
        ("undefined", "unexpected character", 0),
        ("model=x", "unexpected character", 0),
        ("--XX\r\n", "no digit after minus sign", 1),
        (
            "{\"a\":\"\0\"}",
            "unexpected control character in string",
            6,
        ),
        ("\0", "unexpected character", 0),
        ("{}\0", "unexpected content after document", 2),
        ("1e400", "number is infinity when parsed as double", 0),
        ("\u{c}{}", "unexpected character", 0),
        ("\u{a0}{}", "unexpected character", 0),
        ("\"\\", "unexpected end of data", 2),
        ("\"\\u", "unexpected end of data", 3),
        ("\"\\u1", "unexpected end of data", 4),
        ("{\"a\":\"b\"", "unexpected end of data", 8),
        ("{\"a\":\"b\\\"}", "unexpected end of data", 10),
        ("[\"a]", "unexpected end of data", 4),
        ("t", "unexpected end of data", 1),
        ("tr", "unexpected end of data", 2),
        ("n", "unexpected end of data", 1),
        ("f", "unexpected end of data", 1),
        ("[t", "unexpected end of data", 2),
        ("[tru", "unexpected end of data", 4),
        ("{\"a\":t", "unexpected end of data", 6),
        ("[fals", "unexpected end of data", 5),
        ("[-", "unexpected end of data", 2),
        ("[1.", "unexpected end of data", 3),
        ("[1e", "unexpected end of data", 3),
        ("[0", "unexpected end of data", 2),
        ("[01", "number with leading zero is not allowed", 1),
        ("{\"a\":01}", "number with leading zero is not allowed", 5),
        ("{\"a\":1.}", "no digit after decimal point", 7),
        ("{\"a\":-}", "no digit after minus sign", 6),
        ("{\"a\":tru}", "invalid literal", 5),
        ("{\"a\":nul}", "invalid literal", 5),
        ("{\"a\":fals}", "invalid literal", 5),
        ("{\"a\":\"\\ud800\"}", "no low surrogate in string", 12),
        ("{\"a\":\"\\udc00\"}", "invalid high surrogate in string", 6),
        (
            "{\"a\":\"\\ud83d\\u0041\"}",
            "invalid low surrogate in string",
            12,
        ),
        ("{\"a\":1}}", "unexpected content after document", 7),
        ("{\"a\":1}]", "unexpected content after document", 7),
        ("NaN ", "unexpected character", 0),
        ("[1,NaN]", "unexpected character", 3),
        ("[Infinity]", "unexpected character", 1),
        ("[-Infinity]", "no digit after minus sign", 2),
        ("-NaN", "no digit after minus sign", 1),
        ("\"\\ud800", "unexpected end of data", 7),
        ("\"\\ud800\\", "unexpected end of data", 8),
        ("\"\\ud800\\u", "unexpected end of data", 9),
        ("\"\\ud800\\udc", "unexpected end of data", 11),
        ("\"\\ud800\\uzz\"", "invalid escaped sequence in string", 7),
        ("[1e+]", "no digit after exponent sign", 4),
        ("{\"a\":[1,],\"b\":2}", "trailing comma is not allowed", 9),
    ];

    #[test]
    fn a_text_is_faulted_as_the_parser_does() {
        for (text, reason, at) in MEASURED {
            assert_eq!(find(text), Some((*reason, *at)), "{text:?}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
        }
    }

    #[test]
    fn what_is_json_has_no_fault() {
        for text in [
            "{}",
            " [ ] ",
            "-0",
            "1e5",
            "123456789012345678901234567890",
            "\"\u{7f}\\u0000\\ud83d\\ude00\"",
            "{\"a\": [1, -2.5e-3, true, false, null], \"b\": {\"c\": []}}\n",
        ] {
            assert_eq!(find(text), None, "{text:?}");
        }
    }
}
