//! Diagnostics of a script: mistakes and warnings, gathered while it is read.

use std::sync::Arc;

use common::document::{Diagnostic, Position, did_you_mean, list};
use common::limits;

/// Collects the mistakes of one file.
#[derive(Debug)]
pub(super) struct Sink {
    file: Arc<str>,
    found: Vec<Diagnostic>,
    /// Mistakes beyond those that are told.
    untold: usize,
    /// Warnings about what is probably not meant, and does no harm.
    warnings: Vec<Diagnostic>,
}

impl Sink {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            found: Vec::new(),
            untold: 0,
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
        if self.is_full() {
            self.untold += 1;
            return;
        }
        // Of what a script names itself there may be any number.
        let near = &known[..known.len().min(limits::SCRIPT_NAMES_TOLD)];
        let more = known.len() - near.len();
        let hint = did_you_mean(given, near.iter().copied(), || match more {
            0 => format!("expected one of {}", list(near)),
            _ => format!("expected one of {}, or of {more} more", list(near)),
        });
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
        if let Some(last) = self.found.last()
            && self.untold > 0
        {
            let message = format!("there are {} more mistakes", self.untold);
            let more = self.diagnostic(last.at, message, None);
            self.found.push(more);
        }
        (self.found, self.warnings)
    }

    fn push(&mut self, at: Position, message: String, hint: Option<String>) {
        if self.is_full() {
            self.untold += 1;
            return;
        }
        let mistake = self.diagnostic(at, message, hint);
        self.found.push(mistake);
    }

    fn is_full(&self) -> bool {
        self.found.len() >= limits::SCRIPT_MISTAKES_TOLD
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
