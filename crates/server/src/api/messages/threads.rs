//! Message threads: a request that names one is the conversation so far and what it brings (F014, F017).
//!
//! The turn behind it knows nothing of threads: it gets the whole conversation. Its answer becomes the
//! thread's newest before `message_stop` is out, so that a client may go on at once.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use wire::block::Message;
use wire::decode::{Decoded, Node};
use wire::event::StreamEvent;

use crate::api::caller::Caller;
use crate::api::error::{ApiError, ApiResult};
use crate::app::App;
use common::{json, limits};
use engine::fold::Fold;
use engine::{self, Engine, Sink, TurnError, TurnInput, Wait};
use store::{self, NewThreadTurn, ThreadRow};
use workspace::Continuing;

const BETA: &str = "message-threads-2026-08-12";
/// The fields that only the first request of a thread has.
const OF_THE_FIRST: [&str; 2] = ["system", "tools"];
/// The fields that have to stay the same without being left out (F018).
const THE_SAME: [&str; 1] = ["output_config"];
/// The fields that cannot stand beside a thread, by the names that the SDKs know (F018).
const UNSUPPORTED: [&str; 2] = ["context_management", "fallbacks"];

/// Where the answer of a request belongs.
#[derive(Debug)]
pub(super) struct Thread {
    /// The one that goes on, or what a new one keeps.
    on: Result<(i64, Continuing), Value>,
    /// The messages that the request brought.
    sent: Vec<Value>,
}

/// Takes `thread` out of a body, and puts before its messages what the thread holds.
pub(super) async fn open(
    app: &App,
    caller: &Caller,
    body: &mut Value,
) -> ApiResult<Option<Thread>> {
    if body.get("thread").is_none_or(Value::is_null) {
        return Ok(None);
    }
    if !caller.betas.has(BETA) {
        refuse(body)?;
    }
    let previous =
        previous(&Node::root(body)).map_err(|fault| ApiError::invalid(fault.to_string()))?;
    refuse_unsupported(body)?;
    let sent = body["messages"].as_array().cloned().unwrap_or_default();
    let on = match previous {
        None => Err(fixed(body)),
        Some(message) => Ok(go_on(app, caller, body, &message).await?),
    };
    if let Some(members) = body.as_object_mut() {
        members.shift_remove("thread");
    }
    Ok(Some(Thread { on, sent }))
}

/// Refuses `thread` where it does not belong.
pub(super) fn refuse(body: &Value) -> ApiResult<()> {
    if body.get("thread").is_none_or(Value::is_null) {
        return Ok(());
    }
    Err(ApiError::invalid("thread: Extra inputs are not permitted"))
}

/// The answer that is continued; none for a new thread.
fn previous(root: &Node<'_>) -> Decoded<Option<String>> {
    let thread = root.required("thread")?;
    let tag = thread.tag(&["create", "continue"])?;
    let tagged = thread.tagged(tag);
    if tag == "create" {
        tagged.no_extras(&["type"])?;
        return Ok(None);
    }
    tagged.no_extras(&["type", "previous_message_id"])?;
    let id = tagged.required("previous_message_id")?;
    Ok(Some(id.string()?.to_owned()))
}

fn refuse_unsupported(body: &Value) -> ApiResult<()> {
    let given = |name: &&str| body.get(name).is_some_and(|value| !value.is_null());
    let unsupported: Vec<&str> = UNSUPPORTED.into_iter().filter(|name| given(name)).collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    let message = format!("thread: not supported with {}", quoted(&unsupported));
    let details = json!({ "error_code": "thread_unsupported_request", "unsupported": unsupported });
    Err(ApiError::invalid(message).with_details(details))
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The fields of a first request that its thread keeps.
fn fixed(body: &Value) -> Value {
    let names = OF_THE_FIRST.iter().chain(&THE_SAME);
    let kept = names.filter_map(|name| {
        let value = body.get(name).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), value.clone()))
    });
    Value::Object(kept.collect())
}

async fn go_on(
    app: &App,
    caller: &Caller,
    body: &mut Value,
    message: &str,
) -> ApiResult<(i64, Continuing)> {
    let workspace = &caller.workspace;
    // Taken first, so that nobody else goes on between the look and the answer.
    let taken = workspace.continue_from(message);
    let thread = app.engine.store.thread(&workspace.id, message).await?;
    let over = workspace.clock.now() - TimeDelta::minutes(limits::THREAD_MINUTES);
    let Some(thread) = thread.filter(|thread| thread.last_used_at > over) else {
        return Err(ApiError::not_found(format!(
            "thread: no thread was found for `previous_message_id` `{message}`"
        ))
        .with_code("thread_not_found"));
    };
    let Some(taken) = taken else {
        return Err(refused(
            "thread_continue_in_flight",
            &format!("another request is still continuing from `{message}`"),
        ));
    };
    if !thread.is_newest {
        return Err(refused(
            "thread_already_continued",
            &format!("the response `{message}` has already been continued"),
        ));
    }
    let kept: Map<String, Value> =
        serde_json::from_str(&thread.fixed).map_err(|error| ApiError::internal(&error))?;
    refuse_changes(body, &kept)?;
    let history = history(&thread)?;
    let Some(members) = body.as_object_mut() else {
        return Err(ApiError::internal(&"a body with a thread is no object"));
    };
    members.extend(kept);
    if let Some(messages) = members.get_mut("messages").and_then(Value::as_array_mut) {
        messages.splice(..0, history);
    }
    Ok((thread.n, taken))
}

fn refused(code: &str, reason: &str) -> ApiError {
    ApiError::invalid(format!("thread: {reason}")).with_code(code)
}

/// A thread's later requests leave out what it keeps, and change nothing that has to stay.
fn refuse_changes(body: &Value, kept: &Map<String, Value>) -> ApiResult<()> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let differs = |name: &&str| given(name) != kept.get(*name);
    let repeated = |name: &&str| given(name).is_some();
    let mut differing: Vec<&str> = OF_THE_FIRST
        .into_iter()
        .filter(|name| repeated(name) && differs(name))
        .collect();
    differing.extend(THE_SAME.into_iter().filter(differs));
    if !differing.is_empty() {
        let names = differing.join(", ");
        return Err(refused(
            "thread_fingerprint_mismatch",
            &format!("the request does not match the stored thread; differing field(s): {names}"),
        ));
    }
    match OF_THE_FIRST.into_iter().find(repeated) {
        Some(name) => Err(ApiError::invalid(format!(
            "{name}: not permitted when `thread.type` is `continue`; the thread keeps the value it was created with"
        ))),
        None => Ok(()),
    }
}

fn history(thread: &ThreadRow) -> ApiResult<Vec<Value>> {
    let mut history = Vec::new();
    for turn in &thread.turns {
        let messages: Vec<Value> =
            json::wrapped_text(turn).map_err(|error| ApiError::internal(&error))?;
        // An answer that says nothing is none to those that come after it, and may not stand before them.
        history.extend(
            messages
                .into_iter()
                .filter(|message| !says_nothing(message)),
        );
    }
    history.iter_mut().for_each(forget_marks);
    Ok(history)
}

/// The members that hold blocks, which may have marks of the cache (Python SDK 2.11, `lib/threads`).
const WITH_BLOCKS: [&str; 5] = ["content", "source", "tool", "definition", "tool_references"];

/// Takes the marks of the cache away: each was set for the request that brought it, and one takes only a few.
fn forget_marks(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.shift_remove("cache_control");
            for key in WITH_BLOCKS {
                members.get_mut(key).into_iter().for_each(forget_marks);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_marks),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn says_nothing(message: &Value) -> bool {
    message["role"] == "assistant" && message["content"].as_array().is_some_and(Vec::is_empty)
}

/// Carries out a turn, and keeps its answer in its thread if it belongs to one.
pub(super) async fn run(
    engine: &Engine,
    input: &TurnInput,
    thread: Option<Thread>,
    sink: &mut dyn Sink,
) -> Result<(), TurnError> {
    match thread {
        None => engine::run(engine, input, sink).await,
        // Boxed: every open stream would have room for it.
        Some(thread) => Box::pin(run_in(thread, engine, input, sink)).await,
    }
}

async fn run_in(
    thread: Thread,
    engine: &Engine,
    input: &TurnInput,
    sink: &mut dyn Sink,
) -> Result<(), TurnError> {
    let mut held = Held {
        sink,
        fold: Fold::default(),
        end: None,
    };
    engine::run(engine, input, &mut held).await?;
    let Held { sink, fold, end } = held;
    if let Some(message) = fold.finish() {
        let turn = thread.turn(input, &message);
        engine.store.keep_thread_turn(turn).await?;
    }
    if let Some(end) = end {
        sink.event(end);
    }
    Ok(())
}

impl Thread {
    fn turn(&self, input: &TurnInput, answer: &Message) -> NewThreadTurn {
        let mut messages = self.sent.clone();
        messages.push(json!({ "role": "assistant", "content": answer.content }));
        NewThreadTurn {
            workspace: input.workspace.id.clone(),
            thread: match &self.on {
                Ok((thread, _)) => store::Thread::Known(*thread),
                Err(fixed) => store::Thread::New(fixed.to_string()),
            },
            message: answer.id.clone(),
            messages: Value::Array(messages).to_string(),
            now: input.workspace.clock.now(),
        }
    }
}

/// Passes events on and folds them; the last one waits until the answer is kept.
struct Held<'a> {
    sink: &'a mut dyn Sink,
    fold: Fold,
    end: Option<StreamEvent>,
}

impl Sink for Held<'_> {
    fn event(&mut self, event: StreamEvent) {
        if event == StreamEvent::MessageStop {
            self.end = Some(event);
            return;
        }
        self.fold.event(event.clone());
        self.sink.event(event);
    }

    fn wait(&mut self, wait: Wait) {
        self.sink.wait(wait);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn an_answer_without_content_is_not_in_the_way_of_the_next_request() {
        let sent = json!({"role": "user", "content": "a"});
        let answer = |content: &Value| json!({"role": "assistant", "content": content});
        let said = answer(&json!([{"type": "text", "text": "b"}]));
        let row = ThreadRow {
            n: 1,
            last_used_at: DateTime::UNIX_EPOCH,
            fixed: "{}".to_owned(),
            turns: vec![
                json!([sent, answer(&json!([]))]).to_string(),
                json!([sent, said]).to_string(),
            ],
            is_newest: true,
        };
        assert_eq!(history(&row).unwrap(), [sent.clone(), sent, said]);
    }

    #[test]
    fn marks_of_the_cache_are_those_of_the_request_that_brought_them() {
        let mark = json!({"type": "ephemeral"});
        let text = json!({"type": "text", "text": "r"});
        let call =
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": 1}});
        let mut marked = text.clone();
        marked["cache_control"] = mark.clone();
        let result =
            |text: &Value| json!({"type": "tool_result", "tool_use_id": "t", "content": [text]});
        let mut message = json!({"role": "user", "content": [call, result(&marked), marked]});
        message["content"][0]["cache_control"] = mark;
        forget_marks(&mut message);
        assert_eq!(
            message,
            json!({"role": "user", "content": [call, result(&text), text]})
        );
    }
}
