//! Members that nothing knows: `…: Extra inputs are not permitted`.
//!
//! The tables hold what the official SDKs' types have (2.11, beta types included), so that nothing an
//! SDK can write is refused. What is null passes: a history comes back with what an SDK's model printed.

use super::{callers, thinking, tools};
use crate::decode::{Decoded, Node};

/// An object's `type`, and its members beside that.
type Members = (&'static str, &'static [&'static str]);

/// Blocks; each may have a `cache_control`, too.
const BLOCKS: &[Members] = &[
    ("bash_code_execution_tool_result", RESULT),
    ("code_execution_tool_result", RESULT),
    ("container_upload", &["file_id"]),
    ("document", &["citations", "context", "source", "title"]),
    ("image", &["source", "transformations"]),
    ("redacted_thinking", &["data"]),
    (
        "search_result",
        &["citations", "content", "source", "title"],
    ),
    ("server_tool_use", &["caller", "id", "input", "name"]),
    ("text", &["citations", "text"]),
    ("text_editor_code_execution_tool_result", RESULT),
    ("thinking", &["signature", "thinking"]),
    (
        "tool_result",
        &["content", "is_error", "tool_use_id", "toolset_name"],
    ),
    ("tool_reference", &["tool_name"]),
    ("tool_search_tool_result", RESULT),
    (
        "tool_use",
        &["caller", "id", "input", "name", "toolset_name"],
    ),
    ("web_fetch_tool_result", RESULT_OF_CODE),
    ("web_search_tool_result", RESULT_OF_CODE),
];

const RESULT: &[&str] = &["content", "tool_use_id"];
const RESULT_OF_CODE: &[&str] = &["caller", "content", "tool_use_id"];

/// Where images and documents come from.
const SOURCES: &[Members] = &[
    ("base64", &["data", "media_type"]),
    ("content", &["content"]),
    ("file", &["file_id"]),
    ("text", &["data", "media_type"]),
    ("url", &["url"]),
];

/// The members of results, by their `type`.
const CONTENTS: &[Members] = &[
    (
        "bash_code_execution_result",
        &["content", "return_code", "stderr", "stdout"],
    ),
    ("bash_code_execution_output", &["file_id"]),
    ("bash_code_execution_tool_result_error", &["error_code"]),
    ("code_execution_output", &["file_id"]),
    (
        "code_execution_result",
        &["abort_reason", "content", "return_code", "stderr", "stdout"],
    ),
    ("code_execution_tool_result_error", &["error_code"]),
    (
        "encrypted_code_execution_result",
        &[
            "abort_reason",
            "content",
            "encrypted_stdout",
            "return_code",
            "stderr",
        ],
    ),
    (
        "text_editor_code_execution_create_result",
        &["is_file_update"],
    ),
    (
        "text_editor_code_execution_str_replace_result",
        &["lines", "new_lines", "new_start", "old_lines", "old_start"],
    ),
    (
        "text_editor_code_execution_tool_result_error",
        &["error_code", "error_message"],
    ),
    (
        "text_editor_code_execution_view_result",
        &[
            "content",
            "file_type",
            "num_lines",
            "start_line",
            "total_lines",
        ],
    ),
    ("tool_reference", &["cache_control", "tool_name"]),
    ("tool_search_tool_result_error", &["error_code"]),
    ("tool_search_tool_search_result", &["tool_references"]),
    ("web_fetch_result", &["content", "retrieved_at", "url"]),
    ("web_fetch_tool_result_error", &["error_code"]),
    (
        "web_search_result",
        &["encrypted_content", "page_age", "title", "url"],
    ),
    ("web_search_tool_result_error", &["error_code"]),
];

/// Tools by how their `type` begins; each may have a `cache_control`, and each but a toolset [`CALLED`].
const TOOLS: &[Members] = &[
    ("bash_", &["input_examples"]),
    ("browser_toolset_", TOOLSET),
    ("code_execution_", &[]),
    ("computer_toolset_", TOOLSET),
    (
        "custom",
        &[
            "description",
            "eager_input_streaming",
            "input_examples",
            "input_schema",
        ],
    ),
    ("memory_", &["input_examples"]),
    (
        "text_editor_20250728",
        &["input_examples", "max_characters"],
    ),
    ("text_editor_", &["input_examples"]),
    ("tool_search_tool_", &[]),
    ("web_fetch_20250910", FETCH),
    ("web_fetch_20260209", FETCH),
    // `response_inclusion` is looked at where it is read.
    ("web_fetch_", FETCH_CACHED),
    ("web_search_", SEARCH),
];

/// Which callers a toolset takes is looked at with the other tools.
const TOOLSET: &[&str] = &["allowed_callers", "configs"];
const CALLED: &[&str] = &["allowed_callers", "defer_loading", "name", "strict"];
const SEARCH: &[&str] = &[
    "allowed_domains",
    "blocked_domains",
    "max_uses",
    "response_inclusion",
    "user_location",
];
const FETCH: &[&str] = &[
    "allowed_domains",
    "blocked_domains",
    "citations",
    "max_content_tokens",
    "max_uses",
    "response_inclusion",
    "url_sources",
];
const FETCH_CACHED: &[&str] = &[
    "allowed_domains",
    "blocked_domains",
    "citations",
    "max_content_tokens",
    "max_uses",
    "response_inclusion",
    "url_sources",
    "use_cache",
];

/// Refuses unknown members anywhere in a body whose shape is right.
pub(super) fn refuse(root: &Node<'_>) -> Decoded<()> {
    refuse_in_cache_control(root)?;
    if let Some(system) = root.optional("system")?
        && system.value().is_array()
    {
        for block in system.items()? {
            refuse_in_block(&block, "text")?;
        }
    }
    for message in root.required("messages")?.items()? {
        // The SDKs' beta types have more for `system` messages.
        let known: &[&str] = if message.value()["role"] == "system" {
            &["role", "content", "clear_at", "output_config"]
        } else {
            &["role", "content"]
        };
        message.no_extras(known)?;
        if let Some(config) = message.optional("output_config")? {
            config.no_extras(&["effort"])?;
        }
        refuse_in_list(&message.required("content")?)?;
    }
    if let Some(tools) = root.optional("tools")? {
        for tool in tools.items()? {
            refuse_in_tool(&tool)?;
        }
    }
    if let Some(choice) = root.optional("tool_choice")? {
        let tag = choice.required("type")?.string()?;
        choice.tagged(tag).no_extras(tools::choice_members(tag))?;
    }
    if let Some(thinking) = root.optional("thinking")? {
        let tag = thinking.required("type")?.string()?;
        thinking.tagged(tag).no_extras(thinking::members(tag))?;
    }
    if let Some(metadata) = root.optional("metadata")? {
        metadata.no_extras(&["user_id"])?;
    }
    if let Some(config) = root.optional("output_config")? {
        config.no_extras(&["effort", "format"])?;
        if let Some(format) = config.optional("format")? {
            format.no_extras(&["type", "schema"])?;
        }
    }
    if let Some(diagnostics) = root.optional("diagnostics")? {
        diagnostics.no_extras(&["previous_message_id"])?;
    }
    Ok(())
}

fn members(table: &[Members], tag: &str) -> Option<&'static [&'static str]> {
    let row = table.iter().find(|(known, _)| *known == tag)?;
    Some(row.1)
}

/// Blocks in a list; what is no list is looked at elsewhere.
fn refuse_in_list(content: &Node<'_>) -> Decoded<()> {
    if !content.value().is_array() {
        return Ok(());
    }
    for block in content.items()? {
        let tag = block.value()["type"].as_str().unwrap_or_default();
        refuse_in_block(&block.tagged(tag), tag)?;
    }
    Ok(())
}

/// A block of this type; the path already names it.
fn refuse_in_block(block: &Node<'_>, tag: &str) -> Decoded<()> {
    let Some(known) = members(BLOCKS, tag) else {
        return Ok(());
    };
    block.no_given_extras(&[known, &["type", "cache_control"]].concat())?;
    refuse_in_cache_control(block)?;
    if let Some(caller) = block.optional("caller")?
        && caller.value().is_object()
    {
        let tag = caller.value()["type"].as_str().unwrap_or_default();
        caller.tagged(tag).no_given_extras(callers::members(tag))?;
    }
    if let Some(source) = block.optional("source")? {
        let tag = source.value()["type"].as_str().unwrap_or_default();
        if let Some(known) = members(SOURCES, tag) {
            let source = source.tagged(tag);
            source.no_given_extras(&[known, &["type"]].concat())?;
            if let Some(content) = source.optional("content")? {
                refuse_in_list(&content)?;
            }
        }
    }
    // In a text they are a list of many forms.
    if let Some(citations) = block.optional("citations")?
        && citations.value().is_object()
    {
        citations.no_given_extras(&["enabled"])?;
    }
    if let Some(transformations) = block.optional("transformations")? {
        transformations.no_given_extras(&["oversized_image"])?;
    }
    let Some(content) = block.optional("content")? else {
        return Ok(());
    };
    if tag == "tool_result" {
        return refuse_in_list(&content);
    }
    if content.value().is_array() {
        if tag == "search_result" {
            // There is no union.
            return content
                .items()?
                .try_for_each(|text| refuse_in_block(&text, "text"));
        }
        for item in content.items()? {
            refuse_in_content(&item, &item)?;
        }
        return Ok(());
    }
    let tag = match content.value()["type"].as_str().unwrap_or_default() {
        // Parity: the service names its class (anthropic-sdk-typescript#862).
        "tool_search_tool_result_error" => "RequestToolSearchToolResultError",
        tag => tag,
    };
    let tagged = content.tagged(tag);
    refuse_in_content(&content, &tagged)?;
    // There is no union.
    match tagged.optional("content")? {
        Some(page) if tag == "web_fetch_result" => return refuse_in_block(&page, "document"),
        Some(files) => refuse_in_contents(&files)?,
        None => {}
    }
    match tagged.optional("tool_references")? {
        Some(references) => refuse_in_contents(&references),
        None => Ok(()),
    }
}

/// What lies in a list within a result; what is no list is looked at elsewhere.
fn refuse_in_contents(list: &Node<'_>) -> Decoded<()> {
    if !list.value().is_array() {
        return Ok(());
    }
    let mut items = list.items()?;
    items.try_for_each(|item| refuse_in_content(&item, &item))
}

fn refuse_in_content(content: &Node<'_>, tagged: &Node<'_>) -> Decoded<()> {
    let tag = content.value()["type"].as_str().unwrap_or_default();
    match members(CONTENTS, tag) {
        Some(known) => tagged.no_given_extras(&[known, &["type"]].concat()),
        None => Ok(()),
    }
}

fn refuse_in_cache_control(node: &Node<'_>) -> Decoded<()> {
    match node.optional("cache_control")? {
        // One of another type is looked at elsewhere.
        Some(control) if control.value().is_object() => control
            .tagged("ephemeral")
            .no_given_extras(&["type", "ttl"]),
        Some(_) | None => Ok(()),
    }
}

fn refuse_in_tool(tool: &Node<'_>) -> Decoded<()> {
    let tag = tool.value()["type"].as_str().unwrap_or("custom");
    let mut table = TOOLS.iter();
    let Some((_, known)) = table.find(|(begin, _)| tag.starts_with(begin)) else {
        return Ok(());
    };
    let called = if tools::is_toolset(tag) { &[] } else { CALLED };
    let tagged = tool.tagged(tag);
    tagged.no_extras(&[known, called, &["type", "cache_control"]].concat())?;
    for (key, known) in TOOL_OPTIONS {
        if let Some(option) = tagged.optional(key)? {
            option.no_extras(known)?;
        }
    }
    if let Some(sources) = tagged.optional("url_sources")? {
        refuse_in_url_sources(&sources)?;
    }
    if let (Some(members), Some(configs)) =
        (tools::toolset_members(tag), tagged.optional("configs")?)
    {
        configs.no_extras(members)?;
        for member in members {
            if let Some(config) = configs.optional(member)? {
                config.no_extras(&["defer_loading", "enabled"])?;
            }
        }
    }
    refuse_in_cache_control(&tagged)
}

/// Objects within a tool.
const TOOL_OPTIONS: &[Members] = &[
    ("citations", &["enabled"]),
    (
        "url_sources",
        &["client_tool_results", "server_tool_results", "user_input"],
    ),
    (
        "user_location",
        &["city", "country", "region", "timezone", "type"],
    ),
];

fn refuse_in_url_sources(sources: &Node<'_>) -> Decoded<()> {
    for key in ["client_tool_results", "server_tool_results", "user_input"] {
        let Some(source) = sources.optional(key)? else {
            continue;
        };
        let tag = source.value()["type"].as_str().unwrap_or_default();
        let source = source.tagged(tag);
        let known: &[&str] = match tag {
            "except" | "only" => &["tools", "type"],
            _ => &["type"],
        };
        source.no_extras(known)?;
        if let Some(tools) = source.optional("tools")? {
            let mut tools = tools.items()?;
            tools.try_for_each(|tool| tool.no_extras(&["name", "type"]))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fault(block: &Value) -> Option<String> {
        let body = json!({"messages": [{"role": "user", "content": [block]}]});
        let fault = refuse(&Node::root(&body)).err();
        fault.map(|fault| fault.to_string())
    }

    #[test]
    fn an_unknown_member_of_a_block_is_named_as_the_service_names_it() {
        // F145
        let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}, "index": 1});
        assert_eq!(
            fault(&call).unwrap(),
            "messages.0.content.0.tool_use.index: Extra inputs are not permitted"
        );
        let result = json!({"type": "code_execution_tool_result", "tool_use_id": "s", "content": {}, "citations": []});
        assert_eq!(
            fault(&result).unwrap(),
            "messages.0.content.0.code_execution_tool_result.citations: Extra inputs are not permitted"
        );
        let cached = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "scope": "global"}});
        assert_eq!(
            fault(&cached).unwrap(),
            "messages.0.content.0.text.cache_control.ephemeral.scope: Extra inputs are not permitted"
        );
    }

    #[test]
    fn an_unknown_member_is_found_however_deep_it_lies() {
        let pixels = json!({"type": "base64", "media_type": "image/png", "data": ""});
        let image = json!({"type": "image", "source": pixels, "transformations": {"rotate": 1}});
        let found = json!({"type": "tool_search_tool_result", "tool_use_id": "s", "content":
            {"type": "tool_search_tool_search_result", "tool_references":
                [{"type": "tool_reference", "tool_name": "f", "score": 1}]}});
        let file = json!({"type": "bash_code_execution_output", "file_id": "file_1", "name": "a"});
        let ran = json!({"type": "bash_code_execution_tool_result", "tool_use_id": "s", "content":
            {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": [file]}});
        for (block, at) in [
            (image, "image.transformations.rotate"),
            (
                found,
                "tool_search_tool_result.content.tool_search_tool_search_result.tool_references.0.score",
            ),
            (
                ran,
                "bash_code_execution_tool_result.content.bash_code_execution_result.content.0.name",
            ),
        ] {
            let told = format!("messages.0.content.0.{at}: Extra inputs are not permitted");
            assert_eq!(fault(&block), Some(told));
        }
    }

    #[test]
    fn an_unknown_member_of_a_tools_options_is_found() {
        let fault = |options: Value| {
            let mut tool = json!({"type": "web_fetch_20250910", "name": "web_fetch"});
            tool.as_object_mut()
                .unwrap()
                .extend(options.as_object().unwrap().clone());
            let body = json!({"messages": [], "tools": [tool]});
            let fault = refuse(&Node::root(&body)).err();
            fault.map(|fault| fault.to_string())
        };
        let within = |at: &str| {
            Some(format!(
                "tools.0.web_fetch_20250910.{at}: Extra inputs are not permitted"
            ))
        };
        assert_eq!(
            fault(json!({"citations": {"enabled": true, "style": 1}})),
            within("citations.style")
        );
        assert_eq!(
            fault(json!({"url_sources": {"others": 1}})),
            within("url_sources.others")
        );
        assert_eq!(
            fault(json!({"url_sources": {"user_input": {"type": "all", "tools": []}}})),
            within("url_sources.user_input.all.tools")
        );
        let named = json!({"type": "tool_reference", "name": "f", "version": 1});
        assert_eq!(
            fault(
                json!({"url_sources": {"client_tool_results": {"type": "only", "tools": [named]}}})
            ),
            within("url_sources.client_tool_results.only.tools.0.version")
        );
    }

    #[test]
    fn what_is_null_passes() {
        let block = json!({"type": "text", "text": "a", "caller": null, "parsed": null});
        assert_eq!(fault(&block), None);
    }
}
