//! The output of a program, kept up to a cap: the beginning and the end.

use std::collections::VecDeque;

/// One of a program's streams. Takes everything, so that the program never waits.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_cap: usize,
    tail_cap: usize,
    dropped: u64,
}

impl Capture {
    pub(crate) fn new(cap_bytes: u64) -> Self {
        let cap = usize::try_from(cap_bytes).unwrap_or(usize::MAX);
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_cap: cap - cap / 2,
            tail_cap: cap / 2,
            dropped: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = (self.head_cap - self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        let skipped = rest.len().saturating_sub(self.tail_cap);
        let rest = &rest[skipped..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.tail_cap);
        self.tail.drain(..over);
        self.tail.extend(rest);
        self.dropped += (skipped + over) as u64;
    }

    /// The captured output; if not all was kept, a line says how much is missing.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let tail = self.tail.make_contiguous();
        if self.dropped == 0 {
            self.head.extend_from_slice(tail);
            return self.head;
        }
        // Don't cut a character: its pieces would show as replacement characters.
        let kept = whole_characters(&self.head);
        let skipped = tail
            .iter()
            .take(3)
            .take_while(|byte| is_continuation(**byte))
            .count();
        let dropped = self.dropped + (self.head.len() - kept + skipped) as u64;
        let tail = &tail[skipped..];
        self.head.truncate(kept);
        if !self.head.is_empty() && !self.head.ends_with(b"\n") {
            self.head.push(b'\n');
        }
        self.head
            .extend_from_slice(format!("[… {dropped} bytes dropped …]\n").as_bytes());
        self.head.extend_from_slice(tail);
        self.head
    }
}

/// How much of the bytes is left without a cut character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    let trailing = bytes
        .iter()
        .rev()
        .take(3)
        .take_while(|byte| is_continuation(**byte))
        .count();
    let Some(lead) = bytes.len().checked_sub(trailing + 1) else {
        return bytes.len();
    };
    let length = match bytes[lead] {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => return bytes.len(),
    };
    if trailing + 1 < length {
        lead
    } else {
        bytes.len()
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(cap: u64, chunks: &[&[u8]]) -> String {
        let mut capture = Capture::new(cap);
        for chunk in chunks {
            capture.push(chunk);
        }
        String::from_utf8_lossy(&capture.finish()).into_owned()
    }

    #[test]
    fn output_up_to_the_cap_is_kept_whole() {
        assert_eq!(capture(10, &[b"01234", b"56", b"789"]), "0123456789");
    }

    #[test]
    fn above_the_cap_the_middle_is_dropped_and_counted() {
        let expected = "01234\n[… 3 bytes dropped …]\n89abc";
        assert_eq!(capture(10, &[b"0123456789abc"]), expected);
        let single: Vec<&[u8]> = b"0123456789abc".chunks(1).collect();
        assert_eq!(capture(10, &single), expected);
        assert_eq!(capture(10, &[b"0123456", b"789abc"]), expected);
    }

    #[test]
    fn no_character_is_cut_in_two() {
        // 3-byte characters against a cap of 8: both halves of the cap end inside one.
        let text = "€€€€€€";
        assert_eq!(
            capture(8, &[text.as_bytes()]),
            "€\n[… 12 bytes dropped …]\n€"
        );
    }

    #[test]
    fn a_cap_of_nothing_keeps_nothing() {
        assert_eq!(capture(0, &[b"abc"]), "[… 3 bytes dropped …]\n");
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let mut capture = Capture::new(1024);
        capture.push(&[0, 0xFF, 0x80, b'\n']);
        assert_eq!(capture.finish(), [0, 0xFF, 0x80, b'\n']);
    }
}
