//! Finding the start of a stream again after the channel was cut.
//!
//! A cut leaves half frames in both directions, and an engine may deliver what it still holds of the
//! old stream before the new one. So a channel that is taken up again starts with a mark: bytes that
//! only the two ends know. Nothing else is searched for: payloads hold what user code wrote, and a
//! start that could be guessed could be forged.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Length of a token.
pub const TOKEN_BYTES: usize = 32;
/// Length of a mark.
pub const MARK_BYTES: usize = MARK.len() + TOKEN_BYTES;

const MARK: [u8; 4] = *b"\xF5sby";

/// The secret that makes a mark unguessable.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// A token of these bytes, which must be random.
    pub fn new(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits, lower case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; TOKEN_BYTES];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != TOKEN_BYTES || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
        let digits = self.0.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]);
        digits.collect()
    }

    /// Reads the token out of a mark.
    pub fn of_mark(mark: &[u8; MARK_BYTES]) -> Option<Self> {
        let bytes = mark.strip_prefix(&MARK)?;
        bytes.try_into().ok().map(Self)
    }

    /// The bytes that start a stream.
    pub fn mark(&self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..MARK.len()].copy_from_slice(&MARK);
        bytes[MARK.len()..].copy_from_slice(&self.0);
        bytes
    }
}

/// A secret: not for any log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoToken;

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token is 64 hexadecimal digits")
    }
}

impl std::error::Error for NoToken {}

impl TryFrom<String> for Token {
    type Error = NoToken;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_hex(&text).ok_or(NoToken)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.to_hex()
    }
}

/// Looks for a token's mark in a stream, however it is cut.
#[derive(Debug)]
pub struct Finder {
    mark: [u8; MARK_BYTES],
    /// For each length matched, the longest shorter one that the same bytes match, too.
    shorter: [usize; MARK_BYTES],
    matched: usize,
}

impl Finder {
    /// Looks for the mark of this token.
    pub fn new(token: &Token) -> Self {
        let mark = token.mark();
        let mut shorter = [0; MARK_BYTES];
        let mut matched = 0;
        for at in 1..MARK_BYTES {
            while matched > 0 && mark[at] != mark[matched] {
                matched = shorter[matched - 1];
            }
            matched += usize::from(mark[at] == mark[matched]);
            shorter[at] = matched;
        }
        Self {
            mark,
            shorter,
            matched: 0,
        }
    }

    /// Takes the next bytes of the stream; answers where, in them, the last mark ends.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut end = None;
        let mut at = 0;
        while at < bytes.len() {
            if self.matched == 0 {
                match bytes[at..].iter().position(|byte| *byte == self.mark[0]) {
                    Some(skipped) => at += skipped,
                    None => return end,
                }
            }
            while self.matched > 0 && bytes[at] != self.mark[self.matched] {
                self.matched = self.shorter[self.matched - 1];
            }
            self.matched += usize::from(bytes[at] == self.mark[self.matched]);
            at += 1;
            if self.matched == MARK_BYTES {
                // The end of one may be the beginning of another.
                self.matched = self.shorter[MARK_BYTES - 1];
                end = Some(at);
            }
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_survives_its_digits_and_is_not_printed() {
        let token = Token::new(std::array::from_fn(|n| u8::try_from(n * 7).unwrap_or(255)));
        assert_eq!(Token::from_hex(&token.to_hex()), Some(token));
        assert_eq!(Token::of_mark(&token.mark()), Some(token));
        assert_eq!(Token::of_mark(&[0; MARK_BYTES]), None);
        assert_eq!(Token::from_hex("12"), None);
        assert_eq!(Token::from_hex(&"G".repeat(64)), None);
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn the_last_mark_is_found_also_where_it_begins_within_another() {
        let mut bytes = [1; TOKEN_BYTES];
        bytes[TOKEN_BYTES - MARK.len()..].copy_from_slice(&MARK);
        let token = Token::new(bytes);
        let mark = token.mark();
        let stream = [&mark[..], &mark[MARK.len()..]].concat();
        for cut in 1..=stream.len() {
            let mut finder = Finder::new(&token);
            let mut found = None;
            for (piece, bytes) in stream.chunks(cut).enumerate() {
                found = finder.push(bytes).map(|end| piece * cut + end).or(found);
            }
            assert_eq!(found, Some(stream.len()), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn a_mark_is_found_behind_any_garbage_however_it_is_cut(
            // Bytes of the mark itself, so that half marks come before the whole one.
            garbage in prop::collection::vec(prop_oneof![Just(0xF5), Just(b's'), Just(1), any::<u8>()], 0..200),
            whole_before in any::<bool>(),
            rest in prop::collection::vec(Just(7u8), 0..20),
            cut in 1usize..50,
        ) {
            let token = Token::new([1; TOKEN_BYTES]);
            let mut stream = garbage;
            if whole_before {
                stream.extend(token.mark());
            }
            stream.extend(&token.mark()[..20]);
            stream.extend(token.mark());
            let start = stream.len();
            stream.extend(&rest);
            let mut finder = Finder::new(&token);
            let mut found = None;
            for (piece, bytes) in stream.chunks(cut).enumerate() {
                found = finder.push(bytes).map(|end| piece * cut + end).or(found);
            }
            prop_assert_eq!(found, Some(start));
        }
    }
}
