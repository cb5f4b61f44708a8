//! Who made a call: the model, or code that the service ran.

use crate::decode::{Decoded, Node};

/// The forms of a `caller` (F057): a later code tool names itself by the last of those of code.
const CALLERS: &[&str] = &[
    "code_execution_20250825",
    "code_execution_20260120",
    "direct",
];

/// The cell whose code made the call that this block is, or whose result it is.
pub(super) fn cell(block: &Node<'_>) -> Decoded<Option<String>> {
    let Some(caller) = block.optional("caller")? else {
        return Ok(None);
    };
    match caller.tag(CALLERS)? {
        "direct" => Ok(None),
        tag => {
            let by_code = caller.tagged(tag);
            let id = by_code.required("tool_id")?.string()?;
            Ok(Some(id.to_owned()))
        }
    }
}

/// The members that a `caller` of this type has.
pub(super) fn members(tag: &str) -> &'static [&'static str] {
    match tag {
        "direct" => &["type"],
        _ => &["type", "tool_id"],
    }
}
