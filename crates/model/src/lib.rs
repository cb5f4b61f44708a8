//! The models, which decide the next step of a turn: `tour`, `direct`, or `script`.
//!
//! A model sees the request and the results of the calls it made; it knows neither HTTP nor
//! sandboxes. The engine asks for a step, carries it out, and asks again.

mod code;
pub mod direct;
pub mod draft;
mod given;
mod history;
mod hosted;
mod sample;
pub mod script;
pub mod tour;
mod web;

pub use history::compaction_signature;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use given::{CodeResult, GivenBytes, GivenFile, GivenPath};
pub use hosted::{Advice, Finding, McpAnswer};
pub use web::{Web, WebAnswer, WebPage};
use wire::ToolErrorCode;
use wire::hosted::{McpTool, RefusalCategory};

use common::hinted::Hinted;
use common::ids::FileId;

/// A request as a model sees it.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The body as it came, for `JSONPath` and templates.
    pub body: Arc<Value>,
    /// Text of the newest user message that has text; text blocks are joined with a newline.
    pub user_text: String,
    /// The declared tools, in the request's order.
    pub tools: Vec<DeclaredTool>,
    /// The declared code execution tool, if there is one.
    pub code_tool: Option<CodeTool>,
    /// `container_upload` files of the newest user turn, in order.
    pub uploads: Vec<Upload>,
    /// The ids of `tool_result` blocks in the last message, in order.
    pub answered: Vec<String>,
    /// Whether the last message is the assistant's: the turn goes on after a `pause_turn`.
    pub resumes_pause: bool,
}

/// One entry of `tools`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTool {
    /// The `type`, or `custom` where it is absent.
    pub kind: String,
    /// The `name`.
    pub name: String,
}

/// Which sub-tools the declared code execution tool offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeTool {
    /// `code_execution_20250522`: `code_execution` with Python alone.
    Python,
    /// `code_execution_20250825`: `bash_code_execution` and `text_editor_code_execution`.
    BashAndEditor,
    /// `code_execution_20260120` and later, or an older one with tools that code may call: both of
    /// these, and `code_execution` with cells whose state is kept.
    Cells,
}

impl CodeTool {
    /// Whether a sub-tool is among them.
    pub fn offers(self, tool: ServerTool) -> bool {
        match tool {
            ServerTool::Python => matches!(self, Self::Python | Self::Cells),
            ServerTool::Bash | ServerTool::Editor => {
                matches!(self, Self::BashAndEditor | Self::Cells)
            }
            ServerTool::WebSearch
            | ServerTool::WebFetch
            | ServerTool::ToolSearchRegex
            | ServerTool::ToolSearchBm25
            | ServerTool::Advisor => false,
        }
    }
}

/// A file that the request puts into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub file_id: FileId,
    pub filename: String,
}

/// One thing the model emits.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Text(String),
    /// A text, and its citations in the API's shape.
    Cited(String, Vec<Value>),
    Thinking(String),
    /// A thought that tells how the work goes on.
    Progress(String),
    /// A thought whose text nobody can read.
    RedactedThinking(String),
    /// One call, or several at once. With a client call among them the turn ends with `tool_use`,
    /// and the server calls of the same group wait for the continuation.
    Calls(Vec<Call>),
    /// Waits before the next step.
    Delay(Duration),
    /// Ends the turn with `pause_turn`.
    Pause,
    /// Ends the turn.
    Stop(Stop),
    /// Ends the turn as a failure of the service.
    Fail(ServiceError),
    /// Sets token counters of this turn.
    Usage(UsageOverride),
    /// A compaction: its summary takes the place of all that was said before.
    Compaction(Compacted),
    /// This model declines, and another goes on; where the request names none any more, the answer ends as a refusal.
    Fallback {
        /// The next of the request's, if `None`.
        to: Option<String>,
        category: Option<RefusalCategory>,
    },
    /// The tools that an MCP server has.
    McpListing {
        server: String,
        tools: Vec<McpTool>,
    },
    /// A file that lies in the container.
    ContainerUpload(String),
    /// The edits that cleared parts of the context, in the API's shape.
    AppliedEdits(Vec<Value>),
}

/// A compaction that the model emits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compacted {
    /// `None`: nothing came of it.
    pub summary: Option<String>,
    /// In the API's shape.
    pub tool_changes: Option<Vec<Value>>,
}

/// A tool call the model writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    Server {
        tool: ServerTool,
        input: Value,
        /// The call is not run: this is its result.
        failure: Option<ToolFailure>,
        /// The result of a tool that needs no container, or of code that does not run; `None` asks [`Model::web`],
        /// or the request, or runs the code.
        found: Option<Finding>,
    },
    /// A tool of an MCP server, which the service asks.
    Mcp {
        server: String,
        name: String,
        input: Value,
        answer: McpAnswer,
    },
    Client {
        name: String,
        input: Value,
    },
}

impl Call {
    /// The name in its block.
    pub fn name(&self) -> &str {
        match self {
            Self::Server { tool, .. } => tool.name(),
            Self::Mcp { name, .. } | Self::Client { name, .. } => name,
        }
    }
}

/// The error that a call gets in place of being run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFailure {
    pub code: ToolErrorCode,
    /// Only the editor and the search for tools print one.
    pub message: Option<String>,
}

impl ToolFailure {
    /// A code, and nothing more.
    pub fn of(code: ToolErrorCode) -> Self {
        Self {
            code,
            message: None,
        }
    }
}

wire::words! {
    /// The sub-tools of code execution, the web tools, and what else the service carries out. Their names
    /// are those of `server_tool_use`.
    pub ServerTool {
        Python "code_execution",
        Bash "bash_code_execution",
        Editor "text_editor_code_execution",
        WebSearch "web_search",
        WebFetch "web_fetch",
        ToolSearchRegex "tool_search_tool_regex",
        ToolSearchBm25 "tool_search_tool_bm25",
        Advisor "advisor",
    }
}

/// The resource that a tool of the service works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A container.
    Container,
    /// The web.
    Web,
    /// The request alone.
    Service,
}

impl ServerTool {
    /// The resource that it works with.
    pub fn place(self) -> Place {
        match self {
            Self::Python | Self::Bash | Self::Editor => Place::Container,
            Self::WebSearch | Self::WebFetch => Place::Web,
            Self::ToolSearchRegex | Self::ToolSearchBm25 | Self::Advisor => Place::Service,
        }
    }

    /// Whether it needs a container.
    pub fn runs_code(self) -> bool {
        self.place() == Place::Container
    }

    /// Whether it is a web tool.
    pub fn is_web(self) -> bool {
        self.place() == Place::Web
    }

    /// The codes that its errors can have.
    pub fn error_codes(self) -> &'static [ToolErrorCode] {
        match self {
            Self::Python => wire::OF_PYTHON,
            Self::Bash => wire::OF_BASH,
            Self::Editor => wire::OF_EDITOR,
            Self::WebSearch => wire::OF_SEARCH,
            Self::WebFetch => wire::OF_FETCH,
            Self::ToolSearchRegex | Self::ToolSearchBm25 => wire::OF_TOOL_SEARCH,
            Self::Advisor => wire::OF_ADVISOR,
        }
    }

    /// The one of its codes that has this name.
    pub fn error_code(self, name: &str) -> Option<ToolErrorCode> {
        ToolErrorCode::from_name(name).filter(|code| self.error_codes().contains(code))
    }

    /// The names of its codes.
    pub fn error_names(self) -> Vec<&'static str> {
        self.error_codes().iter().map(|code| code.name()).collect()
    }

    /// Whether an error of it says more than its code.
    pub fn prints_messages(self) -> bool {
        match self {
            Self::Editor | Self::ToolSearchRegex | Self::ToolSearchBm25 => true,
            Self::Python | Self::Bash | Self::WebSearch | Self::WebFetch | Self::Advisor => false,
        }
    }
}

/// Why a turn ends by the model's will.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stop {
    /// `end_turn`, `max_tokens`, `stop_sequence`, `refusal`, `model_context_window_exceeded`.
    pub reason: String,
    /// Only with `stop_sequence`.
    pub stop_sequence: Option<String>,
    /// Only with `refusal`.
    pub category: Option<String>,
    /// Only with `refusal`.
    pub explanation: Option<String>,
}

/// An error the service itself would answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    pub status: u16,
    /// `overloaded_error`, `api_error`, …
    pub kind: String,
    pub message: String,
    /// `error.details`, such as `{"error_code":"…"}`; boxed to keep results small.
    pub details: Option<Box<Value>>,
    /// Further answer headers, such as `retry-after`.
    pub headers: Vec<(String, String)>,
    /// In a stream the error comes after this many events; 0 is an HTTP error.
    pub after_events: Option<u32>,
}

/// Token counters that a script sets; `None` leaves the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageOverride {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cache_creation_input_tokens: Option<u64>,
    pub cache_read_input_tokens: Option<u64>,
}

/// How one call of the last [`Step::Calls`] ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CallResult {
    /// The `srvtoolu_…` or `toolu_…` id the engine gave the call.
    pub id: String,
    /// The tool's name on the wire.
    pub name: String,
    /// bash and Python: what was written; a client tool: its result's text; else empty.
    pub stdout: String,
    /// bash and Python.
    pub stderr: String,
    /// bash and Python; `None` for the editor, a client tool, or an error block.
    pub return_code: Option<i64>,
    /// Set if the result is an error block.
    pub error_code: Option<String>,
    /// The `content` of the result block as it goes to the client.
    pub content: Value,
    /// Files that came back from `$OUTPUT_DIR`.
    pub files: Vec<OutputFile>,
}

/// A file made by a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    pub file_id: FileId,
    pub filename: String,
    pub size_bytes: u64,
}

/// Why a model cannot go on. Becomes an HTTP error with `x-should-retry: false`, or the stream's
/// `error` event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// The error's text; names the script's file and line where there is one. With the hint it is the client's
    /// text.
    pub message: String,
    pub hint: Option<Cow<'static, str>>,
}

impl ModelError {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Hinted for ModelError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.hint.as_deref().map(Cow::Borrowed)
    }
}

/// A step of a script by its key, such as `bash`, and its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepPlace {
    pub step: &'static str,
    pub line: u64,
}

/// A source of a turn's steps.
pub trait Model: Send + std::fmt::Debug {
    /// Where the answers come from: `tour`, `direct`, or a script rule's name; for the journal.
    fn source(&self) -> &str;

    /// Whether that is the name of a rule, which may be any.
    fn is_rule(&self) -> bool;

    /// Where in a script the step before came from; `None` of what is not written in one.
    fn place(&self) -> Option<StepPlace> {
        None
    }

    /// What fails in carrying out the step before, with its place in the script.
    fn at_step(&self, error: ModelError) -> ModelError {
        error
    }

    /// The next step. `results` are those of the calls in the step before, in the order of the
    /// calls; empty after any other step. `Ok(None)` ends the turn with `end_turn`.
    fn next(&mut self, results: &[CallResult]) -> Result<Option<Step>, ModelError>;

    /// The error that a call of an earlier answer gets instead of being run.
    fn failure_of(&self, id: &str) -> Option<ToolFailure> {
        let _ = id;
        None
    }

    /// The web for calls that bring no result with them: those of code above all. `None`: nothing can be reached.
    fn web(&self) -> Option<Arc<dyn Web>> {
        None
    }

    /// The result that a call of an earlier answer brings with it.
    fn found_of(&self, id: &str) -> Option<Finding> {
        let _ = id;
        None
    }

    /// The answer is about to end where the model did not mean it to: it takes in the `results` that it has
    /// not seen, unless its calls still wait, and whatever continues the answer goes on with it, even if it has
    /// nothing left to say.
    fn interrupt(&mut self, results: Option<&[CallResult]>) -> Result<(), ModelError> {
        let _ = results;
        Ok(())
    }

    /// The turn ended before the model was done: in client calls or a pause. `ids` are the tool-use
    /// ids of the response that still wait, or, for a pause, all of the response's tool-use ids and
    /// its message id. The model keeps its place under them, and under `by_code`: the ids of calls that
    /// code made in one of these, which come back with answers that are not the model's.
    fn park(self: Box<Self>, ids: &[String], by_code: &[String]);
}

/// The handling of an unmatched turn while scripts are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnmatched {
    #[default]
    Fail,
    Direct,
}

/// Chooses the model of a turn for one workspace: a parked run that the request continues, else the
/// scripts if any are loaded, else `tour`, else `direct`.
pub fn select(
    request: &TurnRequest,
    scripts: &script::Scripts,
    on_unmatched: OnUnmatched,
) -> Result<Box<dyn Model>, ModelError> {
    if let Some(model) = scripts.resume(request)? {
        return Ok(model);
    }
    if scripts.is_empty() {
        return Ok(
            tour::answer(request, scripts).unwrap_or_else(|| direct::answer(request, scripts))
        );
    }
    match scripts.start(request) {
        Ok(model) => Ok(model),
        Err(_) if on_unmatched == OnUnmatched::Direct => Ok(direct::answer(request, scripts)),
        Err(error) => Err(error),
    }
}
