//! From a recorded message to a rule that emits the same, and the sandbox's replies to its calls.

use guest_proto::{EditErrorKind, EditResult, FileType, Hunk, Outcome};
use model::draft::{self, Emit};
use serde_json::{Value, json};

use crate::harness::canned::Reply;

/// A script, and replies of the sandbox, that play a recorded message.
pub(crate) struct Played {
    pub(crate) steps: Value,
    /// The rule's `web`: the pages that were found.
    pub(crate) web: Value,
    pub(crate) replies: Vec<Reply>,
}

impl Played {
    /// The rule, as a whole script.
    pub(crate) fn script(&self) -> Value {
        let mut rule = json!({"name": "test", "then": self.steps});
        if self.web != json!([]) {
            rule["web"] = self.web.clone();
        }
        json!([rule])
    }
}

/// The script and the replies that play `message`.
pub(crate) fn of(message: &Value) -> Played {
    let blocks = message["content"].as_array().expect("content");
    let mut steps = draft::steps(blocks, Emit::Everything).expect("only what is emulated");
    let mut replies = Vec::new();
    let mut web: Vec<Value> = Vec::new();
    for block in blocks {
        match block["type"].as_str().expect("a type") {
            // What code calls is no step: the sandbox says it.
            "tool_use" | "server_tool_use" if draft::is_from_code(block) => {
                let call = |n| {
                    let name = block["name"].as_str().expect("a name").to_owned();
                    (n, name, block["input"].clone())
                };
                match replies.last_mut() {
                    Some(Reply::Calls(calls)) => {
                        let n = calls.len() as u64;
                        calls.push(call(n));
                    }
                    _ => replies.push(Reply::Calls(vec![call(0)])),
                }
            }
            "text" | "thinking" | "tool_use" | "server_tool_use" => {}
            "web_fetch_tool_result" => web.push(page(&block["content"])),
            _ => replies.push(reply(&block["content"])),
        }
    }
    let reason = message["stop_reason"].as_str().expect("a reason");
    match reason {
        "end_turn" | "tool_use" => {}
        "pause_turn" => steps.push(json!("pause_turn")),
        "refusal" => {
            let details = &message["stop_details"];
            steps.push(
                json!({"stop": {"reason": reason, "category": details["category"],
                                       "explanation": details["explanation"]}}),
            );
        }
        _ => steps.push(json!({"stop": reason})),
    }
    Played {
        steps: Value::Array(steps),
        web: Value::Array(web),
        replies,
    }
}

/// A fetched page, as a rule's `web` gives it.
fn page(content: &Value) -> Value {
    assert_eq!(content["type"], "web_fetch_result");
    let document = &content["content"];
    assert_eq!(document["source"]["type"], "text");
    json!({
        "fetch": content["url"],
        "title": document["title"],
        "text": document["source"]["data"],
    })
}

/// The reply that the sandbox must have given.
fn reply(content: &Value) -> Reply {
    let text = |key: &str| content[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| content[key].as_u64();
    match content["type"].as_str().expect("a type") {
        "bash_code_execution_result" | "code_execution_result" => {
            let files = content["content"].as_array().expect("files");
            Reply::Ran {
                stdout: text("stdout"),
                stderr: text("stderr"),
                return_code: i32::try_from(content["return_code"].as_i64().expect("a code"))
                    .unwrap(),
                files: (0..files.len())
                    .map(|n| (format!("{n}.csv"), "x".to_owned()))
                    .collect(),
            }
        }
        "text_editor_code_execution_create_result" => {
            let is_file_update = content["is_file_update"].as_bool().expect("a flag");
            Reply::Edited(EditResult::Create { is_file_update }, String::new())
        }
        "text_editor_code_execution_view_result" => {
            let result = EditResult::View {
                file_type: FileType::Text,
                num_lines: number("num_lines"),
                start_line: number("start_line"),
                total_lines: number("total_lines"),
            };
            Reply::Edited(result, text("content"))
        }
        "text_editor_code_execution_str_replace_result" => {
            let number = |key: &str| number(key).expect("a number");
            let lines = content["lines"].as_array().expect("lines");
            let hunk = Hunk {
                old_start: number("old_start"),
                old_lines: number("old_lines"),
                new_start: number("new_start"),
                new_lines: number("new_lines"),
                lines: lines
                    .iter()
                    .map(|line| line.as_str().unwrap().to_owned())
                    .collect(),
            };
            Reply::Edited(EditResult::StrReplace { hunk: Some(hunk) }, String::new())
        }
        "text_editor_code_execution_tool_result_error" => {
            assert_eq!(content["error_code"], "unavailable");
            Reply::EditFailed(EditErrorKind::Io, text("error_message"))
        }
        "bash_code_execution_tool_result_error" | "code_execution_tool_result_error" => {
            assert_eq!(content["error_code"], "execution_time_exceeded");
            Reply::Ended(Outcome::TimedOut {})
        }
        other => panic!("no reply for `{other}`"),
    }
}
