//! A rule as it runs: validated, compiled, and flat.
//!
//! `if` becomes jumps, so that a place in a rule is one number.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use regex::Regex;
use wire::ToolErrorCode;
use wire::hosted::RefusalCategory;

use super::matching::{Clause, TextMatcher};
use super::template::{Json, TemplateId, Templates, Text};
use crate::{ServerTool, TurnRequest, UsageOverride, WebAnswer};
use common::document::Position;

/// One rule of a script.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) file: Arc<str>,
    /// Where the file lies, if it is one.
    pub(super) folder: Option<Arc<Path>>,
    pub(super) at: Position,
    pub(super) clauses: Vec<Clause>,
    /// How often it answers; `None` is without end.
    pub(super) times: Option<u64>,
    pub(super) ops: Vec<Op>,
    /// The results of its web tools.
    pub(super) web: Vec<WebEntry>,
    pub(super) templates: Arc<Templates>,
}

/// One instruction.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) at: Position,
    /// The step's key, for messages.
    pub(super) key: &'static str,
    pub(super) kind: OpKind,
}

impl Op {
    /// Its calls, if it makes any.
    pub(super) fn calls(&self) -> Option<&[ScriptCall]> {
        let OpKind::Calls(calls) = &self.kind else {
            return None;
        };
        Some(calls)
    }
}

/// The action of an instruction.
#[derive(Debug)]
pub(super) enum OpKind {
    Text(Text),
    /// A text, and the list of its citations.
    Cited(Text, Json),
    Thinking(Text),
    /// A thought that tells how the work goes on.
    Progress(Text),
    RedactedThinking(Text),
    Calls(Vec<ScriptCall>),
    Delay(Duration),
    Pause,
    Stop(ScriptStop),
    Fail(ScriptError),
    Usage(UsageOverride),
    Compaction {
        /// `None`: nothing comes of it.
        summary: Option<Text>,
        tool_changes: Option<Json>,
    },
    Fallback {
        to: Option<Text>,
        category: Option<RefusalCategory>,
    },
    McpListing {
        server: Text,
        tools: Json,
    },
    ContainerUpload(Text),
    AppliedEdits(Json),
    /// Goes to `otherwise` unless the condition holds.
    Branch {
        condition: Condition,
        otherwise: usize,
    },
    Jump(usize),
}

/// A call as it is written in a script.
#[derive(Debug)]
pub(super) struct ScriptCall {
    pub(super) at: Position,
    pub(super) key: &'static str,
    pub(super) tool: ScriptTool,
    pub(super) failure: Option<ScriptFailure>,
    pub(super) result: Option<ScriptResult>,
    pub(super) expect: Option<Expect>,
    pub(super) captures: Vec<(String, Capture)>,
}

impl ScriptCall {
    /// Whether it runs something in a sandbox.
    fn needs_sandbox(&self) -> bool {
        let is_code = match &self.tool {
            ScriptTool::Bash(_) | ScriptTool::Python(_) | ScriptTool::Editor(_) => true,
            ScriptTool::Client { .. }
            | ScriptTool::AnyClient(_)
            | ScriptTool::Web { .. }
            | ScriptTool::ToolSearch { .. }
            | ScriptTool::Advisor { .. }
            | ScriptTool::Mcp { .. } => false,
        };
        is_code && self.failure.is_none() && self.result.is_none()
    }
}

/// `result`, where it is no error.
#[derive(Debug)]
pub(super) enum ScriptResult {
    Ran {
        stdout: Text,
        stderr: Text,
        /// A whole number.
        return_code: Json,
        files: Vec<ScriptFile>,
    },
    Edited {
        command: EditorCommand,
        /// The members of its result block.
        members: Json,
    },
}

wire::words! {
    /// The command of the editor.
    pub(super) EditorCommand {
        View "view",
        Create "create",
        StrReplace "str_replace",
    }
}

/// One of the `files` of a `result`.
#[derive(Debug)]
pub(super) struct ScriptFile {
    pub(super) at: Position,
    /// Else the last part of its path.
    pub(super) name: Option<Text>,
    pub(super) source: ScriptSource,
}

/// The content of such a file.
#[derive(Debug)]
pub(super) enum ScriptSource {
    /// There is no template in it.
    Plain(Bytes),
    Text(Text),
    Base64(Text),
    /// Relative to the script's folder.
    Path(Text),
}

/// `tool_error`, or a `result` that is an error.
#[derive(Debug)]
pub(super) struct ScriptFailure {
    pub(super) code: ToolErrorCode,
    pub(super) message: Option<Text>,
}

/// The tool of a call, and its input.
#[derive(Debug)]
pub(super) enum ScriptTool {
    Bash(Text),
    Python(Text),
    /// The editor's input.
    Editor(Json),
    Client {
        name: String,
        input: Json,
    },
    /// One of the client's tools, counted round; without one the step is passed over.
    AnyClient(usize),
    /// A web tool; without `found` the rule's `web` answers.
    Web {
        tool: ServerTool,
        asked: Json,
        found: Option<Json>,
    },
    /// A search for tools; without a variant the one that is declared.
    ToolSearch {
        variant: Option<ServerTool>,
        asked: Json,
        limit: Option<u64>,
        /// Else the request's own tools are searched.
        finds: Option<Json>,
    },
    Advisor {
        text: Text,
        redacted: bool,
        stop_reason: Option<String>,
    },
    /// A tool of an MCP server.
    Mcp {
        server: Text,
        name: String,
        input: Json,
        texts: Vec<Text>,
        is_error: bool,
    },
}

/// How a value is taken from a result.
#[derive(Debug)]
pub(super) enum Capture {
    /// The first group of the expression, or all of it, in stdout.
    Regex(Regex),
    Template(Text),
}

/// The conditions on a result.
#[derive(Debug, Default)]
pub(super) struct Expect {
    pub(super) at: Position,
    pub(super) return_code: Option<Vec<i64>>,
    pub(super) stdout: Option<TextMatcher<Text>>,
    pub(super) stderr: Option<TextMatcher<Text>>,
    pub(super) error_code: Option<ExpectedError>,
    /// Each names a file that must have come; none of them: no file may.
    pub(super) files: Option<Vec<ExpectedFile>>,
}

/// The name of a file that must have come.
#[derive(Debug)]
pub(super) enum ExpectedFile {
    Glob(glob::Pattern),
    /// Whose text is a glob.
    Template(Text),
}

/// Which error a result must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExpectedError {
    None,
    Code(String),
}

/// The condition of `if`.
#[derive(Debug)]
pub(super) enum Condition {
    Template(TemplateId),
    Result(Expect),
}

/// A `stop` step.
#[derive(Debug)]
pub(super) struct ScriptStop {
    pub(super) reason: String,
    pub(super) stop_sequence: Option<Text>,
    pub(super) category: Option<String>,
    pub(super) explanation: Option<Text>,
}

/// An `http_error` step.
#[derive(Debug)]
pub(super) struct ScriptError {
    pub(super) status: u16,
    pub(super) kind: String,
    pub(super) message: Text,
    pub(super) headers: Vec<(String, Text)>,
    pub(super) after_events: Option<u32>,
}

impl Rule {
    /// Whether every clause holds.
    pub(super) fn matches(&self, request: &TurnRequest) -> bool {
        self.clauses.iter().all(|clause| clause.holds(request))
    }

    /// How many of its steps run something in a sandbox.
    pub(super) fn sandboxed_steps(&self) -> usize {
        let calls = self.ops.iter().filter_map(Op::calls).flatten();
        calls.filter(|call| call.needs_sandbox()).count()
    }

    /// The names that `capture` beside its calls gives.
    pub(super) fn captured_names(&self) -> impl Iterator<Item = &str> {
        self.ops
            .iter()
            .filter_map(Op::calls)
            .flatten()
            .flat_map(|call| call.captures.iter().map(|(name, _)| name.as_str()))
    }

    /// `file:line` of the rule.
    pub(super) fn place(&self) -> String {
        self.place_of(self.at)
    }

    /// `file:line` of something in the rule.
    pub(super) fn place_of(&self, at: Position) -> String {
        format!("{}:{}", self.file, at.line)
    }
}

/// One entry of a rule's `web`.
#[derive(Debug)]
pub(super) struct WebEntry {
    pub(super) at: Position,
    pub(super) tool: ServerTool,
    /// The query or the URL.
    pub(super) asked: TextMatcher,
    pub(super) answer: WebAnswer,
}
