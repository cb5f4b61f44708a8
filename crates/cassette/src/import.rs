//! Others' recordings as cassettes. What a recording lacks is said in its notes, and never guessed.

mod aimock;
mod bare;
mod decoded;
mod form;
mod har;
mod hollow;
mod http;
mod kept;
mod notes;
mod packed;
mod replaced;
mod tagged;
mod vcr;

use std::borrow::Cow;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{About, Cassette, End, Exchange, Redactor, Response, is_status, redact};
use common::hinted::Hinted;
use common::json;
pub use hollow::hollow;
use notes::Notes;
pub use notes::REPLACED;

/// Largest recording that is read.
const MAX_IMPORT_BYTES: u64 = 256 * 1024 * 1024;

/// Extensions that a folder is searched for, packed with gzip (`.yaml.gz`) or not.
const EXTENSIONS: [&str; 8] = [
    "yaml", "yml", "json", "har", "txt", "sse", "jsonl", "ndjson",
];

const KNOWN: &str = "VCR cassettes (YAML or JSON), HAR, aimock fixtures, and bare JSON or event-stream bodies are taken; `sandtable docs import` describes each";

/// Why a recording was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{name}: {reason}")]
    Unknown {
        name: String,
        reason: String,
        hint: &'static str,
    },
    #[error("{name}: {lack}")]
    Hollow { name: String, lack: String },
    #[error("there is no recording in {}", .0.display())]
    Nothing(PathBuf),
}

impl Hinted for ImportError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Read { .. } => None,
            Self::Unknown { hint, .. } => Some((*hint).into()),
            Self::Hollow { .. } => Some(
                "the cassette was written, and cannot replay this; import what the recorder kept whole, or record it again"
                    .into(),
            ),
            Self::Nothing(_) => Some(KNOWN.into()),
        }
    }
}

/// The contents of one file, as an importer found them.
#[derive(Debug, Default)]
struct Draft {
    exchanges: Vec<Exchange>,
    recorded_at: Option<String>,
    upstream: Option<String>,
    notes: Notes,
    /// Keys, cookies, and ids of organizations that were among the headers.
    secrets: Vec<String>,
}

impl Draft {
    /// Some recorders write exchanges in another order than that in which they were made.
    fn in_order<T>(&mut self, list: &mut [T], time: impl Fn(&T) -> Option<DateTime<Utc>>) {
        let known = list.iter().all(|it| time(it).is_some());
        if known && !list.is_sorted_by_key(&time) {
            list.sort_by_key(&time);
            self.notes
                .general("the exchanges are in the order of their times, which is not the file's");
        }
    }
}

/// Why a text is not of the kind it seemed to be.
#[derive(Debug)]
struct Wrong {
    reason: String,
    hint: &'static str,
}

impl Wrong {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: KNOWN,
        }
    }

    /// The exchange `at`, counted from 0, has something else in place of a status.
    fn status(at: usize, told: &impl Display) -> Self {
        Self::new(format!(
            "exchange {} has `{told}`, which is no HTTP status",
            at + 1
        ))
    }
}

/// Takes the recordings of a file, or of a folder and the folders in it, in the order of their names.
pub fn import(path: &Path) -> Result<Vec<Cassette>, ImportError> {
    find(path)?.iter().map(|path| import_file(path)).collect()
}

/// The file, or the files below a folder that may be recordings.
pub fn find(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let failed = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    walk(path, &mut found).map_err(failed)?;
    found.sort();
    if found.is_empty() {
        return Err(ImportError::Nothing(path.to_owned()));
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, found)?;
        } else if unpacked_name(&path)
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// A file's name without `.gz`.
fn unpacked_name(path: &Path) -> PathBuf {
    let is_packed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    if is_packed {
        path.with_extension("")
    } else {
        path.to_owned()
    }
}

/// The name of a recording: its file's name without the extensions.
pub fn stem(path: &Path) -> String {
    unpacked_name(path)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Whether requests to this path upload files, as forms.
fn takes_files(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path == "/v1/files"
        || path == "/v1/skills"
        || (path.starts_with("/v1/skills/") && path.ends_with("/versions"))
}

/// Takes one recording.
pub fn import_file(path: &Path) -> Result<Cassette, ImportError> {
    let failed = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_IMPORT_BYTES {
        return Err(ImportError::Unknown {
            name: path.display().to_string(),
            reason: format!("it has {size} bytes, and {MAX_IMPORT_BYTES} are the most"),
            hint: "split it",
        });
    }
    let bytes = common::input::read(path, MAX_IMPORT_BYTES).map_err(failed)?;
    let mut cassette = parse(&path.display().to_string(), &bytes)?;
    cassette.name = stem(path);
    Ok(cassette)
}

/// Takes the recording `bytes` that came as `name`.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Cassette, ImportError> {
    let unknown = |wrong: Wrong| ImportError::Unknown {
        name: name.to_owned(),
        reason: wrong.reason,
        hint: wrong.hint,
    };
    let bytes = packed::unpacked(bytes).map_err(unknown)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| unknown(Wrong::new("it is no text")))?
        .trim_start_matches('\u{feff}');
    let mut draft = recognise(text).map_err(unknown)?;
    if draft.exchanges.is_empty() {
        return Err(unknown(Wrong::new(
            "it has no exchange with the API: no path with /v1/",
        )));
    }
    let total = draft.exchanges.len();
    for Exchange { request, .. } in &draft.exchanges {
        let body = request.as_ref().map(|request| &request.body);
        let told = body.map(redact::told_by_body).transpose();
        let told = told.map_err(|error| unknown(Wrong::new(error.to_string())))?;
        draft.secrets.extend(told.into_iter().flatten());
    }
    let redactor = Redactor::default().with_known(draft.secrets.iter().map(String::as_str));
    let mut exchanges = Vec::with_capacity(total);
    let mut replaced = Notes::default();
    for (at, exchange) in draft.exchanges.into_iter().enumerate() {
        let Response { status, end, .. } = &exchange.response;
        if !is_status(*status) && (*status != 0 || *end == End::Complete) {
            return Err(unknown(Wrong::status(at, status)));
        }
        let clean = redactor
            .exchange(exchange.clone())
            .map_err(|error| unknown(Wrong::new(error.to_string())))?;
        replaced::note(&mut replaced, at, &exchange, &clean);
        exchanges.push(clean);
    }
    let mut notes = draft.notes.into_lines("", total);
    notes.extend(replaced.into_lines(REPLACED, total));
    Ok(Cassette {
        name: name.to_owned(),
        about: About {
            recorded_at: draft.recorded_at,
            upstream: draft.upstream,
            notes: notes
                .iter()
                .map(|note| redactor.text(note).into_owned())
                .collect(),
            ..About::default()
        },
        exchanges,
    })
}

fn recognise(text: &str) -> Result<Draft, Wrong> {
    let start = text.trim_start();
    if start.starts_with(['{', '[']) {
        return match json::wrapped_text::<Value>(text) {
            Ok(value) => of_json(text, &value),
            Err(error) => bare::of_lines(text)
                .ok_or_else(|| Wrong::new(format!("it is neither JSON ({error}) nor lines of it"))),
        };
    }
    if start.starts_with("event:") || start.starts_with("data:") || start.starts_with(':') {
        return bare::of_stream(text);
    }
    if start.is_empty() {
        return Err(Wrong::new("it is empty"));
    }
    if start.contains("[[interactions]]") && start.contains("body_type = ") {
        return Err(Wrong {
            reason: "it is a cassette of cassetter in TOML".to_owned(),
            hint: "`cassetter convert FILE.toml FILE.yaml` makes the YAML that is taken",
        });
    }
    let value = tagged::read(text)?;
    vcr::of_value(&value)?.ok_or_else(|| {
        if value.get("cassette").is_some() {
            Wrong {
                reason: "it is a cassette already".to_owned(),
                hint: "`sandtable replay` takes it as it is",
            }
        } else {
            Wrong::new("it is YAML, but neither `interactions` nor `http_interactions` is in it, nor `requests` and `responses`")
        }
    })
}

fn of_json(text: &str, value: &Value) -> Result<Draft, Wrong> {
    if let Some(draft) = vcr::of_value(value)? {
        return Ok(draft);
    }
    if let Some(entries) = value["log"]["entries"].as_array() {
        return har::of_entries(entries);
    }
    if let Some(fixtures) = aimock::fixtures(value) {
        return Ok(aimock::of_fixtures(fixtures));
    }
    if let Some(list) = decoded::list(value) {
        return Ok(decoded::of_list(list));
    }
    bare::of_json(text, value)
}

#[cfg(test)]
mod tests;
