//! Calls and their results, as the engine sees them, and their way into and out of frames.

use std::time::Duration;

use guest_proto as proto;
use guest_proto::{
    EditErrorKind, EditResult, ExecDone, FileType, Hunk, OutputFile, RequestBody, is_file_name,
};

use super::GuestError;
use common::limits::{MAX_OUTPUT_FILES, MAX_STREAM_BYTES};

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecCall {
    pub kind: ExecKind,
    /// 16 hex digits: names `$INPUT_DIR`.
    pub input_dir: String,
    /// 16 hex digits, new for each call: names `$OUTPUT_DIR`.
    pub output_dir: String,
    pub timeout: Duration,
    /// More environment; wins over everything.
    pub env: Vec<(String, String)>,
}

/// The program that an [`ExecCall`] runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecKind {
    /// A command for `bash -c`.
    Bash(String),
    /// Code for a fresh `python3`; runs as `/tmp/<tag>/cell.py`.
    Python {
        code: String,
        /// The call's id (`srvtoolu_…`).
        tag: String,
    },
}

/// The result of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    pub outcome: Outcome,
    /// Exit status, or 128 and the signal.
    pub return_code: i32,
    /// Raw; the middle is dropped and marked above the cap.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Files to hand back, by name.
    pub outputs: Vec<OutputFile>,
    /// Files over the size cap: the call answers `output_file_too_large`.
    pub too_large: Vec<OutputFile>,
    /// Names the Files API does not take.
    pub refused: Vec<String>,
    /// Files beyond the count cap.
    pub left_out: u64,
}

/// The four ways a program ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, or by a signal that was not ours.
    Exited,
    /// By us: its time was up.
    TimedOut,
    /// By us: it was cancelled.
    Cancelled,
    /// It never ran.
    CouldNotStart { message: String },
}

/// A use of the text editor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditCall {
    pub edit: Edit,
    /// 16 hex digits: what `$INPUT_DIR` at the start of a path means.
    pub input_dir: String,
    /// 16 hex digits: what `$OUTPUT_DIR` at the start of a path means.
    pub output_dir: String,
}

/// The operation of an [`EditCall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    View {
        path: String,
        /// First and last line; -1 is the end.
        view_range: Option<(i64, i64)>,
    },
    Create {
        path: String,
        file_text: String,
    },
    StrReplace {
        path: String,
        old_str: String,
        new_str: String,
    },
}

impl Edit {
    /// The path of the file that it writes.
    pub fn written(&self) -> Option<&str> {
        match self {
            Self::View { .. } => None,
            Self::Create { path, .. } | Self::StrReplace { path, .. } => Some(path),
        }
    }
}

/// The result of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditOutcome {
    View(View),
    /// Whether the file was there before.
    Create {
        is_file_update: bool,
    },
    /// The change; `None` if the new text is the old one.
    StrReplace {
        hunk: Option<Hunk>,
    },
}

/// The content of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    Text {
        content: String,
        num_lines: u64,
        start_line: u64,
        total_lines: u64,
    },
    /// Raw bytes; base64 on the wire.
    Image(Vec<u8>),
    /// Raw bytes; base64 on the wire.
    Pdf(Vec<u8>),
}

/// Why an edit is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EditError {
    pub kind: EditErrorKind,
    pub message: String,
}

/// A file for `$INPUT_DIR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutFile<'a> {
    pub name: &'a str,
    /// 16 hex digits: names `$INPUT_DIR`.
    pub input_dir: &'a str,
}

impl PutFile<'_> {
    pub(super) fn into_request(self, unless_there: bool) -> RequestBody {
        RequestBody::Put {
            input_dir: self.input_dir.to_owned(),
            name: self.name.to_owned(),
            unless_there,
        }
    }
}

impl ExecCall {
    pub(super) fn into_request(self) -> (RequestBody, Vec<u8>) {
        let (command, payload) = match self.kind {
            ExecKind::Bash(command) => (proto::Command::Bash {}, command),
            ExecKind::Python { code, tag } => (proto::Command::Python { tag }, code),
        };
        let body = RequestBody::Exec {
            command,
            input_dir: self.input_dir,
            output_dir: self.output_dir,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            env: self.env.into_iter().collect(),
        };
        (body, payload.into_bytes())
    }
}

impl EditCall {
    pub(super) fn into_request(self) -> (RequestBody, Vec<u8>) {
        let (edit, path, payload) = match self.edit {
            Edit::View { path, view_range } => {
                (proto::Edit::View { view_range }, path, String::new())
            }
            Edit::Create { path, file_text } => (proto::Edit::Create {}, path, file_text),
            Edit::StrReplace {
                path,
                old_str,
                new_str,
            } => {
                let old_bytes = old_str.len() as u64;
                (
                    proto::Edit::StrReplace { old_bytes },
                    path,
                    old_str + &new_str,
                )
            }
        };
        let body = RequestBody::Edit {
            edit,
            path,
            input_dir: self.input_dir,
            output_dir: self.output_dir,
        };
        (body, payload.into_bytes())
    }
}

impl ExecResult {
    pub(super) fn from_answer(done: ExecDone, mut payload: Vec<u8>) -> Result<Self, GuestError> {
        let files = done.outputs.len() + done.too_large.len() + done.refused.len();
        if files > 3 * MAX_OUTPUT_FILES {
            return Err(nonsense("more output files than allowed"));
        }
        if let Some(file) = done
            .outputs
            .iter()
            .chain(&done.too_large)
            .find(|file| !is_file_name(&file.name))
        {
            return Err(nonsense(&format!("output file named {:.80?}", file.name)));
        }
        let stdout_bytes = usize::try_from(done.stdout_bytes)
            .ok()
            .filter(|bytes| *bytes <= payload.len())
            .ok_or_else(|| nonsense("less output than announced"))?;
        // Twice the cap leaves room for the line that marks what was dropped, and for other settings.
        if payload.len() > 4 * MAX_STREAM_BYTES {
            return Err(nonsense("more output than allowed"));
        }
        let stderr = payload.split_off(stdout_bytes);
        Ok(Self {
            outcome: match done.outcome {
                proto::Outcome::Exited {} => Outcome::Exited,
                proto::Outcome::TimedOut {} => Outcome::TimedOut,
                proto::Outcome::Cancelled {} => Outcome::Cancelled,
                proto::Outcome::CouldNotStart { message } => Outcome::CouldNotStart { message },
            },
            return_code: done.return_code,
            stdout: payload,
            stderr,
            outputs: done.outputs,
            too_large: done.too_large,
            refused: done.refused,
            left_out: done.left_out,
        })
    }
}

impl EditOutcome {
    pub(super) fn from_answer(result: EditResult, payload: Vec<u8>) -> Result<Self, GuestError> {
        Ok(match result {
            EditResult::View {
                file_type: FileType::Text,
                num_lines: Some(num_lines),
                start_line: Some(start_line),
                total_lines: Some(total_lines),
            } => Self::View(View::Text {
                content: String::from_utf8(payload).map_err(|_| nonsense("text is not UTF-8"))?,
                num_lines,
                start_line,
                total_lines,
            }),
            EditResult::View {
                file_type: FileType::Image,
                ..
            } => Self::View(View::Image(payload)),
            EditResult::View {
                file_type: FileType::Pdf,
                ..
            } => Self::View(View::Pdf(payload)),
            EditResult::View { .. } => return Err(nonsense("text without counters")),
            EditResult::Create { is_file_update } => Self::Create { is_file_update },
            EditResult::StrReplace { mut hunk } => {
                // A guest of an earlier server has them in its header.
                if let Some(hunk) = hunk.as_mut().filter(|hunk| hunk.lines.is_empty()) {
                    let text =
                        str::from_utf8(&payload).map_err(|_| nonsense("a hunk is not UTF-8"))?;
                    hunk.lines = text.split('\n').map(str::to_owned).collect();
                }
                Self::StrReplace { hunk }
            }
        })
    }
}

fn nonsense(reason: &str) -> GuestError {
    GuestError::Protocol {
        reason: reason.to_owned(),
    }
}
