//! Running one server call in the turn's container.

mod cells;
mod files;
mod given;
mod memo;
mod queue;
mod words;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;
use wire::ToolErrorCode;
use wire::block::{Caller, ContentBlock, EditorContent};
use wire::refusal::Invalid;

use crate::container::{Container, Lease, PastCall, Step};
use crate::hosted::{HostedCall, HostedTools};
use crate::programmatic::{self, CodeAnswer, CodeUse};
use crate::web::{WebCall, WebResult, WebTools};
use crate::{Engine, TurnError, TurnInput, workdir};
use common::ids::Ids;
use common::limits::{self, Timeouts};
pub use files::Allowance;
use files::Unreturned;
pub use memo::Memo;
use model::{
    CallResult, CodeResult, Finding, McpAnswer, OutputFile, Place, ServerTool, ToolFailure,
};
pub(crate) use queue::{Spot, spots};
use sandbox::SandboxError;
use sandbox::guest::{EditCall, ErrorKind, ExecCall, ExecResult, Guest, GuestError, Outcome};
use store::TempBlob;
use words::Parsed;
use workspace::fault::{Fault, Occasion};
use workspace::lint::{FILES_LOST, MISSING_INPUT};
use workspace::quirks::{CaptureWorkdir, LegacyStdoutNewline};
use workspace::telemetry::{CallDone, CallOutcome};

/// A call with its id.
#[derive(Debug)]
pub(super) enum Order {
    Server {
        id: String,
        tool: ServerTool,
        input: Value,
        failure: Option<ToolFailure>,
        /// A result that comes with the call and needs no sandbox.
        found: Option<Finding>,
        /// The client's results of the calls that its code made: the cell runs already.
        answers: Option<Vec<CodeAnswer>>,
    },
    Mcp {
        id: String,
        name: String,
        answer: McpAnswer,
    },
    Client {
        id: String,
    },
}

impl Order {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Server { id, .. } | Self::Mcp { id, .. } | Self::Client { id } => id,
        }
    }

    /// The input as JSON; empty for calls of connectors and of the client.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Server { input, .. } => input.to_string(),
            Self::Mcp { .. } | Self::Client { .. } => String::new(),
        }
    }

    /// Whether it needs a container.
    pub(super) fn runs_code(&self) -> bool {
        matches!(self, Self::Server { tool, .. } if tool.runs_code())
    }

    /// Whether something runs in its container.
    pub(super) fn needs_sandbox(&self) -> bool {
        match self {
            Self::Server {
                tool,
                failure,
                found,
                ..
            } => {
                let is_given = matches!(found, Some(Finding::Code(_)));
                tool.runs_code() && failure.is_none() && !is_given
            }
            Self::Mcp { .. } | Self::Client { .. } => false,
        }
    }

    /// Whether code runs already, and waits for the client.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(
            self,
            Self::Server {
                answers: Some(_),
                ..
            }
        )
    }
}

/// The outcome of carrying out a call.
pub(super) struct Carried {
    /// Calls to server tools that the code made meanwhile, with their results.
    pub(super) nested: Vec<ContentBlock>,
    pub(super) end: CarriedEnd,
}

impl Carried {
    fn done(done: (ContentBlock, CallResult)) -> Self {
        Self {
            nested: Vec::new(),
            end: CarriedEnd::Done(Box::new(done)),
        }
    }
}

pub(super) enum CarriedEnd {
    Done(Box<(ContentBlock, CallResult)>),
    /// The code waits for the client.
    Waits(Vec<CodeUse>),
}

/// A call to a server tool that code made, with its result.
struct Nested {
    /// Not in the answer once the code has ended.
    excluded: bool,
    blocks: [ContentBlock; 2],
}

/// The outcome of a call.
pub(super) enum Done {
    Ran {
        stdout: String,
        stderr: String,
        return_code: i64,
        files: Vec<OutputFile>,
    },
    Edited(EditorContent),
    /// Code waits for the client.
    Waits(Vec<CodeUse>),
    Failed {
        code: ToolErrorCode,
        message: Option<String>,
    },
}

impl Done {
    pub(super) fn failed(code: ToolErrorCode) -> Self {
        Self::Failed {
            code,
            message: None,
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::Failed {
            code: ToolErrorCode::InvalidToolInput,
            message: Some(message.into()),
        }
    }
}

/// The container's sandbox, and a lint for each file that has not reached it.
pub(super) async fn lease(
    engine: &Engine,
    input: &TurnInput,
    container: &Arc<Container>,
) -> Result<Lease, SandboxError> {
    let lease = engine.containers.lease(container).await?;
    for missing in lease.missing() {
        let text = format!("not in container `{}`: {missing}", container.id);
        input.lint_once(&MISSING_INPUT, text);
    }
    if lease.lost_files() {
        let text = format!(
            "container `{}` begins empty: its files are gone",
            container.id
        );
        input.lint_once(&FILES_LOST, text);
    }
    Ok(lease)
}

/// Runs a server call, and says so to those who count; `container` is `None` if the one the request names has
/// expired.
pub(super) async fn execute(
    engine: &Engine,
    input: &TurnInput,
    container: Option<&Arc<Container>>,
    order: Order,
    made: (&Ids, &Spot),
    tools: (&WebTools, &HostedTools),
) -> Result<Carried, TurnError> {
    let (id, tool) = match &order {
        Order::Server { id, tool, .. } => (id.clone(), tool.name()),
        Order::Mcp { id, .. } => (id.clone(), "mcp"),
        Order::Client { id, .. } => (id.clone(), "client"),
    };
    let begun = Instant::now();
    let carried = carry_out(engine, input, container, order, made, tools).await;
    let outcome = match &carried {
        Ok(Carried {
            end: CarriedEnd::Waits(_),
            ..
        }) => CallOutcome::Waits,
        Ok(Carried {
            end: CarriedEnd::Done(done),
            ..
        }) => match &done.1.error_code {
            Some(code) => CallOutcome::Failed(code.clone()),
            None => CallOutcome::Done,
        },
        Err(_) => CallOutcome::Failed("error".to_owned()),
    };
    if let Ok(mut report) = input.report.lock() {
        report.done.calls.push(CallDone {
            id,
            tool,
            begun,
            took: begun.elapsed(),
            outcome,
        });
    }
    carried
}

async fn carry_out(
    engine: &Engine,
    input: &TurnInput,
    container: Option<&Arc<Container>>,
    order: Order,
    (ids, spot): (&Ids, &Spot),
    (web, hosted): (&WebTools, &HostedTools),
) -> Result<Carried, TurnError> {
    let (id, tool, arguments, failure, found, answers) = match order {
        Order::Server {
            id,
            tool,
            input,
            failure,
            found,
            answers,
        } => (id, tool, input, failure, found, answers),
        Order::Mcp { id, name, answer } => {
            return Ok(Carried::done(hosted.connect(id, &name, answer)));
        }
        Order::Client { .. } => {
            return Err(Invalid::new("a client call cannot run here").into());
        }
    };
    match tool.place() {
        Place::Container => {}
        Place::Web => return search_or_fetch(input, web, id, tool, &arguments, (failure, found)),
        Place::Service => {
            let failure = failure.or_else(|| {
                let model = &input.request.model;
                let occasion = Occasion::Tool {
                    model,
                    tool,
                    goes_on: false,
                };
                let fault = input.fire(occasion);
                fault.and_then(|fault| fault.tool_failure())
            });
            let call = HostedCall {
                id,
                tool,
                arguments: &arguments,
                failure,
                found,
            };
            return Ok(Carried::done(hosted.run(input, call)));
        }
    }
    let nested = Mutex::default();
    let done = match (failure, container) {
        (Some(ToolFailure { code, message }), _) => Done::Failed { code, message },
        (None, None) => Done::failed(ToolErrorCode::ContainerExpired),
        (None, Some(container)) => {
            let call = Running {
                engine,
                input,
                container,
                id: &id,
                tool,
                ids,
                spot,
                answers: answers.as_deref(),
                nested: &nested,
                web,
                kept: Mutex::default(),
            };
            // Before the first await: calls of a group meet their faults in order.
            let fault = input.fire(Occasion::Tool {
                model: &input.request.model,
                tool,
                goes_on: answers.is_some(),
            });
            let ran = match (given(found), fault.as_deref()) {
                (Some(result), fault) => call.given(*result, fault).await,
                (None, Some(fault)) => call.sabotaged(fault, arguments).await,
                (None, None) => call.run(&arguments).await,
            };
            match ran {
                Ok(done) => done,
                Err(CallError::Sandbox(error)) => {
                    report(&id, &error);
                    Done::failed(ToolErrorCode::Unavailable)
                }
                Err(CallError::Busy) => Done::failed(ToolErrorCode::TooManyRequests),
                Err(CallError::Turn(error)) => return Err(error),
            }
        }
    };
    let mut nested: Vec<Nested> = nested.into_inner().unwrap_or_else(PoisonError::into_inner);
    let end = if let Done::Waits(uses) = done {
        CarriedEnd::Waits(uses)
    } else {
        nested.retain(|call| !call.excluded);
        let searched = container.is_some_and(|container| container.did_search(&id))
            || programmatic::has_searched(&input.request, &id);
        let mut block = words::block(&id, tool, &done, input.quirks.editor_keys);
        if searched {
            block = words::encrypted(block);
        }
        let result = words::call_result(id, tool, done, &block);
        CarriedEnd::Done(Box::new((block, result)))
    };
    Ok(Carried {
        nested: nested.into_iter().flat_map(|call| call.blocks).collect(),
        end,
    })
}

/// The result that a call to code execution brings with it.
fn given(found: Option<Finding>) -> Option<Box<CodeResult>> {
    match found {
        Some(Finding::Code(result)) => Some(result),
        Some(Finding::Web(_) | Finding::Tools(_) | Finding::Advice(_) | Finding::Mcp(_)) | None => {
            None
        }
    }
}

/// Runs a web call that the model has made.
fn search_or_fetch(
    input: &TurnInput,
    web: &WebTools,
    id: String,
    tool: ServerTool,
    arguments: &Value,
    (failure, found): (Option<ToolFailure>, Option<Finding>),
) -> Result<Carried, TurnError> {
    let fault = input.fire(Occasion::Tool {
        model: &input.request.model,
        tool,
        goes_on: false,
    });
    let call = WebCall {
        id,
        tool,
        arguments,
        error_code: failure
            .or_else(|| fault.as_deref().and_then(Fault::tool_failure))
            .map(|failure| failure.code),
        found: match found {
            Some(Finding::Web(answer)) => Some(answer),
            Some(Finding::Tools(_) | Finding::Advice(_) | Finding::Mcp(_) | Finding::Code(_))
            | None => None,
        },
        caller: Caller::Direct,
    };
    let WebResult { block, result, .. } = web.run(input, call)?;
    Ok(Carried::done((block, result)))
}

/// Why a call has no result of its own.
pub(super) enum CallError {
    Sandbox(SandboxError),
    /// The sandbox carries out as many calls as it takes.
    Busy,
    Turn(TurnError),
}

impl From<SandboxError> for CallError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

impl From<GuestError> for CallError {
    fn from(error: GuestError) -> Self {
        if let GuestError::Refused {
            kind: ErrorKind::Busy,
            ..
        } = error
        {
            return Self::Busy;
        }
        Self::Sandbox(error.into())
    }
}

fn report(id: &str, error: &SandboxError) {
    if let SandboxError::Unavailable { hint, .. } = error {
        tracing::error!(call.id = id, %error, %hint, "a call got `unavailable`: nothing here can run code");
    } else {
        tracing::warn!(call.id = id, %error, "a call got `unavailable`: its sandbox failed");
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
    /// When it may hand back its files.
    spot: &'a Spot,
    /// Of a cell that runs already.
    answers: Option<&'a [CodeAnswer]>,
    nested: &'a Mutex<Vec<Nested>>,
    web: &'a WebTools,
    /// Copies of its files, where they may be reused.
    kept: Mutex<Vec<(String, TempBlob)>>,
}

impl Running<'_> {
    fn timeouts(&self) -> Timeouts {
        self.engine.containers.timeouts()
    }

    pub(super) async fn run(&self, arguments: &Value) -> Result<Done, CallError> {
        let in_cells = self.has_cells();
        let call = match words::parse(self.tool, arguments, self.id, in_cells) {
            Ok(call) => call,
            Err(wrong) => return Ok(Done::invalid(wrong.to_string())),
        };
        let call = match call {
            Parsed::Cell(code) => return self.run_cell(code).await,
            // Only cells wait for answers.
            _ if self.answers.is_some() => return self.run_cell(String::new()).await,
            Parsed::Exec(kind) => PastCall::Exec(ExecCall {
                kind,
                input_dir: self.container.input_dir.clone(),
                output_dir: String::new(),
                timeout: self.timeouts().call,
                env: Vec::new(),
            }),
            Parsed::Edit(edit) => PastCall::Edit(EditCall {
                edit,
                input_dir: self.container.input_dir.clone(),
                output_dir: String::new(),
            }),
        };
        let containers = &self.engine.containers;
        if !containers.follows_pasts() {
            let guest = self.lease().await?;
            let call = call.into_dir(self.ids.next_hex16());
            return self.on(&guest, call).await;
        }
        let output_dir = self.ids.next_hex16();
        let call = call.into_dir(output_dir.clone());
        let manner = self.manner();
        let known = |past: &_| self.engine.memo.knows(past);
        let step = containers.step(self.container, call.clone(), &manner, known);
        let underway = match step.await {
            Step::Reuse(past) => match self.reused(&past, &output_dir).await? {
                Some(done) => return Ok(done),
                None => return Ok(Done::failed(ToolErrorCode::Unavailable)),
            },
            Step::Run => return self.really(call).await,
            Step::Note(underway) => underway,
        };
        let done = self.really(call).await?;
        if let Some(past) = underway.end() {
            let files = std::mem::take(&mut *self.kept());
            self.remember(past, &done, files, &output_dir).await;
        }
        Ok(done)
    }

    /// The factors that decide a call's result beside the call: the tool, whether it is the legacy one, and the
    /// quirks.
    fn manner(&self) -> String {
        format!(
            "{:?} {} {:?}",
            self.tool,
            self.is_legacy(),
            self.input.quirks
        )
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<(String, TempBlob)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a cell, or hands one that runs what the client says.
    async fn run_cell(&self, code: String) -> Result<Done, CallError> {
        // An interpreter holds more than files.
        self.container.forget_past();
        let guest = self.lease().await?;
        if let Some(answers) = self.answers {
            return self.go_on(&guest, answers).await;
        }
        let output_dir = self.ids.next_hex16();
        self.cell(&guest, code, output_dir).await
    }

    /// Runs a call in the container's sandbox.
    async fn really(&self, call: PastCall) -> Result<Done, CallError> {
        let guest = self.lease().await?;
        self.on(&guest, call).await
    }

    /// The container's sandbox, for a call that runs with what has reached it.
    pub(super) async fn lease(&self) -> Result<Lease, CallError> {
        Ok(lease(self.engine, self.input, self.container).await?)
    }

    async fn on(&self, guest: &Guest, call: PastCall) -> Result<Done, CallError> {
        match call {
            PastCall::Exec(call) => {
                let output_dir = call.output_dir.clone();
                let before = self.workdir(guest).await?;
                self.input.made.reaches_sandbox();
                let result = guest.exec(call).await?;
                if let Some(before) = before
                    && result.outcome == Outcome::Exited
                    && result.outputs.is_empty()
                {
                    let (output_dir, outputs) = self.captured(guest, &before).await?;
                    let result = ExecResult { outputs, ..result };
                    return self.ran(guest, &output_dir, result).await;
                }
                self.ran(guest, &output_dir, result).await
            }
            PastCall::Edit(call) => {
                let written = call.edit.written().map(str::to_owned);
                self.input.made.reaches_sandbox();
                Ok(match guest.edit(call).await? {
                    Ok(outcome) => {
                        if let Some(path) = written {
                            self.tell_of_output(&path);
                        }
                        Done::Edited(words::edited(outcome))
                    }
                    Err(error) => words::refused(error, self.input),
                })
            }
        }
    }

    fn is_legacy(&self) -> bool {
        let mut tools = self.input.request.tools.iter();
        tools.any(|tool| tool.tag == "code_execution_20250522")
    }

    /// Whether Python runs in the interpreter of the container.
    pub(super) fn has_cells(&self) -> bool {
        programmatic::has_cells(&self.input.request)
    }

    /// A listing of the working directory, if new files in it are to come back.
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
            Outcome::TimedOut => return Ok(Done::failed(ToolErrorCode::ExecutionTimeExceeded)),
            Outcome::Cancelled => return Ok(Done::failed(ToolErrorCode::Unavailable)),
            Outcome::CouldNotStart { message } => {
                tracing::warn!(call.id = self.id, %message, "a call could not start");
                return Ok(Done::failed(ToolErrorCode::Unavailable));
            }
        }
        let mut stderr = String::from_utf8_lossy(&result.stderr).into_owned();
        if let Some(file) = result.too_large.first() {
            let megabytes = limits::MAX_OUTPUT_FILE_BYTES / (1024 * 1024);
            tracing::warn!(call.id = self.id, file = %file.name, file.size = file.size, "output file over the limit");
            if self.tool == ServerTool::Bash {
                return Ok(Done::failed(ToolErrorCode::OutputFileTooLarge));
            }
            // The Python tool knows no such code: the file stays in the container, and the model is told.
            stderr.push_str(&format_note(&format!(
                "`{}` is over {megabytes} MB and was not returned",
                file.name
            )));
        }
        let mut unreturned = Unreturned {
            refused: result.refused,
            beyond_count: result.left_out,
            ..Unreturned::default()
        };
        let outputs = result.outputs;
        let files = self.take_files(guest, output_dir, outputs, &mut unreturned);
        let files = files.await?;
        stderr.push_str(&self.tell(&unreturned));
        let mut stdout = String::from_utf8_lossy(&result.stdout).into_owned();
        // Parity: since 2026-02 under 20250522 (F041).
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
}

fn format_note(text: &str) -> String {
    format!("\nsandtable: {text}\n")
}
