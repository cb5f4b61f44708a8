//! What is asked of a control call in its query.

use std::collections::HashMap;

use super::error::ControlError;
use common::document::did_you_mean;

/// Refuses parameters that a call does not have.
pub(super) fn only(query: &HashMap<String, String>, known: &[&str]) -> Result<(), ControlError> {
    let is_known = |name: &str| name == "workspace" || known.contains(&name);
    let Some(other) = query.keys().find(|name| !is_known(name)) else {
        return Ok(());
    };
    let all = known.iter().copied().chain(["workspace"]);
    let hint = did_you_mean(other, all, || match known {
        [] => "it has none but `workspace`".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    });
    Err(ControlError::bad(
        format!("`{other}` is no parameter of this call"),
        hint,
    ))
}
