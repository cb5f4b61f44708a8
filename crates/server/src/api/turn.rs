//! From a decoded body to a turn, and from a turn that failed to its error: the same for a request and for an item
//! of a batch.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use wire::member::at;
use wire::refusal;
use wire::request::{MessagesRequest, Thinking};

use crate::api::caller::{Betas, Caller};
use crate::api::era;
use crate::api::error::{ApiError, ApiResult};
use crate::api::skills;
use crate::app::App;
use common::hinted;
use common::limits;
use engine::{self, Allowance, Report, TurnError, TurnInput};
use workspace::quirks::{Era, WeakRefusals};

/// The first version with the stricter rules (F013); versions are dates and compare as text.
const STRICT_FROM: &str = "2026-10-21";

/// Lets items of a batch be longer than their model's answers are (spec: `max_tokens` up to 300,000).
const LONG_OUTPUT_BETA: &str = "output-300k-2026-03-24";
/// Lets a budget for thinking count over a whole turn with tools, so that it may be larger than `max_tokens`.
const INTERLEAVED_BETA: &str = "interleaved-thinking-2025-05-14";
/// How the betas of connectors begin.
const MCP_BETA: &str = "mcp-client-";
/// The one that knew no toolsets.
const FIRST_MCP_BETA: &str = "mcp-client-2025-04-04";

/// A decoder of bodies, with and without betas.
pub(super) type Decode = fn(&Value, bool) -> wire::decode::Decoded<MessagesRequest>;

/// The turn that a body asks for.
pub(super) fn decode(
    app: &App,
    caller: Caller,
    mut body: Value,
    report: Arc<Mutex<Report>>,
    decode: Decode,
) -> ApiResult<TurnInput> {
    replace_aliases(&mut body, &app.config.tool_aliases);
    if caller.quirks.era == Era::Beta2025 {
        era::check_body(&body, &caller.betas)?;
    }
    if caller.quirks.weak_refusals == WeakRefusals::Taken {
        forget_search_messages(&mut body);
    }
    let request = decode(&body, !caller.betas.0.is_empty())
        .map_err(|fault| ApiError::invalid(fault.to_string()))?;
    if app.config.strict_models && !engine::models::is_listed(&request.model) {
        let message = refusal::MODEL_UNKNOWN.say(&[("model", &request.model)]);
        return Err(ApiError::not_found(message));
    }
    check_budget(&request, &caller.betas)?;
    check_skills(&request, &caller.betas)?;
    check_connectors(&request, &caller.betas)?;
    Ok(TurnInput {
        workspace: caller.workspace,
        request,
        body: Arc::new(body),
        strict: *caller.version >= *STRICT_FROM,
        report,
        quirks: caller.quirks,
        faults: caller.faults,
        made: caller.made,
        batch_item: None,
        admitted_with: None,
        skills_beta: caller.betas.has(skills::BETA),
        long_output: caller.betas.has(LONG_OUTPUT_BETA),
        allowance: Allowance::default(),
        redactor: caller.redactor,
    })
}

/// Takes `error_message` from the errors of tool searches: nothing reads it, and the quirk lets it pass.
fn forget_search_messages(body: &mut Value) {
    let messages = body.get_mut("messages").and_then(Value::as_array_mut);
    let messages = messages.into_iter().flatten();
    let contents = messages.filter_map(|message| message.get_mut("content")?.as_array_mut());
    for result in contents
        .flatten()
        .filter_map(|block| block.get_mut("content"))
    {
        if at(result, "type") == "tool_search_tool_result_error"
            && let Some(result) = result.as_object_mut()
        {
            result.remove("error_message");
        }
    }
}

/// Thoughts are a part of the answer, unless they are interleaved with calls.
fn check_budget(request: &MessagesRequest, betas: &Betas) -> ApiResult<()> {
    if betas.has(INTERLEAVED_BETA) && !request.tools.is_empty() {
        return Ok(());
    }
    let fits = |thinking: Option<Thinking>, max_tokens: u64| match thinking {
        Some(Thinking::Enabled { budget_tokens }) => budget_tokens < max_tokens,
        Some(Thinking::Adaptive | Thinking::BetweenTools | Thinking::Disabled) | None => true,
    };
    let beyond = "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at \
         https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size";
    if !fits(request.thinking, request.max_tokens) {
        return Err(ApiError::invalid(beyond));
    }
    for (place, entry) in request.fallback_chain().iter().enumerate() {
        let max_tokens = entry.max_tokens.unwrap_or(request.max_tokens);
        if !fits(entry.thinking.given(), max_tokens) {
            return Err(ApiError::invalid(format!("fallbacks.{place}: {beyond}")));
        }
    }
    Ok(())
}

/// The beta took fewer of them (F102).
fn check_skills(request: &MessagesRequest, betas: &Betas) -> ApiResult<()> {
    let most = if betas.has(skills::BETA) {
        limits::MAX_REQUEST_SKILLS_BETA
    } else {
        limits::MAX_REQUEST_SKILLS
    };
    let named = request
        .container
        .as_ref()
        .map_or(0, |container| container.skills.len());
    if named > most {
        return Err(ApiError::invalid(format!(
            "container.ContainerParams.skills: List should have at most {most} items after validation, not {named}"
        )));
    }
    Ok(())
}

/// Since the second beta of connectors each server has a toolset that names it.
fn check_connectors(request: &MessagesRequest, betas: &Betas) -> ApiResult<()> {
    let later = |beta: &String| beta.starts_with(MCP_BETA) && beta != FIRST_MCP_BETA;
    if betas.has(FIRST_MCP_BETA) && !betas.0.iter().any(later) {
        return Ok(());
    }
    let names = |name: &str| {
        let mut tools = request.tools.iter();
        tools.any(|tool| tool.is_connector() && tool.name == name)
    };
    let mut servers = request.mcp_servers.iter();
    match servers.find(|server| !names(&server.name)) {
        Some(server) => {
            let message = refusal::MCP_UNREFERENCED.say(&[("name", &server.name)]);
            Err(ApiError::invalid(message))
        }
        None => Ok(()),
    }
}

/// Replaces the tool types that the user declared to be another's name.
fn replace_aliases(body: &mut Value, aliases: &[(String, String)]) {
    if aliases.is_empty() {
        return;
    }
    let tools = body.get_mut("tools").and_then(Value::as_array_mut);
    for tool in tools.into_iter().flatten() {
        let Some(tag) = tool.get_mut("type") else {
            continue;
        };
        if let Some((_, known)) = aliases.iter().find(|(alias, _)| tag == alias.as_str()) {
            *tag = Value::String(known.clone());
        }
    }
}

/// The answer to a turn that failed.
pub(super) fn refused(error: TurnError) -> ApiError {
    match error {
        TurnError::Invalid(message) => ApiError::invalid(message),
        TurnError::Detailed { message, details } => {
            ApiError::invalid(message).with_details(*details)
        }
        TurnError::NotFound { message, code } => {
            let error = ApiError::not_found(message);
            match code {
                Some(code) => error.with_code(code),
                None => error,
            }
        }
        TurnError::Model(error) => ApiError::invalid(hinted::told(&error)),
        TurnError::Service(error) => (*error).into(),
        TurnError::Store(error) => ApiError::failed(&error),
        TurnError::Lost(error) => ApiError::internal(&error),
        // Whoever carries the answer closes the connection.
        TurnError::Cut => ApiError::internal(&"a cut has no answer"),
    }
}
