//! The calls of a turn: announced, carried out beside each other, handed to the client.

use std::sync::Arc;

use wire::request::ToolKind;

use super::{End, Ran, Tools, Turn};
use crate::calls::{self, CarriedEnd, Order, Spot};
use crate::container::Container;
use crate::hosted::HostedTools;
use crate::programmatic::{self, CodeUse};
use crate::usage::tokens;
use crate::web::WebTools;
use crate::{TurnError, lints, references, validate};
use common::ids::Kind;
use model::{
    Call, CallResult, CodeTool, Finding, McpAnswer, Model, ModelError, Place, ServerTool,
    TurnRequest,
};
use workspace::verify::Output;

impl Turn<'_> {
    /// Results that the model has not seen: those of client calls, and of server calls that had to
    /// wait for them or for a pause to end. In the order of the calls.
    pub(super) async fn earlier_results(
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
            Box::pin(self.execute(orders)).await?
        };
        if self.resumed_only && ran.by_code.is_none() {
            // Parity: what only ends earlier code names no container (F056).
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
    pub(super) fn announce(&mut self, calls: Vec<Call>) -> Result<Vec<Order>, TurnError> {
        self.start()?;
        let names: Vec<&str> = calls.iter().map(Call::name).collect();
        lints::calls(self.input, &names, self.handed_out.is_empty());
        let mut orders = Vec::with_capacity(calls.len());
        for call in calls {
            let order = match call {
                Call::Server {
                    tool,
                    input,
                    failure,
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
                        failure,
                        found,
                        answers: None,
                    }
                }
                Call::Mcp {
                    server,
                    name,
                    input,
                    answer,
                } => {
                    self.check_connected(&server)?;
                    let id = self.ids.next(Kind::McpToolUse);
                    self.meter.emitted(&input.to_string());
                    self.emitter
                        .mcp_call(id.clone(), name.clone(), server, &input)?;
                    Order::Mcp { id, name, answer }
                }
                Call::Client { name, input } => {
                    self.check_of_client(&name)?;
                    let id = self.ids.next(Kind::ToolUse);
                    self.meter.emitted(&input.to_string());
                    let toolset = self.toolset_of(&name);
                    self.emitter
                        .client_call(id.clone(), name, toolset, &input)?;
                    Order::Client { id }
                }
            };
            self.handed_out.push(order.id().to_owned());
            orders.push(order);
        }
        Ok(orders)
    }

    fn check_offered(&self, tool: ServerTool) -> Result<(), ModelError> {
        match tool.place() {
            Place::Container => {}
            Place::Web | Place::Service => {
                let name = tool.name();
                let mut tools = self.input.request.tools.iter();
                if tools
                    .any(|declared| declared.kind == ToolKind::OtherServer && declared.name == name)
                {
                    return Ok(());
                }
                return Err(ModelError::new(format!(
                    "the model calls `{name}`, but the request declares no such tool"
                ))
                .with_hint("add it to `tools`, or take the step out"));
            }
        }
        let hint = match self.code_tool {
            Some(declared) if declared.offers(tool) => return Ok(()),
            Some(CodeTool::Python) => "`code_execution_20250522` offers Python alone",
            Some(CodeTool::BashAndEditor | CodeTool::Cells) => {
                "the declared tool offers bash and the text editor"
            }
            None => "the request declares no code execution tool",
        };
        Err(ModelError::new(format!(
            "the model calls `{}`, but {hint}",
            tool.name()
        )))
    }

    /// The toolset that a tool of the client is a member of, unless it is declared by itself.
    fn toolset_of(&self, name: &str) -> Option<&'static str> {
        let tools = &self.input.request.tools;
        let is_own = tools.iter().any(|tool| tool.name == name);
        let toolset = || tools.iter().find_map(|tool| tool.toolset_of(name));
        if is_own { None } else { toolset() }
    }

    /// A tool of the client may have the name of one of the service's: then it is declared.
    fn check_of_client(&self, name: &str) -> Result<(), ModelError> {
        let mut tools = self.input.request.tools.iter();
        if ServerTool::from_name(name).is_none()
            || tools.any(|tool| tool.kind == ToolKind::Client && tool.name == name)
        {
            return Ok(());
        }
        Err(ModelError::new(format!(
                "the model calls `{name}` as a tool of the client, but the request declares none of that name"
            )).with_hint("what runs on the server has steps of its own, such as `bash` or `web_search`"))
    }

    /// With a client call in the group the turn ends here, and the group's server calls wait.
    pub(super) async fn hand_to_client(
        &mut self,
        orders: &[Order],
    ) -> Result<Option<End>, TurnError> {
        if !orders
            .iter()
            .any(|order| matches!(order, Order::Client { .. }))
        {
            return Ok(None);
        }
        if orders.iter().any(Order::runs_code) {
            // `container` is sent when code execution is pending (F011).
            self.meter.uses_container();
            self.container().await?;
            self.code_waits = true;
        }
        let ids = orders.iter().map(|order| order.id().to_owned()).collect();
        Ok(Some(End::Park("tool_use", ids)))
    }

    /// Runs server calls at the same time and emits their results in order. Cells run one after the
    /// other; those behind one that waits for the client are not begun.
    pub(super) async fn execute(&mut self, orders: Vec<Order>) -> Result<Ran, TurnError> {
        self.start()?;
        let container = if orders.iter().any(Order::runs_code) {
            self.meter.uses_container();
            self.container().await?
        } else {
            None
        };
        let count = orders.len();
        let tools = Arc::clone(self.tools());
        let code: Vec<bool> = orders.iter().map(Order::runs_code).collect();
        let (engine, input) = (self.engine, self.input);
        // Awake before several calls begin: they then reach the sandbox in the order they were written,
        // in every run. What fails here fails again, with its answer, in each call.
        let awake = match &container {
            Some(container) if count > 1 && orders.iter().any(Order::needs_sandbox) => self
                .with_pings(calls::lease(engine, input, container))
                .await?
                .ok(),
            _ => None,
        };
        let known: Vec<bool> = orders.iter().map(Order::is_under_way).collect();
        if let Some(container) = &container {
            self.note_place(container, &orders).await?;
            input.made.begins(self.what_code_makes(container));
        }
        let carry = |order: Order, spot: Spot| {
            // What a call makes is named after the call alone: those that run beside it have no say.
            let ids = input.workspace.ids(&[b"outputs", order.id().as_bytes()]);
            let container = container.clone();
            let tools = Arc::clone(&tools);
            async move {
                let tools = (&tools.web, &tools.hosted);
                let made = (&ids, &spot);
                calls::execute(engine, input, container.as_ref(), order, made, tools).await
            }
        };
        let has_cells = programmatic::has_cells(&input.request);
        let (cells, others): (Vec<_>, Vec<_>) = orders
            .into_iter()
            .zip(calls::spots(count))
            .enumerate()
            .partition(|(_, (order, _))| {
                has_cells
                    && matches!(
                        order,
                        Order::Server {
                            tool: ServerTool::Python,
                            ..
                        }
                    )
            });
        let beside =
            futures_util::future::join_all(others.into_iter().map(|(place, (order, spot))| {
                let carried = carry(order, spot);
                async move { (place, carried.await) }
            }));
        let in_turn = async {
            let mut done = Vec::with_capacity(cells.len());
            // Those that are not begun are waited for no longer.
            for (place, (order, spot)) in cells {
                let carried = carry(order, spot).await;
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
        // Before any of it is told: the answer may break off there.
        for (place, carried) in &done {
            if let (true, Ok(carried)) = (code[*place], carried) {
                self.note_code(&carried.end, container.as_deref(), known[*place]);
            }
        }
        if done.iter().all(|(_, carried)| carried.is_ok()) {
            input.made.ends();
        }
        let mut ran = Ran {
            results: Vec::with_capacity(count),
            by_code: None,
        };
        let (mut read, mut uses, mut finished) = (0, Vec::new(), 0);
        for (place, carried) in done {
            let carried = carried?;
            for block in carried.nested {
                self.emitter.whole(block)?;
            }
            match carried.end {
                CarriedEnd::Done(done) => {
                    let (block, result) = *done;
                    read += tokens(&result.stdout) + tokens(&result.stderr);
                    finished += u64::from(code[place] && was_executed(&result));
                    self.note_files(&result);
                    self.emitter.whole(block)?;
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
        self.meter.uses_web(tools.web.counted());
        if tools.hosted.took_part() {
            self.meter.uses_hosted();
        }
        if uses.is_empty() {
            let advice = tools.hosted.take_advice();
            self.meter.round(finished, read, advice);
        } else {
            self.meter.waits(finished);
            ran.by_code = Some(self.hand_out(uses)?);
        }
        Ok(ran)
    }

    /// Made for the first call.
    fn tools(&mut self) -> &Arc<Tools> {
        let source = &mut self.web_source;
        self.tools.get_or_insert_with(|| {
            let (web, hosted) = (WebTools::of(source.take()), HostedTools::default());
            Arc::new(Tools { web, hosted })
        })
    }

    /// Code is about to run: where, and whether it finds what the client has given.
    async fn note_place(
        &mut self,
        container: &Container,
        orders: &[Order],
    ) -> Result<(), TurnError> {
        let calls = || orders.iter().filter(|order| order.runs_code());
        if let Some(means) = self.means.take() {
            let code: Vec<String> = calls().map(Order::text).collect();
            lints::uploads(self.engine, self.input, &means, container, &code.join("\n")).await?;
        }
        let watch = &self.input.workspace.watch;
        // A cell stays where it was begun, wherever a client looks for it.
        let is_new =
            |order: &&Order| !order.is_under_way() || watch.containers_of([order.id()]).is_empty();
        let new: Vec<&str> = calls().filter(is_new).map(Order::id).collect();
        watch.ran(&container.id, new);
        Ok(())
    }

    /// Notes what a later look at the client must know of a call that ran code; one that an earlier request began
    /// `was_begun`.
    fn note_code(&self, end: &CarriedEnd, container: Option<&Container>, was_begun: bool) {
        let result = match end {
            CarriedEnd::Done(done) => Some(&done.1),
            CarriedEnd::Waits(_) => None,
        };
        let error_code = result.and_then(|result| result.error_code.as_deref());
        match (error_code, container) {
            (Some("container_expired"), _) => {
                let named = self.input.request.container.as_ref();
                let named = named.and_then(|container| container.id.as_deref());
                let made = container.map(|container| &*container.id);
                if let (Some(over), Some(result)) = (named.or(made), result) {
                    lints::told_expired(self.input, over, &result.id);
                }
            }
            (None | Some("execution_time_exceeded" | "output_file_too_large"), Some(container))
                if !was_begun =>
            {
                for id in self.what_code_makes(container) {
                    self.input.made.note(id);
                }
            }
            _ => {}
        }
    }

    /// The files that a call has handed back.
    fn note_files(&self, result: &CallResult) {
        if result.files.is_empty() {
            return;
        }
        let outputs = result.files.iter().map(|file| Output {
            file_id: file.file_id.clone(),
            filename: file.filename.clone(),
        });
        self.input.note(|facts| facts.outputs.extend(outputs));
    }

    /// The message, and the container if it is the turn's own.
    fn what_code_makes(&self, container: &Container) -> Vec<String> {
        let mut ids = vec![self.message_id.clone()];
        if self
            .input
            .report
            .lock()
            .is_ok_and(|report| report.made_container.is_some())
        {
            ids.push(container.id.to_string());
        }
        ids
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
}

/// Whether a call came as far as a sandbox.
fn was_executed(result: &CallResult) -> bool {
    !matches!(
        result.error_code.as_deref(),
        Some("container_expired" | "too_many_requests" | "unavailable")
    )
}

/// The calls that an earlier answer left to be run.
pub(super) fn waiting(pending: validate::Pending, model: &dyn Model) -> Vec<Order> {
    let order = |call: validate::PendingCall| {
        let found = model.found_of(&call.id);
        if call.connector.is_some() {
            let answer = match found {
                Some(Finding::Mcp(answer)) => answer,
                Some(
                    Finding::Web(_) | Finding::Tools(_) | Finding::Advice(_) | Finding::Code(_),
                )
                | None => unanswered(&call.name),
            };
            return Some(Order::Mcp {
                id: call.id,
                name: call.name,
                answer,
            });
        }
        Some(Order::Server {
            tool: ServerTool::from_name(&call.name)?,
            failure: model.failure_of(&call.id),
            found,
            id: call.id,
            input: call.input,
            answers: call.answers,
        })
    };
    pending.calls.into_iter().filter_map(order).collect()
}

/// The result of a connector's call that another server has made.
fn unanswered(name: &str) -> McpAnswer {
    McpAnswer {
        texts: vec![format!("sandtable: no script says what `{name}` answers")],
        is_error: true,
    }
}
