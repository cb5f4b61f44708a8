//! The report of `doctor`, for people and for programs.

use std::fmt;

use serde::Serialize;

/// All findings, in the order in which they matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub subject: &'static str,
    pub state: State,
    pub text: String,
    /// A hint on how to improve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// No server starts with these flags, or nothing runs code.
    Fail,
}

impl Report {
    /// 0 if nothing failed, else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(
            self.findings
                .iter()
                .any(|finding| finding.state == State::Fail),
        )
    }

    /// The report for programs.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::json!({ "ok": self.exit_code() == 0 });
        value["findings"] = serde_json::json!(self.findings);
        format!("{value:#}")
    }

    fn next_step(&self) -> Option<&str> {
        let worst = [State::Fail, State::Warn];
        worst.iter().find_map(|state| {
            let mut bad = self
                .findings
                .iter()
                .filter(|finding| finding.state == *state);
            bad.find_map(|finding| finding.hint.as_deref())
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let text = finding.text.replace('\n', "\n      ");
            writeln!(f, "{:<5} {}: {text}", finding.state, finding.subject)?;
            if let Some(hint) = &finding.hint {
                writeln!(f, "      hint: {hint}")?;
            }
        }
        match self.next_step() {
            Some(step) => write!(f, "\nnext step: {step}"),
            None => write!(f, "\neverything is in place"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

impl Finding {
    pub(super) fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self {
            subject,
            state: State::Ok,
            text: text.into(),
            hint: None,
        }
    }

    pub(super) fn bad(
        subject: &'static str,
        state: State,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            subject,
            state,
            text: text.into(),
            hint: Some(hint.into()),
        }
    }
}
