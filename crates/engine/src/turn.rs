//! One turn, step by step.

mod check;
mod cuts;
mod execute;
mod hosted;
mod place;

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use wire::block::{Container as WireContainer, ContentBlock, Printed, StopDetails};
use wire::member::at;
use wire::request::asked_format;

use crate::account::{self, Account};
use crate::calls::Order;
use crate::container::{Container, Containers};
use crate::emitter::{Emitter, Head, Tail};
use crate::fallbacks::Attempt;
use crate::hosted::HostedTools;
use crate::lints::Means;
use crate::usage::{Meter, input_tokens, text_tokens};
use crate::web::WebTools;
use crate::{Engine, Sink, TurnError, TurnInput, lints, models, references, validate};
pub(super) use check::check;
use check::{Checked, choose_model, find_container};
use common::hinted;
use common::ids::{Ids, Kind};
use common::limits;
use cuts::Cuts;
use execute::waiting;
use hosted::Thought;
use model::{
    CallResult, CodeTool, Model, ModelError, Step, StepPlace, Stop, TurnRequest, UsageOverride, Web,
};
use place::Place;
use sandbox::BoxFuture;
use store::MountedSkill;
use workspace::fault::Occasion;
use workspace::quirks::{CodeExecutionCounter, NoContainer, ThinkingDetails};
use workspace::telemetry::Origin;
use workspace::verify::Miss;

/// Carries out a turn. The events go to `sink`; on an error some may already be out.
///
/// Boxed: so the code of a turn is made in this crate, once, and not where it is awaited.
pub fn run<'a>(
    engine: &'a Engine,
    input: &'a TurnInput,
    sink: &'a mut dyn Sink,
) -> BoxFuture<'a, Result<(), TurnError>> {
    Box::pin(async move {
        let done = carry_out(engine, input, sink).await;
        if let Err(TurnError::Model(error)) = &done {
            input.note(|facts| {
                let message = hinted::told(error);
                facts.miss.get_or_insert(Miss::Failed { message });
            });
        }
        done
    })
}

async fn carry_out(
    engine: &Engine,
    input: &TurnInput,
    sink: &mut dyn Sink,
) -> Result<(), TurnError> {
    let Checked {
        pending,
        uploads,
        skills,
    } = check(engine, input).await?;
    models::check_prompt(&input.request.model, text_tokens(&input.body))?;
    let request = references::turn_request(input, uploads.mounted);
    let model = choose_model(engine, input, &request)?;
    if let Ok(mut report) = input.report.lock() {
        report.source = Some(model.source().to_owned());
        report.done.origin = Some(match model.source() {
            _ if model.is_rule() => Origin::Script,
            "tour" => Origin::Tour,
            _ => Origin::Direct,
        });
        report.done.model = Some(input.request.model.clone());
    }
    let waits = pending.calls.iter().any(|call| call.answers.is_some());
    let coverage = &input.workspace.watch.coverage;
    coverage.asked(&input.request);
    if waits {
        coverage.answers_code();
    }
    if request.resumes_pause {
        lints::goes_on(&input.workspace.watch, &input.request);
    }
    let place = find_container(engine, input, waits).await?;
    let means = lints::Means {
        inert: uploads.inert,
        displaced: uploads.displaced,
        told_over: lints::asks_again(input),
    };
    note_container(input, &place);
    let prints_details = prints_details(input);
    let asked = at(&input.body, "inference_geo").as_str();
    let geo = models::inference_geo(models::resolve(&input.request.model), asked);
    let speed = models::speed(&input.request.model, &input.body);
    let ids = input.workspace.ids(&[b"turn", &input.conversation()]);
    let message_id = ids.next(Kind::Message);
    let mut emitter = Emitter::new(sink);
    let model_name = &input.request.model;
    emitter.apply(input.fire(Occasion::Stream { model: model_name }));
    let mut meter = Meter::new(input_tokens(&input.body), prints_details)
        .told_of(geo, speed)
        .counting_code(input.quirks.code_execution_counter == CodeExecutionCounter::Counted)
        .in_batch(input.batch_item.is_some());
    if input.request.context_management.compacts {
        meter.tell_iterations();
    }
    let mut turn = Turn {
        engine,
        input,
        code_tool: request.code_tool,
        ids,
        message_id,
        emitter,
        meter,
        web_source: None,
        tools: None,
        attempt: None,
        applied_edits: Vec::new(),
        place,
        skills,
        means: Some(means),
        lacks_json: false,
        used_container: false,
        used_since: None,
        resumed_only: false,
        code_waits: false,
        code_stands: false,
        begun: Begun::default(),
        handed_out: Vec::new(),
        cuts: Cuts::default(),
    };
    turn.run(&request, pending, model).await
}

/// Whether `usage` says how many tokens were thinking.
fn prints_details(input: &TurnInput) -> bool {
    let model = &input.request.model;
    let early = match input.quirks.thinking_details {
        ThinkingDetails::WithThinking => true,
        ThinkingDetails::ByModel => models::printed_details_early(model),
    };
    models::prints_details(model) || (early && validate::thinks(&input.request))
}

/// The request's line of the log names the container.
fn note_container(input: &TurnInput, place: &Place) {
    if let (Place::Alive(container), Ok(mut report)) = (place, input.report.lock()) {
        report.container = Some(container.id.to_string());
    }
}

/// How a turn ends.
enum End {
    Stop(Stop),
    /// The model goes on in a later request: the stop reason, and the ids that lead back.
    Park(&'static str, Vec<String>),
    /// Code waits for the client: the ids of the model's calls, and of the code's.
    Wait(Vec<String>, Vec<String>),
}

/// The outcome of a group of calls.
struct Ran {
    results: Vec<CallResult>,
    /// The ids of the calls that code waits for, if it does; the turn ends with it.
    by_code: Option<Vec<String>>,
}

/// Cells that this turn has begun and its client is about to hear of. If the turn fails before, nobody
/// ever will, and they end.
#[derive(Default)]
struct Begun(Vec<(Arc<Container>, String)>);

impl Drop for Begun {
    fn drop(&mut self) {
        for (container, cell) in self.0.drain(..) {
            Containers::end_cell(&container, &cell);
        }
    }
}

/// The counters of the calls that need no container.
struct Tools {
    web: WebTools,
    hosted: HostedTools,
}

/// A turn under way. Its methods box what few turns come to: a stream that waits holds the rest for as long as it is open.
struct Turn<'a> {
    engine: &'a Engine,
    input: &'a TurnInput,
    code_tool: Option<CodeTool>,
    ids: Ids,
    message_id: String,
    emitter: Emitter<'a>,
    meter: Meter,
    /// The source of what the web tools find.
    web_source: Option<Arc<dyn Web>>,
    /// From the first call on.
    tools: Option<Arc<Tools>>,
    /// Of the model that has gone on for the request's.
    attempt: Option<Box<Attempt>>,
    /// The edits that have cleared parts of the context.
    applied_edits: Vec<Value>,
    place: Place,
    /// Those that the request names.
    skills: Vec<MountedSkill>,
    /// Until code runs for the first time.
    means: Option<Means>,
    /// The last text is no JSON, and the request asks for some.
    lacks_json: bool,
    used_container: bool,
    /// When it began to use its container.
    used_since: Option<DateTime<Utc>>,
    /// It was used by code alone that an earlier answer had begun.
    resumed_only: bool,
    /// Server calls wait for the client's.
    code_waits: bool,
    /// Code has come to where it waits for the client.
    code_stands: bool,
    begun: Begun,
    /// Every tool-use id of this response.
    handed_out: Vec<String>,
    cuts: Cuts,
}

impl Turn<'_> {
    async fn run(
        &mut self,
        request: &TurnRequest,
        pending: validate::Pending,
        mut model: Box<dyn Model>,
    ) -> Result<(), TurnError> {
        if !request.uploads.is_empty() || !self.skills.is_empty() {
            Box::pin(self.preload(request)).await?;
        }
        self.web_source = model.web();
        // A cache pre-warm: nothing is generated, and nothing run (F007).
        let warms_up = self.input.request.max_tokens == 0;
        let orders = if warms_up {
            Vec::new()
        } else {
            waiting(pending, model.as_ref())
        };
        let ids = orders.iter().map(|order| order.id().to_owned()).collect();
        let Ran {
            mut results,
            by_code,
        } = self.earlier_results(request, orders).await?;
        let end = if let Some(by_code) = by_code {
            self.cut_in_calls();
            End::Wait(ids, by_code)
        } else if warms_up {
            self.meter.set(UsageOverride {
                output_tokens: Some(0),
                ..UsageOverride::default()
            });
            End::Stop(Stop {
                reason: "max_tokens".to_owned(),
                ..Stop::default()
            })
        } else {
            self.steps(model.as_mut(), &mut results).await?
        };
        if let Some(error) = self.emitter.disarm() {
            return Err(TurnError::Service(Box::new(error)));
        }
        self.start()?;
        self.emitter.settle()?;
        let container = match self.container_of_answer().await? {
            Some(container) => Printed::Of(container),
            None => self.no_container(self.used_container || self.resumed_only),
        };
        let tail = Tail {
            container,
            usage: self.meter.end(),
            context_management: at(&self.input.body, "context_management")
                .is_object()
                .then(|| json!({ "applied_edits": std::mem::take(&mut self.applied_edits) })),
        };
        let fields = match end {
            End::Stop(stop) => stop_fields(stop),
            End::Park(reason, ids) => {
                if reason == "pause_turn" {
                    // One without a call of its own is known again by those before it.
                    let before = lints::calls_so_far(&self.input.request).map(str::to_owned);
                    let calls = before.chain(self.handed_out.iter().cloned()).collect();
                    self.input.note(|facts| facts.paused = Some(calls));
                }
                model.park(&ids, &[]);
                let cut = self.cuts.take_stop();
                cut.map_or((reason.to_owned(), None, None), stop_fields)
            }
            End::Wait(ids, by_code) => {
                model.park(&ids, &by_code);
                let cut = self.cuts.take_stop();
                cut.map_or(("tool_use".to_owned(), None, None), stop_fields)
            }
        };
        self.emitter.end(fields, tail)?;
        self.begun.0.clear();
        Ok(())
    }

    async fn steps(
        &mut self,
        model: &mut dyn Model,
        results: &mut Vec<CallResult>,
    ) -> Result<End, TurnError> {
        let mut iterations = 0;
        for _ in 0..limits::TURN_STEPS {
            if let Some(end) = self.cut_between(model, results)? {
                return Ok(end);
            }
            let step = model.next(results)?;
            results.clear();
            if step.is_some() {
                note_step(self.input, model.place());
            }
            let (step, cut) = self.cut_text(step);
            match step {
                None => return self.ends_by_itself(model),
                // The service never sends an empty text block.
                Some(Step::Text(text) | Step::Cited(text, _)) if text.is_empty() => {}
                Some(Step::Text(text)) => {
                    self.start()?;
                    self.check_format(&text);
                    self.meter.emitted(&text);
                    self.emitter.text(&text)?;
                }
                Some(Step::Cited(text, citations)) => {
                    self.start()?;
                    self.check_format(&text);
                    self.meter.emitted(&text);
                    self.emitter.cited(&text, citations)?;
                }
                Some(Step::RedactedThinking(data)) => self
                    .think_redacted(data)
                    .map_err(|error| at_step(model, error))?,
                Some(Step::Thinking(thinking)) => self
                    .think(&thinking, Thought::Reasoning)
                    .map_err(|error| at_step(model, error))?,
                Some(Step::Progress(thinking)) => self
                    .think(&thinking, Thought::Progress)
                    .map_err(|error| at_step(model, error))?,
                Some(Step::Compaction(compacted)) => {
                    let done = self.compact(compacted);
                    if let Some(end) = done.map_err(|error| at_step(model, error))? {
                        return Ok(end);
                    }
                }
                Some(Step::Fallback { to, category }) => {
                    let done = self.fall_back(to.as_deref(), category);
                    if let Some(end) = done.map_err(|error| at_step(model, error))? {
                        return Ok(end);
                    }
                }
                Some(Step::McpListing { server, tools }) => self
                    .list_tools(server, tools)
                    .map_err(|error| at_step(model, error))?,
                Some(Step::ContainerUpload(file_id)) => {
                    self.start()?;
                    self.emitter
                        .whole(ContentBlock::ContainerUpload { file_id })?;
                }
                Some(Step::AppliedEdits(edits)) => {
                    self.apply(edits).map_err(|error| at_step(model, error))?;
                }
                Some(Step::Calls(calls)) => {
                    let orders = self
                        .announce(calls)
                        .map_err(|error| at_step(model, error))?;
                    if let Some(end) = self.hand_to_client(&orders).await? {
                        self.cut_in_calls();
                        return Ok(end);
                    }
                    iterations += 1;
                    let cut = self.cut_inside(model, orders.len())?;
                    if cut || iterations > self.input.iterations() {
                        // The call stays without a result; the continuation runs it first (F012).
                        if orders.iter().any(Order::runs_code) {
                            self.container().await?;
                        }
                        return Ok(self.pause());
                    }
                    let ids = orders.iter().map(|order| order.id().to_owned()).collect();
                    let ran = Box::pin(self.execute(orders)).await?;
                    if let Some(by_code) = ran.by_code {
                        self.cut_in_calls();
                        return Ok(End::Wait(ids, by_code));
                    }
                    *results = ran.results;
                }
                Some(Step::Delay(span)) => {
                    // A frozen clock makes no client wait.
                    if !self.input.workspace.clock.is_frozen() {
                        self.with_pings(tokio::time::sleep(span)).await?;
                    }
                }
                Some(Step::Pause) => return Ok(self.pause()),
                Some(Step::Stop(stop)) => return Ok(End::Stop(stop)),
                Some(Step::Usage(usage)) => {
                    if usage.cache_creation_input_tokens.is_some()
                        && validate::caches_for_an_hour(&self.input.body)
                    {
                        self.meter.caches_for_an_hour();
                    }
                    self.meter.set(usage);
                }
                Some(Step::Fail(error)) => match error.after_events {
                    Some(after) => self.emitter.arm(after, error),
                    None => return Err(TurnError::Service(Box::new(error))),
                },
            }
            if let Some(stop) = cut {
                return Ok(End::Stop(stop));
            }
        }
        Err(ModelError::new(format!(
            "`{}` made {} steps without ending its turn",
            model.source(),
            limits::TURN_STEPS
        ))
        .into())
    }

    /// Looks whether the text is what the request's format asks for.
    fn check_format(&mut self, text: &str) {
        self.lacks_json = asked_format(&self.input.body).is_some()
            && serde_json::from_str::<IgnoredAny>(text).is_err();
    }

    /// The one that answers, by its id.
    fn model(&self) -> &str {
        match &self.attempt {
            Some(attempt) => &attempt.model,
            None => models::resolve(&self.input.request.model),
        }
    }

    /// `message_start`, unless it is out.
    fn start(&mut self) -> Result<(), TurnError> {
        if self.emitter.started() {
            return Ok(());
        }
        let model = models::resolve(&self.input.request.model).to_owned();
        let head = Head {
            // Whether code will run nobody knows yet.
            container: self.no_container(self.code_tool.is_some()),
            diagnostics: at(&self.input.body, "diagnostics")
                .is_object()
                .then_some(()),
        };
        self.emitter
            .start(self.message_id.clone(), model, self.meter.start(), head)
    }

    /// The member `container` where an answer has none: absent if it runs code.
    fn no_container(&self, with_code: bool) -> Printed<WireContainer> {
        match self.input.quirks.no_container {
            NoContainer::Null if !with_code => Printed::Null,
            NoContainer::Null | NoContainer::Absent => Printed::Absent,
        }
    }

    fn pause(&mut self) -> End {
        self.meter.pauses();
        self.park("pause_turn")
    }

    /// Ends the answer where the client sends it back as it is.
    fn park(&self, reason: &'static str) -> End {
        let mut ids = self.handed_out.clone();
        ids.push(self.message_id.clone());
        End::Park(reason, ids)
    }

    /// Waits for `work`; a stream that stays silent gets pings meanwhile.
    async fn with_pings<T>(&mut self, work: impl Future<Output = T>) -> Result<T, TurnError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(limits::PING_INTERVAL), if self.emitter.started() => self.emitter.ping()?,
            }
        }
    }
}

/// However it ended: a client that leaves pays for what was done, too.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.emitter.started() && self.used_since.is_none() {
            return;
        }
        let container = match &self.place {
            Place::Alive(container) => Some(container.id.to_string()),
            Place::None | Place::Expired => None,
        };
        let account = Account {
            message_id: &self.message_id,
            model: self.model(),
            container: container.zip(self.used_since),
            meter: &self.meter,
        };
        account::close(self.input, account);
    }
}

fn stop_fields(stop: Stop) -> (String, Option<String>, Option<StopDetails>) {
    let Stop {
        reason,
        stop_sequence,
        category,
        explanation,
    } = stop;
    let details = (reason == "refusal").then(|| StopDetails {
        kind: "refusal".to_owned(),
        category,
        explanation,
    });
    (reason, stop_sequence, details)
}

/// What fails in carrying out a step is told with its place.
fn at_step(model: &dyn Model, error: TurnError) -> TurnError {
    if let TurnError::Model(error) = error {
        return TurnError::Model(model.at_step(error));
    }
    error
}

/// For who looks at the turn later.
fn note_step(input: &TurnInput, place: Option<StepPlace>) {
    if let (Some(place), Ok(mut report)) = (place, input.report.lock())
        && report.steps.len() < limits::JOURNAL_STEPS
    {
        report.steps.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what an asynchronous function returns.
    fn size<'a, F: Future>(_: impl Fn(&'a Engine, &'a TurnInput, &'a mut dyn Sink) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_turn_that_waits_is_small() {
        let (turn, of_run) = (size_of::<Turn<'_>>(), size(run));
        assert!(of_run <= 4096, "{of_run} bytes, {turn} of the turn itself");
    }
}
