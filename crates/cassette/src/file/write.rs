//! Writing a cassette while it is recorded: after every exchange the file is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::place::{failed, is_there, put_body, remove_bodies, replace, starts_as_cassette};
use super::recording::Recording;
use super::{CassetteError, Timing, blobs, raw, timing};
use crate::body::INLINE_BYTES;
use crate::{About, Body, End, Exchange, Part, VERSION, to_yaml};
use common::ids::hex;
use common::private;

/// A cassette that is being recorded.
#[derive(Debug, Default)]
pub struct Writer {
    path: PathBuf,
    head: String,
    /// By the order of their requests: the text, and the times.
    exchanges: BTreeMap<u64, (String, Timing)>,
    /// Held for as long as the file is written. Without it nothing lies beside the file, and there is none.
    recording: Option<Recording>,
    /// Bodies of a cassette that is there still, until the first exchange is written in its place.
    replaces: bool,
    /// Whether the service has answered any of them. Until then nothing of it is known that would be worth a file.
    answered: bool,
    /// The file has exchanges that are no longer wanted.
    outdated: bool,
    /// Exchanges that could not be written yet, such as on a full disk. The file is whole without them.
    waiting: usize,
}

/// The text of a cassette that is no file: large bodies are in it.
pub fn text(about: &About, exchanges: &[Exchange]) -> Result<String, CassetteError> {
    let writer = Writer::default();
    let items: Vec<String> = exchanges
        .iter()
        .map(|exchange| writer.render(exchange))
        .collect::<Result<_, _>>()?;
    let list = if items.is_empty() {
        "exchanges: []\n"
    } else {
        "exchanges:\n"
    };
    Ok(head(about) + list + &items.concat())
}

/// Whether a cassette is there that a new one may replace, and nothing else is.
fn may_replace(path: &Path) -> Result<bool, CassetteError> {
    let was_there = is_there(path, "cassette", starts_as_cassette)?;
    is_there(&timing(path), "list of times", |old| {
        serde_json::from_slice::<Vec<Timing>>(old).is_ok()
    })?;
    Ok(was_there)
}

impl Writer {
    /// Begins a cassette, in place of one that is there. Any other file is left alone, and so is that one until an
    /// exchange was recorded that the service has answered: who records nothing, because nothing could be started or
    /// reached, loses nothing.
    pub fn create(path: &Path, about: &About) -> Result<Self, CassetteError> {
        if let Some(folder) = path.parent() {
            private::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        }
        let replaces = may_replace(path)?;
        Ok(Self {
            path: path.to_owned(),
            head: head(about),
            recording: Some(Recording::begin(path)?),
            replaces,
            ..Self::default()
        })
    }

    /// Checks a path as [`Self::create`] does, without a change.
    pub fn may_create(path: &Path) -> Result<(), CassetteError> {
        may_replace(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        private::may_add_to(folder).map_err(|source| failed(folder, source))
    }

    /// Goes on with a cassette that is there, or begins one. What the service did not answer is asked anew.
    pub fn open(path: &Path, about: &About) -> Result<Self, CassetteError> {
        if !path.exists() {
            return Self::create(path, about);
        }
        let recording = Recording::begin(path)?;
        let known = super::load(path)?;
        for path in [path, &timing(path), &blobs(path)] {
            match private::tighten(path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(path, source));
                }
                _ => {}
            }
        }
        let mut writer = Self {
            path: path.to_owned(),
            head: head(&known.about),
            recording: Some(recording),
            ..Self::default()
        };
        let answered = known.exchanges.iter().filter(|one| one.is_answered());
        for (order, exchange) in (0..).zip(answered) {
            let text = writer.render(exchange)?;
            let timing = exchange.timing.clone().unwrap_or_default();
            writer.exchanges.insert(order, (text, timing));
        }
        writer.answered = !writer.exchanges.is_empty();
        writer.outdated = writer.exchanges.len() < known.exchanges.len();
        Ok(writer)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many exchanges are in the file.
    pub fn len(&self) -> usize {
        self.exchanges.len() - self.waiting
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many exchanges could not be written yet, or need not be.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The order of an exchange that begins after all that are there.
    pub fn next_order(&self) -> u64 {
        self.exchanges
            .last_key_value()
            .map_or(0, |(order, _)| order + 1)
    }

    /// Adds an exchange whose request was the `order`th. One that cannot be written waits for the next one, or
    /// for [`Self::flush`]; so do those before the first that the service has answered.
    pub fn put(&mut self, order: u64, exchange: &Exchange) -> Result<(), CassetteError> {
        let text = self.render(exchange)?;
        let last = order >= self.next_order();
        let timing = exchange.timing.clone().unwrap_or_default();
        self.exchanges.insert(order, (text.clone(), timing));
        self.answered |= exchange.is_answered();
        let appends = last && self.exchanges.len() > 1 && self.waiting == 0 && !self.outdated;
        self.waiting += 1;
        if !appends {
            return self.flush();
        }
        self.append(text.as_bytes())
            .map_err(|source| failed(&self.path, source))?;
        self.waiting = 0;
        self.write_timing()
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> Result<(), CassetteError> {
        if !self.answered {
            return Ok(());
        }
        if self.waiting > 0 {
            self.write_all()?;
            self.waiting = 0;
            self.outdated = false;
        }
        if std::mem::take(&mut self.replaces) {
            let is_ours = |name: &str| self.exchanges.values().any(|(text, _)| text.contains(name));
            remove_bodies(&blobs(&self.path), is_ours)
                .map_err(|source| failed(&blobs(&self.path), source))?;
        }
        Ok(())
    }

    /// All of the bytes at the end of the file, or none, be this process killed meanwhile.
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::options().append(true).open(&self.path)?;
        let before = file.metadata()?.len();
        if let Some(recording) = &self.recording {
            recording.adding(before)?;
        }
        file.write_all(bytes).inspect_err(|_| {
            if let Err(error) = file.set_len(before) {
                tracing::error!(%error, path = %self.path.display(), "half an exchange is left in the cassette");
            }
        })?;
        self.recording.as_ref().map_or(Ok(()), Recording::added)
    }

    fn write_all(&self) -> Result<(), CassetteError> {
        let mut text = self.head.clone();
        if self.exchanges.is_empty() {
            text.push_str("exchanges: []\n");
        } else {
            text.push_str("exchanges:\n");
        }
        text.extend(self.exchanges.values().map(|(text, _)| text.as_str()));
        replace(&self.path, text.as_bytes())?;
        self.write_timing()
    }

    fn write_timing(&self) -> Result<(), CassetteError> {
        let times: Vec<&Timing> = self.exchanges.values().map(|(_, timing)| timing).collect();
        let path = timing(&self.path);
        if times.iter().all(|timing| **timing == Timing::default()) {
            return match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    Err(failed(&path, source))
                }
                _ => Ok(()),
            };
        }
        // A line each.
        let lines: Vec<String> = times
            .iter()
            .map(|timing| serde_json::to_string(timing).expect("times are plain JSON"))
            .collect();
        replace(&path, format!("[\n{}\n]\n", lines.join(",\n")).as_bytes())
    }

    /// The exchange as an item of the list; what it says is read again before it counts.
    fn render(&self, exchange: &Exchange) -> Result<String, CassetteError> {
        let text = item(&self.tree(exchange, false)?);
        let again = format!("cassette: {VERSION}\nexchanges:\n{text}");
        let read = raw::read("", &again).and_then(|raw| raw.meant("", &blobs(&self.path)));
        if read.is_ok_and(|read| item_again(&self.tree_of(&read.exchanges)) == Some(text.as_str()))
        {
            return Ok(text);
        }
        // A number that YAML reads as another one: the body as text is exact.
        Ok(item(&self.tree(exchange, true)?))
    }

    fn tree_of(&self, exchanges: &[Exchange]) -> Vec<String> {
        exchanges
            .iter()
            .filter_map(|exchange| self.tree(exchange, false).ok())
            .map(|tree| item(&tree))
            .collect()
    }

    fn tree(&self, exchange: &Exchange, as_text: bool) -> Result<Value, CassetteError> {
        let mut tree = Map::new();
        if let Some(request) = &exchange.request {
            let mut map = Map::new();
            map.insert("method".to_owned(), json!(request.method));
            map.insert("path".to_owned(), json!(request.path));
            if let Some(query) = &request.query {
                map.insert("query".to_owned(), json!(query));
            }
            put_headers(&mut map, &request.headers);
            self.put_body(&mut map, &request.body, as_text)?;
            tree.insert("request".to_owned(), Value::Object(map));
        }
        let response = &exchange.response;
        let mut map = Map::new();
        if response.status != 0 {
            map.insert("status".to_owned(), json!(response.status));
        }
        put_headers(&mut map, &response.headers);
        self.put_body(&mut map, &response.body, as_text)?;
        let ended = match &response.end {
            End::Complete => None,
            End::ClientLeft => Some(raw::CLIENT_LEFT.to_owned()),
            End::UpstreamBroke(why) => Some(format!("{}{why}", raw::BROKE)),
        };
        if let Some(ended) = ended {
            map.insert("ended".to_owned(), Value::String(ended));
        }
        tree.insert("response".to_owned(), Value::Object(map));
        Ok(Value::Object(tree))
    }

    fn put_body(
        &self,
        map: &mut Map<String, Value>,
        body: &Body,
        as_text: bool,
    ) -> Result<(), CassetteError> {
        if *body != Body::Empty {
            map.insert("body".to_owned(), self.body(body, as_text)?);
        }
        Ok(())
    }

    fn body(&self, body: &Body, as_text: bool) -> Result<Value, CassetteError> {
        Ok(match body {
            Body::Empty => json!({}),
            Body::Json(value) if as_text => json!({ "text": value.to_string() }),
            Body::Json(value) => json!({ "json": value }),
            Body::Text(text) if text.starts_with("event:") => json!({ "stream": text }),
            Body::Text(text) if self.recording.is_none() || text.len() <= INLINE_BYTES => {
                json!({ "text": text })
            }
            Body::Text(text) => self.blob(&Bytes::from(text.clone()))?,
            Body::Bytes(bytes) if self.recording.is_none() || bytes.len() <= INLINE_BYTES => {
                json!({ "base64": STANDARD.encode(bytes) })
            }
            Body::Bytes(bytes) => self.blob(bytes)?,
            Body::Blob(blob) => {
                let folder = blobs(&self.path);
                if blob.folder != folder {
                    let path = folder.join(&blob.sha256);
                    private::create_dir_all(&folder)
                        .and_then(|()| put_body(&path, &mut fs::File::open(blob.path())?))
                        .map_err(|source| failed(&path, source))?;
                }
                json!({ "blob": { "sha256": blob.sha256, "size_bytes": blob.size_bytes } })
            }
            Body::Form(parts) => {
                let parts: Result<Vec<Value>, _> =
                    parts.iter().map(|part| self.part(part)).collect();
                json!({ "form": parts? })
            }
            Body::Missing(why) => json!({ "missing": why }),
        })
    }

    fn part(&self, part: &Part) -> Result<Value, CassetteError> {
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(part.name));
        if let Some(filename) = &part.filename {
            map.insert("filename".to_owned(), json!(filename));
        }
        if let Some(content_type) = &part.content_type {
            map.insert("content_type".to_owned(), json!(content_type));
        }
        self.put_body(&mut map, &part.body, false)?;
        Ok(Value::Object(map))
    }

    /// Puts bytes beside the cassette.
    fn blob(&self, bytes: &Bytes) -> Result<Value, CassetteError> {
        let folder = blobs(&self.path);
        let sha256 = hex(&Sha256::digest(bytes));
        let path = folder.join(&sha256);
        private::create_dir_all(&folder)
            .and_then(|()| put_body(&path, &mut bytes.as_ref()))
            .map_err(|source| failed(&path, source))?;
        Ok(json!({ "blob": { "sha256": sha256, "size_bytes": bytes.len() } }))
    }
}

fn put_headers(map: &mut Map<String, Value>, headers: &[(String, String)]) {
    if headers.is_empty() {
        return;
    }
    let mut joined: Map<String, Value> = Map::new();
    for (name, value) in headers {
        match joined.get_mut(name) {
            Some(Value::String(values)) => {
                values.push_str(", ");
                values.push_str(value);
            }
            _ => {
                joined.insert(name.clone(), json!(value));
            }
        }
    }
    map.insert("headers".to_owned(), Value::Object(joined));
}

fn head(about: &About) -> String {
    let mut map = Map::new();
    map.insert("cassette".to_owned(), json!(VERSION));
    let texts = [
        ("recorded_at", &about.recorded_at),
        ("upstream", &about.upstream),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            map.insert(key.to_owned(), json!(text));
        }
    }
    let lists = [
        ("ignore", &about.ignore),
        ("redact", &about.redact),
        ("notes", &about.notes),
    ];
    for (key, list) in lists {
        if !list.is_empty() {
            map.insert(key.to_owned(), json!(list));
        }
    }
    to_yaml(&Value::Object(map))
}

/// A tree as an item of the list of exchanges.
fn item(tree: &Value) -> String {
    to_yaml(&Value::Array(vec![tree.clone()]))
}

fn item_again(items: &[String]) -> Option<&str> {
    match items {
        [only] => Some(only),
        _ => None,
    }
}
