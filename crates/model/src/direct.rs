//! The fallback while no script is loaded: runs what the user's newest text tells it to.
//!
//! A fenced `bash` block becomes a shell command, a `python` block what the declared tool offers, a
//! `text_editor` block holds the call's JSON. Without a block the reply is plainly artificial.
//!
//! What a request forces is followed as the service's model follows it: `tool_choice`, and the format of the answer.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::Value;

use super::code::CodeError;
use super::history::{self, Seen};
use super::script::Scripts;
use super::{Call, CallResult, CodeTool, Model, ModelError, Step, TurnRequest, code, sample};

const NO_BLOCK: &str = "This is sandtable's direct model: there is no language model behind it. \
    Put a fenced `bash`, `python`, or `text_editor` block into your message and it runs in the \
    sandbox, or start sandtable with `--script FILE` to decide what is answered.";
const NO_TOOL: &str = "This is sandtable's direct model. Your message has a block to run, but the \
    request declares no code execution tool: add \
    {\"type\": \"code_execution_20250825\", \"name\": \"code_execution\"} to `tools`.";
const FORBIDDEN: &str = "This is sandtable's direct model. Your message has a block to run, but the \
    request forbids calls: leave out `tool_choice`, or send `{\"type\": \"auto\"}`.";

const UNAVAILABLE: &str =
    " Nothing runs code here, or it failed: the server's log and `sandtable doctor` say why.";

/// A fenced block of the user's text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    language: Language,
    text: String,
    /// The line of the text on which the fence opens, from 1.
    line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Bash,
    Python,
    TextEditor,
}

/// What runs blocks, or the answer that says why nothing does.
#[derive(Debug, Clone, Copy)]
enum Means {
    Tool(CodeTool),
    Nothing(&'static str),
}

#[derive(Debug)]
struct Direct {
    blocks: std::vec::IntoIter<Block>,
    means: Means,
    /// The call of a client's tool that is the whole answer.
    forced: Option<Call>,
    /// The closing text, where the request says what it looks like.
    formatted: Option<String>,
    /// How many blocks the message has.
    count: usize,
    /// Error codes that calls got in place of results.
    failed: Vec<String>,
    /// The closing text was said.
    ended: bool,
    user_text: String,
    /// The scripts, which know of a pause.
    home: Scripts,
}

/// The model that answers `request`; `scripts` know a pause of it again.
pub fn answer(request: &TurnRequest, scripts: &Scripts) -> Box<dyn Model> {
    let blocks = blocks(&request.user_text);
    let count = blocks.len();
    let mut blocks = blocks.into_iter();
    let choice = request.body["tool_choice"]["type"].as_str();
    let means = match (choice, request.code_tool) {
        (Some("none"), _) => Means::Nothing(FORBIDDEN),
        (_, None) => Means::Nothing(NO_TOOL),
        (_, Some(tool)) => Means::Tool(tool),
    };
    // Any call will do where a block is one; what goes on was forced before.
    let runs_some = count > 0 && matches!(means, Means::Tool(_));
    let is_free = request.resumes_pause || choice == Some("any") && runs_some;
    let forced = sample::forced_call(&request.body).filter(|_| !is_free);
    if forced.is_some() {
        blocks = Vec::new().into_iter();
    }
    // After a pause, go on behind what was said: the request says it all.
    let seen = history::seen(&request.body);
    let results = history::results(&request.body);
    let mut failed = Vec::new();
    // What a client puts into the model's mouth is nothing that was said.
    let mut paused = scripts.knows_pause(request);
    for call in &seen {
        if let Seen::Call { id, .. } = call {
            paused = true;
            blocks.next();
            failed.extend(results.get(id).and_then(|result| result.error_code.clone()));
        }
    }
    Box::new(Direct {
        blocks,
        means,
        forced,
        formatted: sample::formatted(&request.body),
        count,
        failed,
        ended: paused && request.resumes_pause && matches!(seen.last(), Some(Seen::Text(_))),
        user_text: request.user_text.clone(),
        home: scripts.clone(),
    })
}

impl Direct {
    /// The text after the last block: what became of them.
    fn last_words(&self) -> String {
        if let Some(json) = &self.formatted {
            return json.clone();
        }
        match (self.count, self.means) {
            (0, _) => return NO_BLOCK.to_owned(),
            (_, Means::Nothing(why)) => return why.to_owned(),
            (_, Means::Tool(_)) => {}
        }
        let all = self.failed.len() == self.count;
        let text = match (self.failed.first(), self.count) {
            (None, 1) => "ran the block of your message; its result is above.".to_owned(),
            (None, count) => {
                format!("ran the {count} blocks of your message; their results are above.")
            }
            (Some(code), 1) => {
                format!("could not run the block of your message: the call got `{code}`.")
            }
            (Some(code), count) if all => {
                format!(
                    "could not run the {count} blocks of your message: the first call got `{code}`."
                )
            }
            (Some(code), count) => format!(
                "ran the {count} blocks of your message, but {} of the calls got an error, the first `{code}`; \
                 the other results are above.",
                self.failed.len()
            ),
        };
        let hint = if self.failed.iter().any(|code| code == "unavailable") {
            UNAVAILABLE
        } else {
            ""
        };
        format!("sandtable's direct model {text}{hint}")
    }
}

/// Whether the text has a block that [`answer`] would run.
pub(super) fn has_block(text: &str) -> bool {
    !blocks(text).is_empty()
}

impl Model for Direct {
    fn source(&self) -> &'static str {
        "direct"
    }

    fn is_rule(&self) -> bool {
        false
    }

    fn next(&mut self, results: &[CallResult]) -> Result<Option<Step>, ModelError> {
        self.failed.extend(
            results
                .iter()
                .filter_map(|result| result.error_code.clone()),
        );
        if let Some(call) = self.forced.take() {
            return Ok(Some(Step::Calls(vec![call])));
        }
        if let Means::Tool(tool) = self.means
            && let Some(block) = self.blocks.next()
        {
            let call = block.call(Some(tool))?;
            return Ok(Some(Step::Calls(vec![call])));
        }
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        Ok(Some(Step::Text(self.last_words())))
    }

    /// Only an answer that ends with text must be known again, or it is taken for a prefill: the request says which
    /// blocks were run.
    fn park(self: Box<Self>, ids: &[String], _: &[String]) {
        if self.ended {
            let calls = ids.iter().rev().skip(1);
            let last = calls.map(String::as_str).next().unwrap_or_default();
            let key = history::pause_key(last, &self.last_words(), &self.user_text);
            self.home.keep_pause(key);
        }
    }
}

impl Block {
    fn call(self, tool: Option<CodeTool>) -> Result<Call, ModelError> {
        let name = self.language.name();
        let line = self.line;
        let fault = |reason: &dyn Display, hint: Option<&'static str>| ModelError {
            message: format!("the `{name}` block at line {line} of the user's text: {reason}"),
            hint: hint.map(Cow::Borrowed),
        };
        let not_taken = |error: CodeError| fault(&error, error.help());
        match self.language {
            Language::Bash => code::bash(tool, &self.text).map_err(not_taken),
            Language::Python => code::python(tool, &self.text).map_err(not_taken),
            Language::TextEditor => match serde_json::from_str::<Value>(&self.text) {
                Ok(input @ Value::Object(_)) => code::editor(tool, input).map_err(not_taken),
                Ok(_) => Err(fault(&"it is no JSON object", Some(EDITOR_HINT))),
                Err(error) => Err(fault(&format!("it is no JSON: {error}"), Some(EDITOR_HINT))),
            },
        }
    }
}

const EDITOR_HINT: &str = r#"write the call's input, such as {"command": "view", "path": "a.txt"}"#;

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Python => "python",
            Self::TextEditor => "text_editor",
        }
    }

    fn from_info(info: &str) -> Option<Self> {
        match info.split_whitespace().next()? {
            "bash" | "sh" | "shell" => Some(Self::Bash),
            "python" | "python3" | "py" => Some(Self::Python),
            "text_editor" => Some(Self::TextEditor),
            _ => None,
        }
    }
}

/// The blocks to run, in order. An unclosed fence reaches to the end, as in Markdown.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some((fence, indent, info)) = opening(line) else {
            continue;
        };
        let mut body = String::new();
        for (_, line) in lines.by_ref() {
            if closes(line, fence) {
                break;
            }
            body.push_str(without_indent(line, indent));
            body.push('\n');
        }
        if let Some(language) = Language::from_info(info) {
            blocks.push(Block {
                language,
                text: body,
                line: index + 1,
            });
        }
    }
    blocks
}

/// A fence's marker, its indentation, and what it says.
fn opening(line: &str) -> Option<(&str, usize, &str)> {
    let rest = line.trim_start_matches(' ');
    let indent = line.len() - rest.len();
    let marker = ['`', '~']
        .into_iter()
        .find(|marker| rest.starts_with(&marker.to_string().repeat(3)))?;
    let length = rest.len() - rest.trim_start_matches(marker).len();
    let (fence, info) = rest.split_at(length);
    // Text in back quotes on one line is no fence.
    (!info.contains('`')).then_some((fence, indent, info))
}

fn closes(line: &str, fence: &str) -> bool {
    let line = line.trim();
    line.starts_with(fence) && line.chars().all(|c| fence.starts_with(c))
}

fn without_indent(line: &str, indent: usize) -> &str {
    let spaces = line.len() - line.trim_start_matches(' ').len();
    &line[spaces.min(indent)..]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::ServerTool;

    fn request(text: &str, code_tool: Option<CodeTool>) -> TurnRequest {
        TurnRequest {
            body: Arc::new(json!({"messages": [{"role": "user", "content": text}]})),
            user_text: text.to_owned(),
            tools: Vec::new(),
            code_tool,
            uploads: Vec::new(),
            answered: Vec::new(),
            resumes_pause: false,
        }
    }

    fn steps(request: &TurnRequest) -> Vec<Step> {
        let mut model = answer(request, &Scripts::default());
        std::iter::from_fn(|| model.next(&[]).unwrap()).collect()
    }

    fn server(tool: ServerTool, input: Value) -> Step {
        Step::Calls(vec![Call::Server {
            tool,
            input,
            failure: None,
            found: None,
        }])
    }

    const THREE: &str = "Do:\n```bash\nls -la\n```\nthen\n  ```python\n  if x:\n    y()\n  ```\n\
        ```rust\nfn no() {}\n```\n~~~~text_editor\n{\"command\": \"view\", \"path\": \"a\"}\n~~~~";

    #[test]
    fn every_block_runs_in_order_and_a_text_closes() {
        let steps = steps(&request(THREE, Some(CodeTool::BashAndEditor)));
        assert_eq!(
            steps[..3],
            [
                server(ServerTool::Bash, json!({"command": "ls -la\n"})),
                server(
                    ServerTool::Bash,
                    json!({"command": "python3 - <<'PY'\nif x:\n  y()\nPY"})
                ),
                server(ServerTool::Editor, json!({"command": "view", "path": "a"})),
            ]
        );
        let Step::Text(text) = &steps[3] else {
            panic!("{steps:?}")
        };
        assert!(text.contains("3 blocks") && text.contains("direct model"));
    }

    #[test]
    fn python_is_a_cell_where_the_tool_has_cells() {
        let steps = steps(&request("```python\nx\n```", Some(CodeTool::Python)));
        assert_eq!(steps[0], server(ServerTool::Python, json!({"code": "x\n"})));
    }

    #[test]
    fn a_block_that_the_tool_cannot_run_is_an_error_with_a_hint() {
        let wrong = |text: &str| {
            let mut model = answer(&request(text, Some(CodeTool::Python)), &Scripts::default());
            common::hinted::told(&model.next(&[]).unwrap_err())
        };
        insta::assert_snapshot!(wrong("```bash\nls\n```"), @r"
        the `bash` block at line 1 of the user's text: bash needs `code_execution_20250825` or later, the request declares `code_execution_20250522`
          hint: use Python, or declare the newer tool
        ");
        insta::assert_snapshot!(wrong("hm\n```text_editor\n{\n```"), @r#"
        the `text_editor` block at line 2 of the user's text: it is no JSON: EOF while parsing an object at line 2 column 0
          hint: write the call's input, such as {"command": "view", "path": "a.txt"}
        "#);
    }

    #[test]
    fn without_a_block_or_a_tool_the_reply_is_plainly_artificial() {
        let hello = steps(&request("Hello", None));
        assert_eq!(hello, [Step::Text(NO_BLOCK.to_owned())]);
        let no_tool = steps(&request("```bash\nls\n```", None));
        assert_eq!(no_tool, [Step::Text(NO_TOOL.to_owned())]);
        assert!(!has_block("an inline ```bash``` is no block"));
    }

    const BLOCK: &str = "```bash\nls\n```";

    #[test]
    fn what_the_request_forces_is_followed() {
        let with = |text: &str, code_tool, more: Value| {
            let mut request = request(text, code_tool);
            let mut body = request.body.as_ref().clone();
            for (key, value) in more.as_object().unwrap() {
                body[key] = value.clone();
            }
            request.body = Arc::new(body);
            steps(&request)
        };
        let code = Some(CodeTool::BashAndEditor);
        let none = with(BLOCK, code, json!({"tool_choice": {"type": "none"}}));
        assert_eq!(none, [Step::Text(FORBIDDEN.to_owned())]);

        let tools = json!([{"name": "f", "input_schema": {"type": "object",
            "properties": {"n": {"type": "integer"}}, "required": ["n"]}}]);
        let call = Step::Calls(vec![Call::Client {
            name: "f".to_owned(),
            input: json!({"n": 1}),
        }]);
        for (text, choice) in [
            ("Hello", json!({"type": "any"})),
            (BLOCK, json!({"type": "tool", "name": "f"})),
        ] {
            let steps = with(text, code, json!({"tools": tools, "tool_choice": choice}));
            assert_eq!(steps[0], call, "{choice}");
        }
        // A block is a call, too.
        let any = with(
            BLOCK,
            code,
            json!({"tools": tools, "tool_choice": {"type": "any"}}),
        );
        assert_eq!(any[0], server(ServerTool::Bash, json!({"command": "ls\n"})));

        let format = json!({"format": {"type": "json_schema", "schema": {"const": {"a": 1}}}});
        let formatted = with(BLOCK, code, json!({"output_config": format}));
        assert_eq!(formatted[1..], [Step::Text(r#"{"a":1}"#.to_owned())]);
    }

    #[test]
    fn after_a_pause_it_goes_on_behind_the_calls_that_were_made() {
        let text = "```bash\nfirst\n```\n```bash\nsecond\n```";
        let mut request = request(text, Some(CodeTool::BashAndEditor));
        request.resumes_pause = true;
        request.body = Arc::new(json!({"messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": [{"type": "server_tool_use", "id": "srvtoolu_1",
                "name": "bash_code_execution", "input": {"command": "first\n"}}]},
        ]}));
        let steps = steps(&request);
        assert_eq!(
            steps[0],
            server(ServerTool::Bash, json!({"command": "second\n"}))
        );
        assert_eq!(steps.len(), 2);
    }
}
