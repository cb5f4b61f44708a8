//! Secrets in base64: bytes of a file, a signature, what the service encrypted, alone or within a longer text.
//!
//! A signature and an `encrypted_content` carry the id of the organization in their first bytes. That id
//! alone is replaced, by zeros of the same length, so that the rest stays what it was and one value is
//! still told from another. A key takes all of the base64 with it.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD, URL_SAFE_NO_PAD,
};

use super::{Edit, REDACTED, Redactor, wide};

/// Shortest text that is looked at as base64.
const SHORTEST: usize = 24;
/// The digits of the shortest: the rest of it is padding.
const SHORTEST_DIGITS: usize = SHORTEST - PADDING;
/// Most characters of padding.
const PADDING: usize = 2;
/// Nothing shorter counts as a secret in bytes that may be no text.
const SHORTEST_SECRET: usize = 6;
/// Longest run that is decoded where it is: most are short, and have nothing in them.
const SHORT: usize = 128;
/// Base64 that is a whole text of more characters begins where that does.
const ALIGNED: usize = 4096;
/// Shortest line that may go on in the next one.
const FOLDED: usize = 60;
/// Shortest id that is replaced within.
const SHORTEST_ID: usize = 24;

/// Zeros in base64: wherever they begin, a run of [`SHORTEST_ID`] has this.
const ZEROS: &str = "MDAwMDAwMDAwMDAwMDAwMDAwMDAw";
/// Characters that make whole bytes together. After as many the base64 of zeros repeats itself.
const GROUP: usize = 4;

/// Takes what was cut anywhere.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Adds what is to take the place of secrets that are in a text as base64.
pub(super) fn find(redactor: &Redactor, text: &[u8], edits: &mut Vec<Edit>) {
    if text.len() < SHORTEST {
        return;
    }
    if is_whole(text) {
        within(redactor, text, 0..text.len(), edits);
        return;
    }
    let mut least = 0;
    // A run that is long enough covers one of these places.
    let mut at = SHORTEST_DIGITS - 1;
    while at < text.len() {
        if !is_digit(text[at]) {
            at += SHORTEST_DIGITS;
            continue;
        }
        let before = text[least..at].iter().rev();
        let start = at - before.take_while(|c| is_digit(**c)).count();
        let end = end_of_run(text, start, at);
        if end - start >= SHORTEST && !is_name_of_api(&text[start..end]) {
            within(redactor, text, start..end, edits);
        }
        least = end;
        at = end + SHORTEST_DIGITS - 1;
    }
}

/// Of each byte, whether it is a digit of base64.
const DIGITS: [bool; 256] = {
    let mut digits = [false; 256];
    let mut c = 0u8;
    while c < 128 {
        digits[c as usize] = c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'_' | b'-');
        c += 1;
    }
    digits
};

fn is_digit(c: u8) -> bool {
    DIGITS[usize::from(c)]
}

/// Whether these digits are a long name of the API's own, which each answer has.
fn is_name_of_api(run: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [
        b"cache_creation_input_tokens",
        b"ephemeral_1h_input_tokens",
        b"ephemeral_5m_input_tokens",
    ];
    NAMES.contains(&run)
}

/// Whether all of it may be base64, folded in any way.
fn is_whole(text: &[u8]) -> bool {
    let end = text.iter().rposition(|c| !b"=\r\n".contains(c));
    end.is_some_and(|end| {
        let (digits, padding) = text.split_at(end + 1);
        let is_padded = memchr::memchr_iter(b'=', padding).count() <= PADDING;
        is_padded && digits.iter().all(|c| is_digit(*c) || b"\r\n".contains(c))
    })
}

/// Where the digits end that are known to be some from `start` to `at`, on this line and those that it is folded into.
fn end_of_run(text: &[u8], start: usize, at: usize) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|c| is_digit(**c)).count();
    let mut end = at + digits(at);
    let mut line = end - start;
    while line >= FOLDED {
        let next = match &text[end..] {
            [b'\n', ..] => end + 1,
            [b'\r', b'\n', ..] => end + 2,
            _ => break,
        };
        line = digits(next);
        if line == 0 {
            break;
        }
        end = next + line;
    }
    let padding = text[end..].iter().take(PADDING).take_while(|c| **c == b'=');
    end + padding.count()
}

/// Looks into a run of digits. Behind a digit that also joins words others may begin, at any place of a group.
fn within(redactor: &Redactor, text: &[u8], run: Range<usize>, edits: &mut Vec<Edit>) {
    let mut rooms = [[0; SHORT]; 2];
    let mut long = [Vec::new(), Vec::new()];
    let [digits, decoded] = if run.len() <= SHORT {
        rooms.each_mut().map(<[u8; SHORT]>::as_mut_slice)
    } else {
        long.each_mut().map(|room| {
            room.resize(run.len(), 0);
            room.as_mut_slice()
        })
    };
    let is_aligned = run.len() == text.len() && run.len() > ALIGNED;
    let mut is_url_safe = false;
    let mut begins = [true, false, false, false];
    let mut count = 0;
    for c in text[run.clone()].iter().filter(|c| is_digit(**c)) {
        is_url_safe |= b"-_".contains(c);
        digits[count] = match c {
            b'-' => b'+',
            b'_' => b'/',
            c => *c,
        };
        count += 1;
        begins[count % GROUP] |= !is_aligned && !c.is_ascii_alphanumeric();
    }
    let digits = &digits[..count];
    for skipped in (0..GROUP).filter(|begin| begins[*begin]) {
        let mut kept = digits.get(skipped..).unwrap_or_default();
        if kept.len() % GROUP == 1 {
            kept = &kept[..kept.len() - 1];
        }
        let Ok(length) = LENIENT.decode_slice(kept, decoded) else {
            continue;
        };
        let bytes = &mut decoded[..length];
        let mut spans = redactor.spans(bytes);
        spans.retain(|(start, end)| end - start >= SHORTEST_SECRET);
        let mut in_utf_16 = Vec::new();
        wide::find(redactor, bytes, &mut in_utf_16);
        if spans.is_empty() && in_utf_16.is_empty() {
            continue;
        }
        let are_ids = spans.iter().all(|(start, end)| is_id(&bytes[*start..*end]));
        if !are_ids || !in_utf_16.is_empty() {
            edits.push(Edit {
                range: (run.start, run.end),
                put: REDACTED.into(),
            });
            return;
        }
        for (start, end) in &spans {
            bytes[*start..*end].fill(b'0');
        }
        let encoded = if is_url_safe {
            URL_SAFE_NO_PAD.encode(bytes)
        } else {
            STANDARD_NO_PAD.encode(bytes)
        };
        let places = run.clone().filter(|at| is_digit(text[*at]));
        let mut spans = spans
            .iter()
            .map(|(start, end)| start * 8 / 6..(end * 8).div_ceil(6))
            .peekable();
        for (number, (at, digit)) in places.skip(skipped).zip(encoded.chars()).enumerate() {
            while spans.next_if(|span| span.end <= number).is_some() {}
            if spans.peek().is_some_and(|span| span.contains(&number)) {
                edits.push(Edit {
                    range: (at, at + 1),
                    put: digit.to_string().into(),
                });
            }
        }
    }
}

/// Whether this is the id of an organization or a workspace: a UUID, or a prefix and what looks random.
fn is_id(bytes: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 2] = [b"org_", b"wrkspc_"];
    let is_uuid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let is_random = |rest: &[u8]| rest.iter().all(u8::is_ascii_alphanumeric);
    let is_prefixed = PREFIXES
        .iter()
        .any(|prefix| bytes.strip_prefix(*prefix).is_some_and(is_random));
    is_uuid || (is_prefixed && bytes.len() >= SHORTEST_ID)
}

/// Whether an id was replaced in this text.
pub(crate) fn has_zeros(text: &str) -> bool {
    text.contains(ZEROS)
}

/// Whether `sent` is the recorded text, but for the ids that were replaced in that.
pub(crate) fn fits(recorded: &str, sent: &str) -> bool {
    let (recorded, sent) = (recorded.as_bytes(), sent.as_bytes());
    if recorded.len() != sent.len() {
        return false;
    }
    let mut from = 0;
    for run in runs(recorded) {
        if recorded[from..run.start] != sent[from..run.start] {
            return false;
        }
        from = run.end;
    }
    recorded[from..] == sent[from..]
}

/// Where zeros stand in a text of base64, with the characters beside them that hold bits of theirs.
fn runs(text: &[u8]) -> Vec<Range<usize>> {
    let group = &ZEROS.as_bytes()[..GROUP];
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in memchr::memmem::find_iter(text, ZEROS.as_bytes()) {
        let least = found.last().map_or(0, |last| last.end);
        if at < least {
            continue;
        }
        let before = (least..at).rev().zip(group.iter().rev().cycle());
        let start = at - before.take_while(|(at, zero)| text[*at] == **zero).count();
        let after = (at..text.len()).zip(group.iter().cycle());
        let end = at + after.take_while(|(at, zero)| text[*at] == **zero).count();
        found.push(start.saturating_sub(1).max(least)..(end + 1).min(text.len()));
    }
    found
}
