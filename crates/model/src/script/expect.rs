//! Checks a result against `expect` or `if`, and says what came instead.

use std::borrow::Cow;

use super::matching::{TextMatcher, gist};
use super::rule::{Expect, ExpectedError, ExpectedFile, Rule};
use super::template::Text;
use super::view::View;
use crate::{CallResult, ModelError};
use common::bounded;

/// Characters of stderr that a failed expectation quotes.
const STDERR_CHARS: usize = 400;

/// Every difference between what was expected of a result and what came.
#[derive(Debug, Default)]
pub(super) struct Differences {
    told: Vec<String>,
    hint: Option<&'static str>,
}

impl Differences {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// What helps.
    pub(super) fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// What was expected and what came, with the end of stderr where nothing was expected of that.
    pub(super) fn message(&self, expect: &Expect, result: &CallResult) -> String {
        let mut message = format!("expected {}", self.told.join("; expected "));
        if expect.stderr.is_none() && !result.stderr.trim().is_empty() {
            let trimmed = result.stderr.trim();
            let skip = trimmed.chars().count().saturating_sub(STDERR_CHARS);
            message.push_str("\n  stderr: ");
            message.extend(trimmed.chars().skip(skip));
        }
        message
    }

    fn text(&mut self, name: &str, wanted: Option<&TextMatcher>, came: &str) {
        let Some(wanted) = wanted.filter(|wanted| !wanted.holds(came)) else {
            return;
        };
        let (wants, got) = wanted.describe_against(came);
        let got = match got {
            Some(got) => got,
            None if came.is_empty() => "nothing".to_owned(),
            None => format!("`{}`", gist(came)),
        };
        if wanted.differs_at_the_end(came) {
            self.hint =
                Some("they differ in white space at the end alone, which `contains` passes over");
        }
        self.told.push(format!("`{name}` {wants}, got {got}"));
    }
}

impl ExpectedError {
    fn code(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Code(code) => Some(code),
        }
    }
}

impl ExpectedFile {
    fn glob(
        &self,
        fill: &dyn Fn(&Text) -> Result<String, ModelError>,
        place: &dyn Fn() -> String,
    ) -> Result<glob::Pattern, ModelError> {
        match self {
            Self::Glob(glob) => Ok(glob.clone()),
            Self::Template(text) => {
                let text = fill(text)?;
                bounded::glob(&text).map_err(|error| {
                    let wrong = format!(
                        "{}: `{}` in `files` is no glob: {error}",
                        place(),
                        gist(&text)
                    );
                    ModelError::new(wrong)
                        .with_hint("`*` is any text, `?` one character, `[[]` a bracket")
                })
            }
        }
    }
}

impl Expect {
    /// What of a result differs from it, with its templates filled in.
    pub(super) fn differences(
        &self,
        rule: &Rule,
        result: &CallResult,
        view: View<'_>,
    ) -> Result<Differences, ModelError> {
        let fill = |text: &Text| rule.templates.render(text, view).map(Cow::into_owned);
        let mut differences = Differences::default();
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
            let told = format!("`return_code` {}, got {came}", wanted.join(" or "));
            differences.told.push(told);
        }
        if let Some(wanted) = &self.error_code
            && wanted.code() != result.error_code.as_deref()
        {
            let name = |code: Option<&str>| {
                code.map_or_else(|| "none".to_owned(), |code| format!("`{code}`"))
            };
            differences.told.push(format!(
                "`error_code` {}, got {}",
                name(wanted.code()),
                name(result.error_code.as_deref())
            ));
        }
        let filled = |wanted: &Option<TextMatcher<Text>>| {
            let wanted = wanted.as_ref();
            wanted.map(|wanted| wanted.filled(&fill)).transpose()
        };
        differences.text("stdout", filled(&self.stdout)?.as_ref(), &result.stdout);
        differences.text("stderr", filled(&self.stderr)?.as_ref(), &result.stderr);
        let Some(files) = &self.files else {
            return Ok(differences);
        };
        let names = result.files.iter();
        let names: Vec<String> = names.map(|file| format!("`{}`", file.filename)).collect();
        let came = match names.as_slice() {
            [] => "no files".to_owned(),
            names => names.join(", "),
        };
        if files.is_empty() && !names.is_empty() {
            differences.told.push(format!("no files, got {came}"));
        }
        for wanted in files {
            let place = || rule.place_of(self.at);
            let wanted = wanted.glob(&fill, &place)?;
            let mut files = result.files.iter();
            if !files.any(|file| wanted.matches(&file.filename)) {
                differences
                    .told
                    .push(format!("file `{wanted}`, got {came}"));
            }
        }
        Ok(differences)
    }
}
