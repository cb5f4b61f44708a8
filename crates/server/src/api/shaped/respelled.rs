//! Events that say the same in other words: smaller pieces, and members that no client knows.

use bytes::Bytes;
use serde_json::{Value, json};

const NAME: &str = "event: ";
const DATA: &str = "data: ";
/// Parity: members may come at any time, and clients are told to pass over them (F028).
const UNKNOWN: &str = "sandtable_unknown";
/// Objects of an event and of a body that clients do not send back (F145 refuses what they would).
const PLACES: [&str; 12] = [
    "",
    "/message",
    "/message/usage",
    "/delta",
    "/usage",
    "/error",
    "/data/0",
    "/result",
    "/result/message",
    "/result/message/usage",
    "/result/error",
    "/result/error/error",
];
/// The members of a delta that join to one text.
const JOINED: [(&str, &str); 3] = [
    ("text_delta", "text"),
    ("thinking_delta", "thinking"),
    ("input_json_delta", "partial_json"),
];

/// A delta of more than `chars` characters as several; any other event as it is.
pub(super) fn cut(event: Bytes, chars: usize) -> Vec<Bytes> {
    let pieces = taken_apart(&event).and_then(|(name, data)| {
        let kind = data["delta"]["type"].as_str()?;
        let (_, member) = JOINED.iter().find(|(known, _)| *known == kind)?;
        let text: Vec<char> = data["delta"][*member].as_str()?.chars().collect();
        (text.len() > chars).then(|| {
            let pieces = text.chunks(chars).map(|piece| {
                let mut data = data.clone();
                data["delta"][*member] = piece.iter().collect::<String>().into();
                written(name, &data)
            });
            pieces.collect()
        })
    });
    pieces.unwrap_or_else(|| vec![event])
}

/// The event with members that no client knows.
pub(super) fn event(event: Bytes) -> Bytes {
    match taken_apart(&event) {
        Some((name, data)) => written(name, &with_unknown(data)),
        None => event,
    }
}

/// A body that is a JSON object, or one in each line, with such members; `None` if it is none.
pub(super) fn body(bytes: &[u8]) -> Option<Bytes> {
    if let Some(object) = object(bytes) {
        return Some(object.into());
    }
    let mut lines = String::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        lines.push_str(&object(line)?);
        lines.push('\n');
    }
    Some(lines.into())
}

fn object(bytes: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    value.is_object().then(|| with_unknown(value).to_string())
}

fn with_unknown(mut value: Value) -> Value {
    for place in PLACES {
        if let Some(Value::Object(members)) = value.pointer_mut(place) {
            members.insert(UNKNOWN.to_owned(), json!({"since": [1, null, "é"]}));
        }
    }
    value
}

fn taken_apart(event: &[u8]) -> Option<(&str, Value)> {
    let text = std::str::from_utf8(event).ok()?;
    let (name, data) = text.strip_prefix(NAME)?.split_once('\n')?;
    let data = serde_json::from_str(data.strip_prefix(DATA)?).ok()?;
    Some((name, data))
}

fn written(name: &str, data: &Value) -> Bytes {
    format!("{NAME}{name}\n{DATA}{data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_of(data: &Value) -> Bytes {
        written(data["type"].as_str().unwrap(), data)
    }

    #[test]
    fn a_delta_is_cut_at_characters_and_joins_to_what_it_was() {
        let data = json!({"type": "content_block_delta", "index": 0,
                          "delta": {"type": "input_json_delta", "partial_json": "{\"é\": \"\\n🏳️‍🌈\"}"}});
        let pieces = cut(event_of(&data), 1);
        let text: String = pieces
            .iter()
            .map(|piece| {
                let (_, data) = taken_apart(piece).unwrap();
                let piece = data["delta"]["partial_json"].as_str().unwrap().to_owned();
                assert_eq!(piece.chars().count(), 1);
                piece
            })
            .collect();
        assert_eq!(text, data["delta"]["partial_json"]);
        let signature = json!({"type": "content_block_delta", "index": 0,
                               "delta": {"type": "signature_delta", "signature": "abcdef"}});
        assert_eq!(cut(event_of(&signature), 1), [event_of(&signature)]);
    }

    #[test]
    fn blocks_get_no_member_for_clients_send_them_back() {
        let data = json!({"type": "content_block_start", "index": 0,
                          "content_block": {"type": "text", "text": ""}});
        let (_, told) = {
            let event = event(event_of(&data));
            let (name, data) = taken_apart(&event).unwrap();
            (name.to_owned(), data)
        };
        assert!(told[UNKNOWN].is_object());
        assert_eq!(told["content_block"], data["content_block"]);
        let message =
            body(br#"{"content":[{"type":"text","text":"a"}],"usage":{"input_tokens":1}}"#);
        let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
        assert!(message["usage"][UNKNOWN].is_object());
        assert_eq!(message["content"][0], json!({"type": "text", "text": "a"}));
        assert_eq!(body(b"not json"), None);
        let lines = body(b"{\"result\":{\"message\":{\"usage\":{}}}}\n{\"custom_id\":\"b\"}\n");
        let lines = lines.unwrap();
        let lines: Vec<Value> = lines
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert!(lines[0]["result"]["message"]["usage"][UNKNOWN].is_object());
        assert!(lines[1][UNKNOWN].is_object());
    }
}
