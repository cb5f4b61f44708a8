//! Histories that are taken, and those that are refused with the service's words.

use super::*;
use serde_json::Value;
use serde_json::json;

fn check(messages: &Value) -> Result<Pending, Invalid> {
    let body = json!({
        "model": "claude-opus-5", "max_tokens": 16, "messages": messages,
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
    });
    history(&MessagesRequest::decode(&body, false).unwrap())
}

const CALL: &str = r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"bash_code_execution","input":{"command":"ls"}}"#;

fn call() -> Value {
    serde_json::from_str(CALL).unwrap()
}

fn client_call() -> Value {
    json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})
}

fn answer(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "ok"})
}

#[test]
fn tools_that_exclude_each_other_are_refused() {
    let check = |tools: &Value| {
        let body = json!({
            "model": "claude-opus-5", "max_tokens": 16, "tools": tools,
            "messages": [{"role": "user", "content": "hi"}],
        });
        super::tools(&MessagesRequest::decode(&body, false).unwrap())
    };
    let code = |tag: &str| json!({"type": tag, "name": "code_execution"});
    let web = json!({"type": "web_search_20260209", "name": "web_search"});
    let own = json!({"name": "f", "input_schema": {"type": "object"}, "defer_loading": true});
    assert_eq!(
        check(&json!([web, code("code_execution_20250825")]))
            .unwrap_err()
            .to_string(),
        "Auto-injecting tools would conflict with existing tool names: ['code_execution']. Each tool name must \
         be unique."
    );
    assert_eq!(
        check(&json!([web, code("code_execution_20260120")])),
        Ok(())
    );
    assert_eq!(
        check(&json!([own])).unwrap_err().to_string(),
        "All tools have defer_loading: true"
    );
    assert_eq!(
        check(&json!([own, own])).unwrap_err().to_string(),
        "tools: Tool names must be unique."
    );
    assert_eq!(check(&json!([own, web])), Ok(()));
}

#[test]
fn an_unanswered_client_call_is_named() {
    let error = check(&json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [client_call()]},
        {"role": "user", "content": "go on"},
    ]))
    .unwrap_err()
    .to_string();
    assert_eq!(
        error,
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message."
    );
}

#[test]
fn an_answer_to_a_server_call_is_refused() {
    let error = check(&json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [call()]},
        {"role": "user", "content": [answer("srvtoolu_1")]},
    ]))
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with(
            "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: srvtoolu_1."
        ),
        "{error}"
    );
}

#[test]
fn a_server_call_beside_an_answered_client_call_is_pending() {
    let pending = check(&json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [call(), client_call()]},
        {"role": "user", "content": [answer("toolu_1")]},
    ]))
    .unwrap();
    assert_eq!(pending.calls.len(), 1);
    assert_eq!(pending.calls[0].id, "srvtoolu_1");
}

#[test]
fn a_pending_server_call_followed_by_text_is_refused() {
    let error = check(&json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [call()]},
        {"role": "user", "content": "what now?"},
    ]))
    .unwrap_err()
    .to_string();
    assert_eq!(
        error,
        "messages.1: `bash_code_execution` tool use with id `srvtoolu_1` was found without a corresponding \
         `bash_code_execution_tool_result` block"
    );
}

#[test]
fn a_result_without_its_call_is_refused() {
    let error = check(&json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{
            "type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_9",
            "content": {"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"},
        }]},
        {"role": "user", "content": "go on"},
    ]))
    .unwrap_err().to_string();
    assert!(
        error.contains("found in `bash_code_execution_tool_result` blocks: srvtoolu_9"),
        "{error}"
    );
}

#[test]
fn code_that_waits_needs_its_container() {
    let mut by_code = client_call();
    by_code["caller"] = json!({"type": "code_execution_20260120", "tool_id": "srvtoolu_1"});
    let error = check(&json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [call(), by_code]},
        {"role": "user", "content": [answer("toolu_1")]},
    ]))
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("container_id is required"), "{error}");
}

#[test]
fn what_the_service_does_is_in_no_message_of_the_user() {
    let result = json!({"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content":
        {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []}});
    let hi = json!({"role": "user", "content": "hi"});
    let refused = |messages: Value| check(&messages).unwrap_err().to_string();
    assert_eq!(
        refused(json!([{"role": "user", "content": [call()]}])),
        "messages.0: `server_tool_use` blocks can only be in `assistant` messages"
    );
    assert_eq!(
        refused(json!([
            hi, {"role": "assistant", "content": [call()]}, {"role": "user", "content": [result]},
        ])),
        "messages.2: `bash_code_execution_tool_result` blocks can only be in `assistant` messages"
    );
    let later = json!([
        hi, {"role": "assistant", "content": [call()]}, {"role": "assistant", "content": [result]},
        {"role": "user", "content": "go on"},
    ]);
    assert_eq!(check(&later), Ok(Pending::default()));
}

#[test]
fn a_call_that_waits_needs_the_tool_that_offers_it() {
    let refused = |tag: &str, name: &str| {
        let body = json!({
            "model": "claude-opus-5", "max_tokens": 16, "tools": [{"type": tag, "name": "code_execution"}],
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [
                    {"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": {}},
                ]},
            ],
        });
        let pending = history(&MessagesRequest::decode(&body, false).unwrap());
        pending.err().map(|error| error.to_string())
    };
    let text = |name: &str, tail: &str| {
        Some(format!(
            "messages.1: `{name}` tool use with id `srvtoolu_1` was found without a corresponding \
             `{name}_tool_result` block, but {tail}"
        ))
    };
    for (tag, name) in [
        ("code_execution_20250522", "code_execution"),
        ("code_execution_20250825", "bash_code_execution"),
        ("code_execution_20250825", "text_editor_code_execution"),
        ("code_execution_20260120", "code_execution"),
        ("code_execution_20260521", "bash_code_execution"),
    ] {
        assert_eq!(refused(tag, name), None, "{tag} {name}");
    }
    for (tag, name) in [
        ("code_execution_20250522", "bash_code_execution"),
        ("code_execution_20250522", "text_editor_code_execution"),
        ("code_execution_20250825", "code_execution"),
    ] {
        let offers = format!("`{tag}` offers no `{name}`");
        assert_eq!(refused(tag, name), text(name, &offers));
    }
    let name = "foo_code_execution";
    assert_eq!(
        refused("code_execution_20260120", name),
        text(name, "no `foo_code_execution` tool was provided")
    );
}

#[test]
fn only_an_answer_that_paused_is_no_prefill() {
    let result = json!({"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content":
        {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []}});
    let text = json!({"type": "text", "text": "Done."});
    let is_prefill = |content: Value| {
        let body = json!({
            "model": "claude-opus-5", "max_tokens": 16,
            "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}],
        });
        ends_with_prefill(&MessagesRequest::decode(&body, false).unwrap())
    };
    assert!(is_prefill(json!([text])));
    assert!(is_prefill(json!([call(), result, text])));
    assert!(!is_prefill(json!([text, call()])));
    assert!(!is_prefill(json!([text, call(), result])));
    // The text is of an answer that goes on when its call has been run.
    assert!(!is_prefill(json!([call(), text])));
}
