//! Cells of the container's interpreter: begun, stopped at the calls they make, gone on with.

use std::time::Duration;

use guest_proto::{AnswerBody, CodeAnswer, CodeCall, MAX_ARGS_DEPTH, RequestBody, WaitingCell};
use serde_json::{Map, Value};

use super::{ExecResult, GRACE, Guest, GuestError, unexpected};
use common::limits::{CODE_ARGS_DEPTH, MAX_CODE_ARGS_BYTES, MAX_CODE_CALLS};

const _: () = assert!(MAX_ARGS_DEPTH == CODE_ARGS_DEPTH);

/// A cell to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellCall {
    pub code: String,
    /// The call's id (`srvtoolu_…`); no two cells of a container have the same.
    pub tag: String,
    /// The tools that the code may call.
    pub tools: Vec<String>,
    /// 16 hex digits: names `$INPUT_DIR`.
    pub input_dir: String,
    /// 16 hex digits, new for each cell: names `$OUTPUT_DIR`.
    pub output_dir: String,
    /// Of running; the time a cell waits is not counted.
    pub timeout: Duration,
    /// How long it may wait for those before it.
    pub patience: Duration,
}

/// Where a cell has come to.
#[derive(Debug, Clone, PartialEq)]
pub enum CellStep {
    /// It waits for what these give, and does nothing else.
    Waits(Vec<ToolCall>),
    Done(CellResult),
}

/// A call that the code of a cell makes.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Counts the calls of the cell, from 0.
    pub n: u64,
    pub name: String,
    pub args: Map<String, Value>,
}

/// The answer to such a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAnswer {
    pub n: u64,
    pub outcome: Answered,
}

/// How a call from code ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It returns this text.
    Text(String),
    /// It raises a `TimeoutError` of this text.
    TimedOut(String),
}

/// The result of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellResult {
    pub exec: ExecResult,
    /// 16 hex digits: where its files lie.
    pub output_dir: String,
    /// Whether what earlier cells had set is gone: their interpreter has ended.
    pub state_lost: bool,
}

impl Guest {
    /// Runs a cell after those before it, up to its end or to where it waits. Dropping the future ends a
    /// cell that has not come to a first stop.
    pub async fn cell(&self, call: CellCall) -> Result<CellStep, GuestError> {
        let limit = call.timeout + call.patience + GRACE;
        let CellCall {
            code,
            tag,
            tools,
            input_dir,
            output_dir,
            timeout,
            patience: _,
        } = call;
        let body = RequestBody::Cell {
            tag,
            input_dir,
            output_dir,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            tools,
        };
        step(self.ask(body, code.as_bytes(), limit).await?)
    }

    /// Gives a cell what it waits for, and follows it to its next stop. Answers it has had are passed
    /// over: asked again, it says again where it is. A cell that is not there is `not_found`.
    pub async fn go_on(
        &self,
        tag: &str,
        answers: &[ToolAnswer],
        timeout: Duration,
    ) -> Result<CellStep, GuestError> {
        let mut texts = Vec::new();
        let answers = answers.iter().map(|answer| {
            let (text, timed_out) = match &answer.outcome {
                Answered::Text(text) => (text, false),
                Answered::TimedOut(text) => (text, true),
            };
            texts.extend_from_slice(text.as_bytes());
            CodeAnswer {
                n: answer.n,
                bytes: text.len() as u64,
                timed_out,
            }
        });
        let body = RequestBody::GoOn {
            tag: tag.to_owned(),
            answers: answers.collect(),
        };
        step(self.ask(body, &texts, timeout + GRACE).await?)
    }

    /// Ends a cell, wherever it is.
    pub fn end_cell(&self, tag: &str) {
        self.link.tell(RequestBody::EndCell {
            tag: tag.to_owned(),
        });
    }
}

fn step((answer, payload): (AnswerBody, Vec<u8>)) -> Result<CellStep, GuestError> {
    if let AnswerBody::CellWaits { calls } = answer {
        return tool_calls(calls).map(CellStep::Waits);
    }
    let AnswerBody::CellDone {
        done,
        output_dir,
        state_lost,
    } = answer
    else {
        return Err(unexpected(&answer));
    };
    if !guest_proto::is_directory_tag(&output_dir) {
        return Err(nonsense("an output directory of another name"));
    }
    Ok(CellStep::Done(CellResult {
        exec: ExecResult::from_answer(done, payload)?,
        output_dir,
        state_lost,
    }))
}

/// The guest's calls from code, validated.
fn tool_calls(calls: Vec<CodeCall>) -> Result<Vec<ToolCall>, GuestError> {
    let bytes: usize = calls.iter().map(|call| call.args.len()).sum();
    if calls.is_empty() || calls.len() > MAX_CODE_CALLS || bytes > MAX_CODE_ARGS_BYTES {
        return Err(nonsense("a cell with too many calls, or none"));
    }
    calls
        .into_iter()
        .map(|call| {
            let args = serde_json::from_str(&call.args);
            Ok(ToolCall {
                n: call.n,
                name: call.name,
                args: args.map_err(|_| nonsense("arguments that are no JSON object"))?,
            })
        })
        .collect()
}

/// A cell that an earlier server has left waiting: its tag, and the names of what it waits for.
pub fn left_waiting(cell: WaitingCell) -> (String, Vec<ToolCall>) {
    (cell.tag, tool_calls(cell.calls).unwrap_or_default())
}

fn nonsense(reason: &str) -> GuestError {
    GuestError::Protocol {
        reason: reason.to_owned(),
    }
}
