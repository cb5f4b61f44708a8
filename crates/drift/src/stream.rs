//! The order of a stream's events, without how many there are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::shape::difference;
use live::Difference;

type Event = (String, Value);

/// The order of a stream.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Order {
    /// All events, blocks as one.
    whole: Vec<String>,
    /// The orders of events within the blocks of each type.
    blocks: BTreeMap<String, BTreeSet<Vec<String>>>,
    /// Events whose name is not the type of their data.
    misnamed: BTreeSet<String>,
}

impl Order {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut order = Self::default();
        let mut open: Option<(String, Vec<String>)> = None;
        for (name, data) in events {
            if data["type"] != name.as_str() {
                order
                    .misnamed
                    .insert(format!("{name} with data of {}", data["type"]));
            }
            match name.as_str() {
                // They come when nothing else does.
                "ping" => {}
                "content_block_start" => {
                    let kind = data["content_block"]["type"].as_str().unwrap_or_default();
                    open = Some((kind.to_owned(), Vec::new()));
                    once_more(&mut order.whole, "blocks");
                }
                "content_block_delta" => {
                    let kind = data["delta"]["type"].as_str().unwrap_or_default();
                    match &mut open {
                        Some((_, within)) => once_more(within, kind),
                        None => order.whole.push("a delta outside of blocks".to_owned()),
                    }
                }
                "content_block_stop" => match open.take() {
                    Some((kind, within)) => {
                        order.blocks.entry(kind).or_default().insert(within);
                    }
                    None => order.whole.push("an end outside of blocks".to_owned()),
                },
                other => once_more(&mut order.whole, other),
            }
        }
        order
    }

    /// All events, blocks as one.
    pub(super) fn told(&self) -> String {
        self.whole.join(", ")
    }
}

fn once_more(list: &mut Vec<String>, name: &str) {
    if list.last().is_none_or(|last| last != name) {
        list.push(name.to_owned());
    }
}

/// The differences in the order of `live`.
pub(super) fn differences(recorded: &[Event], live: &[Event]) -> Vec<Difference> {
    let (was, is) = (Order::of(recorded), Order::of(live));
    let mut found = Vec::new();
    if was.whole != is.whole {
        found.push(difference("order of events", &was.told(), &is.told()));
    }
    if was.misnamed != is.misnamed {
        let told = |order: &Order| match order.misnamed.len() {
            0 => "the type of their data".to_owned(),
            _ => order
                .misnamed
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
        };
        found.push(difference("names of events", &told(&was), &told(&is)));
    }
    for (kind, was) in &was.blocks {
        if let Some(is) = is.blocks.get(kind).filter(|is| is.is_disjoint(was)) {
            let what = format!("deltas of {kind}");
            found.push(difference(&what, &sequences(was), &sequences(is)));
        }
    }
    found
}

fn sequences(of: &BTreeSet<Vec<String>>) -> String {
    let told = of.iter().map(|sequence| match sequence.len() {
        0 => "none".to_owned(),
        _ => sequence.join(", "),
    });
    told.collect::<Vec<_>>().join("; or ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events(names: &[&str]) -> Vec<Event> {
        let event = |name: &&str| {
            let (name, kind) = name.split_once(' ').unwrap_or((*name, ""));
            let data =
                json!({"type": name, "content_block": {"type": kind}, "delta": {"type": kind}});
            (name.to_owned(), data)
        };
        names.iter().map(event).collect()
    }

    #[test]
    fn how_many_there_are_and_pings_do_not_count_and_the_order_does() {
        let recorded = events(&[
            "message_start",
            "content_block_start thinking",
            "ping",
            "content_block_delta thinking_delta",
            "content_block_delta signature_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]);
        let longer = events(&[
            "message_start",
            "content_block_start text",
            "content_block_stop",
            "content_block_start thinking",
            "content_block_delta thinking_delta",
            "content_block_delta thinking_delta",
            "content_block_delta signature_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]);
        assert_eq!(differences(&recorded, &longer), []);
        let other = events(&[
            "message_start",
            "content_block_start thinking",
            "content_block_delta signature_delta",
            "content_block_delta thinking_delta",
            "content_block_stop",
            "message_stop",
        ]);
        let told = differences(&recorded, &other);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0].live, "message_start, blocks, message_stop");
        assert_eq!(told[1].what, "deltas of thinking");
        assert_eq!(told[1].recorded, "thinking_delta, signature_delta");
    }
}
