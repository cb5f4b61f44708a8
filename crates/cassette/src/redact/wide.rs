//! Secrets in UTF-16, as Windows writes texts: of every two bytes one is zero.
//!
//! Such a text may begin anywhere, in either order of its bytes, amid bytes that are no text. What is looked into are runs of
//! ASCII: keys are nothing else, and in bytes that are no text such runs are short. What takes the place of a secret is in
//! UTF-16 as well, so that the text around it can still be read.

use std::borrow::Cow;

use super::{Edit, LAYERS, REDACTED, Redactor};

/// Which byte of two comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

const ORDERS: [Order; 2] = [Order::Little, Order::Big];

impl Order {
    /// The ASCII character that two bytes are.
    fn ascii(self, pair: &[u8]) -> Option<u8> {
        let (high, low) = match self {
            Self::Little => (pair[1], pair[0]),
            Self::Big => (pair[0], pair[1]),
        };
        (high == 0 && low != 0 && low.is_ascii()).then_some(low)
    }

    /// How many ASCII characters stand from `at` on.
    fn run(self, bytes: &[u8], at: usize) -> usize {
        let pairs = bytes.get(at..).unwrap_or_default().chunks_exact(2);
        pairs.take_while(|pair| self.ascii(pair).is_some()).count()
    }

    fn bytes(self, text: &str) -> Vec<u8> {
        let units = text.encode_utf16();
        let bytes = units.flat_map(|unit| match self {
            Self::Little => unit.to_le_bytes(),
            Self::Big => unit.to_be_bytes(),
        });
        bytes.collect()
    }

    /// ASCII in this order. Zeros are characters, so that it is a text of both kinds.
    fn text(self, ascii: &str) -> String {
        let pairs = ascii.chars().flat_map(|c| match self {
            Self::Little => [c, '\0'],
            Self::Big => ['\0', c],
        });
        pairs.collect()
    }
}

/// A text that may be JSON with the marks of both orders as the usual one.
pub(crate) fn with_narrow_marks(text: String) -> String {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        return text;
    }
    ORDERS.iter().fold(text, |text, order| {
        text.replace(&order.text(REDACTED), REDACTED)
    })
}

/// Adds what is to take the place of secrets that are in these bytes as UTF-16.
pub(super) fn find(redactor: &Redactor, bytes: &[u8], edits: &mut Vec<Edit>) {
    let mut from = 0;
    while let Some(zero) = memchr::memchr(0, &bytes[from..]) {
        let (order, at, count) = run_at(bytes, from, from + zero);
        if count >= redactor.shortest.max(1) {
            let pairs = bytes[at..].chunks_exact(2).take(count);
            let text: String = pairs
                .filter_map(|pair| order.ascii(pair).map(char::from))
                .collect();
            let found = redactor.edits_behind(&text, LAYERS).into_iter();
            edits.extend(found.map(|Edit { range, put }| Edit {
                range: (at + 2 * range.0, at + 2 * range.1),
                put: order.text(&put).into(),
            }));
        }
        from = (at + 2 * count).max(from + zero + 1);
    }
}

/// The run to which the first zero behind `from` belongs: its order, where it begins, and its length.
fn run_at(bytes: &[u8], from: usize, zero: usize) -> (Order, usize, usize) {
    if zero > from {
        let at = zero - 1;
        let count = Order::Little.run(bytes, at);
        if count > 0 {
            return (Order::Little, at, count);
        }
    }
    let count = Order::Big.run(bytes, zero);
    // The zero may be the end of another character. Texts mostly begin at an even place.
    let little = Order::Little.run(bytes, zero + 1);
    if zero % 2 == 1 && little >= count {
        return (Order::Little, zero + 1, little);
    }
    (Order::Big, zero, count)
}

/// Adds the known secrets that are more than ASCII. Only for bytes that are no text: they may begin within a character.
pub(super) fn find_known(redactor: &Redactor, bytes: &[u8], edits: &mut Vec<Edit>) {
    for known in redactor.known.iter().filter(|known| !known.text.is_ascii()) {
        for order in ORDERS {
            let needle = order.bytes(&known.text);
            edits.extend(memchr::memmem::find_iter(bytes, &needle).map(|at| Edit {
                range: (at, at + needle.len()),
                put: Cow::Owned(order.text(REDACTED)),
            }));
        }
    }
}
