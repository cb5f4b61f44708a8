//! Notes on what an import lacks, and what it replaced: each once, with the exchanges that have it.

use std::collections::BTreeSet;

use crate::Body;

/// The prefix of a note that tells what was replaced, and not what is lacking.
pub const REPLACED: &str = "replaced: ";

/// Lacks, or what was replaced, in the order in which they were met.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The text, and the exchanges counted from 0; none for the file as a whole.
    lacks: Vec<(String, BTreeSet<usize>)>,
}

impl Notes {
    /// Of the file as a whole.
    pub(super) fn general(&mut self, text: impl Into<String>) {
        self.entry(text.into());
    }

    /// Of the exchange `at`, counted from 0.
    pub(super) fn of(&mut self, at: usize, text: impl Into<String>) {
        self.entry(text.into()).insert(at);
    }

    /// Notes the missing parts of a request's body.
    pub(super) fn of_request(&mut self, at: usize, body: &Body) {
        match body {
            Body::Missing(why) => self.of(at, format!("the request's body is missing: {why}")),
            Body::Form(parts) => {
                for part in parts {
                    if let Body::Missing(why) = &part.body {
                        let name = &part.name;
                        self.of(
                            at,
                            format!("the content of the form's `{name}` is missing: {why}"),
                        );
                    }
                }
            }
            Body::Empty | Body::Json(_) | Body::Text(_) | Body::Bytes(_) | Body::Blob(_) => {}
        }
    }

    /// Notes a missing body of an answer.
    pub(super) fn of_answer(&mut self, at: usize, body: &Body) {
        if let Body::Missing(why) = body {
            self.of(at, format!("the answer's body is missing: {why}"));
        }
    }

    /// Headers of the answer of which the names alone were kept, the content type's among them or not.
    pub(super) fn of_hidden_headers(&mut self, at: usize, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let kind = if names.iter().any(|name| name == "content-type") {
            ", and the content type follows from the body"
        } else {
            ""
        };
        let names = names.join(", ");
        self.of(
            at,
            format!("of the answer's headers only the names were kept{kind}: {names}"),
        );
    }

    fn entry(&mut self, text: String) -> &mut BTreeSet<usize> {
        let known = self.lacks.iter().position(|(known, _)| *known == text);
        let at = known.unwrap_or_else(|| {
            self.lacks.push((text, BTreeSet::new()));
            self.lacks.len() - 1
        });
        &mut self.lacks[at].1
    }

    /// A line each behind `mark`, for a file of `total` exchanges.
    pub(super) fn into_lines(self, mark: &str, total: usize) -> Vec<String> {
        let line = |(text, exchanges): (String, BTreeSet<usize>)| {
            let numbers: Vec<String> = exchanges.iter().map(|at| (at + 1).to_string()).collect();
            match numbers.len() {
                0 => format!("{mark}{text}"),
                count if count == total => format!("{mark}{text}"),
                1 => format!("{mark}exchange {}: {text}", numbers[0]),
                _ => format!("{mark}exchanges {}: {text}", numbers.join(", ")),
            }
        };
        self.lacks.into_iter().map(line).collect()
    }
}
