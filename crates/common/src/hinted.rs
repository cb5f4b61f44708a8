//! Errors that a person reads: what is wrong, where, and what helps; and every text that they are shown as.
//!
//! An error's `Display` is what is wrong, and nothing else: its hint and its place are told by [`Hinted`], and put
//! together here. `docs/ERRORS-IN-CODE.md` says which type is used where.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display};

/// Where a mistake stands. Lines and columns count from 1; 0 means the document as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// A path, or where the text came from; inside of a document the path of a value, such as `files[0].filename`.
    pub file: &'a str,
    pub line: u64,
    pub column: u64,
}

impl<'a> Place<'a> {
    /// A document as a whole.
    pub fn whole(file: &'a str) -> Self {
        Self {
            file,
            line: 0,
            column: 0,
        }
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => f.write_str(self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

/// An error that a person reads.
pub trait Hinted: Error {
    /// The error that this one is only another type for: what it does not say itself, that one says.
    fn inner(&self) -> Option<&dyn Hinted> {
        None
    }

    /// The hint: what can be done about the error.
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.inner()?.hint()
    }

    /// The place of the error.
    fn place(&self) -> Option<Place<'_>> {
        self.inner()?.place()
    }

    /// The mistakes that it sums up, each with a place and a hint of its own.
    fn parts(&self) -> Vec<&dyn Hinted> {
        self.inner().map_or_else(Vec::new, Hinted::parts)
    }
}

/// As a terminal shows it, and every client of the emulated API: `PLACE: what is wrong`, and a line with the hint.
pub fn told(error: &dyn Hinted) -> String {
    let (mut text, hint) = split(error);
    if let Some(hint) = hint {
        push_hint(&mut text, &hint);
    }
    text
}

/// The same in two, for answers and reports that have a member for the hint.
pub fn split(error: &dyn Hinted) -> (String, Option<Cow<'_, str>>) {
    let mut text = placed(error);
    let parts = error.parts();
    let own = error.hint();
    let Some((last, before)) = parts.split_last() else {
        return (text, own);
    };
    for part in before {
        text.push('\n');
        text.push_str(&told(*part));
    }
    let (last, hint) = split_last(*last, own);
    text.push('\n');
    text.push_str(&last);
    (text, hint)
}

/// The last part of an error. Its hint is the error's where that has none of its own.
fn split_last<'a>(
    part: &'a dyn Hinted,
    own: Option<Cow<'a, str>>,
) -> (String, Option<Cow<'a, str>>) {
    match own {
        Some(own) => (told(part), Some(own)),
        None => split(part),
    }
}

/// In one line, for answers whose shape is the service's and has no place for a hint.
pub fn in_line(error: &dyn Hinted) -> String {
    match split(error) {
        (text, Some(hint)) => format!("{text} (hint: {hint})"),
        (text, None) => text,
    }
}

/// As a line of a list of mistakes.
pub fn listed(error: &dyn Hinted) -> String {
    match split(error) {
        (text, Some(hint)) => format!("{text} ({hint})"),
        (text, None) => text,
    }
}

/// Several mistakes, one below the other.
pub fn told_all<E: Hinted>(errors: &[E]) -> String {
    let texts: Vec<String> = errors.iter().map(|error| told(error)).collect();
    texts.join("\n")
}

/// A mistake that only one place finds, and that nobody tells apart from others. Where a caller does, a type of the
/// module's own is right.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    message: String,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Mistake {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// `what: why it failed`.
    pub fn caused(what: impl Display, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self {
            message: format!("{what}: {source}"),
            hint: None,
            source: Some(source),
        }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Hinted for Mistake {
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.hint.as_deref().map(Cow::Borrowed)
    }
}

/// Its type is of the control API, which knows no errors of ours.
impl Hinted for control_api::RateLimitError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some("such as requests=50,input_tokens=30000".into())
    }
}

fn placed(error: &dyn Hinted) -> String {
    match error.place() {
        Some(place) => format!("{place}: {error}"),
        None => error.to_string(),
    }
}

fn push_hint(text: &mut String, hint: &str) {
    text.push_str("\n  hint: ");
    text.push_str(hint);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{what}")]
    struct Wrong {
        what: &'static str,
        hint: Option<&'static str>,
        at: Option<(u64, u64)>,
        parts: Vec<Self>,
    }

    impl Hinted for Wrong {
        fn hint(&self) -> Option<Cow<'_, str>> {
            self.hint.map(Cow::Borrowed)
        }

        fn place(&self) -> Option<Place<'_>> {
            self.at.map(|(line, column)| Place {
                file: "a.yaml",
                line,
                column,
            })
        }

        fn parts(&self) -> Vec<&dyn Hinted> {
            self.parts.iter().map(|part| part as &dyn Hinted).collect()
        }
    }

    fn wrong(what: &'static str, hint: Option<&'static str>, at: Option<(u64, u64)>) -> Wrong {
        Wrong {
            what,
            hint,
            at,
            parts: Vec::new(),
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_a_line_that_helps() {
        let with = |at| told(&wrong("it is odd", Some("make it even"), at));
        assert_eq!(with(None), "it is odd\n  hint: make it even");
        assert_eq!(
            with(Some((0, 0))),
            "a.yaml: it is odd\n  hint: make it even"
        );
        assert!(with(Some((2, 0))).starts_with("a.yaml:2: it is odd\n"));
        assert!(with(Some((2, 3))).starts_with("a.yaml:2:3: it is odd\n"));
        assert_eq!(told(&wrong("it is odd", None, None)), "it is odd");
        let error = wrong("it is odd", Some("make it even"), Some((2, 3)));
        assert_eq!(
            in_line(&error),
            "a.yaml:2:3: it is odd (hint: make it even)"
        );
        assert_eq!(listed(&error), "a.yaml:2:3: it is odd (make it even)");
    }

    #[test]
    fn what_sums_up_others_tells_them_one_by_one() {
        let mut all = wrong("two mistakes", None, None);
        all.parts = vec![
            wrong("first", Some("one"), Some((1, 1))),
            wrong("second", Some("two"), Some((2, 1))),
        ];
        let text = "two mistakes\na.yaml:1:1: first\n  hint: one\na.yaml:2:1: second";
        assert_eq!(split(&all), (text.to_owned(), Some("two".into())));
        assert_eq!(told(&all), format!("{text}\n  hint: two"));
        all.hint = Some("of all");
        let text = format!("{text}\n  hint: two");
        assert_eq!(split(&all), (text, Some("of all".into())));
    }
}
