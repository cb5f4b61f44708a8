//! `result` at work: the templates of what a call brings with it are filled in.

use std::borrow::Cow;
use std::io;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use wire::block::EditorContent;

use super::rule::{EditorCommand, Rule, ScriptCall, ScriptFile, ScriptResult, ScriptSource};
use super::run::Run;
use crate::{CodeResult, Finding, GivenBytes, GivenFile, GivenPath, ModelError};
use common::limits;

/// An error in a `result`.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadResult {
    #[error("must be a whole number, got `{0}`")]
    NotWhole(Value),
    #[error("`return_code` {0}")]
    ReturnCode(#[source] Box<Self>),
    #[error("`base64` cannot be decoded: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("`pdf` is base64, and cannot be decoded: {0}")]
    Pdf(#[source] base64::DecodeError),
    #[error("`text` and `pdf` are of two pages: a page has one of them")]
    TwoPages,
    #[error(
        "the name of a file has {} characters at most",
        limits::MAX_FILENAME_CHARS
    )]
    LongName,
    #[error(
        "`{}` is no name of a file: only what lies in `$OUTPUT_DIR` itself is handed back",
        .0.escape_debug()
    )]
    Name(String),
    #[error("`{}` is no name that the Files API takes", .0.escape_debug())]
    ApiName(String),
    #[error("two files of one call are named `{0}`")]
    Twice(String),
    #[error("what its `result` holds comes to more than {} MiB", limits::RESULT_BYTES / (1024 * 1024))]
    TooMuch,
    #[error("`{key}` must be {wanted}")]
    Member { key: String, wanted: &'static str },
    #[error("`file_type` is `text`, `image`, or `pdf`")]
    FileType,
    #[error("the `content` of an image or a PDF is base64")]
    Content,
    #[error("the content begins at line {start_line}, and `total_lines` is {total_lines}")]
    PastEnd { start_line: u64, total_lines: u64 },
    #[error("`path` needs a script that is a file")]
    NoFolder,
    #[error("`{0}` leaves the folder of the script")]
    Outside(String),
    #[error("`{path}` cannot be read: {source}")]
    Unread { path: String, source: io::Error },
}

impl BadResult {
    fn member(key: &str, wanted: &'static str) -> Self {
        Self::Member {
            key: key.to_owned(),
            wanted,
        }
    }

    /// A hint, where the message does not say already what can be done.
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::TooMuch => Some("a file may have a `path` instead"),
            Self::ApiName(_) => Some("none of < > : \" | ? * \\ / and no control characters"),
            Self::NotWhole(_)
            | Self::ReturnCode(_)
            | Self::Base64(_)
            | Self::Pdf(_)
            | Self::TwoPages
            | Self::LongName
            | Self::Name(_)
            | Self::Twice(_)
            | Self::Member { .. }
            | Self::FileType
            | Self::Content
            | Self::PastEnd { .. }
            | Self::NoFolder
            | Self::Outside(_)
            | Self::Unread { .. } => None,
        }
    }
}

impl Run {
    /// Checks what a web tool is to find, with its templates filled in.
    pub(super) fn check_found(
        rule: &Rule,
        call: &ScriptCall,
        found: &Value,
    ) -> Result<(), ModelError> {
        check_pdf(found).map_err(|reason| wrong(rule, call, &reason))
    }

    /// The result that a call with this input brings with it in place of being run.
    pub(super) fn given(
        &self,
        rule: &Rule,
        call: &ScriptCall,
        input: &Value,
    ) -> Result<Option<Finding>, ModelError> {
        let result = match &call.result {
            None => return Ok(None),
            Some(ScriptResult::Edited { command, members }) => {
                let members = self.render_json(rule, members)?;
                let content = edited(*command, &members, input).and_then(|content| {
                    Room(limits::RESULT_BYTES).take(text_bytes(&content))?;
                    Ok(content)
                });
                CodeResult::Edited(content.map_err(|reason| wrong(rule, call, &reason))?)
            }
            Some(ScriptResult::Ran {
                stdout,
                stderr,
                return_code,
                files,
            }) => {
                let return_code = whole(&self.render_json(rule, return_code)?);
                let return_code = return_code.map_err(|reason| {
                    wrong(rule, call, &BadResult::ReturnCode(Box::new(reason)))
                })?;
                let mut room = Room(limits::RESULT_BYTES);
                let mut text = |text| {
                    let text = self.render(rule, text)?;
                    room.take(text.len())
                        .map_err(|reason| wrong(rule, call, &reason))?;
                    Ok::<_, ModelError>(text.into_owned())
                };
                let (stdout, stderr) = (text(stdout)?, text(stderr)?);
                CodeResult::Ran {
                    stdout,
                    stderr,
                    return_code,
                    files: self.given_files(rule, call, files, &mut room)?,
                }
            }
        };
        Ok(Some(Finding::Code(Box::new(result))))
    }

    fn given_files(
        &self,
        rule: &Rule,
        call: &ScriptCall,
        files: &[ScriptFile],
        room: &mut Room,
    ) -> Result<Vec<GivenFile>, ModelError> {
        let mut given: Vec<GivenFile> = Vec::with_capacity(files.len());
        let mut names = std::collections::HashSet::new();
        for file in files {
            let made = self.given_file(rule, call, file)?;
            let size = match &made.bytes {
                GivenBytes::Here(bytes) => bytes.len(),
                GivenBytes::At(_) => 0,
            };
            let fits = file_name(&made.name).and_then(|()| room.take(size));
            fits.map_err(|reason| wrong(rule, call, &reason))?;
            if !names.insert(made.name.clone()) {
                return Err(wrong(rule, call, &BadResult::Twice(made.name)));
            }
            given.push(made);
        }
        Ok(given)
    }

    fn given_file(
        &self,
        rule: &Rule,
        call: &ScriptCall,
        file: &ScriptFile,
    ) -> Result<GivenFile, ModelError> {
        let name = file.name.as_ref().map(|name| self.render(rule, name));
        let mut name = name.transpose()?.map(Cow::into_owned);
        let bytes = match &file.source {
            ScriptSource::Plain(bytes) => GivenBytes::Here(bytes.clone()),
            ScriptSource::Text(text) => {
                GivenBytes::Here(self.render(rule, text)?.into_owned().into())
            }
            ScriptSource::Base64(text) => {
                let bytes = decoded(&self.render(rule, text)?);
                GivenBytes::Here(bytes.map_err(|reason| wrong(rule, call, &reason))?)
            }
            ScriptSource::Path(path) => {
                let path = self.render(rule, path)?.into_owned();
                inside(&path).map_err(|reason| wrong(rule, call, &reason))?;
                let Some(folder) = rule.folder.clone() else {
                    return Err(wrong(rule, call, &BadResult::NoFolder));
                };
                name.get_or_insert_with(|| last_part(&path).to_owned());
                GivenBytes::At(GivenPath {
                    folder,
                    path,
                    place: place(rule, call),
                })
            }
        };
        Ok(GivenFile {
            name: name.unwrap_or_default(),
            bytes,
        })
    }
}

/// The bytes that one result may still hold.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), BadResult> {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(BadResult::TooMuch),
        }
    }
}

fn place(rule: &Rule, call: &ScriptCall) -> String {
    let at = rule.place_of(call.at);
    format!("{at}: rule `{}`, `{}`", rule.name, call.key)
}

fn wrong(rule: &Rule, call: &ScriptCall, reason: &BadResult) -> ModelError {
    let error = ModelError::new(format!("{}: {reason}", place(rule, call)));
    match reason.help() {
        Some(help) => error.with_hint(help),
        None => error,
    }
}

/// A whole number, also one that a template has made.
pub(super) fn whole(value: &Value) -> Result<i64, BadResult> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    };
    number.ok_or_else(|| BadResult::NotWhole(value.clone()))
}

/// The bytes of base64, in which white space does not count.
pub(super) fn decoded(text: &str) -> Result<Bytes, BadResult> {
    Ok(Bytes::from(base64(text)?))
}

fn base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let text: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD.decode(text)
}

/// Whether a call can leave a file of this name in its output directory.
pub(super) fn file_name(name: &str) -> Result<(), BadResult> {
    if name.chars().count() > limits::MAX_FILENAME_CHARS {
        return Err(BadResult::LongName);
    }
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(BadResult::Name(name.to_owned()));
    }
    if !common::filename::is_plain(name) {
        return Err(BadResult::ApiName(name.to_owned()));
    }
    Ok(())
}

/// Checks a page that was fetched.
pub(super) fn check_page(page: &Value) -> Result<(), BadResult> {
    check_pdf(page)?;
    let has = |key: &str| !page[key].is_null();
    if has("text") && has("pdf") {
        return Err(BadResult::TwoPages);
    }
    Ok(())
}

/// A `pdf` is base64.
fn check_pdf(page: &Value) -> Result<(), BadResult> {
    let Some(pdf) = page["pdf"].as_str() else {
        return Ok(());
    };
    base64(pdf).map(|_| ()).map_err(BadResult::Pdf)
}

/// The editor's result block of these members; what is left out follows from `input` and the others.
pub(super) fn edited(
    command: EditorCommand,
    members: &Value,
    input: &Value,
) -> Result<EditorContent, BadResult> {
    let number = |key: &str, default: u64| match &members[key] {
        Value::Null => Ok(default),
        value => u64::try_from(whole(value).unwrap_or(-1))
            .map_err(|_| BadResult::member(key, "a whole number from 0 on")),
    };
    let text = |key: &str, default: &str| match &members[key] {
        Value::Null => Ok(default.to_owned()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(BadResult::member(key, "a string"))
        }
    };
    Ok(match command {
        EditorCommand::View => {
            let (file_type, content) = (text("file_type", "text")?, text("content", "")?);
            if !["text", "image", "pdf"].contains(&file_type.as_str()) {
                return Err(BadResult::FileType);
            }
            if file_type != "text" {
                decoded(&content).map_err(|_| BadResult::Content)?;
            }
            let has_lines = file_type == "text" || !members["num_lines"].is_null();
            let first = input["view_range"][0].as_u64().unwrap_or(1);
            let num_lines = number("num_lines", count_lines(&content))?;
            let start_line = number("start_line", first)?;
            let end = start_line.saturating_add(num_lines).saturating_sub(1);
            let total_lines = number("total_lines", end)?;
            if has_lines && !members["total_lines"].is_null() && start_line > total_lines.max(1) {
                return Err(BadResult::PastEnd {
                    start_line,
                    total_lines,
                });
            }
            EditorContent::View {
                num_lines: has_lines.then_some(num_lines),
                start_line: has_lines.then_some(start_line),
                total_lines: has_lines.then_some(total_lines),
                file_type,
                content,
            }
        }
        EditorCommand::Create => EditorContent::Create {
            is_file_update: match &members["is_file_update"] {
                Value::Null => false,
                Value::Bool(value) => *value,
                Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(BadResult::member("is_file_update", "`true` or `false`"));
                }
            },
        },
        EditorCommand::StrReplace => {
            let lines = match &members["lines"] {
                Value::Null => replaced(input),
                Value::Array(lines) if lines.iter().all(Value::is_string) => lines
                    .iter()
                    .filter_map(|line| line.as_str().map(str::to_owned))
                    .collect(),
                _ => return Err(BadResult::member("lines", "a list of strings")),
            };
            let but = |mark| {
                let count = lines.iter().filter(|line| !line.starts_with(mark)).count();
                u64::try_from(count).unwrap_or(u64::MAX)
            };
            let old_start = number("old_start", 1)?;
            EditorContent::StrReplace {
                old_start,
                old_lines: number("old_lines", but('+'))?,
                new_start: number("new_start", old_start)?,
                new_lines: number("new_lines", but('-'))?,
                lines,
            }
        }
    })
}

fn text_bytes(content: &EditorContent) -> usize {
    match content {
        EditorContent::View { content, .. } => content.len(),
        EditorContent::StrReplace { lines, .. } => lines.iter().map(String::len).sum(),
        EditorContent::Create { .. } | EditorContent::Error { .. } | EditorContent::Raw(_) => 0,
    }
}

/// The lines of a change that is all of the file.
fn replaced(input: &Value) -> Vec<String> {
    let marked = |key: &str, mark: char| {
        let text = input[key].as_str().unwrap_or_default();
        text.lines()
            .map(|line| format!("{mark}{line}"))
            .collect::<Vec<_>>()
    };
    [marked("old_str", '-'), marked("new_str", '+')].concat()
}

/// As the editor counts: what follows the last newline is a line, too.
fn count_lines(text: &str) -> u64 {
    u64::try_from(text.split('\n').count()).unwrap_or(u64::MAX)
}

/// Whether a path stays where it begins.
pub(super) fn inside(path: &str) -> Result<(), BadResult> {
    let parts = Path::new(path).components();
    let stays = parts
        .clone()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays && parts.count() > 0 {
        return Ok(());
    }
    Err(BadResult::Outside(path.to_owned()))
}

/// The name that a path gives its file.
pub(super) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
