//! A rule of a script that is drafted from one exchange: it matches the request, and says what was answered.

mod rest;
mod steps;

use serde_json::{Map, Value, json};

pub use steps::{Emit, NotEmulated, call, is_from_code, steps};

/// So much of a prompt tells it apart, and is easy to shorten by hand.
const MAX_CLUE_CHARS: usize = 80;

/// Why there is no draft.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    #[error("only requests for a message become rules")]
    NoMessage,
    #[error(transparent)]
    Yaml(#[from] serde_saphyr::SerializeError),
}

/// The rule as YAML, to be added to a script. Without an answer, or where nothing of it is what a step can say, a step is
/// left for the author to write. What the rule does not have of the answer is named in comments before it.
///
/// # Errors
///
/// The request's body is no Messages request.
pub fn rule(request: &Value, answer: Option<&Value>) -> Result<String, DraftError> {
    let messages = request["messages"].as_array();
    let messages = messages.ok_or(DraftError::NoMessage)?;
    let mut when = Map::new();
    let code = |tool: &Value| {
        let kind = tool["type"].as_str().unwrap_or_default();
        kind.starts_with("code_execution")
    };
    if request["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(code))
    {
        when.insert("tools".to_owned(), json!("code_execution"));
    }
    let clue = clue(messages);
    if let Some(clue) = &clue {
        when.insert("user".to_owned(), json!(clue));
    }
    let mut steps = answer
        .and_then(|message| said(message).ok())
        .unwrap_or_default();
    let left_out = answer.map_or_else(Vec::new, rest::left_out);
    let mut text = String::new();
    if !left_out.is_empty() {
        text = format!(
            "# Not in the rule, though it was answered: {}.\n",
            left_out.join(", ")
        );
    }
    if steps.is_empty() {
        text.push_str("# The step is to be written: nothing was answered that one can say.\n");
        steps.push(json!({"text": "What the model is to say."}));
    }
    let rule = json!([{
        "name": clue.unwrap_or_else(|| "any request".to_owned()),
        "when": when,
        "then": steps,
    }]);
    text.push_str(&serde_saphyr::to_string(&rule)?);
    Ok(text)
}

/// The beginning of the newest user message that has text.
fn clue(messages: &[Value]) -> Option<String> {
    let texts = messages
        .iter()
        .rev()
        .filter(|message| message["role"] == "user");
    let text = texts
        .map(|message| text(&message["content"]))
        .find(|text| !text.is_empty())?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(
        line.chars()
            .take(MAX_CLUE_CHARS)
            .collect::<String>()
            .trim_end()
            .to_owned(),
    )
}

fn text(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let blocks = content.as_array().into_iter().flatten();
    let texts = blocks.filter(|block| block["type"] == "text");
    let texts: Vec<&str> = texts.filter_map(|block| block["text"].as_str()).collect();
    texts.join("\n")
}

/// The steps that emit the message, and how it ended.
fn said(message: &Value) -> Result<Vec<Value>, NotEmulated> {
    let blocks = message["content"].as_array().into_iter().flatten();
    let blocks: Vec<Value> = blocks
        .filter(|block| rest::is_said(block))
        .cloned()
        .collect();
    let mut steps = steps(&blocks, Emit::Everything)?;
    match message["stop_reason"].as_str().unwrap_or_default() {
        "pause_turn" => steps.push(json!({"pause_turn": null})),
        reason @ ("max_tokens" | "refusal" | "model_context_window_exceeded") => {
            steps.push(json!({"stop": reason}));
        }
        "stop_sequence" => steps.push(json!({
            "stop": {"reason": "stop_sequence", "stop_sequence": message["stop_sequence"]}
        })),
        _ => {}
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::Scripts;

    fn request(content: &Value) -> Value {
        json!({"model": "claude-opus-4-6", "messages": [{"role": "user", "content": content}],
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}]})
    }

    #[test]
    fn a_turn_becomes_the_rule_that_gives_it_again() {
        let answer = json!({"stop_reason": "pause_turn", "content": [
            {"type": "text", "text": "I look: ${{ x }}."},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "ls\n"}},
            {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1]}},
        ]});
        let text = rule(&request(&json!("\n List the files.\nAll.")), Some(&answer)).unwrap();
        insta::assert_snapshot!(text);
        check(&text);
    }

    #[test]
    fn a_turn_without_an_answer_leaves_a_step_to_write() {
        let blocks = json!([{"type": "container_upload", "file_id": "file_1"}, {"type": "text", "text": "Sum up: a"}]);
        let text = rule(&request(&blocks), None).unwrap();
        assert!(text.contains("What the model is to say."), "{text}");
        check(&text);
        assert!(rule(&json!({"a": 1}), None).is_err());
    }

    #[test]
    fn what_a_rule_does_not_have_of_the_answer_is_named_before_it() {
        let answer = json!({
            "stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber"},
            "context_management": {"applied_edits": [{"type": "clear_tool_uses_20250919"}]},
            "content": [
                {"type": "redacted_thinking", "data": "x"},
                {"type": "redacted_thinking", "data": "y"},
                {"type": "text", "text": "It is.", "citations": [{"type": "char_location"}]},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "server_tool_use", "id": "srvtoolu_2", "name": "bash_code_execution", "input": {"command": "ls"}},
                {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content": {}},
                {"type": "mcp\n- x: y", "name": "f"},
            ],
        });
        let text = rule(&request(&json!("Look it up.")), Some(&answer)).unwrap();
        let (comment, rest) = text.split_once('\n').unwrap();
        assert_eq!(
            comment,
            "# Not in the rule, though it was answered: 2 `redacted_thinking`, citations of a text, a call of `web_search`, \
             `web_search_tool_result`, `mcp\\n- x: y`, `stop_details`, `context_management`."
        );
        assert!(
            rest.contains("It is.") && rest.contains("bash: ls"),
            "{rest}"
        );
        assert!(!rest.contains("What the model is to say."), "{rest}");
        check(&text);
        let only = json!({"content": [{"type": "redacted_thinking", "data": "x"}]});
        let text = rule(&request(&json!("Think.")), Some(&only)).unwrap();
        assert!(text.contains("answered: `redacted_thinking`."), "{text}");
        assert!(text.contains("# The step is to be written"), "{text}");
        check(&text);
    }

    fn check(text: &str) {
        Scripts::default()
            .replace(text, "draft")
            .unwrap_or_else(|found| panic!("{found:?}\n{text}"));
    }

    proptest! {
        #[test]
        fn whatever_was_asked_and_said_the_draft_is_a_script(prompt in any::<String>(), said in any::<String>()) {
            let answer = json!({"content": [{"type": "text", "text": said}]});
            check(&rule(&request(&json!(prompt)), Some(&answer)).unwrap());
        }
    }
}
