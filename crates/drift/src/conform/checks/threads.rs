//! Message threads: what the service holds of a conversation.

use super::{holds_if, of_good, of_status, same};
use crate::conform::{Scene, Seen};

/// The answer is one, though the request had only the newest message, and it read what went before.
pub(in crate::conform) fn goes_on(scene: &Scene<'_>) -> Seen {
    let message = of_good!(scene).json();
    let read = |message: &serde_json::Value| {
        let usage = &message["usage"];
        let parts = [
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ];
        let parts = parts.iter().filter_map(|name| usage[*name].as_u64());
        parts.sum::<u64>()
    };
    let (before, now) = (read(&scene.json(0)), read(&message));
    let is_message = message["type"] == "message";
    holds_if(
        is_message && now > before && before > 0,
        &format!("an answer to more than the first {before} input tokens"),
        format!("{now} input tokens, {}", message["type"]),
    )
}

pub(in crate::conform) fn once_only(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    code(&said, "thread_already_continued")
}

pub(in crate::conform) fn not_found(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 404).json();
    code(&said, "thread_not_found")
}

fn code(said: &serde_json::Value, wanted: &str) -> Seen {
    let code = &said["error"]["details"]["error_code"];
    same(wanted, code.as_str().unwrap_or_default())
}
