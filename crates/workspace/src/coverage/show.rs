//! The means that show a client a part of the surface: a fault, the step of a script, or a request.

use control_api::CoverageShow;
use serde_json::{Value, json};
use wire::kinds::{BlockKind, DeltaKind, EventKind, StopReason};

use super::areas::{Area, ContainerMet, Mode, Pause, Retry};
use super::errors::PAGE;
use store::ItemOutcome;

/// The fault, step, or request that shows a member of an area.
pub(super) fn of(area: Area, name: &str) -> CoverageShow {
    let shown = match area {
        Area::StopReasons => StopReason::from_name(name).map(reason),
        Area::ToolErrors => PAGE.fault_of_tool(name).map(written),
        Area::Statuses | Area::ErrorTypes | Area::ErrorCodes => match PAGE.fault_of(name) {
            Some(text) => Some(written(text)),
            None => Some(step("any answer")),
        },
        Area::Containers => ContainerMet::from_name(name).map(container),
        Area::Events => EventKind::from_name(name).map(event),
        Area::Retries => Retry::from_name(name).map(retry),
        Area::Pauses => Pause::from_name(name).map(pause),
        Area::BatchResults => ItemOutcome::from_name(name).map(result),
        Area::Blocks => BlockKind::from_name(name).map(|kind| step(block(kind))),
        Area::Deltas => DeltaKind::from_name(name).map(|kind| step(delta(kind))),
        Area::Modes => Mode::from_name(name).map(|mode| {
            step(match mode {
                Mode::Plain => "a request without `stream`",
                Mode::Streaming => "a request with \"stream\": true",
            })
        }),
        Area::Tools => None,
        Area::Endpoints => Some(step(&format!("a request: {name}"))),
    };
    shown.unwrap_or_else(|| {
        step(&format!(
            "a request with {{\"type\": \"{name}\", …}} in `tools`"
        ))
    })
}

fn step(text: &str) -> CoverageShow {
    CoverageShow {
        fault: None,
        step: Some(text.to_owned()),
    }
}

fn fault(fault: Value) -> CoverageShow {
    CoverageShow {
        fault: Some(fault),
        step: None,
    }
}

/// A fault as a page writes it.
fn written(text: &str) -> CoverageShow {
    CoverageShow {
        fault: serde_json::from_str(text).ok(),
        step: None,
    }
}

fn stop(reason: &str) -> CoverageShow {
    fault(json!({"at": "turn", "do": "stop", "stop_reason": reason}))
}

fn reason(reason: StopReason) -> CoverageShow {
    match reason {
        StopReason::EndTurn => step("- text: Done."),
        StopReason::ToolUse => step("- tool_use: { name: NAME, input: {} }"),
        StopReason::PauseTurn => fault(json!({"at": "turn", "do": "pause_turn"})),
        StopReason::Refusal | StopReason::MaxTokens | StopReason::ContextWindow => {
            stop(reason.name())
        }
        StopReason::StopSequence => step("- stop: { reason: stop_sequence, stop_sequence: END }"),
        StopReason::Compaction => {
            step("- compaction: SUMMARY, and `pause_after_compaction` in the request")
        }
    }
}

fn container(met: ContainerMet) -> CoverageShow {
    match met {
        ContainerMet::New => step("- bash: COMMAND"),
        ContainerMet::Reused => step("a request with the `container` of the answer before"),
        ContainerMet::Expired => fault(json!({"at": "turn", "do": "expire_container"})),
        ContainerMet::Missing => step("a request with a `container` that is of no answer"),
    }
}

fn event(kind: EventKind) -> CoverageShow {
    match kind {
        EventKind::Error => {
            fault(json!({"at": "stream", "after_events": 5, "type": "overloaded_error"}))
        }
        EventKind::MessageStart
        | EventKind::ContentBlockStart
        | EventKind::Ping
        | EventKind::ContentBlockDelta
        | EventKind::ContentBlockStop
        | EventKind::MessageDelta
        | EventKind::MessageStop => step("a request with \"stream\": true, read to its end"),
    }
}

fn retry(after: Retry) -> CoverageShow {
    fault(match after {
        Retry::AfterRateLimit => json!({"at": "http", "status": 429}),
        Retry::AfterOverload => json!({"at": "http", "status": 529}),
        Retry::AfterServerError => json!({"at": "http", "status": 500}),
        Retry::AfterLostAnswer => json!({"at": "http", "do": "cut"}),
    })
}

fn pause(pause: Pause) -> CoverageShow {
    match pause {
        Pause::Continued => fault(json!({"at": "turn", "do": "pause_turn"})),
        Pause::InCall => fault(json!({"at": "turn", "do": "pause_turn", "inside": true})),
        Pause::CodeAnswered => {
            step("- python: CODE that awaits a tool with `allowed_callers`, and its `tool_result`")
        }
    }
}

fn result(result: ItemOutcome) -> CoverageShow {
    match result {
        ItemOutcome::Succeeded => step("the results of a batch whose item a script answers"),
        ItemOutcome::Errored => step("- http_error: 500, in the rule of a batch's item"),
        ItemOutcome::Canceled => step("a batch that is cancelled before its items ran"),
        ItemOutcome::Expired => step("- delay: 1h, and the clock advanced by 25h meanwhile"),
    }
}

fn block(kind: BlockKind) -> &'static str {
    match kind {
        BlockKind::Text => "- text: TEXT",
        BlockKind::Thinking => "- thinking: TEXT",
        BlockKind::RedactedThinking => "- redacted_thinking: DATA",
        BlockKind::ToolUse => "- tool_use: { name: NAME, input: {} }",
        BlockKind::ServerToolUse | BlockKind::BashCodeExecutionToolResult => "- bash: COMMAND",
        BlockKind::TextEditorCodeExecutionToolResult => "- view: PATH",
        BlockKind::CodeExecutionToolResult => "- python: CODE, under code_execution_20260120",
        BlockKind::WebSearchToolResult => "- web_search: { query: QUERY, results: [] }",
        BlockKind::WebFetchToolResult => "- web_fetch: { url: URL, text: TEXT }",
        BlockKind::ToolSearchToolResult => "- tool_search: PATTERN",
        BlockKind::AdvisorToolResult => "- advisor: TEXT",
        BlockKind::McpToolUse | BlockKind::McpToolResult => {
            "- mcp_tool_use: { server: NAME, name: TOOL, text: TEXT }"
        }
        BlockKind::McpToolListing => "- mcp_tool_listing: { server: NAME, tools: [] }",
        BlockKind::ContainerUpload => "- container_upload: FILE_ID",
        BlockKind::Compaction => "- compaction: SUMMARY",
        BlockKind::Fallback => "- fallback: MODEL",
    }
}

fn delta(kind: DeltaKind) -> &'static str {
    match kind {
        DeltaKind::Text => "- text: TEXT, streamed",
        DeltaKind::Thinking | DeltaKind::Signature => "- thinking: TEXT, streamed",
        DeltaKind::InputJson => "- bash: COMMAND, streamed",
        DeltaKind::Citations => "- text: TEXT with `citations`, streamed",
        DeltaKind::Compaction => "- compaction: SUMMARY, streamed",
    }
}
