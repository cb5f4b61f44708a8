//! Message batches.

use super::{differs, holds_if, of_good, same};
use crate::conform::{Scene, Seen};
use crate::heard::Heard;

/// Whether a poll has found the batch at work: it is to be polled again.
pub(in crate::conform) fn is_running(heard: &Heard) -> bool {
    let status = &heard.json()["processing_status"];
    heard.status == 200 && (status == "in_progress" || status == "canceling")
}

pub(in crate::conform) fn times(scene: &Scene<'_>) -> Seen {
    let batch = of_good!(scene).json();
    let times: Vec<&str> = ["created_at", "expires_at"]
        .iter()
        .map(|name| batch[*name].as_str().unwrap_or("absent"))
        .collect();
    let hold = times.iter().all(|time| time.ends_with("+00:00"));
    holds_if(hold, "times that end in +00:00", times.join(", "))
}

pub(in crate::conform) fn says_when(scene: &Scene<'_>) -> Seen {
    let Some(poll) = scene.heard.iter().skip(1).find(|heard| is_running(heard)) else {
        let last = of_good!(scene).json();
        return match last["processing_status"].as_str() {
            Some("ended") => Seen::Open("the batch had ended before it was looked at".to_owned()),
            _ => differs("a `processing_status`", &last),
        };
    };
    same("10", poll.header("retry-after").unwrap_or("absent"))
}

pub(in crate::conform) fn results(scene: &Scene<'_>) -> Seen {
    let batch = scene.json(0);
    let is_missing = scene.last().status == 404;
    if is_missing && scene.heard.iter().rev().nth(1).is_some_and(is_running) {
        return Seen::Open("the batch has not ended".to_owned());
    }
    let heard = of_good!(scene);
    let id = batch["id"].as_str().unwrap_or("msgbatch_…");
    same(
        &format!("application/x-jsonl, attachment; filename*=utf-8''{id}_results.jsonl"),
        &format!(
            "{}, {}",
            heard.media_type(),
            heard.header("content-disposition").unwrap_or("absent")
        ),
    )
}
