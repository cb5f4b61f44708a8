//! One turn, step by step.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use wire::block::{Container as WireContainer, StopDetails};

use crate::clock::rfc3339_micros;
use crate::container::{Container, Containers};
use crate::engine::account::{self, Account};
use crate::engine::calls::{self, CarriedEnd, Order};
use crate::engine::emitter::Emitter;
use crate::engine::place::{Place, find_container};
use crate::engine::programmatic::{self, CodeUse};
use crate::engine::references::Uploads;
use crate::engine::usage::{Meter, input_tokens, text_tokens, tokens};
use crate::engine::web::WebTools;
use crate::engine::{
    Engine, Sink, TurnError, TurnInput, lints, models, references, skills, validate,
};
use crate::fault::Occasion;
use crate::ids::{Ids, Kind};
use crate::limits;
use crate::model::{
    self, Call, CallResult, CodeTool, Model, ModelError, ServerTool, Step, Stop, TurnRequest,
};
use crate::quirks::{CodeExecutionCounter, PauseContainer};
use crate::store::MountedSkill;
use crate::verify::{Miss, Output};

/// Carries out a turn. The events go to `sink`; on an error some may already be out.
pub(crate) async fn run(
    engine: &Engine,
    input: &TurnInput,
    sink: &mut dyn Sink,
) -> Result<(), TurnError> {
    let done = carry_out(engine, input, sink).await;
    if let Err(TurnError::Model(error)) = &done {
        input.note(|facts| {
            let message = error.message.clone();
            facts.miss.get_or_insert(Miss::Failed { message });
        });
    }
    done
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
    models::check_prompt(&input.request.model, text_tokens(&input.body))
        .map_err(TurnError::Invalid)?;
    let request = references::turn_request(input, uploads.mounted);
    let model = choose_model(engine, input, &request)?;
    if let Ok(mut report) = input.report.lock() {
        report.source = Some(model.source().to_owned());
    }
    let waits = pending.calls.iter().any(|call| call.answers.is_some());
    if request.resumes_pause {
        lints::goes_on(input);
    }
    let place = find_container(engine, input, waits).await?;
    let container = match &place {
        Place::Alive(container) => Some(container.as_ref()),
        Place::None | Place::Expired => None,
    };
    lints::inert_uploads(&engine.store, input, &uploads.inert, container).await?;
    let prints_details =
        models::prints_details(&input.request.model, input.request.thinking.is_some());
    let geo = models::inference_geo(models::resolve(&input.request.model));
    let ids = input.workspace.ids(&[b"turn", &input.conversation()]);
    let message_id = ids.next(Kind::Message);
    let mut emitter = Emitter::new(sink);
    let model_name = &input.request.model;
    emitter.meet(input.strike(Occasion::Stream { model: model_name }));
    let turn = Turn {
        engine,
        input,
        code_tool: request.code_tool,
        ids,
        message_id,
        emitter,
        meter: Meter::new(input_tokens(&input.body), geo, prints_details)
            .counting_code(input.quirks.code_execution_counter == CodeExecutionCounter::Counted)
            .in_batch(input.batch_item.is_some()),
        web: Arc::default(),
        place,
        skills,
        used_container: false,
        used_since: None,
        resumed_only: false,
        code_waits: false,
        code_stands: false,
        begun: Begun::default(),
        handed_out: Vec::new(),
    };
    turn.run(&request, pending, model).await
}

/// What a request brings with it.
pub(super) struct Checked {
    pending: validate::Pending,
    uploads: Uploads,
    skills: Vec<MountedSkill>,
}

/// Checks the request against itself and against what it names; nothing is changed.
pub(super) async fn check(engine: &Engine, input: &TurnInput) -> Result<Checked, TurnError> {
    validate::tools(&input.request).map_err(TurnError::Invalid)?;
    models::check_thinking(&input.request.model, input.request.thinking)
        .map_err(|text| TurnError::Invalid(text.to_owned()))?;
    models::check_output(&input.request, input.batch_item.is_some()).map_err(TurnError::Invalid)?;
    let pending = validate::history(&input.request).map_err(|text| {
        lints::server_tool_results(input);
        TurnError::Invalid(text)
    })?;
    if input.strict {
        validate::strict(&input.request).map_err(TurnError::Invalid)?;
    }
    let uploads = references::check(engine, input).await?;
    let skills = skills::resolve(engine, input).await?;
    Ok(Checked {
        pending,
        uploads,
        skills,
    })
}

fn choose_model(
    engine: &Engine,
    input: &TurnInput,
    request: &TurnRequest,
) -> Result<Box<dyn Model>, TurnError> {
    let scripts = &input.workspace.scripts;
    if let Some(model) = scripts.resume(request)? {
        return Ok(model);
    }
    if validate::ends_with_prefill(&input.request) && !models::takes_prefill(&input.request.model) {
        return Err(TurnError::Invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
                .to_owned(),
        ));
    }
    model::select(request, scripts, engine.on_unmatched).map_err(|error| {
        if let Some(nearest) = scripts.nearest(request, &error) {
            let message = error.message.clone();
            input.note(|facts| facts.miss = Some(Miss::Unmatched { message, nearest }));
        }
        error.into()
    })
}

/// How a turn ends.
enum End {
    Stop(Stop),
    /// The model goes on in a later request: the stop reason, and the ids that lead back.
    Park(&'static str, Vec<String>),
    /// Code waits for the client: the ids of the model's calls, and of the code's.
    Wait(Vec<String>, Vec<String>),
}

/// What running a group of calls has come to.
struct Ran {
    results: Vec<CallResult>,
    /// What code waits for, if it does; the turn ends with it.
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

struct Turn<'a> {
    engine: &'a Engine,
    input: &'a TurnInput,
    code_tool: Option<CodeTool>,
    ids: Ids,
    message_id: String,
    emitter: Emitter<'a>,
    meter: Meter,
    web: Arc<WebTools>,
    place: Place,
    /// Those that the request names.
    skills: Vec<MountedSkill>,
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
}

impl Turn<'_> {
    async fn run(
        mut self,
        request: &TurnRequest,
        pending: validate::Pending,
        mut model: Box<dyn Model>,
    ) -> Result<(), TurnError> {
        if !request.uploads.is_empty() || !self.skills.is_empty() {
            self.preload(request).await?;
        }
        self.web.ask(model.web());
        let orders = waiting(pending, model.as_ref());
        let ids = orders.iter().map(|order| order.id().to_owned()).collect();
        let Ran {
            mut results,
            by_code,
        } = self.earlier_results(request, orders).await?;
        let end = if let Some(by_code) = by_code {
            End::Wait(ids, by_code)
        } else if self.input.request.max_tokens == 0 {
            // A cache pre-warm: nothing is generated (spec 01 §1).
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
        let container = self.container_of_answer().await?;
        let usage = self.meter.end();
        let fields = match end {
            End::Stop(stop) => stop_fields(stop),
            End::Park(reason, ids) => {
                if reason == "pause_turn" {
                    let calls = self.handed_out.clone();
                    self.input.note(|facts| facts.paused = Some(calls));
                }
                model.park(&ids, &[]);
                (reason.to_owned(), None, None)
            }
            End::Wait(ids, by_code) => {
                model.park(&ids, &by_code);
                ("tool_use".to_owned(), None, None)
            }
        };
        self.emitter.end(fields, container, usage)?;
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
            let step = model.next(results)?;
            results.clear();
            match step {
                None => {
                    return Ok(End::Stop(Stop {
                        reason: "end_turn".to_owned(),
                        ..Stop::default()
                    }));
                }
                // The service never sends an empty text block.
                Some(Step::Text(text)) if text.is_empty() => {}
                Some(Step::Text(text)) => {
                    self.start()?;
                    self.meter.emitted(&text);
                    self.emitter.text(&text)?;
                }
                Some(Step::Thinking(thinking)) => {
                    self.start()?;
                    self.meter.thought(&thinking);
                    let hidden = self.input.request.hides_thinking;
                    self.emitter.thinking(&thinking, hidden)?;
                }
                Some(Step::Calls(calls)) => {
                    let orders = self.announce(calls)?;
                    if let Some(end) = self.hand_to_client(&orders).await? {
                        return Ok(end);
                    }
                    iterations += 1;
                    if iterations > self.input.iterations() {
                        // The call stays without a result; the continuation runs it first (spec 02 §9).
                        if orders.iter().any(Order::runs_code) {
                            self.container().await?;
                        }
                        return Ok(self.pause());
                    }
                    let ids = orders.iter().map(|order| order.id().to_owned()).collect();
                    let ran = self.execute(orders).await?;
                    if let Some(by_code) = ran.by_code {
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
                Some(Step::Usage(usage)) => self.meter.set(usage),
                Some(Step::Fail(error)) => match error.after_events {
                    Some(after) => self.emitter.arm(after, error),
                    None => return Err(TurnError::Service(Box::new(error))),
                },
            }
        }
        Err(ModelError {
            message: format!(
                "`{}` made {} steps without ending its turn",
                model.source(),
                limits::TURN_STEPS
            ),
        }
        .into())
    }

    /// `message_start`, unless it is out.
    fn start(&mut self) -> Result<(), TurnError> {
        if self.emitter.started() {
            return Ok(());
        }
        let model = models::resolve(&self.input.request.model).to_owned();
        self.emitter
            .start(self.message_id.clone(), model, self.meter.start())
    }

    /// Files and skills named in the request count as a use of the container even if nothing runs (spec 06 §1).
    async fn preload(&mut self, request: &TurnRequest) -> Result<(), TurnError> {
        self.meter.uses_container();
        self.used_container = true;
        if let Some(container) = self.container().await? {
            self.engine
                .containers
                .add_uploads(&container, &request.uploads)
                .await?;
            self.engine
                .containers
                .add_skills(&container, &self.skills)
                .await?;
        }
        Ok(())
    }

    /// Results that the model has not seen: those of client calls, and of server calls that had to
    /// wait for them or for a pause to end. In the order of the calls.
    async fn earlier_results(
        &mut self,
        request: &TurnRequest,
        orders: Vec<Order>,
    ) -> Result<Ran, TurnError> {
        let used_before = self.used_container;
        self.resumed_only = !orders.is_empty() && orders.iter().all(Order::is_under_way);
        let mut ran = if orders.is_empty() {
            Ran {
                results: Vec::new(),
                by_code: None,
            }
        } else {
            self.execute(orders).await?
        };
        if self.resumed_only && ran.by_code.is_none() {
            // Parity: what only ends earlier code names no container (FACTS §10).
            self.used_container = used_before;
        }
        let answers = references::client_results(&self.input.request, &request.answered);
        if answers.is_empty() {
            return Ok(ran);
        }
        ran.results.extend(answers);
        let order = references::call_order(&self.input.request);
        ran.results
            .sort_by_key(|result| order.iter().position(|id| *id == result.id));
        Ok(ran)
    }

    /// Emits the calls of one group and gives them ids.
    fn announce(&mut self, calls: Vec<Call>) -> Result<Vec<Order>, TurnError> {
        self.start()?;
        let mut orders = Vec::with_capacity(calls.len());
        for call in calls {
            let order = match call {
                Call::Server {
                    tool,
                    input,
                    error_code,
                    found,
                } => {
                    self.check_offered(tool)?;
                    let id = self.ids.next(Kind::ServerToolUse);
                    let caller = self.input.quirks.server_caller;
                    self.emitter
                        .server_call(id.clone(), tool.name(), &input, caller)?;
                    self.meter.emitted(&input.to_string());
                    Order::Server {
                        id,
                        tool,
                        input,
                        error_code,
                        found,
                        answers: None,
                    }
                }
                Call::Client { name, input } => {
                    let id = self.ids.next(Kind::ToolUse);
                    self.meter.emitted(&input.to_string());
                    self.emitter.client_call(id.clone(), name, &input)?;
                    Order::Client { id }
                }
            };
            self.handed_out.push(order.id().to_owned());
            orders.push(order);
        }
        Ok(orders)
    }

    fn check_offered(&self, tool: ServerTool) -> Result<(), ModelError> {
        if tool.is_web() {
            let name = tool.name();
            let mut tools = self.input.request.tools.iter();
            if tools.any(|declared| declared.is_web() && declared.name == name) {
                return Ok(());
            }
            return Err(ModelError {
                message: format!("the model calls `{name}`, but the request declares no such tool"),
            });
        }
        let hint = match (self.code_tool, tool) {
            (Some(CodeTool::Python), ServerTool::Python)
            | (Some(CodeTool::Cells), _)
            | (Some(CodeTool::BashAndEditor), ServerTool::Bash | ServerTool::Editor) => {
                return Ok(());
            }
            (None, _) => "the request declares no code execution tool",
            (Some(CodeTool::Python), _) => "`code_execution_20250522` offers Python alone",
            // Written so that no later tool is let through by mistake.
            (
                Some(CodeTool::BashAndEditor),
                ServerTool::Python | ServerTool::WebSearch | ServerTool::WebFetch,
            ) => "the declared tool offers bash and the text editor",
        };
        Err(ModelError {
            message: format!("the model calls `{}`, but {hint}", tool.name()),
        })
    }

    /// With a client call in the group the turn ends here, and the group's server calls wait.
    async fn hand_to_client(&mut self, orders: &[Order]) -> Result<Option<End>, TurnError> {
        if !orders
            .iter()
            .any(|order| matches!(order, Order::Client { .. }))
        {
            return Ok(None);
        }
        if orders.iter().any(Order::runs_code) {
            // `container` is sent when code execution is pending (spec 01 §5).
            self.meter.uses_container();
            self.container().await?;
            self.code_waits = true;
        }
        let ids = orders.iter().map(|order| order.id().to_owned()).collect();
        Ok(Some(End::Park("tool_use", ids)))
    }

    fn pause(&self) -> End {
        let mut ids = self.handed_out.clone();
        ids.push(self.message_id.clone());
        End::Park("pause_turn", ids)
    }

    /// Runs server calls at the same time and emits their results in order. Cells run one after the
    /// other; those behind one that waits for the client are not begun.
    async fn execute(&mut self, orders: Vec<Order>) -> Result<Ran, TurnError> {
        self.start()?;
        let container = if orders.iter().any(Order::runs_code) {
            self.meter.uses_container();
            self.container().await?
        } else {
            None
        };
        let count = orders.len();
        let web = Arc::clone(&self.web);
        let (engine, input) = (self.engine, self.input);
        // Awake before several calls begin: they then reach the sandbox in the order they were written,
        // in every run. What fails here fails again, with its answer, in each call.
        let awake = match &container {
            Some(container) if count > 1 => self
                .with_pings(engine.containers.lease(container))
                .await?
                .ok(),
            _ => None,
        };
        let known: Vec<bool> = orders.iter().map(Order::is_under_way).collect();
        if let Some(container) = &container {
            let calls = orders.iter().filter(|order| order.runs_code());
            let watch = &input.workspace.watch;
            watch.ran(&container.id, calls.map(Order::id));
        }
        let carry = |order: Order| {
            // What a call makes is named after the call alone: those that run beside it have no say.
            let ids = input.workspace.ids(&[b"outputs", order.id().as_bytes()]);
            let container = container.clone();
            let web = Arc::clone(&web);
            async move { calls::execute(engine, input, container.as_ref(), order, &ids, &web).await }
        };
        let has_cells = programmatic::has_cells(&input.request);
        let (cells, others): (Vec<_>, Vec<_>) =
            orders.into_iter().enumerate().partition(|(_, order)| {
                has_cells
                    && matches!(
                        order,
                        Order::Server {
                            tool: ServerTool::Python,
                            ..
                        }
                    )
            });
        let beside = futures_util::future::join_all(others.into_iter().map(|(place, order)| {
            let carried = carry(order);
            async move { (place, carried.await) }
        }));
        let in_turn = async {
            let mut done = Vec::with_capacity(cells.len());
            for (place, order) in cells {
                let carried = carry(order).await;
                let waits =
                    matches!(&carried, Ok(carried) if matches!(carried.end, CarriedEnd::Waits(_)));
                done.push((place, carried));
                if waits {
                    break;
                }
            }
            done
        };
        let (mut done, cells) = self
            .with_pings(futures_util::future::join(beside, in_turn))
            .await?;
        drop(awake);
        done.extend(cells);
        done.sort_by_key(|(place, _)| *place);
        let mut ran = Ran {
            results: Vec::with_capacity(count),
            by_code: None,
        };
        let (mut read, mut uses) = (0, Vec::new());
        for (place, carried) in done {
            let carried = carried?;
            for block in carried.nested {
                self.emitter.result(block)?;
            }
            match carried.end {
                CarriedEnd::Done(done) => {
                    let (block, result) = *done;
                    read += tokens(&result.stdout) + tokens(&result.stderr);
                    self.emitter.result(block)?;
                    self.note_outputs(&result);
                    ran.results.push(result);
                }
                CarriedEnd::Waits(calls) => {
                    if let (false, Some(container), Some(call)) =
                        (known[place], &container, calls.first())
                    {
                        let cell = (Arc::clone(container), call.cell.clone());
                        self.begun.0.push(cell);
                    }
                    uses = calls;
                }
            }
        }
        self.meter.uses_web(self.web.counted());
        let is_code = |result: &&CallResult| {
            ServerTool::from_name(&result.name).is_some_and(|tool| !tool.is_web())
        };
        let finished = ran.results.iter().filter(is_code).count() as u64;
        if uses.is_empty() {
            self.meter.round(finished, read);
        } else {
            self.meter.called(finished);
            ran.by_code = Some(self.hand_out(uses)?);
        }
        Ok(ran)
    }

    fn note_outputs(&self, result: &CallResult) {
        if result.files.is_empty() {
            return;
        }
        let outputs = result.files.iter().map(|file| Output {
            file_id: file.file_id.clone(),
            filename: file.filename.clone(),
        });
        self.input.note(|facts| facts.outputs.extend(outputs));
    }

    /// Emits what code asks of the client.
    fn hand_out(&mut self, uses: Vec<CodeUse>) -> Result<Vec<String>, TurnError> {
        self.code_stands = true;
        let mut ids = Vec::with_capacity(uses.len());
        for CodeUse {
            id,
            cell,
            name,
            input,
        } in uses
        {
            let caller = programmatic::caller(&self.input.request, cell);
            self.emitter.code_call(id.clone(), name, input, caller)?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// The turn's container, made if there is none; `None` if the named one has expired.
    async fn container(&mut self) -> Result<Option<Arc<Container>>, TurnError> {
        self.used_container = true;
        let now = self.input.workspace.clock.now();
        self.used_since.get_or_insert(now);
        match &self.place {
            Place::Alive(container) => Ok(Some(Arc::clone(container))),
            Place::Expired => Ok(None),
            Place::None => {
                lints::dropped_container(&self.engine.containers, self.input).await?;
                let container = self
                    .engine
                    .containers
                    .create(&self.input.workspace, &self.ids)
                    .await?;
                if let Ok(mut report) = self.input.report.lock() {
                    report.made_container = Some(container.id.clone());
                }
                self.place = Place::Alive(Arc::clone(&container));
                Ok(Some(container))
            }
        }
    }

    async fn container_of_answer(&mut self) -> Result<Option<WireContainer>, TurnError> {
        let Place::Alive(container) = &self.place else {
            if matches!(self.place, Place::Expired) && !self.used_container {
                lints::expired_container(self.input);
            }
            return Ok(None);
        };
        if !self.used_container && !self.resumed_only {
            return Ok(None);
        }
        let expires_at = self
            .engine
            .containers
            .touch(
                &self.input.workspace,
                container,
                self.input.quirks.container_expires_at,
                self.code_stands,
            )
            .await?;
        if !self.used_container {
            return Ok(None);
        }
        if (self.code_waits || self.code_stands)
            && self.input.quirks.pause_container == PauseContainer::Omit
        {
            return Ok(None);
        }
        Ok(Some(WireContainer {
            id: container.id.clone(),
            expires_at: rfc3339_micros(expires_at),
            skills: skills::told(self.engine, self.input, &container.id).await?,
        }))
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
            Place::Alive(container) => Some(container.id.clone()),
            Place::None | Place::Expired => None,
        };
        let account = Account {
            message_id: &self.message_id,
            container: container.zip(self.used_since),
            meter: &self.meter,
        };
        account::close(self.input, account);
    }
}

/// The calls that an earlier answer left to be run.
fn waiting(pending: validate::Pending, model: &dyn Model) -> Vec<Order> {
    let order = |call: validate::PendingCall| {
        Some(Order::Server {
            tool: ServerTool::from_name(&call.name)?,
            error_code: model.error_of(&call.id),
            found: model.found_of(&call.id),
            id: call.id,
            input: call.input,
            answers: call.answers,
        })
    };
    pending.calls.into_iter().filter_map(order).collect()
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
