//! Cassettes on disk: `NAME.yaml`, large bodies in `NAME.blobs/`, times in `NAME.timing.json`.

mod index;
mod place;
mod raw;
mod recording;
mod write;

use std::borrow::Cow;
use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Cassette;
use common::hinted::Hinted;
use common::input::Named;
use common::limits;
use common::work;
use index::Index;
use raw::RawCassette;

pub use write::{Writer, text};

/// Larger bodies lie beside it.
const MAX_BYTES: u64 = limits::MAX_CASSETTE_BYTES as u64;

/// When an exchange happened, and what else differs from one recording to the next. Kept apart, so
/// that recording again gives a small diff.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// From the recording's first request to this one, in milliseconds.
    pub started_ms: u64,
    /// From the request to the answer's head, in milliseconds.
    pub head_ms: u64,
    /// Pieces of the body as they came: milliseconds after the head, and bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<(u64, usize)>,
    /// Headers of the answer that say when and where it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// Why a cassette was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is there and is no {kind}, so it is not overwritten", path.display())]
    Foreign { path: PathBuf, kind: &'static str },
    #[error("somebody else records into {}", .0.display())]
    Recorded(PathBuf),
    #[error("{name} is no cassette: {reason}")]
    Format {
        name: String,
        #[source]
        reason: Box<dyn Error + Send + Sync>,
        hint: &'static str,
    },
    #[error("there is no cassette in {}", .0.display())]
    Nothing(PathBuf),
}

/// Whether many cassettes may leave an index in the user's cache, so that they are read sooner the next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexing {
    /// One that is there is used, and none is written.
    Used,
    Kept,
}

impl Hinted for CassetteError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Read { source, .. } => {
                let is_missing = source.kind() == std::io::ErrorKind::NotFound;
                is_missing.then(|| "is the path right?".into())
            }
            Self::Write { source, .. } => {
                let is_file = [
                    std::io::ErrorKind::AlreadyExists,
                    std::io::ErrorKind::NotADirectory,
                ]
                .contains(&source.kind());
                is_file.then(|| "it is a file, where a folder is needed: a cassette's own name ends in `.yaml`".into())
            }
            Self::Foreign { .. } => Some("name another file, or remove it".into()),
            Self::Recorded(_) => Some(
                "each recorder needs a cassette of its own: another server, or another workspace of this one, has it".into(),
            ),
            Self::Format { hint, .. } => Some((*hint).into()),
            Self::Nothing(_) => Some(
                "`sandtable record` makes them, `sandtable import` takes others' recordings".into(),
            ),
        }
    }
}

/// Reads the cassettes of files, and of folders and the folders in them in the order of their names: each once, at
/// its first place.
pub fn load_all(
    paths: &[impl AsRef<Path>],
    indexing: Indexing,
) -> Result<Vec<Cassette>, CassetteError> {
    let mut named = Named::default();
    let mut all = Vec::new();
    for path in paths {
        all.extend(load_of(path.as_ref(), &mut named, indexing)?);
    }
    Ok(all)
}

/// The cassettes of one file or folder that were not named before.
fn load_of(
    path: &Path,
    named: &mut Named,
    indexing: Indexing,
) -> Result<Vec<Cassette>, CassetteError> {
    let failed = |source| CassetteError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        let new = named.is_new(path).then(|| load(path));
        return new.into_iter().collect();
    }
    let mut found = Vec::new();
    find(path, &mut found).map_err(failed)?;
    if found.is_empty() {
        return Err(CassetteError::Nothing(path.to_owned()));
    }
    found.sort();
    // There may be ten thousand: their folder is resolved once, and each that is a link by itself.
    let real = path.canonicalize().map_err(failed)?;
    found.retain(|file| match file.path.strip_prefix(path) {
        Ok(below) if !file.is_link => named.is_new_real(real.join(below)),
        Ok(_) | Err(_) => named.is_new(&file.path),
    });
    let found: Vec<PathBuf> = found.into_iter().map(|file| file.path).collect();
    if let Some(index) = (found.len() >= index::MANY)
        .then(|| Index::of(path))
        .flatten()
    {
        return load_indexed(path, found, &index, indexing);
    }
    // Reading is parsing: it takes as many threads as there are processors.
    work::spread(found, |path| load(&path))
        .into_iter()
        .collect()
}

/// The same, of files of which an index knows some.
fn load_indexed(
    folder: &Path,
    files: Vec<PathBuf>,
    index: &Index,
    indexing: Indexing,
) -> Result<Vec<Cassette>, CassetteError> {
    let loaded = work::spread(files, |path| {
        let Some(name) = index::name(folder, &path) else {
            return load(&path).map(|cassette| (cassette, None));
        };
        if let Some(raw) = index.get(&name, &path) {
            return Ok((finish(&path, raw)?, Some((name, None))));
        }
        let stamp = index::stamp_of(&path);
        let raw = read(&path)?;
        let line = index.line(&path, stamp, &raw);
        Ok((finish(&path, raw)?, Some((name, line))))
    });
    let loaded: Vec<_> = loaded.into_iter().collect::<Result<_, CassetteError>>()?;
    let (cassettes, files): (Vec<_>, Vec<_>) = loaded.into_iter().unzip();
    if indexing == Indexing::Kept {
        index.keep(&files.into_iter().flatten().collect::<Vec<_>>());
    }
    Ok(cassettes)
}

/// A file of a folder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    path: PathBuf,
    is_link: bool,
}

fn find(folder: &Path, found: &mut Vec<Found>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if path
                .extension()
                .is_none_or(|extension| extension != "blobs")
            {
                find(&path, found)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            let is_link = kind.is_symlink();
            found.push(Found { path, is_link });
        }
    }
    Ok(())
}

/// Reads one cassette.
pub fn load(path: &Path) -> Result<Cassette, CassetteError> {
    finish(path, read(path)?)
}

/// As it is written.
fn read(path: &Path) -> Result<RawCassette, CassetteError> {
    let failed = |source| CassetteError::Read {
        path: path.to_owned(),
        source,
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(CassetteError::Format {
            name: path.display().to_string(),
            reason: format!("it has {size} bytes, and {MAX_BYTES} are the most").into(),
            hint: "record into several cassettes",
        });
    }
    let text = match recording::whole(path) {
        Some(length) => {
            let name = path.display();
            tracing::warn!(path = %name, "a recorder that writes, or was killed, has left half an exchange: the others are read");
            whole_text(path, length)
        }
        None => common::input::read_text(path, MAX_BYTES),
    };
    let text = text.map_err(failed)?;
    raw::read(&path.display().to_string(), &text)
}

/// The beginning of a cassette that ends in half an exchange.
fn whole_text(path: &Path, length: u64) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(length)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// The cassette of a file, with its times, and with its large bodies where they lie.
fn finish(path: &Path, raw: RawCassette) -> Result<Cassette, CassetteError> {
    let mut cassette = raw.meant(&path.display().to_string(), &blobs(path))?;
    cassette.name = stem(path);
    let timing = timing(path);
    if timing.exists() {
        let text =
            common::input::read_text(&timing, MAX_BYTES).map_err(|source| CassetteError::Read {
                path: timing.clone(),
                source,
            })?;
        let times: Vec<Timing> =
            serde_json::from_str(&text).map_err(|error| CassetteError::Format {
                name: timing.display().to_string(),
                reason: error.into(),
                hint: "delete it: the cassette then replays without its times",
            })?;
        // After an edit of the cassette nobody knows what belongs to what.
        if times.len() == cassette.exchanges.len() {
            for (exchange, timing) in cassette.exchanges.iter_mut().zip(times) {
                exchange.timing = Some(timing);
            }
        }
    }
    Ok(cassette)
}

/// Reads a cassette that is no file; it can have no large bodies.
pub fn parse(name: &str, text: &str) -> Result<Cassette, CassetteError> {
    raw::read(name, text)?.meant(name, Path::new(""))
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn blobs(path: &Path) -> PathBuf {
    path.with_extension("blobs")
}

fn timing(path: &Path) -> PathBuf {
    path.with_extension("timing.json")
}
