//! Fields that are checked and not kept.

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
