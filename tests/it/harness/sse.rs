//! Reading a stream as an SDK does: frames by the rules of server-sent events, and a message put
//! together from them. Written on plain JSON, apart from the server's own types.

use serde_json::{Map, Value, json};

/// One event: its name and its data.
pub(crate) type Event = (String, Value);

/// The events of a stream's text, in whatever pieces it comes.
pub(crate) fn events_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut decoder = wire::sse::Decoder::default();
    let frames = pieces.into_iter().flat_map(|piece| decoder.push(piece));
    frames
        .map(|frame| {
            let data = serde_json::from_str(&frame.data).expect("data is JSON");
            (frame.event, data)
        })
        .collect()
}

/// The message that the events of a stream amount to.
pub(crate) fn fold(events: &[Event]) -> Value {
    in_order(&fold_loosely(events))
}

/// The same with keys in the order they came, known or not.
pub(crate) fn fold_loosely(events: &[Event]) -> Value {
    let mut message = Value::Null;
    let mut partial = String::new();
    for (name, event) in events {
        assert_eq!(event["type"], name.as_str(), "the name is the type");
        match name.as_str() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("content");
                assert_eq!(event["index"], content.len(), "indices are contiguous");
                content.push(event["content_block"].clone());
                if event["content_block"]["type"] == "fallback" {
                    // As the SDKs do.
                    message["model"] = event["content_block"]["to"]["model"].clone();
                }
            }
            "content_block_delta" => {
                let block = block(&mut message, event);
                let delta = &event["delta"];
                match delta["type"].as_str().expect("a type") {
                    "text_delta" => append(&mut block["text"], &delta["text"]),
                    "thinking_delta" => append(&mut block["thinking"], &delta["thinking"]),
                    "citations_delta" => block["citations"]
                        .as_array_mut()
                        .expect("a list")
                        .push(delta["citation"].clone()),
                    "compaction_delta" => {
                        for (key, value) in delta.as_object().expect("an object") {
                            if key != "type" {
                                block[key] = value.clone();
                            }
                        }
                    }
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => {
                        partial.push_str(delta["partial_json"].as_str().expect("text"));
                    }
                    other => panic!("unknown delta `{other}`"),
                }
            }
            "content_block_stop" => {
                let block = block(&mut message, event);
                if !partial.is_empty() {
                    block["input"] =
                        serde_json::from_str(&partial).expect("the fragments are JSON");
                    partial.clear();
                }
            }
            "message_delta" => {
                // That of `message_start` is said before anybody knows whether code will run.
                if let Some(members) = message.as_object_mut() {
                    members.shift_remove("container");
                }
                merge(&mut message, &event["delta"]);
                merge(&mut message["usage"], &event["usage"]);
                if let Some(done) = event.get("context_management") {
                    message["context_management"] = done.clone();
                }
            }
            "message_stop" | "ping" => {}
            other => panic!("unexpected event `{other}`: {event}"),
        }
    }
    message
}

fn block<'m>(message: &'m mut Value, event: &Value) -> &'m mut Value {
    let index = usize::try_from(event["index"].as_u64().expect("an index")).unwrap();
    &mut message["content"][index]
}

fn append(to: &mut Value, more: &Value) {
    let all = to.as_str().expect("text").to_owned() + more.as_str().expect("text");
    *to = Value::String(all);
}

fn merge(to: &mut Value, from: &Value) {
    for (key, value) in from.as_object().expect("an object") {
        to[key] = value.clone();
    }
}

/// The recorded order of keys: what a stream brings late has its place in the middle of a message.
fn in_order(message: &Value) -> Value {
    const MESSAGE: [&str; 12] = [
        "model",
        "id",
        "type",
        "role",
        "content",
        "container",
        "stop_reason",
        "stop_sequence",
        "stop_details",
        "usage",
        "context_management",
        "diagnostics",
    ];
    const USAGE: [&str; 10] = [
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "cache_creation",
        "iterations",
        "output_tokens",
        "output_tokens_details",
        "service_tier",
        "inference_geo",
        "server_tool_use",
    ];
    let pick = |value: &Value, keys: &[&str]| {
        let members = value.as_object().expect("an object");
        assert!(
            members.keys().all(|key| keys.contains(&key.as_str())),
            "an unknown key: {value}"
        );
        let picked: Map<String, Value> = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), members.get(*key)?.clone())))
            .collect();
        Value::Object(picked)
    };
    let mut message = pick(message, &MESSAGE);
    message["usage"] = pick(&message["usage"], &USAGE);
    json!(message)
}
