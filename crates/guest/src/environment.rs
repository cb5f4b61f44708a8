//! Where a call's things lie, and the environment its programs see.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use guest_proto::{Settings, is_directory_tag};

/// The directories of one call.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

impl Places {
    /// `None` if a tag is not 16 hex digits: it could lead anywhere.
    pub(crate) fn new(settings: &Settings, input_tag: &str, output_tag: &str) -> Option<Self> {
        Some(Self {
            input: directory(settings, "input", input_tag)?,
            output: directory(settings, "output", output_tag)?,
        })
    }

    /// Makes both; the output directory is new and empty.
    ///
    /// A full disk is no reason to fail: the program may be the one that makes room.
    pub(crate) fn make(&self) -> io::Result<()> {
        unless_full(fs::create_dir_all(&self.input))?;
        if let Some(parent) = self.output.parent() {
            unless_full(fs::create_dir_all(parent))?;
        }
        match fs::create_dir(&self.output) {
            // Only an empty one is taken again: what an earlier call left there is not ours to delete.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(&self.output)?;
                unless_full(fs::create_dir(&self.output))
            }
            result => unless_full(result),
        }
    }
}

/// `<files_root>/<kind>/<tag>`, if the tag is one.
pub(crate) fn directory(settings: &Settings, kind: &str, tag: &str) -> Option<PathBuf> {
    is_directory_tag(tag).then(|| Path::new(&settings.files_root).join(kind).join(tag))
}

fn unless_full(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_full(&error) => Ok(()),
        result => result,
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The whole environment of a call: nothing is inherited.
pub(crate) fn variables(
    settings: &Settings,
    places: &Places,
    more: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut variables: BTreeMap<String, String> = [
        ("PATH", settings.path.clone()),
        ("HOME", settings.work_dir.clone()),
        ("LANG", "C.UTF-8".to_owned()),
        ("MPLBACKEND", "Agg".to_owned()),
        (
            "MPLCONFIGDIR",
            text(&Path::new(&settings.tmp_root).join("matplotlib")),
        ),
        // One CPU: more threads than that only stand in each other's way.
        ("OMP_NUM_THREADS", "1".to_owned()),
        ("OPENBLAS_NUM_THREADS", "1".to_owned()),
        ("MKL_NUM_THREADS", "1".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    variables.extend(settings.env.clone());
    // Not open to change for all calls: a call's processes are told apart by their output directory.
    variables.insert("INPUT_DIR".to_owned(), text(&places.input));
    variables.insert("OUTPUT_DIR".to_owned(), text(&places.output));
    variables.extend(more.clone());
    variables
}
