//! Cells of Python: run in the container's interpreter, stopped where they wait for the client.

use serde_json::Value;
use wire::ToolErrorCode;
use wire::block::ContentBlock;

use super::{CallError, Done, Nested, Running, format_note};
use crate::container::{WebCallMade, timed_out};
use crate::lints;
use crate::programmatic::{self, CodeAnswer, CodeUse};
use crate::web::{self, WebCall};
use model::{ModelError, ServerTool};
use sandbox::guest::{
    Answered, CellCall, CellResult, CellStep, ErrorKind, ExecResult, Guest, GuestError, Outcome,
    ToolAnswer, ToolCall,
};
use workspace::fault::{Fault, Occasion};
use workspace::lint::STATE_LOST;

/// The return code of a cell over its time; the service's own number is not known.
const TIMED_OUT_CODE: i32 = 124;

impl Running<'_> {
    /// Runs a cell up to its end, or to where only the client can help it on.
    pub(super) async fn cell(
        &self,
        guest: &Guest,
        code: String,
        output_dir: String,
    ) -> Result<Done, CallError> {
        let call = CellCall {
            code,
            tag: self.id.to_owned(),
            tools: programmatic::callable(&self.input.request),
            input_dir: self.container.input_dir.clone(),
            output_dir,
            timeout: self.timeouts().cell,
            patience: self.timeouts().cell_queue,
        };
        let before = self.workdir(guest).await?;
        self.input.made.reaches_sandbox();
        let step = match guest.cell(call).await {
            Ok(step) => step,
            // Those before it have taken all its patience.
            Err(GuestError::Timeout { .. }) if guest.ping().await.is_ok() => {
                return Ok(Done::failed(ToolErrorCode::TooManyRequests));
            }
            Err(error) => return Err(error.into()),
        };
        if let (Some(before), CellStep::Done(done)) = (before, &step)
            && done.exec.outcome == Outcome::Exited
            && done.exec.outputs.is_empty()
        {
            let (output_dir, outputs) = self.captured(guest, &before).await?;
            let exec = ExecResult {
                outputs,
                ..done.exec.clone()
            };
            let done = CellResult {
                exec,
                output_dir,
                ..done.clone()
            };
            return self.ended(guest, done).await;
        }
        self.follow(guest, step, &[]).await
    }

    /// Hands a cell that runs already what the client says.
    pub(super) async fn go_on(
        &self,
        guest: &Guest,
        answers: &[CodeAnswer],
    ) -> Result<Done, CallError> {
        let late = timed_out(answers.iter().map(|answer| answer.name.as_str()));
        let is_late = self.container.goes_on(self.id);
        let numbers = programmatic::numbers(&self.input.request, self.id, answers);
        let answered: Vec<u64> = numbers.iter().map(|(n, _)| *n).collect();
        let answers: Vec<ToolAnswer> = numbers
            .into_iter()
            .map(|(n, answer)| ToolAnswer {
                n,
                outcome: if is_late {
                    Answered::TimedOut(late.clone())
                } else {
                    Answered::Text(answer.text.clone())
                },
            })
            .collect();
        match guest.go_on(self.id, &answers, self.timeouts().cell).await {
            Ok(step) => {
                self.recall(&answered);
                self.follow(guest, step, &answered).await
            }
            // Its interpreter has ended: by sleep, by a restart, by somebody's hand.
            Err(GuestError::Refused {
                kind: ErrorKind::NotFound,
                ..
            }) => {
                let (engine, container) = (self.engine, self.container);
                // In another container it waits on: `dropped_container` says so.
                let elsewhere = lints::waits_elsewhere(engine, self.input, self.id, container);
                if !elsewhere
                    .await
                    .map_err(|error| CallError::Turn(error.into()))?
                {
                    let text = format!(
                        "the code of `{}` has ended while it waited for the client; its result is a time-out",
                        self.id
                    );
                    self.note(text);
                }
                Ok(Done::Ran {
                    stdout: String::new(),
                    stderr: format!("TimeoutError: {late}"),
                    return_code: 0,
                    files: Vec::new(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells again what the code has called on the web since, if this continuation has come before.
    fn recall(&self, answered: &[u64]) {
        for call in self.container.web_calls(self.id, answered) {
            let [ContentBlock::ServerToolUse { name, .. }, _] = &call.blocks else {
                continue;
            };
            if let Some(tool) = ServerTool::from_name(name) {
                self.web.recall(tool, call.counts);
                self.nest(tool, call.blocks);
            }
        }
    }

    fn nest(&self, tool: ServerTool, blocks: [ContentBlock; 2]) {
        if let Ok(mut nested) = self.nested.lock() {
            let excluded = web::is_excluded(self.input, tool);
            nested.push(Nested { excluded, blocks });
        }
    }

    /// Answers on the server what can be answered here, for as long as the code asks for it. `answered`
    /// are the calls that the client has answered before.
    async fn follow(
        &self,
        guest: &Guest,
        mut step: CellStep,
        answered: &[u64],
    ) -> Result<Done, CallError> {
        loop {
            let calls = match step {
                CellStep::Done(done) => return self.ended(guest, done).await,
                CellStep::Waits(calls) => calls,
            };
            let mut answers = Vec::new();
            let mut of_client = Vec::new();
            for call in calls {
                match self.answer_here(&call, answered) {
                    Ok(Some(text)) => {
                        let outcome = Answered::Text(text);
                        answers.push(ToolAnswer { n: call.n, outcome });
                    }
                    Ok(None) => of_client.push(call),
                    Err(error) => {
                        // Nobody will come back for it.
                        guest.end_cell(self.id);
                        return Err(CallError::Turn(error.into()));
                    }
                }
            }
            if answers.is_empty() {
                self.container.waits(self.id, &of_client);
                let uses = of_client.into_iter().map(|call| CodeUse::of(self.id, call));
                return Ok(Done::Waits(uses.collect()));
            }
            // What is the client's is asked for again once the code has made what it can of these.
            step = guest.go_on(self.id, &answers, self.timeouts().cell).await?;
        }
    }

    /// The result of a tool that the service runs, for a call from code; `None` if the client runs it.
    fn answer_here(&self, call: &ToolCall, answered: &[u64]) -> Result<Option<String>, ModelError> {
        let Some(tool) = ServerTool::from_name(&call.name).filter(|tool| tool.is_web()) else {
            return Ok(None);
        };
        if !self
            .input
            .request
            .tools
            .iter()
            .any(|declared| declared.is_web() && declared.name == call.name)
        {
            return Ok(None);
        }
        // The code has not heard of it yet: a client left in between.
        let made = self.container.web_calls(self.id, answered);
        if let Some(made) = made.into_iter().find(|made| made.n == call.n) {
            return Ok(Some(made.for_code));
        }
        let id = programmatic::web_id_of(self.id, call.n);
        let caller = programmatic::caller(&self.input.request, self.id.to_owned());
        let arguments = Value::Object(call.args.clone());
        let fault = self.input.fire(Occasion::Tool {
            model: &self.input.request.model,
            tool,
            goes_on: false,
        });
        let ran = self.web.run(
            self.input,
            WebCall {
                id: id.clone(),
                tool,
                arguments: &arguments,
                error_code: fault
                    .as_deref()
                    .and_then(Fault::tool_failure)
                    .map(|failure| failure.code),
                found: None,
                caller: caller.clone(),
            },
        )?;
        if tool == ServerTool::WebSearch {
            self.container.has_searched(self.id);
        }
        let block = ContentBlock::ServerToolUse {
            id,
            name: call.name.clone(),
            input: arguments,
            caller: Some(caller),
        };
        let made = WebCallMade {
            n: call.n,
            blocks: [block, ran.block],
            for_code: ran.for_code.clone(),
            counts: ran.counts,
        };
        self.nest(tool, made.blocks.clone());
        self.container.made_web_call(self.id, answered, made);
        Ok(Some(ran.for_code))
    }

    async fn ended(&self, guest: &Guest, mut done: CellResult) -> Result<Done, CallError> {
        if done.exec.outcome == Outcome::TimedOut {
            // An ordinary result (F047).
            let seconds = self.timeouts().cell.as_secs();
            let text = format!(
                "detection_timeout: the cell ran for more than {seconds} seconds and was ended"
            );
            if !done.exec.stderr.is_empty() && !done.exec.stderr.ends_with(b"\n") {
                done.exec.stderr.push(b'\n');
            }
            done.exec.stderr.extend_from_slice(text.as_bytes());
            done.exec.stderr.push(b'\n');
            done.exec.outcome = Outcome::Exited;
            done.exec.return_code = TIMED_OUT_CODE;
        }
        if done.state_lost {
            const LOST: &str =
                "the interpreter was started anew: what earlier cells had set is gone";
            self.note(format!("`{}`: {LOST}", self.id));
            let note = format_note(LOST);
            done.exec.stderr.extend_from_slice(note.as_bytes());
        }
        self.ran(guest, &done.output_dir, done.exec).await
    }

    fn note(&self, text: String) {
        self.input.lint(&STATE_LOST, text);
    }
}
