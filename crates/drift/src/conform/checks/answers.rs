//! Plain answers.

use super::{differs, holds_if, members as has, of_good};
use crate::conform::{Scene, Seen};

const MESSAGE: [&str; 13] = [
    "model",
    "id",
    "type",
    "role",
    "content",
    "container?",
    "stop_reason",
    "stop_sequence",
    "stop_details",
    "usage",
    "context_management?",
    "diagnostics?",
    "thread?",
];
const USAGE: [&str; 9] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "output_tokens",
    "output_tokens_details?",
    "service_tier",
    "inference_geo",
    "server_tool_use?",
];

pub(in crate::conform) fn members(scene: &Scene<'_>) -> Seen {
    has(&of_good!(scene).json(), &MESSAGE)
}

pub(in crate::conform) fn usage(scene: &Scene<'_>) -> Seen {
    has(&of_good!(scene).json()["usage"], &USAGE)
}

pub(in crate::conform) fn null_container(scene: &Scene<'_>) -> Seen {
    let message = of_good!(scene).json();
    let got = message
        .get("container")
        .map_or_else(|| "absent".to_owned(), ToString::to_string);
    holds_if(got == "null", "\"container\": null", got)
}

pub(in crate::conform) fn is_good(scene: &Scene<'_>) -> Seen {
    let heard = scene.last();
    match heard.status {
        200 => Seen::Holds,
        401 => differs("200", "401"),
        other => Seen::Open(format!("the answer is {other}")),
    }
}

pub(in crate::conform) fn no_rate_limits(scene: &Scene<'_>) -> Seen {
    let heard = of_good!(scene);
    let limit = heard
        .headers
        .iter()
        .find(|(name, _)| name.contains("ratelimit"));
    match limit {
        None => Seen::Holds,
        Some((name, _)) => differs("no header about rate limits", name),
    }
}

/// Nothing is generated, and that is the limit's doing.
pub(in crate::conform) fn says_nothing(scene: &Scene<'_>) -> Seen {
    let message = of_good!(scene).json();
    let empty = message["content"].as_array().is_some_and(Vec::is_empty);
    holds_if(
        empty && message["stop_reason"] == "max_tokens",
        "no content, stopped by max_tokens",
        format!(
            "{}, stopped by {}",
            message["content"], message["stop_reason"]
        ),
    )
}

pub(in crate::conform) fn older_list(scene: &Scene<'_>) -> Seen {
    list_of(scene, &["data", "has_more", "first_id", "last_id"])
}

/// Holds for a list that has these members.
pub(super) fn list_of(scene: &Scene<'_>, wanted: &[&str]) -> Seen {
    let page = of_good!(scene).json();
    let has = wanted.iter().all(|name| page.get(name).is_some());
    holds_if(has, &wanted.join(", "), super::names(&page).join(", "))
}
