//! A rule at work: the model of one turn.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use wire::hosted::McpTool;

use super::matching::gist;
use super::park::{Parking, Place};
use super::rule::{Capture, Condition, Op, OpKind, Rule, ScriptCall, ScriptTool};
use super::template::{Json, Text};
use super::usage::Usage;
use super::view::View;
use super::web::answer_of;
use crate::code::CodeError;
use crate::history::{self, Seen};
use crate::sample::any_client_tool;
use crate::{
    Call, CallResult, CodeTool, Compacted, Finding, Model, ModelError, ServerTool, ServiceError,
    Step, StepPlace, Stop, ToolFailure, TurnRequest, Upload, Web, code,
};
use common::{header, hinted};

/// One turn, or the rest of one, of a rule.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) place: Place,
    body: Arc<Value>,
    user_text: String,
    uploads: Vec<Upload>,
    code_tool: Option<CodeTool>,
    /// The index in the place's trail, which is that of the whole turn, at which this answer's begins.
    said_before: usize,
    /// Keeps the place if the turn ends early.
    pub(super) home: Parking,
}

impl Run {
    /// Goes on from `place`, in answer to `request`.
    pub(super) fn new(place: Place, request: &TurnRequest, home: Parking) -> Self {
        Self {
            said_before: place.trail.len(),
            place,
            body: Arc::clone(&request.body),
            user_text: request.user_text.clone(),
            uploads: request.uploads.clone(),
            code_tool: request.code_tool,
            home,
        }
    }

    /// Begins `place`'s rule: keeps what its matchers name.
    pub(super) fn begin(mut place: Place, request: &TurnRequest, home: Parking) -> Self {
        for clause in &place.rule.clauses {
            clause.capture(request, &mut place.captures);
        }
        Self::new(place, request, home)
    }

    /// The chosen one of those that were tried: what it went over counts for the rule.
    pub(super) fn gone_on(mut self, usage: &Arc<Usage>) -> Self {
        usage.go_on(&self.place.usage);
        self.place.usage = Arc::clone(usage);
        self
    }

    /// Goes over what the assistant already said in this turn, without saying it again. `false`: the
    /// rule would have said something else. `exact` compares texts, not only kinds and names. `Err`: the calls
    /// are the rule's, and it fails at what they came to.
    pub(super) fn skip_history(
        &mut self,
        request: &TurnRequest,
        exact: bool,
    ) -> Result<bool, ModelError> {
        let mut called = false;
        match self.skip(request, exact, &mut called) {
            // A rule that fails before any call of its own was found is just another one.
            Err(_) if !called => Ok(false),
            skipped => skipped,
        }
    }

    fn skip(
        &mut self,
        request: &TurnRequest,
        exact: bool,
        called: &mut bool,
    ) -> Result<bool, ModelError> {
        let seen = history::seen(&request.body);
        let results = history::results(&request.body);
        let mut rest = seen.as_slice();
        let mut group: Vec<CallResult> = Vec::new();
        while !rest.is_empty() {
            let step = self.next(&group)?;
            group.clear();
            match step {
                // The engine sends no empty text.
                Some(Step::Text(text) | Step::Cited(text, _)) if text.is_empty() => {}
                Some(Step::Text(text) | Step::Cited(text, _)) => match rest.split_first() {
                    Some((Seen::Text(said), after)) if !exact || alike(said, &text) => rest = after,
                    Some((Seen::Thinking, _)) => {
                        rest = &rest[1..];
                        if let Some((Seen::Text(_), after)) = rest.split_first() {
                            rest = after;
                        }
                    }
                    _ if exact => return Ok(false),
                    // Clients may drop texts.
                    _ => {}
                },
                Some(Step::Thinking(_) | Step::Progress(_) | Step::RedactedThinking(_)) => {
                    if let Some((Seen::Thinking, after)) = rest.split_first() {
                        rest = after;
                    }
                }
                Some(Step::Calls(calls)) => {
                    let Some(ids) = skip_calls(&mut rest, &calls) else {
                        return Ok(false);
                    };
                    *called = true;
                    group = ids
                        .iter()
                        .filter_map(|id| results.get(id.as_str()).cloned())
                        .collect();
                    if let Some((_, pending)) = &mut self.place.pending {
                        *pending = ids;
                    }
                }
                // What is no text, thought, or call is not among what was seen.
                Some(
                    Step::Delay(_)
                    | Step::Usage(_)
                    | Step::Pause
                    | Step::Compaction(_)
                    | Step::Fallback { .. }
                    | Step::McpListing { .. }
                    | Step::ContainerUpload(_)
                    | Step::AppliedEdits(_),
                ) => {}
                Some(Step::Fail(error)) if error.after_events.is_some() => {}
                Some(Step::Stop(_) | Step::Fail(_)) | None => return Ok(false),
            }
        }
        if request.resumes_pause {
            self.skip_pause();
        }
        Ok(true)
    }

    /// Steps over the pause that the last answer ended with: it ran, as did what stands before it.
    fn skip_pause(&mut self) {
        let mut next = self.place.next;
        let mut passed = Vec::new();
        while let Some(op) = self.place.rule.ops.get(next) {
            passed.push(next);
            match op.kind {
                OpKind::Pause | OpKind::Compaction { .. } => {
                    self.place.next = next + 1;
                    for op in passed {
                        self.place.usage.mark(op);
                    }
                    return;
                }
                OpKind::Jump(to) => next = to,
                OpKind::Delay(_)
                | OpKind::Usage(_)
                | OpKind::AppliedEdits(_)
                | OpKind::Fallback { .. }
                | OpKind::McpListing { .. }
                | OpKind::ContainerUpload(_) => next += 1,
                OpKind::Text(_)
                | OpKind::Cited(..)
                | OpKind::Thinking(_)
                | OpKind::Progress(_)
                | OpKind::RedactedThinking(_)
                | OpKind::Calls(_)
                | OpKind::Stop(_)
                | OpKind::Fail(_)
                | OpKind::Branch { .. } => return,
            }
        }
    }

    /// Whether nothing is left to say or to check.
    pub(super) fn is_done(&self) -> bool {
        let Place {
            rule,
            next,
            pending,
            ..
        } = &self.place;
        let checks = pending.as_ref().is_some_and(|(op, _)| {
            matches!(&rule.ops[*op].kind, OpKind::Calls(calls)
                if calls.iter().any(|call| call.expect.is_some() || !call.captures.is_empty()))
        });
        let mut next = *next;
        while let Some(OpKind::Jump(to)) = rule.ops.get(next).map(|op| &op.kind) {
            next = *to;
        }
        !checks && next >= rule.ops.len()
    }

    /// Takes in the results of the calls that wait for them.
    pub(super) fn absorb(&mut self, results: &[CallResult]) -> Result<(), ModelError> {
        let Some((op, ids)) = self.place.pending.take() else {
            return Ok(());
        };
        let group = if ids.is_empty() {
            results.iter().cloned().map(Arc::new).collect()
        } else {
            gather(&self.body, &ids, results)
        };
        let rule = Arc::clone(&self.place.rule);
        let OpKind::Calls(calls) = &rule.ops[op].kind else {
            return Ok(());
        };
        self.place.results.extend(group.iter().map(Arc::clone));
        if let Some(last) = self.place.results.last() {
            self.place.last_id.clone_from(&last.id);
        }
        for (call, result) in calls.iter().zip(&group) {
            if let Some(expect) = &call.expect {
                let view = View {
                    last: Some(result),
                    ..self.view()
                };
                let found = expect.differences(&rule, result, view)?;
                if !found.is_empty() {
                    let error = ModelError::new(format!(
                        "{}: rule `{}`, `{}`: {}",
                        rule.place_of(expect.at),
                        rule.name,
                        call.key,
                        found.message(expect, result)
                    ));
                    return Err(match found.hint() {
                        Some(hint) => error.with_hint(hint),
                        None => error,
                    });
                }
            }
            self.capture(&rule, call, result)?;
        }
        Ok(())
    }

    fn capture(
        &mut self,
        rule: &Rule,
        call: &ScriptCall,
        result: &CallResult,
    ) -> Result<(), ModelError> {
        for (name, capture) in &call.captures {
            let value = match capture {
                Capture::Regex(regex) => regex
                    .captures(&result.stdout)
                    .and_then(|groups| groups.get(1).or_else(|| groups.get(0)))
                    .map(|group| group.as_str().to_owned())
                    .ok_or_else(|| ModelError::new(format!(
                            "{}: rule `{}`: `capture` found no `{regex}` in the stdout of `{}`, got {}",
                            rule.place_of(call.at),
                            rule.name,
                            call.key,
                            super::matching::quoted(&result.stdout),
                        )))?,
                Capture::Template(text) => {
                    let view = View {
                        last: Some(result),
                        ..self.view()
                    };
                    rule.templates.render(text, view)?.into_owned()
                }
            };
            self.place.captures.insert(name.clone(), value);
        }
        Ok(())
    }

    fn view(&self) -> View<'_> {
        View {
            body: &self.body,
            uploads: &self.uploads,
            results: &self.place.results,
            last: None,
            captures: &self.place.captures,
        }
    }

    pub(super) fn render<'t>(
        &self,
        rule: &'t Rule,
        text: &'t Text,
    ) -> Result<Cow<'t, str>, ModelError> {
        match text {
            Text::Plain(text) => Ok(Cow::Borrowed(text)),
            Text::Template(_) => rule.templates.render(text, self.view()),
        }
    }

    fn call(&self, rule: &Rule, call: &ScriptCall) -> Result<Call, ModelError> {
        let made = match &call.tool {
            ScriptTool::Bash(text) => code::bash(self.code_tool, &self.render(rule, text)?),
            ScriptTool::Python(text) => code::python(self.code_tool, &self.render(rule, text)?),
            ScriptTool::Editor(input) => code::editor(
                self.code_tool,
                rule.templates.render_json(input, self.view())?,
            ),
            ScriptTool::Client { name, input } => Ok(Call::Client {
                name: name.clone(),
                input: rule.templates.render_json(input, self.view())?,
            }),
            ScriptTool::AnyClient(number) => {
                any_client_tool(&self.body, *number).ok_or(CodeError::NoClientTool)
            }
            ScriptTool::Web { tool, asked, found } => {
                let render = |json| rule.templates.render_json(json, self.view());
                let key = if *tool == ServerTool::WebFetch {
                    "url"
                } else {
                    "query"
                };
                Ok(Call::Server {
                    tool: *tool,
                    input: serde_json::json!({ key: render(asked)? }),
                    failure: None,
                    found: match found {
                        Some(found) => {
                            let found = render(found)?;
                            Self::check_found(rule, call, &found)?;
                            Some(Finding::Web(answer_of(*tool, &found)))
                        }
                        None => None,
                    },
                })
            }
            tool @ (ScriptTool::ToolSearch { .. }
            | ScriptTool::Advisor { .. }
            | ScriptTool::Mcp { .. }) => return self.hosted_call(rule, call, tool),
        };
        let mut made = made.map_err(|error| {
            let place = rule.place_of(call.at);
            ModelError {
                message: format!("{place}: rule `{}`, `{}`: {error}", rule.name, call.key),
                hint: error.help().map(Cow::Borrowed),
            }
        })?;
        if let Call::Server {
            failure,
            found,
            input,
            ..
        } = &mut made
        {
            *failure = self.failure(rule, call)?;
            if let Some(given) = self.given(rule, call, input)? {
                *found = Some(given);
            }
        }
        Ok(made)
    }

    /// The `tool_error` beside a call.
    pub(super) fn failure(
        &self,
        rule: &Rule,
        call: &ScriptCall,
    ) -> Result<Option<ToolFailure>, ModelError> {
        let Some(failure) = &call.failure else {
            return Ok(None);
        };
        let message = failure.message.as_ref();
        let message = message.map(|text| self.render(rule, text)).transpose()?;
        Ok(Some(ToolFailure {
            code: failure.code,
            message: message.map(Cow::into_owned),
        }))
    }

    /// JSON with its templates filled in.
    pub(super) fn render_json(&self, rule: &Rule, json: &Json) -> Result<Value, ModelError> {
        rule.templates.render_json(json, self.view())
    }

    /// The body of the request that is answered.
    pub(super) fn body(&self) -> &Value {
        &self.body
    }

    /// Whether one of the calls is of any tool of a client that has none.
    fn lacks_tools(&self, calls: &[ScriptCall]) -> bool {
        calls.iter().any(|call| {
            matches!(&call.tool, ScriptTool::AnyClient(number)
                if any_client_tool(&self.body, *number).is_none())
        })
    }

    pub(super) fn holds(
        &self,
        rule: &Rule,
        op: usize,
        condition: &Condition,
    ) -> Result<bool, ModelError> {
        match condition {
            Condition::Template(id) => rule.templates.holds(id, self.view()),
            Condition::Result(expect) => match self.place.results.last() {
                Some(last) => Ok(expect.differences(rule, last, self.view())?.is_empty()),
                None => Err(ModelError::new(format!(
                    "{}: rule `{}`: `if` asks about the last result, but there is none",
                    rule.place_of(rule.ops[op].at),
                    rule.name
                ))
                .with_hint("put a call before it")),
            },
        }
    }

    /// Carries out instructions up to the next that says something.
    fn advance(&mut self) -> Result<Option<Step>, ModelError> {
        let rule = Arc::clone(&self.place.rule);
        loop {
            let index = self.place.next;
            let Some(op) = rule.ops.get(index) else {
                return Ok(None);
            };
            self.place.usage.mark(index);
            self.place.next = index + 1;
            let step = match &op.kind {
                OpKind::Jump(to) => {
                    self.place.next = *to;
                    continue;
                }
                OpKind::Branch {
                    condition,
                    otherwise,
                } => {
                    if !self.holds(&rule, index, condition)? {
                        self.place.next = *otherwise;
                    }
                    continue;
                }
                OpKind::Text(text) => Step::Text(self.render(&rule, text)?.into_owned()),
                OpKind::Cited(text, citations) => {
                    let text = self.render(&rule, text)?.into_owned();
                    match rule.templates.render_json(citations, self.view())? {
                        Value::Array(citations) => Step::Cited(text, citations),
                        _ => Step::Text(text),
                    }
                }
                OpKind::RedactedThinking(data) => {
                    Step::RedactedThinking(self.render(&rule, data)?.into_owned())
                }
                OpKind::Thinking(text) => Step::Thinking(self.render(&rule, text)?.into_owned()),
                OpKind::Progress(text) => Step::Progress(self.render(&rule, text)?.into_owned()),
                OpKind::Compaction {
                    summary,
                    tool_changes,
                } => {
                    let summary = summary.as_ref().map(|text| self.render(&rule, text));
                    let changes = tool_changes.as_ref();
                    let changes = changes.map(|list| self.render_json(&rule, list));
                    Step::Compaction(Compacted {
                        summary: summary.transpose()?.map(Cow::into_owned),
                        tool_changes: changes.transpose()?.map(list_of),
                    })
                }
                OpKind::Fallback { to, category } => {
                    let to = to.as_ref().map(|text| self.render(&rule, text));
                    Step::Fallback {
                        to: to.transpose()?.map(Cow::into_owned),
                        category: *category,
                    }
                }
                OpKind::McpListing { server, tools } => Step::McpListing {
                    server: self.render(&rule, server)?.into_owned(),
                    tools: mcp_tools(self.render_json(&rule, tools)?),
                },
                OpKind::ContainerUpload(file_id) => {
                    Step::ContainerUpload(self.render(&rule, file_id)?.into_owned())
                }
                OpKind::AppliedEdits(edits) => {
                    Step::AppliedEdits(list_of(self.render_json(&rule, edits)?))
                }
                OpKind::Calls(calls) if self.lacks_tools(calls) => continue,
                OpKind::Calls(calls) => {
                    let calls = calls
                        .iter()
                        .map(|call| self.call(&rule, call))
                        .collect::<Result<_, _>>()?;
                    self.place.pending = Some((index, Vec::new()));
                    Step::Calls(calls)
                }
                OpKind::Delay(time) => Step::Delay(*time),
                OpKind::Pause => Step::Pause,
                OpKind::Usage(usage) => Step::Usage(*usage),
                OpKind::Stop(stop) => {
                    let text = |text: &Option<Text>| {
                        text.as_ref()
                            .map(|text| self.render(&rule, text).map(Cow::into_owned))
                            .transpose()
                    };
                    let sequence = text(&stop.stop_sequence)?;
                    if let Some(sequence) = &sequence {
                        self.check_sequence(&rule, op, sequence)?;
                    }
                    Step::Stop(Stop {
                        reason: stop.reason.clone(),
                        stop_sequence: sequence,
                        category: stop.category.clone(),
                        explanation: text(&stop.explanation)?,
                    })
                }
                OpKind::Fail(error) => Step::Fail(ServiceError {
                    status: error.status,
                    kind: error.kind.clone(),
                    message: self.render(&rule, &error.message)?.into_owned(),
                    details: None,
                    headers: error
                        .headers
                        .iter()
                        .map(|(name, value)| {
                            let value = self.render(&rule, value)?.into_owned();
                            header::check_value(name, &value).map_err(|wrong| {
                                let (message, hint) = hinted::split(&wrong);
                                let error = failed_at(&rule, op, message);
                                error.with_hint(hint.unwrap_or_default().into_owned())
                            })?;
                            Ok((name.clone(), value))
                        })
                        .collect::<Result<_, ModelError>>()?,
                    after_events: error.after_events,
                }),
            };
            return Ok(Some(step));
        }
    }

    /// An answer ends with a sequence only if its request has named it.
    fn check_sequence(&self, rule: &Rule, op: &Op, sequence: &str) -> Result<(), ModelError> {
        let named = self.body["stop_sequences"].as_array();
        let mut named = named.into_iter().flatten();
        if named.any(|named| named == sequence) {
            return Ok(());
        }
        let what = format!("the request has no stop sequence `{}`", gist(sequence));
        let hint = "name it in the request's `stop_sequences`, or write `${{ request.stop_sequences[0] }}`";
        Err(failed_at(rule, op, what).with_hint(hint))
    }

    /// The call of an earlier answer that waits under this id.
    fn waiting(&self, id: &str) -> Option<&ScriptCall> {
        let (op, ids) = self.place.pending.as_ref()?;
        let position = ids.iter().position(|own| own == id)?;
        self.place.rule.ops.get(*op)?.calls()?.get(position)
    }

    /// Keeps what a later continuation is known by.
    fn note(&mut self, step: &Step) {
        match step {
            Step::Text(text) | Step::Cited(text, _) => {
                self.place.trail.push_str(text);
            }
            Step::Calls(_) => {
                self.place.trail.clear();
                self.said_before = 0;
            }
            Step::Thinking(_)
            | Step::Progress(_)
            | Step::RedactedThinking(_)
            | Step::Delay(_)
            | Step::Pause
            | Step::Stop(_)
            | Step::Fail(_)
            | Step::Usage(_)
            | Step::Compaction(_)
            | Step::Fallback { .. }
            | Step::McpListing { .. }
            | Step::ContainerUpload(_)
            | Step::AppliedEdits(_) => {}
        }
    }
}

impl Model for Run {
    fn source(&self) -> &str {
        if self.place.shipped {
            return "tour";
        }
        &self.place.rule.name
    }

    fn is_rule(&self) -> bool {
        !self.place.shipped
    }

    fn place(&self) -> Option<StepPlace> {
        if self.place.shipped {
            return None;
        }
        let op = self.place.rule.ops.get(self.place.next.checked_sub(1)?)?;
        Some(StepPlace {
            step: op.key,
            line: op.at.line,
        })
    }

    fn at_step(&self, error: ModelError) -> ModelError {
        let last = self.place.next.checked_sub(1);
        let op = last.and_then(|last| self.place.rule.ops.get(last));
        match op {
            Some(op) if !self.place.shipped => ModelError {
                hint: error.hint,
                ..failed_at(&self.place.rule, op, error.message)
            },
            _ => error,
        }
    }

    fn next(&mut self, results: &[CallResult]) -> Result<Option<Step>, ModelError> {
        self.absorb(results)?;
        let step = self.advance()?;
        if let Some(step) = &step {
            self.note(step);
        }
        Ok(step)
    }

    fn interrupt(&mut self, results: Option<&[CallResult]>) -> Result<(), ModelError> {
        self.place.interrupted = true;
        results.map_or(Ok(()), |results| self.absorb(results))
    }

    fn failure_of(&self, id: &str) -> Option<ToolFailure> {
        let call = self.waiting(id)?;
        self.failure(&self.place.rule, call).ok().flatten()
    }

    fn web(&self) -> Option<Arc<dyn Web>> {
        Some(Arc::clone(&self.place.rule) as Arc<dyn Web>)
    }

    fn found_of(&self, id: &str) -> Option<Finding> {
        let call = self.waiting(id)?;
        match self.call(&self.place.rule, call) {
            Ok(Call::Server { found, .. }) => found,
            Ok(Call::Mcp { answer, .. }) => Some(Finding::Mcp(answer)),
            Ok(Call::Client { .. }) | Err(_) => None,
        }
    }

    fn park(self: Box<Self>, ids: &[String], by_code: &[String]) {
        let Self {
            mut place,
            user_text,
            said_before,
            home,
            ..
        } = *self;
        let calls: Vec<&String> = ids.iter().filter(|id| is_tool_use(id)).collect();
        // One that waits from an earlier answer knows its calls.
        if let Some((op, pending)) = &mut place.pending
            && pending.is_empty()
        {
            // The last ids are those of the calls that wait.
            if let OpKind::Calls(waiting) = &place.rule.ops[*op].kind {
                let skip = calls.len().saturating_sub(waiting.len());
                *pending = calls.iter().skip(skip).map(ToString::to_string).collect();
            }
        }
        let trail = place.trail.get(said_before..).unwrap_or_default();
        let own = calls.last().map_or("", |id| id.as_str());
        let mut keys = vec![history::pause_key(own, trail, &user_text)];
        if !own.is_empty() {
            own.clone_into(&mut place.last_id);
        }
        let whole = history::pause_key(&place.last_id, &place.trail, &user_text);
        if whole != keys[0] {
            keys.push(whole);
        }
        keys.extend(ids.iter().chain(by_code).cloned());
        home.keep(keys, place);
    }
}

/// What fails in carrying out an instruction, with its place.
fn failed_at(rule: &Rule, op: &Op, what: impl std::fmt::Display) -> ModelError {
    let place = rule.place_of(op.at);
    ModelError::new(format!(
        "{place}: rule `{}`, `{}`: {what}",
        rule.name, op.key
    ))
}

fn is_tool_use(id: &str) -> bool {
    ["toolu_", "srvtoolu_", "mcptoolu_"]
        .iter()
        .any(|prefix| id.starts_with(prefix))
}

/// The results of `ids`: of client tools as the client sent them, of server tools as the engine
/// gives them or, for those that ran in an earlier answer, as the client sent them back.
fn gather(body: &Value, ids: &[String], given: &[CallResult]) -> Vec<Arc<CallResult>> {
    let mut given: HashMap<&str, &CallResult> = given
        .iter()
        .map(|result| (result.id.as_str(), result))
        .collect();
    let mut sent = history::results(body);
    ids.iter()
        .filter_map(|id| {
            let sent = sent.remove(id.as_str());
            let given = given.remove(id.as_str()).cloned();
            if id.starts_with("toolu_") {
                sent.or(given)
            } else {
                given.or(sent)
            }
        })
        .map(Arc::new)
        .collect()
}

/// Takes the calls of one step off the history; `None` if they are others.
fn skip_calls(rest: &mut &[Seen<'_>], calls: &[Call]) -> Option<Vec<String>> {
    let mut ids = Vec::with_capacity(calls.len());
    for call in calls {
        let wanted = match call {
            Call::Server { tool, .. } => tool.name(),
            Call::Client { name, .. } | Call::Mcp { name, .. } => name,
        };
        match rest.split_first() {
            Some((Seen::Call { id, name }, after)) if *name == wanted => {
                ids.push((*id).to_owned());
                *rest = after;
            }
            _ => return None,
        }
    }
    Some(ids)
}

/// Equal but for whitespace, which clients trim.
fn alike(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

pub(super) fn list_of(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => vec![other],
    }
}

/// The tools of a listing.
fn mcp_tools(value: Value) -> Vec<McpTool> {
    let tools = list_of(value).into_iter().map(|tool| McpTool {
        name: tool["name"].as_str().unwrap_or_default().to_owned(),
        description: tool["description"].as_str().map(str::to_owned),
        input_schema: match &tool["input_schema"] {
            Value::Null => json!({ "type": "object" }),
            schema => schema.clone(),
        },
    });
    tools.collect()
}
