//! The files that a call left in `$OUTPUT_DIR`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use guest_proto::{OutputFile, Settings, is_file_name};

use crate::environment::Places;

/// The files of one call, sorted by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    pub(crate) files: Vec<OutputFile>,
    pub(crate) too_large: Vec<OutputFile>,
    pub(crate) refused: Vec<String>,
    pub(crate) left_out: u64,
}

/// How long the listing may take: who writes on may add names faster than they are read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lists the regular files at the top level; nothing is opened, so nothing can block.
pub(crate) fn list(places: &Places, settings: &Settings) -> Outputs {
    let mut outputs = Outputs::default();
    // A link in its place is no output directory.
    let Ok(directory) = places.open_output() else {
        return outputs;
    };
    let Ok(entries) = fs::read_dir(directory.path()) else {
        return outputs;
    };
    let until = Instant::now() + PATIENCE;
    for entry in entries.flatten() {
        if Instant::now() >= until {
            break;
        }
        // Of the entry itself: a link is not followed.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if !metadata.is_file() {
            continue;
        }
        let size = metadata.len();
        match entry.file_name().into_string() {
            Ok(name) if is_file_name(&name) => {
                if size > settings.max_output_file_bytes {
                    outputs.too_large.push(OutputFile::new(name, size));
                } else {
                    let same = (metadata.nlink() > 1).then(|| metadata.ino());
                    let file = OutputFile { name, size, same };
                    outputs.files.push(file);
                }
            }
            Ok(name) => outputs.refused.push(name),
            Err(name) => outputs.refused.push(name.to_string_lossy().into_owned()),
        }
    }
    outputs.files.sort_by(|a, b| a.name.cmp(&b.name));
    outputs.too_large.sort_by(|a, b| a.name.cmp(&b.name));
    outputs.refused.sort();
    let most = usize::try_from(settings.max_output_files).unwrap_or(usize::MAX);
    outputs.left_out = cap(&mut outputs.files, most)
        + cap(&mut outputs.too_large, most)
        + cap(&mut outputs.refused, most);
    outputs
}

fn cap<T>(list: &mut Vec<T>, most: usize) -> u64 {
    let over = list.len().saturating_sub(most);
    list.truncate(most);
    over as u64
}
