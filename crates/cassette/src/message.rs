//! The message of a recorded answer, plain or streamed.

use serde_json::{Value, json};

use super::{End, Response};

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("the answer was a {0}")]
    Status(u16),
    #[error(transparent)]
    Blob(#[from] std::io::Error),
    #[error("the answer's body was not recorded")]
    NotRecorded,
    #[error("the answer is no JSON")]
    Json(#[source] serde_json::Error),
    #[error("an event of the stream is no JSON")]
    Event(#[source] serde_json::Error),
    #[error("the answer is no message")]
    Other,
    #[error("the client left before the answer began")]
    ClientLeft,
    #[error("the service broke off: {0}")]
    UpstreamBroke(String),
}

/// The message; why there is none otherwise.
pub fn of(response: &Response) -> Result<Value, MessageError> {
    if response.status != 200 {
        return Err(MessageError::Status(response.status));
    }
    let bytes = response.body.bytes()?;
    let bytes = bytes.ok_or(MessageError::NotRecorded)?;
    let text = String::from_utf8_lossy(&bytes);
    let message = if text.starts_with("event:") || response.is_stream() {
        folded(&text)?
    } else {
        serde_json::from_str(&text).map_err(MessageError::Json)?
    };
    if message["content"].is_array() {
        Ok(message)
    } else {
        Err(match &response.end {
            End::Complete => MessageError::Other,
            End::ClientLeft => MessageError::ClientLeft,
            End::UpstreamBroke(why) => MessageError::UpstreamBroke(why.clone()),
        })
    }
}

/// The message that the events of a stream add up to, as far as they go.
pub fn folded(text: &str) -> Result<Value, MessageError> {
    let mut fold = Fold::default();
    let mut decoder = wire::sse::Decoder::default();
    for frame in decoder.push(text.as_bytes()) {
        let event: Value = serde_json::from_str(&frame.data).map_err(MessageError::Event)?;
        fold.take(&event);
    }
    Ok(fold.end())
}

/// A message that is read event by event.
#[derive(Debug, Default)]
pub struct Fold {
    message: Value,
    /// Of a call, as far as it has come.
    partial: String,
}

impl Fold {
    pub fn take(&mut self, event: &Value) {
        let message = &mut self.message;
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => *message = event["message"].clone(),
            "content_block_start" => {
                if let Some(content) = content(message) {
                    content.push(event["content_block"].clone());
                }
                self.partial.clear();
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                if let Some(more) = delta["partial_json"].as_str() {
                    self.partial.push_str(more);
                }
                for key in ["text", "thinking", "signature"] {
                    if let (Some(more), Some(block)) = (delta[key].as_str(), last(message)) {
                        let all = block[key].as_str().unwrap_or_default().to_owned() + more;
                        block[key] = json!(all);
                    }
                }
            }
            "content_block_stop" => {
                if let Some(block) = last(message)
                    && let Ok(input) = serde_json::from_str::<Value>(&self.partial)
                {
                    block["input"] = input;
                }
                self.partial.clear();
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

    /// The message; a call whose input was cut short was never made.
    pub fn end(mut self) -> Value {
        if !self.partial.is_empty()
            && let Some(content) = content(&mut self.message)
        {
            content.pop();
        }
        self.message
    }
}

fn last(message: &mut Value) -> Option<&mut Value> {
    content(message)?
        .last_mut()
        .filter(|block| block.is_object())
}

fn content(message: &mut Value) -> Option<&mut Vec<Value>> {
    message.get_mut("content")?.as_array_mut()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Body;

    fn response(text: &str) -> Response {
        Response {
            status: 200,
            body: Body::Text(text.to_owned()),
            ..Response::default()
        }
    }

    fn stream(events: &[Value]) -> String {
        let event = |event: &Value| format!("event: x\ndata: {event}\n\n");
        events.iter().map(event).collect()
    }

    #[test]
    fn a_stream_that_was_cut_has_the_calls_that_were_made() {
        let events = [
            json!({"type": "message_start", "message": {"content": [], "stop_reason": null}}),
            json!({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "delta": {"text": "Hi"}}),
            json!({"type": "content_block_stop"}),
            json!({"type": "content_block_start", "content_block": {"type": "server_tool_use", "input": {}}}),
            json!({"type": "content_block_delta", "delta": {"partial_json": "{\"command\":"}}),
            json!({"type": "content_block_delta", "delta": {"partial_json": "\"ls\"}"}}),
            json!({"type": "content_block_stop"}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        ];
        let whole = of(&response(&stream(&events))).unwrap();
        assert_eq!(
            whole,
            json!({"content": [{"type": "text", "text": "Hi"}, {"type": "server_tool_use", "input": {"command": "ls"}}], "stop_reason": "end_turn"})
        );
        let cut = of(&response(&stream(&events[..6]))).unwrap();
        assert_eq!(cut["content"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_message_is_told() {
        let refused = Response {
            status: 529,
            ..Response::default()
        };
        assert_eq!(
            of(&refused).unwrap_err().to_string(),
            "the answer was a 529"
        );
        assert_eq!(
            of(&response("{}")).unwrap_err().to_string(),
            "the answer is no message"
        );
        let missing = Response {
            status: 200,
            body: Body::Missing(String::new()),
            ..Response::default()
        };
        assert_eq!(
            of(&missing).unwrap_err().to_string(),
            "the answer's body was not recorded"
        );
    }

    proptest! {
        #[test]
        fn streams_of_any_events_never_panic(events in prop::collection::vec(prop::sample::select(vec![
            json!({"type": "message_start", "message": "x"}),
            json!({"type": "message_start", "message": {"content": [1]}}),
            json!({"type": "message_start"}),
            json!({"type": "content_block_start", "content_block": 3}),
            json!({"type": "content_block_start", "content_block": {"text": 1}}),
            json!({"type": "content_block_delta", "delta": {"text": "a", "partial_json": "{"}}),
            json!({"type": "content_block_stop"}),
            json!({"type": "message_delta", "delta": {"content": null, "a": 1}}),
            json!([]),
        ]), 0..12)) {
            of(&response(&stream(&events))).ok();
        }
    }
}
