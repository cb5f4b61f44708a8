//! Words as a shell reads them.

use std::borrow::Cow;
use std::fmt::Write as _;

use common::terminal;

/// A word as a shell reads it back, in one line that a terminal shows as it is.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let [simple, escaped] = in_quotes(word);
    match terminal::line(word) {
        Cow::Borrowed(_) => format!("'{simple}'"),
        Cow::Owned(_) => format!("$'{escaped}'"),
    }
}

/// A part of a word between `'` and `'`, and between `$'` and `'`.
pub(crate) fn in_quotes(part: &str) -> [String; 2] {
    let mut escaped = String::new();
    for c in part.chars() {
        let mut buffer = [0; 4];
        match c {
            '\'' | '\\' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c => match terminal::line(c.encode_utf8(&mut buffer)) {
                Cow::Borrowed(same) => escaped.push_str(same),
                Cow::Owned(_) if c.is_ascii() => {
                    // Three digits, so that none that follows is taken for one more.
                    write!(escaped, "\\{:03o}", u32::from(c)).expect("a String takes every write");
                }
                Cow::Owned(_) => {
                    write!(escaped, "\\u{:04x}", u32::from(c)).expect("a String takes every write");
                }
            },
        }
    }
    [part.replace('\'', "'\\''"), escaped]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_word_back_and_a_terminal_shows_it_in_a_line() {
        for (word, shown) in [
            ("a-b", "a-b"),
            ("it's", "'it'\\''s'"),
            ("a\nb's \\", "$'a\\nb\\'s \\\\'"),
            ("\t1\u{202e}é", "$'\\0111\\u202eé'"),
        ] {
            assert_eq!(quoted(word), shown);
            assert_eq!(terminal::line(shown), shown);
        }
    }
}
