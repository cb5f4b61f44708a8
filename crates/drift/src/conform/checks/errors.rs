//! Refusals: status, type, and words.

use serde_json::Value;

use super::{differs, holds_if, of_status, same};
use crate::conform::{Scene, Seen};

/// A call that nobody has answered.
pub(in crate::conform) const CALL: &str = "toolu_01A09q90qw90lq917835lq9";

pub(in crate::conform) fn unknown_model(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 404).json();
    of_type(&said, "not_found_error", |message| {
        same("model: claude-no-such-model", message)
    })
}

pub(in crate::conform) fn is_not_to_be_retried(scene: &Scene<'_>) -> Seen {
    let heard = scene.last();
    if !(400..500).contains(&heard.status) {
        return differs("a status of 4xx", heard.status);
    }
    same("false", heard.header("x-should-retry").unwrap_or("absent"))
}

pub(in crate::conform) fn unknown_member(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    of_type(&said, "invalid_request_error", |message| {
        same(
            "messages.0.content.0.text.index: Extra inputs are not permitted",
            message,
        )
    })
}

pub(in crate::conform) fn no_json(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    of_type(&said, "invalid_request_error", |message| {
        let wanted = "The request body is not valid JSON: ";
        let named = ["line 1 column ", "(char "]
            .iter()
            .all(|part| message.contains(part));
        holds_if(
            message.starts_with(wanted) && named,
            "The request body is not valid JSON: …: line 1 column C (char N)",
            message,
        )
    })
}

pub(in crate::conform) fn unknown_beta(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    of_type(&said, "invalid_request_error", |message| {
        let wanted =
            "Unexpected value(s) `no-such-beta-2020-01-01` for the `anthropic-beta` header.";
        holds_if(message.starts_with(wanted), wanted, message)
    })
}

pub(in crate::conform) fn no_file(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 404).json();
    of_type(&said, "not_found_error", |message| {
        same("File `file_011CNha8iCJcU1wXNR6q4V8w` not found.", message)
    })
}

pub(in crate::conform) fn path_with_tag(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    of_type(&said, "invalid_request_error", |message| {
        same(
            "messages.0.content.0.container_upload.file_id: Field required",
            message,
        )
    })
}

pub(in crate::conform) fn too_many_tokens(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    of_type(&said, "invalid_request_error", |message| {
        let wanted = "max_tokens: 100000000 > M, which is the maximum allowed number of output tokens for MODEL";
        let parts = [
            "max_tokens: 100000000 > ",
            ", which is the maximum allowed number of output tokens for ",
        ];
        holds_if(
            parts.iter().all(|part| message.contains(part)),
            wanted,
            message,
        )
    })
}

pub(in crate::conform) fn no_result(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    of_type(&said, "invalid_request_error", |message| {
        let wanted = format!(
            "`tool_use` ids were found without `tool_result` blocks immediately after: {CALL}"
        );
        holds_if(message.contains(&wanted), &wanted, message)
    })
}

fn of_type(said: &Value, kind: &str, message: impl FnOnce(&str) -> Seen) -> Seen {
    let error = &said["error"];
    if error["type"] != kind {
        return differs(kind, &error["type"]);
    }
    message(error["message"].as_str().unwrap_or_default())
}
