//! `thinking`.

use crate::decode::{Decoded, Node};

/// `thinking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    Enabled { budget_tokens: u64 },
    Adaptive,
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

const TAGS: &[&str] = &["adaptive", "disabled", "enabled"];

/// The members that each form has, betas' included.
pub(super) fn members(tag: &str) -> &'static [&'static str] {
    match tag {
        "adaptive" => &["type", "block_binding", "display"],
        "disabled" => &["type"],
        _ => &["type", "block_binding", "budget_tokens", "display"],
    }
}

/// `thinking.display`, where thoughts are shown at all.
pub(super) fn display(root: &Node<'_>, betas: bool) -> Decoded<Option<ThinkingDisplay>> {
    let Some(thinking) = root.optional("thinking")? else {
        return Ok(None);
    };
    let tag = thinking.tag(TAGS)?;
    if tag == "disabled" {
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
    pub(super) fn decode(node: &Node<'_>, max_tokens: u64) -> Decoded<Self> {
        let tag = node.tag(TAGS)?;
        let tagged = node.tagged(tag);
        if tag == "disabled" {
            return Ok(Self::Disabled);
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
        if budget_tokens >= max_tokens {
            return Err(crate::decode::Fault {
                path: String::new(),
                reason: "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our \
                         documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking\
                         #max-tokens-and-context-window-size"
                    .to_owned(),
            });
        }
        Ok(Self::Enabled { budget_tokens })
    }
}
