//! `thinking`.

use crate::decode::{Decoded, Node};

/// `thinking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    Enabled { budget_tokens: u64 },
    Adaptive,
    BetweenTools,
    Disabled,
}

crate::words! {
    /// How much of a thought an answer shows.
    pub ThinkingDisplay {
        /// A signature alone.
        Omitted "omitted",
        Summarized "summarized",
        /// A signature alone, but for what tells how the work goes on (F208).
        Updates "updates",
    }
}

const TAGS: &[&str] = &["adaptive", "between_tools", "disabled", "enabled"];

/// The members that each form has, betas' included.
pub(super) fn members(tag: &str) -> &'static [&'static str] {
    match tag {
        "adaptive" => &["type", "block_binding", "display"],
        "between_tools" | "disabled" => &["type"],
        _ => &["type", "block_binding", "budget_tokens", "display"],
    }
}

/// `thinking.display`, where thoughts are shown at all.
pub(super) fn display(root: &Node<'_>, betas: bool) -> Decoded<Option<ThinkingDisplay>> {
    let Some(thinking) = root.optional("thinking")? else {
        return Ok(None);
    };
    let tag = thinking.tag(TAGS)?;
    if matches!(tag, "between_tools" | "disabled") {
        return Ok(None);
    }
    let tagged = thinking.tagged(tag);
    let Some(display) = tagged.optional("display")? else {
        return Ok(None);
    };
    // The last of them came with a beta.
    let known = if betas {
        ThinkingDisplay::NAMES
    } else {
        &ThinkingDisplay::NAMES[..2]
    };
    display.literal(known).map(ThinkingDisplay::from_name)
}

impl Thinking {
    pub(super) fn decode(node: &Node<'_>) -> Decoded<Self> {
        let tag = node.tag(TAGS)?;
        let tagged = node.tagged(tag);
        match tag {
            "between_tools" => return Ok(Self::BetweenTools),
            "disabled" => return Ok(Self::Disabled),
            _ => {}
        }
        if let Some(binding) = tagged.optional("block_binding")? {
            binding.object()?;
            if let Some(behavior) = binding.optional("prefix_mismatch_behavior")? {
                behavior.literal(&["error", "drop_block"])?;
            }
        }
        if tag == "adaptive" {
            return Ok(Self::Adaptive);
        }
        let budget_tokens = tagged.required("budget_tokens")?.integer(1024)?;
        Ok(Self::Enabled { budget_tokens })
    }
}
