//! The declared tools, against each other and against `tool_choice`.

use wire::refusal::{self, Invalid};
use wire::request::{MessagesRequest, Tool};

use crate::programmatic;
use model::CodeTool;

/// Checks the declared tools against each other; the error is the text for the client.
pub fn check(request: &MessagesRequest) -> Result<(), Invalid> {
    let tools = &request.tools;
    for (position, tool) in tools.iter().enumerate() {
        // A connector is named by its server, no tool of its own.
        let alike =
            |other: &&Tool| other.name == tool.name && other.is_connector() == tool.is_connector();
        if tools[..position].iter().any(|other| alike(&other)) {
            return Err(Invalid::new("tools: Tool names must be unique."));
        }
    }
    if !tools.is_empty() && tools.iter().all(|tool| tool.deferred) {
        return Err(Invalid::new("All tools have defer_loading: true"));
    }
    check_versions(tools)?;
    for (position, tool) in tools.iter().enumerate() {
        check_callers(position, tool, tools)?;
    }
    check_choice(request)
}

/// Some web tools bring a code execution tool of their own; a tool of its name beside them must be the same (F048).
fn check_versions(tools: &[Tool]) -> Result<(), Invalid> {
    let is_other = |tool: &Tool| {
        tool.name == "code_execution"
            && !matches!(
                tool.tag.as_str(),
                "code_execution_20260120" | "code_execution_20260521"
            )
    };
    if tools.iter().any(Tool::brings_code) && tools.iter().any(is_other) {
        return Err(refusal::INJECTION_CONFLICT.refuse(&[]));
    }
    Ok(())
}

/// Who calls a web tool that names no caller.
pub(super) const USUAL_CALLER: &str = "code_execution_20260120";

/// Checks a tool that has code among its callers (F059), by default or by name. All texts are inferred.
fn check_callers(position: usize, tool: &Tool, tools: &[Tool]) -> Result<(), Invalid> {
    if !tool.is_called_by_code() {
        return Ok(());
    }
    let mut callers = tool.allowed_callers.iter();
    let caller = callers
        .find(|caller| *caller != "direct")
        .map_or(USUAL_CALLER, String::as_str);
    let path = format!("tools.{position}.{}", tool.tag);
    if ["browser_toolset_", "computer_toolset_", "mcp_toolset"]
        .iter()
        .any(|toolset| tool.tag.starts_with(toolset))
    {
        return Err(Invalid::new(format!(
            "{path}.allowed_callers: `{}` only supports `direct`",
            tool.tag
        )));
    }
    match programmatic::code_tool(tools) {
        Some(CodeTool::Cells | CodeTool::BashAndEditor) => {}
        Some(CodeTool::Python) => {
            return Err(Invalid::new(format!(
                "{path}.allowed_callers: `{caller}` needs `code_execution_20260120` or later, not `code_execution_20250522`"
            )));
        }
        None => {
            return Err(Invalid::new(format!(
                "{path}.allowed_callers: `{caller}` needs a code execution tool, but no `code_execution` tool was provided"
            )));
        }
    }
    if tool.strict {
        return Err(Invalid::new(format!(
            "{path}.strict: `strict` is not supported for tools called by code execution"
        )));
    }
    if let Some(reference) = &tool.circular_ref {
        return Err(Invalid::new(format!(
            "{path}.input_schema: Circular $ref detected: {reference}"
        )));
    }
    Ok(())
}

/// The model cannot be told to make a call that is code's to make.
fn check_choice(request: &MessagesRequest) -> Result<(), Invalid> {
    let Some(choice) = &request.tool_choice else {
        return Ok(());
    };
    let chosen = request
        .tools
        .iter()
        .find(|tool| Some(&tool.name) == choice.name.as_ref());
    if let Some(tool) = chosen
        && !tool.is_called_directly()
    {
        return Err(Invalid::new(format!(
            "tool_choice: `{}` cannot be forced: its `allowed_callers` lacks `direct`",
            tool.name
        )));
    }
    if choice.disables_parallel && request.tools.iter().any(Tool::is_called_by_code) {
        return Err(Invalid::new(
            "tool_choice.disable_parallel_tool_use: true cannot be used with programmatic tool calling",
        ));
    }
    Ok(())
}
