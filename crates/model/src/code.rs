//! How code reaches the code execution tool that a request declares.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Call, CodeTool, ServerTool};
use common::hinted::Hinted;

const DELIMITER: &str = "PY";

/// Why a request cannot take what was to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodeError {
    #[error("the request declares no code execution tool")]
    NoTool,
    #[error(
        "{0} needs `code_execution_20250825` or later, the request declares `code_execution_20250522`"
    )]
    PythonAlone(&'static str),
    #[error("the request has no tool of the client's")]
    NoClientTool,
}

impl Hinted for CodeError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.help().map(Cow::Borrowed)
    }
}

impl CodeError {
    pub(super) fn help(self) -> Option<&'static str> {
        match self {
            Self::NoTool => Some(
                r#"add {"type": "code_execution_20250825", "name": "code_execution"} to `tools`"#,
            ),
            Self::PythonAlone(_) => Some("use Python, or declare the newer tool"),
            Self::NoClientTool => None,
        }
    }
}

/// A shell command; `Err` says why this request cannot take one.
pub(super) fn bash(tool: Option<CodeTool>, command: &str) -> Result<Call, CodeError> {
    match tool {
        Some(CodeTool::BashAndEditor | CodeTool::Cells) => {
            Ok(call(ServerTool::Bash, json!({"command": command})))
        }
        Some(CodeTool::Python) => Err(CodeError::PythonAlone("bash")),
        None => Err(CodeError::NoTool),
    }
}

/// Python: a cell where the tool has cells, else a shell command that feeds it to `python3`.
pub(super) fn python(tool: Option<CodeTool>, code: &str) -> Result<Call, CodeError> {
    match tool {
        Some(CodeTool::Python | CodeTool::Cells) => {
            Ok(call(ServerTool::Python, json!({"code": code})))
        }
        Some(CodeTool::BashAndEditor) => {
            Ok(call(ServerTool::Bash, json!({"command": heredoc(code)})))
        }
        None => Err(CodeError::NoTool),
    }
}

/// An editor command, whatever its input is.
pub(super) fn editor(tool: Option<CodeTool>, input: Value) -> Result<Call, CodeError> {
    match tool {
        Some(CodeTool::BashAndEditor | CodeTool::Cells) => Ok(call(ServerTool::Editor, input)),
        Some(CodeTool::Python) => Err(CodeError::PythonAlone("the text editor")),
        None => Err(CodeError::NoTool),
    }
}

fn call(tool: ServerTool, input: Value) -> Call {
    Call::Server {
        tool,
        input,
        failure: None,
        found: None,
    }
}

fn heredoc(code: &str) -> String {
    let mut delimiter = DELIMITER.to_owned();
    while code.lines().any(|line| line == delimiter) {
        delimiter.push('_');
    }
    let newline = if code.ends_with('\n') { "" } else { "\n" };
    format!("python3 - <<'{delimiter}'\n{code}{newline}{delimiter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heredoc_ends_where_the_code_ends() {
        assert_eq!(heredoc("x = 1"), "python3 - <<'PY'\nx = 1\nPY");
        assert_eq!(heredoc("PY\n"), "python3 - <<'PY_'\nPY\nPY_");
    }
}
