//! Calls of code execution, with their results or to be run.

use serde_json::{Value, json};

use super::tape::Tape;
use super::{Calls, words};

/// The prefix of the tool's types.
pub(super) const TOOL: &str = "code_execution_20";
/// The first version has Python alone.
pub(super) const HAS_EDITOR: &str = r#"request.tools|default([])|selectattr("type", "defined")|selectattr("type", "startingwith", "code_execution_20")|rejectattr("type", "eq", "code_execution_20250522")|list|length > 0"#;

/// Whether a tool is declared whose type begins so.
pub(super) fn declares(prefix: &str) -> String {
    format!(
        r#"request.tools|default([])|selectattr("type", "defined")|selectattr("type", "startingwith", "{prefix}")|list|length > 0"#
    )
}

/// A step that is taken only where a condition holds.
pub(super) fn only_if(condition: &str, steps: Vec<Value>) -> Value {
    json!({ "if": condition, "then": Value::Array(steps) })
}

const ERRORS: [&str; 4] = [
    "unavailable",
    "execution_time_exceeded",
    "too_many_requests",
    "invalid_tool_input",
];
const EDITOR_ERRORS: [&str; 3] = ["file_not_found", "unavailable", "invalid_tool_input"];

/// Programs that do little and end alike everywhere.
const PROGRAMS: [&str; 6] = [
    "print('word')",
    "print('日本 😀 é')",
    "import sys; sys.stderr.write('to stderr')",
    "raise SystemExit(3)",
    "print('x' * 20000)",
    "import os; open(os.path.join(os.environ.get('OUTPUT_DIR', '.'), 'a b.txt'), 'w').write('1')",
];

/// A call that every version of the tool takes.
pub(super) fn call(tape: &mut Tape, runs: Calls) -> Value {
    if tape.below(5) == 4 {
        let source = words::source(tape);
        return json!({ "python": source, "tool_error": tape.one(&ERRORS) });
    }
    if runs == Calls::Real {
        return json!({ "python": tape.one(&PROGRAMS) });
    }
    let source = words::source(tape);
    let files: Vec<Value> = words::file_names(tape)
        .into_iter()
        .map(|name| match tape.below(3) {
            0 => json!({ "name": name, "text": "1" }),
            1 => json!({ "name": name, "text": "" }),
            _ => json!({ "name": name, "base64": "AAH//g==" }),
        })
        .collect();
    json!({
        "python": source,
        "result": {
            "stdout": words::output(tape),
            "stderr": words::output(tape),
            "return_code": tape.one(&[0, 1, 3, 137, 255]),
            "files": files,
        },
    })
}

/// A call of the editor, or of bash.
pub(super) fn editor(tape: &mut Tape, runs: Calls) -> Value {
    let path = "a b/é.txt";
    let mut call = match tape.below(4) {
        0 => json!({ "bash": "echo word" }),
        1 => json!({ "create": { "path": path, "file_text": words::source(tape) } }),
        2 => json!({ "view": { "path": path, "view_range": [1, 2] } }),
        _ => {
            json!({ "str_replace": { "path": path, "old_str": "a", "new_str": words::source(tape) } })
        }
    };
    if runs == Calls::Real {
        return call;
    }
    if tape.below(3) == 2 && call.get("bash").is_none() {
        call["tool_error"] =
            json!({ "code": tape.one(&EDITOR_ERRORS), "message": words::source(tape) });
    } else {
        call["result"] = if call.get("create").is_some() {
            json!({ "is_file_update": tape.flag() })
        } else if call.get("view").is_some() {
            json!({ "content": words::output(tape), "total_lines": 900 })
        } else if call.get("bash").is_some() {
            json!({ "stdout": words::output(tape) })
        } else {
            json!({})
        };
    }
    call
}
