//! `fallbacks`: models that may go on where the request's declines (F206, F254).

use super::rest;
use super::thinking::{self, Thinking, ThinkingDisplay};
use crate::decode::{Decoded, Node};

/// What an entry has; anything else is refused (F254).
const MEMBERS: &[&str] = &["model", "max_tokens", "output_config", "speed", "thinking"];

/// `fallbacks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallbacks {
    /// `default`: the service knows which.
    ByService,
    /// Tried in this order.
    Chain(Vec<Fallback>),
}

/// One of them, and what of the request it has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    pub model: String,
    pub max_tokens: Option<u64>,
    pub thinking: Override<Thinking>,
    /// `thinking.display`, if it is said.
    pub display: Option<ThinkingDisplay>,
    /// `output_config.effort`.
    pub effort: Option<String>,
}

/// What an entry says of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override<T> {
    /// Nothing: as the request has it, where the model takes that.
    Absent,
    /// Null: as the model has it by itself.
    Null,
    Given(T),
}

impl<T> Override<T> {
    /// The value, if there is one.
    pub fn given(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Given(value) => Some(value),
        }
    }
}

/// None where no other model goes on.
pub(super) fn decode(root: &Node<'_>) -> Decoded<Option<Fallbacks>> {
    let Some(list) = root.optional("fallbacks")? else {
        return Ok(None);
    };
    if list.value().is_string() {
        return list
            .literal(&["default"])
            .map(|_| Some(Fallbacks::ByService));
    }
    let chain = list.items()?.map(|entry| Fallback::decode(&entry));
    let chain = chain.collect::<Decoded<Vec<_>>>()?;
    Ok((!chain.is_empty()).then_some(Fallbacks::Chain(chain)))
}

impl Fallback {
    fn decode(entry: &Node<'_>) -> Decoded<Self> {
        let model = entry.required("model")?.name(super::MAX_MODEL_CHARS)?;
        let max_tokens = match entry.optional("max_tokens")? {
            Some(node) => Some(node.integer(0)?),
            None => None,
        };
        let thinking = match entry.given("thinking")? {
            None => Override::Absent,
            Some(node) if node.value().is_null() => Override::Null,
            Some(node) => Override::Given(Thinking::decode(&node)?),
        };
        let display = thinking::display(entry, true)?;
        let effort = match entry.optional("output_config")? {
            Some(config) => rest::check_output_config(&config)?,
            None => None,
        };
        rest::check_speed(entry)?;
        let mut keys = entry.object()?.keys();
        if let Some(key) = keys.find(|key| !MEMBERS.contains(&key.as_str())) {
            return Err(entry.fault(format!(
                "'{key}' is not a supported field. Supported: {}.",
                MEMBERS.join(", ")
            )));
        }
        Ok(Self {
            model: model.to_owned(),
            max_tokens,
            thinking,
            display,
            effort: effort.map(str::to_owned),
        })
    }
}
