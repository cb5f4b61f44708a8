//! Running one server call in the turn's container, and wording its result for the wire.

use std::sync::Arc;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use wire::block::{
    BashContent, BashOutput, ContentBlock, EditorContent, PythonContent, PythonOutput,
};

use crate::container::Container;
use crate::engine::{Engine, TurnError, TurnInput, workdir};
use crate::fault::Occasion;
use crate::ids::{Ids, Kind};
use crate::limits;
use crate::model::{CallResult, OutputFile, ServerTool};
use crate::quirks::{
    CaptureWorkdir, EditorDirectoryView, EditorKeys, EditorMissingString, LegacyStdoutNewline,
};
use crate::sandbox::SandboxError;
use crate::sandbox::guest::{
    Edit, EditCall, EditError, EditErrorKind, EditOutcome, ExecCall, ExecKind, ExecResult, Guest,
    GuestError, Outcome, View,
};
use crate::store::{NewFile, StoreError};

/// How much of an output file is in memory at a time.
const COPY_BYTES: usize = 256 * 1024;

/// A call with its id.
#[derive(Debug)]
pub(super) enum Order {
    Server {
        id: String,
        tool: ServerTool,
        input: Value,
        error_code: Option<String>,
    },
    Client {
        id: String,
    },
}

impl Order {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Server { id, .. } | Self::Client { id } => id,
        }
    }
}

/// What became of a call.
pub(super) enum Done {
    Ran {
        stdout: String,
        stderr: String,
        return_code: i64,
        files: Vec<OutputFile>,
    },
    Edited(EditorContent),
    Failed {
        code: String,
        message: Option<String>,
    },
}

impl Done {
    pub(super) fn failed(code: &str) -> Self {
        Self::Failed {
            code: code.to_owned(),
            message: None,
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::Failed {
            code: "invalid_tool_input".to_owned(),
            message: Some(message.into()),
        }
    }
}

/// Runs a server call; `container` is `None` if the one the request names has expired.
pub(super) async fn execute(
    engine: &Engine,
    input: &TurnInput,
    container: Option<&Arc<Container>>,
    order: Order,
    ids: &Ids,
) -> Result<(ContentBlock, CallResult), TurnError> {
    let Order::Server {
        id,
        tool,
        input: arguments,
        error_code,
    } = order
    else {
        return Err(TurnError::Invalid(
            "a client call cannot run here".to_owned(),
        ));
    };
    let done = match (error_code, container) {
        (Some(code), _) => Done::failed(&code),
        (None, None) => Done::failed("container_expired"),
        (None, Some(container)) => {
            let call = Running {
                engine,
                input,
                container,
                id: &id,
                tool,
                ids,
            };
            // Before the first await: calls of a group meet their faults in order.
            let fault = input.strike(Occasion::Tool {
                model: &input.request.model,
                tool,
            });
            let ran = match fault.as_deref() {
                Some(fault) => call.sabotaged(fault, arguments).await,
                None => call.run(&arguments).await,
            };
            match ran {
                Ok(done) => done,
                Err(CallError::Sandbox(error)) => {
                    report(&id, &error);
                    Done::failed("unavailable")
                }
                Err(CallError::Turn(error)) => return Err(error),
            }
        }
    };
    let block = block(&id, tool, &done, input.quirks.editor_keys);
    Ok((block.clone(), call_result(id, tool, done, &block)))
}

/// Why a call has no result of its own.
pub(super) enum CallError {
    Sandbox(SandboxError),
    Turn(TurnError),
}

impl From<SandboxError> for CallError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

impl From<GuestError> for CallError {
    fn from(error: GuestError) -> Self {
        Self::Sandbox(error.into())
    }
}

fn report(id: &str, error: &SandboxError) {
    match error {
        SandboxError::Unavailable { hint, .. } => {
            tracing::error!(call.id = id, %error, %hint, "a call got `unavailable`: nothing here can run code");
        }
        _ => tracing::warn!(call.id = id, %error, "a call got `unavailable`: its sandbox failed"),
    }
}

/// A call about to run.
pub(super) struct Running<'a> {
    pub(super) engine: &'a Engine,
    pub(super) input: &'a TurnInput,
    pub(super) container: &'a Arc<Container>,
    pub(super) id: &'a str,
    pub(super) tool: ServerTool,
    pub(super) ids: &'a Ids,
}

impl Running<'_> {
    pub(super) async fn run(&self, arguments: &Value) -> Result<Done, CallError> {
        let call = match parse(self.tool, arguments, self.id) {
            Ok(call) => call,
            Err(message) => return Ok(Done::invalid(message)),
        };
        let guest = self.engine.containers.lease(self.container).await?;
        let output_dir = self.ids.next_hex16();
        match call {
            Parsed::Exec(kind) => {
                let call = ExecCall {
                    kind,
                    input_dir: self.container.input_dir.clone(),
                    output_dir: output_dir.clone(),
                    timeout: limits::BASH_TIMEOUT,
                    env: Vec::new(),
                };
                let before = self.workdir(&guest).await?;
                let result = guest.exec(call).await?;
                if let Some(before) = before
                    && result.outcome == Outcome::Exited
                    && result.outputs.is_empty()
                {
                    let (output_dir, outputs) = self.captured(&guest, &before).await?;
                    let result = ExecResult { outputs, ..result };
                    return self.ran(&guest, &output_dir, result).await;
                }
                self.ran(&guest, &output_dir, result).await
            }
            Parsed::Edit(edit) => {
                let call = EditCall {
                    edit,
                    input_dir: self.container.input_dir.clone(),
                    output_dir,
                };
                Ok(match guest.edit(call).await? {
                    Ok(outcome) => Done::Edited(edited(outcome)),
                    Err(error) => refused(error, self.input),
                })
            }
        }
    }

    fn is_legacy(&self) -> bool {
        let mut tools = self.input.request.tools.iter();
        tools.any(|tool| tool.tag == "code_execution_20250522")
    }

    /// What lies in the working directory, if new files in it are to come back.
    async fn workdir(&self, guest: &Guest) -> Result<Option<workdir::Listing>, CallError> {
        match self.input.quirks.capture_workdir {
            CaptureWorkdir::Never => Ok(None),
            CaptureWorkdir::WhenOutputDirEmpty => {
                let result = self.helper(guest, workdir::LIST.to_owned()).await?;
                Ok(Some(workdir::read(&result.stdout)))
            }
        }
    }

    /// Copies what is new in the working directory into an output directory of ours.
    async fn captured(
        &self,
        guest: &Guest,
        before: &workdir::Listing,
    ) -> Result<(String, Vec<guest_proto::OutputFile>), CallError> {
        let after = self.helper(guest, workdir::LIST.to_owned()).await?;
        let Some(copy) = workdir::copy_of_new(before, &workdir::read(&after.stdout)) else {
            return Ok((String::new(), Vec::new()));
        };
        let call = self.helper_call(copy);
        let output_dir = call.output_dir.clone();
        Ok((output_dir, guest.exec(call).await?.outputs))
    }

    async fn ran(
        &self,
        guest: &Guest,
        output_dir: &str,
        result: ExecResult,
    ) -> Result<Done, CallError> {
        match result.outcome {
            Outcome::Exited => {}
            Outcome::TimedOut => return Ok(Done::failed("execution_time_exceeded")),
            Outcome::Cancelled => return Ok(Done::failed("unavailable")),
            Outcome::CouldNotStart { message } => {
                tracing::warn!(call.id = self.id, %message, "a call could not start");
                return Ok(Done::failed("unavailable"));
            }
        }
        let mut stderr = String::from_utf8_lossy(&result.stderr).into_owned();
        if let Some(file) = result.too_large.first() {
            let megabytes = limits::MAX_OUTPUT_FILE_BYTES / (1024 * 1024);
            tracing::warn!(call.id = self.id, file = %file.name, file.size = file.size, "output file over the limit");
            if self.tool == ServerTool::Bash {
                return Ok(Done::failed("output_file_too_large"));
            }
            // The Python tool knows no such code: the file stays in the container, and the model is told.
            stderr.push_str(&format_note(&format!(
                "`{}` is over {megabytes} MB and was not returned",
                file.name
            )));
        }
        if result.left_out > 0 || !result.refused.is_empty() {
            tracing::warn!(
                call.id = self.id, left_out = result.left_out, refused = ?result.refused,
                "some files in `$OUTPUT_DIR` were not returned"
            );
        }
        let mut files = Vec::with_capacity(result.outputs.len());
        for output in result.outputs {
            files.push(self.keep(guest, output_dir, output.name).await?);
        }
        let mut stdout = String::from_utf8_lossy(&result.stdout).into_owned();
        // Parity: since 2026-02 under 20250522 (FACTS 1.8).
        if self.is_legacy()
            && self.input.quirks.legacy_stdout_newline == LegacyStdoutNewline::Stripped
            && stdout.ends_with('\n')
        {
            stdout.pop();
        }
        Ok(Done::Ran {
            stdout,
            stderr,
            return_code: i64::from(result.return_code),
            files,
        })
    }

    /// Takes one output file out of the sandbox and makes it an object of the Files API.
    async fn keep(
        &self,
        guest: &Guest,
        output_dir: &str,
        name: String,
    ) -> Result<OutputFile, CallError> {
        let store = &self.engine.store;
        let turn = |error: StoreError| CallError::Turn(error.into());
        let mut blob = store.begin_blob().await.map_err(turn)?;
        let mut stream = guest.get_file(output_dir, &name).await?;
        loop {
            let mut chunk = bytes::BytesMut::with_capacity(COPY_BYTES);
            let read = stream
                .read_buf(&mut chunk)
                .await
                .map_err(|_| GuestError::Gone)?;
            if read == 0 {
                break;
            }
            blob.write(chunk.freeze()).await.map_err(turn)?;
        }
        let blob = blob.finish().await.map_err(turn)?;
        let now: DateTime<Utc> = self.input.workspace.clock.now();
        let mime = mime_guess::from_path(&name).first_or_octet_stream();
        let row = loop {
            let file = NewFile {
                id: self.ids.next(Kind::File),
                workspace: self.input.workspace.id.clone(),
                filename: name.clone(),
                mime_type: mime.essence_str().to_owned(),
                downloadable: true,
                created_at: now,
                expires_at: None,
                container_id: Some(self.container.id.clone()),
            };
            match store.insert_file(file, blob.clone()).await {
                // Seeded ids repeat over a restart.
                Err(StoreError::IdTaken { .. }) => {}
                result => break result.map_err(turn)?,
            }
        };
        Ok(OutputFile {
            file_id: row.id,
            filename: row.filename,
            size_bytes: row.size_bytes,
        })
    }
}

fn format_note(text: &str) -> String {
    format!("\nsandtable: {text}\n")
}

/// A call with its input checked.
enum Parsed {
    Exec(ExecKind),
    Edit(Edit),
}

fn parse(tool: ServerTool, arguments: &Value, id: &str) -> Result<Parsed, String> {
    let text = |key: &str| match &arguments[key] {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Err(format!("`{key}` is missing")),
        _ => Err(format!("`{key}` must be a string")),
    };
    Ok(match tool {
        ServerTool::Bash => Parsed::Exec(ExecKind::Bash(text("command")?)),
        ServerTool::Python => Parsed::Exec(ExecKind::Python {
            code: text("code")?,
            tag: id.to_owned(),
        }),
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
                return Err(format!(
                    "unknown command `{other}`: it is view, create, or str_replace"
                ));
            }
        }),
    })
}

fn view_range(value: &Value) -> Result<Option<(i64, i64)>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Array(range) => match range.as_slice() {
            [first, last] => first.as_i64().zip(last.as_i64()).map(Some),
            _ => None,
        }
        .ok_or_else(|| "`view_range` must be two line numbers".to_owned()),
        _ => Err("`view_range` must be two line numbers".to_owned()),
    }
}

fn edited(outcome: EditOutcome) -> EditorContent {
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

/// The documented codes (spec 02 §4.1); a directory and the like are `invalid_tool_input` (spec README).
fn refused(error: EditError, input: &TurnInput) -> Done {
    let mut message = error.message;
    let code = match error.kind {
        EditErrorKind::FileNotFound => "file_not_found",
        EditErrorKind::StringNotFound => match input.quirks.editor_missing_string {
            EditorMissingString::StringNotFound => "string_not_found",
            EditorMissingString::Unavailable => "unavailable",
        },
        EditErrorKind::IsDirectory
            if input.quirks.editor_directory_view == EditorDirectoryView::Unavailable =>
        {
            // Parity: `view` of `/skills/xlsx`, 2026-08-27 (FACTS §6).
            "Tool response parsing error for view: Failed to parse tool response as JSON: \
             unexpected character: line 1 column 1 (char 0)"
                .clone_into(&mut message);
            "unavailable"
        }
        EditErrorKind::Io => "unavailable",
        EditErrorKind::InvalidInput
        | EditErrorKind::IsDirectory
        | EditErrorKind::NotAFile
        | EditErrorKind::NotText
        | EditErrorKind::TooLarge
        | EditErrorKind::PermissionDenied => "invalid_tool_input",
    };
    Done::Failed {
        code: code.to_owned(),
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
            // One type for all three (seed 001).
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

fn block(id: &str, tool: ServerTool, done: &Done, keys: EditorKeys) -> ContentBlock {
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
                            file_id: file.file_id.clone(),
                        })
                        .collect(),
                },
                other => BashContent::Error {
                    error_code: error_code(other),
                },
            },
        },
        ServerTool::Python => ContentBlock::CodeExecutionToolResult {
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
                            file_id: file.file_id.clone(),
                        })
                        .collect(),
                    abort_reason: None,
                },
                other => PythonContent::Error {
                    error_code: error_code(other),
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
                Done::Ran { .. } => EditorContent::Error {
                    error_code: error_code(done),
                    error_message: None,
                },
            },
        },
    }
}

fn error_code(done: &Done) -> String {
    match done {
        Done::Failed { code, .. } => code.clone(),
        Done::Ran { .. } | Done::Edited(_) => "unavailable".to_owned(),
    }
}

fn call_result(id: String, tool: ServerTool, done: Done, block: &ContentBlock) -> CallResult {
    let content = serde_json::to_value(block)
        .map(|mut block| block["content"].take())
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
        Done::Failed { code, .. } => result.error_code = Some(code),
        Done::Edited(EditorContent::View { content, .. }) => result.stdout = content,
        Done::Edited(_) => {}
    }
    result
}
