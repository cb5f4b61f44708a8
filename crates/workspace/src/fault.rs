//! Fault injection: what fails on purpose, where, how, and how often.
//!
//! A [`Fault`] says what fails and which occasions it fits; [`Faults`] holds a workspace's (or one
//! request's) and counts. Faults take effect in `api` (HTTP), `engine` (turns and streams), and the engine's
//! calls (tools); nothing here does more than decide. `docs/FAULTS.md` has the words.

mod brought;
mod load;
mod parse;
mod table;
mod turn;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use wire::ToolErrorCode;

use common::hinted::Hinted;
use model::{ServerTool, ServiceError, ToolFailure};

pub use brought::{Bringer, Brought};
pub use load::load;
pub use parse::{METHODS, parse};
pub use table::Fired;
pub use table::{Dice, Faults};
pub use turn::{Moment, TurnAct};

/// One fault, as given.
#[derive(Debug, Clone)]
pub struct Fault {
    pub act: Act,
    pub select: Select,
    /// The object it came from, for lists.
    given: Value,
}

impl Fault {
    /// The error that this gives to a call that has no sandbox.
    pub fn tool_failure(&self) -> Option<ToolFailure> {
        let Act::Tool(ToolAct::Code { code, message }) = &self.act else {
            return None;
        };
        Some(ToolFailure {
            code: *code,
            message: message.clone(),
        })
    }

    /// The same, told otherwise than it was given.
    #[must_use]
    pub fn told(mut self, otherwise: impl FnOnce(Value) -> Value) -> Self {
        self.given = otherwise(self.given);
        self
    }
}

/// As it was given.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given.fmt(f)
    }
}

/// The effect of a fault.
#[derive(Debug, Clone)]
pub enum Act {
    /// Instead of, or before, the answer to any request.
    Http(HttpAct),
    /// In a Messages answer, once `after_events` events are out.
    Stream {
        /// `None` with a delay: before every event.
        after_events: Option<u32>,
        act: StreamAct,
    },
    /// In place of, or beside, a server tool call.
    Tool(ToolAct),
    /// To a turn as a whole.
    Turn(TurnAct),
    /// On the way of an answer's bytes, whatever they say.
    Wire(WireAct),
}

/// The effect of a wire fault.
#[derive(Debug, Clone)]
pub enum WireAct {
    /// The body comes no faster than this.
    Slow { bytes_per_second: u64 },
    /// Each piece leaves in writes of so many bytes.
    Split { bytes: usize },
    /// All of it leaves in one piece, at its end.
    Merge,
    /// Silence, and no end.
    Hang(Where),
    /// The connection is reset.
    Reset(Where),
    /// The whole answer is made, and nothing of it beyond the place arrives: then silence, or a reset.
    Lost { place: Where, hangs: bool },
    /// An event that is no JSON comes in between.
    Malformed { after_events: u64 },
    /// An event that no client knows comes in between.
    Unknown { after_events: u64 },
    /// Pings come in a row.
    Pings { after_events: u64, count: u32 },
    /// Texts and inputs come in pieces of so many characters.
    Deltas { chars: usize },
    /// Objects that are not content blocks have a member that no client knows.
    UnknownMembers,
    /// Text comes as fast as a model writes.
    Pace(Pace),
}

/// How far an answer gets.
#[derive(Debug, Clone, Copy)]
pub enum Where {
    Bytes(u64),
    Events(u64),
}

/// How fast a model writes.
#[derive(Debug, Clone)]
pub struct Pace {
    /// To the first token.
    pub ttft: Duration,
    pub tokens_per_second: Option<f64>,
    /// 0 to 1: how much a wait may differ, up or down.
    pub jitter: f64,
}

impl WireAct {
    /// After how many events it is due, where it is about events.
    pub fn after_events(&self) -> Option<u64> {
        match self {
            Self::Hang(Where::Events(after))
            | Self::Reset(Where::Events(after))
            | Self::Lost {
                place: Where::Events(after),
                ..
            }
            | Self::Malformed {
                after_events: after,
            }
            | Self::Unknown {
                after_events: after,
            }
            | Self::Pings {
                after_events: after,
                ..
            } => Some(*after),
            Self::Hang(Where::Bytes(_))
            | Self::Reset(Where::Bytes(_))
            | Self::Lost {
                place: Where::Bytes(_),
                ..
            }
            | Self::Slow { .. }
            | Self::Split { .. }
            | Self::Merge
            | Self::Deltas { .. }
            | Self::UnknownMembers
            | Self::Pace(_) => None,
        }
    }

    /// Whether only a stream can meet it.
    fn is_of_streams(&self) -> bool {
        self.after_events().is_some() || matches!(self, Self::Pace(_) | Self::Deltas { .. })
    }

    /// Whether an answer with this path can meet it: the bytes of files stay as they are.
    fn is_for(&self, path: &str) -> bool {
        !matches!(self, Self::UnknownMembers) || !path.ends_with("/content")
    }
}

/// The effect of an HTTP fault.
#[derive(Debug, Clone)]
pub enum HttpAct {
    Error {
        error: ServiceError,
        /// The body as the service's edge words it, without the outer `type` and the request id.
        edge: bool,
    },
    /// The connection closes without an answer.
    Cut,
    /// The answer is held back; `None` is for ever.
    Wait(Option<Duration>),
    /// The workspace's clock moves first.
    Advance(TimeDelta),
    /// A file that the request names is deleted first.
    DeleteFile,
}

/// The effect of a stream fault.
#[derive(Debug, Clone)]
pub enum StreamAct {
    Error(ServiceError),
    /// The connection closes without `message_stop`.
    Cut,
    /// Silence; `None` is for ever.
    Wait(Option<Duration>),
}

/// The effect of a tool fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolAct {
    /// The call is not run; its result is this error.
    Code {
        code: ToolErrorCode,
        message: Option<String>,
    },
    /// The sandbox ends while the call runs.
    KillSandbox,
    /// The call's program takes memory until the kernel kills it.
    ExhaustMemory,
    /// The call finds a full disk.
    FillDisk,
    /// The backend is not asked, as if it did not answer.
    EngineUnreachable,
}

/// Which occasions a fault fits, and on which of them it fires.
#[derive(Debug, Clone)]
pub struct Select {
    path: Option<glob::Pattern>,
    method: Option<String>,
    model: Option<glob::Pattern>,
    tool: Option<ServerTool>,
    /// The first fitting occasion that counts, from 1.
    nth: u64,
    /// How often it fires; `None` for ever.
    times: Option<u64>,
    probability: Option<f64>,
}

/// Something that can go wrong.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'a> {
    Http {
        method: &'a str,
        path: &'a str,
        model: Option<&'a str>,
        /// Whether it names a file that is there.
        names_file: bool,
    },
    Stream {
        model: &'a str,
    },
    Tool {
        model: &'a str,
        tool: ServerTool,
        /// Its code has begun before, and goes on with what the client has answered.
        goes_on: bool,
    },
    Turn {
        model: &'a str,
        moment: Moment,
    },
    /// An answer is about to leave.
    Wire {
        method: &'a str,
        path: &'a str,
        /// Of the request, as far as its body is known.
        model: Option<&'a str>,
        stream: bool,
    },
}

/// Why a fault was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FaultError {
    pub message: String,
    pub hint: String,
}

impl Hinted for FaultError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.hint))
    }
}

impl Select {
    fn fits_request(&self, method: &str, path: &str) -> bool {
        let path_fits = self.path.as_ref();
        let path_fits = path_fits.is_none_or(|pattern| pattern.matches(path));
        let method_fits = self.method.as_ref();
        path_fits && method_fits.is_none_or(|wanted| wanted == method)
    }

    /// One that is not known fits only where none is wanted.
    fn fits_model(&self, model: Option<&str>) -> bool {
        let wanted = self.model.as_ref();
        wanted.is_none_or(|pattern| model.is_some_and(|model| pattern.matches(model)))
    }
}

impl Fault {
    /// Whether `occasion` is one of the fault's.
    pub fn fits(&self, occasion: Occasion<'_>) -> bool {
        let wanted_tool = self.select.tool;
        let model_fits = |model| self.select.fits_model(model);
        match (&self.act, occasion) {
            (
                Act::Http(act),
                Occasion::Http {
                    method,
                    path,
                    model,
                    names_file,
                },
            ) => {
                (names_file || !matches!(act, HttpAct::DeleteFile))
                    && self.select.fits_request(method, path)
                    && model_fits(model)
            }
            (Act::Stream { .. }, Occasion::Stream { model }) => model_fits(Some(model)),
            (Act::Turn(act), Occasion::Turn { model, moment }) => {
                act.fits(moment) && model_fits(Some(model))
            }
            (
                Act::Tool(act),
                Occasion::Tool {
                    model,
                    tool,
                    goes_on,
                },
            ) => {
                // The guest itself edits files: no program of the user's could run out of memory. One that goes
                // on has its code already.
                let possible = match act {
                    ToolAct::Code { code, .. } => {
                        // Without a tool it is about code execution.
                        (tool.runs_code() || wanted_tool.is_some())
                            && tool.error_codes().contains(code)
                    }
                    ToolAct::ExhaustMemory => {
                        tool.runs_code() && tool != ServerTool::Editor && !goes_on
                    }
                    // The others have no sandbox.
                    ToolAct::KillSandbox | ToolAct::FillDisk | ToolAct::EngineUnreachable => {
                        tool.runs_code()
                    }
                };
                possible
                    && wanted_tool.is_none_or(|wanted| wanted == tool)
                    && model_fits(Some(model))
            }
            (
                Act::Wire(act),
                Occasion::Wire {
                    method,
                    path,
                    model,
                    stream,
                },
            ) => {
                (stream || !act.is_of_streams())
                    && act.is_for(path)
                    && self.select.fits_request(method, path)
                    && model_fits(model)
            }
            _ => false,
        }
    }

    /// Whether the model's name decides, or a file's, so that a body must be read first.
    pub fn asks_for_body(&self) -> bool {
        self.select.model.is_some() || matches!(self.act, Act::Http(HttpAct::DeleteFile))
    }

    /// Whether it is of requests for certain models.
    pub(crate) fn is_of_a_model(&self) -> bool {
        self.select.model.is_some()
    }

    /// Whether only an answer that is made here can meet it, and no recorded one.
    pub(crate) fn needs_a_turn(&self) -> bool {
        matches!(self.act, Act::Turn(_))
    }
}
