//! From the blocks of a recorded message to the steps of a script that emits the same.

use serde_json::{Value, json};

/// A call of a tool that runs in no sandbox here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not emulated")]
pub struct NotEmulated(String);

/// Which blocks become steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Texts, thinking, and calls of the client's tools as well.
    Everything,
    /// Calls that run in the sandbox, and nothing else.
    Calls,
}

/// The steps; calls that stand together are made at once. What code calls is no step.
pub fn steps(blocks: &[Value], emit: Emit) -> Result<Vec<Value>, NotEmulated> {
    let mut steps: Vec<Value> = Vec::new();
    let mut group: Vec<Value> = Vec::new();
    for block in blocks {
        let kind = block["type"].as_str().unwrap_or_default();
        let is_call = matches!(kind, "server_tool_use" | "tool_use") && !is_from_code(block);
        if !is_call {
            flush(&mut steps, &mut group);
        }
        match kind {
            "server_tool_use" if is_call => match call(block) {
                Some(step) => group.push(step),
                None if emit == Emit::Calls => {}
                None => return Err(NotEmulated(text(&block["name"]).to_owned())),
            },
            _ if emit == Emit::Calls => {}
            "tool_use" if is_call => {
                let input = escaped(&block["input"]);
                group.push(json!({"tool_use": {"name": block["name"], "input": input}}));
            }
            "text" => steps.push(json!({"text": escaped(&block["text"])})),
            "thinking" => steps.push(json!({"thinking": escaped(&block["thinking"])})),
            _ => {}
        }
    }
    flush(&mut steps, &mut group);
    Ok(steps)
}

/// Whether code made the call, not the model.
pub fn is_from_code(block: &Value) -> bool {
    block["caller"]["tool_id"].is_string()
}

/// The step of a call that runs in the sandbox.
pub fn call(block: &Value) -> Option<Value> {
    let input = &block["input"];
    match block["name"].as_str()? {
        "bash_code_execution" if input["command"].is_string() => {
            Some(json!({"bash": escaped(&input["command"])}))
        }
        "text_editor_code_execution" if input.is_object() => {
            Some(json!({"text_editor": escaped(input)}))
        }
        "code_execution" if input["code"].is_string() => {
            Some(json!({"python": escaped(&input["code"])}))
        }
        _ => None,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn flush(steps: &mut Vec<Value>, group: &mut Vec<Value>) {
    match group.len() {
        0 => {}
        1 => steps.append(group),
        _ => steps.push(json!({"parallel": std::mem::take(group)})),
    }
}

/// The value with every text such that a template gives it back as it is.
pub(super) fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            // The first one is made of what the others look for.
            for (at, mark) in ["${{", "${%", "${//"].into_iter().enumerate() {
                if at == 0 {
                    text = text.replace(mark, "\u{0}");
                } else {
                    text = text.replace(mark, &format!("${{{{ \"{mark}\" }}}}"));
                }
            }
            json!(text.replace('\u{0}', "${{ \"${{\" }}"))
        }
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), escaped(value)))
            .collect(),
        other => other.clone(),
    }
}
