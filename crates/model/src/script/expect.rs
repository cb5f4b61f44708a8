//! Checks a result against `expect` or `if`, and says what came instead.

use super::matching::{TextMatcher, gist};
use super::rule::{Expect, ExpectedError};
use crate::CallResult;

/// Characters of stderr that a failed expectation quotes.
const STDERR_CHARS: usize = 400;

/// Every difference between what was expected of a result and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unexpected(String);

impl ExpectedError {
    fn code(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Code(code) => Some(code),
        }
    }
}

impl Expect {
    /// `Err` names every difference.
    pub(super) fn check(&self, result: &CallResult) -> Result<(), Unexpected> {
        let mut differences = Vec::new();
        if let Some(wanted) = &self.return_code
            && !result
                .return_code
                .is_some_and(|code| wanted.contains(&code))
        {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            let came = match (result.return_code, &result.error_code) {
                (Some(code), _) => code.to_string(),
                (None, Some(error)) => format!("error `{error}`"),
                (None, None) => "none".to_owned(),
            };
            differences.push(format!("`return_code` {}, got {came}", wanted.join(" or ")));
        }
        if let Some(wanted) = &self.error_code
            && wanted.code() != result.error_code.as_deref()
        {
            let name = |code: Option<&str>| {
                code.map_or_else(|| "none".to_owned(), |code| format!("`{code}`"))
            };
            differences.push(format!(
                "`error_code` {}, got {}",
                name(wanted.code()),
                name(result.error_code.as_deref())
            ));
        }
        text(
            "stdout",
            self.stdout.as_ref(),
            &result.stdout,
            &mut differences,
        );
        text(
            "stderr",
            self.stderr.as_ref(),
            &result.stderr,
            &mut differences,
        );
        for wanted in &self.files {
            if !result
                .files
                .iter()
                .any(|file| wanted.matches(&file.filename))
            {
                let names: Vec<String> = result
                    .files
                    .iter()
                    .map(|file| format!("`{}`", file.filename))
                    .collect();
                let came = if names.is_empty() {
                    "no files".to_owned()
                } else {
                    names.join(", ")
                };
                differences.push(format!("file `{wanted}`, got {came}"));
            }
        }
        if differences.is_empty() {
            return Ok(());
        }
        let mut message = format!("expected {}", differences.join("; expected "));
        if self.stderr.is_none() && !result.stderr.trim().is_empty() {
            let tail: String = {
                let trimmed = result.stderr.trim();
                let skip = trimmed.chars().count().saturating_sub(STDERR_CHARS);
                trimmed.chars().skip(skip).collect()
            };
            message.push_str("\n  stderr: ");
            message.push_str(&tail);
        }
        Err(Unexpected(message))
    }
}

fn text(name: &str, wanted: Option<&TextMatcher>, came: &str, differences: &mut Vec<String>) {
    if let Some(wanted) = wanted
        && !wanted.holds(came)
    {
        let came = if came.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{}`", gist(came))
        };
        differences.push(format!("`{name}` {}, got {came}", wanted.describe()));
    }
}
