//! Where a call's things lie, and the environment its programs see.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use guest_proto::{Settings, is_directory_tag};

use crate::directory::Directory;

/// Holds the input directories.
pub(crate) const INPUT: &str = "input";
/// Holds the output directories.
const OUTPUT: &str = "output";

/// The directories of one call.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    root: PathBuf,
    tags: [String; 2],
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

impl Places {
    /// `None` if a tag is not 16 hex digits: it could lead anywhere.
    pub(crate) fn new(settings: &Settings, input_tag: &str, output_tag: &str) -> Option<Self> {
        let root = PathBuf::from(&settings.files_root);
        let tags = [input_tag, output_tag];
        tags.iter().all(|tag| is_directory_tag(tag)).then(|| Self {
            input: root.join(INPUT).join(input_tag),
            output: root.join(OUTPUT).join(output_tag),
            root,
            tags: tags.map(str::to_owned),
        })
    }

    /// The 16 hex digits that name the output directory.
    pub(crate) fn output_tag(&self) -> &str {
        &self.tags[1]
    }

    /// Makes both; the output directory is new and empty.
    ///
    /// A full disk is no reason to fail: the program may be the one that makes room.
    pub(crate) fn make(&self) -> io::Result<()> {
        unless_full(self.try_make())
    }

    fn try_make(&self) -> io::Result<()> {
        let [input_tag, output_tag] = &self.tags;
        let root = Directory::own(&self.root)?;
        root.enter_own(INPUT)?.enter_own(input_tag)?;
        let outputs = root.enter_own(OUTPUT)?;
        let output = outputs.entry(output_tag);
        match fs::create_dir(&output) {
            // Only an empty one is taken again: what an earlier call left there is not ours to delete.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if outputs.enter(output_tag).is_ok() {
                    fs::remove_dir(&output)?;
                } else {
                    outputs.clear(output_tag)?;
                }
                fs::create_dir(&output)
            }
            result => result,
        }
    }

    /// Opens the output directory; a link in its place, or above it, is none.
    pub(crate) fn open_output(&self) -> io::Result<Directory> {
        open_output(&self.root, &self.tags[1])
    }
}

/// Opens up the directories that hold those of calls, in place of whatever else is there.
pub(crate) fn make_parents(settings: &Settings) -> io::Result<()> {
    let root = Directory::own(Path::new(&settings.files_root))?;
    root.enter_own(INPUT)?;
    root.enter_own(OUTPUT).map(drop)
}

/// Opens `<files_root>/input/<tag>`, made if need be, in place of whatever else is there.
pub(crate) fn own_input(root: &Path, tag: &str) -> io::Result<Directory> {
    Directory::own(root)?.enter_own(INPUT)?.enter_own(tag)
}

/// Opens `<files_root>/output/<tag>`, through no link; opened up where a call has closed it, as its files are.
pub(crate) fn open_output(root: &Path, tag: &str) -> io::Result<Directory> {
    let root = Directory::open(root)?.usable();
    let outputs = root.enter(OUTPUT)?.usable();
    Ok(outputs.enter(tag)?.usable())
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
        // On every base pip goes as far as the network that is not there, also where a distribution has
        // its Python marked as its own.
        ("PIP_BREAK_SYSTEM_PACKAGES", "1".to_owned()),
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
