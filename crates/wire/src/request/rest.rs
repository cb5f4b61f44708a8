//! Fields that are checked and not kept, and members that nothing knows.

use crate::decode::{Decoded, Node};

/// `cache_control`, `output_config`, `inference_geo`, `speed`, `diagnostics` of the body.
pub(super) fn check_options(root: &Node<'_>) -> Decoded<()> {
    check_cache_control(root)?;
    if let Some(config) = root.optional("output_config")? {
        config.object()?;
        if let Some(effort) = config.optional("effort")? {
            effort.literal(&["low", "medium", "high", "xhigh", "max"])?;
        }
        if let Some(format) = config.optional("format")? {
            format.object()?;
            format.required("type")?.literal(&["json_schema"])?;
            format.required("schema")?.dictionary()?;
        }
    }
    if let Some(geo) = root.optional("inference_geo")? {
        geo.string()?;
    }
    if let Some(speed) = root.optional("speed")? {
        speed.literal(&["standard", "fast"])?;
    }
    if let Some(diagnostics) = root.optional("diagnostics")? {
        diagnostics.object()?;
    }
    Ok(())
}

/// `cache_control` of the body, a block, or a tool.
pub(super) fn check_cache_control(node: &Node<'_>) -> Decoded<()> {
    let Some(control) = node.optional("cache_control")? else {
        return Ok(());
    };
    control.object()?;
    let kind = control.tag(&["ephemeral"])?;
    if let Some(ttl) = control.tagged(kind).optional("ttl")? {
        ttl.literal(&["5m", "1h"])?;
    }
    Ok(())
}

/// Refuses unknown members of what only clients write. Blocks are not looked at: in a history they
/// come back with whatever an SDK's model kept.
pub(super) fn refuse_extras(root: &Node<'_>) -> Decoded<()> {
    for message in root.required("messages")?.items()? {
        message.no_extras(&["role", "content"])?;
    }
    if let Some(tools) = root.optional("tools")? {
        for tool in tools.items()? {
            refuse_tool_extras(&tool)?;
        }
    }
    let unions: [(&str, &[&str]); 2] = [
        (
            "tool_choice",
            &["type", "name", "disable_parallel_tool_use"],
        ),
        ("thinking", &["type", "budget_tokens", "display"]),
    ];
    for (name, known) in unions {
        if let Some(node) = root.optional(name)? {
            let tag = node.required("type")?.string()?;
            node.tagged(tag).no_extras(known)?;
        }
    }
    if let Some(metadata) = root.optional("metadata")? {
        metadata.no_extras(&["user_id"])?;
    }
    if let Some(config) = root.optional("output_config")? {
        config.no_extras(&["effort", "format"])?;
    }
    Ok(())
}

fn refuse_tool_extras(tool: &Node<'_>) -> Decoded<()> {
    const COMMON: [&str; 6] = [
        "type",
        "name",
        "allowed_callers",
        "cache_control",
        "defer_loading",
        "strict",
    ];
    const CUSTOM: [&str; 4] = [
        "description",
        "input_schema",
        "input_examples",
        "eager_input_streaming",
    ];
    let tag = tool.value()["type"].as_str().unwrap_or("custom");
    if tag == "custom" {
        tool.tagged(tag).no_extras(&[&COMMON[..], &CUSTOM].concat())
    } else if tag.starts_with("code_execution_") {
        tool.tagged(tag).no_extras(&COMMON)
    } else {
        Ok(())
    }
}
