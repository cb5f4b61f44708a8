//! The service's own steps, each where the request has asked for it.

use serde_json::{Value, json};

use super::calls::{declares, only_if};
use super::tape::Tape;
use super::words;

/// Whether the request lets its context be summed up.
const COMPACTS: &str = r#"request.context_management is defined and request.context_management.edits|default([])|selectattr("type", "eq", "compact_20260112")|list|length > 0"#;
const CLEARS: &str = "request.context_management is defined";
/// How many others the request names; which `default` are, only the service knows.
const OTHERS: &str =
    "request.fallbacks is defined and request.fallbacks is not string and request.fallbacks|length";
const CONNECTS: &str = "request.mcp_servers is defined and request.mcp_servers|length > 0";
/// The first of them.
const SERVER: &str = "${{ request.mcp_servers[0].name }}";

pub(super) fn step(tape: &mut Tape) -> Value {
    match tape.below(9) {
        0 => only_if(&declares("web_search_"), vec![search(tape)]),
        1 => only_if(&declares("web_fetch_"), vec![fetch(tape)]),
        2 => only_if(
            &declares("tool_search_tool_"),
            // The pattern of one variant is a question to the other.
            vec![json!({ "tool_search": "." })],
        ),
        3 => only_if(&declares("advisor_"), vec![advice(tape)]),
        4 => only_if(CONNECTS, vec![connected(tape)]),
        5 => only_if(
            CONNECTS,
            vec![json!({ "mcp_tool_listing": {
            "server": SERVER, "tools": [{ "name": "say", "input_schema": { "type": "object" } }],
        } })],
        ),
        6 => only_if(COMPACTS, vec![json!({ "compaction": words::text(tape) })]),
        7 => {
            // Where none is left, the answer would end.
            let declined = tape.decline();
            only_if(
                &format!("{OTHERS} > {declined}"),
                vec![json!({ "fallback": { "category": "bio" } })],
            )
        }
        _ => only_if(
            CLEARS,
            vec![json!({ "applied_edits": [{
            "type": "clear_tool_uses_20250919", "cleared_tool_uses": tape.below(9), "cleared_input_tokens": tape.below(9000),
        }] })],
        ),
    }
}

fn search(tape: &mut Tape) -> Value {
    if tape.below(3) == 2 {
        return json!({ "web_search": words::source(tape), "tool_error": "max_uses_exceeded" });
    }
    let pages: Vec<Value> = (0..tape.below(4))
        .map(|number| {
            let text = words::source(tape);
            json!({ "url": format!("https://example.com/{number}?q=é"), "title": text, "text": text })
        })
        .collect();
    json!({ "web_search": { "query": words::source(tape), "results": pages } })
}

fn fetch(tape: &mut Tape) -> Value {
    let url = "https://example.com/a%20b?q=é#f";
    if tape.below(3) == 2 {
        return json!({ "web_fetch": url, "tool_error": "url_not_accessible" });
    }
    json!({ "web_fetch": { "url": url, "title": "A title", "text": words::text(tape) } })
}

fn advice(tape: &mut Tape) -> Value {
    if tape.below(3) == 2 {
        return json!({ "advisor": "late", "tool_error": "overloaded" });
    }
    json!({ "advisor": { "text": words::text(tape), "redacted": tape.flag() } })
}

fn connected(tape: &mut Tape) -> Value {
    json!({ "mcp_tool_use": {
        "server": SERVER,
        "name": "say-it_2",
        "input": { "message": words::source(tape) },
        "text": [words::text(tape), words::source(tape)],
        "is_error": tape.flag(),
    } })
}
