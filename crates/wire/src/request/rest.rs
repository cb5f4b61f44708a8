//! Fields that are checked and not kept.

use crate::decode::{Decoded, Node};
use crate::refusal;

/// The smallest `task_budget` (F256).
const LEAST_TASK_TOKENS: i64 = 20_000;

/// Where a request may be served (F246).
const GEOS: [&str; 2] = ["global", "us"];

/// `cache_control`, `output_config`, `inference_geo`, `speed`, `diagnostics` of the body.
pub(super) fn check_options(root: &Node<'_>) -> Decoded<()> {
    check_cache_control(root)?;
    if let Some(config) = root.optional("output_config")? {
        check_output_config(&config)?;
    }
    if let Some(geo) = root.optional("inference_geo")?
        && !GEOS.contains(&geo.string()?)
    {
        return Err(geo.fault(refusal::INFERENCE_GEO.text));
    }
    check_speed(root)?;
    if let Some(diagnostics) = root.optional("diagnostics")? {
        diagnostics.object()?;
        check_texts(&diagnostics, &["previous_message_id"])?;
    }
    Ok(())
}

/// `speed` of the body, or of one of its `fallbacks`.
pub(super) fn check_speed(node: &Node<'_>) -> Decoded<()> {
    match node.optional("speed")? {
        Some(speed) => speed.literal(&["standard", "fast"]).map(|_| ()),
        None => Ok(()),
    }
}

/// `output_config`; its effort.
pub(super) fn check_output_config(config: &Node<'_>) -> Decoded<Option<&'static str>> {
    let effort = effort(config)?;
    if let Some(format) = config.optional("format")? {
        check_format(&format)?;
    }
    if let Some(budget) = config.optional("task_budget")? {
        budget.object()?;
        budget.required("type")?.literal(&["tokens"])?;
        budget.required("total")?.integer(LEAST_TASK_TOKENS)?;
        check_numbers(&budget, &["remaining"])?;
    }
    Ok(effort)
}

/// `output_config.format`, and the older `output_format`.
pub(super) fn check_format(format: &Node<'_>) -> Decoded<()> {
    format.object()?;
    format.required("type")?.literal(&["json_schema"])?;
    format.required("schema")?.dictionary().map(|_| ())
}

/// The `effort` of an `output_config`.
pub(super) fn effort(config: &Node<'_>) -> Decoded<Option<&'static str>> {
    config.object()?;
    let effort = config.optional("effort")?;
    effort
        .map(|node| node.literal(&["low", "medium", "high", "xhigh", "max"]))
        .transpose()
}

/// Members that are texts, if they are there.
pub(super) fn check_texts(node: &Node<'_>, keys: &[&str]) -> Decoded<()> {
    for key in keys {
        if let Some(text) = node.optional(key)? {
            text.string()?;
        }
    }
    Ok(())
}

/// Members that are true or false, if they are there.
pub(super) fn check_flags(node: &Node<'_>, keys: &[&str]) -> Decoded<()> {
    for key in keys {
        if let Some(flag) = node.optional(key)? {
            flag.boolean()?;
        }
    }
    Ok(())
}

/// Members that are integers, if they are there.
pub(super) fn check_numbers(node: &Node<'_>, keys: &[&str]) -> Decoded<()> {
    for key in keys {
        if let Some(number) = node.optional(key)? {
            number.whole()?;
        }
    }
    Ok(())
}

/// A member that is a list of texts, if it is there.
pub(super) fn check_list_of_texts(node: &Node<'_>, key: &str) -> Decoded<()> {
    let Some(list) = node.optional(key)? else {
        return Ok(());
    };
    list.items()?.try_for_each(|item| item.string().map(|_| ()))
}

/// `cache_control` of the body, a block, or a tool.
pub(super) fn check_cache_control(node: &Node<'_>) -> Decoded<()> {
    let Some(control) = node.optional("cache_control")? else {
        return Ok(());
    };
    let kind = control.tag(&["ephemeral"])?;
    if let Some(ttl) = control.tagged(kind).optional("ttl")? {
        ttl.literal(&["5m", "1h"])?;
    }
    Ok(())
}
