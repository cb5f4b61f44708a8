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
    let name = "web_fetch";
    assert_eq!(
        refused("code_execution_20260120", name),
        text(name, "no `web_fetch` tool was provided")
    );
}

/// What a request of these tools is refused with, if it is.
fn refused_tools(tools: &Value, choice: &Value) -> Option<String> {
    let body = json!({
        "model": "claude-opus-5", "max_tokens": 16, "tools": tools, "tool_choice": choice,
        "messages": [{"role": "user", "content": "hi"}],
    });
    let request = MessagesRequest::decode(&body, true).unwrap();
    let refused = super::tools(&request).err();
    refused.map(|error| error.to_string())
}

#[test]
fn what_code_calls_by_default_is_called_by_code() {
    let one_by_one = json!({"type": "auto", "disable_parallel_tool_use": true});
    let mut web = json!({"type": "web_search_20260209", "name": "web_search"});
    assert_eq!(
        refused_tools(&json!([web]), &one_by_one).unwrap(),
        "tool_choice.disable_parallel_tool_use: true cannot be used with programmatic tool calling"
    );
    web["strict"] = json!(true);
    assert_eq!(
        refused_tools(&json!([web]), &Value::Null).unwrap(),
        "tools.0.web_search_20260209.strict: `strict` is not supported for tools called by code execution"
    );
    web["allowed_callers"] = json!(["direct"]);
    assert_eq!(refused_tools(&json!([web]), &one_by_one), None);
}

#[test]
fn no_code_calls_a_toolset() {
    for mut set in [
        json!({"type": "browser_toolset_20260801"}),
        json!({"type": "mcp_toolset", "mcp_server_name": "m"}),
    ] {
        let tag = set["type"].as_str().unwrap().to_owned();
        set["allowed_callers"] = json!(["direct"]);
        assert_eq!(refused_tools(&json!([set]), &Value::Null), None);
        set["allowed_callers"] = json!(["direct", "code_execution_20260120"]);
        let code = json!({"type": "code_execution_20260120", "name": "code_execution"});
        assert_eq!(
            refused_tools(&json!([set, code]), &Value::Null).unwrap(),
            format!("tools.0.{tag}.allowed_callers: `{tag}` only supports `direct`")
        );
    }
}

#[test]
fn a_web_call_that_has_its_result_behind_a_cell_without_one_has_lost_its_caller() {
    let cell = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {"code": "1"}});
    let web =
        json!({"type": "server_tool_use", "id": "srvtoolu_2", "name": "web_fetch", "input": {}});
    let fetched = json!({"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_2",
        "content": {"type": "web_fetch_tool_result_error", "error_code": "unavailable"}});
    let mut asked = client_call();
    asked["caller"] = json!({"type": "code_execution_20260120", "tool_id": "srvtoolu_1"});
    let check = |content: Value, more: Value| {
        let mut messages =
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]);
        messages
            .as_array_mut()
            .unwrap()
            .extend(more.as_array().cloned().unwrap_or_default());
        let body = json!({
            "model": "claude-opus-5", "max_tokens": 16, "messages": messages, "container": "container_1",
            "tools": [
                {"type": "code_execution_20260120", "name": "code_execution"},
                {"type": "web_fetch_20260209", "name": "web_fetch",
                 "allowed_callers": ["direct", "code_execution_20260120"]},
            ],
        });
        let checked = history(&MessagesRequest::decode(&body, false).unwrap());
        checked.map(|pending| pending.calls.len())
    };
    assert_eq!(
        check(json!([cell, web, fetched]), Value::Null)
            .unwrap_err()
            .to_string(),
        "messages.1: `code_execution` tool use with id `srvtoolu_1` was found without a corresponding \
         `code_execution_tool_result` block"
    );
    // Both wait, or the model's own call was carried out while the cell waits for the client.
    assert_eq!(check(json!([cell, web]), Value::Null), Ok(2));
    let answered = json!([{"role": "user", "content": [answer("toolu_1")]}]);
    assert_eq!(
        check(json!([cell, web, fetched, asked]), answered.clone()),
        Ok(1)
    );
    // So does one behind it that has not begun.
    let mut second = cell.clone();
    second["id"] = json!("srvtoolu_3");
    assert_eq!(
        check(json!([cell, second, web, fetched, asked]), answered),
        Ok(2)
    );
}

#[test]
fn a_web_call_behind_another_that_waits_has_no_caller_to_lose() {
    let server = |id: &str, name: &str| json!({"type": "server_tool_use", "id": id, "name": name, "input": {}});
    let web = server("srvtoolu_2", "web_search");
    let tools = json!([
        {"type": "code_execution_20260120", "name": "code_execution"},
        {"type": "web_search_20260209", "name": "web_search"},
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
        {"name": "query", "input_schema": {"type": "object"}},
    ]);
    for first in [
        "web_search",
        "bash_code_execution",
        "text_editor_code_execution",
        "tool_search_tool_regex",
        "code_execution",
    ] {
        let first = server("srvtoolu_1", first);
        let paused = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": [first, web]}]);
        let mixed = json!([
            {"role": "user", "content": "hi"}, {"role": "assistant", "content": [first, web, client_call()]},
            {"role": "user", "content": [answer("toolu_1")]},
        ]);
        for messages in [paused, mixed] {
            let body = json!({
                "model": "claude-opus-5", "max_tokens": 16, "messages": messages, "container": "container_1",
                "tools": tools,
            });
            let checked = history(&MessagesRequest::decode(&body, false).unwrap());
            assert_eq!(checked.map(|pending| pending.calls.len()), Ok(2), "{first}");
        }
    }
}

#[test]
fn tokens_are_counted_without_the_container_of_code_that_waits() {
    let mut asked = client_call();
    asked["caller"] = json!({"type": "code_execution_20260120", "tool_id": "srvtoolu_1"});
    let cell = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {"code": "1"}});
    let mut body = json!({
        "model": "claude-opus-5",
        "messages": [
            {"role": "user", "content": "hi"}, {"role": "assistant", "content": [cell, asked]},
            {"role": "user", "content": [answer("toolu_1")]},
        ],
        "tools": [{"type": "code_execution_20260120", "name": "code_execution"}],
    });
    let counted = MessagesRequest::decode_count(&body, false).unwrap();
    assert!(history(&counted).is_ok());
    body["max_tokens"] = json!(16);
    let asked = MessagesRequest::decode(&body, false).unwrap();
    assert!(
        history(&asked)
            .unwrap_err()
            .to_string()
            .starts_with("container_id is required")
    );
}

#[test]
fn the_newest_version_takes_no_sampling_and_no_cited_text_of_the_user() {
    let refused = |body: &Value| {
        let refused = strict(&MessagesRequest::decode(body, false).unwrap()).err();
        refused.map(|error| error.to_string())
    };
    let mut body = json!({"model": "claude-opus-5", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(refused(&body), None);
    body["top_k"] = Value::Null;
    assert_eq!(
        refused(&body).unwrap(),
        "top_k: Extra inputs are not permitted"
    );
    body.as_object_mut().unwrap().remove("top_k");
    let cited = json!({"type": "text", "text": "a", "citations": [{
        "type": "char_location", "cited_text": "a", "document_index": 0, "start_char_index": 0, "end_char_index": 1,
    }]});
    let found = json!({"type": "search_result", "source": "s", "title": "t", "content": [cited]});
    for (block, place) in [(cited, "text.citations"), (found, "search_result.content")] {
        body["messages"][0]["content"] =
            json!([{"type": "tool_result", "tool_use_id": "t", "content": [block]}]);
        assert_eq!(
            refused(&body).unwrap(),
            format!(
                "messages.0.content.0.tool_result.content.0.{place}: `citations` are not permitted in `user` messages"
            )
        );
    }
}

#[test]
fn a_prefill_begins_with_a_thought_where_thinking_has_a_budget() {
    let refused = |thinking: Value, content: Value| {
        let body = json!({
            "model": "claude-sonnet-4-5", "max_tokens": 4096, "thinking": thinking,
            "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}],
        });
        let refused =
            prefilled_thoughts(&MessagesRequest::decode(&body, false).unwrap(), &body).err();
        refused.map(|error| error.to_string())
    };
    let budget = json!({"type": "enabled", "budget_tokens": 1024});
    let said = refused(budget.clone(), json!("I")).unwrap();
    let begin =
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.";
    assert!(said.starts_with(begin), "{said}");
    assert_eq!(refused(Value::Null, json!("I")), None);
    let thought = json!({"type": "redacted_thinking", "data": "d"});
    assert_eq!(
        refused(budget, json!([thought, {"type": "text", "text": "I"}])),
        None
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
        ends_with_prefill(&MessagesRequest::decode(&body, true).unwrap())
    };
    assert!(is_prefill(json!([text])));
    assert!(is_prefill(json!([call(), result, text])));
    assert!(!is_prefill(json!([text, call()])));
    assert!(!is_prefill(json!([text, call(), result])));
    // The text is of an answer that goes on when its call has been run.
    assert!(!is_prefill(json!([call(), text])));
    // A connector's calls are the service's, too.
    let connected = json!({"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "say", "server_name": "m", "input": {}});
    let said = json!({"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": false, "content": []});
    assert!(!is_prefill(json!([text, connected])));
    assert!(!is_prefill(json!([connected, text])));
    assert!(!is_prefill(json!([text, connected, said])));
    assert!(is_prefill(json!([connected, said, text])));
}
