//! The state of a workspace as one document: read with the path of every mistake, and written.
//!
//! The document is what `docs/STATE.md` describes. Where it goes and where it comes from is `control`'s
//! business and the workspaces'; what it must hold is decided here.

mod batches;
mod containers;
mod files;
mod reader;
mod rules;
mod skills;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use control_api::Restored;
use serde_json::{Value, json};

use common::clock::{self, rfc3339_micros};
use common::document::{self, Position};
use common::hinted::{self, Hinted, Place};
use common::limits;
use reader::{Node, Sink};
use store::Contents;

pub use batches::write as batch;
pub use containers::write as container;
pub use files::write as file;
pub use rules::{Rules, write_quirks as quirks};
pub use skills::{write as skill, write_version as skill_version};

/// The version of the document's format.
pub const VERSION: u64 = 1;
/// Where it is explained.
pub const HINT: &str = "`sandtable docs state` shows what a state holds";

const MEMBERS: [&str; 10] = [
    "version",
    "clock",
    "files",
    "skills",
    "containers",
    "batches",
    "scripts",
    "faults",
    "quirks",
    "rate_limits",
];

/// A document without a mistake.
#[derive(Debug, Clone)]
pub struct Document {
    value: Value,
    rules: Rules,
}

/// The content of a document for one workspace.
#[derive(Debug, Default)]
struct State {
    /// For the store.
    contents: Contents,
    /// For the workspace itself.
    rules: Rules,
}

/// Why a document is refused: every mistake, in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    found: Vec<Mistake>,
    is_too_large: bool,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    /// Such as `files[0].filename`; empty for the document as a whole.
    pub path: String,
    pub message: String,
    pub hint: String,
}

/// Most mistakes that are told.
const MOST_TOLD: usize = 50;

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.found.iter().take(MOST_TOLD).enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&hinted::listed(mistake))?;
        }
        match self.found.len().saturating_sub(MOST_TOLD) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl Hinted for Mistake {
    fn hint(&self) -> Option<Cow<'_, str>> {
        (!self.hint.is_empty()).then_some(Cow::Borrowed(&self.hint))
    }

    fn place(&self) -> Option<Place<'_>> {
        (!self.path.is_empty()).then_some(Place::whole(&self.path))
    }
}

/// Why the state of a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("{}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the state has mistakes\n{}", of_file(path, mistakes))]
    Mistakes { path: PathBuf, mistakes: Mistakes },
}

impl Hinted for StateError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Read { .. } => "`--state` takes a JSON or YAML file",
            Self::Mistakes { .. } => HINT,
        }))
    }
}

/// Each line with the file's name.
fn of_file(path: &Path, mistakes: &Mistakes) -> String {
    let lines = mistakes.to_string();
    let lines = lines.lines();
    let lines: Vec<_> = lines
        .map(|line| format!("{}: {line}", path.display()))
        .collect();
    lines.join("\n")
}

impl Mistakes {
    fn one(message: String, hint: &str) -> Self {
        Self {
            found: vec![Mistake {
                path: String::new(),
                message,
                hint: hint.to_owned(),
            }],
            is_too_large: false,
        }
    }

    fn of_size(message: String, hint: &str) -> Self {
        Self {
            is_too_large: true,
            ..Self::one(message, hint)
        }
    }

    /// Whether the document was not read for its size.
    pub fn is_too_large(&self) -> bool {
        self.is_too_large
    }
}

impl Document {
    /// Reads JSON or YAML and checks all of it. `quota_bytes` is what the files may take together.
    pub fn parse(text: &[u8], quota_bytes: u64) -> Result<Self, Mistakes> {
        if text.len() > limits::MAX_STATE_BYTES {
            return Err(too_large());
        }
        let value = value(text)?;
        let State { rules, .. } = read_all(&value, "", clock::State::default(), quota_bytes)?;
        Ok(Self { value, rules })
    }

    /// Reads a file; the mistakes name it.
    pub fn load(path: &Path, quota_bytes: u64) -> Result<Self, StateError> {
        let inside = |mistakes| StateError::Mistakes {
            path: path.to_owned(),
            mistakes,
        };
        let failed = |source| StateError::Read {
            path: path.to_owned(),
            source,
        };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > limits::MAX_STATE_BYTES as u64 {
            return Err(inside(too_large()));
        }
        let text = common::input::read(path, limits::MAX_STATE_BYTES as u64).map_err(failed)?;
        Self::parse(&text, quota_bytes).map_err(inside)
    }

    /// The contents of a workspace from now on; its clock begins at `beginning` where the document has none.
    pub fn contents(&self, workspace: &str, beginning: clock::State) -> Contents {
        read_all(&self.value, workspace, beginning, u64::MAX)
            .expect("it was read before, and no mistake depends on the workspace or the time")
            .contents
    }

    /// The clock of a workspace from now on: the document's, or `beginning` where it has none.
    pub fn begins(&self, beginning: clock::State) -> clock::State {
        let value = self.value.get("clock");
        value.map_or(beginning, |value| {
            let path = "clock".to_owned();
            read_clock(&Sink::default(), &Node { path, value })
        })
    }

    /// The rules to lay over the server's own.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// How much it holds.
pub fn counts(contents: &Contents) -> Restored {
    Restored {
        files: contents.files.len() as u64,
        skills: contents.skills.len() as u64,
        containers: contents.containers.len() as u64,
        batches: contents.batches.len() as u64,
    }
}

fn read_all(
    value: &Value,
    workspace: &str,
    beginning: clock::State,
    quota_bytes: u64,
) -> Result<State, Mistakes> {
    let sink = Sink::default();
    let state = read(&sink, value, workspace, beginning);
    let contents = &state.contents.files;
    let bytes: u64 = contents.iter().map(|file| file.content.len() as u64).sum();
    if bytes > quota_bytes {
        sink.add(
            "files",
            format!("they hold {bytes} bytes, and a workspace may hold {quota_bytes}"),
            "`--storage-quota` sets what it may hold",
        );
    }
    match sink.into_found() {
        found if found.is_empty() => Ok(state),
        found => Err(Mistakes {
            found,
            is_too_large: false,
        }),
    }
}

fn too_large() -> Mistakes {
    Mistakes::of_size(
        format!(
            "the state is larger than {} MiB",
            limits::MAX_STATE_BYTES / 1024 / 1024
        ),
        "upload large files through the Files API instead",
    )
}

fn value(text: &[u8]) -> Result<Value, Mistakes> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        match document::json(text) {
            Ok(value) => return Ok(value),
            // A YAML flow map begins so as well.
            Err(error) => {
                return std::str::from_utf8(text)
                    .ok()
                    .filter(|_| text.len() <= limits::MAX_STATE_YAML_BYTES)
                    .and_then(|text| serde_saphyr::from_str(text).ok())
                    .ok_or_else(|| Mistakes::one(format!("the state {error}"), HINT));
            }
        }
    }
    let bad =
        |error: String| Mistakes::one(format!("the state is neither JSON nor YAML: {error}"), HINT);
    if text.len() > limits::MAX_STATE_YAML_BYTES {
        return Err(Mistakes::of_size(
            format!(
                "a state in YAML may have {} MiB",
                limits::MAX_STATE_YAML_BYTES / 1024 / 1024
            ),
            "write it as JSON",
        ));
    }
    let text = std::str::from_utf8(text).map_err(|error| bad(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| {
        let (Position { line, column }, message) = document::misread(&error);
        bad(format!("line {line}, column {column}: {message}"))
    })
}

fn read(sink: &Sink, value: &Value, workspace: &str, beginning: clock::State) -> State {
    let root = Node::root(value);
    let Some(members) = root.object(sink, &MEMBERS) else {
        return State::default();
    };
    if let Some(version) = members.number(sink, "version")
        && version.to_string() != VERSION.to_string()
    {
        sink.add(
            "version",
            format!("this sandtable reads version {VERSION}, not {version}"),
            "leave it out, or take a newer sandtable",
        );
    }
    let clock = members
        .get("clock")
        .map_or(beginning, |node| read_clock(sink, &node));
    let now = clock.now();
    let mut contents = Contents {
        clock,
        ..Contents::default()
    };
    contents.files = files::read(sink, &members, workspace, now);
    contents.skills = skills::read(sink, &members, now);
    contents.containers = containers::read(sink, &members, workspace, now, &contents);
    contents.batches = batches::read(sink, &members, workspace, now);
    let rules = rules::read(sink, &members);
    State { contents, rules }
}

fn read_clock(sink: &Sink, node: &Node<'_>) -> clock::State {
    let Some(members) = node.object(sink, &["now", "frozen"]) else {
        return clock::State::default();
    };
    let now = members.time(sink, "now").filter(|now| {
        if *now > clock::LAST {
            let last = rfc3339_micros(clock::LAST);
            sink.add(
                &members.at("now"),
                format!("the clock goes to {last} and no further"),
                "",
            );
        }
        *now <= clock::LAST
    });
    let frozen = members.flag(sink, "frozen").unwrap_or(false);
    if now.is_none() && !frozen {
        return clock::State::default();
    }
    clock::State::at(now, frozen)
}

/// The clock's part of a document.
pub fn clock(state: clock::State) -> Value {
    json!({
        "now": rfc3339_micros(state.now()),
        "frozen": state.frozen_at.is_some(),
    })
}

/// Adds `name` if there is something to say.
fn put_time(to: &mut Value, name: &str, time: Option<DateTime<Utc>>) {
    if let Some(time) = time {
        to[name] = rfc3339_micros(time).into();
    }
}

/// Text where the bytes are text, else base64.
fn put_content(to: &mut Value, name: &str, content: Vec<u8>) {
    use base64::Engine as _;
    match String::from_utf8(content) {
        Ok(text) => to[name] = text.into(),
        Err(bytes) => {
            let text = base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes());
            to[format!("{name}_base64")] = text.into();
        }
    }
}
