//! Streams, event by event and byte by byte.

use serde_json::Value;

use super::{differs, holds_if, of_good, same};
use crate::conform::{Scene, Seen};
use crate::stream::Order;

const MOST_SPACES: usize = 15;
const FEW: usize = 5;
const PING: &str = "{\"type\": \"ping\"}";
/// The members that `message_delta.usage` never has.
const ONLY_AT_THE_START: [&str; 3] = ["cache_creation", "service_tier", "inference_geo"];

pub(in crate::conform) fn padding(scene: &Scene<'_>) -> Seen {
    let heard = of_good!(scene);
    let text = String::from_utf8_lossy(&heard.body);
    let mut counts = Vec::new();
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data.contains("\"ping\"") && data.len() < PING.len() + MOST_SPACES {
            if data != PING {
                return differs(PING, data);
            }
            continue;
        }
        let open = data.strip_suffix('}').unwrap_or(data);
        let spaces = open.len() - open.trim_end_matches(' ').len();
        if spaces > MOST_SPACES {
            return differs(
                "0 to 15 spaces before the last brace",
                format!("{spaces} in {data}"),
            );
        }
        counts.push(spaces);
    }
    if counts.is_empty() {
        return Seen::Open("there were no events".to_owned());
    }
    // Evenly spread: that none has any is as good as impossible in a stream of some events.
    let any = counts.iter().any(|count| *count > 0);
    if !any && counts.len() < FEW {
        return Seen::Open("there were too few events to see it".to_owned());
    }
    holds_if(
        any,
        "spaces before the last brace of most events",
        "none in any event",
    )
}

pub(in crate::conform) fn order(scene: &Scene<'_>) -> Seen {
    let events = of_good!(scene).events();
    let wanted = "message_start, blocks, message_delta, message_stop";
    let got = Order::of(&events).told();
    if got != wanted {
        return differs(wanted, got);
    }
    let delta = events.iter().find(|(name, _)| name == "message_delta");
    let stray = ONLY_AT_THE_START
        .into_iter()
        .find(|name| delta.is_some_and(|(_, data)| data["usage"].get(name).is_some()));
    match stray {
        None => Seen::Holds,
        Some(name) => differs(format!("no `{name}` in message_delta.usage"), "it is there"),
    }
}

pub(in crate::conform) fn null_container(scene: &Scene<'_>) -> Seen {
    let events = of_good!(scene).events();
    for (name, place) in [("message_start", "/message"), ("message_delta", "/delta")] {
        let data = events.iter().find(|(known, _)| known == name);
        let there = data.and_then(|(_, data)| data.pointer(place)?.get("container"));
        if there != Some(&Value::Null) {
            let got = there.map_or_else(|| "absent".to_owned(), ToString::to_string);
            return differs(format!("\"container\": null in {name}"), got);
        }
    }
    Seen::Holds
}

pub(in crate::conform) fn container_at_the_end(scene: &Scene<'_>) -> Seen {
    let events = of_good!(scene).events();
    if !ran_code(&events) {
        return no_code();
    }
    let at = |name: &str, place: &str| {
        let data = events.iter().find(|(known, _)| known == name);
        data.and_then(|(_, data)| data.pointer(place))
            .is_some_and(Value::is_object)
    };
    match (
        at("message_start", "/message/container"),
        at("message_delta", "/delta/container"),
    ) {
        (false, true) => Seen::Holds,
        (true, _) => differs("no container in message_start", "it is there"),
        (false, false) => differs("a container in message_delta.delta", "none"),
    }
}

pub(in crate::conform) fn results_are_whole(scene: &Scene<'_>) -> Seen {
    let events = of_good!(scene).events();
    let mut open: Option<&str> = None;
    let mut seen = 0;
    for (_, data) in &events {
        if let Some(kind) = data["content_block"]["type"].as_str() {
            open = Some(kind);
            seen += usize::from(kind.ends_with("_tool_result"));
        } else if let (Some(kind), true) = (
            open,
            data["delta"]["type"].is_string() && data.get("index").is_some(),
        ) && kind.ends_with("_tool_result")
        {
            return differs("no delta in a result", format!("a delta in {kind}"));
        }
    }
    if seen == 0 { no_code() } else { Seen::Holds }
}

pub(in crate::conform) fn first_fragment_is_empty(scene: &Scene<'_>) -> Seen {
    let events = of_good!(scene).events();
    match inputs(&events).first() {
        None => no_code(),
        Some(pieces) => same("", pieces.first().map_or("no fragment", String::as_str)),
    }
}

pub(in crate::conform) fn fragments_are_spaced(scene: &Scene<'_>) -> Seen {
    let events = of_good!(scene).events();
    let inputs = inputs(&events);
    let Some(text) = inputs.first().map(|pieces| pieces.concat()) else {
        return no_code();
    };
    if serde_json::from_str::<Value>(&text).is_err() {
        return differs("fragments that join to JSON", text);
    }
    holds_if(
        text.starts_with("{\"command\": "),
        "a space after `:`, as in {\"command\": …",
        text,
    )
}

/// The fragments of each input.
fn inputs(events: &[(String, Value)]) -> Vec<Vec<String>> {
    let mut inputs: Vec<Vec<String>> = Vec::new();
    for (name, data) in events {
        if name == "content_block_start" && data["content_block"]["type"] == "server_tool_use" {
            inputs.push(Vec::new());
        }
        if let (Some(piece), Some(last)) =
            (data["delta"]["partial_json"].as_str(), inputs.last_mut())
        {
            last.push(piece.to_owned());
        }
    }
    inputs
}

fn ran_code(events: &[(String, Value)]) -> bool {
    events
        .iter()
        .any(|(_, data)| data["content_block"]["content"]["type"] == "bash_code_execution_result")
}

fn no_code() -> Seen {
    Seen::Open("no code was run".to_owned())
}
