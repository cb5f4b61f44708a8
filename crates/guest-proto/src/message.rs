//! The messages: what the host asks and what the guest answers.
//!
//! Both carry the call's id, chosen by the host and never used twice on one channel. Within a
//! generation this file only grows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Settings, Token};

/// A message of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Names the call; the answers repeat it.
    pub call: u64,
    pub body: RequestBody,
}

/// The body of a request of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestBody {
    /// First on every channel.
    Hello { generation: u16, settings: Settings },
    /// Runs a program; the payload is the command or the code.
    Exec {
        command: Command,
        /// 16 hex digits: names `$INPUT_DIR`.
        input_dir: String,
        /// 16 hex digits: names the new, empty `$OUTPUT_DIR`.
        output_dir: String,
        timeout_ms: u64,
        /// More environment of this call; wins over everything.
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
    /// Runs a cell in the container's one interpreter, after those that came before; the payload is its
    /// code. It answers `cell_waits` or `cell_done`.
    Cell {
        /// Names the cell, and its directory below `tmp_root`.
        tag: String,
        input_dir: String,
        output_dir: String,
        /// Of running, not of waiting: for its turn, or for what it has called.
        timeout_ms: u64,
        /// The tools that the cell may call.
        tools: Vec<String>,
    },
    /// Hands a cell what it waits for, and waits for its next stop as `cell` does. What was answered
    /// before is passed over: asked again, the cell says again where it is. The payload is the texts.
    GoOn {
        tag: String,
        answers: Vec<CodeAnswer>,
    },
    /// Ends a cell, wherever it is.
    EndCell { tag: String },
    /// Views or changes a file; the payload is the text of a `create`, or both of a `str_replace`.
    Edit {
        edit: Edit,
        path: String,
        input_dir: String,
        output_dir: String,
    },
    /// Opens a file in `$INPUT_DIR` for writing; its content follows as `chunk`s.
    Put {
        input_dir: String,
        name: String,
        /// A file that lies there stays as it is, and `put_done` comes at once.
        #[serde(default)]
        unless_there: bool,
    },
    /// Takes away what lies in the place of a skill, before its files are put there; answers `put_done`.
    NewSkill { name: String },
    /// Opens a file of a skill for writing, `<skill>/<path>` below `skills_root`; its content follows as
    /// `chunk`s.
    PutSkill { path: String, executable: bool },
    /// The next bytes of a `put`, as payload.
    Chunk { last: bool },
    /// Opens a file of an output directory for reading.
    Get { output_dir: String, name: String },
    /// Lets the guest send so many more chunks of a `get`.
    More { chunks: u32 },
    /// Ends a call. An `exec` answers `cancelled`; a `put` or `get` answers nothing more.
    Cancel {},
    /// Asks for a `pong`.
    Ping {},
    /// First on every channel of a guest with a lease, behind a mark: what was half said before is
    /// void. The answer comes behind a mark of `nonce`.
    Resume {
        generation: u16,
        settings: Settings,
        nonce: Token,
    },
    /// Takes over an `exec` of an earlier stream: its answer becomes this call's.
    Adopt { earlier: u64 },
    /// Ends the calls of earlier streams that nobody has adopted, and forgets their answers.
    Release {},
    /// The answer of this `exec` has come; the guest need not keep it.
    Ack {},
}

/// The program that an `exec` runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// `/bin/bash -c <payload>`.
    Bash {},
    /// `python3 <tmp_root>/<tag>/cell.py`.
    Python { tag: String },
}

/// How many levels of the arguments of a [`CodeCall`] may lie in one another.
pub const MAX_ARGS_DEPTH: usize = 111;

/// A call that code in a cell makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCall {
    /// Counts the calls of the cell, from 0.
    pub n: u64,
    pub name: String,
    /// A JSON object as the code wrote it.
    pub args: String,
}

/// The answer to a call in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeAnswer {
    pub n: u64,
    /// How much of the payload is its text.
    pub bytes: u64,
    /// The call gets a `TimeoutError` of this text.
    pub timed_out: bool,
}

/// A cell of an earlier stream that waits for answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingCell {
    pub tag: String,
    /// The calls whose answers it waits for.
    pub calls: Vec<CodeCall>,
}

/// The operation of the editor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Shows a file, or the lines from the first to the second (-1: to the end).
    View {
        #[serde(default)]
        view_range: Option<(i64, i64)>,
    },
    /// Writes a file; the payload is its text.
    Create {},
    /// Replaces the one occurrence; the payload is the old text, of this length, and the new one.
    StrReplace { old_bytes: u64 },
}

/// A message of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The call it belongs to.
    pub call: u64,
    pub body: AnswerBody,
}

/// The body of an answer of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerBody {
    /// Ready for calls.
    Hello {
        generation: u16,
        /// Whether the guest is PID 1 of its sandbox.
        init: bool,
    },
    /// An `exec` is over; the payload is stdout, then stderr.
    ExecDone(ExecDone),
    /// A cell has come to where it waits for these calls and for nothing else of its own.
    CellWaits { calls: Vec<CodeCall> },
    /// A cell is over; the payload is stdout, then stderr.
    CellDone {
        done: ExecDone,
        /// Names the cell's output directory, which an earlier server may have chosen.
        output_dir: String,
        /// Whether an interpreter that ran before is gone, and all that its cells had set.
        state_lost: bool,
    },
    /// An edit is done; the payload is the content of a view, or the lines of a hunk.
    EditDone { result: EditResult },
    /// An edit is not possible: the file's or the input's fault, never the sandbox's.
    EditFailed {
        kind: EditErrorKind,
        message: String,
    },
    /// A `get` is open; chunks follow.
    Opened { size: u64 },
    /// The next bytes of a `get`, as payload.
    Chunk { last: bool },
    /// The file of a `put` is in place; `linked` if it also lies in the working directory.
    PutDone { linked: bool },
    /// The call cannot be done.
    Error { kind: ErrorKind, message: String },
    /// Answers `ping`.
    Pong {},
    /// Answers `resume`: ready for calls.
    Resumed {
        generation: u16,
        /// Whether the guest is PID 1 of its sandbox.
        init: bool,
        /// The number of this stream, from 1: the upper half of the ids of its calls.
        epoch: u32,
        /// Calls that earlier streams have left.
        unclaimed: Vec<Unclaimed>,
        /// The cell that waits for answers, if one does.
        #[serde(default)]
        waiting: Option<WaitingCell>,
    },
    /// Answers no call: what came is no frame, and nothing is heard until the next mark.
    Lost {},
}

/// An `exec` of an earlier stream that runs still, or whose answer was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclaimed {
    pub call: u64,
    /// Names the call to those who know it.
    pub output_dir: String,
    /// Whether its answer is there.
    pub done: bool,
}

/// How an `exec` ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecDone {
    pub outcome: Outcome,
    /// Exit status, or 128 and the signal.
    pub return_code: i32,
    /// How much of the payload is stdout.
    pub stdout_bytes: u64,
    /// Files to hand back, by name.
    pub outputs: Vec<OutputFile>,
    /// Files over the size cap.
    pub too_large: Vec<OutputFile>,
    /// Names the Files API does not take (not UTF-8: with replacement characters).
    pub refused: Vec<String>,
    /// Files beyond the count cap, of any of the three lists.
    pub left_out: u64,
}

/// The four ways a program ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// By itself, or by a signal that was not ours.
    Exited {},
    /// By us: its time was up.
    TimedOut {},
    /// By us: the host said so.
    Cancelled {},
    /// It never ran.
    CouldNotStart { message: String },
}

/// A file in an output directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    pub name: String,
    pub size: u64,
    /// Files of one call that say the same number are one file under several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same: Option<u64>,
}

impl OutputFile {
    /// A file that has one name.
    pub fn new(name: impl Into<String>, size: u64) -> Self {
        Self {
            name: name.into(),
            size,
            same: None,
        }
    }
}

/// The result of an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditResult {
    /// The payload is the content; the counters are of text only.
    View {
        file_type: FileType,
        num_lines: Option<u64>,
        start_line: Option<u64>,
        total_lines: Option<u64>,
    },
    /// Whether the file was there before.
    Create { is_file_update: bool },
    /// The change; `None` if the new text is the old one.
    StrReplace { hunk: Option<Hunk> },
}

/// The type of a viewed file, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileType {
    Text,
    Image,
    Pdf,
}

/// A hunk of a unified diff: `lines` start with a blank, `-`, or `+`, and end without a newline. They travel in the payload,
/// with newlines between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    pub old_start: u64,
    pub old_lines: u64,
    pub new_start: u64,
    pub new_lines: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// Why an edit is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditErrorKind {
    FileNotFound,
    StringNotFound,
    /// The range, the path, or an old text that is not there exactly once.
    InvalidInput,
    IsDirectory,
    /// A FIFO, a socket, or a device.
    NotAFile,
    /// Neither UTF-8, nor an image, nor a PDF.
    NotText,
    TooLarge,
    PermissionDenied,
    /// The file system refused: disk full, read-only, a loop of links.
    Io,
}

/// Why a call cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request makes no sense; the host's fault.
    Invalid,
    NotFound,
    NoSpace,
    /// Too many calls at once.
    Busy,
    Io,
}
