//! How code reaches the code execution tool that a request declares.

use serde_json::{Value, json};

use super::{Call, CodeTool, ServerTool};

const DELIMITER: &str = "PY";

/// A shell command; `Err` says why this request cannot take one.
pub(super) fn bash(tool: Option<CodeTool>, command: &str) -> Result<Call, &'static str> {
    match tool {
        Some(CodeTool::BashAndEditor | CodeTool::Cells) => {
            Ok(call(ServerTool::Bash, json!({"command": command})))
        }
        Some(CodeTool::Python) => Err(
            "bash needs `code_execution_20250825` or later, the request declares \
             `code_execution_20250522`\n  hint: use Python, or declare the newer tool",
        ),
        None => Err(NO_TOOL),
    }
}

/// Python: a cell where the tool has cells, else a shell command that feeds it to `python3`.
pub(super) fn python(tool: Option<CodeTool>, code: &str) -> Result<Call, &'static str> {
    match tool {
        Some(CodeTool::Python | CodeTool::Cells) => {
            Ok(call(ServerTool::Python, json!({"code": code})))
        }
        Some(CodeTool::BashAndEditor) => {
            Ok(call(ServerTool::Bash, json!({"command": heredoc(code)})))
        }
        None => Err(NO_TOOL),
    }
}

/// An editor command, whatever its input is.
pub(super) fn editor(tool: Option<CodeTool>, input: Value) -> Result<Call, &'static str> {
    match tool {
        Some(CodeTool::BashAndEditor | CodeTool::Cells) => Ok(call(ServerTool::Editor, input)),
        Some(CodeTool::Python) => Err(
            "the text editor needs `code_execution_20250825` or later, the request declares \
             `code_execution_20250522`\n  hint: use Python, or declare the newer tool",
        ),
        None => Err(NO_TOOL),
    }
}

const NO_TOOL: &str = "the request declares no code execution tool\n  \
     hint: add {\"type\": \"code_execution_20250825\", \"name\": \"code_execution\"} to `tools`";

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
