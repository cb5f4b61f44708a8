//! The steps that call a tool, and what may stand beside them.

use super::{Parser, PlainText, doubts, one_of};
use crate::ServerTool;
use crate::script::matching::{TextMatcher, gist};
use crate::script::rule::{
    Capture, Expect, ExpectedError, ExpectedFile, ScriptCall, ScriptFailure, ScriptResult,
    ScriptTool,
};
use crate::script::template::{Json, Text, has_template};
use common::document::{Key, Kind, Node};

wire::words! {
    /// Steps that are calls.
    pub(in super::super) CallStep {
        Bash "bash",
        Python "python",
        View "view",
        Create "create",
        StrReplace "str_replace",
        TextEditor "text_editor",
        ToolUse "tool_use",
        WebSearch "web_search",
        WebFetch "web_fetch",
        ToolSearch "tool_search",
        Advisor "advisor",
        McpToolUse "mcp_tool_use",
    }
}

/// A key cannot stand beside a step; what can be done instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoPlace(pub(super) &'static str);

impl CallStep {
    /// The tool whose errors the result of such a step can carry; a hint where somebody else answers.
    pub(super) fn fails_as(self) -> Result<ServerTool, NoPlace> {
        Ok(match self {
            Self::Bash | Self::Python => ServerTool::Bash,
            Self::View | Self::Create | Self::StrReplace | Self::TextEditor => ServerTool::Editor,
            Self::WebSearch => ServerTool::WebSearch,
            Self::WebFetch => ServerTool::WebFetch,
            Self::ToolSearch => ServerTool::ToolSearchRegex,
            Self::Advisor => ServerTool::Advisor,
            Self::ToolUse => return Err(NoPlace("the client answers its own tools")),
            Self::McpToolUse => return Err(NoPlace("write `is_error: true` and a `text`")),
        })
    }
}

/// The content of a `result`.
pub(super) enum Brought {
    /// The same as `tool_error`.
    Failure(ScriptFailure),
    Result(ScriptResult),
}

/// Keys of `tool_error`, where it is a map.
pub(in super::super) const FAILURE_KEYS: [&str; 2] = ["code", "message"];
/// Keys of `expect`, and of `if` when it is a map.
pub(in super::super) const EXPECT_KEYS: [&str; 5] =
    ["return_code", "stdout", "stderr", "error_code", "files"];

impl Parser {
    /// One call with what stands beside it.
    pub(super) fn call(
        &mut self,
        key: &Key,
        value: &Node,
        entries: &[(Key, Node)],
    ) -> Option<ScriptCall> {
        let step = CallStep::from_name(&key.name)?;
        let name = step.name();
        let tool = self.tool(step, key, value);
        let mut expect = None;
        let mut captures = Vec::new();
        let mut failure = None;
        let mut result = None;
        for (other, node) in entries {
            match other.name.as_str() {
                "expect" => expect = self.expect(node, "`expect`"),
                "capture" => captures = self.captures(node),
                "tool_error" => failure = self.failure(other, node, step),
                "result" => match self.result(other, node, (step, value)) {
                    Some(Brought::Failure(brought)) => failure = Some(brought),
                    Some(Brought::Result(brought)) => result = Some(brought),
                    None => {}
                },
                same if same == name => {}
                _ => self.beside(other, name),
            }
        }
        let stands = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        if let (Some(_), Some((second, _))) = (stands("tool_error"), stands("result")) {
            self.sink.error_with_hint(
                second.at,
                "`tool_error` and `result` beside one call",
                "`result: { error_code: … }` says the same as `tool_error`",
            );
        }
        Some(ScriptCall {
            at: key.at,
            key: name,
            tool: tool?,
            failure,
            result,
            expect,
            captures,
        })
    }

    /// The calls of `parallel`.
    pub(super) fn parallel(&mut self, node: &Node) -> Option<Vec<ScriptCall>> {
        let items = match &node.kind {
            Kind::List(items) if !items.is_empty() => items,
            _ => {
                self.sink
                    .error(node.at, "`parallel` must be a list of calls");
                return None;
            }
        };
        let mut calls = Vec::new();
        for item in items {
            let entries = self.map(item, "a call")?;
            let found = entries
                .iter()
                .find(|(key, _)| CallStep::from_name(&key.name).is_some());
            match found {
                Some((key, value)) => calls.extend(self.call(key, value, entries)),
                None => self.sink.error_with_hint(
                    item.at,
                    "only calls can stand in `parallel`",
                    one_of(CallStep::NAMES),
                ),
            }
        }
        Some(calls)
    }

    fn tool(&mut self, step: CallStep, key: &Key, value: &Node) -> Option<ScriptTool> {
        Some(match step {
            CallStep::Bash => ScriptTool::Bash(self.template(value, "`bash`")?),
            CallStep::Python => ScriptTool::Python(self.template(value, "`python`")?),
            CallStep::View => match &value.kind {
                Kind::Map(_) => self.editor("view", key, value, &["path"], &["view_range"])?,
                _ => with_command(
                    "view",
                    vec![("path".to_owned(), self.text(value, "`view`")?)],
                ),
            },
            CallStep::Create => self.editor("create", key, value, &["path", "file_text"], &[])?,
            CallStep::StrReplace => {
                let keys = ["path", "old_str", "new_str"];
                self.editor("str_replace", key, value, &keys, &[])?
            }
            CallStep::TextEditor => {
                self.map(value, "`text_editor`")?;
                ScriptTool::Editor(self.json(value)?)
            }
            CallStep::WebSearch => self.web_step(ServerTool::WebSearch, key, value)?,
            CallStep::WebFetch => self.web_step(ServerTool::WebFetch, key, value)?,
            CallStep::ToolUse => self.client_tool(key, value)?,
            CallStep::ToolSearch => self.tool_search(key, value)?,
            CallStep::Advisor => self.advisor(key, value)?,
            CallStep::McpToolUse => self.mcp_tool_use(key, value)?,
        })
    }

    fn client_tool(&mut self, key: &Key, value: &Node) -> Option<ScriptTool> {
        let (name, input) = match &value.kind {
            Kind::Map(entries) => {
                let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
                if let Some((_, any)) = find("any") {
                    self.known_keys(entries, &["any"], "key of `tool_use: { any: … }`");
                    let number = self.count(any, "`any`", 0)?;
                    return Some(ScriptTool::AnyClient(number.try_into().unwrap_or(0)));
                }
                self.known_keys(entries, &["name", "input"], "key of `tool_use`");
                let Some((_, name)) = find("name") else {
                    self.sink.error_with_hint(
                        key.at,
                        "`tool_use` has no `name`",
                        "write `tool_use: { name: get_weather, input: { city: Oslo } }`",
                    );
                    return None;
                };
                (name, find("input").map(|(_, input)| input))
            }
            _ => (value, None),
        };
        // It may be that of a tool of the service: a client may call its own so.
        let at = name.at;
        let name = self.string(name, "`name`")?;
        if !wire::request::is_tool_name(&name) {
            self.sink.error_with_hint(
                at,
                format!("`{}` is no name of a tool", gist(&name)),
                "1 to 128 letters, digits, `_`, and `-`",
            );
            return None;
        }
        let input = match input {
            Some(input) => {
                self.map(input, "`input`")?;
                self.json(input)?
            }
            None => Json::Plain(serde_json::json!({})),
        };
        Some(ScriptTool::Client { name, input })
    }

    fn editor(
        &mut self,
        command: &str,
        key: &Key,
        value: &Node,
        required: &[&str],
        optional: &[&str],
    ) -> Option<ScriptTool> {
        let entries = self.map(value, &format!("`{command}`"))?;
        let known = [required, optional].concat();
        self.known_keys(entries, &known, &format!("key of `{command}`"));
        let mut missing = false;
        for wanted in required {
            if !entries.iter().any(|(key, _)| key.name == *wanted) {
                self.sink.error_with_hint(
                    key.at,
                    format!("`{command}` has no `{wanted}`"),
                    "`text_editor` takes any input, wrong ones too",
                );
                missing = true;
            }
        }
        if missing {
            return None;
        }
        let input: Option<Vec<_>> = entries
            .iter()
            .map(|(key, value)| {
                let value = match key.name.as_str() {
                    "view_range" => self.json(value)?,
                    name => self.text(value, &format!("`{name}`"))?,
                };
                Some((key.name.clone(), value))
            })
            .collect();
        Some(with_command(command, input?))
    }

    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<Json> {
        self.template(node, what).map(Json::text)
    }

    /// `tool_error`: a code, or a map with a message as well.
    fn failure(&mut self, key: &Key, value: &Node, step: CallStep) -> Option<ScriptFailure> {
        let tool = match step.fails_as() {
            Ok(tool) => tool,
            Err(NoPlace(hint)) => {
                let message = format!("`tool_error` cannot stand beside `{}`", step.name());
                self.sink.error_with_hint(key.at, message, hint);
                return None;
            }
        };
        let (code, message) = match &value.kind {
            Kind::Map(entries) => {
                self.known_keys(entries, &FAILURE_KEYS, "key of `tool_error`");
                let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
                let Some((_, code)) = find("code") else {
                    let hint = one_of(&tool.error_names());
                    self.sink
                        .error_with_hint(value.at, "`tool_error` has no `code`", hint);
                    return None;
                };
                (code, find("message"))
            }
            _ => (value, None),
        };
        self.failure_of(code, message, (step, tool), "`tool_error`")
    }

    /// An error by its code, and its message where it can have one.
    pub(super) fn failure_of(
        &mut self,
        code: &Node,
        message: Option<&(Key, Node)>,
        (step, tool): (CallStep, ServerTool),
        what: &str,
    ) -> Option<ScriptFailure> {
        let at = code.at;
        let name = self.string(code, what)?;
        let Some(code) = tool.error_code(&name) else {
            self.sink
                .unknown(at, "error code", &name, &tool.error_names());
            return None;
        };
        let message = match message {
            Some((key, _)) if !tool.prints_messages() => {
                self.sink.error_with_hint(
                    key.at,
                    format!("an error of `{}` has no `message`", step.name()),
                    "only those of the text editor and of `tool_search` have one",
                );
                None
            }
            Some((_, text)) => Some(self.template(text, "`message`")?),
            None => None,
        };
        Some(ScriptFailure { code, message })
    }

    /// `expect`, or an `if` that is a map.
    pub(super) fn expect(&mut self, node: &Node, what: &str) -> Option<Expect> {
        let entries = self.map(node, what)?;
        self.check_filled(node, what);
        self.known_keys(entries, &EXPECT_KEYS, "key of `expect`");
        let mut expect = Expect {
            at: node.at,
            ..Expect::default()
        };
        for (key, value) in entries {
            let what = format!("`{}`", key.name);
            match key.name.as_str() {
                "return_code" => expect.return_code = self.return_codes(value),
                "stdout" => expect.stdout = self.result_text(value, &what),
                "stderr" => expect.stderr = self.result_text(value, &what),
                "error_code" => {
                    expect.error_code = Some(if matches!(value.kind, Kind::Null) {
                        ExpectedError::None
                    } else {
                        let code = self.word(value, &what)?;
                        doubts::of_error_code(&code, value.at, &mut self.sink);
                        ExpectedError::Code(code)
                    });
                }
                "files" => {
                    let files = value.items().iter();
                    let files = files.map(|item| self.expected_file(item));
                    expect.files = Some(files.collect::<Option<_>>()?);
                }
                _ => {}
            }
        }
        Some(expect)
    }

    fn result_text(&mut self, node: &Node, what: &str) -> Option<TextMatcher<Text>> {
        self.matcher_of(node, what, PlainText::Contains, &Self::template)
    }

    fn expected_file(&mut self, node: &Node) -> Option<ExpectedFile> {
        if node.text().is_some_and(has_template) {
            return self.template(node, "a file").map(ExpectedFile::Template);
        }
        self.glob(node, "a file").map(ExpectedFile::Glob)
    }

    fn return_codes(&mut self, node: &Node) -> Option<Vec<i64>> {
        let codes: Option<Vec<i64>> = self
            .alternatives(node, "`return_code`")?
            .iter()
            .map(|item| match &item.kind {
                Kind::Number(number) => number.as_i64(),
                _ => None,
            })
            .collect();
        if codes.is_none() {
            let message = "`return_code` must be a whole number or a list of them";
            let hint = "such as `0` or `[0, 1]`: no leading zero, no quotes";
            self.sink.error_with_hint(node.at, message, hint);
        }
        codes
    }

    fn captures(&mut self, node: &Node) -> Vec<(String, Capture)> {
        let Some(entries) = self.map(node, "`capture`") else {
            return Vec::new();
        };
        self.check_filled(node, "`capture`");
        let mut captures = Vec::new();
        for (key, value) in entries {
            if !is_name(&key.name) {
                self.sink.error_with_hint(
                    key.at,
                    format!("`{}` is no name for a capture", key.name),
                    "letters, digits, and `_`, not beginning with a digit",
                );
                continue;
            }
            let Some(source) = self.string(value, "a capture") else {
                continue;
            };
            let capture = if has_template(&source) {
                doubts::of_capture(&source, value.at, &mut self.sink);
                self.template(value, "a capture").map(Capture::Template)
            } else {
                self.regex(&source, value.at).map(Capture::Regex)
            };
            captures.extend(capture.map(|capture| (key.name.clone(), capture)));
        }
        captures
    }
}

fn with_command(command: &str, mut input: Vec<(String, Json)>) -> ScriptTool {
    input.insert(0, ("command".to_owned(), Json::Plain(command.into())));
    ScriptTool::Editor(Json::map(input))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
