//! What is wrong with a script, and where.

use std::borrow::Cow;
use std::sync::Arc;

use crate::hinted::{Hinted, Place};

/// A place in a script; lines and columns count from 1, and 0 means the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// One mistake in a script.
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
    pub(super) fn told(&self) -> control_api::Diagnostic {
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

/// Collects the mistakes of one file.
#[derive(Debug)]
pub(super) struct Sink {
    file: Arc<str>,
    found: Vec<Diagnostic>,
    /// What is probably not meant, and does no harm.
    warnings: Vec<Diagnostic>,
}

impl Sink {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            found: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }

    pub(super) fn error(&mut self, at: Position, message: impl Into<String>) {
        self.push(at, message.into(), None);
    }

    pub(super) fn error_with_hint(
        &mut self,
        at: Position,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(at, message.into(), Some(hint.into()));
    }

    /// `what` is not one of `known`: names the nearest, or all.
    pub(super) fn unknown(&mut self, at: Position, what: &str, given: &str, known: &[&str]) {
        let hint = nearest(given, known).map_or_else(
            || format!("expected one of {}", list(known)),
            |near| format!("did you mean `{near}`?"),
        );
        self.push(at, format!("unknown {what} `{given}`"), Some(hint));
    }

    /// The script works, and probably not as it is meant.
    pub(super) fn warn(&mut self, at: Position, message: &str, hint: &str) {
        let hint = Some(hint.to_owned());
        let warning = self.diagnostic(at, format!("warning: {message}"), hint);
        self.warnings.push(warning);
    }

    /// Mistakes and warnings, each in the order of the file.
    pub(super) fn into_found(mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        for list in [&mut self.found, &mut self.warnings] {
            list.sort_by_key(|found| (found.at.line, found.at.column));
        }
        (self.found, self.warnings)
    }

    fn push(&mut self, at: Position, message: String, hint: Option<String>) {
        let mistake = self.diagnostic(at, message, hint);
        self.found.push(mistake);
    }

    fn diagnostic(&self, at: Position, message: String, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            file: self.file.to_string(),
            at,
            message,
            hint,
        }
    }
}

/// The known word that `given` was probably meant to be.
pub(super) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given = given.to_ascii_lowercase().replace('-', "_");
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(&given, word), *word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// "`a`, `b`, or `c`", without the Oxford trouble: "`a`, `b`, `c`".
pub(super) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_only_if_it_is_near() {
        assert_eq!(nearest("paralel", &["bash", "parallel"]), Some("parallel"));
        assert_eq!(nearest("tool-use", &["tool_use", "text"]), Some("tool_use"));
        assert_eq!(nearest("xyzzy", &["bash", "parallel"]), None);
    }
}
