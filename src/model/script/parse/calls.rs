//! The steps that call a tool, and what may stand beside them.

use super::web::errors_of;
use super::{Parser, PlainText, one_of};
use crate::model::ServerTool;
use crate::model::script::rule::{Capture, Expect, ExpectedError, ScriptCall, ScriptTool};
use crate::model::script::template::{Json, has_template};
use crate::model::script::yaml::{Key, Kind, Node};

/// Steps that are calls.
pub(in super::super) const CALL_KEYS: [&str; 9] = [
    "bash",
    "python",
    "view",
    "create",
    "str_replace",
    "text_editor",
    "tool_use",
    "web_search",
    "web_fetch",
];
/// The error codes a result block can carry.
pub(in super::super) const ERROR_CODES: [&str; 8] = [
    "unavailable",
    "invalid_tool_input",
    "too_many_requests",
    "execution_time_exceeded",
    "output_file_too_large",
    "file_not_found",
    "string_not_found",
    "container_expired",
];
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
        let name = CALL_KEYS.into_iter().find(|known| *known == key.name)?;
        let tool = self.tool(name, key, value);
        let mut expect = None;
        let mut captures = Vec::new();
        let mut error_code = None;
        for (other, value) in entries {
            match other.name.as_str() {
                "expect" => expect = self.expect(value),
                "capture" => captures = self.captures(value),
                "tool_error" => error_code = self.error_code(other, value, name),
                same if same == name => {}
                _ => self.beside(other, name),
            }
        }
        Some(ScriptCall {
            at: key.at,
            key: name,
            tool: tool?,
            error_code,
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
                .find(|(key, _)| CALL_KEYS.contains(&key.name.as_str()));
            match found {
                Some((key, value)) => calls.extend(self.call(key, value, entries)),
                None => self.sink.error_with_hint(
                    item.at,
                    "only calls can stand in `parallel`",
                    one_of(&CALL_KEYS),
                ),
            }
        }
        Some(calls)
    }

    fn tool(&mut self, name: &str, key: &Key, value: &Node) -> Option<ScriptTool> {
        Some(match name {
            "bash" => ScriptTool::Bash(self.template(value, "`bash`")?),
            "python" => ScriptTool::Python(self.template(value, "`python`")?),
            "view" => match &value.kind {
                Kind::Map(_) => self.editor("view", key, value, &["path"], &["view_range"])?,
                _ => with_command(
                    "view",
                    vec![("path".to_owned(), self.text(value, "`view`")?)],
                ),
            },
            "create" => self.editor("create", key, value, &["path", "file_text"], &[])?,
            "str_replace" => {
                let keys = ["path", "old_str", "new_str"];
                self.editor("str_replace", key, value, &keys, &[])?
            }
            "text_editor" => {
                self.map(value, "`text_editor`")?;
                ScriptTool::Editor(self.json(value)?)
            }
            "web_search" => self.web_step(ServerTool::WebSearch, key, value)?,
            "web_fetch" => self.web_step(ServerTool::WebFetch, key, value)?,
            _ => self.client_tool(key, value)?,
        })
    }

    fn client_tool(&mut self, key: &Key, value: &Node) -> Option<ScriptTool> {
        let (name, input) = match &value.kind {
            Kind::Map(entries) => {
                self.known_keys(entries, &["name", "input"], "key of `tool_use`");
                let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
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
        let at = name.at;
        let name = self.string(name, "`name`")?;
        if let Some(tool) = ServerTool::from_name(&name) {
            let hint = if tool.is_web() {
                format!("write `{name}: …`")
            } else {
                "write `bash`, `python`, `view`, `create`, `str_replace`, or `text_editor`"
                    .to_owned()
            };
            self.sink
                .error_with_hint(at, format!("`{name}` runs on the server"), hint);
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

    fn text(&mut self, node: &Node, what: &str) -> Option<Json> {
        self.template(node, what).map(Json::text)
    }

    fn error_code(&mut self, key: &Key, value: &Node, call: &str) -> Option<String> {
        if call == "tool_use" {
            self.sink.error_with_hint(
                key.at,
                "`tool_error` cannot stand beside `tool_use`",
                "the client answers its own tools",
            );
            return None;
        }
        let code = self.string(value, "`tool_error`")?;
        let known: &[&str] = match ServerTool::from_name(call) {
            Some(web) => errors_of(web),
            None => &ERROR_CODES,
        };
        if !known.contains(&code.as_str()) {
            self.sink.unknown(value.at, "error code", &code, known);
        }
        Some(code)
    }

    /// `expect`, or an `if` that is a map.
    pub(super) fn expect(&mut self, node: &Node) -> Option<Expect> {
        let entries = self.map(node, "`expect`")?;
        self.known_keys(entries, &EXPECT_KEYS, "key of `expect`");
        let mut expect = Expect {
            at: node.at,
            ..Expect::default()
        };
        for (key, value) in entries {
            let what = format!("`{}`", key.name);
            match key.name.as_str() {
                "return_code" => expect.return_code = self.return_codes(value),
                "stdout" => expect.stdout = self.text_matcher(value, &what, PlainText::Contains),
                "stderr" => expect.stderr = self.text_matcher(value, &what, PlainText::Contains),
                "error_code" => {
                    expect.error_code = Some(match value.kind {
                        Kind::Null => ExpectedError::None,
                        _ => ExpectedError::Code(self.string(value, &what)?),
                    });
                }
                "files" => {
                    expect.files = value
                        .items()
                        .iter()
                        .map(|item| self.glob(item, "a file"))
                        .collect::<Option<_>>()?;
                }
                _ => {}
            }
        }
        Some(expect)
    }

    fn return_codes(&mut self, node: &Node) -> Option<Vec<i64>> {
        let codes: Option<Vec<i64>> = node
            .items()
            .iter()
            .map(|item| match &item.kind {
                Kind::Number(number) => number.as_i64(),
                _ => None,
            })
            .collect();
        if codes.is_none() {
            let message = "`return_code` must be a whole number or a list of them";
            self.sink.error(node.at, message);
        }
        codes
    }

    fn captures(&mut self, node: &Node) -> Vec<(String, Capture)> {
        let Some(entries) = self.map(node, "`capture`") else {
            return Vec::new();
        };
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
