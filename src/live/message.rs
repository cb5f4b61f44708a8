//! The message of a recorded answer, plain or streamed.

use serde_json::{Value, json};

use crate::cassette::{End, Response};

/// The message; why there is none otherwise.
pub fn of(response: &Response) -> Result<Value, String> {
    if response.status != 200 {
        return Err(format!("the answer was a {}", response.status));
    }
    let bytes = response.body.bytes().map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or("the answer's body was not recorded")?;
    let text = String::from_utf8_lossy(&bytes);
    let message = if text.starts_with("event:") || response.is_stream() {
        folded(&text)?
    } else {
        serde_json::from_str(&text).map_err(|_| "the answer is no JSON")?
    };
    if message["content"].is_array() {
        Ok(message)
    } else {
        Err(match &response.end {
            End::Complete => "the answer is no message".to_owned(),
            End::ClientLeft => "the client left before the answer began".to_owned(),
            End::UpstreamBroke(why) => format!("the service broke off: {why}"),
        })
    }
}

/// What the events of a stream amount to, as far as they go.
fn folded(text: &str) -> Result<Value, String> {
    let mut message = Value::Null;
    let mut partial = String::new();
    let mut decoder = wire::sse::Decoder::default();
    for frame in decoder.push(text.as_bytes()) {
        let event: Value =
            serde_json::from_str(&frame.data).map_err(|_| "an event of the stream is no JSON")?;
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                if let Some(content) = message["content"].as_array_mut() {
                    content.push(event["content_block"].clone());
                }
                partial.clear();
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                if let Some(more) = delta["partial_json"].as_str() {
                    partial.push_str(more);
                }
                for key in ["text", "thinking", "signature"] {
                    if let (Some(more), Some(block)) = (delta[key].as_str(), last(&mut message)) {
                        let all = block[key].as_str().unwrap_or_default().to_owned() + more;
                        block[key] = json!(all);
                    }
                }
            }
            "content_block_stop" => {
                if let Some(block) = last(&mut message)
                    && let Ok(input) = serde_json::from_str::<Value>(&partial)
                {
                    block["input"] = input;
                }
                partial.clear();
            }
            "message_delta" => {
                for (key, value) in event["delta"].as_object().into_iter().flatten() {
                    if message.is_object() {
                        message[key] = value.clone();
                    }
                }
            }
            _ => {}
        }
    }
    // A call whose input was cut short was never made.
    if !partial.is_empty()
        && let Some(content) = message["content"].as_array_mut()
    {
        content.pop();
    }
    Ok(message)
}

fn last(message: &mut Value) -> Option<&mut Value> {
    message["content"]
        .as_array_mut()?
        .last_mut()
        .filter(|block| block.is_object())
}
