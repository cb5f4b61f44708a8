//! Foreign text on a terminal: of clients, services, sandboxes, and files.

use std::borrow::Cow;

/// The text without what a terminal acts on: control characters but line feed and tab, and marks that turn the
/// reading direction, become U+FFFD.
pub fn plain(text: &str) -> Cow<'_, str> {
    shown(text, |c| acts(c) && !matches!(c, '\n' | '\t'))
}

/// The same for what must stay in its line: line feeds and tabs become U+FFFD, too.
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, acts)
}

fn shown(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().any(&acts) {
        Cow::Owned(text.replace(acts, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Unicode's `Cc` and `Bidi_Control`.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_shown_and_nothing_else_changes() {
        let foreign = "é\t\u{1b}[2J\r\n\u{9b}1m\u{202e}x\u{61c}\u{7f}";
        let shown = "é\t\u{fffd}[2J\u{fffd}\n\u{fffd}1m\u{fffd}x\u{fffd}\u{fffd}";
        assert_eq!(plain(foreign), shown);
        assert_eq!(line(foreign), shown.replace(['\t', '\n'], "\u{fffd}"));
        assert!(matches!(plain("one\ntwo"), Cow::Borrowed(_)));
    }
}
