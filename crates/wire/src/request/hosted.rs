//! Blocks of what the service did itself, beside code and the web, as they come back in a history; and
//! the members of a body that ask for it.

use super::{Block, rest, results, texts};
use crate::decode::{Decoded, Node};
use crate::tool_error::{OF_ADVISOR, OF_TOOL_SEARCH};

/// The forms of `context_management.edits` (F207).
const EDITS: &[&str] = &[
    "clear_thinking_20251015",
    "clear_tool_uses_20250919",
    "compact_20260112",
];

/// Fewest tokens after which a conversation is compacted (F242).
const MIN_COMPACTED: i64 = 50_000;

/// A server of `mcp_servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    pub name: String,
}

/// The context management that a request asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContextManagement {
    /// Something was asked for, and the answer says what was done.
    pub asked: bool,
    /// Thoughts are to be cleared.
    pub clears_thoughts: bool,
    /// Whether it does so after another edit.
    pub clears_thoughts_late: bool,
    /// It may be compacted: by an edit, or because the request asks for nothing else.
    pub compacts: bool,
    /// The answer ends with the compaction.
    pub stops_compacted: bool,
    /// The request asks for the compaction alone.
    pub only_compacts: bool,
}

/// Checks the `content` of a search for tools, and gives the tools that it names.
pub(super) fn tool_search(content: &Node<'_>) -> Decoded<Vec<String>> {
    if content.value()["type"] == "tool_search_tool_search_result" {
        let result = content.tagged("tool_search_tool_search_result");
        let mut names = Vec::new();
        for reference in result.required("tool_references")?.items()? {
            reference.required("type")?.literal(&["tool_reference"])?;
            names.push(reference.required("tool_name")?.string()?.to_owned());
        }
        return Ok(names);
    }
    // Parity: the class is quoted (F200).
    let class = content.tagged("RequestToolSearchToolResultError");
    class
        .required("type")?
        .literal(&["tool_search_tool_result_error"])?;
    results::check_error(&class, OF_TOOL_SEARCH)?;
    Ok(Vec::new())
}

/// Checks the `content` of an advisor's result, and gives what the service had encrypted in it.
pub(super) fn advice(content: &Node<'_>) -> Decoded<Vec<String>> {
    let tags = [
        "advisor_redacted_result",
        "advisor_result",
        "advisor_tool_result_error",
    ];
    match content.tag(&tags)? {
        "advisor_redacted_result" => {
            let result = content.tagged("advisor_redacted_result");
            let sealed = result.required("encrypted_content")?.string()?.to_owned();
            Ok(vec![sealed])
        }
        "advisor_result" => {
            let result = content.tagged("advisor_result");
            result.required("text")?.string().map(|_| Vec::new())
        }
        tag => {
            let error = content.tagged(tag);
            results::check_error(&error, OF_ADVISOR).map(|()| Vec::new())
        }
    }
}

/// A call of a connector.
pub(super) fn mcp_call(block: &Node<'_>) -> Decoded<Block> {
    let input = block.required("input")?;
    input.dictionary()?;
    Ok(Block::McpToolUse {
        id: block.required("id")?.call_id(false)?.to_owned(),
        name: block.required("name")?.string()?.to_owned(),
        server: block.required("server_name")?.string()?.to_owned(),
        input: input.value().clone(),
    })
}

/// Its result.
pub(super) fn mcp_result(block: &Node<'_>) -> Decoded<Block> {
    if let Some(flag) = block.optional("is_error")? {
        flag.boolean()?;
    }
    if let Some(content) = block.optional("content")?
        && !content.value().is_string()
    {
        for item in content.items()? {
            texts::bare(&item)?;
        }
    }
    Ok(Block::McpToolResult {
        tool_use_id: block.required("tool_use_id")?.call_id(false)?.to_owned(),
    })
}

/// Checks a list of an MCP server's tools.
pub(super) fn mcp_listing(block: &Node<'_>) -> Decoded<()> {
    block.required("mcp_server_name")?.string()?;
    for tool in block.required("tools")?.items()? {
        tool.required("name")?.string()?;
        tool.required("input_schema")?.dictionary()?;
    }
    Ok(())
}

/// Checks a compaction; whether it stands for what is before it.
pub(super) fn compaction(block: &Node<'_>) -> Decoded<bool> {
    for key in ["encrypted_content", "signature"] {
        if let Some(text) = block.optional(key)? {
            text.string()?;
        }
    }
    // One that came to nothing is null, and passed over.
    let Some(content) = block.optional("content")? else {
        return Ok(false);
    };
    content.filled().map(|_| true)
}

/// Checks a mark of where one model has gone on for another.
pub(super) fn fallback(block: &Node<'_>) -> Decoded<()> {
    for key in ["from", "to"] {
        let side = block.required(key)?;
        side.object()?;
        side.required("model")?.string()?;
    }
    Ok(())
}

/// `mcp_servers`.
pub(super) fn mcp_servers(root: &Node<'_>) -> Decoded<Vec<McpServer>> {
    let Some(list) = root.optional("mcp_servers")? else {
        return Ok(Vec::new());
    };
    let servers = list.items()?.map(|server| {
        server.object()?;
        server.required("type")?.literal(&["url"])?;
        server.required("url")?.string()?;
        let name = server.required("name")?.string()?.to_owned();
        Ok(McpServer { name })
    });
    servers.collect()
}

/// `context_management` and `compaction`.
pub(super) fn context_management(root: &Node<'_>) -> Decoded<ContextManagement> {
    let mut found = ContextManagement::default();
    if let Some(config) = root.optional("context_management")? {
        config.object()?;
        found.asked = true;
        if let Some(edits) = config.optional("edits")? {
            for (place, edit) in edits.items()?.enumerate() {
                let tag = edit.tag(EDITS)?;
                let edit = edit.tagged(tag);
                match tag {
                    "compact_20260112" => {
                        found.compacts = true;
                        rest::check_texts(&edit, &["instructions"])?;
                        check_amount(&edit, "trigger", &["input_tokens"])?;
                        let trigger = &edit.value()["trigger"]["value"];
                        if trigger.as_i64().is_some_and(|value| value < MIN_COMPACTED) {
                            return Err(edit
                                .fault(format!("trigger.value must be at least {MIN_COMPACTED}")));
                        }
                        if let Some(pause) = edit.optional("pause_after_compaction")? {
                            found.stops_compacted |= pause.boolean()?;
                        }
                    }
                    "clear_tool_uses_20250919" => check_clearing(&edit)?,
                    _ => {
                        found.clears_thoughts = true;
                        found.clears_thoughts_late |= place > 0;
                        check_kept_thoughts(&edit)?;
                    }
                }
            }
        }
    }
    if let Some(config) = root.optional("compaction")? {
        config.object()?;
        config.required("type")?.literal(&["summarize"])?;
        rest::check_texts(&config, &["instructions"])?;
        found.compacts = true;
        found.stops_compacted = true;
        found.only_compacts = true;
    }
    Ok(found)
}

/// A member that is an amount of something, if it is there.
fn check_amount(node: &Node<'_>, key: &str, units: &[&str]) -> Decoded<()> {
    let Some(amount) = node.optional(key)? else {
        return Ok(());
    };
    let [unit] = units else {
        let unit = amount.tag(units)?;
        let tagged = amount.tagged(unit);
        return tagged.required("value")?.whole().map(|_| ());
    };
    // There is no union, and no tag in the path.
    amount.required("type")?.literal(&[unit])?;
    amount.required("value")?.whole().map(|_| ())
}

/// Checks an edit that takes calls of tools away.
fn check_clearing(edit: &Node<'_>) -> Decoded<()> {
    check_amount(edit, "trigger", &["input_tokens", "tool_uses"])?;
    check_amount(edit, "keep", &["tool_uses"])?;
    check_amount(edit, "clear_at_least", &["input_tokens"])?;
    rest::check_list_of_texts(edit, "exclude_tools")?;
    let inputs = edit.optional("clear_tool_inputs")?;
    match inputs.filter(|inputs| !inputs.value().is_boolean()) {
        Some(_) => rest::check_list_of_texts(edit, "clear_tool_inputs"),
        None => Ok(()),
    }
}

/// Checks an edit that takes thoughts away.
fn check_kept_thoughts(edit: &Node<'_>) -> Decoded<()> {
    let Some(keep) = edit.optional("keep")? else {
        return Ok(());
    };
    if keep.value().is_string() {
        return keep.literal(&["all"]).map(|_| ());
    }
    match keep.tag(&["all", "thinking_turns"])? {
        "all" => Ok(()),
        tag => {
            let turns = keep.tagged(tag);
            turns.required("value")?.integer(1).map(|_| ())
        }
    }
}
