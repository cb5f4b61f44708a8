//! `POST /v1/messages`, plain and streamed.

mod plain;
mod rates;
mod stream;
mod threads;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use wire::refusal;
use wire::request::MessagesRequest;

use crate::api::era;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::{Betas, Caller};
use crate::api::json;
use crate::api::middleware::Exchange;
use crate::api::skills;
use crate::app::App;
use crate::coverage::Mode;
use crate::engine::{self, Allowance, Report, TurnError, TurnInput};
use crate::hinted;
use crate::limits;
use crate::model::ServiceError;
use crate::quirks::{Era, WeakRefusals};
use crate::rate::Standing;
use plain::Plain;
use threads::Thread;

/// The first version with the stricter rules (F013); versions are dates and compare as text.
const STRICT_FROM: &str = "2026-10-21";

/// Carries out a turn.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let (body, raw) = json::read(&headers, body, limits::MAX_MESSAGES_BODY_BYTES).await?;
    let report = Arc::new(Mutex::new(Report::default()));
    let exchange = Exchange {
        request: Some(raw),
        report: Some(Arc::clone(&report)),
        ..Exchange::default()
    };
    let clock = caller.workspace.clock.clone();
    let answer = Box::pin(turn(&app, caller, body, report)).await;
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if response.status().is_success() {
        let standing = response.extensions_mut().remove::<Standing>();
        rates::add(response.headers_mut(), clock.now(), standing);
    }
    let answered = response.extensions_mut().remove::<Bytes>();
    response.extensions_mut().insert(Exchange {
        response: answered,
        ..exchange
    });
    Ok(response)
}

async fn turn(
    app: &App,
    caller: Caller,
    mut body: Value,
    report: Arc<Mutex<Report>>,
) -> ApiResult<Response> {
    let thread = threads::open(app, &caller, &mut body).await?;
    let mut input = TurnInput {
        report,
        ..decode(app, caller, body, MessagesRequest::decode)?
    };
    let standing = rates::admit(&mut input)?;
    let mut response = if input.request.stream {
        stream::answer(app.clone(), input, thread).await?
    } else {
        plain_answer(app, &input, thread).await?
    };
    if let Some(standing) = standing {
        response.extensions_mut().insert(standing);
    }
    Ok(response)
}

async fn plain_answer(app: &App, input: &TurnInput, thread: Option<Thread>) -> ApiResult<Response> {
    let mut plain = Plain::default();
    let done = threads::run(&app.engine, input, thread, &mut plain).await;
    let message = plain.finish().await;
    if matches!(done, Err(TurnError::Cut)) {
        return Ok(plain::cut(message.as_ref()));
    }
    done.map_err(refused)?;
    let message = message.ok_or_else(|| ApiError::internal(&"a turn ended without a message"))?;
    let coverage = &input.workspace.watch.coverage;
    coverage.mode(Mode::Plain);
    coverage.message(&message);
    let bytes = if input.quirks.era == Era::Beta2025 {
        let mut message =
            serde_json::to_value(&message).map_err(|error| ApiError::internal(&error))?;
        era::age(&mut message);
        Bytes::from(message.to_string())
    } else {
        let text = serde_json::to_vec(&message).map_err(|error| ApiError::internal(&error))?;
        // Without the room the text had to grow into: the journal keeps it.
        Bytes::from(text.into_boxed_slice())
    };
    let mut response = (
        [(header::CONTENT_TYPE, "application/json")],
        Body::from(bytes.clone()),
    )
        .into_response();
    response.extensions_mut().insert(bytes);
    Ok(response)
}

/// How the betas of connectors begin.
const MCP_BETA: &str = "mcp-client-";
/// The one that knew no toolsets.
const FIRST_MCP_BETA: &str = "mcp-client-2025-04-04";

/// What decodes a body, with and without betas.
pub(super) type Decode = fn(&Value, bool) -> wire::decode::Decoded<MessagesRequest>;

/// The turn that a body asks for.
pub(super) fn decode(
    app: &App,
    caller: Caller,
    mut body: Value,
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
    check_skills(&request, &caller.betas)?;
    check_connectors(&request, &caller.betas)?;
    Ok(TurnInput {
        workspace: caller.workspace,
        request,
        body: Arc::new(body),
        strict: caller.version.as_str() >= STRICT_FROM,
        report: Arc::default(),
        quirks: caller.quirks,
        faults: caller.faults,
        made: caller.made,
        batch_item: None,
        admitted_with: None,
        skills_beta: caller.betas.has(skills::BETA),
        allowance: Allowance::default(),
    })
}

/// Takes `error_message` from the errors of tool searches: nothing reads it, and the quirk lets it pass.
fn forget_search_messages(body: &mut Value) {
    let messages = body["messages"].as_array_mut().into_iter().flatten();
    let contents = messages.filter_map(|message| message.get_mut("content")?.as_array_mut());
    for result in contents
        .flatten()
        .filter_map(|block| block.get_mut("content"))
    {
        if result["type"] == "tool_search_tool_result_error"
            && let Some(result) = result.as_object_mut()
        {
            result.remove("error_message");
        }
    }
}

/// Counts the tokens of a request that is not carried out.
pub(crate) async fn count_tokens(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let (body, raw) = json::read(&headers, body, limits::MAX_MESSAGES_BODY_BYTES).await?;
    let context = caller
        .betas
        .0
        .iter()
        .any(|beta| beta.starts_with("context-management-"))
        && body.get("context_management").is_some_and(Value::is_object);
    threads::refuse(&body)?;
    let counted = match decode(&app, caller, body, MessagesRequest::decode_count) {
        Ok(input) => engine::count_tokens(&app.engine, &input)
            .await
            .map_err(refused),
        Err(error) => Err(error),
    };
    let mut exchange = Exchange {
        request: Some(raw),
        ..Exchange::default()
    };
    let mut response = match counted {
        Ok(tokens) => {
            let mut answer = json!({ "input_tokens": tokens });
            if context {
                // Nothing is ever cleared.
                answer["context_management"] = json!({ "original_input_tokens": tokens });
            }
            exchange.response = Some(Bytes::from(answer.to_string()));
            axum::Json(answer).into_response()
        }
        Err(error) => error.into_response(),
    };
    response.extensions_mut().insert(exchange);
    Ok(response)
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
            "container.skills: List should have at most {most} items after validation, not {named}"
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
    for tool in body["tools"].as_array_mut().into_iter().flatten() {
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
        TurnError::Service(error) => service_error(*error),
        TurnError::Store(error) => ApiError::failed(&error),
        TurnError::Lost(error) => ApiError::internal(&error),
        // Whoever carries the answer closes the connection.
        TurnError::Cut => ApiError::internal(&"a cut has no answer"),
    }
}

/// A failure of the service, played by a script or a fault.
pub(crate) fn service_error(error: ServiceError) -> ApiError {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = ApiError::new(status, error.kind, error.message);
    if let Some(details) = error.details {
        answer = answer.with_details(*details);
    }
    for (name, value) in error.headers {
        let (Ok(known), Ok(sent)) = (HeaderName::try_from(&name), HeaderValue::from_str(&value))
        else {
            tracing::warn!(%name, %value, "a script names a header that cannot be sent");
            continue;
        };
        answer = answer.with_header(known, sent);
    }
    answer
}
