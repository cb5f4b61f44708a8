//! Calls that code makes: which tools it may call, and how its calls are named on the wire.

use serde_json::Value;
use wire::block::Caller;
use wire::request::{Block, MessagesRequest, Tool, ToolKind};

use common::ids::{Ids, Kind};
use common::limits;
use model::CodeTool;
use sandbox::guest::ToolCall;

/// The client's result of a call that code made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeAnswer {
    /// The call's `tool_use`.
    pub id: String,
    /// The tool that was called.
    pub name: String,
    pub text: String,
}

/// A call from code that the client answers.
#[derive(Debug)]
pub(super) struct CodeUse {
    pub(super) id: String,
    /// The cell's `server_tool_use`.
    pub(super) cell: String,
    pub(super) name: String,
    pub(super) input: Value,
}

impl CodeUse {
    pub(super) fn of(cell: &str, call: ToolCall) -> Self {
        Self {
            id: id_of(cell, call.n),
            cell: cell.to_owned(),
            name: call.name,
            input: Value::Object(call.args),
        }
    }
}

/// The id of a cell's call. It follows from the cell's own, so that nothing has to be kept between two
/// requests, or two servers.
fn id_of(cell: &str, n: u64) -> String {
    Ids::seeded(n, &[b"a call from code", cell.as_bytes()]).next(Kind::ToolUse)
}

/// The id of a cell's call to a web tool.
pub(super) fn web_id_of(cell: &str, n: u64) -> String {
    Ids::seeded(n, &[b"a web call from code", cell.as_bytes()]).next(Kind::ServerToolUse)
}

/// Whether the history says that the code of `cell` has searched the web.
pub(super) fn has_searched(request: &MessagesRequest, cell: &str) -> bool {
    let mut blocks = request.messages.iter().flat_map(|message| &message.content);
    blocks.any(|block| {
        matches!(block, Block::ServerToolUse { name, caller_tool_id: Some(source), .. }
            if source == cell && name == "web_search")
    })
}

/// The first of `ids` that the code of `cell` has given out.
pub(super) fn made_by<'a>(
    request: &MessagesRequest,
    cell: &str,
    ids: &[&'a str],
) -> Option<&'a str> {
    if ids.is_empty() {
        return None;
    }
    let made: Vec<String> = (0..most_calls(request))
        .flat_map(|n| [id_of(cell, n), web_id_of(cell, n)])
        .collect();
    let mut ids = ids.iter();
    ids.find(|id| made.iter().any(|made| made == **id)).copied()
}

/// Every call of a cell is in the history, but perhaps for some that it made at the end.
fn most_calls(request: &MessagesRequest) -> u64 {
    let blocks = request.messages.iter().flat_map(|message| &message.content);
    let calls =
        blocks.filter(|block| matches!(block, Block::ToolUse { .. } | Block::ServerToolUse { .. }));
    (calls.count() + limits::MAX_CODE_CALLS) as u64
}

/// Which of the cell's calls these are the answers to.
pub(super) fn numbers<'a>(
    request: &MessagesRequest,
    cell: &str,
    answers: &'a [CodeAnswer],
) -> Vec<(u64, &'a CodeAnswer)> {
    (0..most_calls(request))
        .filter_map(|n| {
            let id = id_of(cell, n);
            answers
                .iter()
                .find(|answer| answer.id == id)
                .map(|answer| (n, answer))
        })
        .collect()
}

/// The declared code execution tool, with what else decides which calls the model may make (F040).
pub(super) fn code_tool(tools: &[Tool]) -> Option<CodeTool> {
    match declared(tools) {
        Some("code_execution_20250522") => Some(CodeTool::Python),
        Some("code_execution_20250825") if !tools.iter().any(Tool::is_called_by_code) => {
            Some(CodeTool::BashAndEditor)
        }
        Some(_) => Some(CodeTool::Cells),
        None => is_provided(tools).then_some(CodeTool::Cells),
    }
}

/// Whether Python runs in the interpreter of the container.
pub(super) fn has_cells(request: &MessagesRequest) -> bool {
    code_tool(&request.tools) == Some(CodeTool::Cells)
}

/// Whether there is code execution, declared or brought along.
pub(super) fn is_provided(tools: &[Tool]) -> bool {
    declared(tools).is_some() || tools.iter().any(Tool::brings_code)
}

/// The type of the code execution tool that a request declares.
pub(super) fn declared(tools: &[Tool]) -> Option<&str> {
    let mut tools = tools.iter();
    tools
        .find(|tool| tool.kind == ToolKind::CodeExecution)
        .map(|tool| tool.tag.as_str())
}

/// The names of the tools that code may call.
pub(super) fn callable(request: &MessagesRequest) -> Vec<String> {
    let tools = request.tools.iter();
    tools
        .filter(|tool| (tool.kind == ToolKind::Client || tool.is_web()) && tool.is_called_by_code())
        .map(|tool| tool.name.clone())
        .collect()
}

/// The `caller` of the calls that `cell` makes. Under 20260521 the service names 20260120, too (F057).
pub(super) fn caller(request: &MessagesRequest, cell: String) -> Caller {
    match declared(&request.tools) {
        Some("code_execution_20250825") => Caller::CodeExecution20250825 { tool_id: cell },
        _ => Caller::CodeExecution20260120 { tool_id: cell },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tools(tools: &[Value]) -> Vec<Tool> {
        let body = json!({
            "model": "claude-opus-5", "max_tokens": 16, "tools": tools,
            "messages": [{"role": "user", "content": "hi"}],
        });
        MessagesRequest::decode(&body, false).unwrap().tools
    }

    #[test]
    fn the_tool_set_decides_which_calls_are_seen() {
        let code = |version: &str| json!({"type": format!("code_execution_{version}"), "name": "code_execution"});
        let own = json!({"name": "f", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20250825"]});
        let web = json!({"type": "web_search_20260209", "name": "web_search"});
        let cases = [
            (vec![], None),
            (vec![code("20250522")], Some(CodeTool::Python)),
            (vec![code("20250825")], Some(CodeTool::BashAndEditor)),
            (vec![code("20250825"), own.clone()], Some(CodeTool::Cells)),
            (vec![code("20260120")], Some(CodeTool::Cells)),
            (vec![code("20260521")], Some(CodeTool::Cells)),
            (vec![web], Some(CodeTool::Cells)),
            (
                vec![json!({"type": "web_search_20250305", "name": "web_search"})],
                None,
            ),
        ];
        for (set, expected) in cases {
            assert_eq!(code_tool(&tools(&set)), expected, "{set:?}");
        }
    }

    #[test]
    fn a_call_has_the_same_id_on_every_server() {
        let id = id_of("srvtoolu_1", 0);
        assert_eq!(id, id_of("srvtoolu_1", 0));
        assert_ne!(id, id_of("srvtoolu_1", 1));
        assert_ne!(id, id_of("srvtoolu_2", 0));
        assert!(common::ids::is_well_formed(Kind::ToolUse, &id));
    }
}
