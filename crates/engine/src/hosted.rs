//! Tools that the service carries out itself with no more than the request: it searches tools, asks an advisor, and
//! asks the servers of connectors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use wire::ToolErrorCode;
use wire::block::ContentBlock;
use wire::hosted::{AdvisorContent, McpContent, ToolReference, ToolSearchContent};
use wire::request::AdvisorOptions;

use crate::usage::{Advised, tokens};
use crate::{TurnInput, seal, tool_search};
use model::{Advice, CallResult, Finding, McpAnswer, ServerTool, ToolFailure};

/// Why an advisor ends that nothing cuts off.
const END_TURN: &str = "end_turn";

/// These tools, in one request.
#[derive(Debug, Default)]
pub(super) struct HostedTools {
    took_part: AtomicBool,
    /// Against `max_uses`.
    asked: AtomicU64,
    advice: Mutex<Vec<Advised>>,
}

/// A call of one of them.
pub(super) struct HostedCall<'a> {
    pub(super) id: String,
    pub(super) tool: ServerTool,
    pub(super) arguments: &'a Value,
    /// The call is not carried out: this is its result.
    pub(super) failure: Option<ToolFailure>,
    /// The result that comes with the call; else it follows from the request.
    pub(super) found: Option<Finding>,
}

impl HostedTools {
    /// Whether `usage` has the counters of server tools for their sake.
    pub(super) fn took_part(&self) -> bool {
        self.took_part.load(Ordering::Relaxed)
    }

    /// Takes the samplings of advisors since this was last asked.
    pub(super) fn take_advice(&self) -> Vec<Advised> {
        std::mem::take(&mut *self.advice.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Carries a call out.
    pub(super) fn run(
        &self,
        input: &TurnInput,
        call: HostedCall<'_>,
    ) -> (ContentBlock, CallResult) {
        self.took_part.store(true, Ordering::Relaxed);
        let HostedCall {
            id,
            tool,
            arguments,
            failure,
            found,
        } = call;
        match tool {
            ServerTool::ToolSearchRegex => {
                let found = names(failure, found, || {
                    tool_search::by_regex(&input.body, arguments)
                });
                searched(id, tool, found)
            }
            ServerTool::ToolSearchBm25 => {
                let found = names(failure, found, || {
                    tool_search::by_words(&input.body, arguments)
                });
                searched(id, tool, found)
            }
            // The others never come here: they have blocks of their own.
            ServerTool::Advisor
            | ServerTool::Python
            | ServerTool::Bash
            | ServerTool::Editor
            | ServerTool::WebSearch
            | ServerTool::WebFetch => self.advise(input, id, failure, found),
        }
    }

    fn advise(
        &self,
        input: &TurnInput,
        id: String,
        failure: Option<ToolFailure>,
        found: Option<Finding>,
    ) -> (ContentBlock, CallResult) {
        let mut tools = input.request.tools.iter();
        let options = tools
            .find_map(|tool| tool.advisor.clone())
            .unwrap_or_default();
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        let over = options.max_uses.is_some_and(|most| before >= most);
        let failure =
            failure.or_else(|| over.then(|| ToolFailure::of(ToolErrorCode::MaxUsesExceeded)));
        let (content, text) = match (failure, found) {
            (Some(failure), _) => (Err(failure.code), String::new()),
            (None, Some(Finding::Advice(advice))) => {
                self.sampled(&options, &advice);
                let text = advice.text.clone();
                (Ok(said(&options, advice)), text)
            }
            // A call that another server has made: nothing here knows what was said.
            (
                None,
                Some(Finding::Web(_) | Finding::Tools(_) | Finding::Mcp(_) | Finding::Code(_))
                | None,
            ) => (Err(ToolErrorCode::Unavailable), String::new()),
        };
        let error_code = content.as_ref().err().map(|code| code.name().to_owned());
        let content = content.unwrap_or_else(|error_code| AdvisorContent::Error { error_code });
        let result = result(
            id.clone(),
            ServerTool::Advisor.name(),
            error_code,
            &content,
            text,
        );
        let block = ContentBlock::AdvisorToolResult {
            tool_use_id: id,
            content,
        };
        (block, result)
    }

    fn sampled(&self, options: &AdvisorOptions, advice: &Advice) {
        let advised = Advised {
            model: options.model.clone(),
            output_tokens: tokens(&advice.text).max(1),
        };
        let mut all = self.advice.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(advised);
    }

    /// The result of a call to an MCP server, as the client's block and for the model.
    pub(super) fn connect(
        &self,
        id: String,
        name: &str,
        answer: McpAnswer,
    ) -> (ContentBlock, CallResult) {
        self.took_part.store(true, Ordering::Relaxed);
        let McpAnswer { texts, is_error } = answer;
        let text = texts.join("\n");
        let content: Vec<McpContent> = texts
            .into_iter()
            .map(|text| McpContent::Text { text })
            .collect();
        let error_code = is_error.then(|| "is_error".to_owned());
        let result = result(id.clone(), name, error_code, &content, text);
        let block = ContentBlock::McpToolResult {
            tool_use_id: id,
            is_error,
            content,
        };
        (block, result)
    }
}

/// Advice as the client gets it.
fn said(options: &AdvisorOptions, advice: Advice) -> AdvisorContent {
    // Parity: only where the tool bounds it (F201).
    let stop_reason = advice
        .stop_reason
        .or_else(|| options.max_tokens.map(|_| END_TURN.to_owned()));
    if advice.redacted {
        AdvisorContent::Redacted {
            encrypted_content: seal::sealed(&advice.text),
            stop_reason,
        }
    } else {
        AdvisorContent::Advice {
            text: advice.text,
            stop_reason,
        }
    }
}

fn names(
    failure: Option<ToolFailure>,
    found: Option<Finding>,
    search: impl FnOnce() -> Result<Vec<String>, ToolFailure>,
) -> Result<Vec<String>, ToolFailure> {
    match (failure, found) {
        (Some(failure), _) => Err(failure),
        (None, Some(Finding::Tools(names))) => Ok(names),
        (
            None,
            Some(Finding::Web(_) | Finding::Advice(_) | Finding::Mcp(_) | Finding::Code(_)) | None,
        ) => search(),
    }
}

fn searched(
    id: String,
    tool: ServerTool,
    found: Result<Vec<String>, ToolFailure>,
) -> (ContentBlock, CallResult) {
    let (content, error_code, text) = match found {
        Ok(names) => {
            let text = names.join("\n");
            let tool_references = names
                .into_iter()
                .map(|tool_name| ToolReference::Tool { tool_name })
                .collect();
            (ToolSearchContent::Found { tool_references }, None, text)
        }
        Err(ToolFailure { code, message }) => {
            let content = ToolSearchContent::Error {
                error_code: code,
                error_message: message,
            };
            (content, Some(code.name().to_owned()), String::new())
        }
    };
    let result = result(id.clone(), tool.name(), error_code, &content, text);
    let block = ContentBlock::ToolSearchToolResult {
        tool_use_id: id,
        content,
    };
    (block, result)
}

fn result(
    id: String,
    name: &str,
    error_code: Option<String>,
    content: &impl serde::Serialize,
    stdout: String,
) -> CallResult {
    CallResult {
        id,
        name: name.to_owned(),
        stdout,
        stderr: String::new(),
        return_code: None,
        error_code,
        content: serde_json::to_value(content).unwrap_or_default(),
        files: Vec::new(),
    }
}
