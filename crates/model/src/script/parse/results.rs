//! `result`: what a call to code execution comes to without being run.

use bytes::Bytes;
use serde_json::Value;

use super::Parser;
use super::calls::{Brought, CallStep, NoPlace};
use crate::GivenPath;
use crate::script::results::{BadResult, decoded, edited, file_name, inside, last_part, whole};
use crate::script::rule::{EditorCommand, ScriptFailure, ScriptFile, ScriptResult, ScriptSource};
use crate::script::template::{Json, Text};
use common::document::{Key, Kind, Node};
use common::limits;

/// Keys of a `result` of bash and Python.
const RAN_KEYS: [&str; 4] = ["stdout", "stderr", "return_code", "files"];
/// Keys of a `result` that is an error.
const ERROR_KEYS: [&str; 2] = ["error_code", "message"];
/// Keys of one of `files`.
const FILE_KEYS: [&str; 4] = ["name", "text", "base64", "path"];
/// Keys of a `result` of the editor, by its command.
const VIEW_KEYS: [&str; 5] = [
    "content",
    "file_type",
    "num_lines",
    "start_line",
    "total_lines",
];
const CREATE_KEYS: [&str; 1] = ["is_file_update"];
const STR_REPLACE_KEYS: [&str; 5] = ["lines", "old_start", "old_lines", "new_start", "new_lines"];

/// All of them.
#[cfg(test)]
pub(super) fn keys() -> Vec<&'static str> {
    [
        &RAN_KEYS[..],
        &ERROR_KEYS,
        &FILE_KEYS,
        &VIEW_KEYS,
        &CREATE_KEYS,
        &STR_REPLACE_KEYS,
    ]
    .concat()
}

/// The form of a result.
enum Shape {
    Ran,
    Edited(EditorCommand),
}

impl EditorCommand {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::View => &VIEW_KEYS,
            Self::Create => &CREATE_KEYS,
            Self::StrReplace => &STR_REPLACE_KEYS,
        }
    }
}

impl Parser {
    /// `result` beside a step with this value.
    pub(super) fn result(
        &mut self,
        key: &Key,
        node: &Node,
        (step, value): (CallStep, &Node),
    ) -> Option<Brought> {
        let shape = match shape(step, value) {
            Ok(shape) => shape,
            Err(NoPlace(hint)) => {
                let message = format!("`result` cannot stand beside `{}`", step.name());
                self.sink.error_with_hint(key.at, message, hint);
                return None;
            }
        };
        let entries = self.map(node, "`result`")?;
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        if let Some((_, code)) = find("error_code") {
            return self.failed(entries, code, step).map(Brought::Failure);
        }
        let own = match &shape {
            Some(Shape::Ran) => &RAN_KEYS[..],
            Some(Shape::Edited(command)) => command.keys(),
            None => &[],
        };
        let known = [own, &ERROR_KEYS].concat();
        self.known_keys(entries, &known, "key of `result`");
        if let Some((message, _)) = find("message") {
            self.sink.error_with_hint(
                message.at,
                "`message` stands beside an `error_code`",
                "only an error has one",
            );
        }
        match shape {
            Some(Shape::Ran) => self.ran(entries),
            Some(Shape::Edited(command)) => {
                self.edited(node, entries, (command, &value.to_json()))
            }
            None => {
                self.sink.error_with_hint(
                    key.at,
                    "such a call can only have an error for a result",
                    "write `result: { error_code: … }`, or a `command` of view, create, or str_replace",
                );
                None
            }
        }
        .map(Brought::Result)
    }

    fn failed(
        &mut self,
        entries: &[(Key, Node)],
        code: &Node,
        step: CallStep,
    ) -> Option<ScriptFailure> {
        for (key, _) in entries {
            let name = key.name.as_str();
            if RAN_KEYS.contains(&name)
                || [&VIEW_KEYS[..], &CREATE_KEYS, &STR_REPLACE_KEYS]
                    .concat()
                    .contains(&name)
            {
                self.sink.error_with_hint(
                    key.at,
                    format!("`{name}` cannot stand beside `error_code`"),
                    "an error has nothing but its code, and of the editor a `message`",
                );
            } else if !ERROR_KEYS.contains(&name) {
                self.sink
                    .unknown(key.at, "key of `result`", name, &ERROR_KEYS);
            }
        }
        let tool = step.fails_as().ok()?;
        let message = entries.iter().find(|(key, _)| key.name == "message");
        self.failure_of(code, message, (step, tool), "`error_code`")
    }

    fn ran(&mut self, entries: &[(Key, Node)]) -> Option<ScriptResult> {
        let empty = || Text::Plain(String::new());
        let (mut stdout, mut stderr) = (Some(empty()), Some(empty()));
        let mut return_code = Some(Json::Plain(0.into()));
        let mut files = Some(Vec::new());
        for (key, value) in entries {
            match key.name.as_str() {
                "stdout" => stdout = self.template(value, "`stdout`"),
                "stderr" => stderr = self.template(value, "`stderr`"),
                "return_code" => return_code = self.return_code(value),
                "files" => files = self.files(value),
                _ => {}
            }
        }
        Some(ScriptResult::Ran {
            stdout: stdout?,
            stderr: stderr?,
            return_code: return_code?,
            files: files?,
        })
    }

    fn return_code(&mut self, node: &Node) -> Option<Json> {
        let json = self.one_value(node)?;
        if let Json::Plain(value) = &json
            && let Err(reason) = whole(value)
        {
            self.sink.error(node.at, format!("`return_code` {reason}"));
            return None;
        }
        Some(json)
    }

    /// A scalar, or what a template makes of it; of a list and a map what was written, to be refused.
    fn one_value(&mut self, node: &Node) -> Option<Json> {
        match &node.kind {
            Kind::List(_) | Kind::Map(_) => Some(Json::Plain(node.to_json())),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => self.json(node),
        }
    }

    /// One member of a result of the editor.
    fn edited_member(&mut self, name: &str, node: &Node) -> Option<Json> {
        let wanted = match name {
            "content" | "file_type" => return self.text(node, &format!("`{name}`")),
            "is_file_update" => "`true` or `false`",
            "lines" => {
                if let Kind::List(items) = &node.kind {
                    let lines = items.iter().map(|item| self.text(item, "one of `lines`"));
                    return lines.collect::<Option<_>>().map(Json::list);
                }
                "a list of strings"
            }
            "num_lines" | "start_line" | "total_lines" | "old_start" | "old_lines"
            | "new_start" | "new_lines" => "a whole number from 0 on",
            // An unknown one, which is told already.
            _ => return None,
        };
        let json = self.one_value(node)?;
        let Json::Plain(value) = &json else {
            return Some(json);
        };
        let fits = match name {
            "is_file_update" => value.is_boolean(),
            "lines" => false,
            _ => whole(value).is_ok_and(|number| number >= 0),
        };
        if !fits {
            let message = format!("`{name}` must be {wanted}, got {}", node.what());
            self.sink.error(node.at, message);
            return None;
        }
        Some(json)
    }

    fn edited(
        &mut self,
        node: &Node,
        entries: &[(Key, Node)],
        (command, input): (EditorCommand, &Value),
    ) -> Option<ScriptResult> {
        let members = entries
            .iter()
            .map(|(key, value)| Some((key.name.clone(), self.edited_member(&key.name, value)?)))
            .collect::<Option<Vec<_>>>()
            .map(Json::map)?;
        if let Json::Plain(plain) = &members
            && let Err(reason) = edited(command, plain, input)
        {
            self.sink.error(node.at, reason.to_string());
            return None;
        }
        Some(ScriptResult::Edited { command, members })
    }

    fn files(&mut self, node: &Node) -> Option<Vec<ScriptFile>> {
        let Kind::List(items) = &node.kind else {
            let message = format!("`files` must be a list, got {}", node.what());
            self.sink.error_with_hint(
                node.at,
                message,
                "write `files: [{ name: a.txt, text: hello }]`",
            );
            return None;
        };
        if items.len() > limits::MAX_OUTPUT_FILES {
            let most = limits::MAX_OUTPUT_FILES;
            let message = format!(
                "a call hands back {most} files at most, got {}",
                items.len()
            );
            self.sink.error(node.at, message);
            return None;
        }
        let files: Vec<_> = items.iter().map(|item| self.file_of(item)).collect();
        let files: Vec<ScriptFile> = files.into_iter().collect::<Option<_>>()?;
        let mut names = std::collections::HashSet::new();
        for file in &files {
            let name = match (&file.name, &file.source) {
                (Some(Text::Plain(name)), _) => name.as_str(),
                (None, ScriptSource::Path(Text::Plain(path))) => last_part(path),
                _ => continue,
            };
            if !names.insert(name) {
                let message = format!("two files of one call are named `{name}`");
                self.sink.error(file.at, message);
                return None;
            }
        }
        Some(files)
    }

    fn file_of(&mut self, node: &Node) -> Option<ScriptFile> {
        let entries = self.map(node, "one of `files`")?;
        self.known_keys(entries, &FILE_KEYS, "key of a file");
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        let name = match find("name") {
            Some((_, name)) => Some(self.name_of(name)?),
            None => None,
        };
        let sources: Vec<_> = entries
            .iter()
            .filter(|(key, _)| FILE_KEYS[1..].contains(&key.name.as_str()))
            .collect();
        let [(key, value)] = sources.as_slice() else {
            self.sink.error_with_hint(
                node.at,
                "a file has one of `text`, `base64`, and `path`",
                "write `{ name: a.txt, text: hello }`",
            );
            return None;
        };
        if name.is_none() && key.name != "path" {
            self.sink.error_with_hint(
                node.at,
                "the file has no `name`",
                "only a `path` gives one by itself",
            );
            return None;
        }
        Some(ScriptFile {
            at: node.at,
            name,
            source: self.source(key, value)?,
        })
    }

    fn name_of(&mut self, node: &Node) -> Option<Text> {
        let name = self.template(node, "`name`")?;
        if let Text::Plain(plain) = &name
            && let Err(reason) = file_name(plain)
        {
            self.sink.error(node.at, reason.to_string());
            return None;
        }
        Some(name)
    }

    fn source(&mut self, key: &Key, node: &Node) -> Option<ScriptSource> {
        let text = self.template(node, &format!("`{}`", key.name))?;
        Some(match (key.name.as_str(), text) {
            ("text", Text::Plain(text)) => ScriptSource::Plain(Bytes::from(text)),
            ("text", text @ Text::Template(_)) => ScriptSource::Text(text),
            ("base64", Text::Plain(text)) => match decoded(&text) {
                Ok(bytes) => ScriptSource::Plain(bytes),
                Err(reason) => {
                    self.sink.error(node.at, reason.to_string());
                    return None;
                }
            },
            ("base64", text @ Text::Template(_)) => ScriptSource::Base64(text),
            (_, path) => {
                self.path(node, &path)?;
                ScriptSource::Path(path)
            }
        })
    }

    /// Looks after a `path`, as far as it can be known.
    fn path(&mut self, node: &Node, path: &Text) -> Option<()> {
        let Some(folder) = self.folder.clone() else {
            self.sink.error_with_hint(
                node.at,
                "`path` needs a script that is a file",
                "give the script with `--script FILE`, or write `text` or `base64`",
            );
            return None;
        };
        let Text::Plain(path) = path else {
            return Some(());
        };
        let opened = inside(path).and_then(|()| {
            let given = GivenPath {
                folder,
                path: path.clone(),
                place: String::new(),
            };
            given.open().map_err(|source| BadResult::Unread {
                path: path.clone(),
                source,
            })
        });
        if let Err(reason) = opened {
            self.sink.error_with_hint(
                node.at,
                reason.to_string(),
                "`path` is relative to the script's file, and stays in its folder",
            );
            return None;
        }
        Some(())
    }
}

/// The form of the result that stands beside a step; `None` where only an error can.
fn shape(step: CallStep, value: &Node) -> Result<Option<Shape>, NoPlace> {
    let command = match step {
        CallStep::Bash | CallStep::Python => return Ok(Some(Shape::Ran)),
        CallStep::View => Some(EditorCommand::View),
        CallStep::Create => Some(EditorCommand::Create),
        CallStep::StrReplace => Some(EditorCommand::StrReplace),
        CallStep::TextEditor => match &value.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.name == "command")
                .and_then(|(_, command)| EditorCommand::from_name(command.text()?)),
            _ => None,
        },
        CallStep::WebSearch => {
            return Err(NoPlace("write `web_search: { query: …, results: […] }`"));
        }
        CallStep::WebFetch => return Err(NoPlace("write `web_fetch: { url: …, text: … }`")),
        CallStep::ToolSearch => return Err(NoPlace("`finds` names what is found")),
        CallStep::Advisor => return Err(NoPlace("the step's value is what it says")),
        CallStep::McpToolUse => return Err(NoPlace("its `text` is what it answers")),
        CallStep::ToolUse => return Err(NoPlace("the client answers its own tools")),
    };
    Ok(command.map(Shape::Edited))
}
