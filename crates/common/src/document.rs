//! The means that every reader of a document needs that a user writes: places, mistakes, and the words of both. YAML
//! and JSON are read as a tree whose nodes know their places (`yaml`); JSON alone as values (`json`).

mod json;
mod yaml;

use std::borrow::Cow;

use crate::hinted::{Hinted, Place};
pub use json::{JsonError, json};
pub use yaml::{Key, Kind, Lines, Node, misread, read};

/// How near a word must be to be meant, from 0 to 1 (Jaro and Winkler).
const LIKENESS: f64 = 0.8;

/// A place in a document; lines and columns count from 1, and 0 means the document as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

impl Position {
    /// Where the byte at `offset` stands; columns count characters.
    pub fn of_byte(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Self {
            line: line as u64,
            column: column as u64,
        }
    }
}

/// One mistake in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// The path as it was given, or where the text came from.
    pub file: String,
    pub at: Position,
    pub message: String,
    pub hint: Option<String>,
}

impl Diagnostic {
    /// As control calls tell it.
    pub fn told(&self) -> control_api::Diagnostic {
        control_api::Diagnostic {
            file: self.file.clone(),
            line: self.at.line,
            column: self.at.column,
            message: self.message.clone(),
            hint: self.hint.clone(),
        }
    }
}

impl Hinted for Diagnostic {
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.hint.as_deref().map(Cow::Borrowed)
    }

    fn place(&self) -> Option<Place<'_>> {
        Some(Place {
            file: &self.file,
            line: self.at.line,
            column: self.at.column,
        })
    }
}

/// The known word that `given` was probably meant to be. Case and dashes do not count.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter().map(|word| (likeness(given, word), word));
    nearest_of(known)
}

/// The same of things that were compared by more than one name.
pub fn nearest_of<T>(compared: impl Iterator<Item = (f64, T)>) -> Option<T> {
    compared
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, found)| found)
}

/// How much alike two words are, from 0 to 1.
pub fn likeness(given: &str, known: &str) -> f64 {
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    strsim::jaro_winkler(&plain(given), &plain(known))
}

/// The hint where a word is unknown: the nearest that there is, or what `otherwise` says.
pub fn did_you_mean<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match nearest(given, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise(),
    }
}

/// "`a`, `b`, `c`".
pub fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_only_if_it_is_near() {
        assert_eq!(nearest("paralel", ["bash", "parallel"]), Some("parallel"));
        assert_eq!(nearest("tool-use", ["tool_use", "text"]), Some("tool_use"));
        assert_eq!(nearest("Satus", ["times", "status"]), Some("status"));
        assert_eq!(
            nearest("contents", ["filename", "content"]),
            Some("content")
        );
        assert_eq!(nearest("xyzzy", ["bash", "parallel"]), None);
        let all = || "all of them".to_owned();
        assert_eq!(did_you_mean("pth", ["path"], all), "did you mean `path`?");
        assert_eq!(did_you_mean("x", ["path"], all), "all of them");
    }

    #[test]
    fn a_byte_stands_in_a_line_and_column_of_characters() {
        let text = "a\nüb = 1\n";
        let at = |offset| {
            let Position { line, column } = Position::of_byte(text, offset);
            (line, column)
        };
        assert_eq!((at(0), at(2), at(4)), ((1, 1), (2, 1), (2, 2)));
        // Behind the end, and within a character.
        assert_eq!((at(99), at(3)), ((3, 1), (3, 1)));
    }
}
