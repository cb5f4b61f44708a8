//! Reading a call's input, and wording its result for the wire.

use base64::Engine as _;
use serde_json::Value;
use wire::ToolErrorCode;
use wire::block::{
    BashContent, BashOutput, ContentBlock, EditorContent, PythonContent, PythonOutput,
};

use super::Done;
use crate::{TurnInput, seal};
use model::{CallResult, ServerTool};
use sandbox::guest::{Edit, EditError, EditErrorKind, EditOutcome, ExecKind, View};
use workspace::quirks::{EditorDirectoryView, EditorKeys, EditorMissingString};

/// Why a call's input is none that its tool takes: the text of its result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongInput(String);

/// A call with its input checked.
pub(super) enum Parsed {
    Exec(ExecKind),
    Cell(String),
    Edit(Edit),
}

/// `in_cells`: Python runs in the container's interpreter.
pub(super) fn parse(
    tool: ServerTool,
    arguments: &Value,
    id: &str,
    in_cells: bool,
) -> Result<Parsed, WrongInput> {
    let text = |key: &str| match &arguments[key] {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Err(WrongInput(format!("`{key}` is missing"))),
        _ => Err(WrongInput(format!("`{key}` must be a string"))),
    };
    Ok(match tool {
        ServerTool::Bash => {
            let command = text("command")?;
            // It becomes an argument of a program, which ends at the first one.
            if command.contains('\0') {
                let message = "`command` must not contain a NUL byte";
                return Err(WrongInput(message.to_owned()));
            }
            Parsed::Exec(ExecKind::Bash(command))
        }
        ServerTool::Python if in_cells => Parsed::Cell(text("code")?),
        ServerTool::Python => Parsed::Exec(ExecKind::Python {
            code: text("code")?,
            tag: id.to_owned(),
        }),
        ServerTool::WebSearch
        | ServerTool::WebFetch
        | ServerTool::ToolSearchRegex
        | ServerTool::ToolSearchBm25
        | ServerTool::Advisor => {
            return Err(WrongInput(format!("`{}` needs no container", tool.name())));
        }
        ServerTool::Editor => Parsed::Edit(match text("command")?.as_str() {
            "view" => Edit::View {
                path: text("path")?,
                view_range: view_range(&arguments["view_range"])?,
            },
            "create" => Edit::Create {
                path: text("path")?,
                file_text: text("file_text")?,
            },
            "str_replace" => Edit::StrReplace {
                path: text("path")?,
                old_str: text("old_str")?,
                new_str: if arguments["new_str"].is_null() {
                    String::new()
                } else {
                    text("new_str")?
                },
            },
            other => {
                return Err(WrongInput(format!(
                    "unknown command `{other}`: it is view, create, or str_replace"
                )));
            }
        }),
    })
}

fn view_range(value: &Value) -> Result<Option<(i64, i64)>, WrongInput> {
    match value {
        Value::Null => Ok(None),
        Value::Array(range) => match range.as_slice() {
            [first, last] => first.as_i64().zip(last.as_i64()).map(Some),
            _ => None,
        }
        .ok_or_else(|| WrongInput("`view_range` must be two line numbers".to_owned())),
        _ => Err(WrongInput(
            "`view_range` must be two line numbers".to_owned(),
        )),
    }
}

pub(super) fn edited(outcome: EditOutcome) -> EditorContent {
    let media = |file_type: &str, bytes: &[u8]| EditorContent::View {
        file_type: file_type.to_owned(),
        content: base64::engine::general_purpose::STANDARD.encode(bytes),
        num_lines: None,
        start_line: None,
        total_lines: None,
    };
    match outcome {
        EditOutcome::View(View::Text {
            content,
            num_lines,
            start_line,
            total_lines,
        }) => EditorContent::View {
            file_type: "text".to_owned(),
            content,
            num_lines: Some(num_lines),
            start_line: Some(start_line),
            total_lines: Some(total_lines),
        },
        EditOutcome::View(View::Image(bytes)) => media("image", &bytes),
        EditOutcome::View(View::Pdf(bytes)) => media("pdf", &bytes),
        EditOutcome::Create { is_file_update } => EditorContent::Create { is_file_update },
        EditOutcome::StrReplace { hunk } => {
            match hunk {
                Some(hunk) => EditorContent::StrReplace {
                    old_start: hunk.old_start,
                    old_lines: hunk.old_lines,
                    new_start: hunk.new_start,
                    new_lines: hunk.new_lines,
                    lines: hunk.lines,
                },
                // The new text is the old one: an empty hunk.
                None => EditorContent::StrReplace {
                    old_start: 0,
                    old_lines: 0,
                    new_start: 0,
                    new_lines: 0,
                    lines: Vec::new(),
                },
            }
        }
    }
}

/// The documented codes (F044); a directory and the like are `invalid_tool_input`, which is inferred.
pub(super) fn refused(error: EditError, input: &TurnInput) -> Done {
    let mut message = error.message;
    let code = match error.kind {
        EditErrorKind::FileNotFound => ToolErrorCode::FileNotFound,
        EditErrorKind::StringNotFound => match input.quirks.editor_missing_string {
            EditorMissingString::StringNotFound => ToolErrorCode::StringNotFound,
            EditorMissingString::Unavailable => ToolErrorCode::Unavailable,
        },
        EditErrorKind::IsDirectory
            if input.quirks.editor_directory_view == EditorDirectoryView::Unavailable =>
        {
            // Parity: `view` of `/skills/xlsx`, 2026-08-27 (F045).
            "Tool response parsing error for view: Failed to parse tool response as JSON: \
             unexpected character: line 1 column 1 (char 0)"
                .clone_into(&mut message);
            ToolErrorCode::Unavailable
        }
        EditErrorKind::Io => ToolErrorCode::Unavailable,
        EditErrorKind::InvalidInput
        | EditErrorKind::IsDirectory
        | EditErrorKind::NotAFile
        | EditErrorKind::NotText
        | EditErrorKind::TooLarge
        | EditErrorKind::PermissionDenied => ToolErrorCode::InvalidToolInput,
    };
    Done::Failed {
        code,
        message: Some(message),
    }
}

/// An editor result in the keys the caller expects.
fn by_keys(content: &EditorContent, keys: EditorKeys) -> EditorContent {
    if keys == EditorKeys::SnakeCase {
        return content.clone();
    }
    let Ok(Value::Object(members)) = serde_json::to_value(content) else {
        return content.clone();
    };
    let renamed = members.into_iter().map(|(key, value)| {
        let camel = match key.as_str() {
            // One type for all three (F046).
            "type" => return (key, Value::from("text_editor_code_execution_result")),
            "num_lines" => "numLines",
            "start_line" => "startLine",
            "total_lines" => "totalLines",
            "old_start" => "oldStart",
            "old_lines" => "oldLines",
            "new_start" => "newStart",
            "new_lines" => "newLines",
            _ => return (key, value),
        };
        (camel.to_owned(), value)
    });
    EditorContent::Raw(Value::Object(renamed.collect()))
}

pub(super) fn block(id: &str, tool: ServerTool, done: &Done, keys: EditorKeys) -> ContentBlock {
    let tool_use_id = id.to_owned();
    match tool {
        ServerTool::Bash => ContentBlock::BashCodeExecutionToolResult {
            tool_use_id,
            content: match done {
                Done::Ran {
                    stdout,
                    stderr,
                    return_code,
                    files,
                } => BashContent::Result {
                    stdout: stdout.clone(),
                    stderr: stderr.clone(),
                    return_code: *return_code,
                    content: files
                        .iter()
                        .map(|file| BashOutput::File {
                            file_id: file.file_id.to_string(),
                        })
                        .collect(),
                },
                Done::Edited(_) | Done::Waits(_) | Done::Failed { .. } => BashContent::Error {
                    error_code: error_code(done),
                },
            },
        },
        // Those without a container never come here: they have blocks of their own.
        ServerTool::Python
        | ServerTool::WebSearch
        | ServerTool::WebFetch
        | ServerTool::ToolSearchRegex
        | ServerTool::ToolSearchBm25
        | ServerTool::Advisor => ContentBlock::CodeExecutionToolResult {
            tool_use_id,
            content: match done {
                Done::Ran {
                    stdout,
                    stderr,
                    return_code,
                    files,
                } => PythonContent::Result {
                    stdout: stdout.clone(),
                    stderr: stderr.clone(),
                    return_code: *return_code,
                    content: files
                        .iter()
                        .map(|file| PythonOutput::File {
                            file_id: file.file_id.to_string(),
                        })
                        .collect(),
                    abort_reason: None,
                },
                Done::Edited(_) | Done::Waits(_) | Done::Failed { .. } => PythonContent::Error {
                    error_code: error_code(done),
                },
            },
        },
        ServerTool::Editor => ContentBlock::TextEditorCodeExecutionToolResult {
            tool_use_id,
            content: match done {
                Done::Edited(content) => by_keys(content, keys),
                Done::Failed { message, .. } => EditorContent::Error {
                    error_code: error_code(done),
                    error_message: message.clone(),
                },
                Done::Ran { .. } | Done::Waits(_) => EditorContent::Error {
                    error_code: error_code(done),
                    error_message: None,
                },
            },
        },
    }
}

/// Hides the stdout of code that has searched the web: it is not for the client's eyes (F042).
pub(super) fn encrypted(block: ContentBlock) -> ContentBlock {
    let ContentBlock::CodeExecutionToolResult {
        tool_use_id,
        content:
            PythonContent::Result {
                stdout,
                stderr,
                return_code,
                content,
                ..
            },
    } = block
    else {
        return block;
    };
    ContentBlock::CodeExecutionToolResult {
        tool_use_id,
        content: PythonContent::Encrypted {
            encrypted_stdout: seal::sealed(&stdout),
            stderr,
            return_code,
            content,
        },
    }
}

fn error_code(done: &Done) -> ToolErrorCode {
    match done {
        Done::Failed { code, .. } => *code,
        Done::Ran { .. } | Done::Edited(_) | Done::Waits(_) => ToolErrorCode::Unavailable,
    }
}

pub(super) fn call_result(
    id: String,
    tool: ServerTool,
    done: Done,
    block: &ContentBlock,
) -> CallResult {
    let content = serde_json::to_value(block)
        .ok()
        .and_then(|mut block| Some(block.get_mut("content")?.take()))
        .unwrap_or_default();
    let mut result = CallResult {
        id,
        name: tool.name().to_owned(),
        stdout: String::new(),
        stderr: String::new(),
        return_code: None,
        error_code: None,
        content,
        files: Vec::new(),
    };
    match done {
        Done::Ran {
            stdout,
            stderr,
            return_code,
            files,
        } => {
            result.stdout = stdout;
            result.stderr = stderr;
            result.return_code = Some(return_code);
            result.files = files;
        }
        Done::Failed { code, .. } => result.error_code = Some(code.name().to_owned()),
        Done::Edited(EditorContent::View { content, .. }) => result.stdout = content,
        Done::Edited(_) | Done::Waits(_) => {}
    }
    result
}
