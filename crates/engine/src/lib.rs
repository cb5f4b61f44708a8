//! The turn: one Messages request, carried out as a stream of events.
//!
//! The engine knows neither HTTP nor Docker. It takes a decoded request and a model, and puts events
//! into a [`Sink`]; a streamed answer writes them, a plain one folds them ([`fold::Fold`]).

mod account;
mod calls;
pub mod container;
mod emitter;
mod fallbacks;
pub mod fold;
mod hosted;
mod json_text;
mod lints;
pub mod models;
mod programmatic;
mod references;
mod sabotage;
mod seal;
mod skills;
mod tool_search;
mod turn;
mod usage;
pub mod validate;
mod web;
mod workdir;

use std::sync::Arc;

use serde_json::Value;
use wire::event::StreamEvent;
use wire::refusal::Invalid;
use wire::request::MessagesRequest;

use crate::container::Containers;
pub use crate::container::over;
use common::limits;
use model::{ModelError, OnUnmatched, ServiceError, StepPlace};
use store::{Store, StoreError};
use workspace::fault::{Act, Fault, Faults, Occasion, StreamAct};
use workspace::lint::{Lint, Rule};
use workspace::quirks::Quirks;
use workspace::telemetry::TurnDone;
use workspace::verify::{Facts, Made};
use workspace::{Redactor, Workspace};

pub use calls::{Allowance, Memo};
pub use emitter::events_of;
pub use lints::{calls_so_far, heard, recorded};
pub use references::handed_on;
pub use turn::run;

/// Checks a request as a turn would, and counts its input tokens; nothing is carried out.
pub async fn count_tokens(engine: &Engine, input: &TurnInput) -> Result<u64, TurnError> {
    turn::check(engine, input).await?;
    Ok(usage::input_tokens(&input.body))
}

/// The input tokens of a request, by the stated rule.
pub fn input_tokens(input: &TurnInput) -> u64 {
    usage::input_tokens(&input.body)
}

/// Where events go.
pub trait Sink: Send {
    fn event(&mut self, event: StreamEvent);

    /// Holds back the events that follow.
    fn wait(&mut self, wait: Wait) {
        let _ = wait;
    }
}

/// How long events are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    For(std::time::Duration),
    /// Until the client leaves.
    Forever,
}

/// The parts of the server that a turn needs.
#[derive(Debug, Clone)]
pub struct Engine {
    pub store: Store,
    pub containers: Containers,
    pub on_unmatched: OnUnmatched,
    /// Results of calls, where they may be reused.
    pub memo: Arc<Memo>,
}

/// One request, decoded.
#[derive(Debug)]
pub struct TurnInput {
    pub workspace: Arc<Workspace>,
    pub request: MessagesRequest,
    pub body: Arc<Value>,
    /// `anthropic-version` of 2026-10-21 or later.
    pub strict: bool,
    /// The turn's report to the journal.
    pub report: Arc<std::sync::Mutex<Report>>,
    pub quirks: Quirks,
    /// Faults that the request itself brings.
    pub faults: Option<Arc<Faults>>,
    /// The resources that it makes.
    pub made: Made,
    /// The batch and the `custom_id`, if it is an item of a batch.
    pub batch_item: Option<(String, String)>,
    /// The input tokens that rate limits let it in with, where there are any.
    pub admitted_with: Option<u64>,
    /// Whether versions of skills are told as the beta tells them.
    pub skills_beta: bool,
    /// Whether an item of a batch may be as long as the beta for that lets it.
    pub long_output: bool,
    /// The bytes that its calls may still hand back in files.
    pub allowance: Allowance,
    /// Keeps the client's key out of all that is told elsewhere than in the answer.
    pub redactor: Redactor,
}

impl TurnInput {
    /// The fault that fires on `occasion`: the request's own before the workspace's.
    fn fire(&self, occasion: Occasion<'_>) -> Option<Arc<Fault>> {
        let fired = self.workspace.fire(self.faults.as_deref(), occasion)?;
        tracing::info!(fault = %fired.fault, "a fault fires");
        let fault = Arc::clone(&fired.fault);
        self.note(|facts| facts.fired.push(fired));
        // Nothing waits on the wall clock while the workspace's stands still.
        let waits = matches!(
            &fault.act,
            Act::Stream {
                act: StreamAct::Wait(Some(_)),
                ..
            }
        );
        (!(waits && self.workspace.clock.is_frozen())).then_some(fault)
    }
}

impl TurnInput {
    /// Whether any fault of a turn is set.
    fn may_meet_turn_faults(&self) -> bool {
        let own = self.faults.as_deref().into_iter();
        let mut all = own.chain([&self.workspace.faults]);
        all.any(Faults::has_turn_faults)
    }

    /// Adds to what the journal and `verify` learn of the turn.
    fn note(&self, add: impl FnOnce(&mut Facts)) {
        if let Ok(mut report) = self.report.lock() {
            add(&mut report.facts);
        }
    }

    /// Notes a mistake that the service punishes silently.
    fn lint(&self, rule: &'static Rule, text: String) {
        let told = self.redactor.inside(&text);
        tracing::warn!(code = rule.code, lint = %told, "the service would ignore this silently");
        self.note(|facts| facts.lints.push(Lint::new(rule, text)));
    }

    /// The same of something that several calls of a turn may meet.
    fn lint_once(&self, rule: &'static Rule, text: String) {
        let lint = Lint::new(rule, text);
        let is_told = |report: &Report| report.facts.lints.contains(&lint);
        if !self.report.lock().is_ok_and(|report| is_told(&report)) {
            self.lint(rule, lint.message.into_owned());
        }
    }

    /// Server tool iterations before `pause_turn`; a batch has more of them (F110).
    fn iterations(&self) -> u32 {
        match self.batch_item {
            Some(_) => limits::BATCH_TURN_ITERATIONS,
            None => self.quirks.turn_iterations.0,
        }
    }

    /// The scope that ids derive from, with a seed: the same for a plain and a streamed answer.
    fn conversation(&self) -> Vec<u8> {
        let messages = self
            .workspace
            .seed
            .map(|_| self.body["messages"].to_string());
        let mut scope = messages.unwrap_or_default();
        // Items of one batch run beside each other, equal ones too.
        if let Some((batch, custom_id)) = &self.batch_item {
            scope.extend([batch.as_str(), custom_id]);
        }
        scope.into_bytes()
    }
}

/// A turn's report to the journal.
#[derive(Debug, Default)]
pub struct Report {
    /// The steps of its script, the first [`limits::JOURNAL_STEPS`].
    pub steps: Vec<StepPlace>,
    /// `tour`, `direct`, or a rule's name.
    pub source: Option<String>,
    /// The facts for `verify`.
    pub facts: Facts,
    /// The container, for the log.
    pub container: Option<String>,
    /// The work that it has done, for telemetry.
    pub done: TurnDone,
    /// The container that was made for it.
    pub made_container: Option<String>,
}

/// Why a turn did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The request is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The request names something that is not there.
    #[error("{message}")]
    NotFound {
        message: String,
        code: Option<&'static str>,
    },
    /// The request is wrong, and an SDK reads more of it than the text.
    #[error("{message}")]
    Detailed {
        message: Invalid,
        details: Box<Value>,
    },
    /// The script could not go on.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The script plays a failure of the service.
    #[error("{}", .0.message)]
    Service(Box<ServiceError>),
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the work was lost")]
    Lost(#[from] tokio::task::JoinError),
    /// A fault closes the connection here.
    #[error("the connection is cut")]
    Cut,
}

/// Whether code that an earlier answer began waits for the results that a request brings.
pub fn code_waits(request: &MessagesRequest) -> bool {
    validate::history(request)
        .is_ok_and(|pending| pending.calls.iter().any(|call| call.answers.is_some()))
}
