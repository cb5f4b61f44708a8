//! Recorded answers in which the tool calls fail.

use serde_json::{Value, json};

use super::{Body, Response, frames};

/// Gives every result of a code execution call for which `code` has an error that error.
pub fn fail_calls(response: &mut Response, mut code: impl FnMut(&str) -> Option<String>) {
    match &mut response.body {
        Body::Json(message) if message["type"] == "message" => {
            let content = message.get_mut("content").and_then(Value::as_array_mut);
            for block in content.into_iter().flatten() {
                fail(block, &mut code);
            }
        }
        Body::Text(text) if text.starts_with("event:") => {
            *text = frames::split(text)
                .map(|frame| {
                    let changed = frames::data(frame).and_then(|mut data| {
                        fail(data.get_mut("content_block")?, &mut code).then_some(data)
                    });
                    match changed {
                        Some(data) => frames::with_data(frame, &data).into_owned(),
                        None => frame.to_owned(),
                    }
                })
                .collect();
        }
        Body::Json(_)
        | Body::Text(_)
        | Body::Empty
        | Body::Bytes(_)
        | Body::Blob(_)
        | Body::Form(_)
        | Body::Missing(_) => {}
    }
}

/// Whether the block was a result that fails now.
fn fail(block: &mut Value, code: &mut impl FnMut(&str) -> Option<String>) -> bool {
    let kind = block["type"].as_str().unwrap_or_default().to_owned();
    let Some(tool) = kind.strip_suffix("_tool_result") else {
        return false;
    };
    if !tool.ends_with("code_execution") {
        return false;
    }
    let Some(code) = code(tool) else {
        return false;
    };
    let mut error = json!({ "type": format!("{kind}_error"), "error_code": code });
    if tool == "text_editor_code_execution" {
        error["error_message"] = Value::Null;
    }
    block["content"] = error;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_calls_fail_and_nothing_else_changes() {
        let stream = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"bash_code_execution_tool_result\",\"tool_use_id\":\"srvtoolu_1\",\"content\":{\"type\":\"bash_code_execution_result\"}}    }\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
        let mut response = Response {
            body: Body::Text(stream.to_owned()),
            ..Response::default()
        };
        fail_calls(&mut response, |_| Some("container_expired".to_owned()));
        let Body::Text(text) = response.body else {
            panic!()
        };
        insta::assert_snapshot!(text, @r#"
        event: content_block_start
        data: {"type":"content_block_start","index":1,"content_block":{"type":"bash_code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{"type":"bash_code_execution_tool_result_error","error_code":"container_expired"}}    }

        event: ping
        data: {"type": "ping"}
        "#);
    }
}
