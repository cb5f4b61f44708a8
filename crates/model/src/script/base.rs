//! The base layer: scripts given by file, under every workspace, watched for changes.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::parse;
use super::rule::Rule;
use common::document::{Diagnostic, Position};
use common::input::Named;

/// How often the files are looked at.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// The rules of all given files and folders.
#[derive(Debug, Default)]
pub struct Base {
    paths: Vec<PathBuf>,
    rules: RwLock<Arc<[Arc<Rule>]>>,
    /// 0 is the empty base.
    generation: AtomicU64,
    watch: Mutex<WatchState>,
}

#[derive(Debug, Default)]
struct WatchState {
    seen: Fingerprint,
    /// Of the names and contents that the rules were read from.
    read: u64,
    /// Whether the present files have been looked at in full and, if bad, complained about.
    settled: bool,
}

/// Every file with its time, its size, and what else changes with it.
type Fingerprint = Vec<(PathBuf, Option<SystemTime>, u64, Marks)>;

/// When the file was last changed or given another time, and which it is; nothing where files have no such marks.
type Marks = [i64; 3];

/// The result of one look at the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// Nothing to do.
    Unchanged,
    /// The new rules answer from now on.
    Reloaded { rules: usize },
    /// The last good rules go on answering.
    Rejected(Vec<Diagnostic>),
}

impl Base {
    /// Loads files and folders, in the order given; a folder's files in the order of their names. A file that is named
    /// again is read at its first place.
    pub fn load(paths: &[PathBuf]) -> Result<Self, Vec<Diagnostic>> {
        let seen = fingerprint(paths);
        let (rules, read) = read_all(paths)?;
        let rules: Arc<[Arc<Rule>]> = rules.into();
        Ok(Self {
            generation: AtomicU64::new(u64::from(!rules.is_empty())),
            paths: paths.to_vec(),
            rules: RwLock::new(rules),
            watch: Mutex::new(WatchState {
                seen,
                read,
                settled: true,
            }),
        })
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.generation() == 0
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules().1.len()
    }

    /// Looks at the files once and takes up a change: of what they hold, not of their times. A change that cannot be read is only rejected
    /// when the files have stood still from one look to the next: an editor may be writing.
    pub fn poll(&self) -> Reload {
        let now = fingerprint(&self.paths);
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let stood_still = watch.seen == now;
        if stood_still && watch.settled {
            return Reload::Unchanged;
        }
        watch.seen = now;
        match read_all(&self.paths) {
            Ok((_, read)) if read == watch.read => {
                watch.settled = true;
                Reload::Unchanged
            }
            Ok((rules, read)) => {
                watch.settled = true;
                watch.read = read;
                let count = rules.len();
                let mut current = self.rules.write().unwrap_or_else(PoisonError::into_inner);
                *current = rules.into();
                self.generation.fetch_add(1, Ordering::Release);
                Reload::Reloaded { rules: count }
            }
            Err(diagnostics) if stood_still => {
                watch.settled = true;
                Reload::Rejected(diagnostics)
            }
            Err(_) => {
                watch.settled = false;
                Reload::Unchanged
            }
        }
    }

    /// Looks at the files for ever, and logs what changed. Run it as a task of its own.
    pub async fn watch(self: Arc<Self>) {
        if self.paths.is_empty() {
            return;
        }
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let base = Arc::clone(&self);
            // Files may lie on a slow disk.
            match tokio::task::spawn_blocking(move || base.poll()).await {
                Ok(Reload::Unchanged) => {}
                Ok(Reload::Reloaded { rules }) => {
                    tracing::info!(script.rules = rules, "scripts reloaded");
                }
                Ok(Reload::Rejected(diagnostics)) => tracing::warn!(
                    "scripts changed but cannot be read, the last good ones go on answering\n{}",
                    common::hinted::told_all(&diagnostics)
                ),
                Err(error) => {
                    tracing::error!(%error, "scripts are no longer watched");
                    return;
                }
            }
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn rules(&self) -> (u64, Arc<[Arc<Rule>]>) {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        (self.generation(), Arc::clone(&rules))
    }
}

/// The rules and diagnostics of some files and folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    pub files: usize,
    pub rules: usize,
    pub diagnostics: Vec<Diagnostic>,
    /// Warnings about rules that work and are probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads every file, keeps nothing.
pub fn survey(paths: &[PathBuf]) -> Survey {
    let Reading {
        files,
        rules,
        mistakes: mut diagnostics,
        warnings,
        ..
    } = read_each(paths);
    if paths.is_empty() {
        diagnostics.push(Diagnostic {
            file: "sandtable check".to_owned(),
            at: Position::default(),
            message: "there is nothing to check".to_owned(),
            hint: Some("name files or folders".to_owned()),
        });
    }
    Survey {
        files,
        rules: rules.len(),
        diagnostics,
        warnings,
    }
}

/// The rules, and what tells apart what they were read from.
fn read_all(paths: &[PathBuf]) -> Result<(Vec<Arc<Rule>>, u64), Vec<Diagnostic>> {
    let Reading {
        rules,
        mistakes,
        sources,
        ..
    } = read_each(paths);
    if mistakes.is_empty() {
        Ok((rules, sources.finish()))
    } else {
        Err(mistakes)
    }
}

/// The contents of all files together.
#[derive(Debug, Default)]
struct Reading {
    files: usize,
    rules: Vec<Arc<Rule>>,
    mistakes: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Has seen the name and content of each file.
    sources: DefaultHasher,
}

/// Reads every file once, at its first place, and collects what each has.
fn read_each(paths: &[PathBuf]) -> Reading {
    let mut all = Reading::default();
    let mut named = Named::default();
    for path in paths {
        match files(path) {
            Ok(mut files) => {
                files.retain(|file| named.is_new(file));
                all.files += files.len();
                for file in files {
                    match read_file(&file, &mut all.sources) {
                        Ok((rules, warnings)) => {
                            all.rules.extend(rules);
                            all.warnings.extend(warnings);
                        }
                        Err(more) => all.mistakes.extend(more),
                    }
                }
            }
            Err(mistake) => all.mistakes.push(mistake),
        }
    }
    all
}

/// The script files that `path` stands for: itself, or a folder's in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| cannot_read(path, &error))?;
    let entries = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries
        .filter(|file| file.as_ref().map_or(true, |file| is_script(file)))
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(|error| cannot_read(path, &error))?;
    if files.is_empty() {
        return Err(Diagnostic {
            file: path.display().to_string(),
            at: Position::default(),
            message: "there is no script in this folder".to_owned(),
            hint: Some("a script's name ends in `.yaml`, `.yml`, or `.json`".to_owned()),
        });
    }
    files.sort();
    Ok(files)
}

/// Whether it is one by its name; one that cannot be read, such as a link to nothing or a pipe, is a mistake and not none.
fn is_script(file: &Path) -> bool {
    let hidden = file
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let known = file
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| EXTENSIONS.contains(&extension));
    known && !hidden && !file.is_dir()
}

fn read_file(file: &Path, sources: &mut DefaultHasher) -> parse::Found {
    let name = file.display().to_string();
    let bytes = common::input::read(file, common::limits::MAX_INPUT_FILE_BYTES)
        .map_err(|error| vec![cannot_read(file, &error)])?;
    (file, &bytes).hash(sources);
    let source = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = String::from_utf8_lossy(&error.as_bytes()[..good])
            .split('\n')
            .count();
        vec![Diagnostic {
            file: name.clone(),
            at: Position {
                line: u64::try_from(line).unwrap_or(0),
                column: 1,
            },
            message: "the file is not UTF-8".to_owned(),
            hint: Some("save it as UTF-8".to_owned()),
        }]
    })?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    parse::rules_and_warnings(source.trim_start_matches('\u{feff}'), &name, Some(folder))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => Some("is the path right?".to_owned()),
        _ => None,
    };
    Diagnostic {
        file: path.display().to_string(),
        at: Position::default(),
        message: format!("cannot be read: {error}"),
        hint,
    }
}

fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let files = paths
        .iter()
        .flat_map(|path| files(path).unwrap_or_else(|_| vec![path.clone()]));
    files
        .map(|file| {
            let metadata = std::fs::metadata(&file).ok();
            let time = metadata.as_ref().and_then(|data| data.modified().ok());
            let len = metadata.as_ref().map_or(0, std::fs::Metadata::len);
            (file, time, len, metadata.as_ref().map_or([0; 3], marks))
        })
        .collect()
}

#[cfg(unix)]
fn marks(file: &std::fs::Metadata) -> Marks {
    use std::os::unix::fs::MetadataExt as _;
    [file.ctime(), file.ctime_nsec(), file.ino().cast_signed()]
}

#[cfg(not(unix))]
fn marks(_: &std::fs::Metadata) -> Marks {
    [0; 3]
}
